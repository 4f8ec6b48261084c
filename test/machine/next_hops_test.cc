// Next hops and ECMP groups: what ids lead to, how often they are counted, when they are used again.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/next_hops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "vrouter/net/zone.h"

namespace vr::next_hops_test {
namespace {

constexpr PortId kPort{1};
constexpr Mac kRouterMac{{2, 0, 0, 0, 0, 1}};
constexpr Mac kPeerMac{{2, 0, 0, 0, 0, 9}};

template <typename F>
class NextHopsOf : public testing::Test {
  protected:
    NextHopsOf() { hops.set_port(kPort, {kRouterMac, 9000}); }

    static IpAddr address(std::uint32_t number) {
        if constexpr (std::is_same_v<F, V4>) {
            return Ip4{0x0a000000U + number};
        } else {
            return Ip6{0xfd00000000000000U, number};
        }
    }

    static Adjacency station(std::uint32_t number) { return {kPort, address(number)}; }

    static Gateways gateways(std::initializer_list<std::uint32_t> numbers) {
        Gateways all;
        for (const std::uint32_t number : numbers) {
            all.addresses.push_back(address(number));
        }
        return all;
    }

    /// Every gateway is a station of its own on kPort, but those of `unreachable`.
    std::vector<NextHopId> resolve(const std::set<IpAddr>& unreachable = {}) {
        return lead_all([&](const IpAddr& gateway) -> std::vector<Adjacency> {
            if (unreachable.contains(gateway)) {
                return {};
            }
            return {Adjacency{kPort, gateway}};
        });
    }

    using Ways = std::function<std::vector<Adjacency>(const IpAddr& gateway)>;

    std::vector<NextHopId> lead_all(const Ways& to) {
        for (std::uint32_t number = 0; number < 2000; ++number) {
            if (hops.in_use(address(number))) {
                hops.lead(address(number), to(address(number)));
            }
        }
        std::vector<NextHopId> flipped;
        while (hops.unsettled()) {
            for (const NextHopId id : hops.settle(1)) {
                flipped.push_back(id);
            }
        }
        return flipped;
    }

    [[nodiscard]] const NextHop& entry(NextHopId id) const { return hops.entries()[id.value()]; }

    /// How many slots of the group of `id` name each member.
    [[nodiscard]] std::map<NextHopId, int> shares(NextHopId id) const {
        std::map<NextHopId, int> count;
        for (const NextHopId member : hops.groups()[entry(id).group]) {
            ++count[member];
        }
        return count;
    }

    NextHops hops;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(NextHopsOf, Families);

TYPED_TEST(NextHopsOf, IdZeroIsNoRoute) {
    EXPECT_EQ(this->hops.entries().at(0).kind, NextHopKind::None);
    EXPECT_NE(this->hops.acquire(this->station(1)), NextHopId{});
}

TYPED_TEST(NextHopsOf, StationIsUnresolvedUntilItsMacIsKnown) {
    const NextHopId id = this->hops.acquire(this->station(1));
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Unresolved);
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Forward);
    this->hops.lost(this->station(1));
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Unresolved);
}

TYPED_TEST(NextHopsOf, LinkHeaderIsReady) {
    const NextHopId id = this->hops.acquire(this->station(1));
    this->hops.resolved(this->station(1), kPeerMac);
    const NextHop& hop = this->entry(id);
    EXPECT_EQ(Mac::load(hop.link.data()), kPeerMac);
    EXPECT_EQ(Mac::load(hop.link.data() + 6), kRouterMac);
    EXPECT_EQ(load_be<std::uint16_t>(hop.link.data() + 12), TypeParam::kEtherType);
    EXPECT_EQ(hop.mtu, 9000);
    EXPECT_EQ(hop.port, kPort);
}

TYPED_TEST(NextHopsOf, MacThatWasKnownBeforeTheRouteCounts) {
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_EQ(this->entry(this->hops.acquire(this->station(1))).kind, NextHopKind::Forward);
}

TYPED_TEST(NextHopsOf, StationsOfAPortThatIsGoneLeadNowhere) {
    const NextHopId id = this->hops.acquire(this->station(1));
    this->hops.resolved(this->station(1), kPeerMac);
    this->hops.remove_port(kPort);
    EXPECT_EQ(this->entry(id).kind, NextHopKind::None);
}

TYPED_TEST(NextHopsOf, NextPortOfTheSameNumberInheritsNoMac) {
    const NextHopId id = this->hops.acquire(this->station(1));
    this->hops.resolved(this->station(1), kPeerMac);
    this->hops.remove_port(kPort);
    this->hops.set_port(kPort, {kRouterMac, 1500});
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Unresolved);
}

