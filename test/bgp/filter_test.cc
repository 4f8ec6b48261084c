// Filters and communities: what each criterion matches, what each operation changes, and that both work
// on routes that cross a session.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/filter.h"

#include <gtest/gtest.h>

#include <functional>

#include "bgp/session_rules.h"
#include "test/bgp/simulation.h"

namespace vr::bgp::filter_test {
namespace {

using testing::Node;
using testing::World;
using Action = FilterRule::Action;
using Kind = Filter::Kind;

IpPrefix prefix(std::string_view text) {
    return *parse_prefix(text);
}

Community community_of(std::string_view text) {
    return *parse_community(text);
}

// --- communities -------------------------------------------------------------------------------

struct CommunityRow {
    const char* name;
    const char* text;
    std::optional<Community> wanted;
};

void PrintTo(const CommunityRow& row, std::ostream* out) {
    *out << row.text;
}

class Communities : public ::testing::TestWithParam<CommunityRow> {};

const std::vector<CommunityRow> kCommunities{
    {"standard", "64512:100", StandardCommunity{0xfc000064}},
    {"no_export", "no-export", StandardCommunity{community::kNoExport}},
    {"llgr_stale", "llgr-stale", StandardCommunity{community::kLlgrStale}},
    {"large", "4200000000:1:2", LargeCommunity{4200000000U, 1, 2}},
    {"route_target", "rt:64512:100", ExtendedCommunity{0x0002fc0000000064}},
    {"wide_route_target", "rt:4200000000:7", ExtendedCommunity{0x0202fa56ea000007}},
    {"site_of_address", "soo:192.0.2.1:7", ExtendedCommunity{0x0103c00002010007}},
    {"any_extended", "0x4300fde800000001", ExtendedCommunity{0x4300fde800000001}},
    {"standard_too_wide", "65536:1", std::nullopt},
    {"large_too_wide", "1:2:4294967296", std::nullopt},
    {"one_number", "7", std::nullopt},
    {"four_numbers", "1:2:3:4", std::nullopt},
    {"empty", "", std::nullopt},
    {"hole", "1::2", std::nullopt},
    {"unknown_name", "xx:1:2", std::nullopt},
    {"wide_target_too_wide", "rt:4200000000:65536", std::nullopt},
    {"address_target_too_wide", "rt:192.0.2.1:65536", std::nullopt},
    {"short_hex", "0x43", std::nullopt},
    {"sign", "+1:2", std::nullopt}};

TEST_P(Communities, AreReadAsWritten) {
    EXPECT_EQ(parse_community(GetParam().text), GetParam().wanted);
}

TEST_P(Communities, AreShownAsTheyAreRead) {
    if (GetParam().wanted) {
        EXPECT_EQ(to_string(*GetParam().wanted), GetParam().text);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, Communities, ::testing::ValuesIn(kCommunities), [](const auto& row) {
        return row.param.name;
    });

TEST(Community, ShownFourOctetFormOfASmallNumberReadsBackTheSame) {
    const Community odd = ExtendedCommunity{0x0202000000070007};
    EXPECT_EQ(parse_community(to_string(odd)), odd);
}

TEST(Community, IsAddedOnce) {
    Attributes attributes;
    add_community(attributes, community_of("1:2"));
    add_community(attributes, community_of("1:2"));
    add_community(attributes, community_of("1:2:3"));
    EXPECT_EQ(attributes.communities, CompactVector<std::uint32_t>{0x10002});
    EXPECT_EQ(attributes.large_communities.size(), 1U);
}

TEST(Community, RemovedIsGone) {
    Attributes attributes;
    add_community(attributes, community_of("rt:1:2"));
    remove_community(attributes, community_of("rt:1:2"));
    EXPECT_FALSE(has_community(attributes, community_of("rt:1:2")));
}

// --- what a rule matches -----------------------------------------------------------------------

struct MatchRow {
    const char* name;
    std::function<void(FilterMatch&)> criterion;
    const char* prefix;
    bool wanted;
};

void PrintTo(const MatchRow& row, std::ostream* out) {
    *out << row.name;
}

class Matches : public ::testing::TestWithParam<MatchRow> {};

/// Learnt over iBGP, about to cross an eBGP session.
Attributes route() {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65001, 65002});
    attributes.communities = {0xfc000064};
    attributes.large_communities = {{1, 2, 3}};
    attributes.local_pref = 200;
    return attributes;
}

void inside(FilterMatch& match, const char* text, unsigned ge, unsigned le) {
    match.prefixes.push_back(PrefixRule{.prefix = prefix(text), .ge = ge, .le = le});
}

const std::vector<MatchRow> kMatches{
    {"nothing_asked", [](FilterMatch&) {}, "10.0.0.0/24", true},
    {"prefix_in", [](FilterMatch& m) { inside(m, "10.0.0.0/8", 8, 32); }, "10.0.0.0/24", true},
    {"prefix_not_in", [](FilterMatch& m) { inside(m, "10.0.0.0/8", 8, 32); }, "11.0.0.0/24", false},
    {"prefix_too_long",
     [](FilterMatch& m) { inside(m, "10.0.0.0/8", 8, 23); },
     "10.0.0.0/24",
     false},
    {"prefix_too_short",
     [](FilterMatch& m) { inside(m, "10.0.0.0/8", 25, 32); },
     "10.0.0.0/24",
     false},
    {"second_prefix",
     [](FilterMatch& m) {
         inside(m, "11.0.0.0/8", 8, 32);
         inside(m, "10.0.0.0/8", 8, 32);
     },
     "10.0.0.0/24",
     true},
    {"other_family", [](FilterMatch& m) { inside(m, "10.0.0.0/8", 8, 32); }, "fd00::/64", false},
    {"outside",
     [](FilterMatch& m) {
         inside(m, "10.0.0.0/8", 8, 32);
         m.where = FilterMatch::Where::Outside;
     },
     "11.0.0.0/24",
     true},
    {"not_outside",
     [](FilterMatch& m) {
         inside(m, "10.0.0.0/8", 8, 32);
         m.where = FilterMatch::Where::Outside;
     },
     "10.0.0.0/24",
     false},
    {"ipv4_only", [](FilterMatch& m) { m.routes = FilterMatch::Routes::Ipv4; }, "fd00::/64", false},
    {"ipv6_only", [](FilterMatch& m) { m.routes = FilterMatch::Routes::Ipv6; }, "fd00::/64", true},
    {"from_peers",
     [](FilterMatch& m) { m.source = FilterMatch::Source::Peers; },
     "10.0.0.0/24",
     true},
    {"local", [](FilterMatch& m) { m.source = FilterMatch::Source::Local; }, "10.0.0.0/24", false},
    {"ibgp", [](FilterMatch& m) { m.source = FilterMatch::Source::Internal; }, "10.0.0.0/24", true},
    {"ebgp",
     [](FilterMatch& m) { m.source = FilterMatch::Source::External; },
     "10.0.0.0/24",
     false},
    {"peer_kind", [](FilterMatch& m) { m.peer = PeerKind::External; }, "10.0.0.0/24", true},
    {"other_peer_kind", [](FilterMatch& m) { m.peer = PeerKind::Internal; }, "10.0.0.0/24", false},
    {"interface", [](FilterMatch& m) { m.interface = "eth0"; }, "10.0.0.0/24", true},
    {"interface_wildcard", [](FilterMatch& m) { m.interface = "eth*"; }, "10.0.0.0/24", true},
    {"other_interface", [](FilterMatch& m) { m.interface = "eth"; }, "10.0.0.0/24", false},
    {"community",
     [](FilterMatch& m) { m.communities = {community_of("64512:100")}; },
     "10.0.0.0/24",
     true},
    {"one_community_missing",
     [](FilterMatch& m) { m.communities = {community_of("64512:100"), community_of("1:2")}; },
     "10.0.0.0/24",
     false},
    {"large_community",
     [](FilterMatch& m) { m.communities = {community_of("1:2:3")}; },
     "10.0.0.0/24",
     true},
    {"as_path_prefix",
     [](FilterMatch& m) { m.as_path_prefix = {Asn{65001}}; },
     "10.0.0.0/24",
     true},
    {"whole_as_path",
     [](FilterMatch& m) { m.as_path_prefix = {Asn{65001}, Asn{65002}}; },
     "10.0.0.0/24",
     true},
    {"as_path_of_others", [](FilterMatch& m) { m.own_as = true; }, "10.0.0.0/24", false},
    {"as_path_longer_than_the_route",
     [](FilterMatch& m) { m.as_path_prefix = {Asn{65001}, Asn{65002}, Asn{65003}}; },
     "10.0.0.0/24",
     false},
    {"as_path_not_at_its_begin",
     [](FilterMatch& m) { m.as_path_prefix = {Asn{65002}}; },
     "10.0.0.0/24",
     false},
    {"local_pref", [](FilterMatch& m) { m.local_pref = 200; }, "10.0.0.0/24", true},
    {"other_local_pref", [](FilterMatch& m) { m.local_pref = 100; }, "10.0.0.0/24", false}};

TEST_P(Matches, DecideWhetherARuleApplies) {
    FilterRule rule;
    GetParam().criterion(rule.match);
    const Filter filter{.kind = Kind::All, .rules = {rule}};  // rejects what matches
    const Attributes attributes = route();
    const RouteFacts facts{
        .attributes = attributes,
        .source = PeerKind::Internal,
        .peer = PeerKind::External,
        .interface = "eth0"};
    const bool accepted = std::visit(
        [&](const auto& p) { return filter.judge(p, facts).accepted; }, prefix(GetParam().prefix));
    EXPECT_EQ(accepted, !GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(Criteria, Matches, ::testing::ValuesIn(kMatches), [](const auto& row) {
    return row.param.name;
});

Filter::Verdict judged(const Filter& filter, PeerKind source, const Attributes& attributes) {
    return filter.judge(
        *Prefix<V4>::parse("10.0.0.0/24"), RouteFacts{.attributes = attributes, .source = source});
}

TEST(Filter, FirstRuleThatMatchesDecides) {
    FilterRule accept;
    accept.action = Action::Accept;
    const Filter filter{.kind = Kind::None, .rules = {accept, FilterRule{}}};
    EXPECT_TRUE(judged(filter, PeerKind::Local, {}).accepted);
}

TEST(Filter, KindDecidesWhatNoRuleDoes) {
    FilterRule other;
    other.match.communities = {community_of("1:1")};
    Filter filter{.kind = Kind::Local, .rules = {other}};
    EXPECT_TRUE(judged(filter, PeerKind::Local, {}).accepted);
    EXPECT_FALSE(judged(filter, PeerKind::Internal, {}).accepted);
    filter.kind = Kind::None;
    EXPECT_FALSE(judged(filter, PeerKind::Local, {}).accepted);
}

TEST(Filter, OfNoPrefixesAcceptsNothing) {
    EXPECT_FALSE(judged(Filter::of_prefixes({}), PeerKind::Local, {}).accepted);
}

TEST(Filter, RejectingRuleChangesNothing) {
    FilterRule rule;
    rule.operations = {SetMed{7}};
    EXPECT_EQ(
        judged(Filter{.kind = Kind::All, .rules = {rule}}, PeerKind::Local, {}).operations,
        nullptr);
}

TEST(Filter, TextSaysAllOfIt) {
    FilterRule rule;
    rule.match.prefixes = {PrefixRule{.prefix = prefix("10.0.0.0/8"), .ge = 24, .le = 32}};
    rule.match.communities = {community_of("no-export")};
    rule.action = Action::Accept;
    rule.operations = {SetLocalPref{7}, PrependAsPath{{Asn{1}, Asn{2}}}};
    EXPECT_EQ(
        to_string(Filter{.kind = Kind::Local, .rules = {rule}}),
        "accept 10.0.0.0/8 ge 24 le 32 community no-export with local-pref 7 prepend 1 2, else "
        "local");
    EXPECT_EQ(to_string(Filter{.kind = Kind::All, .rules = {}}), "all");
}

TEST(Operations, AreDoneInOrder) {
    Attributes attributes;
    apply(
        {AddCommunity{community_of("1:2")},
         RemoveCommunity{community_of("1:2")},
         PrependAsPath{{Asn{1}, Asn{2}}},
         SetMed{5},
         SetLocalPref{6}},
        attributes);
    EXPECT_TRUE(attributes.communities.empty());
    EXPECT_EQ(attributes.as_path, AsPath::sequence({1, 2}));
    EXPECT_EQ(attributes.med, 5U);
    EXPECT_EQ(attributes.local_pref, 6U);
}

TEST(Operations, LeaveTheMarkOfRoutesThatAreTheLastResort) {  // RFC 9494 4.3
    Attributes attributes;
    attributes.communities = {community::kLlgrStale, community::kNoLlgr};
    apply(
        {RemoveCommunity{community_of("llgr-stale")}, RemoveCommunity{community_of("no-llgr")}},
        attributes);
    EXPECT_EQ(attributes.communities, CompactVector<std::uint32_t>{community::kLlgrStale});
}

// --- on a session ------------------------------------------------------------------------------

/// A (192.0.2.1) and B (192.0.2.2); what B tells A of 10.0.0.0/24.
class Session : public ::testing::Test {
  protected:
    template <typename Tune>
    Attributes told(std::uint32_t as_a, std::uint32_t as_b, Attributes own, Tune tune) {
        Node& a = world.add("192.0.2.1", as_a);
        Node& b = world.add("192.0.2.2", as_b);
        world.peer(a, b, [&](PeerConfig& config, Node& from) {
            if (&from == &b) {
                tune(config);
            }
        });
        b.instance.originate(prefix("10.0.0.0/24"), own);
        world.settle();
        const auto routes = world.peer_of(a, b).routes<V4>().received_routes();
        return routes.size() == 1 ? routes[0].attributes : Attributes{};
    }

    World world;
};

Filter accept_with(Operations operations) {
    FilterRule rule;
    rule.action = Action::Accept;
    rule.operations = std::move(operations);
    return Filter{.kind = Kind::None, .rules = {rule}};
}

TEST_F(Session, ExportFilterSetsLocalPrefTowardsIbgp) {
    const auto heard = told(65001, 65001, {}, [](PeerConfig& config) {
        config.export_ = accept_with({SetLocalPref{500}});
    });
    EXPECT_EQ(heard.local_pref, 500U);
}

TEST_F(Session, LocalPrefOfARouteGoesAlong) {
    Attributes own;
    own.local_pref = 700;
    EXPECT_EQ(told(65001, 65001, own, [](PeerConfig&) {}).local_pref, 700U);
}

TEST_F(Session, PrependedNumbersComeBehindOurOwn) {
    const auto heard = told(65001, 65002, {}, [](PeerConfig& config) {
        config.export_ = accept_with({PrependAsPath{{Asn{7}, Asn{8}}}});
    });
    EXPECT_EQ(heard.as_path, AsPath::sequence({65002, 7, 8}));
}

TEST_F(Session, CommunitiesOfAllKindsArrive) {
    Attributes own;
    own.extended_communities = {0x0002fc0000000064};
    own.large_communities = {{1, 2, 3}};
    const auto heard = told(65001, 65002, own, [](PeerConfig& config) {
        config.export_ = accept_with({AddCommunity{community_of("65002:7")}});
    });
    EXPECT_TRUE(has_community(heard, community_of("65002:7")));
    EXPECT_TRUE(has_community(heard, community_of("rt:64512:100")));
    EXPECT_TRUE(has_community(heard, community_of("1:2:3")));
}

TEST_F(Session, NonTransitiveExtendedCommunityStaysInTheAs) {  // RFC 4360 6
    Attributes own;
    own.extended_communities = {0x4300fde800000001};
    EXPECT_TRUE(told(65001, 65002, own, [](PeerConfig&) {}).extended_communities.empty());
}

TEST_F(Session, NonTransitiveExtendedCommunityReachesIbgp) {
    Attributes own;
    own.extended_communities = {0x4300fde800000001};
    EXPECT_EQ(told(65001, 65001, own, [](PeerConfig&) {}).extended_communities.size(), 1U);
}

TEST_F(Session, ImportFilterChangesWhatCompetes) {
    Node& a = world.add("192.0.2.1", 65001);
    Node& b = world.add("192.0.2.2", 65002);
    world.peer(a, b, [&](PeerConfig& config, Node& from) {
        if (&from == &a) {
            config.import = accept_with({SetLocalPref{300}});
        }
    });
    b.instance.originate(prefix("10.0.0.0/24"), {});
    world.settle();
    const auto routes = a.instance.routes(std::nullopt, 1);
    ASSERT_EQ(routes.size(), 1U);
    EXPECT_EQ(routes[0].paths[0].attributes.local_pref, 300U);
}

/// What `advertise` tells an eBGP peer in AS 65009 of a route learnt over eBGP.
Attributes external(Ends ends) {
    ends.kind = PeerKind::External;
    ends.local_as = Asn{65000};
    ends.peer_as = Asn{65009};
    Attributes best;
    best.as_path = AsPath::sequence({65009, 4200000001, 3356});
    best.next_hop = *parse_ip("198.51.100.1");
    return advertise(best, PathSource{.kind = PeerKind::External}, ends, parse_ip("192.0.2.1"))
        .value_or(Attributes{});
}

TEST(SessionRules, AsOverridePutsOursInThePeersPlace) {
    Ends ends;
    ends.as_override = true;
    EXPECT_EQ(external(ends).as_path, AsPath::sequence({65000, 65000, 4200000001, 3356}));
}

TEST(SessionRules, PrivateNumbersAreLeftOut) {
    Ends ends;
    ends.remove_private_as = true;
    EXPECT_EQ(external(ends).as_path, AsPath::sequence({65000, 3356}));
}

TEST(SessionRules, ExternalPeersHearOurNextHop) {
    EXPECT_EQ(external({}).next_hop, parse_ip("192.0.2.1"));
}

TEST(SessionRules, KeptNextHopIsTold) {
    Ends ends;
    ends.next_hop = NextHopMode::Keep;
    EXPECT_EQ(external(ends).next_hop, parse_ip("198.51.100.1"));
}

// --- by interface ------------------------------------------------------------------------------------

/// What A tells R is judged there by the link of its next hop, and again when told to B.
class ByInterface : public ::testing::TestWithParam<bool> {
  protected:
    static constexpr const char* kPrefix = "10.0.0.0/24";

    /// Only what leaves by eth1.
    static Filter of_eth1() {
        Filter filter;
        FilterRule& rule = filter.rules.emplace_back();
        rule.match.interface = "eth1";
        rule.action = FilterRule::Action::Accept;
        return filter;
    }

    /// `tune` changes what R says of its peers.
    void connect(const std::function<void(PeerConfig&, const Node& peer)>& tune) {
        for (Node* peer : {&a, &b}) {
            world.peer(r, *peer, [&](PeerConfig& config, Node& from) {
                config.add_path = {GetParam(), GetParam()};
                if (&from == &r) {
                    tune(config, *peer);
                }
            });
        }
        world.settle();
    }

    void move(const IpAddr& address, const std::string& interface) {
        r.oracle.interfaces[address] = interface;
        r.instance.next_hop_changed(address);
        world.settle();
    }

    std::size_t told() { return world.peer_of(b, r).routes<V4>().received_routes().size(); }

    World world;
    Node& r = world.add("192.0.2.1", 65001);
    Node& a = world.add("192.0.2.2", 65002);
    Node& b = world.add("192.0.2.3", 65003);
};

TEST_P(ByInterface, ImportsFollowTheNextHop) {
    connect([&](PeerConfig& config, const Node& peer) {
        config.import = &peer == &a ? of_eth1() : *config.import;
    });
    a.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(), 0U);
    move(a.address, "eth1");
    EXPECT_EQ(told(), 1U);
    EXPECT_TRUE(r.sink.routes.contains(kPrefix));
    move(a.address, "eth0");
    EXPECT_EQ(told(), 0U);
    EXPECT_FALSE(r.sink.routes.contains(kPrefix));
    r.oracle.interfaces[a.address] = "eth1";
    r.instance.next_hops_changed();
    world.settle();
    EXPECT_EQ(told(), 1U) << "though what is refused competes for nothing";
}

TEST_P(ByInterface, ExportsFollowTheNextHop) {
    connect([&](PeerConfig& config, const Node& peer) {
        config.export_ = &peer == &b ? of_eth1() : *config.export_;
    });
    a.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(), 0U);
    move(a.address, "eth1");
    EXPECT_EQ(told(), 1U);
    move(a.address, "eth0");
    EXPECT_EQ(told(), 0U);
}

TEST_P(ByInterface, ExportsOfOwnRoutesFollowWhereTheyLead) {
    connect([&](PeerConfig& config, const Node& peer) {
        config.export_ = &peer == &b ? of_eth1() : *config.export_;
    });
    r.instance.originate(*parse_prefix(kPrefix), {});
    world.settle();
    EXPECT_EQ(told(), 0U);
    move(*parse_ip("10.0.0.0"), "eth1");
    EXPECT_EQ(told(), 1U);
    move(*parse_ip("10.0.0.0"), "eth0");
    EXPECT_EQ(told(), 0U);
}

/// The walk over them takes turns, and links change in each.
TEST_P(ByInterface, ImportsOfManyFollowHoweverOftenLinksChange) {
    connect([&](PeerConfig& config, const Node& peer) {
        config.import = &peer == &a ? of_eth1() : *config.import;
    });
    constexpr std::uint32_t kRoutes = 40 * LocRib<V4>::kChunk;
    for (std::uint32_t i = 0; i < kRoutes; ++i) {
        a.instance.originate(Prefix<V4>::host(Ip4{0x0a000000U + i}), {});
    }
    world.settle();
    for (unsigned i = 0; i < 21; ++i) {
        r.oracle.interfaces[a.address] = i % 2 == 0 ? "eth1" : "eth0";
        r.instance.next_hop_changed(a.address);
        for (unsigned round = 0; round < 3; ++round) {
            static_cast<void>(r.instance.work());
        }
    }
    world.settle();
    EXPECT_EQ(r.sink.routes.size(), kRoutes);
    EXPECT_EQ(told(), kRoutes);
}

INSTANTIATE_TEST_SUITE_P(Paths, ByInterface, ::testing::Bool(), [](const auto& several) {
    return several.param ? "several" : "one";
});

struct Marked {
    std::string name;
    std::uint32_t community;
    PeerKind source;
    PeerKind peer;
    bool told;
};

class MarkedRoutes : public ::testing::TestWithParam<Marked> {};

TEST_P(MarkedRoutes, AreToldToWhomTheyAreMeantFor) {  // RFC 1997
    const Marked& row = GetParam();
    Attributes best;
    best.next_hop = *parse_ip("198.51.100.1");
    best.communities = {row.community};
    Ends ends;
    ends.kind = row.peer;
    const auto told = advertise(best, PathSource{.kind = row.source}, ends, parse_ip("192.0.2.1"));
    EXPECT_EQ(told.has_value(), row.told);
}

constexpr auto kLocal = PeerKind::Local;
constexpr auto kInternal = PeerKind::Internal;
constexpr auto kExternal = PeerKind::External;

INSTANTIATE_TEST_SUITE_P(
    Communities,
    MarkedRoutes,
    ::testing::Values(
        Marked{"no_export", community::kNoExport, kExternal, kExternal, false},
        Marked{"no_export_inside", community::kNoExport, kExternal, kInternal, true},
        Marked{"own_no_export", community::kNoExport, kLocal, kExternal, true},
        Marked{"subconfed", community::kNoExportSubconfed, kInternal, kExternal, false},
        Marked{"own_subconfed", community::kNoExportSubconfed, kLocal, kExternal, true},
        Marked{"no_advertise", community::kNoAdvertise, kExternal, kInternal, false},
        Marked{"own_no_advertise", community::kNoAdvertise, kLocal, kInternal, true}),
    [](const auto& row) { return row.param.name; });

TEST(SessionRules, InternalPeersHearOurNextHopIfAsked) {
    Attributes best;
    best.next_hop = *parse_ip("198.51.100.1");
    Ends ends;
    ends.kind = PeerKind::Internal;
    const auto own = parse_ip("192.0.2.1");
    EXPECT_EQ(
        advertise(best, PathSource{.kind = PeerKind::External}, ends, own)->next_hop,
        best.next_hop);
    ends.next_hop = NextHopMode::Self;
    EXPECT_EQ(advertise(best, PathSource{.kind = PeerKind::External}, ends, own)->next_hop, own);
}

}  // namespace
}  // namespace vr::bgp::filter_test
