// What is read beside the loop comes into force as if it had been read at once: whole, in order, once.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "policy/etcd/intake.h"
#include "test/policy/etcd_follower.h"

namespace vr::policy::etcd::etcd_intake_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Keys kKeys("/calico");
constexpr std::size_t kLarge = 1000;

std::string path(const std::string& name) {
    return kKeys.of({Kind::Tier, {}, name});
}

std::string tier(const std::string& name, int order, std::size_t padding) {
    return fmt::format(
        R"({{"apiVersion":"projectcalico.org/v3","kind":"Tier","metadata":{{"name":"{}",)"
        R"("annotations":{{"a":"{}"}}}},"spec":{{"order":{}}}}})",
        name,
        std::string(padding, 'x'),
        order);
}

Change small(const std::string& name, int order) {
    return {path(name), tier(name, order, 0), order};
}

Change large(const std::string& name, int order) {
    return {path(name), tier(name, order, kLarge), order};
}

Change gone(const std::string& name) {
    return {path(name), std::nullopt, 0};
}

Intake::Told told(std::vector<Change> changes, bool in_sync = false) {
    return {std::move(changes), {}, in_sync};
}

std::string text(const Event& event) {
    if (const auto* came = std::get_if<Upsert>(&event)) {
        return fmt::format("{} {}", came->resource->key.name, *came->resource->as<Tier>().order);
    }
    return std::get<Delete>(event).key.name + " gone";
}

class EtcdIntake : public testing::Test {
  protected:
    void take(Intake::Told step, Readings readings) {
        read_before_ += readings.empty() ? 0 : 1;
        for (const Event& event : objects_.apply(std::move(step.changes), std::move(readings))) {
            taken_.push_back(text(event));
        }
        if (step.in_sync) {
            taken_.emplace_back("in sync");
        }
    }

    void run_to_the_end() {
        while (!intake_->is_empty()) {
            ASSERT_NE(loop_.run_one_for(std::chrono::seconds{20}), 0U);
        }
    }

    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_{
        loop_.get_executor()};
    Objects objects_{kKeys};
    std::vector<std::string> taken_;
    int read_before_ = 0;  ///< steps that were read beside
    std::unique_ptr<Intake> intake_ = std::make_unique<Intake>(
        loop_.get_executor(),
        kKeys,
        [this](Intake::Told step, Readings readings) {
            take(std::move(step), std::move(readings));
        },
        kLarge);
};

TEST_F(EtcdIntake, ASmallStepCountsAtOnce) {
    intake_->add(told({small("a", 1), small("b", 2)}, true));
    EXPECT_THAT(taken_, ElementsAre("a 1", "b 2", "in sync"));
    EXPECT_EQ(read_before_, 0);
}

TEST_F(EtcdIntake, ALargeStepIsReadBesideTheLoop) {
    intake_->add(told({large("a", 1)}));
    EXPECT_THAT(taken_, IsEmpty());
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1"));
    EXPECT_EQ(read_before_, 1);
}

TEST_F(EtcdIntake, ManySmallValuesTogetherAreLarge) {
    std::vector<Change> changes;
    for (int i = 0; i < 10; ++i) {
        changes.push_back(small(fmt::format("t{}", i), i));
    }
    intake_->add(told(std::move(changes)));
    EXPECT_THAT(taken_, IsEmpty());
    run_to_the_end();
    EXPECT_EQ(taken_.size(), 10U);
}

TEST_F(EtcdIntake, WhatComesAfterALargeStepWaitsForIt) {
    intake_->add(told({small("a", 1)}));
    intake_->add(told({large("a", 2)}));
    intake_->add(told({small("a", 3)}));
    intake_->add(told({large("b", 4)}));
    intake_->add(told({gone("a")}, true));
    EXPECT_THAT(taken_, ElementsAre("a 1"));
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1", "a 2", "a 3", "b 4", "a gone", "in sync"));
}

TEST_F(EtcdIntake, WhoWaitsForAStepIsCalledBehindIt) {
    const auto note = [this] { taken_.emplace_back("then"); };
    intake_->add({{}, {}, false, note});
    EXPECT_THAT(taken_, ElementsAre("then"));
    intake_->add(told({large("a", 1)}));
    intake_->add({{}, {}, false, note});
    intake_->add(told({small("b", 2)}));
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("then", "a 1", "then", "b 2"));
}

