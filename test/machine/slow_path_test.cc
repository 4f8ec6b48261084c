// What the control thread does with punted packets, from a frame in to the frames out.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/slow_path.h"

#include <gtest/gtest.h>

#include "test/machine/router_lab.h"
#include "vrouter/net/zone.h"
#include "vrouter/services/arp.h"
#include "vrouter/services/nd.h"

namespace vr::slow_path_test {
namespace {

using namespace vr::test;

constexpr std::uint32_t kNeighbor = 0x0a000007;  ///< a station of the fabric's network
constexpr Mac kNeighborMac{{2, 0, 0, 0, 7, 7}};
constexpr std::uint32_t kFloating = 0xcb007109;  ///< the guest's floating address
constexpr TranslationId kTranslation{1};

template <typename F>
class SlowPathTest : public testing::Test {
  protected:
    SlowPathTest() {
        guest = lab.add_port("guest", PortKind::Workload, Mac{{2, 0, 0, 0, 0, 2}});
        PortFacts facts;
        facts.id = guest;
        facts.role = PortRole::Guest;
        facts.mac = lab.machine->port(guest)->mac;
        facts.peer_mac = kGuestMacA;
        facts.v4 = {{host<V4>(0xa9fe0101)}, {Prefix<V4>::host(host<V4>(kGuestA))}, {}};
        facts.v6 = {{host<V6>(0xa9fe0101)}, {Prefix<V6>::host(host<V6>(kGuestA))}, {}};
        lab.slow_path->set_port(facts);
        auto endpoint = std::make_shared<Endpoint>();
        endpoint->active = true;
        const auto program = std::make_shared<const acl::Program>(allow_all());
        endpoint->v4 = {
            {Prefix<V4>::host(host<V4>(kGuestA))},
            acl::Classifier<V4>::build(program),
            acl::Classifier<V4>::build(program)};
        endpoint->v6 = {
            {Prefix<V6>::host(host<V6>(kGuestA))},
            acl::Classifier<V6>::build(program),
            acl::Classifier<V6>::build(program)};
        endpoint->v4.translations = {{kTranslation, host<V4>(kFloating), host<V4>(kGuestA)}};
        endpoint->v6.translations = {{kTranslation, host<V6>(kFloating), host<V6>(kGuestA)}};
        lab.machine->set_endpoint(guest, endpoint);
        const IpAddr address = host<F>(kGuestA);
        lab.machine->routes().set(
            Prefix<F>::host(host<F>(kGuestA)), RouteSource::Workload, Adjacency{guest, address});
        lab.machine->routes().set(
            Prefix<F>::host(host<F>(kFloating)),
            RouteSource::Workload,
            Floating{{guest, address}, kTranslation});
        lab.slow_path->add_permanent({guest, address}, kGuestMacA, lab.now);
        lab.machine->commit();
    }

    /// A packet of the guest.
    Frame from_guest(
        std::uint32_t to, std::size_t size = 18, std::uint8_t hops = 64, bool may_fragment = true) {
        Envelope<F> e{
            .link_source = kGuestMacA,
            .link_destination = lab.machine->port(guest)->mac,
            .source = host<F>(kGuestA),
            .destination = host<F>(to)};
        e.hop_limit = hops;
        e.may_fragment = may_fragment;
        return frame_of(e, udp_header(1000, 2000, size));
    }

    /// A packet of the fabric's station, whose MAC address is known, to the guest's floating address.
    Frame to_floating(std::size_t size = 18, std::uint8_t hops = 64) {
        lab.slow_path->add_permanent(
            {lab.fabric, IpAddr{host<F>(kNeighbor)}}, kNeighborMac, lab.now);
        lab.machine->commit();
        Envelope<F> e{
            .link_source = kNeighborMac,
            .link_destination = kFabricMac,
            .source = host<F>(kNeighbor),
            .destination = host<F>(kFloating)};
        e.hop_limit = hops;
        return frame_of(e, udp_header(2000, 1000, size));
    }

    /// "source -> destination" of the IP header at `at`.
    static std::string ends(const Frame& frame, std::size_t at = kIp) {
        const std::size_t source = at + (kIs4 ? 12 : 8);
        return to_string(F::Addr::load(&frame[source])) + " -> " +
               to_string(F::Addr::load(&frame[source + F::kBits / 8]));
    }

