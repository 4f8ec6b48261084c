// ShortPrefixes<F>: the answers of prefixes up to /8, for addresses that no longer one decides.
//
// The tables of longer prefixes hold the answer for each address themselves; there a /1 would write half of all
// entries, megabytes in one go, and pass every node on its way.  Here no prefix writes more than 256.
//
// Workers look here last, when the other table says nothing.  Between the two, one may have gained a prefix and
// then the other lost one: who sees changes() go on looks again, and so never finds neither.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "vrouter/dataplane/orders.h"
#include "vrouter/dataplane/prefix_trie.h"

namespace vr {

template <Family F>
class ShortPrefixes {
  public:
    static constexpr unsigned kLongest = 8;

    /// Makes `value` the answer for `prefix`, save where longer ones stand.  Control thread.
    void set(const Prefix<F>& prefix, std::uint32_t value) noexcept {
        paint(prefix, value, prefix.length(), 0);
    }

    /// Undoes set(); `cover` is the longest remaining prefix around it, if any.  Control thread.
    void clear(
        const Prefix<F>& prefix,
        const std::optional<typename PrefixTrie<F>::Entry>& cover) noexcept {
        paint(
            prefix, cover ? cover->second : 0, cover ? cover->first.length() : 0, prefix.length());
    }

    /// The value, or 0.  Any worker.
    [[nodiscard]] std::uint32_t lookup(typename F::Addr address) const noexcept {
        return values_[first_octet(address)].load(kRead);
    }

    /// Goes on with every change, before it.  Any worker.
    [[nodiscard]] std::uint32_t changes() const noexcept { return changes_.load(kRead); }

  private:
    [[nodiscard]] static unsigned first_octet(Ip4 address) noexcept {
        return address.value() >> 24U;
    }

    [[nodiscard]] static unsigned first_octet(Ip6 address) noexcept {
        return static_cast<unsigned>(address.high() >> 56U);
    }

    /// What prefixes of length `least` or more, up to that of `prefix`, gave is `value` now, given by one of
    /// length `depth`.
    void paint(
        const Prefix<F>& prefix, std::uint32_t value, unsigned depth, unsigned least) noexcept {
        changes_.fetch_add(1, kPublish);
        const unsigned first = first_octet(prefix.address());
        const unsigned end = first + (1U << (kLongest - prefix.length()));
        for (unsigned at = first; at < end; ++at) {
            if (least <= depth_[at] && depth_[at] <= prefix.length()) {
                depth_[at] = static_cast<std::uint8_t>(depth);
                values_[at].store(value, kPublish);
            }
        }
    }

    std::atomic<std::uint32_t> changes_{0};
    std::array<std::atomic<std::uint32_t>, 1U << kLongest> values_{};
    std::array<std::uint8_t, 1U << kLongest> depth_{};  ///< lengths of the prefixes that gave them
};

}  // namespace vr
