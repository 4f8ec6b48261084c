// Graceful restart (RFC 4724, RFC 8538) as the one that restarts: what we offer, whom we wait for, and when the
// machine hears that all is said.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "test/bgp/hand_peer.h"

namespace vr::bgp::graceful_restarter_test {
namespace {

using namespace std::chrono_literals;
using testing::begin;
using testing::HandPeer;
using testing::kept;
using testing::kHandAddress;
using testing::kOther;
using testing::kRoute;
using testing::only_ipv4;

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

/// Whom a range lets in, nobody has named.
TEST(Restarter, WaitsForCallersUntilNobodyNewComes) {
    HandPeer hand{full, back()};
    hand.instance.expect_callers(true);
    begin(hand, HandPeer::graceful());
    hand.pass(4s);
    PeerConfig next = hand.peer->config();
    next.address = Ip4{0xc0000203};
    ASSERT_TRUE(hand.instance.add_peer(next, hand.now));
    hand.instance.remove_peer(next.address, {}, hand.now);
    hand.pass(4s);
    EXPECT_EQ(kept(hand), "") << "one more came";
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "abc");
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WaitsForCallersThatHaveNotSaidAll) {
    HandPeer hand{full, back()};
    hand.instance.expect_callers(true);
    hand.come_up(HandPeer::graceful());
    hand.announce(kRoute);
    hand.pass(59s);
    EXPECT_EQ(kept(hand), "");
    hand.pass(1s);
    EXPECT_EQ(kept(hand), "a");
}

TEST(Restarter, WaitsForNobodyElseWhenItKnowsWhoCalled) {
    HandPeer hand{full, back()};
    hand.instance.expect_callers(true);
    hand.instance.set_callers_known();
    begin(hand, HandPeer::graceful());
    EXPECT_EQ(kept(hand), "abc");
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, EndsThoughNobodyCalls) {
    testing::RecordingSink sink;
    testing::TestOracle oracle;
    Instance instance{back(), sink, oracle, [] { return 0.5; }};
    const Time begun{1h};
    instance.start(begun);
    instance.expect_callers(true);
    const auto done_after = [&](std::chrono::seconds time) {
        instance.tick(begun + time);
        while (instance.work()) {
        }
        return sink.restarts_done;
    };
    EXPECT_EQ(done_after(4s), 0U);
    EXPECT_EQ(done_after(5s), 1U);
}

TEST(Restarter, DoesNotWaitForWhoDidNotSayBeforeWhenItWasDone) {  // RFC 4724 4.1
    HandPeer hand{full, back()};
    hand.peer->set_was(Peer::Was::Plain);
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    hand.settle();
    EXPECT_FALSE(hand.instance.ribs().selection_deferred);
    EXPECT_EQ(hand.sink.restarts_done, 0U) << "what the machine has of it stays";
    hand.come_up(HandPeer::ordinary());
    const std::vector<std::string> heard = hand.take_heard();
    EXPECT_EQ(std::ranges::count(heard, "UPDATE 10.9.0.0/24"), 1);
    hand.pass(60s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
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
    hand.peer->set_was(Peer::Was::Away);
    hand.pass(0s);
    EXPECT_EQ(hand.sink.restarts_done, 1U);
}

TEST(Restarter, WaitsForWhoWasAwayBeforeOnceItIsThere) {
    HandPeer hand{full, back()};
    hand.instance.expect_peers(true);
    hand.peer->set_was(Peer::Was::Away);
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

}  // namespace
}  // namespace vr::bgp::graceful_restarter_test