    static std::string ends(std::uint32_t source, std::uint32_t destination) {
        return to_string(host<F>(source)) + " -> " + to_string(host<F>(destination));
    }

    /// Where the packet that an ICMP error quotes begins.
    static constexpr std::size_t kQuoted = kL4<F> + 8;

    /// The fabric's station tells who it is, as an answer to our question.
    Frame neighbor_speaks() {
        if constexpr (std::is_same_v<F, V4>) {
            return arp::reply(
                *arp::parse(arp::request(
                    kFabricMac, host<V4>(kFabricAddress), host<V4>(kNeighbor), std::nullopt)),
                kNeighborMac);
        } else {
            const auto asked = nd::parse(nd::neighbor_solicitation(
                kFabricMac, nd::link_local(kFabricMac), host<V6>(kNeighbor), std::nullopt));
            return nd::neighbor_advertisement(
                std::get<nd::NeighborSolicitation>(*asked),
                kNeighborMac,
                host<V6>(kNeighbor),
                {.router = false, .solicited = true, .override_cached = true});
        }
    }

    /// "icmp <type>/<code>" of a frame, or what else it is.
    static std::string kind(const Frame& frame) {
        const auto type = load_be<std::uint16_t>(&frame[12]);
        if (type == ethertype::kArp) {
            return "arp";
        }
        const std::size_t protocol = type == ethertype::kIp4 ? kIp + 9 : kIp + 6;
        const std::size_t l4 = kL4<F>;
        if (frame[protocol] != kIcmpOf<F>) {
            return "packet";
        }
        return "icmp " + std::to_string(frame[l4]) + "/" + std::to_string(frame[l4 + 1]);
    }

    std::vector<std::string> sent(PortId port) {
        std::vector<std::string> kinds;
        for (const Frame& frame : lab.take_sent(port)) {
            kinds.push_back(kind(frame));
        }
        return kinds;
    }

    using Kinds = std::vector<std::string>;
    static constexpr bool kIs4 = std::is_same_v<F, V4>;
    const std::string solicitation = kIs4 ? "arp" : "icmp 135/0";

    RouterLab lab;
    PortId guest;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(SlowPathTest, Families);

TYPED_TEST(SlowPathTest, GuestsQuestionsAreAnsweredWithTheRoutersMac) {
    const Frame question =
        TestFixture::kIs4
            ? arp::request(kGuestMacA, host<V4>(kGuestA), host<V4>(0x0a010099), std::nullopt)
            : nd::neighbor_solicitation(
                  kGuestMacA, host<V6>(kGuestA), host<V6>(0x0a010099), std::nullopt);
    this->lab.receive(this->guest, question);
    const auto answers = this->lab.take_sent(this->guest);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(this->kind(answers[0]), TestFixture::kIs4 ? "arp" : "icmp 136/0");
    EXPECT_EQ(Mac::load(&answers[0][6]), this->lab.machine->port(this->guest)->mac);
    EXPECT_EQ(this->lab.slow_path->answered(), 1U);
}

TYPED_TEST(SlowPathTest, SpoofedQuestionsAreCounted) {
    const Frame question =
        TestFixture::kIs4
            ? arp::request(kGuestMacB, host<V4>(kGuestB), host<V4>(0x0a010099), std::nullopt)
            : nd::neighbor_solicitation(
                  kGuestMacB, host<V6>(kGuestB), host<V6>(0x0a010099), std::nullopt);
    this->lab.receive(this->guest, question);
    EXPECT_TRUE(this->lab.take_sent(this->guest).empty());
    EXPECT_EQ(this->lab.drops(this->guest, DropReason::SpoofedAddress), 1U);
}

TYPED_TEST(SlowPathTest, PacketsWaitForResolutionAndGoOutInOrder) {
    for (std::size_t i = 0; i < 3; ++i) {
        this->lab.receive(this->guest, this->from_guest(kNeighbor, 10 + i));
    }
    EXPECT_EQ(this->sent(this->lab.fabric), (typename TestFixture::Kinds{this->solicitation}));
    this->lab.receive(this->lab.fabric, this->neighbor_speaks());
    const auto packets = this->lab.take_sent(this->lab.fabric);
    ASSERT_EQ(packets.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(packets[i].size(), kL4<TypeParam> + 8 + 10 + i);
        EXPECT_EQ(Mac::load(packets[i].data()), kNeighborMac);
        EXPECT_EQ(Mac::load(&packets[i][6]), kFabricMac);
    }
}

TYPED_TEST(SlowPathTest, ResolvedNeighborNeedsNoSlowPath) {
    this->lab.receive(this->guest, this->from_guest(kNeighbor));
    this->lab.receive(this->lab.fabric, this->neighbor_speaks());
    this->lab.take_sent(this->lab.fabric);
    const auto punted = this->lab.machine->totals(this->guest).punted;
    this->lab.receive(this->guest, this->from_guest(kNeighbor));
    EXPECT_EQ(this->sent(this->lab.fabric), (typename TestFixture::Kinds{"packet"}));
    EXPECT_EQ(this->lab.machine->totals(this->guest).punted, punted);
}

/// A packet for a station that is gone by the time the packet is handled, its id another station's.
template <typename F>
class ReusedNextHop : public SlowPathTest<F> {
  protected:
    ReusedNextHop() { lead_to(Adjacency{this->lab.fabric, IpAddr{host<F>(kNeighbor)}}); }

