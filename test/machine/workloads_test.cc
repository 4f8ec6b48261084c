// An endpoint's life: closed until its policy is in place, changed without a gap, gone without a trace.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/workloads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "test/machine/router_lab.h"
#include "vrouter/services/arp.h"

namespace vr::workloads_test {
namespace {

using namespace vr::test;
using State = WorkloadView::State;

constexpr std::uint32_t kAddress = kGuestA;

/// Allows what comes from members of the group, nothing else.
acl::Program allow_from(GroupId group) {
    acl::Rule rule{.action = acl::Action::Allow};
    rule.match.source.group = group;
    return {.rules = {rule}, .origins = {{}}};
}

/// Denies what comes from members of the group, allows the rest.
acl::Program deny_from(GroupId group) {
    acl::Rule rule{.action = acl::Action::Deny};
    rule.match.source.group = group;
    return {.rules = {rule, {.action = acl::Action::Allow}}, .origins = {{}}};
}

/// Denies everything by a rule, not at the end.
acl::Program deny_rule() {
    acl::Program program = allow_all();
    program.rules[0].action = acl::Action::Deny;
    return program;
}

/// Takes a while to compile.
acl::Program long_program() {
    acl::Program program;
    program.rules.assign(2000, {.action = acl::Action::Deny});
    program.origins.resize(program.rules.size());
    return program;
}

class WorkloadsTest : public testing::Test {
  protected:
    [[nodiscard]] State state(const std::string& name) const {
        return lab.workloads->find(name)->state;
    }

    /// Does a fresh packet from outside reach the guest?
    bool reaches(const std::string& name, std::uint32_t address, std::uint32_t from = kOutside) {
        lab.receive(lab.fabric, RouterLab::from_outside(from, address, next_port_++));
        const PortId port = lab.port_of(name);
        return port != PortId{} && !lab.take_sent(port).empty();
    }

    std::string route(std::uint32_t address) const {
        const auto view = lab.machine->routes().lookup(host<V4>(address));
        return view ? std::string{to_string(view->source)} : "none";
    }

    RouterLab lab;

  private:
    std::uint16_t next_port_ = 1000;
};

TEST_F(WorkloadsTest, EndpointIsClosedUntilItsPolicyIsCompiled) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.machine->commit();
    EXPECT_EQ(state("a"), State::Compiling);
    EXPECT_FALSE(reaches("a", kAddress));
    EXPECT_TRUE(lab.announced.empty());
    const PortId port = lab.port_of("a");
    lab.receive(port, arp::request(kGuestMacA, host<V4>(kAddress), host<V4>(1), std::nullopt));
    EXPECT_EQ(lab.drops(port, DropReason::PortClosed), 1U);
    lab.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_TRUE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, HalfCompiledIsStillClosed) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    EXPECT_TRUE(lab.finish_one());  // ingress
    EXPECT_EQ(state("a"), State::Compiling);
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, AddressesAreAnnouncedWhenReady) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    EXPECT_EQ(lab.announced, (std::vector<std::string>{"+10.1.0.2/32", "+fd00::a01:2/128"}));
}

TEST_F(WorkloadsTest, APriorityOfItsOwnIsAnnouncedAndAnnouncedAgainWhenItChanges) {
    Workload workload = RouterLab::workload("a", kAddress);
    const auto announced_with = [&](std::optional<std::uint32_t> priority) {
        lab.announced.clear();
        workload.route_priority = priority;
        lab.workloads->update_workload(workload);
        lab.finish_all();
        return lab.announced;
    };
    using Said = std::vector<std::string>;
    EXPECT_EQ(announced_with(512), (Said{"+10.1.0.2/32 512", "+fd00::a01:2/128 512"}));
    EXPECT_EQ(announced_with(512), Said{});
    EXPECT_EQ(announced_with(std::nullopt), (Said{"+10.1.0.2/32", "+fd00::a01:2/128"}));
}

TEST_F(WorkloadsTest, AnAddressOfTwoHasThePriorityOfTheFirst) {
    Workload second = RouterLab::workload("b", kAddress);
    second.route_priority = 512;
    lab.workloads->update_workload(second);
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    EXPECT_EQ(lab.announced.back(), "+fd00::a01:2/128");
    lab.workloads->remove_workload("a");
    EXPECT_EQ(lab.announced.back(), "+fd00::a01:2/128 512");
}

