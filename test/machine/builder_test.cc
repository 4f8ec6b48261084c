// The builder's promise: what it answers is in force at once, and rte_acl follows by itself.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "test/dataplane/pipeline_lab.h"

namespace vr::builder_test {
namespace {

using namespace vr::test;

/// A builder on whose answers the caller waits, as the control thread's loop takes them.
class LoopedBuilder {
  public:
    [[nodiscard]] std::shared_ptr<const Compiled> compile(const acl::Program& program) {
        std::shared_ptr<const Compiled> answer;
        builder_.compile(
            std::make_shared<const acl::Program>(program),
            [&answer](const std::shared_ptr<const Compiled>& compiled) { answer = compiled; });
        while (!answer) {
            loop_.run_one();
        }
        return answer;
    }

  private:
    boost::asio::io_context loop_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        loop_.get_executor()};
    Builder builder_{
        [this](std::function<void()> task) { boost::asio::post(loop_, std::move(task)); },
        acl::EngineChoice::RteAcl,
        1};
};

TEST(BuilderTest, RteAclFollowsTheAnswer) {
    LoopedBuilder builder;
    const auto compiled = builder.compile(allow_all());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes{1};
    while ((compiled->v4->engine() != acl::Engine::RteAcl ||
            compiled->v6->engine() != acl::Engine::RteAcl) &&
           std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    EXPECT_EQ(compiled->v4->engine(), acl::Engine::RteAcl);
    EXPECT_EQ(compiled->v6->engine(), acl::Engine::RteAcl);
}

TEST(BuilderTest, EndsWithoutBuildingRteAclForWhatNobodyKeeps) {
    LoopedBuilder builder;
    for (int i = 0; i < 20; ++i) {
        EXPECT_NE(builder.compile(allow_all()), nullptr);
    }
}

/// A builder that begins when all has been asked, and whose three answers are handed out one by one.
class HeldBuilder {
  public:
    void ask(
        const std::shared_ptr<const acl::Program>& program,
        Builder::Done done,
        Purpose purpose = Purpose::Enforced) {
        builder_.compile(program, std::move(done), purpose);
    }

    /// Calls `after` behind each task that the builder gave to its owner's thread.
    void run(const std::function<void()>& after = [] {}) {
        free_.set_value();
        answered_.wait();
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            std::exchange(tasks_[i], {})();  // it may add others
            after();
        }
        EXPECT_EQ(builder_.pending(), 0U);
        EXPECT_EQ(builder_.backlog(), 0U);
        EXPECT_EQ(builder_.built(), 3U);
    }

    [[nodiscard]] const Builder& builder() const { return builder_; }

  private:
    std::promise<void> free_;
    std::latch answered_{3};
    std::deque<std::function<void()>> tasks_;
    Builder builder_{[this, gate = free_.get_future().share()](std::function<void()> task) {
        gate.wait();
        tasks_.push_back(std::move(task));
        if (tasks_.size() <= 3) {
            answered_.count_down();
        }
    }};
};

std::shared_ptr<const acl::Program> shared(acl::Program program) {
    return std::make_shared<const acl::Program>(std::move(program));
}

TEST(BuilderTest, StagedProgramsComeAfterAllOthers) {
    HeldBuilder held;
    std::string order;
    held.ask(shared(allow_all()), [&](const auto&) { order += '1'; });
    held.ask(shared(allow_all()), [&](const auto&) { order += '3'; }, Purpose::Staged);
    held.ask(shared(allow_all()), [&](const auto&) { order += '2'; });
    EXPECT_GT(held.builder().backlog(), 0U);
    held.run();
    EXPECT_EQ(order, "123");
}

TEST(BuilderTest, OneProgramThatManyAskForInTurnIsOneAnswer) {
    HeldBuilder held;
    std::string order;
    const auto same = shared(allow_all());
    held.ask(shared(allow_all()), [&](const auto&) { order += '1'; });
    held.ask(shared(deny_all()), [&](const auto&) { order += '2'; });
    held.ask(same, [&](const auto&) { order += '3'; });
    held.ask(same, [&](const auto&) { order += '4'; });
    held.ask(same, [&](const auto&) { order += '5'; });
    EXPECT_EQ(held.builder().pending(), 5U);
    held.run();
    EXPECT_EQ(order, "12345");
}

TEST(BuilderTest, ManyWhoWaitForOneProgramAreToldSomeAtATime) {
    constexpr std::size_t kMany = 2 * Builder::kTogether + 1;
    HeldBuilder held;
    std::size_t told = 0;
    std::string order;
    const auto same = shared(allow_all());
    held.ask(shared(deny_all()), [&](const auto&) { order += 'a'; });
    for (std::size_t i = 0; i < kMany; ++i) {
        held.ask(same, [&](const auto&) { order += ++told == kMany ? "b" : ""; });
    }
    held.ask(shared(deny_all()), [&](const auto&) { order += 'c'; });
    std::size_t before = 0;
    std::size_t most = 0;
    held.run([&] { most = std::max(most, told - std::exchange(before, told)); });
    EXPECT_EQ(most, Builder::kTogether);
    EXPECT_EQ(told, kMany);
    EXPECT_EQ(order, "abc");
}

}  // namespace
}  // namespace vr::builder_test
