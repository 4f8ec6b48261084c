// What the handlers answer, given parts of the router that the test has filled.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/handlers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "policy/datastore.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/net/zone.h"
#include "vrouter/turns.h"

namespace vr::ctl::handlers_test {
namespace {

using namespace std::chrono_literals;
using namespace vr::literals;

/// Every frame of the answer to `request`.
std::vector<pb::Response> ask(const Dispatch& dispatch, const pb::Request& request) {
    Slices slices;
    dispatch.answer(request, [&](Slices given) { slices = std::move(given); });
    std::vector<pb::Response> frames(1);
    while (slices(frames.back())) {
        frames.emplace_back();
    }
    return frames;
}

/// The only frame of the answer.
pb::Response ask_once(const Dispatch& dispatch, const pb::Request& request) {
    auto frames = ask(dispatch, request);
    EXPECT_EQ(frames.size(), 1U);
    return frames.front();
}

/// The rows of all frames one after the other.
pb::Response joined(const std::vector<pb::Response>& frames) {
    pb::Response all;
    for (const pb::Response& frame : frames) {
        all.MergeFrom(frame);
    }
    return all;
}

std::string port_name(PortId port) {
    return "port" + to_string(port);
}

TEST(Version, TellsVersionAndUptime) {
    Dispatch dispatch;
    serve_version(dispatch, "1.2.3", std::chrono::steady_clock::now() - 90s);
    pb::Request request;
    request.mutable_version();
    const auto reply = ask_once(dispatch, request).version();
    EXPECT_EQ(reply.version(), "1.2.3");
    EXPECT_GE(reply.uptime_seconds(), 90U);
    EXPECT_NE(reply.pid(), 0U);
}

TEST(Control, TellsHowLongTurnsTookByEitherClock) {
    LoopTimes times;
    times.wall.add(3ms);
    times.cpu.add(5us);
    Dispatch dispatch;
    serve_control(dispatch, times);
    pb::Request request;
    request.mutable_show_control();
    const auto turns = ask_once(dispatch, request).turns();
    ASSERT_EQ(turns.rows_size(), 2);
    EXPECT_EQ(turns.rows(0).clock(), "wall");
    EXPECT_EQ(turns.rows(0).max_us(), 3000U);
    EXPECT_EQ(turns.rows(0).over_2ms(), 1U);
    EXPECT_EQ(turns.rows(1).clock(), "cpu");
    EXPECT_EQ(turns.rows(1).p999_us(), 5U);
    EXPECT_EQ(turns.rows(1).over_2ms(), 0U);
}

TEST(Control, TellsTheTurnsSinceTheLastReset) {
    LoopTimes times;
    times.wall.add(3ms);
    Dispatch dispatch;
    serve_control(dispatch, times);
    pb::Request request;
    request.mutable_show_control()->set_reset(true);
    EXPECT_EQ(ask_once(dispatch, request).turns().rows(0).max_us(), 3000U);
    EXPECT_EQ(ask_once(dispatch, request).turns().rows(0).turns(), 0U);
}

class NeighborHandler : public testing::Test {
  protected:
    NeighborHandler() {
        const Mac mac{{2, 0, 0, 0, 0, 1}};
        static_cast<void>(v4_.add_permanent({.port = PortId{1}, .address = "10.0.0.1"_ip4}, mac));
        static_cast<void>(
            v6_.resolve({.port = PortId{2}, .address = *Ip6::parse("fd00::1")}, {}, TimePoint{}));
        serve_neighbors(dispatch_, v4_, v6_, port_name);
    }

    pb::NeighborList show(const std::string& port) {
        pb::Request request;
        request.mutable_show_neighbors()->set_port(port);
        return joined(ask(dispatch_, request)).neighbors();
    }

