// Routes over gateways: which stations they lead to, and when they do.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "test/machine/route_lab.h"
#include "vrouter/net/zone.h"

namespace vr::gateways_test {
namespace {

using namespace vr::test;

TYPED_TEST(Routes, UnreachableGatewayIsNotInstalled) {
    this->table.set(this->network(5), RouteSource::Static, this->via({this->address(1, 1)}));
    this->commit();
    EXPECT_EQ(this->hop(this->address(5, 1)), NextHopId{});
}

TYPED_TEST(Routes, GatewayThatBecomesReachableIsInstalled) {
    this->table.set(this->network(5), RouteSource::Static, this->via({this->address(1, 1)}));
    this->commit();
    this->connect(1, kEast);
    this->commit();
    EXPECT_NE(this->hop(this->address(5, 1)), NextHopId{});
}

TYPED_TEST(Routes, UnreachableGatewayFallsBackToTheLessPreferredSource) {
    this->connect(1, kEast);
    this->connect(2, kEast);
    this->table.set(this->network(5), RouteSource::Static, this->via({this->address(1, 1)}));
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(2, 1)}));
    this->commit();
    this->table.remove(this->network(1), RouteSource::Connected);
    this->commit();
    EXPECT_TRUE(this->in_force(this->address(5, 1)).starts_with("ibgp"));
}

TYPED_TEST(Routes, UnreachableGatewayFallsBackToTheShorterPrefix) {
    this->connect(1, kEast);
    this->table.set(this->everything(), RouteSource::Static, Discard{});
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(1, 1)}));
    this->commit();
    EXPECT_TRUE(this->in_force(this->address(5, 1)).starts_with("ibgp"));
    this->table.remove(this->network(1), RouteSource::Connected);
    this->commit();
    EXPECT_EQ(this->in_force(this->address(5, 1)), "static discard");
}

TYPED_TEST(Routes, GatewayMayBeReachedOverAnotherGateway) {
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(4, 1)}));
    this->table.set(this->network(4), RouteSource::Static, this->via({this->address(1, 1)}));
    this->connect(1, kWest);
    this->commit();
    const NextHopId id = this->hop(this->address(5, 1));
    EXPECT_EQ(
        this->table.next_hops().station(id, this->address(5, 1)),
        (Adjacency{kWest, this->address(1, 1)}));
}

TYPED_TEST(Routes, GatewaysThatLeadInACircleAreUnreachable) {
    this->table.set(this->network(5), RouteSource::Static, this->via({this->address(4, 1)}));
    this->table.set(this->network(4), RouteSource::Static, this->via({this->address(5, 1)}));
    this->commit();
    EXPECT_FALSE(this->table.reachable(this->address(5, 1)));
    EXPECT_EQ(this->hop(this->address(5, 1)), NextHopId{});
}

TYPED_TEST(Routes, RouteOverItselfFallsBackToWhatLiesBelow) {
    this->connect(1, kEast);
    this->table.set(this->everything(), RouteSource::Static, this->via({this->address(1, 1)}));
    this->table.set(this->network(5), RouteSource::Static, this->via({this->address(5, 1)}));
    this->commit();
    EXPECT_EQ(
        this->table.next_hops().station(this->hop(this->address(5, 7)), this->address(5, 7)),
        (Adjacency{kEast, this->address(1, 1)}));
}

TYPED_TEST(Routes, LinkLocalGatewayIsOnItsPort) {  // and may carry IPv4, RFC 8950
    const Ip6 gateway{0xfe80000000000000U, 1};
    this->table.set(
        this->network(5), RouteSource::EBgp, Gateways{{with_zone(gateway, kWest.value())}});
    this->commit();
    const bool carries_ip4 = std::is_same_v<TypeParam, V4>;
    EXPECT_EQ(
        this->table.next_hops().station(this->hop(this->address(5, 7)), this->address(5, 7)),
        (Adjacency{kWest, gateway, carries_ip4}));
    EXPECT_FALSE(this->table.reachable(gateway));
}

TYPED_TEST(Routes, WhatBgpBringsReachesGateways) {
    this->connect(1, kEast);
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(4, 1)}));
    this->commit();
    EXPECT_EQ(this->hop(this->address(5, 1)), NextHopId{});
    this->table.set(this->network(4), RouteSource::EBgp, this->via({this->address(1, 1)}));
    this->commit();
    EXPECT_EQ(
        this->table.next_hops().station(this->hop(this->address(5, 1)), this->address(5, 1)),
        (Adjacency{kEast, this->address(1, 1)}));
    EXPECT_EQ(this->table.way_to(this->address(4, 1)).bgp, std::vector<IpPrefix>{this->network(4)});
    this->table.remove(this->network(4), RouteSource::EBgp);
    this->commit();
    EXPECT_EQ(this->hop(this->address(5, 1)), NextHopId{});
}

