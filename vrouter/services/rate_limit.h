// Token buckets: how many packets per second the router may originate, per port and in total.
//
// Kept as the theoretical arrival time of the next conforming packet (the generic cell rate
// algorithm), so a bucket is one time stamp and never needs refilling.  Time is passed in and may
// stand still; it never goes back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "vrouter/net/ids.h"

namespace vr {

/// A point on the control thread's monotonic clock, always passed in.
using TimePoint = std::chrono::steady_clock::time_point;

/// So many per second in the long run, `burst` at once after silence.  Neither is 0.
struct Rate {
    std::uint32_t per_second = 100;
    std::uint32_t burst = 100;
};

class TokenBucket {
  public:
    explicit TokenBucket(Rate rate) noexcept
        : interval_(std::chrono::nanoseconds{1'000'000'000} / std::max(rate.per_second, 1U)),
          tolerance_(interval_ * (std::max(rate.burst, 1U) - 1)) {}

    /// True when one token is there; takes none.
    [[nodiscard]] bool ready(TimePoint now) const noexcept { return next_ - now <= tolerance_; }

    /// Takes a token; false when none is there.
    [[nodiscard]] bool take(TimePoint now) noexcept {
        if (!ready(now)) {
            return false;
        }
        next_ = std::max(next_, now) + interval_;
        return true;
    }

  private:
    std::chrono::nanoseconds interval_;
    std::chrono::nanoseconds tolerance_;
    TimePoint next_;  // the clock's epoch: long ago
};

/// A bucket per port inside one for all: a busy port is refused before it takes from the others.
class RateLimiter {
  public:
    RateLimiter(Rate per_port, Rate total) noexcept : per_port_(per_port), total_(total) {}

    [[nodiscard]] bool allow(PortId port, TimePoint now) {
        TokenBucket& mine = ports_.try_emplace(port, per_port_).first->second;
        return total_.ready(now) && mine.take(now) && total_.take(now);
    }

    /// Forgets a port that is gone.
    void remove_port(PortId port) { ports_.erase(port); }

  private:
    Rate per_port_;
    TokenBucket total_;
    std::unordered_map<PortId, TokenBucket> ports_;  // bounded: a PortId has 16 bits
};

}  // namespace vr
