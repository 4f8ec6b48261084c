// SPDX-License-Identifier: Apache-2.0
#include "vrouter/next_hops.h"

#include <algorithm>
#include <cassert>
#include <cstring>

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

/// So many gateways' stations that are gone through take about as long as all the rest about their set; and so
/// many sets that are only found to be due.
constexpr std::size_t kMembersPerSet = 16;

/// So many sets take another way at once when one of their gateways is to be avoided; others follow with settle().
constexpr std::size_t kAtOnce = 512;

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
           a.group == b.group && a.workload == b.workload && a.use == b.use &&
           a.translation == b.translation;
}

/// PortId{}: to none.
PortId port_of(const RouteTarget& target) {
    if (const auto* station = std::get_if<Adjacency>(&target)) {
        return station->port;
    }
    if (const auto* network = std::get_if<Connected>(&target)) {
        return network->port;
    }
    const auto* floating = std::get_if<Floating>(&target);
    return floating != nullptr ? floating->station.port : PortId{};
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

NextHopId NextHops::allocate(const RouteTarget& target) {
    changed_ = true;
    NextHopId id{static_cast<std::uint32_t>(entries_.size())};
    if (!free_.empty()) {
        id = free_.back();
        free_.pop_back();
    } else {
        entries_.emplace_back();
        slots_.emplace_back();
    }
    Slot& slot = slots_[id.value()];
    slot = Slot{.target = target, .references = 1, .use = slot.use};
    by_target_.emplace(target, id);
    count_name(port_of(target), 1);
    return id;
}

NextHopId NextHops::acquire(const RouteTarget& target) {
    const auto found = by_target_.find(target);
    if (found != by_target_.end()) {
        ++slots_[found->second.value()].references;
        return found->second;
    }
    const NextHopId id = allocate(target);
    if (const auto* gateways = std::get_if<Gateways>(&target)) {
        add_gateways(id, *gateways);
        return id;
    }
    if (const auto* floating = std::get_if<Floating>(&target)) {
        const NextHopId station = acquire(floating->station);
        slots_[id.value()].behind = station;
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
    count_name(port_of(slot.target), -1);
    if (const auto* gateways = std::get_if<Gateways>(&slot.target)) {
        forget_gateways(id, *gateways);
        leave(id);
    }
    const NextHopId behind = slot.behind;
    slot = Slot{.target = Discard{}, .use = static_cast<std::uint16_t>(slot.use + 1)};
    set_entry(id, NextHop{});
    free_.push_back(id);
    if (behind != NextHopId{}) {
        release(behind);
    }
}

void NextHops::count_name(PortId port, int difference) {
    if (port == PortId{}) {
        return;
    }
    const auto at = named_.try_emplace(port, 0).first;
    at->second += static_cast<std::uint32_t>(difference);
    if (at->second == 0) {
        named_.erase(at);
    }
}

void NextHops::add_gateways(NextHopId id, const Gateways& gateways) {
    ++unsettled_sets_;
    bool all_led = true;
    for (const IpAddr& gateway : gateways.addresses) {
        const auto [at, inserted] = vias_.try_emplace(gateway);
        if (inserted) {
            gateway_changes_.push_back(gateway);
            count_name(PortId{zone_of(gateway)}, 1);
        }
        at->second.sets.insert(id);
        all_led = all_led && at->second.is_led;
    }
    if (all_led) {
        make_due(id);
    }
}

void NextHops::forget_gateways(NextHopId id, const Gateways& gateways) {
    for (const IpAddr& gateway : gateways.addresses) {
        const auto at = vias_.find(gateway);
        if (at != vias_.end() && at->second.sets.erase(id) != 0 && at->second.sets.empty()) {
            for (const Adjacency& station : at->second.stations) {
                count_name(station.port, -1);
            }
            vias_.erase(at);
            gateway_changes_.push_back(gateway);
            count_name(PortId{zone_of(gateway)}, -1);
        }
    }
}

bool NextHops::is_led(const IpAddr& gateway) const {
    const auto via = vias_.find(gateway);
    return via != vias_.end() && via->second.is_led;
}

void NextHops::lead(const IpAddr& gateway, std::vector<Adjacency> stations) {
    const auto via = vias_.find(gateway);
    if (via == vias_.end() || (via->second.is_led && via->second.stations == stations)) {
        return;
    }
    for (const Adjacency& station : stations) {
        count_name(station.port, 1);
    }
    for (const Adjacency& station : std::exchange(via->second.stations, std::move(stations))) {
        count_name(station.port, -1);
    }
    via->second.is_led = true;
    moved_.start(gateway);
}

std::vector<NextHopId> NextHops::settle(std::size_t most) {
    std::vector<NextHopId> flipped;
    make_sets_due(most * kMembersPerSet);
    take_due(fresh_, most * kMembersPerSet, flipped);
    take_due(due_, most * kMembersPerSet, flipped);
    return flipped;
}

void NextHops::make_due(NextHopId id) {
    Slot& slot = slots_[id.value()];
    if (!std::exchange(slot.is_due, true)) {
        (slot.paths == nullptr ? fresh_ : due_).push_back(id);
    }
}

/// However many of its gateways move, a set is to be found once.
void NextHops::make_sets_due(std::size_t most) {
    moved_.advance(most, [&](const IpAddr& gateway, const auto& from, std::size_t share) {
        const auto via = vias_.find(gateway);
        if (via == vias_.end()) {
            return decltype(moved_)::Slice{};
        }
        const std::set<NextHopId>& sets = via->second.sets;
        auto at = sets.lower_bound(from.value_or(NextHopId{}));
        std::size_t taken = 0;
        for (; taken < share && at != sets.end(); ++taken, ++at) {
            make_due(*at);
        }
        return decltype(moved_)::Slice{taken, at != sets.end() ? std::optional{*at} : std::nullopt};
    });
}

/// In the order in which they came; those that wait for a gateway come again when it is led.
void NextHops::take_due(
    std::deque<NextHopId>& due, std::size_t cost, std::vector<NextHopId>& flipped) {
    while (cost != 0 && !due.empty()) {
        const NextHopId id = due.front();
        due.pop_front();
        std::size_t spent = 1;
        Slot& slot = slots_[id.value()];
        if (std::exchange(slot.is_due, false)) {
            const auto& gateways = std::get<Gateways>(slot.target);
            if (const auto members = members_of(gateways)) {
                spent = kMembersPerSet + *members;
                const bool is_new = slot.paths == nullptr;
                const bool before = usable(id);
                join(id, paths_of(gateways));
                if (!is_new && usable(id) != before) {
                    flipped.push_back(id);
                }
            }
        }
        cost -= std::min(cost, spent);
    }
}

std::optional<std::size_t> NextHops::members_of(const Gateways& gateways) const {
    std::size_t members = 0;
    for (const IpAddr& gateway : gateways.addresses) {
        const Via& via = vias_.at(gateway);
        if (!via.is_led) {
            return std::nullopt;
        }
        members += via.stations.size();
    }
    return members;
}

void NextHops::set_port(PortId port, Link link) {
    ports_[port] = link;
    refresh_port(port);
}

void NextHops::remove_port(PortId port) {
    ports_.erase(port);
    const auto first = resolved_.lower_bound({.port = port, .address = {}});
    resolved_.erase(first, std::find_if(first, resolved_.end(), [port](const auto& entry) {
                        return entry.first.port != port;
                    }));
    refresh_port(port);
}

/// Targets of one kind stand by port.
void NextHops::refresh_port(PortId port) {
    const Adjacency station{.port = port, .address = {}};
    for (const RouteTarget& first :
         {RouteTarget{station}, RouteTarget{Connected{port}}, RouteTarget{Floating{station, {}}}}) {
        for (auto at = by_target_.lower_bound(first);
             at != by_target_.end() && at->first.index() == first.index() &&
             port_of(at->first) == port;
             ++at) {
            refresh(at->second);
        }
    }
    if (port == host_port_) {
        refresh_local();
    }
}

void NextHops::refresh_local() {
    for (const IpFamily family : {IpFamily::Ip4, IpFamily::Ip6}) {
        if (const auto at = by_target_.find(LocalDelivery{family}); at != by_target_.end()) {
            refresh(at->second);
        }
    }
}

void NextHops::set_host(PortId port, Mac kernel) {
    host_port_ = port;
    host_mac_ = kernel;
    refresh_local();
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
        }
    }
}

