// What a peer tells its operator: warnings for the log, and what is counted.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

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

/// The peer announces 10.0.0.0/24 with path identifiers `first` to `last`.
void announce_paths(HandPeer& hand, std::uint32_t first, std::uint32_t last) {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    attributes.next_hop = testing::kHandAddress;
    const auto prefix = std::get<Prefix<V4>>(*parse_prefix("10.0.0.0/24"));
    std::vector<std::uint8_t> bytes;
    for (std::uint32_t id = first; id <= last; ++id) {
        pack_announcements<V4>(
            attributes, AttributeContext{.path_ids4 = true}, {&prefix, 1}, bytes, {&id, 1});
    }
    hand.say(bytes);
}

Open with_path_ids() {
    Open open = HandPeer::ordinary();
    open.capabilities.add_path = {{.family = kIpv4Unicast, .receive = false, .send = true}};
    return open;
}

void receive_path_ids(PeerConfig& config) {
    config.add_path.receive = true;
}

TEST(PeerWarns, OfPathsLeftOutOnceASession) {
    HandPeer hand{receive_path_ids};
    hand.come_up(with_path_ids());
    announce_paths(hand, 1, 128);
    EXPECT_EQ(hand.peer->take_warnings(), Lines{});
    announce_paths(hand, 129, 131);
    EXPECT_EQ(hand.summary().ipv4.received, 128U);
    EXPECT_EQ(hand.summary().ipv4.left_out, 3U);
    const Lines lines{"more than 128 paths to one prefix: those beyond are left out"};
    EXPECT_EQ(hand.peer->take_warnings(), lines);
    announce_paths(hand, 132, 132);
    EXPECT_EQ(hand.peer->take_warnings(), Lines{});
    hand.hang_up();
    hand.pass(2s);
    hand.come_up(with_path_ids());
    announce_paths(hand, 1, 129);
    EXPECT_EQ(hand.peer->take_warnings(), lines);
    EXPECT_EQ(hand.summary().ipv4.left_out, 5U);
}

/// One UPDATE with `count` addresses, as long as it gets.
std::vector<std::uint8_t> long_update(unsigned count) {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    attributes.next_hop = testing::kHandAddress;
    std::vector<Prefix<V4>> prefixes;
    for (unsigned i = 0; i < count; ++i) {
        prefixes.push_back(Prefix<V4>::host(Ip4{0x0a000000U + i}));
    }
    std::vector<std::uint8_t> bytes;
    const AttributeContext context{.message_size = kMaxExtendedMessage};
    EXPECT_EQ(pack_announcements<V4>(attributes, context, prefixes, bytes), 1U);
    EXPECT_GT(bytes.size(), kMaxMessage);
    return bytes;
}

TEST(ExtendedMessages, AreTakenByWhoSaysSoWhateverThePeerSays) {  // RFC 8654 4
    HandPeer hand{[](PeerConfig& config) { config.extended_messages = true; }};
    hand.come_up(HandPeer::ordinary());
    hand.say(long_update(2000));
    EXPECT_EQ(hand.summary().ipv4.received, 2000U);
    EXPECT_EQ(hand.summary().state, State::Established);
}

TEST(ExtendedMessages, AreRefusedByWhoDoesNotSaySo) {  // RFC 8654 5
    Open open = HandPeer::ordinary();
    open.capabilities.extended_message = true;
    HandPeer hand;
    hand.come_up(open);
    static_cast<void>(hand.take_heard());
    hand.say(long_update(2000));
    EXPECT_EQ(hand.take_heard(), Lines{"NOTIFICATION 1/2"});
}

TEST(ExtendedMessages, AreToldToWhoTakesThemOnly) {
    for (const bool takes : {false, true}) {
        Open open = HandPeer::ordinary();
        open.capabilities.extended_message = takes;
        HandPeer hand{[](PeerConfig& config) { config.extended_messages = true; }};
        for (unsigned i = 0; i < 2000; ++i) {
            hand.instance.originate(*parse_prefix(fmt::format("2001:db8:1::{:x}/128", i)), {});
        }
        hand.come_up(open);
        const auto longest =
            std::ranges::max(hand.messages, {}, [](const auto& m) { return m.size(); });
        EXPECT_EQ(longest.size() > kMaxMessage, takes);
    }
}

/// An IPv4 session without an IPv6 address of ours.
void without_next_hop6(PeerConfig& config) {
    config.ipv6.next_hop.reset();
}

