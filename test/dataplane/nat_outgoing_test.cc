// natOutgoing on the packet path: what leaves the pools does so in the name of the host, what answers comes back
// to the guest.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "test/dataplane/nat_lab.h"

namespace vr::test::nat_outgoing_test {
namespace {

using enum HostHook;
using tcpflag::kAck;
using tcpflag::kRst;
using tcpflag::kSyn;

using Families = testing::Types<V4, V6>;

template <typename F>
class NatTest : public NatLab<F> {};

TYPED_TEST_SUITE(NatTest, Families);

/// Where one guest gets a quarter of the ports.
template <typename F>
class NatShareTest : public NatLab<F> {
  protected:
    NatShareTest() : NatLab<F>(settings()) { range(400); }

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
