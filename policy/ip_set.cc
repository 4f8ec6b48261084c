// SPDX-License-Identifier: Apache-2.0
#include "policy/ip_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace vr::policy {

namespace {

/// How a member of a set that a stream tells of counts.
constexpr unsigned kTold = 1;
constexpr unsigned kToldAgain = 2;  ///< while all others are looked for, which leave

/// Under which numbers an item with `ports` is in `set`.
std::vector<L4Port> ports_in(const SetName& set, std::span<const NamedPort> ports) {
    if (set.port.empty()) {
        return {L4Port{}};
    }
    std::set<L4Port> numbers;
    for (const auto& port : ports) {
        if (port.name == set.port && port.protocol == set.protocol) {
            numbers.insert(port.port);
        }
    }
    return {numbers.begin(), numbers.end()};
}

bool same(const IpSets::Item& a, const IpSets::Item& b) {
    const auto parts = [](const IpSets::Item& item) {
        return std::tuple(item.owner, item.networks.data(), item.ports.data());
    };
    return parts(a) == parts(b);
}

template <typename F>
bool covers(const Prefix<F>& net, const IpAddr& address) {
    const auto* own = std::get_if<typename F::Addr>(&address);
    return own != nullptr && net.contains(*own);
}

}  // namespace

void IpSets::set_item(const Key& key, const Labels& labels, Item item) {
    if (members_from_ == MembersFrom::Stream) {
        return;
    }
    ItemId& id = item_ids_[key];
    if (id == ItemId{}) {
        id = ItemId{++last_item_};
    }
    const auto before = index_.selectors_of(id);
    (void)index_.set_item(id, labels);
    const auto after = index_.selectors_of(id);
    const Item old = std::exchange(items_[id], item);
    const bool moves_all = !same(old, item);
    // First in, then out: what stays is never absent.
    for (const auto set : after) {
        if (moves_all || !before.contains(set)) {
            moves_.push_back({set, item, true});
        }
    }
    for (const auto set : before) {
        if (moves_all || !after.contains(set)) {
            moves_.push_back({set, old, false});
        }
    }
}

void IpSets::remove_item(const Key& key) {
    const auto known = item_ids_.find(key);
    if (known == item_ids_.end()) {
        return;
    }
    const ItemId id = known->second;
    for (const auto& change : index_.remove_item(id)) {
        moves_.push_back({change.selector, items_[id], false});
    }
    items_.erase(id);
    item_ids_.erase(known);
}

void IpSets::feed(SetUpdate update) {
    const auto known = set_ids_.find(update.name);
    if (update.how == SetUpdate::How::Forget) {
        if (known != set_ids_.end()) {
            Set& set = sets_.at(known->second);
            set.fed = false;
            if (set.users == 0) {
                close_set(known->second);
            }
        }
        return;
    }
    const SelectorId id = known == set_ids_.end() ? open_set(update.name) : known->second;
    sets_.at(id).fed = true;
    feeds_.push_back({.set = id, .update = std::move(update)});
}

bool IpSets::has_gaps() const {
    return members_from_ == MembersFrom::Stream &&
           std::ranges::any_of(sets_, [](const auto& entry) {
               return entry.second.users > 0 && !entry.second.fed;
           });
}

void IpSets::acquire(const SetName& name, const Selector& selector) {
    const auto known = set_ids_.find(name);
    const SelectorId id = known == set_ids_.end() ? open_set(name) : known->second;
    if (known == set_ids_.end() && members_from_ == MembersFrom::Objects) {
        scans_.push_back(index_.begin_selector(id, selector));
    }
    ++sets_.at(id).users;
}

void IpSets::release(const SetName& name) {
    const SelectorId id = set_ids_.at(name);
    Set& set = sets_.at(id);
    if (--set.users == 0 && !set.fed) {
        close_set(id);
    }
}

SelectorId IpSets::open_set(const SetName& name) {
    const SelectorId id{++last_set_};
    set_ids_.emplace(name, id);
    sets_[id].name = name;
    if (name.port.empty()) {
        open_group(id, L4Port{});
    }
    return id;
}

/// Nobody finds it by name any more; members leave one by one.
void IpSets::close_set(SelectorId id) {
    set_ids_.erase(sets_.at(id).name);
    closing_.push_back(id);
}

