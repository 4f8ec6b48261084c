// Whole speakers against each other in virtual time: sessions, routes, policy, errors.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/instance.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "test/bgp/simulation.h"

namespace vr::bgp::instance_test {
namespace {

using namespace std::chrono_literals;
using testing::Node;
using testing::World;

IpPrefix prefix(std::string_view text) {
    return *parse_prefix(text);
}

/// Two speakers A (192.0.2.1) and B (192.0.2.2).
class Two : public ::testing::Test {
  protected:
    Two(std::uint32_t as_a, std::uint32_t as_b)
        : a(world.add("192.0.2.1", as_a)), b(world.add("192.0.2.2", as_b)) {}

    World world;
    Node& a;
    Node& b;
};

class Ebgp : public Two {
  protected:
    Ebgp() : Two(65001, 65002) {}

    void connect() {
        world.peer(a, b, [](PeerConfig& config, Node& from) {
            config.ipv6.next_hop = parse_ip(
                std::get<Ip4>(from.address).value() == 0xc0000201 ? "2001:db8::1" : "2001:db8::2");
        });
        world.settle();
    }
};

class Ibgp : public Two {
  protected:
    Ibgp() : Two(65001, 65001) {}
};

TEST_F(Ebgp, GetsEstablishedAtOnce) {
    connect();
    EXPECT_EQ(world.peer_of(a, b).state(), State::Established);
    EXPECT_EQ(world.peer_of(b, a).state(), State::Established);
}

TEST_F(Ebgp, AnyExternalPeerCountsByTheAsThatItSays) {
    world.peer(a, b, [this](PeerConfig& config, Node& from) {
        if (&from == &a) {
            config.asn = Asn{};
            config.any_external_as = true;
        }
    });
    world.settle();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(world.peer_of(a, b).summary(world.now).asn, Asn{65002});
    EXPECT_EQ(a.instance.routes(std::nullopt, 10).size(), 1U);  // whose path begins with that AS
}

TEST_F(Ebgp, PathWithTheSpeakersAsIsALoopBesideALocalAs) {
    world.peer(a, b, [this](PeerConfig& config, Node& from) {
        (&from == &a ? config.asn : config.local_as.emplace()) = Asn{64999};
    });
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    a.instance.originate(prefix("10.0.0.0/24"), attributes);
    a.instance.originate(prefix("10.0.1.0/24"), {});
    world.settle();
    EXPECT_EQ(b.sink.routes.size(), 1U);
    EXPECT_TRUE(b.sink.routes.contains("10.0.1.0/24"));
}

/// Sites of one AS behind one router that takes both as external: `as_override` hides it from the other.
TEST(ExternalSites, OfOneAsReachEachOther) {
    World world;
    Node& router = world.add("192.0.2.1", 65001);
    Node& one = world.add("192.0.2.2", 65010);
    Node& other = world.add("192.0.2.3", 65010);
    for (Node* site : {&one, &other}) {
        world.peer(router, *site, [&](PeerConfig& config, Node& from) {
            if (&from == &router) {
                config.asn = Asn{};
                config.any_external_as = true;
                config.as_override = true;
            }
        });
    }
    world.settle();
    one.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    const auto told = other.instance.routes(std::nullopt, 10);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].paths.at(0).attributes.as_path, AsPath::sequence({65001, 65001}));
}

TEST_F(Ebgp, TablesAreFreedInParts) {
    connect();
    for (std::uint32_t i = 0; i < 2000; ++i) {
        a.instance.originate(Prefix<V4>::host(Ip4{0x0a000000U + i}), {});
    }
    world.settle();
    unsigned parts = 1;
    while (a.instance.dismantle()) {
        ++parts;
    }
    EXPECT_GE(parts, 2000U / 256);
}

TEST_F(Ebgp, CallsOfBothEndInOneConnection) {
    connect();
    EXPECT_EQ(world.wires(), 1U);
}

