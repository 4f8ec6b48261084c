// Output: octets on their way to one peer.
//
// What many peers are told is kept once: a large run of it is referred to, not copied, so that an UPDATE to
// five hundred peers costs each of them a reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "vrouter/net/wire.h"

namespace vr::bgp {

class Output {
  public:
    using Octets = std::vector<std::uint8_t>;
    /// Octets that nobody changes any more.
    using Shared = std::shared_ptr<const Octets>;

    /// Where encoders write; valid until the next append().
    [[nodiscard]] Octets& tail() noexcept { return tail_; }

    /// Adds `octets`, which are a part of `of`.
    void append(const Shared& of, Bytes octets) {
        const bool is_small_part = octets.size() < of->size() / kPartWorthKeeping;
        if (octets.size() < kWorthSharing || is_small_part) {
            tail_.insert(tail_.end(), octets.begin(), octets.end());
            return;
        }
        close_tail();
        add(Run{.of = of, .octets = octets});
    }

    [[nodiscard]] std::size_t size() const noexcept { return closed_ + tail_.size(); }

    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    void clear() noexcept {
        runs_.clear();
        tail_.clear();
        closed_ = 0;
    }

    /// The octets in their order; valid until the next change, also where this moves to.
    [[nodiscard]] std::vector<Bytes> parts() const {
        std::vector<Bytes> parts;
        parts.reserve(runs_.size() + 1);
        for (const Run& run : runs_) {
            parts.push_back(run.octets);
        }
        if (!tail_.empty()) {
            parts.emplace_back(tail_);
        }
        return parts;
    }

    /// All octets in one piece.
    [[nodiscard]] Octets flat() const {
        Octets all;
        all.reserve(size());
        for (const Bytes part : parts()) {
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    }

  private:
    /// A reference and its part of a gathering write cost as much as copying so few octets.
    static constexpr std::size_t kWorthSharing = 512;
    /// A smaller part would keep the memory of the whole for little.
    static constexpr std::size_t kPartWorthKeeping = 8;

    struct Run {
        Shared of;
        Bytes octets;
    };

    void add(Run&& run) {
        closed_ += run.octets.size();
        runs_.push_back(std::move(run));
    }

    void close_tail() {
        if (!tail_.empty()) {
            auto octets = std::make_shared<const Octets>(std::exchange(tail_, {}));
            const Bytes all{*octets};
            add(Run{.of = std::move(octets), .octets = all});
        }
    }

    std::vector<Run> runs_;
    Octets tail_;             ///< behind them
    std::size_t closed_ = 0;  ///< octets in `runs_`
};

}  // namespace vr::bgp
