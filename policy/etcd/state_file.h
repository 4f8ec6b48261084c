// The last good state on disk, so that a router that starts while etcd is away forwards.
//
//   "vrouter etcd state 1\n"  position  count  (key value revision)...  SHA-256 of all before
// Written and checked as sealed_file.h says.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policy/etcd/objects.h"
#include "policy/etcd/sync.h"
#include "vrouter/net/result.h"

namespace vr::policy::etcd {

// Pure.
/// `items` by their keys.
[[nodiscard]] std::string encode_state(
    const Position& position, const std::map<std::string, Good>& items);
[[nodiscard]] Result<Stored> decode_state(std::string_view bytes);

/// Reads the file at `path`; an absent one is an empty state.
[[nodiscard]] Result<Stored> read_state(const std::string& path);

}  // namespace vr::policy::etcd
