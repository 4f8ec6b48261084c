// Graceful restart (RFC 4724, RFC 8538, RFC 9494) in both roles, and the refresh of RFC 7313, which ages routes
// the same way.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "test/bgp/hand_peer.h"

namespace vr::bgp::graceful_restart_test {
namespace {

using namespace std::chrono_literals;
using testing::HandPeer;

constexpr const char* kRoute = "10.0.0.0/24";
constexpr const char* kOther = "10.0.1.0/24";
constexpr const char* kRoute6 = "2001:db8:1::/64";

/// Up with three routes and all said.
void begin(HandPeer& hand, const Open& open) {
    hand.come_up(open);
    hand.announce(kRoute);
    hand.announce(kOther);
    hand.announce(kRoute6);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    static_cast<void>(hand.take_heard());
}

/// Which of the three routes the machine has, one letter each.
std::string kept(const HandPeer& hand) {
    return std::string(hand.has(kRoute) ? "a" : "") + (hand.has(kOther) ? "b" : "") +
           (hand.has(kRoute6) ? "c" : "");
}

// What becomes of the routes when a session ends.

struct Loss {
    std::string name;
    Open open;
    std::function<void(HandPeer&)> end;
    std::string kept;
};

Open only_ipv4() {
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->members.pop_back();
    return open;
}

Open helper() {
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->members.clear();
    return open;
}

Open no_time() {
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->seconds = 0;
    return open;
}

void hang_up(HandPeer& hand) {
    hand.hang_up();
}

void say_shutdown(HandPeer& hand) {
    hand.notify(ErrorCode::Cease, cease::kShutdown);
}

void say_hard_reset(HandPeer& hand) {
    hand.notify(ErrorCode::Cease, cease::kHardReset);
}

void fall_silent(HandPeer& hand) {
    hand.pass(95s);
}

void be_rude(HandPeer& hand) {
    hand.say(std::vector<std::uint8_t>(19, 0));
}

class AfterLoss : public ::testing::TestWithParam<Loss> {};

TEST_P(AfterLoss, RoutesAreKeptWhereAgreed) {
    HandPeer hand;
    begin(hand, GetParam().open);
    GetParam().end(hand);
    EXPECT_EQ(kept(hand), GetParam().kept);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    AfterLoss,
    ::testing::Values(
        Loss{"no_graceful_restart", HandPeer::ordinary(), hang_up, ""},
        Loss{"connection_lost", HandPeer::graceful(), hang_up, "abc"},
        Loss{"one_family", only_ipv4(), hang_up, "ab"},
        Loss{"helper_only", helper(), hang_up, ""},
        Loss{"no_time_asked_for", no_time(), hang_up, ""},
        Loss{"notification", HandPeer::graceful(), say_shutdown, ""},
        Loss{"notification_agreed", HandPeer::graceful(true, true), say_shutdown, "abc"},
        Loss{"hard_reset", HandPeer::graceful(true, true), say_hard_reset, ""},
        Loss{"hold_time", HandPeer::graceful(), fall_silent, ""},
        Loss{"hold_time_agreed", HandPeer::graceful(true, true), fall_silent, "abc"},
        Loss{"refused", HandPeer::graceful(), be_rude, ""},
        Loss{"refused_agreed", HandPeer::graceful(true, true), be_rude, "abc"},
        Loss{
            "bfd",
            HandPeer::graceful(),
            [](HandPeer& hand) {
                hand.peer->bfd_down(false, hand.now);
                hand.settle();
            },
            "abc"},
        Loss{
            "bfd_and_forwarding",
            HandPeer::graceful(true, true),
            [](HandPeer& hand) {
                hand.peer->bfd_down(true, hand.now);
                hand.settle();
            },
            ""}),
    [](const auto& row) { return row.param.name; });

TEST(Helper, OffKeepsNothing) {
    HandPeer hand{[](PeerConfig& config) {
        config.graceful_restart.mode = GracefulRestartConfig::Mode::Off;
    }};
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    EXPECT_EQ(kept(hand), "");
}

TEST(Helper, PeerThatDoesNotReturnLosesItsRoutes) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.pass(119s);
    EXPECT_EQ(kept(hand), "abc");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "");
}