TEST_F(Ebgp, LearnsBothFamiliesOverOneSession) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("2001:db8:1::/64"), {});
    world.settle();
    EXPECT_EQ(a.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{*parse_ip("192.0.2.2")});
    EXPECT_EQ(
        a.sink.routes["2001:db8:1::/64"].next_hops, std::vector<IpAddr>{*parse_ip("2001:db8::2")});
    EXPECT_EQ(a.sink.routes["10.0.0.0/24"].from, PeerKind::External);
}

TEST_F(Ebgp, PrependsItsAsAndStripsLocalPref) {
    connect();
    Attributes attributes;
    attributes.local_pref = 500;
    b.instance.originate(prefix("10.0.0.0/24"), attributes);
    world.settle();
    const auto received = world.peer_of(a, b).routes<V4>().received_routes();
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0].attributes.as_path, AsPath::sequence({65002}));
    EXPECT_EQ(received[0].attributes.local_pref, std::nullopt);
}

class EbgpWalk : public Ebgp {
  protected:
    /// Slices of a walk over what crossed `peer`'s session.
    static std::vector<std::vector<IpPrefix>> walk(const Peer& peer, Crossing way) {
        std::vector<std::vector<IpPrefix>> slices;
        RouteCursor cursor;
        bool more = true;
        while (more) {
            auto& slice = slices.emplace_back();
            more = peer.visit_routes(
                way, cursor, 100, [&](PeerRouteSummary&& route) { slice.push_back(route.prefix); });
        }
        return slices;
    }

    void SetUp() override {
        connect();
        for (std::uint32_t i = 0; i < 3000; ++i) {
            b.instance.originate(Prefix<V4>::host(Ip4{0x0a000000 + i}), {});
        }
        b.instance.originate(prefix("2001:db8:1::/64"), {});
        world.settle();
    }
};

TEST_F(EbgpWalk, VisitsEachRouteOnce) {
    for (const auto& slices :
         {walk(world.peer_of(a, b), Crossing::Received),
          walk(world.peer_of(b, a), Crossing::Advertised)}) {
        std::set<IpPrefix> seen;
        for (const auto& slice : slices) {
            EXPECT_LE(slice.size(), 100U);
            for (const IpPrefix& each : slice) {
                EXPECT_TRUE(seen.insert(each).second) << to_string(each);
            }
        }
        EXPECT_EQ(seen.size(), 3001U);
    }
}

TEST_F(EbgpWalk, OfALostPeerEnds) {
    RouteCursor cursor;
    ASSERT_TRUE(world.peer_of(b, a).visit_routes(
        Crossing::Advertised, cursor, 100, [](PeerRouteSummary&&) {}));
    world.cut(a, b);
    std::size_t visited = 0;
    while (world.peer_of(b, a).visit_routes(
        Crossing::Advertised, cursor, 100, [&](PeerRouteSummary&&) { ++visited; })) {
    }
    EXPECT_EQ(visited, 0U);
}

TEST_F(Ebgp, WithdrawReachesTheMachine) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    b.instance.withdraw(prefix("10.0.0.0/24"));
    world.settle();
    EXPECT_TRUE(a.sink.routes.empty());
}

TEST_F(Ebgp, LostSessionTakesItsRoutesAlong) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    world.cut(a, b);
    EXPECT_TRUE(a.sink.routes.empty());
}

TEST_F(Ebgp, NextHopOfALostPeerIsAvoidedUntilItsRoutesAreGone) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_TRUE(a.sink.avoided.empty());
    world.cut(a, b);
    EXPECT_EQ(a.sink.avoided, (std::vector<std::string>{"avoid 192.0.2.2", "use 192.0.2.2"}));
}

TEST_F(Ebgp, ComesBackAfterACut) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    world.cut(a, b);
    world.pass(5s);
    EXPECT_EQ(a.sink.routes.count("10.0.0.0/24"), 1U);
    EXPECT_EQ(world.wires(), 1U);
}

TEST_F(Ebgp, StandingSessionSurvivesTheNewsOfAnotherConnection) {
    connect();
    Peer& peer = world.peer_of(a, b);
    for (const Direction direction : {Direction::Outgoing, Direction::Incoming}) {
        peer.connected(direction, *parse_ip("192.0.2.1"), world.now);
    }
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(peer.state(), State::Established);
    EXPECT_EQ(a.sink.routes.count("10.0.0.0/24"), 1U);
}

