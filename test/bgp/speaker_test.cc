// Two speakers over TCP on the loopback: the Asio shell and nothing but it.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/speaker.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "bgp/tcp_options.h"
#include "test/bgp/simulation.h"

namespace vr::bgp::speaker_test {
namespace {

using namespace std::chrono_literals;
using testing::RecordingSink;

SpeakerConfig config_of(std::string_view address, std::uint32_t asn) {
    SpeakerConfig config;
    config.asn = Asn{asn};
    config.router_id = *Ip4::parse(address);
    config.listen = {*parse_ip(address)};
    config.port = L4Port{0};
    return config;
}

class Loopback : public ::testing::Test {
  protected:
    Loopback() {
        const auto started = a.start();
        EXPECT_TRUE(started) << started.error().text;
    }

    /// B calls A.
    void connect(const std::string& password = {}) {
        PeerConfig config;
        config.password = password;
        connect(config);
    }

    void connect(PeerConfig config) {
        config.import = config.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
        config.address = *parse_ip("127.0.0.2");
        config.asn = Asn{65002};
        config.passive = true;
        ASSERT_TRUE(a.add_peer(config));
        ASSERT_TRUE(b.add_peer(a_as_peer(config)));
    }

    /// A for who calls it from B's address.
    [[nodiscard]] PeerConfig a_as_peer(PeerConfig config = {}) const {
        config.address = *parse_ip("127.0.0.1");
        config.asn = Asn{65001};
        config.passive = false;
        config.port = a.port();
        config.source = parse_ip("127.0.0.2");
        return config;
    }

    /// Runs until `done` or a deadline that only a broken speaker meets.
    template <typename Done>
    bool wait_for(Done done) {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!done() && std::chrono::steady_clock::now() < end) {
            io.run_one_for(1s);
        }
        return done();
    }

    bool wait_for_state(Speaker& speaker, State state) {
        return wait_for([&] { return speaker.peers().at(0).state == state; });
    }

    /// What A says to somebody who calls it and is silent.
    Notification answer_to_a_call(const char* from = "127.0.0.1") {
        boost::asio::ip::tcp::socket socket{io, {boost::asio::ip::make_address(from), 0}};
        socket.connect({boost::asio::ip::make_address("127.0.0.1"), a.port().value()});
        if (!wait_for([&] { return socket.available() != 0; })) {
            return {};
        }
        std::array<std::uint8_t, 100> room{};
        Framer framer;
        framer.feed(Bytes{room}.first(socket.receive(boost::asio::buffer(room))));
        const auto message = framer.next();
        const auto* said = std::get_if<Framer::Message>(&message);
        return said != nullptr ? decode_notification(said->body()) : Notification{};
    }

