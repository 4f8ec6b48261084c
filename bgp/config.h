// What an operator (or a BGPPeer resource) says about the speaker and its peers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bgp/filter.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"

namespace vr::bgp {

/// Graceful restart, RFC 4724, RFC 8538 and RFC 9494, towards one peer.
struct GracefulRestartConfig {
    enum class Mode : std::uint8_t {
        Off,
        Helper,  ///< a restarting peer's routes are kept; ours are not to be
        Full,    ///< ours too: what we forward goes on without the speaker
    };

    Mode mode = Mode::Helper;
    std::chrono::seconds restart_time{120};  ///< so long the peer keeps ours, at most 4095 s
    /// So long the peer's routes are kept, at most: while it is away, and again until it has said all.
    std::chrono::seconds stale_time{360};
    /// RFC 9494: what is left after the restart time lives on for so long, at most, as the worst of all
    /// (ours at the peer in Mode::Full, the peer's here); 0: it leaves.
    std::chrono::seconds long_lived_time{0};

    friend bool operator==(const GracefulRestartConfig&, const GracefulRestartConfig&) = default;
};

struct SpeakerConfig {
    Asn asn;
    Ip4 router_id;
    /// Where connections are accepted; empty: nowhere (every peer must be one that we call).
    std::vector<IpAddr> listen{Ip4{}, Ip6{}};
    L4Port port{179};
    /// Most next hops that one route may have.
    unsigned multipath = 16;
    /// Of a route reflector (RFC 4456); absent: the router id.
    std::optional<Ip4> cluster_id;
    /// We are back after a restart during which everything was forwarded as before: nothing is selected
    /// until the peers have said all, or for this long (RFC 4724 4.1).  Absent: a fresh start.
    std::optional<std::chrono::seconds> selection_deferral;
    /// A second connection from a peer waits for the first one to end, at most.
    std::chrono::milliseconds second_call_wait{10000};

    friend bool operator==(const SpeakerConfig&, const SpeakerConfig&) = default;
};

/// The next hop of routes that we pass on.
enum class NextHopMode : std::uint8_t {
    /// Towards iBGP as it is, towards eBGP ours; but one that iBGP told and that is on the external
    /// peer's own link stays (RFC 4271 5.1.3).
    Auto,
    Self,  ///< always ours
    Keep,  ///< always as it is
};

/// Several paths per prefix on one session, in both families, RFC 7911.
struct AddPathConfig {
    bool receive = false;
    bool send = false;  ///< every usable path

    friend bool operator==(const AddPathConfig&, const AddPathConfig&) = default;
};

/// One address family on one session.
struct FamilyConfig {
    bool enabled = true;
    /// Next hop of what we originate; absent: the session's own address when it is of the family.
    std::optional<IpAddr> next_hop;
    /// The session is closed when the peer sends more; 0: no limit.
    std::uint32_t maximum_prefixes = 0;
    /// Pause after that; 0: as after any error.
    std::chrono::seconds maximum_prefixes_restart{0};
    /// GracefulRestartConfig::long_lived_time is for this family, too (RFC 9494 5).
    bool long_lived = true;

    friend bool operator==(const FamilyConfig&, const FamilyConfig&) = default;
};

/// Timers of a session; those that RFC 4271 10 wants jittered are.
struct PeerTimers {
    std::chrono::seconds hold{90};      ///< 0: neither keepalives nor hold timer
    std::chrono::seconds keepalive{0};  ///< 0: a third of the negotiated hold time
    std::chrono::seconds connect_retry{10};
    std::chrono::seconds open_wait{30};               ///< for the peer's OPEN, once connected
    std::chrono::milliseconds idle_hold{1000};        ///< pause after an error; doubles ...
    std::chrono::milliseconds idle_hold_most{60000};  ///< ... up to this
    /// A peer that takes or acknowledges nothing for this long is given up, RFC 9687; at least twice the
    /// hold time.
    std::chrono::seconds send_hold{480};

    friend bool operator==(const PeerTimers&, const PeerTimers&) = default;
};

/// Liveness by BFD, RFC 5881 and, over several hops, RFC 5883.
struct BfdConfig {
    std::chrono::milliseconds transmit{300};  ///< between our packets, at least
    std::chrono::milliseconds receive{300};   ///< between the peer's, at least
    std::uint8_t multiplier = 3;              ///< so many lost in a row mean that we are gone
    bool multihop = false;

    friend bool operator==(const BfdConfig&, const BfdConfig&) = default;
};

struct PeerConfig {
    IpAddr address;  ///< also the key: one session per address
    L4Port port{179};
    Asn asn;
    bool any_external_as = false;  ///< eBGP with whatever AS the peer says; `asn` is 0
    std::optional<Asn> local_as;   ///< instead of the speaker's, towards this peer
    std::string description;
    bool passive = false;             ///< only wait for the peer's connection
    std::optional<IpAddr> source;     ///< bind our end of outgoing connections to it
    std::string password;             ///< TCP MD5 (RFC 2385); empty: none
    std::optional<std::uint8_t> ttl;  ///< eBGP multihop: TTL of our packets; absent: 1 for eBGP
    std::uint8_t ttl_security = 0;    ///< GTSM (RFC 5082): most hops away; 0: off
    PeerTimers timers;
    bool extended_messages = false;  ///< up to 65535 octets, RFC 8654: fewer, but longer to handle
    GracefulRestartConfig graceful_restart;
    std::optional<BfdConfig> bfd;  ///< absent: the hold time alone tells that the peer is gone
    FamilyConfig ipv4;
    FamilyConfig ipv6;
    bool reflector_client = false;  ///< iBGP: it hears what other iBGP peers say, RFC 4456
    AddPathConfig add_path;
    /// Absent: everything from iBGP, nothing from eBGP (RFC 8212).
    std::optional<Filter> import;
    /// Absent: everything to iBGP, nothing to eBGP (RFC 8212).
    std::optional<Filter> export_;
    NextHopMode next_hop = NextHopMode::Auto;
    bool as_override = false;        ///< eBGP: the peer's AS in a path told to it becomes ours
    bool remove_private_as = false;  ///< eBGP: private AS numbers are left out of paths told
    unsigned allow_own_as = 0;       ///< times that we, by either AS, may appear in a received path
    bool enforce_first_as = true;    ///< eBGP: a path must begin with the peer's AS (RFC 4271 6.3)
    /// iBGP: it hears of routes marked with LLGR_STALE though it does not know the mark, with NO_EXPORT
    /// and LOCAL_PREF 0 (RFC 9494 4.6); all of the AS should then take them with LOCAL_PREF 0.
    bool long_lived_to_all = false;

    friend bool operator==(const PeerConfig&, const PeerConfig&) = default;
};

/// Peers that nobody named: whoever calls from `prefix` becomes one, up to a limit.
struct RangeConfig {
    IpPrefix prefix;
    unsigned limit = 100;
    PeerConfig peer;  ///< as which they are taken; its address is the caller's

    friend bool operator==(const RangeConfig&, const RangeConfig&) = default;
};

}  // namespace vr::bgp