    Neighbors<V4> v4_{NeighborSettings{}};
    Neighbors<V6> v6_{NeighborSettings{}};
    Dispatch dispatch_;
};

TEST_F(NeighborHandler, ListsBothFamilies) {
    const auto list = show("");
    ASSERT_EQ(list.rows_size(), 2);
    EXPECT_EQ(list.rows(0).address(), "10.0.0.1");
    EXPECT_EQ(list.rows(0).port(), "port1");
    EXPECT_EQ(list.rows(0).mac(), "02:00:00:00:00:01");
    EXPECT_EQ(list.rows(0).state(), pb::Neighbor::STATE_PERMANENT);
    EXPECT_EQ(list.rows(1).address(), "fd00::1");
    EXPECT_EQ(list.rows(1).mac(), "");
    EXPECT_EQ(list.rows(1).state(), pb::Neighbor::STATE_INCOMPLETE);
}

TEST_F(NeighborHandler, ListsThousandsInSlices) {
    for (std::uint32_t i = 0; i < 2 * kRowsPerFrame; ++i) {
        const NeighborKey<V4> key{.port = PortId{3}, .address = Ip4{0x0a010000U + i}};
        static_cast<void>(v4_.add_permanent(key, Mac{{2, 0, 0, 0, 0, 1}}));
    }
    pb::Request request;
    request.mutable_show_neighbors();
    std::vector<std::string> shown;
    for (const pb::Response& frame : ask(dispatch_, request)) {
        EXPECT_LE(frame.neighbors().rows_size(), static_cast<int>(kRowsPerFrame));
        for (const pb::Neighbor& row : frame.neighbors().rows()) {
            shown.push_back(row.address());
        }
    }
    EXPECT_EQ(shown.size(), 2 * kRowsPerFrame + 2);
    EXPECT_EQ(shown.front(), "10.0.0.1");
    EXPECT_EQ(shown.back(), "fd00::1");
    std::ranges::sort(shown);
    EXPECT_EQ(std::ranges::adjacent_find(shown), shown.end());
}

TEST_F(NeighborHandler, ListsThoseBehindOnePort) {
    ASSERT_EQ(show("port2").rows_size(), 1);
    EXPECT_EQ(show("port2").rows(0).address(), "fd00::1");
}

/// Routes of both families over tables that nobody else reads.
class RouteHandler : public testing::Test {
  protected:
    RouteHandler() {
        routes_.next_hops().set_port(PortId{1}, {});
        routes_.set(
            *Prefix<V4>::parse("10.0.0.0/24"),
            RouteSource::Connected,
            Connected{.port = PortId{1}, .family = IpFamily::Ip4});
        routes_.set(*Prefix<V4>::parse("0.0.0.0/0"), RouteSource::Static, Discard{});
        routes_.set(
            *Prefix<V4>::parse("192.0.2.0/24"),
            RouteSource::EBgp,
            Gateways{.addresses = {"10.0.0.1"_ip4}});
        routes_.set(
            *Prefix<V6>::parse("fd00::1/128"),
            RouteSource::Workload,
            Adjacency{.port = PortId{2}, .address = *Ip6::parse("fd00::1")});
        routes_.commit([] {});
        serve_routes(dispatch_, routes_, port_name);
    }

    static pb::Request request(const std::string& prefix, const std::string& address) {
        pb::Request request;
        request.mutable_show_routes()->set_prefix(prefix);
        request.mutable_show_routes()->set_address(address);
        return request;
    }

    std::vector<std::string> prefixes(const std::string& within) {
        std::vector<std::string> found;
        for (const auto& frame : ask(dispatch_, request(within, ""))) {
            for (const auto& row : frame.routes().rows()) {
                found.push_back(row.prefix());
            }
        }
        return found;
    }

    /// Frees at once: there are no workers.
    struct NoReaders : Reclaimer {
        void retire(std::function<void()> free) override { free(); }
    };