    boost::asio::io_context io;
    AnyNextHop oracle;
    RecordingSink sink_a;
    RecordingSink sink_b;
    Speaker a{io, config_of("127.0.0.1", 65001), sink_a, oracle};
    Speaker b{io, config_of("127.0.0.2", 65002), sink_b, oracle};
};

TEST_F(Loopback, ExchangesRoutes) {
    connect();
    Attributes attributes;
    attributes.next_hop = *parse_ip("192.0.2.9");  // ours would be a loopback address
    b.originate(*parse_prefix("10.0.0.0/24"), attributes);
    ASSERT_TRUE(wait_for([&] { return !sink_a.routes.empty(); }));
    b.withdraw(*parse_prefix("10.0.0.0/24"));
    EXPECT_TRUE(wait_for([&] { return sink_a.routes.empty(); }));
}

TEST_F(Loopback, LargeTableCrossesInSlices) {
    connect();
    Attributes attributes;
    attributes.next_hop = *parse_ip("192.0.2.9");
    for (std::uint32_t i = 0; i < 20000; ++i) {
        attributes.med = i / 20;
        b.originate(Prefix<V4>::host(Ip4{0x0a000000U + i}), attributes);
    }
    EXPECT_TRUE(wait_for([&] { return sink_a.routes.size() == 20000; }));
}

TEST_F(Loopback, PeersOfLinksHaveNames) {
    const Zone link = 7;
    a.set_links({{link, {.name = "uplink0", .device = "nowhere0", .own = {}}}});
    const auto on_link = [](std::string_view address) {
        return IpAddr{with_zone(*Ip6::parse(address), link)};
    };
    PeerConfig config;
    config.asn = Asn{65002};
    config.passive = true;
    config.address = on_link("fe80::1");
    ASSERT_TRUE(a.add_peer(config));
    EXPECT_EQ(a.name_of(config.address), "fe80::1%uplink0");
    EXPECT_EQ(a.peers().at(0).link, "uplink0");
    EXPECT_EQ(a.find_peer("uplink0"), config.address);
    EXPECT_EQ(a.find_peer("fe80::1%uplink0"), config.address);
    EXPECT_FALSE(a.find_peer("fe80::1"));
    EXPECT_FALSE(a.find_peer("fe80::1%uplink1"));
    config.address = on_link("fe80::2");
    ASSERT_TRUE(a.add_peer(config));
    EXPECT_FALSE(a.find_peer("uplink0"));  // which?
}

TEST_F(Loopback, InterfaceThatIsNotThereIsTold) {
    a.set_links({{7, {.name = "uplink0", .device = "nowhere0", .own = {}}}});
    PeerConfig config;
    config.asn = Asn{65002};
    config.address = with_zone(*Ip6::parse("fe80::1"), 7);
    ASSERT_TRUE(a.add_peer(config));
    ASSERT_TRUE(wait_for([&] { return !a.peers().at(0).last_error.empty(); }));
    EXPECT_EQ(a.peers().at(0).last_error, "there is no interface 'nowhere0'");
}

TEST_F(Loopback, StopSaysGoodbye) {
    connect();
    ASSERT_TRUE(wait_for_state(a, State::Established));
    b.stop("bye");
    ASSERT_TRUE(wait_for([&] { return !a.peers().at(0).last_error.empty(); }));
    EXPECT_EQ(
        a.peers().at(0).last_error, "received Hard Reset: Cease/Administrative Shutdown \"bye\"");
}

TEST_F(Loopback, ClearBringsANewSession) {
    connect();
    ASSERT_TRUE(wait_for_state(b, State::Established));
    ASSERT_TRUE(b.clear(*parse_ip("127.0.0.1")));
    EXPECT_TRUE(wait_for([&] { return b.peers().at(0).established_count == 2; }));
}

TEST_F(Loopback, SetPeerKeepsTheSessionWhenItCan) {
    connect();
    ASSERT_TRUE(wait_for_state(b, State::Established));
    PeerConfig config;
    config.address = *parse_ip("127.0.0.1");
    config.asn = Asn{65001};
    config.port = a.port();
    config.source = parse_ip("127.0.0.2");
    ASSERT_TRUE(b.set_peer(config));  // filters gone: no reason to bounce
    EXPECT_EQ(b.peers().at(0).state, State::Established);
    config.timers.hold = 30s;
    ASSERT_TRUE(b.set_peer(config));
    EXPECT_NE(b.peers().at(0).state, State::Established);
    EXPECT_TRUE(wait_for([&] { return b.peers().at(0).hold_time == 30s; }));
    EXPECT_EQ(a.peers().at(0).last_error, "received Cease/Other Configuration Change");
}

TEST_F(Loopback, ChangedPeerIsToldThatForwardingWentOn) {
    connect();
    ASSERT_TRUE(wait_for_state(b, State::Established));
    PeerConfig config = a_as_peer();
    config.graceful_restart.mode = GracefulRestartConfig::Mode::Full;
    ASSERT_TRUE(b.set_peer(config));
    ASSERT_TRUE(wait_for([&] { return a.peers().at(0).established_count == 2; }));
    EXPECT_TRUE(a.peers().at(0).terms->capabilities.graceful_restart->members.at(0).forwarding);
}

TEST_F(Loopback, ChangedSpeakerSaysThatForwardingWentOn) {
    PeerConfig config;
    config.graceful_restart.mode = GracefulRestartConfig::Mode::Full;
    connect(config);
    ASSERT_TRUE(wait_for_state(b, State::Established));
    SpeakerConfig changed = b.config();
    changed.router_id = *Ip4::parse("127.0.0.9");
    ASSERT_TRUE(b.set_config(changed));
    ASSERT_TRUE(wait_for([&] { return a.peers().at(0).established_count == 2; }));
    EXPECT_TRUE(a.peers().at(0).terms->capabilities.graceful_restart->members.at(0).forwarding);
}

TEST_F(Loopback, StrangersHearNothingWhilePeersAreToCome) {
    a.expect_peers(true);
    boost::asio::ip::tcp::socket socket{io};
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), a.port().value()});
    ASSERT_TRUE(wait_for([&] { return a.strangers() == 1; }));
    std::array<std::uint8_t, 100> room{};
    boost::system::error_code error;
    EXPECT_EQ(socket.receive(boost::asio::buffer(room), 0, error), 0U);
    EXPECT_EQ(error, boost::asio::error::eof);
}

