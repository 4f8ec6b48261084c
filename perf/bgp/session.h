// A BGP session of the load generator: one TCP connection, non-blocking, driven by epoll.
//
// As little of BGP as loads a speaker and counts what comes back: OPEN, KEEPALIVE, UPDATEs.  What it
// sends lies in memory before the clock starts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/wire.h"

namespace vr::perf {

using Clock = std::chrono::steady_clock;

struct Endpoint {
    Ip4 local;
    Ip4 remote;
    std::uint32_t asn = 0;
    bool ip6_routes = false;  ///< besides those of IPv4
};

class Session {
  public:
    enum class State : std::uint8_t { Closed, Connecting, OpenSent, OpenConfirm, Established };

    /// `on_update` is given the body of every UPDATE.
    Session(const Endpoint& endpoint, std::function<void(Bytes)> on_update);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    Session(Session&&) = delete;
    Session& operator=(Session&&) = delete;
    ~Session();

    /// Calls the speaker; poll() afterwards whenever the descriptor is ready.
    void connect();

    /// Ends the connection as a crashed peer does: with a RST.
    void reset();

    /// What is to be sent once established; it is kept by the caller.
    void send(Bytes octets);

    /// Handles readiness (epoll's bits); false when the connection is gone.
    bool poll(std::uint32_t ready);

    /// Says that we live, when it is time to.
    void keep_alive(Clock::time_point now);

    [[nodiscard]] int descriptor() const noexcept { return socket_; }

    [[nodiscard]] State state() const noexcept { return state_; }

    [[nodiscard]] bool all_sent() const noexcept { return queue_.empty(); }

    /// Whether epoll shall tell when there is room to write.
    [[nodiscard]] bool wants_to_write() const noexcept {
        return state_ == State::Connecting || (state_ == State::Established && !queue_.empty());
    }

    [[nodiscard]] Clock::time_point called_at() const noexcept { return called_at_; }

    [[nodiscard]] std::optional<Clock::time_point> established_at() const noexcept {
        return established_at_;
    }

    [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

  private:
    bool connected();
    bool read();
    bool write();
    bool handle(Bytes message);
    bool lose(std::string why);
    void say(std::uint8_t type, Bytes body);

    Endpoint endpoint_;
    std::function<void(Bytes)> on_update_;
    int socket_ = -1;
    State state_ = State::Closed;
    Bytes queue_;
    std::vector<std::uint8_t> input_;
    std::size_t filled_ = 0;
    Clock::time_point called_at_{};
    std::optional<Clock::time_point> established_at_;
    Clock::time_point spoke_at_{};
    std::string trouble_;
};

/// One UPDATE that announces `count` host routes from `first` on with attributes of their own.
struct Announcement {
    Ip4 first;
    unsigned count = 0;
    Ip4 next_hop;
    std::vector<std::uint32_t> as_path;
    std::uint32_t community = 0;
};

void encode_update(const Announcement& announcement, Writer& out);

/// One UPDATE that withdraws a host route.
void encode_withdrawal(Ip4 address, Writer& out);

/// An announcement of /64 networks or hosts of IPv6.
struct Announcement6 {
    Ip6 first;
    unsigned length = 64;  ///< or 128
    unsigned count = 0;
    Ip6 next_hop;
    std::vector<std::uint32_t> as_path;
    std::uint32_t community = 0;
};

void encode_update(const Announcement6& announcement, Writer& out);

/// Calls visit(prefix address, announced) for the host routes of an UPDATE's body.
void for_each_route(Bytes body, const std::function<void(Ip4, bool)>& visit);

}  // namespace vr::perf
