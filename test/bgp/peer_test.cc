// What a peer tells its operator: warnings for the log, and what is counted.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "test/bgp/bytes.h"
#include "test/bgp/hand_peer.h"

namespace vr::bgp::peer_test {
namespace {

using namespace std::chrono_literals;
using testing::HandPeer;
using testing::hex;

using Lines = std::vector<std::string>;

TEST(PeerWarns, OfMalformedUpdatesOnceASecond) {
    const auto bad_origin =
        hex("ffffffffffffffffffffffffffffffff 002f 02 0000 0014 40010107 4002060201 0000fdea"
            "400304 c0000202 18 0a0000");
    HandPeer hand;
    hand.come_up(HandPeer::ordinary());
    for (int i = 0; i < 100; ++i) {
        hand.say(bad_origin);
    }
    const std::string line = "malformed UPDATE: " + hand.summary().last_malformed;
    EXPECT_EQ(hand.peer->take_warnings(), Lines{line});
    hand.pass(1s);
    EXPECT_EQ(hand.peer->take_warnings(), Lines{line + " (the last of 99)"});
    hand.pass(10s);
    EXPECT_EQ(hand.peer->take_warnings(), Lines{});
    hand.say(bad_origin);
    EXPECT_EQ(hand.peer->take_warnings(), Lines{line});
    EXPECT_EQ(hand.summary().malformed_updates, 101U);
}

}  // namespace
}  // namespace vr::bgp::peer_test
