// NextHops: every next hop and ECMP group of the router, interned and counted; the master copy of
// Tables::next_hops and Tables::groups.
//
// A route names a next hop by id; what that id leads to may change (a neighbor resolves, a gateway moves
// to another port) without touching the routes that name it: losing one member of a group rewrites the
// group, not its prefixes.  Gateway sets that lead to the same stations share one path list: what happens to a
// station costs one visit of each list that has it, and a written entry per set.  Of several stations those get
// the traffic that are there and not to be avoided; when there are none, all.  Pure: told of ports, neighbors
// and ways, asked for the arrays.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "vrouter/dataplane/sweeps.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"

namespace vr {

enum class IpFamily : std::uint8_t { Ip4, Ip6 };

template <Family F>
inline constexpr IpFamily kFamilyOf = std::is_same_v<F, V4> ? IpFamily::Ip4 : IpFamily::Ip6;

/// A station on a port: resolved by ARP or ND.
struct Adjacency {
    PortId port;
    IpAddr address;
    /// IPv4 packets go to this IPv6 station (RFC 8950): the same station, another link header.
    bool carries_ip4 = false;

    friend auto operator<=>(const Adjacency&, const Adjacency&) = default;
};

/// A directly connected network: each destination is its own neighbor.
struct Connected {
    PortId port;
    IpFamily family = IpFamily::Ip4;

    friend auto operator<=>(const Connected&, const Connected&) = default;
};

/// A floating address: translated to that of `station`, a workload's, and sent there.
struct Floating {
    Adjacency station;
    TranslationId translation;  ///< of the workload's endpoint

    friend auto operator<=>(const Floating&, const Floating&) = default;
};

/// The router's own addresses; everything that is not echo goes to the host.
struct LocalDelivery {
    IpFamily family = IpFamily::Ip4;

    friend auto operator<=>(const LocalDelivery&, const LocalDelivery&) = default;
};

struct Discard {
    friend auto operator<=>(const Discard&, const Discard&) = default;
};

/// One or more gateways, each reached as the routes say; several share the traffic.  Sorted, no doubles.
/// A link-local one carries its port (zone.h).
struct Gateways {
    std::vector<IpAddr> addresses;
    bool for_ip4 = false;  ///< IPv4 routes over IPv6 gateways

    friend auto operator<=>(const Gateways&, const Gateways&) = default;
};

/// The address of a gateway for people: a link-local one without its port.
[[nodiscard]] std::string gateway_text(const IpAddr& gateway);

/// Where a route leads, in words.
using RouteTarget = std::variant<Adjacency, Connected, LocalDelivery, Discard, Gateways, Floating>;

[[nodiscard]] std::string to_string(const RouteTarget& target);

class NextHops {
  public:
    /// What link headers need of a port.
    struct Link {
        Mac mac;
        std::uint16_t mtu = 1500;
        PortKind kind = PortKind::Fabric;
    };

    NextHops();
    NextHops(const NextHops&) = delete;  // path lists are named by their place
    NextHops& operator=(const NextHops&) = delete;

    /// The id of `target`, counted; a new one starts unresolved.
    [[nodiscard]] NextHopId acquire(const RouteTarget& target);

    /// Counts it once more.
    void hold(NextHopId id) { ++slots_[id.value()].references; }

    /// Gives one count back; the id is free again when none is left.
    void release(NextHopId id);

    /// Tells what a port's frames look like / that the port is gone.
    void set_port(PortId port, Link link);
    void remove_port(PortId port);

    /// The host's TAP and the MAC address of its kernel side; PortId{}: no host path.
    void set_host(PortId port, Mac kernel);

    /// A neighbor's link address is known / is not any more.
    void resolved(const Adjacency& neighbor, Mac mac);
    void lost(const Adjacency& neighbor);

    /// Traffic that can do without this gateway, or what is behind it, takes another one, until told
    /// otherwise.
    void avoid(const IpAddr& gateway, bool avoid);

    /// A gateway in use is reached by these stations from now on, ascending; by none: not at all.  The sets
    /// that it is in follow with settle().
    void lead(const IpAddr& gateway, std::vector<Adjacency> stations);

    /// Lets about `most` sets follow their gateways, and as many that are new.  Those of which all gateways are
    /// known, that is; others wait.  Returns the ids that became usable or unusable.
    [[nodiscard]] std::vector<NextHopId> settle(std::size_t most);

    /// True while the stations of a set are to be found, or are other ones by now.
    [[nodiscard]] bool unsettled() const {
        return unsettled_sets_ != 0 || !due_.empty() || !moved_.empty();
    }

    /// True when some set names it.
    [[nodiscard]] bool in_use(const IpAddr& gateway) const { return vias_.contains(gateway); }

    /// True when lead() was called since then.
    [[nodiscard]] bool is_led(const IpAddr& gateway) const;

    /// Gateways of which that has changed since the last call, perhaps to and fro.
    [[nodiscard]] std::vector<IpAddr> take_gateway_changes() {
        return std::exchange(gateway_changes_, {});
    }

    /// False: it is a set whose stations were not found yet.
    [[nodiscard]] bool is_settled(NextHopId id) const {
        const Slot& slot = slots_[id.value()];
        return slot.paths != nullptr || !std::holds_alternative<Gateways>(slot.target);
    }

    /// False: routes to it must not be installed (no gateway of it is reachable).
    [[nodiscard]] bool usable(NextHopId id) const;

