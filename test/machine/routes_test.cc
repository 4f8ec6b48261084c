// The route table: preference, gateways, and in which order workers learn of changes.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "vrouter/net/zone.h"

namespace vr::routes_test {
namespace {

constexpr PortId kEast{1};
constexpr PortId kWest{2};

/// Workers that may be in the middle of a batch for as long as a test says.
class Workers final : public Reclaimer {
  public:
    void retire(std::function<void()> free) override {
        resting_.push_back(std::move(free));
        if (!busy) {
            pass();
        }
    }

    /// All have come to the end of their batch.
    void pass() {
        for (const auto& free : std::exchange(resting_, {})) {
            free();
        }
    }

    bool busy = false;

  private:
    std::vector<std::function<void()>> resting_;
};

template <typename F>
class Routes : public testing::Test {
  protected:
    using Addr = typename F::Addr;

    Routes() {
        table.next_hops().set_port(kEast, {});
        table.next_hops().set_port(kWest, {});
    }

    ~Routes() override { workers.pass(); }

    /// 10.0.<net>.<host>, or fd00:0:0:<net>::<host>.
    static Addr address(std::uint32_t net, std::uint32_t host) {
        if constexpr (std::is_same_v<F, V4>) {
            return Ip4{0x0a000000U + (net << 8U) + host};
        } else {
            return Ip6{0xfd00000000000000U + net, host};
        }
    }

    static Prefix<F> network(std::uint32_t net) {
        return *Prefix<F>::make(address(net, 0), F::kBits == 32 ? 24 : 64);
    }

    static Prefix<F> everything() { return Prefix<F>{}; }

    static Gateways via(std::initializer_list<Addr> gateways) {
        return Gateways{{gateways.begin(), gateways.end()}};
    }

    void connect(std::uint32_t net, PortId port) {
        table.set(network(net), RouteSource::Connected, Connected{port, kFamilyOf<F>});
    }

    void commit() {
        table.commit([this] {
            published = table.next_hops().entries();
            ++publishes;
        });
    }

    [[nodiscard]] NextHopId hop(Addr destination) const {
        return NextHopId{fib().lookup(destination)};
    }

    [[nodiscard]] const Lpm<F>& fib() const {
        if constexpr (std::is_same_v<F, V4>) {
            return fib4;
        } else {
            return fib6;
        }
    }

    /// The route in force, in words: "static via 10.0.1.1".
    [[nodiscard]] std::string in_force(Addr destination) const {
        const auto view = table.lookup(destination);
        return view ? std::string{to_string(view->source)} + " " + to_string(view->target) : "none";
    }

    Workers workers;
    Lpm<V4> fib4{workers};
    Lpm<V6> fib6{workers};
    RouteTable table{fib4, fib6, workers};
    std::vector<NextHop> published;  ///< the newest snapshot
    int publishes = 0;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Routes, Families);

TYPED_TEST(Routes, NothingIsVisibleBeforeCommit) {
    this->connect(1, kEast);
    EXPECT_EQ(this->hop(this->address(1, 1)), NextHopId{});
    EXPECT_TRUE(this->table.dirty());
    this->commit();
    EXPECT_NE(this->hop(this->address(1, 1)), NextHopId{});
    EXPECT_FALSE(this->table.dirty());
}

TYPED_TEST(Routes, MorePreferredSourceWinsWhateverCameFirst) {
    const RouteSource order[] = {
        RouteSource::Local,
        RouteSource::Workload,
        RouteSource::Connected,
        RouteSource::Neighbor,
        RouteSource::Static};
    for (std::size_t i = std::size(order); i-- > 0;) {
        this->table.set(
            this->network(1),
            order[i],
            Adjacency{kEast, this->address(9, static_cast<std::uint32_t>(i))});
        this->commit();
        EXPECT_TRUE(this->in_force(this->address(1, 1)).starts_with(to_string(order[i])));
    }
    for (const RouteSource source : order) {
        EXPECT_TRUE(this->in_force(this->address(1, 1)).starts_with(to_string(source)));
        this->table.remove(this->network(1), source);
        this->commit();
    }
    EXPECT_EQ(this->in_force(this->address(1, 1)), "none");
}

TYPED_TEST(Routes, EBgpIsPreferredToIBgp) {
    this->connect(1, kEast);
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(1, 1)}));
    this->table.set(this->network(5), RouteSource::EBgp, this->via({this->address(1, 2)}));
    this->commit();
    EXPECT_TRUE(this->in_force(this->address(5, 1)).starts_with("ebgp"));
}