TYPED_TEST(NextHopsOf, EqualTargetsShareAnId) {
    const NextHopId id = this->hops.acquire(this->station(1));
    EXPECT_EQ(this->hops.acquire(this->station(1)), id);
    EXPECT_NE(this->hops.acquire(this->station(2)), id);
}

TYPED_TEST(NextHopsOf, IdIsUsedAgainOnlyWhenNobodyCountsOnIt) {
    const NextHopId id = this->hops.acquire(this->station(1));
    static_cast<void>(this->hops.acquire(this->station(1)));
    this->hops.release(id);
    EXPECT_NE(this->hops.acquire(this->station(2)), id);
    this->hops.release(id);
    EXPECT_EQ(this->entry(id).kind, NextHopKind::None);
    EXPECT_EQ(this->hops.acquire(this->station(3)), id);
}

TYPED_TEST(NextHopsOf, AReusedIdIsAChange) {
    const NextHopId id = this->hops.acquire(this->station(1));
    this->hops.release(id);
    EXPECT_TRUE(this->hops.take_changes());
    EXPECT_EQ(this->hops.acquire(this->station(2)), id);
    EXPECT_TRUE(this->hops.take_changes());
}

TYPED_TEST(NextHopsOf, ResolutionIsAChange) {
    static_cast<void>(this->hops.acquire(this->station(1)));
    static_cast<void>(this->hops.take_changes());
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_TRUE(this->hops.take_changes());
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_FALSE(this->hops.take_changes());
}

TYPED_TEST(NextHopsOf, ConnectedNetworkGleans) {
    const NextHopId id = this->hops.acquire(Connected{kPort, kFamilyOf<TypeParam>});
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Glean);
    EXPECT_EQ(this->hops.station(id, this->address(7)), this->station(7));
}

TYPED_TEST(NextHopsOf, LocalDeliveryGoesToTheHost) {
    const NextHopId id = this->hops.acquire(LocalDelivery{kFamilyOf<TypeParam>});
    EXPECT_EQ(this->entry(id).port, PortId{});
    this->hops.set_host(kPort, kPeerMac);
    EXPECT_EQ(this->entry(id).port, kPort);
    EXPECT_EQ(Mac::load(this->entry(id).link.data()), kPeerMac);
}

TYPED_TEST(NextHopsOf, GatewaysAreUsableOnceReachable) {
    const NextHopId id = this->hops.acquire(this->gateways({1}));
    EXPECT_FALSE(this->hops.usable(id));
    EXPECT_TRUE(this->resolve().empty());  // whoever named it knows that it is new
    EXPECT_TRUE(this->hops.usable(id));
    EXPECT_EQ(this->resolve({this->address(1)}), std::vector{id});
    EXPECT_FALSE(this->hops.usable(id));
    EXPECT_EQ(this->resolve(), std::vector{id});
}

TYPED_TEST(NextHopsOf, GatewaysThatAnswerGetTheTrafficOfThoseThatDoNot) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2, 3}));
    static_cast<void>(this->resolve());
    for (const std::uint32_t i : {1U, 2U, 3U}) {
        this->hops.resolved(this->station(i), kPeerMac);
    }
    EXPECT_EQ(this->shares(id).size(), 3U);
    this->hops.lost(this->station(2));
    EXPECT_EQ(this->shares(id).size(), 2U);
    EXPECT_FALSE(this->shares(id).contains(*this->hops.find(this->station(2))));
    this->hops.lost(this->station(3));
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Forward);
    this->hops.lost(this->station(1));
    EXPECT_EQ(this->shares(id).size(), 3U);  // a packet makes each of them be asked for
}

TYPED_TEST(NextHopsOf, PacketsThatFoundTheOnlyGatewayInUseAreHeldForThatOne) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2}));
    static_cast<void>(this->resolve());
    this->hops.avoid(this->address(1), true);
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Unresolved);
    EXPECT_EQ(this->hops.station(id, this->address(99)), this->station(2));
}

