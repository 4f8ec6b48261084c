// Which BGP peers the config gives to a node.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_peers.h"

#include <gtest/gtest.h>

#include "vrouter/daemon/link_peers.h"

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

// Neighbors of links.

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Zone kLink = 3;
constexpr Clock::time_point kBegin{1h};
const Ip6 kRouter = *Ip6::parse("fe80::9");
const Ip6 kOther = *Ip6::parse("fe80::a");

bool unused(const IpAddr& /*peer*/) {
    return false;
}

bool used(const IpAddr& /*peer*/) {
    return true;
}

std::vector<IpAddr> addresses(const LinkPeers& peers) {
    std::vector<IpAddr> all;
    for (const auto& [address, config] : peers.peers()) {
        EXPECT_EQ(config.address, address);
        all.push_back(address);
    }
    return all;
}

LinkPeers whoever_advertises() {
    LinkPeers peers;
    peers.add(kLink, {.interface = "uplink0", .peer = {.address = Ip6{}}});
    return peers;
}

std::vector<IpAddr> only(Ip6 router) {
    return {with_zone(router, kLink)};
}

TEST(LinkPeers, NamedOneIsThereAtOnce) {
    LinkPeers peers;
    peers.add(kLink, {.interface = "uplink0", .peer = {.address = kRouter}});
    EXPECT_EQ(addresses(peers), only(kRouter));
    EXPECT_FALSE(peers.heard(kLink, kOther, 0s, kBegin, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 24h, unused));
}

TEST(LinkPeers, RouterBecomesOneByAdvertising) {
    auto peers = whoever_advertises();
    EXPECT_TRUE(addresses(peers).empty());
    EXPECT_FALSE(peers.heard(kLink + 1, kRouter, 0s, kBegin, unused));
    EXPECT_TRUE(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    EXPECT_EQ(addresses(peers), only(kRouter));
    EXPECT_FALSE(peers.heard(kLink, kRouter, 0s, kBegin + 1s, unused));
}

TEST(LinkPeers, AnotherOneTakesNoPlaceThatIsTaken) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    EXPECT_FALSE(peers.heard(kLink, kOther, 0s, kBegin + 29s, unused));
    EXPECT_FALSE(peers.heard(kLink, kOther, 0s, kBegin + 31s, used));
    EXPECT_EQ(addresses(peers), only(kRouter));
}

TEST(LinkPeers, AnotherOneFollowsWhoIsGone) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    EXPECT_TRUE(peers.heard(kLink, kOther, 0s, kBegin + 31s, unused));
    EXPECT_EQ(addresses(peers), only(kOther));
}

TEST(LinkPeers, SilentOneOfNoUseIsForgotten) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 29s, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 31s, used));
    EXPECT_TRUE(peers.forget_silent(kBegin + 31s, unused));
    EXPECT_TRUE(addresses(peers).empty());
}

TEST(LinkPeers, LifetimeCountsWithinBounds) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 65535s, kBegin, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 1799s, unused));
    EXPECT_TRUE(peers.forget_silent(kBegin + 1801s, unused));
}

}  // namespace
}  // namespace vr::daemon
