// Next hops of the other family (RFC 8950) and on a link (RFC 2545 3).
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bgp/session_rules.h"
#include "bgp/update.h"
#include "test/bgp/simulation.h"

namespace vr::bgp::next_hop_test {
namespace {

using testing::Node;
using testing::World;

Ip6 ip6(std::string_view text) {
    return *Ip6::parse(text);
}

TEST(Zone, IsForgottenBeforeAnythingLeaves) {
    const Ip6 zoned = with_zone(ip6("fe80::1"), 7);
    EXPECT_NE(zoned, ip6("fe80::1"));
    EXPECT_EQ(zone_of(zoned), 7);
    EXPECT_EQ(without_zone(zoned), ip6("fe80::1"));
}

TEST(Zone, OfTheWireMeansNothing) {
    EXPECT_EQ(with_zone(ip6("fe80:5::1"), 7), with_zone(ip6("fe80::1"), 7));
}

TEST(Zone, IsForLinkLocalAddressesOnly) {
    EXPECT_EQ(zone_of(ip6("2001:db8:5::1")), 0);
}

// What a received next hop becomes.

struct Row {
    std::string name;
    std::string next_hop;
    std::string link_local;
    Zone zone;
    IpAddr placed;
    Refusal refusal;
};

class Placed : public ::testing::TestWithParam<Row> {};

TEST_P(Placed, AsTheLinkHasIt) {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    attributes.next_hop = ip6(GetParam().next_hop);
    attributes.next_hop_link_local = Ip6::parse(GetParam().link_local);
    const Ends ends{
        .kind = PeerKind::External,
        .local_as = Asn{65001},
        .peer_as = Asn{65002},
        .local_address = ip6("fe80::aa"),
        .zone = GetParam().zone};
    place_next_hop(attributes, ends);
    EXPECT_EQ(to_string(attributes.next_hop), to_string(GetParam().placed));
    EXPECT_EQ(admit(attributes, ends, std::nullopt), GetParam().refusal);
}

const IpAddr kOnLink3 = with_zone(ip6("fe80::1"), 3);
const IpAddr kGlobal = ip6("2001:db8::1");
const IpAddr kNowhere = ip6("fe80::1");

INSTANTIATE_TEST_SUITE_P(
    Rows,
    Placed,
    ::testing::Values(
        Row{"global", "2001:db8::1", "", 3, kGlobal, Refusal::None},
        Row{"both", "2001:db8::1", "fe80::1", 3, kOnLink3, Refusal::None},
        Row{"link_local_in_both", "fe80::1", "fe80::1", 3, kOnLink3, Refusal::None},
        Row{"link_local_alone", "fe80::1", "", 3, kOnLink3, Refusal::None},
        Row{"link_local_second", "::", "fe80::1", 3, kOnLink3, Refusal::None},
        Row{"zone_of_the_wire", "fe80:9::1", "", 3, kOnLink3, Refusal::None},
        Row{"no_link", "fe80::1", "", 0, kNowhere, Refusal::NextHop},
        Row{"our_own", "fe80::aa", "", 3, with_zone(ip6("fe80::aa"), 3), Refusal::NextHop},
        Row{"second_not_link_local", "::", "2001:db8::1", 3, Ip6{}, Refusal::NextHop},
        Row{"nothing", "::", "", 3, Ip6{}, Refusal::NextHop}),
    [](const auto& row) { return row.param.name; });

TEST(PlaceNextHop, GlobalOneServesASessionBetweenGlobalAddresses) {
    Attributes attributes;
    attributes.next_hop = kGlobal;
    attributes.next_hop_link_local = ip6("fe80::1");
    place_next_hop(attributes, Ends{.local_address = ip6("2001:db8::aa"), .zone = 3});
    EXPECT_EQ(attributes.next_hop, kGlobal);
}

TEST(PlaceNextHop, SecondOneIsDroppedUnlessItIsLinkLocal) {
    for (const auto* second : {"2001:db8::9", "fe80:5::9"}) {
        Attributes attributes;
        attributes.next_hop = kGlobal;
        attributes.next_hop_link_local = ip6(second);
        place_next_hop(attributes, Ends{.local_address = ip6("2001:db8::aa"), .zone = 3});
        EXPECT_EQ(attributes.next_hop, kGlobal);
        EXPECT_EQ(attributes.next_hop_link_local, std::nullopt) << second;
    }
}

TEST(Advertise, LinkLocalNextHopGoesNoFurther) {
    Attributes best;
    best.next_hop = with_zone(ip6("fe80::1"), 3);
    const Ends ends{.kind = PeerKind::Internal, .local_as = Asn{1}, .peer_as = Asn{1}};
    EXPECT_EQ(
        advertise(best, PathSource{.kind = PeerKind::External}, ends, IpAddr{ip6("2001:db8::5")}),
        std::nullopt);
}

// RFC 8950.

const AttributeContext kAgreed{.ipv4_over_ipv6 = true};

std::vector<std::uint8_t> route_over(const Attributes& attributes) {
    const auto prefix = std::get<Prefix<V4>>(*parse_prefix("10.0.0.0/24"));
    std::vector<std::uint8_t> bytes;
    EXPECT_EQ(pack_announcements<V4>(attributes, kAgreed, {&prefix, 1}, bytes), 1U);
    return bytes;
}

Attributes over(std::string_view next_hop, std::string_view link_local = "") {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    attributes.next_hop = ip6(next_hop);
    attributes.next_hop_link_local = Ip6::parse(link_local);
    return attributes;
}

TEST(Ipv4OverIpv6, SurvivesARoundTrip) {
    for (const Attributes& sent : {over("2001:db8::1"), over("2001:db8::1", "fe80::1")}) {
        const auto bytes = route_over(sent);
        const auto got = decode_update(Bytes{bytes}.subspan(kHeaderSize), kAgreed);
        ASSERT_TRUE(std::holds_alternative<Update>(got));
        const auto& reach = std::get<Update>(got).of<V4>();
        ASSERT_EQ(reach.announced.size(), 1U);
        EXPECT_EQ(reach.attributes, sent);
    }
}

TEST(Ipv4OverIpv6, IsMalformedWhereNotAgreed) {
    const auto bytes = route_over(over("2001:db8::1"));
    const auto got = decode_update(Bytes{bytes}.subspan(kHeaderSize), AttributeContext{});
    ASSERT_TRUE(std::holds_alternative<Notification>(got));
    EXPECT_EQ(std::get<Notification>(got).subcode, update_error::kOptionalAttribute);
}

TEST(Ipv4OverIpv6, LeadsToTheMachineOverASessionOfIpv6) {
    World world;
    Node& a = world.add("2001:db8::1", 65001, "192.0.2.1");
    Node& b = world.add("2001:db8::2", 65002, "192.0.2.2");
    world.peer(a, b);
    b.instance.originate(*parse_prefix("10.0.0.0/24"), {});
    world.settle();
    EXPECT_EQ(a.sink.routes["10.0.0.0/24"].next_hops, std::vector<IpAddr>{b.address});
}

TEST(Ipv4OverIpv6, IsNotToldToWhoDoesNotUnderstandIt) {
    World world;
    Node& a = world.add("192.0.2.1", 65001);
    Node& b = world.add("192.0.2.2", 65002);
    world.peer(a, b);
    Attributes attributes;
    attributes.next_hop = ip6("2001:db8::9");
    b.instance.originate(*parse_prefix("10.0.0.0/24"), attributes);
    world.settle();
    EXPECT_TRUE(a.sink.routes.empty());
}

TEST(ExtendedMessage, CarriesWhatOneOrdinaryMessageCannot) {  // RFC 8654
    std::vector<Prefix<V4>> prefixes;
    for (std::uint32_t i = 0; i < 3000; ++i) {
        prefixes.push_back(Prefix<V4>::host(Ip4{0x0a000000U + i}));
    }
    Attributes attributes;
    attributes.next_hop = Ip4{0xc0000201};
    std::vector<std::uint8_t> bytes;
    const AttributeContext extended{.message_size = kMaxExtendedMessage};
    EXPECT_EQ(pack_announcements<V4>(attributes, extended, prefixes, bytes), 1U);
    EXPECT_GT(pack_announcements<V4>(attributes, AttributeContext{}, prefixes, bytes), 1U);
}

// What the machine says about next hops.

TEST(NextHops, OfALargeFabricAreAllRemembered) {
    const testing::TestOracle oracle;
    NextHops next_hops{oracle};
    AttributePool pool;
    for (std::uint32_t i = 0; i < 10000; ++i) {
        Attributes attributes;
        attributes.next_hop = Ip4{0x0a000000U + i};
        EXPECT_TRUE(next_hops.metric(pool.intern(attributes), Prefix<V4>{}));
    }
    next_hops.ask_all_again();
    unsigned slices = 1;
    for (; next_hops.ask_some(1000); ++slices) {
    }
    EXPECT_EQ(slices, 10U);
    EXPECT_FALSE(next_hops.begin_walk()) << "nothing has changed";
}

/// Next hops 10.0.0.0 and on, each in the attributes of one path.
class ChangedNextHops : public ::testing::Test {
  protected:
    static IpAddr address(std::uint32_t number) { return Ip4{0x0a000000U + number}; }

