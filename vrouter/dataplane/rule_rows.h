// RowStore: bit vectors over rules ("which rules does this port, this protocol, ... satisfy?"), and
// RangeRows: one such row for every stretch of points (ports, addresses) that satisfies the same rules.
//
// A row is a whole number of 512-bit blocks, so that every engine reads it in its own width; equal rows
// are stored once and have a summary to skip empty blocks by.  Built once, then read only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr::acl {

/// The bits of 512 rules; rule 0 is the lowest bit of the first word.
struct alignas(64) Block {
    std::array<std::uint64_t, 8> words{};

    friend bool operator==(const Block&, const Block&) = default;
};

inline constexpr std::uint32_t kBlockRules = 512;

using RowId = std::uint32_t;

/// A row being made.  Keeps its hash as bits change, so that a long row that changes little is cheap.
class Row {
  public:
    explicit Row(std::uint32_t blocks) : blocks_(blocks) {}

    void set(std::uint32_t rule, bool on) {
        std::uint64_t& word = blocks_[rule / kBlockRules].words[rule / 64 % 8];
        const std::uint64_t bit = std::uint64_t{1} << (rule % 64);
        if (((word & bit) != 0) != on) {
            word ^= bit;
            hash_ ^= mixed(rule);
        }
    }

    [[nodiscard]] const std::vector<Block>& blocks() const noexcept { return blocks_; }

    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

  private:
    [[nodiscard]] static std::uint64_t mixed(std::uint32_t rule) noexcept {
        std::uint64_t h = (rule + std::uint64_t{1}) * 0x9e3779b97f4a7c15U;
        h = (h ^ h >> 31U) * 0xff51afd7ed558ccdU;
        return h ^ h >> 33U;
    }

    std::vector<Block> blocks_;
    std::uint64_t hash_ = 0;
};

class RowStore {
  public:
    explicit RowStore(std::uint32_t rules)
        : blocks_(std::max(1U, (rules + kBlockRules - 1) / kBlockRules)),
          summaries_(blocks_ <= 2 ? 0 : (blocks_ + kBlockRules - 1) / kBlockRules) {}

    [[nodiscard]] std::uint32_t blocks() const noexcept { return blocks_; }

    /// Blocks in front of each row that say which of its blocks have any bit set: block -1 speaks for
    /// the first 512, block -2 for the next.  0 for rows so short that looking costs more.
    [[nodiscard]] std::uint32_t summaries() const noexcept { return summaries_; }

    [[nodiscard]] Row empty_row() const { return Row(blocks_); }

    /// The id of a row equal to `row`.
    [[nodiscard]] RowId add(const Row& row) {
        const auto& blocks = row.blocks();
        const auto [begin, end] = known_.equal_range(row.hash());
        for (auto at = begin; at != end; ++at) {
            if (std::equal(blocks.begin(), blocks.end(), (*this)[at->second])) {
                return at->second;
            }
        }
        const auto id = static_cast<RowId>(data_.size() / (summaries_ + blocks_));
        known_.emplace(row.hash(), id);
        const std::size_t first = data_.size() + summaries_;
        data_.resize(first);
        for (std::uint32_t i = 0; summaries_ != 0 && i < blocks_; ++i) {
            const std::uint64_t any = blocks[i] != Block{} ? 1 : 0;
            data_[first - 1 - i / kBlockRules].words[i / 64 % 8] |= any << (i % 64);
        }
        data_.insert(data_.end(), blocks.begin(), blocks.end());
        return id;
    }

    /// The row's first block.
    [[nodiscard]] const Block* operator[](RowId id) const noexcept {
        return data_.data() + std::size_t{id} * (summaries_ + blocks_) + summaries_;
    }

    /// Call when all rows are in.
    void finish() {
        known_ = {};
        data_.shrink_to_fit();
    }

  private:
    std::uint32_t blocks_;
    std::uint32_t summaries_;
    std::vector<Block> data_;
    std::unordered_multimap<std::uint64_t, RowId> known_;
};

/// The point behind `point`; nothing behind the last one.
[[nodiscard]] constexpr std::optional<L4Port> next_point(L4Port point) noexcept {
    const auto next = static_cast<std::uint16_t>(point.value() + 1);
    return next != 0 ? std::optional(L4Port{next}) : std::nullopt;
}

[[nodiscard]] constexpr std::optional<Ip4> next_point(Ip4 point) noexcept {
    const std::uint32_t next = point.value() + 1;
    return next != 0 ? std::optional(Ip4{next}) : std::nullopt;
}

[[nodiscard]] constexpr std::optional<Ip6> next_point(Ip6 point) noexcept {
    const std::uint64_t low = point.low() + 1;
    const std::uint64_t high = point.high() + (low == 0 ? 1 : 0);
    return low != 0 || high != 0 ? std::optional(Ip6{high, low}) : std::nullopt;
}

/// Collects which points satisfy which rules, then tells the stretches.  A rule is satisfied by a point
/// that is in one of its wanted ranges (or it has none) and in none of its unwanted ones.
template <typename Point>
class RangeRows {
  public:
    explicit RangeRows(std::uint32_t rules)
        : wanted_(rules), unwanted_(rules), restricted_(rules) {}

    void want(std::uint32_t rule, Point first, Point last) {
        restricted_[rule] = true;
        add(rule, first, last, wanted_);
    }

    void exclude(std::uint32_t rule, Point first, Point last) { add(rule, first, last, unwanted_); }

    /// False when every point satisfies every rule.
    [[nodiscard]] bool any() const noexcept { return any_; }

    /// Calls `stretch(first point, row)` in order of points.
    template <typename Stretch>
    void build(RowStore& store, Stretch&& stretch) {
        std::stable_sort(events_.begin(), events_.end(), [](const auto& a, const auto& b) {
            return a.point < b.point;
        });
        Row row = store.empty_row();
        for (std::uint32_t rule = 0; rule < wanted_.size(); ++rule) {
            row.set(rule, !restricted_[rule]);
        }
        Point point{};
        for (auto event = events_.begin();;) {
            for (; event != events_.end() && event->point == point; ++event) {
                *event->count = static_cast<std::uint32_t>(*event->count + event->step);
                const std::uint32_t rule = event->rule;
                const bool inside = !restricted_[rule] || wanted_[rule] != 0;
                row.set(rule, inside && unwanted_[rule] == 0);
            }
            stretch(point, store.add(row));
            if (event == events_.end()) {
                return;
            }
            point = event->point;
        }
    }

  private:
    using Counts = std::vector<std::uint32_t>;

    struct Event {
        Point point;
        std::uint32_t rule;
        std::uint32_t* count;
        std::uint32_t step;  // 1, or -1 modulo 2^32
    };

    void add(std::uint32_t rule, Point first, Point last, Counts& counts) {
        any_ = true;
        if (last < first) {
            return;
        }
        events_.push_back({first, rule, &counts[rule], 1});
        if (const auto behind = next_point(last)) {
            events_.push_back({*behind, rule, &counts[rule], ~std::uint32_t{0}});
        }
    }

    Counts wanted_;
    Counts unwanted_;
    std::vector<bool> restricted_;
    std::vector<Event> events_;
    bool any_ = false;
};

}  // namespace vr::acl
