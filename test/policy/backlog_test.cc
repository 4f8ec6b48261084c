// What a source tells is taken up in slices: whole batches, in order, whatever comes meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include "policy/backlog.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "test/policy/cluster.h"
#include "test/policy/cluster_writer.h"

namespace vr::policy::backlog_test {
namespace {

using std::chrono::microseconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A slice that is over as soon as it has begun: one step in each turn.
constexpr microseconds kOneStep{0};
constexpr std::chrono::hours kAll{1};

std::string endpoint(std::string_view name, int number) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {{name: {}, "
        "namespace: a, labels: {{role: web}}}}\n"
        "spec: {{node: h1, interfaceName: tap{}, ipNetworks: [10.0.0.{}]}}\n",
        name,
        name,
        number);
}

std::string policy(std::string_view name, std::string_view rule) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: {}}}\n"
        "spec: {{selector: \"role == 'web'\", types: [Ingress], ingress: [{{{}}}]}}\n",
        name,
        rule);
}

std::string set(std::string_view name, std::string_view nets) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {{name: {}, "
        "labels: {{set: x}}}}\nspec: {{nets: "
        "[{}]}}\n",
        name,
        nets);
}

const std::string kFromSet = "action: Allow, source: {selector: \"set == 'x'\"}";
const Key kVm = endpoint_key("a", "vm");

Key policy_key(std::string name) {
    return {Kind::GlobalNetworkPolicy, {}, std::move(name)};
}

Events come(std::string_view yaml) {
    Events events;
    for (const auto& object : objects(yaml)) {
        events.emplace_back(Upsert{object});
    }
    return events;
}

Events operator+(Events all, Events more) {
    std::ranges::move(more, std::back_inserter(all));
    return all;
}

/// What the machine has, but for the numbers of groups and the identity of programs.
std::string picture(const Cluster& cluster) {
    std::string text;
    ClusterWriter writer(1);
    for (const auto& [name, workload] : cluster.sink.workloads) {
        const auto slash = name.find('/');
        const Key key = endpoint_key(name.substr(0, slash), name.substr(slash + 1));
        text += name;
        for (int i = 0; i < 40; ++i) {
            const auto packet = writer.packet<V4>();
            const auto in = cluster.compiled<V4>(key, Direction::Ingress, packet);
            const auto out = cluster.compiled<V4>(key, Direction::Egress, packet);
            text += fmt::format(" {}{}", in.allow, out.allow);
        }
        text += "\n";
    }
    for (const auto& [name, guard] : cluster.sink.hosts) {
        text += name + "\n";
    }
    return text;
}

/// What kFromSet names, as a stream tells it.
SetUpdate told_set() {
    return {
        .name = {Selector::parse("set == 'x'")->text(), {}, 0},
        .how = SetUpdate::How::Replace,
        .added = {{L4Port{}, *Prefix<V4>::parse("192.0.2.0/24")}}};
}

class BacklogTest : public testing::Test {
  protected:
    BacklogTest() { begin(kOneStep); }

    /// Anew, with slices so long.
    void begin(microseconds slice) {
        backlog_.reset();
        cluster_ = std::make_unique<Cluster>();
        tasks_.clear();
        log_.clear();
        backlog_ = std::make_unique<Backlog>(
            cluster_->graph,
            [this](auto task) { tasks_.push_back(std::move(task)); },
            [this](const Batch& batch) { log_.push_back(fmt::format("{}", batch.revision)); },
            slice);
    }

    void add(Events events) { backlog_->add({++revision_, std::move(events)}); }

    /// All that was told, and that this is all.
    void add_in_sync(std::string_view yaml) {
        revision_ = 0;
        add(come(yaml) + Events{InSync{}});
    }

    bool turn() {
        if (tasks_.empty()) {
            return false;
        }
        const auto task = std::move(tasks_.front());
        tasks_.pop_front();
        task();
        return true;
    }

    void turns(int count) {
        for (int i = 0; i < count; ++i) {
            ASSERT_TRUE(turn());
        }
    }

    int run_to_the_end() {
        int count = 0;
        while (turn()) {
            EXPECT_LE(tasks_.size(), 1U);
            ++count;
        }
        EXPECT_TRUE(backlog_->is_empty());
        return count;
    }

    [[nodiscard]] const RememberingSink& sink() const { return cluster_->sink; }