TEST_F(Ebgp, EndOfRibArrivesForBothFamilies) {
    connect();
    const PeerSummary summary = world.peer_of(a, b).summary(world.now);
    EXPECT_TRUE(summary.ipv4.end_of_rib_received);
    EXPECT_TRUE(summary.ipv6.end_of_rib_received);
}

TEST_F(Ebgp, KeepalivesHoldAnIdleSession) {
    connect();
    world.pass(1h);
    EXPECT_EQ(world.peer_of(a, b).summary(world.now).established_count, 1U);
}

TEST_F(Ebgp, SilenceEndsInHoldTimerExpired) {
    connect();
    world.freeze(true);
    world.pass(91s);
    EXPECT_EQ(world.peer_of(a, b).summary(world.now).last_error, "hold timer expired");
}

TEST_F(Ebgp, WithoutPolicyNothingIsExchanged) {  // RFC 8212
    world.peer(a, b, [](PeerConfig& config, Node&) {
        config.import.reset();
        config.export_.reset();
    });
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(world.peer_of(a, b).summary(world.now).ipv4.received, 0U);
    EXPECT_EQ(world.peer_of(a, b).state(), State::Established);
}

TEST_F(Ebgp, ImportFilterRefusesAndSaysSo) {
    world.peer(a, b, [](PeerConfig& config, Node&) {
        config.import =
            Filter::of_prefixes({PrefixRule{.prefix = prefix("10.0.0.0/8"), .ge = 8, .le = 24}});
    });
    b.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.1.0/25"), {});
    world.settle();
    EXPECT_EQ(a.sink.routes.size(), 1U);
    EXPECT_EQ(world.peer_of(a, b).routes<V4>().received_routes()[1].refused, "import filter");
}

// RFC 4271 6.3; a link-local address would even be taken for one on a link of ours.
TEST_F(Ebgp, PrefixesThatNoRouteLeadsToAreRefused) {
    connect();
    const std::vector<const char*> refused{
        "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::1/128", "fe80:3::1/128", "ff00::/8"};
    for (const char* text : refused) {
        b.instance.originate(prefix(text), {});
    }
    b.instance.originate(prefix("0.0.0.0/0"), {});
    b.instance.originate(prefix("::/0"), {});
    world.settle();
    EXPECT_EQ(a.sink.routes.size(), 2U);
    const Peer& peer = world.peer_of(a, b);
    EXPECT_EQ(
        peer.routes<V4>().received_routes()[1].refused, "no route can lead to such addresses");
    EXPECT_EQ(peer.routes<V4>().summary().accepted, 1U);
    EXPECT_EQ(peer.routes<V6>().summary().accepted, 1U);
}

TEST_F(Ebgp, ChangedFilterAppliesToALivingSession) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    Peer& peer = world.peer_of(a, b);
    PeerConfig changed = peer.config();
    changed.import = Filter{};
    ASSERT_FALSE(peer.needs_restart(changed));
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_TRUE(a.sink.routes.empty());
    EXPECT_EQ(peer.state(), State::Established);
    changed.import = Filter{.kind = Filter::Kind::All, .rules = {}};
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_EQ(a.sink.routes.size(), 1U);
}

TEST_F(Ebgp, MaximumPrefixesClosesTheSession) {
    world.peer(a, b, [](PeerConfig& config, Node&) { config.ipv4.maximum_prefixes = 1; });
    b.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.1.0/24"), {});
    world.settle();
    const PeerSummary summary = world.peer_of(b, a).summary(world.now);
    EXPECT_EQ(summary.last_error, "received Hard Reset: Cease/Maximum Number of Prefixes Reached");
    EXPECT_TRUE(a.sink.routes.empty());
}

