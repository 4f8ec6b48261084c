// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/nd.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "test/services/frames.h"

namespace vr::nd::nd_test {
namespace {

using namespace vr::test;

using Content = std::vector<std::uint8_t>;

const Ip6 kPeer = ip6("fd00::2");
const Ip6 kTarget = ip6("fd00::1:2:3");
const Ip6 kTargetGroup = ip6("ff02::1:ff02:3");
const Ip6 kPeerLinkLocal = ip6("fe80::2");

const Content kTargetBytes{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 3};
const Content kSourceOption{1, 1, 0x02, 0, 0, 0, 0, 0x99};
const Content kTargetOption{2, 1, 0x02, 0, 0, 0, 0, 0x99};

Content solicitation(const Content& options) {
    return bytes({{135, 0, 0, 0, 0, 0, 0, 0}, kTargetBytes, options});
}

Content advertisement(std::uint8_t flags, const Content& options) {
    return bytes({{136, 0, 0, 0, flags, 0, 0, 0}, kTargetBytes, options});
}

// The whole frame, its checksum worked out by hand: fd00::2 asks the group for fd00::1:2:3.
const Frame kSolicitation = bytes(
    {{0x33, 0x33, 0xff, 0x02, 0x00, 0x03},
     {0x02, 0, 0, 0, 0, 0x99},
     {0x86, 0xdd},
     {0x60, 0, 0, 0, 0, 32, 58, 255},
     {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
     {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x02, 0, 3},
     {135, 0, 0x7c, 0xf7, 0, 0, 0, 0},
     kTargetBytes,
     kSourceOption});

TEST(Nd, AsksByteForByte) {
    EXPECT_EQ(neighbor_solicitation(kPeerMac, kPeer, kTarget, std::nullopt), kSolicitation);
}

TEST(Nd, ReadsASolicitation) {
    const auto message = parse(kSolicitation);
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<NeighborSolicitation>(*message),
        (NeighborSolicitation{
            {kPeerMac, multicast_mac(kTargetGroup), kPeer, kTargetGroup}, kTarget, kPeerMac}));
}

TEST(Nd, AsksAKnownNeighborByUnicast) {
    const auto message = parse(neighbor_solicitation(kRouterMac, kPeer, kTarget, kPeerMac));
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<NeighborSolicitation>(*message),
        (NeighborSolicitation{{kRouterMac, kPeerMac, kPeer, kTarget}, kTarget, kRouterMac}));
}

TEST(Nd, DuplicateAddressDetectionTellsNoMac) {
    const auto message = parse(neighbor_solicitation(kPeerMac, Ip6{}, kTarget, std::nullopt));
    ASSERT_TRUE(message);
    EXPECT_TRUE(std::get<NeighborSolicitation>(*message).is_dad());
    EXPECT_FALSE(std::get<NeighborSolicitation>(*message).source_mac);
}

TEST(Nd, AnswersTheAskerAsSolicited) {
    const auto asked = std::get<NeighborSolicitation>(*parse(kSolicitation));
    const auto message = parse(neighbor_advertisement(
        asked, kRouterMac, link_local(kRouterMac), {.router = true, .override_cached = true}));
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<NeighborAdvertisement>(*message),
        (NeighborAdvertisement{
            {kRouterMac, kPeerMac, link_local(kRouterMac), kPeer},
            kTarget,
            {.router = true, .solicited = true, .override_cached = true},
            kRouterMac}));
}

TEST(Nd, AnswersDuplicateAddressDetectionToAllNodes) {
    const auto asked = std::get<NeighborSolicitation>(
        *parse(neighbor_solicitation(kPeerMac, Ip6{}, kTarget, std::nullopt)));
    const auto message =
        parse(neighbor_advertisement(asked, kRouterMac, link_local(kRouterMac), {.router = true}));
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<NeighborAdvertisement>(*message),
        (NeighborAdvertisement{
            {kRouterMac, multicast_mac(kAllNodes), link_local(kRouterMac), kAllNodes},
            kTarget,
            {.router = true, .solicited = false, .override_cached = false},
            kRouterMac}));
}

