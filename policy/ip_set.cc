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

void IpSets::acquire(const SetName& name, const Selector& selector) {
    SelectorId& id = set_ids_[name];
    if (id == SelectorId{}) {
        id = SelectorId{++last_set_};
        sets_[id].name = name;
        if (name.port.empty()) {
            open_group(id, L4Port{});
        }
        for (const auto& change : index_.set_selector(id, selector)) {
            contribute(id, items_[change.item]);
        }
        renumbered_.erase(name);  // nobody has seen other numbers
    }
    ++sets_[id].users;
}

void IpSets::release(const SetName& name) {
    const auto known = set_ids_.find(name);
    Set& set = sets_.at(known->second);
    if (--set.users > 0) {
        return;
    }
    index_.remove_selector(known->second);
    while (!set.groups.empty()) {
        const auto& [port, group] = *set.groups.begin();
        for (const auto& [member, count] : group.members) {
            changes_.push_back({group.id, member, false});
        }
        close_group(set, port);
    }
    renumbered_.erase(name);
    sets_.erase(known->second);
    set_ids_.erase(known);
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

void IpSets::contribute(SelectorId set_id, const Item& item) {
    for_each_member(sets_.at(set_id).name, item, [&](L4Port port, const IpPrefix& member) {
        Group& group = open_group(set_id, port);
        if (group.members[member]++ == 0) {
            changes_.push_back({group.id, member, true});
        }
    });
}

void IpSets::withdraw(SelectorId set_id, const Item& item) {
    Set& set = sets_.at(set_id);
    for_each_member(set.name, item, [&](L4Port port, const IpPrefix& member) {
        Group& group = set.groups.at(port);
        const auto counted = group.members.find(member);
        if (--counted->second > 0) {
            return;
        }
        group.members.erase(counted);
        changes_.push_back({group.id, member, false});
        if (group.members.empty() && !set.name.port.empty()) {
            close_group(set, port);
        }
    });
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