TEST_F(Ebgp, LoweredMaximumCountsAtOnce) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    b.instance.originate(prefix("10.0.1.0/24"), {});
    b.instance.originate(prefix("2001:db8:1::/64"), {});
    world.settle();
    Peer& peer = world.peer_of(a, b);
    PeerConfig changed = peer.config();
    changed.ipv4.maximum_prefixes = 2;
    changed.ipv4.maximum_prefixes_restart = std::chrono::seconds{300};
    changed.ipv6.maximum_prefixes = 1;
    ASSERT_FALSE(peer.needs_restart(changed));
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_EQ(peer.state(), State::Established) << "it has no more than it may";
    changed.ipv4.maximum_prefixes = 1;
    peer.reconfigure(changed, world.now);
    world.settle();
    EXPECT_NE(peer.state(), State::Established);
    EXPECT_EQ(
        world.peer_of(b, a).summary(world.now).last_error,
        "received Hard Reset: Cease/Maximum Number of Prefixes Reached");
    EXPECT_TRUE(a.sink.routes.empty());
}

TEST_F(Ebgp, UnreachableNextHopIsNotUsedUntilItIs) {
    connect();
    a.oracle.metrics[b.address] = std::nullopt;
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_TRUE(a.sink.routes.empty());
    a.oracle.metrics[b.address] = 10;
    a.instance.next_hops_changed();
    world.settle();
    EXPECT_EQ(a.sink.routes.size(), 1U);
}

TEST_F(Ebgp, NextHopBehindTheRouteItselfIsNoneUntilThereIsAnotherWay) {
    connect();
    a.oracle.ways[b.address] = {prefix("10.0.0.0/8")};
    b.instance.originate(prefix("10.0.0.0/8"), {});
    b.instance.originate(prefix("10.0.1.0/24"), {});
    b.instance.originate(prefix("0.0.0.0/0"), {});
    world.settle();
    EXPECT_FALSE(a.sink.routes.contains("10.0.0.0/8"));
    EXPECT_EQ(a.sink.routes.size(), 2U);
    a.oracle.ways.clear();
    a.instance.next_hops_changed();
    world.settle();
    EXPECT_TRUE(a.sink.routes.contains("10.0.0.0/8"));
}

/// RFC 1997 speaks of received routes: with our own, an operator speaks to the neighbors.
TEST_F(Ebgp, OwnRoutesAreToldWithNoExport) {
    connect();
    for (const std::uint32_t community : {community::kNoExport, community::kNoAdvertise}) {
        Attributes attributes;
        attributes.communities = {community};
        b.instance.originate(prefix("10.0.0.0/24"), attributes);
        world.settle();
        const auto told = a.instance.routes(prefix("10.0.0.0/24"), 1);
        ASSERT_EQ(told.size(), 1U);
        EXPECT_EQ(told[0].paths[0].attributes.communities, attributes.communities);
    }
}

TEST_F(Ebgp, ShutdownTextReachesTheOther) {  // RFC 9003
    connect();
    world.peer_of(a, b).stop(
        Notification{
            .code = ErrorCode::Cease,
            .subcode = cease::kShutdown,
            .data = shutdown_communication("kernel upgrade")},
        world.now);
    world.settle();
    EXPECT_EQ(
        world.peer_of(b, a).summary(world.now).last_error,
        "received Hard Reset: Cease/Administrative Shutdown \"kernel upgrade\"");
}

TEST_F(Ebgp, RemovedPeerLeavesNothingBehind) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    world.remove_peer(a, b.address);
    EXPECT_TRUE(a.sink.routes.empty());
    EXPECT_EQ(a.instance.find(b.address), nullptr);
    EXPECT_EQ(a.instance.ribs().v4.size(), 0U);
}

TEST_F(Ebgp, WrongAsIsRefusedByName) {
    PeerConfig config;
    config.address = b.address;
    config.asn = Asn{65009};
    ASSERT_TRUE(a.instance.add_peer(config, world.now));
    config.address = a.address;
    config.asn = Asn{65001};
    ASSERT_TRUE(b.instance.add_peer(config, world.now));
    world.settle();
    EXPECT_EQ(
        world.peer_of(b, a).summary(world.now).last_error,
        "received OPEN Message Error/Bad Peer AS");
}