TEST_F(Loopback, StrangersAreTurnedAway) {
    EXPECT_EQ(answer_to_a_call(), notification(ErrorCode::Cease, cease::kRejected));
    EXPECT_EQ(a.strangers(), 1U);
}

TEST_F(Loopback, CallersOfAFullRangeAreToldWhy) {  // RFC 4486 4
    ASSERT_TRUE(a.set_ranges({{.prefix = *parse_prefix("127.0.0.0/24"), .limit = 0, .peer = {}}}));
    EXPECT_EQ(answer_to_a_call(), notification(ErrorCode::Cease, cease::kOutOfResources));
}

TEST_F(Loopback, WhoIsShutDownIsTurnedAway) {
    PeerConfig config;
    config.address = *parse_ip("127.0.0.1");
    config.asn = Asn{65002};
    config.passive = true;
    ASSERT_TRUE(a.add_peer(config));
    a.shut_down(config.address, "");
    EXPECT_EQ(answer_to_a_call(), notification(ErrorCode::Cease, cease::kRejected));
}

TEST_F(Loopback, SecondCallEndsInItsTimeThoughNothingElseHappens) {
    SpeakerConfig changed = a.config();
    changed.second_call_wait = 50ms;
    ASSERT_TRUE(a.set_config(changed));
    PeerConfig config;
    config.graceful_restart.mode = GracefulRestartConfig::Mode::Off;
    config.timers.hold = 0s;
    connect(config);
    ASSERT_TRUE(wait_for_state(a, State::Established));
    EXPECT_EQ(answer_to_a_call("127.0.0.2"), notification(ErrorCode::Cease, cease::kCollision));
    EXPECT_EQ(a.peers().at(0).state, State::Established);
}

TEST_F(Loopback, GarbageEndsInANotification) {
    PeerConfig config;
    config.address = *parse_ip("127.0.0.1");
    config.asn = Asn{65002};
    config.passive = true;
    ASSERT_TRUE(a.add_peer(config));
    boost::asio::ip::tcp::socket socket{io};
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), a.port().value()});
    socket.send(boost::asio::buffer(std::string(19, 'x')));
    ASSERT_TRUE(wait_for([&] { return !a.peers().at(0).last_error.empty(); }));
    EXPECT_EQ(a.peers().at(0).last_error, "sent Message Header Error/Connection Not Synchronized");
}

/// What a socket to a peer gets, by the peer's config (RFC 5082).
struct HopLimits {
    std::string name;
    PeerConfig config;
    bool external;
    int sent;
    int least_accepted;  ///< 0: any
};

