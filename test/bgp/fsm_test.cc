// The FSM as a table: state x event -> state and actions; timers; collision.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/fsm.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

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
const event::MessageRefused kBadOpen{Notification{ErrorCode::Open, 2, {}}};
const event::MessageRefused kBadHeader{Notification{ErrorCode::Header, 1, {}}};
const event::MessageRefused kTooMany{Notification{ErrorCode::Cease, cease::kMaximumPrefixes, {}}};

/// RFC 4271 8.2.2, every event in every state; fsm.h tells departures.
std::vector<Row> rows() {
    using enum State;
    return {
        // "Any other event received in the Idle state does not cause change in the state."
        {Idle, "start", event::Start{}, Connect, "C"},
        {Idle, "stop", kShutdown, Idle, ""},
        {Idle, "tcp", event::TcpConnected{}, Idle, "D"},
        {Idle, "tcp_fails", event::TcpFailed{"x"}, Idle, ""},
        {Idle, "open", event::OpenReceived{90s}, Idle, ""},
        {Idle, "keepalive", event::KeepaliveReceived{}, Idle, ""},
        {Idle, "update", event::UpdateReceived{}, Idle, ""},
        {Idle, "refresh", event::RouteRefreshReceived{}, Idle, ""},
        {Idle, "notification", kReceived, Idle, ""},
        {Idle, "sent", event::Sent{}, Idle, ""},
        {Idle, "bfd_down", event::BfdDown{false}, Idle, ""},
        {Idle, "refused", kBadOpen, Idle, ""},
        {Idle, "collision", event::CollisionLost{}, Idle, ""},

        // No OPEN is out: what ends the attempt sends no NOTIFICATION.
        {Connect, "start", event::Start{}, Connect, ""},
        {Connect, "stop", kShutdown, Idle, "D"},
        {Connect, "tcp", event::TcpConnected{}, OpenSent, "O"},
        {Connect, "tcp_fails", event::TcpFailed{"x"}, Active, ""},
        {Connect, "open", event::OpenReceived{90s}, Idle, "D"},
        {Connect, "keepalive", event::KeepaliveReceived{}, Idle, "D"},
        {Connect, "update", event::UpdateReceived{}, Idle, "D"},
        {Connect, "refresh", event::RouteRefreshReceived{}, Idle, "D"},
        {Connect, "notification", kReceived, Idle, "D"},
        {Connect, "sent", event::Sent{}, Connect, ""},
        {Connect, "bfd_down", event::BfdDown{false}, Connect, ""},
        {Connect, "refused", kBadHeader, Idle, "D"},
        {Connect, "collision", event::CollisionLost{}, Idle, "D"},

        {Active, "start", event::Start{}, Active, ""},
        {Active, "stop", kShutdown, Idle, ""},
        {Active, "tcp", event::TcpConnected{}, OpenSent, "O"},
        {Active, "tcp_fails", event::TcpFailed{"x"}, Active, ""},
        {Active, "open", event::OpenReceived{90s}, Idle, "D"},
        {Active, "keepalive", event::KeepaliveReceived{}, Idle, "D"},
        {Active, "update", event::UpdateReceived{}, Idle, "D"},
        {Active, "refresh", event::RouteRefreshReceived{}, Idle, "D"},
        {Active, "notification", kReceived, Idle, "D"},
        {Active, "sent", event::Sent{}, Active, ""},
        {Active, "bfd_down", event::BfdDown{false}, Active, ""},
        {Active, "refused", kBadHeader, Idle, "D"},
        {Active, "collision", event::CollisionLost{}, Idle, ""},

        // RFC 6608 4: subcode 1 for what has no place in this state.
        {OpenSent, "start", event::Start{}, OpenSent, ""},
        {OpenSent, "stop", kShutdown, Idle, "N6/2 D"},
        {OpenSent, "tcp", event::TcpConnected{}, OpenSent, ""},
        {OpenSent, "tcp_fails", event::TcpFailed{"x"}, Active, "D"},
        {OpenSent, "open", event::OpenReceived{90s}, OpenConfirm, "K"},
        {OpenSent, "keepalive", event::KeepaliveReceived{}, Idle, "N5/1 D"},
        {OpenSent, "update", event::UpdateReceived{}, Idle, "N5/1 D"},
        {OpenSent, "refresh", event::RouteRefreshReceived{}, Idle, "N5/1 D"},
        {OpenSent, "notification", kReceived, Idle, "D"},
        {OpenSent, "sent", event::Sent{}, OpenSent, ""},
        {OpenSent, "bfd_down", event::BfdDown{false}, Idle, "N6/10 D"},
        {OpenSent, "refused", kBadOpen, Idle, "N2/2 D"},
        {OpenSent, "collision", event::CollisionLost{}, Idle, "N6/7 D"},

        {OpenConfirm, "start", event::Start{}, OpenConfirm, ""},
        {OpenConfirm, "stop", kShutdown, Idle, "N6/2 D"},
        {OpenConfirm, "tcp", event::TcpConnected{}, OpenConfirm, ""},
        {OpenConfirm, "tcp_fails", event::TcpFailed{"x"}, Idle, "D"},
        {OpenConfirm, "open", event::OpenReceived{90s}, Idle, "N5/2 D"},
        {OpenConfirm, "keepalive", event::KeepaliveReceived{}, Established, "U"},
        {OpenConfirm, "update", event::UpdateReceived{}, Idle, "N5/2 D"},
        {OpenConfirm, "refresh", event::RouteRefreshReceived{}, Idle, "N5/2 D"},
        {OpenConfirm, "notification", kReceived, Idle, "D"},
        {OpenConfirm, "sent", event::Sent{}, OpenConfirm, ""},
        {OpenConfirm, "bfd_down", event::BfdDown{false}, Idle, "N6/10 D"},
        {OpenConfirm, "refused", kBadHeader, Idle, "N1/1 D"},
        {OpenConfirm, "collision", event::CollisionLost{}, Idle, "N6/7 D"},

        {Established, "start", event::Start{}, Established, ""},
        {Established, "stop", kShutdown, Idle, "N6/2 DWf"},
        {Established, "tcp", event::TcpConnected{}, Established, ""},
        {Established, "tcp_fails", event::TcpFailed{"x"}, Idle, "DWl"},
        {Established, "open", event::OpenReceived{90s}, Idle, "N5/3 DWn"},
        {Established, "keepalive", event::KeepaliveReceived{}, Established, ""},
        {Established, "update", event::UpdateReceived{}, Established, ""},
        {Established, "refresh", event::RouteRefreshReceived{}, Established, ""},
        {Established, "notification", kReceived, Idle, "DWn"},
        {Established, "hard_reset", kHardReset, Idle, "DWf"},
        {Established, "sent", event::Sent{}, Established, ""},
        {Established, "bfd_down", event::BfdDown{false}, Idle, "N6/10 DWl"},
        {Established, "bfd_dead", event::BfdDown{true}, Idle, "N6/10 DWf"},
        {Established, "refused", kBadUpdate, Idle, "N3/10 DWn"},
        {Established, "refused_header", kBadHeader, Idle, "N1/1 DWn"},
        {Established, "too_many", kTooMany, Idle, "N6/1 DWf"},
        {Established, "collision", event::CollisionLost{}, Idle, "N6/7 DWn"},
    };
}