TEST_F(EtcdIntake, WhoIsCalledMayCatchUp) {
    intake_->add(told({large("a", 1)}));
    intake_->add({{}, {}, false, [this] { intake_->catch_up(); }});
    intake_->add(told({large("b", 2)}));
    intake_->add(told({small("c", 3)}));
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1", "b 2", "c 3"));
}

TEST_F(EtcdIntake, AStepIsTakenAsAWhole) {
    intake_->add(told({small("a", 1), large("b", 2), small("c", 3)}, true));
    EXPECT_THAT(taken_, IsEmpty());
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1", "b 2", "c 3", "in sync"));
}

TEST_F(EtcdIntake, WhoCatchesUpHasAllInOrderAndOnce) {
    intake_->add(told({large("a", 1)}));
    intake_->add(told({small("a", 2)}));
    intake_->catch_up();
    EXPECT_TRUE(intake_->is_empty());
    EXPECT_THAT(taken_, ElementsAre("a 1", "a 2"));
    intake_->add(told({large("a", 3)}));
    intake_->add(told({small("b", 4)}));
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1", "a 2", "a 3", "b 4"));
}

TEST_F(EtcdIntake, AnAnswerThatWasOvertakenIsNotTakenForTheNext) {
    intake_->add(told({large("a", 1)}));
    intake_->catch_up();
    intake_->add(told({large("b", 2)}));
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1", "b 2"));
}

TEST_F(EtcdIntake, AnInvalidLargeValueKeepsItsLastValidVersion) {
    intake_->add(told({small("a", 1)}));
    Change broken = large("a", 2);
    broken.value->replace(broken.value->find("Tier"), 4, "Tear");
    intake_->add(told({broken}));
    run_to_the_end();
    EXPECT_THAT(taken_, ElementsAre("a 1"));
    EXPECT_EQ(objects_.list().at(0).state, ObjectState::Kept);
}

TEST_F(EtcdIntake, TheSameLargeValueAgainTellsNothing) {
    for (int i = 0; i < 2; ++i) {
        intake_->add(told({large("a", 1)}));
        run_to_the_end();
    }
    EXPECT_THAT(taken_, ElementsAre("a 1"));
}

TEST_F(EtcdIntake, WhoStopsMeanwhileHearsNoMore) {
    intake_->add(told({large("a", 1)}));
    intake_->add(told({small("b", 2)}));
    intake_->stop();
    intake_.reset();
    loop_.poll();
    EXPECT_THAT(taken_, IsEmpty());
}

TEST_F(EtcdIntake, AnyOrderOfTurnsTellsTheSame) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::minstd_rand random(seed);
        Objects at_once(kKeys);
        std::vector<std::string> wanted;
        objects_ = Objects(kKeys);
        taken_.clear();
        for (int step = 0; step < 20; ++step) {
            std::vector<Change> changes;
            for (unsigned i = 0; i <= random() % 3; ++i) {
                const std::string name(1, static_cast<char>('a' + random() % 4));
                const int order = static_cast<int>(random() % 3);
                changes.push_back(
                    random() % 3 == 0   ? gone(name)
                    : random() % 2 == 0 ? large(name, order)
                                        : small(name, order));
            }
            for (const Event& event : at_once.apply(changes)) {
                wanted.push_back(text(event));
            }
            intake_->add(told(std::move(changes)));
            if (random() % 4 == 0) {
                intake_->catch_up();
            } else if (random() % 2 == 0) {
                loop_.poll_one();
            } else if (random() % 4 == 0) {
                run_to_the_end();
            }
        }
        run_to_the_end();
        EXPECT_EQ(taken_, wanted) << "seed " << seed;
    }
}

// --- behind a connection ----------------------------------------------------------------------

const Keys kBelow("/c");

std::string key_of(const std::string& name) {
    return kBelow.of({Kind::Tier, {}, name});
}

/// An etcd that numbers what it writes, and who follows it by way of an intake.
class FollowedByIntake {
  public:
    FollowedByIntake() {
        etcd_.put(kReady, kIsReady);
        follower_.told = [this](const Step& step) {
            intake_.add({step.changes, follower_.sync.position(), step.in_sync});
        };
        follower_.begin();
    }

