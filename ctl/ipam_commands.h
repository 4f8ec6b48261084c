// The rows of `vrouterctl ipam`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ctl/commands.h"

namespace vr::ctl {

[[nodiscard]] std::vector<Command> ipam_rows();

}  // namespace vr::ctl