TYPED_TEST(NextHopsOf, AvoidedGatewayGetsNoTrafficThatAnotherCanTake) {
    const NextHopId shared = this->hops.acquire(this->gateways({1, 2, 3}));
    const NextHopId alone = this->hops.acquire(this->gateways({2}));
    static_cast<void>(this->resolve());
    this->hops.avoid(this->address(2), true);
    EXPECT_EQ(this->shares(shared).size(), 2U);
    EXPECT_EQ(this->hops.station(alone, this->address(9)), this->station(2));
    const NextHopId later = this->hops.acquire(this->gateways({1, 2, 4}));
    static_cast<void>(this->resolve());
    EXPECT_EQ(this->shares(later).size(), 2U);
    this->hops.avoid(this->address(2), false);
    EXPECT_EQ(this->shares(shared).size(), 3U);
    EXPECT_EQ(this->shares(later).size(), 3U);
}

TYPED_TEST(NextHopsOf, WhatIsBehindAnAvoidedStationTakesAnotherWay) {
    const NextHopId behind = this->hops.acquire(this->gateways({9}));
    const auto both = [&](const IpAddr& /*gateway*/) {
        return std::vector<Adjacency>{this->station(1), this->station(2)};
    };
    static_cast<void>(this->lead_all(both));
    this->hops.avoid(this->address(1), true);
    EXPECT_EQ(this->hops.station(behind, this->address(99)), this->station(2));
    this->hops.avoid(this->address(1), false);
    EXPECT_EQ(this->shares(behind).size(), 2U);
}

TYPED_TEST(NextHopsOf, OneGatewayIsACopyOfItsStation) {
    const NextHopId id = this->hops.acquire(this->gateways({1}));
    static_cast<void>(this->resolve());
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Unresolved);
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Forward);
    EXPECT_EQ(this->hops.station(id, this->address(99)), this->station(1));
}

TYPED_TEST(NextHopsOf, SeveralGatewaysShareTheSlotsEvenly) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2}));
    static_cast<void>(this->resolve());
    ASSERT_EQ(this->entry(id).kind, NextHopKind::Group);
    for (const auto& [member, slots] : this->shares(id)) {
        EXPECT_EQ(slots, 32) << member.value();
    }
}

TYPED_TEST(NextHopsOf, ThreeGatewaysDifferByOneSlotAtMost) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2, 3}));
    static_cast<void>(this->resolve());
    for (const auto& [member, slots] : this->shares(id)) {
        EXPECT_TRUE(slots == 21 || slots == 22) << slots;
    }
}

TYPED_TEST(NextHopsOf, LosingAMemberRewritesTheGroupUnderTheSameId) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2, 3}));
    static_cast<void>(this->resolve());
    EXPECT_TRUE(this->resolve({this->address(2)}).empty());
    EXPECT_EQ(this->shares(id).size(), 2U);
    EXPECT_TRUE(this->resolve({this->address(2), this->address(3)}).empty());
    EXPECT_EQ(this->entry(id).kind, NextHopKind::Unresolved);
}

TYPED_TEST(NextHopsOf, GroupNumbersAreUsedAgain) {
    for (std::uint32_t i = 0; i < 5; ++i) {
        const NextHopId id = this->hops.acquire(this->gateways({i, i + 100}));
        static_cast<void>(this->resolve());
        this->hops.release(id);
    }
    EXPECT_EQ(this->hops.groups().size(), 1U);
}

TYPED_TEST(NextHopsOf, SetsOverTheSameStationsShareAGroup) {
    const NextHopId one = this->hops.acquire(this->gateways({9}));
    const NextHopId other = this->hops.acquire(this->gateways({10, 11}));
    const auto both = [&](const IpAddr& gateway) -> std::vector<Adjacency> {
        if (gateway == this->address(10)) {
            return {this->station(1)};
        }
        return gateway == this->address(11) ? std::vector{this->station(2)}
                                            : std::vector{this->station(1), this->station(2)};
    };
    static_cast<void>(this->lead_all(both));
    EXPECT_EQ(this->entry(one).group, this->entry(other).group);
    EXPECT_EQ(this->hops.groups().size(), 1U);
    this->hops.release(one);
    EXPECT_EQ(this->shares(other).size(), 2U);
    this->hops.avoid(this->address(10), true);
    EXPECT_EQ(this->hops.station(other, this->address(99)), this->station(2));
}

TYPED_TEST(NextHopsOf, StationThatMoreGatewaysLeadToGetsMoreTraffic) {
    const NextHopId id = this->hops.acquire(this->gateways({9, 10, 11}));
    static_cast<void>(this->lead_all([&](const IpAddr& gateway) {
        return std::vector{this->station(gateway == this->address(11) ? 2 : 1)};
    }));
    const auto shares = this->shares(id);
    EXPECT_EQ(shares.at(*this->hops.find(this->station(1))), 43);
    EXPECT_EQ(shares.at(*this->hops.find(this->station(2))), 21);
    this->hops.avoid(this->address(9), true);
    EXPECT_EQ(this->shares(id).at(*this->hops.find(this->station(1))), 32);
}

