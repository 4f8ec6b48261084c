// Rates and connections of endpoints in the packet path: POLICY 2.5 steps 2 and 4, 2.7.
//
// A batch is judged at one moment, so what passes of it is exact.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <type_traits>

#include "test/dataplane/pipeline_lab.h"
#include "vrouter/dataplane/clock.h"

namespace vr::test::limits_test {
namespace {

using namespace tcpflag;

constexpr RateLimits kNone{};
constexpr RateLimits kThreePackets{.packet_rate = 1, .packet_burst = 3};
constexpr RateLimits kTwoConnections{.connections = 2};

template <typename F>
class Limits : public testing::Test {
  protected:
    /// Lets as many alike packets in as fit a batch; how many were sent.
    std::size_t burst(PortId in, const Frame& frame, std::size_t count = 8) {
        for (auto& [id, memory] : lab_.ports) {
            memory->sent.clear();
        }
        lab_.receive(in, std::vector<Frame>(count, frame));
        lab_.poll();
        std::size_t sent = 0;
        for (auto& [id, memory] : lab_.ports) {
            sent += memory->sent.size();
        }
        return sent;
    }

    [[nodiscard]] std::uint64_t dropped(PortId in, DropReason reason) const {
        return lab_.totals(in).drops[static_cast<std::size_t>(reason)];
    }

    std::string syn(std::uint16_t port) {
        return lab_.run(lab_.a, lab_.tcp(lab_.a, kGuestA, kOutside, kSyn, port));
    }

    std::string syn_to_a(std::uint16_t port) {
        return lab_.run(lab_.fabric, lab_.tcp(lab_.fabric, kOutside, kGuestA, kSyn, port));
    }

    std::string from_a(std::uint8_t flags, std::uint16_t port) {
        return lab_.run(lab_.a, lab_.tcp(lab_.a, kGuestA, kOutside, flags, port));
    }

    std::string to_a(std::uint8_t flags, std::uint16_t port) {
        return lab_.run(lab_.fabric, lab_.tcp(lab_.fabric, kOutside, kGuestA, flags, 80, port));
    }

    PipelineLab<F> lab_;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Limits, Families);

TYPED_TEST(Limits, PacketRateOfTheSender) {
    auto& lab = this->lab_;
    const auto limits = lab.limit(lab.a, kNone, kThreePackets);
    EXPECT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestA, kOutside)), 3U);
    EXPECT_EQ(this->dropped(lab.a, DropReason::PacketRate), 5U);
    EXPECT_EQ(limits->egress.state->over_packet_rate, 5U);
    EXPECT_EQ(limits->ingress.state->over_packet_rate, 0U);
    EXPECT_EQ(this->burst(lab.b, lab.udp(lab.b, kGuestB, kOutside)), 8U);
    EXPECT_EQ(this->burst(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), 8U);
}

TYPED_TEST(Limits, PacketRateOfTheReceiver) {
    auto& lab = this->lab_;
    const auto limits = lab.limit(lab.a, kThreePackets, kNone);
    EXPECT_EQ(this->burst(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), 3U);
    EXPECT_EQ(this->dropped(lab.fabric, DropReason::PacketRate), 5U);
    EXPECT_EQ(limits->ingress.state->over_packet_rate, 5U);
    EXPECT_EQ(this->burst(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestB)), 8U);
    EXPECT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestA, kOutside)), 8U);
}

/// POLICY 2.5: the rate comes before the flow lookup.
TYPED_TEST(Limits, EstablishedFlowsCountAsWell) {
    auto& lab = this->lab_;
    ASSERT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestA, kOutside)), 8U);
    lab.limit(lab.a, kNone, kThreePackets);
    EXPECT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestA, kOutside)), 3U);
}

TYPED_TEST(Limits, WhatIsSpoofedCountsForNobody) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kNone, kThreePackets);
    EXPECT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestB, kOutside)), 0U);
    EXPECT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestA, kOutside)), 3U);
}

TYPED_TEST(Limits, BothEndsOfOneHostCount) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kNone, kThreePackets);
    lab.limit(lab.b, {.packet_rate = 1, .packet_burst = 2}, kNone);
    EXPECT_EQ(this->burst(lab.a, lab.udp(lab.a, kGuestA, kGuestB)), 2U);
    EXPECT_EQ(this->dropped(lab.a, DropReason::PacketRate), 6U);
}

TYPED_TEST(Limits, ABatchToSeveralReceiversIsLimitedByEachOfThem) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kThreePackets, kNone);
    lab.limit(lab.b, {.packet_rate = 1, .packet_burst = 1}, kNone);
    std::vector<Frame> mixed;
    for (int i = 0; i < 4; ++i) {
        mixed.push_back(lab.udp(lab.fabric, kOutside, kGuestA));
        mixed.push_back(lab.udp(lab.fabric, kOutside, kGuestB));
    }
    lab.receive(lab.fabric, mixed);
    lab.poll();
    EXPECT_EQ(lab.port(lab.a).sent.size(), 3U);
    EXPECT_EQ(lab.port(lab.b).sent.size(), 1U);
}

