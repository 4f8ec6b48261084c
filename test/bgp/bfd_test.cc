// BFD (RFC 5880): packets as bytes, the state machine as a table, timers, two sessions against each other.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "bgp/bfd_session.h"
#include "bgp/link_ends.h"
#include "test/bgp/bytes.h"

namespace vr::bgp::bfd::bfd_test {
namespace {

using namespace std::chrono_literals;
using bgp::testing::hex;

const std::string kGood = "20 48 03 18 00000001 00000002 000493e0 000493e0 00000000";

TEST(BfdPacket, SaysWhatItsBytesSay) {
    const auto packet = decode(hex(kGood));
    ASSERT_TRUE(packet);
    Packet wanted;
    wanted.state = State::Down;
    wanted.control_independent = true;
    wanted.mine = 1;
    wanted.yours = 2;
    wanted.desired_transmit = wanted.required_receive = 300ms;
    EXPECT_EQ(*packet, wanted);
}

TEST(BfdPacket, SurvivesARoundTrip) {
    Packet packet;
    packet.diagnostic = Diagnostic::NeighborDown;
    packet.state = State::Up;
    packet.poll = packet.final_ = packet.demand = true;
    packet.multiplier = 255;
    packet.mine = 0xfffffffe;
    packet.yours = 7;
    packet.desired_transmit = 1us;
    packet.required_receive = 4294967295us;
    packet.required_echo = 3s;
    EXPECT_EQ(decode(encode(packet)), packet);
}

struct Bad {
    std::string name;
    std::string bytes;
};

class BadPacket : public ::testing::TestWithParam<Bad> {};

TEST_P(BadPacket, IsDropped) {
    EXPECT_EQ(decode(hex(GetParam().bytes)), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    BadPacket,
    ::testing::Values(
        Bad{"empty", ""},
        Bad{"cut", "20 48 03 18 00000001 00000002 000493e0 000493e0 000000"},
        Bad{"version", "40 48 03 18 00000001 00000002 000493e0 000493e0 00000000"},
        Bad{"length_too_small", "20 48 03 17 00000001 00000002 000493e0 000493e0 00000000"},
        Bad{"length_too_large", "20 48 03 19 00000001 00000002 000493e0 000493e0 00000000"},
        Bad{"multiplier_zero", "20 48 00 18 00000001 00000002 000493e0 000493e0 00000000"},
        Bad{"multipoint", "20 49 03 18 00000001 00000002 000493e0 000493e0 00000000"},
        Bad{"authenticated", "20 4c 03 18 00000001 00000002 000493e0 000493e0 00000000"},
        Bad{"nobody", "20 48 03 18 00000000 00000002 000493e0 000493e0 00000000"},
        Bad{"up_to_nobody", "20 c0 03 18 00000001 00000000 000493e0 000493e0 00000000"},
        Bad{"init_to_nobody", "20 80 03 18 00000001 00000000 000493e0 000493e0 00000000"}),
    [](const auto& row) { return row.param.name; });

/// A session and a peer that the test plays.
class One {
  public:
    void hear(State state, std::chrono::microseconds transmit = 1s) {
        Packet packet;
        packet.state = state;
        packet.mine = 2;
        packet.yours = state > State::Down ? 1 : 0;
        packet.desired_transmit = transmit;
        packet.required_receive = 300ms;
        session.receive(packet, now);
    }

    void reach(State state) {
        if (state == State::AdminDown) {
            session.shut_down(now);
        } else if (state == State::Init) {
            hear(State::Down);
        } else if (state == State::Up) {
            hear(State::Init);
        }
        static_cast<void>(session.take_changes());
        static_cast<void>(session.take_output());
    }

    void wait(std::chrono::microseconds time) {
        const Time end = now + time;
        while (session.next_deadline() <= end) {
            now = std::max(now, session.next_deadline());
            session.tick(now);
        }
        now = end;
    }

    Time now{1h};
    Session session{BfdConfig{}, 1, [] { return 0.5; }, now};
};

struct Step {
    State from;
    State received;
    State to;
};

class StateMachine : public ::testing::TestWithParam<Step> {};

TEST_P(StateMachine, GoesWhereTheRfcSays) {  // RFC 5880 6.2 and 6.8.6
    One one;
    one.reach(GetParam().from);
    ASSERT_EQ(one.session.state(), GetParam().from);
    one.hear(GetParam().received);
    EXPECT_EQ(one.session.state(), GetParam().to);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    StateMachine,
    ::testing::Values(
        Step{State::Down, State::AdminDown, State::Down},
        Step{State::Down, State::Down, State::Init},
        Step{State::Down, State::Init, State::Up},
        Step{State::Down, State::Up, State::Down},
        Step{State::Init, State::AdminDown, State::Down},
        Step{State::Init, State::Down, State::Init},
        Step{State::Init, State::Init, State::Up},
        Step{State::Init, State::Up, State::Up},
        Step{State::Up, State::AdminDown, State::Down},
        Step{State::Up, State::Down, State::Down},
        Step{State::Up, State::Init, State::Up},
        Step{State::Up, State::Up, State::Up},
        Step{State::AdminDown, State::Down, State::AdminDown},
        Step{State::AdminDown, State::Init, State::AdminDown},
        Step{State::AdminDown, State::Up, State::AdminDown}));

TEST(BfdSession, TellsThatItIsUp) {
    One one;
    one.hear(State::Init);
    const auto changes = one.session.take_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].to, State::Up);
}

TEST(BfdSession, SilenceEndsIt) {
    One one;
    one.reach(State::Up);
    one.hear(State::Up, 300ms);
    one.wait(899ms);
    EXPECT_EQ(one.session.state(), State::Up);
    one.wait(1ms);
    EXPECT_EQ(one.session.state(), State::Down);
    const auto changes = one.session.take_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].why, Diagnostic::DetectionTimeExpired);
    EXPECT_FALSE(changes[0].by_operator);
}

