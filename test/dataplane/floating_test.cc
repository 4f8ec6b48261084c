// Floating addresses on the packet path: what reaches the guest, in whose name it answers, what policy sees
// of it, and that every checksum is right afterwards (found by adding all up, not by differences).
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "test/dataplane/sealed_lab.h"
#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/translate_ip.h"
#include "vrouter/net/headers.h"

namespace vr::test::floating_test {
namespace {

using enum HostHook;
using tcpflag::kAck;
using tcpflag::kRst;
using tcpflag::kSyn;

template <typename F>
class FloatingTest : public SealedLab<F> {
  protected:
    using SealedLab<F>::lab_;

    explicit FloatingTest(const MachineSettings& settings = PipelineLab<F>::defaults())
        : SealedLab<F>(settings) {
        lab_.add_floating(lab_.a, kFloatA);
        lab_.add_floating(lab_.b, kFloatB);
    }

    static acl::Program deny_destination(std::uint32_t address) {
        acl::Program program;
        program.rules.resize(1);
        program.rules[0].action = acl::Action::Deny;
        auto& destination = program.rules[0].match.destination;
        if constexpr (std::is_same_v<F, V4>) {
            destination.nets4 = {Prefix<F>::host(host<F>(address))};
        } else {
            destination.nets6 = {Prefix<F>::host(host<F>(address))};
        }
        program.origins.resize(1);
        return program;
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(FloatingTest, Families);

TYPED_TEST(FloatingTest, WhatIsSentToItReachesTheGuestAndIsAnsweredInItsName) {
    using F = TypeParam;
    auto& lab = this->lab_;

    struct Row {
        Frame sent;
        Frame answer;
    };

    const Row rows[] = {
        {this->udp(lab.fabric, kOutside, kFloatA), this->udp(lab.a, kGuestA, kOutside, 2000, 1000)},
        {this->tcp(lab.fabric, kOutside, kFloatA, kSyn),
         this->tcp(lab.a, kGuestA, kOutside, kSyn | kAck, 80, 1000)},
        {sealed<F>(lab.echo(lab.fabric, kOutside, kFloatA, kEchoRequest<F>, 7)),
         sealed<F>(lab.echo(lab.a, kGuestA, kOutside, kEchoReply<F>, 7))}};
    for (const Row& row : rows) {
        EXPECT_EQ(this->pass(lab.fabric, row.sent, lab.a), ends<F>(kOutside, kGuestA));
        EXPECT_EQ(this->pass(lab.a, row.answer, lab.fabric), ends<F>(kFloatA, kOutside));
        EXPECT_EQ(this->pass(lab.fabric, row.sent, lab.a), ends<F>(kOutside, kGuestA)) << "again";
    }
}

TYPED_TEST(FloatingTest, TheHostReachesItToo) {
    using F = TypeParam;
    auto& lab = this->lab_;
    EXPECT_EQ(
        this->pass(lab.tap, this->udp(lab.tap, kRouter, kFloatA), lab.a),
        ends<F>(kRouter, kGuestA));
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kRouter, 2000, 1000), lab.tap),
        ends<F>(kFloatA, kRouter));
}

TYPED_TEST(FloatingTest, WhatTheGuestBeginsKeepsItsAddress) {
    using F = TypeParam;
    auto& lab = this->lab_;
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside), lab.fabric),
        ends<F>(kGuestA, kOutside));
    EXPECT_EQ(
        this->pass(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA, 2000, 1000), lab.a),
        ends<F>(kOutside, kGuestA));
}

TYPED_TEST(FloatingTest, OfTwoLocalGuestsTheOneThatIsAddressedByItAnswersInItsName) {
    using F = TypeParam;
    auto& lab = this->lab_;
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kFloatB), lab.b), ends<F>(kGuestA, kGuestB));
    EXPECT_EQ(
        this->pass(lab.b, this->udp(lab.b, kGuestB, kGuestA, 2000, 1000), lab.a),
        ends<F>(kFloatB, kGuestA));
}

TYPED_TEST(FloatingTest, AGuestReachesItselfByTheRouter) {
    using F = TypeParam;
    auto& lab = this->lab_;
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kFloatA), lab.a), ends<F>(kFloatA, kGuestA));
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kFloatA, 2000, 1000), lab.a),
        ends<F>(kFloatA, kGuestA))
        << "the answer";
    EXPECT_EQ(lab.machine->shared().template flows<F>().size(), 1U);
    const Frame refused = this->error(lab.a, kGuestA, kFloatA, this->last_);
    EXPECT_EQ(this->pass(lab.a, refused, lab.a), ends<F>(kFloatA, kGuestA));
    const Frame quoted = quoted_in<F>(this->last_);
    EXPECT_EQ(ends<F>(quoted), ends<F>(kGuestA, kFloatA));
    EXPECT_TRUE(is_right<F>(quoted));
}