    [[nodiscard]] bool has(const std::string& name) const {
        return sink().workloads.contains("a/" + name);
    }

    /// Whether vm's policy lets in what comes from there.
    [[nodiscard]] bool passes(const char* source = "192.0.2.1") const {
        return cluster_
            ->compiled<V4>(kVm, Direction::Ingress, packet<V4>(source, "10.0.0.1", 6, 1000, 80))
            .allow;
    }

    std::unique_ptr<Cluster> cluster_;
    std::deque<std::function<void()>> tasks_;
    std::vector<std::string> log_;  ///< revisions that were taken, and what tests note
    std::uint64_t revision_ = 0;
    std::unique_ptr<Backlog> backlog_;
};

TEST_F(BacklogTest, NothingIsDoneInTheTurnOfTheSource) {
    begin(kAll);
    add_in_sync(endpoint("vm", 1));
    EXPECT_EQ(sink().calls, 0);
    EXPECT_FALSE(backlog_->is_empty());
    EXPECT_EQ(run_to_the_end(), 1);
    EXPECT_TRUE(has("vm"));
    EXPECT_THAT(log_, ElementsAre("1"));
}

TEST_F(BacklogTest, WhatComesTogetherFitsIntoOneSlice) {
    begin(kAll);
    add_in_sync(endpoint("vm", 1));
    add(come(endpoint("twin", 2)));
    EXPECT_EQ(run_to_the_end(), 1);
    EXPECT_TRUE(has("twin"));
    EXPECT_THAT(log_, ElementsAre("1", "2"));
}

TEST_F(BacklogTest, WhatIsLongerThanASliceTakesTurns) {
    add_in_sync(endpoint("vm", 1) + endpoint("twin", 2));
    EXPECT_GE(run_to_the_end(), 9);  // three events; two endpoints are resolved, published and told
    EXPECT_TRUE(has("vm") && has("twin"));
}

TEST_F(BacklogTest, InSyncIsSaidOnceAllIsInForce) {
    add(come(endpoint("vm", 1) + endpoint("twin", 2)));
    add(come(endpoint("third", 3)) + Events{InSync{}});
    do {
        EXPECT_TRUE(!cluster_->graph.is_in_sync() || sink().workloads.size() == 3);
    } while (turn());
    EXPECT_TRUE(cluster_->graph.is_in_sync());
}

TEST_F(BacklogTest, NothingIsToldBeforeAllIsCalculated) {
    begin(kAll);
    add_in_sync(endpoint("vm", 1));
    run_to_the_end();
    const int before = sink().calls;
    begin(kOneStep);
    add_in_sync(
        endpoint("vm", 1) + endpoint("twin", 2) + set("s", "192.0.2.0/24") + policy("p", kFromSet));
    while (sink().calls == 0) {
        EXPECT_TRUE(sink().members.empty());
        ASSERT_TRUE(turn());
    }
    // The first word is a member, and by then both endpoints are known with their programs.
    EXPECT_EQ(sink().members.size(), 1U);
    EXPECT_EQ(cluster_->graph.programs(), 2U);
    run_to_the_end();
    EXPECT_GT(sink().calls, before);
}

/// Neither the state in which the old policy is gone and the new one not there, nor the other order.
TEST_F(BacklogTest, APolicyThatTakesThePlaceOfAnotherLeavesNoGap) {
    const Events goes{Delete{policy_key("old")}};
    const auto comes = come(policy("new", "action: Deny"));
    for (const auto& events : {goes + comes, comes + goes}) {
        begin(kOneStep);
        add_in_sync(
            endpoint("vm", 1) + policy("old", "action: Deny") + policy("z", "action: Allow"));
        run_to_the_end();
        add(events);
        do {
            EXPECT_FALSE(passes());
        } while (turn());
        EXPECT_FALSE(cluster_->graph.resource(policy_key("old")));
    }
}

