// Programs: the compiled program of every policy list in use, one per distinct list.  Users hold a list by
// its place here: to compare lists by what they say takes longer than all else where endpoints are many.
//
// Knows which lists contain which policy, profile and named-port set, and compiles only those again
// that a change touches.  A program that comes out the same keeps its object, so nothing is rebuilt.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "policy/ip_set.h"
#include "policy/model.h"
#include "policy/policy_list.h"
#include "policy/slice.h"
#include "vrouter/dataplane/acl.h"

namespace vr::policy {

class Programs {
  public:
    /// `resources` and `sets` must outlive this.
    Programs(const std::map<Key, ResourcePtr>& resources, IpSets& sets)
        : resources_(&resources), sets_(&sets) {}

    /// A list with its program.  Equal lists have one place, until the last user releases it.
    struct InUse {
        const PolicyList* list = nullptr;
        std::shared_ptr<const acl::Program> program;  ///< null only while it is being compiled
        unsigned users = 0;
        std::set<SetName> sets;
    };

    /// One more user of the list's program; the first one compiles it.
    [[nodiscard]] const InUse* acquire(PolicyList list);
    void release(const InUse* in_use);

    /// Policy or profile `key` changed, came or went.
    void touch(const Key& key);
    /// The port numbers of a set changed.
    void touch(const SetName& set);

    /// Lists whose program is another now, with the one before.
    using Changed = std::map<const InUse*, std::shared_ptr<const acl::Program>>;

    /// Compiles what was touched, and adds to `changed`; false: `slice` was over before the end.
    [[nodiscard]] bool refresh(const Slice& slice, Changed& changed);

    /// Distinct programs in use.
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

  private:
    /// Compiles `entry`'s list; true when the program is another than before.
    bool build(InUse& entry);

    const std::map<Key, ResourcePtr>* resources_;
    IpSets* sets_;
    std::map<PolicyList, InUse> entries_;
    std::map<Key, std::set<InUse*>> by_key_;
    std::map<SetName, std::set<InUse*>> by_set_;
    std::set<InUse*> touched_;
};

}  // namespace vr::policy
