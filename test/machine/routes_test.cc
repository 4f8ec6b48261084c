// The route table: preference, what is in force, and in which order workers learn of changes.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "test/machine/route_lab.h"

namespace vr::routes_test {
namespace {

using namespace vr::test;

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
