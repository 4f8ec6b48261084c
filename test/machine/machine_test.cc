// The machine: ports and their numbers, counters, and what rests until no worker can hold it.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/machine.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <chrono>

#include "test/machine/router_lab.h"
#include "vrouter/dataplane/clock.h"
#include "vrouter/dataplane/packet_pool.h"

namespace vr::machine_test {
namespace {

using namespace vr::test;

/// Whether a port still is; outlives the port, which may outlive the test's body.
using Alive = std::shared_ptr<bool>;

/// Tells when it is destroyed.
class MortalPort final : public Port {
  public:
    explicit MortalPort(Alive alive) : alive_(std::move(alive)) { *alive_ = true; }

    ~MortalPort() override { *alive_ = false; }

    [[nodiscard]] PortIo io() noexcept override {
        const auto none = [](void*, std::uint16_t, rte_mbuf**, std::uint16_t) noexcept {
            return std::uint16_t{0};
        };
        return {.self = this, .rx = none, .tx = none};
    }

    [[nodiscard]] PortStatus status() const override { return {}; }

    [[nodiscard]] Mac mac() const override { return {}; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

  private:
    Alive alive_;
};

class MachineTest : public testing::Test {
  protected:
    PortId add(const Alive& alive) {
        return *lab.machine->add_port(
            {.name = "p", .kind = PortKind::Fabric, .port = std::make_unique<MortalPort>(alive)});
    }

    Machine& machine() { return *lab.machine; }

    RouterLab lab;
};

TEST_F(MachineTest, PortsAreFoundByNumberAndName) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    EXPECT_EQ(machine().port(id)->name, "p");
    EXPECT_EQ(machine().find_port("p"), id);
    EXPECT_FALSE(machine().find_port("q"));
    EXPECT_EQ(machine().ports(), (std::vector<PortId>{lab.fabric, id}));
}

TEST_F(MachineTest, NumberIsNotUsedAgainBeforeTheGracePeriod) {
    const auto alive = std::make_shared<bool>(false);
    const auto other = std::make_shared<bool>(false);
    const PortId id = add(alive);
    machine().remove_port(id);
    machine().commit();
    EXPECT_EQ(machine().port(id), nullptr);
    EXPECT_NE(add(other), id);
    lab.keep_house();
    EXPECT_EQ(add(alive), id);
}

TEST_F(MachineTest, PortLivesUntilNoWorkerCanHoldIt) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    machine().commit();
    machine().rcu().online(0);
    machine().workers()[0]->poll_once();
    machine().remove_port(id);
    machine().commit();
    lab.keep_house();
    EXPECT_TRUE(*alive);  // the worker may be in the middle of a round
    machine().workers()[0]->poll_once();
    lab.keep_house();
    EXPECT_FALSE(*alive);
    machine().rcu().offline(0);
}

TEST_F(MachineTest, WhatIsDueIsFreedTurnByTurn) {
    int freed = 0;
    for (int i = 0; i < 3; ++i) {
        lab.machine->rcu().retire([&] {
            const auto begin = std::chrono::steady_clock::now();
            while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds{1}) {
            }  // more than a slice
            ++freed;
        });
    }
    lab.machine->housekeeping();
    EXPECT_EQ(freed, 1);
    while (lab.machine->is_unfinished()) {
        lab.machine->finish();
    }
    EXPECT_EQ(freed, 3);
}

TEST_F(MachineTest, GoneIsToldWhenNothingNamesThePortAnyMore) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    int told = 0;
    machine().remove_port(id, [&] {
        EXPECT_FALSE(*alive);
        ++told;
    });
    machine().commit();
    EXPECT_EQ(told, 0);
    lab.keep_house();
    EXPECT_EQ(told, 1);
}

TEST_F(MachineTest, FlowsOfAPortGoWithIt) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    const auto enter = [&](PortId from, std::uint16_t port) {
        const FlowKey<V4> key{Ip4{1}, Ip4{2}, L4Port{port}, L4Port{80}, 6};
        static_cast<void>(machine().shared().flows4.insert(0, key, {.from = from}, flow_now()));
    };
    enter(id, 1);
    enter(lab.fabric, 2);
    machine().remove_port(id);
    machine().commit();
    lab.keep_house();
    EXPECT_EQ(machine().shared().flows4.size(), 1U);
}

/// Does something in the middle of a worker's round.
class BusyPort final : public Port {
  public:
    explicit BusyPort(std::function<void()> task) : task_(std::move(task)) {}

    [[nodiscard]] PortIo io() noexcept override {
        const auto rx = [](void* self, std::uint16_t, rte_mbuf**, std::uint16_t) noexcept {
            static_cast<BusyPort*>(self)->task_();
            return std::uint16_t{0};
        };
        const auto tx = [](void*, std::uint16_t, rte_mbuf**, std::uint16_t) noexcept {
            return std::uint16_t{0};
        };
        return {.self = this, .rx = rx, .tx = tx};
    }

