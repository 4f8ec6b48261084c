// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/arp.h"

#include <gtest/gtest.h>

#include <string>

#include "test/services/frames.h"

namespace vr::arp::arp_test {
namespace {

using namespace vr::test;

// 02:..:99 at 10.0.0.2 asks everyone for 10.0.0.1.
const Frame kRequest = bytes(
    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
     {0x02, 0, 0, 0, 0, 0x99},
     {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1},
     {0x02, 0, 0, 0, 0, 0x99},
     {10, 0, 0, 2},
     {0, 0, 0, 0, 0, 0},
     {10, 0, 0, 1}});

const Frame kReply = bytes(
    {{0x02, 0, 0, 0, 0, 0x99},
     {0x02, 0, 0, 0, 0, 0x01},
     {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2},
     {0x02, 0, 0, 0, 0, 0x01},
     {10, 0, 0, 1},
     {0x02, 0, 0, 0, 0, 0x99},
     {10, 0, 0, 2}});

TEST(Arp, ReadsARequest) {
    const auto message = parse(kRequest);
    ASSERT_TRUE(message);
    EXPECT_EQ(
        *message,
        (Message{
            .link_source = kPeerMac,
            .link_destination = kBroadcastMac,
            .operation = Operation::Request,
            .sender_mac = kPeerMac,
            .sender = ip4("10.0.0.2"),
            .target_mac = {},
            .target = ip4("10.0.0.1")}));
}

TEST(Arp, ReadsThroughEthernetPadding) {
    EXPECT_EQ(parse(cut(kRequest, 60)), parse(kRequest));
}

TEST(Arp, AnswersARequestByteForByte) {
    EXPECT_EQ(reply(*parse(kRequest), kRouterMac), kReply);
}

TEST(Arp, AsksByteForByte) {
    EXPECT_EQ(request(kPeerMac, ip4("10.0.0.2"), ip4("10.0.0.1"), std::nullopt), kRequest);
}

TEST(Arp, AsksAKnownNeighborByUnicast) {
    const auto poll = parse(request(kRouterMac, ip4("10.0.0.1"), ip4("10.0.0.2"), kPeerMac));
    ASSERT_TRUE(poll);
    EXPECT_EQ(poll->link_destination, kPeerMac);
}

TEST(Arp, AnnouncementIsGratuitous) {
    const auto message = parse(gratuitous(kRouterMac, ip4("10.0.0.1")));
    ASSERT_TRUE(message);
    EXPECT_TRUE(message->is_gratuitous());
    EXPECT_EQ(message->link_destination, kBroadcastMac);
}

TEST(Arp, SenderZeroInARequestIsAProbe) {
    Frame probe = kRequest;
    std::fill_n(probe.begin() + 28, 4, std::uint8_t{0});
    ASSERT_TRUE(parse(probe));
    EXPECT_TRUE(parse(probe)->is_probe());
}

// As hypervisors announce a guest that has come: 02:..:99 asks for an address of its own.
const Frame kReverse = bytes(
    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
     {0x02, 0, 0, 0, 0, 0x99},
     {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3},
     {0x02, 0, 0, 0, 0, 0x99},
     {0, 0, 0, 0},
     {0x02, 0, 0, 0, 0, 0x99},
     {0, 0, 0, 0}});

TEST(ReverseArp, ARequestNamesItsStation) {
    EXPECT_EQ(parse_reverse_request(kReverse), kPeerMac);
    EXPECT_EQ(parse_reverse_request(cut(kReverse, 60)), kPeerMac);
    EXPECT_FALSE(parse(kReverse));
}

struct Malformed {
    std::string name;
    Frame frame;
};

class ArpMalformed : public testing::TestWithParam<Malformed> {};

TEST_P(ArpMalformed, IsRefused) {
    EXPECT_FALSE(parse(GetParam().frame));
}

class ReverseArpMalformed : public testing::TestWithParam<Malformed> {};

TEST_P(ReverseArpMalformed, IsRefused) {
    EXPECT_FALSE(parse_reverse_request(GetParam().frame));
}

INSTANTIATE_TEST_SUITE_P(
    Frames,
    ReverseArpMalformed,
    testing::Values(
        Malformed{"Empty", {}},
        Malformed{"EthernetHeaderOnly", cut(kReverse, 14)},
        Malformed{"OneByteShort", cut(kReverse, 41)},
        Malformed{"Arp", kRequest},
        Malformed{"OtherHardware", with(kReverse, 15, 6)},
        Malformed{"OtherProtocol", with(kReverse, 16, 0x86)},
        Malformed{"LongAddresses", with(kReverse, 18, 8)},
        Malformed{"Answer", with(kReverse, 21, 4)},
        Malformed{"GroupSource", with(with(with(kReverse, 6, 3), 22, 3), 32, 3)},
        Malformed{"SenderDiffersFromLink", with(kReverse, 27, 0x55)},
        Malformed{"AsksForAnother", with(kReverse, 37, 0x55)}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Frames,
    ArpMalformed,
    testing::Values(
        Malformed{"Empty", {}},
        Malformed{"EthernetHeaderOnly", cut(kRequest, 14)},
        Malformed{"OneByteShort", cut(kRequest, 41)},
        Malformed{"OtherEtherType", with(kRequest, 13, 0x00)},
        Malformed{"GroupLinkSource", with(kRequest, 6, 0x03)},
        Malformed{"HardwareIsNotEthernet", with(kRequest, 15, 6)},
        Malformed{"ProtocolIsNotIp4", with(kRequest, 16, 0x86)},
        Malformed{"HardwareLength", with(kRequest, 18, 8)},
        Malformed{"ProtocolLength", with(kRequest, 19, 16)},
        Malformed{"OperationZero", with(kRequest, 21, 0)},
        Malformed{"OperationReverse", with(kRequest, 21, 3)},
        Malformed{"SenderMacIsAGroup", with(kRequest, 22, 0x01)},
        Malformed{"SenderMacIsZero", with(with(kRequest, 22, 0), 27, 0)},
        Malformed{"SenderIsMulticast", with(kRequest, 28, 224)},
        Malformed{"SenderIsLoopback", with(kRequest, 28, 127)},
        Malformed{
            "SenderIsBroadcast",
            with(with(with(with(kRequest, 28, 255), 29, 255), 30, 255), 31, 255)},
        Malformed{"ReplyFromZero", with(with(kReply, 28, 0), 31, 0)},
        Malformed{"TargetIsMulticast", with(kRequest, 38, 239)},
        Malformed{"TargetIsZero", with(with(kRequest, 38, 0), 41, 0)}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace vr::arp::arp_test
