// Wire headers as packed structs, sizes asserted.  All fields are bytes or BigEndian: alignment 1.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vrouter/net/addr.h"
#include "vrouter/net/byte_order.h"

namespace vr {

/// EtherTypes that the router tells apart.
namespace ethertype {
inline constexpr std::uint16_t kIp4 = 0x0800;
inline constexpr std::uint16_t kArp = 0x0806;
inline constexpr std::uint16_t kReverseArp = 0x8035;
inline constexpr std::uint16_t kIp6 = 0x86dd;
}  // namespace ethertype

/// IP protocol numbers (IANA) that the router tells apart.
namespace ipproto {
inline constexpr std::uint8_t kHopByHop = 0;
inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kIpip = 4;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kDccp = 33;
inline constexpr std::uint8_t kRouting = 43;
inline constexpr std::uint8_t kFragment = 44;
inline constexpr std::uint8_t kAh = 51;
inline constexpr std::uint8_t kIcmp6 = 58;
inline constexpr std::uint8_t kNoNext = 59;
inline constexpr std::uint8_t kDestinationOptions = 60;
inline constexpr std::uint8_t kSctp = 132;
inline constexpr std::uint8_t kUdpLite = 136;
}  // namespace ipproto

/// RFC 9260 3: a header, then chunks whose first byte is their type.
namespace sctp {
inline constexpr std::size_t kHeader = 12;
inline constexpr std::uint8_t kInit = 1;
inline constexpr std::uint8_t kAbort = 6;
inline constexpr std::uint8_t kShutdownComplete = 14;
}  // namespace sctp

struct EthernetHeader {
    std::array<std::uint8_t, 6> destination;
    std::array<std::uint8_t, 6> source;
    Be16 ether_type;
};

static_assert(sizeof(EthernetHeader) == 14);

/// RFC 826, for IPv4 over Ethernet.
struct ArpHeader {
    Be16 hardware_type;
    Be16 protocol_type;
    std::uint8_t hardware_length;
    std::uint8_t protocol_length;
    Be16 operation;
    std::array<std::uint8_t, 6> sender_mac;
    Be32 sender_ip;
    std::array<std::uint8_t, 6> target_mac;
    Be32 target_ip;
};

static_assert(sizeof(ArpHeader) == 28);

/// RFC 791 3.1.
struct Ip4Header {
    std::uint8_t version_ihl;
    std::uint8_t tos;
    Be16 total_length;
    Be16 id;
    Be16 flags_fragment;
    std::uint8_t ttl;
    std::uint8_t protocol;
    Be16 checksum;
    Be32 source;
    Be32 destination;
};

static_assert(sizeof(Ip4Header) == 20);

/// RFC 8200 3.
struct Ip6Header {
    Be32 version_class_flow;
    Be16 payload_length;
    std::uint8_t next_header;
    std::uint8_t hop_limit;
    std::array<std::uint8_t, 16> source;
    std::array<std::uint8_t, 16> destination;
};

static_assert(sizeof(Ip6Header) == 40);

/// RFC 9293 3.1.
struct TcpHeader {
    Be16 source_port;
    Be16 destination_port;
    Be32 sequence;
    Be32 acknowledgment;
    std::uint8_t data_offset;  ///< upper 4 bits: header length in 32-bit words
    std::uint8_t flags;
    Be16 window;
    Be16 checksum;
    Be16 urgent;
};

static_assert(sizeof(TcpHeader) == 20);

namespace tcpflag {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
}  // namespace tcpflag

struct UdpHeader {
    Be16 source_port;
    Be16 destination_port;
    Be16 length;
    Be16 checksum;
};

static_assert(sizeof(UdpHeader) == 8);

/// The first 8 bytes of every ICMP and ICMPv6 message: RFC 792, RFC 4443 2.1.
struct IcmpHeader {
    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be32 rest;  ///< echo: identifier, sequence; errors: MTU or pointer or unused
};

static_assert(sizeof(IcmpHeader) == 8);

}  // namespace vr