TEST(Helper, OurOwnLimitCountsToo) {
    HandPeer hand{[](PeerConfig& config) { config.graceful_restart.stale_time = 10s; }};
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.pass(10s);
    EXPECT_EQ(kept(hand), "");
}

TEST(Helper, EndOfRibEndsWhatWasNotSaidAgain) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.pass(5s);
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.summary().ipv4.stale, 2U);
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "abc");
    hand.end_of_rib<V4>();
    EXPECT_EQ(kept(hand), "ac");
    hand.end_of_rib<V6>();
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.summary().ipv4.stale, 0U);
    EXPECT_EQ(hand.summary().restart.done_within, std::nullopt);
}

TEST(Helper, MachineHearsNothingOfARestart) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    const unsigned before = hand.sink.updates;
    hand.hang_up();
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.announce(kOther);
    hand.announce(kRoute6);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(hand.sink.updates, before);
    EXPECT_EQ(kept(hand), "abc");
}

TEST(Helper, PeerThatDoesNotFinishLosesTheRest) {
    HandPeer hand{[](PeerConfig& config) { config.graceful_restart.stale_time = 60s; }};
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.pass(59s);
    EXPECT_EQ(kept(hand), "abc");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "a");
}

TEST(Helper, SecondLossEndsWhatIsStale) {  // RFC 4724 4.2
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.hang_up();
    EXPECT_EQ(kept(hand), "a");
}

TEST(Helper, ForwardingThatWasNotKeptEndsThemAtOnce) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.come_up(HandPeer::graceful(false));
    EXPECT_EQ(kept(hand), "");
}

TEST(Helper, ForwardingKeptForOneFamilyKeepsThatOne) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.come_up(only_ipv4());
    EXPECT_EQ(kept(hand), "ab");
}

TEST(Helper, PeerThatIsBackWithoutTheCapabilityBeginsAnew) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.come_up(HandPeer::ordinary());
    EXPECT_EQ(kept(hand), "");
}

TEST(Helper, PeerOfAnotherAsIsAnotherOne) {
    const auto any = [](PeerConfig& config) {
        config.asn = Asn{};
        config.any_external_as = true;
    };
    for (const std::uint32_t asn : {65002U, 65003U}) {
        HandPeer hand{any};
        begin(hand, HandPeer::graceful());
        hand.hang_up();
        EXPECT_EQ(hand.summary().asn, Asn{65002}) << "remembered";
        Open open = HandPeer::graceful();
        open.as_field = static_cast<std::uint16_t>(asn);
        open.capabilities.four_octet_as = Asn{asn};
        hand.come_up(open);
        EXPECT_EQ(kept(hand), asn == 65002 ? "abc" : "");
        EXPECT_EQ(hand.summary().asn, Asn{asn});
    }
}

TEST(Helper, IdentifierOfTheLastSessionIsRemembered) {
    HandPeer hand;
    EXPECT_EQ(hand.summary().last_identifier, Ip4{});
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    EXPECT_EQ(hand.summary().identifier, std::nullopt);
    EXPECT_EQ(hand.summary().last_identifier, Ip4{0xc0000202});
}

TEST(Helper, PeerThatCallsAgainHasRestarted) {  // RFC 4724 5
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.peer->state(), State::Established);
    EXPECT_EQ(hand.summary().established_count, 2U);
    EXPECT_EQ(kept(hand), "abc");
}

TEST(Helper, PeerWithoutTheCapabilityCannotReplaceItsSession) {
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    EXPECT_FALSE(hand.call());
    EXPECT_EQ(hand.summary().established_count, 1U);
}

TEST(Helper, StoppedPeerKeepsNothing) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.peer->stop(notification(ErrorCode::Cease, cease::kDeconfigured), hand.now);
    hand.settle();
    EXPECT_EQ(kept(hand), "");
    EXPECT_TRUE(hand.peer->drained());
}

