// DSCP of packets that leave the cluster: POLICY 2.7.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <vector>

#include "test/dataplane/pipeline_lab.h"
#include "vrouter/dataplane/dscp.h"

namespace vr::test::marks_test {
namespace {

constexpr std::uint8_t kExpedited = 46;

template <typename F>
class Marks : public testing::Test {
  protected:
    Marks() { lab_.mark(lab_.a, kExpedited); }

    /// The DSCP of what was sent last by a port.
    [[nodiscard]] unsigned dscp(PortId out) const {
        return traffic_class<F>(lab_.port(out).sent.back()) >> 2U;
    }

    /// Of which group an address becomes a member.
    void add(GroupId group, std::uint32_t address) {
        lab_.machine->shared().template groups<F>().add(group, Prefix<F>::host(host<F>(address)));
    }

    PipelineLab<F> lab_;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Marks, Families);

TYPED_TEST(Marks, PacketsThatLeaveTheClusterHaveIt) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), kExpedited);
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric") << "established";
    EXPECT_EQ(this->dscp(lab.fabric), kExpedited);
}

TYPED_TEST(Marks, AnswersToOutsideHaveIt) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 1, 2)), "sent a");
    EXPECT_EQ(this->dscp(lab.a), 0U);
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 2, 1)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), kExpedited);
}

TYPED_TEST(Marks, OthersPacketsHaveNone) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), 0U);
}

TYPED_TEST(Marks, WhatStaysInTheClusterHasNone) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kGuestB)), "sent b");
    EXPECT_EQ(this->dscp(lab.b), 0U);
    this->add(kAllPools, kOutside);
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), 0U);
    this->add(kClusterHosts, kOutside2);
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside2)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), 0U);
}

constexpr std::uint8_t kOfHost = 10;

TYPED_TEST(Marks, WhatTheHostSendsOutOfTheClusterHasThatOfThePort) {
    auto& lab = this->lab_;
    lab.mark_host(kOfHost);
    ASSERT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kOutside)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), kOfHost);
    ASSERT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestB)), "sent b");
    EXPECT_EQ(this->dscp(lab.b), 0U);
    this->add(kClusterHosts, kOutside2);
    ASSERT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kOutside2)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), 0U);
}

TYPED_TEST(Marks, WhatOthersSendDoesNotHaveThatOfThePort) {
    auto& lab = this->lab_;
    lab.mark_host(kOfHost);
    ASSERT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), 0U);
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), kExpedited) << "its own";
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kOutside2)), "sent fabric");
    EXPECT_EQ(this->dscp(lab.fabric), 0U) << "transit";
}

TYPED_TEST(Marks, NobodyLooksForMarksWhereThereAreNone) {
    auto& lab = this->lab_;
    EXPECT_TRUE(lab.machine->tables().marks);
    lab.close(lab.a);
    EXPECT_FALSE(lab.machine->tables().marks);
    lab.mark_host(kOfHost);
    EXPECT_TRUE(lab.machine->tables().marks);
    lab.guard({});
    EXPECT_FALSE(lab.machine->tables().marks);
}

TYPED_TEST(Marks, WhatAnErrorWillQuoteStaysAsItCame) {
    auto& lab = this->lab_;
    Envelope<TypeParam> e = lab.envelope(lab.a, kGuestA, kOutside);
    e.may_fragment = false;
    const Frame large = frame_of(e, udp_header(1000, 2000, 1500));
    e.hop_limit = 1;
    const Frame last = frame_of(e, udp_header(1000, 2000));
    lab.receive(lab.a, {large, last});
    lab.poll();
    std::array<rte_mbuf*, 4> punted{};
    ASSERT_EQ(lab.machine->punt_ring().pop(punted), 2U);
    EXPECT_EQ(bytes_of(punted[0]), large);
    EXPECT_EQ(bytes_of(punted[1]), last);
    rte_pktmbuf_free(punted[0]);
    rte_pktmbuf_free(punted[1]);
}

/// The IPv4 checksum is right: of the whole header that leaves.
TYPED_TEST(Marks, OnlyTheFieldItselfChanges) {
    auto& lab = this->lab_;
    for (unsigned bits = 0; bits < 256; bits += 7) {
        const Frame frame = with_traffic_class<TypeParam>(
            lab.udp(lab.a, kGuestA, kOutside), static_cast<std::uint8_t>(bits));
        ASSERT_EQ(lab.run(lab.a, frame), "sent fabric");
        const Frame& sent = lab.port(lab.fabric).sent.back();
        EXPECT_EQ(traffic_class<TypeParam>(sent), kExpedited << 2U | (bits & 3U));
        EXPECT_EQ(
            std::vector<std::uint8_t>(sent.begin() + kL4<TypeParam>, sent.end()),
            std::vector<std::uint8_t>(frame.begin() + kL4<TypeParam>, frame.end()));
        if constexpr (std::is_same_v<TypeParam, V4>) {
            EXPECT_EQ(checksum(Bytes{&sent[kIp], 20}), 0);
        } else {
            EXPECT_EQ(sent[kIp] >> 4U, 6);
        }
    }
}

}  // namespace
}  // namespace vr::test::marks_test
