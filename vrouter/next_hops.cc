// SPDX-License-Identifier: Apache-2.0
#include "vrouter/next_hops.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <iterator>

#include "vrouter/net/headers.h"
#include "vrouter/net/zone.h"

namespace vr {

namespace {

void write_link(NextHop& hop, const Mac& destination, const Mac& source, IpFamily family) {
    destination.store(hop.link.data());
    source.store(hop.link.data() + 6);
    store_be(hop.link.data() + 12, family == IpFamily::Ip4 ? ethertype::kIp4 : ethertype::kIp6);
}

IpFamily family_of(const IpAddr& address) {
    return address.index() == 0 ? IpFamily::Ip4 : IpFamily::Ip6;
}

/// So many members that are found take about as long as all the rest about their set.
constexpr std::size_t kMembersPerSet = 16;

NextHop towards(PortId port, const NextHops::Link& link) {
    return {
        .port = port,
        .mtu = link.mtu,
        .workload = link.kind == PortKind::Workload ? port : PortId{}};
}

/// The station itself, whatever is sent to it.
Adjacency station_of(const Adjacency& adjacency) {
    return {adjacency.port, adjacency.address};
}

bool same(const NextHop& a, const NextHop& b) {
    return a.link == b.link && a.port == b.port && a.mtu == b.mtu && a.kind == b.kind &&
           a.group == b.group && a.workload == b.workload && a.translation == b.translation;
}

}  // namespace

std::string gateway_text(const IpAddr& address) {
    const auto* v6 = std::get_if<Ip6>(&address);
    return v6 != nullptr && v6->is_link_local() ? to_string(without_zone(*v6)) : to_string(address);
}

std::string to_string(const RouteTarget& target) {
    struct Words {
        std::string operator()(const Adjacency& a) const { return to_string(a.address); }

        std::string operator()(const Connected& /*c*/) const { return "connected"; }

        std::string operator()(const LocalDelivery& /*l*/) const { return "local"; }

        std::string operator()(const Discard& /*d*/) const { return "discard"; }

        std::string operator()(const Floating& f) const {
            return "floating, to " + to_string(f.station.address);
        }

        std::string operator()(const Gateways& g) const {
            std::string text = "via";
            for (const IpAddr& address : g.addresses) {
                text += " " + gateway_text(address);
            }
            return text;
        }
    };

    return std::visit(Words{}, target);
}

NextHops::NextHops() : entries_(1), slots_(1) {
    slots_[0].target = Discard{};
}

NextHopId NextHops::allocate() {
    changed_ = true;
    if (!free_.empty()) {
        const NextHopId id = free_.back();
        free_.pop_back();
        return id;
    }
    entries_.emplace_back();
    slots_.emplace_back();
    return NextHopId{static_cast<std::uint32_t>(entries_.size() - 1)};
}

NextHopId NextHops::acquire(const RouteTarget& target) {
    const auto found = by_target_.find(target);
    if (found != by_target_.end()) {
        ++slots_[found->second.value()].references;
        return found->second;
    }
    const NextHopId id = allocate();
    slots_[id.value()] = Slot{.target = target, .references = 1};
    by_target_.emplace(target, id);
    if (const auto* gateways = std::get_if<Gateways>(&target)) {
        add_gateways(id, *gateways);
    } else if (const auto* floating = std::get_if<Floating>(&target)) {
        const NextHopId station = acquire(floating->station);
        slots_[id.value()].members = {station};
    }
    refresh(id);
    return id;
}

void NextHops::release(NextHopId id) {
    Slot& slot = slots_[id.value()];
    assert(slot.references > 0);
    if (--slot.references > 0) {
        return;
    }
    by_target_.erase(slot.target);
    const bool is_set = gateways_.erase(id) != 0;
    if (is_set) {
        forget_gateways(id, std::get<Gateways>(slot.target));
    }
    const std::vector<NextHopId> members = std::move(slot.members);
    if (slot.group) {
        free_groups_.push_back(*slot.group);
    }
    slot = Slot{.target = Discard{}};
    set_entry(id, NextHop{});
    free_.push_back(id);
    if (is_set) {
        leave_stations(members);
    } else {
        std::ranges::for_each(members, [this](NextHopId member) { release(member); });
    }
}

void NextHops::add_gateways(NextHopId id, const Gateways& gateways) {
    gateways_.insert(id);
    unsettled_.push_back(id);
    for (const IpAddr& gateway : gateways.addresses) {
        if (!in_use(gateway)) {
            gateway_changes_.push_back(gateway);
        }
        sets_of_.emplace(gateway, id);
    }
}

void NextHops::forget_gateways(NextHopId id, const Gateways& gateways) {
    for (const IpAddr& gateway : gateways.addresses) {
        sets_of_.erase({gateway, id});
        if (!in_use(gateway)) {
            gateway_changes_.push_back(gateway);
        }
    }
}

bool NextHops::in_use(const IpAddr& gateway) const {
    const auto at = sets_of_.lower_bound({gateway, NextHopId{}});
    return at != sets_of_.end() && at->first == gateway;
}

void NextHops::set_port(PortId port, Link link) {
    ports_[port] = link;
    for (const auto& [target, id] : by_target_) {
        refresh(id);
    }
}

void NextHops::remove_port(PortId port) {
    ports_.erase(port);
    std::erase_if(resolved_, [&](const auto& entry) { return entry.first.port == port; });
    for (const auto& [target, id] : by_target_) {
        refresh(id);
    }
}

void NextHops::set_host(PortId port, Mac kernel) {
    host_port_ = port;
    host_mac_ = kernel;
    for (const auto& [target, id] : by_target_) {
        refresh(id);
    }
}

void NextHops::resolved(const Adjacency& neighbor, Mac mac) {
    const auto [at, fresh] = resolved_.try_emplace(station_of(neighbor), mac);
    if (fresh || std::exchange(at->second, mac) != mac) {
        refresh_station(neighbor);
    }
}

void NextHops::lost(const Adjacency& neighbor) {
    resolved_.erase(station_of(neighbor));
    refresh_station(neighbor);
}

void NextHops::refresh_station(const Adjacency& neighbor) {
    for (const bool carries_ip4 : {false, true}) {
        if (const auto id = find({neighbor.port, neighbor.address, carries_ip4})) {
            refresh(*id);
            refresh_users_of(*id);
        }
    }
}

void NextHops::avoid(const IpAddr& gateway, bool avoid) {
    if (avoid ? !avoided_.insert(gateway).second : avoided_.erase(gateway) == 0) {
        return;
    }
    std::set<NextHopId> users;
    for (auto at = sets_of_.lower_bound({gateway, NextHopId{}});
         at != sets_of_.end() && at->first == gateway;
         ++at) {
        users.insert(at->second);
    }
    for (const auto& [station, uses] : stations_) {
        if (address_of(station) == gateway) {
            const auto sets = users_of(station);
            users.insert(sets.begin(), sets.end());
        }
    }
    std::ranges::for_each(users, [this](NextHopId id) { refresh_gateways(id); });
}

const IpAddr& NextHops::address_of(NextHopId station) const {
    return std::get<Adjacency>(slots_[station.value()].target).address;
}

/// In the order in which they came; one that waits for its gateways goes behind the others.
void NextHops::take_new_sets(
    const Resolve& resolve, std::size_t most, std::vector<NextHopId>& due) {
    std::size_t left = unsettled_.size();
    for (std::size_t taken = 0; taken < most && left != 0; --left) {
        const NextHopId id = unsettled_.front();
        unsettled_.pop_front();
        ++taken;
        if (!gateways_.contains(id) || slots_[id.value()].settled) {
            continue;
        }
        std::size_t members = 0;
        bool known = true;
        for (const IpAddr& gateway : std::get<Gateways>(slots_[id.value()].target).addresses) {
            const auto stations = resolve(gateway);
            known = known && stations.has_value();
            members += stations ? stations->size() : 1;
        }
        taken += members / kMembersPerSet;
        if (known) {
            due.push_back(id);
        } else {
            unsettled_.push_back(id);
        }
    }
}

void NextHops::take_moved_sets(std::size_t most, std::vector<NextHopId>& due) {
    moved_.advance(most, [&](const IpAddr& gateway, const auto& from, std::size_t share) {
        auto at = sets_of_.lower_bound({gateway, from.value_or(NextHopId{})});
        std::size_t taken = 0;
        for (; taken < share && at != sets_of_.end() && at->first == gateway; ++taken, ++at) {
            if (const Slot& slot = slots_[at->second.value()]; slot.settled) {
                due.push_back(at->second);
                taken += slot.members.size() / kMembersPerSet;
            }
        }
        const bool more = at != sets_of_.end() && at->first == gateway;
        return decltype(moved_)::Slice{taken, more ? std::optional{at->second} : std::nullopt};
    });
}

std::vector<NextHopId> NextHops::resolve_gateways(const Resolve& resolve, std::size_t most) {
    std::vector<NextHopId> due;
    take_new_sets(resolve, most, due);
    take_moved_sets(most, due);
    std::ranges::sort(due);
    const auto doubles = std::ranges::unique(due);
    due.erase(doubles.begin(), doubles.end());
    std::erase_if(due, [&](NextHopId id) { return !resolve_set(id, resolve); });
    return due;
}

/// True when the set was known and has become usable or unusable.
bool NextHops::resolve_set(NextHopId id, const Resolve& resolve) {
    const bool before = usable(id);
    std::vector<NextHopId> members;
    std::vector<IpAddr> via;
    const auto gateways = std::get<Gateways>(slots_[id.value()].target);
    for (const IpAddr& gateway : gateways.addresses) {
        for (Adjacency station : resolve(gateway).value_or(std::vector<Adjacency>{})) {
            station.carries_ip4 = gateways.for_ip4 && std::holds_alternative<Ip6>(station.address);
            members.push_back(acquire(station));
            ++stations_[members.back()];
            via.push_back(gateway);
        }
    }
    Slot& slot = slots_[id.value()];
    const std::vector<NextHopId> old = std::exchange(slot.members, std::move(members));
    slot.via = std::move(via);
    refresh(id);
    leave_stations(old);
    return std::exchange(slot.settled, true) && usable(id) != before;
}

bool NextHops::usable(NextHopId id) const {
    const Slot& slot = slots_[id.value()];
    return !std::holds_alternative<Gateways>(slot.target) || !slot.members.empty();
}

const RouteTarget& NextHops::target(NextHopId id) const {
    return slots_[id.value()].target;
}

std::optional<Adjacency> NextHops::station(NextHopId id, const IpAddr& destination) const {
    if (id.value() >= slots_.size()) {
        return std::nullopt;
    }
    const Slot& slot = slots_[id.value()];
    if (const auto* adjacency = std::get_if<Adjacency>(&slot.target)) {
        return *adjacency;
    }
    if (const auto* connected = std::get_if<Connected>(&slot.target)) {
        return Adjacency{connected->port, destination};
    }
    // A single gateway is one station; of several the worker has picked a member, which is one too.
    return slot.in_use.empty() ? std::nullopt : station(slot.in_use.front(), destination);
}

std::optional<NextHopId> NextHops::find(const Adjacency& neighbor) const {
    const auto found = by_target_.find(neighbor);
    return found == by_target_.end() ? std::nullopt : std::optional{found->second};
}

std::vector<Adjacency> NextHops::gateway_stations() const {
    std::vector<Adjacency> stations;
    for (const auto& [station, uses] : stations_) {
        stations.push_back(std::get<Adjacency>(slots_[station.value()].target));
    }
    return stations;
}

std::vector<NextHopId> NextHops::members(NextHopId id) const {
    return slots_[id.value()].in_use;
}

void NextHops::refresh(NextHopId id) {
    struct Entry {
        const NextHops& self;
        NextHopId id;

        NextHop operator()(const Adjacency& a) const { return self.station_entry(a); }

        NextHop operator()(const Connected& c) const {
            const auto port = self.ports_.find(c.port);
            if (port == self.ports_.end()) {
                return NextHop{.port = c.port};
            }
            NextHop hop = towards(c.port, port->second);
            hop.kind = NextHopKind::Glean;
            return hop;
        }

        NextHop operator()(const LocalDelivery& l) const { return self.local(l.family); }

        NextHop operator()(const Discard& /*d*/) const {
            return NextHop{.kind = NextHopKind::Discard};
        }

        NextHop operator()(const Gateways& /*g*/) const { return NextHop{}; }

        NextHop operator()(const Floating& f) const {
            const auto port = self.ports_.find(f.station.port);
            if (port == self.ports_.end()) {
                return NextHop{};
            }
            NextHop hop = towards(f.station.port, port->second);
            hop.kind = NextHopKind::Floating;
            hop.group = self.slots_[id.value()].members.front().value();
            hop.translation = f.translation;
            return hop;
        }
    };

    if (std::holds_alternative<Gateways>(slots_[id.value()].target)) {
        refresh_gateways(id);
    } else {
        set_entry(id, std::visit(Entry{*this, id}, slots_[id.value()].target));
    }
}

/// The members that get traffic.
std::vector<NextHopId> NextHops::choose(const Slot& slot) const {
    std::vector<NextHopId> wanted;
    for (std::size_t i = 0; i < slot.members.size(); ++i) {
        if (!avoided_.contains(slot.via[i]) && !avoided_.contains(address_of(slot.members[i]))) {
            wanted.push_back(slot.members[i]);
        }
    }
    if (wanted.empty()) {
        wanted = slot.members;
    }
    std::vector<NextHopId> there;
    std::ranges::copy_if(wanted, std::back_inserter(there), [this](NextHopId member) {
        return entries_[member.value()].kind == NextHopKind::Forward;
    });
    return there.empty() ? wanted : there;
}

void NextHops::refresh_gateways(NextHopId id) {
    Slot& slot = slots_[id.value()];
    slot.in_use = choose(slot);
    if (slot.in_use.size() < 2) {
        if (slot.group) {
            free_groups_.push_back(*std::exchange(slot.group, std::nullopt));
        }
        // A copy of the only member: one lookup less per packet.
        set_entry(id, slot.in_use.empty() ? NextHop{} : entries_[slot.in_use.front().value()]);
        return;
    }
    if (!slot.group) {
        if (free_groups_.empty()) {
            groups_.emplace_back();
            slot.group = static_cast<std::uint32_t>(groups_.size() - 1);
        } else {
            slot.group = free_groups_.back();
            free_groups_.pop_back();
        }
    }
    NextHopGroup& group = groups_[*slot.group];
    for (std::size_t i = 0; i < kGroupSlots; ++i) {
        group[i] = slot.in_use[i % slot.in_use.size()];
    }
    changed_ = true;
    set_entry(id, NextHop{.kind = NextHopKind::Group, .group = *slot.group});
}

NextHop NextHops::local(IpFamily family) const {
    NextHop hop{.port = host_port_, .mtu = 0xffff, .kind = NextHopKind::Local};
    const auto port = ports_.find(host_port_);
    if (port != ports_.end()) {
        write_link(hop, host_mac_, port->second.mac, family);
    }
    return hop;
}

NextHop NextHops::station_entry(const Adjacency& neighbor) const {
    const auto port = ports_.find(neighbor.port);
    if (port == ports_.end()) {
        return NextHop{};
    }
    NextHop hop = towards(neighbor.port, port->second);
    hop.kind = NextHopKind::Unresolved;
    if (const auto known = resolved_.find(station_of(neighbor)); known != resolved_.end()) {
        hop.kind = NextHopKind::Forward;
        const IpFamily carried = neighbor.carries_ip4 ? IpFamily::Ip4 : family_of(neighbor.address);
        write_link(hop, known->second, port->second.mac, carried);
    }
    return hop;
}

void NextHops::set_entry(NextHopId id, const NextHop& entry) {
    NextHop& current = entries_[id.value()];
    if (!same(current, entry)) {
        current = entry;
        changed_ = true;
    }
}

void NextHops::refresh_users_of(NextHopId station) {
    if (stations_.contains(station)) {
        std::ranges::for_each(users_of(station), [this](NextHopId id) { refresh_gateways(id); });
    }
}

/// The sets that have this station.
std::vector<NextHopId> NextHops::users_of(NextHopId station) const {
    std::vector<NextHopId> users;
    std::ranges::copy_if(gateways_, std::back_inserter(users), [&](NextHopId id) {
        return std::ranges::count(slots_[id.value()].members, station) != 0;
    });
    return users;
}

/// Sets have them no more.
void NextHops::leave_stations(const std::vector<NextHopId>& members) {
    for (const NextHopId member : members) {
        const auto uses = stations_.find(member);
        if (--uses->second == 0) {
            stations_.erase(uses);
        }
        release(member);
    }
}

}  // namespace vr