TEST(Helper, FarewellIsAHardResetWhereTheyAreKnown) {  // RFC 8538 3.1
    HandPeer hand;
    begin(hand, HandPeer::graceful(true, true));
    hand.peer->stop(notification(ErrorCode::Cease, cease::kShutdown), hand.now);
    hand.settle();
    EXPECT_EQ(hand.take_heard(), std::vector<std::string>{"NOTIFICATION 6/9"});
}

TEST(Helper, FarewellIsAnOrdinaryOneElsewhere) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.peer->stop(notification(ErrorCode::Cease, cease::kShutdown), hand.now);
    hand.settle();
    EXPECT_EQ(hand.take_heard(), std::vector<std::string>{"NOTIFICATION 6/2"});
}

PeerConfig& full(PeerConfig& config) {
    config.graceful_restart.mode = GracefulRestartConfig::Mode::Full;
    return config;
}

// Routes that outlive the restart time, RFC 9494.

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

TEST(LongLived, OnlyWhereItIsWanted) {
    HandPeer hand;
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLived, NotForWhatAsksNotTo) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.announce(kRoute, {community::kNoLlgr});
    hand.hang_up();
    hand.pass(120s);
    EXPECT_EQ(kept(hand), "b");
}

TEST(LongLived, NotForWhatOurFilterSaysAsksNotTo) {
    HandPeer hand{[](PeerConfig& config) {
        outlive(config);
        config.import->rules = {FilterRule{
            .match = {},
            .action = FilterRule::Action::Accept,
            .operations = {AddCommunity{StandardCommunity{community::kNoLlgr}}}}};
    }};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLived, OnlyInFamiliesWhereItIsWanted) {
    HandPeer hand{[](PeerConfig& config) {
        outlive(config);
        config.ipv4.long_lived = false;
    }};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLived, NotOfWhoDoesNotKnowGracefulRestart) {  // RFC 9494 4.5
    HandPeer hand{outlive};
    Open open = long_lived();
    open.capabilities.graceful_restart.reset();
    begin(hand, open);
    hand.hang_up();
    EXPECT_EQ(kept(hand), "");
}

TEST(LongLived, WithoutARestartTimeAtOnce) {
    HandPeer hand{outlive};
    Open open = long_lived();
    open.capabilities.graceful_restart->seconds = 0;
    begin(hand, open);
    hand.hang_up();
    hand.pass(0s);
    EXPECT_EQ(kept(hand), "ab");
    EXPECT_EQ(marked(hand), "ab");
}

TEST(LongLived, FamilyWithoutGracefulRestartAtOnce) {
    HandPeer hand{outlive};
    Open open = long_lived();
    std::erase_if(open.capabilities.graceful_restart->members, [](const auto& member) {
        return member.family == kIpv4Unicast;
    });
    begin(hand, open);
    hand.hang_up();
    hand.pass(0s);
    EXPECT_EQ(kept(hand), "abc");
    EXPECT_EQ(marked(hand), "ab");
}

/// They are there by what was allowed before.
TEST(LongLived, AnotherImportFilterEndsThem) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    PeerConfig config = hand.peer->config();
    config.import->kind = Filter::Kind::None;
    hand.peer->reconfigure(config);
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

TEST(LongLivedAgain, NobodyGoesOnForEver) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    for (int i = 0; i < 100; ++i) {
        hand.hang_up();
        hand.come_up(long_lived());
        hand.announce(kRoute);
    }
    hand.hang_up();
    EXPECT_EQ(kept(hand), "a") << "more losses than are told apart";
}

TEST(LongLived, ChangedFiltersLeaveTheMark) {
    HandPeer hand{outlive};
    begin(hand, long_lived());
    hand.hang_up();
    hand.pass(120s);
    hand.come_up(long_lived());
    hand.peer->refilter();
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
    EXPECT_EQ(told.communities, std::vector<std::uint32_t>{community::kLlgrStale});
    EXPECT_EQ(told.local_pref, 7U);
}

