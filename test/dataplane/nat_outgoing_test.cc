// natOutgoing on the packet path: what leaves the pools does so in the name of the host, what answers comes back
// to the guest, and nothing of the host's own is taken for such an answer.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "test/dataplane/sealed_lab.h"
#include "vrouter/net/headers.h"

namespace vr::test::nat_outgoing_test {
namespace {

using enum HostHook;
using tcpflag::kAck;
using tcpflag::kFin;
using tcpflag::kRst;
using tcpflag::kSyn;

constexpr std::uint8_t kGre = 47;
constexpr std::uint8_t kEsp = 50;
constexpr std::uint16_t kFirst = 61000;
constexpr std::uint16_t kLast = 61099;

/// The port of a frame's source, or the identifier of an echo request.
template <Family F>
std::uint16_t source_port(const Frame& frame) {
    const std::size_t at = protocol_of<F>(frame) == kIcmpOf<F> ? 4 : 0;
    return load_be<std::uint16_t>(&frame[kL4<F> + at]);
}

/// That of its destination, or the identifier of an echo reply.
template <Family F>
std::uint16_t destination_port(const Frame& frame) {
    const std::size_t at = protocol_of<F>(frame) == kIcmpOf<F> ? 4 : 2;
    return load_be<std::uint16_t>(&frame[kL4<F> + at]);
}

/// Guests a and b are in a pool that is translated.
template <typename F>
class NatTest : public SealedLab<F> {
  protected:
    using SealedLab<F>::lab_;
    using SealedLab<F>::last_;

    explicit NatTest(const MachineSettings& settings = PipelineLab<F>::defaults())
        : SealedLab<F>(settings) {
        add(kNatPools, network<F>(kGuestA, 16));
        add(kAllPools, network<F>(kGuestA, 16));
        configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kLast}});
    }

    void add(GroupId group, const Prefix<F>& net) {
        lab_.machine->shared().template groups<F>().add(group, net);
    }

    void configure(const NatOutgoing& nat) {
        lab_.machine->set_workload_rules({.nat_outgoing = nat});
        lab_.machine->commit();
    }

    void have(std::uint32_t address) {
        lab_.machine->routes().set(
            Prefix<F>::host(host<F>(address)), RouteSource::Local, LocalDelivery{kFamilyOf<F>});
        lab_.machine->commit();
    }

    /// Lets so many seconds of silence go by.
    void age(FlowTick seconds) {
        auto& flows = lab_.machine->shared().template flows<F>();
        FlowTick last = 0;
        flows.for_each([&](const auto& flow) { last = std::max(last, flow.last_seen.load()); });
        flows.age(last + seconds * 4, {}, flows.capacity());
    }

    /// A packet of a protocol whose ports stay, or that has none.
    Frame other(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t protocol,
        std::uint16_t from = 1000,
        std::uint16_t to = 2000) {
        Envelope<F> e = lab_.envelope(in, source, destination);
        e.protocol = protocol;
        return frame_of(
            e,
            protocol == ipproto::kSctp ? sctp_header(from, to)
                                       : std::vector<std::uint8_t>(32, 0x5a));
    }

    /// An SCTP packet whose first chunk is of this type.
    Frame chunk(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t type,
        std::uint16_t from = 1000,
        std::uint16_t to = 2000) {
        Envelope<F> e = lab_.envelope(in, source, destination);
        e.protocol = ipproto::kSctp;
        return frame_of(e, sctp_header(from, to, 20, type));
    }

    /// What lies behind the IP header.
    static std::vector<std::uint8_t> payload(const Frame& frame) {
        return {frame.begin() + kL4<F>, frame.end()};
    }

    /// Lets a guest's packet out; the port that the world sees, 0 if it did not leave in the host's name.
    std::uint16_t leave(PortId in, const Frame& frame) {
        const std::string text = this->pass(in, frame, lab_.fabric);
        return text.starts_with(to_string(host<F>(kRouter)) + " ->") ? source_port<F>(last_) : 0;
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(NatTest, Families);

/// Where one owner may have 64 flows.
template <typename F>
class NatQuotaTest : public NatTest<F> {
  protected:
    NatQuotaTest() : NatTest<F>(settings()) {}

    static MachineSettings settings() {
        auto settings = PipelineLab<F>::defaults();
        settings.flows_per_endpoint = 64;
        return settings;
    }
};

TYPED_TEST_SUITE(NatQuotaTest, Families);

/// Where one guest gets a quarter of the ports.
template <typename F>
class NatShareTest : public NatTest<F> {
  protected:
    NatShareTest() : NatTest<F>(settings()) { range(400); }

    static MachineSettings settings() {
        auto settings = PipelineLab<F>::defaults();
        settings.nat_ports_percent = 25;
        return settings;
    }

    void range(std::uint16_t count) {
        const auto last = static_cast<std::uint16_t>(kFirst + count - 1);
        this->configure({.first_port = L4Port{kFirst}, .last_port = L4Port{last}});
    }

    /// The ports that a guest has after it has asked for so many to one destination.
    std::set<std::uint16_t> ask(
        PortId guest, std::uint32_t address, std::uint16_t many, std::uint32_t to = kOutside) {
        std::set<std::uint16_t> ports;
        for (std::uint16_t from = 1; from <= many; ++from) {
            ports.insert(this->leave(guest, this->udp(guest, address, to, from)));
        }
        ports.erase(0);
        return ports;
    }
};

TYPED_TEST_SUITE(NatShareTest, Families);

TYPED_TEST(NatTest, AFlowGoesOutInTheHostsNameAndItsAnswersComeBack) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const Frame requests[] = {
        this->udp(lab.a, kGuestA, kOutside),
        this->tcp(lab.a, kGuestA, kOutside, kSyn),
        this->echo(lab.a, kGuestA, kOutside, kEchoRequest<F>, 7)};
    for (const Frame& request : requests) {
        const std::uint16_t port = this->leave(lab.a, request);
        EXPECT_GE(port, kFirst);
        EXPECT_LE(port, kLast);
        const std::uint8_t protocol = protocol_of<F>(request);
        const Frame answer = protocol == ipproto::kUdp
                                 ? this->udp(lab.fabric, kOutside, kRouter, 2000, port)
                             : protocol == ipproto::kTcp
                                 ? this->tcp(lab.fabric, kOutside, kRouter, kSyn | kAck, 80, port)
                                 : this->echo(lab.fabric, kOutside, kRouter, kEchoReply<F>, port);
        EXPECT_EQ(this->pass(lab.fabric, answer, lab.a), ends<F>(kOutside, kGuestA));
        EXPECT_EQ(destination_port<F>(this->last_), source_port<F>(request));
        EXPECT_EQ(this->leave(lab.a, request), port) << "again";
    }
}

