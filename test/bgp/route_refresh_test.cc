// Enhanced route refresh (RFC 7313): answers between markers, and what is not repeated between a peer's leaves.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/bgp/hand_peer.h"

namespace vr::bgp::route_refresh_test {
namespace {

using namespace std::chrono_literals;
using testing::add_announcement;
using testing::begin;
using testing::HandPeer;
using testing::kept;
using testing::kRoute;

/// A refresh that repeats one route alone.
void add_refresh(std::vector<std::uint8_t>& bytes, Ip4 address) {
    encode_route_refresh(kIpv4Unicast, refresh_marker::kBegin, bytes);
    add_announcement(bytes, address);
    encode_route_refresh(kIpv4Unicast, refresh_marker::kEnd, bytes);
}

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

/// What the operator has said again, `bgp clear --soft out`, is what the peer could have asked for.
TEST(Refresh, OfOurOwnAccordStandsBetweenMarkers) {
    HandPeer hand;
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    hand.instance.originate(*parse_prefix("2001:db8:9::/48"), {});
    begin(hand, HandPeer::ordinary());
    hand.peer->resend();
    hand.settle();
    EXPECT_EQ(
        hand.take_heard(),
        (std::vector<std::string>{
            "BEGIN", "BEGIN", "UPDATE 10.9.0.0/24", "END", "UPDATE 2001:db8:9::/48", "END"}));
}

TEST(Refresh, OfOurOwnAccordHasNoMarkersForWhoDoesNotKnowThem) {
    HandPeer hand;
    hand.instance.originate(*parse_prefix("10.9.0.0/24"), {});
    Open open = HandPeer::ordinary();
    open.capabilities.enhanced_refresh = false;
    begin(hand, open);
    hand.peer->resend();
    hand.settle();
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
}  // namespace vr::bgp::route_refresh_test
