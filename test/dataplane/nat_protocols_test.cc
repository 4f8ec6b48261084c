// natOutgoing of what is more than UDP and TCP: protocols of which the address alone changes, ICMP errors, which
// quote what their receiver sent, and fragments.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "test/dataplane/nat_lab.h"

namespace vr::test::nat_protocols_test {
namespace {

using tcpflag::kSyn;

using Families = testing::Types<V4, V6>;

template <typename F>
class NatProtocolsTest : public NatLab<F> {};

TYPED_TEST_SUITE(NatProtocolsTest, Families);

// Protocols of which the address alone changes.

TYPED_TEST(NatProtocolsTest, OtherProtocolsGoOutWithAnotherAddressAlone) {
    using F = TypeParam;
    auto& lab = this->lab_;
    for (const std::uint8_t protocol : {ipproto::kSctp, kGre, kEsp}) {
        const Frame request = this->other(lab.a, kGuestA, kOutside, protocol);
        ASSERT_EQ(this->pass(lab.a, request, lab.fabric), ends<F>(kRouter, kOutside))
            << int{protocol};
        EXPECT_EQ(this->payload(this->last_), this->payload(request));
        const Frame answer = this->other(lab.fabric, kOutside, kRouter, protocol, 2000, 1000);
        ASSERT_EQ(this->pass(lab.fabric, answer, lab.a), ends<F>(kOutside, kGuestA));
        EXPECT_EQ(this->payload(this->last_), this->payload(answer));
        EXPECT_EQ(this->pass(lab.a, request, lab.fabric), ends<F>(kRouter, kOutside)) << "again";
        EXPECT_EQ(
            lab.run(lab.fabric, this->other(lab.fabric, kOutside2, kRouter, protocol, 2000, 1000)),
            "sent host")
            << "nobody asked for that";
    }
}

TYPED_TEST(NatProtocolsTest, OfAProtocolWithoutPortsOneFlowGoesToEachDestination) {
    using F = TypeParam;
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.a, this->other(lab.a, kGuestA, kOutside, kGre)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.b, this->other(lab.b, kGuestB, kOutside, kGre)), "dropped nat_ports_exhausted");
    EXPECT_EQ(lab.run(lab.b, this->other(lab.b, kGuestB, kOutside, kEsp)), "sent fabric");
    EXPECT_EQ(lab.run(lab.b, this->other(lab.b, kGuestB, kOutside2, kGre)), "sent fabric");
    lab.machine->shared().template flows<F>().remove_if(
        [&](const auto& flow) { return flow.from == lab.a; });
    EXPECT_EQ(lab.run(lab.b, this->other(lab.b, kGuestB, kOutside, kGre)), "sent fabric");
    EXPECT_EQ(
        this->pass(lab.fabric, this->other(lab.fabric, kOutside, kRouter, kGre), lab.b),
        ends<F>(kOutside, kGuestB));
}

TYPED_TEST(NatProtocolsTest, AssociationsWithTheSamePortsMeet) {
    auto& lab = this->lab_;
    const auto sctp = [&](PortId in, std::uint32_t guest, std::uint16_t from) {
        return lab.run(in, this->other(in, guest, kOutside, ipproto::kSctp, from));
    };
    EXPECT_EQ(sctp(lab.a, kGuestA, 1), "sent fabric");
    EXPECT_EQ(sctp(lab.b, kGuestB, 1), "dropped nat_ports_exhausted");
    EXPECT_EQ(sctp(lab.b, kGuestB, 2), "sent fabric");
}

TYPED_TEST(NatProtocolsTest, ErrorsAboutOtherProtocolsComeBack) {
    using F = TypeParam;
    auto& lab = this->lab_;
    for (const std::uint8_t protocol : {ipproto::kSctp, kGre}) {
        const Frame request = this->other(lab.a, kGuestA, kOutside, protocol);
        ASSERT_EQ(this->pass(lab.a, request, lab.fabric), ends<F>(kRouter, kOutside));
        const Frame error = this->error(lab.fabric, kOutside2, kRouter, this->last_);
        ASSERT_EQ(this->pass(lab.fabric, error, lab.a), ends<F>(kOutside2, kGuestA));
        const Frame quoted = quoted_in<F>(this->last_);
        EXPECT_EQ(ends<F>(quoted), ends<F>(kGuestA, kOutside));
        EXPECT_EQ(this->payload(quoted), this->payload(request));
        EXPECT_TRUE(is_right<F>(quoted));
    }
}

TYPED_TEST(NatProtocolsTest, FragmentsOfOtherProtocolsGoOutAlike) {
    using F = TypeParam;
    auto& lab = this->lab_;
    for (const std::uint8_t protocol : {ipproto::kSctp, kGre}) {
        Envelope<F> e = lab.envelope(lab.a, kGuestA, kOutside);
        e.protocol = protocol;
        e.more_fragments = true;
        e.fragment_id = protocol;
        ASSERT_EQ(lab.run(lab.a, frame_of(e, sctp_header(1000, 2000, 20))), "sent fabric");
        EXPECT_EQ(ends<F>(lab.port(lab.fabric).sent.front()), ends<F>(kRouter, kOutside));
        e.more_fragments = false;
        e.fragment_offset = 32;
        ASSERT_EQ(lab.run(lab.a, frame_of(e, std::vector<std::uint8_t>(16))), "sent fabric");
        EXPECT_EQ(ends<F>(lab.port(lab.fabric).sent.front()), ends<F>(kRouter, kOutside));
        EXPECT_EQ(lab.machine->shared().template flows<F>().size(), 2U);
        lab.machine->shared().template flows<F>().remove_if([](const auto&) { return true; });
    }
}

