// GatewayWays: which stations gateways are reached by, over other gateways where need be.
//
// Ways are found in rounds: first what a route reaches without another gateway, then what leads over
// those, and so on.  So they depend on the present routes alone, not on the order in which these came,
// and gateways that lead only to each other lead nowhere.  What a change does not touch is not looked at
// again: a gateway's way needs the routes to it and the ways to the gateways that these name.  Pure.
// Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
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
    std::vector<IpAddr> asked;        ///< gateways whose ways had to do with it

    friend bool operator==(const GatewayWay&, const GatewayWay&) = default;
};

/// Calls visit(address) for those in `addresses`, a set or map of them, that are in `prefix`; true when
/// there were any.
template <Family F>
bool visit_inside(const Prefix<F>& prefix, const auto& addresses, auto visit) {
    const auto address_of = [](const auto& element) -> const IpAddr& {
        if constexpr (requires { element.second; }) {
            return element.first;
        } else {
            return element;
        }
    };
    bool any = false;
    for (auto at = addresses.lower_bound(IpAddr{prefix.address()});
         at != addresses.end() && contains(prefix, address_of(*at));
         ++at) {
        visit(address_of(*at));
        any = true;
    }
    return any;
}

class GatewayWays {
  public:
    /// The way to `gateway` by the routes, where `known` tells the ways to other gateways so far.
    using Step = std::function<GatewayWay(const IpAddr& gateway, const GatewayWays& known)>;

    /// A route of this prefix has changed; true when the way to a gateway may be another.
    template <Family F>
    bool touch(const Prefix<F>& prefix) {
        return visit_inside(
            prefix, ways_, [this](const IpAddr& gateway) { touched_.insert(gateway); });
    }

    /// Finds the ways to `gateways` that may be others than before, and forgets those to all others;
    /// answers to which they are.
    [[nodiscard]] std::set<IpAddr> find(
        const std::map<IpAddr, std::uint32_t>& gateways, const Step& step);

    /// The way to `gateway` as found; to one that was not asked for there is none.
    [[nodiscard]] const GatewayWay& operator[](const IpAddr& gateway) const;

  private:
    /// So many gateways may be behind each other.
    static constexpr unsigned kMostRounds = 5;

    void take_over(const std::map<IpAddr, std::uint32_t>& gateways);
    void look_at_routes(const Step& step, std::set<IpAddr>& moved, std::set<IpAddr>& open);
    void add_dependents(const std::set<IpAddr>& moved, std::set<IpAddr>& open) const;
    void add_needed(std::set<IpAddr>& open) const;
    void find_in_rounds(const std::set<IpAddr>& open, const Step& step, std::set<IpAddr>& moved);

    std::map<IpAddr, GatewayWay> ways_;
    /// Gateways behind others, and those whose ways may matter to theirs.
    std::map<IpAddr, std::vector<IpAddr>> behind_;
    std::set<IpAddr> touched_;  ///< to be found anew
};

}  // namespace vr