class HopLimitRows : public ::testing::TestWithParam<HopLimits> {
  protected:
    static void expect(const IpAddr& peer, int family, int level, int sent, int accepted) {
        boost::asio::io_context io;
        boost::asio::ip::tcp::socket socket{io};
        boost::system::error_code error;
        socket.open(
            family == AF_INET6 ? boost::asio::ip::tcp::v6() : boost::asio::ip::tcp::v4(), error);
        if (error) {
            GTEST_SKIP() << "no socket of this family: " << error.message();
        }
        PeerConfig config = GetParam().config;
        config.address = peer;
        const auto set = set_hop_limits(socket.native_handle(), config, GetParam().external);
        ASSERT_TRUE(set) << set.error().text;
        for (const auto& [option, wanted] :
             {std::pair{sent, GetParam().sent}, {accepted, GetParam().least_accepted}}) {
            int value = -1;
            socklen_t size = sizeof value;
            ASSERT_EQ(getsockopt(socket.native_handle(), level, option, &value, &size), 0);
            EXPECT_EQ(value, wanted);
        }
    }
};

TEST_P(HopLimitRows, OfIpv4) {
    expect(*parse_ip("192.0.2.1"), AF_INET, IPPROTO_IP, IP_TTL, IP_MINTTL);
}

TEST_P(HopLimitRows, OfIpv6) {
    expect(*parse_ip("2001:db8::1"), AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_MINHOPCOUNT);
}

INSTANTIATE_TEST_SUITE_P(
    Peers,
    HopLimitRows,
    ::testing::Values(
        HopLimits{"internal", {}, false, 255, 0},
        HopLimits{"external", {}, true, 1, 0},
        HopLimits{"external_some_hops_away", {.ttl = 5}, true, 5, 0},
        HopLimits{"gtsm_next_to_us", {.ttl_security = 1}, true, 255, 255},
        HopLimits{"gtsm_three_hops_away", {.ttl_security = 3}, true, 255, 253},
        HopLimits{"gtsm_farthest", {.ttl_security = 254}, true, 255, 2},
        HopLimits{"gtsm_wins_over_ttl", {.ttl = 5, .ttl_security = 1}, true, 255, 255},
        HopLimits{"gtsm_internal", {.ttl_security = 1}, false, 255, 255}),
    [](const auto& row) { return row.param.name; });

/// What TCP waits for an acknowledgement, by the timers of a peer.
struct UserTimeout {
    std::string name;
    PeerTimers timers;
    std::chrono::milliseconds wanted;
};

class UserTimeoutRows : public ::testing::TestWithParam<UserTimeout> {};

TEST_P(UserTimeoutRows, IsTheSendHoldTimeAndAHoldTimeMore) {  // RFC 9687
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket{io, boost::asio::ip::tcp::v4()};
    ASSERT_TRUE(set_user_timeout(socket.native_handle(), GetParam().timers));
    int value = -1;
    socklen_t size = sizeof value;
    ASSERT_EQ(getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size), 0);
    EXPECT_EQ(std::chrono::milliseconds{value}, GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Timers,
    UserTimeoutRows,
    ::testing::Values(
        UserTimeout{"of_itself", {}, 570s},
        UserTimeout{"as_configured", {.send_hold = 200s}, 290s},
        UserTimeout{"long_hold_time", {.hold = 300s}, 900s},
        UserTimeout{"short_send_hold_time", {.hold = 9s, .send_hold = 6s}, 27s},
        UserTimeout{"no_hold_time", {.hold = 0s}, 480s}),
    [](const auto& row) { return row.param.name; });

class LoopbackMd5 : public Loopback {
  protected:
    void SetUp() override {
        boost::asio::ip::tcp::socket probe{io, boost::asio::ip::tcp::v4()};
        if (!set_tcp_md5(probe.native_handle(), *parse_ip("127.0.0.1"), "secret")) {
            GTEST_SKIP() << "this kernel has no TCP MD5 signatures (CONFIG_TCP_MD5SIG)";
        }
    }
};

TEST_F(LoopbackMd5, SignedSessionComesUp) {
    connect("secret");
    EXPECT_TRUE(wait_for_state(a, State::Established));
}