TEST_F(WorkloadsTest, AddressesLeaveWithTheGuestAndComeBackWithIt) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    const Port& port = *lab.machine->port(lab.port_of("a"))->port;
    lab.announced.clear();
    lab.workloads->set_guest("a", port, true);  // its first coming is no news
    EXPECT_TRUE(lab.announced.empty());
    lab.workloads->set_guest("a", port, false);
    EXPECT_EQ(lab.announced, (std::vector<std::string>{"-10.1.0.2/32", "-fd00::a01:2/128"}));
    EXPECT_NE(route(kAddress), "workload");
    EXPECT_FALSE(reaches("a", kAddress));
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();  // a change of policy does not bring it back
    EXPECT_EQ(lab.announced.size(), 2U);
    lab.workloads->set_guest("a", port, true);
    EXPECT_EQ(lab.announced.size(), 4U);
    EXPECT_TRUE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, LastWordsOfAnEarlierPortAreIgnored) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.workloads->update_workload(RouterLab::workload("b", kGuestB));
    lab.finish_all();
    lab.announced.clear();
    lab.workloads->set_guest("a", *lab.machine->port(lab.port_of("b"))->port, false);
    lab.workloads->set_guest("gone", *lab.machine->port(lab.port_of("b"))->port, false);
    EXPECT_TRUE(lab.announced.empty());
}

TEST_F(WorkloadsTest, OldPolicyStaysInForceWhileTheNewIsCompiled) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    EXPECT_TRUE(reaches("a", kAddress));
    EXPECT_EQ(state("a"), State::Ready);
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, OnlyTheNewestOfSeveralPoliciesComesIntoForce) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    EXPECT_TRUE(lab.finish_one());
    EXPECT_TRUE(lab.finish_one());
    EXPECT_FALSE(reaches("a", kAddress));
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kAddress));
    EXPECT_EQ(lab.builder->built(), 3U);  // not the first one's egress
}

TEST_F(WorkloadsTest, DenialWaitsForNoLongProgramOfAnother) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    EXPECT_TRUE(lab.finish_one());
    lab.workloads->update_workload(RouterLab::workload("b", kGuestB, long_program()));
    EXPECT_TRUE(lab.finish_one());
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, DenialWaitsForNoLongProgramThatComesLater) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    lab.workloads->update_workload(RouterLab::workload("b", kGuestB));
    for (int answers = 0; answers < 3; ++answers) {  // ingress of both, egress of a
        EXPECT_TRUE(lab.finish_one());
    }
    EXPECT_TRUE(reaches("a", kAddress));  // b would share the commit
    lab.workloads->update_workload(RouterLab::workload("c", kGuestB + 1, long_program()));
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, DenialWaitsForNoLongProgramOfAHostEndpoint) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    lab.workloads->update_workload(RouterLab::workload("b", kGuestB));
    for (int answers = 0; answers < 3; ++answers) {
        EXPECT_TRUE(lab.finish_one());
    }
    HostGuard guard;
    guard.name = "host";
    guard.interface_name = "elsewhere";
    guard.programs[0] = std::make_shared<const acl::Program>(long_program());
    lab.workloads->update_host(guard);
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, DenialWaitsForNoStagedProgram) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();
    Workload workload = RouterLab::workload("a", kAddress, deny_all());
    workload.staged_ingress = std::make_shared<const acl::Program>(allow_all());
    lab.workloads->update_workload(workload);
    EXPECT_TRUE(lab.finish_one());
    EXPECT_TRUE(lab.finish_one());
    EXPECT_FALSE(reaches("a", kAddress));
    EXPECT_EQ(lab.workloads->find("a")->endpoint->v4.staged_ingress, nullptr);
    EXPECT_TRUE(lab.finish_one());
    EXPECT_NE(lab.workloads->find("a")->endpoint->v4.staged_ingress, nullptr);
}

TEST_F(WorkloadsTest, RemovedMemberWaitsForNoStagedProgram) {
    const GroupId group{7};
    lab.workloads->add_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    Workload workload = RouterLab::workload("a", kAddress, allow_from(group));
    workload.staged_ingress = std::make_shared<const acl::Program>(allow_all());
    lab.workloads->update_workload(workload);
    EXPECT_TRUE(lab.finish_one());
    EXPECT_TRUE(lab.finish_one());
    EXPECT_TRUE(reaches("a", kAddress));
    lab.workloads->remove_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, WhatIsOnlyStagedLetsNoFlowBeJudgedAgain) {
    Workload workload = RouterLab::workload("a", kAddress);
    lab.workloads->update_workload(workload);
    lab.finish_all();
    const auto generation = lab.machine->tables().policy_generation;
    workload.staged_ingress = std::make_shared<const acl::Program>(deny_rule());
    workload.staged_egress = std::make_shared<const acl::Program>(deny_rule());
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_NE(lab.workloads->find("a")->endpoint->v4.staged_egress, nullptr);
    EXPECT_EQ(lab.machine->tables().policy_generation, generation);
    workload.ingress = std::make_shared<const acl::Program>(deny_rule());
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_NE(lab.machine->tables().policy_generation, generation);
}

