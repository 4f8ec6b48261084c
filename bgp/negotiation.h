// What two OPENs agree on, RFC 4271 4.2 and 6.2, RFC 5492, RFC 6793, RFC 6286, RFC 7607, RFC 9494.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <type_traits>

#include "bgp/config.h"
#include "bgp/message.h"

namespace vr::bgp {

/// Our side of a session.
struct LocalSide {
    Asn asn;          ///< towards this peer
    Asn speaker_asn;  ///< towards all others
    Ip4 identifier;
    bool restarting = false;       ///< back a moment ago, and not yet done selecting (RFC 4724)
    bool forwarding_kept = false;  ///< what the peer knew from us was forwarded all the time
};

/// The terms of a session.
struct Terms {
    std::chrono::seconds hold_time{0};
    AsWidth as_width = AsWidth::Four;
    bool ipv4 = false;
    bool ipv6 = false;
    bool route_refresh = false;     ///< the peer answers requests
    bool enhanced_refresh = false;  ///< with markers around the answer, RFC 7313
    bool extended_message = false;  ///< up to 65535 octets, RFC 8654
    bool ipv4_over_ipv6 = false;    ///< IPv4 routes may have IPv6 next hops, RFC 8950
    /// Set when both sides know graceful restart: what the peer said of its own.
    std::optional<GracefulRestart> graceful_restart;
    std::optional<LongLivedRestart> long_lived;  ///< the same, RFC 9494
    AddPath paths4;                              ///< what we receive and send in IPv4, RFC 7911
    AddPath paths6;                              ///< ... and in IPv6
    Asn asn;                                     ///< the peer's
    Ip4 identifier;                              ///< the peer's
    Capabilities capabilities;                   ///< as the peer sent them

    template <Family F>
    [[nodiscard]] bool has() const {
        return std::is_same_v<F, V4> ? ipv4 : ipv6;
    }
};

/// The OPEN that we send.
[[nodiscard]] Open make_open(const LocalSide& local, const PeerConfig& peer);

/// Judges the peer's OPEN against ours.
[[nodiscard]] Decoded<Terms> negotiate(
    const LocalSide& local, const PeerConfig& peer, const Open& received);

}  // namespace vr::bgp
