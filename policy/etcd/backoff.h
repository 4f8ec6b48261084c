// How long to wait before the next try: hardly within a round over all endpoints, longer after each
// round in which none answered, and never the same for all hosts at once.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace vr::policy::etcd {

class Backoff {
  public:
    explicit Backoff(std::size_t endpoints) : endpoints_(endpoints) {}

    void succeeded() { failures_ = 0; }

    /// The pause after another failure; `chance` is anything in [0, 1).
    [[nodiscard]] std::chrono::milliseconds failed(double chance) {
        ++failures_;
        const std::size_t rounds = failures_ / endpoints_;
        const auto base = failures_ % endpoints_ != 0
                              ? kNext
                              : std::min(kRound * (1U << std::min<std::size_t>(rounds, 10)), kMost);
        const double part = (1 + chance) / 2;
        return std::chrono::milliseconds(
            static_cast<long>(static_cast<double>(base.count()) * part));
    }

    /// True when every endpoint was tried at least once without success.
    [[nodiscard]] bool tried_all() const { return failures_ >= endpoints_; }

    static constexpr std::chrono::milliseconds kNext{50};
    static constexpr std::chrono::milliseconds kRound{100};
    static constexpr std::chrono::milliseconds kMost{5000};

  private:
    std::size_t endpoints_;
    std::size_t failures_ = 0;
};

}  // namespace vr::policy::etcd
