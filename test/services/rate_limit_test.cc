// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/rate_limit.h"

#include <gtest/gtest.h>

#include "test/services/frames.h"
#include "vrouter/services/repeats.h"

namespace vr::rate_limit_test {
namespace {

using namespace std::chrono_literals;
using test::kStart;

int taken(TokenBucket& bucket, int tries, TimePoint now) {
    int count = 0;
    for (int i = 0; i < tries; ++i) {
        count += bucket.take(now) ? 1 : 0;
    }
    return count;
}

TEST(TokenBucket, GivesItsBurstAtOnce) {
    TokenBucket bucket{{.per_second = 10, .burst = 5}};
    EXPECT_EQ(taken(bucket, 100, kStart), 5);
}

TEST(TokenBucket, RefillsAtItsRate) {
    TokenBucket bucket{{.per_second = 10, .burst = 5}};
    static_cast<void>(taken(bucket, 100, kStart));
    EXPECT_EQ(taken(bucket, 100, kStart + 99ms), 0);
    EXPECT_EQ(taken(bucket, 100, kStart + 300ms), 3);
}

TEST(TokenBucket, NeverHoldsMoreThanItsBurst) {
    TokenBucket bucket{{.per_second = 10, .burst = 5}};
    static_cast<void>(taken(bucket, 100, kStart));
    EXPECT_EQ(taken(bucket, 100, kStart + 24h), 5);
}

TEST(RateLimiter, ABusyPortLeavesTokensToOthers) {
    RateLimiter limiter{{.per_second = 1, .burst = 2}, {.per_second = 1, .burst = 4}};
    int busy = 0;
    for (int i = 0; i < 100; ++i) {
        busy += limiter.allow(PortId{1}, kStart) ? 1 : 0;
    }
    EXPECT_EQ(busy, 2);
    EXPECT_TRUE(limiter.allow(PortId{2}, kStart));
    EXPECT_TRUE(limiter.allow(PortId{2}, kStart));
    EXPECT_FALSE(limiter.allow(PortId{3}, kStart)) << "the total is used up";
}

TEST(RateLimiter, AFreshPortStartsFull) {
    RateLimiter limiter{{.per_second = 1, .burst = 1}, {.per_second = 100, .burst = 100}};
    EXPECT_TRUE(limiter.allow(PortId{1}, kStart));
    EXPECT_FALSE(limiter.allow(PortId{1}, kStart));
    limiter.remove_port(PortId{1});
    EXPECT_TRUE(limiter.allow(PortId{1}, kStart));
}

TEST(Repeats, AreToldOnceAMinuteWithTheirNumber) {
    Repeats repeats;
    EXPECT_EQ(repeats.happened(kStart), 0U);
    EXPECT_EQ(repeats.happened(kStart), std::nullopt);
    EXPECT_EQ(repeats.happened(kStart + 59s), std::nullopt);
    EXPECT_EQ(repeats.happened(kStart + 60s), 2U);
    EXPECT_EQ(repeats.happened(kStart + 119s), std::nullopt);
    EXPECT_EQ(repeats.happened(kStart + 200s), 1U);
}

}  // namespace
}  // namespace vr::rate_limit_test
