// PrefixTrie<F>: the control thread's ordered set of prefixes with their values (a Patricia tree).
//
// Answers what the workers' tables cannot: which prefix covers this one, what lies inside it.  A node
// holds a prefix or only joins two branches (value 0); at most two nodes per prefix.  One thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "vrouter/net/prefix.h"

namespace vr {

/// How many leading bits two addresses share.
[[nodiscard]] constexpr unsigned common_bits(Ip4 a, Ip4 b) noexcept {
    return static_cast<unsigned>(std::countl_zero(a.value() ^ b.value()));
}

[[nodiscard]] constexpr unsigned common_bits(Ip6 a, Ip6 b) noexcept {
    const std::uint64_t high = a.high() ^ b.high();
    return static_cast<unsigned>(
        high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(a.low() ^ b.low()));
}

template <Family F>
class PrefixTrie {
  public:
    using Addr = typename F::Addr;
    using Entry = std::pair<Prefix<F>, std::uint32_t>;

    PrefixTrie() { static_cast<void>(nodes_.add()); }  // the root

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Adds or replaces; true when `prefix` is new.  `value` is not 0.
    bool insert(const Prefix<F>& prefix, std::uint32_t value) {
        Index at = 0;
        for (;;) {
            if (nodes_[at].prefix.length() == prefix.length()) {
                const bool added = std::exchange(nodes_[at].value, value) == 0;
                size_ += added ? 1 : 0;
                return added;
            }
            const unsigned side = branch(at, prefix.address());
            const Index child = nodes_[at].child[side];
            if (child != 0 && nodes_[child].prefix.contains(prefix)) {
                at = child;
                continue;
            }
            const Index top = child == 0 ? make(prefix, value) : split(child, prefix, value);
            nodes_[at].child[side] = top;
            ++size_;
            return true;
        }
    }

    /// False when `prefix` was not there.
    bool erase(const Prefix<F>& prefix) {
        Index above = 0;
        Index parent = 0;
        Index at = 0;
        while (nodes_[at].prefix.length() < prefix.length()) {
            const Index child = nodes_[at].child[branch(at, prefix.address())];
            if (child == 0 || !nodes_[child].prefix.contains(prefix)) {
                return false;
            }
            above = std::exchange(parent, std::exchange(at, child));
        }
        if (std::exchange(nodes_[at].value, 0) == 0) {
            return false;
        }
        --size_;
        if (bypass(parent, at)) {
            bypass(above, parent);
        }
        return true;
    }

    [[nodiscard]] std::uint32_t find(const Prefix<F>& prefix) const noexcept {
        const Index at = descend(prefix);
        return nodes_[at].prefix == prefix ? nodes_[at].value : 0;
    }

    /// The longest prefix that contains `address`.
    [[nodiscard]] std::optional<Entry> match(Addr address) const noexcept {
        return deepest(Prefix<F>::host(address), F::kBits + 1);
    }

    /// The longest prefix that contains `prefix` and is not it.
    [[nodiscard]] std::optional<Entry> cover(const Prefix<F>& prefix) const noexcept {
        return deepest(prefix, prefix.length());
    }

    /// Visits `within` and what lies inside it, covering prefixes first.
    template <typename Visit>
    void for_each_within(const Prefix<F>& within, Visit&& visit) const {
        const Index top = subtree(within);
        if (top != kNowhere) {
            walk(top, visit);
        }
    }

    /// The same from `from` on, which lies inside `within`, and for as long as `visit` says true.
    template <typename Visit>
    void for_each_within(const Prefix<F>& within, const Prefix<F>& from, Visit&& visit) const {
        const Index top = subtree(within);
        if (top != kNowhere) {
            static_cast<void>(walk_from(top, from, visit));
        }
    }

  private:
    using Index = std::uint32_t;
    static constexpr Index kNowhere = ~Index{0};

    struct Node {
        Prefix<F> prefix;
        std::uint32_t value = 0;       // 0: only joins its children
        std::array<Index, 2> child{};  // 0: none; node 0 is the root, never a child
    };

    /// Nodes by number, in chunks: growing moves none of them.
    class Nodes {
      public:
        [[nodiscard]] Node& operator[](Index at) noexcept {
            return (*chunks_[at / kChunk])[at % kChunk];
        }

        [[nodiscard]] const Node& operator[](Index at) const noexcept {
            return (*chunks_[at / kChunk])[at % kChunk];
        }