TEST(PeerWarns, OfAFamilyWithoutANextHopOfOurs) {
    const Lines lines{
        "ipv6 without an ipv6 address of ours as next hop: the peer is told no routes of this host "
        "in it (next_hop6 sets one, families can leave ipv6 out)"};
    HandPeer hand{without_next_hop6};
    hand.come_up(HandPeer::ordinary());
    EXPECT_EQ(hand.peer->take_warnings(), lines);
    EXPECT_EQ(hand.summary().ipv4.next_hop, testing::kOurAddress);
    EXPECT_TRUE(hand.summary().ipv6.negotiated);
    EXPECT_EQ(hand.summary().ipv6.next_hop, std::nullopt);
    hand.hang_up();
    hand.pass(2s);
    hand.come_up(HandPeer::ordinary());
    EXPECT_EQ(hand.peer->take_warnings(), Lines{}) << "of each session again";
    PeerConfig config = hand.peer->config();
    config.ipv6.next_hop = parse_ip("2001:db8::1");
    hand.peer->reconfigure(config, hand.now);
    EXPECT_EQ(hand.peer->take_warnings(), Lines{});
    EXPECT_EQ(hand.summary().ipv6.next_hop, parse_ip("2001:db8::1"));
    config.ipv6.next_hop.reset();
    hand.peer->reconfigure(config, hand.now);
    EXPECT_EQ(hand.peer->take_warnings(), lines);
}

TEST(PeerWarns, OfNoNextHopWhereItIsNotNeeded) {
    Open only4 = HandPeer::ordinary();
    only4.capabilities.families = {kIpv4Unicast};
    HandPeer one_family{without_next_hop6};
    one_family.come_up(only4);
    EXPECT_EQ(one_family.peer->take_warnings(), Lines{});
    HandPeer told_nothing{[](PeerConfig& config) {
        without_next_hop6(config);
        config.export_ = Filter{};
    }};
    told_nothing.come_up(HandPeer::ordinary());
    EXPECT_EQ(told_nothing.peer->take_warnings(), Lines{});
}

/// The identifiers of paths listed; "none" for a path without.
template <typename Paths>
std::string ids_of(const Paths& paths) {
    std::string text;
    for (const auto& path : paths) {
        text += (path.path_id ? std::to_string(*path.path_id) : "none") + " ";
    }
    return text;
}

TEST(PathIds, AreListedAsReceived) {
    HandPeer hand{receive_path_ids};
    hand.come_up(with_path_ids());
    announce_paths(hand, 0, 2);
    hand.announce(testing::kRoute6);  // ADD-PATH was agreed for IPv4 only
    const auto routes = hand.instance.routes(std::nullopt, 10);
    ASSERT_EQ(routes.size(), 2U);
    EXPECT_EQ(ids_of(routes[0].paths), "0 1 2 ");
    EXPECT_EQ(ids_of(routes[1].paths), "none ");
    EXPECT_EQ(ids_of(hand.peer->routes<V4>().received_routes()), "0 1 2 ");
    EXPECT_EQ(ids_of(hand.peer->routes<V6>().received_routes()), "none ");
}

TEST(PathIds, AreListedAsTold) {
    testing::World world;
    testing::Node& from = world.add("192.0.2.1", 65001);
    testing::Node& to = world.add("192.0.2.2", 65001);
    world.peer(from, to, [](PeerConfig& config, testing::Node&) {
        config.add_path = {.receive = true, .send = true};
    });
    from.instance.originate(*parse_prefix("10.0.0.0/24"), {});
    from.instance.originate(*parse_prefix("10.0.1.0/24"), {});
    world.settle();
    const auto told = world.peer_of(from, to).routes<V4>().advertised_routes();
    EXPECT_EQ(ids_of(told), "1 2 ");
    EXPECT_EQ(ids_of(world.peer_of(to, from).routes<V4>().received_routes()), ids_of(told));
}

/// How long the peer keeps our routes: by our configuration, when its OPEN has the capability.
struct Keeps {
    std::string name;
    GracefulRestartConfig config;
    Open open;
    std::chrono::seconds time;
    std::chrono::seconds long_lived;
};

Open long_lived_helper() {
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->members.clear();
    open.capabilities.long_lived = LongLivedRestart{};
    return open;
}

class KeepsOurs : public ::testing::TestWithParam<Keeps> {};

TEST_P(KeepsOurs, ForSoLong) {
    HandPeer hand{[](PeerConfig& config) { config.graceful_restart = GetParam().config; }};
    EXPECT_EQ(hand.summary().restart.our_time, 0s) << "there was no session";
    hand.come_up(GetParam().open);
    EXPECT_EQ(hand.summary().restart.our_time, GetParam().time);
    EXPECT_EQ(hand.summary().restart.our_long_lived_time, GetParam().long_lived);
    hand.hang_up();
    EXPECT_EQ(hand.summary().restart.our_time, GetParam().time);
}

constexpr auto kFull = GracefulRestartConfig::Mode::Full;

INSTANTIATE_TEST_SUITE_P(
    Modes,
    KeepsOurs,
    ::testing::Values(
        Keeps{"helper_only", {}, HandPeer::graceful(), 0s, 0s},
        Keeps{"full", {.mode = kFull, .restart_time = 99s}, HandPeer::graceful(), 99s, 0s},
        Keeps{"peer_knows_nothing_of_it", {.mode = kFull}, HandPeer::ordinary(), 0s, 0s},
        Keeps{
            "longer_than_can_be_said",
            {.mode = kFull, .restart_time = 5000s},
            HandPeer::graceful(),
            4095s,
            0s},
        Keeps{
            "long_lived",
            {.mode = kFull, .long_lived_time = 3600s},
            long_lived_helper(),
            120s,
            3600s}),
    [](const auto& row) { return row.param.name; });

