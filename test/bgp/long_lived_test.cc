// Routes that outlive the restart time (RFC 9494): what does, for how long, and who is told of it.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "test/bgp/hand_peer.h"

namespace vr::bgp::long_lived_test {
namespace {

using namespace std::chrono_literals;
using testing::begin;
using testing::HandPeer;
using testing::kept;
using testing::kOther;
using testing::kRoute;
using testing::kRoute6;

/// Keeps IPv4 routes for a quarter of an hour beyond the two minutes.
Open long_lived(bool forwarding = true) {
    Open open = HandPeer::graceful(forwarding);
    open.capabilities.long_lived = LongLivedRestart{
        .members = {{.family = kIpv4Unicast, .forwarding = forwarding, .seconds = 900}}};
    return open;
}

void outlive(PeerConfig& config) {
    config.graceful_restart.long_lived_time = 600s;
}

/// Sessions do not end by silence, nor does waiting for their last word.
void outlive_for_long(PeerConfig& config) {
    outlive(config);
    config.timers.hold = 0s;
    config.graceful_restart.stale_time = 1000s;
}

/// Which of them are marked as stale for long.
std::string marked(const HandPeer& hand) {
    std::string found;
    for (const auto& [prefix, letter] :
         {std::pair{kRoute, "a"}, std::pair{kOther, "b"}, std::pair{kRoute6, "c"}}) {
        for (const RouteSummary& route : hand.instance.routes(parse_prefix(prefix), 8)) {
            found +=
                route.paths.at(0).attributes.has_community(community::kLlgrStale) ? letter : "";
        }
    }
    return found;
}

TEST(LongLived, RoutesLiveOnMarkedUntilTheirTimeIsOver) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(119s);
    EXPECT_EQ(kept(hand), "abc");
    EXPECT_EQ(marked(hand), "");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "ab");
    EXPECT_EQ(marked(hand), "ab");
    EXPECT_EQ(hand.summary().restart.forgotten_within, 600s);
    hand.pass(599s);
    EXPECT_EQ(kept(hand), "ab");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "");
}

// What lives on so long, and when that begins.

struct Life {
    std::string name;
    void (*tune)(PeerConfig& config);
    Open open;
    std::chrono::seconds away;
    std::string kept;
    std::string marked;
};

Open without_restart_time() {
    Open open = long_lived();
    open.capabilities.graceful_restart->seconds = 0;
    return open;
}

/// IPv4 routes are not kept by graceful restart itself.
Open long_lived_only() {
    Open open = long_lived();
    auto& members = open.capabilities.graceful_restart->members;
    std::erase_if(members, [](const auto& member) { return member.family == kIpv4Unicast; });
    return open;
}

Open without_graceful_restart() {  // RFC 9494 4.5
    Open open = long_lived();
    open.capabilities.graceful_restart.reset();
    return open;
}

void filter_says_not(PeerConfig& config) {
    outlive(config);
    config.import->rules = {FilterRule{
        .match = {},
        .action = FilterRule::Action::Accept,
        .operations = {AddCommunity{StandardCommunity{community::kNoLlgr}}}}};
}

void outlive_in_ipv6(PeerConfig& config) {
    outlive(config);
    config.ipv4.long_lived = false;
}

class LongLife : public ::testing::TestWithParam<Life> {};

TEST_P(LongLife, IsForWhatBothSidesWant) {
    HandPeer hand{GetParam().tune};
    begin(hand, GetParam().open);
    hand.hang_up();
    hand.pass(GetParam().away);
    EXPECT_EQ(kept(hand), GetParam().kept);
    EXPECT_EQ(marked(hand), GetParam().marked);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    LongLife,
    ::testing::Values(
        Life{"not_yet", outlive, long_lived(), 119s, "abc", ""},
        Life{"after_the_restart_time", outlive, long_lived(), 120s, "ab", "ab"},
        Life{"without_a_restart_time", outlive, without_restart_time(), 0s, "ab", "ab"},
        Life{"without_graceful_restart_of_ipv4", outlive, long_lived_only(), 0s, "abc", "ab"},
        Life{"without_graceful_restart", outlive, without_graceful_restart(), 0s, "", ""},
        Life{"not_wanted", [](PeerConfig&) {}, long_lived(), 120s, "", ""},
        Life{"not_wanted_in_ipv4", outlive_in_ipv6, long_lived(), 120s, "", ""},
        Life{"our_filter_says_not", filter_says_not, long_lived(), 120s, "", ""}),
    [](const auto& row) { return row.param.name; });