using NatTest4 = NatTest<V4>;

/// In IPv6 there is always one.
TEST_F(NatTest4, AUdpPacketWithoutChecksumStaysSo) {
    using F = V4;
    auto& lab = this->lab_;
    const Frame frame = lab.udp(lab.a, kGuestA, kOutside);
    EXPECT_EQ(lab.run(lab.a, frame), "sent fabric");
    const Frame sent = lab.port(lab.fabric).sent.front();
    EXPECT_EQ(ends<F>(sent), ends<F>(kRouter, kOutside));
    EXPECT_EQ(load_be<std::uint16_t>(&sent[sum_at<F>(sent)]), 0);
}

TYPED_TEST(NatTest, WhatStaysInThePoolsIsLeftAlone) {
    using F = TypeParam;
    auto& lab = this->lab_;
    this->add(kAllPools, network<F>(kOutside, 0));
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside), lab.fabric),
        ends<F>(kGuestA, kOutside));
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kGuestB), lab.b), ends<F>(kGuestA, kGuestB));
    EXPECT_GE(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside2)), kFirst);
}

TYPED_TEST(NatTest, HostsAreSparedWhereTheyShallBe) {
    using F = TypeParam;
    auto& lab = this->lab_;
    this->add(kClusterHosts, network<F>(kOutside, 0));
    EXPECT_NE(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside)), 0);
    this->configure({.spares_hosts = true});
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside, 5), lab.fabric),
        ends<F>(kGuestA, kOutside));
}

TYPED_TEST(NatTest, WhatWasBegunFromOutsideIsAnsweredByItsOwnName) {
    using F = TypeParam;
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kGuestA)), "sent a");
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside, 2000, 1000), lab.fabric),
        ends<F>(kGuestA, kOutside));
}

