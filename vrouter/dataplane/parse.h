// Header parsing of one IP packet: bytes in, facts out.  Pure, so that it can be fuzzed and traced;
// stage parse (parse.cc) runs it over a batch.  RFC 1812 5.2.2, RFC 8200 3 and 4.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "vrouter/dataplane/drop.h"
#include "vrouter/dataplane/facts.h"
#include "vrouter/dataplane/flow_table.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/wire.h"

namespace vr {

template <Family F>
struct ParsedPacket {
    typename F::Addr source{};
    typename F::Addr destination{};
    PacketFacts facts;
    std::uint32_t fragment_id = 0;
    std::uint16_t fragment_offset = 0;   ///< in bytes; facts.fragment says whether it is a fragment
    std::uint16_t fragment_headers = 0;  ///< first fragment: bytes up to its transport header's end
    bool neighbor_discovery = false;     ///< ICMPv6 133-137: for the control thread
    FlowKey<F> quoted;  ///< facts.icmp_error: what the error is about; all zero: unknown
};

/// Protocols whose header begins with a source and a destination port.
[[nodiscard]] constexpr bool has_l4_ports(std::uint8_t protocol) noexcept {
    return protocol == ipproto::kTcp || protocol == ipproto::kUdp || protocol == ipproto::kSctp ||
           protocol == ipproto::kUdpLite;
}

/// Checks one packet that begins with its IP header.  `bytes` is what lies in one piece, `length` the
/// whole packet's length as received (link padding included).  DropReason::None: `parsed` is filled.
template <Family F>
[[nodiscard]] DropReason parse_ip(
    Bytes bytes, std::size_t length, ParsedPacket<F>& parsed) noexcept;

/// Where the transport header of a packet begins.
struct TransportPlace {
    std::size_t offset = 0;
    std::size_t size = 0;  ///< of what is there from it on
    std::uint8_t protocol = 0;
    bool first = true;  ///< false: a later fragment, which has no such header
};

/// Of a packet that parse_ip() took, or that an ICMP error quotes.
template <Family F>
[[nodiscard]] std::optional<TransportPlace> find_transport(Bytes bytes) noexcept;

/// The flow of an echo message: the identifier stands on the requester's side, 0 on the other's, so
/// that a request never passes as the reply of another request.
[[nodiscard]] constexpr bool is_echo_request(std::uint8_t protocol, std::uint8_t type) noexcept {
    return (protocol == ipproto::kIcmp && type == 8) ||
           (protocol == ipproto::kIcmp6 && type == 128);
}

[[nodiscard]] constexpr bool is_echo_reply(std::uint8_t protocol, std::uint8_t type) noexcept {
    return (protocol == ipproto::kIcmp && type == 0) ||
           (protocol == ipproto::kIcmp6 && type == 129);
}

/// ICMP types that report an error about a quoted packet: RFC 792, RFC 4443 2.1.
template <Family F>
[[nodiscard]] constexpr bool is_icmp_error(std::uint8_t type) noexcept {
    if constexpr (std::is_same_v<F, V4>) {
        return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    } else {
        return type < 128;
    }
}

/// 20 bytes summed as five words; 0xffff when the checksum holds (RFC 1071).
[[nodiscard]] inline bool header_sum_is_right(
    const std::uint8_t* header, std::size_t size) noexcept {
    if (size == sizeof(Ip4Header)) [[likely]] {
        std::uint64_t sum = 0;
        for (std::size_t at = 0; at < sizeof(Ip4Header); at += 4) {
            std::uint32_t word = 0;
            std::memcpy(&word, header + at, sizeof word);
            sum += word;
        }
        sum = (sum & 0xffffffffU) + (sum >> 32U);
        sum = (sum & 0xffffU) + (sum >> 16U);
        sum = (sum & 0xffffU) + (sum >> 16U);
        sum = (sum & 0xffffU) + (sum >> 16U);
        return sum == 0xffff;
    }
    return checksum(Bytes{header, size}) == 0;
}

/// An address that nothing need be asked about: unicast, and neither loopback nor link-local.  What is
/// not plain may still be right.
[[nodiscard]] constexpr bool is_plain(Ip4 address) noexcept {
    const std::uint32_t net = address.value() >> 24U;
    // 1..223: the unsigned difference folds both bounds into one comparison.
    return (net - 1 < 223) & (net != 127) & !address.is_link_local();
}

[[nodiscard]] constexpr bool is_plain(Ip6 address) noexcept {
    // fe00::/7 holds link-local and multicast, ::/64 loopback and the unspecified address.
    return (address.high() >> 57U != 0x7f) & (address.high() != 0);
}

/// Is the source one that a packet may come from, and the destination one that can be routed?
/// RFC 1812 5.3.7.  0.0.0.0/8 and 240.0.0.0/4 cannot be routed either.
[[nodiscard]] inline DropReason check_addresses(Ip4 source, Ip4 destination) noexcept {
    const auto routable = [](Ip4 address) { return is_plain(address) || address.is_link_local(); };
    if (routable(source) && routable(destination)) [[likely]] {
        return DropReason::None;
    }
    return destination.is_multicast() || destination.is_broadcast() ? DropReason::Multicast
                                                                    : DropReason::MartianAddress;
}

[[nodiscard]] inline DropReason check_addresses(Ip6 source, Ip6 destination) noexcept {
    if (destination.is_multicast()) [[unlikely]] {
        return DropReason::Multicast;
    }
    if (source.is_multicast() || source.is_loopback() || destination.is_loopback() ||
        source.is_unspecified() || destination.is_unspecified()) [[unlikely]] {
        return DropReason::MartianAddress;
    }
    return DropReason::None;
}

/// Parses the packet that nearly all packets are: TCP or UDP, whole, right, without options or extension
/// headers, between plain addresses.  False: not one of those, parse_ip() tells what it is.  Says the same as parse_ip().
template <Family F>
[[nodiscard]] inline bool parse_common(
    Bytes bytes,
    std::size_t length,
    typename F::Addr& source,
    typename F::Addr& destination,
    PacketFacts& facts) noexcept {
    constexpr bool kIp4 = std::is_same_v<F, V4>;
    constexpr std::size_t kHeader = kIp4 ? sizeof(Ip4Header) : sizeof(Ip6Header);
    const std::uint8_t* header = bytes.data();
    if (bytes.size() < kHeader + sizeof(UdpHeader)) {
        return false;
    }
    const std::uint8_t protocol = header[kIp4 ? 9 : 6];
    const bool tcp = protocol == ipproto::kTcp;
    const std::size_t need = kHeader + (tcp ? sizeof(TcpHeader) : sizeof(UdpHeader));
    const std::size_t total =
        kIp4 ? load_be<std::uint16_t>(header + 2) : kHeader + load_be<std::uint16_t>(header + 4);
    if ((!tcp && protocol != ipproto::kUdp) || total > length || total < need ||
        bytes.size() < need || total > 0xffff) {
        return false;
    }
    // What the transport header says of its own length: TCP's data offset, UDP's length.
    const std::size_t said =
        tcp ? (header[kHeader + 12] >> 4U) * 4U : load_be<std::uint16_t>(header + kHeader + 4);
    if (kHeader + said < need || kHeader + said > total) {
        return false;
    }
    std::uint16_t fragment = 0;
    if constexpr (kIp4) {
        constexpr std::uint16_t kFragmented = 0x3fff;
        fragment = load_be<std::uint16_t>(header + 6);
        if (header[0] != 0x45 || (fragment & kFragmented) != 0 ||
            !header_sum_is_right(header, kHeader)) {
            return false;
        }
    } else if (header[0] >> 4U != 6) {
        return false;
    }
    const auto from = F::Addr::load(header + (kIp4 ? 12 : 8));
    const auto to = F::Addr::load(header + (kIp4 ? 16 : 24));
    if (!is_plain(from) || !is_plain(to)) {
        return false;
    }
    source = from;
    destination = to;
    facts = PacketFacts{};
    facts.source_port = L4Port{load_be<std::uint16_t>(header + kHeader)};
    facts.destination_port = L4Port{load_be<std::uint16_t>(header + kHeader + 2)};
    facts.length = static_cast<std::uint16_t>(total);
    facts.protocol = protocol;
    facts.tcp_flags = tcp ? header[kHeader + 13] : std::uint8_t{0};
    facts.hop_limit = header[kIp4 ? 8 : 7];
    facts.has_ports = true;
    facts.may_fragment = kIp4 && (fragment & 0x4000U) == 0;
    return true;
}

}  // namespace vr
