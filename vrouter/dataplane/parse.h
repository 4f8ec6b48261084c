// Header parsing of one IP packet: bytes in, facts out.  Pure, so that it can be fuzzed and traced;
// stage parse (parse.cc) runs it over a batch.  RFC 1812 5.2.2, RFC 8200 3 and 4.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "vrouter/dataplane/drop.h"
#include "vrouter/dataplane/facts.h"
#include "vrouter/dataplane/flow_table.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/wire.h"

namespace vr {

template <Family F>
struct ParsedPacket {
    typename F::Addr source{};
    typename F::Addr destination{};
    PacketFacts facts;
    std::uint32_t fragment_id = 0;
    std::uint16_t fragment_offset = 0;  ///< in bytes; facts.fragment says whether it is a fragment
    std::uint16_t fragment_headers = 0; ///< first fragment: bytes up to its transport header's end
    bool neighbor_discovery = false;    ///< ICMPv6 133-137: for the control thread
    FlowKey<F> quoted;                  ///< facts.icmp_error: what the error is about; all zero: unknown
};

/// Protocols whose header begins with a source and a destination port.
[[nodiscard]] constexpr bool has_l4_ports(std::uint8_t protocol) noexcept {
    return protocol == ipproto::kTcp || protocol == ipproto::kUdp || protocol == ipproto::kSctp ||
           protocol == ipproto::kUdpLite;
}

/// Checks one packet that begins with its IP header.  `bytes` is what lies in one piece, `length` the
/// whole packet's length as received (link padding included).  DropReason::None: `parsed` is filled.
template <Family F>
[[nodiscard]] DropReason parse_ip(Bytes bytes, std::size_t length, ParsedPacket<F>& parsed) noexcept;

/// The flow of an echo message: the identifier stands on the requester's side, 0 on the other's, so
/// that a request never passes as the reply of another request.
[[nodiscard]] constexpr bool is_echo_request(std::uint8_t protocol, std::uint8_t type) noexcept {
    return (protocol == ipproto::kIcmp && type == 8) || (protocol == ipproto::kIcmp6 && type == 128);
}

[[nodiscard]] constexpr bool is_echo_reply(std::uint8_t protocol, std::uint8_t type) noexcept {
    return (protocol == ipproto::kIcmp && type == 0) || (protocol == ipproto::kIcmp6 && type == 129);
}

}  // namespace vr
