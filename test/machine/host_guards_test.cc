// What guards a port of the host: which host endpoint, from when on, and never anything in between.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/host_guards.h"

#include <gtest/gtest.h>

#include "test/machine/router_lab.h"
#include "vrouter/daemon/closed_host.h"

namespace vr::host_guards_test {
namespace {

using namespace vr::test;

class HostGuardsTest : public testing::Test {
  protected:
    HostGuardsTest() : tap_(lab_.add_port("vr0", PortKind::Host, Mac{{2, 0, 0, 0, 0, 9}})) {
        lab_.machine->set_host_port(tap_, kHostMac);
        lab_.machine->commit();
    }

    static HostGuard guard(
        const std::string& name,
        const std::string& interface,
        const acl::Program& ingress = allow_port(80),
        const std::vector<IpAddr>& addresses = {}) {
        HostGuard made;
        made.name = name;
        made.interface_name = interface;
        made.addresses = addresses;
        made.programs[static_cast<std::size_t>(HostHook::NormalIngress)] =
            std::make_shared<const acl::Program>(ingress);
        made.programs[static_cast<std::size_t>(HostHook::NormalEgress)] =
            std::make_shared<const acl::Program>(allow_all());
        return made;
    }

    /// Whether a new flow to a port of the host gets there.
    bool opens(std::uint16_t port) {
        const Envelope<V4> envelope{
            .link_source = kGatewayMac,
            .link_destination = kFabricMac,
            .source = host<V4>(kOutside),
            .destination = host<V4>(kFabricAddress)};
        lab_.receive(lab_.fabric, frame_of(envelope, udp_header(++flow_, port)));
        return !lab_.take_sent(tap_).empty();
    }

    HostGuardView::State state(const std::string& name) {
        for (const auto& view : lab_.workloads->view_hosts()) {
            if (view.guard.name == name) {
                return view.state;
            }
        }
        ADD_FAILURE() << "no host endpoint " << name;
        return {};
    }

    /// What counts for the staged program of new flows to the host.
    std::shared_ptr<const acl::Classifier<V4>> staged() {
        const auto views = lab_.workloads->view_hosts();
        return views.front().policy->staged4[kIngress];
    }

    static constexpr auto kIngress = static_cast<std::size_t>(HostHook::NormalIngress);

    void update(const HostGuard& guard) { lab_.workloads->update_host(guard); }

