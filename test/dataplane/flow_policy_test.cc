// Source checks, flows and policy in the packet path: POLICY 2.4-2.9.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <optional>

#include "test/dataplane/pipeline_lab.h"

namespace vr::test::flow_policy_test {
namespace {

using namespace tcpflag;

template <typename F>
class FlowPolicy : public testing::Test {
  protected:
    /// Guest a may be reached at port 80 only, and may send anything.
    void guard() { lab_.set_policy(lab_.a, allow_port(80), allow_all()); }

    Frame in(std::uint8_t flags, std::uint16_t port = 80) const {
        return lab_.tcp(lab_.fabric, kOutside, kGuestA, flags, 1000, port);
    }

    Frame out(std::uint8_t flags, std::uint16_t port = 80) const {
        return lab_.tcp(lab_.a, kGuestA, kOutside, flags, port, 1000);
    }

    /// An ICMP error from `source` to `destination` about `quoted`.
    Frame error(
        PortId in, std::uint32_t source, std::uint32_t destination, const Frame& quoted) const {
        auto envelope = lab_.envelope(in, source, destination);
        envelope.protocol = kIcmpOf<F>;
        return frame_of(envelope, icmp_error<F>(quoted));
    }

    /// A fragment of a UDP datagram from outside to guest a, port 80.
    Frame fragment(std::uint16_t id, std::uint16_t offset, std::uint16_t port = 80) const {
        auto envelope = lab_.envelope(lab_.fabric, kOutside, kGuestA);
        envelope.fragment_id = id;
        envelope.fragment_offset = offset;
        envelope.more_fragments = offset == 0;
        return frame_of(
            envelope, offset == 0 ? udp_header(1000, port, 16) : std::vector<std::uint8_t>(16));
    }

    /// Another router instead of lab_: one at a time, since buffers and rings have names.
    PipelineLab<F>& remade(const MachineSettings& settings) {
        lab_.machine.reset();
        return other_.emplace(settings);
    }

    PipelineLab<F> lab_;
    std::optional<PipelineLab<F>> other_;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(FlowPolicy, Families);

// Sources.

TYPED_TEST(FlowPolicy, AForeignAddressIsSpoofed) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestB, kOutside)), "dropped spoofed_address");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kRouter, kOutside)), "dropped spoofed_address");
}

TYPED_TEST(FlowPolicy, AForeignMacIsSpoofed) {
    auto& lab = this->lab_;
    EXPECT_EQ(
        lab.run(lab.a, with(lab.udp(lab.a, kGuestA, kOutside), 11, 0xff)), "dropped spoofed_mac");
}

TYPED_TEST(FlowPolicy, AGuestsAddressIsSpoofedOnTheFabric) {
    auto& lab = this->lab_;
    EXPECT_EQ(
        lab.run(lab.fabric, lab.udp(lab.fabric, kGuestB, kGuestA)), "dropped spoofed_address");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "sent a");
}

/// POLICY 2.9 case 25.
TYPED_TEST(FlowPolicy, ASpoofedSourceDoesNotRideOnAKnownFlow) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestB, kOutside)), "dropped spoofed_address");
}

// Policy of one side and of both.

TYPED_TEST(FlowPolicy, IngressPolicyGuardsAWorkload) {
    auto& lab = this->lab_;
    this->guard();
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 80)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 81)), "dropped ingress_denied");
}

TYPED_TEST(FlowPolicy, EgressPolicyGuardsTheOutside) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, allow_all(), allow_port(80));
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kGuestA, kOutside, kSyn, 1000, 80)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.a, lab.tcp(lab.a, kGuestA, kOutside, kSyn, 1000, 81)), "dropped egress_denied");
}

TYPED_TEST(FlowPolicy, WhatIsRejectedIsTold) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, reject_all(), reject_all());
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "punted ingress_rejected");
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kGuestA, kOutside, kSyn)), "punted egress_rejected");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "punted ingress_rejected") << "made no flow";
}

TYPED_TEST(FlowPolicy, TheRulesMayRejectAllThatPolicyDenies) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), deny_all());
    lab.machine->set_workload_rules({.reject = true});
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "punted ingress_rejected");
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kGuestA, kOutside, kSyn)), "punted egress_rejected");
}

