// DSCP: the six bits of an IP header that say how the network beyond the cluster is to treat a packet.
// RFC 2474, RFC 3168: the two bits beside them are ECN's and stay.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/workload_rules.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/checksum.h"
#include "vrouter/net/wire.h"

namespace vr {

/// Whether an address with these groups is in a pool or a host of the cluster.
[[nodiscard]] inline bool is_in_cluster(const GroupSet& groups) noexcept {
    return groups.contains(kAllPools) || groups.contains(kClusterHosts);
}

/// Sets the field in the IP header at `header`, its checksum kept right.
template <Family F>
inline void set_dscp(std::uint8_t* header, std::uint8_t dscp) noexcept {
    const auto before = load_be<std::uint16_t>(header);
    if constexpr (std::same_as<F, V4>) {
        constexpr std::uint16_t kOthers = 0xff03;
        constexpr std::size_t kChecksum = 10;
        const auto after = static_cast<std::uint16_t>((before & kOthers) | dscp << 2U);
        const auto sum = load_be<std::uint16_t>(header + kChecksum);
        store_be(header + kChecksum, checksum_updated(sum, before, after));
        store_be(header, after);
    } else {
        constexpr std::uint16_t kOthers = 0xf03f;
        store_be(header, static_cast<std::uint16_t>((before & kOthers) | dscp << 6U));
    }
}

}  // namespace vr
