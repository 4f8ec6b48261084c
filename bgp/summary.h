// What the control server shows of BGP: values, filled by Instance.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/bfd_packet.h"
#include "bgp/decision.h"
#include "bgp/fsm.h"
#include "bgp/negotiation.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

struct MessageCounters {
    std::uint64_t opens = 0;
    std::uint64_t updates = 0;
    std::uint64_t notifications = 0;
    std::uint64_t keepalives = 0;
    std::uint64_t refreshes = 0;

    [[nodiscard]] std::uint64_t total() const noexcept {
        return opens + updates + notifications + keepalives + refreshes;
    }
};

/// One family of one session.
struct FamilySummary {
    bool negotiated = false;
    std::uint64_t received = 0;    ///< prefixes in Adj-RIB-In
    std::uint64_t accepted = 0;    ///< of them, those that compete in the Loc-RIB
    std::uint64_t stale = 0;       ///< of them, those not confirmed since a restart or refresh
    std::uint64_t left_out = 0;    ///< paths so far beyond what is kept of one prefix
    std::uint64_t advertised = 0;  ///< prefixes that the peer was told
    bool end_of_rib_received = false;
    // While negotiated:
    bool paths_received = false;  ///< several to one prefix, RFC 7911
    bool paths_sent = false;
    std::chrono::seconds restart_time{0};      ///< the peer's routes outlive the session so long
    std::chrono::seconds long_lived_time{0};   ///< ... as the last resort after that
    std::chrono::seconds our_restart_time{0};  ///< ours at the peer, as we asked for it
    std::chrono::seconds our_long_lived_time{0};
    std::optional<IpAddr> next_hop;  ///< ours on this session; none: own routes are not told
};

/// The BFD session with one peer.
struct BfdSummary {
    bfd::Discriminator mine = 0;  ///< of one session from its beginning to its end
    bfd::State state = bfd::State::Down;
    bfd::State remote_state = bfd::State::Down;
    bfd::Diagnostic diagnostic = bfd::Diagnostic::None;
    std::chrono::microseconds transmit_interval{0};
    std::chrono::microseconds detection_time{0};  ///< 0: nothing heard yet
    std::uint64_t ups = 0;
};

/// Graceful restart with one peer, RFC 4724 and RFC 9494.
struct RestartSummary {
    bool agreed = false;                              ///< in the last session
    bool notification = false;                        ///< RFC 8538: of both sides' routes
    std::chrono::seconds peer_time{0};                ///< how long its routes are kept
    std::optional<std::chrono::seconds> back_within;  ///< while it is away: what is left of that
    std::optional<std::chrono::seconds> done_within;  ///< while it is back: until stale routes go
    std::chrono::seconds long_lived_time{0};          ///< how long its routes live on after that
    std::optional<std::chrono::seconds> forgotten_within;  ///< while they do: what is left of that
    std::chrono::seconds our_time{0};  ///< so long the peer is to keep ours; 0: not at all
    std::chrono::seconds our_long_lived_time{0};  ///< ... and as the last resort after that
};

/// The speaker as a whole.
struct SpeakerSummary {
    Asn asn;
    Ip4 router_id;
    L4Port port;
    std::size_t peers = 0;
    std::size_t established = 0;
    std::size_t ipv4_prefixes = 0;  ///< with at least one path
    std::size_t ipv6_prefixes = 0;
    std::size_t attribute_sets = 0;
    std::uint64_t strangers = 0;  ///< connections refused because nobody is configured there
};

struct PeerSummary {
    IpAddr address;
    std::string link;  ///< of a link-local address: its name
    std::string description;
    Asn asn;
    Asn local_as;
    PeerKind kind = PeerKind::External;
    State state = State::Idle;
    std::optional<std::chrono::seconds> uptime;  ///< while Established
    std::optional<IpAddr> local_address;         ///< while Established
    std::optional<Ip4> identifier;               ///< while Established
    Ip4 last_identifier;                         ///< in the last session; 0.0.0.0: there was none
    std::chrono::seconds hold_time{0};           ///< negotiated
    std::optional<Terms> terms;                  ///< while Established
    MessageCounters received;
    MessageCounters sent;
    std::uint64_t established_count = 0;  ///< sessions so far
    std::uint64_t malformed_updates = 0;  ///< treated by RFC 7606 without ending the session
    FamilySummary ipv4;
    FamilySummary ipv6;
    std::string last_error;  ///< why the last session or attempt ended; empty: never
    std::optional<std::chrono::seconds> last_error_age;
    RestartSummary restart;
    std::optional<BfdSummary> bfd;         ///< where it is configured
    std::optional<std::string> shut_down;  ///< by an operator: what the peer was told
    bool dynamic = false;                  ///< of a range
    std::string import_filter;             ///< in force
    std::string export_filter;
    std::string last_malformed;  ///< the last thing that RFC 7606 tolerated
};

/// One path of one prefix.
struct PathSummary {
    std::optional<IpAddr> peer;  ///< nothing: originated here
    PeerKind kind = PeerKind::Local;
    std::optional<std::uint32_t> path_id;  ///< with ADD-PATH: as received
    Attributes attributes;
    Step lost_at = Step::Best;
    bool multipath = false;
};

struct RouteSummary {
    IpPrefix prefix;
    std::vector<PathSummary> paths;  ///< ranked
};

/// One route in the Adj-RIB-In or Adj-RIB-Out of a peer.
struct PeerRouteSummary {
    IpPrefix prefix;
    std::optional<std::uint32_t> path_id;  ///< with ADD-PATH: as received, or as told
    Attributes attributes;
    std::string refused;  ///< received and not accepted: why
    bool stale = false;   ///< received before the peer's restart or refresh, not confirmed yet
};

using VisitPeerRoute = std::function<void(PeerRouteSummary&&)>;

/// Where a walk over routes of both families has got to.
struct RouteCursor {
    bool ipv6 = false;
    std::size_t index = 0;
};

/// Which way routes cross a session.
enum class Crossing : std::uint8_t { Received, Advertised };

}  // namespace vr::bgp