TYPED_TEST(NatTest, PacketsOfABurstGoOutAlike) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const Frame frame = this->udp(lab.a, kGuestA, kOutside);
    lab.receive(lab.a, {frame, frame, frame});
    lab.poll();
    std::set<std::uint16_t> ports;
    for (const Frame& sent : lab.port(lab.fabric).sent) {
        EXPECT_EQ(ends<F>(sent), ends<F>(kRouter, kOutside));
        ports.insert(source_port<F>(sent));
    }
    EXPECT_EQ(ports.size(), 1U);
    EXPECT_EQ(lab.port(lab.fabric).sent.size(), 3U);
}

// Ports.

TYPED_TEST(NatTest, TwoGuestsWithTheSamePortAreToldApart) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const std::uint16_t a = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    const std::uint16_t b = this->leave(lab.b, this->udp(lab.b, kGuestB, kOutside));
    ASSERT_NE(a, 0);
    ASSERT_NE(b, 0);
    EXPECT_NE(a, b);
    EXPECT_EQ(
        this->pass(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, b), lab.b),
        ends<F>(kOutside, kGuestB));
    EXPECT_EQ(
        this->pass(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, a), lab.a),
        ends<F>(kOutside, kGuestA));
}

TYPED_TEST(NatTest, APortServesOneFlowToEachDestination) {
    auto& lab = this->lab_;
    this->configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kFirst}});
    EXPECT_EQ(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside)), kFirst);
    EXPECT_EQ(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside2)), kFirst);
    EXPECT_EQ(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside, 1000, 2001)), kFirst);
    EXPECT_EQ(this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn, 1000, 2000)), kFirst);
    EXPECT_EQ(lab.run(lab.b, this->udp(lab.b, kGuestB, kOutside)), "dropped nat_ports_exhausted");
    lab.machine->shared().template flows<TypeParam>().remove_if(
        [&](const auto& flow) { return flow.from == lab.a; });
    EXPECT_EQ(this->leave(lab.b, this->udp(lab.b, kGuestB, kOutside)), kFirst);
}

TYPED_TEST(NatTest, EveryPortOfASmallRangeIsFound) {
    auto& lab = this->lab_;
    this->configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kFirst + 7}});
    std::set<std::uint16_t> ports;
    for (std::uint16_t from = 1; from <= 8; ++from) {
        ports.insert(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside, from)));
    }
    EXPECT_EQ(ports.size(), 8U);
    EXPECT_FALSE(ports.contains(0));
}

TYPED_TEST(NatTest, AConnectionThatBeginsAnewHasAnotherPort) {
    auto& lab = this->lab_;
    this->configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kFirst + 1}});
    const std::uint16_t first = this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn));
    ASSERT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kRst, 80, first)), "sent a");
    const std::uint16_t second = this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn));
    ASSERT_NE(second, 0);
    EXPECT_NE(second, first);
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kAck, 80, first)), "sent host")
        << "of the flow that ended";
}

TYPED_TEST(NatTest, WhoFindsNoPortLeavesThoseBehindTheirs) {
    using F = TypeParam;
    auto& lab = this->lab_;
    for (std::uint16_t from = 1; from <= 300; ++from) {
        lab.run(lab.a, this->udp(lab.a, kGuestA, kOutside, from));
    }
    EXPECT_LE(lab.machine->shared().template flows<F>().size(), 2U * (kLast - kFirst + 1U));
    std::vector<Frame> burst;
    for (std::uint16_t from = 301; from <= 331; ++from) {
        burst.push_back(this->udp(lab.a, kGuestA, kOutside, from));
    }
    burst.push_back(this->udp(lab.a, kGuestA, kOutside2));
    lab.port(lab.fabric).sent.clear();
    lab.receive(lab.a, burst);
    lab.poll();
    ASSERT_FALSE(lab.port(lab.fabric).sent.empty());
    EXPECT_EQ(ends<F>(lab.port(lab.fabric).sent.back()), ends<F>(kRouter, kOutside2));
}

TYPED_TEST(NatShareTest, AGuestGetsItsShareToEachDestination) {
    auto& lab = this->lab_;
    EXPECT_LE(this->ask(lab.a, kGuestA, 400).size(), 100U);
    EXPECT_GE(this->ask(lab.a, kGuestA, 400, kOutside2).size(), 90U);
}

TYPED_TEST(NatShareTest, AGuestThatTakesAllOfItsShareLeavesOthersMostOfTheirs) {
    auto& lab = this->lab_;
    this->ask(lab.a, kGuestA, 400);
    EXPECT_EQ(
        lab.run(lab.a, this->udp(lab.a, kGuestA, kOutside, 999)), "dropped nat_ports_exhausted");
    EXPECT_GE(this->ask(lab.b, kGuestB, 400).size(), 50U);
}

