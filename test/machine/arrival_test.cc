// A guest comes from another host: its addresses wait for it, are preferred for a while, and then are as any.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/arrival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "test/machine/router_lab.h"
#include "vrouter/net/headers.h"
#include "vrouter/services/arp.h"
#include "vrouter/services/nd.h"

namespace vr::arrival_test {
namespace {

using namespace std::chrono_literals;
using namespace vr::test;
using enum MigrationRole;

constexpr std::uint32_t kAddress = kGuestA;

// --- the core -------------------------------------------------------------------------------

constexpr TimePoint kStart{1h};
constexpr auto kSettling = 30s;

struct Walk {
    std::string name;
    std::function<void(Arrival&)> steps;
    Arrival::State end;
};

void PrintTo(const Walk& walk, std::ostream* out) {
    *out << walk.name;
}

class ArrivalWalk : public testing::TestWithParam<Walk> {};

TEST_P(ArrivalWalk, EndsThere) {
    Arrival arrival;
    GetParam().steps(arrival);
    EXPECT_EQ(to_string(arrival.state()), to_string(GetParam().end));
}

void target(Arrival& a) {
    a.set_role(Target, false, kStart);
}

void preferred(Arrival& a) {
    target(a);
    a.shown();
}

void over(Arrival& a) {
    preferred(a);
    a.set_role(None, true, kStart + 1min);
}

INSTANTIATE_TEST_SUITE_P(
    Roles,
    ArrivalWalk,
    testing::Values(
        Walk{"nothing", [](Arrival&) {}, Arrival::State::Settled},
        Walk{"shown without a migration", [](Arrival& a) { a.shown(); }, Arrival::State::Settled},
        Walk{
            "source",
            [](Arrival& a) { a.set_role(Source, true, kStart); },
            Arrival::State::Settled},
        Walk{"target", target, Arrival::State::Awaited},
        Walk{
            "target whose guest is there",
            [](Arrival& a) { a.set_role(Target, true, kStart); },
            Arrival::State::Preferred},
        Walk{
            "awaited for long",
            [](Arrival& a) {
                target(a);
                a.tick(kStart + 24h, kSettling);
            },
            Arrival::State::Awaited},
        Walk{
            "told twice that it is the target",
            [](Arrival& a) {
                preferred(a);
                a.set_role(Target, false, kStart + 1s);
            },
            Arrival::State::Preferred},
        Walk{
            "awaited in vain",
            [](Arrival& a) {
                target(a);
                a.set_role(None, false, kStart + 1s);
            },
            Arrival::State::Settled},
        Walk{
            "awaited, then the source of another",
            [](Arrival& a) {
                target(a);
                a.set_role(Source, false, kStart + 1s);
            },
            Arrival::State::Settled},
        Walk{"shown", preferred, Arrival::State::Preferred},
        Walk{
            "shown, the migration goes on for long",
            [](Arrival& a) {
                preferred(a);
                a.tick(kStart + 24h, kSettling);
            },
            Arrival::State::Preferred},
        Walk{"just over", over, Arrival::State::Preferred},
        Walk{
            "over for less than others need",
            [](Arrival& a) {
                over(a);
                a.tick(kStart + 1min + kSettling - 1ms, kSettling);
            },
            Arrival::State::Preferred},
        Walk{
            "over for as long as others need",
            [](Arrival& a) {
                over(a);
                a.tick(kStart + 1min + kSettling, kSettling);
            },
            Arrival::State::Settled},
        Walk{
            "over, and on to another host",
            [](Arrival& a) {
                over(a);
                a.set_role(Source, true, kStart + 2min);
            },
            Arrival::State::Settled},
        Walk{
            "over, and the same again",
            [](Arrival& a) {
                over(a);
                a.set_role(Target, true, kStart + 61s);
                a.tick(kStart + 24h, kSettling);
            },
            Arrival::State::Preferred},
        Walk{
            "away and back again",
            [](Arrival& a) {
                over(a);
                a.set_role(Source, true, kStart + 2min);
                a.set_role(None, false, kStart + 3min);
                a.set_role(Target, false, kStart + 4min);
            },
            Arrival::State::Awaited},
        Walk{
            "source, then target",
            [](Arrival& a) {
                a.set_role(Source, true, kStart);
                a.set_role(Target, false, kStart + 1s);
            },
            Arrival::State::Awaited}),
    [](const testing::TestParamInfo<Walk>& row) {
        std::string name = row.param.name;
        std::erase(name, ',');
        std::ranges::replace(name, ' ', '_');
        return name;
    });

TEST(Arrival, AGuestThatIsAwaitedForLongIsMissedOnce) {
    Arrival arrival;
    arrival.set_role(Target, false, kStart);
    EXPECT_FALSE(arrival.is_missed(kStart + Arrival::kPatience - 1ms));
    EXPECT_TRUE(arrival.is_missed(kStart + Arrival::kPatience));
    EXPECT_FALSE(arrival.is_missed(kStart + 24h));
    EXPECT_EQ(arrival.state(), Arrival::State::Awaited);
}

TEST(Arrival, AGuestThatHasShownItselfIsNotMissed) {
    Arrival arrival;
    arrival.set_role(Target, false, kStart);
    arrival.shown();
    EXPECT_FALSE(arrival.is_missed(kStart + 24h));
}

TEST(Arrival, AWaitThatIsOverIsNotMissed) {
    Arrival arrival;
    arrival.set_role(Target, false, kStart);
    arrival.set_role(None, false, kStart + 1s);
    EXPECT_FALSE(arrival.is_missed(kStart + 24h));
}

// --- an endpoint ----------------------------------------------------------------------------

using Said = std::vector<std::string>;

const Said kUp{"+10.1.0.2/32", "+fd00::a01:2/128"};
const Said kPreferred{"+10.1.0.2/32 512", "+fd00::a01:2/128 512"};
const Said kDown{"-10.1.0.2/32", "-fd00::a01:2/128"};

class ArrivalTest : public testing::Test {
  protected:
    void update(MigrationRole role, std::optional<std::uint32_t> priority = {}) {
        Workload workload = RouterLab::workload("a", kAddress);
        workload.migration = role;
        workload.route_priority = priority;
        lab.workloads->update_workload(workload);
        lab.finish_all();
    }