TEST(LongLived, NotForWhatAsksNotTo) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.announce(kRoute, {community::kNoLlgr});
    hand.hang_up();
    hand.pass(120s);
    EXPECT_EQ(kept(hand), "b");
}

/// They are there by what was allowed before.
TEST(LongLived, AnotherImportFilterEndsThem) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    PeerConfig config = hand.peer->config();
    config.import->kind = Filter::Kind::None;
    hand.peer->reconfigure(config, hand.now);
    hand.settle();
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLived, WhatIsSaidAgainIsGoodAgain) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    hand.come_up(long_lived());
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "ab");
    EXPECT_EQ(marked(hand), "b");
    hand.end_of_rib<V4>();
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.summary().restart.forgotten_within, std::nullopt);
}

// Which of the two capabilities says that forwarding went on, after how long.

struct Return {
    std::string name;
    std::chrono::seconds away;
    bool restart;                    ///< in the capability of RFC 4724
    std::optional<bool> long_lived;  ///< in that of RFC 9494; absent: there is none
    std::string kept;
};

class AfterReturn : public ::testing::TestWithParam<Return> {};

TEST_P(AfterReturn, RoutesStayWhereForwardingWasKept) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(GetParam().away);
    Open open = long_lived(GetParam().long_lived.value_or(false));
    if (!GetParam().long_lived) {
        open.capabilities.long_lived.reset();
    }
    open.capabilities.graceful_restart =
        HandPeer::graceful(GetParam().restart).capabilities.graceful_restart;
    hand.come_up(open);
    EXPECT_EQ(kept(hand), GetParam().kept);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    AfterReturn,
    ::testing::Values(
        Return{"soon", 60s, true, true, "abc"},
        Return{"soon_by_the_first_alone", 60s, true, std::nullopt, "abc"},
        Return{"soon_by_the_second_alone", 60s, false, true, ""},
        Return{"late", 300s, true, true, "ab"},
        Return{"late_by_the_second_alone", 300s, false, true, "ab"},
        Return{"late_by_the_first_alone", 300s, true, false, ""},
        Return{"late_without_the_second", 300s, true, std::nullopt, ""}),
    [](const auto& row) { return row.param.name; });

// Sessions that break off before all is said, RFC 9494 4.2.

/// Long away, and back for so short a time that it said `said` at most.
void come_and_go(HandPeer& hand, std::optional<std::string_view> said = std::nullopt) {
    hand.come_up(long_lived());
    if (said) {
        hand.announce(*said);
    }
    hand.hang_up();
}

TEST(LongLivedAgain, FurtherLossesDoNotSetTheirTimeAgain) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    come_and_go(hand);
    EXPECT_EQ(marked(hand), "ab");
    hand.pass(200s);
    come_and_go(hand);
    hand.pass(219s);
    EXPECT_EQ(kept(hand), "ab");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLivedAgain, WhatWasSaidAgainIsStaleFromThen) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    come_and_go(hand, kRoute);
    EXPECT_EQ(kept(hand), "ab");
    EXPECT_EQ(marked(hand), "b");
    hand.pass(119s);
    EXPECT_EQ(marked(hand), "b");
    hand.pass(1s);
    EXPECT_EQ(marked(hand), "ab");
    hand.pass(300s);
    EXPECT_EQ(kept(hand), "") << "one time for the family";
}

TEST(LongLivedAgain, LossInTheRestartTimeMakesThemTheLastResort) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(60s);
    come_and_go(hand, kRoute);
    EXPECT_EQ(kept(hand), "ab") << "IPv6 routes do not live so long";
    EXPECT_EQ(marked(hand), "b");
    EXPECT_EQ(hand.summary().restart.forgotten_within, 720s);
    hand.pass(60s);
    come_and_go(hand);
    EXPECT_EQ(marked(hand), "ab");
    EXPECT_EQ(hand.summary().restart.forgotten_within, 660s);
}