TYPED_TEST(FloatingTest, FromAnotherOwnAddressAGuestDoesNotReachItself) {
    using F = TypeParam;
    auto& lab = this->lab_;
    constexpr std::uint32_t kSecond = kGuestA + 16;
    this->add_address(lab.a, kSecond);
    EXPECT_EQ(lab.run(lab.a, this->udp(lab.a, kSecond, kFloatA)), "dropped not_translated");
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kSecond, kFloatB), lab.b), ends<F>(kSecond, kGuestB));
}

// ICMP errors speak of what their receiver sent.

TYPED_TEST(FloatingTest, AnErrorAboutAnAnswerReachesTheGuest) {
    using F = TypeParam;
    auto& lab = this->lab_;
    lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA));
    ASSERT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside, 2000, 1000), lab.fabric),
        ends<F>(kFloatA, kOutside));
    // From a router on the way.
    const Frame error = this->error(lab.fabric, kOutside2, kFloatA, this->last_);
    EXPECT_EQ(this->pass(lab.fabric, error, lab.a), ends<F>(kOutside2, kGuestA));
    const Frame quoted = quoted_in<F>(this->last_);
    EXPECT_EQ(ends<F>(quoted), ends<F>(kGuestA, kOutside));
    EXPECT_TRUE(is_right<F>(quoted));
}

TYPED_TEST(FloatingTest, AGuestsErrorComesFromItAndQuotesIt) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const Frame requests[] = {
        this->udp(lab.fabric, kOutside, kFloatA),
        this->tcp(lab.fabric, kOutside, kFloatA, kSyn),
        sealed<F>(lab.echo(lab.fabric, kOutside, kFloatA, kEchoRequest<F>, 7))};
    for (const Frame& request : requests) {
        ASSERT_EQ(this->pass(lab.fabric, request, lab.a), ends<F>(kOutside, kGuestA));
        const Frame error = this->error(lab.a, kGuestA, kOutside, this->last_);
        EXPECT_EQ(this->pass(lab.a, error, lab.fabric), ends<F>(kFloatA, kOutside));
        const Frame quoted = quoted_in<F>(this->last_);
        EXPECT_EQ(ends<F>(quoted), ends<F>(kOutside, kFloatA));
        EXPECT_TRUE(is_right<F>(quoted));
    }
}

TYPED_TEST(FloatingTest, AnErrorFromAnotherOfTheGuestsAddressesComesFromItToo) {
    using F = TypeParam;
    auto& lab = this->lab_;
    constexpr std::uint32_t kSecond = kGuestA + 16;
    this->add_address(lab.a, kSecond);
    this->pass(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA), lab.a);
    const Frame error = this->error(lab.a, kSecond, kOutside, this->last_);
    EXPECT_EQ(this->pass(lab.a, error, lab.fabric), ends<F>(kFloatA, kOutside));
    EXPECT_EQ(ends<F>(quoted_in<F>(this->last_)), ends<F>(kOutside, kFloatA));
}

TYPED_TEST(FloatingTest, AShortQuoteIsTranslatedAsFarAsItIsThere) {
    using F = TypeParam;
    auto& lab = this->lab_;
    ASSERT_EQ(
        this->pass(lab.fabric, this->tcp(lab.fabric, kOutside, kFloatA, kSyn), lab.a),
        ends<F>(kOutside, kGuestA));
    Envelope<F> e = lab.envelope(lab.a, kGuestA, kOutside);
    e.protocol = kIcmpOf<F>;
    const Frame error = sealed<F>(frame_of(e, icmp_error<F>(this->last_)));
    EXPECT_EQ(this->pass(lab.a, error, lab.fabric), ends<F>(kFloatA, kOutside));
    EXPECT_EQ(ends<F>(quoted_in<F>(this->last_)), ends<F>(kOutside, kFloatA));
}

TYPED_TEST(FloatingTest, AnErrorThatQuotesAnotherAddressIsInvalid) {
    auto& lab = this->lab_;
    lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA));
    const Frame answer = this->udp(lab.a, kGuestA, kOutside, 2000, 1000);
    EXPECT_EQ(
        lab.run(lab.fabric, this->error(lab.fabric, kOutside, kGuestA, answer)),
        "dropped flow_invalid")
        << "outside nobody has seen such a packet";
    EXPECT_EQ(
        lab.run(lab.fabric, this->error(lab.fabric, kOutside, kFloatB, answer)),
        "dropped flow_invalid");
}