void NextHops::avoid(const IpAddr& gateway, bool avoid) {
    if (avoid ? !avoided_.insert(gateway).second : avoided_.erase(gateway) == 0) {
        return;
    }
    if (const auto via = vias_.find(gateway); via != vias_.end()) {
        std::size_t left = kAtOnce * kMembersPerSet;
        for (const NextHopId id : via->second.sets) {
            if (left == 0) {
                moved_.start(gateway);
                break;
            }
            std::size_t spent = 1;
            const auto& gateways = std::get<Gateways>(slots_[id.value()].target);
            if (const auto members = members_of(gateways); members && is_settled(id)) {
                spent = kMembersPerSet + *members;
                // One that becomes usable or unusable is due anyway, and told then.
                if (Paths paths = paths_of(gateways); paths.empty() != usable(id)) {
                    join(id, std::move(paths));
                }
            }
            left -= std::min(left, spent);
        }
    }
    for (const auto& [station, lists] : stations_) {
        if (address_of(station) == gateway) {
            std::ranges::for_each(lists, [this](auto* paths) { refresh_paths(*paths); });
        }
    }
}

const IpAddr& NextHops::address_of(NextHopId station) const {
    return std::get<Adjacency>(slots_[station.value()].target).address;
}

bool NextHops::usable(NextHopId id) const {
    const Slot& slot = slots_[id.value()];
    return !std::holds_alternative<Gateways>(slot.target) ||
           (slot.paths != nullptr && !slot.paths->first.empty());
}