        [[nodiscard]] Index add() {
            if (size_ % kChunk == 0) {
                chunks_.push_back(std::make_unique<Chunk>());
            }
            return size_++;
        }

      private:
        static constexpr Index kChunk = 1024;
        using Chunk = std::array<Node, kChunk>;

        std::vector<std::unique_ptr<Chunk>> chunks_;
        Index size_ = 0;
    };

    [[nodiscard]] unsigned branch(Index at, Addr address) const noexcept {
        return address.bit(nodes_[at].prefix.length()) ? 1 : 0;
    }

    [[nodiscard]] Index make(const Prefix<F>& prefix, std::uint32_t value) {
        const Index index = free_ == kNowhere ? nodes_.add() : free_;
        if (index == free_) {
            free_ = nodes_[index].child[0];
        }
        nodes_[index] = {prefix, value, {}};
        return index;
    }

    /// A node for `prefix` beside or above `child`, which does not contain it.
    [[nodiscard]] Index split(Index child, const Prefix<F>& prefix, std::uint32_t value) {
        const Prefix<F> other = nodes_[child].prefix;
        const Index added = make(prefix, value);
        if (prefix.contains(other)) {
            nodes_[added].child[branch(added, other.address())] = child;
            return added;
        }
        const unsigned shared = common_bits(prefix.address(), other.address());
        const Index joint = make(*Prefix<F>::make(prefix.address(), shared), 0);
        nodes_[joint].child[branch(joint, prefix.address())] = added;
        nodes_[joint].child[branch(joint, other.address())] = child;
        return joint;
    }

    /// Takes `at` out when it holds no prefix and joins nothing; true when it left.
    bool bypass(Index parent, Index at) {
        Node& node = nodes_[at];
        if (at == 0 || node.value != 0 || (node.child[0] != 0 && node.child[1] != 0)) {
            return false;
        }
        Node& upper = nodes_[parent];
        upper.child[upper.child[0] == at ? 0 : 1] = std::max(node.child[0], node.child[1]);
        node.child = {std::exchange(free_, at), 0};
        return true;
    }

    /// The deepest node that contains `prefix`.
    [[nodiscard]] Index descend(const Prefix<F>& prefix) const noexcept {
        Index at = 0;
        while (nodes_[at].prefix.length() < prefix.length()) {
            const Index child = nodes_[at].child[branch(at, prefix.address())];
            if (child == 0 || !nodes_[child].prefix.contains(prefix)) {
                break;
            }
            at = child;
        }
        return at;
    }

    /// The node of `within`, or the topmost one inside it.
    [[nodiscard]] Index subtree(const Prefix<F>& within) const noexcept {
        const Index at = descend(within);
        if (nodes_[at].prefix == within) {
            return at;
        }
        const Index child = nodes_[at].child[branch(at, within.address())];
        return child != 0 && within.contains(nodes_[child].prefix) ? child : kNowhere;
    }

    [[nodiscard]] std::optional<Entry> deepest(
        const Prefix<F>& prefix, unsigned below) const noexcept {
        std::optional<Entry> best;
        Index at = 0;
        for (;;) {
            const Node& node = nodes_[at];
            if (node.prefix.length() >= below) {
                return best;
            }
            if (node.value != 0) {
                best = Entry{node.prefix, node.value};
            }
            if (node.prefix.length() >= prefix.length()) {
                return best;
            }
            at = node.child[branch(at, prefix.address())];
            if (at == 0 || !nodes_[at].prefix.contains(prefix)) {
                return best;
            }
        }
    }

    template <typename Visit>
    void walk(Index at, Visit& visit) const {
        const Node node = nodes_[at];
        if (node.value != 0) {
            visit(node.prefix, node.value);
        }
        for (const Index child : node.child) {
            if (child != 0) {
                walk(child, visit);
            }
        }
    }

    template <typename Visit>
    [[nodiscard]] bool walk_from(Index at, const Prefix<F>& from, Visit& visit) const {
        const Node& node = nodes_[at];
        const bool before = node.prefix < from;
        if (before && !node.prefix.contains(from)) {
            return true;  // and so is all inside it
        }
        if (node.value != 0 && !before && !visit(node.prefix, node.value)) {
            return false;
        }
        return std::ranges::all_of(
            node.child, [&](Index child) { return child == 0 || walk_from(child, from, visit); });
    }

    Nodes nodes_;
    Index free_ = kNowhere;  ///< the first of the unused nodes, each of which names the next
    std::size_t size_ = 0;
};

}  // namespace vr
