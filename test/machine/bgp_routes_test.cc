// What BGP offers in the route table, above all while the speaker is replaced.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bgp/attribute_pool.h"
#include "bgp/next_hops.h"
#include "vrouter/machine.h"

namespace vr::daemon::bgp_routes_test {
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

    /// Routes over so many new gateways that others wait for their turn to be found.
    void crowd_gateways() {
        for (std::uint32_t i = 0; i < 1000; ++i) {
            table.set(
                Prefix<V4>::host(Ip4{0xac100000U + i}),
                RouteSource::IBgp,
                Gateways{{Ip4{0xac110000U + i}}, false});
        }
    }

    /// Lets the loop run empty; what BGP has in the table then.
    std::set<std::string> after_all() {
        loop.restart();
        loop.poll();
        std::set<std::string> prefixes;
        const auto note = [&](const RouteView& route) {
            if (is_of_bgp(route.source) && route.active) {
                prefixes.insert(to_string(route.prefix));
            }
        };
        for (RouteTable::Cursor cursor; table.visit_slice(cursor, 1024, note);) {
        }
        return prefixes;
    }

    static constexpr PortId kPort{1};
    using Prefixes = std::set<std::string>;

    boost::asio::io_context loop;
    ImmediateReclaimer reclaimer;
    Lpm<V4> fib4{reclaimer};
    Lpm<V6> fib6{reclaimer};
    RouteTable table{fib4, fib6, reclaimer};
    PortRecord port{
        .name = "uplink0",
        .mac = Mac{{2, 0, 0, 0, 0, 1}},
        .addresses = {*parse_ip("192.0.2.1"), *parse_ip("2001:db8::1")}};
    int moved = 0;
    std::vector<IpAddr> told;  ///< which, of the last time
    BgpRoutes routes{
        loop,
        table,
        [this](PortId id) { return id == kPort ? &port : nullptr; },
        [this] { table.commit([] {}); },
        [this](const std::vector<IpAddr>* some) {
            ++moved;
            told = some != nullptr ? *some : std::vector<IpAddr>{};
        }};
};

TEST_F(BgpRoutesTest, LinkIsThatOfThePortWhoseNetworkItIs) {
    EXPECT_EQ(routes.link_to("192.0.2.9"_ip4), kPort.value());
    EXPECT_EQ(routes.link_to("198.51.100.9"_ip4), 0);
    EXPECT_EQ(routes.link_to(with_zone(*Ip6::parse("fe80::9"), 5)), 5);
}

TEST_F(BgpRoutesTest, AnotherInterfaceIsToldToWhoAskedForIt) {
    const PortId other{2};
    table.next_hops().set_port(other, {});
    table.set(
        *parse_prefix("198.51.100.0/24"), RouteSource::Connected, Connected{other, IpFamily::Ip4});
    const IpAddr far = "203.0.113.1"_ip4;
    const auto lead_over = [&](Ip4 gateway) {
        moved = 0;
        table.set(*parse_prefix("203.0.113.0/24"), RouteSource::Static, Gateways{{gateway}, false});
        table.commit([] {});
        after_all();
    };
    lead_over("192.0.2.9"_ip4);
    ASSERT_TRUE(routes.metric(far));
    lead_over("198.51.100.9"_ip4);
    EXPECT_EQ(moved, 0) << "nobody asked";
    EXPECT_EQ(routes.interface_to(far), "");
    lead_over("192.0.2.9"_ip4);
    EXPECT_EQ(told, std::vector{far});
    EXPECT_EQ(routes.interface_to(far), "uplink0");
    lead_over("192.0.2.10"_ip4);
    EXPECT_EQ(moved, 0);
}

