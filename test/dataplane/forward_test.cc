// The packet's way without flows: link layer, routes, TTL, MTU, next hops, the router itself.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <map>
#include <set>

#include "test/dataplane/pipeline_lab.h"

namespace vr::test::forward_test {
namespace {

template <typename F>
class Forward : public testing::Test {
  protected:
    Frame transit() const { return lab_.udp(lab_.fabric, kOutside, kOutside2); }

    PipelineLab<F> lab_;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Forward, Families);

TYPED_TEST(Forward, WritesTheLinkHeaderOfTheNextHop) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, this->transit()), "sent fabric");
    const Frame& out = lab.port(lab.fabric).sent.at(0);
    EXPECT_EQ(Mac::load(out.data()), kGatewayMac);
    EXPECT_EQ(Mac::load(&out[6]), lab.mac(lab.fabric));
    EXPECT_EQ(load_be<std::uint16_t>(&out[12]), TypeParam::kEtherType);
}

TYPED_TEST(Forward, TakesOneHopAndKeepsTheRest) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    ASSERT_EQ(lab.run(lab.fabric, frame_of(envelope, udp_header(1, 2))), "sent fabric");
    envelope.hop_limit = 63;
    envelope.link_destination = kGatewayMac;
    envelope.link_source = lab.mac(lab.fabric);
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0), frame_of(envelope, udp_header(1, 2)));
}

TYPED_TEST(Forward, CutsLinkPadding) {
    auto& lab = this->lab_;
    const Frame frame = this->transit();
    ASSERT_EQ(lab.run(lab.fabric, resized(frame, frame.size() + 17)), "sent fabric");
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0).size(), frame.size());
}

TYPED_TEST(Forward, CutsPaddingThatSpansSegments) {
    auto& lab = this->lab_;
    const Frame frame = this->transit();
    rte_mbuf* packet = lab.buffer(resized(frame, frame.size() + 200), {frame.size() + 3, 60, 60});
    ASSERT_EQ(lab.run(lab.fabric, packet), "sent fabric");
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0).size(), frame.size());
}

TYPED_TEST(Forward, CutsPaddingThatBeginsInALaterSegment) {
    auto& lab = this->lab_;
    const Frame frame = this->transit();
    rte_mbuf* packet = lab.buffer(resized(frame, frame.size() + 200), {frame.size() - 10, 30, 60});
    ASSERT_EQ(lab.run(lab.fabric, packet), "sent fabric");
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0).size(), frame.size());
}

TYPED_TEST(Forward, CutsMorePaddingThanSixteenBitsCount) {
    auto& lab = this->lab_;
    const Frame frame = this->transit();
    const std::vector<std::size_t> segments(40, 2000);
    rte_mbuf* packet = lab.buffer(resized(frame, 40 * 2000), segments);
    ASSERT_EQ(lab.run(lab.fabric, packet), "sent fabric");
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0).size(), frame.size());
}

TYPED_TEST(Forward, ForwardsPacketsInSegments) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    const Frame whole = frame_of(envelope, udp_header(1, 2, 1000));
    rte_mbuf* packet = lab.buffer(whole, {kL4<TypeParam> + 8, 500});
    ASSERT_EQ(lab.run(lab.fabric, packet), "sent fabric");
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0).size(), whole.size());
}

/// A first segment that ends anywhere inside the headers: never read past, never sent.
TYPED_TEST(Forward, DropsHeadersThatDoNotLieInTheFirstSegment) {
    auto& lab = this->lab_;
    const Frame frame = this->transit();
    for (std::size_t first = 0; first < kL4<TypeParam> + sizeof(UdpHeader); ++first) {
        const std::string outcome = lab.run(lab.fabric, lab.buffer(frame, {first}));
        EXPECT_EQ(outcome.substr(0, 17), "dropped malformed") << first;
    }
}

TYPED_TEST(Forward, DropsTransportHeadersCutShort) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    using Row = std::pair<std::uint8_t, std::size_t>;
    for (const auto& [protocol, need] :
         {Row{ipproto::kTcp, 20},
          Row{ipproto::kUdp, 8},
          Row{ipproto::kSctp, 12},
          Row{ipproto::kUdpLite, 8},
          Row{kIcmpOf<TypeParam>, 8}}) {
        envelope.protocol = protocol;
        // 200: an informational ICMP type that nobody answers.
        std::vector<std::uint8_t> l4(need, 200);
        if (protocol == ipproto::kTcp) {
            l4[12] = 0x50;
        } else if (protocol == ipproto::kUdp || protocol == ipproto::kUdpLite) {
            store_be(&l4[4], std::uint16_t{8});
        }
        EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, l4)), "sent fabric") << int{protocol};
        l4.pop_back();
        EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, l4)), "dropped malformed_l4")
            << int{protocol};
    }
}

