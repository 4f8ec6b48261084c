// SPDX-License-Identifier: Apache-2.0
#include "vrouter/slow_path.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>

#include "vrouter/dataplane/packet_note.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/log.h"
#include "vrouter/net/zone.h"

namespace vr {

namespace {

/// The core keeps packets by number; the number is the buffer's address.
HeldPacket to_handle(Packet packet) {
    return static_cast<HeldPacket>(std::bit_cast<std::uintptr_t>(packet.release()));
}

Packet from_handle(HeldPacket handle) {
    return Packet{std::bit_cast<rte_mbuf*>(static_cast<std::uintptr_t>(handle))};
}

bool is_ip4(const Packet& packet) {
    return packet.frame()[sizeof(EthernetHeader)] >> 4U == 4;
}

template <Family F>
typename F::Addr destination_of(const Packet& packet) {
    constexpr std::size_t kOffset =
        sizeof(EthernetHeader) + (std::is_same_v<F, V4> ? offsetof(Ip4Header, destination)
                                                        : offsetof(Ip6Header, destination));
    return F::Addr::load(&packet.frame()[kOffset]);
}

/// The neighbor caches of workloads' ports know only what the workload's description says, and
/// stations of the fabric get host routes, so that their packets need no second lookup.
bool is_fabric(const std::map<PortId, PortFacts>& facts, PortId port) {
    const auto found = facts.find(port);
    return found != facts.end() && found->second.role == PortRole::Fabric;
}

}  // namespace

SlowPath::SlowPath(Machine& machine)
    : machine_(machine),
      responder_(ResponderSettings{}),
      neighbors4_(NeighborSettings{}),
      neighbors6_(NeighborSettings{}) {}

SlowPath::~SlowPath() {
    free_held<V4>();
    free_held<V6>();
}

template <Family F>
void SlowPath::free_held() {
    for (const auto& neighbor : neighbors<F>().view()) {
        for (const auto& action : neighbors<F>().remove(neighbor.key)) {
            if (const auto* drop = std::get_if<Drop<F>>(&action)) {
                std::ranges::for_each(drop->packets, from_handle);
            }
        }
    }
}

template <Family F>
Neighbors<F>& SlowPath::neighbors() {
    if constexpr (std::is_same_v<F, V4>) {
        return neighbors4_;
    } else {
        return neighbors6_;
    }
}

void SlowPath::set_port(const PortFacts& facts) {
    facts_[facts.id] = facts;
    if (facts.has_link_peers) {
        discovery_.add_link(facts.id, std::chrono::steady_clock::now());
    } else {
        discovery_.remove_link(facts.id);
    }
}

void SlowPath::remove_port(PortId port) {
    const TimePoint now = std::chrono::steady_clock::now();
    perform<V4>(neighbors4_.remove_port(port), now);
    perform<V6>(neighbors6_.remove_port(port), now);
    responder_.remove_port(port);
    discovery_.remove_link(port);
    conflicts_.erase(port);
    facts_.erase(port);
}

void SlowPath::add_permanent(const Adjacency& neighbor, Mac mac, TimePoint now) {
    std::visit(
        [&]<typename Addr>(const Addr& address) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            perform<F>(neighbors<F>().add_permanent({neighbor.port, address}, mac), now);
        },
        neighbor.address);
}

void SlowPath::remove_neighbor(const Adjacency& neighbor, TimePoint now) {
    std::visit(
        [&]<typename Addr>(const Addr& address) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            perform<F>(neighbors<F>().remove({neighbor.port, address}), now);
        },
        neighbor.address);
}

unsigned SlowPath::handle_burst(TimePoint now) {
    std::array<rte_mbuf*, 64> packets{};
    const unsigned count = machine_.punt_ring().pop(packets);
    for (unsigned i = 0; i < count; ++i) {
        handle(Packet{packets[i]}, now);
    }
    if (count != 0) {
        machine_.commit();
    }
    return count;
}