TEST_F(WorkloadsTest, StagedPolicyThatStaysIsCountedOn) {
    Workload workload = RouterLab::workload("a", kAddress);
    workload.staged_ingress = std::make_shared<const acl::Program>(deny_rule());
    lab.workloads->update_workload(workload);
    lab.finish_all();
    const auto staged = lab.workloads->find("a")->endpoint->v4.staged_ingress;
    workload.ingress = std::make_shared<const acl::Program>(allow_all());
    lab.workloads->update_workload(workload);
    EXPECT_TRUE(lab.finish_one());
    EXPECT_EQ(lab.workloads->find("a")->endpoint->v4.staged_ingress, staged);
    lab.finish_all();
    EXPECT_EQ(lab.workloads->find("a")->endpoint->v4.staged_ingress, staged);
}

TEST_F(WorkloadsTest, BothOwnersOfAnAddressAreTold) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.workloads->update_workload(RouterLab::workload("b", kAddress));
    lab.finish_all();
    EXPECT_TRUE(lab.workloads->find("a")->error.starts_with("10.1.0.2/32 is an address of b too; "))
        << lab.workloads->find("a")->error;
    EXPECT_TRUE(lab.workloads->find("b")->error.starts_with(
        "10.1.0.2/32 is an address of a too, which gets its packets; "));
    lab.workloads->remove_workload("a");
    EXPECT_EQ(lab.workloads->find("b")->error, "");
}

TEST_F(WorkloadsTest, TheFirstByNameWithAnInterfaceIsTold) {
    Workload workload = RouterLab::workload("b", kGuestB);
    workload.interface_name = "tap1";
    lab.workloads->update_workload(workload);
    EXPECT_EQ(lab.workloads->first_with("tap1"), "b");
    workload = RouterLab::workload("a", kAddress);
    workload.interface_name = "tap1";
    lab.workloads->update_workload(workload);
    EXPECT_EQ(lab.workloads->first_with("tap1"), "a");
    EXPECT_EQ(lab.workloads->names(), (std::set<std::string>{"a", "b"}));
    workload.interface_name = "tap2";
    lab.workloads->update_workload(workload);
    EXPECT_EQ(lab.workloads->first_with("tap1"), "b");
    EXPECT_EQ(lab.workloads->first_with("tap2"), "a");
    lab.workloads->remove_workload("b");
    EXPECT_EQ(lab.workloads->first_with("tap1"), "");
}

TEST_F(WorkloadsTest, PolicyChangeAnnouncesNothing) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    lab.announced.clear();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    lab.finish_all();
    EXPECT_TRUE(lab.announced.empty());
    EXPECT_EQ(lab.opened, 1);
}

TEST_F(WorkloadsTest, SharedProgramsAreCompiledOnce) {
    const Workload one = RouterLab::workload("a", kAddress, allow_all(), deny_all());
    const Workload two = RouterLab::workload("b", kGuestB, deny_all(), allow_all());
    for (std::uint32_t i = 0; i < 20; ++i) {
        Workload w = RouterLab::workload("w" + std::to_string(i), kGuestB + 1 + i);
        w.ingress = i % 2 == 0 ? one.ingress : two.ingress;
        w.egress = i % 2 == 0 ? one.egress : two.egress;
        lab.workloads->update_workload(w);
    }
    lab.finish_all();
    EXPECT_EQ(lab.builder->built(), 4U);
}

TEST_F(WorkloadsTest, ProgramInUseIsNotCompiledAgain) {
    Workload w = RouterLab::workload("a", kAddress);
    lab.workloads->update_workload(w);
    lab.finish_all();
    w.name = "b";
    lab.workloads->update_workload(w);
    lab.finish_all();
    EXPECT_EQ(lab.builder->built(), 2U);
}

TEST_F(WorkloadsTest, EndpointsThatBecomeReadyInABurstAreAllOpenAtItsEnd) {
    for (std::uint32_t i = 0; i < 50; ++i) {
        lab.workloads->update_workload(
            RouterLab::workload("w" + std::to_string(i), kGuestB + 1 + i));
    }
    const Tables* before = &lab.machine->tables();
    std::set<const Tables*> seen;
    while (lab.finish_one()) {
        seen.insert(&lab.machine->tables());
    }
    seen.erase(before);
    EXPECT_LE(seen.size(), 4U);
    for (std::uint32_t i = 0; i < 50; ++i) {
        EXPECT_TRUE(reaches("w" + std::to_string(i), kGuestB + 1 + i));
    }
}

