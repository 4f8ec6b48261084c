// Names and bytes that the tests of services/ share: stations, addresses, hand-made frames.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/services/frame.h"
#include "vrouter/services/rate_limit.h"

namespace vr::test {

inline constexpr Mac kRouterMac{{0x02, 0x00, 0x00, 0x00, 0x00, 0x01}};
inline constexpr Mac kPeerMac{{0x02, 0x00, 0x00, 0x00, 0x00, 0x99}};
inline constexpr Mac kOtherMac{{0x02, 0x00, 0x00, 0x00, 0x00, 0x77}};

inline Ip4 ip4(std::string_view text) {
    return *Ip4::parse(text);
}

inline Ip6 ip6(std::string_view text) {
    return *Ip6::parse(text);
}

/// Ranges of bytes one after the other.
inline Frame bytes(std::initializer_list<std::vector<std::uint8_t>> parts) {
    Frame all;
    for (const auto& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

/// `frame` with one byte replaced: the usual way to break it.
inline Frame with(Frame frame, std::size_t at, std::uint8_t value) {
    frame.at(at) = value;
    return frame;
}

inline Frame cut(Frame frame, std::size_t size) {
    frame.resize(size);
    return frame;
}

/// A frame with an ICMP or ICMPv6 message, correct unless the fields say otherwise.
template <Family F>
Frame icmp_packet(
    typename F::Addr source,
    typename F::Addr destination,
    const std::vector<std::uint8_t>& message,
    std::uint8_t hop_limit = 255) {
    return icmp_frame<F>(
        {.link_source = kPeerMac,
         .link_destination = kRouterMac,
         .source = source,
         .destination = destination,
         .hop_limit = hop_limit},
        message);
}

/// An IPv4 or IPv6 packet that is no ICMP: an ICMP frame with its protocol changed to UDP.
template <Family F>
Frame udp_packet(typename F::Addr source, typename F::Addr destination, std::size_t payload) {
    std::vector<std::uint8_t> message(payload, 0x5a);
    Frame frame = icmp_packet<F>(source, destination, message, 64);
    if constexpr (F::kVersion == 4) {
        frame[23] = 17;
        // The header checksum covers the protocol: 1 became 17.
        const auto sum = load_be<std::uint16_t>(frame.data() + 24);
        const std::uint32_t updated = sum >= 16 ? sum - 16U : sum + 0xffffU - 16U;
        store_be(frame.data() + 24, static_cast<std::uint16_t>(updated));
    } else {
        frame[20] = 17;
    }
    return frame;
}

inline constexpr TimePoint kStart{std::chrono::hours{1}};

}  // namespace vr::test
