// RouteTable: all routes of the router, whoever brings them; the best of each prefix is in the FIB.
//
// Sources have an order of preference; several may offer the same prefix.  A route over gateways is
// installed only while a gateway is reachable, over other gateways where need be.  Routes that BGP brought
// reach gateways, too, but none that is in a connected network.
// Changes are staged and take effect with commit(), which keeps one promise: a next hop is visible to
// every worker before any FIB entry names it.  Nothing here takes longer because the table is large: when
// a gateway set becomes usable or unusable, the routes over it are looked for in slices.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "vrouter/dataplane/lpm.h"
#include "vrouter/gateways.h"
#include "vrouter/net/prefix.h"
#include "vrouter/next_hops.h"

namespace vr {

/// Who brings a route, most preferred first.
enum class RouteSource : std::uint8_t {
    Local,      ///< an address of the router
    Workload,   ///< an address of a local workload
    Connected,  ///< a network that a port is in
    Neighbor,   ///< a station of a connected network, by ARP or ND
    Static,     ///< from the config
    EBgp,
    IBgp,
};

inline constexpr std::size_t kRouteSources = 7;

[[nodiscard]] std::string_view to_string(RouteSource source);

[[nodiscard]] constexpr bool is_of_bgp(RouteSource source) {
    return source == RouteSource::EBgp || source == RouteSource::IBgp;
}

/// One route as operators see it.
struct RouteView {
    IpPrefix prefix;
    RouteSource source = RouteSource::Static;
    RouteTarget target;
    bool active = false;  ///< in the FIB
};

/// What a commit() may have changed of the ways to gateways.
struct ChangedWays {
    std::set<IpAddr> gateways;  ///< in use: these lead elsewhere
    std::set<IpAddr> watched;   ///< watched addresses to which routes changed

    /// True when the way to `address` may be another; `asked`: those that it had to do with.
    [[nodiscard]] bool concern(const IpAddr& address, const std::vector<IpAddr>& asked) const;
};

class RouteTable {
  public:
    /// Hands the next hops to the workers; when it returns with `wait`, every worker has seen them.
    using Publish = std::function<void(bool wait)>;

    RouteTable(Lpm<V4>& fib4, Lpm<V6>& fib6);
    RouteTable(const RouteTable&) = delete;
    RouteTable& operator=(const RouteTable&) = delete;
    RouteTable(RouteTable&&) = delete;
    RouteTable& operator=(RouteTable&&) = delete;
    ~RouteTable();

    /// Adds or replaces the route of `source` to `prefix`.
    template <Family F>
    void set(const Prefix<F>& prefix, RouteSource source, const RouteTarget& target);

    template <Family F>
    void remove(const Prefix<F>& prefix, RouteSource source);

    void set(const IpPrefix& prefix, RouteSource source, const RouteTarget& target);
    void remove(const IpPrefix& prefix, RouteSource source);

    /// Traffic that can do without this gateway takes another one, until told otherwise.  With the next
    /// commit(); no route changes.
    void avoid(const IpAddr& gateway, bool avoid) { next_hops_.avoid(gateway, avoid); }

    /// Makes everything staged visible: next hops first, by `publish`, then the FIB.
    void commit(const Publish& publish);

    /// True while something waits for commit(), perhaps again.
    [[nodiscard]] bool dirty() const;

    /// Calls `changed` at the end of every commit() that may have changed the way to a gateway in use or
    /// to a watched address; it must not change routes itself.
    void watch_ways(std::function<void(const ChangedWays&)> changed) {
        on_ways_ = std::move(changed);
    }

    /// How this one is reached matters to somebody from now on / all do / none does any more.
    void watch(const IpAddr& gateway) { watched_.insert(gateway); }

    void watch_all() { watches_all_ = true; }

    void forget_watched() {
        watched_.clear();
        changed_.watched.clear();
        watches_all_ = false;
    }

    /// How a gateway is reached now; over gateways behind it as of the last commit().
    [[nodiscard]] GatewayWay way_to(const IpAddr& gateway) const { return step(gateway, ways_); }

    [[nodiscard]] bool reachable(const IpAddr& gateway) const {
        return !way_to(gateway).stations.empty();
    }

    /// The route that decides for `destination`.
    [[nodiscard]] std::optional<RouteView> lookup(const IpAddr& destination) const;

    /// Calls `visit` for every route of every source, in no order.
    void for_each(const std::function<void(const RouteView&)>& visit) const;

    /// Where a walk in slices goes on; made by default: at the beginning.
    struct Cursor {
        std::size_t shard = 0;
        bool ip6 = false;
    };

    /// The same for a slice of about `most` prefixes; false when it was the last.  A table that grows
    /// between slices may be seen in part twice or not at all.
    [[nodiscard]] bool visit_slice(
        Cursor& cursor, std::size_t most, const std::function<void(const RouteView&)>& visit) const;

    /// Prefixes.
    [[nodiscard]] std::size_t size() const;

    /// FIB entries written or erased so far: what a change cost beyond the next hops.
    [[nodiscard]] std::uint64_t fib_changes() const { return fib_changes_; }

    [[nodiscard]] NextHops& next_hops() { return next_hops_; }

    [[nodiscard]] const NextHops& next_hops() const { return next_hops_; }

  private:
    /// All about one prefix, and about all prefixes of a family: in routes.cc.
    struct Entry;
    template <Family F>
    struct FamilyRoutes;

    template <Family F>
    [[nodiscard]] FamilyRoutes<F>& family();
    template <Family F>
    [[nodiscard]] const FamilyRoutes<F>& family() const;
    template <Family F>
    [[nodiscard]] GatewayWay step(typename F::Addr gateway, const GatewayWays& known) const;
    [[nodiscard]] GatewayWay step(const IpAddr& gateway, const GatewayWays& known) const;
    template <Family F>
    void stage(const Prefix<F>& prefix, Entry& entry);
    [[nodiscard]] NextHopId best(const Entry& entry) const;
    template <Family F, typename Visit>
    static bool walk(
        const FamilyRoutes<F>& routes, std::size_t& shard, std::size_t most, Visit visit);
    template <Family F>
    [[nodiscard]] bool visit_family(
        std::size_t& shard,
        std::size_t most,
        const std::function<void(const RouteView&)>& visit) const;
    template <Family F>
    [[nodiscard]] bool mark_users();
    void look_for_users();
    template <Family F>
    void apply();
    template <Family F>
    void note_change(const Prefix<F>& prefix);
    void settle_gateways();

    std::unique_ptr<FamilyRoutes<V4>> v4_;
    std::unique_ptr<FamilyRoutes<V6>> v6_;
    NextHops next_hops_;
    std::set<NextHopId>
        flipped_;        ///< became usable or not: routes over them are being looked for ...
    Cursor flipped_at_;  ///< ... and have been up to here
    std::vector<NextHopId> leaving_;  ///< replaced offers: released once the FIB names them no more
    std::uint64_t fib_changes_ = 0;
    GatewayWays ways_;
    bool ways_changed_ = false;
    std::set<IpAddr> watched_;
    bool watches_all_ = false;
    ChangedWays changed_;  ///< since the last commit()
    std::function<void(const ChangedWays&)> on_ways_;
};

}  // namespace vr