TEST_F(BgpRoutesTest, LinkLocalAddressIsThePortsBesideItsOthers) {
    const Ip6 own = *Ip6::parse("2001:db8::1");
    EXPECT_EQ(routes.link_local_beside(own, kPort.value()), Ip6::parse("fe80::ff:fe00:1"));
    EXPECT_EQ(routes.link_local_beside(own, kPort.value() + 1), std::nullopt);
    EXPECT_EQ(routes.link_local_beside(*Ip6::parse("2001:db8::2"), kPort.value()), std::nullopt);
}

TEST_F(BgpRoutesTest, HundredsOfRoutesDoNotWaitForTheTurnAfterThem) {
    constexpr std::uint32_t kRoutes = 1000;
    const auto prefix = [](std::uint32_t i) { return Prefix<V4>::host(Ip4{0x0a000000U + i}); };
    tell("10.1.0.0/16");
    after_all();  // its gateway is found
    const std::size_t before = fib4.size();
    for (std::uint32_t i = 0; i < kRoutes; ++i) {
        routes.update(prefix(i), {.next_hops = {*parse_ip("192.0.2.9")}});
    }
    EXPECT_GT(fib4.size(), before + kRoutes / 2);
    after_all();
    EXPECT_EQ(fib4.size(), before + kRoutes);
    for (std::uint32_t i = 0; i < kRoutes; ++i) {
        routes.withdraw(prefix(i));
    }
    EXPECT_LT(fib4.size(), before + kRoutes / 2);
    after_all();
    EXPECT_EQ(fib4.size(), before);
}

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
    after_all();
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

TEST_F(BgpRoutesTest, ThousandsOfNextHopsAreWatchedOneByOne) {
    for (std::uint32_t i = 0; i < 10000; ++i) {
        EXPECT_FALSE(routes.metric(Ip4{0x0a000000U + i}));
    }
    tell("172.16.0.0/16");  // none of them is there
    after_all();
    EXPECT_TRUE(loop.stopped()) << "nothing is asked again";
}

/// Hundreds of gateways are to be found before the one that a next hop is behind from now on.
TEST_F(BgpRoutesTest, NextHopIsReachableWhileItsNewGatewayIsToBeFound) {
    const IpAddr next_hop = "10.0.0.1"_ip4;
    tell("10.0.0.0/24");
    after_all();
    EXPECT_TRUE(routes.metric(next_hop));
    crowd_gateways();
    tell("10.0.0.0/24", "192.0.2.77");
    after_all();
    EXPECT_TRUE(table.is_settling());
    while (table.dirty()) {
        table.commit([] {});
        after_all();
    }
    EXPECT_EQ(moved, 0);
    EXPECT_TRUE(routes.metric(next_hop));
    table.remove(*parse_prefix("10.0.0.0/24"), RouteSource::IBgp);
    table.remove(*parse_prefix("10.0.0.0/24"), RouteSource::EBgp);
    table.commit([] {});
    after_all();
    EXPECT_EQ(moved, 1);
}

/// The speaker that takes another's place asks for a next hop while hundreds of gateways are to be found before
/// the one that it is behind.
TEST_F(BgpRoutesTest, NothingIsSettledBeforeItsGatewayIsFoundAndTold) {
    const IpAddr next_hop = "10.0.0.1"_ip4;
    tell("10.0.0.0/24");
    after_all();
    routes.begin_restart();
    after_all();
    EXPECT_TRUE(routes.is_settled());
    crowd_gateways();
    tell("10.0.0.0/24", "192.0.2.77");
    EXPECT_FALSE(routes.metric(next_hop));
    EXPECT_FALSE(routes.is_settled());
    while (!routes.is_settled()) {
        EXPECT_EQ(moved, 0);
        table.commit([] {});
        after_all();
    }
    EXPECT_EQ(told, std::vector<IpAddr>{next_hop});
    EXPECT_TRUE(routes.metric(next_hop));
}