    [[nodiscard]] PortStatus status() const override { return {}; }

    [[nodiscard]] Mac mac() const override { return {}; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

  private:
    std::function<void()> task_;
};

/// A worker that has begun its round when the control thread changes things; a packet comes behind that.
class MidRound : public testing::Test {
  protected:
    MidRound() {
        const auto task = [this] {
            if (const auto due = std::exchange(change, {})) {
                due();
            }
        };
        static_cast<void>(lab.machine->add_port(
            {.name = "busy", .kind = PortKind::Fabric, .port = std::make_unique<BusyPort>(task)}));
        from = lab.add_port("from", PortKind::Fabric, kGatewayMac);
        lab.machine->commit();
        lab.machine->routes().next_hops().resolved({lab.fabric, host<V4>(kGateway)}, kGuestMacB);
        lab.machine->commit();
    }

    /// A round in which a packet to `destination` comes behind `changes`.
    void packet_behind(std::uint32_t destination, std::function<void()> changes) {
        change = std::move(changes);
        Envelope<V4> envelope;
        envelope.link_source = kGuestMacA;
        envelope.link_destination = kGatewayMac;
        envelope.source = host<V4>(kOutside2);
        envelope.destination = host<V4>(destination);
        lab.memory(from).arriving.push_back(
            make_packet(lab.machine->pool(), frame_of(envelope, udp_header(1, 2))));
        lab.poll();
    }

    static constexpr std::uint32_t kNew = 0x14000001;

    RouterLab lab;
    PortId from;
    std::function<void()> change;
};

TEST_F(MidRound, RouteOverANextHopThatIsNewLeadsThere) {
    packet_behind(kNew, [this] {
        lab.machine->routes().next_hops().resolved({lab.fabric, host<V4>(kNew)}, kGuestMacB);
        lab.machine->routes().set(
            Prefix<V4>::host(host<V4>(kNew)),
            RouteSource::Static,
            Adjacency{lab.fabric, host<V4>(kNew)});
        lab.machine->commit();
    });
    EXPECT_EQ(lab.take_sent(lab.fabric).size(), 1U);
}

TEST_F(MidRound, CommitWaitsForNoWorker) {
    bool done = false;
    packet_behind(kOutside, [&] {
        lab.machine->routes().set(
            Prefix<V4>::host(host<V4>(kNew)),
            RouteSource::Static,
            Adjacency{lab.fabric, host<V4>(kNew)});
        lab.machine->commit();  // the worker is this thread: it would wait for ever
        done = true;
    });
    EXPECT_TRUE(done);
    EXPECT_EQ(lab.take_sent(lab.fabric).size(), 1U);
}

TEST_F(MidRound, PortThatIsNewIsSentTo) {
    PortId to;
    packet_behind(kNew, [&] {
        to = lab.add_port("to", PortKind::Fabric, kGuestMacB);
        lab.machine->routes().next_hops().resolved({to, host<V4>(kNew)}, kGuestMacB);
        lab.machine->routes().set(
            Prefix<V4>::host(host<V4>(kNew)), RouteSource::Static, Adjacency{to, host<V4>(kNew)});
        lab.machine->commit();
    });
    EXPECT_EQ(lab.take_sent(to).size(), 1U);
}

/// What is published with a route counts for the packets that take it: they are judged by no older policy.
TEST_F(MidRound, WorkloadThatIsClosedAsItGetsARouteGetsNothing) {
    lab.workloads->update_workload(RouterLab::workload("a", kGuestA));
    lab.finish_all();
    const PortId to = lab.port_of("a");
    packet_behind(kNew, [&] {
        lab.machine->set_endpoint(to, nullptr);
        lab.machine->routes().next_hops().resolved({to, host<V4>(kNew)}, kGuestMacB);
        lab.machine->routes().set(
            Prefix<V4>::host(host<V4>(kNew)), RouteSource::Workload, Adjacency{to, host<V4>(kNew)});
        lab.machine->commit();
    });
    EXPECT_TRUE(lab.take_sent(to).empty());
    EXPECT_EQ(lab.drops(from, DropReason::PortClosed), 1U);
    EXPECT_EQ(lab.machine->shared().flows4.size(), 0U);
}

TEST_F(MidRound, PortThatIsRemovedIsPolledNoMore) {
    packet_behind(kOutside, [this] {
        lab.machine->routes().set(Prefix<V4>::host(host<V4>(kNew)), RouteSource::Static, Discard{});
        lab.machine->remove_port(from);
        lab.machine->commit();
    });
    EXPECT_TRUE(lab.take_sent(lab.fabric).empty());
}

TEST_F(MidRound, NumberOfANextHopIsKeptWhileTheWorkerMayHaveIt) {
    const auto to = Prefix<V4>::host(host<V4>(kNew));
    RouteTable& routes = lab.machine->routes();
    routes.set(to, RouteSource::Static, Adjacency{lab.fabric, host<V4>(kNew)});
    lab.machine->commit();
    const Adjacency station{lab.fabric, host<V4>(kNew)};
    packet_behind(kOutside, [&] {
        routes.remove(to, RouteSource::Static);
        lab.machine->commit();
        lab.machine->housekeeping();
        EXPECT_TRUE(routes.next_hops().find(station));
    });
    lab.machine->housekeeping();
    EXPECT_FALSE(routes.next_hops().find(station));
}

TEST_F(MachineTest, NumberRestsWhileARouteLeadsThere) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    const auto to = Prefix<V4>::host(host<V4>(kGuestA));
    machine().routes().set(to, RouteSource::Static, Adjacency{id, host<V4>(kGuestA)});
    machine().commit();
    int told = 0;
    machine().remove_port(id, [&] { ++told; });
    machine().commit();
    machine().housekeeping();
    EXPECT_FALSE(*alive);
    EXPECT_EQ(told, 0);
    EXPECT_NE(add(alive), id);
    machine().routes().remove(to, RouteSource::Static);
    machine().commit();
    machine().housekeeping();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(add(alive), id);
}