TEST(LongLivedAgain, SessionThatSaidAllSetsTheTimeAgain) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    hand.come_up(long_lived());
    hand.announce(kRoute);
    hand.end_of_rib<V4>();
    hand.hang_up();
    EXPECT_EQ(kept(hand), "a");
    hand.pass(719s);
    EXPECT_EQ(kept(hand), "a");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLivedAgain, TimeRunsOnWhileTheSessionIsUp) {
    HandPeer hand{outlive_for_long};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    hand.come_up(long_lived());
    hand.announce(kRoute);
    hand.pass(419s);
    EXPECT_EQ(kept(hand), "ab");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "a");
    hand.hang_up();
    EXPECT_EQ(kept(hand), "") << "it had not said all in time";
}

TEST(LongLivedAgain, WaitingForTheLastWordEndsThemNot) {  // only those that do not live on
    HandPeer hand{[](PeerConfig& config) {
        outlive_for_long(config);
        config.graceful_restart.stale_time = 200s;
    }};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    hand.come_up(long_lived());
    hand.announce(kRoute);
    hand.announce(kRoute6);
    hand.pass(200s);
    EXPECT_EQ(kept(hand), "abc");
    EXPECT_EQ(hand.summary().restart.forgotten_within, 220s);
    hand.pass(220s);
    EXPECT_EQ(kept(hand), "ac");
}

TEST(LongLivedAgain, TimeOfASessionThatDidNotSayAllDoesNotCount) {
    for (const std::uint16_t restart_time : std::initializer_list<std::uint16_t>{0, 120}) {
        HandPeer hand{outlive};
        begin(hand, long_lived());
        hand.hang_up();
        hand.pass(300s);
        Open open = long_lived();
        open.capabilities.graceful_restart->seconds = restart_time;
        open.capabilities.long_lived->members.at(0).seconds = 0;
        hand.come_up(open);
        hand.hang_up();
        hand.pass(419s);
        EXPECT_EQ(kept(hand), "ab") << restart_time;
        hand.pass(1s);
        EXPECT_EQ(kept(hand), "") << restart_time;
    }
}

TEST(LongLivedAgain, WhoSaysAllLateIsKeptAsEver) {
    HandPeer hand{outlive_for_long};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    hand.come_up(long_lived());
    hand.announce(kRoute);
    hand.pass(420s);
    hand.end_of_rib<V4>();
    hand.hang_up();
    EXPECT_EQ(kept(hand), "a");
}

TEST(LongLivedAgain, NotificationEndsThem) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(300s);
    hand.come_up(long_lived());
    hand.notify(ErrorCode::Cease, cease::kShutdown);
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLivedAgain, HoweverManyLossesEndThemNot) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    for (int i = 0; i < 100; ++i) {
        hand.hang_up();
        hand.come_up(long_lived());
        hand.announce(kRoute);
    }
    hand.hang_up();
    EXPECT_EQ(kept(hand), "ab");
    EXPECT_EQ(marked(hand), "b");
}

TEST(LongLivedAgain, NobodyGoesOnForEver) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    for (int i = 0; i < 40; ++i) {
        hand.hang_up();
        hand.come_up(long_lived());
        hand.announce("10.1." + std::to_string(i) + ".0/24");
    }
    hand.hang_up();
    EXPECT_EQ(kept(hand), "") << "more ages of routes than are told apart";
}

TEST(LongLived, ChangedFiltersLeaveTheMark) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    hand.come_up(long_lived());
    hand.peer->refilter(hand.now);
    hand.settle();
    EXPECT_EQ(marked(hand), "ab");
}

// Who is told of them, RFC 9494 4.3 and 4.6.

constexpr const char* kOwn = "10.9.0.0/24";

Open knows(Open open) {
    open.capabilities.long_lived = LongLivedRestart{};
    return open;
}