    [[nodiscard]] const RouteTarget& target(NextHopId id) const;

    /// True when something leads to this port, or may be found to: an id, or the way to a gateway in use.
    [[nodiscard]] bool names(PortId port) const { return named_.contains(port); }

    /// True while the id means what it meant when its entry had that NextHop::use.
    [[nodiscard]] bool is_same(NextHopId id, std::uint16_t use) const {
        return id.value() < entries_.size() && entries_[id.value()].use == use;
    }

    /// The station to resolve for a packet to `destination` that found `id` unresolved.
    [[nodiscard]] std::optional<Adjacency> station(NextHopId id, const IpAddr& destination) const;

    /// The id under which frames to this station can be sent, if any route or gateway uses it.
    [[nodiscard]] std::optional<NextHopId> find(const Adjacency& neighbor) const;

    /// The stations that gateways lead to now.
    [[nodiscard]] std::vector<Adjacency> gateway_stations() const;

    /// The stations of a gateway set that get traffic now, as often as gateways lead to them.
    [[nodiscard]] std::vector<NextHopId> members(NextHopId id) const;

    /// The arrays as workers should see them.
    [[nodiscard]] const std::vector<NextHop>& entries() const { return entries_; }

    [[nodiscard]] const std::vector<NextHopGroup>& groups() const { return groups_; }

    /// True when the arrays changed since the last call.
    [[nodiscard]] bool take_changes() { return std::exchange(changed_, false); }

  private:
    /// A station of a path list.
    struct Path {
        Adjacency station;
        bool avoided = false;      ///< all gateways that lead to it are
        std::uint32_t weight = 1;  ///< how many do

        friend auto operator<=>(const Path&, const Path&) = default;
    };

    /// By station, each once: sets that lead to the same ones have equal paths.
    using Paths = std::vector<Path>;

    /// What sets with equal paths share; the entries of these sets are copies of `entry`.
    struct PathList {
        std::vector<NextHopId> stations;  ///< of the paths, counted
        std::vector<NextHopId> in_use;    ///< those that get traffic, as often as their weights say
        std::optional<std::uint32_t> group;
        NextHop entry;
        std::vector<NextHopId> sets;
    };

    using PathLists = std::map<Paths, PathList>;

    struct Slot {
        RouteTarget target;
        std::uint32_t references = 0;
        NextHopId behind;  ///< Floating: its station, counted
        // Gateways:
        PathLists::value_type* paths = nullptr;  ///< null: not settled
        std::size_t place = 0;                   ///< in PathList::sets
        bool is_due = false;                     ///< stands in fresh_ or due_
        std::uint16_t use = 0;                   ///< NextHop::use
    };

    /// A gateway that sets name.
    struct Via {
        std::vector<Adjacency> stations;
        bool is_led = false;  ///< they are known
        std::set<NextHopId> sets;
    };

    [[nodiscard]] NextHopId allocate(const RouteTarget& target);
    void add_gateways(NextHopId id, const Gateways& gateways);
    void forget_gateways(NextHopId id, const Gateways& gateways);
    void make_due(NextHopId id);
    void make_sets_due(std::size_t most);
    void take_due(std::deque<NextHopId>& due, std::size_t cost, std::vector<NextHopId>& flipped);
    /// Nothing: a gateway is not led yet.
    [[nodiscard]] std::optional<std::size_t> members_of(const Gateways& gateways) const;
    [[nodiscard]] Paths paths_of(const Gateways& gateways) const;
    static void add_path(Paths& paths, const Path& path);
    void join(NextHopId id, Paths paths);
    void leave(NextHopId id);
    void open(PathLists::value_type& paths);
    void close(PathLists::value_type& paths);
    [[nodiscard]] std::vector<NextHopId> choose(const PathLists::value_type& paths) const;
    void refresh_paths(PathLists::value_type& paths);
    void refresh(NextHopId id);
    void refresh_port(PortId port);
    void refresh_local();
    void refresh_station(const Adjacency& neighbor);
    void count_name(PortId port, int difference);
    [[nodiscard]] const IpAddr& address_of(NextHopId station) const;
    [[nodiscard]] NextHop local(IpFamily family) const;
    [[nodiscard]] NextHop station_entry(const Adjacency& neighbor) const;
    void set_entry(NextHopId id, const NextHop& meaning);

    std::vector<NextHop> entries_;
    std::vector<NextHopGroup> groups_;
    std::deque<Slot> slots_;  ///< does not move when it grows
    std::vector<NextHopId> free_;
    std::vector<std::uint32_t> free_groups_;
    std::map<RouteTarget, NextHopId> by_target_;
    std::map<Adjacency, Mac> resolved_;
    std::map<PortId, Link> ports_;
    std::map<PortId, std::uint32_t> named_;  ///< how often
    std::map<IpAddr, Via> vias_;
    PathLists path_lists_;
    std::map<NextHopId, std::set<PathLists::value_type*>> stations_;  ///< of path lists
    std::vector<IpAddr> gateway_changes_;
    std::size_t unsettled_sets_ = 0;
    // Sets whose paths are to be found; some may have left since, and their ids be used again.
    std::deque<NextHopId> fresh_;  ///< that are new
    std::deque<NextHopId> due_;
    Sweeps<IpAddr, NextHopId> moved_;  ///< gateways whose sets are to get there
    std::set<IpAddr> avoided_;
    PortId host_port_;
    Mac host_mac_;
    bool changed_ = true;
};

}  // namespace vr