TYPED_TEST(Routes, SecondRouteOfASourceReplacesItsFirst) {
    this->table.set(this->network(1), RouteSource::Static, Adjacency{kEast, this->address(9, 1)});
    this->commit();
    const NextHopId before = this->hop(this->address(1, 1));
    this->table.set(this->network(1), RouteSource::Static, Adjacency{kEast, this->address(9, 2)});
    this->commit();
    EXPECT_NE(this->hop(this->address(1, 1)), before);
    EXPECT_EQ(this->table.size(), 1U);
    EXPECT_FALSE(this->table.next_hops().find({kEast, this->address(9, 1)}));
}

TYPED_TEST(Routes, SettingARouteAgainIsNoChange) {
    const auto set = [&] {
        this->table.set(
            this->network(1), RouteSource::Static, Adjacency{kEast, this->address(9, 1)});
        this->commit();
        return this->hop(this->address(1, 1));
    };
    const NextHopId before = set();
    EXPECT_EQ(set(), before);
    this->table.remove(this->network(1), RouteSource::Static);
    this->commit();
    EXPECT_FALSE(this->table.next_hops().find({kEast, this->address(9, 1)}));
}

TYPED_TEST(Routes, RemovingWhatIsNotThereDoesNothing) {
    this->table.remove(this->network(1), RouteSource::Static);
    this->connect(1, kEast);
    this->table.remove(this->network(1), RouteSource::Static);
    this->commit();
    EXPECT_EQ(this->in_force(this->address(1, 1)), "connected connected");
}

TYPED_TEST(Routes, RouteAndRemovalInOneCommitLeaveNothing) {
    this->connect(1, kEast);
    this->table.remove(this->network(1), RouteSource::Connected);
    this->commit();
    EXPECT_EQ(this->hop(this->address(1, 1)), NextHopId{});
    EXPECT_EQ(this->table.size(), 0U);
}

TYPED_TEST(Routes, LongerPrefixDecides) {
    this->table.set(this->everything(), RouteSource::Local, LocalDelivery{kFamilyOf<TypeParam>});
    this->connect(1, kEast);
    this->commit();
    EXPECT_EQ(this->in_force(this->address(1, 1)), "connected connected");
    EXPECT_EQ(this->in_force(this->address(2, 1)), "local local");
}

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

TYPED_TEST(Routes, NeighborTakesItsPacketsOffTheConnectedRoute) {
    this->connect(1, kEast);
    this->table.set(
        Prefix<TypeParam>::host(this->address(1, 7)),
        RouteSource::Neighbor,
        Adjacency{kEast, this->address(1, 7)});
    this->commit();
    EXPECT_NE(this->hop(this->address(1, 7)), this->hop(this->address(1, 8)));
}

TYPED_TEST(Routes, NextHopIsPublishedBeforeAnyRouteNamesIt) {
    this->connect(1, kEast);
    int named = -1;
    this->table.commit([&] {
        this->published = this->table.next_hops().entries();
        named = this->hop(this->address(1, 1)) != NextHopId{} ? 1 : 0;
    });
    EXPECT_EQ(named, 0);
    EXPECT_EQ(this->published[this->hop(this->address(1, 1)).value()].port, kEast);
}

TYPED_TEST(Routes, NextHopMeansTheSameWhileAWorkerMayHaveItFromARoute) {
    const auto lead_to = [&](PortId port, std::uint32_t host) {
        this->table.set(
            this->network(1), RouteSource::Static, Adjacency{port, this->address(9, host)});
        this->commit();
        return this->hop(this->address(1, 1));
    };
    const NextHopId first = lead_to(kEast, 1);
    this->workers.busy = true;
    for (std::uint32_t host = 2; host < 5; ++host) {
        EXPECT_NE(lead_to(kWest, host), first);
        EXPECT_EQ(this->published[first.value()].port, kEast);
        EXPECT_EQ(this->table.next_hops().find({kEast, this->address(9, 1)}), first);
    }
    this->workers.pass();
    EXPECT_FALSE(this->table.next_hops().find({kEast, this->address(9, 1)}));
    static_cast<void>(lead_to(kWest, 5));
    EXPECT_EQ(this->table.next_hops().entries().size(), 5U) << "its number is used again";
}

