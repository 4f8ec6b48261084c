// Socket options of BGP's TCP connections: MD5 signatures (RFC 2385), TTL and GTSM (RFC 5082).
//
// Linux only; part of the shell.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "bgp/config.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"

namespace vr::bgp {

/// RFC 4271 appendix E: the precedence of routing traffic.
inline constexpr int kInternetworkControl = 0xc0;
/// TTL (hop limit) of what comes from the same link, RFC 5082.
inline constexpr int kMostHops = 255;

/// Signs and demands signatures on segments exchanged with `peer`; an empty password ends that.  On a
/// listening socket it concerns connections from that address only.
[[nodiscard]] Result<void> set_tcp_md5(int socket, const IpAddr& peer, std::string_view password);

/// The same for all addresses inside `peers`.
[[nodiscard]] Result<void> set_tcp_md5(
    int socket, const IpPrefix& peers, std::string_view password);

/// Whether what came on an accepted connection with `peer` was signed with `password` from its first
/// segment on; from now on it is, or the connection is of no use.
[[nodiscard]] Result<void> check_tcp_md5(int socket, const IpAddr& peer, std::string_view password);

/// Has the kernel give up a connection on which something is not acknowledged for the send hold time (RFC
/// 9687) and a hold time more.  The session's own timer does not see what the kernel has taken from us, and
/// is off with a hold time of 0; where both see it, that one is to tell.  Not sooner: a peer that lives and
/// takes nothing counts, too, and a way that is dead in both directions is what the hold timer is for.
[[nodiscard]] Result<void> set_user_timeout(int socket, const PeerTimers& timers);

/// TTL (hop limit) as `config` wants it, the smallest accepted one too (GTSM), and the DSCP of network
/// control.
[[nodiscard]] Result<void> set_hop_limits(int socket, const PeerConfig& config, bool external);

}  // namespace vr::bgp