TEST_F(LoopbackMd5, SignedCallerOfARangeIsTaken) {
    RangeConfig range{.prefix = *parse_prefix("127.0.0.0/24"), .peer = {}};
    range.peer.asn = Asn{65002};
    range.peer.password = "secret";
    ASSERT_TRUE(a.set_ranges({range}));
    PeerConfig config;
    config.address = *parse_ip("127.0.0.1");
    config.asn = Asn{65001};
    config.port = a.port();
    config.source = parse_ip("127.0.0.2");
    config.password = "secret";
    ASSERT_TRUE(b.add_peer(config));
    EXPECT_TRUE(wait_for_state(b, State::Established));
}

/// Each has a key of its own, the kernel one for the address.
TEST_F(LoopbackMd5, NeighborsKeyOutlivesThatOfARangeOfItsAddress) {
    RangeConfig range{.prefix = *parse_prefix("127.0.0.2/32"), .peer = {}};
    range.peer.asn = Asn{65002};
    range.peer.password = "of the range";
    ASSERT_TRUE(a.set_ranges({range}));
    connect("of the neighbor");
    ASSERT_TRUE(wait_for_state(b, State::Established));
    unsigned sessions = 1;
    const auto call_again = [&] {
        b.clear(*parse_ip("127.0.0.1"));
        ++sessions;
        return wait_for([&] { return b.peers().at(0).established_count == sessions; });
    };
    range.peer.password = "another of the range";
    ASSERT_TRUE(a.set_ranges({range}));
    EXPECT_TRUE(call_again()) << "the range has another key";
    ASSERT_TRUE(a.set_ranges({}));
    EXPECT_TRUE(call_again()) << "the range is gone";
    ASSERT_TRUE(a.set_ranges({range}));
    SpeakerConfig changed = a.config();
    changed.port = a.port();
    changed.listen.push_back(*parse_ip("127.0.0.9"));
    ASSERT_TRUE(a.set_config(changed));
    EXPECT_TRUE(call_again()) << "it listens anew";
    // And the range has its own again when the neighbor goes.
    ASSERT_TRUE(a.remove_peer(*parse_ip("127.0.0.2")));
    PeerConfig config = a_as_peer();
    config.password = range.peer.password;
    config.import = config.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
    ASSERT_TRUE(b.set_peer(config));
    EXPECT_TRUE(wait_for_state(b, State::Established));
}

TEST_F(LoopbackMd5, CallerFromBeforeThePasswordIsTurnedAway) {
    boost::asio::ip::tcp::socket socket{io};
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), a.port().value()});
    PeerConfig config;
    config.address = *parse_ip("127.0.0.1");
    config.asn = Asn{65002};
    config.passive = true;
    config.password = "secret";
    ASSERT_TRUE(a.add_peer(config));
    socket.send(boost::asio::buffer(std::string(19, 'x')));
    EXPECT_TRUE(wait_for([&] { return a.strangers() == 1; }));
    EXPECT_EQ(a.peers().at(0).last_error, "");
}

TEST_F(Loopback, PortInUseIsTriedAgain) {
    Speaker taken{io, config_of("127.0.0.3", 65003), sink_b, oracle};
    ASSERT_TRUE(taken.start());
    SpeakerConfig config = config_of("127.0.0.3", 65001);
    config.listen.push_back(*parse_ip("127.0.0.1"));
    config.port = taken.port();
    ASSERT_FALSE(a.set_config(config));
    EXPECT_EQ(a.port(), config.port) << "the other address is listened on";
    connect();
    ASSERT_TRUE(wait_for_state(a, State::Established));
    taken.stop();
    EXPECT_TRUE(wait_for([&] {
        boost::asio::ip::tcp::socket socket{io};
        boost::system::error_code error;
        socket.connect({boost::asio::ip::make_address("127.0.0.3"), config.port.value()}, error);
        return !error;
    }));
}