/// The set of the old policy is not emptied before the new one is told, nor is that told before its own is
/// filled: an empty one would let a Deny pass.
TEST_F(BacklogTest, ADenyThatMovesToAnotherSetAlwaysDenies) {
    const std::string allow = policy("z", "action: Allow");
    const auto deny = [](std::string_view name) {
        return policy(
            "deny", fmt::format("action: Deny, source: {{selector: \"name == '{}'\"}}", name));
    };
    const auto of = [](std::string_view name) {
        return fmt::format(
            "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {{name: s, "
            "labels: {{name: {}}}}}\nspec: "
            "{{nets: "
            "[192.0.2.0/24]}}\n",
            name);
    };
    for (const bool policy_first : {false, true}) {
        begin(kOneStep);
        add_in_sync(endpoint("vm", 1) + allow + deny("x") + of("x"));
        run_to_the_end();
        add(policy_first ? come(deny("y")) + come(of("y")) : come(of("y")) + come(deny("y")));
        do {
            EXPECT_FALSE(passes());
        } while (turn());
    }
}

TEST_F(BacklogTest, AnEndpointIsFirstToldWithThePolicyOfItsBatch) {
    const auto vm = come(endpoint("vm", 1));
    const auto guard = come(policy("p", "action: Deny"));
    for (const auto& events : {vm + guard, guard + vm}) {
        begin(kOneStep);
        add_in_sync(policy("z", "action: Allow"));
        run_to_the_end();
        add(events);
        do {
            EXPECT_FALSE(has("vm") && passes());
        } while (turn());
        EXPECT_TRUE(has("vm"));
    }
}

TEST_F(BacklogTest, BatchesCountOneAfterTheOther) {
    add_in_sync(endpoint("vm", 1) + policy("p", "action: Deny"));
    add(come(policy("p", "action: Allow")));
    while (log_.empty()) {
        ASSERT_TRUE(turn());
    }
    EXPECT_FALSE(passes());
    run_to_the_end();
    EXPECT_TRUE(passes());
    EXPECT_THAT(log_, ElementsAre("1", "2"));
}

/// At any point of the way.
TEST_F(BacklogTest, WhatIsQueuedMayChangeAgainOrGo) {
    const auto first = endpoint("vm", 1) + policy("p", "action: Deny") + set("s", "192.0.2.0/24");
    for (int point = 0;; ++point) {
        begin(kOneStep);
        add_in_sync(first);
        int passed = 0;
        while (passed < point && turn()) {
            ++passed;
        }
        add(come(policy("p", kFromSet)) + come(set("s", "198.51.100.0/24")));
        add({Delete{kVm}});
        add(come(endpoint("vm", 1)));
        run_to_the_end();
        EXPECT_TRUE(passes("198.51.100.1")) << point;
        EXPECT_FALSE(passes("192.0.2.1")) << point;
        EXPECT_THAT(log_, ElementsAre("1", "2", "3", "4"));
        if (passed < point) {
            break;
        }
    }
}

/// A source that was lost and is back tells all again, maybe while what it told before still waits.
TEST_F(BacklogTest, WhatIsToldAgainWhileItWaitsChangesNothing) {
    const auto all = endpoint("vm", 1) + endpoint("twin", 2) + policy("p", "action: Deny");
    add_in_sync(all);
    turns(5);
    add(come(all) + Events{Delete{policy_key("never")}, InSync{}});
    while (log_.empty()) {
        ASSERT_TRUE(turn());
    }
    const int calls = sink().calls;
    run_to_the_end();
    EXPECT_EQ(sink().calls, calls);
}

TEST_F(BacklogTest, SetsOfAStreamAreTakenBeforeTheRulesThatNameThem) {
    RememberingSink sink;
    Graph graph("h1", sink, MembersFrom::Stream);
    Backlog backlog(
        graph,
        [this](auto task) { tasks_.push_back(std::move(task)); },
        [](const Batch&) {},
        kOneStep);
    Batch batch{.revision = 1, .events = come(endpoint("vm", 1) + policy("p", kFromSet))};
    batch.events.emplace_back(InSync{});
    batch.sets.push_back(told_set());
    backlog.add(std::move(batch));
    while (turn()) {
        EXPECT_TRUE(sink.workloads.empty() || sink.members.size() == 1);
    }
    EXPECT_FALSE(graph.lacks_sets());
    EXPECT_EQ(sink.workloads.size(), 1U);
}

TEST_F(BacklogTest, NothingIsInForceWhileASetIsNotTold) {
    RememberingSink sink;
    Graph graph("h1", sink, MembersFrom::Stream);
    Batch batch{.revision = 1, .events = come(endpoint("vm", 1) + policy("p", kFromSet))};
    batch.events.emplace_back(InSync{});
    graph.on(batch);
    EXPECT_TRUE(graph.lacks_sets());
    EXPECT_FALSE(graph.is_in_sync());
    graph.on({.revision = 2, .events = {}, .sets = {told_set()}});
    EXPECT_TRUE(graph.is_in_sync());
    EXPECT_EQ(sink.workloads.size(), 1U);
}