TYPED_TEST(Routes, GatewayBehindSeveralSharesTheTrafficAmongThem) {
    this->connect(1, kEast);
    this->connect(2, kWest);
    const auto loopback = Prefix<TypeParam>::host(this->address(9, 1));
    this->table.set(
        loopback, RouteSource::EBgp, this->via({this->address(1, 1), this->address(2, 1)}));
    for (std::uint32_t net = 10; net < 20; ++net) {
        this->table.set(this->network(net), RouteSource::IBgp, this->via({this->address(9, 1)}));
    }
    this->commit();
    const NextHopId before = this->hop(this->address(10, 1));
    EXPECT_EQ(this->published[before.value()].kind, NextHopKind::Group);
    EXPECT_EQ(this->table.next_hops().members(before).size(), 2U);
    // Losing one of them touches no prefix that leads to the loopback.
    this->table.set(loopback, RouteSource::EBgp, this->via({this->address(2, 1)}));
    this->commit();
    for (std::uint32_t net = 10; net < 20; ++net) {
        EXPECT_EQ(this->hop(this->address(net, 1)), before);
    }
    EXPECT_EQ(this->published[before.value()].port, kWest);
}

TYPED_TEST(Routes, BgpDoesNotDrawANeighboursRoutesElsewhere) {
    this->connect(1, kEast);
    this->connect(2, kWest);
    this->table.set(this->network(5), RouteSource::EBgp, this->via({this->address(1, 1)}));
    this->table.set(
        Prefix<TypeParam>::host(this->address(1, 1)),
        RouteSource::IBgp,
        this->via({this->address(2, 1)}));
    this->commit();
    EXPECT_EQ(
        this->table.next_hops().station(this->hop(this->address(5, 1)), this->address(5, 1)),
        (Adjacency{kEast, this->address(1, 1)}));
}

TYPED_TEST(Routes, GatewayOfTheDefaultRouteMayBeBehindBgp) {
    this->connect(1, kEast);
    this->table.set(this->everything(), RouteSource::IBgp, this->via({this->address(9, 1)}));
    this->table.set(this->network(9), RouteSource::EBgp, this->via({this->address(1, 1)}));
    this->commit();
    EXPECT_EQ(
        this->table.next_hops().station(this->hop(this->address(77, 1)), this->address(77, 1)),
        (Adjacency{kEast, this->address(1, 1)}));
    EXPECT_EQ(this->table.way_to(this->address(9, 1)).bgp, std::vector<IpPrefix>{this->network(9)});
}

TYPED_TEST(Routes, WayNamesAllRoutesOfBgpThatItTakes) {
    this->connect(1, kEast);
    this->table.set(this->network(4), RouteSource::EBgp, this->via({this->address(1, 1)}));
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(4, 1)}));
    this->table.set(this->network(6), RouteSource::Static, this->via({this->address(5, 1)}));
    this->commit();
    EXPECT_EQ(
        this->table.way_to(this->address(6, 1)).bgp,
        (std::vector<IpPrefix>{this->network(4), this->network(5)}));
}

TYPED_TEST(Routes, WayOverTooManyRoutesOfBgpLeadsNowhere) {
    this->connect(1, kEast);
    Gateways gateways;
    for (std::uint32_t net = 10; net < 75; ++net) {
        this->table.set(this->network(net), RouteSource::IBgp, this->via({this->address(1, net)}));
        gateways.addresses.emplace_back(this->address(net, 1));
        this->table.set(this->network(5), RouteSource::IBgp, gateways);
        this->commit();
        const bool few = gateways.addresses.size() <= 64;
        EXPECT_EQ(this->table.reachable(this->address(5, 1)), few) << net;
    }
}

TYPED_TEST(Routes, GatewaysAreFollowedSoFarAndNoFurther) {
    this->connect(1, kEast);
    for (std::uint32_t net = 2; net < 10; ++net) {
        this->table.set(
            this->network(net), RouteSource::IBgp, this->via({this->address(net - 1, 1)}));
    }
    this->commit();
    EXPECT_TRUE(this->table.reachable(this->address(4, 1)));
    EXPECT_FALSE(this->table.reachable(this->address(9, 1)));
}