TYPED_TEST(NatShareTest, OfAFewPortsAGuestMayHaveAll) {
    auto& lab = this->lab_;
    this->range(64);
    EXPECT_EQ(this->ask(lab.a, kGuestA, 400).size(), 64U);
    this->range(100);
    EXPECT_LE(this->ask(lab.a, kGuestA, 400, kOutside2).size(), 64U);
}

/// Their ports are their own: there is nothing to share.
TYPED_TEST(NatShareTest, WhoKeepsItsPortsKeepsThem) {
    using F = TypeParam;
    auto& lab = this->lab_;
    EXPECT_EQ(
        this->pass(lab.a, this->other(lab.a, kGuestA, kOutside, kGre), lab.fabric),
        ends<F>(kRouter, kOutside));
}

// In whose name.

TYPED_TEST(NatTest, AnAddressMayBeNamed) {
    using F = TypeParam;
    auto& lab = this->lab_;
    constexpr std::uint32_t kSecond = kRouter + 16;
    const NatOutgoing nat{.address = IpAddr{host<F>(kSecond)}};
    this->configure(nat);
    EXPECT_EQ(lab.run(lab.a, this->udp(lab.a, kGuestA, kOutside)), "dropped nat_no_address")
        << "it is not the host's";
    this->have(kSecond);
    EXPECT_EQ(
        this->pass(lab.a, this->udp(lab.a, kGuestA, kOutside), lab.fabric),
        ends<F>(kSecond, kOutside));
}

TYPED_TEST(NatTest, AnAddressOfTheOtherFamilyIsNone) {
    using F = TypeParam;
    auto& lab = this->lab_;
    using Other = std::conditional_t<std::is_same_v<F, V4>, V6, V4>;
    this->configure({.address = IpAddr{host<Other>(kRouter + 16)}});
    EXPECT_NE(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside)), 0);
}

TYPED_TEST(NatTest, WithoutAnAddressNothingLeaves) {
    auto& lab = this->lab_;
    lab.machine->routes().remove(
        Prefix<TypeParam>::host(host<TypeParam>(kRouter)), RouteSource::Local);
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.a, this->udp(lab.a, kGuestA, kOutside)), "dropped nat_no_address");
}

TYPED_TEST(NatTest, WhatCannotBeAnsweredDoesNotLeave) {
    using F = TypeParam;
    auto& lab = this->lab_;
    EXPECT_EQ(
        lab.run(lab.a, this->echo(lab.a, kGuestA, kOutside, kEchoReply<F>, 7)),
        "dropped not_translated");
    constexpr std::uint8_t kOtherIcmp = kIcmpOf<F> == 1 ? 58 : 1;
    EXPECT_EQ(
        lab.run(lab.a, this->other(lab.a, kGuestA, kOutside, kOtherIcmp)),
        "dropped not_translated");
}

TYPED_TEST(NatTest, WhatAnotherAddressBreaksDoesNotLeave) {
    auto& lab = this->lab_;
    for (const std::uint8_t protocol : {ipproto::kDccp, ipproto::kAh}) {
        EXPECT_EQ(
            lab.run(lab.a, this->other(lab.a, kGuestA, kOutside, protocol)),
            "dropped not_translated")
            << int{protocol};
    }
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
}

// Protocols of which the address alone changes.

