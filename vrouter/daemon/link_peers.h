// LinkPeers: the BGP peers at link-local addresses, as they are now.
//
// A neighbor that the config names by its interface alone is the router that advertises itself there
// (RFC 4861).  It becomes a peer with its first advertisement.  Nobody on the link ends a session by
// advertising: another one takes its place when it has no session and is silent, whatever it said of its
// lifetime and whatever routes are kept of it, or when it never had a session and had its time for one.
// When it is silent, its lifetime is over and nothing is kept of it, it is forgotten.  However often others
// advertise, they are looked at a few times a second.  Pure: the time comes in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bgp/links.h"
#include "vrouter/daemon/bgp_peers.h"
#include "vrouter/services/rate_limit.h"

namespace vr::daemon {

class LinkPeers {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    /// How long somebody who advertises may try to get a session while others advertise too.
    static constexpr std::chrono::seconds kTrial{60};

    /// What is known of a peer by its session.
    struct Use {
        bool holds = false;  ///< the session is up, or an operator shut it down
        bool keeps = false;  ///< routes of it are kept
        bool tried = false;  ///< the session was up once
    };

    using UseOf = std::function<Use(const IpAddr& peer)>;

    /// The config's neighbors on `zone`.
    void add(Zone zone, const LinkNeighbor& neighbor);

    /// A router advertises itself, for `lifetime` or until it is silent; true when peers() differ now.
    [[nodiscard]] bool heard(
        Zone zone, Ip6 router, std::chrono::seconds lifetime, TimePoint now, const UseOf& use_of);

    /// Forgets who is silent and of no use; true when peers() differ now.  To be called every few seconds.
    [[nodiscard]] bool forget_silent(TimePoint now, const UseOf& use_of);

    /// Some neighbor has not been heard, or is forgotten.
    [[nodiscard]] bool lacks_one() const;

    /// Those, with their links.
    [[nodiscard]] std::vector<std::pair<Zone, bgp::PeerConfig>> awaited() const;

    /// By their addresses, with their link inside.
    [[nodiscard]] Peers peers() const;

  private:
    struct Found {
        Ip6 router;
        TimePoint since;  ///< it is the peer
        TimePoint last;   ///< heard
        TimePoint until;  ///< it said that it would be there, within bounds
        bool had_session = false;
    };

    struct Entry {
        Zone zone = 0;
        bgp::PeerConfig config;  ///< address: unspecified, or of the peer
        bool advertised = false;
        std::optional<Found> found;  ///< advertised: who it is
        TokenBucket others{
            {.per_second = 5, .burst = 10}};  ///< advertisements of those who are not
    };

    [[nodiscard]] static Use look_at_use(Entry& entry, const UseOf& use_of);
    [[nodiscard]] static bool gives_way(Entry& entry, TimePoint now, const UseOf& use_of);
    [[nodiscard]] static bool is_gone(Entry& entry, TimePoint now, const UseOf& use_of);

    std::vector<Entry> entries_;
};

}  // namespace vr::daemon