    NoReaders reclaimer_;
    Lpm<V4> fib4_{reclaimer_};
    Lpm<V6> fib6_{reclaimer_};
    RouteTable routes_{fib4_, fib6_, reclaimer_};
    Dispatch dispatch_;
};

TEST_F(RouteHandler, SortsASmallTable) {
    EXPECT_EQ(
        prefixes(""),
        (std::vector<std::string>{"0.0.0.0/0", "10.0.0.0/24", "192.0.2.0/24", "fd00::1/128"}));
}

TEST_F(RouteHandler, ListsWhatIsInsideAPrefix) {
    EXPECT_EQ(prefixes("10.0.0.0/8"), std::vector<std::string>{"10.0.0.0/24"});
    EXPECT_EQ(prefixes("fd00::/16"), std::vector<std::string>{"fd00::1/128"});
}

TEST_F(RouteHandler, TellsTheRouteOfAnAddressWithItsNextHopsPort) {
    const auto row = ask_once(dispatch_, request("", "192.0.2.7")).routes().rows(0);
    EXPECT_EQ(row.prefix(), "192.0.2.0/24");
    EXPECT_EQ(row.source(), pb::Route::SOURCE_EBGP);
    EXPECT_TRUE(row.active());
    EXPECT_EQ(row.next_hops(0).address(), "10.0.0.1");
    EXPECT_EQ(row.next_hops(0).port(), "port1");
}

TEST_F(RouteHandler, SaysThatNoRouteCoversAnAddress) {
    const auto reply = ask_once(dispatch_, request("", "fd01::1"));
    EXPECT_EQ(reply.error().code(), pb::Error::CODE_NOT_FOUND);
}

TEST_F(RouteHandler, FindsALinkLocalNeighborBehindItsPort) {
    const Ip6 neighbor = with_zone(*Ip6::parse("fe80::1"), 2);
    routes_.set(
        Prefix<V6>::host(neighbor),
        RouteSource::Neighbor,
        Adjacency{.port = PortId{2}, .address = without_zone(neighbor)});
    routes_.commit([] {});
    const auto reply = ask_once(dispatch_, request("", "fe80::1%port2"));
    ASSERT_EQ(reply.routes().rows_size(), 1);
    EXPECT_EQ(reply.routes().rows(0).prefix(), "fe80::1/128");
}

TEST_F(RouteHandler, SaysThatThereIsNoSuchPort) {
    const auto error = ask_once(dispatch_, request("", "fe80::1%nosuch")).error();
    EXPECT_EQ(error.code(), pb::Error::CODE_INVALID);
    EXPECT_EQ(error.text(), "no port is called 'nosuch'");
}

TEST_F(RouteHandler, RefusesWhatIsNoPrefixOrAddress) {
    for (const auto& asked :
         {request("10.0.0.0/33", ""),
          request("", "10.0.0.300"),
          request("", "fe80::1%"),
          request("", "fd00::1%port2")}) {
        EXPECT_EQ(ask_once(dispatch_, asked).error().code(), pb::Error::CODE_INVALID);
    }
}

TEST_F(RouteHandler, ListsALargeTableCompletelyInBoundedFrames) {
    constexpr std::uint32_t kRoutes = 20'000;
    for (std::uint32_t i = 0; i < kRoutes; ++i) {
        routes_.set(Prefix<V4>::host(Ip4{0x0a010000U + i}), RouteSource::Static, Discard{});
    }
    routes_.commit([] {});
    std::set<std::string> rows;
    for (const auto& frame : ask(dispatch_, request("", ""))) {
        EXPECT_TRUE(frame.has_routes());
        EXPECT_LE(frame.routes().rows_size(), static_cast<int>(kRowsPerFrame));
        for (const auto& row : frame.routes().rows()) {
            rows.insert(row.prefix());
        }
    }
    EXPECT_EQ(rows.size(), routes_.size());
}

TEST(SortedListing, PutsRunsOfWhatItFindsInOrder) {
    constexpr std::uint32_t kFound = 2 * kSortedRows + 5;
    constexpr std::uint32_t kSlice = 100;
    auto slices = sorted_listing<&pb::Response::mutable_ports, std::uint32_t, std::string>(
        [next = std::uint32_t{kFound}](auto& items) mutable {
            for (std::uint32_t n = 0; n < kSlice && next != 0; ++n) {
                --next;
                items.emplace(next, "p" + std::to_string(next));
            }
            return next != 0;
        },
        [](std::uint32_t number, const std::string& name, pb::Port& row) {
            row.set_id(number);
            row.set_name(name);
        });
    std::vector<std::uint32_t> shown;
    for (bool more = true; more;) {
        pb::Response frame;
        more = slices(frame);
        EXPECT_TRUE(frame.has_ports());
        EXPECT_LE(frame.ports().rows_size(), static_cast<int>(kRowsPerFrame));
        for (const auto& row : frame.ports().rows()) {
            EXPECT_EQ(row.name(), "p" + std::to_string(row.id()));
            shown.push_back(row.id());
        }
    }
    EXPECT_TRUE(std::ranges::is_sorted(std::span{shown}.first(kSortedRows)));
    std::ranges::sort(shown);
    std::vector<std::uint32_t> all(kFound);
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(shown, all);
}

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
class FlowHandler : public testing::Test {
  protected:
    FlowHandler() {
        for (std::uint32_t n = 0; n < kFlows; ++n) {
            insert(shared_.flows4, {Ip4{0x0a000001}, Ip4{0x0b000000U + n}, {}, {}, 17});
        }
        insert(shared_.flows6, {*Ip6::parse("fd00::1"), *Ip6::parse("fd00::2"), {}, {}, 17});
        serve_flows(dispatch_, shared_, port_name, [] { return FlowTick{40}; });
    }

