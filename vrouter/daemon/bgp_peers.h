// Which BGP peers this host has: those of its config file and those that Calico's resources name
// (BGPPeer by node and selector, the node-to-node mesh).  Pure.  DATASTORE 3.2.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <vector>

#include "bgp/config.h"
#include "policy/model.h"
#include "vrouter/config.h"

namespace vr::daemon {

[[nodiscard]] bgp::SpeakerConfig speaker_config(const BgpConfig& config);

/// Peers by address.  Where a resource and the config name the same address, the config counts.
using Peers = std::map<IpAddr, bgp::PeerConfig>;

/// The peers of the config; next hops that it leaves out are our addresses in the peer's network.
[[nodiscard]] Peers configured_peers(const Config& config);

/// The peers that the resources in force give to this node.
[[nodiscard]] Peers resource_peers(
    const Config& config,
    const std::vector<policy::ResourcePtr>& bgp_peers,
    const std::vector<policy::ResourcePtr>& nodes,
    const std::vector<policy::ResourcePtr>& configurations);

}  // namespace vr::daemon
