// Generations: which of a peer's paths are fresh, which stale and which leave.
//
// Every path carries the generation in which it was announced last.  Ageing all of a peer's paths, or
// letting all of them leave, then changes what generations are, whatever the table's size; what leaves is
// found later, in slices.  RFC 4724 (a lost session's routes stay for the next one), RFC 9494 (the oldest
// of them may be the last resort while younger ones are not yet) and RFC 7313 (what a refresh did not
// repeat leaves).  A generation that no path carries is used again.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "bgp/path_list.h"

namespace vr::bgp {

class Generations {
  public:
    Generations() { states_[current_] = State::Fresh; }

    /// What is announced now belongs to this.
    [[nodiscard]] std::uint8_t current() const noexcept { return current_; }

    /// In force: fresh, or stale.
    [[nodiscard]] bool is_kept(std::uint8_t generation) const noexcept {
        return states_[generation] != State::Leaving;
    }

    [[nodiscard]] bool is_stale(std::uint8_t generation) const noexcept {
        return generation != current_ && is_kept(generation);
    }

    /// Stale, and the last resort.
    [[nodiscard]] bool is_long_lived(std::uint8_t generation) const noexcept {
        return states_[generation] == State::LongLived;
    }

    /// False when there are as many ages of what is stale as are told apart.
    [[nodiscard]] bool can_age() const noexcept {
        std::size_t ages = 0;
        for (std::uint8_t g = 0; g < PathCell::kEpochs; ++g) {
            ages += is_stale(g) && count(g) != 0 ? 1 : 0;
        }
        return ages < kMostAges;
    }

    /// What is fresh becomes stale.
    void age() noexcept {
        if (can_age()) {
            renew(State::Stale);
        }
    }

    /// What is stale becomes the last resort.
    void begin_long_lived() noexcept { make_stale(State::LongLived); }

    /// What is stale leaves.
    void drop_stale() noexcept { make_stale(State::Leaving); }

    /// Everything leaves.
    void drop_all() noexcept {
        drop_stale();
        renew(State::Leaving);
    }

    /// True when there is none to begin: what is leaving has to go first.
    [[nodiscard]] bool exhausted() const noexcept { return unused() == PathCell::kEpochs; }

    /// True when few are left to begin: what nobody needs has to wait until more has gone.
    [[nodiscard]] bool scarce() const noexcept {
        std::size_t used = 1;  // the current one
        for (std::uint8_t g = 0; g < PathCell::kEpochs; ++g) {
            used += g != current_ && count(g) != 0 ? 1 : 0;
        }
        return used > PathCell::kEpochs - kSpare;
    }

    void add(std::uint8_t generation) noexcept {
        ++counts_[generation];
        ++all_;
    }

    void remove(std::uint8_t generation) noexcept {
        --counts_[generation];
        --all_;
    }

    [[nodiscard]] std::size_t fresh() const noexcept { return count(current_); }

    [[nodiscard]] std::size_t kept() const noexcept { return all_ - leaving(); }

    [[nodiscard]] std::size_t long_lived() const noexcept { return count_of(State::LongLived); }

    [[nodiscard]] std::size_t stale() const noexcept { return kept() - fresh(); }

    [[nodiscard]] std::size_t leaving() const noexcept { return count_of(State::Leaving); }

  private:
    enum class State : std::uint8_t {
        Leaving,
        Fresh,  ///< the current one
        Stale,
        LongLived,
    };

    static constexpr std::size_t kMostAges = PathCell::kEpochs / 2;
    static constexpr std::size_t kSpare = 8;

    [[nodiscard]] std::size_t count(std::uint8_t generation) const noexcept {
        return counts_[generation];
    }

    [[nodiscard]] std::size_t count_of(State state) const noexcept {
        std::size_t sum = 0;
        for (std::uint8_t g = 0; g < PathCell::kEpochs; ++g) {
            sum += states_[g] == state ? count(g) : 0;
        }
        return sum;
    }

    /// One that no path carries; kEpochs: there is none.
    [[nodiscard]] std::uint8_t unused() const noexcept {
        std::uint8_t g = 0;
        while (g < PathCell::kEpochs && (g == current_ || count(g) != 0)) {
            ++g;
        }
        return g;
    }

    /// What is fresh becomes `old`, and another generation the current one.
    void renew(State old) noexcept {
        if (fresh() != 0) {
            states_[current_] = old;
            current_ = unused();
            states_[current_] = State::Fresh;
        }
    }

    void make_stale(State become) noexcept {
        for (std::uint8_t g = 0; g < PathCell::kEpochs; ++g) {
            states_[g] = g == current_ || states_[g] == State::Leaving ? states_[g] : become;
        }
    }

    std::array<std::uint32_t, PathCell::kEpochs> counts_{};
    std::array<State, PathCell::kEpochs> states_{};  ///< of those that no path carries: anything
    std::size_t all_ = 0;
    std::uint8_t current_ = 0;
};

}  // namespace vr::bgp
