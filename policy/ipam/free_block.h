// Which block of a pool a host may claim.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "policy/ipam/settings.h"
#include "vrouter/net/prefix.h"

namespace vr::policy::ipam {

/// Blocks that exist, of any size.
class TakenBlocks {
  public:
    void add(const IpPrefix& cidr);

    [[nodiscard]] bool overlaps(const IpPrefix& cidr) const;

    /// Those that contain `cidr`, the largest first.
    [[nodiscard]] std::vector<IpPrefix> around(const IpPrefix& cidr) const;

  private:
    std::set<IpPrefix> all_;
    std::set<unsigned> lengths_;
};

/// A block of `pool` that overlaps none that is taken and has an address outside of `reserved`; nothing
/// when there is none.  Hosts begin their search at different places, so that they rarely want the same.
[[nodiscard]] std::optional<IpPrefix> free_block(
    const Pool& pool,
    const TakenBlocks& taken,
    std::span<const IpPrefix> reserved,
    const std::string& host);

}  // namespace vr::policy::ipam
