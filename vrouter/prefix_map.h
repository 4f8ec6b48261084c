// PrefixMap<F, T>: from prefixes to values, without ever stopping for long.
//
// Many small hash tables: each grows by itself, and hardly two at once, so that no insertion moves more than a few
// hundred values.  References last until the next insertion or erasure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "vrouter/net/prefix_hash.h"

namespace vr {

template <Family F, typename T>
class PrefixMap {
  public:
    static constexpr std::size_t kShards = 4096;

    PrefixMap() : hash_{std::uint64_t{std::random_device{}()} << 32U | std::random_device{}()} {
        shards_.assign(kShards, Shard{0, hash_});
    }

    /// Null when there is none.
    [[nodiscard]] T* find(const Prefix<F>& prefix) {
        Shard& shard = shards_[shard_of(prefix)];
        const auto at = shard.find(prefix);
        return at == shard.end() ? nullptr : &at->second;
    }

    [[nodiscard]] const T* find(const Prefix<F>& prefix) const {
        const Shard& shard = shards_[shard_of(prefix)];
        const auto at = shard.find(prefix);
        return at == shard.end() ? nullptr : &at->second;
    }

    /// Made when it is not there.
    [[nodiscard]] T& operator[](const Prefix<F>& prefix) {
        return shards_[shard_of(prefix)][prefix];
    }

    void erase(const Prefix<F>& prefix) { shards_[shard_of(prefix)].erase(prefix); }

    /// Calls visit(prefix, value) for those of one shard, and returns how many there were.
    template <typename Visit>
    std::size_t visit_shard(std::size_t shard, Visit visit) const {
        for (const auto& [prefix, value] : shards_[shard]) {
            visit(prefix, value);
        }
        return shards_[shard].size();
    }

  private:
    using Shard = boost::unordered_flat_map<Prefix<F>, T, PrefixHash<F>>;

    [[nodiscard]] std::size_t shard_of(const Prefix<F>& prefix) const noexcept {
        return part_of<kShards>(hash_(prefix));
    }

    PrefixHash<F> hash_;
    std::vector<Shard> shards_;
};

}  // namespace vr
