// Which BGP peers the config gives to a node.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_peers.h"

#include <gtest/gtest.h>

#include "vrouter/daemon/link_peers.h"

namespace vr::daemon::bgp_peers_test {
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

LinkPeers::Use unused(const IpAddr& /*peer*/) {
    return {};
}

LinkPeers::Use up(const IpAddr& /*peer*/) {
    return {.holds = true, .keeps = true, .tried = true};
}

/// Its session is lost, and graceful restart keeps its routes.
LinkPeers::Use lost(const IpAddr& /*peer*/) {
    return {.holds = false, .keeps = true, .tried = true};
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

struct Rival {
    const char* name;
    std::chrono::seconds after;  ///< since the peer was heard first
    std::chrono::seconds last;   ///< when it was heard last
    LinkPeers::UseOf use_of;
    bool follows;
};

void PrintTo(const Rival& row, std::ostream* out) {
    *out << row.name;
}

class RivalTest : public testing::TestWithParam<Rival> {};

TEST_P(RivalTest, TakesThePlaceOfWhoGivesWay) {
    for (const std::chrono::seconds lifetime : {0s, 65535s}) {
        auto peers = whoever_advertises();
        for (auto time = 0s; time <= GetParam().last; time += 10s) {
            const bool first = time == 0s;
            EXPECT_EQ(peers.heard(kLink, kRouter, lifetime, kBegin + time, unused), first);
        }
        const auto now = kBegin + GetParam().after;
        EXPECT_EQ(peers.heard(kLink, kOther, 0s, now, GetParam().use_of), GetParam().follows);
        EXPECT_EQ(addresses(peers), only(GetParam().follows ? kOther : kRouter));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    RivalTest,
    testing::Values(
        Rival{"NotYetSilent", 29s, 0s, unused, false},
        Rival{"Silent", 31s, 0s, unused, true},
        Rival{"SilentWithASession", 31s, 0s, up, false},
        Rival{"SilentWithStaleRoutes", 31s, 0s, lost, true},
        Rival{"NeverHadASession", 61s, 60s, unused, true},
        Rival{"MayStillGetOne", 59s, 50s, unused, false},
        Rival{"HasHadOne", 3600s, 3600s, lost, false},
        Rival{"HasOne", 3600s, 3600s, up, false}),
    [](const auto& row) { return row.param.name; });

TEST(LinkPeers, SessionCountsThatASpeakerBegunAnewForgot) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    static_cast<void>(peers.forget_silent(kBegin + 5s, up));
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin + 90s, unused));
    EXPECT_FALSE(peers.heard(kLink, kOther, 0s, kBegin + 91s, unused));
}

TEST(LinkPeers, WhoFollowsHasItsTimeToo) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    EXPECT_TRUE(peers.heard(kLink, kOther, 0s, kBegin + 61s, unused));
    EXPECT_FALSE(peers.heard(kLink, kRouter, 0s, kBegin + 90s, unused));
}

TEST(LinkPeers, SilentOneOfNoUseIsForgotten) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 29s, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 31s, up));
    EXPECT_FALSE(peers.forget_silent(kBegin + 31s, lost));
    EXPECT_TRUE(peers.forget_silent(kBegin + 31s, unused));
    EXPECT_TRUE(addresses(peers).empty());
}

TEST(LinkPeers, FloodOfOthersIsPassedOverButNotTheKnownOne) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 0s, kBegin, unused));
    int looks = 0;
    const auto count = [&](const IpAddr& /*peer*/) {
        ++looks;
        return LinkPeers::Use{};
    };
    for (std::uint64_t i = 1; i < 1000; ++i) {
        const Ip6 other{0xfe80000000000000U, i << 32U};
        EXPECT_FALSE(peers.heard(kLink, other, 0s, kBegin + 20s, count));
    }
    EXPECT_LE(looks, 10);
    EXPECT_FALSE(peers.heard(kLink, kRouter, 0s, kBegin + 20s, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 49s, unused));
}

TEST(LinkPeers, NeighborNotYetHeardIsLacking) {
    LinkPeers peers;
    peers.add(kLink, {.interface = "uplink0", .peer = {.address = kRouter}});
    EXPECT_FALSE(peers.lacks_one());
    peers.add(kLink + 1, {.interface = "uplink1", .peer = {.address = Ip6{}}});
    EXPECT_TRUE(peers.lacks_one());
    static_cast<void>(peers.heard(kLink + 1, kRouter, 0s, kBegin, unused));
    EXPECT_FALSE(peers.lacks_one());
    static_cast<void>(peers.forget_silent(kBegin + 31s, unused));
    EXPECT_TRUE(peers.lacks_one());
}

TEST(LinkPeers, LifetimeCountsWithinBounds) {
    auto peers = whoever_advertises();
    static_cast<void>(peers.heard(kLink, kRouter, 65535s, kBegin, unused));
    EXPECT_FALSE(peers.forget_silent(kBegin + 1799s, unused));
    EXPECT_TRUE(peers.forget_silent(kBegin + 1801s, unused));
}

}  // namespace
}  // namespace vr::daemon::bgp_peers_test
