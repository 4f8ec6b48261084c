// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/nibble_trie.h"

#include <algorithm>
#include <cassert>

#include "vrouter/dataplane/orders.h"

namespace vr {
namespace {

constexpr std::uint32_t kMaxNodes = std::uint32_t{1} << 25U;

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
    static constexpr std::uint32_t kLink = std::uint32_t{1} << 31U;
    static constexpr std::uint32_t kSkip = std::uint32_t{1} << 30U;

    std::uint32_t word;

    [[nodiscard]] static Link to_leaf(std::uint32_t index) noexcept { return {kLink | index}; }

    [[nodiscard]] bool is_answer() const noexcept { return (word & kLink) == 0; }

    // Nodes begin below the root, so that their offset is never 0.
    [[nodiscard]] bool is_leaf() const noexcept { return !is_answer() && offset() == 0; }

    [[nodiscard]] bool is_node() const noexcept { return !is_answer() && offset() != 0; }

    [[nodiscard]] bool skips() const noexcept { return (word & kSkip) != 0; }

    [[nodiscard]] unsigned offset() const noexcept { return word >> 25U & 0x1fU; }

    [[nodiscard]] std::uint32_t index() const noexcept { return word & (kMaxNodes - 1); }

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
    : root_slots_(kRootSlots),
      root_depth_(kRootSlots),
      nodes_(reclaimer, kMaxNodes),
      leaves_(reclaimer, kMaxNodes) {
    root_slots_.open(kRootSlots);
    root_depth_.open(kRootSlots);
}

std::uint32_t NibbleTrie::lookup(Ip6 address) const noexcept {
    Link link{root_slots_[address.high() >> (64 - kRootBits)].load(kRead)};
    while (link.is_node()) {
        const Node& node = nodes_[link.index()];
        if (link.skips() && common_bits(address, node.key) < node.offset) {
            link.word = node.fallback.load(kRead);
            break;
        }
        link.word = node.slots[link.way(address)].load(kRead);
    }
    if (link.is_leaf()) {
        link.word = leaves_[link.index()].answer(address).load(kRead);
    }
    return link.word;
}

void NibbleTrie::lookup_bulk(
    const Ip6* addresses,
    std::uint32_t* values,
    const std::uint8_t* pending,
    unsigned count) const noexcept {
    assert(count <= kBulk);
    const Node* nodes = nodes_.data();
    const Leaf* leaves = leaves_.data();
    std::array<std::uint8_t, kBulk> open;
    std::array<std::uint8_t, kBulk> last;
    unsigned opened = 0;
    unsigned lasting = 0;
    // All addresses take a step before any takes the next: their misses overlap.
    const auto settle = [&](std::uint8_t i, Link link) {
        values[i] = link.word;
        if (link.is_answer()) {
            return;
        }
        if (link.is_leaf()) {
            __builtin_prefetch(&leaves[link.index()]);
            last[lasting++] = i;
            return;
        }
        const Node& node = nodes[link.index()];
        __builtin_prefetch(&node.slots);
        if (link.skips()) {
            __builtin_prefetch(&node.key);
        }
        open[opened++] = i;
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
            const Node& node = nodes[link.index()];
            const bool differs = link.skips() && common_bits(addresses[i], node.key) < node.offset;
            const Slot& next = differs ? node.fallback : node.slots[link.way(addresses[i])];
            settle(i, Link{next.load(kRead)});
        }
    }
    for (unsigned n = 0; n < lasting; ++n) {
        const std::uint8_t i = last[n];
        const Leaf& leaf = leaves[Link{values[i]}.index()];
        values[i] = leaf.answer(addresses[i]).load(kRead);
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
    return Link::kLink | (offset != above.end() ? Link::kSkip : 0) | offset / 4 << 25U | node;
}

/// A node, not yet linked, all of whose slots hold `value`.
std::uint32_t NibbleTrie::make(Ip6 address, unsigned offset, std::uint32_t value, unsigned depth) {
    const std::uint32_t index = nodes_.take();
    Node& node = nodes_[index];
    node.key = address.masked(offset);
    node.offset = static_cast<std::uint8_t>(offset);
    node.fallback.store(value, kRelaxed);
    node.children = 0;
    node.prefixes = 0;
    for (Slot& slot : node.slots) {
        slot.store(value, kRelaxed);
    }
    node.depth.fill(static_cast<std::uint8_t>(depth));
    return index;
}

/// A leaf, not yet linked.
std::uint32_t NibbleTrie::make_leaf(
    const Prefix<V6>& prefix, std::uint32_t value, std::uint32_t fallback) {
    const std::uint32_t index = leaves_.take();
    Leaf& leaf = leaves_[index];
    leaf.key = prefix.address();
    leaf.length = static_cast<std::uint8_t>(prefix.length());
    leaf.value.store(value, kRelaxed);
    leaf.fallback.store(fallback, kRelaxed);
    return index;
}

/// A node, not yet linked, that says what `leaf` says, and in or below which there is room for `beside`.
/// `depth`: length of the prefix that gave the leaf's fallback.
std::uint32_t NibbleTrie::unfold(const Leaf& leaf, const Prefix<V6>& beside, unsigned depth) {
    const auto prefix = *Prefix<V6>::make(leaf.key, leaf.length);
    const unsigned end = end_offset(leaf.length);
    const unsigned shared = common_bits(leaf.key, beside.address()) / 4 * 4;
    const unsigned fork = std::min({shared, end, end_offset(beside.length())});
    const std::uint32_t value = leaf.value.load(kRelaxed);
    const std::uint32_t fallback = leaf.fallback.load(kRelaxed);
    const std::uint32_t index = make(leaf.key, fork, fallback, depth);
    Node& node = nodes_[index];
    if (fork == end) {
        node.prefixes = 1;
        paint_prefix(row(index), prefix, Paint{value, prefix.length(), 0, prefix.length()});
    } else {
        // A copy, for the reason that insert() gives for nodes.
        const Link child = Link::to_leaf(make_leaf(prefix, value, fallback));
        node.children = 1;
        node.slots[row(index).index(leaf.key)].store(child.word, kRelaxed);
    }
    return index;
}

/// A node, not yet linked, that says what node `from` says now.
std::uint32_t NibbleTrie::copy(std::uint32_t from) {
    const std::uint32_t index = nodes_.take();
    const Node& old = nodes_[from];
    Node& node = nodes_[index];
    node.key = old.key;
    node.offset = old.offset;
    node.fallback.store(old.fallback.load(kRelaxed), kRelaxed);
    node.children = old.children;
    node.prefixes = old.prefixes;
    for (unsigned i = 0; i < kWays; ++i) {
        node.slots[i].store(old.slots[i].load(kRelaxed), kRelaxed);
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
        const Link link{row.slots[i].load(kRelaxed)};
        if (link.is_node()) {
            nodes_[link.index()].fallback.store(paint.value, kPublish);
            paint_slots(this->row(link.index()), 0, kWays, paint);
        } else if (link.is_leaf()) {
            leaves_[link.index()].fallback.store(paint.value, kPublish);
        } else {
            row.slots[i].store(paint.value, kPublish);
        }
    }
}

void NibbleTrie::set(const Prefix<V6>& prefix, std::uint32_t value, bool added) {
    const unsigned length = prefix.length();
    assert(length != 0 && length < V6::kBits);
    const Paint paint{value, length, 0, length};
    if (length <= kRootBits) {
        paint_prefix(root(), prefix, paint);
    } else {
        insert(prefix, paint, added);
    }
}

/// For prefixes that end below the root: finds the leaf of `prefix` or the node where it ends, makes what
/// is missing.
void NibbleTrie::insert(const Prefix<V6>& prefix, const Paint& paint, bool added) {
    const Ip6 address = prefix.address();
    const unsigned wanted = end_offset(prefix.length());
    Row above = root();
    Node* parent = nullptr;
    for (;;) {
        const unsigned at = above.index(address);
        Slot& slot = above.slots[at];
        const Link found{slot.load(kRelaxed)};
        if (found.is_answer()) {
            const std::uint32_t leaf = make_leaf(prefix, paint.value, found.word);
            slot.store(Link::to_leaf(leaf).word, kPublish);
            if (parent != nullptr) {
                ++parent->children;
            }
            return;
        }
        if (found.is_leaf()) {
            Leaf& leaf = leaves_[found.index()];
            if (leaf.key == address && leaf.length == prefix.length()) {
                leaf.value.store(paint.value, kPublish);
                return;
            }
            slot.store(link(unfold(leaf, prefix, above.depth[at]), above), kPublish);
            leaves_.retire(found.index());
            continue;
        }
        Node& node = nodes_[found.index()];
        const unsigned shared = common_bits(address, node.key) / 4 * 4;
        const unsigned fork = std::min({shared, wanted, unsigned{node.offset}});
        if (fork < node.offset) {
            // The ways part inside the skip, or `prefix` ends there: a node in between.  Behind it
            // the fallback answers for fewer addresses, so a reader who came by the old link must
            // not see what is painted there from now on: the child goes on as a copy.
            const std::uint32_t between =
                make(address, fork, node.fallback.load(kRelaxed), above.depth[at]);
            adopt(between, copy(found.index()));
            slot.store(link(between, above), kPublish);
            nodes_.retire(found.index());
            continue;
        }
        if (fork == wanted) {
            node.prefixes = static_cast<std::uint8_t>(node.prefixes + (added ? 1 : 0));
            paint_prefix(row(found.index()), prefix, paint);
            return;
        }
        parent = &node;
        above = row(found.index());
    }
}

void NibbleTrie::clear(
    const Prefix<V6>& prefix, const std::optional<PrefixTrie<V6>::Entry>& cover) {
    const unsigned length = prefix.length();
    const Paint paint{cover ? cover->second : 0, cover ? cover->first.length() : 0, length, length};
    if (length <= kRootBits) {
        paint_prefix(root(), prefix, paint);
        return;
    }
    Path path;
    Row above = root();
    do {
        Slot& slot = above.slots[above.index(prefix.address())];
        const Link found{slot.load(kRelaxed)};
        if (found.is_leaf()) {
            slot.store(leaves_[found.index()].fallback.load(kRelaxed), kPublish);
            leaves_.retire(found.index());
            if (path.length != 0) {
                --nodes_[path.nodes[path.length - 1]].children;
                prune(path);
            }
            return;
        }
        path.slots[path.length] = &slot;
        path.nodes[path.length++] = found.index();
        above = row(found.index());
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
                return !Link{s.load(kRelaxed)}.is_answer();
            });
            // The child now hangs further up, a node behind a skip.
            const Link child{only->load(kRelaxed)};
            path.slots[i]->store(child.is_leaf() ? child.word : child.word | Link::kSkip, kPublish);
            nodes_.retire(index);
            return;
        }
        path.slots[i]->store(node.fallback.load(kRelaxed), kPublish);
        if (i > 0) {
            --nodes_[path.nodes[i - 1]].children;
        }
        nodes_.retire(index);
    }
}

}  // namespace vr
