// Wire integers: stored in network byte order, read and written by name only.
//
// Be16 and Be32 have no arithmetic: a value is taken out with value() before it is used, so that
// byte order cannot be forgotten.  Layout-compatible with the bytes on the wire, alignment 1.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace vr {

/// The integer `value` with its bytes in network order (and back: the conversion is its own inverse).
template <std::unsigned_integral T>
[[nodiscard]] constexpr T to_network(T value) noexcept {
    if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) {
        return value;
    } else if constexpr (sizeof(T) == 2) {
        return __builtin_bswap16(value);
    } else if constexpr (sizeof(T) == 4) {
        return __builtin_bswap32(value);
    } else {
        return __builtin_bswap64(value);
    }
}

/// An unsigned integer as it lies in a packet: big endian, no alignment.
template <std::unsigned_integral T>
class BigEndian {
  public:
    constexpr BigEndian() noexcept = default;

    constexpr explicit BigEndian(T host) noexcept
        : bytes_(std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(to_network(host))) {}

    /// The value in host order.
    [[nodiscard]] constexpr T value() const noexcept {
        return to_network(std::bit_cast<T>(bytes_));
    }

    friend constexpr bool operator==(const BigEndian&, const BigEndian&) noexcept = default;

  private:
    std::array<std::uint8_t, sizeof(T)> bytes_{};
};

using Be16 = BigEndian<std::uint16_t>;
using Be32 = BigEndian<std::uint32_t>;
using Be64 = BigEndian<std::uint64_t>;

static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);

/// Reads a host-order integer from `from` in network order; `from` needs no alignment.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_be(const void* from) noexcept {
    T raw{};
    std::memcpy(&raw, from, sizeof(T));
    return to_network(raw);
}

/// Writes `host` to `to` in network order; `to` needs no alignment.
template <std::unsigned_integral T>
inline void store_be(void* to, T host) noexcept {
    const T raw = to_network(host);
    std::memcpy(to, &raw, sizeof(T));
}

}  // namespace vr
