// SPDX-License-Identifier: Apache-2.0
#include "vrouter/turns.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include <boost/asio/io_context.hpp>

namespace vr {

namespace {

/// Does not go on while the thread sleeps.
Turns::Duration thread_time() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

}  // namespace

void Turns::add(Duration took) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, took.count()));
    // Below 2^(kFine+1) a bucket is one nanosecond wide; above, an eighth of a power of two.
    const unsigned width = static_cast<unsigned>(std::bit_width(ns));
    const unsigned shift = width > kFine + 1 ? width - kFine - 1 : 0;
    ++buckets_[(std::size_t{shift} << kFine) + (ns >> shift)];
    ++count_;
    if (took > kGoal) {
        const int core = sched_getcpu();
        latest_[slow_++ % kLatest] = Slow{
            .ended = std::chrono::steady_clock::now(),
            .took = took,
            .core = core < 0 ? 0U : static_cast<unsigned>(core)};
    }
    longest_ = std::max(longest_, took);
}

Turns::Duration Turns::quantile(double quantile) const noexcept {
    auto left = static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(count_)));
    for (std::size_t i = 0; i < kBuckets && left > 0; ++i) {
        if (buckets_[i] < left) {
            left -= buckets_[i];
            continue;
        }
        constexpr std::size_t kExact = std::size_t{2} << kFine;
        const std::size_t shift = i < kExact ? 0 : (i >> kFine) - 1;
        const std::uint64_t first = i - (shift << kFine);
        const auto last = static_cast<std::int64_t>(((first + 1) << shift) - 1);
        return std::min(Duration{last}, longest_);
    }
    return Duration{};
}

std::vector<Turns::Slow> Turns::latest() const {
    std::vector<Slow> turns;
    for (std::uint64_t n = slow_ - std::min<std::uint64_t>(slow_, kLatest); n < slow_; ++n) {
        turns.push_back(latest_[n % kLatest]);
    }
    return turns;
}

void run(boost::asio::io_context& loop, LoopTimes& times) {
    Turns::Duration cpu = thread_time();
    const auto worked = [&cpu] {
        const Turns::Duration before = std::exchange(cpu, thread_time());
        return cpu - before;
    };
    while (!loop.stopped()) {
        const auto begin = std::chrono::steady_clock::now();
        if (loop.poll_one() != 0) {
            times.wall.add(std::chrono::steady_clock::now() - begin);
            times.cpu.add(worked());
        } else if (!loop.stopped() && loop.run_one() != 0) {
            const Turns::Duration took = worked();
            times.wall.add(took);
            times.cpu.add(took);
        }
    }
}

}  // namespace vr
