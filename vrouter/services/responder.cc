// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/responder.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "vrouter/net/headers.h"
#include "vrouter/net/zone.h"
#include "vrouter/services/tcp_reset.h"

namespace vr {

namespace {

/// RFC 7600 4.8: source of ICMP errors of a node without an IPv4 address.
constexpr Ip4 kDummyAddress{0xc0000008U};

/// A decided answer, before the rate limit: `frame` is what would be sent.
Answer answered(Frame frame) {
    return {.outcome = Outcome::Answered, .frame = std::move(frame), .heard = {}, .discovery = {}};
}

Answer without_frame(Outcome outcome) {
    return {.outcome = outcome, .frame = std::nullopt, .heard = {}, .discovery = {}};
}

template <Family F>
bool peer_owns(const PortFacts& port, typename F::Addr address) {
    return std::ranges::any_of(port.addresses<F>().peers, [&](const Prefix<F>& prefix) {
        return prefix.contains(address);
    });
}

/// May the other side's link-layer address for `address` be remembered?  A guest's link-local address
/// is not: nothing is routed there, and its messages are answered to the MAC that they came from.
bool may_learn(const PortFacts& port, Ip4 address) {
    return peer_owns<V4>(port, address);
}

bool may_learn(const PortFacts& port, Ip6 address) {
    // No wire has a zone: such an address would stand for another link's (vrouter/net/zone.h).
    return zone_of(address) == 0 && (peer_owns<V6>(port, address) ||
                                     (port.role != PortRole::Guest && address.is_link_local()));
}

/// Does a guest send from a MAC that is not its own?
bool is_false_mac(const PortFacts& port, Mac link_source, std::optional<Mac> claimed) {
    return port.role == PortRole::Guest && ((port.peer_mac && *port.peer_mac != link_source) ||
                                            (claimed && *claimed != link_source));
}

/// Does a guest send from an address that is not its own?  Unspecified and IPv6 link-local sources are
/// excepted: duplicate address detection and autoconfiguration use them.
bool is_false_source(const PortFacts& port, Ip4 source) {
    return port.role == PortRole::Guest && !source.is_unspecified() && !peer_owns<V4>(port, source);
}

bool is_false_source(const PortFacts& port, Ip6 source) {
    return port.role == PortRole::Guest && !source.is_unspecified() && !source.is_link_local() &&
           !peer_owns<V6>(port, source);
}

/// Does the router answer a question for `target`?  `probing`: the asker wants to use it itself.
bool speaks_for(const PortFacts& port, Ip4 target, bool probing) {
    static_cast<void>(probing);
    return owns<V4>(port, target) ||
           (port.role != PortRole::Fabric && !peer_owns<V4>(port, target));
}

// The link-local address that a guest chooses is unknown here and must not be contested.
bool speaks_for(const PortFacts& port, Ip6 target, bool probing) {
    if (owns<V6>(port, target)) {
        return true;
    }
    const bool its_own = peer_owns<V6>(port, target) ||
                         (target.is_link_local() &&
                          (probing || (port.peer_mac && target == nd::link_local(*port.peer_mac))));
    return port.role != PortRole::Fabric && !its_own;
}

/// On a shared link, is the frame addressed to the router or to a group?  A guest's or the host's link
/// has no one else on it, and the MAC in a migrated guest's cache may be the former router's.
bool reaches_us(const PortFacts& port, Mac link_destination) {
    return port.role != PortRole::Fabric || link_destination.is_multicast() ||
           link_destination == port.mac;
}

Answer answer_arp(const PortFacts& port, Bytes frame) {
    const auto message = arp::parse(frame);
    if (!message) {
        return without_frame(Outcome::Malformed);
    }
    if (is_false_mac(port, message->link_source, message->sender_mac) ||
        is_false_source(port, message->sender)) {
        return without_frame(Outcome::Spoofed);
    }
    if (owns<V4>(port, message->sender)) {
        return without_frame(
            message->sender_mac == port.mac ? Outcome::NotForUs : Outcome::Conflict);
    }
    if (!reaches_us(port, message->link_destination)) {
        return without_frame(Outcome::NotForUs);
    }
    const bool asked = message->operation == arp::Operation::Request && !message->is_gratuitous() &&
                       speaks_for(port, message->target, message->is_probe());
    Answer answer =
        asked ? answered(arp::reply(*message, port.mac)) : without_frame(Outcome::Noted);
    if (!message->is_probe() && may_learn(port, message->sender)) {
        const bool to_us = message->operation == arp::Operation::Reply &&
                           message->target_mac == port.mac && message->link_destination == port.mac;
        Heard<V4> heard{
            .key = {.port = port.id, .address = message->sender},
            .mac = message->sender_mac,
            .advertised = std::nullopt};
        if (!asked) {
            heard.advertised = {.router = false, .solicited = to_us, .override_cached = true};
        }
        answer.heard = heard;
    }
    return answer;
}

/// How a hypervisor says that a guest is here now; what address it has was told otherwise.
Answer answer_reverse_arp(const PortFacts& port, Bytes frame) {
    const auto sender = arp::parse_reverse_request(frame);
    if (!sender) {
        return without_frame(Outcome::Malformed);
    }
    if (port.role != PortRole::Guest) {
        return without_frame(Outcome::NotForUs);
    }
    return without_frame(
        is_false_mac(port, *sender, std::nullopt) ? Outcome::Spoofed : Outcome::Noted);
}

Answer answer_nd(const PortFacts& port, const nd::NeighborSolicitation& m) {
    if (is_false_mac(port, m.envelope.link_source, m.source_mac)) {
        return without_frame(Outcome::Spoofed);
    }
    if (!speaks_for(port, m.target, m.is_dad())) {
        return without_frame(Outcome::NotForUs);
    }
    // Standing in for others is said without the override flag: RFC 4861 7.2.8.
    Answer answer = answered(nd::neighbor_advertisement(
        m,
        port.mac,
        nd::link_local(port.mac),
        {.router = true, .solicited = false, .override_cached = owns<V6>(port, m.target)}));
    if (m.source_mac && may_learn(port, m.envelope.source)) {
        answer.heard = Heard<V6>{
            .key = {.port = port.id, .address = m.envelope.source},
            .mac = m.source_mac,
            .advertised = std::nullopt};
    }
    return answer;
}

Answer answer_nd(const PortFacts& port, const nd::NeighborAdvertisement& m) {
    if (owns<V6>(port, m.target)) {
        return without_frame(Outcome::Conflict);
    }
    if (is_false_mac(port, m.envelope.link_source, m.target_mac) ||
        is_false_source(port, m.target)) {
        return without_frame(Outcome::Spoofed);
    }
    Answer answer = without_frame(Outcome::Noted);
    if (may_learn(port, m.target)) {
        answer.heard = Heard<V6>{
            .key = {.port = port.id, .address = m.target},
            .mac = m.target_mac,
            .advertised = m.flags};
    }
    return answer;
}

Answer answer_nd(const PortFacts& port, const nd::RouterSolicitation& m) {
    if (is_false_mac(port, m.envelope.link_source, m.source_mac)) {
        return without_frame(Outcome::Spoofed);
    }
    if (port.role == PortRole::Guest) {
        return answered(nd::router_advertisement(&m, port.mac, port.offer));
    }
    if (port.role != PortRole::Fabric || !port.has_link_peers) {
        return without_frame(Outcome::NotForUs);
    }
    Answer answer = without_frame(Outcome::Noted);
    answer.discovery = RoutersWanted{};
    return answer;
}

/// Routes come from BGP and configuration, never from advertisements.
Answer answer_nd(const PortFacts& port, const nd::RouterAdvertisement& m) {
    if (port.role == PortRole::Guest) {
        return without_frame(Outcome::Spoofed);
    }
    // RFC 4291 2.5.6: nothing stands between the prefix and the interface's identifier.
    const Ip6 router = m.envelope.source;
    if (port.role != PortRole::Fabric || !port.has_link_peers ||
        router.masked(64) != Ip6{0xfe80'0000'0000'0000U, 0}) {
        return without_frame(Outcome::NotForUs);
    }
    Answer answer = without_frame(Outcome::Noted);
    answer.discovery = HeardRouter{.address = router, .lifetime = m.lifetime};
    return answer;
}

Answer answer_discovery(const PortFacts& port, Bytes frame) {
    const auto message = nd::parse(frame);
    if (!message) {
        return without_frame(Outcome::Malformed);
    }
    return std::visit(
        [&](const auto& m) {
            if (owns<V6>(port, m.envelope.source)) {
                return without_frame(
                    m.envelope.link_source == port.mac ? Outcome::NotForUs : Outcome::Conflict);
            }
            if (is_false_source(port, m.envelope.source)) {
                return without_frame(Outcome::Spoofed);
            }
            if (!reaches_us(port, m.envelope.link_destination)) {
                return without_frame(Outcome::NotForUs);
            }
            return answer_nd(port, m);
        },
        *message);
}

template <Family F>
Answer answer_echo(const PortFacts& port, const IpPacket<F>& packet, Bytes frame) {
    if (!icmp::is_echo_request(packet) || !owns<F>(port, packet.destination) ||
        packet.link.destination != port.mac) {
        return without_frame(Outcome::NotForUs);
    }
    if (is_false_mac(port, packet.link.source, std::nullopt) ||
        is_false_source(port, packet.source) || owns<F>(port, packet.source)) {
        return without_frame(Outcome::Spoofed);
    }
    auto reply = icmp::echo_reply<F>(frame);
    return reply ? answered(*std::move(reply)) : without_frame(Outcome::Malformed);
}

// From its own address even if that is link-local: the question does not leave the link.
Frame ask(const PortFacts& port, const Solicit<V4>& solicit) {
    const PortAddresses<V4>& addresses = port.v4;
    const Ip4 sender =
        addresses.own.empty() ? addresses.fallback.value_or(Ip4{}) : addresses.own.front();
    return arp::request(port.mac, sender, solicit.key.address, solicit.unicast_to);
}

Frame ask(const PortFacts& port, const Solicit<V6>& solicit) {
    return nd::neighbor_solicitation(
        port.mac, nd::link_local(port.mac), solicit.key.address, solicit.unicast_to);
}

Answer limited(Answer answer, RateLimiter& limiter, PortId port, TimePoint now) {
    if (answer.frame && !limiter.allow(port, now)) {
        answer.frame.reset();
        answer.outcome = Outcome::RateLimited;
    }
    return answer;
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    constexpr std::array<std::string_view, 7> kNames{
        "answered", "noted", "not for us", "malformed", "spoofed", "conflict", "rate limited"};
    return kNames[static_cast<std::size_t>(outcome)];
}

template <Family F>
bool owns(const PortFacts& port, typename F::Addr address) {
    if constexpr (std::is_same_v<F, V6>) {
        if (address == nd::link_local(port.mac)) {
            return true;
        }
    }
    return std::ranges::find(port.addresses<F>().own, address) != port.addresses<F>().own.end();
}

template <Family F>
typename F::Addr speaking_address(const PortFacts& port) {
    const PortAddresses<F>& addresses = port.addresses<F>();
    const auto routed = std::ranges::find_if(
        addresses.own, [](typename F::Addr address) { return !address.is_link_local(); });
    if (routed != addresses.own.end()) {
        return *routed;
    }
    if (addresses.fallback) {
        return *addresses.fallback;
    }
    if (!addresses.own.empty()) {
        return addresses.own.front();
    }
    if constexpr (std::is_same_v<F, V6>) {
        return nd::link_local(port.mac);
    } else {
        return kDummyAddress;
    }
}

template <Family F>
Frame solicitation(const PortFacts& port, const Solicit<F>& solicit) {
    return ask(port, solicit);
}

Responder::Responder(const ResponderSettings& settings)
    : neighbor_(settings.neighbor_per_port, settings.neighbor),
      echo_(settings.echo_per_port, settings.echo),
      error_(settings.error_per_port, settings.error) {}

Answer Responder::answer(const PortFacts& port, Bytes frame, TimePoint now) {
    const auto link = parse_ethernet(frame);
    if (!link) {
        return without_frame(Outcome::Malformed);
    }
    if (link->ether_type == ethertype::kArp) {
        return limited(answer_arp(port, frame), neighbor_, port.id, now);
    }
    if (link->ether_type == ethertype::kReverseArp) {
        return answer_reverse_arp(port, frame);
    }
    if (link->ether_type == V4::kEtherType) {
        const auto packet = parse_ip<V4>(frame);
        return packet ? limited(answer_echo(port, *packet, frame), echo_, port.id, now)
                      : without_frame(Outcome::Malformed);
    }
    if (link->ether_type == V6::kEtherType) {
        const auto packet = parse_ip<V6>(frame);
        if (!packet) {
            return without_frame(Outcome::Malformed);
        }
        return nd::is_neighbor_discovery(*packet)
                   ? limited(answer_discovery(port, frame), neighbor_, port.id, now)
                   : limited(answer_echo(port, *packet, frame), echo_, port.id, now);
    }
    return without_frame(Outcome::NotForUs);
}

template <Family F>
std::optional<Frame> Responder::report(
    const PortFacts& port, Bytes frame, const icmp::Report& report, TimePoint now) {
    auto message = icmp::error_message<F>(frame, report, {port.mac, speaking_address<F>(port)});
    // The limit is asked last: what needs no message takes no token.
    return message && error_.allow(port.id, now) ? std::move(message) : std::nullopt;
}

template <Family F>
std::optional<Frame> Responder::reject(const PortFacts& port, Bytes frame, TimePoint now) {
    const auto packet = parse_ip<F>(frame);
    if (!packet || packet->protocol != ipproto::kTcp) {
        return report<F>(port, frame, {icmp::Problem::AdminProhibited}, now);
    }
    auto message = tcp::reset<F>(frame, port.mac);
    return message && error_.allow(port.id, now) ? std::move(message) : std::nullopt;
}

void Responder::remove_port(PortId port) {
    neighbor_.remove_port(port);
    echo_.remove_port(port);
    error_.remove_port(port);
}

template bool owns<V4>(const PortFacts&, Ip4);
template bool owns<V6>(const PortFacts&, Ip6);
template Ip4 speaking_address<V4>(const PortFacts&);
template Ip6 speaking_address<V6>(const PortFacts&);
template Frame solicitation<V4>(const PortFacts&, const Solicit<V4>&);
template Frame solicitation<V6>(const PortFacts&, const Solicit<V6>&);
template std::optional<Frame> Responder::report<V4>(
    const PortFacts&, Bytes, const icmp::Report&, TimePoint);
template std::optional<Frame> Responder::report<V6>(
    const PortFacts&, Bytes, const icmp::Report&, TimePoint);
template std::optional<Frame> Responder::reject<V4>(const PortFacts&, Bytes, TimePoint);
template std::optional<Frame> Responder::reject<V6>(const PortFacts&, Bytes, TimePoint);

}  // namespace vr