TEST(Agreed, IsWhatBothSidesSay) {
    HandPeer hand{[](PeerConfig& config) {
        config.extended_messages = true;
        config.add_path = {.receive = true, .send = true};
        config.graceful_restart.mode = kFull;
        config.graceful_restart.restart_time = 99s;
        config.graceful_restart.stale_time = 60s;
        config.graceful_restart.long_lived_time = 600s;
        config.ipv6.long_lived = false;
    }};
    Open open = testing::only_ipv4();
    open.capabilities.extended_message = true;
    open.capabilities.ipv4_over_ipv6 = true;
    open.capabilities.add_path = {{.family = kIpv4Unicast, .receive = false, .send = true}};
    open.capabilities.long_lived = LongLivedRestart{
        .members = {
            {.family = kIpv4Unicast, .seconds = 300}, {.family = kIpv6Unicast, .seconds = 300}}};
    hand.come_up(open);
    const PeerSummary summary = hand.summary();
    ASSERT_TRUE(summary.terms);
    EXPECT_EQ(summary.terms->as_width, AsWidth::Four);
    EXPECT_TRUE(summary.terms->extended_message);
    EXPECT_TRUE(summary.terms->enhanced_refresh);
    EXPECT_FALSE(summary.terms->ipv4_over_ipv6) << "over IPv4 we do not offer it";
    const FamilySummary& ipv4 = summary.ipv4;
    EXPECT_TRUE(ipv4.paths_received);
    EXPECT_FALSE(ipv4.paths_sent) << "it does not take them";
    EXPECT_EQ(ipv4.restart_time, 60s) << "of its 120 s, so long as we keep what is stale";
    EXPECT_EQ(ipv4.long_lived_time, 300s);
    EXPECT_EQ(ipv4.our_restart_time, 99s);
    EXPECT_EQ(ipv4.our_long_lived_time, 600s);
    const FamilySummary& ipv6 = summary.ipv6;
    EXPECT_TRUE(ipv6.negotiated);
    EXPECT_FALSE(ipv6.paths_received) << "it offers that for IPv4 alone";
    EXPECT_EQ(ipv6.restart_time, 0s) << "so, too";
    EXPECT_EQ(ipv6.long_lived_time, 0s) << "we do not want that";
    EXPECT_EQ(ipv6.our_restart_time, 99s);
    EXPECT_EQ(ipv6.our_long_lived_time, 0s);
}

TEST(Agreed, IsNothingOfAFamilyThatThePeerDoesNotSpeak) {
    HandPeer hand{[](PeerConfig& config) { config.graceful_restart.mode = kFull; }};
    Open open = HandPeer::graceful();
    open.capabilities.families = {kIpv4Unicast};
    hand.come_up(open);
    EXPECT_EQ(hand.summary().ipv4.our_restart_time, 120s);
    EXPECT_EQ(hand.summary().ipv6.our_restart_time, 0s);
    EXPECT_EQ(hand.summary().ipv6.restart_time, 0s);
}

TEST(Agreed, EndsWithTheSession) {
    HandPeer hand{receive_path_ids};
    hand.come_up(with_path_ids());
    EXPECT_TRUE(hand.summary().ipv4.paths_received);
    hand.hang_up();
    EXPECT_FALSE(hand.summary().terms);
    EXPECT_FALSE(hand.summary().ipv4.paths_received);
}

TEST(Messages, AreCountedByType) {
    HandPeer hand;
    hand.come_up(HandPeer::ordinary());
    hand.announce(testing::kRoute);
    hand.end_of_rib<V4>();
    hand.refresh(0);
    ASSERT_TRUE(hand.peer->ask_refresh());
    hand.notify(ErrorCode::Cease, cease::kShutdown);
    const MessageCounters received = hand.summary().received;
    EXPECT_EQ(received.opens, 1U);
    EXPECT_EQ(received.keepalives, 1U);
    EXPECT_EQ(received.updates, 2U);
    EXPECT_EQ(received.refreshes, 1U);
    EXPECT_EQ(received.notifications, 1U);
    const MessageCounters sent = hand.summary().sent;
    EXPECT_EQ(sent.opens, 1U);
    EXPECT_EQ(sent.keepalives, 1U);
    EXPECT_EQ(sent.updates, 2U) << "End-of-RIB of each family";
    EXPECT_EQ(sent.refreshes, 4U) << "both markers around the answer, a request for each family";
    EXPECT_EQ(sent.notifications, 0U);
}

}  // namespace
}  // namespace vr::bgp::peer_test