/// Whole frames count, as in tc.
TYPED_TEST(Limits, BandwidthCountsTheBitsOfFrames) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.a, kGuestA, kOutside);
    const Frame frame = frame_of(envelope, udp_header(1000, 2000, 1000));
    const auto limits =
        lab.limit(lab.a, kNone, {.bandwidth = 1000, .burst = 3 * frame.size() * 8 + 7});
    EXPECT_EQ(this->burst(lab.a, frame), 3U);
    EXPECT_EQ(this->dropped(lab.a, DropReason::Bandwidth), 5U);
    EXPECT_EQ(limits->egress.state->over_bandwidth, 5U);
}

TYPED_TEST(Limits, PeakRateLimitsWhatComesAtOnceWithinTheBurst) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.a, kGuestA, kOutside);
    const Frame frame = frame_of(envelope, udp_header(1000, 2000, 1000));
    lab.limit(
        lab.a,
        kNone,
        {.bandwidth = 1000, .burst = 1000000, .peak_rate = 2000, .min_burst = 2 * frame.size()});
    EXPECT_EQ(this->burst(lab.a, frame), 2U);
}

/// What bandwidth refuses leaves its place among the packets to others, and in the peak rate.
TYPED_TEST(Limits, APacketCountsForAllLimitsOrForNone) {
    auto& lab = this->lab_;
    const Frame large =
        frame_of(lab.envelope(lab.a, kGuestA, kOutside), udp_header(1000, 2000, 1400));
    const Frame small = lab.udp(lab.a, kGuestA, kOutside);
    lab.limit(
        lab.a,
        kNone,
        {.bandwidth = 1000,
         .burst = (3 * 1514 + 500) * 8,
         .peak_rate = 1010,
         .min_burst = 4 * 1514,
         .packet_rate = 1,
         .packet_burst = 5});
    EXPECT_EQ(this->burst(lab.a, large, 5), 3U);
    EXPECT_EQ(this->burst(lab.a, small, 5), 2U) << "of five";
    EXPECT_EQ(this->dropped(lab.a, DropReason::PacketRate), 3U);
}

TYPED_TEST(Limits, WhatBandwidthRefusesDoesNotCountInThePeakRate) {
    auto& lab = this->lab_;
    const Frame large =
        frame_of(lab.envelope(lab.a, kGuestA, kOutside), udp_header(1000, 2000, 1400));
    const auto limits = lab.limit(
        lab.a,
        kNone,
        {.bandwidth = 1000, .burst = 1514 * 8, .peak_rate = 1010, .min_burst = 2 * 1514});
    EXPECT_EQ(this->burst(lab.a, large, 8), 1U);
    const Policer& egress = limits->egress;
    const auto frame = [&](unsigned) { return large.size() * 8; };
    EXPECT_EQ(egress.state->peak.admit(egress.peak, bucket_now(), 3, frame), 1U)
        << "one of two frames";
}

TYPED_TEST(Limits, WhatEndpointsWithoutLimitsSendIsNotCounted) {
    auto& lab = this->lab_;
    EXPECT_FALSE(lab.machine->tables().limited);
    lab.limit(lab.a, kThreePackets, kNone);
    EXPECT_TRUE(lab.machine->tables().limited);
    EXPECT_EQ(this->burst(lab.b, lab.udp(lab.b, kGuestB, kOutside)), 8U);
    lab.close(lab.a);
    EXPECT_FALSE(lab.machine->tables().limited);
}

// Connections.

TYPED_TEST(Limits, ConnectionsThatAWorkloadBegins) {
    auto& lab = this->lab_;
    const auto limits = lab.limit(lab.a, kNone, kTwoConnections);
    EXPECT_EQ(this->syn(1), "sent fabric");
    EXPECT_EQ(this->syn(2), "sent fabric");
    EXPECT_EQ(this->syn(3), "punted connection_refused");
    EXPECT_EQ(limits->egress.state->over_connections, 1U);
    EXPECT_EQ(this->syn(2), "sent fabric") << "sent once more";
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(this->syn_to_a(4), "sent a") << "the other direction";
}

TYPED_TEST(Limits, ConnectionsThatAreBegunToAWorkload) {
    auto& lab = this->lab_;
    const auto limits = lab.limit(lab.a, kTwoConnections, kNone);
    EXPECT_EQ(this->syn_to_a(1), "sent a");
    EXPECT_EQ(lab.run(lab.b, lab.tcp(lab.b, kGuestB, kGuestA, kSyn)), "sent a");
    EXPECT_EQ(this->syn_to_a(2), "punted connection_refused");
    EXPECT_EQ(limits->ingress.state->over_connections, 1U);
    EXPECT_EQ(lab.run(lab.tap, lab.tcp(lab.tap, kRouter, kGuestA, kSyn)), "sent a")
        << "the host is not policed";
}

