// The rows of `vrouterctl bgp` that ask the router, and of `show bgp`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ctl/commands.h"

namespace vr::ctl {

[[nodiscard]] Command show_bgp_row();
[[nodiscard]] std::vector<Command> bgp_rows();

}  // namespace vr::ctl
