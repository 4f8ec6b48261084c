// PathList: the paths to one prefix, the best one first; made for tables of a million prefixes.
//
// A path takes 16 octets; one path lies in the list itself, more lie in one block of memory that grows
// by little, since most prefixes have few paths and all have about as many: room for two that nobody
// fills, in each of 100,000 prefixes, is 3 MB.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "bgp/attribute_pool.h"
#include "bgp/decision.h"
#include "bgp/path_source.h"

namespace vr::bgp {

/// One path as the Loc-RIB keeps it: this is the Adj-RIB-In of its source as well.
struct PathCell {
    AttributesRef attributes;   ///< after the import filter; received(): before it
    std::uint32_t path_id = 0;  ///< as received, RFC 7911; 0 on sessions without ADD-PATH
    SourceId source = 0;
    std::uint8_t epoch = 0;         ///< of the source, when the path was last announced
    Step lost_at : 5 = Step::Best;  ///< filled by the decision
    bool refused : 1 = false;       ///< by the rules or by the import filter: no candidate
    bool multipath : 1 = false;     ///< carries traffic; filled by the decision

    /// Epochs count to this and start again.
    static constexpr std::uint8_t kEpochs = 64;
};

static_assert(sizeof(PathCell) == 16);

class PathList {
  public:
    /// Most paths to one prefix, and most of them of one source: a peer must not make every other
    /// peer's path to the prefix dear to find.
    static constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();
    static constexpr std::size_t kMostOfOne = 128;

    PathList() noexcept {}

    PathList(const PathList&) = delete;
    PathList& operator=(const PathList&) = delete;
    PathList(PathList&&) = delete;
    PathList& operator=(PathList&&) = delete;

    ~PathList() { clear(); }

    [[nodiscard]] std::span<PathCell> cells() noexcept { return {begin(), count_}; }

    [[nodiscard]] std::span<const PathCell> cells() const noexcept {
        return {const_cast<PathList*>(this)->begin(), count_};
    }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }

    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    /// Adds at the end; only below kMost.
    void push_back(PathCell&& cell) {
        if (count_ == capacity_) {
            grow();
        }
        std::construct_at(begin() + count_, std::move(cell));
        ++count_;
    }

    /// Closes the gap: the order of the others stays.
    void erase(std::size_t position) noexcept {
        PathCell* const first = begin();
        std::move(first + position + 1, first + count_, first + position);
        --count_;
        std::destroy_at(first + count_);
        if (count_ == 0) {
            clear();
        }
    }

    void clear() noexcept {
        std::destroy_n(begin(), count_);
        if (capacity_ > 1) {
            std::allocator<PathCell>{}.deallocate(many_, capacity_);
        }
        count_ = 0;
        capacity_ = 1;
    }

    /// What a full list of `capacity` grows to: by an eighth, two at least, and to the end of the block that
    /// the allocator gives for that: jemalloc has four sizes to each doubling.
    [[nodiscard]] static constexpr std::size_t grown(std::size_t capacity) noexcept {
        const std::size_t least = capacity + std::max<std::size_t>(2, capacity / 8);
        const std::size_t step = std::max<std::size_t>(1, std::bit_floor(least) / 4);
        return std::min(kMost, (least + step - 1) / step * step);
    }

  private:
    [[nodiscard]] PathCell* begin() noexcept { return capacity_ > 1 ? many_ : &one_; }

    void grow() {
        const std::size_t wanted = grown(capacity_);
        PathCell* const block = std::allocator<PathCell>{}.allocate(wanted);
        PathCell* const old = begin();
        std::uninitialized_move_n(old, count_, block);
        std::destroy_n(old, count_);
        if (capacity_ > 1) {
            std::allocator<PathCell>{}.deallocate(old, capacity_);
        }
        many_ = block;
        capacity_ = static_cast<std::uint16_t>(wanted);
    }

    union {
        PathCell one_;    ///< capacity 1
        PathCell* many_;  ///< more
    };

    std::uint16_t count_ = 0;
    std::uint16_t capacity_ = 1;
};

}  // namespace vr::bgp
