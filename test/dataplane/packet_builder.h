// Frames of both families for tests of the packet path: right unless a test breaks them.
//
// Addresses are numbers that read as IPv4: 0x0a010002 is 10.1.0.2, and fd00::a01:2 in IPv6.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr::test {

using Frame = std::vector<std::uint8_t>;

/// The station `number` of either family.
template <Family F>
[[nodiscard]] constexpr typename F::Addr host(std::uint32_t number) {
    if constexpr (std::is_same_v<F, V4>) {
        return Ip4{number};
    } else {
        return Ip6{0xfd00000000000000U, number};
    }
}

/// The network of `number` with `host_bits` free bits.
template <Family F>
[[nodiscard]] constexpr Prefix<F> network(std::uint32_t number, unsigned host_bits) {
    return *Prefix<F>::make(host<F>(number), F::kBits - host_bits);
}

template <Family F>
inline constexpr std::uint8_t kIcmpOf = std::is_same_v<F, V4> ? ipproto::kIcmp : ipproto::kIcmp6;
template <Family F>
inline constexpr std::uint8_t kEchoRequest = std::is_same_v<F, V4> ? 8 : 128;
template <Family F>
inline constexpr std::uint8_t kEchoReply = std::is_same_v<F, V4> ? 0 : 129;
template <Family F>
inline constexpr std::uint8_t kUnreachable = std::is_same_v<F, V4> ? 3 : 1;
template <Family F>
inline constexpr std::size_t kIpHeader =
    std::is_same_v<F, V4> ? sizeof(Ip4Header) : sizeof(Ip6Header);

/// Where the IP header and (without options) the transport header begin.
inline constexpr std::size_t kIp = sizeof(EthernetHeader);
template <Family F>
inline constexpr std::size_t kL4 = kIp + kIpHeader<F>;

/// What a frame says below its transport header.
template <Family F>
struct Envelope {
    Mac link_source{{2, 0, 0, 0, 0, 0x99}};
    Mac link_destination{{2, 0, 0, 0, 0, 1}};
    typename F::Addr source{};
    typename F::Addr destination{};
    std::uint8_t protocol = ipproto::kUdp;
    std::uint8_t hop_limit = 64;
    bool may_fragment = true;
    bool more_fragments = false;
    bool fragment_header = false;       ///< IPv6: there even if nothing is fragmented
    std::uint16_t fragment_offset = 0;  ///< in bytes
    std::uint16_t fragment_id = 0;
};

/// Puts the right checksum into the IPv4 header of `frame` again.
inline void seal(Frame& frame) {
    const std::size_t size = (frame[kIp] & 0xfU) * 4U;
    store_be(&frame[kIp + 10], std::uint16_t{0});
    store_be(&frame[kIp + 10], checksum(Bytes{&frame[kIp], size}));
}

namespace detail {

[[nodiscard]] inline std::size_t ip_size(const Envelope<V4>& /*e*/) {
    return sizeof(Ip4Header);
}

[[nodiscard]] inline std::size_t ip_size(const Envelope<V6>& e) {
    const bool fragment = e.more_fragments || e.fragment_offset != 0 || e.fragment_header;
    return sizeof(Ip6Header) + (fragment ? 8 : 0);
}

inline void write_ip(Frame& frame, const Envelope<V4>& e) {
    std::uint8_t* ip = &frame[kIp];
    ip[0] = 0x45;
    store_be(ip + 2, static_cast<std::uint16_t>(frame.size() - kIp));
    store_be(ip + 4, e.fragment_id);
    store_be(
        ip + 6,
        static_cast<std::uint16_t>(
            (e.may_fragment ? 0U : 0x4000U) | (e.more_fragments ? 0x2000U : 0U) |
            e.fragment_offset / 8U));
    ip[8] = e.hop_limit;
    ip[9] = e.protocol;
    e.source.store(ip + 12);
    e.destination.store(ip + 16);
    seal(frame);
}

inline void write_ip(Frame& frame, const Envelope<V6>& e) {
    const bool fragment = ip_size(e) != sizeof(Ip6Header);
    std::uint8_t* ip = &frame[kIp];
    ip[0] = 0x60;
    store_be(ip + 4, static_cast<std::uint16_t>(frame.size() - kIp - sizeof(Ip6Header)));
    ip[6] = fragment ? ipproto::kFragment : e.protocol;
    ip[7] = e.hop_limit;
    e.source.store(ip + 8);
    e.destination.store(ip + 24);
    if (fragment) {
        ip[40] = e.protocol;
        store_be(
            ip + 42, static_cast<std::uint16_t>(e.fragment_offset | (e.more_fragments ? 1U : 0U)));
        store_be(ip + 44, std::uint32_t{e.fragment_id});
    }
}

}  // namespace detail

