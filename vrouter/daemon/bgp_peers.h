// The BGP peers that this host's config file names, complete with what follows from its ports.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <vector>

#include "bgp/config.h"
#include "vrouter/daemon/config.h"

namespace vr::daemon {

/// Peers by address.  Where a resource and the config name the same address, the config counts.
using Peers = std::map<IpAddr, bgp::PeerConfig>;

/// The peers of the config; next hops that it leaves out are our addresses in the peer's network.
[[nodiscard]] Peers configured_peers(const Config& config);

/// Ranges likewise.
[[nodiscard]] std::vector<bgp::RangeConfig> configured_ranges(const Config& config);

/// Next hops that `peer` leaves out become our addresses in its network.
void fill_next_hops(const Config& config, bgp::PeerConfig& peer);

}  // namespace vr::daemon
