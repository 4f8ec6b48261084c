// The finite state machine of one connection, RFC 4271 section 8; pure.
//
// Fed with events and the time, it answers with actions for its owner to perform in order.  Timers are
// deadlines: next_deadline() says when tick() wants to be called.  A peer has two machines, one for
// the connection that it opens and one for the connection that it accepts; collision.h decides between
// them (CollisionLost).
//
// Departures from the RFC, all of them usual: no DelayOpen; a failed connection attempt leads to Active
// (and from there to the next attempt) instead of Idle; leaving Idle after an error waits for the idle
// hold time, which doubles with every error until a session has lived; where section 8.2.2 answers with
// an FSM error, a message that is malformed gets the error of sections 6.1 to 6.3, and a NOTIFICATION no
// answer.  Error subcodes: RFC 6608.  The send hold timer is RFC 9687's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bgp/collision.h"
#include "bgp/config.h"
#include "bgp/notification.h"

namespace vr::bgp {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

/// Uniform in [0, 1): the source of jitter, given from outside.
using Random = std::function<double()>;

enum class State : std::uint8_t { Idle, Connect, Active, OpenSent, OpenConfirm, Established };

[[nodiscard]] std::string_view to_string(State state);

namespace event {

struct Start {};  ///< ManualStart or AutomaticStart, with or without PassiveTcpEstablishment

/// ManualStop: the session ends with this Cease.
struct Stop {
    Notification why;
};

struct TcpConnected {};  ///< Tcp_CR_Acked or TcpConnectionConfirmed

struct TcpFailed {
    std::string why;
};

struct OpenReceived {  ///< BGPOpen: valid, and these are the terms
    std::chrono::seconds hold_time;
};

struct KeepaliveReceived {};

struct UpdateReceived {};

struct RouteRefreshReceived {};

struct NotificationReceived {
    Notification what;
};

/// What waited for the peer's TCP has gone out: restarts the send hold timer, RFC 9687.
struct Sent {};

/// BFD says that the peer cannot be reached, RFC 5882.
struct BfdDown {
    bool forwarding_lost = false;  ///< not only its control part
};

/// BGPHeaderErr, BGPOpenMsgErr, UpdateMsgErr: what arrived is refused with this.
struct MessageRefused {
    Notification answer;
};

struct CollisionLost {};  ///< OpenCollisionDump, and what parks a machine while the other one lives

}  // namespace event

using Event = std::variant<
    event::Start,
    event::Stop,
    event::TcpConnected,
    event::TcpFailed,
    event::OpenReceived,
    event::KeepaliveReceived,
    event::UpdateReceived,
    event::RouteRefreshReceived,
    event::NotificationReceived,
    event::Sent,
    event::BfdDown,
    event::MessageRefused,
    event::CollisionLost>;

/// How a session ended, for what graceful restart makes of it.
enum class Ending : std::uint8_t {
    Lost,      ///< the connection went without a word, RFC 4724
    Notified,  ///< with a NOTIFICATION that leaves the way back open, RFC 8538
    Final,     ///< nobody is coming back: hard reset, or an operator's will
};

namespace action {

struct Connect {
    friend bool operator==(const Connect&, const Connect&) = default;
};

struct Disconnect {
    friend bool operator==(const Disconnect&, const Disconnect&) = default;
};

struct SendOpen {
    friend bool operator==(const SendOpen&, const SendOpen&) = default;
};

struct SendKeepalive {
    friend bool operator==(const SendKeepalive&, const SendKeepalive&) = default;
};

struct SendNotification {
    Notification what;
    friend bool operator==(const SendNotification&, const SendNotification&) = default;
};

struct SessionUp {
    friend bool operator==(const SessionUp&, const SessionUp&) = default;
};

struct SessionDown {
    Ending how = Ending::Lost;
    friend bool operator==(const SessionDown&, const SessionDown&) = default;
};

/// For the log and the operator.
struct Changed {
    State from = State::Idle;
    State to = State::Idle;
    std::string why;
    bool is_error = false;  ///< something failed, here or there
    friend bool operator==(const Changed&, const Changed&) = default;
};

}  // namespace action

using Action = std::variant<
    action::Connect,
    action::Disconnect,
    action::SendOpen,
    action::SendKeepalive,
    action::SendNotification,
    action::SessionUp,
    action::SessionDown,
    action::Changed>;

class Fsm {
  public:
    /// A machine for incoming connections never calls; `timers` are copied.
    Fsm(Direction direction, const PeerTimers& timers, Random random);

    /// Feeds one event; the caller performs the returned actions in order.  `now` never goes back.
    [[nodiscard]] std::vector<Action> on(const Event& event, Time now);

    /// Fires every timer that is due.
    [[nodiscard]] std::vector<Action> tick(Time now);

    /// When tick() has something to do; Time::max() when never.
    [[nodiscard]] Time next_deadline() const noexcept;

    [[nodiscard]] State state() const noexcept { return state_; }

    void set_timers(const PeerTimers& timers) { timers_ = timers; }

    /// Makes the pause after the error that is about to come at least this long.
    void set_next_pause(std::chrono::milliseconds pause) { next_pause_ = pause; }

  private:
    using Deadline = std::optional<Time>;

    void on_idle(const Event& event);
    void on_connect(const Event& event);
    void on_active(const Event& event);
    void on_open_sent(const Event& event);
    void on_open_confirm(const Event& event);
    void on_established(const Event& event);

    /// What ends a connection the same way in all three states with an open connection.
    [[nodiscard]] bool ended(const Event& event);
    void unexpected_message(const Event& event, std::uint8_t subcode);
    void on_hold_expired();

    void begin();
    void connection_opened();
    void send_keepalive();
    void change(State to, std::string why, bool is_error = false);
    /// Idle after an error: starts again by itself, later each time.
    void fail(std::string why);
    void listen_again();
    /// Idle for good: until Start.
    void park(std::string why);
    void leave(std::string why, bool is_error);
    void close_with(const Notification& notification);
    void restart_hold();
    void restart_send_hold();
    [[nodiscard]] Time jittered(std::chrono::milliseconds period) const;

    Direction direction_;
    PeerTimers timers_;
    Random random_;
    State state_ = State::Idle;
    Deadline connect_retry_;
    Deadline hold_;
    Deadline send_hold_;
    Deadline keepalive_;
    Deadline idle_hold_;
    std::chrono::milliseconds hold_time_{0};
    std::chrono::milliseconds keepalive_time_{
        0};  ///< keepalives are sent this often, jitter apart; 0: none
    std::chrono::milliseconds next_idle_hold_;
    std::chrono::milliseconds next_pause_{0};
    Ending ending_ = Ending::Lost;
    Time established_since_{};
    Time now_{};
    std::vector<Action> actions_;
};

}  // namespace vr::bgp
