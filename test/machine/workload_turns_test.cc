// Ports of endpoints are opened and closed some in a turn: here one, when the test says so.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "test/machine/router_lab.h"
#include "vrouter/daemon/etcd_status.h"
#include "vrouter/workloads.h"

namespace vr::workload_turns_test {
namespace {

using namespace vr::test;
using State = WorkloadView::State;

MachineSettings one_in_a_turn() {
    MachineSettings settings = RouterLab::defaults();
    settings.ports_turn = std::chrono::microseconds{0};
    return settings;
}

Workload numbered(std::uint32_t number, const acl::Program& ingress = allow_all()) {
    return RouterLab::workload("w" + std::to_string(number), kGuestA + number, ingress);
}

class WorkloadTurns : public testing::Test {
  protected:
    WorkloadTurns() { lab.open_at_once = false; }

    void update(const Workload& workload) { lab.workloads->update_workload(workload); }

    void remove(std::uint32_t number) { lab.workloads->remove_workload(name_of(number)); }

    void turn() { lab.workloads->finish(); }

    void finish_all() {
        while (lab.workloads->is_unfinished()) {
            turn();
        }
        lab.finish_all();
    }

    static std::string name_of(std::uint32_t number) { return "w" + std::to_string(number); }

    [[nodiscard]] State state(std::uint32_t number) const {
        return lab.workloads->find(name_of(number))->state;
    }

    /// Does a fresh packet from outside reach the guest?
    bool reaches(std::uint32_t number) {
        const PortId port = lab.port_of(name_of(number));
        lab.receive(lab.fabric, RouterLab::from_outside(kOutside, kGuestA + number, next_port_++));
        return port != PortId{} && !lab.take_sent(port).empty();
    }

    RouterLab lab{one_in_a_turn()};