    /// Takes the id from the station, and gives it to the next one, which answers.
    void pass_on() {
        NextHops& hops = this->lab.machine->routes().next_hops();
        const auto id = hops.find({this->lab.fabric, IpAddr{host<F>(kNeighbor)}});
        lead_to(Discard{});
        this->lab.slow_path->remove_neighbor(
            {this->lab.fabric, IpAddr{host<F>(kNeighbor)}}, this->lab.now);
        this->lab.machine->commit();
        this->lab.machine->housekeeping();
        const Adjacency next{this->lab.fabric, IpAddr{host<F>(kNeighbor + 1)}};
        this->lab.slow_path->add_permanent(next, kNeighborMac, this->lab.now);
        this->lab.machine->commit();
        ASSERT_EQ(hops.find(next), id);
    }

    void arrive(PortId port, const Frame& frame) {
        this->lab.memory(port).arriving.push_back(make_packet(this->lab.machine->pool(), frame));
        this->lab.poll();
    }

    static constexpr std::uint32_t kFar = 0x14000001;

  private:
    void lead_to(const RouteTarget& target) {
        this->lab.machine->routes().set(
            Prefix<F>::host(host<F>(kFar)), RouteSource::Static, target);
        this->lab.machine->commit();
    }
};

TYPED_TEST_SUITE(ReusedNextHop, Families);

TYPED_TEST(ReusedNextHop, DoesNotGetThePacketThatWasPuntedForTheOther) {
    this->arrive(this->guest, this->from_guest(TestFixture::kFar));
    this->pass_on();
    this->lab.settle();
    EXPECT_TRUE(this->lab.take_sent(this->lab.fabric).empty());
    EXPECT_EQ(this->lab.drops(this->guest, DropReason::Unresolved), 1U);
}

TYPED_TEST(ReusedNextHop, DoesNotGetThePacketThatWasReleasedForTheOther) {
    this->lab.receive(this->guest, this->from_guest(TestFixture::kFar));
    this->lab.take_sent(this->lab.fabric);
    this->arrive(this->lab.fabric, this->neighbor_speaks());
    while (this->lab.slow_path->handle_burst(this->lab.now) != 0) {
    }
    this->pass_on();
    this->lab.settle();
    EXPECT_TRUE(this->lab.take_sent(this->lab.fabric).empty());
    EXPECT_EQ(this->lab.drops(this->guest, DropReason::Unresolved), 1U);
}

TYPED_TEST(SlowPathTest, PacketsToAGatewayWaitForTheGateway) {
    this->lab.receive(this->guest, this->from_guest(kOutside));
    EXPECT_EQ(this->sent(this->lab.fabric), (typename TestFixture::Kinds{this->solicitation}));
    this->lab.slow_path->add_permanent(
        {this->lab.fabric, host<TypeParam>(kGateway)}, kGatewayMac, this->lab.now);
    this->lab.settle();
    const auto packets = this->lab.take_sent(this->lab.fabric);
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_EQ(Mac::load(packets[0].data()), kGatewayMac);
}

TYPED_TEST(SlowPathTest, UnansweredQuestionsEndInAddressUnreachable) {
    this->lab.receive(this->guest, this->from_guest(kNeighbor));
    for (int i = 0; i < 5; ++i) {
        this->lab.now += std::chrono::seconds{1};
        this->lab.slow_path->tick(this->lab.now);
        this->lab.settle();
    }
    EXPECT_EQ(
        this->sent(this->guest),
        (typename TestFixture::Kinds{TestFixture::kIs4 ? "icmp 3/1" : "icmp 1/3"}));
    EXPECT_EQ(this->lab.drops(this->guest, DropReason::Unresolved), 1U);
}

TYPED_TEST(SlowPathTest, UnansweredQuestionsTellNothingOfWhatIsBehindAFloatingAddress) {
    const Frame request = this->to_floating();
    this->lab.receive(this->lab.fabric, request);
    ASSERT_EQ(this->lab.take_sent(this->guest).size(), 1U);
    const auto fail = [&](PortId in, const Frame& frame, PortId out, std::uint32_t station) {
        this->lab.slow_path->remove_neighbor(
            {out, IpAddr{host<TypeParam>(station)}}, this->lab.now);
        this->lab.machine->commit();
        this->lab.take_sent(in);
        this->lab.receive(in, frame);
        for (int i = 0; i < 5; ++i) {
            this->lab.now += std::chrono::seconds{1};
            this->lab.slow_path->tick(this->lab.now);
            this->lab.settle();
        }
        EXPECT_EQ(this->lab.drops(in, DropReason::Unresolved), 1U);
        return this->sent(in);
    };
    EXPECT_TRUE(fail(this->lab.fabric, request, this->guest, kGuestA).empty());
    EXPECT_TRUE(
        fail(this->guest, this->from_guest(kNeighbor), this->lab.fabric, kNeighbor).empty());
}

TYPED_TEST(SlowPathTest, HeldPacketsAreFreedAtTheEnd) {
    const unsigned before = this->lab.buffers_in_use();
    this->lab.receive(this->guest, this->from_guest(kNeighbor));
    this->lab.take_sent(this->lab.fabric);
    EXPECT_EQ(this->lab.buffers_in_use(), before + 1);
    this->lab.workloads.reset();
    this->lab.slow_path.reset();
    EXPECT_EQ(this->lab.buffers_in_use(), before);
}

TYPED_TEST(SlowPathTest, HeldPacketsAreFreedWithTheirPort) {
    const unsigned before = this->lab.buffers_in_use();
    this->lab.receive(this->guest, this->from_guest(kNeighbor));
    this->lab.slow_path->remove_port(this->lab.fabric);
    EXPECT_EQ(this->lab.buffers_in_use(), before);
}

TYPED_TEST(SlowPathTest, UsedUpHopLimitIsAnswered) {
    this->lab.receive(this->guest, this->from_guest(kNeighbor, 18, 1));
    EXPECT_EQ(
        this->sent(this->guest),
        (typename TestFixture::Kinds{TestFixture::kIs4 ? "icmp 11/0" : "icmp 3/0"}));
    EXPECT_EQ(this->lab.drops(this->guest, DropReason::HopLimit), 1U);
}

TYPED_TEST(SlowPathTest, MissingRouteIsAnswered) {
    this->lab.receive(this->guest, this->from_guest(0x63000001));
    EXPECT_EQ(
        this->sent(this->guest),
        (typename TestFixture::Kinds{TestFixture::kIs4 ? "icmp 3/0" : "icmp 1/0"}));
    EXPECT_EQ(this->lab.drops(this->guest, DropReason::NoRoute), 1U);
}

TYPED_TEST(SlowPathTest, TooBigIsAnsweredWithTheMtu) {
    this->lab.receive(this->guest, this->from_guest(kNeighbor, 1600, 64, false));
    const auto answers = this->lab.take_sent(this->guest);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(this->kind(answers[0]), TestFixture::kIs4 ? "icmp 3/4" : "icmp 2/0");
    EXPECT_EQ(load_be<std::uint16_t>(&answers[0][kL4<TypeParam> + 6]), 1500);
}

TYPED_TEST(SlowPathTest, ErrorsAboutPacketsToAFloatingAddressQuoteIt) {
    this->lab.receive(this->lab.fabric, this->to_floating(18, 1));
    const auto answers = this->lab.take_sent(this->lab.fabric);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(this->kind(answers[0]), TestFixture::kIs4 ? "icmp 11/0" : "icmp 3/0");
    EXPECT_EQ(this->ends(answers[0], this->kQuoted), this->ends(kNeighbor, kFloating));
    EXPECT_TRUE(this->lab.take_sent(this->guest).empty());
}

TYPED_TEST(SlowPathTest, ErrorsAboutAnswersOfAFloatingAddressQuoteTheGuestsOwn) {
    this->lab.receive(this->lab.fabric, this->to_floating());
    ASSERT_EQ(this->lab.take_sent(this->guest).size(), 1U);
    const Frame refused[] = {
        this->from_guest(kNeighbor, 18, 1), this->from_guest(kNeighbor, 1600, 64, false)};
    for (const Frame& frame : refused) {
        this->lab.receive(this->guest, frame);
        const auto answers = this->lab.take_sent(this->guest);
        ASSERT_EQ(answers.size(), 1U);
        EXPECT_EQ(this->ends(answers[0], this->kQuoted), this->ends(kGuestA, kNeighbor));
        EXPECT_TRUE(this->lab.take_sent(this->lab.fabric).empty());
    }
}

TYPED_TEST(SlowPathTest, AnswersOfAFloatingAddressWaitForResolutionInItsName) {
    Frame request = this->to_floating();
    this->lab.receive(this->lab.fabric, request);
    ASSERT_EQ(this->lab.take_sent(this->guest).size(), 1U);
    this->lab.slow_path->remove_neighbor(
        {this->lab.fabric, IpAddr{host<TypeParam>(kNeighbor)}}, this->lab.now);
    this->lab.machine->commit();
    this->lab.receive(this->guest, this->from_guest(kNeighbor));
    EXPECT_EQ(this->sent(this->lab.fabric), (typename TestFixture::Kinds{this->solicitation}));
    this->lab.receive(this->lab.fabric, this->neighbor_speaks());
    const auto packets = this->lab.take_sent(this->lab.fabric);
    ASSERT_EQ(packets.size(), 1U);
    EXPECT_EQ(this->ends(packets[0]), this->ends(kFloating, kNeighbor));
}

TYPED_TEST(SlowPathTest, EchoRequestsToTheRouterAreAnswered) {
    Envelope<TypeParam> e{
        .link_source = kNeighborMac,
        .link_destination = kFabricMac,
        .source = host<TypeParam>(kNeighbor),
        .destination = host<TypeParam>(kFabricAddress),
        .protocol = kIcmpOf<TypeParam>};
    // A message whose sum is right: icmp_frame writes it.
    const Frame request = icmp_frame<TypeParam>(
        {.link_source = kNeighborMac,
         .link_destination = kFabricMac,
         .source = e.source,
         .destination = e.destination},
        icmp_header(kEchoRequest<TypeParam>, 0, 5));
    this->lab.receive(this->lab.fabric, request);
    const std::string reply = "icmp " + std::to_string(kEchoReply<TypeParam>) + "/0";
    EXPECT_EQ(this->sent(this->lab.fabric), (typename TestFixture::Kinds{reply}));
}

TYPED_TEST(SlowPathTest, PacketsOfAPortThatIsGoneAreFreed) {
    const unsigned before = this->lab.buffers_in_use();
    this->lab.memory(this->guest)
        .arriving.push_back(make_packet(this->lab.machine->pool(), this->from_guest(0x63000001)));
    this->lab.poll();
    this->lab.slow_path->remove_port(this->guest);
    this->lab.settle();
    EXPECT_EQ(this->lab.buffers_in_use(), before);
}

/// Two links that BGP has peers on, which have the same address; and the host behind its TAP.
class LinkPeersTest : public testing::Test {
  protected:
    LinkPeersTest()
        : east(link("east", kEast)),
          west(link("west", kWest)),
          tap(lab.add_port("tap", PortKind::Host, Mac{{2, 0, 0, 0, 0, 8}})),
          guest(lab.add_port("guest", PortKind::Workload, Mac{{2, 0, 0, 0, 0, 2}})) {
        lab.machine->set_host_port(tap, kKernel);
        lab.slow_path->set_router_heard([this](PortId port, const HeardRouter& router, TimePoint) {
            heard.emplace_back(port, router.address);
        });
        PortFacts facts;
        facts.id = guest;
        lab.slow_path->set_port(facts);
        auto endpoint = std::make_shared<Endpoint>();
        endpoint->active = true;
        endpoint->v6.addresses = {*Prefix<V6>::parse("fe80::/10")};
        lab.machine->set_endpoint(guest, endpoint);
        lab.machine->commit();
    }