TEST(BfdSession, PeersOperatorIsNoFailure) {
    One one;
    one.reach(State::Up);
    one.hear(State::AdminDown);
    const auto changes = one.session.take_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_TRUE(changes[0].by_operator);
}

TEST(BfdSession, SlowPeerHasMoreTime) {  // RFC 5880 6.8.4
    One one;
    one.reach(State::Up);
    one.hear(State::Up, 2s);
    EXPECT_EQ(one.session.detection_time(), 6s);
}

TEST(BfdSession, SpeaksSlowlyUntilItIsUp) {  // RFC 5880 6.8.3
    One one;
    EXPECT_EQ(one.session.transmit_interval(), 1s);
    one.reach(State::Up);
    EXPECT_EQ(one.session.transmit_interval(), 300ms);
}

TEST(BfdSession, FasterPaceIsAnnouncedByAPoll) {  // RFC 5880 6.5
    One one;
    one.hear(State::Init);
    auto sent = one.session.take_output();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_TRUE(sent[0].poll);
    EXPECT_EQ(sent[0].desired_transmit, 300ms);
    Packet answer;
    answer.state = State::Up;
    answer.mine = 2;
    answer.yours = 1;
    answer.final_ = true;
    answer.required_receive = 300ms;
    answer.desired_transmit = 300ms;
    one.session.receive(answer, one.now);
    one.wait(300ms);
    sent = one.session.take_output();
    ASSERT_FALSE(sent.empty());
    EXPECT_FALSE(sent.back().poll);
}

TEST(BfdSession, PollIsAnsweredAtOnce) {
    One one;
    one.reach(State::Up);
    Packet poll;
    poll.state = State::Up;
    poll.mine = 2;
    poll.yours = 1;
    poll.poll = true;
    poll.required_receive = 300ms;
    one.session.receive(poll, one.now);
    const auto sent = one.session.take_output();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_TRUE(sent[0].final_);
    EXPECT_FALSE(sent[0].poll);
}

TEST(BfdSession, PeerThatWantsNothingGetsNothing) {
    One one;
    Packet packet;
    packet.mine = 2;
    packet.required_receive = 0us;
    packet.desired_transmit = 10s;
    one.session.receive(packet, one.now);
    static_cast<void>(one.session.take_output());
    one.wait(20s);
    EXPECT_TRUE(one.session.take_output().empty());
}

TEST(BfdSession, PeerInDemandModeIsLeftAloneWhileBothAreUp) {
    One one;
    Packet packet;
    packet.state = State::Up;
    packet.mine = 2;
    packet.yours = 1;
    packet.demand = true;
    packet.final_ = true;
    packet.required_receive = 300ms;
    packet.desired_transmit = 10s;
    one.reach(State::Up);
    one.session.receive(packet, one.now);
    static_cast<void>(one.session.take_output());
    one.wait(20s);
    EXPECT_TRUE(one.session.take_output().empty());
}

TEST(BfdSession, ForgetsWhoFellSilent) {  // RFC 5880 6.8.1
    One one;
    one.reach(State::Up);
    one.wait(10s);
    EXPECT_EQ(one.session.take_output().back().yours, 0U);
}

