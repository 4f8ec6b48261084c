// FlapGuard: what comes and goes too often with BGP's own routes is kept away for a while.
//
// Where BGP's next hops are reached over BGP's own routes, two routes may take each other's place for
// ever: the better one makes its own next hop unreachable, or takes itself on the way to its next hop.
// A next hop that does so a few times within seconds is taken for unreachable for a minute; a route that
// does, for one that is on the way, so that it alone suffers.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <map>
#include <optional>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"

namespace vr::daemon {

class FlapGuard {
  public:
    using Time = std::chrono::steady_clock::time_point;

    static constexpr unsigned kMostFlips = 8;  ///< within kWindow
    static constexpr std::chrono::seconds kWindow{10};
    static constexpr std::chrono::seconds kHold{60};

    /// What comes and goes: a next hop altogether, or a route on the way to it.
    struct Subject {
        IpAddr next_hop;
        std::optional<IpPrefix> over;

        friend auto operator<=>(const Subject&, const Subject&) = default;
    };

    /// It came or went.  False: there are so many that some are not counted; all must go slowly.
    [[nodiscard]] bool flipped(const Subject& subject, Time now);

    /// True: to be taken for unreachable.
    [[nodiscard]] bool holds(const IpAddr& next_hop, Time now) const;

    /// To be taken for routes on the way to it; ascending.
    [[nodiscard]] std::vector<IpPrefix> held_over(const IpAddr& next_hop, Time now) const;

    /// When one that is held may be reached again.
    [[nodiscard]] std::optional<Time> next_release(Time now) const;

  private:
    /// A peer that invents next hops makes us forget, not grow.
    static constexpr std::size_t kMostWatched = 16384;

    struct Flips {
        Time since;
        unsigned count = 0;
        Time held_until{};
    };

    std::map<Subject, Flips> flips_;
    Time full_until_{};  ///< of what is held, there is no room for more
};

}  // namespace vr::daemon
