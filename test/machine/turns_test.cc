// How long handlers took, as a histogram.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/turns.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace vr::turns_test {
namespace {

using namespace std::chrono_literals;

TEST(Turns, QuantilesAreRightToAnEighth) {
    Turns turns;
    for (int i = 1; i <= 1000; ++i) {
        turns.add(std::chrono::microseconds{i});
    }
    EXPECT_EQ(turns.count(), 1000U);
    EXPECT_EQ(turns.longest(), 1ms);
    for (const double share : {0.01, 0.5, 0.9, 0.999}) {
        const double exact = share * 1e6;
        const auto told = static_cast<double>(turns.quantile(share).count());
        EXPECT_GE(told, exact) << share;
        EXPECT_LE(told, exact * 1.126) << share;
    }
    EXPECT_EQ(turns.quantile(1), 1ms);
}

TEST(Turns, TimesOfAnyLengthHaveABucket) {
    for (const std::int64_t ns : {-1L, 0L, 1L, 15L, 16L, 17L, 1L << 40, INT64_MAX}) {
        Turns turns;
        turns.add(Turns::Duration{ns});
        EXPECT_EQ(turns.quantile(0.5).count(), std::max<std::int64_t>(0, ns));
    }
}

TEST(Turns, CountsWhatWasBeyondTheGoal) {
    Turns turns;
    turns.add(2ms);
    turns.add(2ms + 1ns);
    EXPECT_EQ(turns.slow(), 1U);
    turns.clear();
    EXPECT_EQ(turns.count(), 0U);
    EXPECT_EQ(turns.quantile(0.999), 0ns);
}

TEST(Turns, TellsWhenTheLatestSlowOnesWere) {
    Turns turns;
    const auto before = std::chrono::steady_clock::now();
    EXPECT_TRUE(turns.latest().empty());
    for (int i = 1; i <= 20; ++i) {
        turns.add(2ms);
        turns.add(2ms + std::chrono::microseconds{i});
        if (i == 3) {
            EXPECT_EQ(turns.latest().size(), 3U);
        }
    }
    const auto latest = turns.latest();
    ASSERT_EQ(latest.size(), Turns::kLatest);
    auto last = before;
    for (std::size_t i = 0; i < latest.size(); ++i) {
        EXPECT_EQ(latest[i].took, 2ms + std::chrono::microseconds{5 + i});
        EXPECT_LE(last, latest[i].ended);
        last = latest[i].ended;
    }
    EXPECT_LE(last, std::chrono::steady_clock::now());
    turns.clear();
    EXPECT_TRUE(turns.latest().empty());
}

TEST(Turns, EveryHandlerOfALoopCounts) {
    boost::asio::io_context loop;
    LoopTimes times;
    for (int i = 0; i < 10; ++i) {
        boost::asio::post(loop, [] {});
    }
    run(loop, times);
    EXPECT_EQ(times.wall.count(), 10U);
    EXPECT_EQ(times.cpu.count(), 10U);
}

}  // namespace
}  // namespace vr::turns_test
