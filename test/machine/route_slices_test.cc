// What the route table does in slices: it shows its routes, looks for those over gateway sets that became
// usable or not, and finds the ways of gateways.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "test/machine/route_lab.h"
#include "vrouter/dataplane/sweeps.h"

namespace vr::route_slices_test {
namespace {

using namespace vr::test;

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
    EXPECT_GT(this->fib().size(), kRoutes * 9 / 10);  // one commit is one slice
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

/// Their way is gone and they are to be avoided before all sets over them have followed: all fall back.
TYPED_TEST(Routes, SetsOverALostGatewayThatIsAvoidedFallBack) {
    constexpr std::uint32_t kMany = 600;
    this->connect(1, kEast);
    this->connect(2, kWest);
    const auto hub = this->network(9);
    this->table.set(hub, RouteSource::Static, this->via({this->address(1, 1)}));
    this->table.set(this->everything(), RouteSource::Static, this->via({this->address(2, 1)}));
    for (const std::uint32_t net : {77, 78, 79}) {
        this->table.set(this->network(net), RouteSource::Static, Discard{});
    }
    const auto leaf = [this](std::uint32_t i) { return this->address(100 + i / 200, i % 200); };
    for (std::uint32_t i = 0; i < kMany; ++i) {
        const auto nowhere = this->address(77 + i / 200, 1 + i % 200);
        this->table.set(
            Prefix<TypeParam>::host(leaf(i)),
            RouteSource::IBgp,
            this->via({this->address(9, 1), nowhere}));
    }
    const auto commit_all = [this] {
        while (this->table.dirty()) {
            this->commit();
        }
    };
    const auto by = [&](PortId port) {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < kMany; ++i) {
            count += this->published[this->hop(leaf(i)).value()].port == port ? 1 : 0;
        }
        return count;
    };
    commit_all();
    EXPECT_EQ(by(kEast), kMany);
    this->table.set(hub, RouteSource::Static, Discard{});
    this->commit();
    this->table.avoid(this->address(9, 1), true);
    commit_all();
    EXPECT_EQ(by(kWest), kMany);
}

TYPED_TEST(ManyNewGateways, AreReleasedInSlices) {
    while (this->table.dirty()) {
        this->commit();
    }
    for (std::uint32_t i = 0; i < this->kMany; ++i) {
        this->table.remove(
            Prefix<TypeParam>::host(this->address(100 + i / 200, i % 200)), RouteSource::IBgp);
    }
    const auto in_use = [&] {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < this->kMany; ++i) {
            count += this->table.next_hops().in_use(this->address(200 + i / 250, 1 + i % 250));
        }
        return count;
    };
    this->commit();
    EXPECT_GT(in_use(), this->kMany / 4);
    EXPECT_TRUE(this->table.dirty());
    while (this->table.dirty()) {
        this->commit();
    }
    EXPECT_EQ(in_use(), 0U);
}

/// It is out of use between two commits: by the time, what was known of its way may be no more true.
TYPED_TEST(Routes, GatewayThatIsInUseAgainIsFoundAnew) {
    this->connect(1, kEast);
    this->connect(2, kWest);
    const auto lead_over = [&](std::uint32_t net) {
        this->table.set(this->network(9), RouteSource::Static, this->via({this->address(net, 1)}));
    };
    const auto use_again = [&](std::uint32_t net) {
        this->table.remove(this->network(5), RouteSource::IBgp);
        this->commit();
        EXPECT_FALSE(this->table.next_hops().in_use(this->address(9, 1)));
        lead_over(net);
        this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(9, 1)}));
        this->commit();
        EXPECT_FALSE(this->table.is_settling());
        return this->published[this->hop(this->address(5, 1)).value()].port;
    };
    lead_over(1);
    this->table.set(this->network(5), RouteSource::IBgp, this->via({this->address(9, 1)}));
    this->commit();
    EXPECT_EQ(use_again(1), kEast);
    EXPECT_EQ(use_again(2), kWest);
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

}  // namespace
}  // namespace vr::route_slices_test
