// Addresses as numbers, for arithmetic over ranges of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

#include "vrouter/net/addr.h"

namespace vr {

__extension__ using Wide = unsigned __int128;

template <Family F>
[[nodiscard]] constexpr Wide number(typename F::Addr address) {
    if constexpr (std::same_as<F, V4>) {
        return address.value();
    } else {
        return static_cast<Wide>(address.high()) << 64U | address.low();
    }
}

/// The highest number of a block of 2^`bits`, at most 128, that begins with `first`.
[[nodiscard]] constexpr Wide last_of(Wide first, unsigned bits) {
    return first | (bits == 128 ? ~Wide{0} : (Wide{1} << bits) - 1);
}

}  // namespace vr