TEST_F(WorkloadsTest, JudgementsAreCountedByRule) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kAddress));
    const auto again = RouterLab::from_outside(kOutside, kAddress, 1);
    lab.receive(lab.fabric, again);
    lab.receive(lab.fabric, again);  // of the flow that the first began
    const auto& v4 = lab.workloads->find("a")->endpoint->v4;
    EXPECT_EQ(v4.ingress->hits().sum(0), 2U);
    EXPECT_EQ(v4.egress->hits().sum(0), 0U);
}

TEST_F(WorkloadsTest, StagedPoliciesAreCountedButNeverObeyed) {
    Workload workload = RouterLab::workload("a", kAddress, allow_all());
    workload.staged_ingress = std::make_shared<const acl::Program>(deny_rule());
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kAddress));
    const auto staged = lab.workloads->find("a")->endpoint->v4.staged_ingress;
    ASSERT_NE(staged, nullptr);
    EXPECT_EQ(staged->hits().sum(0), 1U);
    workload.ingress = std::make_shared<const acl::Program>(deny_rule());
    workload.staged_ingress = std::make_shared<const acl::Program>(allow_all());
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kAddress));
    EXPECT_EQ(lab.workloads->find("a")->endpoint->v4.staged_ingress->hits().sum(0), 1U);
}

TEST_F(WorkloadsTest, NewMemberCountsAtOnce) {
    const GroupId group{7};
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_from(group)));
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kAddress));
    lab.workloads->add_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    EXPECT_TRUE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, RemovedMemberIsGoneAtOnceWhenNothingIsCompiled) {
    const GroupId group{7};
    lab.workloads->add_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_from(group)));
    lab.finish_all();
    lab.workloads->remove_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    EXPECT_FALSE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, RemovedMembersStayWhileTheirProgramIsReplaced) {
    const GroupId group{7};
    lab.workloads->add_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_from(group)));
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kAddress));
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    lab.workloads->remove_member(group, Prefix<V4>::host(host<V4>(kOutside)));
    EXPECT_FALSE(reaches("a", kAddress));
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kAddress));
    EXPECT_EQ(lab.machine->shared().groups4.size(), 0U);
}

/// A member leaves its group, and a program that does not name the group takes the old one's place, while a
/// worker may still run that.
class MemberThatLeaves : public WorkloadsTest {
  protected:
    void SetUp() override {
        lab.workloads->add_member(group, member);
        lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_from(group)));
        lab.finish_all();
        lab.machine->rcu().online(0);
        poll();
        lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
        lab.workloads->remove_member(group, member);
        lab.finish_all();
    }

    void TearDown() override {
        lab.machine->rcu().offline(0);
        lab.finish_all();
    }

    void poll() { lab.machine->workers()[0]->poll_once(); }

    std::size_t members() {
        lab.machine->housekeeping();
        return lab.machine->shared().groups4.size();
    }

    GroupId group{7};
    Prefix<V4> member = Prefix<V4>::host(host<V4>(kOutside));
};

TEST_F(MemberThatLeaves, StaysWhileAWorkerMayRunTheOldProgram) {
    EXPECT_EQ(members(), 1U);
    // Neither what is compiled by now nor other removals keep it longer.
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_all()));
    poll();
    EXPECT_EQ(members(), 0U);
}

TEST_F(MemberThatLeaves, StaysWhenItComesBackWhileAWorkerMayRunTheOldProgram) {
    lab.workloads->add_member(group, member);
    poll();
    EXPECT_EQ(members(), 1U);
}

/// What is handed over in slices may be in force before the last of it is told.
TEST_F(WorkloadsTest, MemberThatLeavesBehindItsProgramWaitsForWorkersToo) {
    const GroupId group{7};
    const Prefix<V4> member = Prefix<V4>::host(host<V4>(kOutside));
    const auto members = [&] {
        lab.machine->housekeeping();
        return lab.machine->shared().groups4.size();
    };
    lab.workloads->add_member(group, member);
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_from(group)));
    lab.finish_all();
    lab.machine->rcu().online(0);
    lab.machine->workers()[0]->poll_once();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, deny_all()));
    lab.finish_all();
    lab.workloads->remove_member(group, member);
    EXPECT_EQ(members(), 1U);
    lab.machine->workers()[0]->poll_once();
    EXPECT_EQ(members(), 0U);
    lab.machine->rcu().offline(0);
}

