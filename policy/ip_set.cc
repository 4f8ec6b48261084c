// SPDX-License-Identifier: Apache-2.0
#include "policy/ip_set.h"

#include <fmt/format.h>

#include <algorithm>

namespace vr::policy {

namespace {

/// Calls `visit(port, network)` for each member that `item` brings into `set`.
template <typename Item, typename Visit>
void for_each_member(const SetName& set, const Item& item, Visit visit) {
    std::set<L4Port> ports;
    if (set.port.empty()) {
        ports.insert(L4Port{});
    }
    for (const auto& port : item.ports) {
        if (!set.port.empty() && port.name == set.port && port.protocol == set.protocol) {
            ports.insert(port.port);
        }
    }
    for (const auto port : ports) {
        for (const auto& network : item.networks) {
            visit(port, network);
        }
    }
}

template <typename F>
bool covers(const Prefix<F>& net, const IpAddr& address) {
    const auto* own = std::get_if<typename F::Addr>(&address);
    return own != nullptr && net.contains(*own);
}

}  // namespace

void IpSets::set_item(
    const Key& key,
    const Labels& labels,
    std::vector<IpPrefix> networks,
    std::vector<NamedPort> ports) {
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
    // First in, then out: what stays is never absent.
    const Item old = std::exchange(items_[id], Item{std::move(networks), std::move(ports)});
    for (const auto set : after) {
        contribute(set, items_[id]);
    }
    for (const auto set : before) {
        withdraw(set, old);
    }
}

void IpSets::remove_item(const Key& key) {
    const auto known = item_ids_.find(key);
    if (known == item_ids_.end()) {
        return;
    }
    const ItemId id = known->second;
    for (const auto& change : index_.remove_item(id)) {
        withdraw(change.selector, items_[id]);
    }
    items_.erase(id);
    item_ids_.erase(known);
}

void IpSets::feed(const SetUpdate& update) {
    using How = SetUpdate::How;
    const auto known = set_ids_.find(update.name);
    if (update.how == How::Forget) {
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
    std::vector<PortMember> leaving = update.removed;
    if (update.how == How::Replace) {
        const std::set<PortMember> wanted(update.added.begin(), update.added.end());
        leaving = members(update.name);
        std::erase_if(leaving, [&](const PortMember& member) { return wanted.contains(member); });
    }
    // First in, then out: what stays is never absent.
    for (const auto& member : update.added) {
        enter(id, member);
    }
    for (const auto& member : leaving) {
        leave(id, member);
    }
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
        for (const auto& change : index_.set_selector(id, selector)) {
            contribute(id, items_[change.item]);
        }
        renumbered_.erase(name);  // nobody has seen other numbers
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

void IpSets::close_set(SelectorId id) {
    Set& set = sets_.at(id);
    index_.remove_selector(id);
    while (!set.groups.empty()) {
        const auto& [port, group] = *set.groups.begin();
        for (const auto& [member, count] : group.members) {
            changes_.push_back({group.id, member, false});
        }
        close_group(set, port);
    }
    renumbered_.erase(set.name);
    set_ids_.erase(set.name);
    sets_.erase(id);
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

std::vector<PortMember> IpSets::members(const SetName& name) const {
    std::vector<PortMember> all;
    if (const auto known = set_ids_.find(name); known != set_ids_.end()) {
        for (const auto& [port, group] : sets_.at(known->second).groups) {
            for (const auto& [member, count] : group.members) {
                all.emplace_back(port, member);
            }
        }
    }
    return all;
}

std::optional<std::pair<SetName, L4Port>> IpSets::owner(GroupId group) const {
    const auto known = groups_.find(group);
    if (known == groups_.end()) {
        return std::nullopt;
    }
    return std::pair(sets_.at(known->second.first).name, known->second.second);
}

void IpSets::contribute(SelectorId set_id, const Item& item) {
    for_each_member(sets_.at(set_id).name, item, [&](L4Port port, const IpPrefix& member) {
        Group& group = open_group(set_id, port);
        if (group.members[member]++ == 0) {
            changes_.push_back({group.id, member, true});
        }
    });
}

void IpSets::withdraw(SelectorId set_id, const Item& item) {
    for_each_member(sets_.at(set_id).name, item, [&](L4Port port, const IpPrefix& member) {
        if (sets_.at(set_id).groups.at(port).members.at(member) > 1) {
            --sets_.at(set_id).groups.at(port).members.at(member);
        } else {
            leave(set_id, {port, member});
        }
    });
}

/// Makes `member` one that counts once.
void IpSets::enter(SelectorId set_id, const PortMember& member) {
    Group& group = open_group(set_id, member.first);
    if (group.members.try_emplace(member.second, 1U).second) {
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