/// POLICY 2.9 case 20.
TYPED_TEST(FlowPolicy, BothGuestsOfOneHostMustAgree) {
    auto& lab = this->lab_;
    const Frame frame = lab.tcp(lab.a, kGuestA, kGuestB, kSyn);
    EXPECT_EQ(lab.run(lab.a, frame), "sent b");
    lab.set_policy(lab.b, deny_all(), allow_all());
    EXPECT_EQ(
        lab.run(lab.a, lab.tcp(lab.a, kGuestA, kGuestB, kSyn, 1001)), "dropped ingress_denied");
    EXPECT_EQ(lab.totals(lab.a).drops[static_cast<std::size_t>(DropReason::IngressDenied)], 1U);
    lab.set_policy(lab.a, allow_all(), deny_all());
    EXPECT_EQ(
        lab.run(lab.a, lab.tcp(lab.a, kGuestA, kGuestB, kSyn, 1002)), "dropped egress_denied");
}

TYPED_TEST(FlowPolicy, PacketsToSeveralGuestsInOneBurstAreJudgedApart) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    lab.receive(
        lab.fabric,
        {lab.udp(lab.fabric, kOutside, kGuestA, 1),
         lab.udp(lab.fabric, kOutside, kGuestB, 2),
         lab.udp(lab.fabric, kOutside, kGuestA, 3),
         lab.udp(lab.fabric, kOutside, kOutside2, 4),
         lab.udp(lab.fabric, kOutside, kGuestB, 5)});
    lab.poll();
    EXPECT_EQ(lab.port(lab.a).sent.size(), 0U);
    EXPECT_EQ(lab.port(lab.b).sent.size(), 2U);
    EXPECT_EQ(lab.port(lab.fabric).sent.size(), 1U);
}

// Flows.

TYPED_TEST(FlowPolicy, TheReplyOfAnAllowedPacketPasses) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    EXPECT_EQ(
        lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 2000, 1000)),
        "dropped ingress_denied");
    ASSERT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 1000, 2000)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 2000, 1000)), "sent a");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 2001, 1000)),
        "dropped ingress_denied");
}

TYPED_TEST(FlowPolicy, ADeniedPacketMakesNoFlow) {
    auto& lab = this->lab_;
    this->guard();
    ASSERT_EQ(lab.run(lab.fabric, this->in(kSyn, 81)), "dropped ingress_denied");
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
}

TYPED_TEST(FlowPolicy, TransitMakesNoFlow) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kOutside2)), "sent fabric");
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
}

TYPED_TEST(FlowPolicy, ATcpConnectionPassesFromSynToFin) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, allow_port(80), deny_all());
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent a");
    EXPECT_EQ(lab.run(lab.a, this->out(kSyn | kAck)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kFin | kAck)), "sent a");
    EXPECT_EQ(lab.run(lab.a, this->out(kFin | kAck)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "sent a");
}

/// POLICY 2.5 step 3.
TYPED_TEST(FlowPolicy, SomePacketsNeverBeginAConnection) {
    auto& lab = this->lab_;
    for (const int flags :
         {kSyn | kAck, kFin | kAck, int{kFin}, int{kRst}, kRst | kAck, kSyn | kFin}) {
        EXPECT_EQ(
            lab.run(lab.fabric, this->in(static_cast<std::uint8_t>(flags))), "dropped flow_invalid")
            << flags;
    }
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "sent a");
}

TYPED_TEST(FlowPolicy, TheInvalidCheckCanBeTurnedOff) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.drop_invalid = false;
    auto& lab = this->remade(settings);
    EXPECT_EQ(lab.run(lab.fabric, lab.tcp(lab.fabric, kOutside, kGuestA, kSyn | kAck)), "sent a");
}

/// A connection that ended and begins again on the same ports is judged by today's policy.
TYPED_TEST(FlowPolicy, AReopenedConnectionIsJudgedAnew) {
    auto& lab = this->lab_;
    for (const std::uint8_t end : {kFin, kRst}) {
        this->guard();
        ASSERT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent a");
        ASSERT_EQ(lab.run(lab.fabric, this->in(end)), "sent a");
        EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent a");
        ASSERT_EQ(lab.run(lab.fabric, this->in(end)), "sent a");
        lab.set_policy(lab.a, deny_all(), allow_all());
        EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn)), "dropped ingress_denied");
    }
}