TEST_F(WorkloadsTest, ThousandsOfMembersLeaveSomeInATurn) {
    const GroupId group{7};
    const auto member = [](std::uint32_t i) { return Prefix<V4>::host(host<V4>(i)); };
    lab.open_at_once = false;
    lab.machine->rcu().online(0);
    for (std::uint32_t i = 0; i < 2000; ++i) {
        lab.workloads->add_member(group, member(i));
    }
    for (std::uint32_t i = 0; i < 2000; ++i) {
        lab.workloads->remove_member(group, member(i));
    }
    lab.machine->rcu().offline(0);
    const auto& groups = lab.machine->shared().groups4;
    lab.keep_house();
    lab.keep_house();  // those that came while the first one waited
    EXPECT_GT(groups.size(), 1000U);
    lab.workloads->add_member(group, member(0));  // is to go, or has gone
    while (lab.workloads->is_unfinished()) {
        const std::size_t before = groups.size();
        lab.workloads->finish();
        EXPECT_LE(before - groups.size(), 256U);
    }
    EXPECT_EQ(groups.size(), 1U);
}

TEST_F(WorkloadsTest, MembersInsideANetFollowSomeInATurn) {
    constexpr std::uint32_t kMembers = 2000;
    const GroupId group{7};
    const GroupId nets{8};
    const IpPrefix net = *Prefix<V4>::make(host<V4>(0), 16);
    lab.open_at_once = false;
    for (std::uint32_t i = 0; i < kMembers; ++i) {
        lab.workloads->add_member(group, Prefix<V4>::host(host<V4>(i)));
    }
    const auto inside = [&] {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < kMembers; ++i) {
            const GroupSet* set = lab.machine->shared().groups4.lookup(host<V4>(i));
            count += set->contains(nets) ? 1 : 0;
        }
        return count;
    };
    const auto follow = [&] {
        std::uint32_t turns = 0;
        for (; lab.workloads->is_unfinished(); ++turns) {
            const std::uint32_t before = inside();
            lab.workloads->finish();
            EXPECT_LE(std::max(before, inside()) - std::min(before, inside()), 256U);
        }
        return turns;
    };
    lab.workloads->add_member(nets, net);
    EXPECT_TRUE(lab.workloads->refresh_members());
    EXPECT_GT(follow(), 5U);
    EXPECT_EQ(inside(), kMembers);
    EXPECT_FALSE(lab.workloads->refresh_members());
    lab.workloads->remove_member(nets, net);
    lab.keep_house();
    EXPECT_GT(follow(), 5U);
    EXPECT_EQ(inside(), 0U);
}

/// As long as guests are in a pool with natOutgoing, what else is in it must be in one, too.
TEST_F(WorkloadsTest, NetGoesWhenMembersInsideTheOneBeforeHaveFollowed) {
    constexpr std::uint32_t kMembers = 1000;
    const IpPrefix net = *Prefix<V4>::make(host<V4>(0), 16);
    lab.open_at_once = false;
    for (std::uint32_t i = 0; i < kMembers; ++i) {
        lab.workloads->add_member(GroupId{7}, Prefix<V4>::host(host<V4>(i)));
    }
    for (const GroupId pools : {kAllPools, kNatPools}) {
        lab.workloads->add_member(pools, net);
        while (lab.workloads->refresh_members()) {
        }
    }
    lab.workloads->remove_member(kNatPools, net);
    lab.workloads->remove_member(kAllPools, net);
    const auto all = [&](GroupId pools) {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < kMembers; ++i) {
            const GroupSet* set = lab.machine->shared().groups4.lookup(host<V4>(i));
            count += set->contains(pools) ? 1 : 0;
        }
        return count;
    };
    lab.keep_house();
    for (; lab.workloads->is_unfinished(); lab.workloads->finish()) {
        EXPECT_TRUE(all(kNatPools) == 0 || all(kAllPools) == kMembers);
    }
    EXPECT_EQ(all(kAllPools), 0U);
}

