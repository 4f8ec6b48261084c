// NibbleTrie: the workers' table of IPv6 prefixes, but for /0 and /128.
//
// The first 20 bits index a table; below it, nodes of 16 slots decide four bits each and skip runs of
// bits that all their prefixes share; a prefix that stands alone below a slot is a leaf of half a cache
// line.  Slots hold the value of the longest match themselves (leaf pushing), so a lookup remembers
// nothing on its way and reads one cache line per node; only behind a skip the node's second line is
// compared.  About 32 bytes per prefix where prefixes are far apart, 150 where they are dense.
//
// Changes are made in place, slot by slot; new nodes are complete before they are linked, unlinked
// ones rest with the Reclaimer.  A reader sees each slot's old or new value.  What the slots and the
// fallback of a node (or leaf) answer for never shrinks while it is linked: readers on their way may
// rely on it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "vrouter/dataplane/prefix_trie.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr {

class NibbleTrie {
  public:
    explicit NibbleTrie(Reclaimer& reclaimer);

    /// Takes from the kernel now what the first prefixes would.
    void fetch() noexcept {
        root_slots_.fetch();
        root_depth_.fetch();
        nodes_.fetch();
        leaves_.fetch();
    }

    /// Makes `value` the answer for `prefix`, save where longer prefixes stand.  `added`: `prefix` was
    /// not in the table before.
    void set(const Prefix<V6>& prefix, std::uint32_t value, bool added);

    /// Undoes set(); `cover` is the longest remaining prefix around it, with its value, if any.
    void clear(const Prefix<V6>& prefix, const std::optional<PrefixTrie<V6>::Entry>& cover);

    [[nodiscard]] std::uint32_t lookup(Ip6 address) const noexcept;

    /// Looks up the `count` addresses (at most 64) that `pending` names by index, into `values`.
    void lookup_bulk(
        const Ip6* addresses,
        std::uint32_t* values,
        const std::uint8_t* pending,
        unsigned count) const noexcept;

    static constexpr unsigned kBulk = 64;

  private:
    using Slot = std::atomic<std::uint32_t>;
    static constexpr unsigned kWays = 16;
    static constexpr unsigned kRootBits = 20;
    static constexpr std::size_t kRootSlots = std::size_t{1} << kRootBits;

    struct alignas(64) Node {
        std::array<Slot, kWays> slots;
        // Second line: where the node stands, for skips and for the writer.
        Ip6 key;              ///< bits before `offset`, the rest zero
        Slot fallback;        ///< answer for addresses that differ from `key`
        std::uint8_t offset;  ///< first of the four bits decided here
        std::uint8_t children;
        std::uint8_t prefixes;                  ///< how many end here
        std::array<std::uint8_t, kWays> depth;  ///< length of the prefix that gave each slot, or
                                                ///< the fallback of the node the slot leads to
    };

    static_assert(sizeof(Node) == 128);

    /// One prefix and nothing else below a slot.
    struct alignas(32) Leaf {
        Ip6 key;
        Slot value;           ///< answer for addresses inside the prefix
        Slot fallback;        ///< answer for all others
        std::uint8_t length;  ///< of the prefix

        [[nodiscard]] const Slot& answer(Ip6 address) const noexcept {
            // Longer than the root, shorter than a host: both shifts are in range.
            const std::uint64_t high = address.high() ^ key.high();
            const bool inside = length <= 64
                                    ? high >> (64U - length) == 0
                                    : (high | (address.low() ^ key.low()) >> (128U - length)) == 0;
            return inside ? value : fallback;
        }
    };

    static_assert(sizeof(Leaf) == 32);

    /// A slot that leads to a node or a leaf: flag, skip flag, offset / 4 (0: a leaf), index.
    struct Link;
    struct Paint;
    struct Path;

    /// A run of slots with their depths: the root or a node.
    struct Row {
        Slot* slots;
        std::uint8_t* depth;
        unsigned offset;
        unsigned bits;

        [[nodiscard]] unsigned index(Ip6 address) const noexcept;

        [[nodiscard]] unsigned end() const noexcept { return offset + bits; }
    };

    [[nodiscard]] Row root() noexcept;
    [[nodiscard]] Row row(std::uint32_t node) noexcept;
    [[nodiscard]] std::uint32_t link(std::uint32_t node, const Row& above) noexcept;
    [[nodiscard]] std::uint32_t make(
        Ip6 address, unsigned offset, std::uint32_t value, unsigned depth);
    [[nodiscard]] std::uint32_t make_leaf(
        const Prefix<V6>& prefix, std::uint32_t value, std::uint32_t fallback);
    [[nodiscard]] std::uint32_t copy(std::uint32_t from);
    [[nodiscard]] std::uint32_t unfold(const Leaf& leaf, const Prefix<V6>& beside, unsigned depth);
    void adopt(std::uint32_t parent, std::uint32_t child) noexcept;
    void paint_prefix(const Row& row, const Prefix<V6>& prefix, const Paint& paint) noexcept;
    void paint_slots(const Row& row, unsigned first, unsigned end, const Paint& paint) noexcept;
    void insert(const Prefix<V6>& prefix, const Paint& paint, bool added);
    void prune(const Path& path);

    ReservedArray<Slot> root_slots_;
    ReservedArray<std::uint8_t> root_depth_;
    SlotPool<Node> nodes_;
    SlotPool<Leaf> leaves_;
};

}  // namespace vr
