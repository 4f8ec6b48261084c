// Resets as RFC 9293 3.10.7.1 has them, and the segments that get none.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/tcp_reset.h"

#include <gtest/gtest.h>

#include <vector>

#include "test/services/frames.h"
#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"

namespace vr::tcp::tcp_reset_test {
namespace {

using namespace vr::test;

template <Family F>
typename F::Addr address(std::uint8_t last) {
    if constexpr (F::kVersion == 4) {
        return Ip4{0x0a000000U + last};
    } else {
        return Ip6{0xfd00000000000000U, last};
    }
}

std::vector<std::uint8_t> segment(std::uint8_t flags, std::size_t payload = 0) {
    Writer w;
    w.u16(31245);
    w.u16(80);
    w.u32(1000);
    w.u32(5000);
    w.u8(0x50);
    w.u8(flags);
    w.zeros(6 + payload);
    return w.release();
}

/// The fields of the answer's TCP header.
struct Answer {
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::uint8_t flags = 0;

    friend bool operator==(const Answer&, const Answer&) = default;
};

template <typename F>
class Reset : public testing::Test {
  public:
    static Frame frame(const std::vector<std::uint8_t>& content) {
        return ip_frame<F>(
            {.link_source = kPeerMac,
             .link_destination = kOtherMac,
             .source = address<F>(2),
             .destination = address<F>(9)},
            ipproto::kTcp,
            content);
    }

    static std::optional<Frame> answer(const std::vector<std::uint8_t>& content) {
        return reset<F>(frame(content), kRouterMac);
    }

    static Answer fields(const std::vector<std::uint8_t>& content) {
        const Frame frame = answer(content).value();
        const auto packet = parse_ip<F>(frame).value();
        Reader r{packet.payload};
        Answer fields;
        r.skip(4);
        fields.sequence = r.u32();
        fields.acknowledgment = r.u32();
        r.skip(1);
        fields.flags = r.u8();
        return fields;
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Reset, Families);

TYPED_TEST(Reset, ComesFromTheDestinationToTheSender) {
    const auto frame = this->answer(segment(tcpflag::kSyn));
    ASSERT_TRUE(frame);
    const auto packet = parse_ip<TypeParam>(*frame);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->link.source, kRouterMac);
    EXPECT_EQ(packet->link.destination, kPeerMac);
    EXPECT_EQ(packet->source, address<TypeParam>(9));
    EXPECT_EQ(packet->destination, address<TypeParam>(2));
    EXPECT_EQ(packet->protocol, ipproto::kTcp);
    Reader r{packet->payload};
    EXPECT_EQ(r.u16(), 80);
    EXPECT_EQ(r.u16(), 31245);
}

TYPED_TEST(Reset, HasARightChecksum) {
    const Frame frame = this->answer(segment(tcpflag::kSyn)).value();
    const auto packet = parse_ip<TypeParam>(frame).value();
    Checksum sum;
    sum.add_pseudo_header(packet.source, packet.destination, ipproto::kTcp, 20);
    sum.add(packet.payload);
    EXPECT_EQ(sum.finish(), 0);
}

TYPED_TEST(Reset, AcknowledgesASynAndItsData) {
    constexpr std::uint8_t kBoth = tcpflag::kRst | tcpflag::kAck;
    EXPECT_EQ(this->fields(segment(tcpflag::kSyn)), (Answer{0, 1001, kBoth}));
    EXPECT_EQ(this->fields(segment(tcpflag::kSyn, 10)), (Answer{0, 1011, kBoth}));
}

TYPED_TEST(Reset, TakesTheSequenceNumberFromAnAcknowledgment) {
    EXPECT_EQ(this->fields(segment(tcpflag::kAck, 10)), (Answer{5000, 0, tcpflag::kRst}));
}

TYPED_TEST(Reset, IsNotAnsweredByAnother) {
    EXPECT_FALSE(this->answer(segment(tcpflag::kRst)));
    EXPECT_FALSE(reset<TypeParam>(this->answer(segment(tcpflag::kSyn)).value(), kRouterMac));
}

TYPED_TEST(Reset, NeedsAWholeHeader) {
    const auto whole = segment(tcpflag::kSyn);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(this->answer({whole.begin(), whole.begin() + static_cast<long>(size)}))
            << size;
    }
    EXPECT_FALSE(this->answer(with(whole, 12, 0x40)));
    EXPECT_FALSE(this->answer(with(whole, 12, 0x60)));
}

TYPED_TEST(Reset, IsForTcpOnly) {
    EXPECT_FALSE(reset<TypeParam>(
        udp_packet<TypeParam>(address<TypeParam>(2), address<TypeParam>(9), 20), kRouterMac));
}

TYPED_TEST(Reset, IsNotSentToGroups) {
    EXPECT_FALSE(reset<TypeParam>(with(this->frame(segment(tcpflag::kSyn)), 0, 0xff), kRouterMac));
}

}  // namespace
}  // namespace vr::tcp::tcp_reset_test
