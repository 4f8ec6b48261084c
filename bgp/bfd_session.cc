// SPDX-License-Identifier: Apache-2.0
#include "bgp/bfd_session.h"

#include <algorithm>
#include <utility>

namespace vr::bgp::bfd {
namespace {

using std::chrono::microseconds;

/// RFC 5880 6.8.3: not faster while the session is not up.
constexpr microseconds kSlow = std::chrono::seconds{1};

}  // namespace

Session::Session(const BfdConfig& config, Discriminator mine, Random random, Time now)
    : config_(config), mine_(mine), random_(std::move(random)), transmit_at_(now) {}

void Session::receive(const Packet& packet, Time now) {
    const microseconds before = transmit_interval();
    const bool sent_before = sends_periodically();
    yours_ = packet.mine;
    remote_state_ = packet.state;
    remote_demand_ = packet.demand;
    remote_control_independent_ = packet.control_independent;
    remote_multiplier_ = packet.multiplier;
    remote_transmit_ = packet.desired_transmit;
    remote_receive_ = packet.required_receive;
    if (packet.final_) {
        polling_ = false;
    }
    if (state_ == State::AdminDown) {
        return;
    }
    const State old = state_;
    advance(packet.state);
    // RFC 5880 6.8.7: a shorter interval counts at once, a state's news even sooner.
    if (state_ != old) {
        send(false);
        schedule(now);
    } else if (sent_before != sends_periodically() || transmit_interval() < before) {
        schedule(now);
    }
    if (packet.poll) {
        send(true);
    }
    silent_at_ = now + detection_time();
}

/// The state machine of RFC 5880 6.2.
void Session::advance(State received) {
    if (received == State::AdminDown) {
        if (state_ != State::Down) {
            change(State::Down, Diagnostic::NeighborDown, true);
        }
    } else if (state_ == State::Down) {
        if (received == State::Down) {
            change(State::Init, Diagnostic::None);
        } else if (received == State::Init) {
            change(State::Up, Diagnostic::None);
        }
    } else if (state_ == State::Init) {
        if (received == State::Init || received == State::Up) {
            change(State::Up, Diagnostic::None);
        }
    } else if (state_ == State::Up && received == State::Down) {
        change(State::Down, Diagnostic::NeighborDown);
    }
}

void Session::change(State to, Diagnostic why, bool by_operator) {
    const State from = std::exchange(state_, to);
    diagnostic_ = why;
    // RFC 5880 6.8.3: what we announce as our interval changes with Up.
    polling_ = to == State::Up;
    if (to == State::Up || from == State::Up) {
        changes_.push_back(Change{
            .to = to,
            .why = why,
            .by_operator = by_operator,
            .control_independent = remote_control_independent_});
    }
}

void Session::tick(Time now) {
    if (silent_at_ && *silent_at_ <= now) {
        silent_at_.reset();
        // RFC 5880 6.8.1: whoever comes next introduces itself.
        yours_ = 0;
        remote_state_ = State::Down;
        remote_demand_ = false;
        remote_receive_ = microseconds{1};
        if (state_ == State::Up || state_ == State::Init) {
            change(State::Down, Diagnostic::DetectionTimeExpired);
            send(false);
        }
        schedule(now);
    }
    if (transmit_at_ && *transmit_at_ <= now) {
        send(false);
        schedule(now);
    }
}

void Session::shut_down(Time now) {
    if (state_ == State::AdminDown) {
        return;
    }
    change(State::AdminDown, Diagnostic::AdminDown, true);
    silent_at_.reset();
    send(false);
    schedule(now);
}

Time Session::next_deadline() const noexcept {
    return std::min(transmit_at_.value_or(Time::max()), silent_at_.value_or(Time::max()));
}

microseconds Session::desired_transmit() const noexcept {
    const microseconds wanted = config_.transmit;
    return state_ == State::Up ? wanted : std::max(wanted, kSlow);
}

microseconds Session::transmit_interval() const noexcept {
    return std::max(desired_transmit(), remote_receive_);
}

microseconds Session::detection_time() const noexcept {
    return remote_multiplier_ * std::max<microseconds>(config_.receive, remote_transmit_);
}

/// RFC 5880 6.8.7.
bool Session::sends_periodically() const noexcept {
    const bool demanded =
        remote_demand_ && state_ == State::Up && remote_state_ == State::Up && !polling_;
    return remote_receive_.count() != 0 && !demanded;
}

/// RFC 5880 6.8.7: 75 to 100 percent, with a multiplier of one at most 90.
void Session::schedule(Time now) {
    transmit_at_.reset();
    if (!sends_periodically()) {
        return;
    }
    const double spread = config_.multiplier == 1 ? 0.15 : 0.25;
    const double factor = 0.75 + spread * random_();
    transmit_at_ = now + microseconds{static_cast<microseconds::rep>(
                             static_cast<double>(transmit_interval().count()) * factor)};
}

void Session::send(bool final_) {
    output_.push_back(Packet{
        .diagnostic = diagnostic_,
        .state = state_,
        .poll = polling_ && !final_,
        .final_ = final_,
        .control_independent = false,
        .demand = false,
        .multiplier = config_.multiplier,
        .mine = mine_,
        .yours = yours_,
        .desired_transmit = desired_transmit(),
        .required_receive = config_.receive,
        .required_echo = microseconds{0}});
}

}  // namespace vr::bgp::bfd
