// What the speaker tells the machine, and what it asks: best routes out, next hops resolved in.
//
// The machine's route table implements both.  All calls come on the speaker's thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bgp/attributes.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {

/// A best route learnt from peers: traffic spreads over the next hops (ECMP).
struct LearntRoute {
    std::vector<IpAddr> next_hops;  ///< ascending, no duplicates, never empty
    PeerKind from = PeerKind::External;

    friend bool operator==(const LearntRoute&, const LearntRoute&) = default;
};

class RouteSink {
  public:
    RouteSink() = default;
    RouteSink(const RouteSink&) = delete;
    RouteSink& operator=(const RouteSink&) = delete;
    RouteSink(RouteSink&&) = delete;
    RouteSink& operator=(RouteSink&&) = delete;
    virtual ~RouteSink() = default;

    /// The best route of `prefix` is now this one.
    virtual void update(const IpPrefix& prefix, const LearntRoute& route) = 0;

    /// Peers no longer offer a usable route to `prefix`, or an own route is better.
    virtual void withdraw(const IpPrefix& prefix) = 0;

    /// Traffic that can do without this next hop shall take another one, from now until told otherwise: a
    /// peer there was lost, and its routes are leaving one by one.
    virtual void avoid(const IpAddr& /*next_hop*/, bool /*avoid*/) {}

    /// After a restart (SpeakerConfig::selection_deferral): every route that is still good has been
    /// told again, whatever else is left from before is stale.
    virtual void restart_done() {}
};

/// Next hops remembered by who asks and by who answers: some times those of a large fabric.  A peer that
/// invents more makes both forget and ask again, not grow.
inline constexpr std::size_t kMostNextHops = 16384;

class NextHopOracle {
  public:
    NextHopOracle() = default;
    NextHopOracle(const NextHopOracle&) = delete;
    NextHopOracle& operator=(const NextHopOracle&) = delete;
    NextHopOracle(NextHopOracle&&) = delete;
    NextHopOracle& operator=(NextHopOracle&&) = delete;
    virtual ~NextHopOracle() = default;

    /// Cost of reaching `next_hop` (RFC 4271 9.1.2.1), or nothing when it cannot be reached.  When an
    /// answer may have changed, tell Speaker::next_hops_changed().
    [[nodiscard]] virtual std::optional<std::uint32_t> metric(const IpAddr& next_hop) const = 0;

    /// The routes that the speaker itself brought and over which `next_hop` is reached, as known when
    /// metric() was last asked for it.  A path that took the place of one of them would lead over itself.
    [[nodiscard]] virtual std::vector<IpPrefix> way_to(const IpAddr& /*next_hop*/) const {
        return {};
    }

    /// False while the machine is still finding what the present routes come to: a next hop that is asked for
    /// may be reachable only later.  When that is over, tell Speaker::next_hops_changed(), if of none.
    [[nodiscard]] virtual bool is_settled() const { return true; }

    /// The link that we share with `peer`: link-local next hops that it names are on that one, and are
    /// asked for with it (zone.h).  Asked for a next hop that is on the same one: the peer reaches it itself.
    /// 0: none, or the peer's address is link-local itself: its other addresses are not known.
    [[nodiscard]] virtual Zone zone_to(const IpAddr& /*peer*/) const { return 0; }

    /// The link that we share with `address` for certain, which link-local addresses may be told of (RFC 2545
    /// 3); 0: none.
    [[nodiscard]] virtual Zone link_to(const IpAddr& address) const {
        return zone_of(address) != 0 ? zone_of(address) : zone_to(address);
    }

    /// Our link-local address on `link`, if `own` is our address there, too.
    [[nodiscard]] virtual std::optional<Ip6> link_local_beside(Ip6 /*own*/, Zone /*link*/) const {
        return std::nullopt;
    }

    /// The port by which packets to `destination` leave, for filters that ask for it; empty when that
    /// is not known.
    [[nodiscard]] virtual std::string interface_to(const IpAddr& /*destination*/) const {
        return {};
    }
};

/// Every next hop is reachable at no cost: for tests and speakers without a data plane.
class AnyNextHop : public NextHopOracle {
  public:
    [[nodiscard]] std::optional<std::uint32_t> metric(const IpAddr& /*next_hop*/) const override {
        return 0;
    }

    [[nodiscard]] Zone zone_to(const IpAddr& /*peer*/) const override { return 1; }

    [[nodiscard]] Zone link_to(const IpAddr& /*address*/) const override { return 0; }
};

}  // namespace vr::bgp
