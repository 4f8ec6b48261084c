// Clocks made of the time stamp counter, which all cores share: the coarse one that flows are aged by, and
// the fine one of token buckets.  Workers and the control thread read the same ones.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vrouter/dataplane/flow_table.h"

namespace vr {

/// Ticks of 250 ms.  Workers keep their own copy of the divisor and read it once per round.
[[nodiscard]] FlowTick flow_now() noexcept;

/// Sixteenths of a cycle: fine enough for the cost of a small packet at 100 Gbit/s.
[[nodiscard]] constexpr std::uint64_t bucket_time(std::uint64_t tsc) noexcept {
    return tsc << 4U;
}

[[nodiscard]] std::uint64_t bucket_now() noexcept;

/// How many of them a second has.
[[nodiscard]] std::uint64_t bucket_hz() noexcept;

}  // namespace vr
