// trace against the packet path: for random packets it says what a worker does with the real packet.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "test/dataplane/pipeline_lab.h"
#include "test/dataplane/sealed_frame.h"

namespace vr::trace_test {
namespace {

using namespace vr::test;

template <typename F>
class TraceTest : public testing::Test {
  protected:
    /// A packet that is to be traced and sent.
    struct Trial {
        PortId in;
        std::uint32_t source = 0;
        std::uint32_t destination = 0;
        std::uint8_t protocol = ipproto::kUdp;
        std::uint16_t source_port = 0;
        std::uint16_t destination_port = 0;
        std::uint8_t tcp_flags = tcpflag::kSyn;
        std::optional<Mac> source_mac = {};
    };

    Frame frame(const Trial& t) {
        Envelope<F> e = lab->envelope(t.in, t.source, t.destination);
        e.protocol = t.protocol;
        e.link_source = t.source_mac.value_or(e.link_source);
        if (t.protocol == ipproto::kTcp) {
            return frame_of(e, tcp_header(t.source_port, t.destination_port, t.tcp_flags));
        }
        if (t.protocol == ipproto::kUdp) {
            return frame_of(e, udp_header(t.source_port, t.destination_port));
        }
        if (t.protocol == kIcmpOf<F>) {
            return frame_of(e, icmp_header(kEchoRequest<F>, 0, t.source_port));
        }
        return frame_of(e, std::vector<std::uint8_t>(20));
    }

    /// Another lab, in which each endpoint may have so many flows.
    PipelineLab<F>& with_shares_of(std::uint32_t flows) {
        auto settings = PipelineLab<F>::defaults();
        settings.flows_per_endpoint = flows;
        lab.reset();
        lab = std::make_unique<PipelineLab<F>>(settings);
        return *lab;
    }

    TraceResult traced(const Trial& t) {
        TraceQuery query;
        query.in = t.in;
        query.source = host<F>(t.source);
        query.destination = host<F>(t.destination);
        query.protocol = t.protocol;
        const bool icmp = t.protocol == kIcmpOf<F>;
        if (icmp || t.protocol == ipproto::kTcp || t.protocol == ipproto::kUdp) {
            query.source_port = L4Port{t.source_port};
            query.destination_port = L4Port{icmp ? std::uint16_t{0} : t.destination_port};
        }
        query.icmp_type = icmp ? kEchoRequest<F> : 0;
        query.tcp_flags = t.tcp_flags;
        query.source_mac = t.source_mac;
        return trace(*lab->machine, query);
    }

    /// What trace says, in the words in which the lab tells what the worker did.
    std::string foretold(const Trial& t) { return in_words(traced(t)); }

    std::string in_words(const TraceResult& result) {
        if (result.reason == DropReason::NoRoute) {
            return "punted no_route";
        }
        if (result.reason != DropReason::None) {
            return "dropped " + std::string{name(result.reason)};
        }
        if (result.out == PortId{}) {
            return "punted echo";
        }
        const std::string& last = result.steps.back().detail;
        return last.starts_with("held") ? "punted resolve"
                                        : "sent " + lab->machine->port(result.out)->name;
    }

    /// That a packet left as trace says.
    void expect_leaves(const TraceResult& foretold, const Frame& sent, const Frame& arrived) {
        EXPECT_EQ(IpAddr{F::Addr::load(&sent[kSourceAt<F>])}, foretold.source);
        EXPECT_EQ(IpAddr{F::Addr::load(&sent[kDestinationAt<F>])}, foretold.destination);
        EXPECT_EQ(
            traffic_class<F>(sent) >> 2U, foretold.dscp.value_or(traffic_class<F>(arrived) >> 2U));
        const std::uint8_t protocol = protocol_of<F>(sent);
        if (has_sum<F>(sent)) {
            const std::size_t at = protocol == kIcmpOf<F> ? 4 : 0;
            const L4Port source{load_be<std::uint16_t>(&sent[kL4<F> + at])};
            EXPECT_GE(source, foretold.source_ports.first);
            EXPECT_LE(source, foretold.source_ports.last);
        }
    }

