// One BFD session, RFC 5880 6, asynchronous mode; pure.
//
// Fed with packets and the time, it answers with packets to send and with changes for its client.
// Timers are deadlines: next_deadline() says when tick() wants to be called.  Both sides are active, no
// echoes, no demand of our own; a peer in demand mode is not sent to while both are up (6.8.7).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "bgp/bfd_packet.h"
#include "bgp/config.h"
#include "bgp/fsm.h"

namespace vr::bgp::bfd {

/// What a client must know: the session came up, or went down and why.
struct Change {
    State to = State::Down;
    Diagnostic why = Diagnostic::None;
    /// Down: the other side was told to be down, which says nothing of the path (RFC 5882 4.2).
    bool by_operator = false;
    /// Down: BFD there does not share the fate of the control part, so forwarding is lost (C bit).
    bool control_independent = false;

    friend bool operator==(const Change&, const Change&) = default;
};

class Session {
  public:
    /// `mine` tells this session from all others of this system.
    Session(const BfdConfig& config, Discriminator mine, Random random, Time now);

    /// A packet that is the peer's, 6.8.6.
    void receive(const Packet& packet, Time now);

    /// Does what is due.
    void tick(Time now);

    /// Down by our operator's will: says so, until the detection time of the peer has passed.
    void shut_down(Time now);

    [[nodiscard]] Time next_deadline() const noexcept;

    /// Packets to send, in order.
    [[nodiscard]] std::vector<Packet> take_output() { return std::exchange(output_, {}); }

    [[nodiscard]] std::vector<Change> take_changes() { return std::exchange(changes_, {}); }

    [[nodiscard]] State state() const noexcept { return state_; }

    [[nodiscard]] State remote_state() const noexcept { return remote_state_; }

    [[nodiscard]] Discriminator mine() const noexcept { return mine_; }

    [[nodiscard]] Diagnostic diagnostic() const noexcept { return diagnostic_; }

    /// Between two of our packets, jitter apart.
    [[nodiscard]] std::chrono::microseconds transmit_interval() const noexcept;

    /// So long without a packet means down; 0 before the first one.
    [[nodiscard]] std::chrono::microseconds detection_time() const noexcept;

  private:
    void advance(State received);
    void change(State to, Diagnostic why, bool by_operator = false);
    [[nodiscard]] bool sends_periodically() const noexcept;
    [[nodiscard]] std::chrono::microseconds desired_transmit() const noexcept;
    void schedule(Time now);
    void send(bool final_);

    BfdConfig config_;
    Discriminator mine_;
    Random random_;
    State state_ = State::Down;
    State remote_state_ = State::Down;
    Discriminator yours_ = 0;
    Diagnostic diagnostic_ = Diagnostic::None;
    bool remote_demand_ = false;
    bool remote_control_independent_ = false;
    bool polling_ = false;
    std::uint8_t remote_multiplier_ = 0;
    std::chrono::microseconds remote_transmit_{0};
    std::chrono::microseconds remote_receive_{1};
    std::optional<Time> transmit_at_;
    std::optional<Time> silent_at_;
    std::vector<Packet> output_;
    std::vector<Change> changes_;
};

}  // namespace vr::bgp::bfd
