// Which next hops have a link-local address beside them (RFC 2545 3), speaker to speaker in virtual time.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/bgp/simulation.h"

namespace vr::bgp::link_local_test {
namespace {

using testing::Node;
using testing::World;

constexpr Zone kLink = 7;
constexpr Zone kOther = 8;
const Ip6 kOurs = *Ip6::parse("fe80::64");
const Ip6 kTheirs = *Ip6::parse("fe80::1");
const std::string kPrefix = "2001:db8:a::/48";

/// R is where they are judged; A, B and C are its peers.
class LinkLocal : public ::testing::Test {
  protected:
    LinkLocal() {
        r.oracle.link_locals[r.address] = kOurs;
        a.oracle.link_locals[a.address] = kTheirs;
    }

    void connect(Node& to, const std::function<void(PeerConfig&)>& tune = {}) {
        world.peer(r, to, [&](PeerConfig& config, Node& from) {
            if (&from == &r && tune) {
                tune(config);
            }
        });
        world.settle();
    }

    /// What `to` has from R.
    template <Family F = V6>
    Attributes told(Node& to) {
        const auto routes = world.peer_of(to, r).routes<F>().received_routes();
        return routes.size() == 1 ? routes[0].attributes : Attributes{};
    }

    std::size_t groups() { return r.instance.ribs().groups6.size(); }