    template <Family F>
    static void insert(FlowTable<F>& flows, const FlowKey<F>& key) {
        static_cast<void>(flows.insert(0, key, {.from = PortId{1}, .state = FlowState::Udp}, 0));
    }

    std::vector<pb::Flow> show(const std::string& address) {
        pb::Request request;
        request.mutable_show_flows()->set_address(address);
        std::vector<pb::Flow> rows;
        for (const auto& frame : ask(dispatch_, request)) {
            EXPECT_TRUE(frame.has_flows());
            EXPECT_LE(frame.flows().rows_size(), static_cast<int>(kRowsPerFrame));
            rows.insert(rows.end(), frame.flows().rows().begin(), frame.flows().rows().end());
        }
        return rows;
    }

    std::uint64_t clear(const std::string& address) {
        pb::Request request;
        request.mutable_clear_flows()->set_address(address);
        return ask(dispatch_, request).back().cleared().count();
    }

    /// Frees at once: there are no workers.
    struct NoReaders : Reclaimer {
        void retire(std::function<void()> free) override { free(); }
    };

    static constexpr std::uint32_t kFlows = 2 * kRowsPerFrame + 7;
    NoReaders reclaimer_;
    SharedState shared_{reclaimer_, 4096, 1};
    Dispatch dispatch_;
};

TEST_F(FlowHandler, ListsAllFlowsInSlices) {
    EXPECT_EQ(show("").size(), kFlows + 1);
}

TEST_F(FlowHandler, ListsTheFlowsOfAnAddress) {
    const auto rows = show("11.0.0.5");
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].source(), "10.0.0.1");
    EXPECT_EQ(rows[0].from(), "port1");
    EXPECT_EQ(rows[0].state(), "udp");
    EXPECT_EQ(rows[0].idle_ms(), 10000U);
    EXPECT_EQ(show("fd00::2").size(), 1U);
}

TEST_F(FlowHandler, ClearsTheFlowsOfAnAddress) {
    EXPECT_EQ(clear("11.0.0.5"), 1U);
    EXPECT_EQ(show("").size(), kFlows);
}

TEST_F(FlowHandler, ClearsAllFlowsAndCountsThem) {
    EXPECT_EQ(clear(""), kFlows + 1);
    EXPECT_TRUE(show("").empty());
}

TEST_F(FlowHandler, RefusesWhatIsNoAddress) {
    pb::Request request;
    request.mutable_clear_flows()->set_address("10.0.0.300");
    EXPECT_EQ(ask_once(dispatch_, request).error().code(), pb::Error::CODE_INVALID);
}

/// A datastore of two tiers, one of them invalid.
class TwoTiers : public policy::Datastore {
  public:
    TwoTiers() {
        policy::ObjectStatus good;
        good.key = {.kind = policy::Kind::Tier, .ns = {}, .name = "good"};
        good.file = "t.yaml";
        good.line = 3;
        good.yaml = "kind: Tier\n";
        policy::ObjectStatus bad = good;
        bad.key.name = "bad";
        bad.state = policy::ObjectState::StandIn;
        bad.reason = "t.yaml:9: spec.order: 'x' is no number";
        objects = {policy_in("default"), policy_in("prod"), bad, good};
    }

