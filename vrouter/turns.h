// Turns: how long the handlers of an event loop take, one after the other.
//
// While a handler runs, nothing else on its thread does: keepalives, timers and answers wait.  So every
// turn of the control thread's loop is timed, as a histogram with buckets of an eighth of a power of
// two: what is asked of it is right to 12 %.  Of the latest that took too long it is known when and where that was,
// so that they can be held against what else went on.  One thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace vr {

class Turns {
  public:
    using Duration = std::chrono::nanoseconds;

    /// What a turn should take at most.
    static constexpr std::chrono::milliseconds kGoal{2};

    /// A turn that has just ended.
    void add(Duration took) noexcept;

    /// Forgets all turns.
    void clear() noexcept { *this = Turns{}; }

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

    /// Turns beyond kGoal.
    [[nodiscard]] std::uint64_t slow() const noexcept { return slow_; }

    [[nodiscard]] Duration longest() const noexcept { return longest_; }

    /// The time that a share `quantile` of the turns did not exceed, rounded up to its bucket's end.
    [[nodiscard]] Duration quantile(double quantile) const noexcept;

    /// A turn beyond kGoal.
    struct Slow {
        std::chrono::steady_clock::time_point ended;
        Duration took{};
        unsigned core = 0;  ///< where it ended
    };

    /// The latest kLatest of them, the oldest first.
    [[nodiscard]] std::vector<Slow> latest() const;

    static constexpr std::size_t kLatest = 16;

  private:
    static constexpr unsigned kFine = 3;  ///< bits of a time that are kept below its highest
    static constexpr std::size_t kBuckets = (64 - kFine) << kFine;

    std::array<std::uint64_t, kBuckets> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t slow_ = 0;
    Duration longest_{};
    std::array<Slow, kLatest> latest_{};  ///< number n of slow_ is at n % kLatest
};

/// The turns of one loop, by the clock and by the thread's CPU time.  The first says what others waited,
/// the second what of that was ours, whoever else wanted the core.
struct LoopTimes {
    Turns wall;
    Turns cpu;
};

/// Runs `loop` until it is stopped or out of work, and counts its turns.  Of a turn that did not begin as
/// soon as the last one ended only the CPU time is known, and counts as both.
void run(boost::asio::io_context& loop, LoopTimes& times);

}  // namespace vr