    RouterLab lab_;
    PortId tap_;
    std::uint16_t flow_ = 1000;
};

using State = HostGuardView::State;

TEST_F(HostGuardsTest, TakesEffectInOneStep) {
    update(guard("a", "fabric"));
    EXPECT_EQ(state("a"), State::Compiling);
    EXPECT_TRUE(opens(81)) << "as before";
    lab_.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_TRUE(opens(80));
    EXPECT_FALSE(opens(81));
}

TEST_F(HostGuardsTest, AChangedPolicyReplacesTheOldWithoutAGap) {
    update(guard("a", "fabric"));
    lab_.finish_all();
    update(guard("a", "fabric", allow_port(81)));
    EXPECT_FALSE(opens(81));
    EXPECT_TRUE(opens(80));
    lab_.finish_all();
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(opens(80));
}

TEST_F(HostGuardsTest, AReplacedEndpointStaysUntilItsSuccessorIsThere) {
    update(guard("a", "fabric"));
    lab_.finish_all();
    update(guard("b", "fabric", allow_port(81)));
    lab_.workloads->remove_host("a");
    EXPECT_FALSE(opens(82));
    EXPECT_FALSE(opens(81));
    lab_.finish_all();
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(opens(80));
    EXPECT_EQ(lab_.workloads->view_hosts().size(), 1U);
}

TEST_F(HostGuardsTest, OneThatComesBackMeanwhileStays) {
    update(guard("a", "fabric"));
    lab_.finish_all();
    update(guard("b", "eth9"));
    lab_.workloads->remove_host("a");
    update(guard("a", "fabric", allow_port(81)));
    lab_.finish_all();
    EXPECT_EQ(state("a"), State::Ready);
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(opens(80));
}

TEST_F(HostGuardsTest, WhatGoesIsInForceUntilPortsAreAssignedInAnotherTurn) {
    const GroupId group{7};
    const Prefix<V4> outside = Prefix<V4>::host(host<V4>(kOutside));
    acl::Program deny_group = allow_all();
    deny_group.rules.insert(deny_group.rules.begin(), {.action = acl::Action::Deny});
    deny_group.rules[0].match.source.group = group;
    lab_.workloads->add_member(group, outside);
    update(guard("a", "fabric", deny_group));
    update(guard("b", "eth9"));
    lab_.finish_all();
    lab_.open_at_once = false;
    lab_.workloads->remove_host("a");
    lab_.workloads->remove_host("b");
    lab_.workloads->remove_member(group, outside);
    EXPECT_FALSE(opens(80));
    EXPECT_TRUE(lab_.workloads->is_unfinished());
    lab_.workloads->finish();
    EXPECT_FALSE(lab_.workloads->is_unfinished());
    EXPECT_TRUE(opens(80));
    lab_.machine->housekeeping();
    EXPECT_EQ(lab_.machine->shared().groups4.size(), 0U);
}

TEST_F(HostGuardsTest, WithTheLastOneTheHostIsOpenAgain) {
    update(guard("a", "fabric"));
    lab_.finish_all();
    ASSERT_TRUE(lab_.machine->tables().guarded);
    lab_.workloads->remove_host("a");
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(lab_.machine->tables().guarded);
}

TEST_F(HostGuardsTest, WhatItBeginsWithIsInForceAtOnceAndUntilASuccessorIsThere) {
    lab_.workloads->begin_with_host(guard("(start)", "*"));
    lab_.machine->commit();
    EXPECT_TRUE(opens(80));
    EXPECT_FALSE(opens(81));
    update(guard("b", "fabric", allow_port(81)));
    lab_.workloads->remove_host("(start)");
    EXPECT_FALSE(opens(81));
    lab_.finish_all();
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(opens(80));
}

TEST_F(HostGuardsTest, AClosedHostIsOpenForFailsafePortsAndWhatItsConfigNeeds) {
    const auto config = daemon::parse_config(
        "node: a\nbgp: {as: 1, router_id: 192.0.2.1, neighbors: [{address: 192.0.2.2, as: 1, bfd: "
        "{multihop: true}}]}",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    lab_.workloads->begin_with_host(daemon::closed_host(*config));
    lab_.machine->commit();
    EXPECT_TRUE(opens(68)) << "DHCP";
    EXPECT_TRUE(opens(4784)) << "BFD";
    EXPECT_FALSE(opens(3784));
    EXPECT_FALSE(opens(80));
    lab_.workloads->remove_host(std::string(daemon::kClosedHost));
    EXPECT_TRUE(opens(80));
}

TEST_F(HostGuardsTest, TheLowerNameWins) {
    update(guard("b", "fabric", allow_port(81)));
    lab_.finish_all();
    update(guard("a", "fabric", allow_port(82)));
    EXPECT_TRUE(opens(81)) << "the lower name is not ready yet";
    lab_.finish_all();
    EXPECT_TRUE(opens(82));
    EXPECT_FALSE(opens(81));
    EXPECT_EQ(state("b"), State::Unused);
    lab_.workloads->remove_host("a");
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(opens(82));
}

TEST_F(HostGuardsTest, AllInterfacesComeLast) {
    update(guard("a", "*", allow_port(81)));
    update(guard("b", "fabric", allow_port(82)));
    lab_.finish_all();
    EXPECT_TRUE(opens(82));
    EXPECT_FALSE(opens(81));
    EXPECT_EQ(state("a"), State::Ready) << "workloads may ask it";
    lab_.workloads->remove_host("b");
    EXPECT_TRUE(opens(81));
}

TEST_F(HostGuardsTest, OfThoseForAllInterfacesAClosedOneComesFirst) {
    HostGuard closed = guard("b", "*", allow_port(82));
    closed.closed = true;
    update(guard("a", "*", allow_port(81)));
    update(closed);
    lab_.finish_all();
    EXPECT_TRUE(opens(82));
    EXPECT_FALSE(opens(81));
}

TEST_F(HostGuardsTest, OfAnUnknownInterfaceItGuardsNothing) {
    update(guard("a", "eth9"));
    lab_.finish_all();
    EXPECT_EQ(state("a"), State::Unused);
    EXPECT_EQ(lab_.workloads->view_hosts().front().problem, "no port is called eth9");
    EXPECT_TRUE(opens(81));
}

TEST_F(HostGuardsTest, AnExpectedAddressTellsThePort) {
    const PortId second = *lab_.machine->add_port(
        {.name = "second",
         .kind = PortKind::Fabric,
         .port = std::make_unique<MemoryPort>(kFabricMac),
         .mac = kFabricMac,
         .addresses = {IpAddr{Ip4{0xc6336401}}}});
    update(guard("a", "", allow_all(), {IpAddr{Ip4{0xc6336401}}}));
    lab_.finish_all();
    EXPECT_EQ(lab_.workloads->view_hosts().front().ports, std::vector{second});
}

/// Members leave a group only when every program that was compiled meanwhile is in force.
TEST_F(HostGuardsTest, MembersLeaveBehindTheProgramsThatNamedThem) {
    acl::Program of_group = deny_all();
    acl::Rule rule{.action = acl::Action::Allow};
    rule.match.source.group = GroupId{5};
    of_group.rules.insert(of_group.rules.begin(), rule);
    const IpPrefix member{Prefix<V4>::host(host<V4>(kOutside))};
    lab_.workloads->add_member(GroupId{5}, member);
    update(guard("a", "fabric", of_group));
    lab_.finish_all();
    EXPECT_TRUE(opens(80));
    update(guard("a", "fabric", allow_port(80)));
    lab_.workloads->remove_member(GroupId{5}, member);
    EXPECT_TRUE(opens(80)) << "the old program with its group";
    lab_.finish_all();
    EXPECT_TRUE(opens(80));
    EXPECT_EQ(lab_.machine->shared().groups4.lookup(host<V4>(kOutside))->ids().size(), 0U);
}

TEST_F(HostGuardsTest, StagedPoliciesAreCountedButNeverObeyed) {
    HostGuard made = guard("a", "fabric");
    made.staged[kIngress] = std::make_shared<const acl::Program>(allow_all());
    update(made);
    lab_.finish_all();
    EXPECT_TRUE(opens(80));
    EXPECT_FALSE(opens(81));
    ASSERT_NE(staged(), nullptr);
    EXPECT_EQ(staged()->hits().sum(0), 2U);
}

TEST_F(HostGuardsTest, DenialWaitsForNoStagedProgram) {
    HostGuard made = guard("a", "fabric");
    made.staged[kIngress] = std::make_shared<const acl::Program>(allow_all());
    update(made);
    EXPECT_TRUE(lab_.finish_one());
    EXPECT_TRUE(lab_.finish_one());
    EXPECT_FALSE(opens(81));
    EXPECT_EQ(staged(), nullptr);
    EXPECT_TRUE(lab_.finish_one());
    EXPECT_NE(staged(), nullptr);
}

TEST_F(HostGuardsTest, StagedPolicyThatStaysIsCountedOn) {
    HostGuard made = guard("a", "fabric");
    made.staged[kIngress] = std::make_shared<const acl::Program>(allow_all());
    update(made);
    lab_.finish_all();
    const auto before = staged();
    made.programs[kIngress] = std::make_shared<const acl::Program>(allow_port(81));
    update(made);
    EXPECT_TRUE(lab_.finish_one());
    EXPECT_TRUE(lab_.finish_one());
    EXPECT_EQ(staged(), before);
    made.staged[kIngress] = nullptr;
    update(made);
    lab_.finish_all();
    EXPECT_EQ(staged(), nullptr);
}

TEST_F(HostGuardsTest, WhatIsOnlyStagedLetsNoFlowBeJudgedAgain) {
    HostGuard made = guard("a", "fabric");
    update(made);
    lab_.finish_all();
    const auto generation = lab_.machine->tables().policy_generation;
    made.staged[kIngress] = std::make_shared<const acl::Program>(allow_all());
    update(made);
    lab_.finish_all();
    EXPECT_NE(staged(), nullptr);
    made.staged[kIngress] = nullptr;
    update(made);
    lab_.finish_all();
    EXPECT_EQ(staged(), nullptr);
    EXPECT_EQ(lab_.machine->tables().policy_generation, generation);
    made.programs[kIngress] = std::make_shared<const acl::Program>(allow_port(81));
    update(made);
    lab_.finish_all();
    EXPECT_NE(lab_.machine->tables().policy_generation, generation);
}

TEST_F(HostGuardsTest, AtOtherPortsTheSameProgramsJudgeFlowsAgain) {
    HostGuard made = guard("a", "eth9");
    update(made);
    lab_.finish_all();
    const auto generation = lab_.machine->tables().policy_generation;
    made.interface_name = "fabric";
    update(made);
    lab_.finish_all();
    EXPECT_NE(lab_.machine->tables().policy_generation, generation);
    EXPECT_FALSE(opens(81));
}

TEST_F(HostGuardsTest, StagedProgramOfAnOlderPolicyIsNotTaken) {
    HostGuard made = guard("a", "fabric");
    made.staged[kIngress] = std::make_shared<const acl::Program>(allow_all());
    update(made);
    EXPECT_TRUE(lab_.finish_one());
    EXPECT_TRUE(lab_.finish_one());
    update(guard("a", "fabric", allow_port(81)));
    lab_.finish_all();
    EXPECT_EQ(staged(), nullptr);
    EXPECT_TRUE(opens(81));
    EXPECT_FALSE(opens(80));
}

TEST_F(HostGuardsTest, FelixConfigurationDecidesUnlessTheConfigDoes) {
    lab_.workloads->set_workload_rules({.to_host = EndpointToHost::Accept});
    EXPECT_EQ(lab_.machine->tables().rules.to_host, EndpointToHost::Accept);
}

}  // namespace
}  // namespace vr::host_guards_test
