// PolicyLogTerms: how Log rules are written, POLICY 2.7.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace vr {

/// What FelixConfiguration says: logPrefix, logActionRateLimit and logActionRateLimitBurst.
struct PolicyLogTerms {
    std::string prefix = "calico-packet";  ///< see log_prefix()
    std::optional<double> rate;            ///< lines a second; none: as many as the router manages
    std::uint32_t burst = 5;               ///< lines; only with a rate

    friend bool operator==(const PolicyLogTerms&, const PolicyLogTerms&) = default;
};

}  // namespace vr