struct LinkRow {
    const char* description;
    std::size_t at;
    std::vector<std::uint8_t> bytes;
    const char* outcome;
};

TYPED_TEST(Forward, SortsFramesByTheirLinkHeader) {
    auto& lab = this->lab_;
    const LinkRow rows[] = {
        {"another station's", 0, {2, 9, 9, 9, 9, 9}, "dropped other_mac"},
        {"VLAN tag", 12, {0x81, 0x00}, "dropped unknown_ethertype"},
        {"QinQ", 12, {0x88, 0xa8}, "dropped unknown_ethertype"},
        {"LLDP", 12, {0x88, 0xcc}, "dropped unknown_ethertype"},
        {"a length instead of a type", 12, {0x00, 0x40}, "dropped unknown_ethertype"},
        {"ARP for us", 12, {0x08, 0x06}, "punted link_local"},
    };
    for (const LinkRow& row : rows) {
        Frame frame = this->transit();
        std::copy(row.bytes.begin(), row.bytes.end(), frame.begin() + static_cast<int>(row.at));
        EXPECT_EQ(lab.run(lab.fabric, frame), row.outcome) << row.description;
    }
}

TYPED_TEST(Forward, ForwardsNothingToGroups) {
    auto& lab = this->lab_;
    Frame frame = this->transit();
    kBroadcastMac.store(frame.data());
    EXPECT_EQ(lab.run(lab.fabric, frame), "dropped multicast");
}

TYPED_TEST(Forward, PuntsBroadcastArp) {
    auto& lab = this->lab_;
    Frame frame = this->transit();
    kBroadcastMac.store(frame.data());
    store_be(&frame[12], ethertype::kArp);
    EXPECT_EQ(lab.run(lab.fabric, frame), "punted link_local");
    EXPECT_EQ(lab.run(lab.a, frame), "punted link_local");
}

TYPED_TEST(Forward, HearsNothingFromAClosedPort) {
    auto& lab = this->lab_;
    lab.close(lab.a);
    Frame arp = this->transit();
    kBroadcastMac.store(arp.data());
    store_be(&arp[12], ethertype::kArp);
    EXPECT_EQ(lab.run(lab.a, arp), "dropped port_closed");
    EXPECT_EQ(lab.run(lab.a, lab.udp(lab.a, kGuestA, kOutside)), "dropped port_closed");
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kGuestA)), "dropped port_closed");
}

TYPED_TEST(Forward, ShortFramesAreMalformed) {
    auto& lab = this->lab_;
    for (std::size_t size = 0; size < kIp; ++size) {
        EXPECT_EQ(
            lab.run(lab.fabric, resized(this->transit(), size)), "dropped malformed_ethernet");
    }
}

TYPED_TEST(Forward, HopLimitUsedUpIsPunted) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    for (std::uint8_t hops = 0; hops < 2; ++hops) {
        envelope.hop_limit = hops;
        EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, udp_header(1, 2))), "punted hop_limit");
    }
    envelope.hop_limit = 2;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, udp_header(1, 2))), "sent fabric");
}

TYPED_TEST(Forward, TheRouterTakesPacketsWithOneHopLeft) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.fabric, kOutside, kRouter);
    envelope.hop_limit = 1;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, udp_header(1, 2))), "sent host");
    EXPECT_EQ(lab.port(lab.tap).sent.at(0)[kIp + (TypeParam::kVersion == 4 ? 8 : 7)], 1);
}

TYPED_TEST(Forward, PacketsLargerThanTheMtuArePunted) {
    auto& lab = this->lab_;
    const auto envelope = lab.envelope(lab.fabric, kOutside, kOutside2);
    const std::size_t room = 1500 - kIpHeader<TypeParam> - 8;
    EXPECT_EQ(lab.run(lab.fabric, frame_of(envelope, udp_header(1, 2, room))), "sent fabric");
    EXPECT_EQ(
        lab.run(lab.fabric, frame_of(envelope, udp_header(1, 2, room + 1))), "punted too_big");
}

TYPED_TEST(Forward, WithoutRouteIsPunted) {
    auto& lab = this->lab_;
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, 0xc6336401)), "punted no_route");
}

TYPED_TEST(Forward, DiscardRoutesDrop) {
    auto& lab = this->lab_;
    lab.machine->routes().set(network<TypeParam>(0xc6336400, 8), RouteSource::Static, Discard{});
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, 0xc6336401)), "dropped discarded");
}

