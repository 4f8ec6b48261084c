// The builder's promise: what it answers is in force at once, and rte_acl follows by itself.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test/dataplane/pipeline_lab.h"

namespace vr {
namespace {

using namespace vr::test;

/// What the builder answers, on its own thread.
std::shared_ptr<const Compiled> compile(Builder& builder, const acl::Program& program) {
    std::promise<std::shared_ptr<const Compiled>> answer;
    builder.compile(
        std::make_shared<const acl::Program>(program),
        [&](const std::shared_ptr<const Compiled>& compiled) { answer.set_value(compiled); });
    return answer.get_future().get();
}

TEST(BuilderTest, RteAclFollowsTheAnswer) {
    Builder builder(
        [](const std::function<void()>& task) { task(); }, acl::EngineChoice::RteAcl, 1);
    const auto compiled = compile(builder, allow_all());
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
    Builder builder(
        [](const std::function<void()>& task) { task(); }, acl::EngineChoice::RteAcl, 1);
    for (int i = 0; i < 20; ++i) {
        EXPECT_NE(compile(builder, allow_all()), nullptr);
    }
}

TEST(BuilderTest, StagedProgramsComeAfterAllOthers) {
    std::promise<void> free;
    std::latch told{3};
    std::vector<std::function<void()>> tasks;
    std::string order;
    Builder builder([&, gate = free.get_future().share()](std::function<void()> task) {
        gate.wait();
        tasks.push_back(std::move(task));
        told.count_down();
    });
    const auto ask = [&](char name, Purpose purpose) {
        builder.compile(
            std::make_shared<const acl::Program>(allow_all()),
            [&order, name](const std::shared_ptr<const Compiled>&) { order += name; },
            purpose);
    };
    ask('1', Purpose::Enforced);
    ask('3', Purpose::Staged);
    ask('2', Purpose::Enforced);
    EXPECT_GT(builder.backlog(), 0U);
    free.set_value();
    told.wait();
    for (const auto& task : tasks) {
        task();
    }
    EXPECT_EQ(order, "123");
    EXPECT_EQ(builder.backlog(), 0U);
}

TEST(BuilderTest, OneProgramThatManyAskForInTurnIsOneAnswer) {
    std::promise<void> free;
    std::latch told{3};
    std::vector<std::function<void()>> tasks;
    std::string order;
    Builder builder([&, gate = free.get_future().share()](std::function<void()> task) {
        gate.wait();
        tasks.push_back(std::move(task));
        told.count_down();
    });
    const auto ask = [&](char name, const std::shared_ptr<const acl::Program>& program) {
        builder.compile(
            program, [&order, name](const std::shared_ptr<const Compiled>&) { order += name; });
    };
    const auto shared = std::make_shared<const acl::Program>(allow_all());
    ask('1', std::make_shared<const acl::Program>(allow_all()));
    ask('2', std::make_shared<const acl::Program>(deny_all()));
    ask('3', shared);
    ask('4', shared);
    ask('5', shared);
    EXPECT_EQ(builder.pending(), 5U);
    free.set_value();
    told.wait();
    for (const auto& task : tasks) {
        task();
    }
    EXPECT_EQ(order, "12345");
    EXPECT_EQ(builder.pending(), 0U);
    EXPECT_EQ(builder.backlog(), 0U);
    EXPECT_EQ(builder.built(), 3U);
}

TEST(BuilderTest, ManyWhoWaitForOneProgramAreToldSomeAtATime) {
    constexpr std::size_t kMany = 2 * Builder::kTogether + 1;
    std::promise<void> free;
    std::latch built{3};
    std::vector<std::function<void()>> tasks;
    std::size_t told = 0;
    std::string order;
    Builder builder([&, gate = free.get_future().share()](std::function<void()> task) {
        gate.wait();
        tasks.push_back(std::move(task));
        if (tasks.size() <= 3) {
            built.count_down();
        }
    });
    const auto ask = [&](const std::shared_ptr<const acl::Program>& program, Builder::Done done) {
        builder.compile(program, std::move(done));
    };
    const auto shared = std::make_shared<const acl::Program>(allow_all());
    ask(std::make_shared<const acl::Program>(deny_all()), [&](const auto&) { order += 'a'; });
    for (std::size_t i = 0; i < kMany; ++i) {
        ask(shared, [&](const auto&) { order += ++told == kMany ? "b" : ""; });
    }
    ask(std::make_shared<const acl::Program>(deny_all()), [&](const auto&) { order += 'c'; });
    free.set_value();
    built.wait();
    std::size_t most = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const std::size_t before = told;
        const auto task = std::exchange(tasks[i], {});  // it may add others
        task();
        most = std::max(most, told - before);
    }
    EXPECT_EQ(most, Builder::kTogether);
    EXPECT_EQ(told, kMany);
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(builder.pending(), 0U);
    EXPECT_EQ(builder.backlog(), 0U);
    EXPECT_EQ(builder.built(), 3U);
}

}  // namespace
}  // namespace vr