  private:
    std::uint16_t next_port_ = 1000;
};

TEST_F(WorkloadTurns, OpenOneAfterTheOtherAsTheyCame) {
    for (const std::uint32_t number : {2U, 0U, 1U}) {
        update(numbered(number));
    }
    for (const std::uint32_t number : {2U, 0U, 1U}) {
        EXPECT_EQ(state(number), State::Waiting);
        EXPECT_TRUE(lab.workloads->is_unfinished());
        turn();
        EXPECT_EQ(state(number), State::Compiling);
    }
    EXPECT_FALSE(lab.workloads->is_unfinished());
    lab.finish_all();
    for (std::uint32_t number = 0; number < 3; ++number) {
        EXPECT_TRUE(reaches(number));
    }
}

TEST_F(WorkloadTurns, AreAskedForOnceWhenSomethingIsLeft) {
    int asked = 0;
    lab.workloads->on_unfinished([&] { ++asked; });
    update(numbered(0));
    update(numbered(1));
    EXPECT_EQ(asked, 1);
    turn();
    EXPECT_EQ(asked, 2);
    turn();
    EXPECT_EQ(asked, 2);
}

TEST_F(WorkloadTurns, EndpointThatIsOpenForwardsWhileOthersWait) {
    update(numbered(0));
    update(numbered(1));
    turn();
    lab.finish_all();
    turn();
    EXPECT_TRUE(reaches(0));
}

TEST_F(WorkloadTurns, ChangedPolicyWaitsForNoPortOfAnother) {
    update(numbered(0));
    finish_all();
    update(numbered(1));
    update(numbered(0, deny_all()));
    lab.finish_all();
    lab.machine->commit();
    EXPECT_EQ(state(1), State::Waiting);
    EXPECT_FALSE(reaches(0));
}

TEST_F(WorkloadTurns, EndpointRemovedWhileItWaitsIsNeverOpened) {
    update(numbered(0));
    remove(0);
    finish_all();
    EXPECT_EQ(lab.opened, 0);
    EXPECT_FALSE(lab.workloads->find("w0"));
}

TEST_F(WorkloadTurns, EndpointRemovedAndMadeAnewWhileItWaitsIsOpenedOnce) {
    update(numbered(0));
    remove(0);
    update(numbered(0));
    finish_all();
    EXPECT_EQ(lab.opened, 1);
    EXPECT_TRUE(reaches(0));
}

TEST_F(WorkloadTurns, EndpointChangedWhileItWaitsIsOpenedAsItIsThen) {
    update(numbered(0));
    Workload changed = numbered(0, deny_all());
    changed.interface_name = "another";
    update(changed);
    finish_all();
    EXPECT_EQ(lab.opened, 1);
    EXPECT_EQ(lab.machine->port(lab.port_of("w0"))->name, "another");
    EXPECT_EQ(state(0), State::Ready);
    EXPECT_FALSE(reaches(0));
}

TEST_F(WorkloadTurns, EndpointsAreClosedOneAfterTheOther) {
    update(numbered(0));
    update(numbered(1));
    finish_all();
    remove(0);
    remove(1);
    EXPECT_TRUE(reaches(0));
    turn();
    EXPECT_FALSE(lab.workloads->find("w0"));
    EXPECT_TRUE(reaches(1));
    turn();
    EXPECT_FALSE(lab.workloads->find("w1"));
    EXPECT_EQ(lab.announced.size(), 8U);
}

TEST_F(WorkloadTurns, EndpointThatComesBackBeforeItIsClosedKeepsItsPort) {
    update(numbered(0));
    finish_all();
    const PortId port = lab.port_of("w0");
    remove(0);
    update(numbered(0, deny_all()));
    finish_all();
    EXPECT_EQ(lab.port_of("w0"), port);
    EXPECT_EQ(lab.opened, 1);
    EXPECT_FALSE(reaches(0));
}

TEST_F(WorkloadTurns, EndpointThatMovesStaysAsItWasUntilItsTurn) {
    update(numbered(0));
    finish_all();
    const PortId port = lab.port_of("w0");
    Workload moved = numbered(0, deny_all());
    moved.attachment.vhost_socket = "elsewhere";
    update(moved);
    lab.finish_all();
    EXPECT_TRUE(reaches(0));
    finish_all();
    EXPECT_NE(lab.port_of("w0"), port);
    EXPECT_EQ(lab.machine->port(port), nullptr);
    EXPECT_FALSE(reaches(0));
}

TEST_F(WorkloadTurns, ReplacedProgramOfAnEndpointThatMovesComesWithItsTurn) {
    Workload workload = numbered(0);
    update(workload);
    finish_all();
    workload.attachment.vhost_socket = "elsewhere";
    update(workload);
    const auto denies = std::make_shared<const acl::Program>(deny_all());
    lab.workloads->replace_programs({{workload.ingress, denies}});
    lab.finish_all();
    EXPECT_TRUE(reaches(0));  // as it was
    finish_all();
    EXPECT_FALSE(reaches(0));
    EXPECT_EQ(lab.opened, 2);
}

TEST_F(WorkloadTurns, EndpointRemovedWhileItIsCompiledNeverForwards) {
    update(numbered(0));
    turn();
    remove(0);
    lab.finish_all();
    EXPECT_TRUE(lab.announced.empty());
    EXPECT_FALSE(reaches(0));
    finish_all();
    EXPECT_FALSE(lab.workloads->find("w0"));
}

TEST_F(WorkloadTurns, EndpointThatMovesAndComesBackMeanwhileKeepsItsPort) {
    update(numbered(0));
    finish_all();
    Workload moved = numbered(0);
    moved.attachment.vhost_socket = "elsewhere";
    update(moved);
    update(numbered(0));
    finish_all();
    EXPECT_EQ(lab.opened, 1);
    EXPECT_TRUE(reaches(0));
}

TEST_F(WorkloadTurns, EndpointThatMovesAndIsRemovedMeanwhileIsGone) {
    update(numbered(0));
    finish_all();
    Workload moved = numbered(0);
    moved.attachment.vhost_socket = "elsewhere";
    update(moved);
    remove(0);
    finish_all();
    EXPECT_FALSE(lab.workloads->find("w0"));
    EXPECT_EQ(lab.machine->ports().size(), 1U);
    EXPECT_EQ(lab.opened, 1);
}

TEST_F(WorkloadTurns, MembersStayWhileAnEndpointThatWasToGoIsInForce) {
    const GroupId group{7};
    const Prefix<V4> member = Prefix<V4>::host(host<V4>(kOutside));
    acl::Program deny_group = allow_all();
    deny_group.rules.insert(deny_group.rules.begin(), {.action = acl::Action::Deny});
    deny_group.rules[0].match.source.group = group;
    lab.workloads->add_member(group, member);
    update(numbered(0, deny_group));
    finish_all();
    remove(0);
    lab.workloads->remove_member(group, member);
    EXPECT_FALSE(reaches(0));
    finish_all();
    lab.machine->housekeeping();
    EXPECT_EQ(lab.machine->shared().groups4.size(), 0U);
}

TEST_F(WorkloadTurns, WhatCouldNotBeOpenedIsTriedAgainOneInATurn) {
    lab.refuse_open = "no such directory";
    update(numbered(0));
    update(numbered(1));
    finish_all();
    EXPECT_EQ(state(0), State::Failed);
    lab.refuse_open.clear();
    lab.workloads->retry_failed();
    EXPECT_EQ(state(0), State::Failed);
    turn();
    EXPECT_EQ(lab.opened, 1);
    lab.workloads->retry_failed();  // who waits keeps its place
    turn();
    EXPECT_EQ(lab.opened, 2);
    EXPECT_FALSE(lab.workloads->is_unfinished());
}

TEST_F(WorkloadTurns, ReservedAddressClosesInItsTurn) {
    update(numbered(0));
    update(numbered(1));
    finish_all();
    lab.reserved = to_string(numbered(1).addresses4[0]);
    lab.workloads->reserved_changed();
    turn();
    EXPECT_EQ(state(1), State::Failed);
    EXPECT_FALSE(reaches(1));
    EXPECT_TRUE(reaches(0));
}

TEST_F(WorkloadTurns, StatusIsNotKnownWhileAnEndpointWaits) {
    Workload workload = numbered(0);
    workload.name = "prod/a";
    const policy::Key key{policy::Kind::WorkloadEndpoint, "prod", "a"};
    update(workload);
    EXPECT_EQ(daemon::endpoint_statuses(*lab.workloads).at(key), std::nullopt);
    turn();
    EXPECT_EQ(daemon::endpoint_statuses(*lab.workloads).at(key), std::nullopt);
    lab.finish_all();
    EXPECT_EQ(daemon::endpoint_statuses(*lab.workloads).at(key), "up");
}

TEST_F(WorkloadTurns, StatusesAreToldWhenOneIsAnother) {
    daemon::ChangedStatuses statuses;
    EXPECT_TRUE(statuses.take(*lab.workloads)) << "that there is none";
    EXPECT_FALSE(statuses.take(*lab.workloads));
    Workload workload = numbered(0);
    workload.name = "prod/a";
    update(workload);
    EXPECT_EQ(statuses.take(*lab.workloads), daemon::endpoint_statuses(*lab.workloads));
    EXPECT_FALSE(statuses.take(*lab.workloads));
    finish_all();
    EXPECT_EQ(statuses.take(*lab.workloads), daemon::endpoint_statuses(*lab.workloads));
    lab.workloads->remove_workload("prod/a");
    finish_all();
    EXPECT_EQ(statuses.take(*lab.workloads)->size(), 0U);
    EXPECT_FALSE(statuses.take(*lab.workloads));
}

/// Whoever takes them between two turns: what is to go has its own until it is gone, what comes has none before it
/// forwards, and a change in the middle is not lost.
TEST_F(WorkloadTurns, StatusesTakenBetweenTurnsAreThoseOfThatMoment) {
    const auto key = [](const std::string& name) {
        return policy::Key{policy::Kind::WorkloadEndpoint, "prod", name};
    };
    const auto change = [this](std::uint32_t number, bool active) {
        Workload workload = numbered(number);
        workload.name = fmt::format("prod/{}", number);
        workload.active = active;
        update(workload);
    };
    using Statuses = std::map<policy::Key, std::optional<std::string>>;
    daemon::ChangedStatuses statuses;
    change(0, true);
    change(1, true);
    finish_all();
    (void)statuses.take(*lab.workloads);

    lab.workloads->remove_workload("prod/0");
    change(2, true);
    EXPECT_EQ(
        statuses.take(*lab.workloads),
        (Statuses{{key("0"), "up"}, {key("1"), "up"}, {key("2"), std::nullopt}}));
    turn();
    change(1, false);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(
            statuses.take(*lab.workloads), (Statuses{{key("1"), "up"}, {key("2"), std::nullopt}}));
        turn();
    }
    finish_all();
    EXPECT_EQ(statuses.take(*lab.workloads), (Statuses{{key("1"), "down"}, {key("2"), "up"}}));
}

TEST_F(WorkloadTurns, EndWhileSomeWaitLeavesNothing) {
    update(numbered(0));
    finish_all();
    remove(0);
    update(numbered(1));
    lab.builder.reset();
    lab.workloads.reset();
    EXPECT_EQ(lab.opened, 1);
}

}  // namespace
}  // namespace vr::workload_turns_test