void SlowPath::handle(Packet packet, TimePoint now) {
    const PacketNote note = packet.note();
    const auto found = facts_.find(note.port);
    if (note.punt == Punt::Resolve) {
        // Also for packets of the router itself, which come from no port.
        is_ip4(packet) ? resolve<V4>(std::move(packet), now) : resolve<V6>(std::move(packet), now);
        return;
    }
    if (found == facts_.end()) {
        return;  // the port went away meanwhile, or an error about the router's own packet
    }
    const PortFacts& port = found->second;
    if (const DropReason denied = refusal(note.punt); denied != DropReason::None) {
        reject(port, packet, denied, now);
        return;
    }
    switch (note.punt) {
        case Punt::LinkLocal:
        case Punt::Echo:
            answer(port, packet, now);
            break;
        case Punt::HopLimit:
            machine_.count_drop(port.id, DropReason::HopLimit);
            report(port, packet, {icmp::Problem::HopLimitExceeded}, now);
            break;
        case Punt::NoRoute:
            machine_.count_drop(port.id, DropReason::NoRoute);
            report(port, packet, {icmp::Problem::NoRoute}, now);
            break;
        case Punt::TooBig:
            too_big(port, std::move(packet), now);
            break;
        case Punt::Resolve:  // and what was refused: all done above
        case Punt::EgressRejected:
        case Punt::IngressRejected:
        case Punt::HostEgressRejected:
        case Punt::HostIngressRejected:
        case Punt::ConnectionRefused:
            break;
    }
}

void SlowPath::answer(const PortFacts& port, const Packet& packet, TimePoint now) {
    const Answer answer = responder_.answer(port, packet.frame(), now);
    if (answer.frame) {
        transmit(port.id, *answer.frame);
        ++answered_;
    }
    if (answer.outcome == Outcome::Conflict) {
        warn_of_conflict(port.id, now);
    }
    const bool silent =
        answer.outcome == Outcome::Malformed || answer.outcome == Outcome::Spoofed ||
        answer.outcome == Outcome::RateLimited || answer.outcome == Outcome::NotForUs;
    if (silent) {
        machine_.count_drop(
            port.id,
            answer.outcome == Outcome::Spoofed ? DropReason::SpoofedAddress
                                               : DropReason::Unanswered);
    }
    if (const auto* heard = std::get_if<Heard<V4>>(&answer.heard)) {
        perform<V4>(neighbors4_.hear(*heard, now), now);
    } else if (const auto* heard6 = std::get_if<Heard<V6>>(&answer.heard)) {
        perform<V6>(neighbors6_.hear(*heard6, now), now);
    }
    discover(port, answer, now);
    if (guest_heard_ && answer.shows_guest(port)) {
        guest_heard_(port.id);
    }
}

/// Anybody on the wire may send such packets, as many as the wire takes.
void SlowPath::warn_of_conflict(PortId port, TimePoint now) {
    const auto untold = conflicts_[port].happened(now);
    if (!untold) {
        return;
    }
    const PortRecord* record = machine_.port(port);
    log::warning(
        "port {}: another station uses an address of the router{}",
        record == nullptr ? "?" : record->name,
        *untold == 0 ? "" : fmt::format(" ({} packets since this was last told)", *untold));
}

void SlowPath::discover(const PortFacts& port, const Answer& answer, TimePoint now) {
    if (std::holds_alternative<RoutersWanted>(answer.discovery)) {
        discovery_.asked(port.id, now);
    } else if (const auto* router = std::get_if<HeardRouter>(&answer.discovery)) {
        if (discovery_.heard(port.id, now) && router_heard_) {
            router_heard_(port.id, *router, now);
        }
    }
}

void SlowPath::call_on_links(TimePoint now) {
    for (const LinkCall& call : discovery_.tick(now)) {
        const auto port = facts_.find(call.link);
        const PortRecord* record = machine_.port(call.link);
        if (port == facts_.end() || record == nullptr) {
            continue;
        }
        if (call.solicit) {
            transmit(call.link, nd::router_solicitation(port->second.mac));
        }
        if (call.advertise) {
            transmit(
                call.link,
                nd::router_advertisement(
                    nullptr, port->second.mac, RouterDiscovery::offer(record->mtu)));
        }
    }
}