TYPED_TEST(Routes, NewestRouteIsInForceWhateverWorkersDo) {
    this->table.set(this->network(1), RouteSource::Static, Adjacency{kEast, this->address(9, 1)});
    this->commit();
    this->workers.busy = true;
    this->table.set(this->network(1), RouteSource::Static, Adjacency{kEast, this->address(9, 2)});
    this->commit();
    EXPECT_EQ(
        this->in_force(this->address(1, 1)), "static " + to_string(IpAddr{this->address(9, 2)}));
}

/// A peer is lost: its address is avoided until its routes are gone, and they are before it no longer is.
TYPED_TEST(Routes, LostGatewayGetsNothingBackWhileAWorkerIsInABatch) {
    this->connect(1, kEast);
    this->connect(2, kWest);
    this->table.set(
        this->network(5), RouteSource::EBgp, this->via({this->address(1, 1), this->address(2, 1)}));
    this->commit();
    this->workers.busy = true;
    const auto leads_to = [&] {
        return this->published[this->hop(this->address(5, 1)).value()].port;
    };
    this->table.avoid(this->address(1, 1), true);
    this->commit();
    EXPECT_EQ(leads_to(), kWest);
    this->table.set(this->network(5), RouteSource::EBgp, this->via({this->address(2, 1)}));
    this->commit();
    EXPECT_EQ(leads_to(), kWest);
    this->table.avoid(this->address(1, 1), false);
    this->commit();
    EXPECT_EQ(leads_to(), kWest);
}

TYPED_TEST(Routes, RouteOverAKnownNextHopWaitsForNobody) {
    this->connect(1, kEast);
    this->commit();
    const int before = this->publishes;
    this->connect(2, kEast);
    this->commit();
    EXPECT_EQ(this->publishes, before);
    EXPECT_NE(this->hop(this->address(2, 1)), NextHopId{});
}

TYPED_TEST(Routes, ChangedWayIsToldOncePerCommitThatMayChangeIt) {
    int told = 0;
    this->table.watch_ways([&](const ChangedWays&) { ++told; });
    this->table.watch(this->address(1, 1));
    this->connect(1, kEast);
    this->connect(2, kEast);
    this->commit();
    EXPECT_EQ(told, 1);
    this->table.set(this->network(5), RouteSource::EBgp, this->via({this->address(1, 1)}));
    this->commit();
    this->table.remove(this->network(5), RouteSource::EBgp);
    this->commit();
    EXPECT_LE(told, 2);
}

TYPED_TEST(Routes, ChangedWaysNameThoseThatLeadElsewhereAndNoOthers) {
    ChangedWays told;
    this->table.watch_ways([&](const ChangedWays& changed) { told = changed; });
    this->connect(1, kEast);
    this->connect(2, kEast);
    this->table.set(this->network(3), RouteSource::Static, this->via({this->address(1, 1)}));
    this->table.set(this->network(4), RouteSource::EBgp, this->via({this->address(3, 1)}));
    this->table.set(this->network(5), RouteSource::EBgp, this->via({this->address(2, 1)}));
    this->commit();
    this->table.remove(this->network(1), RouteSource::Connected);
    this->commit();
    const std::set<IpAddr> moved{this->address(1, 1), this->address(3, 1)};
    EXPECT_EQ(told.gateways, moved);
    EXPECT_TRUE(told.concern(this->address(3, 9), {this->address(1, 1)}));
    EXPECT_FALSE(told.concern(this->address(2, 1), {}));
}

TYPED_TEST(Routes, SlicesShowEveryRouteOnce) {
    for (std::uint32_t net = 0; net < 50; ++net) {
        this->connect(net, kEast);
    }
    this->commit();
    RouteTable::Cursor cursor;
    std::size_t seen = 0;
    while (this->table.visit_slice(cursor, 7, [&](const RouteView& view) {
        EXPECT_TRUE(view.active);
        ++seen;
    })) {
    }
    EXPECT_EQ(seen, 50U);
}