    [[nodiscard]] std::vector<policy::ObjectStatus> list(
        const policy::Key& from, std::size_t count) const override {
        const auto first = std::ranges::lower_bound(objects, from, {}, &policy::ObjectStatus::key);
        const auto rest = static_cast<std::size_t>(objects.end() - first);
        largest_slice = std::max(largest_slice, std::min(count, rest));
        return {first, first + static_cast<std::ptrdiff_t>(std::min(count, rest))};
    }

    [[nodiscard]] std::vector<std::string> problems() const override {
        return {"junk.yaml:1: not an object"};
    }

    [[nodiscard]] policy::SourceStatus status() const override {
        policy::SourceStatus status;
        status.source = "file";
        status.places = {"/resources"};
        status.fails(
            policy::SourceStatus::State::Frozen,
            "/resources is gone",
            std::chrono::steady_clock::now() - std::chrono::seconds(9));
        status.in_force = true;
        return status;
    }

    [[nodiscard]] std::map<policy::Kind, policy::KindCount> counts() const override {
        return {{policy::Kind::Tier, {.objects = 2, .invalid = 1}}};
    }

    void put(std::string_view file, std::string_view yaml, PutDone done) override {
        if (yaml == "---") {
            done(std::vector<policy::Key>{});
        } else if (yaml.empty()) {
            done(fail(std::string(file) + ":1: nothing in it"));
        } else if (yaml == "later") {
            waiting = std::move(done);
        } else {
            done(std::vector<policy::Key>{{.kind = policy::Kind::Tier, .ns = {}, .name = "good"}});
        }
    }

    void remove(const policy::Key& key, RemoveDone done) override {
        removed.push_back(to_string(key));
        done(key.name == "absent" ? fail("it does not exist") : Result<void>{});
    }

    PutDone waiting;

    std::vector<std::string> removed;

    std::vector<policy::ObjectStatus> objects;  ///< by key
    mutable std::size_t largest_slice = 0;

    static policy::ObjectStatus policy_in(
        const std::string& space, const std::string& name = "web") {
        policy::ObjectStatus web;
        web.key = {.kind = policy::Kind::NetworkPolicy, .ns = space, .name = name};
        return web;
    }
};

class ResourceHandler : public testing::Test {
  protected:
    ResourceHandler() { serve_resources(dispatch_, store_); }

    pb::Response get(
        const std::string& kind, const std::string& name, const std::string& space = {}) {
        pb::Request request;
        request.mutable_get_resources()->set_namespace_(space);
        request.mutable_get_resources()->set_kind(kind);
        request.mutable_get_resources()->set_name(name);
        return joined(ask(dispatch_, request));
    }

    pb::ChangeList remove(const std::string& kind, const std::string& name) {
        pb::Request request;
        request.mutable_delete_resources()->set_kind(kind);
        request.mutable_delete_resources()->set_name(name);
        return ask_once(dispatch_, request).changes();
    }

    TwoTiers store_;
    Dispatch dispatch_;
};

TEST_F(ResourceHandler, ListsInvalidObjectsWithTheReason) {
    const auto list = get("Tier", "").resources();
    ASSERT_EQ(list.rows_size(), 2);
    EXPECT_EQ(list.rows(0).state(), pb::Resource::STATE_STAND_IN);
    EXPECT_EQ(list.rows(0).problem(), "t.yaml:9: spec.order: 'x' is no number");
    EXPECT_EQ(list.rows(1).state(), pb::Resource::STATE_VALID);
    EXPECT_EQ(list.rows(1).origin(), "t.yaml:3");
    EXPECT_EQ(list.rows(1).document(), "kind: Tier\n");
}