TEST_F(WorkloadsTest, MemberThatComesBackMeanwhileStays) {
    const GroupId group{7};
    const Prefix<V4> member = Prefix<V4>::host(host<V4>(kOutside));
    lab.workloads->add_member(group, member);
    lab.workloads->update_workload(RouterLab::workload("a", kAddress, allow_from(group)));
    lab.workloads->remove_member(group, member);
    lab.workloads->add_member(group, member);
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, ChangedAttachmentOpensAnotherPort) {
    Workload w = RouterLab::workload("a", kAddress);
    lab.workloads->update_workload(w);
    lab.finish_all();
    w.attachment.vhost_socket = "/elsewhere";
    lab.workloads->update_workload(w);
    EXPECT_EQ(lab.opened, 2);
    EXPECT_EQ(state("a"), State::Compiling);
    EXPECT_EQ(route(kAddress), "none");
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kAddress));
}

TEST_F(WorkloadsTest, InactiveEndpointServesNothing) {
    Workload w = RouterLab::workload("a", kAddress);
    w.active = false;
    lab.workloads->update_workload(w);
    lab.finish_all();
    EXPECT_EQ(state("a"), State::Inactive);
    EXPECT_EQ(route(kAddress), "none");
    EXPECT_TRUE(lab.announced.empty());
}

TEST_F(WorkloadsTest, LimitsAreThoseOfTheEndpoint) {
    Workload workload = RouterLab::workload("a", kAddress);
    const auto limits = [&] { return lab.workloads->find("a")->endpoint->limits; };
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_EQ(limits(), nullptr);
    workload.qos.egress.bandwidth = 1000;
    lab.workloads->update_workload(workload);
    lab.finish_all();
    ASSERT_NE(limits(), nullptr);
    EXPECT_TRUE(limits()->egress.bits.limits());
    EXPECT_FALSE(limits()->ingress.limits_rates());
}

TEST_F(WorkloadsTest, NoChangeFillsABucket) {
    Workload workload = RouterLab::workload("a", kAddress);
    workload.qos.ingress = {.packet_rate = 1, .packet_burst = 2};
    const auto state = [&] { return lab.workloads->find("a")->endpoint->limits->ingress.state; };
    lab.workloads->update_workload(workload);
    lab.finish_all();
    const auto before = state();
    workload.ingress = std::make_shared<const acl::Program>(deny_rule());
    workload.qos.ingress.packet_burst = 3;
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_EQ(state(), before);
}

TEST_F(WorkloadsTest, WhatItMaySpoofIsNeitherRoutedNorAnnounced) {
    Workload workload = RouterLab::workload("a", kAddress);
    workload.spoofable4 = {*Prefix<V4>::parse("198.51.100.0/24")};
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_EQ(lab.announced.size(), 2U);
    EXPECT_EQ(route(0xc6336401), "none");
    EXPECT_EQ(lab.workloads->find("a")->endpoint->v4.spoofable, workload.spoofable4);
}

TEST_F(WorkloadsTest, EndpointTakenDownWithdrawsItsAddresses) {
    Workload w = RouterLab::workload("a", kAddress);
    lab.workloads->update_workload(w);
    lab.finish_all();
    lab.announced.clear();
    w.active = false;
    lab.workloads->update_workload(w);
    lab.finish_all();
    EXPECT_EQ(route(kAddress), "none");
    EXPECT_EQ(lab.announced, (std::vector<std::string>{"-10.1.0.2/32", "-fd00::a01:2/128"}));
}

TEST_F(WorkloadsTest, ChangedAddressesMoveRoutes) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    lab.workloads->update_workload(RouterLab::workload("a", kGuestB));
    lab.finish_all();
    EXPECT_EQ(route(kAddress), "none");
    EXPECT_TRUE(reaches("a", kGuestB));
}

TEST_F(WorkloadsTest, FailedPortIsTriedAgain) {
    lab.refuse_open = "no such directory";
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    EXPECT_EQ(state("a"), State::Failed);
    EXPECT_EQ(lab.workloads->find("a")->error, "no such directory");
    lab.workloads->retry_failed();
    EXPECT_EQ(state("a"), State::Failed);
    lab.refuse_open.clear();
    lab.workloads->retry_failed();
    lab.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_TRUE(lab.workloads->find("a")->error.empty());
}

TEST_F(WorkloadsTest, RemovedEndpointLeavesNothing) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    lab.announced.clear();
    lab.workloads->remove_workload("a");
    EXPECT_FALSE(lab.workloads->find("a"));
    EXPECT_EQ(route(kAddress), "none");
    EXPECT_EQ(lab.announced.size(), 2U);
    EXPECT_EQ(lab.slow_path->neighbors4().size(), 0U);
    lab.keep_house();
    EXPECT_EQ(lab.machine->ports().size(), 1U);
}

