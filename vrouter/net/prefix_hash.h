// PrefixHash<F>: a hash of prefixes keyed by a seed, so that who chooses prefixes cannot choose collisions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
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

}  // namespace vr