void SlowPath::report(
    const PortFacts& port, const Packet& packet, const icmp::Report& report, TimePoint now) {
    const auto frame = is_ip4(packet) ? responder_.report<V4>(port, packet.frame(), report, now)
                                      : responder_.report<V6>(port, packet.frame(), report, now);
    if (frame) {
        transmit(port.id, *frame);
    }
}

void SlowPath::reject(
    const PortFacts& port, const Packet& packet, DropReason denied, TimePoint now) {
    machine_.count_drop(port.id, denied);
    const auto frame = is_ip4(packet) ? responder_.reject<V4>(port, packet.frame(), now)
                                      : responder_.reject<V6>(port, packet.frame(), now);
    if (frame) {
        transmit(port.id, *frame);
    }
}

/// RFC 1812 4.2.2.7 and RFC 1191: IPv4 without DF is fragmented here, everything else is reported.
void SlowPath::too_big(const PortFacts& port, Packet packet, TimePoint now) {
    const PacketNote note = packet.note();
    const NextHops& hops = machine_.routes().next_hops();
    if (!hops.is_same(note.next_hop, note.use)) {
        machine_.count_drop(port.id, DropReason::Unresolved);
        return;
    }
    const std::uint16_t mtu = hops.entries()[note.next_hop.value()].mtu;
    constexpr std::size_t kFlags = sizeof(EthernetHeader) + offsetof(Ip4Header, flags_fragment);
    constexpr std::uint8_t kDontFragment = 0x40;
    if (is_ip4(packet) && (packet.frame()[kFlags] & kDontFragment) == 0) {
        std::vector<Packet> pieces = fragment_ip4(packet, mtu, machine_.pool());
        if (pieces.empty()) {
            machine_.count_drop(port.id, DropReason::NoBuffer);
        }
        for (Packet& piece : pieces) {
            piece.note() = {
                .port = {},
                .punt = {},
                .inject = Inject::Fragment,
                .next_hop = note.next_hop,
                .use = note.use};
            machine_.inject(piece.release(), port.id);
        }
        return;
    }
    machine_.count_drop(port.id, DropReason::TooBig);
    report(port, packet, {icmp::Problem::TooBig, mtu}, now);
}

template <Family F>
void SlowPath::resolve(Packet packet, TimePoint now) {
    const PacketNote note = packet.note();
    const auto destination = destination_of<F>(packet);
    const NextHops& hops = machine_.routes().next_hops();
    const auto station = hops.is_same(note.next_hop, note.use)
                             ? hops.station(note.next_hop, destination)
                             : std::nullopt;
    if (station && std::holds_alternative<typename F::Addr>(station->address)) {
        hold<F>(*station, std::move(packet), now);
    } else if (std::is_same_v<F, V4> && station && station->carries_ip4) {
        hold<V6>(*station, std::move(packet), now);
    } else {
        // The next hop changed while the packet was on its way here.
        machine_.count_drop(note.port, DropReason::Unresolved);
    }
}

/// Keeps the packet until its station answers; F is the station's family.
template <Family F>
void SlowPath::hold(const Adjacency& station, Packet packet, TimePoint now) {
    const std::size_t bytes = packet.frame().size();
    const NeighborKey<F> key{station.port, std::get<typename F::Addr>(station.address)};
    perform<F>(
        neighbors<F>().resolve(
            key, typename Neighbors<F>::Waiting{to_handle(std::move(packet)), bytes}, now),
        now);
}

void SlowPath::tick(TimePoint now) {
    perform<V4>(neighbors4_.tick(now), now);
    perform<V6>(neighbors6_.tick(now), now);
    call_on_links(now);
    machine_.commit();
}

std::optional<TimePoint> SlowPath::next_deadline() const {
    std::optional<TimePoint> first;
    for (const auto deadline :
         {neighbors4_.next_deadline(), neighbors6_.next_deadline(), discovery_.next_deadline()}) {
        if (deadline) {
            first = first ? std::min(*first, *deadline) : *deadline;
        }
    }
    return first;
}

