// JSON text as the same tree that YAML documents make, ten times as fast: what a datastore keeps.
//
// Refused like there: a key given twice, more than 64 levels.  All nodes carry line 1, because stored
// objects are one line.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "policy/document.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// The error reads "FILE: ...".
[[nodiscard]] Result<Node> parse_json(std::string_view file, std::string_view text);

}  // namespace vr::policy