    AttributesRef path_over(std::uint32_t number) {
        Attributes attributes;
        attributes.next_hop = address(number);
        return pool.intern(attributes);
    }

    bool reaches(const AttributesRef& path) {
        return next_hops.metric(path, Prefix<V4>{}).has_value();
    }

    testing::TestOracle oracle;
    NextHops next_hops{oracle};
    AttributePool pool;
    AttributesRef first = path_over(1);
    AttributesRef second = path_over(2);
};

TEST_F(ChangedNextHops, KeepTheirOldAnswersUntilTheyAreAskedFor) {
    EXPECT_TRUE(reaches(first) && reaches(second));
    oracle.metrics = {{address(1), std::nullopt}, {address(2), std::nullopt}};
    next_hops.ask_again(address(1));
    next_hops.ask_again(address(2));
    EXPECT_TRUE(reaches(first));
    EXPECT_TRUE(next_hops.ask_some(1));
    EXPECT_FALSE(reaches(first));
    EXPECT_TRUE(reaches(second));
    EXPECT_FALSE(next_hops.ask_some(1));
    EXPECT_FALSE(reaches(second));
}

TEST_F(ChangedNextHops, AreThoseOnAnotherLinkIfAnybodyAskedForIt) {
    EXPECT_TRUE(reaches(first) && reaches(second));
    EXPECT_EQ(next_hops.interface_to(address(1)), "");
    oracle.interfaces = {{address(1), "eth1"}, {address(2), "eth1"}};
    next_hops.ask_all_again();
    next_hops.ask_some(2);
    ASSERT_TRUE(next_hops.begin_walk());
    EXPECT_TRUE(next_hops.changed(*first));
    EXPECT_FALSE(next_hops.changed(*second));
    EXPECT_EQ(next_hops.interface_to(address(1)), "eth1");
    next_hops.ask_all_again();
    next_hops.ask_some(2);
    EXPECT_FALSE(next_hops.begin_walk());
}

TEST_F(ChangedNextHops, AreTakenForOthersOnceTheirLinksWereForgotten) {
    EXPECT_EQ(next_hops.zone_to(address(1)), 0);
    for (std::uint32_t i = 0; i <= kMostNextHops; ++i) {
        EXPECT_TRUE(reaches(path_over(100 + i)));
    }
    EXPECT_TRUE(reaches(first));
    oracle.zones[address(1)] = 1;
    next_hops.ask_again(address(1));
    next_hops.ask_some(1);
    ASSERT_TRUE(next_hops.begin_walk());
    EXPECT_TRUE(next_hops.changed(*first));
}

TEST_F(ChangedNextHops, FoundWhileTablesAreWalkedAreForTheNextWalk) {
    EXPECT_TRUE(reaches(first) && reaches(second));
    oracle.metrics[address(1)] = std::nullopt;
    next_hops.ask_again(address(1));
    next_hops.ask_some(1);
    ASSERT_TRUE(next_hops.begin_walk());
    oracle.metrics[address(2)] = std::nullopt;
    next_hops.ask_again(address(2));
    next_hops.ask_some(1);
    EXPECT_TRUE(next_hops.changed(*first));
    EXPECT_FALSE(next_hops.changed(*second));
    ASSERT_TRUE(next_hops.begin_walk());
    EXPECT_FALSE(next_hops.changed(*first));
    EXPECT_TRUE(next_hops.changed(*second));
    EXPECT_FALSE(next_hops.begin_walk());
}

TEST_F(ChangedNextHops, ThatChangeOverAndOverKeepNoOtherFromItsTurn) {
    EXPECT_TRUE(reaches(first) && reaches(second));
    oracle.metrics[address(2)] = std::nullopt;
    next_hops.ask_again(address(1));
    next_hops.ask_again(address(2));
    for (int i = 0; i < 2; ++i) {
        next_hops.ask_some(1);
        next_hops.ask_again(address(1));
    }
    EXPECT_FALSE(reaches(second));
    EXPECT_TRUE(next_hops.begin_walk());
}

TEST_F(ChangedNextHops, AreTakenForOthersOnceTheirAnswersWereForgotten) {
    EXPECT_TRUE(reaches(first));
    oracle.metrics[address(1)] = std::nullopt;
    next_hops.ask_again(address(1));
    for (std::uint32_t i = 0; i <= kMostNextHops; ++i) {  // more than are remembered
        EXPECT_TRUE(reaches(path_over(100 + i)));
    }
    next_hops.ask_some(1);
    ASSERT_TRUE(next_hops.begin_walk());
    EXPECT_TRUE(next_hops.changed(*first));
    EXPECT_FALSE(reaches(first));
}

TEST_F(ChangedNextHops, AreAllThatWereForgottenWhenAnyMayBe) {
    EXPECT_TRUE(reaches(first));
    for (std::uint32_t i = 0; i <= kMostNextHops; ++i) {
        EXPECT_TRUE(reaches(path_over(100 + i)));
    }
    oracle.metrics[address(1)] = std::nullopt;
    next_hops.ask_all_again();
    ASSERT_TRUE(next_hops.begin_walk());
    EXPECT_TRUE(next_hops.changed(*first));
    EXPECT_FALSE(reaches(first));
}

}  // namespace
}  // namespace vr::bgp::next_hop_test
