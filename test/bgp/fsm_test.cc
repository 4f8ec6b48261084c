// The FSM as a table: state x event -> state and actions; timers; collision.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/fsm.h"

#include <gtest/gtest.h>

namespace vr::bgp::fsm_test {
namespace {

using namespace std::chrono_literals;

const event::Stop kShutdown{Notification{ErrorCode::Cease, cease::kShutdown, {}}};
const event::MessageRefused kBadUpdate{Notification{ErrorCode::Update, 10, {}}};

/// What actions do, one letter each: C connect, D disconnect, O open, K keepalive, N<code/subcode>
/// notification, U up, W down: Wl lost, Wn notified, Wf final.
std::string letters(const std::vector<Action>& actions) {
    std::string text;
    for (const Action& what : actions) {
        if (const auto* farewell = std::get_if<action::SendNotification>(&what)) {
            text += "N" + std::to_string(static_cast<int>(farewell->what.code)) + "/" +
                    std::to_string(farewell->what.subcode) + " ";
        } else if (const auto* down = std::get_if<action::SessionDown>(&what)) {
            text += "W";
            text += "lnf"[static_cast<std::size_t>(down->how)];
        } else if (!std::holds_alternative<action::Changed>(what)) {
            constexpr std::string_view kLetters = "CDOKNUW";
            text += kLetters[what.index()];
        }
    }
    return text;
}

class Machine {
  public:
    explicit Machine(Direction direction = Direction::Outgoing)
        : fsm(direction, PeerTimers{}, [] { return 0.999; }) {}

    std::string feed(const Event& event) { return letters(fsm.on(event, now)); }

    std::string wait(std::chrono::milliseconds time) {
        now += time;
        return letters(fsm.tick(now));
    }

    /// Takes the shortest way to `state`.
    void reach(State state) {
        const std::vector<Event> way{
            event::Start{},
            event::TcpConnected{},
            event::OpenReceived{90s},
            event::KeepaliveReceived{}};
        const std::vector<State> stations{
            State::Connect, State::OpenSent, State::OpenConfirm, State::Established};
        if (state == State::Active) {
            feed(event::Start{});
            feed(event::TcpFailed{"refused"});
            return;
        }
        for (std::size_t i = 0; i < way.size() && fsm.state() != state; ++i) {
            feed(way[i]);
            ASSERT_EQ(fsm.state(), stations[i]);
        }
    }

