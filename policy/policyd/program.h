// Program: vrouter-policyd put together: source, cluster, server, status.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "policy/policyd/config.h"
#include "vrouter/net/result.h"

namespace vr::policyd {

/// Runs until SIGINT or SIGTERM.  Returns the exit code: 0 stopped as told, 1 could not start (a log line
/// says why).
[[nodiscard]] int run(const PolicydConfig& config);

/// Files that it may have open at once.
[[nodiscard]] std::size_t files_needed(const ServerSettings& settings);

/// Raises this process's limit to `number`; an error when that is not allowed.
[[nodiscard]] Result<void> allow_files(std::size_t number);

}  // namespace vr::policyd
