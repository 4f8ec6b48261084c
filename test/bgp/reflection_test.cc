// Update groups, route reflection (RFC 4456) and several paths per prefix (RFC 7911), speaker to
// speaker in virtual time.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/bgp/simulation.h"

namespace vr::bgp::reflection_test {
namespace {

using namespace std::chrono_literals;
using testing::Node;
using testing::World;

IpPrefix prefix(std::string_view text) {
    return *parse_prefix(text);
}

/// Reflector R in the middle of A, B and C, all of one AS.
class Reflector : public ::testing::Test {
  protected:
    /// `clients`: as many of A, B, C are clients.
    void connect(unsigned clients, const std::function<void(PeerConfig&)>& tune = {}) {
        unsigned number = 0;
        for (Node* node : {&a, &b, &c}) {
            const bool client = number++ < clients;
            world.peer(r, *node, [&](PeerConfig& config, Node& from) {
                config.reflector_client = &from == &r && client;
                if (tune) {
                    tune(config);
                }
            });
        }
        world.settle();
    }

    std::vector<PeerRouteSummary> received(Node& node) {
        return world.peer_of(node, r).routes<V4>().received_routes();
    }

    World world;
    Node& r = world.add("192.0.2.100", 65001);
    Node& a = world.add("192.0.2.1", 65001);
    Node& b = world.add("192.0.2.2", 65001);
    Node& c = world.add("192.0.2.3", 65001);
};

TEST_F(Reflector, ClientsHearEachOther) {
    connect(3);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(b.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{a.address});
    EXPECT_EQ(c.sink.routes.count("10.0.0.0/24"), 1U);
}

TEST_F(Reflector, SaysWhereTheRouteIsFrom) {
    connect(3);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    ASSERT_EQ(received(b).size(), 1U);
    const Attributes got = received(b)[0].attributes;
    EXPECT_EQ(got.originator_id, Ip4::parse("192.0.2.1"));
    EXPECT_EQ(got.cluster_list, CompactVector<Ip4>{*Ip4::parse("192.0.2.100")});
    EXPECT_EQ(got.next_hop, a.address);
}

/// D has A's number among the sources, and says what A said.
TEST_F(Reflector, TakesNobodyForWhoWasThereBefore) {
    connect(3);
    Attributes attributes;
    attributes.next_hop = *parse_ip("198.51.100.1");
    a.instance.originate(prefix("10.0.0.0/24"), attributes);
    world.settle();
    ASSERT_EQ(received(b).size(), 1U);
    const SourceId number = world.peer_of(r, a).source().id;
    world.remove_peer(r, a.address);
    Node& d = world.add("192.0.2.4", 65001);
    d.instance.originate(prefix("10.0.0.0/24"), attributes);
    world.peer(
        r, d, [&](PeerConfig& config, Node& from) { config.reflector_client = &from == &r; });
    world.pass(10s);
    ASSERT_EQ(world.peer_of(r, d).source().id, number);
    ASSERT_EQ(received(b).size(), 1U);
    EXPECT_EQ(received(b)[0].attributes.originator_id, Ip4::parse("192.0.2.4"));
}

TEST_F(Reflector, DoesNotSendARouteBack) {
    connect(3);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_TRUE(received(a).empty());
    EXPECT_EQ(world.peer_of(r, a).summary(world.now).ipv4.advertised, 0U);
}

TEST_F(Reflector, OthersHearClientsAndClientsOthers) {
    connect(1);  // A is a client, B and C are not
    a.instance.originate(prefix("10.0.1.0/24"), {});
    b.instance.originate(prefix("10.0.2.0/24"), {});
    world.settle();
    EXPECT_EQ(b.sink.routes.count("10.0.1.0/24"), 1U);
    EXPECT_EQ(a.sink.routes.count("10.0.2.0/24"), 1U);
    EXPECT_EQ(c.sink.routes.count("10.0.2.0/24"), 0U);
}

TEST_F(Reflector, BetterPathOfTheListenerTakesTheOldOneBack) {
    connect(3);
    Attributes attributes;
    attributes.local_pref = 50;
    b.instance.originate(prefix("10.0.0.0/24"), attributes);
    world.settle();
    EXPECT_EQ(received(a).size(), 1U);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_TRUE(received(a).empty());
    EXPECT_EQ(received(c)[0].attributes.next_hop, a.address);
}

TEST_F(Reflector, RefusesItsOwnCluster) {
    connect(3);
    Attributes attributes;
    attributes.cluster_list = {*Ip4::parse("192.0.2.100")};
    a.instance.originate(prefix("10.0.0.0/24"), attributes);
    world.settle();
    EXPECT_EQ(
        world.peer_of(r, a).routes<V4>().received_routes()[0].refused,
        "our cluster id is in the cluster list");
    EXPECT_TRUE(b.sink.routes.empty());
}

TEST_F(Reflector, TwoOfThemEndWithoutALoop) {
    Node& other = world.add("192.0.2.101", 65001);
    connect(3);
    world.peer(r, other, [](PeerConfig& config, Node&) { config.reflector_client = true; });
    world.peer(other, a, [&](PeerConfig& config, Node& from) {
        config.reflector_client = &from == &other;
    });
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(c.sink.routes.count("10.0.0.0/24"), 1U);
    a.instance.withdraw(prefix("10.0.0.0/24"));
    world.settle();
    EXPECT_TRUE(c.sink.routes.empty());
    EXPECT_TRUE(other.sink.routes.empty());
    EXPECT_TRUE(r.sink.routes.empty());
}

TEST_F(Reflector, LateClientGetsTheWholeTable) {
    connect(3);
    for (std::uint32_t i = 0; i < 5000; ++i) {
        a.instance.originate(Prefix<V4>::host(Ip4{0x0a000000U + i}), {});
    }
    world.settle();
    Node& late = world.add("192.0.2.4", 65001);
    world.peer(
        r, late, [&](PeerConfig& config, Node& from) { config.reflector_client = &from == &r; });
    world.settle();
    EXPECT_EQ(late.sink.routes.size(), 5000U);
    EXPECT_TRUE(world.peer_of(late, r).summary(world.now).ipv4.end_of_rib_received);
}

TEST_F(Reflector, ChangedExportOfOneClientIsItsOwnMatter) {
    connect(3);
    a.instance.originate(prefix("10.0.1.0/24"), {});
    a.instance.originate(prefix("10.1.1.0/24"), {});
    world.settle();
    Peer& peer = world.peer_of(r, b);
    PeerConfig changed = peer.config();
    changed.export_ =
        Filter::of_prefixes({PrefixRule{.prefix = prefix("10.1.0.0/16"), .ge = 16, .le = 32}});
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_EQ(b.sink.routes.count("10.0.1.0/24"), 0U);
    EXPECT_EQ(b.sink.routes.count("10.1.1.0/24"), 1U);
    EXPECT_EQ(c.sink.routes.size(), 2U);
    changed.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_EQ(b.sink.routes.size(), 2U);
}

// --- next hops of the peers told, RFC 4271 5.1.3 -----------------------------------------------------

Attributes through(const IpAddr& next_hop) {
    Attributes attributes;
    attributes.next_hop = next_hop;
    return attributes;
}

TEST_F(Reflector, DoesNotTellAPeerOfRoutesThatLeadToItself) {
    connect(3);
    a.instance.originate(prefix("10.0.0.0/24"), through(b.address));
    a.instance.originate(prefix("10.1.0.0/24"), through(*parse_ip("192.0.2.50")));
    world.settle();
    ASSERT_EQ(received(b).size(), 1U);
    EXPECT_EQ(received(b)[0].prefix, prefix("10.1.0.0/24"));
    EXPECT_EQ(received(c).size(), 2U);
    EXPECT_EQ(world.peer_of(r, b).summary(world.now).ipv4.advertised, 1U);
    EXPECT_EQ(world.peer_of(r, c).summary(world.now).ipv4.advertised, 2U);
}

TEST_F(Reflector, TakesBackARouteThatLeadsToThePeerNow) {
    connect(3);
    a.instance.originate(prefix("10.0.0.0/24"), through(c.address));
    world.settle();
    EXPECT_EQ(received(b).size(), 1U);
    a.instance.originate(prefix("10.0.0.0/24"), through(b.address));
    world.settle();
    EXPECT_TRUE(received(b).empty());
    EXPECT_EQ(received(c).size(), 1U);
    a.instance.withdraw(prefix("10.0.0.0/24"));
    world.settle();
    EXPECT_TRUE(received(c).empty());
    EXPECT_EQ(world.peer_of(r, b).summary(world.now).ipv4.advertised, 0U);
}

TEST_F(Reflector, HoldsBackRoutesThatLeadToALaterPeer) {
    connect(2);
    Node& late = world.add("192.0.2.4", 65001);
    a.instance.originate(prefix("10.0.0.0/24"), through(late.address));
    world.settle();
    EXPECT_EQ(received(b).size(), 1U);
    world.peer(
        r, late, [&](PeerConfig& config, Node& from) { config.reflector_client = &from == &r; });
    world.settle();
    EXPECT_TRUE(received(late).empty());
}

/// E is external to R, on the link that R's oracle tells.
class ExternalPeer : public Reflector {
  protected:
    void tell_of_route(const IpAddr& next_hop) {
        connect(3);
        r.oracle.zones[e.address] = 7;
        world.peer(r, e);
        a.instance.originate(prefix("10.0.0.0/24"), through(next_hop));
        world.settle();
    }