TYPED_TEST(NextHopsOf, AllSetsFollowAStationAtOnce) {
    std::vector<NextHopId> sets;
    for (std::uint32_t number = 100; number < 1100; ++number) {
        sets.push_back(this->hops.acquire(this->gateways({number})));
    }
    const auto both = [&](const IpAddr& /*gateway*/) {
        return std::vector{this->station(1), this->station(2)};
    };
    static_cast<void>(this->lead_all(both));
    const auto all_lead_to = [&](std::uint32_t number) {
        return std::ranges::all_of(sets, [&](NextHopId id) {
            return this->entry(id).kind == NextHopKind::Forward &&
                   this->hops.station(id, this->address(99)) == this->station(number);
        });
    };
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_TRUE(all_lead_to(1));
    this->hops.resolved(this->station(2), kPeerMac);
    this->hops.avoid(this->address(1), true);
    EXPECT_TRUE(all_lead_to(2));
    EXPECT_FALSE(this->hops.unsettled());
}

/// Every other set has left by the time: whoever stands where it stood follows.
TYPED_TEST(NextHopsOf, SetsFollowAfterOthersHaveLeft) {
    std::vector<NextHopId> sets;
    for (std::uint32_t number = 100; number < 110; ++number) {
        sets.push_back(this->hops.acquire(this->gateways({number})));
    }
    static_cast<void>(this->lead_all([&](const IpAddr&) { return std::vector{this->station(1)}; }));
    for (std::size_t i = 0; i < sets.size(); i += 2) {
        this->hops.release(sets[i]);
    }
    this->hops.resolved(this->station(1), kPeerMac);
    for (std::size_t i = 0; i < sets.size(); ++i) {
        EXPECT_EQ(this->entry(sets[i]).kind, i % 2 == 0 ? NextHopKind::None : NextHopKind::Forward);
    }
}

/// More sets than follow at once.
TYPED_TEST(NextHopsOf, GatewayOfManySetsIsAvoidedInSlices) {
    constexpr std::uint32_t kSets = 1000;
    std::vector<NextHopId> sets;
    for (std::uint32_t number = 100; number < 100 + kSets; ++number) {
        sets.push_back(this->hops.acquire(this->gateways({1, number})));
    }
    static_cast<void>(this->lead_all([&](const IpAddr& gateway) {
        return std::vector{gateway == this->address(1) ? this->station(1) : this->station(2)};
    }));
    const auto over_the_other = [&] {
        return std::ranges::count_if(sets, [&](NextHopId id) {
            return this->hops.members(id) == std::vector{*this->hops.find(this->station(2))};
        });
    };
    this->hops.avoid(this->address(1), true);
    EXPECT_TRUE(this->hops.unsettled() || over_the_other() == kSets);
    while (this->hops.unsettled()) {
        static_cast<void>(this->hops.settle(1));
    }
    EXPECT_EQ(over_the_other(), kSets);
}

/// Its way is gone, but no set has followed: what then changes must be told all the same.
TYPED_TEST(NextHopsOf, SetOfALostGatewayThatIsAvoidedIsToldOf) {
    const NextHopId id = this->hops.acquire(this->gateways({1}));
    static_cast<void>(this->resolve());
    this->hops.lead(this->address(1), {});
    this->hops.avoid(this->address(1), true);
    EXPECT_EQ(this->resolve({this->address(1)}), std::vector{id});
    EXPECT_FALSE(this->hops.usable(id));
}

TYPED_TEST(NextHopsOf, StationBeyondAGroupsSlotsIsTakenWhenOthersDoNotAnswer) {
    const auto stations = [this](std::uint32_t first) {
        std::vector<Adjacency> all;
        for (std::uint32_t host = first; host < first + kGroupSlots; ++host) {
            all.push_back(this->station(host));
        }
        return all;
    };
    const NextHopId id = this->hops.acquire(this->gateways({1, 2}));
    this->hops.lead(this->address(1), stations(50));
    this->hops.lead(this->address(2), stations(150));
    while (this->hops.unsettled()) {
        static_cast<void>(this->hops.settle(1));
    }
    EXPECT_EQ(this->hops.members(id).size(), kGroupSlots);
    this->hops.resolved(this->station(200), kPeerMac);
    EXPECT_EQ(this->hops.members(id), std::vector{*this->hops.find(this->station(200))});
}

