// Program: vrouter-policyd put together: source, cluster, server, status.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy/policyd/config.h"

namespace vr::policyd {

/// Runs until SIGINT or SIGTERM.  Returns the exit code: 0 stopped as told, 1 could not start (a log line
/// says why).
[[nodiscard]] int run(const PolicydConfig& config);

}  // namespace vr::policyd