// Who may, and what policy sees.

TYPED_TEST(FloatingTest, NobodySendsInItsNameHimself) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.a, this->udp(lab.a, kFloatA, kOutside)), "dropped spoofed_address");
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kFloatA, kGuestB)), "dropped spoofed_address");
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kGuestA, kFloatA)), "dropped spoofed_address");
}

TYPED_TEST(FloatingTest, PolicyOfTheGuestSeesTheAddressBehindIt) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, this->deny_destination(kFloatA), allow_all());
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)), "dropped ingress_denied")
        << "what falls off the end is denied";
    acl::Program by_address = this->deny_destination(kFloatA);
    by_address.rules.push_back({.action = acl::Action::Allow});
    lab.set_policy(lab.a, by_address, allow_all());
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)), "sent a");
    by_address = this->deny_destination(kGuestA);
    by_address.rules.push_back({.action = acl::Action::Allow});
    lab.set_policy(lab.a, by_address, allow_all());
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA, 5, 6)),
        "dropped ingress_denied");
}

TYPED_TEST(FloatingTest, PreDnatPolicySeesIt) {
    auto& lab = this->lab_;
    lab.guard({{PreDnatIngress, this->deny_destination(kFloatA)}});
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)),
        "dropped host_ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatB)), "sent b");
}

TYPED_TEST(FloatingTest, ForwardPolicySeesTheAddressBehindIt) {
    auto& lab = this->lab_;
    acl::Program program = this->deny_destination(kFloatA);
    program.rules.push_back({.action = acl::Action::Allow});
    lab.guard({{ForwardIngress, program}});
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)), "sent a");
}

TYPED_TEST(FloatingTest, AnUntrackedPacketCannotBeAnsweredInItsName) {
    auto& lab = this->lab_;
    lab.guard({{UntrackedIngress, allow_port(2000)}});
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)), "dropped not_translated");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA, 1, 2)), "sent a");
}

TYPED_TEST(FloatingTest, UntrackedPolicySeesIt) {
    auto& lab = this->lab_;
    lab.guard({{UntrackedIngress, this->deny_destination(kFloatA)}});
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)),
        "dropped host_ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA)), "sent a");
}

TYPED_TEST(FloatingTest, WhatLeavesNoFlowCannotBeAnsweredInItsName) {
    auto& lab = this->lab_;
    EXPECT_EQ(
        lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kFloatA, kEchoReply<TypeParam>, 7)),
        "dropped not_translated");
}

TYPED_TEST(FloatingTest, AClosedGuestHasNone) {
    auto& lab = this->lab_;
    lab.close(lab.a);
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)), "dropped port_closed");
}

// Its life.

TYPED_TEST(FloatingTest, ItsFlowsEndWithIt) {
    auto& lab = this->lab_;
    const Frame request = this->udp(lab.fabric, kOutside, kFloatA);
    const Frame answer = this->udp(lab.a, kGuestA, kOutside, 2000, 1000);
    lab.set_policy(lab.a, allow_all(), deny_all());
    ASSERT_EQ(lab.run(lab.fabric, request), "sent a");
    lab.remove_floating(lab.a, kFloatA);
    EXPECT_EQ(lab.run(lab.a, answer), "dropped flow_moved");
    EXPECT_EQ(lab.run(lab.a, answer), "dropped egress_denied") << "of no flow any more";
    EXPECT_EQ(lab.run(lab.fabric, request), "punted no_route");
}

TYPED_TEST(FloatingTest, ItMayGoToAnotherGuest) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const Frame request = this->tcp(lab.fabric, kOutside, kFloatA, kSyn);
    ASSERT_EQ(lab.run(lab.fabric, request), "sent a");
    lab.remove_floating(lab.a, kFloatA);
    lab.add_floating(lab.b, kFloatA);
    EXPECT_EQ(this->pass(lab.fabric, request, lab.b), ends<F>(kOutside, kGuestB));
    EXPECT_EQ(
        this->pass(lab.b, this->tcp(lab.b, kGuestB, kOutside, kSyn | kAck, 80, 1000), lab.fabric),
        ends<F>(kFloatA, kOutside));
}

TYPED_TEST(FloatingTest, AGuestMayHaveSeveral) {
    using F = TypeParam;
    auto& lab = this->lab_;
    constexpr std::uint32_t kSecond = kFloatA + 16;
    lab.add_floating(lab.a, kSecond);
    lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kSecond));
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside, 2000, 1000), lab.fabric),
        ends<F>(kSecond, kOutside));
}