TEST(LongLived, IsTheWorstOfAllForOthersOfOurAs) {
    const Attributes told = told_inside(LongLivedRoutes::Demoted);
    EXPECT_EQ(
        told.communities,
        (std::vector<std::uint32_t>{community::kLlgrStale, community::kNoExport}));
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

// What we say of ourselves.

Capabilities all_offered(const HandPeer& hand) {
    const auto open = std::ranges::find_if(
        hand.messages.rbegin(), hand.messages.rend(), [](const auto& m) { return m[18] == 1; });
    return std::get<Open>(decode_open(Bytes{*open}.subspan(kHeaderSize))).capabilities;
}

GracefulRestart offered(const HandPeer& hand) {
    return all_offered(hand).graceful_restart.value();
}

TEST(Offer, HelperNamesNoFamily) {
    HandPeer hand;
    hand.come_up(HandPeer::ordinary());
    EXPECT_TRUE(offered(hand).members.empty());
    EXPECT_TRUE(offered(hand).notification);
}

TEST(Offer, HelperKnowsLongLivedRoutes) {
    HandPeer hand;
    hand.come_up(HandPeer::ordinary());
    EXPECT_EQ(all_offered(hand).long_lived, LongLivedRestart{});
}

TEST(Offer, RestarterNamesItsLongLivedFamilies) {
    HandPeer hand{[](PeerConfig& config) { outlive(full(config)); }};
    hand.come_up(HandPeer::ordinary());
    const auto offer = all_offered(hand).long_lived.value();
    ASSERT_EQ(offer.members.size(), 2U);
    EXPECT_EQ(
        offer.members[0],
        (LongLivedRestart::Member{.family = kIpv4Unicast, .forwarding = false, .seconds = 600}));
}

TEST(Offer, FirstStartHasKeptNothing) {
    HandPeer hand{full};
    hand.come_up(HandPeer::ordinary());
    ASSERT_EQ(offered(hand).members.size(), 2U);
    EXPECT_FALSE(offered(hand).members[0].forwarding);
    EXPECT_FALSE(offered(hand).restarting);
}

TEST(Offer, LostSessionHasKeptForwarding) {
    HandPeer hand{full};
    hand.come_up(HandPeer::ordinary());
    hand.hang_up();
    hand.come_up(HandPeer::ordinary());
    EXPECT_TRUE(offered(hand).members[0].forwarding);
    EXPECT_FALSE(offered(hand).restarting);
}

// Ourselves restarting.

SpeakerConfig back() {
    SpeakerConfig config = HandPeer::speaker_config();
    config.selection_deferral = 60s;
    return config;
}

TEST(Restarter, SaysSo) {
    HandPeer hand{full, back()};
    hand.come_up(HandPeer::graceful());
    EXPECT_TRUE(offered(hand).restarting);
    EXPECT_TRUE(offered(hand).members[0].forwarding);
}

TEST(Restarter, SelectsWhenThePeerHasSaidAll) {  // RFC 4724 4.1
    HandPeer hand{full, back()};
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.end_of_rib<V4>();
    EXPECT_EQ(kept(hand), "");
    hand.end_of_rib<V6>();
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, SaysAllOnlyThen) {
    HandPeer hand{full, back()};
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    hand.come_up(HandPeer::graceful());
    static_cast<void>(hand.take_heard());
    hand.end_of_rib<V4>();
    EXPECT_TRUE(hand.take_heard().empty());
    hand.end_of_rib<V6>();
    const std::vector<std::string> wanted{
        "UPDATE 10.9.0.0/24", "UPDATE end of ipv4", "UPDATE end of ipv6"};
    EXPECT_EQ(hand.take_heard(), wanted);
}

TEST(Restarter, WaitsForNobodyForEver) {
    HandPeer hand{full, back()};
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.pass(59s);
    EXPECT_EQ(kept(hand), "");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WaitsForPeersThatAreStillToCome) {
    HandPeer hand{full, back()};
    hand.instance.expect_peers(true);
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(kept(hand), "");
    hand.instance.expect_peers(false);
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "a");
}

