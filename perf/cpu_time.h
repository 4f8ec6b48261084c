// CPU time, for benchmarks: the machines that they run on are shared, and wall time would measure the
// neighbours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <time.h>

namespace vr::perf {

/// Seconds of CPU that this thread has used.
[[nodiscard]] inline double cpu_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace vr::perf