TYPED_TEST(FloatingTest, TheSameTwoEndsAreOnOneWayAtATime) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const Frame answer = this->udp(lab.a, kGuestA, kOutside, 2000, 1000);
    for (const std::uint32_t way : {kFloatA, kGuestA, kFloatA}) {
        EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, way)), "sent a");
        EXPECT_EQ(this->pass(lab.a, answer, lab.fabric), ends<F>(way, kOutside));
    }
    lab.set_policy(lab.a, deny_all(), allow_all());
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA)), "dropped ingress_denied")
        << "policy is asked of the other way";
}

TYPED_TEST(FloatingTest, AResetByTheOtherWayEndsNothing) {
    auto& lab = this->lab_;
    lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kFloatA, kSyn));
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kGuestA, kRst)),
        "dropped flow_invalid");
    EXPECT_EQ(lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kFloatA, kAck)), "sent a");
}

TYPED_TEST(FloatingTest, AnAnswerToItIsNotOneToTheGuestsOwnFlow) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    ASSERT_EQ(lab.run(lab.a, this->udp(lab.a, kGuestA, kOutside)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA, 2000, 1000)),
        "dropped ingress_denied");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA, 2000, 1000)), "sent a")
        << "what is denied ends no flow";
}

/// Guests may have one flow each.
template <typename F>
class FloatingQuotaTest : public FloatingTest<F> {
  protected:
    FloatingQuotaTest() : FloatingTest<F>(one_flow()) {}

  private:
    static MachineSettings one_flow() {
        auto settings = PipelineLab<F>::defaults();
        settings.flows_per_endpoint = 1;
        return settings;
    }
};

TYPED_TEST_SUITE(FloatingQuotaTest, Families);

TYPED_TEST(FloatingQuotaTest, WhatIsOverTheQuotaEndsNoFlow) {
    using F = TypeParam;
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kFloatA)), "sent a");
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA)), "dropped flow_quota");
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside, 2000, 1000), lab.fabric),
        ends<F>(kFloatA, kOutside));
}

TYPED_TEST(FloatingTest, BothWaysInOneBurstAreNotMixed) {
    using F = TypeParam;
    auto& lab = this->lab_;
    lab.receive(
        lab.fabric,
        {this->udp(lab.fabric, kOutside, kFloatA), this->udp(lab.fabric, kOutside, kGuestA)});
    lab.poll();
    EXPECT_EQ(lab.port(lab.a).sent.size(), 2U);
    unsigned flows = 0;
    lab.machine->shared().template flows<F>().for_each([&](const auto& /*flow*/) { ++flows; });
    EXPECT_EQ(flows, 1U);
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside, 2000, 1000), lab.fabric),
        ends<F>(kGuestA, kOutside));
}

TYPED_TEST(FloatingTest, ReevaluationAsksPreDnatPolicyAboutIt) {
    auto& lab = this->lab_;
    const Frame request = this->udp(lab.fabric, kOutside, kFloatA);
    ASSERT_EQ(lab.run(lab.fabric, request), "sent a");
    FlowEntry<TypeParam> copy{};
    lab.machine->shared().template flows<TypeParam>().for_each([&](const auto& flow) {
        copy.key = flow.key;
        copy.from = flow.from;
        copy.to = flow.to;
        copy.translation = flow.translation;
    });
    EXPECT_NE(copy.translation, TranslationId{});
    lab.guard({{PreDnatIngress, this->deny_destination(kFloatA)}});
    lab.machine->rcu().online(0);
    Worker& worker = *lab.machine->workers()[0];
    worker.poll_once();
    EXPECT_EQ(host_judges_again(copy, lab.fabric, lab.a, worker), DropReason::HostIngressDenied);
    copy.translation = {};
    EXPECT_EQ(host_judges_again(copy, lab.fabric, lab.a, worker), DropReason::None);
    lab.machine->rcu().offline(0);
}

// Bytes.

