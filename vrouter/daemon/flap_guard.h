// FlapGuard: next hops that come and go too often are kept away for a while.
//
// Where BGP's next hops are reached over BGP's own routes, two routes may take each other's place for
// ever: the better one makes its own next hop unreachable.  Whoever does so a few times within seconds is
// taken for unreachable for a minute.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "vrouter/net/addr.h"

namespace vr::daemon {

class FlapGuard {
  public:
    using Time = std::chrono::steady_clock::time_point;

    static constexpr unsigned kMostFlips = 8;  ///< within kWindow
    static constexpr std::chrono::seconds kWindow{10};
    static constexpr std::chrono::seconds kHold{60};

    /// The next hop can be reached and could not before, or the other way round.
    void flipped(const IpAddr& next_hop, Time now);

    /// True: to be taken for unreachable.
    [[nodiscard]] bool holds(const IpAddr& next_hop, Time now) const;

    /// When one that is held may be reached again.
    [[nodiscard]] std::optional<Time> next_release(Time now) const;

  private:
    /// A peer that invents next hops makes us forget, not grow.
    static constexpr std::size_t kMostWatched = 4096;

    struct Flips {
        Time since;
        unsigned count = 0;
        Time held_until{};
    };

    std::map<IpAddr, Flips> flips_;
};

}  // namespace vr::daemon
