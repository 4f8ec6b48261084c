// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/nibble_trie.h"

#include <algorithm>
#include <cassert>

namespace vr {
namespace {

constexpr std::uint32_t kMaxNodes = std::uint32_t{1} << 25U;

// Readers order a slot before the node (or the next hop) it leads to; the writer the reverse.
constexpr auto kRead = std::memory_order_acquire;
constexpr auto kPublish = std::memory_order_release;
constexpr auto kOwn = std::memory_order_relaxed;

/// `bits` bits of `address` from bit `offset` on; they do not cross the middle.
[[nodiscard]] constexpr unsigned bits_at(Ip6 address, unsigned offset, unsigned bits) noexcept {
    const std::uint64_t half = offset < 64 ? address.high() : address.low();
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    return static_cast<unsigned>(half >> (64 - bits - offset % 64) & mask);
}

/// Where the node in which a prefix of this length ends begins.
[[nodiscard]] constexpr unsigned end_offset(unsigned length) noexcept {
    return (length - 1) / 4 * 4;
}

}  // namespace

struct NibbleTrie::Link {
    static constexpr std::uint32_t kNode = std::uint32_t{1} << 31U;
    static constexpr std::uint32_t kSkip = std::uint32_t{1} << 30U;

    std::uint32_t word;

    [[nodiscard]] bool is_node() const noexcept { return (word & kNode) != 0; }

    [[nodiscard]] bool skips() const noexcept { return (word & kSkip) != 0; }

    [[nodiscard]] unsigned offset() const noexcept { return word >> 25U & 0x1fU; }

    [[nodiscard]] std::uint32_t node() const noexcept { return word & (kMaxNodes - 1); }

    /// Which slot of the node `address` takes.
    [[nodiscard]] unsigned way(Ip6 address) const noexcept {
        const unsigned nibble = offset();
        const std::uint64_t half = nibble < 16 ? address.high() : address.low();
        return static_cast<unsigned>(half >> (60 - 4 * (nibble % 16)) & 0xfU);
    }
};

/// One change: slots given by prefixes of length `from`..`to` get `value`, given by length `depth`.
struct NibbleTrie::Paint {
    std::uint32_t value;
    unsigned depth;
    unsigned from;
    unsigned to;