TEST_F(BgpRoutesTest, RestartIsToldWhenAllIsSettledThoughNoAnswerIsAnother) {
    tell("10.0.0.0/24");
    after_all();
    EXPECT_EQ(moved, 0);
    routes.begin_restart();
    tell("10.0.0.0/24", "192.0.2.77");
    EXPECT_FALSE(routes.is_settled());
    after_all();
    EXPECT_TRUE(routes.is_settled());
    EXPECT_EQ(moved, 1);
    EXPECT_TRUE(told.empty());
}

/// One route leads to thousands of next hops, and is gone; one after the other is told, and none twice.
TEST_F(BgpRoutesTest, NextHopsThatMoveTogetherAreToldInSlices) {
    constexpr std::uint32_t kNextHops = 3000;
    const auto covering = *parse_prefix("10.0.0.0/8");
    table.set(covering, RouteSource::Static, Gateways{{"192.0.2.1"_ip4}, false});
    table.commit([] {});
    for (std::uint32_t i = 0; i < kNextHops; ++i) {
        EXPECT_TRUE(routes.metric(Ip4{0x0a000000U + i}));
    }
    table.remove(covering, RouteSource::Static);
    table.commit([] {});
    std::set<IpAddr> all;
    std::size_t largest = 0;
    loop.restart();
    for (int seen = 0; loop.poll_one() != 0;) {
        if (moved != std::exchange(seen, moved)) {
            EXPECT_TRUE(
                std::ranges::none_of(told, [&](const IpAddr& each) { return all.contains(each); }));
            all.insert(told.begin(), told.end());
            largest = std::max(largest, told.size());
        }
    }
    EXPECT_EQ(all.size(), kNextHops);
    EXPECT_LT(largest, 500U);
}

TEST_F(BgpRoutesTest, WayThatMovesWhileAnswersAreComparedIsTold) {
    const auto first = *parse_prefix("10.1.0.0/16");
    const auto second = *parse_prefix("10.2.0.0/16");
    for (const auto& prefix : {first, second}) {
        table.set(prefix, RouteSource::Static, Gateways{{"192.0.2.1"_ip4}, false});
    }
    table.commit([] {});
    for (std::uint32_t i = 0; i < 3000; ++i) {
        EXPECT_TRUE(routes.metric(Ip4{0x0a020000U + i}));
    }
    EXPECT_TRUE(routes.metric("10.1.0.1"_ip4));  // is compared first
    table.remove(second, RouteSource::Static);
    table.commit([] {});
    loop.restart();
    loop.poll_one();
    EXPECT_EQ(moved, 1);
    table.remove(first, RouteSource::Static);
    table.commit([] {});
    std::set<IpAddr> all;
    while (loop.poll_one() != 0) {
        all.insert(told.begin(), told.end());
    }
    EXPECT_TRUE(all.contains("10.1.0.1"_ip4));
}

/// Answers are compared where a way moved, which must find what a look at all of them would.  Routes are
/// static: those of BGP that come and go are held (flap_guard.h).
TEST_F(BgpRoutesTest, MovedIsToldWhenAnAnswerIsAnotherAndOnlyThen) {
    std::mt19937 random{1};
    const auto below = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
    const auto host = [](std::uint32_t net, std::uint32_t number) {
        return Ip4{0x0a000000U + (net << 8U) + number};
    };
    const auto ask_all = [&] {
        std::vector<std::pair<bool, Zone>> answers;
        for (std::uint32_t at = 0; at < 24; ++at) {
            const Ip4 next_hop = host(at / 4, at % 4);
            answers.emplace_back(routes.metric(next_hop).has_value(), routes.zone_to(next_hop));
        }
        return answers;
    };
    auto answers = ask_all();
    int seen = 0;
    for (int step = 0; step < 1000; ++step) {
        const std::uint32_t net = below(6);
        const Prefix<V4> prefix = below(2) == 0 ? *Prefix<V4>::make(host(net, 0), 24)
                                                : Prefix<V4>::host(host(net, below(4)));
        const RouteSource source = below(3) == 0 ? RouteSource::Connected : RouteSource::Static;
        const Gateways via{{below(5) == 0 ? "192.0.2.1"_ip4 : host(below(6), below(4))}, false};
        if (below(3) == 0) {
            table.remove(prefix, source);
        } else if (source == RouteSource::Static) {
            table.set(prefix, source, via);
        } else if (below(3) == 0) {
            table.set(prefix, source, LocalDelivery{IpFamily::Ip4});
        } else {
            table.set(prefix, source, Connected{kPort, IpFamily::Ip4});
        }
        table.commit([] {});
        after_all();
        const auto now = ask_all();
        ASSERT_EQ(moved != seen, now != answers) << "step " << step;
        seen = moved;
        answers = now;
    }
    EXPECT_GT(seen, 10);
}