/// A frame with `payload` behind the IP header.
template <Family F>
[[nodiscard]] Frame frame_of(
    const Envelope<F>& envelope, const std::vector<std::uint8_t>& payload) {
    const std::size_t headers = kIp + detail::ip_size(envelope);
    Frame frame(headers + payload.size());
    envelope.link_destination.store(frame.data());
    envelope.link_source.store(&frame[6]);
    store_be(&frame[12], F::kEtherType);
    std::ranges::copy(payload, frame.begin() + static_cast<std::ptrdiff_t>(headers));
    detail::write_ip(frame, envelope);
    return frame;
}

/// DSCP and ECN.
template <Family F>
[[nodiscard]] std::uint8_t traffic_class(const Frame& frame) {
    const unsigned word = load_be<std::uint16_t>(&frame[kIp]);
    return static_cast<std::uint8_t>(std::is_same_v<F, V4> ? word : word >> 4U);
}

/// The same frame with these bits.
template <Family F>
[[nodiscard]] Frame with_traffic_class(Frame frame, std::uint8_t bits) {
    if constexpr (std::is_same_v<F, V4>) {
        frame[kIp + 1] = bits;
        seal(frame);
    } else {
        frame[kIp] = static_cast<std::uint8_t>(0x60U | bits >> 4U);
        frame[kIp + 1] = static_cast<std::uint8_t>((frame[kIp + 1] & 0xfU) | bits << 4U);
    }
    return frame;
}

/// Transport headers, each with `data` bytes behind it.
[[nodiscard]] inline std::vector<std::uint8_t> udp_header(
    std::uint16_t source, std::uint16_t destination, std::size_t data = 18) {
    std::vector<std::uint8_t> bytes(sizeof(UdpHeader) + data);
    store_be(&bytes[0], source);
    store_be(&bytes[2], destination);
    store_be(&bytes[4], static_cast<std::uint16_t>(bytes.size()));
    return bytes;
}

[[nodiscard]] inline std::vector<std::uint8_t> tcp_header(
    std::uint16_t source, std::uint16_t destination, std::uint8_t flags, std::size_t data = 0) {
    std::vector<std::uint8_t> bytes(sizeof(TcpHeader) + data);
    store_be(&bytes[0], source);
    store_be(&bytes[2], destination);
    bytes[12] = 0x50;
    bytes[13] = flags;
    return bytes;
}

/// With one chunk, of a `type` that is no real one unless said.  Its checksum says nothing.
[[nodiscard]] inline std::vector<std::uint8_t> sctp_header(
    std::uint16_t source,
    std::uint16_t destination,
    std::size_t data = 20,
    std::uint8_t type = 0xa5) {
    std::vector<std::uint8_t> bytes(sctp::kHeader, 0xa5);
    bytes.resize(sctp::kHeader + data, type);
    store_be(&bytes[0], source);
    store_be(&bytes[2], destination);
    return bytes;
}

[[nodiscard]] inline std::vector<std::uint8_t> icmp_header(
    std::uint8_t type, std::uint8_t code = 0, std::uint16_t id = 0, std::size_t data = 8) {
    std::vector<std::uint8_t> bytes(sizeof(IcmpHeader) + data);
    bytes[0] = type;
    bytes[1] = code;
    store_be(&bytes[4], id);
    return bytes;
}

/// An ICMP error about `quoted`, of which the first `size` bytes behind its link header are shown.
template <Family F>
[[nodiscard]] std::vector<std::uint8_t> icmp_error(
    const Frame& quoted, std::size_t size = kIpHeader<F> + 8) {
    std::vector<std::uint8_t> bytes = icmp_header(kUnreachable<F>, 1, 0, 0);
    const auto end = std::min(quoted.size(), kIp + size);
    bytes.insert(
        bytes.end(),
        quoted.begin() + static_cast<std::ptrdiff_t>(kIp),
        quoted.begin() + static_cast<std::ptrdiff_t>(end));
    return bytes;
}

/// `frame` with one byte replaced: the usual way to break it.
[[nodiscard]] inline Frame with(Frame frame, std::size_t at, std::uint8_t value) {
    frame.at(at) = value;
    return frame;
}

/// `frame` cut or padded to `size`.
[[nodiscard]] inline Frame resized(Frame frame, std::size_t size) {
    frame.resize(size);
    return frame;
}

}  // namespace vr::test
