// Token buckets by a clock of our own: how much passes, how much at once, and never more for two workers.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/policer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>

namespace vr::policer_test {
namespace {

constexpr std::uint64_t kHz = 48'000'000'000;  // 16 a cycle of 3 GHz
constexpr std::uint64_t kStart = 7 * kHz;

constexpr auto kOne = [](unsigned) { return std::uint64_t{1}; };

/// How many of `count` at once pass at `now`.
unsigned pass(SharedBucket& bucket, const BucketRate& rate, std::uint64_t now, unsigned count = 1) {
    const std::uint32_t mask = count == 32 ? ~0U : (1U << count) - 1;
    return static_cast<unsigned>(std::popcount(bucket.admit(rate, now, mask, kOne)));
}

TEST(SharedBucket, PassesItsBurstAtOnceAndNoMore) {
    SharedBucket bucket;
    const BucketRate rate(10, 5, kHz);
    EXPECT_EQ(pass(bucket, rate, kStart, 8), 5U);
    EXPECT_EQ(pass(bucket, rate, kStart), 0U);
}

TEST(SharedBucket, PassesTheFirstOfABatch) {
    SharedBucket bucket;
    EXPECT_EQ(bucket.admit(BucketRate(10, 3, kHz), kStart, 0b11011010, kOne), 0b00011010U);
}

TEST(SharedBucket, FillsAtItsRate) {
    SharedBucket bucket;
    const BucketRate rate(10, 5, kHz);
    ASSERT_EQ(pass(bucket, rate, kStart, 5), 5U);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz / 10 - 1), 0U);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz / 10), 1U);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz * 3 / 10, 8), 2U);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz * 60, 8), 5U) << "holds no more than its burst";
}

TEST(SharedBucket, APacketThatDoesNotFitLeavesRoomForSmallerOnes) {
    SharedBucket bucket;
    const std::array<std::uint64_t, 3> sizes{600, 600, 400};
    EXPECT_EQ(
        bucket.admit(
            BucketRate(1000, 1000, kHz), kStart, 0b111, [&](unsigned i) { return sizes[i]; }),
        0b101U);
}

TEST(SharedBucket, AnOlderClockOfAnotherCoreGainsNothing) {
    SharedBucket bucket;
    const BucketRate rate(10, 2, kHz);
    ASSERT_EQ(pass(bucket, rate, kStart, 2), 2U);
    EXPECT_EQ(pass(bucket, rate, kStart - kHz / 100, 8), 0U);
}

TEST(SharedBucket, AClockThatStartsAgainClosesForNoLongerThanABurst) {
    SharedBucket bucket;
    const BucketRate rate(10, 5, kHz);
    ASSERT_EQ(pass(bucket, rate, kStart, 5), 5U);
    EXPECT_EQ(pass(bucket, rate, 0), 0U);
    EXPECT_EQ(pass(bucket, rate, kHz / 2, 8), 5U);
}

TEST(SharedBucket, AnEmptyBucketOfAnotherRateIsStillEmpty) {
    SharedBucket bucket;
    ASSERT_EQ(pass(bucket, BucketRate(1, 32, kHz), kStart, 32), 32U);
    const BucketRate faster(10, 5, kHz);
    EXPECT_EQ(pass(bucket, faster, kStart, 8), 0U);
    EXPECT_EQ(pass(bucket, faster, kStart + kHz / 10, 8), 1U);
}

TEST(SharedBucket, WhatIsPutBackPassesAgain) {
    SharedBucket bucket;
    const BucketRate rate(10, 5, kHz);
    ASSERT_EQ(bucket.admit(rate, kStart, 0b11111111, kOne), 0b11111U);
    bucket.put_back(rate, 0b10010, kOne);
    EXPECT_EQ(pass(bucket, rate, kStart, 8), 2U);
}

TEST(SharedBucket, WhatIsPutBackLateMakesItNoFuller) {
    SharedBucket bucket;
    const BucketRate rate(10, 5, kHz);
    ASSERT_EQ(pass(bucket, rate, kStart, 5), 5U);
    bucket.put_back(rate, 0b11111, kOne);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz * 60, 8), 5U);
    bucket.put_back(rate, 0b11111, kOne);
    bucket.put_back(rate, 0b11111, kOne);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz * 60, 8), 5U);
}

TEST(SharedBucket, WhatIsPutBackAfterAnotherWorkerIsABucketAtMost) {
    SharedBucket bucket;
    const BucketRate rate(10, 5, kHz);
    ASSERT_EQ(pass(bucket, rate, kStart, 5), 5U);
    ASSERT_EQ(pass(bucket, rate, kStart + kHz / 2, 8), 5U) << "another worker";
    bucket.put_back(rate, 0b11111, kOne);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz / 2, 8), 5U);
    EXPECT_EQ(pass(bucket, rate, kStart + kHz / 2, 8), 0U);
}

TEST(SharedBucket, WhatIsPutBackAfterAChangeIsABucketAtMost) {
    SharedBucket bucket;
    const BucketRate slower(1, 5, kHz);
    const BucketRate rate(10, 5, kHz);
    ASSERT_EQ(pass(bucket, slower, kStart, 5), 5U);
    bucket.empty(rate, kStart);
    bucket.put_back(slower, 0b11111, kOne);
    EXPECT_EQ(pass(bucket, rate, kStart, 8), 5U);
    EXPECT_EQ(pass(bucket, rate, kStart, 8), 0U);
}

/// Batches come late: what a rate brings in 4 ms passes at once.
TEST(SharedBucket, HoldsWhatItsRateBringsInFourMilliseconds) {
    SharedBucket bucket;
    EXPECT_EQ(pass(bucket, BucketRate(5000, 5, kHz), kStart, 32), 20U);
}

