// Internet checksum: RFC 1071 over a range, RFC 1624 for updates in place.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "vrouter/net/addr.h"
#include "vrouter/net/wire.h"

namespace vr {

/// One's complement sum not yet folded; add ranges, then finish().  Every range but the last must
/// have an even number of bytes.
class Checksum {
  public:
    void add(Bytes bytes) noexcept {
        std::size_t at = 0;
        for (; at + 2 <= bytes.size(); at += 2) {
            sum_ += load_be<std::uint16_t>(bytes.data() + at);
        }
        if (at < bytes.size()) {
            sum_ += static_cast<std::uint32_t>(bytes[at]) << 8U;
        }
    }

    void add(std::uint32_t value) noexcept { sum_ += (value >> 16U) + (value & 0xffffU); }

    /// The pseudo header of TCP, UDP and ICMPv6: RFC 793 3.1, RFC 8200 8.1.
    template <typename Addr>
    void add_pseudo_header(
        Addr source, Addr destination, std::uint8_t protocol, std::uint32_t length) noexcept {
        std::array<std::uint8_t, 32> wire{};
        constexpr std::size_t kBytes = std::is_same_v<Addr, Ip4> ? 4 : 16;
        source.store(wire.data());
        destination.store(wire.data() + kBytes);
        add(Bytes{wire.data(), 2 * kBytes});
        add(static_cast<std::uint32_t>(protocol));
        add(length);
    }

    /// The checksum field's value, host order.
    [[nodiscard]] std::uint16_t finish() const noexcept {
        std::uint64_t folded = sum_;
        while (folded >> 16U != 0) {
            folded = (folded & 0xffffU) + (folded >> 16U);
        }
        return static_cast<std::uint16_t>(~folded);
    }

  private:
    std::uint64_t sum_ = 0;
};

/// The checksum of a whole range; 0 over a range that contains its own correct checksum.
[[nodiscard]] inline std::uint16_t checksum(Bytes bytes) noexcept {
    Checksum sum;
    sum.add(bytes);
    return sum.finish();
}

/// The checksum after one 16-bit word went from `before` to `after`: RFC 1624 equation 3.
[[nodiscard]] constexpr std::uint16_t checksum_updated(
    std::uint16_t sum, std::uint16_t before, std::uint16_t after) noexcept {
    std::uint32_t folded = static_cast<std::uint16_t>(~sum);
    folded += static_cast<std::uint16_t>(~before);
    folded += after;
    folded = (folded & 0xffffU) + (folded >> 16U);
    folded = (folded & 0xffffU) + (folded >> 16U);
    return static_cast<std::uint16_t>(~folded);
}

}  // namespace vr
