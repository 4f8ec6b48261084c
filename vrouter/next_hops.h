// NextHops: every next hop and ECMP group of the router, interned and counted; the master copy of
// Tables::next_hops and Tables::groups.
//
// A route names a next hop by id; what that id leads to may change (a neighbor resolves, a gateway moves
// to another port) without touching the routes that name it: losing one member of a group rewrites the
// group, not its prefixes.  Of several stations those get the traffic that are there and not to be
// avoided; when there are none, all.  Pure: told of ports and neighbors, asked for the arrays.  Control
// thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "vrouter/dataplane/tables.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/sweeps.h"

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

    /// The stations that a gateway is reached by, by the routes.  None: unreachable now; nothing: they are
    /// not known yet.
    using Resolve = std::function<std::optional<std::vector<Adjacency>>(const IpAddr& gateway)>;

    NextHops();

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

    /// The stations of this one are others now: the sets that it is in are to be resolved.
    void moved(const IpAddr& gateway) { moved_.start(gateway); }

    /// Finds the stations of about `most` sets with gateways that moved, and of as many that are new.  Returns
    /// the ids that became usable or unusable.
    [[nodiscard]] std::vector<NextHopId> resolve_gateways(const Resolve& resolve, std::size_t most);

    /// True while there are sets to be resolved.
    [[nodiscard]] bool unresolved() const { return !unsettled_.empty() || !moved_.empty(); }

    /// True when some set names it.
    [[nodiscard]] bool in_use(const IpAddr& gateway) const;

    /// Gateways of which that has changed since the last call, perhaps to and fro.
    [[nodiscard]] std::vector<IpAddr> take_gateway_changes() {
        return std::exchange(gateway_changes_, {});
    }

    /// False: it is a set whose stations were not found yet.
    [[nodiscard]] bool is_settled(NextHopId id) const {
        const Slot& slot = slots_[id.value()];
        return slot.settled || !std::holds_alternative<Gateways>(slot.target);
    }

    /// False: routes to it must not be installed (no gateway of it is reachable).
    [[nodiscard]] bool usable(NextHopId id) const;

    [[nodiscard]] const RouteTarget& target(NextHopId id) const;

    /// The station to resolve for a packet to `destination` that found `id` unresolved.
    [[nodiscard]] std::optional<Adjacency> station(NextHopId id, const IpAddr& destination) const;

    /// The id under which frames to this station can be sent, if any route or gateway uses it.
    [[nodiscard]] std::optional<NextHopId> find(const Adjacency& neighbor) const;

    /// The stations that gateways lead to now.
    [[nodiscard]] std::vector<Adjacency> gateway_stations() const;

    /// The stations of a gateway set that get traffic now.
    [[nodiscard]] std::vector<NextHopId> members(NextHopId id) const;

    /// The arrays as workers should see them.
    [[nodiscard]] const std::vector<NextHop>& entries() const { return entries_; }

    [[nodiscard]] const std::vector<NextHopGroup>& groups() const { return groups_; }

    /// True when the arrays changed since the last call.
    [[nodiscard]] bool take_changes() { return std::exchange(changed_, false); }

  private:
    struct Slot {
        RouteTarget target;
        std::uint32_t references = 0;
        std::vector<NextHopId> members;  ///< Gateways, Floating: adjacencies, counted
        std::vector<IpAddr> via;         ///< the gateway that each of them is
        std::vector<NextHopId> in_use;   ///< those of them that get traffic
        std::optional<std::uint32_t> group;
        bool settled = false;  ///< Gateways: resolved once
    };

    [[nodiscard]] NextHopId allocate();
    void add_gateways(NextHopId id, const Gateways& gateways);
    void forget_gateways(NextHopId id, const Gateways& gateways);
    void take_new_sets(const Resolve& resolve, std::size_t most, std::vector<NextHopId>& due);
    void take_moved_sets(std::size_t most, std::vector<NextHopId>& due);
    [[nodiscard]] bool resolve_set(NextHopId id, const Resolve& resolve);
    void refresh(NextHopId id);
    void refresh_gateways(NextHopId id);
    [[nodiscard]] const IpAddr& address_of(NextHopId station) const;
    [[nodiscard]] std::vector<NextHopId> choose(const Slot& slot) const;
    [[nodiscard]] NextHop local(IpFamily family) const;
    [[nodiscard]] NextHop station_entry(const Adjacency& neighbor) const;
    void set_entry(NextHopId id, const NextHop& entry);
    void refresh_station(const Adjacency& neighbor);
    void refresh_users_of(NextHopId station);
    [[nodiscard]] std::vector<NextHopId> users_of(NextHopId station) const;
    void leave_stations(const std::vector<NextHopId>& members);

    std::vector<NextHop> entries_;
    std::vector<NextHopGroup> groups_;
    std::vector<Slot> slots_;
    std::vector<NextHopId> free_;
    std::vector<std::uint32_t> free_groups_;
    std::map<RouteTarget, NextHopId> by_target_;
    std::map<Adjacency, Mac> resolved_;
    std::map<PortId, Link> ports_;
    std::set<NextHopId> gateways_;
    std::set<std::pair<IpAddr, NextHopId>> sets_of_;  ///< gateways, and the sets that they are in
    std::map<NextHopId, std::uint32_t> stations_;     ///< of sets, counted
    std::vector<IpAddr> gateway_changes_;
    std::deque<NextHopId> unsettled_;  ///< sets that are new
    Sweeps<IpAddr, NextHopId> moved_;
    std::set<IpAddr> avoided_;
    PortId host_port_;
    Mac host_mac_;
    bool changed_ = true;
};

}  // namespace vr