    Node& e = world.add("192.0.2.200", 65200);
};

TEST_F(ExternalPeer, IsToldWhatClientsSay) {
    tell_of_route(a.address);
    ASSERT_EQ(received(e).size(), 1U);
    EXPECT_EQ(received(e)[0].attributes.as_path, AsPath::sequence({65001}));
    EXPECT_EQ(received(e)[0].attributes.next_hop, r.address);
}

TEST_F(ExternalPeer, KeepsANextHopThatIsOnItsLink) {
    r.oracle.zones[a.address] = 7;
    tell_of_route(a.address);
    EXPECT_EQ(received(e)[0].attributes.next_hop, a.address);
}

TEST_F(ExternalPeer, FollowsANextHopOntoItsLinkAndAway) {
    tell_of_route(a.address);
    const auto told_when_on = [&](Zone link) {
        r.oracle.zones[a.address] = link;
        r.instance.next_hop_changed(a.address);
        world.settle();
        return received(e)[0].attributes.next_hop;
    };
    EXPECT_EQ(told_when_on(7), a.address);
    EXPECT_EQ(told_when_on(8), r.address);
}

/// The same at a link-local address, so that its link is known without asking.
class ExternalPeerOfALink : public Reflector {
  protected:
    void tell_of_route(const IpAddr& next_hop) {
        connect(3);
        world.peer(r, e);
        a.instance.originate(prefix("10.0.0.0/24"), through(next_hop));
        world.settle();
        ASSERT_EQ(received(e).size(), 1U);
    }

