// Connection collision, RFC 4271 6.8 and RFC 6286 2.3: which of two connections to one peer lives.
//
// The connection that the side with the higher BGP identifier opened survives; equal identifiers (two
// ASes may share one) are told apart by the AS number.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"

namespace vr::bgp {

/// A connection, named by who opened it.
enum class Direction : std::uint8_t { Outgoing = 0, Incoming = 1 };

constexpr Direction other(Direction direction) {
    return direction == Direction::Outgoing ? Direction::Incoming : Direction::Outgoing;
}

/// One end of a session, as it ranks in a collision.
struct Contender {
    Ip4 identifier;
    Asn asn;
};

/// The connection to keep when both have got as far as an OPEN.
[[nodiscard]] constexpr Direction collision_survivor(Contender local, Contender remote) {
    return std::pair{local.identifier, local.asn} < std::pair{remote.identifier, remote.asn}
               ? Direction::Incoming
               : Direction::Outgoing;
}

}  // namespace vr::bgp
