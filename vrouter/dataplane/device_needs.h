// What a device of the config needs from this machine before DPDK can open it.
//
// Drivers report a missing interface as "Operation not permitted" or worse; what can be seen from
// outside is told in words here, for --check and beside DPDK's own errors.  No DPDK.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace vr {

/// What is missing for `device` (written as in EthdevSettings) and what to do about it; nothing when
/// nothing is known to be missing.
[[nodiscard]] std::optional<std::string> missing_for(const std::string& device);

}  // namespace vr
