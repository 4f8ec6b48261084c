// The last good state on disk, so that a router that starts while etcd is away forwards.
//
//   "vrouter etcd state 1\n"  position  count  (key value revision)...  SHA-256 of all before
// Numbers in network order, texts with a 32-bit length before them.  A file that is cut, damaged or of
// another version is no state at all: better none than a part of one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/etcd/objects.h"
#include "policy/etcd/sync.h"
#include "vrouter/net/result.h"

namespace vr::policy::etcd {

// Pure.
[[nodiscard]] std::string encode_state(
    const Position& position, const std::vector<Objects::Good>& items);
[[nodiscard]] Result<Stored> decode_state(std::string_view bytes);

/// Reads the file at `path`; an absent one is an empty state.
[[nodiscard]] Result<Stored> read_state(const std::string& path);

/// Replaces the file at `path` in one step: after a crash it is the old one or the new one, whole.
[[nodiscard]] Result<void> write_state(const std::string& path, std::string_view bytes);

}  // namespace vr::policy::etcd