TEST_F(ResourceHandler, ShowsWhatIsNoObjectAmongAllKinds) {
    const auto list = get("", "").resources();
    ASSERT_EQ(list.rows_size(), 5);
    EXPECT_EQ(list.rows(4).problem(), "junk.yaml:1: not an object");
}

TEST_F(ResourceHandler, FindsOneByName) {
    EXPECT_EQ(get("Tier", "good").resources().rows_size(), 1);
    EXPECT_EQ(get("Tier", "absent").error().code(), pb::Error::CODE_NOT_FOUND);
    EXPECT_EQ(get("Tears", "").error().code(), pb::Error::CODE_INVALID);
}

TEST_F(ResourceHandler, FindsANameInTheDefaultNamespaceUnlessOneIsGiven) {
    ASSERT_EQ(get("NetworkPolicy", "web").resources().rows_size(), 1);
    EXPECT_EQ(get("NetworkPolicy", "web").resources().rows(0).namespace_(), "default");
    EXPECT_EQ(get("NetworkPolicy", "web", "prod").resources().rows(0).namespace_(), "prod");
    EXPECT_EQ(get("NetworkPolicy", "").resources().rows_size(), 2);
}

TEST_F(ResourceHandler, FindsWhatApplyHasPrinted) {
    EXPECT_EQ(get("NetworkPolicy", "prod/web").resources().rows(0).namespace_(), "prod");
    EXPECT_EQ(get("NetworkPolicy", "prod/web", "prod").resources().rows_size(), 1);
    EXPECT_EQ(get("NetworkPolicy", "prod/web", "default").error().code(), pb::Error::CODE_INVALID);
    (void)remove("NetworkPolicy", "prod/web");
    EXPECT_EQ(store_.removed, std::vector<std::string>{"NetworkPolicy prod/web"});
}

TEST_F(ResourceHandler, FindsAPolicyOfTheDefaultTierWithTheTierInFront) {
    EXPECT_EQ(get("NetworkPolicy", "default.web").resources().rows(0).name(), "web");
    EXPECT_EQ(get("Tier", "default.good").error().code(), pb::Error::CODE_NOT_FOUND);
}

TEST_F(ResourceHandler, DeletesByTheOwnNameAlone) {
    const auto changes = remove("NetworkPolicy", "prod/default.web");
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "it does not exist, 'web' does");
    EXPECT_TRUE(store_.removed.empty());
}

/// Listings of more objects than a frame has rows.
class ManyResources : public ResourceHandler {
  protected:
    ManyResources() {
        store_.objects.clear();
        for (std::size_t i = 0; i < kObjects; ++i) {
            store_.objects.push_back(TwoTiers::policy_in("n", fmt::format("p{:04}", i)));
        }
    }

    /// Names, in the order of the frames of a listing; `between` is called behind each frame.
    [[nodiscard]] std::vector<std::string> names(const std::function<void()>& between) {
        pb::Request request;
        request.mutable_get_resources()->set_kind("NetworkPolicy");
        Slices slices;
        dispatch_.answer(request, [&](Slices given) { slices = std::move(given); });
        std::vector<std::string> all;
        for (bool more = true; more; between()) {
            pb::Response frame;
            more = slices(frame);
            for (const pb::Resource& row : frame.resources().rows()) {
                all.push_back(row.name());
            }
        }
        return all;
    }

    void remove_object(const std::string& name) {
        std::erase_if(store_.objects, [&](const auto& object) { return object.key.name == name; });
    }

    static constexpr std::size_t kObjects = 3 * kRowsPerFrame;
};

TEST_F(ManyResources, AreListedInSlices) {
    const auto all = names([] {});
    EXPECT_EQ(all.size(), kObjects);
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_LE(store_.largest_slice, kRowsPerFrame);
}

TEST_F(ManyResources, AreListedOnceWhateverComesAndGoesMeanwhile) {
    unsigned frames = 0;
    const auto all = names([&] {
        if (++frames == 1) {
            remove_object(fmt::format("p{:04}", kRowsPerFrame - 1));  // the last one shown
            remove_object(fmt::format("p{:04}", kRowsPerFrame));      // the next one
            store_.objects.insert(store_.objects.begin(), TwoTiers::policy_in("n", "a"));
        }
    });
    EXPECT_EQ(all.size(), kObjects - 1);
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
}

