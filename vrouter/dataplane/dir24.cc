// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/dir24.h"

#include <algorithm>

#include "vrouter/dataplane/orders.h"

namespace vr {
namespace {

constexpr std::size_t kBlocks = std::size_t{1} << 24U;

}  // namespace

Dir24::Dir24(Reclaimer& reclaimer) : blocks_(kBlocks), groups_(reclaimer, kBlocks) {
    blocks_.open(kBlocks);
}

std::uint32_t Dir24::lookup(Ip4 address) const noexcept {
    std::uint32_t value = blocks_[address.value() >> 8U].load(kRead);
    if ((value & kGroup) != 0) [[unlikely]] {
        value = groups_[value & ~kGroup][address.value() & 0xffU].load(kRead);
    }
    return value != 0 ? value : default_.load(kRead);
}

void Dir24::lookup_bulk(
    const Ip4* addresses, std::uint32_t* values, unsigned count) const noexcept {
    // Two passes: the loads of a pass do not depend on each other, so the core overlaps their misses.
    std::uint32_t any = 0;
    for (unsigned i = 0; i < count; ++i) {
        values[i] = blocks_[addresses[i].value() >> 8U].load(kRead);
        any |= values[i];
    }
    if ((any & kGroup) != 0) {
        // Without branches, as which addresses lie in a group is as random as the traffic: the others
        // read the first entry of all and keep what they have.
        const Entry* entries = groups_.data()->data();
        for (unsigned i = 0; i < count; ++i) {
            const std::uint32_t value = values[i];
            const std::uint64_t grouped = std::uint64_t{0} - (value >> 31U);
            const std::uint64_t entry =
                std::uint64_t{value & ~kGroup} << 8U | (addresses[i].value() & 0xffU);
            const auto mask = static_cast<std::uint32_t>(grouped);
            values[i] = (entries[entry & grouped].load(kRead) & mask) | (value & ~mask);
        }
    }
    const std::uint32_t fallback = default_.load(kRead);
    for (unsigned i = 0; i < count; ++i) {
        values[i] = values[i] != 0 ? values[i] : fallback;
    }
}

void Dir24::set(
    const PrefixTrie<V4>& all, const Prefix<V4>& prefix, std::uint32_t value, bool added) {
    if (prefix.length() == 0) {
        default_.store(value, kPublish);
        return;
    }
    if (prefix.length() > 24 && added) {
        enter_group(blocks_[prefix.address().value() >> 8U]);
    }
    paint(all, prefix, value);
}

void Dir24::clear(const PrefixTrie<V4>& all, const Prefix<V4>& prefix) {
    if (prefix.length() == 0) {
        default_.store(0, kPublish);
        return;
    }
    const auto cover = all.cover(prefix);
    paint(all, prefix, cover && cover->first.length() != 0 ? cover->second : 0);
    if (prefix.length() > 24) {
        leave_group(blocks_[prefix.address().value() >> 8U]);
    }
}

/// Writes the addresses of `prefix` that no longer prefix decides.
void Dir24::paint(
    const PrefixTrie<V4>& all, const Prefix<V4>& prefix, std::uint32_t value) noexcept {
    const auto end_of = [](const Prefix<V4>& p) {
        return p.address().value() + (std::uint64_t{1} << (32U - p.length()));
    };
    std::uint64_t from = prefix.address().value();
    all.for_each_next_inside(prefix, [&](const Prefix<V4>& inner) {
        fill(from, inner.address().value(), value);
        from = end_of(inner);
    });
    fill(from, end_of(prefix), value);
}

/// Writes addresses first..end-1.  A border inside a /24 exists only where it has a group.
void Dir24::fill(std::uint64_t first, std::uint64_t end, std::uint32_t value) noexcept {
    while (first < end) {
        const std::uint64_t block = first >> 8U;
        const std::uint64_t next = std::min((block + 1) << 8U, end);
        const std::uint32_t entry = blocks_[block].load(kRelaxed);
        if ((entry & kGroup) == 0) {
            blocks_[block].store(value, kPublish);
        } else {
            Group& group = groups_[entry & ~kGroup];
            for (; first < next; ++first) {
                group[first & 0xffU].store(value, kPublish);
            }
        }
        first = next;
    }
}

/// Counts one more long prefix in a /24, which gets a group with its first.
void Dir24::enter_group(Entry& entry) {
    const std::uint32_t value = entry.load(kRelaxed);
    if ((value & kGroup) != 0) {
        ++longer_[value & ~kGroup];
        return;
    }
    const std::uint32_t index = groups_.take();
    for (Entry& host : groups_[index]) {
        host.store(value, std::memory_order_relaxed);  // published with the entry below
    }
    longer_.resize(std::max<std::size_t>(longer_.size(), index + std::size_t{1}));
    longer_[index] = 1;
    entry.store(kGroup | index, kPublish);
}

/// The reverse: with the last long prefix gone, all 256 entries are alike.
void Dir24::leave_group(Entry& entry) {
    const std::uint32_t index = entry.load(kRelaxed) & ~kGroup;
    if (--longer_[index] == 0) {
        entry.store(groups_[index][0].load(kRelaxed), kPublish);
        groups_.retire(index);
    }
}

}  // namespace vr