TYPED_TEST(Limits, AConnectionThatBothSidesHaveClosedMakesRoom) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kNone, kTwoConnections);
    ASSERT_EQ(this->syn(1), "sent fabric");
    ASSERT_EQ(this->syn(2), "sent fabric");
    ASSERT_EQ(this->from_a(kFin | kAck, 1), "sent fabric");
    EXPECT_EQ(this->syn(3), "punted connection_refused") << "the other side may still send";
    ASSERT_EQ(this->to_a(kFin | kAck, 1), "sent a");
    EXPECT_EQ(this->syn(3), "sent fabric");
}

TYPED_TEST(Limits, AConnectionThatGoesOnAfterAResetCountsAgain) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kNone, kTwoConnections);
    ASSERT_EQ(this->syn(1), "sent fabric");
    ASSERT_EQ(this->syn(2), "sent fabric");
    ASSERT_EQ(this->to_a(kRst, 1), "sent a");
    ASSERT_EQ(this->from_a(kAck, 1), "sent fabric");
    EXPECT_EQ(this->syn(3), "punted connection_refused");
    ASSERT_EQ(this->to_a(kRst, 2), "sent a");
    EXPECT_EQ(this->syn(3), "sent fabric");
}

/// What counts no more does not live on.
TYPED_TEST(Limits, AClosedConnectionIsNotKeptAlive) {
    auto& lab = this->lab_;
    ASSERT_EQ(this->syn(1), "sent fabric");
    ASSERT_EQ(this->from_a(kFin | kAck, 1), "sent fabric");
    ASSERT_EQ(this->to_a(kFin | kAck, 1), "sent a");
    FlowEntry<TypeParam>* flow = nullptr;
    auto& flows = lab.machine->shared().template flows<TypeParam>();
    flows.for_each([&](const auto& entry) { flow = const_cast<FlowEntry<TypeParam>*>(&entry); });
    ASSERT_NE(flow, nullptr);
    flow->last_seen = 0;
    ASSERT_EQ(this->from_a(kAck, 1), "sent fabric");
    EXPECT_EQ(flow->last_seen, 0U);
}

TYPED_TEST(Limits, BothFamiliesCountTogether) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kNone, {.connections = 1});
    using Other = std::conditional_t<std::is_same_v<TypeParam, V4>, V6, V4>;
    FlowKey<Other> key;
    key.protocol = ipproto::kTcp;
    auto& others = lab.machine->shared().template flows<Other>();
    ASSERT_NE(others.insert(0, key, {.from = lab.a, .to = {}}, 1).entry, nullptr);
    EXPECT_EQ(this->syn(1), "punted connection_refused");
}

/// Those that were begun before there was a limit count from the start.
TYPED_TEST(Limits, OlderConnectionsCount) {
    auto& lab = this->lab_;
    ASSERT_EQ(this->syn(1), "sent fabric");
    ASSERT_EQ(this->syn(2), "sent fabric");
    lab.limit(lab.a, kNone, kTwoConnections);
    EXPECT_EQ(this->syn(3), "punted connection_refused");
    EXPECT_EQ(this->syn(1), "sent fabric");
}

/// Also where so many are refused that not everyone is told.
TYPED_TEST(Limits, EveryRefusedConnectionIsCounted) {
    auto& lab = this->lab_;
    lab.limit(lab.a, kNone, {.connections = 1});
    ASSERT_EQ(this->syn(1), "sent fabric");
    constexpr std::size_t kRefused = 640;  // more than are told of within a second
    for (std::size_t done = 0; done < kRefused; done += 32) {
        lab.receive(lab.a, std::vector<Frame>(32, lab.tcp(lab.a, kGuestA, kOutside, kSyn, 2)));
        lab.poll();
    }
    const std::size_t told = lab.take_punted().size();
    EXPECT_GT(this->dropped(lab.a, DropReason::ConnectionLimit), 0U);
    EXPECT_EQ(this->dropped(lab.a, DropReason::ConnectionLimit) + told, kRefused);
    EXPECT_EQ(this->dropped(lab.a, DropReason::PuntFull), 0U);
}

/// Who is denied does not learn that there are too many.
TYPED_TEST(Limits, PolicyDeniesBeforeConnectionsAreCounted) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    lab.limit(lab.a, {.connections = 1}, kNone);
    EXPECT_EQ(this->syn_to_a(1), "dropped ingress_denied");
}

}  // namespace
}  // namespace vr::test::limits_test
