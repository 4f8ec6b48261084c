// What is answered about endpoints and their rules.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "test/ctl/asking.h"
#include "vrouter/dataplane/tables.h"

namespace vr::ctl::policy_handlers_test {
namespace {

class PolicyHandler : public testing::Test {
  protected:
    PolicyHandler() {
        acl::Program program;
        program.origins = {{.tier = "default", .policy = "NetworkPolicy a/p", .rule = 1}};
        acl::Rule rule;
        rule.match.source.group = GroupId{7};
        rule.action = acl::Action::Allow;
        program.rules.assign(kRules, rule);
        WorkloadView view;
        view.workload.name = "a/b";
        view.workload.ingress = std::make_shared<const acl::Program>(program);
        view.workload.egress = std::make_shared<const acl::Program>();
        auto endpoint = std::make_shared<Endpoint>();
        endpoint->v4.ingress = acl::Classifier<V4>::build(view.workload.ingress, 2);
        endpoint->v6.ingress = acl::Classifier<V6>::build(view.workload.ingress, 2);
        endpoint->v4.ingress->hits().row(0)[1].add(3);
        endpoint->v6.ingress->hits().row(1)[1].add(4);
        view.endpoint = endpoint;
        endpoints_.push_back(view);
        program.rules.resize(1);
        HostGuardView host;
        host.guard.name = "uplink";
        host.guard.programs[static_cast<std::size_t>(HostHook::ForwardEgress)] =
            std::make_shared<const acl::Program>(program);
        constexpr auto kNormal = static_cast<std::size_t>(HostHook::NormalIngress);
        host.guard.staged[kNormal] = std::make_shared<const acl::Program>(program);
        auto policy = std::make_shared<HostPolicy>();
        policy->staged4[kNormal] = acl::Classifier<V4>::build(host.guard.staged[kNormal], 2);
        policy->staged6[kNormal] = acl::Classifier<V6>::build(host.guard.staged[kNormal], 2);
        policy->staged6[kNormal]->hits().row(1)[0].add(5);
        host.policy = policy;
        host.ports = {PortId{1}, PortId{2}};
        host.state = HostGuardView::State::Ready;
        hosts_.push_back(host);
        const Endpoints endpoints{
            .search =
                [this] {
                    return [this, at = std::size_t{0}](std::set<std::string>& names) mutable {
                        names.insert(endpoints_[at].workload.name);
                        return ++at < endpoints_.size();
                    };
                },
            .find = [this](const std::string& name) -> std::optional<WorkloadView> {
                const auto found = std::ranges::find(
                    endpoints_, name, [](const auto& one) { return one.workload.name; });
                return found == endpoints_.end() ? std::nullopt : std::optional{*found};
            }};
        const HostEndpoints hosts{.all = [this] { return hosts_; }};
        serve_policy(dispatch_, endpoints, hosts, [](GroupId) { return "has(role)"; });
        serve_endpoints(
            dispatch_, endpoints, hosts, [](PortId id) { return "port" + to_string(id); });
    }

    static pb::Request request(const std::string& endpoint) {
        pb::Request request;
        request.mutable_show_policy()->set_endpoint(endpoint);
        return request;
    }

