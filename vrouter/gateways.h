// GatewayWays: which stations gateways are reached by, over other gateways where need be.
//
// A gateway's way is found in rounds: first what a route reaches without another gateway, then what leads
// over those, and so on.  So it depends on the present routes alone, not on the order in which these came,
// and gateways that lead only to each other lead nowhere.  What a change does not touch is not looked at
// again; what it does touch is looked at in slices, for one route may lead to all gateways that there are.
// Each way is right for the routes at the time it was found, also between slices.  Pure.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "vrouter/dataplane/sweeps.h"
#include "vrouter/net/prefix.h"
#include "vrouter/next_hops.h"

namespace vr {

/// How a gateway is reached.
struct GatewayWay {
    std::vector<Adjacency> stations;  ///< ascending; several share the traffic; none: unreachable
    std::vector<IpPrefix> bgp;        ///< the routes on the way that BGP brought, ascending
    std::vector<IpAddr> asked;        ///< gateways whose ways had to do with it

    friend bool operator==(const GatewayWay&, const GatewayWay&) = default;
};

/// The first address that may be in `prefix`, as elements of a map or set are ordered.
[[nodiscard]] inline IpAddr first_address(const IpPrefix& prefix) {
    return std::visit([](const auto& p) { return IpAddr{p.address()}; }, prefix);
}

class GatewayWays {
  public:
    /// Ways to gateways as far as they are known.
    using Known = std::function<const GatewayWay&(const IpAddr& gateway)>;

    /// The way to `gateway` by the routes, over others by `known`.
    using Step = std::function<GatewayWay(const IpAddr& gateway, const Known& known)>;

    /// It is in use from now on; its way is to be found.
    void add(const IpAddr& gateway);

    /// It is in use no more.
    void remove(const IpAddr& gateway);

    /// A route of this prefix has changed; true when the way to a gateway may be another.
    bool touch(const IpPrefix& prefix);

    struct Found {
        std::set<IpAddr> fresh;  ///< not known before
        std::set<IpAddr> moved;  ///< known, and others now
    };

    /// Finds about `most` ways to gateways that are new, and as many of those that may be others than before;
    /// fewer where they end at many stations.
    [[nodiscard]] Found find(std::size_t most, const Step& step);

    /// True while find() has not looked at all of them.
    [[nodiscard]] bool pending() const {
        return !fresh_.empty() || !touched_.empty() || !dependents_.empty();
    }

    /// The way to `gateway` as found; to one that is not known there is none.
    [[nodiscard]] const GatewayWay& operator[](const IpAddr& gateway) const;

  private:
    /// So many gateways may be behind each other.
    static constexpr unsigned kMostBehind = 4;

    struct Way {
        GatewayWay way;
        std::vector<IpAddr> behind;  ///< gateways whose ways may matter to it
        bool found = false;
    };

    /// Who is to be looked at, and how many that are behind each other are then to be.
    using Due = std::map<IpAddr, unsigned>;

    class Rounds;

    void find_fresh(std::size_t most, Rounds& rounds, Found& found);
    void take_touched(std::size_t most, Due& due);
    void take_dependents(std::size_t most, Due& due);
    std::size_t look_at(const IpAddr& gateway, unsigned behind, Rounds& rounds, Found& found);
    void set_behind(const IpAddr& gateway, Way& way, std::vector<IpAddr> behind);

    std::map<IpAddr, Way> ways_;
    std::set<std::pair<IpAddr, IpAddr>> users_;  ///< gateways, and those behind them
    std::deque<IpAddr> fresh_;                   ///< to be found; some may be by now, or have left
    Sweeps<IpPrefix, IpAddr> touched_;           ///< all gateways inside may have another way
    /// All behind these may have; and so many that are behind each other.
    Sweeps<std::pair<IpAddr, unsigned>, IpAddr> dependents_;
};

}  // namespace vr