INSTANTIATE_TEST_SUITE_P(Rows, FsmRows, ::testing::ValuesIn(rows()), [](const auto& row) {
    return std::string(to_string(row.param.from)) + "_" + row.param.name;
});

TEST(FsmRows, EveryEventIsTriedInEveryState) {
    std::set<std::pair<State, std::size_t>> tried;
    for (const Row& row : rows()) {
        tried.emplace(row.from, row.event.index());
    }
    EXPECT_EQ(tried.size(), 6 * std::variant_size_v<Event>);
}

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
    for (const State state : {State::OpenConfirm, State::Established}) {
        Machine machine;
        machine.reach(state);
        EXPECT_EQ(machine.wait(29s), "") << to_string(state);
        EXPECT_EQ(machine.wait(1s), "K") << to_string(state);
    }
}

TEST(FsmTimers, WhateverIsHeardRestartsTheHoldTimer) {  // a peer may say UPDATE for KEEPALIVE
    const std::vector<Event> words{
        event::KeepaliveReceived{}, event::UpdateReceived{}, event::RouteRefreshReceived{}};
    for (const Event& heard : words) {
        Machine machine;
        machine.reach(State::Established);
        machine.wait(89s);
        machine.feed(heard);
        EXPECT_EQ(machine.wait(89s), "K") << heard.index();
        EXPECT_EQ(machine.wait(1s), "N4/0 DWn") << heard.index();
    }
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
