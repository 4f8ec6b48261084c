// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_peers.h"

#include <algorithm>

namespace vr::daemon {

namespace {

/// Our address of the wanted family on the port whose network the peer is in.
std::optional<IpAddr> own_address(const Config& config, const IpAddr& peer, std::size_t family) {
    for (const PortConfig& port : config.ports) {
        const bool here = std::ranges::any_of(
            port.addresses, [&](const InterfaceAddress& a) { return contains(a.network, peer); });
        const auto own = std::ranges::find_if(
            port.addresses, [&](const InterfaceAddress& a) { return a.address.index() == family; });
        if (here && own != port.addresses.end()) {
            return own->address;
        }
    }
    return std::nullopt;
}

}  // namespace

void fill_next_hops(const Config& config, bgp::PeerConfig& peer) {
    if (!peer.ipv4.next_hop) {
        peer.ipv4.next_hop = own_address(config, peer.address, 0);
    }
    if (!peer.ipv6.next_hop) {
        peer.ipv6.next_hop = own_address(config, peer.address, 1);
    }
}

Peers configured_peers(const Config& config) {
    Peers peers;
    if (config.bgp) {
        for (const bgp::PeerConfig& neighbor : config.bgp->neighbors) {
            bgp::PeerConfig& peer = peers.emplace(neighbor.address, neighbor).first->second;
            fill_next_hops(config, peer);
        }
    }
    return peers;
}

std::vector<bgp::RangeConfig> configured_ranges(const Config& config) {
    std::vector<bgp::RangeConfig> ranges;
    if (config.bgp) {
        ranges = config.bgp->ranges;
        for (bgp::RangeConfig& range : ranges) {
            range.peer.address =
                std::visit([](const auto& p) { return IpAddr{p.address()}; }, range.prefix);
            fill_next_hops(config, range.peer);
        }
    }
    return ranges;
}

}  // namespace vr::daemon
