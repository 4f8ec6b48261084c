// Next hops that come and go with BGP's own routes: how often is too often.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/flap_guard.h"

#include <gtest/gtest.h>

namespace vr::daemon::flap_guard_test {
namespace {

using namespace literals;
using namespace std::chrono_literals;

constexpr FlapGuard::Time kStart{std::chrono::hours{1}};

class FlapGuardTest : public testing::Test {
  protected:
    /// Flips so often, each `apart` after the last; answers when the last was.
    FlapGuard::Time flip(unsigned count, std::chrono::milliseconds apart) {
        FlapGuard::Time now = kStart;
        for (unsigned i = 0; i < count; ++i) {
            now += i == 0 ? 0ms : apart;
            EXPECT_TRUE(guard.flipped({.next_hop = hop, .over = std::nullopt}, now));
        }
        return now;
    }

    const IpAddr hop = "192.0.2.1"_ip4;
    const IpAddr other = "192.0.2.2"_ip4;
    FlapGuard guard;
};

TEST_F(FlapGuardTest, LetsAFewChangesPass) {
    const auto now = flip(FlapGuard::kMostFlips - 1, 1ms);
    EXPECT_FALSE(guard.holds(hop, now));
    EXPECT_EQ(guard.next_release(now), std::nullopt);
}

TEST_F(FlapGuardTest, HoldsWhatChangesTooOftenForAWhile) {
    const auto now = flip(FlapGuard::kMostFlips, 1ms);
    EXPECT_TRUE(guard.holds(hop, now));
    EXPECT_FALSE(guard.holds(other, now));
    EXPECT_EQ(guard.next_release(now), now + FlapGuard::kHold);
    EXPECT_FALSE(guard.holds(hop, now + FlapGuard::kHold));
}

TEST_F(FlapGuardTest, ForgetsChangesThatAreLongAgo) {
    const auto now = flip(4 * FlapGuard::kMostFlips, FlapGuard::kWindow);
    EXPECT_FALSE(guard.holds(hop, now));
}

TEST_F(FlapGuardTest, HoldsAgainWhatGoesOn) {
    flip(FlapGuard::kMostFlips, 1ms);
    const auto later = kStart + FlapGuard::kHold + 1s;
    for (unsigned i = 0; i < FlapGuard::kMostFlips; ++i) {
        EXPECT_TRUE(guard.flipped({.next_hop = hop, .over = std::nullopt}, later));
    }
    EXPECT_TRUE(guard.holds(hop, later));
}

TEST_F(FlapGuardTest, HoldsARouteForOneOnTheWayThatItCameAndWentFrom) {
    const IpPrefix route = *parse_prefix("10.0.0.0/16");
    for (unsigned i = 0; i < FlapGuard::kMostFlips; ++i) {
        EXPECT_TRUE(guard.flipped({.next_hop = hop, .over = route}, kStart));
    }
    EXPECT_EQ(guard.held_over(hop, kStart), std::vector<IpPrefix>{route});
    EXPECT_EQ(guard.held_over(other, kStart), std::vector<IpPrefix>{});
    EXPECT_FALSE(guard.holds(hop, kStart)) << "others may use it";
    EXPECT_EQ(guard.held_over(hop, kStart + FlapGuard::kHold), std::vector<IpPrefix>{});
}

TEST_F(FlapGuardTest, SaysWhenItCannotCountAll) {
    bool all_counted = true;
    for (std::uint32_t i = 0; i < 100000; ++i) {
        all_counted =
            guard.flipped({.next_hop = Ip4{i}, .over = std::nullopt}, kStart) && all_counted;
    }
    EXPECT_FALSE(all_counted);
}

}  // namespace
}  // namespace vr::daemon::flap_guard_test
