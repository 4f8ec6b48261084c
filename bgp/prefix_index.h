// PrefixIndex: from a prefix to the number of its route, without ever stopping for long.
//
// The prefixes themselves lie with the routes; the index holds their numbers only, in many small hash
// sets: each grows by itself, and hardly two at once, so that no insertion moves more than some thousandths
// of the table.  The hash is seeded: a peer cannot choose prefixes that collide.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "vrouter/net/prefix_hash.h"

namespace vr::bgp {

/// `PrefixOf` answers the prefix of a route's number.
template <Family F, typename PrefixOf>
class PrefixIndex {
  public:
    using Number = std::uint32_t;

    PrefixIndex(PrefixOf prefix_of, std::uint64_t seed) : hash_{prefix_of, {seed}} {
        shards_.reserve(kShards);
        for (std::size_t i = 0; i < kShards; ++i) {
            shards_.emplace_back(0, hash_, Equal{prefix_of});
        }
    }

    /// The number of `prefix`, or kNone.
    [[nodiscard]] Number find(const Prefix<F>& prefix) const {
        const Key key{prefix, hash_.of(prefix)};
        const Shard& shard = shards_[shard_of(key.hash)];
        const auto at = shard.find(key);
        return at == shard.end() ? kNone : *at;
    }

    /// The prefix of `number` can be found from now on.
    void insert(Number number) {
        shards_[shard_of(hash_.of_number(number))].insert(number);
        ++size_;
    }

    void erase(Number number) {
        shards_[shard_of(hash_.of_number(number))].erase(number);
        --size_;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    static constexpr Number kNone = ~Number{0};

  private:
    static constexpr std::size_t kShards = 1024;

    [[nodiscard]] static constexpr std::size_t shard_of(std::uint64_t hash) noexcept {
        return part_of<kShards>(hash);
    }

    struct Key {
        const Prefix<F>& prefix;
        std::uint64_t hash;
    };

    struct Hash {
        using is_transparent = void;
        using is_avalanching = void;

        PrefixOf prefix_of;
        PrefixHash<F> of;

        [[nodiscard]] std::uint64_t of_number(Number number) const noexcept {
            return of(prefix_of(number));
        }

        std::size_t operator()(Number number) const noexcept { return of_number(number); }

        std::size_t operator()(const Key& key) const noexcept { return key.hash; }
    };

    struct Equal {
        using is_transparent = void;

        PrefixOf prefix_of;

        bool operator()(Number a, Number b) const noexcept { return a == b; }

        bool operator()(const Key& a, Number b) const noexcept { return a.prefix == prefix_of(b); }

        bool operator()(Number a, const Key& b) const noexcept { return b.prefix == prefix_of(a); }
    };

    using Shard = boost::unordered_flat_set<Number, Hash, Equal>;

    Hash hash_;
    std::vector<Shard> shards_;
    std::size_t size_ = 0;
};

}  // namespace vr::bgp
