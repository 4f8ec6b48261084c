// How a Device follows the library's callbacks, told in the order in which they come.
// SPDX-License-Identifier: Apache-2.0
#include "vhost/device.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

namespace vr::vhost::device_test {
namespace {

constexpr Features kMultiqueue = 1ULL << 22;

/// Counts grace periods and looks at the world while one lasts.
class ProbingGrace final : public GracePeriod {
  public:
    void wait() noexcept override {
        ++waits;
        if (during) {
            during();
        }
    }

    int waits = 0;
    std::function<void()> during;
};

class DeviceTest : public testing::Test {
  protected:
    static Negotiated negotiated(unsigned rings, Features features) {
        return {
            .features = features,
            .ring_sizes = std::vector<std::uint16_t>(rings, 256),
            .mtu = std::nullopt,
        };
    }

    void enable(int id, unsigned first, unsigned count) {
        for (unsigned ring = first; ring < first + count; ++ring) {
            device_.change_ring(id, ring, true);
        }
    }

    /// A guest with one queue pair, up and running.
    void boot(int id) {
        ASSERT_TRUE(device_.connect(id));
        enable(id, 0, 2);
        device_.start(id, negotiated(2, 0));
    }

    ProbingGrace grace_;
    std::vector<Event> events_;
    Device device_{grace_, [this](Event event) { events_.push_back(event); }};
};

TEST_F(DeviceTest, IsHiddenBeforeItStarts) {
    ASSERT_TRUE(device_.connect(3));
    enable(3, 0, 2);
    EXPECT_EQ(device_.running(), Device::kNone);
    EXPECT_TRUE(device_.status().connected);
    EXPECT_TRUE(events_.empty());
}

TEST_F(DeviceTest, RunsAfterStart) {
    boot(3);
    EXPECT_EQ(device_.running(), 3);
    EXPECT_EQ(device_.rx_pairs(), 1U);
    EXPECT_EQ(device_.tx_pairs(), 1U);
    EXPECT_EQ(events_, std::vector{Event::Connected});
}

TEST_F(DeviceTest, IsHiddenBeforeTheGracePeriodOfAStop) {
    boot(3);
    int seen = 0;
    grace_.during = [&] { seen = device_.running(); };
    device_.stop(3);
    EXPECT_EQ(grace_.waits, 1);
    EXPECT_EQ(seen, Device::kNone);
    EXPECT_EQ(events_, (std::vector{Event::Connected, Event::Disconnected}));
}

TEST_F(DeviceTest, StopsOnlyOnce) {
    boot(3);
    device_.stop(3);
    device_.stop(3);
    EXPECT_EQ(grace_.waits, 1);
    EXPECT_EQ(events_.size(), 2U);
}

TEST_F(DeviceTest, AnswersQuestionsDuringAGracePeriod) {
    boot(3);
    bool running = true;
    grace_.during = [&] { running = device_.status().running; };
    device_.stop(3);
    EXPECT_FALSE(running);
}

TEST_F(DeviceTest, TurnsASecondHypervisorAway) {
    boot(3);
    EXPECT_FALSE(device_.connect(4));
    EXPECT_EQ(device_.running(), 3);
    EXPECT_EQ(device_.status().turned_away, 1U);
}

TEST_F(DeviceTest, IgnoresCallbacksOfAnotherDevice) {
    boot(3);
    device_.stop(4);
    device_.disconnect(4);
    device_.change_ring(4, 0, false);
    device_.start(4, negotiated(2, 0));
    EXPECT_EQ(device_.running(), 3);
    EXPECT_EQ(device_.tx_pairs(), 1U);
    EXPECT_TRUE(device_.status().connected);
}

TEST_F(DeviceTest, TakesTheNextHypervisorAfterADisconnect) {
    boot(3);
    device_.stop(3);
    device_.disconnect(3);
    boot(4);
    EXPECT_EQ(device_.running(), 4);
}

TEST_F(DeviceTest, KeepsRingStatesOverARebootOfTheGuest) {
    boot(3);
    device_.stop(3);
    device_.change_ring(3, 0, false);
    device_.change_ring(3, 0, true);
    device_.start(3, negotiated(2, 0));
    EXPECT_EQ(device_.rx_pairs(), 1U);
    EXPECT_EQ(device_.tx_pairs(), 1U);
}

TEST_F(DeviceTest, ForgetsRingStatesWithTheConnection) {
    boot(3);
    device_.stop(3);
    device_.disconnect(3);
    ASSERT_TRUE(device_.connect(4));
    EXPECT_EQ(device_.rx_pairs(), 0U);
    EXPECT_EQ(device_.tx_pairs(), 0U);
}

TEST_F(DeviceTest, UsesAllPairsOfAMultiqueueGuest) {
    ASSERT_TRUE(device_.connect(3));
    enable(3, 0, 8);
    device_.start(3, negotiated(8, kMultiqueue));
    EXPECT_EQ(device_.rx_pairs(), 4U);
    EXPECT_EQ(device_.tx_pairs(), 4U);
}

TEST_F(DeviceTest, UsesOnePairWithoutMultiqueue) {
    ASSERT_TRUE(device_.connect(3));
    enable(3, 0, 8);
    device_.start(3, negotiated(8, 0));
    EXPECT_EQ(device_.rx_pairs(), 1U);
    EXPECT_EQ(device_.tx_pairs(), 1U);
}

TEST_F(DeviceTest, ForgetsRingsThatTheLibraryFreed) {
    ASSERT_TRUE(device_.connect(3));
    enable(3, 0, 8);
    device_.start(3, negotiated(4, kMultiqueue));
    EXPECT_EQ(device_.rx_pairs(), 2U);
}

TEST_F(DeviceTest, SendsOnlyToTheUnbrokenRunOfRings) {
    ASSERT_TRUE(device_.connect(3));
    enable(3, 0, 2);
    enable(3, 4, 2);  // pair 1 is missing
    device_.start(3, negotiated(6, kMultiqueue));
    EXPECT_EQ(device_.tx_pairs(), 1U);
    EXPECT_EQ(device_.rx_pairs(), 3U);
    EXPECT_FALSE(device_.ring_enabled(3));
}

TEST_F(DeviceTest, ReportsAPairThatComesUpWhileRunning) {
    ASSERT_TRUE(device_.connect(3));
    enable(3, 0, 2);
    device_.start(3, negotiated(4, kMultiqueue));
    enable(3, 2, 1);
    EXPECT_EQ(events_, (std::vector{Event::Connected, Event::QueueChanged}));
}

TEST_F(DeviceTest, TakesNoGracePeriodForARing) {
    // The library holds the rings' locks around that callback and workers may be waiting for one.
    boot(3);
    device_.change_ring(3, 0, false);
    EXPECT_EQ(grace_.waits, 0);
    EXPECT_EQ(device_.tx_pairs(), 0U);
}

TEST_F(DeviceTest, IgnoresARingBeyondTheLimit) {
    boot(3);
    device_.change_ring(3, Device::kMaxRings, true);
    EXPECT_EQ(device_.rx_pairs(), 1U);
}

TEST_F(DeviceTest, FollowsAChangeOfFeatures) {
    boot(3);
    device_.change_features(3, 1ULL << 26);
    EXPECT_EQ(device_.status().negotiated.features, 1ULL << 26);
}

TEST_F(DeviceTest, RetiresWithOneGracePeriodAndNoEvent) {
    boot(3);
    device_.retire();
    device_.stop(3);
    EXPECT_EQ(grace_.waits, 1);
    EXPECT_EQ(device_.running(), Device::kNone);
    EXPECT_EQ(events_, std::vector{Event::Connected});
}

TEST_F(DeviceTest, StaysRetired) {
    device_.retire();
    EXPECT_FALSE(device_.connect(3));
    device_.start(3, negotiated(2, 0));
    EXPECT_EQ(device_.running(), Device::kNone);
    EXPECT_TRUE(events_.empty());
}

TEST_F(DeviceTest, RetiresBetweenConnectAndStart) {
    ASSERT_TRUE(device_.connect(3));
    device_.retire();
    device_.start(3, negotiated(2, 0));
    EXPECT_EQ(device_.running(), Device::kNone);
}

}  // namespace
}  // namespace vr::vhost::device_test