/// Static routes of many prefixes over one gateway, which goes and comes.
TYPED_TEST(Routes, LargeTableFollowsItsGatewayInSlices) {
    constexpr std::uint32_t kRoutes = 20000;
    this->connect(1, kEast);
    for (std::uint32_t i = 0; i < kRoutes; ++i) {
        this->table.set(
            Prefix<TypeParam>::host(this->address(100 + i / 200, i % 200)),
            RouteSource::Static,
            this->via({this->address(1, 1)}));
    }
    this->commit();
    EXPECT_EQ(this->fib().size(), kRoutes + 1);
    this->table.remove(this->network(1), RouteSource::Connected);
    this->commit();
    EXPECT_GT(this->fib().size(), kRoutes / 4);  // one commit is one slice
    unsigned commits = 0;
    for (; this->table.dirty(); ++commits) {
        this->commit();
    }
    EXPECT_EQ(this->fib().size(), 0U);
    EXPECT_GE(commits, 2U);
    this->connect(1, kEast);
    do {
        this->commit();
    } while (this->table.dirty());
    EXPECT_EQ(this->fib().size(), kRoutes + 1);
}

/// One gateway comes and goes with every commit; routes over another one, which is gone, are found all the same.
TYPED_TEST(Routes, GatewayThatFlapsKeepsNoOtherFromItsRoutes) {
    this->connect(1, kEast);
    this->table.set(this->network(2), RouteSource::Static, this->via({this->address(1, 1)}));
    this->table.set(this->network(77), RouteSource::IBgp, this->via({this->address(3, 9)}));
    for (std::uint32_t i = 0; i < 20000; ++i) {
        this->table.set(
            Prefix<TypeParam>::host(this->address(100 + i / 200, i % 200)),
            RouteSource::IBgp,
            this->via({this->address(2, 9)}));
    }
    this->commit();
    this->table.remove(this->network(2), RouteSource::Static);
    for (int commits = 0; commits < 20; ++commits) {
        if (commits % 2 == 0) {
            this->table.set(
                this->network(3), RouteSource::Static, this->via({this->address(1, 1)}));
        } else {
            this->table.remove(this->network(3), RouteSource::Static);
        }
        this->commit();
    }
    EXPECT_EQ(this->hop(this->address(199, 199)), NextHopId{});
    EXPECT_LT(this->fib().size(), 10U);
}

/// The way of hundreds of gateways over a peer that is lost is withdrawn, and the peer is said to be back
/// before all of them are found elsewhere.
TYPED_TEST(Routes, GatewayIsAvoidedAsLongAsOthersMayLeadOverIt) {
    constexpr std::uint32_t kRoutes = 600;
    this->connect(1, kEast);
    this->connect(2, kWest);
    this->table.set(this->everything(), RouteSource::Static, this->via({this->address(2, 1)}));
    for (std::uint32_t net = 200; net < 203; ++net) {
        this->table.set(this->network(net), RouteSource::IBgp, this->via({this->address(1, 1)}));
    }
    const auto destination = [&](std::uint32_t i) { return this->address(100 + i / 200, i % 200); };
    for (std::uint32_t i = 0; i < kRoutes; ++i) {
        this->table.set(
            Prefix<TypeParam>::host(destination(i)),
            RouteSource::IBgp,
            this->via({this->address(2, 9), this->address(200 + i / 250, 1 + i % 250)}));
    }
    const auto over_east = [&] {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < kRoutes; ++i) {
            for (const NextHopId member :
                 this->table.next_hops().members(this->hop(destination(i)))) {
                count += this->published[member.value()].port == kEast ? 1 : 0;
            }
        }
        return count;
    };
    do {
        this->commit();
    } while (this->table.dirty());
    EXPECT_EQ(over_east(), kRoutes);
    this->table.avoid(this->address(1, 1), true);
    for (std::uint32_t net = 200; net < 203; ++net) {
        this->table.remove(this->network(net), RouteSource::IBgp);
    }
    this->commit();
    EXPECT_TRUE(this->table.is_settling());
    this->table.avoid(this->address(1, 1), false);
    while (this->table.dirty()) {
        EXPECT_EQ(over_east(), 0U);
        this->commit();
    }
    EXPECT_EQ(over_east(), 0U);
}