    void put(const std::string& name, std::size_t padding) {
        const std::string key = key_of(name);
        wanted_[name] = ++written_;
        etcd_.put(key, tier(name, written_, padding));
    }

    void remove(const std::string& name) {
        if (wanted_.erase(name) > 0) {
            etcd_.remove(key_of(name));
        }
    }

    void compact() { etcd_.compact(); }

    void lose_the_connection() { follower_.begin(); }

    void hear() { (void)follower_.step(etcd_); }

    void turn() { loop_.poll_one(); }

    void catch_up() { intake_.catch_up(); }

    void run_to_the_end() {
        follower_.run(etcd_);
        while (!intake_.is_empty()) {
            ASSERT_NE(loop_.run_one_for(std::chrono::seconds{20}), 0U);
        }
    }

    /// By name, the number of the last write.
    [[nodiscard]] const std::map<std::string, int>& wanted() const { return wanted_; }

    [[nodiscard]] const std::map<std::string, int>& in_force() const { return in_force_; }

    /// Of what was told more than once, or behind what came later.
    [[nodiscard]] const std::vector<std::string>& mistakes() const { return mistakes_; }

  private:
    void take(const Event& event) {
        if (const auto* went = std::get_if<Delete>(&event)) {
            if (in_force_.erase(went->key.name) == 0) {
                mistakes_.push_back(went->key.name + " gone twice");
            }
            return;
        }
        const Resource& came = *std::get<Upsert>(event).resource;
        if (came.key.kind != Kind::Tier) {
            return;
        }
        const int number = static_cast<int>(*came.as<Tier>().order);
        if (number <= std::exchange(last_[came.key.name], number)) {
            mistakes_.push_back(text(event));
        }
        in_force_[came.key.name] = number;
    }

    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_{
        loop_.get_executor()};
    Etcd etcd_;
    Follower follower_;
    Objects objects_{kBelow};
    int written_ = 0;
    std::map<std::string, int> wanted_;
    std::map<std::string, int> in_force_;
    std::map<std::string, int> last_;  ///< that was told of a name
    std::vector<std::string> mistakes_;
    Intake intake_{
        loop_.get_executor(),
        kBelow,
        [this](Intake::Told step, Readings readings) {
            for (const Event& event :
                 objects_.apply(std::move(step.changes), std::move(readings))) {
                take(event);
            }
        },
        kLarge};
};

TEST(EtcdIntakeBehindAConnection, WhatIsReadWhenItIsLostIsTakenOnce) {
    FollowedByIntake at;
    at.run_to_the_end();
    at.put("a", kLarge);
    at.hear();
    at.lose_the_connection();
    at.put("a", 0);
    at.run_to_the_end();
    EXPECT_THAT(at.mistakes(), IsEmpty());
    EXPECT_EQ(at.in_force(), at.wanted());
}

TEST(EtcdIntakeBehindAConnection, WhatIsReadWhenASnapshotIsNeededIsTakenOnce) {
    FollowedByIntake at;
    at.run_to_the_end();
    at.put("a", kLarge);
    at.put("b", 0);
    at.hear();
    at.put("a", 0);
    at.remove("b");
    at.put("c", kLarge);
    at.compact();
    at.lose_the_connection();
    at.run_to_the_end();
    EXPECT_THAT(at.mistakes(), IsEmpty());
    EXPECT_EQ(at.in_force(), at.wanted());
}

TEST(EtcdIntakeBehindAConnection, WhateverHappensNothingIsLostOrTakenTwice) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::minstd_rand random(seed);
        FollowedByIntake at;
        for (int i = 0; i < 60; ++i) {
            const std::string name(1, static_cast<char>('a' + random() % 4));
            switch (random() % 10) {
                case 0:
                case 1:
                    at.put(name, kLarge);
                    break;
                case 2:
                    at.put(name, 0);
                    break;
                case 3:
                    at.remove(name);
                    break;
                case 4:
                    at.compact();
                    break;
                case 5:
                    at.lose_the_connection();
                    break;
                case 6:
                    at.turn();
                    break;
                case 7:
                    at.catch_up();
                    break;
                default:
                    at.hear();
                    break;
            }
        }
        at.run_to_the_end();
        EXPECT_THAT(at.mistakes(), IsEmpty()) << "seed " << seed;
        EXPECT_EQ(at.in_force(), at.wanted()) << "seed " << seed;
    }
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_intake_test
