// Programs: the compiled program of every policy list in use, one per distinct list.
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
#include "vrouter/dataplane/acl.h"

namespace vr::policy {

class Programs {
  public:
    /// `resources` and `sets` must outlive this.
    Programs(const std::map<Key, ResourcePtr>& resources, IpSets& sets)
        : resources_(&resources), sets_(&sets) {}

    /// One more user of the list's program; the first one compiles it.
    void acquire(const PolicyList& list);
    void release(const PolicyList& list);

    /// Policy or profile `key` changed, came or went.
    void touch(const Key& key);
    /// The port numbers of a set changed.
    void touch(const SetName& set);

    /// Compiles what was touched; returns the lists whose program is another now.
    [[nodiscard]] std::set<PolicyList> refresh();

    [[nodiscard]] std::shared_ptr<const acl::Program> program(const PolicyList& list) const;

    /// Distinct programs in use.
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

  private:
    struct Entry {
        unsigned users = 0;
        std::shared_ptr<const acl::Program> program;
        std::set<SetName> sets;
    };

    /// Compiles into `entry`; true when the program is another than before.
    bool build(const PolicyList& list, Entry& entry);

    const std::map<Key, ResourcePtr>* resources_;
    IpSets* sets_;
    std::map<PolicyList, Entry> entries_;
    std::map<Key, std::set<const PolicyList*>> by_key_;
    std::map<SetName, std::set<const PolicyList*>> by_set_;
    std::set<const PolicyList*> touched_;
};

}  // namespace vr::policy
