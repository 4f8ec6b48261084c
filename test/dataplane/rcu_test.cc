// What was handed to the Rcu is freed after the workers, and some of it at a time.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/rcu.h"

#include <gtest/gtest.h>

#include <chrono>

namespace vr::rcu_test {
namespace {

constexpr std::chrono::nanoseconds kOne{0};

class RcuTest : public testing::Test {
  protected:
    void retire(int count) {
        for (int i = 0; i < count; ++i) {
            rcu_.retire([this] { ++freed_; });
        }
    }

    Rcu rcu_{1};
    int freed_ = 0;
};

TEST_F(RcuTest, NothingIsFreedThatAWorkerMayHold) {
    rcu_.online(0);
    retire(2);
    EXPECT_EQ(rcu_.reclaim(), 2U);
    EXPECT_FALSE(rcu_.is_behind()) << "nothing of it is due";
    rcu_.quiescent(0);
    EXPECT_EQ(rcu_.reclaim(std::chrono::hours{1}), 0U);
    EXPECT_EQ(freed_, 2);
}

TEST_F(RcuTest, WhatIsDueIsFreedInSlices) {
    retire(3);
    EXPECT_EQ(rcu_.reclaim(kOne), 2U);
    EXPECT_EQ(freed_, 1);
    EXPECT_TRUE(rcu_.is_behind());
    EXPECT_EQ(rcu_.reclaim(kOne), 1U);
    EXPECT_EQ(rcu_.reclaim(kOne), 0U);
    EXPECT_FALSE(rcu_.is_behind());
    EXPECT_EQ(freed_, 3);
}

TEST_F(RcuTest, WhatIsFreedMayRetireMore) {
    rcu_.retire([this] { retire(1); });
    EXPECT_EQ(rcu_.reclaim(kOne), 1U);
    EXPECT_EQ(rcu_.reclaim(kOne), 0U);
    EXPECT_EQ(freed_, 1);
}

TEST_F(RcuTest, AtTheEndAllIsFreedAtOnce) {
    retire(100);
    rcu_.drain();
    EXPECT_EQ(freed_, 100);
}

}  // namespace
}  // namespace vr::rcu_test