TEST_F(ManyResources, AreNotAllLookedAtForOne) {
    EXPECT_EQ(get("NetworkPolicy", "n/p0200").resources().rows_size(), 1);
    EXPECT_EQ(get("NetworkPolicy", "n/absent").error().code(), pb::Error::CODE_NOT_FOUND);
    (void)remove("NetworkPolicy", "n/absent");
    EXPECT_EQ(store_.largest_slice, 1U);
}

TEST_F(ResourceHandler, KindWithoutNamespacesIsInNone) {
    EXPECT_EQ(get("Tier", "prod/good").error().code(), pb::Error::CODE_INVALID);
    EXPECT_EQ(remove("Tier", "prod/good").rows_size(), 0);
    EXPECT_TRUE(store_.removed.empty());
}

TEST_F(ResourceHandler, RefusesAFileWithoutObjects) {
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_text("---");
    auto changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "there is no object in it");
    request.mutable_delete_resources()->add_files()->set_text("---");
    changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
}

TEST_F(ResourceHandler, ShowsHowTheDatastoreIs) {
    serve_datastore(dispatch_, store_);
    pb::Request request;
    request.mutable_show_datastore();
    const auto shown = ask_once(dispatch_, request).datastore();
    EXPECT_EQ(shown.state(), pb::DatastoreStatus::STATE_FROZEN);
    EXPECT_GE(shown.state_seconds(), 9U);
    EXPECT_EQ(shown.last_error(), "/resources is gone");
    ASSERT_EQ(shown.kinds_size(), 1);
    EXPECT_EQ(shown.kinds(0).kind(), "Tier");
    EXPECT_EQ(shown.kinds(0).invalid(), 1U);
    EXPECT_EQ(shown.problems(0), "junk.yaml:1: not an object");
}

TEST_F(ResourceHandler, AppliesFileByFile) {
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_name("empty.yaml");
    auto& file = *request.mutable_apply_resources()->add_files();
    file.set_name("good.yaml");
    file.set_text("kind: Tier");
    const auto changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 2);
    EXPECT_EQ(changes.rows(0).name(), "empty.yaml");
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "empty.yaml:1: nothing in it");
    EXPECT_EQ(changes.rows(1).outcome(), pb::Change::OUTCOME_APPLIED);
}

TEST_F(ResourceHandler, AnswersWhenAllChangesAreMade) {
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_text("later");
    request.mutable_apply_resources()->add_files()->set_text("kind: Tier");
    Slices answer;
    dispatch_.answer(request, [&](Slices given) { answer = std::move(given); });
    EXPECT_FALSE(answer);
    store_.waiting(fail("too late"));
    ASSERT_TRUE(answer);
    pb::Response response;
    EXPECT_FALSE(answer(response));
    EXPECT_EQ(response.changes().rows_size(), 2);
    EXPECT_EQ(response.changes().rows(0).problem(), "too late");
}

TEST_F(ResourceHandler, DeletesInTheDefaultNamespaceUnlessOneIsGiven) {
    EXPECT_EQ(remove("NetworkPolicy", "p").rows(0).outcome(), pb::Change::OUTCOME_DELETED);
    EXPECT_EQ(remove("Tier", "t").rows(0).outcome(), pb::Change::OUTCOME_DELETED);
    EXPECT_EQ(store_.removed, (std::vector<std::string>{"NetworkPolicy default/p", "Tier t"}));
}

TEST_F(ResourceHandler, TellsWhyNothingWasDeleted) {
    const auto changes = remove("Tier", "absent");
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "it does not exist");
}

TEST_F(ResourceHandler, DeletesWhatAFileHolds) {
    pb::Request request;
    auto& file = *request.mutable_delete_resources()->add_files();
    file.set_name("t.yaml");
    file.set_text(
        "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {order: 1}\n");
    const auto changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(store_.removed, std::vector<std::string>{"Tier t"});
}

}  // namespace
}  // namespace vr::ctl::handlers_test
