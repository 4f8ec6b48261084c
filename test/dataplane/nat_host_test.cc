// natOutgoing beside the host's own connections: nothing of them is taken for an answer to a guest, and no guest
// gets their ports.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "test/dataplane/nat_lab.h"

namespace vr::test::nat_host_test {
namespace {

using enum HostHook;
using tcpflag::kAck;
using tcpflag::kRst;
using tcpflag::kSyn;

using Families = testing::Types<V4, V6>;

template <typename F>
class NatHostTest : public NatLab<F> {};

TYPED_TEST_SUITE(NatHostTest, Families);

/// Where one owner may have 64 flows.
template <typename F>
class NatQuotaTest : public NatLab<F> {
  protected:
    NatQuotaTest() : NatLab<F>(settings()) {}

    static MachineSettings settings() {
        auto settings = PipelineLab<F>::defaults();
        settings.flows_per_endpoint = 64;
        return settings;
    }
};

TYPED_TEST_SUITE(NatQuotaTest, Families);

TYPED_TEST(NatHostTest, WhatNobodyAskedForIsTheHosts) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    const auto other = static_cast<std::uint16_t>(port == kFirst ? kFirst + 1 : kFirst);
    for (const Frame& frame :
         {this->udp(lab.fabric, kOutside2, kRouter, 2000, port),
          this->udp(lab.fabric, kOutside, kRouter, 2001, port),
          this->udp(lab.fabric, kOutside, kRouter, 2000, other),
          this->tcp(lab.fabric, kOutside, kRouter, kSyn, 2000, port)}) {
        EXPECT_EQ(lab.run(lab.fabric, frame), "sent host");
    }
}

TYPED_TEST(NatHostTest, AConnectionOfTheHostIsNotAnsweredToAGuest) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    const Frame answer = this->udp(lab.fabric, kOutside, kRouter, 2000, port);
    ASSERT_EQ(lab.run(lab.fabric, answer), "sent a");
    ASSERT_EQ(lab.run(lab.tap, this->udp(lab.tap, kRouter, kOutside, port)), "sent fabric");
    EXPECT_EQ(lab.run(lab.fabric, answer), "sent host");
    const std::uint16_t another = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    EXPECT_NE(another, 0);
    EXPECT_NE(another, port) << "the host has that";
    EXPECT_EQ(lab.run(lab.fabric, answer), "sent host");
}

TYPED_TEST(NatHostTest, AConnectionOfTheHostKeepsItsPort) {
    auto& lab = this->lab_;
    this->configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kFirst}});
    ASSERT_EQ(lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kAck, kFirst)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn)), "dropped nat_ports_exhausted");
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kAck, 80, kFirst)),
        "sent host");
}

TYPED_TEST(NatHostTest, AConnectionOfTheHostOutlivesItsHandshake) {
    auto& lab = this->lab_;
    auto& flows = lab.machine->shared().template flows<TypeParam>();
    for (const std::uint8_t flags : {kSyn, kAck}) {
        lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, flags, kFirst));
    }
    this->age(3000);
    EXPECT_EQ(flows.size(), 1U);
    lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kRst, kFirst));
    this->age(3000);
    EXPECT_EQ(flows.size(), 0U);
}

TYPED_TEST(NatHostTest, TheHostKeepsItsPlaceAmongOtherProtocols) {
    auto& lab = this->lab_;
    for (const std::uint8_t protocol : {ipproto::kSctp, kGre, kEsp}) {
        const Frame own = this->other(lab.tap, kRouter, kOutside, protocol);
        const Frame guests = this->other(lab.a, kGuestA, kOutside, protocol);
        const Frame answer = this->other(lab.fabric, kOutside, kRouter, protocol, 2000, 1000);
        ASSERT_EQ(lab.run(lab.tap, own), "sent fabric");
        EXPECT_EQ(lab.run(lab.a, guests), "dropped nat_ports_exhausted") << int{protocol};
        EXPECT_EQ(lab.run(lab.fabric, answer), "sent host");
        this->age(700);
        ASSERT_EQ(lab.run(lab.a, guests), "sent fabric") << "the host has said nothing for long";
        ASSERT_EQ(lab.run(lab.fabric, answer), "sent a");
        ASSERT_EQ(lab.run(lab.tap, own), "sent fabric");
        EXPECT_EQ(lab.run(lab.fabric, answer), "sent host") << "it has the place again";
        EXPECT_EQ(lab.run(lab.a, guests), "dropped nat_ports_exhausted");
    }
}

/// Anybody may make the host answer, from and to many ports.
TYPED_TEST(NatQuotaTest, WhatTheHostAnswersByOtherProtocolsDoesNotFillTheTable) {
    auto& lab = this->lab_;
    for (std::uint16_t port = 1; port <= 200; ++port) {
        const Frame answer = this->other(lab.tap, kRouter, kOutside, ipproto::kSctp, port);
        ASSERT_EQ(lab.run(lab.tap, answer), "sent fabric");
    }
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 64U);
}

TYPED_TEST(NatHostTest, WhatTheHostSendsFromBelowTheRangeLeavesNothing) {
    auto& lab = this->lab_;
    lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kSyn, kFirst - 1));
    lab.run(lab.tap, this->udp(lab.tap, kRouter, kOutside, kFirst));
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
}

TYPED_TEST(NatHostTest, TheHostReachesGuestsFromWithinTheRangeToo) {
    auto& lab = this->lab_;
    for (const std::uint8_t flags : {kSyn, kAck}) {
        EXPECT_EQ(lab.run(lab.tap, this->tcp(lab.tap, kRouter, kGuestA, flags, kFirst)), "sent a");
    }
}