TEST_F(BacklogTest, WhoWaitsIsCalledBehindWhatWasThereByThen) {
    backlog_->after([&] { log_.emplace_back("at once"); });
    EXPECT_THAT(log_, ElementsAre("at once"));
    add_in_sync(endpoint("vm", 1));
    backlog_->after([&] { log_.emplace_back("then"); });
    add(come(endpoint("twin", 2)));
    run_to_the_end();
    EXPECT_THAT(log_, ElementsAre("at once", "1", "then", "2"));
}

TEST_F(BacklogTest, WhoIsCalledMayAddMore) {
    add_in_sync(endpoint("vm", 1));
    backlog_->after([&] {
        add(come(endpoint("twin", 2)));
        backlog_->after([&] { log_.emplace_back("then"); });
    });
    run_to_the_end();
    EXPECT_THAT(log_, ElementsAre("1", "2", "then"));
    EXPECT_TRUE(has("twin"));
}

/// A source that changes something all the time, and waits while there is no room.
TEST_F(BacklogTest, AStreamThatNeverEndsWaits) {
    constexpr std::size_t kEnough = 8;
    backlog_ = std::make_unique<Backlog>(
        cluster_->graph,
        [this](auto task) { tasks_.push_back(std::move(task)); },
        [this](const Batch& batch) { log_.push_back(fmt::format("{}", batch.revision)); },
        kOneStep,
        kEnough);
    add_in_sync(endpoint("vm", 1) + policy("p", kFromSet));
    std::uint64_t most = 0;
    std::function<void()> tell = [&] {
        add(come(set("s", revision_ % 2 == 0 ? "192.0.2.1" : "192.0.2.2")));
        most = std::max(most, revision_ - log_.size());
        backlog_->when_room([&] { tasks_.emplace_back(tell); });
    };
    backlog_->when_room(tell);
    while (log_.size() < 50) {
        ASSERT_TRUE(turn());
    }
    EXPECT_FALSE(backlog_->is_empty());
    EXPECT_TRUE(cluster_->graph.is_in_sync());
    EXPECT_LE(most, 1 + kEnough / 2);
}

TEST_F(BacklogTest, WhatIsBeingTakenUpTakesNoRoom) {
    add_in_sync(endpoint("vm", 1));
    add({});
    bool room = false;
    backlog_->when_room([&] { room = true; });
    EXPECT_TRUE(room) << "a directory as a whole is one batch";
}

TEST_F(BacklogTest, WhoStopsMeanwhileHearsNoMore) {
    add_in_sync(endpoint("vm", 1));
    backlog_->after([&] { log_.emplace_back("then"); });
    turns(2);
    backlog_.reset();
    while (turn()) {
    }
    EXPECT_EQ(sink().calls, 0);
    EXPECT_THAT(log_, IsEmpty());
}

/// Random clusters one after the other, the next added at any point of the way.
TEST_F(BacklogTest, AnyOrderOfTurnsEndsInTheSame) {
    for (unsigned seed = 1; seed <= 12; ++seed) {
        std::mt19937 random(seed);
        begin(kOneStep);
        revision_ = 0;
        add({InSync{}});
        std::map<Key, ResourcePtr> present;
        std::string yaml;
        for (unsigned step = 0; step < 4; ++step) {
            yaml = ClusterWriter(seed * 10 + step).cluster();
            Events events;
            std::map<Key, ResourcePtr> wanted;
            for (const auto& object : objects(yaml)) {
                wanted[object->key] = object;
                events.emplace_back(Upsert{object});
                present.erase(object->key);
            }
            for (const auto& [key, object] : present) {
                events.emplace_back(Delete{key});
            }
            present = std::move(wanted);
            std::ranges::shuffle(events, random);
            add(std::move(events));
            for (auto turns = random() % 400; turns > 0 && turn(); --turns) {
            }
        }
        run_to_the_end();
        EXPECT_EQ(picture(*cluster_), picture(Cluster(yaml))) << "seed " << seed;
        EXPECT_EQ(log_.size(), 5U);
    }
}

}  // namespace
}  // namespace vr::policy::backlog_test