TYPED_TEST(NatTest, OtherProtocolsGoOutWithAnotherAddressAlone) {
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

TYPED_TEST(NatTest, OfAProtocolWithoutPortsOneFlowGoesToEachDestination) {
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

TYPED_TEST(NatTest, AssociationsWithTheSamePortsMeet) {
    auto& lab = this->lab_;
    const auto sctp = [&](PortId in, std::uint32_t guest, std::uint16_t from) {
        return lab.run(in, this->other(in, guest, kOutside, ipproto::kSctp, from));
    };
    EXPECT_EQ(sctp(lab.a, kGuestA, 1), "sent fabric");
    EXPECT_EQ(sctp(lab.b, kGuestB, 1), "dropped nat_ports_exhausted");
    EXPECT_EQ(sctp(lab.b, kGuestB, 2), "sent fabric");
}

TYPED_TEST(NatTest, ErrorsAboutOtherProtocolsComeBack) {
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

TYPED_TEST(NatTest, FragmentsOfOtherProtocolsGoOutAlike) {
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

TYPED_TEST(NatTest, AnErrorComesBackToTheGuest) {
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

TYPED_TEST(NatTest, AShortQuoteIsTranslatedAsFarAsItIsThere) {
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

TYPED_TEST(NatTest, AGuestsErrorGoesOutInTheHostsName) {
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

TYPED_TEST(NatTest, AnErrorFromAnotherOfTheGuestsAddressesGoesOutInTheHostsName) {
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

TYPED_TEST(NatTest, AnErrorThatQuotesAnotherFlowIsTheHosts) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    const Frame other =
        this->udp(lab.fabric, kRouter, kOutside, static_cast<std::uint16_t>(port ^ 1U));
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside, kRouter, other)), "sent host");
    const Frame against = this->udp(lab.fabric, kOutside, kRouter, 2000, port);
    EXPECT_EQ(lab.run(lab.fabric, this->error(lab.fabric, kOutside, kRouter, against)), "sent host")
        << "nobody here sent that";
}

TYPED_TEST(NatTest, WhatCannotBeSentOnIsReportedAsTheGuestKnowsIt) {
    using F = TypeParam;
    auto& lab = this->lab_;
    Envelope<F> e = lab.envelope(lab.a, kGuestA, kOutside);
    e.hop_limit = 1;
    EXPECT_EQ(lab.run(lab.a, frame_of(e, udp_header(1000, 2000))), "punted hop_limit");
    EXPECT_NE(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside)), 0);
}

// Fragments.

TYPED_TEST(NatTest, LaterFragmentsHaveNoPortsToRewrite) {
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

// The host's own.

TYPED_TEST(NatTest, WhatNobodyAskedForIsTheHosts) {
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

TYPED_TEST(NatTest, AConnectionOfTheHostIsNotAnsweredToAGuest) {
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

TYPED_TEST(NatTest, AConnectionOfTheHostKeepsItsPort) {
    auto& lab = this->lab_;
    this->configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kFirst}});
    ASSERT_EQ(lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kAck, kFirst)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn)), "dropped nat_ports_exhausted");
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kAck, 80, kFirst)),
        "sent host");
}

TYPED_TEST(NatTest, AConnectionOfTheHostOutlivesItsHandshake) {
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

TYPED_TEST(NatTest, TheHostKeepsItsPlaceAmongOtherProtocols) {
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

TYPED_TEST(NatTest, WhatTheHostSendsFromBelowTheRangeLeavesNothing) {
    auto& lab = this->lab_;
    lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kSyn, kFirst - 1));
    lab.run(lab.tap, this->udp(lab.tap, kRouter, kOutside, kFirst));
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
}

TYPED_TEST(NatTest, TheHostReachesGuestsFromWithinTheRangeToo) {
    auto& lab = this->lab_;
    for (const std::uint8_t flags : {kSyn, kAck}) {
        EXPECT_EQ(lab.run(lab.tap, this->tcp(lab.tap, kRouter, kGuestA, flags, kFirst)), "sent a");
    }
}

TYPED_TEST(NatTest, WhoCallsTheHostReachesIt) {
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

TYPED_TEST(NatTest, WhoCallsAGuardedHostReachesIt) {
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

TYPED_TEST(NatTest, WhoOpensAnAssociationWithTheHostReachesIt) {
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
TYPED_TEST(NatTest, AnSctpPacketWithoutAChunkOpensNoAssociation) {
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

TYPED_TEST(NatTest, AResetOfTheHostTakesNoPlace) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn));
    ASSERT_EQ(lab.run(lab.tap, this->tcp(lab.tap, kRouter, kOutside, kRst, port)), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kRouter, kSyn | kAck, 80, port)),
        "sent a");
}

TYPED_TEST(NatTest, AnAbortOfTheHostTakesNoPlace) {
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

TYPED_TEST(NatTest, APlaceThatTheHostTookIsFreeAsSoonAsItsFlowWouldBe) {
    auto& lab = this->lab_;
    auto& flows = lab.machine->shared().template flows<TypeParam>();
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    lab.run(lab.tap, this->udp(lab.tap, kRouter, kOutside, port));
    this->age(100);
    EXPECT_EQ(flows.size(), 0U);
}

TYPED_TEST(NatTest, PolicyOfTheHostIsAskedOfItsConnectionStill) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    lab.guard({{NormalEgress, deny_all()}});
    const Frame own = this->udp(lab.tap, kRouter, kOutside, port);
    EXPECT_EQ(lab.run(lab.tap, own), "dropped host_egress_denied");
    EXPECT_EQ(lab.run(lab.tap, own), "dropped host_egress_denied");
}

