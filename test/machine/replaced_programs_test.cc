// Programs that take the place of others: of all endpoints that have them, in one step, whatever else is on its way.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "test/machine/router_lab.h"
#include "vrouter/workloads.h"

namespace vr::replaced_programs_test {
namespace {

using namespace vr::test;
using State = WorkloadView::State;
using Program = std::shared_ptr<const acl::Program>;

Program shared(const acl::Program& program) {
    return std::make_shared<const acl::Program>(program);
}

class ReplacedPrograms : public testing::Test {
  protected:
    Workload add(const std::string& name, std::uint32_t address) {
        Workload workload = RouterLab::workload(name, address);
        workload.ingress = ingress_;
        workload.egress = egress_;
        lab.workloads->update_workload(workload);
        return workload;
    }

    void replace(Program& program, const acl::Program& by) {
        Program after = shared(by);
        lab.workloads->replace_programs({{program, after}});
        program = std::move(after);
    }

    [[nodiscard]] State state(const std::string& name) const {
        return lab.workloads->find(name)->state;
    }

    /// Does a fresh packet from outside reach the guest?
    bool reaches(const std::string& name, std::uint32_t address) {
        lab.receive(lab.fabric, RouterLab::from_outside(kOutside, address, next_port_++));
        const PortId port = lab.port_of(name);
        return port != PortId{} && !lab.take_sent(port).empty();
    }

    RouterLab lab;
    Program ingress_ = shared(allow_all());
    Program egress_ = shared(allow_all());

  private:
    std::uint16_t next_port_ = 1000;
};

TEST_F(ReplacedPrograms, CountForAllWhoHaveThemAndAreCompiledOnce) {
    add("a", kGuestA);
    add("b", kGuestB);
    lab.workloads->update_workload(RouterLab::workload("c", kGuestB + 1));
    lab.finish_all();
    const auto built = lab.builder->built();
    replace(ingress_, deny_all());
    EXPECT_TRUE(reaches("a", kGuestA));  // until it is compiled
    EXPECT_TRUE(lab.finish_one());
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_FALSE(reaches("b", kGuestB));
    EXPECT_TRUE(reaches("c", kGuestB + 1));
    EXPECT_FALSE(lab.finish_one());
    EXPECT_EQ(lab.builder->built(), built + 1);
}

TEST_F(ReplacedPrograms, AnnounceNothingAndAreShown) {
    add("a", kGuestA);
    lab.finish_all();
    lab.announced.clear();
    replace(ingress_, deny_all());
    lab.finish_all();
    EXPECT_TRUE(lab.announced.empty());
    EXPECT_EQ(lab.workloads->find("a")->workload.ingress, ingress_);
}

TEST_F(ReplacedPrograms, AreKeptByNobody) {
    add("a", kGuestA);
    lab.finish_all();
    const std::weak_ptr before = ingress_;
    replace(ingress_, deny_all());
    lab.finish_all();
    lab.machine->housekeeping();
    EXPECT_TRUE(before.expired());
}

TEST_F(ReplacedPrograms, OfBothDirectionsCountTogether) {
    add("a", kGuestA);
    lab.finish_all();
    const Program in = shared(deny_all());
    const Program out = shared(deny_all());
    lab.workloads->replace_programs({{ingress_, in}, {egress_, out}});
    EXPECT_TRUE(lab.finish_one());
    EXPECT_TRUE(reaches("a", kGuestA));
    EXPECT_TRUE(lab.finish_one());
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_EQ(&lab.workloads->find("a")->endpoint->v4.egress->program(), out.get());
}

TEST_F(ReplacedPrograms, LeaveANewEndpointClosedUntilTheyAreCompiled) {
    add("a", kGuestA);
    EXPECT_TRUE(lab.finish_one());  // the old ingress
    replace(ingress_, deny_all());
    EXPECT_TRUE(lab.finish_one());  // the old egress, which nobody waits for
    EXPECT_EQ(state("a"), State::Compiling);
    lab.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_EQ(lab.announced.size(), 2U);
}

TEST_F(ReplacedPrograms, ServeOpenAndNewEndpointsTogether) {
    add("a", kGuestA);
    lab.finish_all();
    add("b", kGuestB);
    replace(ingress_, deny_all());
    lab.finish_all();
    EXPECT_EQ(state("b"), State::Ready);
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_FALSE(reaches("b", kGuestB));
    EXPECT_EQ(&lab.workloads->find("b")->endpoint->v6.egress->program(), egress_.get());
}

TEST_F(ReplacedPrograms, LoseNoOtherChangeThatIsOnItsWay) {
    Workload workload = add("a", kGuestA);
    lab.finish_all();
    workload.addresses4 = {Prefix<V4>::host(host<V4>(kGuestB))};
    lab.workloads->update_workload(workload);
    replace(egress_, deny_all());
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kGuestB));
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_EQ(&lab.workloads->find("a")->endpoint->v4.egress->program(), egress_.get());
}