TYPED_TEST(FlowPolicy, AnEchoReplyPassesAndAnEchoRequestInItsPlaceDoesNot) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    const auto request = kEchoRequest<TypeParam>;
    const auto reply = kEchoReply<TypeParam>;
    // 0 is the number that stands on the side without an identifier.
    for (const std::uint16_t id : {std::uint16_t{7}, std::uint16_t{0}}) {
        ASSERT_EQ(lab.run(lab.a, lab.echo(lab.a, kGuestA, kOutside, request, id)), "sent fabric");
        EXPECT_EQ(
            lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kGuestA, reply, id)), "sent a");
        EXPECT_EQ(
            lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kGuestA, request, id)),
            "dropped ingress_denied");
        EXPECT_EQ(
            lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kGuestA, reply, 8)),
            "dropped ingress_denied");
    }
}

TYPED_TEST(FlowPolicy, OtherIcmpDoesNotRideOnAnEchoFlow) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    ASSERT_EQ(
        lab.run(lab.a, lab.echo(lab.a, kGuestA, kOutside, kEchoRequest<TypeParam>, 0)),
        "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kGuestA, 200, 0)),
        "dropped ingress_denied");
}

TYPED_TEST(FlowPolicy, AFullFlowTableDropsNewFlows) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.flows = 64;
    auto& lab = this->remade(settings);
    std::string outcome;
    for (std::uint16_t flow = 1; flow < 200 && outcome != "dropped flow_table_full"; ++flow) {
        outcome = lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, flow));
    }
    EXPECT_EQ(outcome, "dropped flow_table_full");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 1)), "sent a");
}

TYPED_TEST(FlowPolicy, AnEndpointHoldsNoMoreThanItsShareOfTheFlows) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.flows_per_endpoint = 64;
    auto& lab = this->remade(settings);
    const auto from_a = [&](std::uint16_t flow) {
        return lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, flow));
    };
    const auto from_host = [&](std::uint16_t flow) {
        return lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestA, flow));
    };
    // What the host begins does not count against the endpoint.
    for (std::uint16_t flow = 1; flow <= 64; ++flow) {
        ASSERT_EQ(from_host(flow), "sent a") << flow;
    }
    for (std::uint16_t flow = 1; flow <= 64; ++flow) {
        ASSERT_EQ(from_a(flow), "sent fabric") << flow;
    }
    EXPECT_EQ(from_a(65), "dropped flow_quota");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 7, 7)), "dropped flow_quota");
    // Neither the flows that it has nor those of others suffer, nor what the host sends it.
    EXPECT_EQ(from_a(64), "sent fabric");
    EXPECT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kOutside)), "sent fabric");
    EXPECT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestA)), "sent a");
    lab.machine->shared().template flows<TypeParam>().remove_if([](const auto&) { return true; });
    EXPECT_EQ(from_a(65), "sent fabric");
}

// Flows whose endpoints change.

TYPED_TEST(FlowPolicy, AFlowDoesNotFollowItsAddressToAnotherEndpoint) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "sent a");
    lab.set_policy(lab.b, deny_all(), allow_all());
    const auto moved = Prefix<TypeParam>::host(host<TypeParam>(kGuestA));
    const Adjacency station{lab.b, host<TypeParam>(kGuestA)};
    lab.machine->routes().set(moved, RouteSource::Workload, station);
    lab.machine->routes().next_hops().resolved(station, kGuestMacB);
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "dropped flow_moved");
    EXPECT_EQ(
        lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "dropped ingress_denied");
}

/// From the fabric, in a local guest's name: neither does it pass, nor does it end the guest's flow.
TYPED_TEST(FlowPolicy, APacketInALocalGuestsNameDoesNotEndItsFlow) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kGuestA)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kGuestB, kGuestA)), "dropped flow_moved");
    lab.set_policy(lab.a, deny_all(), deny_all());
    EXPECT_EQ(lab.run(lab.b, lab.udp(lab.b, kGuestB, kGuestA)), "sent a");
}

// Policy changes: POLICY 2.8, 2.9 case 19.

TYPED_TEST(FlowPolicy, AnEstablishedFlowSurvivesALaterDeny) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, this->in(kSyn)), "sent a");
    lab.set_policy(lab.a, deny_all(), deny_all());
    EXPECT_EQ(lab.run(lab.a, this->out(kSyn | kAck)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kAck)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->in(kSyn, 81)), "dropped ingress_denied");
}

