// Which BGP peers the config gives to a node.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_peers.h"

#include <gtest/gtest.h>

namespace vr::daemon {
namespace {

using namespace literals;

constexpr const char* kConfig = R"(
node: host1
ports: [{name: eth0, device: d, addresses: [192.0.2.1/24, "fd00::1/64"]}]
bgp:
  as: 64512
  router_id: 192.0.2.1
  port: 1179
  neighbors:
    - {address: 192.0.2.254, as: 64513, import: all, export: local}
    - {address: 198.51.100.1, as: 64514, next_hop4: 203.0.113.1}
)";

Config config() {
    return *parse_config(kConfig, "f");
}

TEST(ConfiguredPeers, NextHopIsOurAddressInThePeersNetwork) {
    const Peers peers = configured_peers(config());
    const bgp::PeerConfig& peer = peers.at("192.0.2.254"_ip4);
    EXPECT_EQ(peer.ipv4.next_hop, IpAddr{"192.0.2.1"_ip4});
    EXPECT_EQ(peer.ipv6.next_hop, parse_ip("fd00::1"));
}

TEST(ConfiguredPeers, WrittenNextHopStays) {
    const Peers peers = configured_peers(config());
    EXPECT_EQ(peers.at("198.51.100.1"_ip4).ipv4.next_hop, IpAddr{"203.0.113.1"_ip4});
    EXPECT_FALSE(peers.at("198.51.100.1"_ip4).ipv6.next_hop);
}

TEST(ConfiguredPeers, FiltersAreCarriedOver) {
    const Peers peers = configured_peers(config());
    EXPECT_EQ(peers.at("192.0.2.254"_ip4).import->kind, bgp::Filter::Kind::All);
    EXPECT_EQ(peers.at("192.0.2.254"_ip4).export_->kind, bgp::Filter::Kind::Local);
    EXPECT_FALSE(peers.at("198.51.100.1"_ip4).import);
}

}  // namespace
}  // namespace vr::daemon
