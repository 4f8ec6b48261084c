// What Calico's resources make of BGP on this node: its speaker, its peers (node-to-node mesh, BGPPeer by
// node and selector, reflectors by cluster id), what its routes are announced with, and what of the
// resources cannot be honoured.  Pure but for secrets, which the caller reads.  DATASTORE 3.2.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "policy/model.h"
#include "vrouter/daemon/bgp_peers.h"

namespace vr::daemon {

/// The objects in force that say something about BGP.
struct BgpResources {
    std::vector<policy::ResourcePtr> configurations;
    std::vector<policy::ResourcePtr> filters;
    std::vector<policy::ResourcePtr> nodes;
    std::vector<policy::ResourcePtr> peers;
    std::vector<policy::ResourcePtr> pools;
};

/// What is wrong with objects that are valid in themselves.
using Problems = std::map<policy::Key, std::vector<std::string>>;

using ReadSecret = std::function<Result<std::string>(const policy::SecretRef& reference)>;

struct CalicoBgp {
    bgp::SpeakerConfig speaker;
    Peers peers;
    std::map<IpAddr, policy::Key>
        owners;                         ///< peer -> the BGPPeer, or Node of the mesh, that it is of
    std::set<IpAddr> closed;            ///< with whom no session may be, whoever calls
    std::map<IpAddr, IpAddr> gateways;  ///< peer -> how it is reached, where a BGPPeer says so
    std::vector<policy::PrefixAdvertisement> advertisements;
    std::uint32_t local_pref4 = 0;  ///< of this host's routes
    std::uint32_t local_pref6 = 0;
    bool waits_for_secret = false;  ///< a password could not be read: worth another try
    Problems problems;
};

/// Needs `config.bgp`.  What the config says of the speaker counts before what resources say.
[[nodiscard]] CalicoBgp calico_bgp(
    const Config& config, const BgpResources& resources, const ReadSecret& read_secret);

/// The attributes of an address of a workload of this host; `priority`: if it has one of its own.
[[nodiscard]] bgp::Attributes own_attributes(
    const CalicoBgp& calico,
    const IpPrefix& prefix,
    std::optional<std::uint32_t> priority = std::nullopt);

}  // namespace vr::daemon
