// Sweeps<Key, Place>: walks over what belongs to keys, each in slices and all by turns.
//
// A walk that is started again while it is under way goes once more when it is through: so nothing is
// missed, and no key that is started over and over keeps others, or the end of its own walk, from their
// turn.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

namespace vr {

template <typename Key, typename Place>
class Sweeps {
  public:
    /// What a slice has come to.
    struct Slice {
        std::size_t taken = 0;
        std::optional<Place> next;  ///< where the walk goes on; nothing: it is through
    };

    void start(const Key& key) {
        const auto [at, inserted] = sweeps_.try_emplace(key);
        at->second.again = at->second.again || (!inserted && at->second.next);
    }

    [[nodiscard]] bool empty() const noexcept { return sweeps_.empty(); }

    void clear() noexcept { sweeps_.clear(); }

    /// Takes about `most` in all, by take(key, from, most); `from` is nothing at the beginning.
    template <typename Take>
    void advance(std::size_t most, Take take) {
        while (most != 0 && !sweeps_.empty()) {
            auto at = last_ ? sweeps_.upper_bound(*last_) : sweeps_.begin();
            if (at == sweeps_.end()) {
                at = sweeps_.begin();
            }
            last_ = at->first;
            Sweep& sweep = at->second;
            Slice slice = take(at->first, std::as_const(sweep.next), std::min(most, kShare));
            most -= std::clamp<std::size_t>(slice.taken, 1, most);
            sweep.next = std::move(slice.next);
            if (!sweep.next && !std::exchange(sweep.again, false)) {
                sweeps_.erase(at);
            }
        }
    }

  private:
    /// Of each key before it is another's turn.
    static constexpr std::size_t kShare = 64;

    struct Sweep {
        std::optional<Place> next;
        bool again = false;
    };

    std::map<Key, Sweep> sweeps_;
    std::optional<Key> last_;  ///< who had the last turn
};

}  // namespace vr