void IpSets::work(std::size_t most) {
    const auto go_on_with = [&](auto& queue) {
        if (queue.empty()) {
            return false;
        }
        if (!go_on(queue.front(), most)) {
            queue.pop_front();
        }
        return true;
    };
    (void)(go_on_with(moves_) || go_on_with(feeds_) || go_on_with(scans_) || go_on_with(closing_));
}

/// This and those below: false when all is done.
bool IpSets::go_on(Move& move, std::size_t most) {
    const auto set = sets_.find(move.set);
    if (set == sets_.end()) {
        return false;
    }
    const auto ports = ports_in(set->second.name, move.item.ports);
    const auto networks = move.item.networks;
    const std::size_t all = ports.size() * networks.size();
    for (const auto end = std::min(all, move.done + most); move.done < end; ++move.done) {
        const PortMember member{
            ports[move.done / networks.size()], networks[move.done % networks.size()]};
        if (move.comes) {
            contribute(move.set, member);
        } else {
            withdraw(move.set, member);
        }
    }
    return move.done < all;
}

bool IpSets::go_on(Feed& feed, std::size_t most) {
    const auto& [name, how, added, removed] = feed.update;
    const bool replaces = how == SetUpdate::How::Replace;
    for (std::size_t n = 0; n < most; ++n) {
        // First in, then out: what stays is never absent.
        if (feed.entered < added.size()) {
            enter(feed.set, added[feed.entered++], replaces ? kToldAgain : kTold);
        } else if (!replaces && feed.left < removed.size()) {
            leave(feed.set, removed[feed.left++]);
        } else if (!replaces || !ask_next(feed)) {
            return false;
        }
    }
    return true;
}

/// Has the next member leave that was not told again; false: there is no next.
bool IpSets::ask_next(Feed& feed) {
    auto& groups = sets_.at(feed.set).groups;
    for (auto group = groups.lower_bound(feed.port); group != groups.end(); ++group) {
        if (group->first != feed.port) {
            feed.port = group->first;
            feed.asked.reset();
        }
        auto& members = group->second.members;
        const auto next = feed.asked ? members.upper_bound(*feed.asked) : members.begin();
        if (next == members.end()) {
            continue;
        }
        feed.asked = next->first;
        if (std::exchange(next->second, kTold) != kToldAgain) {
            leave(feed.set, {feed.port, *feed.asked});
        }
        return true;
    }
    return false;
}

bool IpSets::go_on(LabelIndex::Scan& scan, std::size_t most) {
    std::vector<MatchChange> changes;
    const bool more = index_.judge(scan, most, changes);
    for (const auto& change : changes) {
        moves_.push_back({change.selector, items_.at(change.item), change.matches});
    }
    return more;
}

bool IpSets::go_on(SelectorId closing, std::size_t most) {
    std::vector<MatchChange> ignored;  // its members leave below, whoever brought them
    if (!index_.remove_selector(closing, most, ignored)) {
        return true;
    }
    Set& set = sets_.at(closing);
    for (std::size_t n = 0; n < most && !set.groups.empty(); ++n) {
        auto& [id, members] = set.groups.begin()->second;
        if (members.empty()) {
            groups_.erase(id);
            set.groups.erase(set.groups.begin());
        } else {
            changes_.push_back({id, members.begin()->first, false});
            members.erase(members.begin());
        }
    }
    if (!set.groups.empty()) {
        return true;
    }
    if (!set_ids_.contains(set.name)) {
        renumbered_.erase(set.name);
    }
    sets_.erase(closing);
    return false;
}

std::map<L4Port, GroupId> IpSets::groups(const SetName& name) const {
    std::map<L4Port, GroupId> ids;
    if (const auto known = set_ids_.find(name); known != set_ids_.end()) {
        for (const auto& [port, group] : sets_.at(known->second).groups) {
            ids.emplace(port, group.id);
        }
    }
    return ids;
}

std::vector<MemberChange> IpSets::take_changes() {
    return std::exchange(changes_, {});
}

std::set<SetName> IpSets::take_renumbered() {
    return std::exchange(renumbered_, {});
}

