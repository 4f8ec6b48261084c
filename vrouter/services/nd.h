// IPv6 Neighbor Discovery messages: RFC 4861, over Ethernet (RFC 2464).
//
// Reads and builds solicitations and advertisements of neighbors and routers with every check of
// RFC 4861 6.1 and 7.1, and RFC 6980 (no fragments).  Redirects are not read: a router ignores them
// (RFC 4861 8.1).  Who is answered is decided in responder.h, what is remembered in neighbor.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>

#include "vrouter/net/addr.h"
#include "vrouter/net/wire.h"
#include "vrouter/services/frame.h"

namespace vr::nd {

/// Where a message came from and went to, on both layers.
struct Envelope {
    Mac link_source;
    Mac link_destination;
    Ip6 source;
    Ip6 destination;

    friend bool operator==(const Envelope&, const Envelope&) = default;
};

/// RFC 4861 4.4.
struct AdvertisementFlags {
    bool router = false;
    bool solicited = false;
    bool override_cached = false;

    friend bool operator==(const AdvertisementFlags&, const AdvertisementFlags&) = default;
};

struct NeighborSolicitation {
    Envelope envelope;
    Ip6 target;
    std::optional<Mac> source_mac;

    /// Duplicate address detection, RFC 4862 5.4: the sender has no address yet.
    [[nodiscard]] bool is_dad() const noexcept { return envelope.source.is_unspecified(); }

    friend bool operator==(const NeighborSolicitation&, const NeighborSolicitation&) = default;
};

struct NeighborAdvertisement {
    Envelope envelope;
    Ip6 target;
    AdvertisementFlags flags;
    std::optional<Mac> target_mac;

    friend bool operator==(const NeighborAdvertisement&, const NeighborAdvertisement&) = default;
};

struct RouterSolicitation {
    Envelope envelope;
    std::optional<Mac> source_mac;

    friend bool operator==(const RouterSolicitation&, const RouterSolicitation&) = default;
};

struct RouterAdvertisement {
    Envelope envelope;
    std::uint8_t hop_limit = 0;  ///< 0: unspecified by this router
    std::chrono::seconds lifetime{0};
    std::optional<Mac> source_mac;
    std::optional<std::uint32_t> mtu;

    friend bool operator==(const RouterAdvertisement&, const RouterAdvertisement&) = default;
};

using Message = std::
    variant<NeighborSolicitation, NeighborAdvertisement, RouterSolicitation, RouterAdvertisement>;

/// True for a packet whose ICMPv6 type is one of Neighbor Discovery's, valid or not.
[[nodiscard]] bool is_neighbor_discovery(const IpPacket<V6>& packet);

/// Nothing when the frame is no such message or breaks a rule of RFC 4861.
[[nodiscard]] std::optional<Message> parse(Bytes frame);

/// Asks for `target`'s address: its solicited-node group, or only `unicast_to`.
[[nodiscard]] Frame neighbor_solicitation(
    Mac sender_mac, Ip6 sender, Ip6 target, std::optional<Mac> unicast_to);

/// Answers `asked` that its target is at `answer_mac`; `sender` is an address of the router itself.
/// The answer to duplicate address detection goes to all nodes (RFC 4861 7.2.4); `solicited` is set
/// here accordingly.
[[nodiscard]] Frame neighbor_advertisement(
    const NeighborSolicitation& asked, Mac answer_mac, Ip6 sender, AdvertisementFlags flags);

/// Tells all nodes that `address` is at `mac`: RFC 4861 7.2.6.
[[nodiscard]] Frame unsolicited_advertisement(Mac mac, Ip6 address);

/// What a router advertisement says; no prefixes: addresses come from elsewhere.
struct RouterOffer {
    std::chrono::seconds lifetime{1800};  ///< 0-65535 s; 0: no default router
    std::uint8_t hop_limit = 64;
    std::uint16_t mtu = 1500;
};

/// Answers `asked`, or tells all nodes when it is absent or its sender had no address: RFC 4861 6.2.6.
/// A MAC of zeros is told to nobody: the link has no such addresses.
[[nodiscard]] Frame router_advertisement(
    const RouterSolicitation* asked, Mac router_mac, const RouterOffer& offer);

/// Asks all routers on the link to advertise themselves: RFC 4861 4.1.  As above for a MAC of zeros.
[[nodiscard]] Frame router_solicitation(Mac sender_mac);

/// ff02::1:ffXX:XXXX, RFC 4291 2.7.1.
[[nodiscard]] Ip6 solicited_node(Ip6 address);

/// 33:33 and the last 32 bits, RFC 2464 7.
[[nodiscard]] Mac multicast_mac(Ip6 group);

/// fe80::/64 with the modified EUI-64 of `mac`: RFC 2464 5.
[[nodiscard]] Ip6 link_local(Mac mac);

inline constexpr Ip6 kAllNodes{0xff02000000000000U, 1};
inline constexpr Ip6 kAllRouters{0xff02000000000000U, 2};

}  // namespace vr::nd
