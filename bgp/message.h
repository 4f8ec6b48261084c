// BGP messages other than the body of UPDATE: header, OPEN, NOTIFICATION, KEEPALIVE, ROUTE-REFRESH.
//
// RFC 4271 4 and 6.1-6.2, RFC 2918.  Decoders answer with the value or with the NOTIFICATION that ends
// the session.  UPDATE bodies are update.h's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "bgp/capability.h"
#include "bgp/notification.h"
#include "vrouter/net/addr.h"

namespace vr::bgp {

inline constexpr std::size_t kHeaderSize = 19;
inline constexpr std::size_t kMaxMessage = 4096;
inline constexpr std::size_t kMaxExtendedMessage = 65535;  ///< RFC 8654
inline constexpr std::uint8_t kVersion = 4;

enum class MessageType : std::uint8_t {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    RouteRefresh = 5,
};

struct Header {
    MessageType type = MessageType::Keepalive;
    std::size_t length = 0;  ///< whole message, header included
};

/// Reads a header of exactly kHeaderSize bytes; the length is checked against the type, RFC 4271 6.1,
/// and `most`, which RFC 8654 raises for all but OPEN and KEEPALIVE.
[[nodiscard]] Decoded<Header> decode_header(Bytes header, std::size_t most = kMaxMessage);

struct Open {
    std::uint8_t version = kVersion;
    std::uint16_t as_field = 0;  ///< "My Autonomous System": AS_TRANS when the real one is longer
    std::uint16_t hold_time = 0;
    Ip4 identifier;
    Capabilities capabilities;

    /// The AS number that counts: the capability's when present, RFC 6793 4.1.
    [[nodiscard]] Asn asn() const;
};

/// Body of an OPEN.  Only the form is judged here; negotiation.h judges the content.
[[nodiscard]] Decoded<Open> decode_open(Bytes body);

/// Body of a NOTIFICATION; one that is too short reads as code 0, since there is no answer to it.
[[nodiscard]] Notification decode_notification(Bytes body);

struct RouteRefresh {
    AfiSafi family;
    std::uint8_t subtype = 0;  ///< 0 asks for everything; see refresh_marker
};

/// What RFC 7313 puts around the answer to a request.
namespace refresh_marker {
inline constexpr std::uint8_t kBegin = 1;
inline constexpr std::uint8_t kEnd = 2;
}  // namespace refresh_marker

/// Body of a ROUTE-REFRESH; nothing when it has a wrong length.
[[nodiscard]] std::optional<RouteRefresh> decode_route_refresh(Bytes body);

void encode_open(const Open& open, std::vector<std::uint8_t>& out);
void encode_notification(const Notification& notification, std::vector<std::uint8_t>& out);
void encode_keepalive(std::vector<std::uint8_t>& out);
void encode_route_refresh(AfiSafi family, std::uint8_t subtype, std::vector<std::uint8_t>& out);

/// Appends a message made of header and `body` to `out`.
void encode_message(MessageType type, Bytes body, std::vector<std::uint8_t>& out);

}  // namespace vr::bgp
