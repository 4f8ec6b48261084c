// Frames whose every checksum is right, and what a test asks of one that went through the router: its ends,
// whether its checksums are right still (found by adding all up, not by differences), what it quotes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "test/dataplane/packet_builder.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"

namespace vr::test {

template <Family F>
inline constexpr std::size_t kSourceAt = kIp + (std::is_same_v<F, V4> ? 12 : 8);
template <Family F>
inline constexpr std::size_t kDestinationAt = kIp + (std::is_same_v<F, V4> ? 16 : 24);

/// "source -> destination"
template <Family F>
[[nodiscard]] std::string ends(const Frame& frame) {
    return to_string(F::Addr::load(&frame[kSourceAt<F>])) + " -> " +
           to_string(F::Addr::load(&frame[kDestinationAt<F>]));
}

template <Family F>
[[nodiscard]] std::string ends(std::uint32_t source, std::uint32_t destination) {
    return to_string(host<F>(source)) + " -> " + to_string(host<F>(destination));
}

[[nodiscard]] inline bool is_udp(std::uint8_t protocol) {
    return protocol == ipproto::kUdp || protocol == ipproto::kUdpLite;
}

template <Family F>
[[nodiscard]] std::uint8_t protocol_of(const Frame& frame) {
    return frame[kIp + (std::is_same_v<F, V4> ? 9 : 6)];
}

/// Whether the transport's checksum is one of RFC 1071.
template <Family F>
[[nodiscard]] bool has_sum(const Frame& frame) {
    const std::uint8_t protocol = protocol_of<F>(frame);
    return protocol == ipproto::kTcp || is_udp(protocol) || protocol == ipproto::kIcmp ||
           protocol == ipproto::kIcmp6;
}

/// Where it stands.
template <Family F>
[[nodiscard]] std::size_t sum_at(const Frame& frame) {
    const std::uint8_t protocol = protocol_of<F>(frame);
    return kL4<F> + (protocol == ipproto::kTcp ? 16 : is_udp(protocol) ? 6 : 2);
}

/// What adding all up gives: 0 if the checksum in it is right.
template <Family F>
[[nodiscard]] std::uint16_t transport_sum(const Frame& frame) {
    const Bytes transport{&frame[kL4<F>], frame.size() - kL4<F>};
    Checksum sum;
    if (protocol_of<F>(frame) != ipproto::kIcmp) {
        sum.add_pseudo_header(
            F::Addr::load(&frame[kSourceAt<F>]),
            F::Addr::load(&frame[kDestinationAt<F>]),
            protocol_of<F>(frame),
            static_cast<std::uint32_t>(transport.size()));
    }
    sum.add(transport);
    return sum.finish();
}

/// Puts the right checksum in.
template <Family F>
[[nodiscard]] Frame sealed(Frame frame) {
    const std::size_t at = sum_at<F>(frame);
    store_be(&frame[at], std::uint16_t{0});
    const std::uint16_t sum = transport_sum<F>(frame);
    const bool never_zero = is_udp(protocol_of<F>(frame));
    store_be(&frame[at], never_zero && sum == 0 ? std::uint16_t{0xffff} : sum);
    return frame;
}

template <Family F>
[[nodiscard]] bool is_right(const Frame& frame) {
    if (std::is_same_v<F, V4> && checksum(Bytes{&frame[kIp], sizeof(Ip4Header)}) != 0) {
        return false;
    }
    return !has_sum<F>(frame) || transport_sum<F>(frame) == 0;
}

/// The packet that an ICMP error quotes, behind a link header that says nothing.
template <Family F>
[[nodiscard]] Frame quoted_in(const Frame& error) {
    Frame quoted(kIp);
    quoted.insert(
        quoted.end(),
        error.begin() + static_cast<std::ptrdiff_t>(kL4<F> + sizeof(IcmpHeader)),
        error.end());
    return quoted;
}

}  // namespace vr::test
