// GatewayWays: which stations gateways are reached by, over other gateways where need be.
//
// Ways are found in rounds: first what a route reaches without another gateway, then what leads over
// those, and so on.  So they depend on the present routes alone, not on the order in which these came,
// and gateways that lead only to each other lead nowhere.  Pure.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "vrouter/net/prefix.h"
#include "vrouter/next_hops.h"

namespace vr {

/// How a gateway is reached.
struct GatewayWay {
    std::vector<Adjacency> stations;  ///< ascending; several share the traffic; none: unreachable
    std::vector<IpPrefix> bgp;        ///< the routes on the way that BGP brought, ascending
    bool asked_others = false;        ///< how other gateways are reached had to do with it

    friend bool operator==(const GatewayWay&, const GatewayWay&) = default;
};

/// True when an address in `addresses`, a set or map of them, is in `prefix`.
template <Family F>
[[nodiscard]] bool any_inside(const Prefix<F>& prefix, const auto& addresses) {
    const auto at = addresses.lower_bound(IpAddr{prefix.address()});
    if (at == addresses.end()) {
        return false;
    }
    if constexpr (requires { at->second; }) {
        return contains(prefix, at->first);
    } else {
        return contains(prefix, *at);
    }
}

class GatewayWays {
  public:
    /// The way to `gateway` by the routes, where `known` tells the ways to other gateways so far.
    using Step = std::function<GatewayWay(const IpAddr& gateway, const GatewayWays& known)>;

    /// Finds the ways to `gateways` anew and forgets all others.
    void find(const std::set<IpAddr>& gateways, const Step& step);

    /// The way to `gateway` as found; to one that was not asked for there is none.
    [[nodiscard]] const GatewayWay& operator[](const IpAddr& gateway) const;

    /// True when the way to a gateway may be another after a change of this route.
    template <Family F>
    [[nodiscard]] bool depend_on(const Prefix<F>& prefix) const {
        return any_inside(prefix, ways_);
    }

  private:
    /// So many gateways may be behind each other.
    static constexpr unsigned kMostRounds = 5;

    using Ways = std::map<IpAddr, GatewayWay>;

    Ways ways_;
};

}  // namespace vr
