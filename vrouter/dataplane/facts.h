// PacketFacts: what the pipeline knows of a packet besides its addresses.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vrouter/net/ids.h"

namespace vr {

struct PacketFacts {
    /// Transport ports; for ICMP echo the identifier on the requester's side and 0 on the other.
    L4Port source_port;
    L4Port destination_port;
    std::uint16_t length = 0;  ///< of the IP packet, link header and padding not counted
    std::uint8_t protocol = 0;
    std::uint8_t tcp_flags = 0;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    std::uint8_t hop_limit = 0;
    bool has_ports = false;     ///< TCP, UDP, SCTP, UDPLite with known ports
    bool icmp_error = false;    ///< about another packet
    bool fragment = false;      ///< first or later
    bool orphan = false;        ///< later fragment whose ports are unknown
    bool may_fragment = false;  ///< IPv4 without DF
};

static_assert(sizeof(PacketFacts) == 16);

}  // namespace vr
