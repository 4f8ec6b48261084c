// One side of a rule, "source" or "destination": what match.cc needs of the rows of entity_rows().
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "policy/match.h"

namespace vr::policy {

[[nodiscard]] Result<void> parse_side(const Field& field, EntityMatch& into);

/// The reference's meaning of all criteria of one side.
[[nodiscard]] bool side_matches(
    const EntityMatch& match, const SideSample& side, const World& world);

/// Lowers one side; `all` loses the families in which it can never match.
void lower_side(
    const EntityMatch& match, const std::string& ns, LoweredSide& side, acl::Match& all);

}  // namespace vr::policy