/// Thousands of gateways over one route, which moves: to be done in slices, but for what is new.
TYPED_TEST(Routes, ManyGatewaysFollowTheirRouteInSlices) {
    constexpr std::uint32_t kGateways = 2000;
    const auto gateway = [&](std::uint32_t i) { return this->address(200 + i / 250, 1 + i % 250); };
    this->connect(1, kEast);
    this->connect(2, kWest);
    this->table.set(this->everything(), RouteSource::Static, this->via({this->address(1, 1)}));
    for (std::uint32_t i = 0; i < kGateways; ++i) {
        this->table.set(
            Prefix<TypeParam>::host(this->address(100 + i / 200, i % 200)),
            RouteSource::IBgp,
            this->via({gateway(i)}));
    }
    do {
        this->commit();
    } while (this->table.dirty());
    const auto port_of = [&](std::uint32_t i) {
        return this->published[this->hop(this->address(100 + i / 200, i % 200)).value()].port;
    };
    const auto moved = [&] {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < kGateways; ++i) {
            EXPECT_NE(port_of(i), PortId{});
            count += port_of(i) == kWest ? 1 : 0;
        }
        return count;
    };
    const std::uint64_t written = this->table.fib_changes();
    this->table.set(this->everything(), RouteSource::Static, this->via({this->address(2, 1)}));
    this->commit();
    EXPECT_GT(moved(), 0U);
    EXPECT_LT(moved(), kGateways / 2);  // one commit is one slice
    // What is new meanwhile waits for none of them.
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(250, 7)}));
    this->commit();
    EXPECT_EQ(this->published[this->hop(this->address(5, 1)).value()].port, kWest);
    EXPECT_LT(moved(), kGateways);
    while (this->table.dirty()) {
        this->commit();
    }
    EXPECT_EQ(moved(), kGateways);
    EXPECT_EQ(this->table.fib_changes(), written + 2);
}

/// Thousands of routes, each over a gateway of its own, that come together: found in slices, too.
template <typename F>
class ManyNewGateways : public Routes<F> {
  protected:
    static constexpr std::uint32_t kMany = 2000;

    void SetUp() override {
        this->connect(1, kEast);
        this->connect(2, kWest);
        this->table.set(this->everything(), RouteSource::Static, this->via({this->address(1, 1)}));
        this->table.set(
            last(), RouteSource::IBgp, this->via({this->address(1, 1), this->address(2, 1)}));
        this->commit();
        for (std::uint32_t i = 0; i < kMany; ++i) {
            this->table.set(
                Prefix<F>::host(this->address(100 + i / 200, i % 200)),
                RouteSource::IBgp,
                this->via({this->address(200 + i / 250, 1 + i % 250)}));
        }
        this->table.set(last(), RouteSource::IBgp, this->via({this->address(2, 1)}));
        this->table.set(last(), RouteSource::IBgp, this->via({this->address(2, 9)}));
        this->commit();
    }

    static Prefix<F> last() { return Routes<F>::network(50); }

    [[nodiscard]] NextHopKind kind_of_last() const {
        return this->published[this->hop(this->address(50, 1)).value()].kind;
    }
};

TYPED_TEST_SUITE(ManyNewGateways, Families);

TYPED_TEST(ManyNewGateways, GetTheirRoutesInSlices) {
    const std::size_t few = this->fib().size();
    EXPECT_LT(few, this->kMany / 2);
    EXPECT_TRUE(this->table.dirty());
    while (this->table.dirty()) {
        this->commit();
    }
    EXPECT_EQ(this->fib().size(), this->kMany + 4);
}

TYPED_TEST(ManyNewGateways, OldRouteIsInForceAndToldUntilThen) {
    EXPECT_EQ(this->kind_of_last(), NextHopKind::Group);
    EXPECT_EQ(
        this->in_force(this->address(50, 1)),
        "ibgp via " + to_string(IpAddr{this->address(1, 1)}) + " " +
            to_string(IpAddr{this->address(2, 1)}));
}

TYPED_TEST(ManyNewGateways, GatewayIsAvoidedAsLongAsARouteThatWaitsLeadsThere) {
    this->table.avoid(this->address(1, 1), true);
    this->commit();
    EXPECT_EQ(this->published[this->hop(this->address(50, 1)).value()].port, kWest);
    this->table.avoid(this->address(1, 1), false);
    while (this->table.dirty()) {
        this->commit();
        EXPECT_EQ(this->published[this->hop(this->address(50, 1)).value()].port, kWest);
    }
    this->table.set(this->last(), RouteSource::IBgp, this->via({this->address(1, 1)}));
    this->commit();
    EXPECT_EQ(this->published[this->hop(this->address(50, 1)).value()].port, kEast);
}

TYPED_TEST(ManyNewGateways, RouteThatIsWithdrawnWaitsForNone) {
    this->table.remove(this->last(), RouteSource::IBgp);
    this->commit();
    EXPECT_EQ(
        this->in_force(this->address(50, 1)),
        "static via " + to_string(IpAddr{this->address(1, 1)}));
}

