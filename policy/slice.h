// Slice: how long some work may hold up the loop.  What is left is in its queues, for the next turn.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <utility>

namespace vr::policy {

class Slice {
  public:
    using Clock = std::chrono::steady_clock;

    /// Never over.
    Slice() = default;

    /// From now on.
    explicit Slice(std::chrono::microseconds length) : end_(Clock::now() + length) {}

    [[nodiscard]] bool is_over() const { return Clock::now() >= end_; }

    /// Takes one after the other out of `queue` (a set or map, in its order) and does `step` with it: once at
    /// least, then while the slice lasts.  False when the slice is over.
    template <typename Queue, typename Step>
    [[nodiscard]] bool drain(Queue& queue, Step step) const {
        while (!queue.empty()) {
            auto node = queue.extract(queue.begin());
            step(node);
            if (is_over()) {
                return false;
            }
        }
        return true;
    }

  private:
    Clock::time_point end_ = Clock::time_point::max();
};

}  // namespace vr::policy
