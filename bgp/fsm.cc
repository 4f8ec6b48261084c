// SPDX-License-Identifier: Apache-2.0
#include "bgp/fsm.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "bgp/message.h"

namespace vr::bgp {
namespace {

using std::chrono::milliseconds;

/// A session that lived this long has earned a fresh start of the idle hold time.
constexpr std::chrono::minutes kLongEnough{5};

template <typename T>
bool is(const Event& event) {
    return std::holds_alternative<T>(event);
}

bool is_hard_reset(const Notification& what) {
    return what.code == ErrorCode::Cease && what.subcode == cease::kHardReset;
}

/// The message type behind an event, for the data of an FSM error (RFC 6608 3).
std::optional<MessageType> message_of(const Event& event) {
    if (is<event::OpenReceived>(event)) {
        return MessageType::Open;
    }
    if (is<event::KeepaliveReceived>(event)) {
        return MessageType::Keepalive;
    }
    if (is<event::UpdateReceived>(event)) {
        return MessageType::Update;
    }
    if (is<event::RouteRefreshReceived>(event)) {
        return MessageType::RouteRefresh;
    }
    return std::nullopt;
}

/// Anything that only an open connection can bring.
bool is_message(const Event& event) {
    return message_of(event) || is<event::NotificationReceived>(event) ||
           is<event::MessageRefused>(event);
}

}  // namespace

std::string_view to_string(State state) {
    constexpr std::array<std::string_view, 6> kNames{
        "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"};
    return kNames.at(static_cast<std::size_t>(state));
}

Fsm::Fsm(Direction direction, const PeerTimers& timers, Random random)
    : direction_(direction),
      timers_(timers),
      random_(std::move(random)),
      next_idle_hold_(timers.idle_hold) {}

std::vector<Action> Fsm::on(const Event& event, Time now) {
    now_ = now;
    switch (state_) {
        case State::Idle:
            on_idle(event);
            break;
        case State::Connect:
            on_connect(event);
            break;
        case State::Active:
            on_active(event);
            break;
        case State::OpenSent:
            on_open_sent(event);
            break;
        case State::OpenConfirm:
            on_open_confirm(event);
            break;
        case State::Established:
            on_established(event);
            break;
    }
    return std::exchange(actions_, {});
}

std::vector<Action> Fsm::tick(Time now) {
    now_ = now;
    const auto due = [now](Deadline& deadline) {
        const bool is_due = deadline && *deadline <= now;
        if (is_due) {
            deadline.reset();
        }
        return is_due;
    };
    if (due(hold_)) {
        on_hold_expired();
    }
    if (due(send_hold_)) {
        // RFC 9687 4.1: the words will hardly get out, but the log has them.
        close_with(notification(ErrorCode::SendHoldTimer, 0));
        fail("send hold timer expired");
    }
    if (due(keepalive_)) {
        send_keepalive();
    }
    if (due(connect_retry_)) {
        // RFC 4271 8.2.2, event 9: drop the attempt and make another.
        if (state_ == State::Connect) {
            actions_.emplace_back(action::Disconnect{});
        }
        actions_.emplace_back(action::Connect{});
        connect_retry_ = jittered(timers_.connect_retry);
        change(State::Connect, "connect retry");
    }
    if (due(idle_hold_)) {
        begin();
    }
    return std::exchange(actions_, {});
}

Time Fsm::next_deadline() const noexcept {
    Time next = Time::max();
    for (const Deadline& deadline : {connect_retry_, hold_, send_hold_, keepalive_, idle_hold_}) {
        next = deadline ? std::min(next, *deadline) : next;
    }
    return next;
}

/// RFC 4271 8.2.2, Idle: refuses connections, waits for a start.
void Fsm::on_idle(const Event& event) {
    if (is<event::Start>(event)) {
        begin();
    } else if (is<event::Stop>(event) || is<event::CollisionLost>(event)) {
        idle_hold_.reset();
    } else if (is<event::TcpConnected>(event)) {
        actions_.emplace_back(action::Disconnect{});
    }
}

/// RFC 4271 8.2.2, Connect: our call is out.
void Fsm::on_connect(const Event& event) {
    if (is<event::TcpConnected>(event)) {
        connection_opened();
    } else if (const auto* failed = std::get_if<event::TcpFailed>(&event)) {
        connect_retry_ = jittered(timers_.connect_retry);
        change(State::Active, failed->why, true);
    } else if (const auto* stop = std::get_if<event::Stop>(&event)) {
        actions_.emplace_back(action::Disconnect{});
        park(to_string(stop->why));
    } else if (is<event::CollisionLost>(event)) {
        actions_.emplace_back(action::Disconnect{});
        park("the other connection lives");
    } else if (is_message(event)) {
        actions_.emplace_back(action::Disconnect{});
        fail("message before the connection");
    }
}

/// RFC 4271 8.2.2, Active: waits for the peer's call, or for the time to call again.
void Fsm::on_active(const Event& event) {
    if (is<event::TcpConnected>(event)) {
        connection_opened();
    } else if (const auto* stop = std::get_if<event::Stop>(&event)) {
        park(to_string(stop->why));
    } else if (is<event::CollisionLost>(event)) {
        park("the other connection lives");
    } else if (is_message(event)) {
        actions_.emplace_back(action::Disconnect{});
        fail("message before the connection");
    }
}

/// RFC 4271 8.2.2, OpenSent: waits for the peer's OPEN.
void Fsm::on_open_sent(const Event& event) {
    if (const auto* open = std::get_if<event::OpenReceived>(&event)) {
        hold_time_ = open->hold_time;
        keepalive_time_ = hold_time_ / 3;
        if (timers_.keepalive.count() > 0) {
            keepalive_time_ = std::min<milliseconds>(keepalive_time_, timers_.keepalive);
        }
        send_keepalive();
        restart_hold();
        change(State::OpenConfirm, "OPEN received");
    } else if (const auto* failed = std::get_if<event::TcpFailed>(&event)) {
        hold_.reset();
        actions_.emplace_back(action::Disconnect{});
        if (direction_ == Direction::Outgoing) {
            connect_retry_ = jittered(timers_.connect_retry);
        }
        change(State::Active, failed->why, true);
    } else if (!ended(event)) {
        unexpected_message(event, fsm_error::kInOpenSent);
    }
}

/// RFC 4271 8.2.2, OpenConfirm: waits for the KEEPALIVE that confirms our OPEN.
void Fsm::on_open_confirm(const Event& event) {
    if (is<event::KeepaliveReceived>(event)) {
        restart_hold();
        established_since_ = now_;
        restart_send_hold();
        change(State::Established, "KEEPALIVE received");
        actions_.emplace_back(action::SessionUp{});
    } else if (!ended(event)) {
        unexpected_message(event, fsm_error::kInOpenConfirm);
    }
}

/// RFC 4271 8.2.2, Established: routes flow; everything heard restarts the hold timer.
void Fsm::on_established(const Event& event) {
    if (is<event::KeepaliveReceived>(event) || is<event::UpdateReceived>(event) ||
        is<event::RouteRefreshReceived>(event)) {
        restart_hold();
    } else if (!ended(event)) {
        unexpected_message(event, fsm_error::kInEstablished);
    }
}

bool Fsm::ended(const Event& event) {
    if (const auto* stop = std::get_if<event::Stop>(&event)) {
        close_with(stop->why);
        park(to_string(stop->why));
    } else if (is<event::CollisionLost>(event)) {
        close_with(notification(ErrorCode::Cease, cease::kCollision));
        park("the other connection lives");
    } else if (const auto* failed = std::get_if<event::TcpFailed>(&event)) {
        actions_.emplace_back(action::Disconnect{});
        ending_ = Ending::Lost;
        fail(failed->why);
        listen_again();
    } else if (const auto* bfd = std::get_if<event::BfdDown>(&event)) {
        // RFC 9384.  RFC 5882 4.3.2: with only its control part lost, the peer may be restarting.
        close_with(notification(ErrorCode::Cease, cease::kBfdDown));
        ending_ = bfd->forwarding_lost ? Ending::Final : Ending::Lost;
        fail("BFD session down");
    } else if (const auto* received = std::get_if<event::NotificationReceived>(&event)) {
        ending_ = is_hard_reset(received->what) ? Ending::Final : Ending::Notified;
        actions_.emplace_back(action::Disconnect{});
        fail("received " + to_string(received->what));
        listen_again();
    } else if (const auto* refused = std::get_if<event::MessageRefused>(&event)) {
        close_with(refused->answer);
        fail("sent " + to_string(refused->answer));
    } else if (is<event::Sent>(event)) {
        restart_send_hold();
    } else {
        return is<event::Start>(event) || is<event::TcpConnected>(event);
    }
    return true;
}

void Fsm::unexpected_message(const Event& event, std::uint8_t subcode) {
    const std::array<std::uint8_t, 1> type{
        static_cast<std::uint8_t>(message_of(event).value_or(MessageType::Open))};
    const Notification answer = notification(ErrorCode::Fsm, subcode, type);
    close_with(answer);
    fail("sent " + to_string(answer));
}

void Fsm::on_hold_expired() {
    close_with(notification(ErrorCode::HoldTimer, 0));
    fail("hold timer expired");
}

void Fsm::begin() {
    idle_hold_.reset();
    if (direction_ == Direction::Incoming) {
        change(State::Active, "waiting for a connection");
        return;
    }
    connect_retry_ = jittered(timers_.connect_retry);
    actions_.emplace_back(action::Connect{});
    change(State::Connect, "connecting");
}

void Fsm::connection_opened() {
    connect_retry_.reset();
    actions_.emplace_back(action::SendOpen{});
    hold_ = now_ + timers_.open_wait;
    change(State::OpenSent, "connection open");
}

void Fsm::send_keepalive() {
    actions_.emplace_back(action::SendKeepalive{});
    if (keepalive_time_.count() > 0) {
        keepalive_ = jittered(keepalive_time_);
    }
}

void Fsm::change(State to, std::string why, bool is_error) {
    if (to != state_) {
        actions_.emplace_back(
            action::Changed{.from = state_, .to = to, .why = std::move(why), .is_error = is_error});
        state_ = to;
    }
}

void Fsm::fail(std::string why) {
    if (state_ == State::Established && now_ - established_since_ >= kLongEnough) {
        next_idle_hold_ = timers_.idle_hold;
    }
    leave(std::move(why), true);
    const milliseconds pause = std::exchange(next_pause_, milliseconds{0});
    idle_hold_ = std::max(jittered(next_idle_hold_), now_ + pause);
    next_idle_hold_ = std::min(next_idle_hold_ * 2, timers_.idle_hold_most);
}

/// The peer went away by its own will: whoever only listens need not make it wait when it returns.
void Fsm::listen_again() {
    if (direction_ == Direction::Incoming) {
        idle_hold_ = now_;
    }
}

void Fsm::park(std::string why) {
    leave(std::move(why), false);
    next_idle_hold_ = timers_.idle_hold;
}

void Fsm::leave(std::string why, bool is_error) {
    const bool was_up = state_ == State::Established;
    connect_retry_.reset();
    hold_.reset();
    send_hold_.reset();
    keepalive_.reset();
    idle_hold_.reset();
    hold_time_ = keepalive_time_ = milliseconds{0};
    change(State::Idle, std::move(why), is_error);
    if (was_up) {
        actions_.emplace_back(action::SessionDown{ending_});
    }
}

void Fsm::close_with(const Notification& notification) {
    ending_ = is_permanent(notification) ? Ending::Final : Ending::Notified;
    actions_.emplace_back(action::SendNotification{notification});
    actions_.emplace_back(action::Disconnect{});
}

void Fsm::restart_hold() {
    hold_.reset();
    if (hold_time_.count() > 0) {
        hold_ = now_ + hold_time_;
    }
}

/// RFC 9687 4.1: off with a hold time of 0, since then nothing need ever be sent.
void Fsm::restart_send_hold() {
    if (state_ >= State::OpenConfirm && hold_time_.count() > 0 && timers_.send_hold.count() > 0) {
        send_hold_ = now_ + std::max<milliseconds>(timers_.send_hold, 2 * hold_time_);
    }
}

Time Fsm::jittered(milliseconds period) const {
    const double factor = 0.75 + 0.25 * random_();  // RFC 4271 10
    return now_ + milliseconds{
                      static_cast<milliseconds::rep>(static_cast<double>(period.count()) * factor)};
}

}  // namespace vr::bgp
