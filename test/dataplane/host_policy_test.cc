// Host endpoints on the packet path, POLICY 2.6: which hook meets which packet, what needs a flow, and
// that a port without a guard is as if there were none.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/dataplane/pipeline_lab.h"
#include "vrouter/net/headers.h"

namespace vr::test::host_policy_test {
namespace {

using enum HostHook;
using tcpflag::kAck;
using tcpflag::kSyn;

/// A program that decides nothing.
acl::Program silent() {
    return {};
}

template <typename F>
class HostPolicyTest : public testing::Test {
  protected:
    /// A host that lets these in and out, and forwards everything.
    void guard_host(const acl::Program& ingress, const acl::Program& egress) {
        lab_->guard({{NormalIngress, ingress}, {NormalEgress, egress}});
    }

    PipelineLab<F>& remade(MachineSettings settings) {
        lab_.reset();  // its rings have fixed names
        lab_ = std::make_unique<PipelineLab<F>>(settings);
        return *lab_;
    }

    Frame in(std::uint8_t flags, std::uint16_t from = 1000, std::uint16_t to = 80) {
        return lab_->tcp(lab_->fabric, kOutside, kRouter, flags, from, to);
    }

    Frame out(std::uint8_t flags, std::uint16_t from = 80, std::uint16_t to = 1000) {
        return lab_->tcp(lab_->tap, kRouter, kOutside, flags, from, to);
    }

    std::unique_ptr<PipelineLab<F>> lab_ = std::make_unique<PipelineLab<F>>();
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(HostPolicyTest, Families);

TYPED_TEST(HostPolicyTest, AnUnguardedHostIsOpen) {
    auto& lab = *this->lab_;
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "sent fabric");
}

TYPED_TEST(HostPolicyTest, NormalPolicyGuardsWhatEndsOnTheHost) {
    auto& lab = *this->lab_;
    this->guard_host(allow_port(80), deny_all());
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "sent fabric") << "a reply";
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 1, 81)), "dropped host_ingress_denied");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn, 5, 6)), "dropped host_egress_denied");
}

TYPED_TEST(HostPolicyTest, RepliesToTheHostsOwnFlowsPass) {
    auto& lab = *this->lab_;
    this->guard_host(deny_all(), allow_all());
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn | kAck)), "sent host");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 7)), "dropped host_ingress_denied");
}

TYPED_TEST(HostPolicyTest, AnswerWithoutFlowIsInvalid) {
    auto& lab = *this->lab_;
    this->guard_host(allow_all(), allow_all());
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "dropped flow_invalid");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn | kAck)), "dropped flow_invalid");
}

TYPED_TEST(HostPolicyTest, EchoToTheRouterIsOnesOfTheHost) {
    auto& lab = *this->lab_;
    const auto ping = [&] {
        return lab.run(
            lab.fabric, lab.echo(lab.fabric, kOutside, kRouter, kEchoRequest<TypeParam>, 7));
    };
    EXPECT_EQ(ping(), "punted echo");
    this->guard_host(deny_all(), allow_all());
    EXPECT_EQ(ping(), "dropped host_ingress_denied");
}

TYPED_TEST(HostPolicyTest, WithoutForwardPolicyForwardedTrafficIsUntouched) {
    auto& lab = *this->lab_;
    this->guard_host(deny_all(), deny_all());
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "sent a");
    EXPECT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kGuestB)), "sent b");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kOutside2, kSyn | kAck)), "sent fabric")
        << "transit needs no flow";
}

TYPED_TEST(HostPolicyTest, TheHostReachesItsWorkloadsWhateverGuardsIt) {
    auto& lab = *this->lab_;
    lab.guard_all({{NormalIngress, deny_all()}, {NormalEgress, deny_all()}});
    EXPECT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestA)), "sent a");
}

TYPED_TEST(HostPolicyTest, ForwardPolicyGuardsWhatPassesThrough) {
    auto& lab = *this->lab_;
    lab.guard({{ForwardIngress, allow_port(80)}, {ForwardEgress, allow_port(53)}});
    const auto to_guest = [&](std::uint16_t port) {
        return lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 1000, port));
    };
    EXPECT_EQ(to_guest(80), "sent a");
    EXPECT_EQ(to_guest(81), "dropped host_ingress_denied");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 80, 1000)), "sent fabric")
        << "a reply";
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 1, 53)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 1, 54)), "dropped host_egress_denied");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host") << "ends on the host";
}

TYPED_TEST(HostPolicyTest, WorkloadPolicyHasTheLastWord) {
    auto& lab = *this->lab_;
    lab.set_policy(lab.a, deny_all(), deny_all());
    lab.guard({{ForwardIngress, allow_all()}, {ForwardEgress, allow_all()}});
    EXPECT_EQ(
        lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "dropped ingress_denied");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "dropped egress_denied");
}

