// Generations: which of a peer's paths are fresh, which stale and which leave.
//
// Every path carries the generation in which it was announced last.  Ageing all of a peer's paths, or
// letting all of them leave, is then a step of a counter, whatever the table's size; what leaves is
// found later, in slices.  RFC 4724 (a lost session's routes stay for the next one), RFC 9494 (the oldest
// of them may be the last resort while younger ones are not yet) and RFC 7313 (what a refresh did not
// repeat leaves).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "bgp/path_list.h"

namespace vr::bgp {

class Generations {
  public:
    /// What is announced now belongs to this.
    [[nodiscard]] std::uint8_t current() const noexcept { return current_; }

    /// In force: fresh, or stale.
    [[nodiscard]] bool is_kept(std::uint8_t generation) const noexcept {
        return age_of(generation) <= age_of(oldest_kept_);
    }

    [[nodiscard]] bool is_stale(std::uint8_t generation) const noexcept {
        return generation != current_ && is_kept(generation);
    }

    /// Stale, and the last resort.
    [[nodiscard]] bool is_long_lived(std::uint8_t generation) const noexcept {
        return is_kept(generation) && age_of(generation) > age_of(youngest_);
    }

    /// False when there are more ages than can be told apart.
    [[nodiscard]] bool can_age() const noexcept { return age_of(oldest_kept_) < kMostAges; }

    /// What is fresh becomes stale.
    void age() noexcept {
        if (can_age() && fresh() != 0) {
            current_ = next(current_);
        }
    }

    /// What is stale becomes the last resort.
    void begin_long_lived() noexcept { youngest_ = current_; }

    /// What is stale leaves.
    void drop_stale() noexcept { oldest_kept_ = youngest_ = current_; }

    /// Everything leaves.
    void drop_all() noexcept {
        current_ = next(current_);
        oldest_kept_ = youngest_ = current_;
    }

    /// True when one more step could make a path that is leaving look kept: leaving ones have to go
    /// first.
    [[nodiscard]] bool exhausted() const noexcept { return count(next(current_)) != 0; }

    void add(std::uint8_t generation) noexcept {
        ++counts_[generation];
        ++all_;
    }

    void remove(std::uint8_t generation) noexcept {
        --counts_[generation];
        --all_;
    }

    [[nodiscard]] std::size_t fresh() const noexcept { return count(current_); }

    [[nodiscard]] std::size_t kept() const noexcept {
        return count_between(oldest_kept_, current_) + fresh();
    }

    [[nodiscard]] std::size_t long_lived() const noexcept {
        return count_between(oldest_kept_, youngest_);
    }

    [[nodiscard]] std::size_t stale() const noexcept { return kept() - fresh(); }

    [[nodiscard]] std::size_t leaving() const noexcept { return all_ - kept(); }

  private:
    static constexpr std::uint8_t kMostAges = PathCell::kEpochs / 2;

    [[nodiscard]] static constexpr std::uint8_t next(std::uint8_t generation) noexcept {
        return static_cast<std::uint8_t>((generation + 1) % PathCell::kEpochs);
    }

    [[nodiscard]] std::uint8_t age_of(std::uint8_t generation) const noexcept {
        return static_cast<std::uint8_t>(
            (current_ + PathCell::kEpochs - generation) % PathCell::kEpochs);
    }

    [[nodiscard]] std::size_t count(std::uint8_t generation) const noexcept {
        return counts_[generation];
    }

    [[nodiscard]] std::size_t count_between(std::uint8_t from, std::uint8_t end) const noexcept {
        std::size_t sum = 0;
        for (std::uint8_t g = from; g != end; g = next(g)) {
            sum += count(g);
        }
        return sum;
    }

    std::array<std::uint32_t, PathCell::kEpochs> counts_{};
    std::size_t all_ = 0;
    std::uint8_t current_ = 0;
    std::uint8_t oldest_kept_ = 0;
    std::uint8_t youngest_ = 0;  ///< that is not the last resort
};

}  // namespace vr::bgp