const RouteTarget& NextHops::target(NextHopId id) const {
    return slots_[id.value()].target;
}

std::optional<Adjacency> NextHops::station(NextHopId id, const IpAddr& destination) const {
    if (id.value() >= slots_.size()) {
        return std::nullopt;
    }
    const RouteTarget& target = slots_[id.value()].target;
    if (const auto* adjacency = std::get_if<Adjacency>(&target)) {
        return *adjacency;
    }
    if (const auto* connected = std::get_if<Connected>(&target)) {
        return Adjacency{connected->port, destination};
    }
    // A single gateway is one station; of several the worker has picked a member, which is one too.
    const std::vector<NextHopId> stations = members(id);
    return stations.empty() ? std::nullopt : station(stations.front(), destination);
}

std::optional<NextHopId> NextHops::find(const Adjacency& neighbor) const {
    const auto found = by_target_.find(neighbor);
    return found == by_target_.end() ? std::nullopt : std::optional{found->second};
}

std::vector<Adjacency> NextHops::gateway_stations() const {
    std::vector<Adjacency> stations;
    for (const auto& [station, lists] : stations_) {
        stations.push_back(std::get<Adjacency>(slots_[station.value()].target));
    }
    return stations;
}

std::vector<NextHopId> NextHops::members(NextHopId id) const {
    const auto* paths = slots_[id.value()].paths;
    return paths == nullptr ? std::vector<NextHopId>{} : paths->second.in_use;
}

/// Writes what the id leads to anew; of a station, also what sets over it lead to.
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

        NextHop operator()(const Gateways& /*g*/) const {
            return self.entries_[id.value()];
        }  // its paths'

        NextHop operator()(const Floating& f) const {
            const auto port = self.ports_.find(f.station.port);
            if (port == self.ports_.end()) {
                return NextHop{};
            }
            NextHop hop = towards(f.station.port, port->second);
            hop.kind = NextHopKind::Floating;
            hop.group = self.slots_[id.value()].behind.value();
            hop.translation = f.translation;
            return hop;
        }
    };

    set_entry(id, std::visit(Entry{*this, id}, slots_[id.value()].target));
    if (const auto lists = stations_.find(id); lists != stations_.end()) {
        std::ranges::for_each(lists->second, [this](auto* paths) { refresh_paths(*paths); });
    }
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

void NextHops::set_entry(NextHopId id, const NextHop& meaning) {
    NextHop entry = meaning;
    entry.use = slots_[id.value()].use;
    if (!same(entries_[id.value()], entry)) {
        entries_[id.value()] = entry;
        changed_ = true;
    }
}

}  // namespace vr