TEST(Restarter, DoesNotWaitForWhoRestartsToo) {
    HandPeer hand{full, back()};
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->restarting = true;
    hand.come_up(open);
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.sink.restarts_done, 0U) << "it has not told all";
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, KeepsNothingForEverForWhoRestartsToo) {
    HandPeer hand{full, back()};
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->restarting = true;
    hand.come_up(open);
    hand.pass(60s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, DoesNotWaitForWhoNeverSaysWhenItIsDone) {
    HandPeer hand{full, back()};
    hand.come_up(HandPeer::ordinary());
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.sink.restarts_done, 0U) << "more may come";
    hand.pass(60s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, DoesNotWaitForWhoIsShutDown) {
    HandPeer hand{full, back()};
    hand.peer->shut_down({}, hand.now);
    hand.pass(0s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

/// BFD loses it, and not by its operator's will.
void bfd_down(HandPeer& hand, bool forwarding_lost = false) {
    hand.peer->bfd_down(forwarding_lost, hand.now);
    hand.settle();
}

TEST(Restarter, DoesNotWaitForWhomBfdLost) {
    HandPeer hand{full, back()};
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    bfd_down(hand);
    EXPECT_FALSE(hand.instance.ribs().selection_deferred);
    EXPECT_EQ(hand.sink.restarts_done, 0U) << "it may be back in time";
}

TEST(Restarter, KeepsNothingOfWhoForwardsNothing) {  // RFC 5882 4.3.2
    HandPeer hand{full, back()};
    bfd_down(hand, true);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WhoForwardsNothingIsForgottenWhenAllOthersAreDone) {
    HandPeer hand{full, back()};
    PeerConfig other = hand.peer->config();
    other.address = Ip4{0xc0000203};
    Peer* dead = *hand.instance.add_peer(other, hand.now);
    dead->bfd_down(true, hand.now);
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, AvoidsWhomBfdLostUntilItIsBack) {
    HandPeer hand{full, back()};
    bfd_down(hand);
    EXPECT_EQ(hand.sink.avoided, std::vector<std::string>{"avoid 192.0.2.2"});
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.sink.avoided, (std::vector<std::string>{"avoid 192.0.2.2", "use 192.0.2.2"}));
}

TEST(Restarter, AvoidsWhomBfdLostUntilTheRestartIsDone) {
    HandPeer hand{full, back()};
    bfd_down(hand);
    hand.pass(59s);
    EXPECT_EQ(hand.sink.avoided.size(), 1U);
    hand.pass(1s);
    EXPECT_EQ(hand.sink.avoided, (std::vector<std::string>{"avoid 192.0.2.2", "use 192.0.2.2"}));
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, UsesWhoIsBackThoughSelectionWaitsForOthers) {
    HandPeer hand{full, back()};
    hand.instance.expect_peers(true);
    bfd_down(hand);
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "");
    EXPECT_EQ(hand.sink.avoided, (std::vector<std::string>{"avoid 192.0.2.2", "use 192.0.2.2"}));
}

TEST(Restarter, OtherwiseBfdThatLosesAnIdlePeerMeansNothing) {
    HandPeer hand;
    bfd_down(hand);
    EXPECT_TRUE(hand.sink.avoided.empty());
}

TEST(Restarter, HasNothingToDoWhileItWaits) {
    HandPeer hand{full, back()};
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    PeerConfig config = hand.peer->config();
    config.address = Ip4{0xc0000203};
    ASSERT_TRUE(hand.instance.add_peer(config, hand.now));
    hand.instance.remove_peer(config.address, {}, hand.now);
    unsigned rounds = 0;
    while (rounds < 100 && hand.instance.work()) {
        ++rounds;
    }
    EXPECT_LT(rounds, 100U);
}

TEST(Restarter, FreshStartHasNothingToEnd) {
    HandPeer hand;
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.sink.restarts_done, 0U);
}