TYPED_TEST(Forward, UnresolvedStationsArePuntedWithTheirNextHop) {
    auto& lab = this->lab_;
    lab.receive(lab.a, {lab.udp(lab.a, kGuestA, 0x0a000077)});
    lab.poll();
    const auto notes = lab.take_punted();
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_EQ(notes[0].punt, Punt::Resolve);
    EXPECT_EQ(notes[0].port, lab.a);
    const auto station = lab.machine->routes().next_hops().station(
        notes[0].next_hop, IpAddr{host<TypeParam>(0x0a000077)});
    ASSERT_TRUE(station);
    EXPECT_EQ(station->port, lab.fabric);
    EXPECT_EQ(station->address, IpAddr{host<TypeParam>(0x0a000077)});
}

TYPED_TEST(Forward, DeliversToTheHostUnchanged) {
    auto& lab = this->lab_;
    ASSERT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kRouter)), "sent host");
    auto wanted = lab.envelope(lab.fabric, kOutside, kRouter);
    wanted.link_destination = kHostMac;
    wanted.link_source = lab.mac(lab.tap);
    EXPECT_EQ(lab.port(lab.tap).sent.at(0), frame_of(wanted, udp_header(1000, 2000)));
}

TYPED_TEST(Forward, TheHostsPacketsKeepTheirHops) {
    auto& lab = this->lab_;
    auto envelope = lab.envelope(lab.tap, kRouter, kOutside);
    envelope.hop_limit = 1;
    ASSERT_EQ(lab.run(lab.tap, frame_of(envelope, udp_header(1, 2))), "sent fabric");
    EXPECT_EQ(lab.port(lab.fabric).sent.at(0)[kIp + (TypeParam::kVersion == 4 ? 8 : 7)], 1);
}

TYPED_TEST(Forward, EchoRequestsToTheRouterAreAnsweredByTheControlThread) {
    auto& lab = this->lab_;
    const auto request = kEchoRequest<TypeParam>;
    EXPECT_EQ(
        lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kRouter, request, 7)), "punted echo");
    const auto reply = kEchoReply<TypeParam>;
    EXPECT_EQ(lab.run(lab.fabric, lab.echo(lab.fabric, kOutside, kRouter, reply, 7)), "sent host");
}

TYPED_TEST(Forward, WithoutTapNothingReachesTheHost) {
    auto& lab = this->lab_;
    lab.machine->set_host_port(PortId{}, Mac{});
    lab.machine->commit();
    EXPECT_EQ(lab.run(lab.fabric, lab.udp(lab.fabric, kOutside, kRouter)), "dropped no_host_path");
}

TYPED_TEST(Forward, CountsWhatAFullPortRefuses) {
    auto& lab = this->lab_;
    lab.port(lab.fabric).room = 3;
    lab.receive(lab.fabric, std::vector<Frame>(10, this->transit()));
    lab.poll();
    const PortTotals totals = lab.totals(lab.fabric);
    EXPECT_EQ(totals.tx_packets, 3U);
    EXPECT_EQ(totals.tx_bytes, 3 * this->transit().size());
    EXPECT_EQ(totals.drops[static_cast<std::size_t>(DropReason::TxFull)], 7U);
}

TYPED_TEST(Forward, SpreadsFlowsOverEqualGatewaysAndKeepsEachOnOne) {
    auto& lab = this->lab_;
    constexpr std::uint32_t kSecond = 0x0a0000fd;
    const Adjacency second{lab.fabric, host<TypeParam>(kSecond)};
    RouteTable& routes = lab.machine->routes();
    routes.set(Prefix<TypeParam>::host(host<TypeParam>(kSecond)), RouteSource::Neighbor, second);
    routes.next_hops().resolved(second, Mac{{2, 0, 0, 0, 2, 2}});
    routes.set(
        network<TypeParam>(kOutside, 8),
        RouteSource::Static,
        Gateways{{IpAddr{host<TypeParam>(kSecond)}, IpAddr{host<TypeParam>(kGateway)}}});
    lab.machine->commit();
    std::map<Mac, int> load;
    for (std::uint16_t flow = 0; flow < 256; ++flow) {
        std::set<Mac> used;
        for (int packet = 0; packet < 3; ++packet) {
            const Frame frame = lab.udp(lab.a, kGuestA, kOutside, flow);
            ASSERT_EQ(lab.run(lab.a, frame), "sent fabric");
            used.insert(Mac::load(lab.port(lab.fabric).sent.at(0).data()));
        }
        ASSERT_EQ(used.size(), 1U);
        ++load[*used.begin()];
    }
    ASSERT_EQ(load.size(), 2U);
    for (const auto& [mac, flows] : load) {
        EXPECT_GT(flows, 128 / 2);
    }
}