TEST_F(Loopback, StartWithoutItsPortIsTriedAgain) {
    SpeakerConfig config = config_of("127.0.0.1", 65003);
    config.port = a.port();
    Speaker late{io, config, sink_b, oracle};
    ASSERT_FALSE(late.start());
    EXPECT_FALSE(late.listening());
    ASSERT_TRUE(late.set_config(late.config())) << "nothing has changed";
    EXPECT_FALSE(late.listening());
    a.stop();
    EXPECT_TRUE(wait_for([&] { return late.listening().has_value(); }));
    EXPECT_TRUE(wait_for([&] {
        boost::asio::ip::tcp::socket socket{io};
        boost::system::error_code error;
        socket.connect({boost::asio::ip::make_address("127.0.0.1"), config.port.value()}, error);
        return !error;
    }));
}

TEST_F(Loopback, WhoTakesAnothersPlaceEndsItsConnectionsBeforeItCalls) {
    connect();
    ASSERT_TRUE(wait_for_state(a, State::Established));
    ASSERT_TRUE(wait_for_state(b, State::Established));
    auto connections = b.hand_over_connections();
    EXPECT_EQ(connections.size(), 1U);
    Speaker back{io, config_of("127.0.0.2", 65002), sink_b, oracle};
    ASSERT_TRUE(back.start());
    back.close_first(std::move(connections));
    ASSERT_TRUE(back.add_peer(a_as_peer()));
    ASSERT_TRUE(wait_for_state(back, State::Established));
    EXPECT_TRUE(wait_for([&] { return a.peers().at(0).established_count == 2; }));
    EXPECT_TRUE(a.peers().at(0).last_error.find("Collision") == std::string::npos);
}

TEST_F(Loopback, RestartEndsThoughNobodyCalls) {
    SpeakerConfig config = config_of("127.0.0.3", 65003);
    config.selection_deferral = 0s;
    RecordingSink sink;
    Speaker back{io, config, sink, oracle};
    ASSERT_TRUE(back.start());
    ASSERT_TRUE(back.set_ranges({{.prefix = *parse_prefix("192.0.2.0/24"), .peer = {}}}));
    EXPECT_TRUE(wait_for([&] { return sink.restarts_done == 1; }));
}

/// A speaker that takes the place of one that a caller of a range was at.
class Returned : public Loopback {
  protected:
    void SetUp() override {
        config.selection_deferral = 60s;
        speaker.emplace(io, config, sink, oracle);
        ASSERT_TRUE(speaker->start());
        range.peer.asn = Asn{65002};
        range.peer.graceful_restart.mode = GracefulRestartConfig::Mode::Full;
        ASSERT_TRUE(speaker->set_ranges({range}));
        caller.address = *parse_ip("127.0.0.2");
        caller.state = State::Established;
        caller.restart.agreed = true;
    }

    void call() {
        PeerConfig there;
        there.address = *parse_ip("127.0.0.3");
        there.asn = Asn{65003};
        there.port = speaker->port();
        there.source = caller.address;
        ASSERT_TRUE(b.add_peer(there));
    }

    [[nodiscard]] bool waits() const { return speaker->instance().ribs().selection_deferred; }

    SpeakerConfig config = config_of("127.0.0.3", 65003);
    RecordingSink sink;
    std::optional<Speaker> speaker;
    RangeConfig range{.prefix = *parse_prefix("127.0.0.0/24"), .peer = {}};
    PeerSummary caller;
};

TEST_F(Returned, WaitsForItsCallersAlone) {
    PeerSummary other = caller;
    other.address = *parse_ip("127.0.0.9");
    other.state = State::Idle;
    speaker->remember({caller, other});
    EXPECT_EQ(speaker->addresses(), std::vector{caller.address}) << "the other one was away";
    call();
    EXPECT_TRUE(wait_for([&] { return sink.restarts_done == 1; }));
    EXPECT_EQ(speaker->peers().at(0).state, State::Established);
}

TEST_F(Returned, WaitsForACallerThatIsNotBack) {
    PeerSummary other = caller;
    other.address = *parse_ip("127.0.0.9");
    speaker->remember({caller, other});
    call();
    EXPECT_TRUE(wait_for([&] {
        const auto peer = speaker->peer(caller.address);
        return peer && peer->ipv4.end_of_rib_received && peer->ipv6.end_of_rib_received;
    }));
    EXPECT_TRUE(waits());
    EXPECT_EQ(speaker->addresses().size(), 2U);
}

