// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/nd.h"

#include <algorithm>

#include "vrouter/net/headers.h"

namespace vr::nd {

namespace {

constexpr std::uint8_t kRouterSolicitation = 133;
constexpr std::uint8_t kRouterAdvertisement = 134;
constexpr std::uint8_t kNeighborSolicitation = 135;
constexpr std::uint8_t kNeighborAdvertisement = 136;
constexpr std::uint8_t kRedirect = 137;

constexpr std::uint8_t kSourceLinkLayer = 1;
constexpr std::uint8_t kTargetLinkLayer = 2;
constexpr std::uint8_t kMtu = 5;

constexpr std::uint8_t kNdHopLimit = 255;

constexpr std::uint32_t kRouterFlag = 0x80000000U;
constexpr std::uint32_t kSolicitedFlag = 0x40000000U;
constexpr std::uint32_t kOverrideFlag = 0x20000000U;

struct Options {
    std::optional<Mac> source_mac;
    std::optional<Mac> target_mac;
    std::optional<std::uint32_t> mtu;
};

/// RFC 4861 4.6.  Unknown options are skipped; one of length 0, beyond the end, or with a link-layer
/// address that no station has, spoils the message.
std::optional<Options> parse_options(Reader& r) {
    Options options;
    while (!r.empty()) {
        const std::uint8_t type = r.u8();
        const std::size_t length = std::size_t{r.u8()} * 8;
        if (length == 0) {
            return std::nullopt;
        }
        Reader option = r.take(length - 2);
        if (type == kSourceLinkLayer || type == kTargetLinkLayer) {
            const Mac mac = get_mac(option);
            if (!option.done() || !is_station(mac)) {
                return std::nullopt;
            }
            (type == kSourceLinkLayer ? options.source_mac : options.target_mac) = mac;
        } else if (type == kMtu) {
            option.skip(2);
            options.mtu = option.u32();
            if (!option.done()) {
                return std::nullopt;
            }
        }
    }
    return r.ok() ? std::optional{options} : std::nullopt;
}

bool is_solicited_node(Ip6 address) {
    return address == solicited_node(address);
}

/// RFC 4861 7.1.1.
std::optional<Message> parse_neighbor_solicitation(const Envelope& envelope, Reader& r) {
    r.skip(4);
    const Ip6 target = get_ip6(r);
    const auto options = parse_options(r);
    if (!options || !is_unicast(target)) {
        return std::nullopt;
    }
    NeighborSolicitation m{
        .envelope = envelope, .target = target, .source_mac = options->source_mac};
    if (m.is_dad() && (m.source_mac || !is_solicited_node(envelope.destination))) {
        return std::nullopt;
    }
    return m;
}

/// RFC 4861 7.1.2.
std::optional<Message> parse_neighbor_advertisement(const Envelope& envelope, Reader& r) {
    const std::uint32_t flags = r.u32();
    const Ip6 target = get_ip6(r);
    const auto options = parse_options(r);
    const bool solicited = (flags & kSolicitedFlag) != 0;
    if (!options || !is_unicast(target) || !is_unicast(envelope.source) ||
        (solicited && envelope.destination.is_multicast())) {
        return std::nullopt;
    }
    return NeighborAdvertisement{
        .envelope = envelope,
        .target = target,
        .flags =
            {.router = (flags & kRouterFlag) != 0,
             .solicited = solicited,
             .override_cached = (flags & kOverrideFlag) != 0},
        .target_mac = options->target_mac};
}

/// RFC 4861 6.1.1.
std::optional<Message> parse_router_solicitation(const Envelope& envelope, Reader& r) {
    r.skip(4);
    const auto options = parse_options(r);
    if (!options || (envelope.source.is_unspecified() && options->source_mac)) {
        return std::nullopt;
    }
    return RouterSolicitation{.envelope = envelope, .source_mac = options->source_mac};
}

/// RFC 4861 6.1.2.
std::optional<Message> parse_router_advertisement(const Envelope& envelope, Reader& r) {
    const std::uint8_t hop_limit = r.u8();
    r.skip(1);
    const std::chrono::seconds lifetime{r.u16()};
    r.skip(8);
    const auto options = parse_options(r);
    if (!options || !envelope.source.is_link_local()) {
        return std::nullopt;
    }
    return RouterAdvertisement{
        .envelope = envelope,
        .hop_limit = hop_limit,
        .lifetime = lifetime,
        .source_mac = options->source_mac,
        .mtu = options->mtu};
}

void put_link_layer(Writer& w, std::uint8_t type, Mac mac) {
    w.u8(type);
    w.u8(1);
    put(w, mac);
}

void put_source(Writer& w, Mac mac) {
    if (!mac.is_zero()) {
        put_link_layer(w, kSourceLinkLayer, mac);
    }
}

void put_icmp(Writer& w, std::uint8_t type) {
    w.u8(type);
    w.u8(0);
    w.u16(0);
}

Frame send(const Envelope& envelope, const Writer& message) {
    return icmp_frame<V6>(
        {.link_source = envelope.link_source,
         .link_destination = envelope.link_destination,
         .source = envelope.source,
         .destination = envelope.destination,
         .hop_limit = kNdHopLimit},
        message.view());
}

Frame send_advertisement(const Envelope& envelope, Ip6 target, AdvertisementFlags flags) {
    Writer w;
    put_icmp(w, kNeighborAdvertisement);
    w.u32(
        (flags.router ? kRouterFlag : 0) | (flags.solicited ? kSolicitedFlag : 0) |
        (flags.override_cached ? kOverrideFlag : 0));
    put(w, target);
    put_link_layer(w, kTargetLinkLayer, envelope.link_source);
    return send(envelope, w);
}

}  // namespace

bool is_neighbor_discovery(const IpPacket<V6>& packet) {
    return packet.protocol == ipproto::kIcmp6 && !packet.payload.empty() &&
           packet.payload[0] >= kRouterSolicitation && packet.payload[0] <= kRedirect;
}

std::optional<Message> parse(Bytes frame) {
    const auto packet = parse_ip<V6>(frame);
    if (!packet || !is_neighbor_discovery(*packet) || packet->hop_limit != kNdHopLimit ||
        packet->fragment != Fragment::Whole || !icmp_checksum_ok(*packet) ||
        !(is_unicast(packet->source) || packet->source.is_unspecified())) {
        return std::nullopt;
    }
    Reader r{packet->payload};
    const std::uint8_t type = r.u8();
    const std::uint8_t code = r.u8();
    r.skip(2);
    if (code != 0) {
        return std::nullopt;
    }
    const Envelope envelope{
        .link_source = packet->link.source,
        .link_destination = packet->link.destination,
        .source = packet->source,
        .destination = packet->destination};
    switch (type) {
        case kRouterSolicitation:
            return parse_router_solicitation(envelope, r);
        case kRouterAdvertisement:
            return parse_router_advertisement(envelope, r);
        case kNeighborSolicitation:
            return parse_neighbor_solicitation(envelope, r);
        case kNeighborAdvertisement:
            return parse_neighbor_advertisement(envelope, r);
        default:
            return std::nullopt;
    }
}

Frame neighbor_solicitation(Mac sender_mac, Ip6 sender, Ip6 target, std::optional<Mac> unicast_to) {
    const Ip6 destination = unicast_to ? target : solicited_node(target);
    Writer w;
    put_icmp(w, kNeighborSolicitation);
    w.zeros(4);
    put(w, target);
    if (!sender.is_unspecified()) {
        put_link_layer(w, kSourceLinkLayer, sender_mac);
    }
    return send(
        {.link_source = sender_mac,
         .link_destination = unicast_to.value_or(multicast_mac(destination)),
         .source = sender,
         .destination = destination},
        w);
}

Frame neighbor_advertisement(
    const NeighborSolicitation& asked, Mac answer_mac, Ip6 sender, AdvertisementFlags flags) {
    flags.solicited = !asked.is_dad();
    if (asked.is_dad()) {
        return send_advertisement(
            {.link_source = answer_mac,
             .link_destination = multicast_mac(kAllNodes),
             .source = sender,
             .destination = kAllNodes},
            asked.target,
            flags);
    }
    const Envelope& from = asked.envelope;
    return send_advertisement(
        {.link_source = answer_mac,
         .link_destination = asked.source_mac.value_or(from.link_source),
         .source = sender,
         .destination = from.source},
        asked.target,
        flags);
}

Frame unsolicited_advertisement(Mac mac, Ip6 address) {
    return send_advertisement(
        {.link_source = mac,
         .link_destination = multicast_mac(kAllNodes),
         .source = address,
         .destination = kAllNodes},
        address,
        {.router = true, .solicited = false, .override_cached = true});
}

Frame router_advertisement(
    const RouterSolicitation* asked, Mac router_mac, const RouterOffer& offer) {
    Envelope to{
        .link_source = router_mac,
        .link_destination = multicast_mac(kAllNodes),
        .source = link_local(router_mac),
        .destination = kAllNodes};
    if (asked != nullptr && !asked->envelope.source.is_unspecified()) {
        to.link_destination = asked->source_mac.value_or(asked->envelope.link_source);
        to.destination = asked->envelope.source;
    }
    Writer w;
    put_icmp(w, kRouterAdvertisement);
    w.u8(offer.hop_limit);
    w.u8(0);
    w.u16(static_cast<std::uint16_t>(std::clamp<std::int64_t>(offer.lifetime.count(), 0, 0xffff)));
    w.u32(0);  // reachable time and retransmission timer: unspecified
    w.u32(0);
    put_source(w, router_mac);
    w.u8(kMtu);
    w.u8(1);
    w.u16(0);
    w.u32(offer.mtu);
    return send(to, w);
}

Frame router_solicitation(Mac sender_mac) {
    Writer w;
    put_icmp(w, kRouterSolicitation);
    w.zeros(4);
    put_source(w, sender_mac);
    return send(
        {.link_source = sender_mac,
         .link_destination = multicast_mac(kAllRouters),
         .source = link_local(sender_mac),
         .destination = kAllRouters},
        w);
}

Ip6 solicited_node(Ip6 address) {
    return Ip6{0xff02000000000000U, 0x00000001ff000000U | (address.low() & 0xffffffU)};
}

Mac multicast_mac(Ip6 group) {
    const auto byte = [&](unsigned shift) {
        return static_cast<std::uint8_t>(group.low() >> shift);
    };
    return Mac{{0x33, 0x33, byte(24), byte(16), byte(8), byte(0)}};
}

Ip6 link_local(Mac mac) {
    const auto& b = mac.bytes();
    const std::uint8_t flipped = b[0] ^ 0x02U;
    std::uint64_t low = 0;
    for (const std::uint8_t byte :
         {flipped, b[1], b[2], std::uint8_t{0xff}, std::uint8_t{0xfe}, b[3], b[4], b[5]}) {
        low = low << 8U | byte;
    }
    return Ip6{0xfe80000000000000U, low};
}

}  // namespace vr::nd
