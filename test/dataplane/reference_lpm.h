// What Lpm<F> must answer, by looking at every prefix; and prefixes at random for tests to feed it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <random>

#include "vrouter/net/prefix.h"

namespace vr {

template <Family F>
class ReferenceLpm {
  public:
    using Addr = typename F::Addr;

    void insert(const Prefix<F>& prefix, std::uint32_t value) { prefixes_[prefix] = value; }

    bool erase(const Prefix<F>& prefix) { return prefixes_.erase(prefix) != 0; }

    [[nodiscard]] std::uint32_t lookup(Addr address) const {
        unsigned longest = 0;
        std::uint32_t best = 0;
        for (const auto& [prefix, value] : prefixes_) {
            if (prefix.contains(address) && (best == 0 || prefix.length() >= longest)) {
                longest = prefix.length();
                best = value;
            }
        }
        return best;
    }

    [[nodiscard]] const std::map<Prefix<F>, std::uint32_t>& prefixes() const { return prefixes_; }

  private:
    std::map<Prefix<F>, std::uint32_t> prefixes_;
};

/// Addresses that share long runs of bits, so that prefixes nest and addresses hit them.
template <Family F>
[[nodiscard]] typename F::Addr clustered_address(std::mt19937& random) {
    const auto sparse = [&] {
        // Few set bits in few places: neighbours in every bit position are likely.
        std::uint64_t bits = 0;
        for (unsigned i = random() % 4; i > 0; --i) {
            bits |= std::uint64_t{1} << random() % 64;
        }
        return random() % 8 == 0 ? ~bits : bits;
    };
    if constexpr (std::same_as<F, V4>) {
        return Ip4{0x0a000000U ^ static_cast<std::uint32_t>(sparse())};
    } else {
        return Ip6{0xfd00000000000000U ^ sparse(), sparse()};
    }
}

template <Family F>
[[nodiscard]] Prefix<F> clustered_prefix(std::mt19937& random) {
    const auto length = random() % 4 == 0 ? F::kBits : random() % (F::kBits + 1);
    return *Prefix<F>::make(clustered_address<F>(random), static_cast<unsigned>(length));
}

}  // namespace vr