TEST_F(MachineTest, NumberIsUsedAgainWhileWaysKeepChanging) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    RouteTable& routes = machine().routes();
    const auto lead_over = [&](std::uint32_t station) {
        routes.set(Prefix<V4>{}, RouteSource::Static, Gateways{{host<V4>(station)}});
        machine().commit();
    };
    lead_over(kGateway);
    for (std::uint32_t i = 0; i < 1000; ++i) {
        routes.set(
            Prefix<V4>::host(Ip4{0x14000000 + i}),
            RouteSource::IBgp,
            Gateways{{Ip4{0x15000000 + i}}});
    }
    const auto guest = Prefix<V4>::host(host<V4>(kGuestA));
    routes.set(guest, RouteSource::Workload, Adjacency{id, host<V4>(kGuestA)});
    machine().commit();
    while (machine().is_unfinished()) {
        machine().finish();
    }
    int told = 0;
    routes.remove(guest, RouteSource::Workload);
    machine().remove_port(id, [&] { ++told; });
    machine().commit();
    for (int i = 0; i < 20; ++i) {
        lead_over(i % 2 == 0 ? kGateway + 1 : kGateway);
        EXPECT_TRUE(routes.is_settling());
        machine().housekeeping();
    }
    EXPECT_EQ(told, 1);
}

TEST(MachineOfManyFlows, ForgetsThoseOfAPortInSlices) {
    constexpr std::uint32_t kFlows = 10000;
    MachineSettings settings = RouterLab::defaults();
    settings.flows = 2 * kFlows;
    RouterLab lab{settings};
    Machine& machine = *lab.machine;
    const PortId id = lab.add_port("a", PortKind::Fabric, kGuestMacA);
    for (std::uint32_t i = 0; i < kFlows; ++i) {
        const FlowKey<V4> key{Ip4{i}, Ip4{2}, L4Port{1}, L4Port{80}, 6};
        static_cast<void>(machine.shared().flows4.insert(0, key, {.from = id}, flow_now()));
    }
    int told = 0;
    int unfinished = 0;
    machine.on_unfinished([&] { ++unfinished; });
    machine.remove_port(id, [&] { ++told; });
    machine.commit();
    machine.housekeeping();
    EXPECT_TRUE(machine.is_unfinished());
    EXPECT_GT(unfinished, 0);
    EXPECT_GT(machine.shared().flows4.size(), kFlows / 4);
    EXPECT_EQ(told, 0);
    while (machine.is_unfinished()) {
        machine.finish();
    }
    EXPECT_EQ(machine.shared().flows4.size(), 0U);
    EXPECT_EQ(told, 1);
}

TEST_F(MachineTest, PortsThatGoArePublishedTogether) {
    const auto alive = std::make_shared<bool>(false);
    const PortId one = add(alive);
    const PortId two = add(alive);
    machine().commit();
    const Tables* before = &machine().tables();
    machine().remove_port(one);
    machine().remove_port(two);
    EXPECT_EQ(&machine().tables(), before);
}