    World world;
    Node& r = world.add("2001:db8::64", 65001, "192.0.2.100");
    Node& a = world.add("2001:db8::1", 65001, "192.0.2.1");
    Node& b = world.add("2001:db8::2", 65001, "192.0.2.2");
    Node& c = world.add("2001:db8::3", 65001, "192.0.2.3");
    Node& external = world.add("2001:db8::e", 65200, "192.0.2.200");
};

// --- ours --------------------------------------------------------------------------------------------

struct Row {
    std::string name;
    bool external;
    Zone link;  ///< of the peer
    std::string next_hop;
    std::optional<Ip6> wanted;
};

class Ours : public LinkLocal, public ::testing::WithParamInterface<Row> {};

TEST_P(Ours, StandsBesideOurAddressOnThePeersLink) {
    Node& peer = GetParam().external ? external : b;
    r.oracle.zones[peer.address] = GetParam().link;
    connect(peer, [](PeerConfig& config) { config.ipv6.next_hop = parse_ip(GetParam().next_hop); });
    r.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(peer).next_hop, parse_ip(GetParam().next_hop).value_or(r.address));
    EXPECT_EQ(told(peer).next_hop_link_local, GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    Ours,
    ::testing::Values(
        Row{"external", true, kLink, "", kOurs},
        Row{"internal", false, kLink, "", kOurs},
        Row{"several_hops_away", true, 0, "", std::nullopt},
        Row{"internal_several_hops_away", false, 0, "", std::nullopt},
        Row{"over_an_address_elsewhere", true, kLink, "2001:db8:99::1", std::nullopt},
        Row{"over_a_link_local_one", true, kLink, "fe80::64", std::nullopt}),
    [](const auto& row) { return row.param.name; });

TEST_F(LinkLocal, OursStandsBesideWhatReplacesANextHop) {
    r.oracle.zones = {{a.address, kLink}, {external.address, kOther}};
    a.oracle.zones[r.address] = kLink;
    connect(a);
    connect(external);
    a.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(external).next_hop, r.address);
    EXPECT_EQ(told(external).next_hop_link_local, kOurs) << "not that of A";
}

TEST_F(LinkLocal, OursFollowsItsChange) {
    r.oracle.zones[b.address] = kLink;
    connect(b);
    r.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    r.oracle.link_locals[r.address] = *Ip6::parse("fe80::65");
    Peer& peer = world.peer_of(r, b);
    peer.reconfigure(PeerConfig{peer.config()}, world.now);
    world.settle();
    EXPECT_EQ(told(b).next_hop_link_local, Ip6::parse("fe80::65"));
    r.oracle.link_locals.clear();
    peer.reconfigure(PeerConfig{peer.config()}, world.now);
    world.settle();
    EXPECT_EQ(told(b).next_hop, r.address);
    EXPECT_EQ(told(b).next_hop_link_local, std::nullopt);
}

TEST_F(LinkLocal, OursIsToldOnceTheMachineHasIt) {
    r.oracle.link_locals.clear();
    connect(b);
    r.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    ASSERT_EQ(told(b).next_hop_link_local, std::nullopt);
    Peer& peer = world.peer_of(r, b);
    const auto change = [&](std::optional<Zone> link, std::optional<Ip6> own) {
        link ? void(r.oracle.zones[b.address] = *link) : void(r.oracle.zones.clear());
        own ? void(r.oracle.link_locals[r.address] = *own) : void(r.oracle.link_locals.clear());
        const std::uint64_t updates = peer.summary(world.now).sent.updates;
        peer.own_addresses_changed();
        world.settle();
        return peer.summary(world.now).sent.updates - updates;
    };
    EXPECT_GT(change(kLink, kOurs), 0U);
    EXPECT_EQ(told(b).next_hop_link_local, kOurs);
    EXPECT_EQ(change(kLink, kOurs), 0U) << "nothing is another one";
    EXPECT_GT(change(kLink, kTheirs), 0U);
    EXPECT_EQ(told(b).next_hop_link_local, kTheirs);
    EXPECT_GT(change(std::nullopt, kTheirs), 0U);
    EXPECT_EQ(told(b).next_hop, r.address);
    EXPECT_EQ(told(b).next_hop_link_local, std::nullopt);
    EXPECT_EQ(peer.summary(world.now).established_count, 1U);
}

TEST_F(LinkLocal, OursStandsBesideTheNextHopOfIpv4Routes) {  // RFC 8950 3
    r.oracle.zones[b.address] = kLink;
    connect(b);
    r.instance.originate(*parse_prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(told<V4>(b).next_hop, r.address);
    EXPECT_EQ(told<V4>(b).next_hop_link_local, kOurs);
}

TEST_F(LinkLocal, SessionOfIpv4IsOnALinkToo) {
    Node& four = world.add("192.0.2.4", 65001);
    Node& me = world.add("192.0.2.5", 65001);
    me.oracle.zones[four.address] = kLink;
    me.oracle.link_locals[r.address] = kOurs;
    world.peer(me, four, [&](PeerConfig& config, Node&) { config.ipv6.next_hop = r.address; });
    me.instance.originate(*parse_prefix(kPrefix), {});
    me.instance.originate(*parse_prefix("10.0.0.0/24"), {});
    world.settle();
    const Peer& peer = world.peer_of(four, me);
    EXPECT_EQ(peer.routes<V6>().received_routes()[0].attributes.next_hop_link_local, kOurs);
    EXPECT_EQ(peer.routes<V4>().received_routes()[0].attributes.next_hop, me.address);
}

// --- those of others ---------------------------------------------------------------------------------

struct Others {
    std::string name;
    Zone from;  ///< the link of A, which tells the route
    Zone hop;   ///< that of its next hop
    Zone to;    ///< that of B
    std::optional<Ip6> wanted;
};

class Kept : public LinkLocal, public ::testing::WithParamInterface<Others> {};

TEST_P(Kept, GoesOnWithItsNextHopWhereAllAreOnOneLink) {
    const IpAddr hop = *parse_ip("2001:db8::9");
    a.oracle.zones[r.address] = kLink;
    a.oracle.link_locals[hop] = kTheirs;
    r.oracle.zones = {
        {a.address, GetParam().from}, {hop, GetParam().hop}, {b.address, GetParam().to}};
    world.peer(r, a, [&](PeerConfig& config, Node& from) {
        config.reflector_client = &from == &r;
        config.ipv6.next_hop = &from == &a ? std::optional{hop} : std::nullopt;
    });
    connect(b);
    a.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(b).next_hop, hop);
    EXPECT_EQ(told(b).next_hop_link_local, GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    Kept,
    ::testing::Values(
        Others{"one_link", kLink, kLink, kLink, kTheirs},
        Others{"told_from_afar", 0, kLink, kLink, std::nullopt},
        Others{"told_on_another_link", kOther, kLink, kLink, std::nullopt},
        Others{"next_hop_elsewhere", kLink, kOther, kLink, std::nullopt},
        Others{"next_hop_far_away", kLink, 0, kLink, std::nullopt},
        Others{"peer_on_another_link", kLink, kLink, kOther, std::nullopt},
        Others{"peer_far_away", kLink, kLink, 0, std::nullopt},
        Others{"nobody_on_a_link", 0, 0, 0, std::nullopt}),
    [](const auto& row) { return row.param.name; });

TEST_F(LinkLocal, OfAnotherGoesOnToAnExternalPeerThatReachesIt) {  // RFC 4271 5.1.3
    a.oracle.zones[r.address] = kLink;
    r.oracle.zones = {{a.address, kLink}, {external.address, kLink}};
    connect(a);
    connect(external);
    a.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(external).next_hop, a.address);
    EXPECT_EQ(told(external).next_hop_link_local, kTheirs);
}

// --- who shares what is told -------------------------------------------------------------------------

TEST_F(LinkLocal, PeersOfOneLinkAreToldTheSame) {
    for (Node* peer : {&a, &b, &c}) {
        r.oracle.zones[peer->address] = kLink;
        connect(*peer);
    }
    EXPECT_EQ(groups(), 1U);
}

TEST_F(LinkLocal, PeersOnAndOffTheLinkAreNot) {
    r.oracle.zones = {{a.address, kLink}, {b.address, 0}, {c.address, 0}};
    for (Node* peer : {&a, &b, &c}) {
        connect(*peer);
    }
    EXPECT_EQ(groups(), 2U);
}

TEST_F(LinkLocal, PeersOfDifferentLinksShareWhatNamesNoneOfThem) {
    r.oracle.link_locals.clear();
    Node& e2 = world.add("2001:db8::e2", 65200, "192.0.2.201");
    r.oracle.zones = {{external.address, kLink}, {e2.address, kOther}};
    for (Node* peer : {&external, &e2}) {
        connect(*peer, [](PeerConfig& config) { config.next_hop = NextHopMode::Self; });
    }
    EXPECT_EQ(groups(), 1U);
}

TEST_F(LinkLocal, PeersOfDifferentLinksShareIpv4Routes) {
    Node& me = world.add("192.0.2.5", 65001);
    for (const auto& [address, link] : {std::pair{"192.0.2.6", kLink}, {"192.0.2.7", kOther}}) {
        Node& peer = world.add(address, 65001);
        me.oracle.zones[peer.address] = link;
        world.peer(me, peer);
    }
    world.settle();
    EXPECT_EQ(me.instance.ribs().groups4.size(), 1U);
}

}  // namespace
}  // namespace vr::bgp::link_local_test
