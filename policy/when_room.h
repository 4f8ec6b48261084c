// WhenRoom: how a source waits while it has told more than was taken up.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace vr::policy {

/// Calls `then` when a source may go on to read what changes: at once, or in another turn of the loop.
using WhenRoom = std::function<void(std::function<void()> then)>;

/// There always is.
inline void at_once(const std::function<void()>& then) {
    then();
}

}  // namespace vr::policy
