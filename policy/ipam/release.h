// Giving addresses back.  Pure but for the Records that it asks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/ipam/block.h"
#include "policy/ipam/record.h"

namespace vr::policy::ipam {

struct Release {
    std::string handle;             ///< whose; with addresses: who must have them, empty: anybody
    std::vector<IpAddr> addresses;  ///< empty: all that the handle has
    std::optional<std::uint64_t> sequence;  ///< of the allocation, which must be no other
};

/// The addresses that were given back.  What was free already is no error, so that it may be asked twice;
/// an address that somebody else has is one, and then nothing more of its block is given back.
[[nodiscard]] Result<std::vector<IpAddr>> release(Records& records, const Release& request);

/// The writes by which `block`, read at `revision`, loses `addresses`: the block, or its end when it is
/// empty and nobody's, and the handles.
[[nodiscard]] Result<std::vector<RecordWrite>> release_writes(
    Records& records, Block block, std::int64_t revision, const std::vector<IpAddr>& addresses);

}  // namespace vr::policy::ipam