struct Speed {
    const char* name;
    std::uint64_t rate;
    std::uint64_t cost;
};

class LongRun : public testing::TestWithParam<Speed> {};

/// Twice as much is offered as may pass, in batches of 32, to a bucket that was empty.
TEST_P(LongRun, PassesItsRate) {
    const auto& [name, rate, cost] = GetParam();
    SharedBucket bucket;
    const BucketRate limit(rate, 40 * cost, kHz);
    const auto step = static_cast<std::uint64_t>(
        32.0 / 2 * static_cast<double>(cost) / static_cast<double>(rate) * kHz);
    const std::uint64_t steps = std::clamp<std::uint64_t>(10 * kHz / step, 2000, 20000);
    const auto units = [&](unsigned) { return cost; };
    while (bucket.admit(limit, kStart, ~0U, units) != 0) {
    }
    std::uint64_t passed = 0;
    for (std::uint64_t i = 1; i <= steps; ++i) {
        const std::uint32_t admitted = bucket.admit(limit, kStart + i * step, ~0U, units);
        passed += static_cast<unsigned>(std::popcount(admitted));
    }
    const double wanted = static_cast<double>(steps * step) / kHz * static_cast<double>(rate) /
                          static_cast<double>(cost);
    EXPECT_NEAR(static_cast<double>(passed), wanted, wanted * 0.005);
}

INSTANTIATE_TEST_SUITE_P(
    SharedBucket,
    LongRun,
    testing::Values(
        Speed{"OnePacketASecond", 1, 1},
        Speed{"ThousandPackets", 1000, 1},
        Speed{"TenMillionPackets", 10'000'000, 1},
        Speed{"KilobitOfSmallFrames", 1000, 512},
        Speed{"TenGigabitOfSmallFrames", 10'000'000'000, 512},
        Speed{"TenGigabitOfLargeFrames", 10'000'000'000, 12112},
        Speed{"HundredGigabitOfSmallFrames", 100'000'000'000, 512}),
    [](const auto& row) { return row.param.name; });

/// Several queues of one endpoint are served by several workers: the limit is the endpoint's.
TEST(SharedBucket, WorkersShareIt) {
    SharedBucket bucket;
    const BucketRate rate(1, 1000, kHz);
    std::array<unsigned, 2> passed{};
    {
        std::array<std::jthread, 2> workers;
        for (unsigned w = 0; w < 2; ++w) {
            workers[w] = std::jthread([&, w] {
                for (unsigned i = 0; i < 100; ++i) {
                    passed[w] += pass(bucket, rate, kStart, 8);
                }
            });
        }
    }
    EXPECT_EQ(passed[0] + passed[1], 1000U);
}

TEST(Policer, HasTheBucketsThatAreLimited) {
    const auto state = std::make_shared<PolicerState>();
    const Policer none({.connections = 3}, 1514, kHz, state);
    EXPECT_FALSE(none.limits_rates());
    EXPECT_EQ(none.connections, 3U);
    const Policer both({.peak_rate = 1000, .packet_rate = 1}, 1514, kHz, state);
    EXPECT_TRUE(both.packets.limits());
    EXPECT_TRUE(both.peak.limits());
    EXPECT_FALSE(both.bits.limits());
}

/// Else no frame that is larger would ever pass.
/// The rate of a guest that floods is lowered: what the old one had left is no burst of the new one.
TEST(Policer, AChangedRateBeginsEmpty) {
    const auto state = std::make_shared<PolicerState>();
    const Policer before({.packet_rate = 1'000'000, .packet_burst = 1000}, 1514, kHz, state);
    ASSERT_EQ(pass(state->packets, before.packets, kStart, 4), 4U);
    const Policer same({.packet_rate = 1'000'000, .packet_burst = 1000}, 1514, kHz, state);
    same.take_over(before, kStart);
    EXPECT_EQ(pass(state->packets, same.packets, kStart, 4), 4U);
    const Policer after({.packet_rate = 10, .packet_burst = 1000}, 1514, kHz, state);
    after.take_over(same, kStart);
    EXPECT_EQ(pass(state->packets, after.packets, kStart, 4), 0U);
    EXPECT_EQ(pass(state->packets, after.packets, kStart + kHz / 10, 4), 1U);
}

TEST(Policer, ASmallBurstHoldsAWholeFrame) {
    const Policer policer(
        {.bandwidth = 1000, .burst = 1000}, 1514, kHz, std::make_shared<PolicerState>());
    SharedBucket bucket;
    EXPECT_EQ(bucket.admit(policer.bits, kStart, 0b11, [](unsigned) { return 1514U * 8; }), 0b01U);
}

struct Extreme {
    const char* name;
    RateLimits limits;
};

class ExtremeLimits : public testing::TestWithParam<Extreme> {};

TEST_P(ExtremeLimits, PassAFrame) {
    const Policer policer(GetParam().limits, 9014, kHz, std::make_shared<PolicerState>());
    for (const BucketRate* rate : {&policer.packets, &policer.peak, &policer.bits}) {
        SharedBucket bucket;
        EXPECT_EQ(bucket.admit(*rate, kStart, 1, [](unsigned) { return 1U; }), 1U);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Policer,
    ExtremeLimits,
    testing::Values(
        Extreme{"Least", {1000, 1, 1010, 1, 1, 1, 1}},
        Extreme{
            "LeastWithTheLargestBursts", {1000, 34359738360, 1010, 100000000, 1, 1000000000, 1}},
        Extreme{
            "Most",
            {1000000000000000,
             34359738360,
             1010000000000000,
             100000000,
             1000000000,
             1000000000,
             4294967295}}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vr::policer_test
