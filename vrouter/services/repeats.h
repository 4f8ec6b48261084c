// Repeats: what happens over and over, and perhaps at a stranger's will, is told once in a while, with how
// often it happened untold.  Pure: the time comes in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace vr {

class Repeats {
  public:
    /// Between two times that it is told.
    static constexpr std::chrono::minutes kPause{1};

    /// It happened again.  When it is to be told now: how often it happened untold before.
    [[nodiscard]] std::optional<std::uint64_t> happened(std::chrono::steady_clock::time_point now) {
        if (told_ && now - *told_ < kPause) {
            ++untold_;
            return std::nullopt;
        }
        told_ = now;
        return std::exchange(untold_, 0);
    }

  private:
    std::optional<std::chrono::steady_clock::time_point> told_;
    std::uint64_t untold_ = 0;
};

}  // namespace vr