TYPED_TEST(NextHopsOf, SetFollowsOnceHoweverManyOfItsGatewaysMove) {
    constexpr std::uint32_t kSets = 20;
    constexpr std::uint32_t kGateways = 32;
    for (std::uint32_t set = 0; set < kSets; ++set) {
        Gateways gateways;
        for (std::uint32_t i = 0; i < kGateways; ++i) {
            gateways.addresses.push_back(this->address(100 + i));
        }
        gateways.addresses.push_back(this->address(150 + set));
        static_cast<void>(this->hops.acquire(gateways));
    }
    static_cast<void>(this->lead_all([&](const IpAddr&) { return std::vector{this->station(1)}; }));
    for (std::uint32_t number = 100; number < 150 + kSets; ++number) {
        this->hops.lead(this->address(number), {this->station(2)});
    }
    unsigned slices = 0;
    for (; this->hops.unsettled(); ++slices) {
        static_cast<void>(this->hops.settle(2));
    }
    EXPECT_LT(slices, 4 * kSets);
    EXPECT_FALSE(this->hops.find(this->station(1)));
}

TYPED_TEST(NextHopsOf, PortIsNamedAsLongAsAnythingMayLeadToIt) {
    EXPECT_FALSE(this->hops.names(kPort));
    const NextHopId network = this->hops.acquire(Connected{kPort, kFamilyOf<TypeParam>});
    const NextHopId set = this->hops.acquire(this->gateways({1}));
    this->hops.release(network);
    EXPECT_FALSE(this->hops.names(kPort));
    this->hops.lead(this->address(1), {this->station(1)});
    EXPECT_TRUE(this->hops.names(kPort));  // no set has followed yet
    static_cast<void>(this->hops.settle(1));
    this->hops.lead(this->address(1), {});
    EXPECT_TRUE(this->hops.names(kPort));  // the set leads there
    static_cast<void>(this->hops.settle(1));
    EXPECT_FALSE(this->hops.names(kPort));
    this->hops.lead(this->address(1), {this->station(1)});
    this->hops.release(set);
    EXPECT_FALSE(this->hops.names(kPort));
}

TYPED_TEST(NextHopsOf, IdThatIsUsedAgainIsNotTheSame) {
    const NextHopId id = this->hops.acquire(this->station(1));
    const std::uint16_t use = this->entry(id).use;
    this->hops.resolved(this->station(1), kPeerMac);
    EXPECT_TRUE(this->hops.is_same(id, use));
    this->hops.release(id);
    EXPECT_FALSE(this->hops.is_same(id, use));
    EXPECT_EQ(this->hops.acquire(this->station(2)), id);
    EXPECT_FALSE(this->hops.is_same(id, use));
    EXPECT_FALSE(this->hops.is_same(NextHopId{77}, 0));
}

TYPED_TEST(NextHopsOf, GatewayThatMovesTakesItsUsersAlong) {
    this->hops.set_port(PortId{2}, {kRouterMac, 1500});
    const NextHopId id = this->hops.acquire(this->gateways({1}));
    static_cast<void>(this->resolve());
    static_cast<void>(this->lead_all(
        [](const IpAddr& gateway) { return std::vector{Adjacency{PortId{2}, gateway}}; }));
    EXPECT_EQ(this->entry(id).port, PortId{2});
    EXPECT_FALSE(this->hops.find(this->station(1)));
}

TYPED_TEST(NextHopsOf, ReleasedGatewaysReleaseTheirStations) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2}));
    static_cast<void>(this->resolve());
    EXPECT_EQ(this->hops.gateway_stations().size(), 2U);
    this->hops.release(id);
    EXPECT_TRUE(this->hops.gateway_stations().empty());
    EXPECT_FALSE(this->hops.find(this->station(1)));
    EXPECT_FALSE(this->hops.find(this->station(2)));
}

TYPED_TEST(NextHopsOf, ResolvingAgainChangesNoCounts) {
    const NextHopId id = this->hops.acquire(this->gateways({1, 2}));
    for (int i = 0; i < 3; ++i) {
        static_cast<void>(this->resolve());
    }
    this->hops.release(id);
    EXPECT_FALSE(this->hops.find(this->station(1)));
}

TYPED_TEST(NextHopsOf, UnknownIdHasNoStation) {
    EXPECT_FALSE(this->hops.station(NextHopId{77}, this->address(1)));
    EXPECT_FALSE(this->hops.station(NextHopId{}, this->address(1)));
}