    static constexpr std::size_t kRules = kRowsPerFrame + 1;
    std::vector<WorkloadView> endpoints_;
    std::vector<HostGuardView> hosts_;
    Dispatch dispatch_;
};

TEST_F(PolicyHandler, TellsTheHookOfAHostEndpointsRules) {
    const auto rows = ask(dispatch_, request("uplink")).front().policy();
    ASSERT_EQ(rows.rows_size(), 2);
    EXPECT_EQ(rows.rows(1).endpoint(), "uplink");
    EXPECT_EQ(rows.rows(1).direction(), pb::DIRECTION_EGRESS);
    EXPECT_EQ(rows.rows(1).hook(), "forward");
}

TEST_F(PolicyHandler, TellsWhatStagedPoliciesOfAHostEndpointWouldDo) {
    const auto row = ask(dispatch_, request("uplink")).front().policy().rows(0);
    EXPECT_EQ(row.direction(), pb::DIRECTION_INGRESS);
    EXPECT_EQ(row.hook(), "staged normal");
    EXPECT_EQ(row.hits(), 5U);
}

TEST_F(PolicyHandler, ListsHostEndpointsWithThePortsThatTheyGuard) {
    pb::Request asked;
    asked.mutable_show_endpoints();
    const auto rows = ask(dispatch_, asked).front().endpoints();
    ASSERT_EQ(rows.rows_size(), 2);
    EXPECT_EQ(rows.rows(0).name(), "uplink");
    EXPECT_EQ(rows.rows(0).kind(), pb::Endpoint::KIND_HOST);
    EXPECT_EQ(rows.rows(0).port(), "port1,port2");
    EXPECT_EQ(rows.rows(0).state(), pb::Endpoint::STATE_READY);
    EXPECT_EQ(rows.rows(1).kind(), pb::Endpoint::KIND_WORKLOAD);
}

TEST_F(PolicyHandler, TellsRulesWithTheirOrigin) {
    const auto row = ask(dispatch_, request("a/b")).front().policy().rows(0);
    EXPECT_EQ(row.endpoint(), "a/b");
    EXPECT_EQ(row.direction(), pb::DIRECTION_INGRESS);
    EXPECT_EQ(row.action(), "allow");
    EXPECT_EQ(row.match(), "from of has(role)");
    EXPECT_EQ(row.tier(), "default");
    EXPECT_EQ(row.policy(), "NetworkPolicy a/p");
    EXPECT_EQ(row.rule(), 1);
}

TEST_F(PolicyHandler, TellsHowOftenARuleMatchedInBothFamiliesAtAllWorkers) {
    const auto list = ask(dispatch_, request("a/b")).front().policy();
    EXPECT_EQ(list.rows(0).hits(), 0U);
    EXPECT_EQ(list.rows(1).hits(), 7U);
}

TEST_F(PolicyHandler, TellsNoHitsOfAProgramThatIsNotInForce) {
    endpoints_[0].workload.ingress =
        std::make_shared<const acl::Program>(*endpoints_[0].workload.ingress);
    EXPECT_FALSE(ask(dispatch_, request("a/b")).front().policy().rows(0).has_hits());
    EXPECT_FALSE(ask(dispatch_, request("uplink")).front().policy().rows(1).has_hits());
}

TEST_F(PolicyHandler, ListsAllRulesInSlices) {
    std::size_t rows = 0;
    for (const auto& frame : ask(dispatch_, request(""))) {
        EXPECT_LE(frame.policy().rows_size(), static_cast<int>(kRowsPerFrame));
        rows += static_cast<std::size_t>(frame.policy().rows_size());
    }
    EXPECT_EQ(rows, kRules + 2);
}

TEST_F(PolicyHandler, ListsThousandsOfEndpointsInSlicesByName) {
    const WorkloadView any = endpoints_.front();
    for (std::size_t i = 0; i < 3 * kRowsPerFrame; ++i) {
        endpoints_.insert(endpoints_.begin(), any);
        endpoints_.front().workload.name = fmt::format("a/{:04}", i);
    }
    pb::Request asked;
    asked.mutable_show_endpoints();
    std::vector<std::string> shown;
    for (const pb::Response& frame : ask(dispatch_, asked)) {
        EXPECT_LE(frame.endpoints().rows_size(), static_cast<int>(kRowsPerFrame));
        for (const pb::Endpoint& row : frame.endpoints().rows()) {
            shown.push_back(row.name());
        }
    }
    ASSERT_EQ(shown.size(), endpoints_.size() + 1);
    EXPECT_EQ(shown.front(), "uplink");
    EXPECT_TRUE(std::ranges::is_sorted(std::span{shown}.subspan(1)));
}

TEST_F(PolicyHandler, ListsThousandsOfHostEndpointsAndTheirRulesInSlices) {
    hosts_.assign(3 * kRowsPerFrame, hosts_.front());
    pb::Request asked;
    asked.mutable_show_endpoints();
    std::size_t endpoints = 0;
    for (const pb::Response& frame : ask(dispatch_, asked)) {
        EXPECT_LE(frame.endpoints().rows_size(), static_cast<int>(kRowsPerFrame));
        endpoints += static_cast<std::size_t>(frame.endpoints().rows_size());
    }
    EXPECT_EQ(endpoints, hosts_.size() + endpoints_.size());
    std::size_t rules = 0;
    for (const pb::Response& frame : ask(dispatch_, request(""))) {
        rules += static_cast<std::size_t>(frame.policy().rows_size());
    }
    EXPECT_EQ(rules, kRules + 2 * hosts_.size());
}

/// Between two frames endpoints go, one of which was found already, and come.
TEST_F(PolicyHandler, ListsWhatIsThereAllTheTimeOnce) {
    const WorkloadView any = endpoints_.front();
    for (std::size_t i = 0; i < 2 * kRowsPerFrame; ++i) {
        endpoints_.push_back(any);
        endpoints_.back().workload.name = fmt::format("a/c{:04}", i);
    }
    pb::Request asked;
    asked.mutable_show_endpoints();
    Slices slices;
    dispatch_.answer(asked, [&](Slices given) { slices = std::move(given); });
    std::vector<std::string> shown;
    bool changed = false;
    for (bool more = true; more;) {
        pb::Response frame;
        more = slices(frame);
        for (const pb::Endpoint& row : frame.endpoints().rows()) {
            shown.push_back(row.name());
        }
        if (!changed && shown.size() > 1) {
            changed = true;
            endpoints_.pop_back();
            endpoints_.erase(endpoints_.begin() + 1);
            endpoints_.insert(endpoints_.begin(), any);
            endpoints_.front().workload.name = "a/a";
        }
    }
    EXPECT_EQ(shown.size(), 2 * kRowsPerFrame + 1);  // two of them the host's and the first
    std::ranges::sort(shown);
    EXPECT_EQ(std::ranges::adjacent_find(shown), shown.end());
}

TEST_F(PolicyHandler, KnowsNoOtherEndpoint) {
    const auto reply = ask_once(dispatch_, request("a/c"));
    EXPECT_EQ(reply.error().code(), pb::Error::CODE_NOT_FOUND);
}

/// Flows of both families, more than a frame holds.

}  // namespace
}  // namespace vr::ctl::policy_handlers_test
