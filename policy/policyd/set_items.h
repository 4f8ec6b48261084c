// SetItems: the sets that hosts need, as items: who belongs to them, what changed since the last flush, and
// the whole of one in parts.  Pure.
//
// A million members come, change and are written bit by bit.  A whole is written between batches, while its
// set changes with each of them: a part has members as they are by then, and the changes since the first part,
// told behind the last one, make all of them what they are in the end.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "policy/ip_set.h"
#include "policy/model.h"
#include "policy/policyd/item.h"
#include "policy/selector.h"
#include "policy/set_update.h"
#include "policy/slice.h"
#include "vrouter/net/ids.h"

namespace vr::policyd {

class SetItems {
  public:
    /// Members of one message: it is small, and soon written.
    static constexpr std::size_t kMostMembers = 1024;

    /// Items are numbered behind `last_item`, as others are.
    explicit SetItems(std::uint64_t& last_item) : last_item_(&last_item) {}

    /// As of IpSets.
    void set_item(
        const policy::Key& key, const policy::Labels& labels, policy::IpSets::Item brings) {
        members_.set_item(key, labels, std::move(brings));
    }

    void remove_item(const policy::Key& key) { members_.remove_item(key); }

    [[nodiscard]] bool has_work() const { return members_.has_work(); }

    void work();

    [[nodiscard]] std::size_t size() const { return sets_.size(); }

    [[nodiscard]] const ItemPtr& item(const policy::SetName& name) const {
        return sets_.at(name).item;
    }

    /// Made if there is none.
    [[nodiscard]] const ItemPtr& item_of(
        const policy::SetName& name, const policy::Selector& selector);
    /// Nobody needs it any more.
    void forget(const policy::SetName& name);

    /// Makes changes of items of what happened to members since the last flush, as far as `slice` goes; to be
    /// called again until true.  Those who use them are told, between flushes nothing may be.
    [[nodiscard]] bool flush(const policy::Slice& slice);

    /// The next of what tells somebody of `item` who has `known` of it; null: it is all there is.
    [[nodiscard]] Chunk next(Item& item, Known& known) const;

  private:
    /// What happened to a member since the last flush.
    struct Change {
        bool was = false;
        bool is = false;
    };

    struct Set {
        ItemPtr item;
        bool fresh = true;  ///< made since the last flush: nobody knows any of it
        std::map<policy::PortMember, Change> changed;  ///< since then
        std::set<GroupId> groups;                      ///< as entered in owners_
    };

    struct Owner {
        Set* set = nullptr;
        L4Port port;
    };

    [[nodiscard]] const Owner* owner(GroupId group);
    void forget_closed_groups(const policy::SetName& name);
    void tell_some(Set& set);
    void write_part(Item& item) const;

    std::uint64_t* last_item_;
    std::uint64_t last_version_ = 0;
    policy::IpSets members_;
    std::map<policy::SetName, Set> sets_;
    std::map<GroupId, Owner> owners_;
    std::vector<Set*> fresh_;
    std::set<Set*> changed_;
    std::set<policy::SetName> renumbered_;
};

}  // namespace vr::policyd
