// A compiled rule in words, for `show policy` and `trace`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "vrouter/dataplane/acl.h"

namespace vr::ctl {

/// The selector that a group stands for.
using GroupText = std::function<std::string(GroupId)>;

/// "tcp from 10.0.0.0/8 to has(web) ports 80, 8000-8080"; "any" when everything matches.
[[nodiscard]] std::string match_text(const acl::Match& match, const GroupText& group_text);

/// "allow", "deny", "log", "go to 12".
[[nodiscard]] std::string action_text(const acl::Rule& rule);

}  // namespace vr::ctl