TEST(RouteTargetText, NamesEveryKind) {
    const IpAddr one = Ip4{0x0a000001};
    EXPECT_EQ(to_string(RouteTarget{Adjacency{kPort, one}}), "10.0.0.1");
    EXPECT_EQ(to_string(RouteTarget{Connected{kPort}}), "connected");
    EXPECT_EQ(to_string(RouteTarget{LocalDelivery{}}), "local");
    EXPECT_EQ(to_string(RouteTarget{Discard{}}), "discard");
    EXPECT_EQ(to_string(RouteTarget{Floating{{kPort, one}, {}}}), "floating, to 10.0.0.1");
    EXPECT_EQ(to_string(RouteTarget{Gateways{{one, Ip4{0x0a000002}}}}), "via 10.0.0.1 10.0.0.2");
}

// RFC 8950: the station is known by its IPv6 address, the packets that go there are IPv4.

const IpAddr kGateway = Ip6{0xfd00000000000000U, 1};

std::uint16_t ether_type_towards(bool for_ip4) {
    NextHops hops;
    hops.set_port(kPort, {kRouterMac, 9000});
    const NextHopId id = hops.acquire(Gateways{{kGateway}, for_ip4});
    hops.lead(kGateway, {{kPort, kGateway}});
    static_cast<void>(hops.settle(1));
    EXPECT_EQ(hops.entries()[id.value()].kind, NextHopKind::Unresolved);
    hops.resolved({kPort, kGateway}, kPeerMac);
    EXPECT_EQ(hops.entries()[id.value()].kind, NextHopKind::Forward);
    const auto type = load_be<std::uint16_t>(&hops.entries()[id.value()].link[12]);
    hops.lost({kPort, kGateway});
    EXPECT_EQ(hops.entries()[id.value()].kind, NextHopKind::Unresolved);
    return type;
}

TEST(Ipv4OverIpv6, LinkHeaderSaysWhatIsInside) {
    EXPECT_EQ(ether_type_towards(true), 0x0800);
    EXPECT_EQ(ether_type_towards(false), 0x86dd);
}

TEST(Gateways, SetWhoseGatewayIsNotFoundYetHoldsNoOtherUp) {
    NextHops hops;
    hops.set_port(kPort, {kRouterMac, 9000});
    const IpAddr unknown = Ip4{0x0a000009};
    const NextHopId waits = hops.acquire(Gateways{{unknown}});
    const NextHopId other = hops.acquire(Gateways{{kGateway}});
    hops.lead(kGateway, {{kPort, kGateway}});
    static_cast<void>(hops.settle(2));
    EXPECT_FALSE(hops.is_settled(waits));
    EXPECT_TRUE(hops.is_settled(other));
    EXPECT_TRUE(hops.unsettled());
    hops.lead(unknown, {});
    static_cast<void>(hops.settle(2));
    EXPECT_TRUE(hops.is_settled(waits));
    EXPECT_FALSE(hops.unsettled());
}

/// Sets of many members are dear: fewer of them are found at once.
TEST(Gateways, FewerSetsAreFoundAtOnceTheMoreMembersTheyHave) {
    NextHops hops;
    hops.set_port(kPort, {kRouterMac, 9000});
    std::vector<Adjacency> stations;
    for (std::uint32_t host = 1; host <= 64; ++host) {
        stations.push_back({kPort, Ip4{0x0a000000 + host}});
    }
    std::vector<NextHopId> sets;
    for (std::uint32_t host = 1; host <= 10; ++host) {
        sets.push_back(hops.acquire(Gateways{{Ip4{0x0a010000 + host}}}));
        hops.lead(Ip4{0x0a010000 + host}, stations);
    }
    const auto settled = [&] {
        return std::ranges::count_if(sets, [&](NextHopId id) { return hops.is_settled(id); });
    };
    static_cast<void>(hops.settle(10));
    EXPECT_EQ(settled(), 2);  // one takes as long as five without members
    while (hops.unsettled()) {
        static_cast<void>(hops.settle(10));
    }
    EXPECT_EQ(settled(), 10);
}

TEST(Gateways, LinkLocalOneIsShownWithoutItsPort) {
    const Ip6 gateway = with_zone(Ip6{0xfe80000000000000U, 1}, 3);
    EXPECT_EQ(to_string(RouteTarget{Gateways{{gateway}}}), "via fe80::1");
}

}  // namespace
}  // namespace vr::next_hops_test
