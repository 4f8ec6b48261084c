// Claiming the path of a unix socket: who may listen there, and what is cleared away before.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "vrouter/net/result.h"

namespace vr::ctl {

/// Applies the stale-socket rule (server.h) to `path`, then calls `bind_and_listen`.  Both happen under
/// a lock of the directory, so that of two routers started at once exactly one gets the path.
[[nodiscard]] Result<void> claim_socket_path(
    const std::string& path, const std::function<Result<void>()>& bind_and_listen);

}  // namespace vr::ctl
