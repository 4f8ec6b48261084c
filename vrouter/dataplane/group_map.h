// GroupMap<T>: what a classifier knows of each group that its rules name.  Built once, then read only.
//
// Most groups of a packet's address are named by other programs only: a filter of a bit each answers for
// them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "vrouter/net/ids.h"

namespace vr::acl {

template <typename T>
class GroupMap {
  public:
    GroupMap() = default;

    explicit GroupMap(const std::map<GroupId, T>& named) {
        std::size_t size = 4;
        while (size < named.size() * 2) {
            size *= 2;
        }
        table_.resize(named.empty() ? 0 : size);
        filter_.resize(std::max<std::size_t>(1, size * kFilterBits / 64));
        for (const auto& [group, value] : named) {
            std::size_t at = slot(group);
            while (table_[at].used) {
                at = (at + 1) & (table_.size() - 1);
            }
            table_[at] = {group, true, value};
            filter_[filter_bit(group) / 64] |= std::uint64_t{1} << (filter_bit(group) % 64);
        }
    }

    [[nodiscard]] bool empty() const noexcept { return table_.empty(); }

    /// Null when no rule names `group`.  Not to be asked when empty.
    [[nodiscard]] const T* find(GroupId group) const noexcept {
        const std::size_t bit = filter_bit(group);
        if ((filter_[bit / 64] >> (bit % 64) & 1U) == 0) {
            return nullptr;
        }
        for (std::size_t at = slot(group);; at = (at + 1) & (table_.size() - 1)) {
            if (!table_[at].used) {
                return nullptr;
            }
            if (table_[at].group == group) {
                return &table_[at].value;
            }
        }
    }

  private:
    struct Entry {
        GroupId group;
        bool used = false;
        T value;
    };

    static constexpr std::size_t kFilterBits = 16;  // per slot of the table

    [[nodiscard]] std::size_t slot(GroupId group) const noexcept {
        return (group.value() * 0x9e3779b1U >> 7U) & (table_.size() - 1);
    }

    // Neighbouring ids, which is how they are given out, lie on neighbouring bits.
    [[nodiscard]] std::size_t filter_bit(GroupId group) const noexcept {
        return group.value() & (filter_.size() * 64 - 1);
    }

    std::vector<Entry> table_;  ///< open addressing, at most half full
    std::vector<std::uint64_t> filter_;
};

}  // namespace vr::acl
