// What the handlers answer about the router itself, its tables and flows, given parts that the test has filled.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/handlers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "test/ctl/asking.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/net/zone.h"
#include "vrouter/turns.h"

namespace vr::ctl::handlers_test {
namespace {

using namespace std::chrono_literals;
using namespace vr::literals;

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
    ASSERT_EQ(turns.rows(0).latest_size(), 1);
    EXPECT_EQ(turns.rows(0).latest(0).took_us(), 3000U);
    EXPECT_NE(turns.rows(0).latest(0).ended_us(), 0U);
    EXPECT_EQ(turns.rows(1).latest_size(), 0);
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

}  // namespace
}  // namespace vr::ctl::handlers_test