TEST(MachineOfManyPorts, ClosesOneInATurnAtLeast) {
    MachineSettings settings = RouterLab::defaults();
    settings.ports_turn = std::chrono::microseconds{0};
    RouterLab lab{settings};
    Machine& machine = *lab.machine;
    int told = 0;
    std::vector<std::shared_ptr<bool>> alive;
    for (int i = 0; i < 3; ++i) {
        alive.push_back(std::make_shared<bool>(false));
        const auto id = machine.add_port(
            {.name = "p",
             .kind = PortKind::Fabric,
             .port = std::make_unique<MortalPort>(alive[i])});
        machine.remove_port(*id, [&] { ++told; });
    }
    machine.commit();
    machine.housekeeping();
    EXPECT_FALSE(*alive[0]);
    EXPECT_TRUE(*alive[1]);
    EXPECT_TRUE(machine.is_unfinished());
    machine.finish();
    EXPECT_FALSE(*alive[1]);
    EXPECT_TRUE(*alive[2]);
    while (machine.is_unfinished()) {
        machine.finish();
    }
    EXPECT_EQ(told, 3);
}

TEST_F(MachineTest, NextPortOfANumberCountsFromZero) {
    const PortId id = lab.add_port("a", PortKind::Fabric, kGuestMacA);
    machine().commit();
    lab.receive(id, Frame(60));
    machine().count_drop(id, DropReason::NoRoute);
    EXPECT_EQ(machine().totals(id).rx_packets, 1U);
    machine().remove_port(id);
    machine().commit();
    machine().housekeeping();
    ASSERT_EQ(lab.add_port("b", PortKind::Fabric, kGuestMacB), id);
    machine().commit();
    const PortTotals totals = machine().totals(id);
    EXPECT_EQ(totals.rx_packets + totals.rx_bytes, 0U);
    for (const std::uint64_t drops : totals.drops) {
        EXPECT_EQ(drops, 0U);
    }
    lab.receive(id, Frame(60));
    EXPECT_EQ(machine().totals(id).rx_packets, 1U);
}

TEST_F(MachineTest, NumbersRunOut) {
    const auto alive = std::make_shared<bool>(false);
    while (machine().ports().size() < kMaxPorts - 1) {
        add(alive);
    }
    const auto id = machine().add_port(
        {.name = "p", .kind = PortKind::Fabric, .port = std::make_unique<MortalPort>(alive)});
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().text, "no port number is free: 1023 ports exist");
    for (const PortId port : machine().ports()) {
        machine().remove_port(port);
        machine().commit();
    }
    machine().housekeeping();
    EXPECT_TRUE(machine().ports().empty());
}

TEST_F(MachineTest, NoAddressOfALinkAloneIsTheHostsBeyondIt) {
    const Ip4 own{0xc0000201};
    const auto id = machine().add_port(
        {.name = "p",
         .kind = PortKind::Fabric,
         .port = std::make_unique<MortalPort>(std::make_shared<bool>(false)),
         .addresses = {Ip4{0xa9fe0101}, own}});
    ASSERT_TRUE(id);
    machine().commit();
    EXPECT_EQ(machine().tables().ports[id->value()].host4, own);
}

TEST_F(MachineTest, ChangesAreVisibleAfterCommit) {
    const auto alive = std::make_shared<bool>(false);
    const PortId id = add(alive);
    EXPECT_EQ(machine().tables().ports[id.value()].kind, PortKind::None);
    machine().commit();
    EXPECT_EQ(machine().tables().ports[id.value()].kind, PortKind::Fabric);
}

TEST_F(MachineTest, CommitWithoutChangesPublishesNothing) {
    machine().commit();
    const Tables* before = &machine().tables();
    machine().commit();
    EXPECT_EQ(&machine().tables(), before);
}

TEST_F(MachineTest, QueuesAreDealtToAllWorkers) {
    lab.slow_path.reset();
    lab.workloads.reset();
    lab.builder.reset();
    lab.machine.reset();
    MachineSettings settings = RouterLab::defaults();
    settings.workers = 2;
    auto both = Machine::make(settings);
    ASSERT_TRUE(both);
    for (int i = 0; i < 3; ++i) {
        static_cast<void>((*both)->add_port(
            {.name = "p",
             .kind = PortKind::Fabric,
             .port = std::make_unique<MortalPort>(std::make_shared<bool>(false))}));
    }
    (*both)->commit();
    EXPECT_EQ((*both)->tables().polls[0].size(), 2U);
    EXPECT_EQ((*both)->tables().polls[1].size(), 1U);
}

TEST_F(MachineTest, InjectedPacketsThatFindNoRoomAreCounted) {
    for (int i = 0; i < 1100; ++i) {
        rte_mbuf* packet = make_packet(machine().pool(), Frame(60));
        note_of(packet) = {
            .port = lab.fabric, .punt = {}, .inject = Inject::Transmit, .next_hop = {}};
        machine().inject(packet, lab.fabric);
    }
    EXPECT_GT(lab.drops(lab.fabric, DropReason::PuntFull), 0U);
}

}  // namespace
}  // namespace vr::machine_test