    std::unique_ptr<PipelineLab<F>> lab = std::make_unique<PipelineLab<F>>();
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(TraceTest, Families);

TYPED_TEST(TraceTest, SaysWhatTheWorkerDoes) {
    for (unsigned seed = 0; seed < 16; ++seed) {
        // A router of its own: the last one has used up what it may punt in a quarter of a second.
        this->lab.reset();
        this->lab = std::make_unique<PipelineLab<TypeParam>>();
        auto& router = *this->lab;
        std::mt19937 random{seed};
        const auto one_of = [&](const auto& values) {
            return values[random() % std::size(values)];
        };
        const std::array programs{allow_all(), deny_all(), allow_port(80)};
        router.set_policy(router.a, one_of(programs), one_of(programs));
        router.set_policy(router.b, one_of(programs), one_of(programs));
        router.add_floating(router.a, kFloatA);
        router.add_floating(router.b, kFloatB);
        if (seed % 3 == 1) {
            router.let_spoof(router.a, kGuestB, 8);
        }
        if (random() % 4 == 0) {
            router.close(router.b);
        } else {
            router.mark(router.b, 10);
        }
        router.mark(router.a, 46);
        std::map<HostHook, acl::Program> guard;
        for (const HostHook hook : kAllHostHooks) {
            if (random() % 3 == 0) {
                guard[hook] = one_of(std::array{allow_all(), allow_port(80), acl::Program{}});
            }
        }
        router.machine->set_workload_rules(
            {.to_host = one_of(
                 std::array{EndpointToHost::Drop, EndpointToHost::Return, EndpointToHost::Accept}),
             .nat_outgoing = seed % 2 == 1 ? std::optional{NatOutgoing{}} : std::nullopt});
        auto& groups = router.machine->shared().template groups<TypeParam>();
        groups.add(kNatPools, network<TypeParam>(kGuestA, 16));
        groups.add(kAllPools, network<TypeParam>(kGuestA, 16));
        groups.add(kClusterHosts, Prefix<TypeParam>::host(host<TypeParam>(kOutside2)));
        if (seed % 4 == 1) {
            router.guard(guard);
        } else if (seed % 4 == 2) {
            router.guard_all(guard);
        } else if (seed % 4 == 3) {
            router.mark_host(12);
        }
        const std::uint32_t stations[] = {
            kRouter,
            kGuestA,
            kGuestB,
            kFloatA,
            kFloatB,
            kGateway,
            kOutside,
            kOutside2,
            0x0a000033,
            0x63000001};
        const std::uint8_t protocols[] = {
            ipproto::kTcp, ipproto::kUdp, kIcmpOf<TypeParam>, ipproto::kIpip, 50, ipproto::kAh};
        for (int i = 0; i < 400; ++i) {
            typename TestFixture::Trial t;
            t.in = one_of(std::array{router.fabric, router.a, router.b, router.tap});
            t.source = t.in == router.a && random() % 8 != 0   ? kGuestA
                       : t.in == router.b && random() % 8 != 0 ? kGuestB
                       : t.in == router.tap                    ? kRouter
                                                               : one_of(stations);
            t.destination = one_of(stations);
            t.protocol = one_of(protocols);
            t.source_port = static_cast<std::uint16_t>(1000 + random() % 50);
            t.destination_port = random() % 2 == 0 ? 80 : 53;
            constexpr std::array kFlags{
                tcpflag::kSyn,
                tcpflag::kAck,
                tcpflag::kRst,
                tcpflag::kFin,
                std::uint8_t{tcpflag::kSyn | tcpflag::kAck}};
            t.tcp_flags = one_of(kFlags);
            if (random() % 16 == 0 && t.in != router.tap) {
                t.source_mac = Mac{{2, 0, 0, 0, 9, 9}};
            }
            const TraceResult foretold = this->traced(t);
            ASSERT_EQ(router.run(t.in, this->frame(t)), this->in_words(foretold))
                << "seed " << seed << " packet " << i << ": port "
                << router.machine->port(t.in)->name << " " << to_string(host<TypeParam>(t.source))
                << " -> " << to_string(host<TypeParam>(t.destination)) << " protocol "
                << static_cast<unsigned>(t.protocol) << " ports " << t.source_port << " "
                << t.destination_port;
            if (foretold.reason == DropReason::None && foretold.out != PortId{}) {
                const auto& sent = router.port(foretold.out).sent;
                if (!sent.empty()) {
                    this->expect_leaves(foretold, sent.front(), this->frame(t));
                }
            }
        }
    }
}

TYPED_TEST(TraceTest, RefusesWhatNoPacketMayCarry) {
    using Addr = typename TypeParam::Addr;
    const bool ip4 = TypeParam::kVersion == 4;
    TraceQuery query{.in = this->lab->a, .source = host<TypeParam>(kGuestA), .destination = {}};
    query.destination = *Addr::parse(ip4 ? "224.0.0.9" : "ff02::9");
    EXPECT_EQ(trace(*this->lab->machine, query).reason, DropReason::Multicast);
    query.destination = *Addr::parse(ip4 ? "127.0.0.1" : "::1");
    EXPECT_EQ(trace(*this->lab->machine, query).reason, DropReason::MartianAddress);
}

TYPED_TEST(TraceTest, AnIcmpErrorThatQuotesNothingKnownIsInvalid) {
    const TraceQuery query{
        .in = this->lab->fabric,
        .source = host<TypeParam>(kOutside),
        .destination = host<TypeParam>(kGuestA),
        .protocol = kIcmpOf<TypeParam>,
        .icmp_type = kUnreachable<TypeParam>};
    EXPECT_EQ(trace(*this->lab->machine, query).reason, DropReason::FlowInvalid);
}

TYPED_TEST(TraceTest, LeavesNoTrace) {
    this->traced({this->lab->a, kGuestA, kGuestB, ipproto::kTcp, 1, 80});
    EXPECT_EQ(this->lab->machine->shared().template flows<TypeParam>().size(), 0U);
    EXPECT_EQ(this->lab->sums().received, 0U);
}

TYPED_TEST(TraceTest, KnownFlowDecidesBeforePolicy) {
    auto& router = *this->lab;
    ASSERT_EQ(
        router.run(router.a, router.tcp(router.a, kGuestA, kGuestB, tcpflag::kSyn)), "sent b");
    router.set_policy(router.a, deny_all(), deny_all());
    const TraceResult result = this->traced({router.b, kGuestB, kGuestA, ipproto::kTcp, 80, 1000});
    EXPECT_EQ(result.reason, DropReason::None);
    EXPECT_EQ(result.out, router.a);
}

TYPED_TEST(TraceTest, TellsThatTheEndpointHasItsShareOfTheFlows) {
    auto& router = this->with_shares_of(32);
    for (std::uint16_t flow = 1; flow <= 32; ++flow) {
        router.run(router.a, router.udp(router.a, kGuestA, kOutside, flow));
    }
    const TraceResult result = this->traced({router.a, kGuestA, kOutside, ipproto::kUdp, 99, 53});
    EXPECT_EQ(result.reason, DropReason::FlowQuota);
}

TYPED_TEST(TraceTest, WhatMakesNoFlowNeedsNoShareOfThem) {
    auto& router = this->with_shares_of(32);
    for (std::uint16_t flow = 1; flow <= 32; ++flow) {
        router.run(router.fabric, router.udp(router.fabric, kOutside, kGuestB, flow));
    }
    const typename TestFixture::Trial next{router.fabric, kOutside, kGuestB, ipproto::kUdp, 99, 53};
    EXPECT_EQ(this->traced(next).reason, DropReason::FlowQuota);
    router.guard({{HostHook::UntrackedIngress, allow_all()}});
    EXPECT_EQ(this->foretold(next), "sent b");
    EXPECT_EQ(router.run(router.fabric, this->frame(next)), "sent b");
}

TYPED_TEST(TraceTest, TellsThatTheEndpointHasItsShareOfConnections) {
    auto& router = *this->lab;
    router.limit(router.a, {.connections = 1}, {.connections = 1});
    const typename TestFixture::Trial from{router.a, kGuestA, kOutside, ipproto::kTcp, 1, 80};
    const typename TestFixture::Trial to{router.fabric, kOutside, kGuestA, ipproto::kTcp, 1, 81};
    EXPECT_EQ(this->foretold(from), "sent fabric");
    ASSERT_EQ(router.run(router.a, this->frame(from)), "sent fabric");
    ASSERT_EQ(router.run(router.fabric, this->frame(to)), "sent a");
    EXPECT_EQ(this->foretold(from), "sent fabric") << "known";
    auto another = from;
    another.source_port = 2;
    EXPECT_EQ(this->traced(another).reason, DropReason::ConnectionLimit);
    another = to;
    another.source_port = 2;
    EXPECT_EQ(this->traced(another).reason, DropReason::ConnectionLimit);
}

TYPED_TEST(TraceTest, TellsWhereRatesAreAsked) {
    auto& router = *this->lab;
    router.limit(router.a, {}, {.packet_rate = 1, .packet_burst = 1});
    router.limit(router.b, {.bandwidth = 1000}, {});
    const TraceResult result = this->traced({router.a, kGuestA, kGuestB});
    EXPECT_EQ(result.reason, DropReason::None);
    EXPECT_EQ(std::ranges::count(result.steps, "rate limit", &TraceStep::stage), 2);
}

TYPED_TEST(TraceTest, WhatMeetsAFlowInTheHostsNameDoesNotArrive) {
    auto& router = *this->lab;
    router.machine->set_workload_rules({.nat_outgoing = NatOutgoing{}});
    auto& groups = router.machine->shared().template groups<TypeParam>();
    groups.add(kNatPools, network<TypeParam>(kGuestA, 16));
    groups.add(kAllPools, network<TypeParam>(kGuestA, 16));
    router.machine->commit();
    ASSERT_EQ(
        router.run(router.a, router.tcp(router.a, kGuestA, kOutside, tcpflag::kSyn)),
        "sent fabric");
    const typename TestFixture::Trial to_guest{
        router.fabric, kOutside, kGuestA, ipproto::kTcp, 80, 1000};
    EXPECT_EQ(this->foretold(to_guest), "dropped flow_moved");
    EXPECT_EQ(router.run(router.fabric, this->frame(to_guest)), "dropped flow_moved");
}

TYPED_TEST(TraceTest, TellsNoDscpOfWhatTheRouterItselfSends) {
    this->lab->mark_host(10);
    EXPECT_EQ(this->traced({this->lab->tap, kRouter, kOutside}).dscp, 10);
    EXPECT_EQ(this->traced({PortId{}, kRouter, kOutside}).dscp, std::nullopt);
}

TYPED_TEST(TraceTest, NamesTheDecidingRule) {
    auto& router = *this->lab;
    acl::Program program = deny_all();
    program.origins = {{.tier = "t", .policy = "NetworkPolicy prod/web", .rule = 3}};
    router.set_policy(router.b, program, allow_all());
    const TraceResult result = this->traced({router.a, kGuestA, kGuestB, ipproto::kTcp, 1, 80});
    ASSERT_EQ(result.reason, DropReason::IngressDenied);
    ASSERT_TRUE(result.steps.back().origin);
    EXPECT_EQ(result.steps.back().origin->policy, "NetworkPolicy prod/web");
    EXPECT_NE(result.steps.back().detail.find("rule 3"), std::string::npos);
}

}  // namespace
}  // namespace vr::trace_test