// Enhanced route refresh, RFC 7313.

TEST(Refresh, AnswerStandsBetweenMarkers) {
    HandPeer hand;
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    begin(hand, HandPeer::ordinary());
    hand.refresh(0);
    EXPECT_EQ(hand.take_heard(), (std::vector<std::string>{"BEGIN", "UPDATE 10.9.0.0/24", "END"}));
}

TEST(Refresh, AnswerHasNoMarkersForWhoDoesNotKnowThem) {
    HandPeer hand;
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    Open open = HandPeer::ordinary();
    open.capabilities.enhanced_refresh = false;
    begin(hand, open);
    hand.refresh(0);
    EXPECT_EQ(hand.take_heard(), std::vector<std::string>{"UPDATE 10.9.0.0/24"});
}

TEST(Refresh, StormCostsOneAnswerASecond) {
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    for (int i = 0; i < 1000; ++i) {
        hand.refresh(0);
    }
    EXPECT_EQ(hand.take_heard(), (std::vector<std::string>{"BEGIN", "END"}));
    hand.pass(1s);
    EXPECT_EQ(hand.take_heard(), (std::vector<std::string>{"BEGIN", "END"}));
    hand.pass(5s);
    EXPECT_TRUE(hand.take_heard().empty());
}

TEST(Refresh, WhatIsNotRepeatedLeaves) {
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    hand.refresh(refresh_marker::kBegin);
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "abc");
    hand.refresh(refresh_marker::kEnd);
    EXPECT_EQ(kept(hand), "ac");
}

TEST(Refresh, MarkersOfWhoDidNotOfferThemMeanNothing) {
    HandPeer hand;
    Open open = HandPeer::ordinary();
    open.capabilities.enhanced_refresh = false;
    begin(hand, open);
    hand.refresh(refresh_marker::kBegin);
    hand.refresh(refresh_marker::kEnd);
    EXPECT_EQ(kept(hand), "abc");
}

TEST(Refresh, EndWithoutBeginningMeansNothing) {
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    hand.refresh(refresh_marker::kEnd);
    EXPECT_EQ(kept(hand), "abc");
}

TEST(Refresh, EndThatNeverComesIsNotWaitedForForEver) {
    HandPeer hand{[](PeerConfig& config) {
        config.graceful_restart.stale_time = 30s;
        config.timers.hold = 0s;
    }};
    begin(hand, HandPeer::ordinary());
    hand.refresh(refresh_marker::kBegin);
    hand.pass(30s);
    EXPECT_EQ(kept(hand), "c");
}

TEST(Refresh, WrongLengthIsAnsweredWithTheWholeMessage) {  // RFC 7313 5
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    std::vector<std::uint8_t> bytes;
    encode_message(MessageType::RouteRefresh, std::vector<std::uint8_t>{0, 1, 0}, bytes);
    hand.messages.clear();
    hand.say(bytes);
    ASSERT_EQ(hand.messages.size(), 1U);
    const auto answer = decode_notification(Bytes{hand.messages[0]}.subspan(kHeaderSize));
    EXPECT_EQ(answer, notification(ErrorCode::RouteRefresh, refresh_error::kBadLength, bytes));
}

TEST(Refresh, WeAskOnlyWhoAnswers) {
    HandPeer hand;
    Open open = HandPeer::ordinary();
    open.capabilities.route_refresh = false;
    hand.come_up(open);
    EXPECT_FALSE(hand.peer->ask_refresh());
}

TEST(Refresh, WeAskForEveryFamily) {
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    EXPECT_TRUE(hand.peer->ask_refresh());
    hand.settle();
    EXPECT_EQ(hand.take_heard(), (std::vector<std::string>{"REFRESH", "REFRESH"}));
}

}  // namespace
}  // namespace vr::bgp::graceful_restart_test