TYPED_TEST(ManyNewGateways, StationThatLeavesIsNotKeptForThem) {
    const auto host = Prefix<TypeParam>::host(this->address(60, 1));
    this->table.set(host, RouteSource::Workload, Adjacency{kWest, this->address(60, 1)});
    this->commit();
    this->table.remove(host, RouteSource::Workload);
    this->table.set(host, RouteSource::IBgp, this->via({this->address(2, 77)}));
    this->commit();
    EXPECT_EQ(
        this->in_force(this->address(60, 1)),
        "static via " + to_string(IpAddr{this->address(1, 1)}));
    EXPECT_TRUE(this->table.is_settling());
}

TYPED_TEST(ManyNewGateways, MorePreferredRouteDoesNotWaitForALessPreferredOne) {
    this->table.set(this->last(), RouteSource::Workload, Adjacency{kWest, this->address(50, 1)});
    this->commit();
    EXPECT_TRUE(this->table.is_settling());
    EXPECT_TRUE(this->in_force(this->address(50, 1)).starts_with("workload"));
}

TYPED_TEST(ManyNewGateways, OldRouteIsNotKeptForThemOnceItsGatewaysAreGone) {
    this->table.set(this->everything(), RouteSource::Static, Discard{});
    this->table.remove(this->network(1), RouteSource::Connected);
    this->table.remove(this->network(2), RouteSource::Connected);
    this->commit();
    this->commit();
    EXPECT_TRUE(this->table.is_settling());
    EXPECT_EQ(this->in_force(this->address(50, 1)), "static discard");
}

TYPED_TEST(ManyNewGateways, DoNotWaitForOneRouteThatAlwaysTakesANewGateway) {
    this->table.remove(this->last(), RouteSource::IBgp);
    while (this->table.dirty()) {
        this->commit();
    }
    const auto before = this->fib().size();
    const auto change = [&](std::uint32_t host) {
        this->table.set(this->network(49), RouteSource::IBgp, this->via({this->address(90, host)}));
    };
    change(1);  // the first of those that wait
    for (std::uint32_t i = 0; i < this->kMany; ++i) {
        this->table.set(
            Prefix<TypeParam>::host(this->address(300 + i / 200, i % 200)),
            RouteSource::IBgp,
            this->via({this->address(400 + i / 250, 1 + i % 250)}));
    }
    for (std::uint32_t host = 2; host < 10; ++host) {
        change(host);
        this->commit();
    }
    EXPECT_TRUE(this->table.is_settling());
    EXPECT_GT(this->fib().size(), before + this->kMany / 4);
}

