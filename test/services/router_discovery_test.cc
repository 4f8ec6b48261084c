// When routers speak of themselves, and whose word counts.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/router_discovery.h"

#include <gtest/gtest.h>

#include "test/services/frames.h"
#include "vrouter/net/headers.h"
#include "vrouter/services/responder.h"

namespace vr::router_discovery_test {
namespace {

using namespace std::chrono_literals;
using namespace vr::test;

constexpr PortId kLink{3};
constexpr TimePoint kBegin{1h};

RouterDiscovery on_one_link() {
    RouterDiscovery discovery;
    discovery.add_link(kLink, kBegin);
    return discovery;
}

TEST(RouterDiscovery, BeginsAtOnceAndAsks) {
    auto discovery = on_one_link();
    EXPECT_EQ(discovery.next_deadline(), kBegin);
    EXPECT_EQ(
        discovery.tick(kBegin),
        (std::vector<LinkCall>{{.link = kLink, .advertise = true, .solicit = true}}));
    EXPECT_EQ(discovery.next_deadline(), kBegin + RouterDiscovery::kInterval);
}

TEST(RouterDiscovery, SaysNothingInBetween) {
    auto discovery = on_one_link();
    static_cast<void>(discovery.tick(kBegin));
    EXPECT_TRUE(discovery.tick(kBegin + RouterDiscovery::kInterval - 1ms).empty());
}

TEST(RouterDiscovery, AsksNoMoreWhileSomebodyIsHeard) {
    auto discovery = on_one_link();
    static_cast<void>(discovery.tick(kBegin));
    EXPECT_TRUE(discovery.heard(kLink, kBegin + 1s));
    const auto calls = discovery.tick(kBegin + RouterDiscovery::kInterval);
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_FALSE(calls[0].solicit);
}

TEST(RouterDiscovery, AnswersSoonButNotFasterThanAllowed) {
    auto discovery = on_one_link();
    static_cast<void>(discovery.tick(kBegin));
    discovery.asked(kLink, kBegin + 1s);
    discovery.asked(kLink, kBegin + 2s);
    EXPECT_EQ(discovery.next_deadline(), kBegin + RouterDiscovery::kLeastPause);
}

TEST(RouterDiscovery, WhoComesAnewHearsUsSoon) {
    auto discovery = on_one_link();
    static_cast<void>(discovery.tick(kBegin));
    EXPECT_TRUE(discovery.heard(kLink, kBegin + 5s));
    EXPECT_EQ(discovery.next_deadline(), kBegin + 5s);
    static_cast<void>(discovery.tick(kBegin + 5s));
    EXPECT_TRUE(discovery.heard(kLink, kBegin + 6s));
    EXPECT_EQ(discovery.next_deadline(), kBegin + 5s + RouterDiscovery::kInterval);
}

TEST(RouterDiscovery, OtherLinksAreNotListenedTo) {
    auto discovery = on_one_link();
    EXPECT_FALSE(discovery.heard(PortId{4}, kBegin));
    discovery.asked(PortId{4}, kBegin);
    discovery.remove_link(kLink);
    EXPECT_FALSE(discovery.heard(kLink, kBegin));
    EXPECT_FALSE(discovery.next_deadline());
}

TEST(RouterDiscovery, IsNobodysDefaultRouter) {
    EXPECT_EQ(RouterDiscovery::offer(1500).lifetime, 0s);
}

// Who is believed, on which port.

struct Row {
    const char* name;
    PortRole role;
    bool has_link_peers;
    Ip6 source;
    std::uint8_t hop_limit;
    bool believed;
};

class RouterAdvertisements : public testing::TestWithParam<Row> {};

/// An advertisement as nd.h makes it, but from that address and with that hop limit.
Frame advertisement(Ip6 source, std::uint8_t hop_limit) {
    const Frame usual = nd::router_advertisement(nullptr, kPeerMac, {.lifetime = 30s});
    constexpr std::size_t kHeaders = sizeof(EthernetHeader) + sizeof(Ip6Header);
    return icmp_frame<V6>(
        {.link_source = kPeerMac,
         .link_destination = nd::multicast_mac(nd::kAllNodes),
         .source = source,
         .destination = nd::kAllNodes,
         .hop_limit = hop_limit},
        Bytes{usual}.subspan(kHeaders));
}

TEST_P(RouterAdvertisements, AreBelieved) {
    PortFacts port;
    port.id = kLink;
    port.role = GetParam().role;
    port.mac = kRouterMac;
    port.has_link_peers = GetParam().has_link_peers;
    Responder responder{ResponderSettings{}};
    const Answer answer =
        responder.answer(port, advertisement(GetParam().source, GetParam().hop_limit), kBegin);
    EXPECT_FALSE(answer.frame);
    const decltype(answer.discovery) told = HeardRouter{GetParam().source, 30s};
    EXPECT_EQ(answer.discovery == told, GetParam().believed);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    RouterAdvertisements,
    testing::Values(
        Row{"LinkPeer", PortRole::Fabric, true, ip6("fe80::9"), 255, true},
        Row{"OfAPortWithoutLinkPeers", PortRole::Fabric, false, ip6("fe80::9"), 255, false},
        Row{"OfAGuest", PortRole::Guest, true, ip6("fe80::9"), 255, false},
        Row{"OfTheHost", PortRole::Host, true, ip6("fe80::9"), 255, false},
        Row{"FromFarAway", PortRole::Fabric, true, ip6("fe80::9"), 254, false},
        Row{"NotLinkLocal", PortRole::Fabric, true, ip6("2001:db8::9"), 255, false},
        Row{"WithAZone", PortRole::Fabric, true, ip6("fe80:4::9"), 255, false},
        Row{"FromOurOwnAddress", PortRole::Fabric, true, nd::link_local(kRouterMac), 255, false}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vr::router_discovery_test