TYPED_TEST(NatHostTest, WhoCallsTheHostReachesIt) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kAck));
    ASSERT_NE(port, 0);
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kSyn, 80, port)), "sent host");
    EXPECT_EQ(
        lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kSyn | kAck, port)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kAck, 80, port)), "sent host");
}

TYPED_TEST(NatHostTest, WhoCallsAGuardedHostReachesIt) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kAck));
    ASSERT_NE(port, 0);
    lab.guard({{NormalIngress, allow_port(port)}});
    for (const std::uint8_t flags : {kSyn, kAck}) {
        EXPECT_EQ(
            lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, flags, 80, port)),
            "sent host");
    }
}

TYPED_TEST(NatHostTest, WhoOpensAnAssociationWithTheHostReachesIt) {
    auto& lab = this->lab_;
    constexpr std::uint16_t kPort = 36412;
    constexpr std::uint8_t kInitAck = 2;
    const auto from_guest = [&] {
        return lab.run(lab.a, this->other(lab.a, kGuestA, kOutside, ipproto::kSctp, kPort, kPort));
    };
    const auto to_host = [&](std::uint8_t type) {
        return lab.run(lab.fabric, this->chunk(lab.fabric, kOutside, kRouter, type, kPort, kPort));
    };
    ASSERT_EQ(from_guest(), "sent fabric");
    EXPECT_EQ(to_host(kInitAck), "sent a");
    EXPECT_EQ(to_host(sctp::kInit), "sent host");
    EXPECT_EQ(to_host(kInitAck), "sent a") << "the host has not answered";
    ASSERT_EQ(
        lab.run(lab.tap, this->chunk(lab.tap, kRouter, kOutside, kInitAck, kPort, kPort)),
        "sent fabric");
    EXPECT_EQ(to_host(kInitAck), "sent host");
    EXPECT_EQ(from_guest(), "dropped nat_ports_exhausted");
}

/// Nothing is read that is not there.
TYPED_TEST(NatHostTest, AnSctpPacketWithoutAChunkOpensNoAssociation) {
    using F = TypeParam;
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.a, this->other(lab.a, kGuestA, kOutside, ipproto::kSctp)), "sent fabric");
    Envelope<F> e = lab.envelope(lab.fabric, kOutside, kRouter);
    e.protocol = ipproto::kSctp;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(e, sctp_header(2000, 1000, 0))), "sent a");
    e.fragment_id = 9;
    e.more_fragments = true;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(e, sctp_header(2000, 1000, 20))), "sent a");
    e.more_fragments = false;
    e.fragment_offset = 32;
    const std::vector<std::uint8_t> inits(32, sctp::kInit);
    EXPECT_EQ(lab.run(lab.fabric, frame_of(e, inits)), "sent a") << "no chunk of its own";
}

TYPED_TEST(NatHostTest, AResetOfTheHostTakesNoPlace) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn));
    ASSERT_EQ(lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kRst, port)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kSyn | kAck, 80, port)),
        "sent a");
}

TYPED_TEST(NatHostTest, AnAbortOfTheHostTakesNoPlace) {
    auto& lab = this->lab_;
    const Frame guests = this->other(lab.a, kGuestA, kOutside, ipproto::kSctp);
    const Frame answer = this->other(lab.fabric, kOutside, kRouter, ipproto::kSctp, 2000, 1000);
    for (const std::uint8_t type : {sctp::kAbort, sctp::kShutdownComplete}) {
        const Frame own = this->chunk(lab.tap, kRouter, kOutside, type);
        ASSERT_EQ(lab.run(lab.tap, own), "sent fabric");
        EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U) << int{type};
        ASSERT_EQ(lab.run(lab.a, guests), "sent fabric");
        ASSERT_EQ(lab.run(lab.tap, own), "sent fabric");
        EXPECT_EQ(lab.run(lab.fabric, answer), "sent a");
        lab.machine->shared().template flows<TypeParam>().remove_if(
            [](const auto&) { return true; });
    }
}

TYPED_TEST(NatHostTest, APlaceThatTheHostTookIsFreeAsSoonAsItsFlowWouldBe) {
    auto& lab = this->lab_;
    auto& flows = lab.machine->shared().template flows<TypeParam>();
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    lab.run(lab.tap, this->udp(lab.tap, kRouter, kOutside, port));
    this->age(100);
    EXPECT_EQ(flows.size(), 0U);
}

TYPED_TEST(NatHostTest, PolicyOfTheHostIsAskedOfItsConnectionStill) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    lab.guard({{NormalEgress, deny_all()}});
    const Frame own = this->udp(lab.tap, kRouter, kOutside, port);
    EXPECT_EQ(lab.run(lab.tap, own), "dropped host_egress_denied");
    EXPECT_EQ(lab.run(lab.tap, own), "dropped host_egress_denied");
}

TYPED_TEST(NatHostTest, AGuestAnswersNobodyInAnothersName) {
    auto& lab = this->lab_;
    lab.machine->set_workload_rules(
        {.to_host = EndpointToHost::Accept, .nat_outgoing = NatOutgoing{}});
    lab.machine->commit();
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    ASSERT_NE(port, 0);
    EXPECT_EQ(lab.run(lab.b, this->udp(lab.b, kGuestB, kRouter, 2000, port)), "sent host");
}

}  // namespace
}  // namespace vr::test::nat_host_test
