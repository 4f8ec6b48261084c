// Headers, OPEN, NOTIFICATION, framing and negotiation: what is refused, and with which error.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/message.h"

#include <gtest/gtest.h>

#include "bgp/framer.h"
#include "bgp/negotiation.h"
#include "test/bgp/bytes.h"

namespace vr::bgp::message_test {
namespace {

using testing::hex;

const std::string kMarker = "ffffffff ffffffff ffffffff ffffffff ";

struct Refused {
    std::string name;
    std::string bytes;
    Notification wanted;
};

std::string name_of(const ::testing::TestParamInfo<Refused>& row) {
    return row.param.name;
}

class RefusedHeader : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedHeader, IsAnsweredWith) {
    Framer framer;
    framer.feed(hex(GetParam().bytes));
    const auto next = framer.next();
    ASSERT_TRUE(std::holds_alternative<Notification>(next));
    EXPECT_EQ(std::get<Notification>(next), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    RefusedHeader,
    ::testing::Values(
        Refused{
            "marker", "ffffffff ffffffff ffffffff fffffffe 0013 04", {ErrorCode::Header, 1, {}}},
        Refused{"too_short", kMarker + "0012 04", {ErrorCode::Header, 2, {0x00, 0x12}}},
        Refused{"too_long", kMarker + "1001 02", {ErrorCode::Header, 2, {0x10, 0x01}}},
        Refused{"long_keepalive", kMarker + "0014 04", {ErrorCode::Header, 2, {0x00, 0x14}}},
        Refused{"short_open", kMarker + "001c 01", {ErrorCode::Header, 2, {0x00, 0x1c}}},
        Refused{"short_update", kMarker + "0016 02", {ErrorCode::Header, 2, {0x00, 0x16}}},
        Refused{"short_notification", kMarker + "0014 03", {ErrorCode::Header, 2, {0x00, 0x14}}},
        Refused{"type_zero", kMarker + "0013 00", {ErrorCode::Header, 3, {0}}},
        Refused{"type_six", kMarker + "0013 06", {ErrorCode::Header, 3, {6}}}),
    name_of);

class RefusedOpen : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedOpen, IsAnsweredWith) {
    const auto decoded = decode_open(hex(GetParam().bytes));
    ASSERT_TRUE(std::holds_alternative<Notification>(decoded));
    EXPECT_EQ(std::get<Notification>(decoded), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    RefusedOpen,
    ::testing::Values(
        Refused{"version", "03 fde9 005a c0000201 00", {ErrorCode::Open, 1, {0, 4}}},
        Refused{"parameter_type", "04 fde9 005a c0000201 03 01 01 00", {ErrorCode::Open, 4, {}}},
        Refused{"parameter_cut", "04 fde9 005a c0000201 03 02 06 01", {ErrorCode::Open, 0, {}}},
        Refused{"length_lies", "04 fde9 005a c0000201 09 02 00", {ErrorCode::Open, 0, {}}},
        Refused{
            "capability_cut", "04 fde9 005a c0000201 04 02 02 41 04", {ErrorCode::Open, 0, {}}}),
    name_of);

class RefusedTerms : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedTerms, AreAnsweredWith) {
    const auto decoded = decode_open(hex(GetParam().bytes));
    ASSERT_TRUE(std::holds_alternative<Open>(decoded));
    PeerConfig peer;
    peer.asn = Asn{65001};
    const auto terms = negotiate(
        {.asn = Asn{65001}, .identifier = Ip4{0xc0000202}}, peer, std::get<Open>(decoded));
    ASSERT_TRUE(std::holds_alternative<Notification>(terms));
    EXPECT_EQ(std::get<Notification>(terms), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    RefusedTerms,
    ::testing::Values(
        Refused{"other_as", "04 fdea 005a c0000201 00", {ErrorCode::Open, 2, {}}},
        Refused{"as_zero", "04 0000 005a c0000201 00", {ErrorCode::Open, 2, {}}},
        Refused{
            "as4_zero", "04 fde9 005a c0000201 08 02 06 41 04 00000000", {ErrorCode::Open, 2, {}}},
        Refused{"hold_one", "04 fde9 0001 c0000201 00", {ErrorCode::Open, 6, {}}},
        Refused{"hold_two", "04 fde9 0002 c0000201 00", {ErrorCode::Open, 6, {}}},
        Refused{"id_zero", "04 fde9 005a 00000000 00", {ErrorCode::Open, 3, {}}},
        Refused{"id_ours", "04 fde9 005a c0000202 00", {ErrorCode::Open, 3, {}}},
        Refused{
            "no_common_family",
            "04 fde9 005a c0000201 08 02 06 01 04 0001 00 80",
            {ErrorCode::Open, 7, hex("01 04 0001 00 01 01 04 0002 00 01")}}),
    name_of);

Terms agreed(const PeerConfig& ours, const std::string& open) {
    const auto terms = negotiate(
        {.asn = Asn{65000}, .identifier = Ip4{0xc0000202}},
        ours,
        std::get<Open>(decode_open(hex(open))));
    return std::get<Terms>(terms);
}

PeerConfig peer_of(std::uint32_t asn) {
    PeerConfig peer;
    peer.asn = Asn{asn};
    return peer;
}

PeerConfig any_external_peer() {
    PeerConfig peer;
    peer.any_external_as = true;
    return peer;
}

TEST(Negotiation, AnyExternalPeerTellsItsAs) {
    EXPECT_EQ(agreed(any_external_peer(), "04 fdea 005a c0000201 00").asn, Asn{65002});
}

TEST(Negotiation, PeerOfOurAsIsNoExternalOne) {
    const auto terms = negotiate(
        {.asn = Asn{65000}, .identifier = Ip4{0xc0000202}},
        any_external_peer(),
        std::get<Open>(decode_open(hex("04 fde8 005a c0000201 00"))));
    ASSERT_TRUE(std::holds_alternative<Notification>(terms));
    EXPECT_EQ(std::get<Notification>(terms), (Notification{ErrorCode::Open, 2, {}}));
}

struct Foreign {
    std::string name;
    std::string open;
    bool taken;
};

class AnyExternal : public ::testing::TestWithParam<Foreign> {};

TEST_P(AnyExternal, IsWhoMayHaveItsAs) {
    PeerConfig peer = any_external_peer();
    peer.local_as = Asn{64999};
    const auto terms = negotiate(
        {.asn = *peer.local_as, .speaker_asn = Asn{65000}, .identifier = Ip4{0xc0000202}},
        peer,
        std::get<Open>(decode_open(hex(GetParam().open))));
    const auto* refused = std::get_if<Notification>(&terms);
    ASSERT_EQ(refused == nullptr, GetParam().taken);
    if (refused != nullptr) {
        EXPECT_EQ(*refused, (Notification{ErrorCode::Open, 2, {}}));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    AnyExternal,
    ::testing::Values(
        Foreign{"of_two_octets", "04 fdea 005a c0000201 00", true},
        Foreign{"of_two_in_four", "04 fdea 005a c0000201 08 02 06 41 04 0000fdea", true},
        Foreign{"of_four_octets", "04 5ba0 005a c0000201 08 02 06 41 04 fa56ea01", true},
        Foreign{"zero", "04 0000 005a c0000201 00", false},
        Foreign{"ours_here", "04 fde7 005a c0000201 00", false},
        Foreign{"ours_elsewhere", "04 fde8 005a c0000201 00", false},
        Foreign{"as_trans", "04 5ba0 005a c0000201 00", false},
        Foreign{"as_trans_twice", "04 5ba0 005a c0000201 08 02 06 41 04 00005ba0", false},
        Foreign{"last_of_two_octets", "04 ffff 005a c0000201 00", false},
        Foreign{"last_of_four_octets", "04 5ba0 005a c0000201 08 02 06 41 04 ffffffff", false},
        Foreign{"two_numbers", "04 fdea 005a c0000201 08 02 06 41 04 0000fdeb", false},
        Foreign{"four_octets_untold", "04 fdea 005a c0000201 08 02 06 41 04 fa56ea01", false}),
    [](const auto& row) { return row.param.name; });

TEST(Negotiation, SilentPeerSpeaksIpv4WithTwoOctets) {
    const Terms terms = agreed(peer_of(65001), "04 fde9 005a c0000201 00");
    EXPECT_TRUE(terms.ipv4);
    EXPECT_FALSE(terms.ipv6);
    EXPECT_EQ(terms.as_width, AsWidth::Two);
}

TEST(Negotiation, TheShorterHoldTimeHolds) {
    EXPECT_EQ(agreed(peer_of(65001), "04 fde9 0003 c0000201 00").hold_time.count(), 3);
    EXPECT_EQ(agreed(peer_of(65001), "04 fde9 00b4 c0000201 00").hold_time.count(), 90);
    EXPECT_EQ(agreed(peer_of(65001), "04 fde9 0000 c0000201 00").hold_time.count(), 0);
}

TEST(Negotiation, CapabilityTellsTheRealAs) {
    const Terms terms =
        agreed(peer_of(4200000001), "04 5ba0 005a c0000201 08 02 06 41 04 fa56ea01");
    EXPECT_EQ(terms.as_width, AsWidth::Four);
}

TEST(Open, ExtendedParametersAreRead) {  // RFC 9072
    const auto decoded =
        decode_open(hex("04 fde9 005a c0000201 ff ff 0009 02 0006 41 04 0000fde9"));
    ASSERT_TRUE(std::holds_alternative<Open>(decoded));
    EXPECT_EQ(std::get<Open>(decoded).asn(), Asn{65001});
}

TEST(Open, SurvivesARoundTrip) {
    const Open sent =
        make_open({.asn = Asn{4200000001}, .identifier = Ip4{0xc0000202}}, peer_of(65001));
    std::vector<std::uint8_t> bytes;
    encode_open(sent, bytes);
    const auto got = decode_open(Bytes{bytes}.subspan(kHeaderSize));
    ASSERT_TRUE(std::holds_alternative<Open>(got));
    EXPECT_EQ(std::get<Open>(got).asn(), Asn{4200000001});
    EXPECT_EQ(std::get<Open>(got).as_field, 23456);
    EXPECT_EQ(std::get<Open>(got).capabilities, sent.capabilities);
}

TEST(Framer, PutsMessagesTogetherFromSingleBytes) {
    std::vector<std::uint8_t> bytes;
    encode_keepalive(bytes);
    encode_route_refresh(kIpv6Unicast, 0, bytes);
    Framer framer;
    std::vector<MessageType> seen;
    for (const std::uint8_t byte : bytes) {
        framer.feed(Bytes{&byte, 1});
        const auto next = framer.next();
        if (const auto* message = std::get_if<Framer::Message>(&next)) {
            seen.push_back(message->type);
        }
    }
    EXPECT_EQ(seen, (std::vector{MessageType::Keepalive, MessageType::RouteRefresh}));
    EXPECT_EQ(framer.buffered(), 0U);
}

TEST(Notification, SaysItsCodes) {
    EXPECT_EQ(
        to_string(Notification{ErrorCode::Cease, 7, {}}), "Cease/Connection Collision Resolution");
    EXPECT_EQ(
        to_string(Notification{ErrorCode::Fsm, 2, {}}),
        "Finite State Machine Error/Unexpected Message in OpenConfirm");
    EXPECT_EQ(to_string(Notification{static_cast<ErrorCode>(9), 3, {}}), "code 9/subcode 3");
}

TEST(Notification, ShutdownTextCannotBreakALogLine) {
    EXPECT_EQ(
        to_string(Notification{ErrorCode::Cease, 2, hex("03 61 0a 62")}),
        "Cease/Administrative Shutdown \"a?b\"");
    EXPECT_EQ(
        to_string(Notification{ErrorCode::Cease, 2, hex("ff 61")}),
        "Cease/Administrative Shutdown \"a\"");
}

// Bytes that are no UTF-8 would make every answer that shows them unreadable to vrouterctl.
TEST(Notification, ShutdownTextIsShownAsUtf8) {
    const auto shown = [](const std::string& bytes) {
        return to_string(Notification{ErrorCode::Cease, 2, hex(bytes)});
    };
    EXPECT_EQ(shown("05 67 72 c3b6 c3"), "Cease/Administrative Shutdown \"gr\xc3\xb6?\"");
    EXPECT_EQ(shown("03 ff 61 80"), "Cease/Administrative Shutdown \"?a?\"");
    EXPECT_EQ(shown("02 c080"), "Cease/Administrative Shutdown \"??\"");         // an overlong zero
    EXPECT_EQ(shown("03 eda080"), "Cease/Administrative Shutdown \"???\"");      // half of a pair
    EXPECT_EQ(shown("04 c29b 6d 7f"), "Cease/Administrative Shutdown \"?m?\"");  // a terminal's CSI
}

}  // namespace
}  // namespace vr::bgp::message_test