    Said said() { return std::exchange(lab.announced, {}); }

    void hear(const Frame& frame) { lab.receive(lab.port_of("a"), frame); }

    void connect(bool there = true) {
        lab.workloads->set_guest("a", *lab.machine->port(lab.port_of("a"))->port, there);
    }

    /// The time of others to follow is over.
    void settle() { lab.workloads->tick(std::chrono::steady_clock::now() + kSettling + 1s); }

    [[nodiscard]] std::string state() const {
        return std::string(to_string(lab.workloads->find("a")->arrival));
    }

    /// Is a packet from outside sent to the guest?
    bool reached() {
        lab.receive(lab.fabric, RouterLab::from_outside(kOutside, kAddress, next_port_++));
        return !lab.take_sent(lab.port_of("a")).empty();
    }

    RouterLab lab;

  private:
    std::uint16_t next_port_ = 1000;
};

/// What the library behind a vhost-user port says when the hypervisor asks it to.
Frame reverse_arp(Mac mac) {
    Frame frame = arp::request(mac, Ip4{}, Ip4{}, std::nullopt);
    frame[12] = 0x80;
    frame[13] = 0x35;
    frame[21] = 3;
    mac.store(&frame[32]);
    frame.resize(64);
    return frame;
}

TEST_F(ArrivalTest, ATargetIsReadyButNeitherRoutedNorAnnounced) {
    update(Target);
    EXPECT_EQ(lab.workloads->find("a")->state, WorkloadView::State::Ready);
    EXPECT_EQ(said(), Said{});
    EXPECT_FALSE(reached());
}

TEST_F(ArrivalTest, PacketsGoWhereTheGuestIsUntilItComes) {
    const Adjacency other{lab.fabric, host<V4>(kGateway)};
    lab.machine->routes().set(Prefix<V4>::host(host<V4>(kAddress)), RouteSource::IBgp, other);
    update(Target);
    const auto source = [&] { return lab.machine->routes().lookup(host<V4>(kAddress))->source; };
    EXPECT_EQ(source(), RouteSource::IBgp);
    hear(reverse_arp(kGuestMacA));
    EXPECT_EQ(source(), RouteSource::Workload);
}

struct Sign {
    std::string name;
    Frame frame;
    bool counts = true;
};

void PrintTo(const Sign& sign, std::ostream* out) {
    *out << sign.name;
}

class ArrivalSign : public ArrivalTest, public testing::WithParamInterface<Sign> {};

TEST_P(ArrivalSign, OfTheGuestItselfEndsTheWait) {
    update(Target);
    hear(GetParam().frame);
    EXPECT_EQ(said(), GetParam().counts ? kPreferred : Said{});
    EXPECT_EQ(reached(), GetParam().counts);
}

constexpr Mac kForeign{{2, 0, 0, 0, 9, 9}};

INSTANTIATE_TEST_SUITE_P(
    Frames,
    ArrivalSign,
    testing::Values(
        Sign{"reverse_arp", reverse_arp(kGuestMacA)},
        Sign{"reverse_arp_of_another_mac", reverse_arp(kForeign), false},
        Sign{"gratuitous_arp", arp::gratuitous(kGuestMacA, host<V4>(kAddress))},
        Sign{"gratuitous_arp_of_another_mac", arp::gratuitous(kForeign, host<V4>(kAddress)), false},
        Sign{
            "gratuitous_arp_of_another_address",
            arp::gratuitous(kGuestMacA, host<V4>(kAddress + 1)),
            false},
        Sign{
            "arp_request",
            arp::request(kGuestMacA, host<V4>(kAddress), host<V4>(kOutside), std::nullopt)},
        Sign{"advertisement", nd::unsolicited_advertisement(kGuestMacA, host<V6>(kAddress))},
        Sign{
            "advertisement_of_another_mac",
            nd::unsolicited_advertisement(kForeign, host<V6>(kAddress)),
            false},
        Sign{
            "advertisement_of_another_address",
            nd::unsolicited_advertisement(kGuestMacA, host<V6>(kAddress + 1)),
            false},
        Sign{"router_solicitation", nd::router_solicitation(kGuestMacA)}),
    [](const testing::TestParamInfo<Sign>& row) { return row.param.name; });

TEST_F(ArrivalTest, AGuestThatItsHypervisorLetsRunIsHere) {
    update(Target);
    connect();
    EXPECT_EQ(said(), kPreferred);
    EXPECT_TRUE(reached());
}

TEST_F(ArrivalTest, AGuestThatIsConnectedWhenTheMigrationIsToldIsHere) {
    update(None);
    connect();
    EXPECT_EQ(said(), kUp);
    update(Target);  // later than the guest
    EXPECT_EQ(said(), kPreferred);
}

TEST_F(ArrivalTest, AnEndpointThatBecomesTargetWaits) {
    update(None);
    EXPECT_EQ(said(), kUp);
    update(Target);
    EXPECT_EQ(said(), kDown);
    EXPECT_FALSE(reached());
}

TEST_F(ArrivalTest, TheRoleCountsAtOnceWhileItsPolicyIsCompiled) {
    update(None);
    said();
    Workload workload = RouterLab::workload("a", kAddress, deny_all());
    workload.migration = Target;
    lab.workloads->update_workload(workload);
    EXPECT_EQ(said(), kDown);
    hear(reverse_arp(kGuestMacA));
    EXPECT_EQ(said(), kPreferred);
    lab.finish_all();
    EXPECT_EQ(said(), Said{});
}

TEST_F(ArrivalTest, ASignBeforeThePolicyIsInPlaceIsNone) {
    Workload workload = RouterLab::workload("a", kAddress);
    workload.migration = Target;
    lab.workloads->update_workload(workload);
    hear(reverse_arp(kGuestMacA));
    EXPECT_EQ(lab.drops(lab.port_of("a"), DropReason::PortClosed), 1U);
    connect();  // this one is heard: nothing is served before the policy all the same
    EXPECT_EQ(said(), Said{});
    lab.finish_all();
    EXPECT_EQ(said(), kPreferred);
}

TEST_F(ArrivalTest, WhenAllIsOverItIsAnnouncedAsAnyOther) {
    update(Target);
    hear(reverse_arp(kGuestMacA));
    said();
    update(None);
    EXPECT_EQ(said(), Said{});
    lab.workloads->tick(std::chrono::steady_clock::now());
    EXPECT_EQ(said(), Said{});
    settle();
    EXPECT_EQ(said(), kUp);
    EXPECT_TRUE(reached());
}

TEST_F(ArrivalTest, WithoutASignTheEndOfTheMigrationEndsTheWait) {
    update(Target);
    update(None);
    EXPECT_EQ(said(), kUp);
    EXPECT_TRUE(reached());
}

TEST_F(ArrivalTest, TheSourceIsAsAnyOther) {
    update(None);
    EXPECT_EQ(said(), kUp);
    update(Source);
    EXPECT_EQ(said(), Said{});
    EXPECT_TRUE(reached());
    connect();
    connect(false);
    EXPECT_EQ(said(), kDown);
}

TEST_F(ArrivalTest, AMigrationThatFailsLeavesTheSourceInPeace) {
    update(Source);
    connect();
    connect(false);  // it was stopped to be moved
    connect();       // and goes on here
    update(None);
    EXPECT_EQ(said(), (Said{kUp[0], kUp[1], kDown[0], kDown[1], kUp[0], kUp[1]}));
}

TEST_F(ArrivalTest, AnotherMigrationRightAfter) {
    update(Target);
    connect();
    update(None);
    said();
    update(Source);  // on to a third host, which is to be preferred
    EXPECT_EQ(said(), kUp);
    connect(false);
    EXPECT_EQ(said(), kDown);
    update(Target);  // and back
    EXPECT_EQ(said(), Said{});
    connect();
    EXPECT_EQ(said(), kPreferred);
}

TEST_F(ArrivalTest, AGuestThatGoesWhileItIsPreferredTakesItsAddressesAlong) {
    update(Target);
    connect();
    said();
    connect(false);
    EXPECT_EQ(said(), kDown);
    update(None);
    settle();
    EXPECT_EQ(said(), Said{});
    connect();
    EXPECT_EQ(said(), kUp);
}

TEST_F(ArrivalTest, AnotherPortWaitsAnew) {
    update(Target);
    connect();
    said();
    Workload moved = RouterLab::workload("a", kAddress);
    moved.migration = Target;
    moved.interface_name = "another";
    lab.workloads->update_workload(moved);
    lab.finish_all();
    EXPECT_EQ(said(), kDown);
    connect();
    EXPECT_EQ(said(), kPreferred);
}

TEST_F(ArrivalTest, APriorityOfItsOwnThatIsBetterStays) {
    update(Target, 100);
    connect();
    EXPECT_EQ(said(), (Said{"+10.1.0.2/32 100", "+fd00::a01:2/128 100"}));
}

TEST_F(ArrivalTest, APriorityOfItsOwnThatIsWorseComesBack) {
    update(Target, 2000);
    connect();
    EXPECT_EQ(said(), kPreferred);
    update(None, 2000);
    settle();
    EXPECT_EQ(said(), (Said{"+10.1.0.2/32 2000", "+fd00::a01:2/128 2000"}));
}

TEST_F(ArrivalTest, PriorityAndTimeAreThoseThatWereTold) {
    lab.workloads->set_migration_terms({{100, 200}, 5s});
    update(Target);
    connect();
    EXPECT_EQ(said(), (Said{"+10.1.0.2/32 100", "+fd00::a01:2/128 200"}));
    lab.workloads->set_migration_terms({{100, 300}, 5s});
    EXPECT_EQ(said(), (Said{"+fd00::a01:2/128 300"})) << "while it is preferred, too";
    update(None);
    const auto over = std::chrono::steady_clock::now();
    lab.workloads->tick(over + 4s);
    EXPECT_EQ(said(), Said{});
    lab.workloads->tick(over + 5s);
    EXPECT_EQ(said(), kUp);
}

/// It may be at the source still: whoever served its addresses here would cut it off.
TEST_F(ArrivalTest, AGuestThatIsAwaitedForLongIsAwaitedStill) {
    update(Target);
    lab.workloads->tick(std::chrono::steady_clock::now() + Arrival::kPatience + 1s);
    EXPECT_EQ(state(), "awaited");
    EXPECT_EQ(said(), Said{});
    hear(reverse_arp(kGuestMacA));
    EXPECT_EQ(said(), kPreferred);
}

TEST_F(ArrivalTest, ATargetThatIsRemovedIsForgotten) {
    update(Target);
    const PortId port = lab.port_of("a");
    lab.workloads->remove_workload("a");
    lab.finish_all();
    lab.workloads->hear_guest(port);
    settle();
    EXPECT_EQ(said(), Said{});
    update(Target);
    EXPECT_EQ(state(), "awaited");
}

TEST_F(ArrivalTest, OnOneHostTheSourceServesUntilTheTargetHasItsGuest) {
    Workload source = RouterLab::workload("z", kAddress);
    source.migration = Source;
    lab.workloads->update_workload(source);
    lab.finish_all();
    EXPECT_EQ(said(), kUp);
    update(Target);
    EXPECT_EQ(said(), Said{});
    EXPECT_FALSE(reached());
    hear(reverse_arp(kGuestMacA));
    EXPECT_EQ(said(), kPreferred);
    EXPECT_TRUE(reached());
}

TEST_F(ArrivalTest, FloatingAddressesWaitAndComeAlong) {
    Workload workload = RouterLab::workload("a", kAddress);
    workload.migration = Target;
    workload.floating = {{.external = host<V4>(kOutside + 7), .internal = host<V4>(kAddress)}};
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_EQ(said(), Said{});
    connect();
    EXPECT_EQ(said().size(), 3U);
}

TEST_F(ArrivalTest, AReverseArpOfTheFabricIsNobodys) {
    update(Target);
    lab.receive(lab.fabric, reverse_arp(kGuestMacA));
    EXPECT_EQ(lab.drops(lab.fabric, DropReason::UnknownEtherType), 1U);
    EXPECT_EQ(said(), Said{});
}

}  // namespace
}  // namespace vr::arrival_test