TYPED_TEST(FloatingTest, FragmentsAreTranslatedWithoutTheirWhole) {
    using F = TypeParam;
    auto& lab = this->lab_;
    Envelope<F> e = lab.envelope(lab.fabric, kOutside, kFloatA);
    e.fragment_id = 7;
    e.more_fragments = true;
    // The whole datagram, as both ends see it, and its two fragments.
    auto whole = [&](std::uint32_t destination) {
        Envelope<F> plain = lab.envelope(lab.fabric, kOutside, destination);
        return sealed<F>(frame_of(plain, udp_header(1000, 2000, 24)));
    };
    const auto part = [&](const Frame& frame, std::size_t from, std::size_t to) {
        const auto begin = frame.begin() + static_cast<std::ptrdiff_t>(kL4<F>);
        return std::vector<std::uint8_t>(
            begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to));
    };
    const std::size_t behind = std::is_same_v<F, V4> ? kL4<F> : kL4<F> + 8;
    const auto payload = [&](const Frame& frame) {
        return std::vector<std::uint8_t>(
            frame.begin() + static_cast<std::ptrdiff_t>(behind), frame.end());
    };
    ASSERT_EQ(lab.run(lab.fabric, frame_of(e, part(whole(kFloatA), 0, 16))), "sent a");
    const Frame first = lab.port(lab.a).sent.front();
    EXPECT_EQ(ends<F>(first), ends<F>(kOutside, kGuestA));
    EXPECT_EQ(payload(first), part(whole(kGuestA), 0, 16));
    e.more_fragments = false;
    e.fragment_offset = 16;
    ASSERT_EQ(lab.run(lab.fabric, frame_of(e, part(whole(kFloatA), 16, 32))), "sent a");
    const Frame second = lab.port(lab.a).sent.front();
    EXPECT_EQ(ends<F>(second), ends<F>(kOutside, kGuestA));
    EXPECT_EQ(payload(second), part(whole(kGuestA), 16, 32));
}

/// Translates a frame as the stage does.
template <Family F>
Frame translated(Frame frame) {
    const Translation<F> translation{TranslationId{1}, host<F>(kFloatA), host<F>(kGuestA)};
    EXPECT_TRUE(translate_ip(
        std::span{frame}.subspan(kIp), translation, {.inward = true, .outward = false}));
    return frame;
}

TYPED_TEST(FloatingTest, EveryChecksumStaysRightAndUdpsNeverBecomesNone) {
    using F = TypeParam;
    for (const std::uint8_t protocol : {ipproto::kUdp, ipproto::kUdpLite, ipproto::kTcp}) {
        Envelope<F> e{.source = host<F>(kOutside), .destination = host<F>(kFloatA)};
        e.protocol = protocol;
        Frame frame =
            frame_of(e, is_udp(protocol) ? udp_header(1, 2, 2) : tcp_header(1, 2, kSyn, 2));
        for (std::uint32_t word = 0; word <= 0xffff; ++word) {
            store_be(&frame[frame.size() - 2], static_cast<std::uint16_t>(word));
            const Frame after = translated<F>(sealed<F>(frame));
            ASSERT_TRUE(is_right<F>(after)) << word;
            ASSERT_TRUE(!is_udp(protocol) || load_be<std::uint16_t>(&after[sum_at<F>(after)]) != 0)
                << word;
        }
    }
}

TYPED_TEST(FloatingTest, AWrongChecksumStaysWrong) {
    using F = TypeParam;
    Envelope<F> e{.source = host<F>(kOutside), .destination = host<F>(kFloatA)};
    Frame frame = sealed<F>(frame_of(e, udp_header(1, 2)));
    ++frame.back();
    EXPECT_FALSE(is_right<F>(translated<F>(frame)));
}

TYPED_TEST(FloatingTest, NoChecksumStaysNone) {
    using F = TypeParam;
    Envelope<F> e{.source = host<F>(kOutside), .destination = host<F>(kFloatA)};
    const Frame after = translated<F>(frame_of(e, udp_header(1, 2)));
    EXPECT_EQ(load_be<std::uint16_t>(&after[sum_at<F>(after)]), 0);
    EXPECT_EQ(ends<F>(after), ends<F>(kOutside, kGuestA));
}

TYPED_TEST(FloatingTest, OtherProtocolsKeepTheirBytes) {
    using F = TypeParam;
    for (const std::uint8_t protocol : {ipproto::kSctp, std::uint8_t{47}, std::uint8_t{50}}) {
        Envelope<F> e{.source = host<F>(kOutside), .destination = host<F>(kFloatA)};
        e.protocol = protocol;
        std::vector<std::uint8_t> payload(24, 0x5a);
        Frame wanted = frame_of(e, payload);
        host<F>(kGuestA).store(&wanted[kDestinationAt<F>]);
        if constexpr (std::is_same_v<F, V4>) {
            seal(wanted);
        }
        EXPECT_EQ(translated<F>(frame_of(e, payload)), wanted);
    }
}

}  // namespace
}  // namespace vr::test::floating_test
