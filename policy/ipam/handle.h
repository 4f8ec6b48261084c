// Keeping a handle's record true to what blocks say.  Pure but for the Records that it asks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "policy/ipam/record.h"

namespace vr::policy::ipam {

/// The write by which handle `id` has `more` addresses of `block` (fewer when negative) than now.
[[nodiscard]] Result<RecordWrite> handle_write(
    Records& records, const std::string& id, const IpPrefix& block, std::int64_t more);

/// The write that makes `blocks` the record of handle `id`, which is now at `revision`.
[[nodiscard]] RecordWrite handle_write(
    const std::string& id, const HandleBlocks& blocks, std::int64_t revision);

}  // namespace vr::policy::ipam
