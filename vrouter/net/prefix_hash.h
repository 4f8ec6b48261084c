// PrefixHash<F>: a hash of prefixes keyed by a seed, so that who chooses prefixes cannot choose collisions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "vrouter/net/byte_order.h"
#include "vrouter/net/prefix.h"

namespace vr {

template <Family F>
struct PrefixHash {
    using is_avalanching = void;  ///< for Boost's flat tables

    std::uint64_t seed = 0;

    [[nodiscard]] std::uint64_t operator()(const Prefix<F>& prefix) const noexcept {
        std::uint64_t hash = seed + prefix.length();
        if constexpr (std::is_same_v<F, V4>) {
            hash = mixed(hash ^ prefix.address().value());
        } else {
            std::array<std::uint8_t, V6::kAddrBytes> bytes{};
            prefix.address().store(bytes.data());
            hash = mixed(hash ^ load_be<std::uint64_t>(bytes.data()));
            hash = mixed(hash ^ load_be<std::uint64_t>(bytes.data() + 8));
        }
        return hash;
    }

  private:
    /// The finaliser of a known mixer, keyed by the seed in between: every bit changes every other.
    [[nodiscard]] std::uint64_t mixed(std::uint64_t x) const noexcept {
        x = (x ^ (x >> 32U)) * 0x9e3779b97f4a7c15U;
        x = (x ^ seed ^ (x >> 29U)) * 0xbf58476d1ce4e5b9U;
        return x ^ (x >> 32U);
    }
};

/// Which of `kParts` hash tables, a power of two, holds what has this `hash`.  The first gets three quarters of the
/// average and the last one and a half, so that they grow one after the other: tables of like size would all do so in
/// the same milliseconds.  Boost's flat tables place by the highest bits and compare by the lowest eight: those here
/// are others.
template <std::size_t kParts>
[[nodiscard]] constexpr std::size_t part_of(std::uint64_t hash) noexcept {
    static_assert(std::has_single_bit(kParts) && kParts <= (std::size_t{1} << 14U));
    constexpr unsigned kBits = 20;
    // Near to log2(1 + x) of x from 0 to 1: x (1.34375 - 0.34375 x).
    const std::uint64_t x = (hash >> 8U) & ((std::uint64_t{1} << kBits) - 1);
    const std::uint64_t y = x * ((std::uint64_t{43} << (kBits - 5)) - ((11 * x) >> 5U));
    return y >> (2 * kBits - std::countr_zero(kParts));
}

}  // namespace vr
