// What the standards make of a route that crosses a session, in and out.
//
// admit(): RFC 4271 5.1.3, 6.3 and 9.1.2 (next hop, first AS, AS loop), RFC 4456 8 (our ORIGINATOR_ID
// or CLUSTER_ID).  advertise(): RFC 4271 5.1 and 9.2 (who is told what, with which attributes), RFC 1997
// (NO_EXPORT, NO_ADVERTISE of received routes), RFC 2545 3 (which next hops have a link-local address beside them), RFC 9494 4.3 and 4.6 (LLGR_STALE), RFC 4456 (what a reflector passes on), RFC 4360 6 (extended communities
// that stay inside).  What filters let pass is not decided here; what they change is changed here,
// before the session's own changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "bgp/attributes.h"
#include "bgp/config.h"
#include "bgp/path_source.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {

/// What a peer is told of routes marked with LLGR_STALE, RFC 9494.
enum class LongLivedRoutes : std::uint8_t {
    Withheld,  ///< nothing: it would take them for good ones
    Told,      ///< it knows the mark
    Demoted,   ///< iBGP: that they are the worst, in words of everybody (4.6)
};

/// The two ends of an established session.
struct Ends {
    PeerKind kind = PeerKind::External;  ///< of the peer
    Asn local_as;                        ///< towards this peer
    Asn speaker_as;                      ///< towards all others
    Asn peer_as;
    Ip4 local_identifier;
    IpAddr local_address;
    bool enforce_first_as = true;
    unsigned allow_own_as = 0;
    NextHopMode next_hop = NextHopMode::Auto;
    bool as_override = false;
    bool remove_private_as = false;
    bool ipv4_over_ipv6 = false;  ///< agreed, RFC 8950
    Zone zone = 0;                ///< the link that the peer's link-local next hops are on; 0: none
    Zone told_zone = 0;           ///< the link whose next hops the peer reaches itself; 0: none
    Zone link = 0;  ///< that we share with the peer (advertise(): and with the next hop); 0: none
    std::optional<Ip6> own_link_local;  ///< there, beside our next hop
    bool client = false;                ///< iBGP: the peer is a client of ours, RFC 4456
    Ip4 cluster_id;                     ///< ours
    LongLivedRoutes long_lived = LongLivedRoutes::Withheld;

    friend bool operator==(const Ends&, const Ends&) = default;
};

/// What `configured` means: RFC 8212, without a word from the operator eBGP exchanges nothing.
[[nodiscard]] Filter filter_in_force(const std::optional<Filter>& configured, PeerKind kind);

/// Why a received route is not a candidate.
enum class Refusal : std::uint8_t {
    None,
    NextHop,
    FirstAs,
    AsLoop,
    Originator,
    ClusterLoop,
    Prefix
};

[[nodiscard]] std::string_view to_string(Refusal refusal);

/// Makes a link-local next hop, where there is no other (RFC 2545 3) or the session is link-local too, one
/// on the session's link.  What stands beside another one and is none is dropped.
void place_next_hop(Attributes& received, const Ends& ends);

/// Judges a received attribute set.  `own_next_hop` is what we announce as ours in the family.
[[nodiscard]] Refusal admit(
    const Attributes& attributes, const Ends& ends, const std::optional<IpAddr>& own_next_hop);

/// RFC 4271 6.3: whether there can be a way to a prefix.  There is none to multicast, loopback and
/// link-local addresses, in whose place the last carry their link here (vrouter/net/zone.h).
template <Family F>
[[nodiscard]] constexpr bool is_routable(const Prefix<F>& prefix) {
    const auto address = prefix.address();
    bool own_link = false;
    if constexpr (std::is_same_v<F, V6>) {
        own_link = address.is_link_local();
    }
    return !address.is_multicast() && !address.is_loopback() && !address.is_broadcast() &&
           !own_link;
}

/// The attributes with which a route from `source` is told to the peer; nothing when it is not told.
/// `own_next_hop` is our address towards the peer in the route's family; without it, a route that
/// needs it is not told.  `operations` are the export filter's, null for none.
[[nodiscard]] std::optional<Attributes> advertise(
    const Attributes& best,
    const PathSource& source,
    const Ends& ends,
    const std::optional<IpAddr>& own_next_hop,
    const Operations* operations = nullptr);

}  // namespace vr::bgp
