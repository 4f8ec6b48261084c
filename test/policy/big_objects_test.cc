// One small object may concern all others, or be large: it is worked off in steps that are as small as ever,
// and the machine hears of programs when the sets that they name are complete.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "policy/slice.h"
#include "test/policy/cluster.h"

namespace vr::policy::big_objects_test {
namespace {

/// Is over as soon as it has begun.
const Slice kOneStep{std::chrono::microseconds{0}};
/// Members or items that a step may look at.
constexpr int kMostOfAStep = 32;
constexpr int kMany = 400;

std::string head(std::string_view kind, std::string_view metadata) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\n", kind, metadata);
}

std::string endpoint(std::string_view node, int number, std::string_view labels) {
    return head(
               "WorkloadEndpoint",
               fmt::format("name: w{}, namespace: n, labels: {{{}}}", number, labels)) +
           fmt::format(
               "spec: {{node: {}, interfaceName: tap{}, ipNetworks: [10.0.{}.{}], profiles: "
               "[p]}}\n",
               node,
               number,
               number / 250,
               number % 250);
}

std::string policy(std::string_view selector) {
    return head("GlobalNetworkPolicy", "name: p") +
           fmt::format(
               "spec: {{selector: \"role == 'web'\", types: [Ingress], ingress: [{{action: Allow, "
               "source: {{selector: \"{}\"}}}}]}}\n",
               selector);
}

std::string profile(std::string_view labels) {
    return head("Profile", "name: p") + fmt::format("spec: {{labelsToApply: {{{}}}}}\n", labels);
}

std::string set(int nets) {
    std::string text = head("GlobalNetworkSet", "name: s, labels: {list: bad}") + "spec: {nets: [";
    for (int i = 0; i < nets; ++i) {
        text += fmt::format("{}192.0.{}.{}", i == 0 ? "" : ", ", i / 250, i % 250);
    }
    return text + "]}\n";
}

class BigObjectsTest : public testing::Test {
  protected:
    BigObjectsTest() {
        std::string all = profile("env: prod") + endpoint("h1", 0, "role: web");
        for (int i = 1; i < kMany; ++i) {
            all += endpoint("h2", i, "app: a");
        }
        cluster_.set(all);
    }

    /// Takes `yaml` step by step; how many it were.  None tells the machine more than one word.
    int steps(std::string_view yaml, const std::function<void()>& after_each = [] {}) {
        for (const auto& object : objects(yaml)) {
            graph().take(Upsert{object});
        }
        return run(after_each);
    }

    int run(const std::function<void()>& after_each = [] {}) {
        int count = 0;
        bool more = true;
        while (more) {
            const int before = cluster_.sink.calls;
            more = !graph().settle(kOneStep) || !graph().flush(kOneStep);
            EXPECT_LE(cluster_.sink.calls, before + 1);
            after_each();
            ++count;
        }
        return count;
    }

    Graph& graph() { return cluster_.graph; }

    /// Of the only set in use.
    [[nodiscard]] std::size_t members() const {
        std::size_t count = 0;
        for (const auto& [group, members] : cluster_.sink.members) {
            count += members.size();
        }
        return count;
    }

    [[nodiscard]] const acl::Program* program() const {
        return cluster_.sink.workloads.at("n/w0").ingress.get();
    }

    Cluster cluster_;
};

TEST_F(BigObjectsTest, ASelectorOfAllTakesManySteps) {
    const auto* before = program();
    const int count =
        steps(policy("all()"), [&] { EXPECT_TRUE(program() == before || members() == kMany); });
    EXPECT_NE(program(), before);
    EXPECT_GE(count, kMany / kMostOfAStep + kMany);  // judged; told
    // Members of the old set leave when nobody names it any more.
    const auto* of_all = program();
    steps(policy("app == 'b'"), [&] { EXPECT_TRUE(program() != of_all || members() == kMany); });
    EXPECT_EQ(members(), 0U);
}

TEST_F(BigObjectsTest, ALabelThatAProfileGivesToManyTakesManySteps) {
    EXPECT_GE(steps(profile("env: test")), kMany);
    steps(policy("env == 'prod'"));
    EXPECT_EQ(members(), 0U);
    EXPECT_GE(steps(profile("env: prod")), kMany);
    EXPECT_EQ(members(), kMany);
}

TEST_F(BigObjectsTest, AProfileThatChangesAgainMeanwhileCountsAsItIsInTheEnd) {
    steps(policy("env == 'prod'"));
    graph().take(Upsert{objects(profile("env: test")).front()});
    for (int i = 0; i < kMany / 2; ++i) {
        (void)graph().flush(kOneStep);
    }
    graph().take(Upsert{objects(profile("env: prod")).front()});
    run();
    EXPECT_EQ(members(), kMany);
}

TEST_F(BigObjectsTest, ALargeSetTakesManySteps) {
    constexpr int kNets = 2000;
    const auto* before = program();
    EXPECT_LE(steps(set(kNets)), 10);  // nobody names it
    EXPECT_GE(
        steps(
            policy("list == 'bad'"),
            [&] { EXPECT_TRUE(program() == before || members() == kNets); }),
        kNets / kMostOfAStep + kNets);
    EXPECT_GE(steps(set(kNets - 1)), 2 * kNets / kMostOfAStep);  // first in, then out
    EXPECT_EQ(members(), kNets - 1);
    graph().take(Delete{{Kind::GlobalNetworkPolicy, {}, "p"}});
    EXPECT_GE(run(), kNets / kMostOfAStep + kNets);
    EXPECT_EQ(members(), 0U);
}

TEST_F(BigObjectsTest, PortsOfManyAreKnownBeforeAProgramIsTold) {
    const auto named = [](std::string_view node, int number, std::string_view labels, int port) {
        return head(
                   "WorkloadEndpoint",
                   fmt::format("name: w{}, namespace: n, labels: {{{}}}", number, labels)) +
               fmt::format(
                   "spec: {{node: {}, interfaceName: tap{}, ipNetworks: [10.0.9.{}], ports: "
                   "[{{name: web, protocol: TCP, port: {}}}]}}\n",
                   node,
                   number,
                   number,
                   port);
    };
    std::string all = endpoint("h1", 0, "role: web");
    for (int i = 1; i < 200; ++i) {
        all += named("h2", i, "app: a", 80 + i % 3);
    }
    steps(all);
    const auto* before = program();
    steps(
        head("GlobalNetworkPolicy", "name: p") +
            "spec: {selector: \"role == 'web'\", types: [Ingress], ingress: [{action: Deny, "
            "protocol: TCP, source: {selector: \"app == 'a'\", ports: [web]}}, {action: Allow}]}\n",
        [&] {
            for (int i = 1; i < 200 && program() != before; ++i) {
                const auto port = static_cast<std::uint16_t>(80 + i % 3);
                const auto from = fmt::format("10.0.9.{}", i);
                ASSERT_FALSE(cluster_
                                 .compiled<V4>(
                                     endpoint_key("n", "w0"),
                                     Direction::Ingress,
                                     packet<V4>(from, "10.0.0.0", 6, port, 1000))
                                 .allow);
            }
        });
    EXPECT_NE(program(), before);
}

}  // namespace
}  // namespace vr::policy::big_objects_test
