// Fuzz target of services/: frames from a hostile port go through the responder, what it believes goes
// into the neighbor tables, and everything that comes out must be right by our own parsers.
//
// Input: one byte with the port's role, then frames, each after its length in two bytes.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <variant>

#include "vrouter/net/headers.h"
#include "vrouter/net/wire.h"
#include "vrouter/services/responder.h"

namespace {

using namespace vr;

constexpr Mac kRouterMac{{2, 0, 0, 0, 0, 1}};
constexpr Mac kPeerMac{{2, 0, 0, 0, 0, 0x99}};
constexpr std::size_t kMaxHeld = 8;

void check(bool invariant) {
    if (!invariant) {
        std::abort();
    }
}

PortFacts port_of(std::uint8_t role) {
    PortFacts port;
    port.id = PortId{1};
    port.role = static_cast<PortRole>(role % 3);
    port.mac = kRouterMac;
    port.has_link_peers = role >= 128;
    if (port.role == PortRole::Guest) {
        port.peer_mac = kPeerMac;
    }
    const bool fabric = port.role == PortRole::Fabric;
    port.v4.own = {Ip4{0x0a000001U}};
    port.v4.peers = {*Prefix<V4>::make(Ip4{0x0a000002U}, fabric ? 24 : 32)};
    port.v6.own = {Ip6{0xfd00000000000000U, 1}};
    port.v6.peers = {*Prefix<V6>::make(Ip6{0xfd00000000000000U, 2}, fabric ? 64 : 128)};
    return port;
}

/// A frame that the router sends is one that it would accept.
void check_sent(const Frame& frame) {
    const auto link = parse_ethernet(frame);
    check(link && link->source == kRouterMac);
    if (link->ether_type == ethertype::kArp) {
        check(arp::parse(frame).has_value());
    } else if (link->ether_type == V4::kEtherType) {
        const auto packet = parse_ip<V4>(frame);
        check(packet && icmp_checksum_ok(*packet));
    } else {
        const auto packet = parse_ip<V6>(frame);
        check(packet && icmp_checksum_ok(*packet));
        check(!nd::is_neighbor_discovery(*packet) || nd::parse(frame));
    }
}

/// A table of one family that holds packets named 1, 2, ...
template <Family F>
class Table {
  public:
    void hear(const Heard<F>& heard, TimePoint now) {
        count(neighbors_.resolve(heard.key, std::nullopt, now));
        count(neighbors_.hear(heard, now));
    }

    void hold(typename F::Addr address, std::size_t bytes, TimePoint now) {
        ++in_;
        count(neighbors_.resolve({PortId{1}, address}, {{HeldPacket{in_}, bytes}}, now));
        check(neighbors_.held() <= kMaxHeld && neighbors_.size() <= 4);
    }

    void tick(TimePoint now) { count(neighbors_.tick(now)); }

    void finish() {
        count(neighbors_.remove_port(PortId{1}));
        check(in_ == out_ && !neighbors_.next_deadline());
    }

  private:
    void count(const typename Neighbors<F>::Actions& actions) {
        for (const auto& action : actions) {
            if (const auto* release = std::get_if<Release<F>>(&action)) {
                check(is_station(release->mac));
                out_ += release->packets.size();
            } else if (const auto* drop = std::get_if<Drop<F>>(&action)) {
                out_ += drop->packets.size();
            } else if (const auto* resolved = std::get_if<Resolved<F>>(&action)) {
                check(is_station(resolved->mac));
            }
        }
    }

    Neighbors<F> neighbors_{NeighborSettings{
        .max_entries_per_port = 4,
        .max_entries = 4,
        .max_held_per_entry = 3,
        .max_held = kMaxHeld}};
    std::uintptr_t in_ = 0;
    std::uintptr_t out_ = 0;
};

template <Family F>
void report(
    Responder& responder, const PortFacts& port, Bytes frame, Table<F>& table, TimePoint now) {
    constexpr std::size_t kLargest = sizeof(EthernetHeader) + (F::kVersion == 4 ? 576 : 1280);
    const auto problem = static_cast<icmp::Problem>(frame.size() % 9);
    const icmp::Report about{problem, static_cast<std::uint32_t>(frame.size())};
    if (const auto message = responder.report<F>(port, frame, about, now)) {
        check_sent(*message);
        check(message->size() <= kLargest);
        check(!responder.report<F>(port, *message, about, now));
    }
    if (const auto packet = parse_ip<F>(frame)) {
        table.hold(packet->destination, frame.size(), now);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
    Reader reader{Bytes{input, size}};
    const PortFacts port = port_of(reader.u8());
    Responder responder{{}};
    Table<V4> table4;
    Table<V6> table6;
    TimePoint now{std::chrono::hours{1}};
    while (!reader.empty()) {
        const std::size_t length = std::min<std::size_t>(reader.u16(), reader.remaining());
        const Bytes frame = reader.bytes(length);
        now += std::chrono::milliseconds{length * 10};
        const Answer answer = responder.answer(port, frame, now);
        check(answer.frame.has_value() == (answer.outcome == Outcome::Answered));
        if (answer.frame) {
            check_sent(*answer.frame);
        }
        if (const auto* router = std::get_if<HeardRouter>(&answer.discovery)) {
            check(port.role == PortRole::Fabric && port.has_link_peers);
            check(router->address.masked(64) == Ip6{0xfe80000000000000U, 0});
        }
        if (const auto* heard4 = std::get_if<Heard<V4>>(&answer.heard)) {
            table4.hear(*heard4, now);
        } else if (const auto* heard6 = std::get_if<Heard<V6>>(&answer.heard)) {
            table6.hear(*heard6, now);
        }
        report<V4>(responder, port, frame, table4, now);
        report<V6>(responder, port, frame, table6, now);
        table4.tick(now);
        table6.tick(now);
    }
    table4.finish();
    table6.finish();
    return 0;
}
