// What the workers and the control thread tell each other about a packet: a note in the mbuf's private
// area, which every packet pool of ours has (packet_pool.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>

#include "vrouter/dataplane/drop.h"
#include "vrouter/net/ids.h"

namespace vr {

/// Why a worker hands a packet to the control thread.
enum class Punt : std::uint8_t {
    LinkLocal,  ///< ARP, neighbor discovery, MLD: frame as received
    Echo,       ///< echo request to one of the router's own addresses
    HopLimit,   ///< answer with time exceeded
    TooBig,     ///< answer with fragmentation needed / packet too big
    NoRoute,    ///< answer with destination unreachable
    Resolve,    ///< resolve next hop, then send: the link header is not written yet
    // Policy of one of these rejects it: answer with a reset, or prohibited.
    EgressRejected,
    IngressRejected,
    HostEgressRejected,
    HostIngressRejected,
    ConnectionRefused,  ///< an endpoint has as many as it may: answer with a reset
};

inline constexpr std::size_t kPuntKinds = 11;

/// Why a packet is dropped of which the control thread is only to tell the sender; None: it decides itself.
[[nodiscard]] constexpr DropReason refusal(Punt why) noexcept {
    switch (why) {
        case Punt::EgressRejected:
            return DropReason::EgressDenied;
        case Punt::IngressRejected:
            return DropReason::IngressDenied;
        case Punt::HostEgressRejected:
            return DropReason::HostEgressDenied;
        case Punt::HostIngressRejected:
            return DropReason::HostIngressDenied;
        case Punt::ConnectionRefused:
            return DropReason::ConnectionLimit;
        case Punt::LinkLocal:
        case Punt::Echo:
        case Punt::HopLimit:
        case Punt::TooBig:
        case Punt::NoRoute:
        case Punt::Resolve:
            break;
    }
    return DropReason::None;
}

/// What a worker is to do with a packet of the control thread.
enum class Inject : std::uint8_t {
    Transmit,  ///< a complete frame: send on `port`
    Adjacent,  ///< judged, routed and its TTL decremented before: write the link header and send
    Fragment,  ///< judged and routed before, TTL not decremented yet; then as Adjacent
};

struct PacketNote {
    PortId port;  ///< punt: where it came in; Transmit: where it goes out
    Punt punt{};
    Inject inject{};
    NextHopId next_hop;  ///< Resolve, Adjacent, TooBig, Fragment
    /// NextHop::use of it then: while the packet is on its way, the id may get another meaning.
    std::uint16_t use = 0;
    /// Resolve: by a floating address; the sender would not recognize it, and must not learn what is behind.
    bool translated = false;
};

[[nodiscard]] inline PacketNote& note_of(rte_mbuf* packet) noexcept {
    return *static_cast<PacketNote*>(rte_mbuf_to_priv(packet));
}

}  // namespace vr
