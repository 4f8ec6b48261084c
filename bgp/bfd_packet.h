// BFD control packets, RFC 5880 4.1: reading and writing.
//
// Only what needs no session is judged here (RFC 5880 6.8.6, the first steps).  Authentication is not
// spoken: packets that carry it are refused.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "vrouter/net/wire.h"

namespace vr::bgp::bfd {

enum class State : std::uint8_t { AdminDown = 0, Down = 1, Init = 2, Up = 3 };

enum class Diagnostic : std::uint8_t {
    None = 0,
    DetectionTimeExpired = 1,
    EchoFailed = 2,
    NeighborDown = 3,
    ForwardingReset = 4,
    PathDown = 5,
    ConcatenatedPathDown = 6,
    AdminDown = 7,
    ReversePathDown = 8,
};

[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] std::string_view to_string(Diagnostic diagnostic);

/// Which end of a session: nonzero where one is meant.
using Discriminator = std::uint32_t;

struct Packet {
    Diagnostic diagnostic = Diagnostic::None;
    State state = State::Down;
    bool poll = false;
    bool final_ = false;
    bool control_independent = false;  ///< BFD there outlives the control part
    bool demand = false;
    std::uint8_t multiplier = 3;
    Discriminator mine = 0;
    Discriminator yours = 0;  ///< 0: not known yet
    std::chrono::microseconds desired_transmit{0};
    std::chrono::microseconds required_receive{0};  ///< 0: do not send
    std::chrono::microseconds required_echo{0};     ///< 0: no echoes

    friend bool operator==(const Packet&, const Packet&) = default;
};

inline constexpr std::size_t kPacketSize = 24;

/// Nothing when the packet is to be dropped whatever its session.
[[nodiscard]] std::optional<Packet> decode(Bytes packet);

[[nodiscard]] std::array<std::uint8_t, kPacketSize> encode(const Packet& packet);

}  // namespace vr::bgp::bfd
