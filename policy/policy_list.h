// PolicyList: what guards an endpoint in one direction, in order; a host endpoint has one for each hook.
// Endpoints with equal lists share one program.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "policy/model.h"

namespace vr::policy {

struct TierPolicies {
    std::string name;
    TierDefault default_action = TierDefault::Deny;
    bool closed = false;  ///< Tier::closed
    std::vector<Key> policies;

    friend auto operator<=>(const TierPolicies&, const TierPolicies&) = default;
};

/// What passes a host endpoint's policy by.
struct Failsafes {
    std::vector<FailsafePort> opened;   ///< to these ports
    std::vector<FailsafePort> answers;  ///< from these ports: what comes back, where no flow tells

    friend auto operator<=>(const Failsafes&, const Failsafes&) = default;
};

struct PolicyList {
    Direction direction = Direction::Ingress;
    std::optional<HostHook> hook;  ///< of a host endpoint; absent: of a workload endpoint
    Failsafes failsafes;
    std::vector<TierPolicies> tiers;    ///< those with at least one policy
    std::vector<std::string> profiles;  ///< in the order of the endpoint

    friend auto operator<=>(const PolicyList&, const PolicyList&) = default;
};

}  // namespace vr::policy
