// SPDX-License-Identifier: Apache-2.0
#include "bgp/negotiation.h"

#include <algorithm>

namespace vr::bgp {
namespace {

/// RFC 5492 5: the data names the capabilities that were missed.
Notification missing_family(const Capabilities& ours) {
    Writer wanted;
    Capabilities families;
    families.families = ours.families;
    encode_capabilities(families, wanted);
    return notification(ErrorCode::Open, open_error::kUnsupportedCapability, wanted.view());
}

std::optional<GracefulRestart> graceful_restart(
    const LocalSide& local, const PeerConfig& peer, const std::vector<AfiSafi>& families) {
    using Mode = GracefulRestartConfig::Mode;
    if (peer.graceful_restart.mode == Mode::Off) {
        return std::nullopt;
    }
    GracefulRestart offer;
    offer.restarting = local.restarting;
    offer.notification = true;
    offer.seconds = static_cast<std::uint16_t>(std::clamp<std::chrono::seconds::rep>(
        peer.graceful_restart.restart_time.count(), 0, GracefulRestart::kMostSeconds));
    if (peer.graceful_restart.mode == Mode::Full) {
        for (const AfiSafi family : families) {
            offer.members.push_back({.family = family, .forwarding = local.forwarding_kept});
        }
    }
    return offer;
}

/// RFC 9494 3: goes with graceful restart only; without members it tells that we know LLGR_STALE.
std::optional<LongLivedRestart> long_lived(
    const LocalSide& local, const PeerConfig& peer, const std::vector<AfiSafi>& families) {
    using Mode = GracefulRestartConfig::Mode;
    const auto& [mode, restart_time, stale_time, long_lived_time] = peer.graceful_restart;
    if (mode == Mode::Off) {
        return std::nullopt;
    }
    LongLivedRestart offer;
    if (mode == Mode::Full && long_lived_time.count() > 0) {
        const auto seconds = static_cast<std::uint32_t>(std::min<std::chrono::seconds::rep>(
            long_lived_time.count(), LongLivedRestart::kMostSeconds));
        for (const AfiSafi family : families) {
            if ((family == kIpv4Unicast ? peer.ipv4 : peer.ipv6).long_lived) {
                offer.members.push_back(
                    {.family = family, .forwarding = local.forwarding_kept, .seconds = seconds});
            }
        }
    }
    return offer;
}

/// RFC 7911 4: a direction is in use when one side sends and the other receives.
AddPath agreed(const Capabilities& ours, const Capabilities& theirs, AfiSafi family) {
    const AddPath mine = ours.add_path_of(family);
    const AddPath its = theirs.add_path_of(family);
    return AddPath{
        .family = family, .receive = mine.receive && its.send, .send = mine.send && its.receive};
}

/// What no config vouches for must be an AS number that somebody may have (RFC 6793 9, RFC 7300, RFC 7607),
/// said the same way twice (RFC 6793 4.2.1), and not ours.
bool is_external(const LocalSide& local, const Open& received) {
    constexpr Asn kLast16{65535};
    constexpr Asn kLast32{4294967295};
    const Asn asn = received.asn();
    const bool usable = asn.value() != 0 && asn != kAsTrans && asn != kLast16 && asn != kLast32;
    const Asn in_field = asn > kLast16 ? kAsTrans : asn;
    return usable && in_field == Asn{received.as_field} && asn != local.asn &&
           asn != local.speaker_asn;
}

}  // namespace

Open make_open(const LocalSide& local, const PeerConfig& peer) {
    Open open;
    const std::uint32_t asn = local.asn.value();
    open.as_field = static_cast<std::uint16_t>(asn > 0xffffU ? kAsTrans.value() : asn);
    open.hold_time = static_cast<std::uint16_t>(
        std::clamp<std::chrono::seconds::rep>(peer.timers.hold.count(), 0, 0xffff));
    open.identifier = local.identifier;
    if (peer.ipv4.enabled) {
        open.capabilities.families.push_back(kIpv4Unicast);
    }
    if (peer.ipv6.enabled) {
        open.capabilities.families.push_back(kIpv6Unicast);
    }
    if (peer.add_path.receive || peer.add_path.send) {
        for (const AfiSafi family : open.capabilities.families) {
            open.capabilities.add_path.push_back(
                {.family = family, .receive = peer.add_path.receive, .send = peer.add_path.send});
        }
    }
    open.capabilities.route_refresh = true;
    open.capabilities.enhanced_refresh = true;
    open.capabilities.extended_message = peer.extended_messages;
    open.capabilities.ipv4_over_ipv6 =
        peer.ipv4.enabled && std::holds_alternative<Ip6>(peer.address);
    open.capabilities.four_octet_as = local.asn;
    open.capabilities.graceful_restart = graceful_restart(local, peer, open.capabilities.families);
    open.capabilities.long_lived = long_lived(local, peer, open.capabilities.families);
    return open;
}

Decoded<Terms> negotiate(const LocalSide& local, const PeerConfig& peer, const Open& received) {
    const auto refuse = [](std::uint8_t subcode) { return notification(ErrorCode::Open, subcode); };
    const Asn asn = received.asn();
    const bool right = peer.any_external_as ? is_external(local, received) : asn == peer.asn;
    if (asn.value() == 0 || !right) {
        return refuse(open_error::kBadPeerAs);
    }
    if (received.hold_time == 1 || received.hold_time == 2) {
        return refuse(open_error::kBadHoldTime);
    }
    // RFC 6286 2.2: not zero, and inside one AS not ours.
    const bool internal = local.asn == asn;
    if (received.identifier.is_unspecified() ||
        (internal && received.identifier == local.identifier)) {
        return refuse(open_error::kBadIdentifier);
    }
    const Open ours = make_open(local, peer);
    Terms terms;
    terms.hold_time = std::chrono::seconds{std::min(ours.hold_time, received.hold_time)};
    terms.as_width = received.capabilities.four_octet_as ? AsWidth::Four : AsWidth::Two;
    terms.route_refresh = received.capabilities.route_refresh;
    const Capabilities& theirs = received.capabilities;
    terms.enhanced_refresh = theirs.enhanced_refresh && theirs.route_refresh;
    terms.extended_message = ours.capabilities.extended_message && theirs.extended_message;
    terms.ipv4_over_ipv6 = ours.capabilities.ipv4_over_ipv6 && theirs.ipv4_over_ipv6;
    terms.paths4 = agreed(ours.capabilities, theirs, kIpv4Unicast);
    terms.paths6 = agreed(ours.capabilities, theirs, kIpv6Unicast);
    if (ours.capabilities.graceful_restart) {
        terms.graceful_restart = theirs.graceful_restart;
        terms.long_lived = theirs.graceful_restart ? theirs.long_lived : std::nullopt;
    }
    terms.asn = asn;
    terms.identifier = received.identifier;
    terms.capabilities = received.capabilities;
    // RFC 4760 8: a peer that says nothing of families speaks IPv4 unicast.
    const bool silent = received.capabilities.families.empty();
    terms.ipv4 = peer.ipv4.enabled && (silent || received.capabilities.has(kIpv4Unicast));
    terms.ipv6 = peer.ipv6.enabled && received.capabilities.has(kIpv6Unicast);
    if (!terms.ipv4 && !terms.ipv6) {
        return missing_family(ours.capabilities);
    }
    return terms;
}

}  // namespace vr::bgp
