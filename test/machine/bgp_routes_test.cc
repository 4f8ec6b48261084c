// What BGP offers in the route table, above all while the speaker is replaced.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_routes.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace vr::daemon {
namespace {

using namespace literals;

class BgpRoutesTest : public testing::Test {
  protected:
    BgpRoutesTest() {
        table.next_hops().set_port(kPort, {});
        const auto network = *Prefix<V4>::make("192.0.2.0"_ip4, 24);
        table.set(network, RouteSource::Connected, Connected{kPort, IpFamily::Ip4});
    }

    void tell(const std::string& prefix, const std::string& next_hop = "192.0.2.9") {
        routes.update(*parse_prefix(prefix), {.next_hops = {*parse_ip(next_hop)}});
    }

    /// Lets the loop run empty; what BGP has in the table then.
    std::set<std::string> after_all() {
        loop.restart();
        loop.poll();
        std::set<std::string> prefixes;
        table.for_each([&](const RouteView& route) {
            if (is_of_bgp(route.source) && route.active) {
                prefixes.insert(to_string(route.prefix));
            }
        });
        return prefixes;
    }

    static constexpr PortId kPort{1};
    using Prefixes = std::set<std::string>;

    boost::asio::io_context loop;
    ImmediateReclaimer reclaimer;
    Lpm<V4> fib4{reclaimer};
    Lpm<V6> fib6{reclaimer};
    RouteTable table{fib4, fib6};
    int moved = 0;
    BgpRoutes routes{
        loop,
        table,
        [](PortId) { return std::string{}; },
        [this] { table.commit([](bool) {}); },
        [this] { ++moved; }};
};

TEST_F(BgpRoutesTest, NothingGoesBeforeARestartIsDone) {
    tell("10.0.0.0/24");
    tell("10.0.1.0/24");
    routes.begin_restart();
    tell("10.0.0.0/24");
    EXPECT_EQ(after_all(), (Prefixes{"10.0.0.0/24", "10.0.1.0/24"}));
}

TEST_F(BgpRoutesTest, WhatIsNotToldAgainGoesWhenARestartIsDone) {
    tell("10.0.0.0/24");
    tell("10.0.1.0/24");
    routes.begin_restart();
    tell("10.0.0.0/24");
    tell("10.0.2.0/24");
    routes.restart_done();
    EXPECT_EQ(after_all(), (Prefixes{"10.0.0.0/24", "10.0.2.0/24"}));
    EXPECT_TRUE(table.lookup("192.0.2.9"_ip4)) << "not of BGP";
}

TEST_F(BgpRoutesTest, ARestartThatIsToldAgainWritesNothingToTheFib) {
    tell("10.0.0.0/24");
    after_all();
    const auto before = table.fib_changes();
    routes.begin_restart();
    tell("10.0.0.0/24");
    routes.restart_done();
    EXPECT_EQ(after_all(), Prefixes{"10.0.0.0/24"});
    EXPECT_EQ(table.fib_changes(), before);
}

TEST_F(BgpRoutesTest, ASecondRestartBeginsAgain) {
    tell("10.0.0.0/24");
    routes.begin_restart();
    tell("10.0.0.0/24");
    routes.begin_restart();
    routes.restart_done();
    EXPECT_EQ(after_all(), Prefixes{});
}

TEST_F(BgpRoutesTest, RestartForgetsWhichNextHopsToAvoid) {
    tell("10.0.0.0/24");
    after_all();
    const std::vector<IpAddr> both{"192.0.2.8"_ip4, "192.0.2.9"_ip4};
    routes.update(*parse_prefix("10.0.0.0/24"), {.next_hops = both});
    after_all();
    const NextHopId hop{fib4.lookup("10.0.0.1"_ip4)};
    routes.avoid("192.0.2.9"_ip4, true);
    EXPECT_EQ(table.next_hops().members(hop).size(), 1U);
    routes.begin_restart();
    EXPECT_EQ(table.next_hops().members(hop).size(), 2U);
}

TEST_F(BgpRoutesTest, NextHopOverARouteOfBgpIsTold) {
    EXPECT_FALSE(routes.metric("10.0.0.1"_ip4));
    tell("10.0.0.0/24");
    after_all();
    EXPECT_EQ(moved, 1);
    EXPECT_TRUE(routes.metric("10.0.0.1"_ip4));
    EXPECT_EQ(routes.way_to("10.0.0.1"_ip4), std::vector<IpPrefix>{*parse_prefix("10.0.0.0/24")});
}

}  // namespace
}  // namespace vr::daemon
