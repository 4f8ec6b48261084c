// Dir24: the workers' table of IPv4 prefixes, one or two memory accesses per lookup (DIR-24-8).
//
// One entry per /24; where prefixes longer than /24 exist the entry leads to a group of 256 entries,
// one per address.  Every entry holds the value of the longest match, 0 where that is for short_prefixes.h,
// and has beside it, for the writer, that prefix's length: so a prefix is written without asking what stands
// inside it.  Entries change one by one; a reader sees the old or the new value of each.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "vrouter/dataplane/prefix_trie.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr {

class Dir24 {
  public:
    explicit Dir24(Reclaimer& reclaimer);

    /// Makes `value` the answer for `prefix`, save where longer prefixes stand.  `added`: `prefix` was not
    /// in the table before.
    void set(const Prefix<V4>& prefix, std::uint32_t value, bool added);

    /// Undoes set(); `cover` is the longest remaining prefix around it, with its value, if any.
    void clear(const Prefix<V4>& prefix, const std::optional<PrefixTrie<V4>::Entry>& cover);

    /// Takes the 80 MiB of the entries from the kernel now: one huge page for each /5 else, when its first prefix comes.
    /// With them the first groups.
    void fetch() noexcept {
        blocks_.fetch();
        depths_.fetch();
        groups_.fetch();
    }

    [[nodiscard]] std::uint32_t lookup(Ip4 address) const noexcept;

    void lookup_bulk(const Ip4* addresses, std::uint32_t* values, unsigned count) const noexcept;

    void prefetch(const Ip4* addresses, unsigned count) const noexcept {
        for (unsigned i = 0; i < count; ++i) {
            __builtin_prefetch(&blocks_[addresses[i].value() >> 8U]);
        }
    }

  private:
    using Entry = std::atomic<std::uint32_t>;

    struct alignas(64) Group {
        std::array<Entry, 256> entries;
        std::array<std::uint8_t, 256> depths;
        std::uint16_t longer;  ///< prefixes longer than /24
    };

    /// Entries that were given by prefixes of length `from`..`to` get `value`, given by length `depth`.
    struct Paint {
        std::uint32_t value;
        unsigned depth;
        unsigned from;
        unsigned to;

        void apply(Entry& entry, std::uint8_t& its_depth) const noexcept;
    };

    /// Set in a /24's entry: the other bits are the number of its group.
    static constexpr std::uint32_t kGroup = std::uint32_t{1} << 31U;

    void paint(const Prefix<V4>& prefix, const Paint& paint) noexcept;
    void enter_group(std::size_t block);
    void leave_group(std::size_t block);

    ReservedArray<Entry> blocks_;
    ReservedArray<std::uint8_t> depths_;  ///< of those that lead to no group
    SlotPool<Group> groups_;
};

}  // namespace vr