    Fsm fsm;
    Time now{1h};
};

struct Row {
    State from;
    std::string name;
    Event event;
    State to;
    std::string actions;
};

class FsmRows : public ::testing::TestWithParam<Row> {};

TEST_P(FsmRows, GoesWhereTheRfcSays) {
    Machine machine;
    machine.reach(GetParam().from);
    const std::string actions = machine.feed(GetParam().event);
    EXPECT_EQ(to_string(machine.fsm.state()), to_string(GetParam().to));
    EXPECT_EQ(actions, GetParam().actions);
}

const event::NotificationReceived kReceived{Notification{ErrorCode::Cease, 2, {}}};
const event::NotificationReceived kHardReset{
    Notification{ErrorCode::Cease, cease::kHardReset, {6, 2}}};

INSTANTIATE_TEST_SUITE_P(
    Rows,
    FsmRows,
    ::testing::Values(
        Row{State::Idle, "start", event::Start{}, State::Connect, "C"},
        Row{State::Idle, "stop", kShutdown, State::Idle, ""},
        Row{State::Idle, "tcp", event::TcpConnected{}, State::Idle, "D"},
        Row{State::Idle, "update", event::UpdateReceived{}, State::Idle, ""},
        Row{State::Connect, "start", event::Start{}, State::Connect, ""},
        Row{State::Connect, "stop", kShutdown, State::Idle, "D"},
        Row{State::Connect, "tcp", event::TcpConnected{}, State::OpenSent, "O"},
        Row{State::Connect, "tcp_fails", event::TcpFailed{"x"}, State::Active, ""},
        Row{State::Connect, "open", event::OpenReceived{90s}, State::Idle, "D"},
        Row{State::Connect, "collision", event::CollisionLost{}, State::Idle, "D"},
        Row{State::Active, "stop", kShutdown, State::Idle, ""},
        Row{State::Active, "tcp", event::TcpConnected{}, State::OpenSent, "O"},
        Row{State::Active, "tcp_fails", event::TcpFailed{"x"}, State::Active, ""},
        Row{State::Active, "keepalive", event::KeepaliveReceived{}, State::Idle, "D"},
        Row{State::OpenSent, "start", event::Start{}, State::OpenSent, ""},
        Row{State::OpenSent, "stop", kShutdown, State::Idle, "N6/2 D"},
        Row{State::OpenSent, "open", event::OpenReceived{90s}, State::OpenConfirm, "K"},
        Row{State::OpenSent, "tcp_fails", event::TcpFailed{"x"}, State::Active, "D"},
        Row{State::OpenSent, "keepalive", event::KeepaliveReceived{}, State::Idle, "N5/1 D"},
        Row{State::OpenSent, "update", event::UpdateReceived{}, State::Idle, "N5/1 D"},
        Row{State::OpenSent, "refresh", event::RouteRefreshReceived{}, State::Idle, "N5/1 D"},
        Row{State::OpenSent, "notification", kReceived, State::Idle, "D"},
        Row{State::OpenSent, "collision", event::CollisionLost{}, State::Idle, "N6/7 D"},
        Row{State::OpenSent,
            "refused",
            event::MessageRefused{Notification{ErrorCode::Open, 2, {}}},
            State::Idle,
            "N2/2 D"},
        Row{State::OpenConfirm, "stop", kShutdown, State::Idle, "N6/2 D"},
        Row{State::OpenConfirm, "keepalive", event::KeepaliveReceived{}, State::Established, "U"},
        Row{State::OpenConfirm, "open", event::OpenReceived{90s}, State::Idle, "N5/2 D"},
        Row{State::OpenConfirm, "update", event::UpdateReceived{}, State::Idle, "N5/2 D"},
        Row{State::OpenConfirm, "refresh", event::RouteRefreshReceived{}, State::Idle, "N5/2 D"},
        Row{State::OpenConfirm, "notification", kReceived, State::Idle, "D"},
        Row{State::OpenConfirm, "tcp_fails", event::TcpFailed{"x"}, State::Idle, "D"},
        Row{State::OpenConfirm, "collision", event::CollisionLost{}, State::Idle, "N6/7 D"},
        Row{State::Established, "start", event::Start{}, State::Established, ""},
        Row{State::Established, "stop", kShutdown, State::Idle, "N6/2 DWf"},
        Row{State::Established, "keepalive", event::KeepaliveReceived{}, State::Established, ""},
        Row{State::Established, "update", event::UpdateReceived{}, State::Established, ""},
        Row{State::Established, "refresh", event::RouteRefreshReceived{}, State::Established, ""},
        Row{State::Established, "open", event::OpenReceived{90s}, State::Idle, "N5/3 DWn"},
        Row{State::Established, "notification", kReceived, State::Idle, "DWn"},
        Row{State::Established, "tcp_fails", event::TcpFailed{"x"}, State::Idle, "DWl"},
        Row{State::Established, "refused", kBadUpdate, State::Idle, "N3/10 DWn"},
        Row{State::Established, "hard_reset", kHardReset, State::Idle, "DWf"},
        Row{State::Established, "sent", event::Sent{}, State::Established, ""},
        Row{State::Established, "bfd_down", event::BfdDown{false}, State::Idle, "N6/10 DWl"},
        Row{State::Established, "bfd_dead", event::BfdDown{true}, State::Idle, "N6/10 DWf"},
        Row{State::OpenConfirm, "bfd_down", event::BfdDown{false}, State::Idle, "N6/10 D"},
        Row{State::OpenSent, "sent", event::Sent{}, State::OpenSent, ""},
        Row{State::Active, "bfd_down", event::BfdDown{false}, State::Active, ""},
        Row{State::Connect, "sent", event::Sent{}, State::Connect, ""},
        Row{State::Established,
            "too_many",
            event::MessageRefused{Notification{ErrorCode::Cease, cease::kMaximumPrefixes, {}}},
            State::Idle,
            "N6/1 DWf"},
        Row{State::Established, "collision", event::CollisionLost{}, State::Idle, "N6/7 DWn"}),
    [](const auto& row) { return std::string(to_string(row.param.from)) + "_" + row.param.name; });

TEST(FsmTimers, HoldTimeEndsInEveryOpenState) {
    for (const State state : {State::OpenSent, State::OpenConfirm, State::Established}) {
        Machine machine;
        machine.reach(state);
        machine.wait(29s);
        const std::string actions = machine.wait(62s);
        EXPECT_EQ(actions.substr(0, 6), "N4/0 D") << to_string(state);
        EXPECT_EQ(machine.fsm.state(), State::Idle);
    }
}

TEST(FsmTimers, KeepalivesGoOutEveryThird) {
    Machine machine;
    machine.reach(State::Established);
    EXPECT_EQ(machine.wait(29s), "");
    EXPECT_EQ(machine.wait(1s), "K");
}

TEST(FsmTimers, KeepalivesKeepTheirJitter) {  // RFC 4271 10: 75 to 100 percent
    Fsm fsm{Direction::Outgoing, PeerTimers{}, [] { return 0.0; }};
    const Time now{1h};
    for (const Event& event :
         std::vector<Event>{event::Start{}, event::TcpConnected{}, event::OpenReceived{90s}}) {
        static_cast<void>(fsm.on(event, now));
    }
    EXPECT_EQ(fsm.next_deadline(), now + 22500ms);
}

TEST(FsmTimers, HoldTimeZeroNeedsNoTimers) {
    Machine machine;
    machine.feed(event::Start{});
    machine.feed(event::TcpConnected{});
    machine.feed(event::OpenReceived{0s});
    machine.feed(event::KeepaliveReceived{});
    EXPECT_EQ(machine.fsm.next_deadline(), Time::max());
}

TEST(FsmTimers, FailedCallIsRetried) {
    Machine machine;
    machine.reach(State::Active);
    EXPECT_EQ(machine.wait(10s), "C");
    EXPECT_EQ(machine.fsm.state(), State::Connect);
}

TEST(FsmTimers, UnansweredCallIsDroppedAndRetried) {
    Machine machine;
    machine.reach(State::Connect);
    EXPECT_EQ(machine.wait(10s), "DC");
}

TEST(FsmTimers, PauseDoublesWithEveryError) {
    Machine machine;
    std::vector<std::chrono::milliseconds> pauses;
    machine.feed(event::Start{});
    for (int i = 0; i < 9; ++i) {
        machine.feed(event::TcpConnected{});
        machine.feed(kBadUpdate);
        const auto pause = machine.fsm.next_deadline() - machine.now;
        pauses.push_back(std::chrono::ceil<std::chrono::seconds>(pause));
        machine.wait(61s);
    }
    EXPECT_EQ(pauses[0], 1s);
    EXPECT_EQ(pauses[1], 2s);
    EXPECT_EQ(pauses[8], 60s);
}

TEST(FsmTimers, PeerThatTakesNothingIsGivenUp) {  // RFC 9687
    Machine machine;
    machine.reach(State::Established);
    std::string actions;
    for (int i = 0; i < 8; ++i) {
        machine.feed(event::KeepaliveReceived{});
        actions = machine.wait(60s);
    }
    EXPECT_EQ(actions, "N8/0 DWn");
}

TEST(FsmTimers, PeerThatTakesSomethingIsNot) {
    Machine machine;
    machine.reach(State::Established);
    for (int i = 0; i < 30; ++i) {
        machine.feed(event::KeepaliveReceived{});
        machine.feed(event::Sent{});
        EXPECT_EQ(machine.wait(60s), "K");
    }
}

TEST(FsmTimers, PauseIsAtLeastWhatWasAskedFor) {
    Machine machine;
    machine.reach(State::Established);
    machine.fsm.set_next_pause(5min);
    machine.feed(kBadUpdate);
    EXPECT_EQ(machine.fsm.next_deadline() - machine.now, 5min);
}

TEST(FsmTimers, ListenerNeverCalls) {
    Machine machine{Direction::Incoming};
    EXPECT_EQ(machine.feed(event::Start{}), "");
    EXPECT_EQ(machine.fsm.state(), State::Active);
    EXPECT_EQ(machine.fsm.next_deadline(), Time::max());
}

TEST(Collision, TheHigherIdentifiersCallSurvives) {  // RFC 4271 6.8
    const Contender low{.identifier = Ip4{1}, .asn = Asn{9}};
    const Contender high{.identifier = Ip4{2}, .asn = Asn{1}};
    EXPECT_EQ(collision_survivor(high, low), Direction::Outgoing);
    EXPECT_EQ(collision_survivor(low, high), Direction::Incoming);
}

TEST(Collision, EqualIdentifiersAreToldApartByAs) {  // RFC 6286 2.3
    const Contender low{.identifier = Ip4{1}, .asn = Asn{1}};
    const Contender high{.identifier = Ip4{1}, .asn = Asn{2}};
    EXPECT_EQ(collision_survivor(high, low), Direction::Outgoing);
    EXPECT_EQ(collision_survivor(low, high), Direction::Incoming);
}

}  // namespace
}  // namespace vr::bgp::fsm_test
