// Claiming the path of a unix socket: who may listen there, and what is cleared away before.
//
// Stale-socket rule: a path that someone still listens on is refused; a socket file which nobody
// answers was left over by a crash and is replaced; any other file is left alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "vrouter/net/result.h"

namespace vr {

/// Applies the rule to `path`, then calls `bind_and_listen`.  Both happen under a lock of the directory,
/// so that of two programs started at once exactly one gets the path.
[[nodiscard]] Result<void> claim_socket_path(
    const std::string& path, const std::function<Result<void>()>& bind_and_listen);

}  // namespace vr
