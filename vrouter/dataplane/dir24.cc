// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/dir24.h"

#include "vrouter/dataplane/orders.h"

namespace vr {
namespace {

constexpr std::size_t kBlocks = std::size_t{1} << 24U;

}  // namespace

Dir24::Dir24(Reclaimer& reclaimer)
    : blocks_(kBlocks), depths_(kBlocks), groups_(reclaimer, kBlocks) {
    blocks_.open(kBlocks);
    depths_.open(kBlocks);
}

std::uint32_t Dir24::lookup(Ip4 address) const noexcept {
    const std::uint32_t value = blocks_[address.value() >> 8U].load(kRead);
    if ((value & kGroup) != 0) [[unlikely]] {
        return groups_[value & ~kGroup].entries[address.value() & 0xffU].load(kRead);
    }
    return value;
}

void Dir24::lookup_bulk(
    const Ip4* addresses, std::uint32_t* values, unsigned count) const noexcept {
    // Two passes: the loads of a pass do not depend on each other, so the core overlaps their misses.
    std::uint32_t any = 0;
    for (unsigned i = 0; i < count; ++i) {
        values[i] = blocks_[addresses[i].value() >> 8U].load(kRead);
        any |= values[i];
    }
    if ((any & kGroup) == 0) {
        return;
    }
    // Without branches, as which addresses lie in a group is as random as the traffic: the others
    // read the first entry of all and keep what they have.
    constexpr std::uint64_t kStride = sizeof(Group) / sizeof(Entry);
    const Entry* entries = groups_.data()->entries.data();
    for (unsigned i = 0; i < count; ++i) {
        const std::uint32_t value = values[i];
        const std::uint64_t grouped = std::uint64_t{0} - (value >> 31U);
        const std::uint64_t entry = (value & ~kGroup) * kStride + (addresses[i].value() & 0xffU);
        const auto mask = static_cast<std::uint32_t>(grouped);
        values[i] = (entries[entry & grouped].load(kRead) & mask) | (value & ~mask);
    }
}

void Dir24::set(const Prefix<V4>& prefix, std::uint32_t value, bool added) {
    const unsigned length = prefix.length();
    if (length > 24 && added) {
        enter_group(prefix.address().value() >> 8U);
    }
    paint(prefix, {value, length, 0, length});
}

void Dir24::clear(const Prefix<V4>& prefix, const std::optional<PrefixTrie<V4>::Entry>& cover) {
    const unsigned length = prefix.length();
    paint(prefix, {cover ? cover->second : 0, cover ? cover->first.length() : 0, length, length});
    if (length > 24) {
        leave_group(prefix.address().value() >> 8U);
    }
}

inline void Dir24::Paint::apply(Entry& entry, std::uint8_t& its_depth) const noexcept {
    if (from <= its_depth && its_depth <= to) {
        its_depth = static_cast<std::uint8_t>(depth);
        entry.store(value, kPublish);
    }
}

void Dir24::paint(const Prefix<V4>& prefix, const Paint& paint) noexcept {
    const std::size_t first = prefix.address().value() >> 8U;
    const auto paint_group = [&](std::uint32_t entry, unsigned from, unsigned count) {
        Group& group = groups_[entry & ~kGroup];
        for (unsigned at = from; at < from + count; ++at) {
            paint.apply(group.entries[at], group.depths[at]);
        }
    };
    if (prefix.length() > 24) {
        paint_group(
            blocks_[first].load(kRelaxed),
            prefix.address().value() & 0xffU,
            1U << (32 - prefix.length()));
        return;
    }
    const std::size_t end = first + (std::size_t{1} << (24 - prefix.length()));
    for (std::size_t block = first; block < end; ++block) {
        const std::uint32_t entry = blocks_[block].load(kRelaxed);
        if ((entry & kGroup) != 0) {
            paint_group(entry, 0, 256);
        } else {
            paint.apply(blocks_[block], depths_[block]);
        }
    }
}

/// Counts one more long prefix in a /24, which gets a group with its first.
void Dir24::enter_group(std::size_t block) {
    const std::uint32_t value = blocks_[block].load(kRelaxed);
    if ((value & kGroup) != 0) {
        ++groups_[value & ~kGroup].longer;
        return;
    }
    const std::uint32_t index = groups_.take();
    Group& group = groups_[index];
    for (Entry& entry : group.entries) {
        entry.store(value, kRelaxed);  // published with the block's below
    }
    group.depths.fill(depths_[block]);
    group.longer = 1;
    blocks_[block].store(kGroup | index, kPublish);
}

/// The reverse: with the last long prefix gone, all 256 entries are alike.
void Dir24::leave_group(std::size_t block) {
    const std::uint32_t index = blocks_[block].load(kRelaxed) & ~kGroup;
    Group& group = groups_[index];
    if (--group.longer == 0) {
        depths_[block] = group.depths[0];
        blocks_[block].store(group.entries[0].load(kRelaxed), kPublish);
        groups_.retire(index);
    }
}

}  // namespace vr
