// Lpm<F>: longest-prefix match from prefixes of one family to 32-bit values.
//
// One writer (the control thread) changes it in place while workers look up without locks; what they
// may still be reading is handed to the Reclaimer.  Value 0 means "no match" and cannot be stored.
// Serves routes (value = NextHopId) and group membership (value = index of a group set).
//
// The control thread's truth is a PrefixTrie (prefix_trie.h); workers read Dir24 (dir24.h) for IPv4,
// HostHash and NibbleTrie (host_hash.h, nibble_trie.h) for IPv6, and where these say nothing ShortPrefixes
// (short_prefixes.h), which follow it change by change.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "vrouter/dataplane/reclaim.h"
#include "vrouter/net/prefix.h"

namespace vr {

template <Family F>
class Lpm {
  public:
    using Addr = typename F::Addr;
    static constexpr std::uint32_t kNone = 0;
    static constexpr std::uint32_t kMaxValue = 0x7fffffff;

    explicit Lpm(Reclaimer& reclaimer);
    Lpm(const Lpm&) = delete;
    Lpm& operator=(const Lpm&) = delete;
    Lpm(Lpm&&) = delete;
    Lpm& operator=(Lpm&&) = delete;
    ~Lpm();

    /// Takes from the kernel now, while nobody waits, what the first prefixes anywhere would: 86 MiB of IPv4, 12 of
    /// IPv6.
    void fetch() noexcept;

    /// Adds `prefix`, or replaces its value.  `value` is 1..kMaxValue.  Control thread.
    void insert(const Prefix<F>& prefix, std::uint32_t value);

    /// Removes exactly `prefix`; false when it was not there.  Control thread.
    bool erase(const Prefix<F>& prefix);

    /// The value stored for exactly `prefix`.  Control thread.
    [[nodiscard]] std::optional<std::uint32_t> find(const Prefix<F>& prefix) const;

    /// Which prefix decides for `address`, and its value.  Control thread.
    [[nodiscard]] std::optional<std::pair<Prefix<F>, std::uint32_t>> match(Addr address) const;

    /// The longest prefix that contains `prefix` and is not `prefix` itself.  Control thread.
    [[nodiscard]] std::optional<std::pair<Prefix<F>, std::uint32_t>> cover(
        const Prefix<F>& prefix) const;

    /// Calls `visit` for every prefix, covering prefixes before those inside them.  Control thread.
    void for_each(const std::function<void(const Prefix<F>&, std::uint32_t)>& visit) const;

    /// The same for `within` itself and everything inside it.  Control thread.
    void for_each_within(
        const Prefix<F>& within,
        const std::function<void(const Prefix<F>&, std::uint32_t)>& visit) const;

    [[nodiscard]] std::size_t size() const noexcept;

    /// Value of the longest match, or kNone.  Any worker.
    [[nodiscard]] std::uint32_t lookup(Addr address) const noexcept;

    /// The same for `count` addresses, with their memory accesses overlapped.  Any worker.
    void lookup_bulk(const Addr* addresses, std::uint32_t* values, unsigned count) const noexcept;

    /// IPv6 begins with a filter and upper levels that all addresses share: they are in the caches.
    static constexpr bool kPrefetches = std::same_as<F, V4>;

    /// Asks the caches for what lookup_bulk() of these addresses will read first.  Any worker.
    void prefetch(const Addr* addresses, unsigned count) const noexcept
        requires kPrefetches;

  private:
    struct Tables;
    std::unique_ptr<Tables> tables_;
};

}  // namespace vr