TEST_F(WorkloadsTest, EndpointRemovedWhileItIsCompiledStaysAway) {
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.workloads->remove_workload("a");
    lab.finish_all();
    EXPECT_FALSE(lab.workloads->find("a"));
    EXPECT_EQ(route(kAddress), "none");
}

TEST_F(WorkloadsTest, SuccessorKeepsTheAddressWhenItsPredecessorGoes) {
    lab.workloads->update_workload(RouterLab::workload("old", kAddress));
    lab.finish_all();
    lab.workloads->update_workload(RouterLab::workload("successor", kAddress));
    lab.finish_all();
    lab.announced.clear();
    lab.workloads->remove_workload("old");
    EXPECT_TRUE(lab.announced.empty());
    EXPECT_TRUE(reaches("successor", kAddress));
}

TEST_F(WorkloadsTest, OfTwoWithOneAddressTheFirstByNameGetsThePackets) {
    for (const std::string name : {"b", "a"}) {
        lab.workloads->update_workload(RouterLab::workload(name, kAddress));
        lab.finish_all();
    }
    EXPECT_TRUE(reaches("a", kAddress));
}

// Floating addresses.

constexpr std::uint32_t kFloating = 0xcb007109;

/// With one in each family.
Workload floating(const std::string& name, std::uint32_t address, std::uint32_t external) {
    Workload w = RouterLab::workload(name, address);
    w.floating = {{host<V4>(external), host<V4>(address)}, {host<V6>(external), host<V6>(address)}};
    return w;
}

TEST_F(WorkloadsTest, FloatingAddressIsAnnouncedAndReachesTheGuest) {
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    EXPECT_EQ(
        lab.announced,
        (std::vector<std::string>{
            "+10.1.0.2/32", "+fd00::a01:2/128", "+203.0.113.9/32", "+fd00::cb00:7109/128"}));
    EXPECT_TRUE(reaches("a", kFloating));
    EXPECT_EQ(route(kFloating), "workload");
}

TEST_F(WorkloadsTest, FloatingAddressLeavesWithTheGuestAndComesBackWithIt) {
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    lab.announced.clear();
    const Port& port = *lab.machine->port(lab.port_of("a"))->port;
    lab.workloads->set_guest("a", port, false);
    EXPECT_EQ(std::ranges::count(lab.announced, "-203.0.113.9/32"), 1);
    EXPECT_FALSE(reaches("a", kFloating));
    lab.workloads->set_guest("a", port, true);
    EXPECT_EQ(std::ranges::count(lab.announced, "+203.0.113.9/32"), 1);
    EXPECT_TRUE(reaches("a", kFloating));
}

TEST_F(WorkloadsTest, FlowsOfAFloatingAddressWaitForTheirGuest) {
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    ASSERT_TRUE(reaches("a", kFloating));
    const Port& port = *lab.machine->port(lab.port_of("a"))->port;
    lab.workloads->set_guest("a", port, false);
    lab.workloads->set_guest("a", port, true);
    lab.keep_house();
    EXPECT_EQ(lab.machine->shared().flows4.size(), 1U);
    EXPECT_TRUE(reaches("a", kFloating));
}

TEST_F(WorkloadsTest, FlowsOfAFloatingAddressDoNotWaitWhereItIsTaken) {
    const auto end = [&](bool of_b) {
        of_b ? lab.workloads->update_workload(floating("b", kGuestB, kFloating))
             : lab.workloads->update_workload(RouterLab::workload("a", kAddress));
        lab.finish_all();
        lab.machine->housekeeping();
        return lab.machine->shared().flows4.size();
    };
    for (const bool of_b : {false, true}) {
        lab.workloads->update_workload(floating("a", kAddress, kFloating));
        lab.finish_all();
        ASSERT_TRUE(reaches("a", kFloating));
        const Port& port = *lab.machine->port(lab.port_of("a"))->port;
        lab.workloads->set_guest("a", port, false);
        EXPECT_EQ(end(of_b), 0U) << (of_b ? "another has it" : "it is its no more");
        lab.workloads->set_guest("a", port, true);
    }
}

TEST_F(WorkloadsTest, FlowsOfAFloatingAddressEndWithIt) {
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    ASSERT_TRUE(reaches("a", kFloating));
    ASSERT_TRUE(reaches("a", kAddress));
    ASSERT_EQ(lab.machine->shared().flows4.size(), 2U);
    lab.announced.clear();
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    EXPECT_EQ(lab.announced, (std::vector<std::string>{"-203.0.113.9/32", "-fd00::cb00:7109/128"}));
    EXPECT_EQ(route(kFloating), "none");
    lab.keep_house();
    EXPECT_EQ(lab.machine->shared().flows4.size(), 1U);
}