    static constexpr Zone kLink = 2;
    Node& e = world.add("fe80:2::e", 65200, "192.0.2.200");
};

TEST_F(ExternalPeerOfALink, NeedNotReachWhatIsThere) {
    r.oracle.zones[a.address] = kLink;
    tell_of_route(a.address);
    EXPECT_EQ(received(e)[0].attributes.next_hop, r.address);
}

TEST_F(ExternalPeerOfALink, KeepsNextHopsOfWhoHasNoDataPlane) {
    const AnyNextHop none;
    for (const IpAddr& address : {a.address, e.address}) {
        r.oracle.zones[address] = none.zone_to(address);
    }
    tell_of_route(a.address);
    EXPECT_EQ(received(e)[0].attributes.next_hop, a.address);
}

TEST_F(ExternalPeer, IsNotToldOfItselfOnItsLink) {
    tell_of_route(e.address);
    EXPECT_TRUE(received(e).empty());
}

/// Everybody sends and takes several paths.
void several(PeerConfig& config) {
    config.add_path = {.receive = true, .send = true};
}

TEST_F(Reflector, AddPathBringsEveryPath) {
    connect(3, several);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(received(c).size(), 2U);
    const std::vector<IpAddr> both{a.address, b.address};
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops, both);
}

TEST_F(Reflector, AddPathWithdrawsOneOfThem) {
    connect(3, several);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    a.instance.withdraw(prefix("10.0.0.0/24"));
    world.settle();
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{b.address});
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops.size(), 2U);
}

TEST_F(Reflector, AddPathTellsWorsePathsToo) {
    connect(3, several);
    Attributes worse;
    worse.local_pref = 50;
    a.instance.originate(prefix("10.0.0.0/24"), worse);
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(received(c).size(), 2U);
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{b.address});
    world.cut(r, b);
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{a.address});
}

TEST_F(Reflector, AddPathOneWayOnly) {
    connect(3, [](PeerConfig& config) { config.add_path = {.receive = true, .send = false}; });
    a.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(received(c).size(), 1U);
}

TEST_F(Reflector, AddPathSurvivesAChangedExport) {
    connect(3, several);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.0.0/24"), {});
    a.instance.originate(prefix("10.1.0.0/24"), {});
    world.settle();
    Peer& peer = world.peer_of(r, c);
    PeerConfig changed = peer.config();
    changed.export_ = Filter::of_prefixes({PrefixRule::exact(prefix("10.0.0.0/24"))});
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_EQ(c.sink.routes.size(), 1U);
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops.size(), 2U);
}

TEST(AddPathCapability, TravelsBothWays) {
    Capabilities offered;
    offered.families = {kIpv4Unicast, kIpv6Unicast};
    offered.add_path = {
        {.family = kIpv4Unicast, .receive = true, .send = false},
        {.family = kIpv6Unicast, .receive = true, .send = true}};
    Writer out;
    encode_capabilities(offered, out);
    Capabilities read;
    ASSERT_TRUE(decode_capabilities(Reader{out.view()}, read));
    EXPECT_EQ(read, offered);
}

TEST(AddPathCapability, UnknownDirectionsAreIgnored) {
    const std::vector<std::uint8_t> bytes{69, 8, 0, 1, 1, 4, 0, 2, 1, 1};
    Capabilities read;
    ASSERT_TRUE(decode_capabilities(Reader{bytes}, read));
    ASSERT_EQ(read.add_path.size(), 1U);
    EXPECT_EQ(read.add_path[0].family, kIpv6Unicast);
}

}  // namespace
}  // namespace vr::bgp::reflection_test