    [[nodiscard]] bool applies(unsigned length) const noexcept {
        return from <= length && length <= to;
    }
};

/// The way from the root to a node: nodes and the slots that lead to them.
struct NibbleTrie::Path {
    std::array<std::uint32_t, 32> nodes{};
    std::array<Slot*, 32> slots{};
    unsigned length = 0;
};

NibbleTrie::NibbleTrie(Reclaimer& reclaimer)
    : root_slots_(kRootSlots), root_depth_(kRootSlots), nodes_(reclaimer, kMaxNodes) {
    root_slots_.open(kRootSlots);
    root_depth_.open(kRootSlots);
}

std::uint32_t NibbleTrie::lookup(Ip6 address) const noexcept {
    Link link{root_slots_[address.high() >> (64 - kRootBits)].load(kRead)};
    while (link.is_node()) {
        const Node& node = nodes_[link.node()];
        if (link.skips() && common_bits(address, node.key) < node.offset) {
            link.word = node.fallback.load(kRead);
            break;
        }
        link.word = node.slots[link.way(address)].load(kRead);
    }
    return link.word != 0 ? link.word : default_.load(kRead);
}

void NibbleTrie::lookup_bulk(
    const Ip6* addresses,
    std::uint32_t* values,
    const std::uint8_t* pending,
    unsigned count) const noexcept {
    assert(count <= kBulk);
    const Node* nodes = nodes_.data();
    const std::uint32_t fallback = default_.load(kRead);
    std::array<std::uint8_t, kBulk> open;
    unsigned opened = 0;
    // All addresses take a step before any takes the next: their misses overlap.
    const auto settle = [&](std::uint8_t i, Link link) {
        if (link.is_node()) {
            const Node& node = nodes[link.node()];
            __builtin_prefetch(&node.slots);
            if (link.skips()) {
                __builtin_prefetch(&node.key);
            }
            values[i] = link.word;
            open[opened++] = i;
        } else {
            values[i] = link.word != 0 ? link.word : fallback;
        }
    };
    for (unsigned n = 0; n < count; ++n) {
        const auto slot = addresses[pending[n]].high() >> (64 - kRootBits);
        settle(pending[n], Link{root_slots_[slot].load(kRead)});
    }
    while (opened != 0) {
        const unsigned round = std::exchange(opened, 0);
        for (unsigned n = 0; n < round; ++n) {
            const std::uint8_t i = open[n];
            const Link link{values[i]};
            const Node& node = nodes[link.node()];
            const bool differs = link.skips() && common_bits(addresses[i], node.key) < node.offset;
            const Slot& next = differs ? node.fallback : node.slots[link.way(addresses[i])];
            settle(i, Link{next.load(kRead)});
        }
    }
}

unsigned NibbleTrie::Row::index(Ip6 address) const noexcept {
    return bits_at(address, offset, bits);
}

NibbleTrie::Row NibbleTrie::root() noexcept {
    return {root_slots_.data(), root_depth_.data(), 0, kRootBits};
}

NibbleTrie::Row NibbleTrie::row(std::uint32_t node) noexcept {
    Node& n = nodes_[node];
    return {n.slots.data(), n.depth.data(), n.offset, 4};
}

/// The word for a slot of `above` that leads to `node`.
std::uint32_t NibbleTrie::link(std::uint32_t node, const Row& above) noexcept {
    const unsigned offset = nodes_[node].offset;
    return Link::kNode | (offset != above.end() ? Link::kSkip : 0) | offset / 4 << 25U | node;
}

/// A node, not yet linked, all of whose slots hold `value`.
std::uint32_t NibbleTrie::make(Ip6 address, unsigned offset, std::uint32_t value, unsigned depth) {
    const std::uint32_t index = nodes_.take();
    Node& node = nodes_[index];
    node.key = address.masked(offset);
    node.offset = static_cast<std::uint8_t>(offset);
    node.fallback.store(value, kOwn);
    node.children = 0;
    node.prefixes = 0;
    for (Slot& slot : node.slots) {
        slot.store(value, kOwn);
    }
    node.depth.fill(static_cast<std::uint8_t>(depth));
    return index;
}

/// A node, not yet linked, that says what node `from` says now.
std::uint32_t NibbleTrie::copy(std::uint32_t from) {
    const std::uint32_t index = nodes_.take();
    const Node& old = nodes_[from];
    Node& node = nodes_[index];
    node.key = old.key;
    node.offset = old.offset;
    node.fallback.store(old.fallback.load(kOwn), kOwn);
    node.children = old.children;
    node.prefixes = old.prefixes;
    for (unsigned i = 0; i < kWays; ++i) {
        node.slots[i].store(old.slots[i].load(kOwn), kOwn);
    }
    node.depth = old.depth;
    return index;
}

/// Links `child` below `parent`, which has no other child on that way.
void NibbleTrie::adopt(std::uint32_t parent, std::uint32_t child) noexcept {
    const Row above = row(parent);
    above.slots[above.index(nodes_[child].key)].store(link(child, above), kPublish);
    ++nodes_[parent].children;
}

/// Paints the slots of `row` that lie inside `prefix`, which ends in this row or above it.
void NibbleTrie::paint_prefix(
    const Row& row, const Prefix<V6>& prefix, const Paint& paint) noexcept {
    const unsigned span = 1U << (row.end() - prefix.length());
    const unsigned first = row.index(prefix.address());
    paint_slots(row, first, first + span, paint);
}

void NibbleTrie::paint_slots(
    const Row& row, unsigned first, unsigned end, const Paint& paint) noexcept {
    for (unsigned i = first; i < end; ++i) {
        // A child's fallback is what the slot itself would hold; if that stays, so does all below.
        if (!paint.applies(row.depth[i])) {
            continue;
        }
        row.depth[i] = static_cast<std::uint8_t>(paint.depth);
        const Link link{row.slots[i].load(kOwn)};
        if (link.is_node()) {
            nodes_[link.node()].fallback.store(paint.value, kPublish);
            paint_slots(this->row(link.node()), 0, kWays, paint);
        } else {
            row.slots[i].store(paint.value, kPublish);
        }
    }
}

void NibbleTrie::set(const Prefix<V6>& prefix, std::uint32_t value, bool added) {
    const unsigned length = prefix.length();
    assert(length < V6::kBits);
    const Paint paint{value, length, 0, length};
    if (length == 0) {
        default_.store(value, kPublish);
    } else if (length <= kRootBits) {
        paint_prefix(root(), prefix, paint);
    } else {
        insert(prefix, paint, added);
    }
}

/// For prefixes that end below the root: finds or makes the node where `prefix` ends, and paints there.
void NibbleTrie::insert(const Prefix<V6>& prefix, const Paint& paint, bool added) {
    const Ip6 address = prefix.address();
    const unsigned wanted = end_offset(prefix.length());
    Row above = root();
    Node* parent = nullptr;
    for (;;) {
        const unsigned at = above.index(address);
        Slot& slot = above.slots[at];
        const Link found{slot.load(kOwn)};
        if (!found.is_node()) {
            const std::uint32_t added_node = make(address, wanted, found.word, above.depth[at]);
            nodes_[added_node].prefixes = 1;
            paint_prefix(row(added_node), prefix, paint);
            slot.store(link(added_node, above), kPublish);
            if (parent != nullptr) {
                ++parent->children;
            }
            return;
        }
        Node& node = nodes_[found.node()];
        const unsigned shared = common_bits(address, node.key) / 4 * 4;
        const unsigned fork = std::min({shared, wanted, unsigned{node.offset}});
        if (fork < node.offset) {
            // The ways part inside the skip, or `prefix` ends there: a node in between.  Behind it
            // the fallback answers for fewer addresses, so a reader who came by the old link must
            // not see what is painted there from now on: the child goes on as a copy.
            const std::uint32_t between =
                make(address, fork, node.fallback.load(kOwn), above.depth[at]);
            adopt(between, copy(found.node()));
            slot.store(link(between, above), kPublish);
            nodes_.retire(found.node());
            continue;
        }
        if (fork == wanted) {
            node.prefixes = static_cast<std::uint8_t>(node.prefixes + (added ? 1 : 0));
            paint_prefix(row(found.node()), prefix, paint);
            return;
        }
        parent = &node;
        above = row(found.node());
    }
}

void NibbleTrie::clear(
    const Prefix<V6>& prefix, const std::optional<PrefixTrie<V6>::Entry>& cover) {
    const unsigned length = prefix.length();
    if (length == 0) {
        default_.store(0, kPublish);
        return;
    }
    // The default route is not in the slots: what only it covers holds 0.
    const bool covered = cover && cover->first.length() != 0;
    const Paint paint{
        covered ? cover->second : 0, covered ? cover->first.length() : 0, length, length};
    if (length <= kRootBits) {
        paint_prefix(root(), prefix, paint);
        return;
    }
    Path path;
    Row above = root();
    do {
        Slot& slot = above.slots[above.index(prefix.address())];
        const std::uint32_t node = Link{slot.load(kOwn)}.node();
        path.slots[path.length] = &slot;
        path.nodes[path.length++] = node;
        above = row(node);
    } while (above.offset < end_offset(length));
    --nodes_[path.nodes[path.length - 1]].prefixes;
    paint_prefix(above, prefix, paint);
    prune(path);
}

/// Takes out the nodes at the end of `path` that decide nothing any more.
void NibbleTrie::prune(const Path& path) {
    for (unsigned i = path.length; i-- > 0;) {
        const std::uint32_t index = path.nodes[i];
        const Node& node = nodes_[index];
        if (node.prefixes != 0 || node.children > 1) {
            return;
        }
        if (node.children == 1) {
            const auto only = std::find_if(node.slots.begin(), node.slots.end(), [](const Slot& s) {
                return Link{s.load(kOwn)}.is_node();
            });
            // The child now hangs further up, behind a skip.
            path.slots[i]->store(only->load(kOwn) | Link::kSkip, kPublish);
            nodes_.retire(index);
            return;
        }
        path.slots[i]->store(node.fallback.load(kOwn), kPublish);
        if (i > 0) {
            --nodes_[path.nodes[i - 1]].children;
        }
        nodes_.retire(index);
    }
}

}  // namespace vr