TEST_F(Ebgp, PassivePeerWaitsForTheCall) {
    world.peer(a, b, [](PeerConfig& config, Node& from) {
        config.passive = std::get<Ip4>(from.address).value() == 0xc0000201;
    });
    world.settle();
    EXPECT_EQ(world.peer_of(a, b).state(), State::Established);
}

TEST_F(Ebgp, ImpossibleConfigurationIsRefused) {
    PeerConfig config;
    config.address = b.address;
    config.asn = Asn{65002};
    config.timers.hold = 2s;
    EXPECT_FALSE(a.instance.add_peer(config, world.now));
    config.timers.hold = 90s;
    EXPECT_TRUE(a.instance.add_peer(config, world.now));
    EXPECT_FALSE(a.instance.add_peer(config, world.now));
}

TEST_F(Ibgp, CarriesLocalPref) {
    world.peer(a, b);
    Attributes attributes;
    attributes.local_pref = 500;
    b.instance.originate(prefix("10.0.0.0/24"), attributes);
    world.settle();
    const auto received = world.peer_of(a, b).routes<V4>().received_routes();
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0].attributes.local_pref, 500U);
    EXPECT_TRUE(received[0].attributes.as_path.empty());
    EXPECT_EQ(a.sink.routes["10.0.0.0/24"].from, PeerKind::Internal);
}

TEST_F(Ibgp, DoesNotReflect) {
    Node& c = world.add("192.0.2.3", 65001);
    world.peer(a, b);
    world.peer(b, c);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(b.sink.routes.size(), 1U);
    EXPECT_TRUE(c.sink.routes.empty());
}

TEST_F(Ebgp, TransitKeepsTheWholePathAndBreaksLoops) {
    Node& c = world.add("192.0.2.3", 65003);
    world.peer(a, b);
    world.peer(b, c);
    world.peer(c, a);
    a.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(b.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{a.address});
    EXPECT_EQ(c.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{a.address});
    world.cut(a, b);
    EXPECT_EQ(b.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{c.address});
    EXPECT_TRUE(a.sink.routes.empty());
}

TEST_F(Ebgp, EqualPathsShareTheTraffic) {
    Node& c = world.add("192.0.2.3", 65003);
    world.peer(a, b);
    world.peer(a, c);
    b.instance.originate(prefix("10.0.0.0/24"), {});
    c.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    const std::vector<IpAddr> both{b.address, c.address};
    EXPECT_EQ(a.sink.routes["10.0.0.0/24"].next_hops, both);
    b.instance.withdraw(prefix("10.0.0.0/24"));
    world.settle();
    EXPECT_EQ(a.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{c.address});
}

TEST_F(Ebgp, RouteRefreshSendsAllAgain) {
    connect();
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    const auto before = world.peer_of(b, a).summary(world.now).sent.updates;
    std::vector<std::uint8_t> ask;
    encode_route_refresh(kIpv4Unicast, 0, ask);
    Peer& peer = world.peer_of(b, a);
    for (const Direction direction : {Direction::Outgoing, Direction::Incoming}) {
        peer.receive(direction, ask);
        EXPECT_FALSE(peer.process(direction, world.now) && false);
    }
    world.settle();
    EXPECT_EQ(world.peer_of(b, a).summary(world.now).sent.updates, before + 1);
}

TEST_F(Ebgp, TableLargerThanOneSliceArrivesWhole) {
    connect();
    for (std::uint32_t i = 0; i < 10000; ++i) {
        b.instance.originate(Prefix<V4>::host(Ip4{0x0a000000U + i}), {});
    }
    world.settle();
    EXPECT_EQ(a.sink.routes.size(), 10000U);
    EXPECT_LT(world.peer_of(b, a).summary(world.now).sent.updates, 60U);
    world.cut(a, b);
    EXPECT_TRUE(a.sink.routes.empty());
    world.pass(5s);
    EXPECT_EQ(a.sink.routes.size(), 10000U);
}

TEST_F(Ebgp, FourOctetAsTravels) {
    Node& c = world.add("192.0.2.3", 4200000001);
    world.peer(a, c);
    c.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    const auto received = world.peer_of(a, c).routes<V4>().received_routes();
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0].attributes.as_path.text(), "4200000001");
}