/// A path that BGP offers, and the speaker's rule for using it.
class Offer {
  public:
    Offer(const std::string& prefix, const std::string& next_hop)
        : prefix_(std::get<Prefix<V4>>(*parse_prefix(prefix))) {
        bgp::Attributes attributes;
        attributes.next_hop = *parse_ip(next_hop);
        attributes_ = pool_.intern(attributes);
    }

    /// Tells `routes` when it is used and was not, or the other way round.
    void decide(bgp::NextHops& next_hops, BgpRoutes& routes) {
        const bool usable = next_hops.metric(attributes_, prefix_).has_value();
        if (std::exchange(used_, usable) == usable) {
            return;
        }
        if (usable) {
            routes.update(prefix_, {.next_hops = {attributes_->next_hop}});
        } else {
            routes.withdraw(prefix_);
        }
    }

  private:
    bgp::AttributePool pool_;
    bgp::AttributesRef attributes_;
    Prefix<V4> prefix_;
    bool used_ = false;
};

/// BGP offers these; a default route leads to their next hops, too.
struct Offers {
    std::string name;
    std::vector<std::pair<std::string, std::string>> all;
    std::set<std::string> used;  ///< when all has come to rest
};

class Recursion : public BgpRoutesTest, public testing::WithParamInterface<Offers> {};

TEST_P(Recursion, ComesToRest) {
    table.set(*parse_prefix("0.0.0.0/0"), RouteSource::Static, Gateways{{"192.0.2.1"_ip4}, false});
    table.commit([] {});
    std::vector<std::unique_ptr<Offer>> offers;
    for (const auto& [prefix, next_hop] : GetParam().all) {
        offers.push_back(std::make_unique<Offer>(prefix, next_hop));
    }
    bgp::NextHops next_hops{routes};
    const auto decide = [&] {
        for (const auto& offer : offers) {
            offer->decide(next_hops, routes);
        }
    };
    decide();
    int seen = 0;
    for (unsigned turns = 0; loop.restart(), loop.poll_one() != 0; ++turns) {
        ASSERT_LT(turns, 10000U) << "goes on for ever";
        if (moved != std::exchange(seen, moved)) {
            next_hops.ask_all_again();
            while (next_hops.ask_some(1)) {
            }
            if (next_hops.begin_walk()) {
                decide();
            }
        }
    }
    EXPECT_EQ(after_all(), GetParam().used);
    EXPECT_TRUE(table.reachable("10.1.0.1"_ip4)) << "others may use these next hops";
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    Recursion,
    testing::Values(
        Offers{"apart", {{"10.1.0.0/16", "10.3.0.1"}}, {"10.1.0.0/16"}},
        Offers{
            "over_another",
            {{"10.1.0.0/16", "10.2.0.1"}, {"10.2.0.0/16", "10.3.0.1"}},
            {"10.1.0.0/16", "10.2.0.0/16"}},
        Offers{
            "over_each_other",
            {{"10.1.0.0/16", "10.2.0.1"}, {"10.2.0.0/16", "10.1.0.1"}, {"10.9.0.0/16", "10.1.0.1"}},
            {"10.9.0.0/16"}}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vr::daemon::bgp_routes_test
