// ICMP (RFC 792, RFC 1122, RFC 1812) and ICMPv6 (RFC 4443): echo replies and error messages.
//
// Each function takes the frame that causes the message and returns the frame to send back out of the
// port it came from, or nothing where the RFCs say that silence is right.  Rate limiting is the
// caller's (rate_limit.h).  Departures: replies carry no IP options and no extension headers, and echo
// requests to groups are not answered (RFC 1122 3.2.2.6 allows that; RFC 4443 4.2 only says SHOULD).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "vrouter/net/addr.h"
#include "vrouter/services/frame.h"

namespace vr::icmp {

/// True for a whole echo request, checksum not yet verified.
template <Family F>
[[nodiscard]] bool is_echo_request(const IpPacket<F>& packet);

/// The reply to an echo request that was sent to one of the router's own addresses (the caller knows
/// which those are); nothing for anything else, fragments and wrong checksums included.
template <Family F>
[[nodiscard]] std::optional<Frame> echo_reply(Bytes frame);

/// Why a packet could not be delivered.
enum class Problem : std::uint8_t {
    NoRoute,             ///< nothing leads to the destination
    AddressUnreachable,  ///< the next hop does not answer
    AdminProhibited,     ///< policy rejects it
    PortUnreachable,
    HopLimitExceeded,
    TooBig,             ///< `value` is the next hop's MTU
    HeaderField,        ///< `value` is the offset of the field that makes no sense
    UnknownNextHeader,  ///< `value` is its offset; in IPv4: protocol unreachable
    UnknownOption,      ///< `value` is its offset
};

struct Report {
    Problem problem = Problem::NoRoute;
    std::uint32_t value = 0;
};

/// Who speaks: the MAC of the port that the offending packet came in on, an address of the router.
template <Family F>
struct Speaker {
    Mac mac;
    typename F::Addr address{};
};

/// The error message about the packet in `frame`, sent to its source; nothing where RFC 1122 3.2.2,
/// RFC 1812 4.3.2.7 or RFC 4443 2.4 (e) forbid one.  Quotes as much as fits 576 bytes in IPv4, 1280 in
/// IPv6.
template <Family F>
[[nodiscard]] std::optional<Frame> error_message(
    Bytes frame, const Report& report, const Speaker<F>& speaker);

}  // namespace vr::icmp