TYPED_TEST(FlowPolicy, ReevaluationCutsWhatIsNoLongerAllowed) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.reevaluate = true;
    auto& lab = this->remade(settings);
    const auto in = [&](std::uint16_t port) {
        return lab.tcp(lab.fabric, kOutside, kGuestA, kAck, 1000, port);
    };
    ASSERT_EQ(lab.run(lab.fabric, in(80)), "sent a");
    ASSERT_EQ(lab.run(lab.fabric, in(81)), "sent a");
    lab.set_policy(lab.a, allow_port(80), deny_all());
    EXPECT_EQ(lab.run(lab.fabric, in(80)), "sent a");
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kGuestA, kOutside, kAck, 80, 1000)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, in(81)), "dropped ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, in(81)), "dropped ingress_denied");
}

TYPED_TEST(FlowPolicy, ReevaluationJudgesAReplyByTheFlowsFirstDirection) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.reevaluate = true;
    auto& lab = this->remade(settings);
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 1, 81)), "sent a");
    lab.set_policy(lab.a, allow_port(80), allow_all());
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 81, 1)), "dropped ingress_denied");
}

/// What the guest repeats of a connection that was cut must not pick it up again from its side.
TYPED_TEST(FlowPolicy, ACutFlowIsNotPickedUpFromTheOtherSide) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.reevaluate = true;
    auto& lab = this->remade(settings);
    const auto in = [&] { return lab.tcp(lab.fabric, kOutside, kGuestA, kAck, 1000, 81); };
    const auto out = [&] { return lab.tcp(lab.a, kGuestA, kOutside, kAck, 81, 1000); };
    ASSERT_EQ(lab.run(lab.fabric, in()), "sent a");
    lab.set_policy(lab.a, allow_port(80), allow_all());
    EXPECT_EQ(lab.run(lab.fabric, in()), "dropped ingress_denied");
    EXPECT_EQ(lab.run(lab.a, out()), "dropped ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, in()), "dropped ingress_denied");
    lab.set_policy(lab.a, allow_all(), allow_all());
    EXPECT_EQ(lab.run(lab.fabric, in()), "sent a");
}

// ICMP errors: POLICY 2.5 step 3, 2.8.

TYPED_TEST(FlowPolicy, AnErrorAboutAFlowReachesItsSender) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    const Frame sent = lab.udp(lab.a, kGuestA, kOutside);
    ASSERT_EQ(lab.run(lab.a, sent), "sent fabric");
    // From the other end, and from a router on the way.
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside, kGuestA, sent)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside2, kGuestA, sent)), "sent a");
}

TYPED_TEST(FlowPolicy, AnErrorAboutAFlowsReplyPassesToo) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, allow_all(), deny_all());
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "sent a");
    const Frame reply = lab.udp(lab.a, kGuestA, kOutside, 2000, 1000);
    ASSERT_EQ(lab.run(lab.a, reply), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside, kGuestA, reply)), "sent a");
}

TYPED_TEST(FlowPolicy, AGuestMayReportAnErrorOfItsFlow) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, allow_all(), deny_all());
    const Frame received = lab.udp(lab.fabric, kOutside, kGuestA);
    ASSERT_EQ(lab.run(lab.fabric, received), "sent a");
    EXPECT_EQ(lab.run(lab.a, this->error(lab.a, kGuestA, kOutside, received)), "sent fabric");
}

TYPED_TEST(FlowPolicy, AnErrorWithoutFlowIsInvalid) {
    auto& lab = this->lab_;
    const Frame sent = lab.udp(lab.a, kGuestA, kOutside);
    EXPECT_EQ(
        lab.run(lab.fabric, this->error(lab.fabric, kOutside, kGuestA, sent)),
        "dropped flow_invalid");
}

TYPED_TEST(FlowPolicy, AnErrorToAnotherThanTheFlowsSenderIsInvalid) {
    auto& lab = this->lab_;
    const Frame sent = lab.udp(lab.a, kGuestA, kOutside);
    ASSERT_EQ(lab.run(lab.a, sent), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, this->error(lab.fabric, kOutside, kGuestB, sent)),
        "dropped flow_invalid");
    EXPECT_EQ(lab.run(lab.b, this->error(lab.b, kGuestB, kGuestA, sent)), "dropped flow_invalid");
    EXPECT_EQ(lab.run(lab.b, this->error(lab.b, kGuestB, kOutside, sent)), "dropped flow_invalid");
    EXPECT_EQ(lab.run(lab.a, sent), "sent fabric") << "the flow lives on";
}