bool IpSets::contains(GroupId group, const IpAddr& address) const {
    const auto known = groups_.find(group);
    if (known == groups_.end()) {
        return false;
    }
    const auto& [set, port] = known->second;
    return std::ranges::any_of(sets_.at(set).groups.at(port).members, [&](const auto& member) {
        return std::visit([&](const auto& net) { return covers(net, address); }, member.first);
    });
}

std::string IpSets::describe(GroupId group) const {
    const auto known = groups_.find(group);
    if (known == groups_.end()) {
        return fmt::format("group {}", group.value());
    }
    const SetName& name = sets_.at(known->second.first).name;
    return name.port.empty()
               ? name.selector
               : fmt::format(
                     "{} with port {}={}", name.selector, name.port, known->second.second.value());
}

std::vector<PortMember> IpSets::members(
    const SetName& name, const std::optional<PortMember>& last, std::size_t most) const {
    std::vector<PortMember> some;
    const auto known = set_ids_.find(name);
    if (known == set_ids_.end()) {
        return some;
    }
    const auto& groups = sets_.at(known->second).groups;
    for (auto group = last ? groups.lower_bound(last->first) : groups.begin();
         group != groups.end();
         ++group) {
        const auto& [port, held] = *group;
        const bool goes_on = last && last->first == port;
        for (auto member = goes_on ? held.members.upper_bound(last->second) : held.members.begin();
             member != held.members.end();
             ++member) {
            if (some.size() == most) {
                return some;
            }
            some.emplace_back(port, member->first);
        }
    }
    return some;
}

std::size_t IpSets::size(const SetName& name) const {
    std::size_t size = 0;
    if (const auto known = set_ids_.find(name); known != set_ids_.end()) {
        for (const auto& [port, group] : sets_.at(known->second).groups) {
            size += group.members.size();
        }
    }
    return size;
}

std::optional<std::pair<SetName, L4Port>> IpSets::owner(GroupId group) const {
    const auto known = groups_.find(group);
    if (known == groups_.end()) {
        return std::nullopt;
    }
    const auto& [set, port] = known->second;
    const SetName& name = sets_.at(set).name;
    const auto living = set_ids_.find(name);
    return living != set_ids_.end() && living->second == set ? std::optional(std::pair(name, port))
                                                             : std::nullopt;
}

void IpSets::contribute(SelectorId set_id, const PortMember& member) {
    Group& group = open_group(set_id, member.first);
    if (group.members[member.second]++ == 0) {
        changes_.push_back({group.id, member.second, true});
    }
}

void IpSets::withdraw(SelectorId set_id, const PortMember& member) {
    auto& groups = sets_.at(set_id).groups;
    const auto group = groups.find(member.first);
    if (group == groups.end()) {
        return;  // the set is being emptied
    }
    const auto known = group->second.members.find(member.second);
    if (known != group->second.members.end() && --known->second == 0) {
        leave(set_id, member);
    }
}

/// Makes `member` one that counts as `count`.
void IpSets::enter(SelectorId set_id, const PortMember& member, unsigned count) {
    Group& group = open_group(set_id, member.first);
    if (group.members.insert_or_assign(member.second, count).second) {
        changes_.push_back({group.id, member.second, true});
    }
}

/// Takes `member` out, however often it counted.
void IpSets::leave(SelectorId set_id, const PortMember& member) {
    Set& set = sets_.at(set_id);
    const auto group = set.groups.find(member.first);
    if (group == set.groups.end() || group->second.members.erase(member.second) == 0) {
        return;
    }
    changes_.push_back({group->second.id, member.second, false});
    if (group->second.members.empty() && !set.name.port.empty()) {
        close_group(set, member.first);
    }
}

IpSets::Group& IpSets::open_group(SelectorId set_id, L4Port port) {
    Set& set = sets_.at(set_id);
    const auto [found, fresh] = set.groups.try_emplace(port);
    if (fresh) {
        found->second.id = GroupId{++last_group_};
        groups_.emplace(found->second.id, std::pair(set_id, port));
        renumbered_.insert(set.name);
    }
    return found->second;
}

void IpSets::close_group(Set& set, L4Port port) {
    const auto found = set.groups.find(port);
    groups_.erase(found->second.id);
    set.groups.erase(found);
    renumbered_.insert(set.name);
}

}  // namespace vr::policy