TYPED_TEST(Routes, LongerRouteOfBgpReachesAGatewayBeforeAShorterStaticOne) {
    this->connect(1, kEast);
    this->connect(2, kWest);
    this->table.set(this->everything(), RouteSource::Static, this->via({this->address(1, 1)}));
    this->table.set(this->network(4), RouteSource::EBgp, this->via({this->address(2, 1)}));
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(4, 1)}));
    this->commit();
    EXPECT_EQ(
        this->table.next_hops().station(this->hop(this->address(5, 1)), this->address(5, 1)),
        (Adjacency{kWest, this->address(2, 1)}));
}

TYPED_TEST(Routes, BgpNextHopsThatNeedEachOtherAreUnreachable) {
    this->table.set(this->network(4), RouteSource::IBgp, this->via({this->address(5, 1)}));
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(4, 1)}));
    this->table.set(this->network(6), RouteSource::IBgp, this->via({this->address(6, 1)}));
    this->commit();
    for (const std::uint32_t net : {4U, 5U, 6U}) {
        EXPECT_FALSE(this->table.reachable(this->address(net, 1)));
    }
}

TYPED_TEST(Routes, DiscardedAndLocalAddressesAreNoGateways) {
    this->table.set(this->network(1), RouteSource::Static, Discard{});
    this->table.set(
        Prefix<TypeParam>::host(this->address(2, 1)),
        RouteSource::Local,
        LocalDelivery{kFamilyOf<TypeParam>});
    EXPECT_FALSE(this->table.reachable(this->address(1, 1)));
    EXPECT_FALSE(this->table.reachable(this->address(2, 1)));
}

TYPED_TEST(Routes, MovedGatewayMovesItsRoutesWithoutTouchingTheirPrefixes) {
    this->connect(1, kEast);
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(1, 1)}));
    this->commit();
    const NextHopId before = this->hop(this->address(5, 1));
    this->connect(1, kWest);
    this->commit();
    EXPECT_EQ(this->hop(this->address(5, 1)), before);
    EXPECT_EQ(this->published[before.value()].port, kWest);
}

TYPED_TEST(Routes, LosingAMemberRewritesTheGroupNotThePrefixes) {
    this->connect(1, kEast);
    this->connect(2, kWest);
    const Gateways both = this->via({this->address(1, 1), this->address(2, 1)});
    for (std::uint32_t net = 10; net < 20; ++net) {
        this->table.set(this->network(net), RouteSource::EBgp, both);
    }
    this->commit();
    const NextHopId before = this->hop(this->address(10, 1));
    EXPECT_EQ(this->published[before.value()].kind, NextHopKind::Group);
    this->table.remove(this->network(2), RouteSource::Connected);
    this->commit();
    for (std::uint32_t net = 10; net < 20; ++net) {
        EXPECT_EQ(this->hop(this->address(net, 1)), before);
    }
    EXPECT_EQ(this->published[before.value()].port, kEast);
}

TYPED_TEST(Routes, LosingOneOfSeveralGatewaysWritesNoPrefix) {
    this->connect(1, kEast);
    for (std::uint32_t i = 0; i < 100; ++i) {
        this->table.set(
            this->network(100 + i),
            RouteSource::EBgp,
            this->via({this->address(1, 1), this->address(1, 2)}));
    }
    this->commit();
    const std::uint64_t before = this->table.fib_changes();
    this->table.avoid(this->address(1, 2), true);
    this->commit();
    EXPECT_EQ(this->table.fib_changes(), before);
    const NextHopId hop = this->hop(this->address(100, 1));
    EXPECT_EQ(this->published[hop.value()].kind, NextHopKind::Unresolved);  // one: no group
}

/// A static route to a gateway that is in a connected network, too: it counts from when it leads anywhere.
TYPED_TEST(Routes, MoreSpecificRouteToAGatewayCountsOnceItLeadsSomewhere) {
    this->connect(1, kEast);
    this->table.set(
        Prefix<TypeParam>::host(this->address(1, 5)),
        RouteSource::Static,
        this->via({this->address(2, 1)}));
    this->table.set(this->network(9), RouteSource::Static, this->via({this->address(1, 5)}));
    this->commit();
    EXPECT_EQ(this->published[this->hop(this->address(9, 1)).value()].port, kEast);
    EXPECT_EQ(
        this->table.way_to(this->address(1, 5)).asked, std::vector<IpAddr>{this->address(2, 1)});
    this->connect(2, kWest);
    this->commit();
    EXPECT_EQ(this->published[this->hop(this->address(9, 1)).value()].port, kWest);
    this->table.remove(this->network(2), RouteSource::Connected);
    this->commit();
    EXPECT_EQ(this->published[this->hop(this->address(9, 1)).value()].port, kEast);
}

}  // namespace
}  // namespace vr::gateways_test
