// Cover: whether one rule's criteria hold for every packet for which another's hold, as far as the
// criteria themselves tell: two different selectors are never compared by their members.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy/match.h"

namespace vr::policy {

/// True only when no packet can match `narrow` without matching `wide`.
[[nodiscard]] bool covers(const LoweredMatch& wide, const LoweredMatch& narrow);

}  // namespace vr::policy