TYPED_TEST(HostPolicyTest, TransitIsFollowedWhereForwardPolicyAsks) {
    auto& lab = *this->lab_;
    lab.guard({{ForwardIngress, allow_port(80)}});
    const auto pass = [&](std::uint32_t from, std::uint32_t to, std::uint8_t flags, bool reply) {
        return lab.run(
            lab.fabric, lab.tcp(lab.fabric, from, to, flags, reply ? 80 : 1000, reply ? 1000 : 80));
    };
    EXPECT_EQ(pass(kOutside2, kOutside, kSyn | kAck, true), "dropped flow_invalid");
    EXPECT_EQ(pass(kOutside, kOutside2, kSyn, false), "sent fabric");
    EXPECT_EQ(pass(kOutside2, kOutside, kSyn | kAck, true), "sent fabric");
}

// preDNAT: POLICY 2.6, 2.9 case 21.

TYPED_TEST(HostPolicyTest, PreDnatDeniesEverywhereAndStaysSilentOtherwise) {
    auto& lab = *this->lab_;
    acl::Program no_telnet = deny_all();
    no_telnet.rules[0].match.protocol = ipproto::kTcp;
    no_telnet.rules[0].match.destination.ports = {{L4Port{23}, L4Port{23}}};
    lab.guard({{PreDnatIngress, no_telnet}, {NormalIngress, allow_port(80)}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 1, 23)), "dropped host_ingress_denied");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kGuestA, kSyn, 1, 23)),
        "dropped host_ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 1, 80)), "sent host");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 1, 81)), "dropped host_ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kGuestA, kSyn, 1, 81)), "sent a");
}

TYPED_TEST(HostPolicyTest, WhatPreDnatAllowsIsNotAskedAgainOnThatSide) {
    auto& lab = *this->lab_;
    lab.guard(
        {{PreDnatIngress, allow_port(80)},
         {NormalIngress, deny_all()},
         {ForwardIngress, deny_all()},
         {ForwardEgress, deny_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kGuestA, kSyn)), "sent a");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kOutside2, kSyn)),
        "dropped host_egress_denied")
        << "the port that it leaves by";
}

// doNotTrack: POLICY 2.9 case 22.

TYPED_TEST(HostPolicyTest, UntrackedTrafficMakesNoFlow) {
    auto& lab = *this->lab_;
    lab.guard(
        {{UntrackedIngress, allow_port(80)},
         {NormalIngress, deny_all()},
         {NormalEgress, allow_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "dropped flow_invalid");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 1, 81)), "dropped host_ingress_denied")
        << "unmatched: the tracked policy decides";
}

TYPED_TEST(HostPolicyTest, UntrackedInBothDirectionsPasses) {
    auto& lab = *this->lab_;
    acl::Program from_web = allow_all();
    from_web.rules[0].match.protocol = ipproto::kTcp;
    from_web.rules[0].match.source.ports = {{L4Port{80}, L4Port{80}}};
    lab.guard(
        {{UntrackedIngress, allow_port(80)},
         {UntrackedEgress, from_web},
         {NormalIngress, deny_all()},
         {NormalEgress, deny_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "sent fabric");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn, 81)), "dropped host_egress_denied");
}

TYPED_TEST(HostPolicyTest, UntrackedDenyCutsLiveFlows) {
    auto& lab = *this->lab_;
    this->guard_host(allow_all(), allow_all());
    ASSERT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    lab.guard(
        {{UntrackedIngress, deny_all()},
         {NormalIngress, allow_all()},
         {NormalEgress, allow_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "dropped host_ingress_denied");
}

TYPED_TEST(HostPolicyTest, UntrackedPacketsStillMeetTheWorkloadsPolicy) {
    auto& lab = *this->lab_;
    lab.set_policy(lab.a, allow_port(80), allow_all());
    lab.guard({{UntrackedIngress, allow_all()}, {ForwardIngress, deny_all()}});
    const auto to_guest = [&](std::uint16_t port) {
        return lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kGuestA, kSyn, 1000, port));
    };
    EXPECT_EQ(to_guest(80), "sent a");
    EXPECT_EQ(to_guest(81), "dropped ingress_denied");
    EXPECT_EQ(
        lab.run(lab.a, lab.tcp(lab.a, kGuestA, kOutside, kSyn | kAck, 80, 1000)),
        "dropped flow_invalid");
}

