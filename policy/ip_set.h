// IpSets: the members of the sets that rules in use name, POLICY 2.3 "selector set", "named port".
//
// A set is named by a canonical selector, or by a selector and a named port; then it is one group for
// each port number that the name stands for.  An address may come from several items (endpoints,
// network sets) and counts once.  Group ids are never used again.
//
// What one call sets off may be a million members: it waits in queues, and work() does a little of it.  A set
// that went is emptied behind all else, so members come before others leave.
//
// Members come from the objects that set_item() knows, or with MembersFrom::Stream from feed() alone.
// Then a set may be named by a rule before the stream told of it: a gap, over which nothing may be
// published, because an empty set would let a Deny pass.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "policy/label_index.h"
#include "policy/model.h"
#include "policy/set_update.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr::policy {

/// Where the members of sets come from.
enum class MembersFrom : std::uint8_t { Objects, Stream };

/// `member` belongs to `group` from now on, or no longer.
struct MemberChange {
    GroupId group;
    IpPrefix member;
    bool present = false;
};

class IpSets {
  public:
    explicit IpSets(MembersFrom members_from = MembersFrom::Objects)
        : members_from_(members_from) {}

    /// What an item brings into sets: parts of `owner`.
    struct Item {
        std::shared_ptr<const void> owner;
        std::span<const IpPrefix> networks;
        std::span<const NamedPort> ports;
    };

    void set_item(const Key& key, const Labels& labels, Item item);
    void remove_item(const Key& key);

    /// What a stream says of a set.
    void feed(SetUpdate update);
    /// True while a rule in use names a set that the stream has not told of.
    [[nodiscard]] bool has_gaps() const;

    /// One more user of the set; the first one has it filled.
    void acquire(const SetName& name, const Selector& selector);
    /// One user less; the last one has it emptied and forgotten.
    void release(const SetName& name);

    /// There is work to do, before which sets are not what they are to be.
    [[nodiscard]] bool has_work() const {
        return !moves_.empty() || !feeds_.empty() || !scans_.empty() || !closing_.empty();
    }

    /// Does some of it: looks at up to `most` members or items.
    void work(std::size_t most = 32);

    /// The groups of a set in use by port number; port 0 alone when the set names no port.
    [[nodiscard]] std::map<L4Port, GroupId> groups(const SetName& name) const;

    /// What changed since the last call, in order.
    [[nodiscard]] std::vector<MemberChange> take_changes();
    /// Sets whose port numbers changed since the last call: rules that name them must be compiled anew.
    [[nodiscard]] std::set<SetName> take_renumbered();

    [[nodiscard]] bool contains(GroupId group, const IpAddr& address) const;
    /// What a set in use holds, in order: up to `most` members, those behind `last` if there is one.
    [[nodiscard]] std::vector<PortMember> members(
        const SetName& name,
        const std::optional<PortMember>& last = {},
        std::size_t most = std::numeric_limits<std::size_t>::max()) const;
    /// How many members that are.
    [[nodiscard]] std::size_t size(const SetName& name) const;
    /// The set and port number that a group stands for; nothing once it is gone.
    [[nodiscard]] std::optional<std::pair<SetName, L4Port>> owner(GroupId group) const;
    /// The set that `group` belongs to, for people.
    [[nodiscard]] std::string describe(GroupId group) const;

  private:
    struct Group {
        GroupId id;
        std::map<IpPrefix, unsigned> members;  ///< how many items contribute each
    };

    struct Set {
        SetName name;
        unsigned users = 0;
        bool fed = false;  ///< the stream tells of it
        std::map<L4Port, Group> groups;
    };

    /// What `item` brings is to come into a set, or to leave it.
    struct Move {
        SelectorId set;
        Item item;
        bool comes = false;
        std::size_t done = 0;  ///< of its members
    };

    /// Of a stream's update.
    struct Feed {
        SelectorId set;
        SetUpdate update;
        std::size_t entered = 0;  ///< of `added`
        std::size_t left = 0;     ///< of `removed`
        L4Port port;              ///< of the last member that was asked whether it leaves
        std::optional<IpPrefix> asked;
    };

    [[nodiscard]] bool go_on(Move& move, std::size_t most);
    [[nodiscard]] bool go_on(Feed& feed, std::size_t most);
    [[nodiscard]] bool go_on(LabelIndex::Scan& scan, std::size_t most);
    [[nodiscard]] bool go_on(SelectorId closing, std::size_t most);
    [[nodiscard]] bool ask_next(Feed& feed);
    void contribute(SelectorId set, const PortMember& member);
    void withdraw(SelectorId set, const PortMember& member);
    void enter(SelectorId set, const PortMember& member, unsigned count);
    void leave(SelectorId set, const PortMember& member);
    Group& open_group(SelectorId set_id, L4Port port);
    void close_group(Set& set, L4Port port);
    [[nodiscard]] SelectorId open_set(const SetName& name);
    void close_set(SelectorId set_id);

    MembersFrom members_from_;
    LabelIndex index_;
    std::map<Key, ItemId> item_ids_;
    std::map<ItemId, Item> items_;
    std::map<SetName, SelectorId> set_ids_;
    std::map<SelectorId, Set> sets_;
    std::map<GroupId, std::pair<SelectorId, L4Port>> groups_;
    std::uint32_t last_item_ = 0;
    std::uint32_t last_set_ = 0;
    std::uint32_t last_group_ = 0;
    std::deque<Move> moves_;
    std::deque<Feed> feeds_;
    std::deque<LabelIndex::Scan> scans_;
    std::deque<SelectorId> closing_;
    std::vector<MemberChange> changes_;
    std::set<SetName> renumbered_;
};

}  // namespace vr::policy