TEST_F(WorkloadsTest, ChangedPolicyEndsNoFlowOfAFloatingAddress) {
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    ASSERT_TRUE(reaches("a", kFloating));
    lab.announced.clear();
    Workload changed = floating("a", kAddress, kFloating);
    changed.ingress = std::make_shared<const acl::Program>(deny_all());
    lab.workloads->update_workload(changed);
    lab.finish_all();
    lab.keep_house();
    EXPECT_TRUE(lab.announced.empty());
    EXPECT_EQ(lab.machine->shared().flows4.size(), 1U);
    EXPECT_FALSE(reaches("a", kFloating));
}

TEST_F(WorkloadsTest, FloatingAddressMovesToAnotherGuest) {
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.workloads->update_workload(RouterLab::workload("b", kGuestB));
    lab.finish_all();
    ASSERT_TRUE(reaches("a", kFloating));
    lab.workloads->update_workload(floating("b", kGuestB, kFloating));
    lab.workloads->update_workload(RouterLab::workload("a", kAddress));
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kFloating));
    EXPECT_TRUE(reaches("b", kFloating));
    lab.keep_house();
    EXPECT_EQ(lab.machine->shared().flows4.size(), 2U) << "only those to b";
}

TEST_F(WorkloadsTest, OfTwoWithOneFloatingAddressTheFirstByNameHasIt) {
    lab.workloads->update_workload(floating("b", kGuestB, kFloating));
    lab.finish_all();
    ASSERT_TRUE(reaches("b", kFloating));
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    EXPECT_FALSE(reaches("b", kFloating));
    EXPECT_TRUE(reaches("a", kFloating));
    EXPECT_NE(lab.workloads->find("b")->error.find("which gets its packets"), std::string::npos);
    EXPECT_NE(lab.workloads->find("a")->error.find("is an address of b too"), std::string::npos);
    lab.workloads->remove_workload("a");
    EXPECT_TRUE(reaches("b", kFloating));
}

TEST_F(WorkloadsTest, NobodyLosesHisOwnAddressToAFloatingOne) {
    lab.workloads->update_workload(floating("a", kAddress, kGuestB));
    lab.workloads->update_workload(RouterLab::workload("b", kGuestB));
    lab.finish_all();
    EXPECT_TRUE(reaches("b", kGuestB));
    EXPECT_NE(lab.workloads->find("a")->error.find("which gets its packets"), std::string::npos);
    lab.workloads->remove_workload("b");
    EXPECT_TRUE(reaches("a", kGuestB));
}

TEST_F(WorkloadsTest, ReservedFloatingAddressIsRefusedAndItsEndpointIsNot) {
    lab.reserved = "203.0.113.9/32";
    lab.workloads->update_workload(floating("a", kAddress, kFloating));
    lab.finish_all();
    EXPECT_EQ(
        lab.announced,
        (std::vector<std::string>{"+10.1.0.2/32", "+fd00::a01:2/128", "+fd00::cb00:7109/128"}));
    EXPECT_FALSE(reaches("a", kFloating));
    EXPECT_EQ(route(kFloating), "none");
    EXPECT_TRUE(reaches("a", kAddress));
    EXPECT_NE(
        lab.workloads->find("a")->error.find("203.0.113.9/32 is an address of this host"),
        std::string::npos);
}

TEST_F(WorkloadsTest, FloatingAddressIsAnnouncedWithThePriorityOfWhoHasIt) {
    Workload wanted = floating("a", kAddress, kFloating);
    wanted.route_priority = 7;
    lab.workloads->update_workload(floating("b", kGuestB, kFloating));
    lab.finish_all();
    lab.announced.clear();
    lab.workloads->update_workload(wanted);
    lab.finish_all();
    EXPECT_EQ(std::ranges::count(lab.announced, "+203.0.113.9/32 7"), 1);
    lab.announced.clear();
    lab.workloads->remove_workload("a");
    EXPECT_EQ(std::ranges::count(lab.announced, "+203.0.113.9/32"), 1);
}

TEST_F(WorkloadsTest, MacThatIsNoLongerKnownIsResolvedAgain) {
    Workload w = RouterLab::workload("a", kAddress);
    lab.workloads->update_workload(w);
    lab.finish_all();
    w.mac.reset();
    lab.workloads->update_workload(w);
    lab.finish_all();
    EXPECT_FALSE(lab.slow_path->neighbors4().find({lab.port_of("a"), host<V4>(kAddress)}));
}

}  // namespace
}  // namespace vr::workloads_test