TYPED_TEST(NatTest, AGuestAnswersNobodyInAnothersName) {
    auto& lab = this->lab_;
    lab.machine->set_workload_rules(
        {.to_host = EndpointToHost::Accept, .nat_outgoing = NatOutgoing{}});
    lab.machine->commit();
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    ASSERT_NE(port, 0);
    EXPECT_EQ(lab.run(lab.b, this->udp(lab.b, kGuestB, kRouter, 2000, port)), "sent host");
}

// Policy.

/// Allows what comes from one address.
template <Family F>
acl::Program allow_source(std::uint32_t address) {
    acl::Program program = allow_all();
    auto& source = program.rules[0].match.source;
    if constexpr (std::is_same_v<F, V4>) {
        source.nets4 = {Prefix<F>::host(host<F>(address))};
        program.rules[0].match.ip6 = false;
    } else {
        source.nets6 = {Prefix<F>::host(host<F>(address))};
        program.rules[0].match.ip4 = false;
    }
    return program;
}

TYPED_TEST(NatTest, PolicySeesTheGuestsAddress) {
    using F = TypeParam;
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_source<F>(kGuestA));
    lab.guard({{ForwardEgress, allow_source<F>(kGuestA)}});
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    EXPECT_NE(port, 0);
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, port)), "sent a")
        << "an answer";
}

TYPED_TEST(NatTest, WhatPolicyDeniesTakesNoPort) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, allow_all(), deny_all());
    EXPECT_EQ(lab.run(lab.a, this->udp(lab.a, kGuestA, kOutside)), "dropped egress_denied");
    EXPECT_EQ(lab.machine->shared().template flows<TypeParam>().size(), 0U);
}

TYPED_TEST(NatTest, WhatIsSentToTheGuestItselfAnswersNoFlowInTheHostsName) {
    auto& lab = this->lab_;
    lab.set_policy(lab.a, deny_all(), allow_all());
    ASSERT_NE(this->leave(lab.a, this->tcp(lab.a, kGuestA, kOutside, kSyn)), 0);
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kGuestA, kSyn | kAck, 80, 1000)),
        "dropped flow_invalid");
    EXPECT_EQ(
        lab.run(lab.fabric, this->tcp(lab.fabric, kOutside, kGuestA, kAck, 80, 1000)),
        "dropped ingress_denied");
}

TYPED_TEST(NatTest, WhatUntrackedPolicyLetsInIsTheHosts) {
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    lab.guard({{UntrackedIngress, allow_port(port)}});
    EXPECT_EQ(
        lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, port)), "sent host");
}

// Its life.

TYPED_TEST(NatTest, AFlowWhoseAddressIsElsewhereNowHasEnded) {
    using F = TypeParam;
    auto& lab = this->lab_;
    const std::uint16_t port = this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside));
    lab.machine->routes().set(
        Prefix<F>::host(host<F>(kGuestA)),
        RouteSource::Workload,
        Adjacency{lab.b, host<F>(kGuestA)});
    lab.machine->commit();
    const Frame answer = this->udp(lab.fabric, kOutside, kRouter, 2000, port);
    EXPECT_EQ(lab.run(lab.fabric, answer), "dropped flow_moved");
    EXPECT_EQ(lab.run(lab.fabric, answer), "sent host");
    lab.guard({{NormalIngress, allow_port(port)}});
    EXPECT_EQ(lab.run(lab.fabric, answer), "sent host") << "the mapping is nobody's";
}

TYPED_TEST(NatTest, FlowsOutliveWhatMadeThem) {
    auto& lab = this->lab_;
    const Frame request = this->udp(lab.a, kGuestA, kOutside);
    const std::uint16_t port = this->leave(lab.a, request);
    lab.machine->set_workload_rules({});
    lab.machine->commit();
    EXPECT_EQ(this->leave(lab.a, request), port);
    EXPECT_EQ(lab.run(lab.fabric, this->udp(lab.fabric, kOutside, kRouter, 2000, port)), "sent a");
    EXPECT_EQ(this->leave(lab.a, this->udp(lab.a, kGuestA, kOutside, 5)), 0) << "new ones are not";
}

}  // namespace
}  // namespace vr::test::nat_outgoing_test