TEST(BfdSession, TwoGetUpAndNoticeTheCut) {
    Time now{1h};
    Session a{BfdConfig{}, 1, [] { return 0.5; }, now};
    Session b{BfdConfig{.transmit = 100ms, .receive = 50ms}, 2, [] { return 0.5; }, now};
    const auto run = [&](std::chrono::milliseconds time, bool connected) {
        const Time end = now + time;
        while (std::min(a.next_deadline(), b.next_deadline()) <= end) {
            now = std::max(now, std::min(a.next_deadline(), b.next_deadline()));
            a.tick(now);
            b.tick(now);
            for (int i = 0; i < 4; ++i) {
                const auto from_a = a.take_output();
                const auto from_b = b.take_output();
                for (const Packet& packet : connected ? from_a : std::vector<Packet>{}) {
                    b.receive(packet, now);
                }
                for (const Packet& packet : connected ? from_b : std::vector<Packet>{}) {
                    a.receive(packet, now);
                }
            }
        }
        now = end;
    };
    run(3s, true);
    EXPECT_EQ(a.state(), State::Up);
    EXPECT_EQ(b.state(), State::Up);
    EXPECT_EQ(a.transmit_interval(), 300ms);
    EXPECT_EQ(b.transmit_interval(), 300ms);  // a takes no more
    EXPECT_EQ(a.detection_time(), 900ms);
    EXPECT_EQ(b.detection_time(), 900ms);
    run(1s, false);
    EXPECT_EQ(a.state(), State::Down);
    EXPECT_EQ(b.state(), State::Down);
    run(3s, true);
    EXPECT_EQ(a.state(), State::Up);
    EXPECT_EQ(b.state(), State::Up);
}

/// In a network of its own, whose one interface is lo.
class OwnNetwork : public ::testing::Test {
  protected:
    void in_own_network(void (*body)()) {
        bool alone = false;
        std::thread{[&] {  // a thread's network is its own
            alone = ::unshare(CLONE_NEWNET) == 0;
            if (alone) {
                body();
            }
        }}
            .join();
        if (!alone) {
            GTEST_SKIP() << "may not make a network namespace";
        }
    }

    static void rename(const std::string& from, const std::string& to) {
        ifreq request{};
        std::ranges::copy(from, request.ifr_name);
        std::ranges::copy(to, request.ifr_newname);
        const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
        EXPECT_EQ(::ioctl(socket, SIOCSIFNAME, &request), 0);
        ::close(socket);
    }
};

TEST_F(OwnNetwork, InterfacesAreKnownByTheNamesThatTheyHaveNow) {
    in_own_network([] {
        InterfaceIndices indices;
        indices.refresh();
        EXPECT_EQ(indices.of("lo"), 1U);
        EXPECT_EQ(indices.of("moved"), 0U);
        rename("lo", "moved");
        EXPECT_EQ(indices.of("lo"), 1U) << "asked for once";
        indices.refresh();
        EXPECT_EQ(indices.of("lo"), 0U);
        EXPECT_EQ(indices.of("moved"), 1U);
    });
}

TEST_F(OwnNetwork, LinksAreFoundByTheirInterface) {
    in_own_network([] {
        InterfaceIndices indices;
        const Ip6 own = *Ip6::parse("fe80::1");
        const Links links{
            {3, {.name = "a", .device = "absent"}}, {4, {.name = "b", .device = "lo"}}};
        EXPECT_EQ(link_of(links, indices, 1, own), 4U);
        EXPECT_EQ(link_of(links, indices, 2, own), 0U);
        EXPECT_EQ(link_of(links, indices, 0, own), 0U)
            << "not that of an interface that is not there";
    });
}

int next_descriptor() {
    const int next = ::dup(STDERR_FILENO);
    ::close(next);
    return next;
}

TEST(InterfaceNews, AreAskedForWhereLinksArePeered) {
    const Links links{{4, {.name = "b", .device = "absent"}}};
    const Ip6 own = *Ip6::parse("fe80::1");
    const int before = next_descriptor();
    InterfaceIndices indices;
    EXPECT_EQ(link_of({}, indices, 1, own), 0U);
    EXPECT_EQ(link_of(links, indices, 0, own), 0U);
    EXPECT_EQ(next_descriptor(), before);
    EXPECT_EQ(link_of(links, indices, 1, own), 0U);
    EXPECT_EQ(next_descriptor(), before + 1);
}

TEST(BfdSending, OnlyAnEndThatIsGoneCostsTheSocket) {  // RFC 5881 4: one source port
    for (const int gone : {ENODEV, ENXIO, EADDRNOTAVAIL, EINVAL, ENETUNREACH}) {
        EXPECT_TRUE(is_end_gone(gone)) << gone;
    }
    for (const int other : {ECONNREFUSED, EAGAIN, ENOBUFS, EHOSTUNREACH, EPERM}) {
        EXPECT_FALSE(is_end_gone(other)) << other;
    }
}

}  // namespace
}  // namespace vr::bgp::bfd::bfd_test
