// PolicyList: what guards an endpoint in one direction, in order.  Endpoints with equal lists share
// one program.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "policy/model.h"

namespace vr::policy {

struct TierPolicies {
    std::string name;
    TierDefault default_action = TierDefault::Deny;
    std::vector<Key> policies;

    friend auto operator<=>(const TierPolicies&, const TierPolicies&) = default;
};

struct PolicyList {
    Direction direction = Direction::Ingress;
    std::vector<TierPolicies> tiers;    ///< those with at least one policy
    std::vector<std::string> profiles;  ///< in the order of the endpoint

    friend auto operator<=>(const PolicyList&, const PolicyList&) = default;
};

}  // namespace vr::policy
