// The coarse clock that flows are aged by: workers and the control thread read the same one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vrouter/dataplane/flow_table.h"

namespace vr {

/// Ticks of 250 ms of the time stamp counter, which all cores share.  Workers keep their own copy of
/// the divisor and read it once per round.
[[nodiscard]] FlowTick flow_now() noexcept;

}  // namespace vr