    PortId link(const std::string& name, Mac mac) {
        const PortId id = lab.add_port(name, PortKind::Fabric, mac);
        PortFacts facts;
        facts.id = id;
        facts.role = PortRole::Fabric;
        facts.mac = mac;
        facts.has_link_peers = true;
        lab.slow_path->set_port(facts);
        lab.machine->set_link_local(id, nd::link_local(mac));
        return id;
    }

    /// A packet that comes in by `port`.
    Frame packet(PortId port, Ip6 from, Ip6 to) {
        const Envelope<V6> e{
            .link_source = kNeighborMac,
            .link_destination = lab.machine->port(port)->mac,
            .source = from,
            .destination = to};
        return frame_of(e, udp_header(1000, 2000, 18));
    }

    static Frame peer_speaks(Mac ours, Mac its) {
        const auto asked =
            nd::parse(nd::neighbor_solicitation(ours, nd::link_local(ours), kPeer, std::nullopt));
        return nd::neighbor_advertisement(
            std::get<nd::NeighborSolicitation>(*asked),
            its,
            kPeer,
            {.router = true, .solicited = true, .override_cached = true});
    }

    static constexpr Mac kEast{{2, 0, 0, 0, 1, 1}};
    static constexpr Mac kWest{{2, 0, 0, 0, 1, 2}};
    static constexpr Mac kKernel{{2, 0, 0, 0, 0, 9}};
    static constexpr Ip6 kPeer{0xfe80000000000000U, 0x77};

