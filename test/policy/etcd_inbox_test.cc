// What is decoded beside the loop is told in order, once, and not when its connection has ended.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "policy/etcd/inbox.h"

namespace vr::policy::etcd::etcd_inbox_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kLarge = 1000;

std::string range(int revision, std::size_t padding = 0) {
    return fmt::format(
        R"({{"header":{{"cluster_id":"1","revision":"{}"}}}}{})",
        revision,
        std::string(padding, ' '));
}

std::string line(int revision, std::size_t padding = 0) {
    return fmt::format(
        R"({{"result":{{"header":{{"cluster_id":"1","revision":"{}"}}}}}}{})",
        revision,
        std::string(padding, ' '));
}

class EtcdInbox : public testing::Test {
  protected:
    void take(const Inbox::Message& message) {
        std::visit(
            [this, kind = message.index() == 0 ? "range" : "line"](const auto& reply) {
                told_.push_back(
                    reply ? fmt::format("{} {}", kind, reply->header.revision)
                          : fmt::format("{} bad", kind));
            },
            message);
    }

    void run_until(std::size_t count) {
        while (told_.size() < count) {
            ASSERT_NE(loop_.run_one_for(std::chrono::seconds{20}), 0U);
        }
    }

    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_{
        loop_.get_executor()};
    std::vector<std::string> told_;
    std::unique_ptr<Inbox> inbox_ = std::make_unique<Inbox>(
        loop_.get_executor(), [this](const Inbox::Message& message) { take(message); }, kLarge);
};

TEST_F(EtcdInbox, WhatIsSmallIsToldAtOnce) {
    inbox_->add_range(range(1));
    inbox_->add_line(line(2));
    inbox_->add_line("no JSON");
    EXPECT_THAT(told_, ElementsAre("range 1", "line 2", "line bad"));
}

TEST_F(EtcdInbox, WhatFollowsALargeAnswerWaitsForIt) {
    inbox_->add_range(range(1, kLarge));
    inbox_->add_line(line(2));
    inbox_->add_line(line(3, kLarge));
    inbox_->add_line(std::string(kLarge, 'x'));
    inbox_->add_range(range(4));
    EXPECT_THAT(told_, IsEmpty());
    run_until(5);
    EXPECT_THAT(told_, ElementsAre("range 1", "line 2", "line 3", "line bad", "range 4"));
}

TEST_F(EtcdInbox, WhoWaitsUntilItIsEmptyIsCalledThen) {
    inbox_->when_empty([this] { told_.emplace_back("empty"); });
    EXPECT_THAT(told_, ElementsAre("empty"));
    inbox_->add_line(line(1, kLarge));
    inbox_->when_empty([this] { told_.emplace_back("empty"); });
    inbox_->add_line(line(2));
    run_until(4);
    EXPECT_THAT(told_, ElementsAre("empty", "line 1", "line 2", "empty"));
}

TEST_F(EtcdInbox, OfAConnectionThatEndedNothingIsTold) {
    inbox_->add_line(line(1, kLarge));
    inbox_->add_line(line(2));
    inbox_->when_empty([this] { told_.emplace_back("empty"); });
    inbox_->clear();
    inbox_->add_line(line(3, kLarge));
    inbox_->add_line(line(4));
    run_until(2);
    EXPECT_THAT(told_, ElementsAre("line 3", "line 4"));
}

TEST_F(EtcdInbox, WhoIsToldMayEndTheConnection) {
    inbox_ = std::make_unique<Inbox>(
        loop_.get_executor(),
        [this](const Inbox::Message& message) {
            take(message);
            inbox_->clear();
        },
        kLarge);
    inbox_->add_range(range(1, kLarge));
    inbox_->add_line(line(2));
    run_until(1);
    loop_.poll();
    EXPECT_THAT(told_, ElementsAre("range 1"));
}

TEST_F(EtcdInbox, WhoGoesHearsNoMore) {
    inbox_->add_line(line(1, kLarge));
    inbox_.reset();
    loop_.poll();
    EXPECT_THAT(told_, IsEmpty());
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_inbox_test