TEST_F(Returned, DoesNotWaitForCallersWithoutGracefulRestart) {
    caller.restart.agreed = false;
    speaker->remember({caller});
    EXPECT_TRUE(wait_for([&] { return !waits(); }));
    EXPECT_EQ(sink.restarts_done, 0U) << "what the machine has of it stays";
    EXPECT_EQ(speaker->addresses().size(), 1U);
}

TEST_F(Returned, ForgetsWhoDoesNotCall) {
    SpeakerConfig brief = config;
    brief.selection_deferral = 0s;
    speaker.emplace(io, brief, sink, oracle);
    ASSERT_TRUE(speaker->start());
    ASSERT_TRUE(speaker->set_ranges({range}));
    speaker->remember({caller});
    EXPECT_EQ(speaker->addresses().size(), 1U);
    EXPECT_TRUE(wait_for([&] { return speaker->addresses().empty(); }));
    EXPECT_TRUE(speaker->callers_to_await().empty());
}

TEST_F(Returned, WaitsForNobodyWhenNobodyWasThere) {
    speaker->remember({});
    EXPECT_TRUE(wait_for([&] { return sink.restarts_done == 1; }));
}

TEST_F(Returned, TellsWhomTheNextOneIsToWaitFor) {
    const std::vector<IpAddr> nobody;
    PeerSummary plain = caller;
    plain.address = *parse_ip("127.0.0.9");
    plain.restart.agreed = false;
    EXPECT_EQ(speaker->callers_to_await(), nobody);
    speaker->remember({caller, plain});
    const std::vector there{caller.address};
    EXPECT_EQ(speaker->callers_to_await(), there)
        << "it has not called yet: another crash may come";
    call();
    EXPECT_TRUE(wait_for([&] { return !waits(); }));
    EXPECT_EQ(speaker->callers_to_await(), there);
    speaker->shut_down(caller.address, "");
    EXPECT_EQ(speaker->callers_to_await(), nobody);
}

TEST_F(Returned, DoesNotHaveTheNextOneWaitForWhoCallsWithoutGracefulRestart) {
    range.peer.graceful_restart.mode = GracefulRestartConfig::Mode::Off;
    ASSERT_TRUE(speaker->set_ranges({range}));
    speaker->remember({caller});
    call();
    EXPECT_TRUE(wait_for([&] {
        const auto peer = speaker->peer(caller.address);
        return peer && peer->state == State::Established;
    }));
    EXPECT_EQ(speaker->callers_to_await(), std::vector<IpAddr>{});
}

TEST_F(Returned, NeedsNoCallerThatIsNoneNow) {
    speaker->refuse({caller.address});
    speaker->remember({caller});
    EXPECT_TRUE(wait_for([&] { return sink.restarts_done == 1; }));
}

TEST_F(Loopback, RestartMayBeKnownOnlyLater) {
    connect();
    ASSERT_TRUE(wait_for_state(b, State::Established));
    SpeakerConfig config = b.config();
    config.selection_deferral = 0s;
    ASSERT_TRUE(b.set_config(config));
    EXPECT_TRUE(b.instance().ribs().selection_deferred);
    EXPECT_TRUE(wait_for([&] { return sink_b.restarts_done == 1; }));
    EXPECT_FALSE(b.instance().ribs().selection_deferred);
    ASSERT_TRUE(b.set_config(config));
    EXPECT_FALSE(b.instance().ribs().selection_deferred) << "once";
    EXPECT_EQ(b.peers().at(0).established_count, 1U) << "and no session ends";
}

TEST_F(Loopback, PortInUseIsSaidClearly) {
    SpeakerConfig config = config_of("127.0.0.1", 65001);
    config.port = a.port();
    Speaker second{io, config, sink_b, oracle};
    const auto started = second.start();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().text.find("Address already in use"), std::string::npos);
}

}  // namespace
}  // namespace vr::bgp::speaker_test
