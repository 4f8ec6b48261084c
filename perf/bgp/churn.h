// Churn: routes that come and go one by one, and how long it takes until a receiver has heard of each change.
//
// A route whose change is under way is left alone, so that every change is heard.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "perf/bgp/session.h"

namespace vr::perf {

class Churn {
  public:
    /// All routes are there at the beginning.
    explicit Churn(std::size_t routes) : present_(routes, true), told_at_(routes) {}

    /// The route comes or goes: answers which, or nothing while its last change is under way.
    [[nodiscard]] std::optional<bool> flip(std::size_t route, Clock::time_point now) {
        if (told_at_[route]) {
            return std::nullopt;
        }
        told_at_[route] = now;
        present_[route] = !present_[route];
        ++under_way_;
        return present_[route];
    }

    void heard(std::size_t route, bool announced, Clock::time_point now) {
        if (told_at_[route] && present_[route] == announced) {
            lags_.push_back(now - *told_at_[route]);
            told_at_[route].reset();
            --under_way_;
        }
    }

    /// True when the receiver knows the routes that there are, and no others.
    [[nodiscard]] bool all_heard() const noexcept { return under_way_ == 0; }

    [[nodiscard]] std::size_t changes() const noexcept { return lags_.size(); }

    /// That `share` of the changes were heard within; at least one was.
    [[nodiscard]] Clock::duration lag(double share) {
        const auto rank = static_cast<std::size_t>(share * static_cast<double>(lags_.size() - 1));
        const auto at = lags_.begin() + static_cast<std::ptrdiff_t>(rank);
        std::ranges::nth_element(lags_, at);
        return *at;
    }

  private:
    std::vector<bool> present_;
    std::vector<std::optional<Clock::time_point>> told_at_;  ///< while nobody has heard of it
    std::size_t under_way_ = 0;
    std::vector<Clock::duration> lags_;
};

}  // namespace vr::perf
