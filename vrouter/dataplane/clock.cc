// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/clock.h"

#include <rte_cycles.h>

namespace vr {

FlowTick flow_now() noexcept {
    return static_cast<FlowTick>(rte_rdtsc() / (rte_get_tsc_hz() / 4));
}

}  // namespace vr