// ICMP errors speak of what their receiver sent.

TYPED_TEST(NatProtocolsTest, AnErrorComesBackToTheGuest) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const Frame requests[] = {
        this->udp(lab.a, kGuestA, kOutside),
        this->tcp(lab.a, kGuestA, kOutside, kSyn),
        this->echo(lab.a, kGuestA, kOutside, kEchoRequest<F>, 7)};
    for (const Frame& request : requests) {
        ASSERT_NE(this->leave(lab.a, request), 0);
        // From a router on the way.
        const Frame error = this->error(lab.fabric, kOutside2, kRouter, this->last_);
        EXPECT_EQ(this->pass(lab.fabric, error, lab.a), ends<F>(kOutside2, kGuestA));
        const Frame quoted = quoted_in<F>(this->last_);
        EXPECT_EQ(ends<F>(quoted), ends<F>(kGuestA, kOutside));
        EXPECT_EQ(source_port<F>(quoted), source_port<F>(request));
        EXPECT_TRUE(is_right<F>(quoted));
    }
}

TYPED_TEST(NatProtocolsTest, AShortQuoteIsTranslatedAsFarAsItIsThere) {
    using F = TypeParam;
    auto& lab = this->lab_;
    ASSERT_NE(this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn)), 0);
    Envelope<F> e = lab.envelope(lab.fabric, kOutside, kRouter);
    e.protocol = kIcmpOf<F>;
    const Frame error = sealed<F>(frame_of(e, icmp_error<F>(this->last_)));
    EXPECT_EQ(this->pass(lab.fabric, error, lab.a), ends<F>(kOutside, kGuestA));
    const Frame quoted = quoted_in<F>(this->last_);
    EXPECT_EQ(ends<F>(quoted), ends<F>(kGuestA, kOutside));
    EXPECT_EQ(source_port<F>(quoted), 1000);
}

TYPED_TEST(NatProtocolsTest, AGuestsErrorGoesOutInTheHostsName) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    ASSERT_EQ(
        this->pass(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, port), lab.a),
        ends<F>(kOutside, kGuestA));
    const Frame error = this->error(lab.a, kGuestA, kOutside, this->last_);
    EXPECT_EQ(this->pass(lab.a, error, lab.fabric), ends<F>(kRouter, kOutside));
    const Frame quoted = quoted_in<F>(this->last_);
    EXPECT_EQ(ends<F>(quoted), ends<F>(kOutside, kRouter));
    EXPECT_EQ(destination_port<F>(quoted), port);
    EXPECT_TRUE(is_right<F>(quoted));
}

TYPED_TEST(NatProtocolsTest, AnErrorFromAnotherOfTheGuestsAddressesGoesOutInTheHostsName) {
    using F = TypeParam;
    auto& lab = this->lab_;
    constexpr std::uint32_t kSecond = kGuestA + 16;
    this->add_address(lab.a, kSecond);
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    this->pass(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, port), lab.a);
    const Frame error = this->error(lab.a, kSecond, kOutside, this->last_);
    EXPECT_EQ(this->pass(lab.a, error, lab.fabric), ends<F>(kRouter, kOutside));
    EXPECT_EQ(ends<F>(quoted_in<F>(this->last_)), ends<F>(kOutside, kRouter));
}

TYPED_TEST(NatProtocolsTest, AnErrorThatQuotesAnotherFlowIsTheHosts) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    const Frame other =
        this->udp(lab.fabric, kRouter, kOutside, static_cast<std::uint16_t>(port ^ 1U));
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside, kRouter, other)), "sent host");
    const Frame against = this->udp(lab.fabric, kOutside, kRouter, 2000, port);
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside, kRouter, against)), "sent host")
        << "nobody here sent that";
}

TYPED_TEST(NatProtocolsTest, WhatCannotBeSentOnIsReportedAsTheGuestKnowsIt) {
    using F = TypeParam;
    auto& lab = this->lab_;
    Envelope<F> e = lab.envelope(lab.a, kGuestA, kOutside);
    e.hop_limit = 1;
    EXPECT_EQ(lab.run(lab.a, frame_of(e, udp_header(1000, 2000))), "punted hop_limit");
    EXPECT_NE(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside)), 0);
}

// Fragments.

TYPED_TEST(NatProtocolsTest, LaterFragmentsHaveNoPortsToRewrite) {
    using F = TypeParam;
    auto& lab = this->lab_;
    Envelope<F> e = lab.envelope(lab.a, kGuestA, kOutside);
    e.more_fragments = true;
    e.fragment_id = 77;
    ASSERT_EQ(lab.run(lab.a, frame_of(e, udp_header(1000, 2000, 24))), "sent fabric");
    EXPECT_EQ(ends<F>(lab.port(lab.fabric).sent.front()), ends<F>(kRouter, kOutside));
    e.more_fragments = false;
    e.fragment_offset = 32;
    const std::vector<std::uint8_t> data(16, 0x5a);
    ASSERT_EQ(lab.run(lab.a, frame_of(e, data)), "sent fabric");
    const Frame later = lab.port(lab.fabric).sent.front();
    EXPECT_EQ(ends<F>(later), ends<F>(kRouter, kOutside));
    EXPECT_TRUE(std::equal(data.rbegin(), data.rend(), later.rbegin()));
}

}  // namespace
}  // namespace vr::test::nat_protocols_test