TYPED_TEST(HostPolicyTest, AFragmentWithoutItsFirstIsNotJudgedUntracked) {
    auto& lab = *this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    envelope.fragment_offset = 24;
    const Frame orphan = frame_of(envelope, std::vector<std::uint8_t>(16));
    EXPECT_EQ(lab.run(lab.fabric, orphan), "sent fabric");
    lab.guard({{UntrackedIngress, silent()}});
    EXPECT_EQ(lab.run(lab.fabric, orphan), "dropped fragment_orphan");
}

// Addresses.

TYPED_TEST(HostPolicyTest, NobodyBorrowsTheHostsAddress) {
    auto& lab = *this->lab_;
    const auto borrowed = lab.udp(lab.fabric, kRouter, kGuestA);
    EXPECT_EQ(lab.run(lab.fabric, borrowed), "dropped spoofed_address");
    lab.guard({{UntrackedIngress, allow_all()}});
    EXPECT_EQ(lab.run(lab.fabric, borrowed), "dropped spoofed_address") << "untracked neither";
}

TYPED_TEST(HostPolicyTest, NobodySpeaksOnTheHostsSideOfAFlow) {
    auto& lab = *this->lab_;
    this->guard_host(allow_all(), allow_all());
    ASSERT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    lab.guard(
        {{NormalIngress, allow_all()}, {NormalEgress, allow_all()}, {ForwardIngress, deny_all()}});
    EXPECT_EQ(
        lab.run(lab.fabric, lab.tcp(lab.fabric, kRouter, kOutside, kAck, 80, 1000)),
        "dropped spoofed_address");
}

// Staged policies: counted where a packet comes by, never obeyed.

TYPED_TEST(HostPolicyTest, StagedPolicyCountsNewFlowsAndDecidesNothing) {
    auto& lab = *this->lab_;
    lab.guard(
        {{NormalIngress, allow_port(80)}, {NormalEgress, allow_all()}},
        {{NormalIngress, deny_all()}, {NormalEgress, deny_all()}, {ForwardIngress, deny_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "sent host");
    EXPECT_EQ(lab.staged_hits(NormalIngress), 1U) << "packets of live flows are not asked about";
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 1, 81)), "dropped host_ingress_denied");
    EXPECT_EQ(lab.staged_hits(NormalIngress), 2U) << "what is denied could be allowed";
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn, 5, 6)), "sent fabric");
    EXPECT_EQ(lab.staged_hits(NormalEgress), 1U);
    EXPECT_EQ(lab.staged_hits(ForwardIngress), 0U);
}

TYPED_TEST(HostPolicyTest, StagedForwardPolicyCountsNewFlowsOfGuests) {
    auto& lab = *this->lab_;
    lab.guard(
        {{NormalIngress, deny_all()}, {NormalEgress, deny_all()}},
        {{PreDnatIngress, deny_all()}, {ForwardIngress, deny_all()}, {ForwardEgress, deny_all()}});
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "sent a");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 5, 6)), "sent fabric");
    EXPECT_EQ(lab.staged_hits(PreDnatIngress), 1U);
    EXPECT_EQ(lab.staged_hits(ForwardIngress), 1U);
    EXPECT_EQ(lab.staged_hits(ForwardEgress), 1U);
}

/// To follow transit would refuse what cannot begin a flow.
TYPED_TEST(HostPolicyTest, StagedForwardPolicyLeavesTransitAlone) {
    auto& lab = *this->lab_;
    lab.guard({}, {{ForwardIngress, deny_all()}});
    EXPECT_EQ(
        lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside2, kOutside, kSyn | kAck)), "sent fabric");
    EXPECT_EQ(lab.staged_hits(ForwardIngress), 0U);
}

TYPED_TEST(HostPolicyTest, StagedUntrackedPolicyCountsPacketsAndLeavesThemTheirFlow) {
    auto& lab = *this->lab_;
    lab.guard(
        {{NormalIngress, allow_all()}, {NormalEgress, deny_all()}},
        {{UntrackedIngress, deny_all()}, {UntrackedEgress, allow_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
    EXPECT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "sent fabric") << "a reply";
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "sent host");
    EXPECT_EQ(lab.staged_hits(UntrackedIngress), 2U);
    EXPECT_EQ(lab.staged_hits(UntrackedEgress), 1U);
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    envelope.fragment_offset = 24;
    const Frame orphan = frame_of(envelope, std::vector<std::uint8_t>(16));
    EXPECT_EQ(lab.run(lab.fabric, orphan), "sent fabric") << "only what is in force refuses it";
    EXPECT_EQ(lab.staged_hits(UntrackedIngress), 2U);
}

// Workloads to the host: DefaultEndpointToHostAction.

TYPED_TEST(HostPolicyTest, ReturnAsksTheGuardOfAllInterfaces) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.to_host = EndpointToHost::Return;
    auto& lab = this->remade(settings);
    const auto to_host = [&](std::uint16_t port) {
        return lab.run(lab.a, lab.udp(lab.a, kGuestA, kRouter, 1000, port));
    };
    EXPECT_EQ(to_host(1), "sent host") << "nobody says no";
    lab.guard({{NormalIngress, deny_all()}});
    EXPECT_EQ(to_host(2), "sent host") << "another interface's guard";
    lab.guard_all({{NormalIngress, allow_port(53)}});
    EXPECT_EQ(to_host(53), "sent host");
    EXPECT_EQ(to_host(54), "dropped host_ingress_denied");
    lab.set_policy(lab.a, allow_all(), deny_all());
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kRouter, 2000, 53)), "dropped egress_denied");
}

