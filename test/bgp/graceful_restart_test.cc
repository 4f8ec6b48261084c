// Graceful restart (RFC 4724, RFC 8538) in both roles, and the refresh of RFC 7313, which ages routes the same way.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "test/bgp/hand_peer.h"

namespace vr::bgp::graceful_restart_test {
namespace {

using namespace std::chrono_literals;
using testing::begin;
using testing::HandPeer;
using testing::kept;
using testing::kHandAddress;
using testing::kOther;
using testing::kRoute;
using testing::kRoute6;

void add_announcement(std::vector<std::uint8_t>& bytes, Ip4 address) {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    attributes.next_hop = kHandAddress;
    const auto prefix = Prefix<V4>::host(address);
    pack_announcements<V4>(attributes, AttributeContext{}, {&prefix, 1}, bytes);
}

/// A refresh that repeats one route alone.
void add_refresh(std::vector<std::uint8_t>& bytes, Ip4 address) {
    encode_route_refresh(kIpv4Unicast, refresh_marker::kBegin, bytes);
    add_announcement(bytes, address);
    encode_route_refresh(kIpv4Unicast, refresh_marker::kEnd, bytes);
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

TEST(Helper, LossAmidARefreshEndsNothing) {  // all of it was said in that session
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.refresh(refresh_marker::kBegin);
    hand.announce(kRoute);
    hand.hang_up();
    EXPECT_EQ(kept(hand), "abc");
    hand.come_up(HandPeer::graceful());
    hand.announce(kOther);
    hand.end_of_rib<V4>();
    EXPECT_EQ(kept(hand), "bc");
}

TEST(Helper, LossAmidARefreshEndsWhatWasStaleBefore) {
    HandPeer hand;
    begin(hand, HandPeer::graceful());
    hand.hang_up();
    hand.come_up(HandPeer::graceful());
    hand.refresh(refresh_marker::kBegin);
    hand.announce(kRoute);
    hand.end_of_rib<V4>();
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
    HandPeer hand{[](PeerConfig& config) { full(config).graceful_restart.long_lived_time = 600s; }};
    hand.come_up(HandPeer::ordinary());
    const auto offer = all_offered(hand).long_lived.value();
    ASSERT_EQ(offer.members.size(), 2U);
    EXPECT_EQ(
        offer.members[0],
        (LongLivedRestart::Member{.family = kIpv4Unicast, .forwarding = false, .seconds = 600}));
}

TEST(Offer, RestarterNamesNoFamilyThatIsNotToLiveLong) {
    HandPeer hand{[](PeerConfig& config) {
        full(config).graceful_restart.long_lived_time = 600s;
        config.ipv4.long_lived = false;
    }};
    hand.come_up(HandPeer::ordinary());
    const auto offer = all_offered(hand).long_lived.value();
    ASSERT_EQ(offer.members.size(), 1U);
    EXPECT_EQ(offer.members[0].family, kIpv6Unicast);
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

TEST(Restarter, WaitsForTheOneFamilyOfASession) {
    HandPeer hand{full, back()};
    Open open = only_ipv4();
    open.capabilities.families.pop_back();
    hand.come_up(open);
    hand.announce(kRoute);
    EXPECT_EQ(kept(hand), "");
    hand.end_of_rib<V4>();
    EXPECT_EQ(kept(hand), "a");
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WaitsForWhoIsLostTwice) {
    HandPeer hand{full, back()};
    for (int loss = 0; loss < 2; ++loss) {
        hand.come_up(HandPeer::graceful());
        hand.announce(kOther);
        hand.end_of_rib<V4>();
        hand.hang_up();
        EXPECT_EQ(hand.sink.restarts_done, 0U);
    }
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.end_of_rib<V4>();
    EXPECT_EQ(kept(hand), "") << "IPv6 is still to come";
    hand.end_of_rib<V6>();
    EXPECT_EQ(kept(hand), "a") << "what only a lost session said is not kept";
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WaitsNoLongerForWhoIsLostTwice) {
    HandPeer hand{full, back()};
    for (int loss = 0; loss < 2; ++loss) {
        hand.come_up(HandPeer::graceful());
        hand.hang_up();
        hand.pass(25s);
    }
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    hand.pass(10s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, DoesNotWaitForWhoIsShutDown) {
    HandPeer hand{full, back()};
    hand.peer->shut_down({}, hand.now);
    hand.pass(0s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, DoesNotWaitForWhoWasAwayBefore) {
    HandPeer hand{full, back()};
    hand.peer->set_was_away();
    hand.pass(0s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WaitsForWhoWasAwayBeforeOnceItIsThere) {
    HandPeer hand{full, back()};
    hand.instance.expect_peers(true);
    hand.peer->set_was_away();
    hand.come_up(HandPeer::graceful());
    hand.instance.expect_peers(false);
    hand.settle();
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

/// The peer has said all again, while the machine has still to find the way to its next hop.
class RestartedMachine : public ::testing::Test {
  protected:
    void SetUp() override {
        hand.oracle.settled = false;
        hand.oracle.metrics[kHandAddress] = std::nullopt;
        begin(hand, HandPeer::graceful());
    }

    HandPeer hand{full, back()};
};

TEST_F(RestartedMachine, IsWaitedForBeforeAnythingEnds) {
    EXPECT_EQ(kept(hand), "c");
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    EXPECT_TRUE(hand.instance.ribs().selection_deferred) << "peers have no End-of-RIB";
}

TEST_F(RestartedMachine, ThatHasFoundNoOtherWayIsDone) {
    hand.oracle.settled = true;
    hand.settle();
    EXPECT_EQ(hand.sink.restarts_done, 1U);
    EXPECT_FALSE(hand.instance.ribs().selection_deferred);
}

TEST_F(RestartedMachine, IsToldOfWhatItHasFoundBeforeTheEnd) {
    hand.oracle.settled = true;
    hand.oracle.metrics.clear();
    for (std::uint32_t i = 0; i < 200; ++i) {  // more than are asked for at once, and before it
        hand.instance.next_hop_changed(Ip4{0x0a000000U + i});
    }
    hand.instance.next_hop_changed(kHandAddress);
    hand.settle();
    EXPECT_EQ(hand.sink.restarts_done, 1U);
    EXPECT_EQ(hand.sink.routes_when_done.size(), 3U);
}

TEST_F(RestartedMachine, IsWaitedForNoLongerThanPeersAre) {
    hand.pass(59s);
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    hand.pass(1s);
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

/// Another peer, which BFD says forwards nothing.
Peer& add_dead_peer(HandPeer& hand) {
    PeerConfig other = hand.peer->config();
    other.address = Ip4{0xc0000203};
    Peer* dead = *hand.instance.add_peer(other, hand.now);
    dead->bfd_down(true, hand.now);
    return *dead;
}

TEST(Restarter, WhoForwardsNothingIsForgottenWhenAllOthersAreDone) {
    HandPeer hand{full, back()};
    add_dead_peer(hand);
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WhoForwardsAgainIsNotForgottenThen) {
    HandPeer hand{full, back()};
    add_dead_peer(hand).bfd_up();
    hand.come_up(HandPeer::graceful());
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    EXPECT_EQ(hand.sink.restarts_done, 0U);
    hand.pass(60s);
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

/// Each refresh leaves out one route more, from the table's end on, and comes before the walk gets there.
TEST(Refresh, WhatLeavesDoesSoHoweverOftenMoreBeginsTo) {
    HandPeer hand;
    hand.come_up(HandPeer::ordinary());
    constexpr std::uint32_t kFirst = 0x0b000000U;
    constexpr unsigned kRoutes = 32 * LocRib<V4>::kChunk;
    const auto announce = [&](unsigned count) {
        std::vector<std::uint8_t> words;
        encode_route_refresh(kIpv4Unicast, refresh_marker::kBegin, words);
        for (unsigned i = 0; i < count; ++i) {
            add_announcement(words, Ip4{kFirst + i});
        }
        encode_route_refresh(kIpv4Unicast, refresh_marker::kEnd, words);
        hand.peer->receive(Direction::Incoming, words);
        while (hand.peer->process(Direction::Incoming, hand.now)) {
        }
    };
    announce(kRoutes);
    hand.settle();
    const auto last = Ip4{kFirst + kRoutes - 1};
    ASSERT_EQ(hand.instance.routes_to(last).size(), 1U);
    for (unsigned refresh = 1; refresh <= 16; ++refresh) {
        announce(kRoutes - refresh);
        static_cast<void>(hand.instance.work());
    }
    EXPECT_TRUE(hand.instance.routes_to(last).empty());
    hand.settle();
    EXPECT_EQ(hand.sink.routes.size(), kRoutes - 16U);
}

/// Each makes the routes before it leave, for which a table has to be gone through; that may take its time.
TEST(Refresh, StormLetsNothingLeaveUntilTheFirstRoutesHave) {
    HandPeer hand;
    begin(hand, HandPeer::ordinary());
    std::vector<std::uint8_t> storm;
    constexpr unsigned kRefreshes = 300;
    for (unsigned i = 0; i < kRefreshes; ++i) {
        add_refresh(storm, Ip4{0x0b000000U + i});
    }
    hand.say(storm);
    EXPECT_GT(hand.sink.routes.size(), kRefreshes / 2);
    storm.clear();
    add_refresh(storm, Ip4{0x0c000000U});
    hand.say(storm);
    EXPECT_EQ(hand.sink.routes.size(), 2U);  // and that of IPv6
}

/// Beside a table that takes long to go through, each session leaves a route behind.
TEST(Restart, CallsWaitUntilTheRoutesOfSessionsBeforeHaveLeft) {
    HandPeer hand;
    unsigned sessions = 0;
    const auto connect = [&] {
        if (!hand.peer->accept(hand.now)) {
            return false;
        }
        std::vector<std::uint8_t> words;
        encode_open(HandPeer::ordinary(), words);
        encode_keepalive(words);
        add_announcement(words, Ip4{0x0b000000U + sessions});
        hand.peer->connected(Direction::Incoming, testing::kOurAddress, hand.now);
        hand.peer->receive(Direction::Incoming, words);
        while (hand.peer->process(Direction::Incoming, hand.now)) {
        }
        hand.peer->disconnected(Direction::Incoming, "connection closed", hand.now);
        static_cast<void>(hand.peer->take_actions());
        return true;
    };
    while (sessions < 1000 && connect()) {
        ++sessions;
    }
    EXPECT_GT(sessions, 1U);
    EXPECT_LT(sessions, 1000U);
    EXPECT_TRUE(hand.peer->is_exhausting());
    hand.settle();
    EXPECT_FALSE(hand.peer->is_exhausting());
    EXPECT_TRUE(hand.call());
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
