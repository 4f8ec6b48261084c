// NOTIFICATION: why a session ends, RFC 4271 section 4.5 and 6.
//
// Codes and subcodes of RFC 4271, RFC 4486 (Cease), RFC 6608 (FSM), RFC 7313 (route refresh), RFC 8538
// (hard reset), RFC 9384 (BFD) and RFC 9687 (send hold timer).  A decoder that refuses a message answers with the Notification to send, data included.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vrouter/net/wire.h"

namespace vr::bgp {

enum class ErrorCode : std::uint8_t {
    Header = 1,
    Open = 2,
    Update = 3,
    HoldTimer = 4,
    Fsm = 5,
    Cease = 6,
    RouteRefresh = 7,
    SendHoldTimer = 8,
};

namespace header_error {
inline constexpr std::uint8_t kNotSynchronized = 1;
inline constexpr std::uint8_t kBadLength = 2;
inline constexpr std::uint8_t kBadType = 3;
}  // namespace header_error

namespace open_error {
inline constexpr std::uint8_t kUnspecific = 0;
inline constexpr std::uint8_t kBadVersion = 1;
inline constexpr std::uint8_t kBadPeerAs = 2;
inline constexpr std::uint8_t kBadIdentifier = 3;
inline constexpr std::uint8_t kBadOptionalParameter = 4;
inline constexpr std::uint8_t kBadHoldTime = 6;
inline constexpr std::uint8_t kUnsupportedCapability = 7;
}  // namespace open_error

namespace update_error {
inline constexpr std::uint8_t kMalformedList = 1;
inline constexpr std::uint8_t kUnrecognizedWellKnown = 2;
inline constexpr std::uint8_t kOptionalAttribute = 9;
inline constexpr std::uint8_t kInvalidNetwork = 10;
}  // namespace update_error

/// RFC 6608.
namespace fsm_error {
inline constexpr std::uint8_t kInOpenSent = 1;
inline constexpr std::uint8_t kInOpenConfirm = 2;
inline constexpr std::uint8_t kInEstablished = 3;
}  // namespace fsm_error

/// RFC 7313.
namespace refresh_error {
inline constexpr std::uint8_t kBadLength = 1;
}  // namespace refresh_error

/// RFC 4486.
namespace cease {
inline constexpr std::uint8_t kMaximumPrefixes = 1;
inline constexpr std::uint8_t kShutdown = 2;
inline constexpr std::uint8_t kDeconfigured = 3;
inline constexpr std::uint8_t kReset = 4;
inline constexpr std::uint8_t kRejected = 5;
inline constexpr std::uint8_t kConfigurationChange = 6;
inline constexpr std::uint8_t kCollision = 7;
inline constexpr std::uint8_t kOutOfResources = 8;
inline constexpr std::uint8_t kHardReset = 9;
inline constexpr std::uint8_t kBfdDown = 10;
}  // namespace cease

struct Notification {
    ErrorCode code = ErrorCode::Cease;
    std::uint8_t subcode = 0;
    std::vector<std::uint8_t> data;

    friend bool operator==(const Notification&, const Notification&) = default;
};

/// What a decoder answers: the value, or the NOTIFICATION that ends the session.
template <typename T>
using Decoded = std::variant<T, Notification>;

/// A notification that carries a copy of `data`.
[[nodiscard]] Notification notification(ErrorCode code, std::uint8_t subcode, Bytes data = {});

/// "Cease/Administrative Shutdown"; a shutdown communication (RFC 9003) follows in quotes.
[[nodiscard]] std::string to_string(const Notification& notification);

/// True when the sender means to stay away, RFC 8538 5.1: graceful restart has no place then.
[[nodiscard]] bool is_permanent(const Notification& notification);

/// The same words as a Hard Reset, RFC 8538 3.1: for peers that would keep our routes otherwise.
[[nodiscard]] Notification hard_reset(const Notification& inner);

/// The data of a Cease that explains itself, RFC 9003: at most 255 octets of text.
[[nodiscard]] std::vector<std::uint8_t> shutdown_communication(std::string_view text);

}  // namespace vr::bgp
