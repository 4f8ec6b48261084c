// Packets from addresses of others that a workload may send from (allowSpoofedSourcePrefixes): POLICY 2.7, 2.8.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/dataplane/pipeline_lab.h"

namespace vr::test::spoofing_test {
namespace {

using namespace tcpflag;

constexpr std::uint32_t kElsewhere = 0xc0000285;  ///< behind the gateway, as kOutside

template <typename F>
class Spoofing : public testing::Test {
  protected:
    /// Guest a may send from a network outside, and from that of the guests.
    Spoofing() {
        lab_.let_spoof(lab_.a, kElsewhere, 4);
        lab_.let_spoof(lab_.a, kGuestB, 8);
    }

    [[nodiscard]] std::size_t flows() { return lab_.machine->shared().template flows<F>().size(); }

    PipelineLab<F> lab_;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Spoofing, Families);

TYPED_TEST(Spoofing, PassesFromItsPrefixesAndMakesNoFlow) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kOutside)), "sent fabric");
    EXPECT_EQ(this->flows(), 0U);
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kOutside2, kOutside)), "dropped spoofed_address");
    EXPECT_EQ(lab.run(lab.b, lab.udp(lab.b, kElsewhere, kOutside)), "dropped spoofed_address");
}

TYPED_TEST(Spoofing, OwnAddressesHaveFlowsAsEver) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(this->flows(), 1U);
}

TYPED_TEST(Spoofing, IsJudgedByBothSidesAtEachPacket) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kGuestB)), "sent b");
    lab.set_policy(lab.b, deny_all(), allow_all());
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kGuestB)), "dropped ingress_denied");
    lab.set_policy(lab.a, allow_all(), deny_all());
    lab.let_spoof(lab.a, kElsewhere, 4);
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kGuestB)), "dropped egress_denied");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kOutside)), "dropped egress_denied");
}

/// Answers of others that come by this way: a SYN-ACK belongs to no flow here, whatever began it.
TYPED_TEST(Spoofing, NeedsNoBeginning) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kElsewhere, kOutside, kSyn | kAck)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kElsewhere, kOutside, kRst)), "sent fabric");
}

TYPED_TEST(Spoofing, NobodysReplyIsLetInForIt) {
    auto& lab = this->lab_;
    lab.set_policy(lab.b, allow_all(), deny_all());
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kGuestB, 7, 9)), "sent b");
    EXPECT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kElsewhere, 9, 7)), "dropped egress_denied");
}

/// As in Calico another workload's address is as good as any, but its flows are its own.
TYPED_TEST(Spoofing, RidesOnNoFlowOfItsOwner) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestB, kOutside)), "sent fabric");
    lab.set_policy(lab.a, allow_all(), deny_all());
    lab.let_spoof(lab.a, kGuestB, 8);
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestB, kOutside)), "dropped egress_denied");
    EXPECT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
}

TYPED_TEST(Spoofing, TheHostsAddressIsNobodysToUse) {
    auto& lab = this->lab_;
    lab.let_spoof(lab.a, kRouter, 8);
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kRouter, kOutside)), "dropped spoofed_address");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kRouter, kGuestB)), "dropped spoofed_address");
}

TYPED_TEST(Spoofing, ReachesNoFloatingAddress) {
    auto& lab = this->lab_;
    lab.add_floating(lab.b, kFloatB);
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kElsewhere, kFloatB)), "dropped not_translated");
}

TYPED_TEST(Spoofing, MacIsCheckedAllTheSame) {
    auto& lab = this->lab_;
    EXPECT_EQ(
        lab.run(lab.a, with(lab.udp(lab.a, kElsewhere, kOutside), 11, 0xff)),
        "dropped spoofed_mac");
}

/// Policy judges ports, which a later fragment has from its first alone.
TYPED_TEST(Spoofing, LaterFragmentsNeedTheirFirst) {
    auto& lab = this->lab_;
    const auto fragment = [&](std::uint16_t offset) {
        auto envelope = lab.envelope(lab.a, kElsewhere, kOutside);
        envelope.fragment_id = 7;
        envelope.fragment_offset = offset;
        envelope.more_fragments = offset == 0;
        return frame_of(
            envelope, offset == 0 ? udp_header(1000, 80, 16) : std::vector<std::uint8_t>(16));
    };
    EXPECT_EQ(lab.run(lab.a, fragment(24)), "dropped fragment_orphan");
    EXPECT_EQ(lab.run(lab.a, fragment(0)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, fragment(24)), "sent fabric");
}

}  // namespace
}  // namespace vr::test::spoofing_test