TYPED_TEST(Forward, ControlPacketsDoNotSufferFromOthersOnTheirPort) {
    auto& lab = this->lab_;
    // More packets without route than one port may hand up; ARP must still get through.
    for (int burst = 0; burst < 64; ++burst) {
        lab.receive(lab.fabric, std::vector<Frame>(32, lab.udp(lab.fabric, kOutside, 0xc6336401)));
        lab.poll();
    }
    EXPECT_GT(lab.totals(lab.fabric).drops[static_cast<std::size_t>(DropReason::PuntFull)], 0U);
    Frame arp = this->transit();
    kBroadcastMac.store(arp.data());
    store_be(&arp[12], ethertype::kArp);
    lab.take_punted();
    EXPECT_EQ(lab.run(lab.fabric, arp), "punted link_local");
}

TYPED_TEST(Forward, ControlPacketsFindRoomThatOthersFilled) {
    auto& lab = this->lab_;
    const PortId ports[] = {lab.fabric, lab.a, lab.b};
    for (int burst = 0; burst < 64; ++burst) {
        for (const PortId port : ports) {
            const std::uint32_t source = port == lab.a   ? kGuestA
                                         : port == lab.b ? kGuestB
                                                         : kOutside;
            auto large = lab.envelope(port, source, kOutside2);
            lab.receive(port, std::vector<Frame>(9, frame_of(large, udp_header(1, 2, 1600))));
            lab.receive(port, std::vector<Frame>(9, lab.udp(port, source, 0xc6336401)));
            lab.receive(port, std::vector<Frame>(9, lab.udp(port, source, 0x0a000077)));
        }
        lab.poll();
    }
    Frame arp = this->transit();
    kBroadcastMac.store(arp.data());
    store_be(&arp[12], ethertype::kArp);
    lab.receive(lab.fabric, {arp});
    lab.poll();
    const auto notes = lab.take_punted();
    EXPECT_EQ(notes.back().punt, Punt::LinkLocal);
}

// What only one family has.

class Forward4 : public testing::Test {
  protected:
    PipelineLab<V4> lab_;
};

class Forward6 : public testing::Test {
  protected:
    PipelineLab<V6> lab_;
};

TEST_F(Forward4, LinkLocalIsNotForwarded) {
    EXPECT_EQ(
        lab_.run(lab_.fabric, lab_.udp(lab_.fabric, 0xa9fe0001, kOutside2)),
        "dropped martian_address");
    EXPECT_EQ(
        lab_.run(lab_.fabric, lab_.udp(lab_.fabric, kOutside, 0xa9fe0001)),
        "dropped martian_address");
}

TEST_F(Forward6, LinkLocalIsNotForwarded) {
    auto envelope = lab_.envelope(lab_.fabric, kOutside, kOutside2);
    envelope.source = *Ip6::parse("fe80::1");
    EXPECT_EQ(
        lab_.run(lab_.fabric, frame_of(envelope, udp_header(1, 2))), "dropped martian_address");
}

TEST_F(Forward6, NeighborDiscoveryIsPunted) {
    auto envelope = lab_.envelope(lab_.fabric, kOutside, kRouter);
    envelope.protocol = ipproto::kIcmp6;
    envelope.hop_limit = 255;
    for (std::uint8_t type = 133; type <= 137; ++type) {
        EXPECT_EQ(
            lab_.run(lab_.fabric, frame_of(envelope, icmp_header(type))), "punted link_local");
    }
}

TEST_F(Forward6, NeighborDiscoveryToGroupsIsPunted) {
    auto envelope = lab_.envelope(lab_.a, kGuestA, kRouter);
    envelope.protocol = ipproto::kIcmp6;
    envelope.link_destination = Mac{{0x33, 0x33, 0xff, 0, 0, 1}};
    envelope.destination = *Ip6::parse("ff02::1:ff00:1");
    EXPECT_EQ(lab_.run(lab_.a, frame_of(envelope, icmp_header(135))), "punted link_local");
}

TEST_F(Forward6, ListenerReportsAreConsumed) {
    auto envelope = lab_.envelope(lab_.a, kGuestA, kRouter);
    envelope.protocol = ipproto::kHopByHop;
    envelope.link_destination = Mac{{0x33, 0x33, 0, 0, 0, 0x16}};
    envelope.destination = *Ip6::parse("ff02::16");
    EXPECT_EQ(lab_.run(lab_.a, frame_of(envelope, std::vector<std::uint8_t>(16))), "consumed");
}

}  // namespace
}  // namespace vr::test::forward_test
