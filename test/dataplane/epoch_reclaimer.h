// A Reclaimer for tests with threads: frees once every worker has passed a quiescent point since.
//
// Built only from atomics that ThreadSanitizer understands, so that what a structure itself fails to
// order shows as a race.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "vrouter/dataplane/reclaim.h"

namespace vr {

class EpochReclaimer final : public Reclaimer {
  public:
    explicit EpochReclaimer(unsigned workers) : seen_(workers) {}

    ~EpochReclaimer() override {
        while (!waiting_.empty()) {
            free_first();
        }
    }

    /// Called by a worker that holds nothing.
    void quiesce(unsigned worker) noexcept {
        seen_[worker].store(epoch_.load(std::memory_order_acquire), std::memory_order_release);
    }

    void retire(std::function<void()> free) override {
        waiting_.emplace_back(epoch_.fetch_add(1, std::memory_order_acq_rel) + 1, std::move(free));
        collect();
    }

    /// Frees what no worker can hold any more.
    void collect() {
        while (!waiting_.empty() && passed(waiting_.front().first)) {
            free_first();
        }
    }

  private:
    void free_first() {
        const auto free = std::move(waiting_.front().second);
        waiting_.pop_front();
        free();  // and may retire more
    }

    [[nodiscard]] bool passed(std::uint64_t epoch) const {
        for (const auto& seen : seen_) {
            if (seen.load(std::memory_order_acquire) < epoch) {
                return false;
            }
        }
        return true;
    }

    std::atomic<std::uint64_t> epoch_{0};
    std::vector<std::atomic<std::uint64_t>> seen_;
    std::deque<std::pair<std::uint64_t, std::function<void()>>> waiting_;
};

}  // namespace vr
