// RouteTable: all routes of the router, whoever brings them; the best of each prefix is in the FIB.
//
// Sources have an order of preference; several may offer the same prefix.  A route over gateways is
// installed only while a gateway is reachable, over other gateways where need be.  Routes that BGP brought
// reach gateways, too, but none that is in a connected network.
// Changes are staged and take effect with commit(), which keeps two promises: a next hop is published
// before any FIB entry names it, so that whoever looks into the FIB first and at what is published then
// (Worker::newest()) finds it; and its id means nothing else while a worker may have it from the FIB.
// Nothing here waits, and nothing takes longer because the table is large: when a gateway set becomes usable
// or unusable, the routes over it are looked for in slices, and so are the gateways that a changed route leads
// to.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
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
    std::set<IpPrefix> routes;  ///< to watched addresses

    /// True when the way to `address` may be another; `asked`: those that it had to do with.
    [[nodiscard]] bool concern(const IpAddr& address, const std::vector<IpAddr>& asked) const;
};

class RouteTable {
  public:
    /// `readers`: who looks next hops of the FIB up.
    RouteTable(Lpm<V4>& fib4, Lpm<V6>& fib6, Reclaimer& readers);
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
    /// commit(); no route changes.  Told otherwise, with the commit() after which no route waits any more:
    /// what is in the FIB instead of one that waits may lead there.
    void avoid(const IpAddr& gateway, bool avoid);

    /// Makes everything staged visible: next hops first, by `publish`, then the FIB.  Of gateways that lead
    /// elsewhere because a route changed, it is a slice.
    void commit(const std::function<void()>& publish);

    /// True while something is left for commit(), perhaps again.
    [[nodiscard]] bool dirty() const;

    /// True while the FIB may lead where routes that were replaced led: what they name is still in use.
    [[nodiscard]] bool is_settling() const;

    /// True while packets may be led to the port by what is known of routes, now or when more of it is found.
    [[nodiscard]] bool names(PortId port) const { return next_hops_.names(port); }

    /// Calls `changed` at the end of every commit() that may have changed the way to a gateway in use or
    /// to a watched address; it must not change routes itself.
    void watch_ways(std::function<void(ChangedWays)> changed) { on_ways_ = std::move(changed); }

    /// How this one is reached matters to somebody from now on / all do / none does any more.
    void watch(const IpAddr& gateway) { watched_.insert(gateway); }

    void watch_all() { watches_all_ = true; }

    /// Answers who mattered, which may take long to free.
    [[nodiscard]] std::set<IpAddr> forget_watched() {
        changed_.routes.clear();
        watches_all_ = false;
        return std::exchange(watched_, {});
    }

    /// How a gateway is reached now; over gateways behind it as commit() has found so far.
    [[nodiscard]] GatewayWay way_to(const IpAddr& gateway) const {
        return step(
            gateway, [this](const IpAddr& other) -> const GatewayWay& { return ways_[other]; });
    }

    [[nodiscard]] bool reachable(const IpAddr& gateway) const {
        return !way_to(gateway).stations.empty();
    }

    /// True while commit() has ways to find or to tell: way_to() may not say yet what the present routes come to.
    [[nodiscard]] bool is_finding_ways() const { return ways_changed_ || ways_.pending(); }

    /// The route that decides for `destination`.
    [[nodiscard]] std::optional<RouteView> lookup(const IpAddr& destination) const;

    /// Where a walk in slices goes on; made by default: at the beginning.
    struct Cursor {
        std::size_t shard = 0;
        bool ip6 = false;
    };

    /// Calls `visit` for the routes of every source to a slice of about `most` prefixes, in no order; false
    /// when it was the last.
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
    struct Offer;
    struct Entry;
    template <Family F>
    struct FamilyRoutes;

    template <Family F>
    [[nodiscard]] FamilyRoutes<F>& family();
    template <Family F>
    [[nodiscard]] const FamilyRoutes<F>& family() const;
    template <Family F>
    [[nodiscard]] GatewayWay step(typename F::Addr gateway, const GatewayWays::Known& known) const;
    [[nodiscard]] GatewayWay step(const IpAddr& gateway, const GatewayWays::Known& known) const;
    template <Family F>
    void stage(const Prefix<F>& prefix, Entry& entry);
    [[nodiscard]] const Offer* best(const Entry& entry) const;
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
    [[nodiscard]] bool is_settled(const Entry& entry) const;
    template <Family F>
    void apply();
    template <Family F>
    void apply_waiting();
    template <Family F>
    void put_in_force(const Prefix<F>& prefix, Entry& entry);
    void end_avoiding();
    void release_some();
    template <Family F>
    void note_change(const Prefix<F>& prefix);
    [[nodiscard]] bool settle_gateways();

    Reclaimer& readers_;
    std::unique_ptr<FamilyRoutes<V4>> v4_;
    std::unique_ptr<FamilyRoutes<V6>> v6_;
    NextHops next_hops_;
    std::set<NextHopId>
        flipped_;        ///< became usable or not: routes over them are being looked for ...
    Cursor flipped_at_;  ///< ... and have been up to here
    /// Replaced offers, and what the FIB led to: released once nobody has them from the FIB.
    std::vector<NextHopId> leaving_;
    std::deque<NextHopId> released_;  ///< those that nobody has any more
    std::size_t to_release_ = 0;      ///< so many of them until the next commit()
    std::set<IpAddr> avoided_no_more_;
    std::uint64_t fib_changes_ = 0;
    GatewayWays ways_;
    bool ways_changed_ = false;  ///< or may have, and nobody was told
    std::set<IpAddr> watched_;
    bool watches_all_ = false;
    ChangedWays changed_;  ///< since the last commit()
    std::function<void(ChangedWays)> on_ways_;
};

}  // namespace vr