void SlowPath::touch_gateways(TimePoint now) {
    for (const Adjacency& station : machine_.routes().next_hops().gateway_stations()) {
        std::visit(
            [&]<typename Addr>(const Addr& address) {
                using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
                perform<F>(neighbors<F>().resolve({station.port, address}, std::nullopt, now), now);
            },
            station.address);
    }
    machine_.commit();
}

template <Family F>
void SlowPath::perform(const typename Neighbors<F>::Actions& actions, TimePoint now) {
    for (const auto& action : actions) {
        std::visit(
            [&]<typename Action>(const Action& a) {
                if constexpr (std::is_same_v<Action, Drop<F>>) {
                    fail_held<F>(a, now);
                } else {
                    perform<F>(a);
                }
            },
            action);
    }
}

template <Family F>
void SlowPath::perform(const Solicit<F>& action) {
    const auto port = facts_.find(action.key.port);
    if (port != facts_.end()) {
        transmit(action.key.port, solicitation<F>(port->second, action));
    }
}

/// What routes to a station: on a link that has peers, a link-local one is told apart by that link.
template <Family F>
Prefix<F> SlowPath::station_prefix(const NeighborKey<F>& station) const {
    if constexpr (std::is_same_v<F, V6>) {
        const auto port = facts_.find(station.port);
        if (station.address.is_link_local() && port != facts_.end() &&
            port->second.has_link_peers) {
            return Prefix<V6>::host(with_zone(station.address, station.port.value()));
        }
    }
    return Prefix<F>::host(station.address);
}

template <Family F>
void SlowPath::perform(const Resolved<F>& action) {
    const Adjacency station{action.key.port, action.key.address};
    machine_.routes().next_hops().resolved(station, action.mac);
    if (is_fabric(facts_, action.key.port)) {
        machine_.routes().set(station_prefix<F>(action.key), RouteSource::Neighbor, station);
    }
}

template <Family F>
void SlowPath::perform(const Lost<F>& action) {
    const Adjacency station{action.key.port, action.key.address};
    machine_.routes().next_hops().lost(station);
    machine_.routes().remove(station_prefix<F>(action.key), RouteSource::Neighbor);
}

template <Family F>
void SlowPath::perform(const Release<F>& action) {
    // The workers must know the way before they get the packets.
    machine_.commit();
    for (const HeldPacket handle : action.packets) {
        Packet packet = from_handle(handle);
        const bool carries_ip4 = std::is_same_v<F, V6> && is_ip4(packet);
        const NextHops& hops = machine_.routes().next_hops();
        const auto hop = hops.find(Adjacency{action.key.port, action.key.address, carries_ip4});
        const PortId in = packet.note().port;
        if (!hop) {
            machine_.count_drop(in, DropReason::Unresolved);
            continue;
        }
        packet.note().inject = Inject::Adjacent;
        packet.note().next_hop = *hop;
        packet.note().use = hops.entries()[hop->value()].use;
        machine_.inject(packet.release(), in);
    }
}

template <Family F>
void SlowPath::fail_held(const Drop<F>& action, TimePoint now) {
    for (const HeldPacket handle : action.packets) {
        const Packet packet = from_handle(handle);
        const PacketNote note = packet.note();
        machine_.count_drop(note.port, DropReason::Unresolved);
        const auto port = facts_.find(note.port);
        if (action.reason == HoldDrop::Unresolved && !note.translated && port != facts_.end()) {
            report(port->second, packet, {icmp::Problem::AddressUnreachable}, now);
        }
    }
}

void SlowPath::transmit(PortId port, const Frame& frame) {
    Packet packet = Packet::copy_of(machine_.pool(), frame);
    if (!packet) {
        machine_.count_drop(port, DropReason::NoBuffer);
        return;
    }
    packet.note() = {.port = port, .punt = {}, .inject = Inject::Transmit, .next_hop = {}};
    machine_.inject(packet.release(), port);
}

}  // namespace vr