TYPED_TEST(ManyNewGateways, SetsThatAreReplacedWhileTheyWaitAreForgotten) {
    for (std::uint32_t i = 0; i < 300; ++i) {
        this->table.set(this->last(), RouteSource::IBgp, this->via({this->address(90, i % 250)}));
        this->commit();
    }
    while (this->table.dirty()) {
        this->commit();
    }
    EXPECT_FALSE(this->table.next_hops().in_use(this->address(90, 1)));
    EXPECT_TRUE(this->table.next_hops().in_use(this->address(90, 299 % 250)));
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

TEST(Sweeps, WalkThatIsStartedAgainGoesOnceMoreAndLetsOthersTakeTurns) {
    Sweeps<char, int> sweeps;
    std::map<char, std::vector<int>> seen;
    const auto take = [&](char key, const std::optional<int>& from, std::size_t) {
        const int at = from.value_or(0);
        seen[key].push_back(at);
        return Sweeps<char, int>::Slice{1, at < 2 ? std::optional{at + 1} : std::nullopt};
    };
    sweeps.start('a');
    sweeps.start('b');
    for (int i = 0; i < 4; ++i) {
        sweeps.start('a');  // from its second place on: once more, however often
        sweeps.advance(1, take);
    }
    EXPECT_EQ(seen['a'], (std::vector{0, 1}));
    EXPECT_EQ(seen['b'], (std::vector{0, 1}));
    sweeps.advance(100, take);
    EXPECT_EQ(seen['a'], (std::vector{0, 1, 2, 0, 1, 2}));
    EXPECT_EQ(seen['b'], (std::vector{0, 1, 2}));
    EXPECT_TRUE(sweeps.empty());
}

/// The stations that packets by the installed route to `destination` go to; nothing: no gateways.
std::set<std::string> followed(const RouteTable& table, NextHopId hop, const IpAddr& destination) {
    std::set<std::string> stations;
    const auto route = table.lookup(destination);
    if (route && std::holds_alternative<Gateways>(route->target)) {
        for (const NextHopId member : table.next_hops().members(hop)) {
            stations.insert(to_string(table.next_hops().target(member)));
        }
    }
    return stations;
}

/// The end does not depend on the way: random changes against a table that is told only the end.
TYPED_TEST(Routes, PathDoesNotMatter) {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random{seed};
        const auto below = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
        ImmediateReclaimer immediate;
        const auto come_to_rest = [](RouteTable& routes) {
            do {
                routes.commit([] {});
            } while (routes.dirty());
        };
        Lpm<V4> walked4{immediate};
        Lpm<V6> walked6{immediate};
        RouteTable walked{walked4, walked6, immediate};
        walked.next_hops().set_port(kEast, {});
        walked.next_hops().set_port(kWest, {});
        const auto ip4_twin = [](std::uint32_t net) -> IpPrefix {
            return *Prefix<V4>::make(Ip4{0x0a100000U + (net << 8U)}, 24);
        };
        std::map<std::pair<IpPrefix, RouteSource>, RouteTarget> model;
        for (int step = 0; step < 300; ++step) {
            const std::uint32_t net = below(8);
            const IpPrefix prefix = below(4) == 0
                                        ? Prefix<TypeParam>::host(this->address(net, 1 + below(2)))
                                        : this->network(net);
            const auto source = static_cast<RouteSource>(2 + below(5));
            if (below(3) == 0) {
                walked.remove(prefix, source);
                model.erase({prefix, source});
            } else {
                RouteTarget target = Discard{};
                if (source == RouteSource::Connected) {
                    target = Connected{below(2) == 0 ? kEast : kWest, kFamilyOf<TypeParam>};
                } else if (below(5) != 0) {
                    Gateways gateways = this->via({this->address(below(8), 1 + below(2))});
                    if (below(2) == 0) {
                        gateways.addresses.push_back(this->address(below(8), 3));
                        std::ranges::sort(gateways.addresses);
                    }
                    target = gateways;
                    const IpPrefix twin = ip4_twin(net);  // RFC 8950
                    walked.set(twin, source, target);
                    model[{twin, source}] = target;
                }
                walked.set(prefix, source, target);
                model[{prefix, source}] = target;
            }
            if (below(4) == 0) {
                walked.commit([] {});
            }
        }
        come_to_rest(walked);
        Lpm<V4> straight4{immediate};
        Lpm<V6> straight6{immediate};
        RouteTable straight{straight4, straight6, immediate};
        straight.next_hops().set_port(kEast, {});
        straight.next_hops().set_port(kWest, {});
        for (const auto& [key, target] : model) {
            straight.set(key.first, key.second, target);
        }
        come_to_rest(straight);
        const auto hop_of = [](const Lpm<V4>& ip4, const Lpm<V6>& ip6, const IpAddr& to) {
            const auto* v4 = std::get_if<Ip4>(&to);
            return NextHopId{v4 != nullptr ? ip4.lookup(*v4) : ip6.lookup(std::get<Ip6>(to))};
        };
        for (std::uint32_t net = 0; net < 8; ++net) {
            SCOPED_TRACE(testing::Message{} << "seed " << seed << " net " << net);
            for (const IpAddr& destination : std::vector<IpAddr>{
                     this->address(net, 1),
                     this->address(net, 2),
                     this->address(net, 7),
                     Ip4{0x0a100007U + (net << 8U)}}) {
                const auto a = walked.lookup(destination);
                const auto b = straight.lookup(destination);
                ASSERT_EQ(a.has_value(), b.has_value());
                if (a) {
                    EXPECT_EQ(a->source, b->source);
                    EXPECT_EQ(a->target, b->target);
                }
                EXPECT_EQ(
                    followed(walked, hop_of(walked4, walked6, destination), destination),
                    followed(straight, hop_of(straight4, straight6, destination), destination));
            }
            for (std::uint32_t host = 1; host <= 3; ++host) {
                const auto gateway = this->address(net, host);
                EXPECT_EQ(walked.way_to(gateway), straight.way_to(gateway)) << host;
            }
        }
    }
}

}  // namespace
}  // namespace vr::routes_test