TEST(Nd, AnnouncesItselfToAllNodes) {
    const auto message = parse(unsolicited_advertisement(kRouterMac, kTarget));
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<NeighborAdvertisement>(*message).flags,
        (AdvertisementFlags{.router = true, .solicited = false, .override_cached = true}));
}

TEST(Nd, OffersItselfAsRouter) {
    const RouterSolicitation asked{
        {kPeerMac, multicast_mac(kAllRouters), kPeerLinkLocal, kAllRouters}, std::nullopt};
    const auto message = parse(router_advertisement(
        &asked, kRouterMac, {.lifetime = std::chrono::seconds{900}, .hop_limit = 64, .mtu = 1450}));
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<RouterAdvertisement>(*message),
        (RouterAdvertisement{
            {kRouterMac, kPeerMac, link_local(kRouterMac), kPeerLinkLocal},
            64,
            std::chrono::seconds{900},
            kRouterMac,
            1450}));
}

TEST(Nd, OffersItselfToAllNodesUnasked) {
    const auto message = parse(router_advertisement(nullptr, kRouterMac, {}));
    ASSERT_TRUE(message);
    EXPECT_EQ(std::get<RouterAdvertisement>(*message).envelope.destination, kAllNodes);
}

TEST(Nd, AsksAllRouters) {
    const auto message = parse(router_solicitation(kRouterMac));
    ASSERT_TRUE(message);
    EXPECT_EQ(
        std::get<RouterSolicitation>(*message),
        (RouterSolicitation{
            {kRouterMac, multicast_mac(kAllRouters), link_local(kRouterMac), kAllRouters},
            kRouterMac}));
}

TEST(Nd, TellsNoMacWhereThereIsNone) {
    constexpr std::size_t kOption = 8;
    EXPECT_EQ(router_solicitation(Mac{}).size(), router_solicitation(kRouterMac).size() - kOption);
    EXPECT_EQ(
        router_advertisement(nullptr, Mac{}, {}).size(),
        router_advertisement(nullptr, kRouterMac, {}).size() - kOption);
}

TEST(Nd, LifetimesBeyondTheFieldAreCut) {
    const auto message =
        parse(router_advertisement(nullptr, kRouterMac, {.lifetime = std::chrono::hours{24}}));
    EXPECT_EQ(std::get<RouterAdvertisement>(*message).lifetime, std::chrono::seconds{65535});
}

TEST(Nd, DerivesAddressesAsTheRfcsSay) {
    EXPECT_EQ(solicited_node(ip6("fe80::800:200e:8c6c")), ip6("ff02::1:ff0e:8c6c"));
    EXPECT_EQ(multicast_mac(ip6("ff02::1:ff0e:8c6c")), (Mac{{0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c}}));
    EXPECT_EQ(
        link_local(Mac{{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}}), ip6("fe80::3656:78ff:fe9a:bcde"));
}

struct Row {
    std::string name;
    Frame frame;
    bool valid;
};

class NdRules : public testing::TestWithParam<Row> {};

TEST_P(NdRules, AreKept) {
    EXPECT_EQ(parse(GetParam().frame).has_value(), GetParam().valid);
}

Frame from_peer(const Content& message) {
    return icmp_packet<V6>(kPeer, kTarget, message);
}

Frame dad(Ip6 destination, const Content& options) {
    return icmp_packet<V6>(Ip6{}, destination, solicitation(options));
}

// An atomic fragment header (RFC 6946) before a right solicitation.
Frame fragmented() {
    Frame frame = kSolicitation;
    frame[19] = 40;
    frame[20] = 44;
    const Content header{58, 0, 0, 0, 0, 0, 0, 1};
    frame.insert(frame.begin() + 54, header.begin(), header.end());
    return frame;
}

