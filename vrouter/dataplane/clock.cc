// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/clock.h"

#include <rte_cycles.h>

namespace vr {

FlowTick flow_now() noexcept {
    return static_cast<FlowTick>(rte_rdtsc() / (rte_get_tsc_hz() / 4));
}

std::uint64_t bucket_now() noexcept {
    return bucket_time(rte_rdtsc());
}

std::uint64_t bucket_hz() noexcept {
    return bucket_time(rte_get_tsc_hz());
}

}  // namespace vr
