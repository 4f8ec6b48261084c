// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/icmp.h"

#include <gtest/gtest.h>

#include <string>

#include "test/services/frames.h"
#include "vrouter/net/checksum.h"

namespace vr::icmp::icmp_test {
namespace {

using namespace vr::test;

using Content = std::vector<std::uint8_t>;

/// Addresses of one family under the names that the tests use.
template <Family F>
struct Net;

template <>
struct Net<V4> {
    static inline const Ip4 kPeer = ip4("10.0.0.2");
    static inline const Ip4 kRouter = ip4("10.0.0.1");
    static inline const Ip4 kFar = ip4("192.0.2.7");
    static inline const Ip4 kGroup = ip4("224.0.0.5");
    static constexpr std::uint8_t kEcho = 8;
    static constexpr std::uint8_t kEchoReply = 0;
    static constexpr std::uint8_t kAnError = 3;
    static constexpr std::size_t kLargest = 576;
};

template <>
struct Net<V6> {
    static inline const Ip6 kPeer = ip6("fd00::2");
    static inline const Ip6 kRouter = ip6("fd00::1");
    static inline const Ip6 kFar = ip6("2001:db8::7");
    static inline const Ip6 kGroup = ip6("ff02::5");
    static constexpr std::uint8_t kEcho = 128;
    static constexpr std::uint8_t kEchoReply = 129;
    static constexpr std::uint8_t kAnError = 1;
    static constexpr std::size_t kLargest = 1280;
};

template <typename F>
class Icmp : public testing::Test {
  public:
    static Frame echo(const Content& payload = {'p', 'i', 'n', 'g', '!'}) {
        return icmp_packet<F>(
            Net<F>::kPeer,
            Net<F>::kRouter,
            bytes({{Net<F>::kEcho, 0, 0, 0, 0x12, 0x34, 0, 7}, payload}),
            3);
    }

    static std::optional<Frame> error(
        const Frame& about, Problem problem = Problem::HopLimitExceeded, std::uint32_t value = 0) {
        return error_message<F>(about, {problem, value}, {kRouterMac, Net<F>::kRouter});
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Icmp, Families);

TYPED_TEST(Icmp, EchoReplySwapsAddressesAndKeepsThePayload) {
    const auto reply = echo_reply<TypeParam>(this->echo());
    ASSERT_TRUE(reply);
    const auto packet = parse_ip<TypeParam>(*reply);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->link.source, kRouterMac);
    EXPECT_EQ(packet->link.destination, kPeerMac);
    EXPECT_EQ(packet->source, Net<TypeParam>::kRouter);
    EXPECT_EQ(packet->destination, Net<TypeParam>::kPeer);
    EXPECT_EQ(packet->hop_limit, 64);
    EXPECT_TRUE(icmp_checksum_ok(*packet));
    EXPECT_EQ(
        Content(packet->payload.begin() + 4, packet->payload.end()),
        (Content{0x12, 0x34, 0, 7, 'p', 'i', 'n', 'g', '!'}));
    EXPECT_EQ(packet->payload[0], Net<TypeParam>::kEchoReply);
}

TYPED_TEST(Icmp, EchoReplyLeavesEthernetPaddingOut) {
    Frame padded = this->echo();
    const std::size_t size = padded.size();
    padded.resize(size + 12);
    EXPECT_EQ(echo_reply<TypeParam>(padded)->size(), size);
}

TYPED_TEST(Icmp, EchoWithAWrongChecksumIsNotAnswered) {
    Frame broken = this->echo();
    broken.back() ^= 1U;
    EXPECT_FALSE(echo_reply<TypeParam>(broken));
}

TYPED_TEST(Icmp, EchoReplyIsNotAnswered) {
    EXPECT_FALSE(echo_reply<TypeParam>(*echo_reply<TypeParam>(this->echo())));
}

TYPED_TEST(Icmp, EchoToAGroupIsNotAnswered) {
    using N = Net<TypeParam>;
    EXPECT_FALSE(echo_reply<TypeParam>(
        icmp_packet<TypeParam>(N::kPeer, N::kGroup, {N::kEcho, 0, 0, 0, 0, 1, 0, 1})));
    EXPECT_FALSE(echo_reply<TypeParam>(with(this->echo(), 0, 0xff)));
}

TYPED_TEST(Icmp, EchoFromNobodyIsNotAnswered) {
    using N = Net<TypeParam>;
    EXPECT_FALSE(echo_reply<TypeParam>(
        icmp_packet<TypeParam>({}, N::kRouter, {N::kEcho, 0, 0, 0, 0, 1, 0, 1})));
}

TYPED_TEST(Icmp, EchoCutAnywhereIsNotAnswered) {
    const Frame whole = this->echo();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(echo_reply<TypeParam>(cut(whole, size))) << size;
    }
}

TYPED_TEST(Icmp, ErrorGoesFromTheRouterToTheSender) {
    using N = Net<TypeParam>;
    const auto message = this->error(udp_packet<TypeParam>(N::kPeer, N::kFar, 30));
    ASSERT_TRUE(message);
    const auto packet = parse_ip<TypeParam>(*message);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->link.source, kRouterMac);
    EXPECT_EQ(packet->link.destination, kPeerMac);
    EXPECT_EQ(packet->source, N::kRouter);
    EXPECT_EQ(packet->destination, N::kPeer);
    EXPECT_TRUE(icmp_checksum_ok(*packet));
}