INSTANTIATE_TEST_SUITE_P(
    Rfc4861,
    NdRules,
    testing::Values(
        Row{"Solicitation", from_peer(solicitation(kSourceOption)), true},
        Row{"SolicitationWithoutOption", from_peer(solicitation({})), true},
        Row{"UnknownOptionIsSkipped", from_peer(solicitation({14, 1, 1, 2, 3, 4, 5, 6})), true},
        Row{"HopLimit254", icmp_packet<V6>(kPeer, kTarget, solicitation({}), 254), false},
        Row{"WrongChecksum", with(kSolicitation, 57, 0x00), false},
        Row{"Code1", from_peer(with(solicitation({}), 1, 1)), false},
        Row{"Short", from_peer(cut(solicitation({}), 23)), false},
        Row{"TargetIsMulticast", from_peer(with(solicitation({}), 8, 0xff)), false},
        Row{"OptionOfLengthZero", from_peer(solicitation({1, 0, 2, 0, 0, 0, 0, 9})), false},
        Row{"OptionBeyondTheEnd", from_peer(solicitation({1, 2, 2, 0, 0, 0, 0, 9})), false},
        Row{"OptionCutInItsHeader", from_peer(solicitation({1})), false},
        Row{"OptionWithAGroupMac", from_peer(solicitation({1, 1, 3, 0, 0, 0, 0, 9})), false},
        Row{"OptionWithAZeroMac", from_peer(solicitation({1, 1, 0, 0, 0, 0, 0, 0})), false},
        Row{"OptionOfTwoUnits",
            from_peer(solicitation({1, 2, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0})),
            false},
        Row{"Fragmented", fragmented(), false},
        Row{"SourceIsMulticast", icmp_packet<V6>(kTargetGroup, kTarget, solicitation({})), false},
        Row{"Dad", dad(kTargetGroup, {}), true},
        Row{"DadToAUnicastAddress", dad(kTarget, {}), false},
        Row{"DadWithAMac", dad(kTargetGroup, kSourceOption), false},
        Row{"Advertisement", from_peer(advertisement(0x60, kTargetOption)), true},
        Row{"SolicitedToAGroup",
            icmp_packet<V6>(kPeer, kAllNodes, advertisement(0x40, kTargetOption)),
            false},
        Row{"UnsolicitedToAGroup",
            icmp_packet<V6>(kPeer, kAllNodes, advertisement(0x20, kTargetOption)),
            true},
        Row{"AdvertisementFromNobody",
            icmp_packet<V6>(Ip6{}, kAllNodes, advertisement(0x20, kTargetOption)),
            false},
        Row{"RouterSolicitation",
            icmp_packet<V6>(kPeerLinkLocal, kAllRouters, {133, 0, 0, 0, 0, 0, 0, 0}),
            true},
        Row{"RouterSolicitationFromNobody",
            icmp_packet<V6>(Ip6{}, kAllRouters, {133, 0, 0, 0, 0, 0, 0, 0}),
            true},
        Row{"RouterSolicitationFromNobodyWithAMac",
            icmp_packet<V6>(Ip6{}, kAllRouters, bytes({{133, 0, 0, 0, 0, 0, 0, 0}, kSourceOption})),
            false},
        Row{"RouterSolicitationShort",
            icmp_packet<V6>(kPeerLinkLocal, kAllRouters, {133, 0, 0, 0, 0, 0, 0}),
            false},
        Row{"RouterAdvertisement",
            icmp_packet<V6>(
                kPeerLinkLocal, kAllNodes, {134, 0, 0, 0, 64, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}),
            true},
        Row{"RouterAdvertisementNotLinkLocal",
            icmp_packet<V6>(kPeer, kAllNodes, {134, 0, 0, 0, 64, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}),
            false},
        Row{"RouterAdvertisementShort",
            icmp_packet<V6>(kPeerLinkLocal, kAllNodes, {134, 0, 0, 0, 64, 0, 0, 9, 0, 0, 0, 0}),
            false},
        Row{"Redirect",
            from_peer(bytes({{137, 0, 0, 0, 0, 0, 0, 0}, kTargetBytes, kTargetBytes})),
            false},
        Row{"Echo", from_peer({128, 0, 0, 0, 0, 1, 0, 1}), false},
        Row{"Empty", {}, false}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace vr::nd::nd_test