TEST_F(ReplacedPrograms, GiveWayToAChangeOfTheEndpoint) {
    Workload workload = add("a", kGuestA);
    lab.finish_all();
    replace(ingress_, deny_all());
    workload.ingress = shared(allow_all());
    lab.workloads->update_workload(workload);
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kGuestA));
}

TEST_F(ReplacedPrograms, OfSeveralTheNewestCounts) {
    add("a", kGuestA);
    lab.finish_all();
    replace(ingress_, deny_all());
    replace(ingress_, allow_all());
    replace(egress_, deny_all());
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kGuestA));
    EXPECT_EQ(&lab.workloads->find("a")->endpoint->v4.ingress->program(), ingress_.get());
    EXPECT_EQ(&lab.workloads->find("a")->endpoint->v4.egress->program(), egress_.get());
}

TEST_F(ReplacedPrograms, PassByAnEndpointThatIsGone) {
    add("a", kGuestA);
    add("b", kGuestB);
    lab.finish_all();
    replace(ingress_, deny_all());
    lab.workloads->remove_workload("a");
    lab.finish_all();
    EXPECT_FALSE(lab.workloads->find("a"));
    EXPECT_FALSE(reaches("b", kGuestB));
}

TEST_F(ReplacedPrograms, AreThoseOfAPortThatOpensLater) {
    lab.refuse_open = "no such directory";
    add("a", kGuestA);
    replace(ingress_, deny_all());
    EXPECT_EQ(state("a"), State::Failed);
    lab.refuse_open.clear();
    lab.workloads->retry_failed();
    lab.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_FALSE(reaches("a", kGuestA));
}

TEST_F(ReplacedPrograms, AreThoseOfAPortThatWasClosedMeanwhile) {
    add("a", kGuestA);
    lab.finish_all();
    replace(ingress_, deny_all());
    lab.reserved = "10.1.0.2/32";
    lab.workloads->reserved_changed();
    EXPECT_EQ(state("a"), State::Failed);
    lab.finish_all();
    lab.reserved.clear();
    lab.workloads->retry_failed();
    lab.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_EQ(lab.announced.back().front(), '+');
}

TEST_F(ReplacedPrograms, ThatAreOnlyStagedChangeNoVerdict) {
    Workload workload = RouterLab::workload("a", kGuestA);
    workload.staged_ingress = ingress_;
    lab.workloads->update_workload(workload);
    lab.finish_all();
    const auto generation = lab.machine->tables().policy_generation;
    replace(ingress_, deny_all());
    EXPECT_TRUE(reaches("a", kGuestA));
    lab.finish_all();
    EXPECT_TRUE(reaches("a", kGuestA));
    const auto endpoint = lab.workloads->find("a")->endpoint;
    EXPECT_EQ(&endpoint->v4.staged_ingress->program(), ingress_.get());
    EXPECT_EQ(lab.machine->tables().policy_generation, generation);
}

TEST_F(ReplacedPrograms, LetMembersStayWhileTheyAreCompiled) {
    const GroupId group{7};
    const Prefix<V4> member = Prefix<V4>::host(host<V4>(kOutside));
    acl::Rule rule{.action = acl::Action::Deny};
    rule.match.source.group = group;
    ingress_ = shared({.rules = {rule, {.action = acl::Action::Allow}}, .origins = {{}}});
    lab.workloads->add_member(group, member);
    add("a", kGuestA);
    lab.finish_all();
    replace(ingress_, deny_all());
    lab.workloads->remove_member(group, member);
    EXPECT_FALSE(reaches("a", kGuestA));
    lab.finish_all();
    EXPECT_FALSE(reaches("a", kGuestA));
    EXPECT_EQ(lab.machine->shared().groups4.size(), 0U);
}

TEST_F(ReplacedPrograms, EndNoFlowOfAFloatingAddressAndFillNoBucket) {
    Workload workload = RouterLab::workload("a", kGuestA);
    workload.ingress = ingress_;
    workload.floating = {{IpAddr{host<V4>(kGuestB)}, IpAddr{host<V4>(kGuestA)}}};
    workload.qos.ingress.packet_rate = 1000;
    lab.workloads->update_workload(workload);
    lab.finish_all();
    const auto before = lab.workloads->find("a")->endpoint;
    replace(ingress_, deny_all());
    lab.finish_all();
    const auto now = lab.workloads->find("a")->endpoint;
    EXPECT_NE(now, before);
    EXPECT_EQ(now->v4.translations.at(0).id, before->v4.translations.at(0).id);
    EXPECT_EQ(now->limits, before->limits);
}

}  // namespace
}  // namespace vr::replaced_programs_test
