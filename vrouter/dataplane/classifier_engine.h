// The classifier's inner step: which rules of a block do all of a packet's rows allow?
//
// One function in three widths; the widest that the CPU has is chosen when a classifier is built.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vrouter/dataplane/rule_rows.h"

namespace vr::acl {

/// One side's groups of one packet, as rows: a rule stays if it is in `base` or in any `wanted` row,
/// and in no `unwanted` one.
struct GroupRows {
    static constexpr unsigned kMost = 8;

    const Block* base = nullptr;  ///< null: not asked
    unsigned wanted_count = 0;
    unsigned unwanted_count = 0;
    std::array<const Block*, kMost> wanted;
    std::array<const Block*, kMost> unwanted;

    [[nodiscard]] unsigned unwanted_in(std::ptrdiff_t block) const noexcept {
        return block < 0 ? 0 : unwanted_count;
    }
};

/// A packet as rows.
struct Query {
    static constexpr unsigned kMostFields = 5;

    std::array<const Block*, kMostFields> rows;
    unsigned count = 0;
    std::array<GroupRows, 2> groups;
};

/// Stores the rules of block number `block` that remain to `live`; bit i of the result says that word i
/// is not 0.  A negative block is a summary: the result then names all blocks worth a look, and
/// `unwanted` rows, which can only take rules away, are passed over.
using Intersect = unsigned (*)(const Query& query, std::ptrdiff_t block, Block& live) noexcept;

/// The fastest one for this CPU.
[[nodiscard]] Intersect best_intersect() noexcept;

/// Every one that this CPU can run, the portable one first.
[[nodiscard]] std::vector<Intersect> usable_intersects();

}  // namespace vr::acl