TYPED_TEST(FlowPolicy, AnErrorThatQuotesNoFlowPassesInTransitOnly) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    envelope.protocol = kIcmpOf<TypeParam>;
    const auto message = icmp_error<TypeParam>(lab.udp(lab.a, kGuestA, kOutside), 12);
    EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, message)), "sent fabric");
    envelope.destination = host<TypeParam>(kGuestA);
    EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, message)), "dropped flow_invalid");
}

// Fragments: POLICY 2.4, 2.9 case 30.

TYPED_TEST(FlowPolicy, LaterFragmentsShareTheFirstOnesVerdict) {
    auto& lab = this->lab_;
    this->guard();
    EXPECT_EQ(lab.run(lab.fabric, this->fragment(1, 0, 80)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->fragment(1, 24)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->fragment(2, 0, 81)), "dropped ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, this->fragment(2, 24)), "dropped ingress_denied");
}

TYPED_TEST(FlowPolicy, AFragmentWithoutItsFirstReachesNoWorkload) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.fabric, this->fragment(3, 24)), "dropped fragment_orphan");
    auto envelope = lab.envelope(lab.a, kGuestA, kOutside);
    envelope.fragment_offset = 24;
    const std::vector<std::uint8_t> rest(16);
    EXPECT_EQ(lab.run(lab.a, frame_of(envelope, rest)), "dropped fragment_orphan");
    auto transit = lab.envelope(lab.fabric, kOutside, kOutside2);
    transit.fragment_offset = 24;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(transit, rest)), "sent fabric");
}

/// RFC 1858, RFC 3128: the receiver would put it over a header that was judged.
TYPED_TEST(FlowPolicy, AFragmentOverAJudgedHeaderIsDropped) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kGuestA);
    envelope.protocol = ipproto::kSctp;
    envelope.fragment_id = 9;
    envelope.more_fragments = true;
    ASSERT_EQ(lab.run(lab.fabric, frame_of(envelope, std::vector<std::uint8_t>(16, 1))), "sent a");
    envelope.fragment_offset = 8;
    EXPECT_EQ(
        lab.run(lab.fabric, frame_of(envelope, std::vector<std::uint8_t>(16))),
        "dropped fragment_overlap");
}

/// The transport header lies behind destination options, and a later fragment calls itself TCP: what
/// counts is where the header of the first one really was.
TEST(FlowPolicy6, AFragmentOverAHeaderBehindOptionsIsDropped) {
    PipelineLab<V6> lab;
    lab.set_policy(lab.a, allow_port(80), allow_all());
    auto envelope = lab.envelope(lab.fabric, kOutside, kGuestA);
    envelope.protocol = ipproto::kDestinationOptions;
    envelope.fragment_id = 9;
    envelope.more_fragments = true;
    std::vector<std::uint8_t> options(24);
    options[0] = ipproto::kTcp;
    options[1] = 2;
    const auto tcp = tcp_header(1000, 80, kSyn, 4);
    options.insert(options.end(), tcp.begin(), tcp.end());
    ASSERT_EQ(lab.run(lab.fabric, frame_of(envelope, options)), "sent a");
    envelope.protocol = ipproto::kTcp;
    envelope.fragment_offset = 24;
    EXPECT_EQ(
        lab.run(lab.fabric, frame_of(envelope, std::vector<std::uint8_t>(24))),
        "dropped fragment_overlap");
    envelope.fragment_offset = 48;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, std::vector<std::uint8_t>(24))), "sent a");
}

// The host.

TYPED_TEST(FlowPolicy, TheHostReachesItsWorkloadsUnpoliced) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), deny_all());
    EXPECT_EQ(lab.run(lab.tap, lab.tcp(lab.tap, kRouter, kGuestA, kSyn)), "sent a");
    EXPECT_EQ(lab.run(lab.a, lab.tcp(lab.a, kGuestA, kRouter, kSyn | kAck, 80, 1000)), "sent host");
}

TYPED_TEST(FlowPolicy, TheHostsFlowsAreNotJudgedAgain) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.reevaluate = true;
    auto& lab = this->remade(settings);
    ASSERT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestA)), "sent a");
    lab.set_policy(lab.a, deny_all(), deny_all());
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kRouter, 2000, 1000)), "sent host");
}

