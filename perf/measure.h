// What every benchmark here reports: nanoseconds and TSC cycles per item, by CPU time of the thread.
//
// CPU time, because the machines these run on are shared: wall time would measure the neighbours.  TSC
// cycles are that time multiplied by the TSC's rate.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <chrono>
#include <cstdint>

#include "vrouter/dataplane/reclaim.h"

namespace vr::perf {

/// TSC ticks a second, measured once.
[[nodiscard]] inline double tsc_rate() {
    static const double rate = [] {
        using Clock = std::chrono::steady_clock;
        const auto begin = Clock::now();
        const std::uint64_t first = __rdtsc();
        while (Clock::now() - begin < std::chrono::milliseconds(20)) {
        }
        const auto ticks = static_cast<double>(__rdtsc() - first);
        return ticks / std::chrono::duration<double>(Clock::now() - begin).count();
    }();
    return rate;
}

/// Each iteration of `state` handled `items`.
inline void report(benchmark::State& state, double items) {
    using benchmark::Counter;
    constexpr auto kPerItem = static_cast<Counter::Flags>(
        static_cast<int>(Counter::kIsIterationInvariantRate) | static_cast<int>(Counter::kInvert));
    state.counters["time/item"] = Counter(items, kPerItem);
    state.counters["tsc/item"] = Counter(items / tsc_rate(), kPerItem);
}

}  // namespace vr::perf