TYPED_TEST(Icmp, ErrorQuotesAShortPacketWhole) {
    using N = Net<TypeParam>;
    const Frame about = udp_packet<TypeParam>(N::kPeer, N::kFar, 30);
    const auto message = this->error(about);
    const auto packet = parse_ip<TypeParam>(*message);
    EXPECT_EQ(
        Content(packet->payload.begin() + 8, packet->payload.end()),
        Content(about.begin() + 14, about.end()));
}

TYPED_TEST(Icmp, ErrorQuotesOfALongPacketWhatFits) {
    using N = Net<TypeParam>;
    const Frame about = udp_packet<TypeParam>(N::kPeer, N::kFar, 1400);
    EXPECT_EQ(this->error(about)->size(), 14 + N::kLargest);
}

TYPED_TEST(Icmp, NoErrorAboutAnError) {
    using N = Net<TypeParam>;
    EXPECT_FALSE(
        this->error(icmp_packet<TypeParam>(N::kPeer, N::kFar, {N::kAnError, 0, 0, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(
        this->error(icmp_packet<TypeParam>(N::kPeer, N::kFar, {N::kEcho, 0, 0, 0, 0, 0, 0, 0})));
}

TYPED_TEST(Icmp, NoErrorAboutAPacketToAGroup) {
    using N = Net<TypeParam>;
    EXPECT_FALSE(this->error(udp_packet<TypeParam>(N::kPeer, N::kGroup, 30)));
    EXPECT_FALSE(this->error(with(udp_packet<TypeParam>(N::kPeer, N::kFar, 30), 0, 0xff)));
}

TYPED_TEST(Icmp, NoErrorToWhoIsNobody) {
    using N = Net<TypeParam>;
    EXPECT_FALSE(this->error(udp_packet<TypeParam>({}, N::kFar, 30)));
    EXPECT_FALSE(this->error(udp_packet<TypeParam>(N::kGroup, N::kFar, 30)));
}

TYPED_TEST(Icmp, NoErrorAboutWhatDoesNotParse) {
    using N = Net<TypeParam>;
    const Frame whole = udp_packet<TypeParam>(N::kPeer, N::kFar, 30);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(this->error(cut(whole, size))) << size;
    }
}

TEST(IcmpV4, NoErrorAboutALaterFragment) {
    Frame fragment = udp_packet<V4>(ip4("10.0.0.2"), ip4("192.0.2.7"), 30);
    const auto rewrite = [&](std::uint16_t flags_fragment) {
        store_be(fragment.data() + 20, flags_fragment);
        store_be<std::uint16_t>(fragment.data() + 24, 0);
        store_be(fragment.data() + 24, checksum(Bytes{fragment}.subspan(14, 20)));
    };
    const Speaker<V4> speaker{kRouterMac, ip4("10.0.0.1")};
    rewrite(0x2000);
    EXPECT_TRUE(error_message<V4>(fragment, {Problem::HopLimitExceeded}, speaker));
    rewrite(0x2001);
    EXPECT_FALSE(error_message<V4>(fragment, {Problem::HopLimitExceeded}, speaker));
}

Frame v6_with_extension(const Content& header, std::uint8_t type) {
    Frame frame = udp_packet<V6>(ip6("fd00::2"), ip6("2001:db8::7"), 30);
    frame[20] = type;
    frame[19] = static_cast<std::uint8_t>(30 + header.size());
    frame.insert(frame.begin() + 54, header.begin(), header.end());
    return frame;
}

TEST(IcmpV6, NoErrorAboutALaterFragment) {
    const Speaker<V6> speaker{kRouterMac, ip6("fd00::1")};
    EXPECT_TRUE(error_message<V6>(
        v6_with_extension({17, 0, 0, 1, 0, 0, 0, 1}, 44), {Problem::NoRoute}, speaker));
    EXPECT_FALSE(error_message<V6>(
        v6_with_extension({17, 0, 0, 8, 0, 0, 0, 1}, 44), {Problem::NoRoute}, speaker));
}

TEST(IcmpV6, FindsAnErrorBehindExtensionHeaders) {
    Frame frame = v6_with_extension({58, 0, 1, 4, 0, 0, 0, 0}, 60);
    frame[62] = 1;
    EXPECT_FALSE(error_message<V6>(frame, {Problem::NoRoute}, {kRouterMac, ip6("fd00::1")}));
}

TEST(IcmpV6, RefusesAnEndlessHeaderChain) {
    Content chain;
    for (int i = 0; i < 9; ++i) {
        const Content header{60, 0, 1, 4, 0, 0, 0, 0};
        chain.insert(chain.end(), header.begin(), header.end());
    }
    EXPECT_FALSE(parse_ip<V6>(v6_with_extension(chain, 60)));
}

TEST(IcmpV6, TooBigIsToldOfGroupsToo) {
    const Frame about = udp_packet<V6>(ip6("fd00::2"), ip6("ff0e::5"), 30);
    EXPECT_TRUE(error_message<V6>(about, {Problem::TooBig, 1400}, {kRouterMac, ip6("fd00::1")}));
}

struct Row {
    std::string name;
    Report report;
    Content first8_v4;  // type, code, (checksum), second word
    Content first8_v6;
};

class IcmpProblems : public testing::TestWithParam<Row> {};

template <Family F>
Content first8(const Report& report) {
    using N = Net<F>;
    const auto message =
        error_message<F>(udp_packet<F>(N::kPeer, N::kFar, 30), report, {kRouterMac, N::kRouter});
    const auto packet = parse_ip<F>(*message);
    Content first(packet->payload.begin(), packet->payload.begin() + 8);
    first[2] = first[3] = 0;
    return first;
}

TEST_P(IcmpProblems, AreToldInIcmp) {
    EXPECT_EQ(first8<V4>(GetParam().report), GetParam().first8_v4);
}

TEST_P(IcmpProblems, AreToldInIcmpV6) {
    EXPECT_EQ(first8<V6>(GetParam().report), GetParam().first8_v6);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    IcmpProblems,
    testing::Values(
        Row{"NoRoute", {Problem::NoRoute}, {3, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0}},
        Row{"AddressUnreachable",
            {Problem::AddressUnreachable},
            {3, 1, 0, 0, 0, 0, 0, 0},
            {1, 3, 0, 0, 0, 0, 0, 0}},
        Row{"AdminProhibited",
            {Problem::AdminProhibited},
            {3, 13, 0, 0, 0, 0, 0, 0},
            {1, 1, 0, 0, 0, 0, 0, 0}},
        Row{"PortUnreachable",
            {Problem::PortUnreachable},
            {3, 3, 0, 0, 0, 0, 0, 0},
            {1, 4, 0, 0, 0, 0, 0, 0}},
        Row{"HopLimitExceeded",
            {Problem::HopLimitExceeded},
            {11, 0, 0, 0, 0, 0, 0, 0},
            {3, 0, 0, 0, 0, 0, 0, 0}},
        Row{"TooBig",
            {Problem::TooBig, 1400},
            {3, 4, 0, 0, 0, 0, 0x05, 0x78},
            {2, 0, 0, 0, 0, 0, 0x05, 0x78}},
        Row{"TooBigNeverBelowTheLeastMtu",
            {Problem::TooBig, 60},
            {3, 4, 0, 0, 0, 0, 0, 68},
            {2, 0, 0, 0, 0, 0, 0x05, 0x00}},
        Row{"HeaderField",
            {Problem::HeaderField, 6},
            {12, 0, 0, 0, 6, 0, 0, 0},
            {4, 0, 0, 0, 0, 0, 0, 6}},
        Row{"UnknownNextHeader",
            {Problem::UnknownNextHeader, 40},
            {3, 2, 0, 0, 0, 0, 0, 0},
            {4, 1, 0, 0, 0, 0, 0, 40}},
        Row{"UnknownOption",
            {Problem::UnknownOption, 42},
            {12, 0, 0, 0, 42, 0, 0, 0},
            {4, 2, 0, 0, 0, 0, 0, 42}}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace vr::icmp::icmp_test
