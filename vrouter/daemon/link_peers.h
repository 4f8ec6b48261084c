// LinkPeers: the BGP peers at link-local addresses, as they are now.
//
// A neighbor that the config names by its interface alone is the router that advertises itself there
// (RFC 4861).  It becomes a peer with its first advertisement; another one takes its place only when it is
// silent and its session is of no use any more, so that nobody on the link ends a session by advertising.
// When it is silent and of no use, it is forgotten.  Pure: the time comes in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "bgp/links.h"
#include "vrouter/daemon/bgp_peers.h"

namespace vr::daemon {

class LinkPeers {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    /// Whether the peer's session is up, routes of it are kept, or an operator shut it down.
    using InUse = std::function<bool(const IpAddr& peer)>;

    /// The config's neighbors on `zone`.
    void add(Zone zone, const LinkNeighbor& neighbor);

    /// A router advertises itself, for `lifetime` or until it is silent; true when peers() differ now.
    [[nodiscard]] bool heard(
        Zone zone, Ip6 router, std::chrono::seconds lifetime, TimePoint now, const InUse& in_use);

    /// Forgets who is silent and of no use; true when peers() differ now.
    [[nodiscard]] bool forget_silent(TimePoint now, const InUse& in_use);

    /// By their addresses, with their link inside.
    [[nodiscard]] Peers peers() const;

  private:
    struct Found {
        Ip6 router;
        TimePoint until;  ///< then it is silent
    };

    struct Entry {
        Zone zone = 0;
        bgp::PeerConfig config;  ///< address: unspecified, or of the peer
        bool advertised = false;
        std::optional<Found> found;  ///< advertised: who it is
    };

    [[nodiscard]] static bool is_gone(const Entry& entry, TimePoint now, const InUse& in_use);

    std::vector<Entry> entries_;
};

}  // namespace vr::daemon
