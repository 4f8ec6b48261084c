// Graceful restart (RFC 4724, RFC 8538) as the helper: what becomes of the routes of a peer that was lost.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>

#include "test/bgp/hand_peer.h"

namespace vr::bgp::graceful_restart_test {
namespace {

using namespace std::chrono_literals;
using testing::add_announcement;
using testing::begin;
using testing::HandPeer;
using testing::kept;
using testing::kOther;
using testing::kRoute;
using testing::kRoute6;
using testing::only_ipv4;

struct Loss {
    std::string name;
    Open open;
    std::function<void(HandPeer&)> end;
    std::string kept;
};

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

/// Brings up a session that we have opened, with a peer that knows graceful restart.
void come_up_by_our_call(HandPeer& hand) {
    hand.peer->connected(Direction::Outgoing, testing::kOurAddress, hand.now);
    hand.peer->sent(Direction::Outgoing, hand.now);
    std::vector<std::uint8_t> bytes;
    encode_open(HandPeer::graceful(), bytes);
    encode_keepalive(bytes);
    add_announcement(bytes, Ip4{0x0a000001});
    hand.peer->receive(Direction::Outgoing, bytes);
    while (hand.peer->process(Direction::Outgoing, hand.now)) {
    }
    hand.settle();
    ASSERT_TRUE(hand.has("10.0.0.1/32"));
}

TEST(Helper, PeerThatCallsBesideOurCallHasRestarted) {  // RFC 4724 5
    HandPeer hand{[](PeerConfig& config) { config.passive = false; }};
    come_up_by_our_call(hand);
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->restarting = true;
    const unsigned before = hand.sink.updates;
    hand.come_up(open);
    EXPECT_EQ(hand.peer->state(), State::Established);
    EXPECT_EQ(hand.summary().established_count, 2U);
    EXPECT_EQ(hand.summary().ipv4.stale, 1U);
    EXPECT_EQ(hand.sink.updates, before);
    hand.end_of_rib<V4>();
    EXPECT_FALSE(hand.has("10.0.0.1/32"));
}

TEST(Helper, CallThatCrossedOursIsNoRestart) {  // RFC 4271 6.8
    HandPeer hand{[](PeerConfig& config) { config.passive = false; }};
    come_up_by_our_call(hand);
    hand.come_up(HandPeer::graceful());
    EXPECT_EQ(hand.peer->state(), State::Established);
    EXPECT_EQ(hand.summary().established_count, 1U);
    EXPECT_TRUE(hand.has("10.0.0.1/32"));
}

TEST(Helper, PeerThatCallsAgainBeforeItIsUpHasRestarted) {
    HandPeer hand;
    ASSERT_TRUE(hand.call());
    std::vector<std::uint8_t> bytes;
    encode_open(HandPeer::ordinary(), bytes);
    hand.say(bytes);
    ASSERT_EQ(hand.peer->state(), State::OpenConfirm);
    hand.come_up(HandPeer::ordinary());
    EXPECT_EQ(hand.peer->state(), State::Established);
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

/// Beside a table that takes long to go through, each session leaves a route behind.
TEST(Helper, CallsWaitUntilTheRoutesOfSessionsBeforeHaveLeft) {
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

}  // namespace
}  // namespace vr::bgp::graceful_restart_test