/// The host's flows are unpoliced, so nobody else may use them in the host's name.
TYPED_TEST(FlowPolicy, APacketInTheHostsNameDoesNotRideOnItsFlow) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), deny_all());
    ASSERT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestA)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kRouter, kGuestA)), "dropped flow_moved");
    EXPECT_EQ(lab.run(lab.tap, lab.udp(lab.tap, kRouter, kGuestA)), "sent a");
}

TYPED_TEST(FlowPolicy, AWorkloadReachesTheHostOnlyIfThatIsConfigured) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kRouter)), "dropped host_denied");
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.to_host = EndpointToHost::Accept;
    auto& open = this->remade(settings);
    EXPECT_EQ(open.run(open.a, open.udp(open.a, kGuestA, kRouter)), "sent host");
    open.set_policy(open.a, allow_all(), deny_all());
    EXPECT_EQ(open.run(open.a, open.udp(open.a, kGuestA, kRouter, 5)), "dropped egress_denied");
}

// Tunnels: POLICY 2.5 step 5.

TYPED_TEST(FlowPolicy, AWorkloadMayNotSendTunnels) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 1, 4789)), "dropped tunnel_denied");
    auto envelope = lab.envelope(lab.a, kGuestA, kOutside);
    envelope.protocol = ipproto::kIpip;
    EXPECT_EQ(
        lab.run(lab.a, frame_of(envelope, std::vector<std::uint8_t>(40))), "dropped tunnel_denied");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA, 1, 4789)), "sent a");
}

TYPED_TEST(FlowPolicy, AWorkloadMaySendTheTunnelsThatTheRulesName) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.a, kGuestA, kOutside);
    envelope.protocol = ipproto::kIpip;
    const auto ipip = frame_of(envelope, std::vector<std::uint8_t>(40));
    lab.machine->set_workload_rules({.allow_vxlan = true});
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 1, 4789)), "sent fabric");
    EXPECT_EQ(lab.run(lab.a, ipip), "dropped tunnel_denied");
    lab.machine->set_workload_rules({.allow_ipip = true});
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside, 2, 4789)), "dropped tunnel_denied");
    EXPECT_EQ(lab.run(lab.a, ipip), "sent fabric");
}

TYPED_TEST(FlowPolicy, OpenStackServicesOfTheHostComeBeforePolicy) {
    auto settings = PipelineLab<TypeParam>::defaults();
    settings.reevaluate = true;
    auto& lab = this->remade(settings);
    lab.set_policy(lab.a, deny_all(), deny_all());
    const auto [client, server] =
        std::is_same_v<TypeParam, V4> ? std::pair{68, 67} : std::pair{546, 547};
    const auto udp = [&](std::uint32_t to, int from_port, int to_port) {
        return lab.run(
            lab.a,
            lab.udp(
                lab.a,
                kGuestA,
                to,
                static_cast<std::uint16_t>(from_port),
                static_cast<std::uint16_t>(to_port)));
    };
    const auto metadata = [&](std::uint16_t port) {
        return lab.run(lab.a, lab.tcp(lab.a, kGuestA, kRouter, kSyn, port, 8775));
    };
    EXPECT_EQ(udp(kRouter, 1000, 53), "dropped egress_denied");
    EXPECT_EQ(metadata(1), "dropped egress_denied");
    lab.machine->set_workload_rules(
        {.openstack = OpenStackServices{.metadata_address = host<TypeParam>(kRouter)}});
    lab.machine->commit();
    EXPECT_EQ(udp(kRouter, 1000, 53), "sent host");
    EXPECT_EQ(udp(kRouter, client, server), "sent host");
    EXPECT_EQ(metadata(2), "sent host");
    EXPECT_EQ(udp(kRouter, 1000, server), "dropped egress_denied");
    EXPECT_EQ(udp(kRouter, 1000, 8775), "dropped egress_denied");
    EXPECT_EQ(udp(kOutside, 1000, 53), "dropped egress_denied") << "only the host's own";
    lab.machine->bump_policy_generation();
    lab.machine->commit();
    EXPECT_EQ(udp(kRouter, 1000, 53), "sent host") << "judged again";
    lab.machine->set_workload_rules({});
    lab.machine->commit();
    EXPECT_EQ(udp(kRouter, 1000, 53), "dropped host_denied") << "no longer";
}

}  // namespace
}  // namespace vr::test::flow_policy_test