/// In our AS.
Open inside() {
    Open open = HandPeer::ordinary();
    open.as_field = 65001;
    open.capabilities.four_octet_as = Asn{65001};
    return open;
}

void tell_all(PeerConfig& config) {
    config.long_lived_to_all = true;
}

struct Listener {
    std::string name;
    Open open;
    void (*tune)(PeerConfig& config);
    bool told;
};

class ToldOfLongLived : public ::testing::TestWithParam<Listener> {};

TEST_P(ToldOfLongLived, WhoKnowsOrMayTakeThem) {
    HandPeer hand{[](PeerConfig& config) {
        config.asn = GetParam().open.asn();
        GetParam().tune(config);
    }};
    hand.instance.originate(*parse_prefix(kOwn), {});
    hand.come_up(GetParam().open);
    static_cast<void>(hand.take_heard());
    Attributes marked;
    marked.communities = {community::kLlgrStale};
    hand.instance.originate(*parse_prefix(kOwn), marked);
    hand.settle();
    EXPECT_EQ(
        hand.take_heard(),
        std::vector<std::string>{GetParam().told ? "UPDATE 10.9.0.0/24" : "UPDATE -10.9.0.0/24"});
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    ToldOfLongLived,
    ::testing::Values(
        Listener{"ordinary", HandPeer::ordinary(), [](PeerConfig&) {}, false},
        Listener{"knows", knows(HandPeer::graceful()), [](PeerConfig&) {}, true},
        Listener{
            "without_graceful_restart", knows(HandPeer::ordinary()), [](PeerConfig&) {}, false},
        Listener{
            "knows_but_we_keep_nothing",
            knows(HandPeer::graceful()),
            [](PeerConfig& config) {
                config.graceful_restart.mode = GracefulRestartConfig::Mode::Off;
            },
            true},
        Listener{"inside", inside(), [](PeerConfig&) {}, false},
        Listener{"inside_as_all", inside(), tell_all, true},
        Listener{"outside_not_even_then", HandPeer::ordinary(), tell_all, false}),
    [](const auto& row) { return row.param.name; });

/// What a peer in our AS is told of a route that our export filter gives LOCAL_PREF 7.
Attributes told_inside(LongLivedRoutes how) {
    Attributes route;
    route.next_hop = *parse_ip("192.0.2.9");
    route.communities = {community::kLlgrStale};
    const Ends ends{.kind = PeerKind::Internal, .local_as = Asn{65001}, .long_lived = how};
    const Operations operations{SetLocalPref{7}};
    return advertise(route, {.kind = PeerKind::External}, ends, std::nullopt, &operations).value();
}

TEST(LongLived, IsToldAsItIsToWhoKnowsIt) {
    const Attributes told = told_inside(LongLivedRoutes::Told);
    EXPECT_EQ(told.communities, CompactVector<std::uint32_t>{community::kLlgrStale});
    EXPECT_EQ(told.local_pref, 7U);
}

TEST(LongLived, IsTheWorstOfAllForOthersOfOurAs) {
    const Attributes told = told_inside(LongLivedRoutes::Demoted);
    EXPECT_EQ(
        told.communities,
        (CompactVector<std::uint32_t>{community::kLlgrStale, community::kNoExport}));
    EXPECT_EQ(told.local_pref, 0U);
}

TEST(LongLivedCapability, TravelsBothWays) {
    Capabilities offered;
    offered.long_lived = LongLivedRestart{
        .members = {
            {.family = kIpv4Unicast, .forwarding = true, .seconds = 0xfedcba},
            {.family = kIpv6Unicast, .forwarding = false, .seconds = 1}}};
    Writer out;
    encode_capabilities(offered, out);
    Capabilities read;
    ASSERT_TRUE(decode_capabilities(Reader{out.view()}, read));
    EXPECT_EQ(read, offered);
}

TEST(LongLivedCapability, CutShortIsRefused) {
    const std::vector<std::uint8_t> bytes{71, 6, 0, 1, 1, 0x80, 0, 1};
    Capabilities read;
    EXPECT_FALSE(decode_capabilities(Reader{bytes}, read));
}

}  // namespace
}  // namespace vr::bgp::long_lived_test