    RouterLab lab;
    PortId east;
    PortId west;
    PortId tap;
    PortId guest;
    std::vector<std::pair<PortId, Ip6>> heard;
};

TEST_F(LinkPeersTest, HostReachesThePeerOfTheLinkThatItSpeaksFrom) {
    for (const auto& [port, mac] : {std::pair{east, kEast}, {west, kWest}}) {
        lab.receive(tap, packet(tap, nd::link_local(mac), kPeer));
        EXPECT_EQ(lab.take_sent(port).size(), 1U);  // who is it?
        const Mac its{{2, 0, 0, 0, 7, mac.bytes()[5]}};
        lab.receive(port, peer_speaks(mac, its));
        const auto sent = lab.take_sent(port);
        ASSERT_EQ(sent.size(), 1U);
        EXPECT_EQ(Mac::load(sent[0].data()), its);
        EXPECT_EQ(sent[0][kIp + 7], 64);
    }
    const auto punted = lab.machine->totals(tap).punted;
    lab.receive(tap, packet(tap, nd::link_local(kEast), kPeer));
    EXPECT_EQ(lab.take_sent(east).size(), 1U);
    EXPECT_TRUE(lab.take_sent(west).empty());
    EXPECT_EQ(lab.machine->totals(tap).punted, punted);
}

TEST_F(LinkPeersTest, PeerReachesTheHostOnItsOwnLinkOnly) {
    lab.receive(east, packet(east, kPeer, nd::link_local(kEast)));
    EXPECT_EQ(lab.take_sent(tap).size(), 1U);
    for (const PortId other : {west, guest}) {
        lab.receive(other, packet(other, kPeer, nd::link_local(kEast)));
        EXPECT_TRUE(lab.take_sent(tap).empty());
    }
    EXPECT_EQ(lab.drops(west, DropReason::MartianAddress), 1U);
}

TEST_F(LinkPeersTest, NobodyNamesALinkInAnAddress) {
    const Ip6 own = with_zone(nd::link_local(kEast), east.value());
    for (const PortId port : {east, west, lab.fabric, guest, tap}) {
        lab.receive(port, packet(port, kPeer, own));
        lab.receive(port, packet(port, with_zone(kPeer, east.value()), nd::link_local(kEast)));
        EXPECT_TRUE(lab.take_sent(tap).empty());
        EXPECT_EQ(lab.drops(port, DropReason::MartianAddress), 2U);
    }
}

TEST_F(LinkPeersTest, NeighborOfALinkIsNoneOfAnother) {
    const Ip6 false_name = with_zone(kPeer, east.value());
    lab.receive(
        lab.fabric,
        nd::neighbor_solicitation(
            kNeighborMac, false_name, nd::link_local(kFabricMac), std::nullopt));
    const auto view = lab.machine->routes().lookup(false_name);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->source, RouteSource::Connected);
}

TEST_F(LinkPeersTest, AdvertisementsAreHeardThereAndNowhereElse) {
    const Frame advertisement = nd::router_advertisement(nullptr, kNeighborMac, {});
    for (const PortId port : {lab.fabric, guest, tap, east}) {
        lab.receive(port, advertisement);
    }
    EXPECT_EQ(heard, (std::vector{std::pair{east, nd::link_local(kNeighborMac)}}));
}

TEST_F(LinkPeersTest, AdvertisementsChangeNoRoutes) {
    const auto before = lab.machine->routes().size();
    lab.receive(east, nd::router_advertisement(nullptr, kNeighborMac, {}));
    EXPECT_EQ(lab.machine->routes().size(), before);
}

TEST_F(LinkPeersTest, RouterMakesItselfKnownThereAndNowhereElse) {
    lab.slow_path->tick(std::chrono::steady_clock::now());
    lab.settle();
    const auto sent = lab.take_sent(east);
    ASSERT_EQ(sent.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<nd::RouterSolicitation>(nd::parse(sent[0]).value()));
    EXPECT_TRUE(std::holds_alternative<nd::RouterAdvertisement>(nd::parse(sent[1]).value()));
    for (const PortId port : {lab.fabric, guest, tap}) {
        EXPECT_TRUE(lab.take_sent(port).empty());
    }
}

using SlowPath4 = SlowPathTest<V4>;

TEST_F(SlowPath4, LargeIp4WithoutDontFragmentIsCut) {
    lab.slow_path->add_permanent({lab.fabric, host<V4>(kNeighbor)}, kNeighborMac, lab.now);
    const Frame whole = from_guest(kNeighbor, 1700);
    lab.receive(guest, whole);
    const auto pieces = lab.take_sent(lab.fabric);
    ASSERT_EQ(pieces.size(), 2U);
    std::size_t payload = 0;
    for (const Frame& piece : pieces) {
        EXPECT_LE(piece.size(), kIp + 1500);
        EXPECT_EQ(piece[kIp + 8], 63);
        EXPECT_EQ(checksum(Bytes{&piece[kIp], sizeof(Ip4Header)}), 0);
        payload += piece.size() - kL4<V4>;
    }
    EXPECT_EQ(payload, whole.size() - kL4<V4>);
    EXPECT_TRUE(lab.take_sent(guest).empty());
}

TEST_F(SlowPath4, PiecesGoOutInTheFloatingAddresssName) {
    lab.receive(lab.fabric, to_floating());
    ASSERT_EQ(lab.take_sent(guest).size(), 1U);
    lab.receive(guest, from_guest(kNeighbor, 1700));
    const auto pieces = lab.take_sent(lab.fabric);
    ASSERT_EQ(pieces.size(), 2U);
    for (const Frame& piece : pieces) {
        EXPECT_EQ(ends(piece), ends(kFloating, kNeighbor));
        EXPECT_EQ(checksum(Bytes{&piece[kIp], sizeof(Ip4Header)}), 0);
    }
}

TEST_F(SlowPath4, PiecesToAFloatingAddressReachTheGuest) {
    lab.receive(lab.fabric, to_floating(1700));
    const auto pieces = lab.take_sent(guest);
    ASSERT_EQ(pieces.size(), 2U);
    for (const Frame& piece : pieces) {
        EXPECT_EQ(ends(piece), ends(kNeighbor, kGuestA));
        EXPECT_EQ(checksum(Bytes{&piece[kIp], sizeof(Ip4Header)}), 0);
    }
}

}  // namespace
}  // namespace vr::slow_path_test