TEST_F(Ebgp, WhyNotBestIsShown) {
    Node& c = world.add("192.0.2.3", 65003);
    world.peer(a, b);
    world.peer(a, c);
    Attributes longer;
    longer.as_path = AsPath::sequence({65100});
    b.instance.originate(prefix("10.0.0.0/24"), longer);
    c.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    const auto routes = a.instance.routes(prefix("10.0.0.0/8"), 10);
    ASSERT_EQ(routes.size(), 1U);
    ASSERT_EQ(routes[0].paths.size(), 2U);
    EXPECT_EQ(routes[0].paths[0].peer, c.address);
    EXPECT_EQ(routes[0].paths[1].lost_at, Step::AsPath);
}

/// Where a prefix has hundreds of paths, few prefixes take as long to show as many elsewhere.
TEST_F(Ebgp, AWalkCountsPaths) {
    constexpr unsigned kPeers = 8;
    constexpr std::uint32_t kPrefixes = 20;
    for (unsigned i = 0; i < kPeers; ++i) {
        Node& c = world.add("192.0.2." + std::to_string(10 + i), 65010 + i);
        world.peer(a, c);
        for (std::uint32_t n = 0; n < kPrefixes; ++n) {
            c.instance.originate(Prefix<V4>::host(Ip4{0x0a000000 + n}), {});
        }
    }
    world.settle();
    RouteCursor cursor;
    std::size_t routes = 0;
    const auto count = [&](const RouteSummary& route) {
        EXPECT_EQ(route.paths.size(), kPeers);
        ++routes;
    };
    EXPECT_TRUE(a.instance.visit_routes(cursor, 2 * kPeers, count));
    EXPECT_EQ(routes, 2U);
    while (a.instance.visit_routes(cursor, 2 * kPeers, count)) {
    }
    EXPECT_EQ(routes, kPrefixes);
}

/// Our AS 65001, or 65000 to all others, in what a peer tells (RFC 4271 9.1.2): `allow_own_as` times they
/// may be there.
struct OwnAs {
    std::string name;
    AsPath path;
    unsigned allowed;
    Refusal refusal;
};

class OwnAsRows : public ::testing::TestWithParam<OwnAs> {};

TEST_P(OwnAsRows, InAReceivedPath) {
    Attributes attributes;
    attributes.as_path = GetParam().path;
    attributes.next_hop = *parse_ip("192.0.2.2");
    const Ends ends{
        .kind = PeerKind::External,
        .local_as = Asn{65001},
        .speaker_as = Asn{65000},
        .peer_as = Asn{65002},
        .local_address = *parse_ip("192.0.2.1"),
        .allow_own_as = GetParam().allowed};
    EXPECT_EQ(admit(attributes, ends, std::nullopt), GetParam().refusal);
}

INSTANTIATE_TEST_SUITE_P(
    Paths,
    OwnAsRows,
    ::testing::Values(
        OwnAs{"not_there", AsPath::sequence({65002, 65003}), 0, Refusal::None},
        OwnAs{"there", AsPath::sequence({65002, 65001}), 0, Refusal::AsLoop},
        OwnAs{"there_as_allowed", AsPath::sequence({65002, 65001}), 1, Refusal::None},
        OwnAs{"twice", AsPath::sequence({65002, 65001, 65001}), 1, Refusal::AsLoop},
        OwnAs{"twice_apart", AsPath::sequence({65002, 65001, 65003, 65001}), 1, Refusal::AsLoop},
        OwnAs{"twice_as_allowed", AsPath::sequence({65002, 65001, 65001}), 2, Refusal::None},
        OwnAs{"that_of_the_speaker", AsPath::sequence({65002, 65000}), 0, Refusal::AsLoop},
        OwnAs{"both", AsPath::sequence({65002, 65001, 65000}), 1, Refusal::AsLoop},
        OwnAs{"both_as_allowed", AsPath::sequence({65002, 65001, 65000}), 2, Refusal::None}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vr::bgp::instance_test