/// POLICY 2.6: multicast listener messages (130-132) to the host, before policy.
TEST(HostPolicy6, MulticastListenersReachTheHostBeforePolicy) {
    PipelineLab<V6> lab;
    lab.set_policy(lab.a, allow_all(), deny_all());
    auto envelope = lab.envelope(lab.a, kGuestA, kRouter);
    envelope.protocol = ipproto::kIcmp6;
    for (std::uint8_t type = 130; type <= 132; ++type) {
        EXPECT_EQ(lab.run(lab.a, frame_of(envelope, icmp_header(type, 0, 0))), "sent host");
    }
    EXPECT_EQ(lab.run(lab.a, frame_of(envelope, icmp_header(200, 0, 0))), "dropped egress_denied");
    envelope.destination = host<V6>(kGuestB);
    EXPECT_EQ(lab.run(lab.a, frame_of(envelope, icmp_header(131, 0, 0))), "dropped egress_denied");
}

// Re-evaluation of live flows, POLICY 2.8.

TYPED_TEST(HostPolicyTest, LiveFlowsSurviveUnlessReevaluated) {
    for (const bool reevaluate : {false, true}) {
        auto settings = PipelineLab<TypeParam>::defaults();
        settings.reevaluate = reevaluate;
        auto& lab = this->remade(settings);
        this->guard_host(allow_all(), deny_all());
        ASSERT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent host");
        ASSERT_EQ(lab.run(lab.tap, this->out(kSyn | kAck)), "sent fabric");
        this->guard_host(deny_all(), deny_all());
        const std::string wanted = reevaluate ? "dropped host_ingress_denied" : "";
        EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), reevaluate ? wanted : "sent host");
        EXPECT_EQ(lab.run(lab.tap, this->out(kAck)), reevaluate ? wanted : "sent fabric");
    }
}

TYPED_TEST(HostPolicyTest, ReevaluationLeavesAllowedFlowsAlone) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.reevaluate = true;
    auto& lab = this->remade(settings);
    lab.guard(
        {{NormalIngress, deny_all()}, {NormalEgress, allow_all()}, {ForwardEgress, allow_all()}});
    ASSERT_EQ(lab.run(lab.tap, this->out(kSyn)), "sent fabric");
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    lab.guard(
        {{NormalIngress, deny_all()}, {NormalEgress, allow_all()}, {ForwardEgress, allow_all()}});
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn | kAck)), "sent host");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 2000, 1000)), "sent a");
}

TYPED_TEST(HostPolicyTest, EveryPacketEndsInOneWay) {
    auto& lab = *this->lab_;
    lab.guard(
        {{UntrackedIngress, allow_port(80)},
         {PreDnatIngress, silent()},
         {NormalIngress, allow_port(81)},
         {NormalEgress, deny_all()},
         {ForwardIngress, allow_port(82)},
         {ForwardEgress, deny_all()}});
    std::vector<Frame> frames;
    for (std::uint16_t port = 80; port < 84; ++port) {
        for (const std::uint32_t to : {kRouter, kGuestA, kOutside2}) {
            frames.push_back(lab.tcp(lab.fabric, kOutside, to, kSyn, 1000, port));
        }
    }
    lab.receive(lab.fabric, frames);
    lab.receive(lab.tap, {this->out(kSyn), this->out(kSyn, 1, 2)});
    lab.receive(lab.a, {lab.udp(lab.a, kGuestA, kOutside), lab.udp(lab.a, kGuestA, kRouter)});
    lab.poll();
    const auto sums = lab.sums();
    EXPECT_EQ(sums.received, frames.size() + 4);
    EXPECT_EQ(sums.received, sums.sent + sums.punted + sums.consumed + sums.dropped);
}

}  // namespace
}  // namespace vr::test::host_policy_test
