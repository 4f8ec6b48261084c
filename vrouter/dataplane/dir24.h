// Dir24: the workers' table of IPv4 prefixes, one or two memory accesses per lookup (DIR-24-8).
//
// One entry per /24; where prefixes longer than /24 exist the entry leads to a group of 256 entries,
// one per address.  The default route lies beside the table, so that it costs no 64 MiB.  Every entry
// holds the value of the longest match: who changes a prefix passes the PrefixTrie that tells where
// longer ones stand.  Entries change one by one; a reader sees the old or the new value of each.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "vrouter/dataplane/prefix_trie.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr {

class Dir24 {
  public:
    explicit Dir24(Reclaimer& reclaimer);

    /// Makes `value` the answer for `prefix`, save where longer prefixes of `all` stand.  `added`:
    /// `prefix` was not in the table before.
    void set(const PrefixTrie<V4>& all, const Prefix<V4>& prefix, std::uint32_t value, bool added);

    /// Undoes set(): `prefix` has left `all`.
    void clear(const PrefixTrie<V4>& all, const Prefix<V4>& prefix);

    /// Takes the 64 MiB of the entries from the kernel now: one huge page for each /5 else, when its first prefix comes.
    void fetch() const noexcept { blocks_.fetch(); }

    [[nodiscard]] std::uint32_t lookup(Ip4 address) const noexcept;

    void lookup_bulk(const Ip4* addresses, std::uint32_t* values, unsigned count) const noexcept;

    void prefetch(const Ip4* addresses, unsigned count) const noexcept {
        for (unsigned i = 0; i < count; ++i) {
            __builtin_prefetch(&blocks_[addresses[i].value() >> 8U]);
        }
    }

  private:
    using Entry = std::atomic<std::uint32_t>;
    using Group = std::array<Entry, 256>;

    /// Set in a /24's entry: the other bits are the number of its group.
    static constexpr std::uint32_t kGroup = std::uint32_t{1} << 31U;

    void fill(std::uint64_t first, std::uint64_t end, std::uint32_t value) noexcept;
    void paint(const PrefixTrie<V4>& all, const Prefix<V4>& prefix, std::uint32_t value) noexcept;
    void enter_group(Entry& entry);
    void leave_group(Entry& entry);

    ReservedArray<Entry> blocks_;
    SlotPool<Group> groups_;
    std::vector<std::uint16_t> longer_;  ///< per group: prefixes longer than /24 in it
    Entry default_{0};
};

}  // namespace vr
