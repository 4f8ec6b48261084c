// Numbers of a table's places, handed out to workers some at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "vrouter/dataplane/flow_bucket.h"
#include "vrouter/dataplane/orders.h"

namespace vr {

/// Numbers below `capacity` that are not in use.  Any thread.
class NumberPool {
  public:
    explicit NumberPool(std::size_t capacity) : capacity_(capacity) { free_.reserve(capacity); }

    /// Moves up to `wanted` numbers to `out`; tells how many.
    unsigned take(std::uint32_t* out, unsigned wanted) noexcept {
        const std::scoped_lock guard(lock_);
        unsigned taken = 0;
        for (; taken < wanted && !free_.empty(); ++taken) {
            out[taken] = free_.back();
            free_.pop_back();
        }
        std::size_t fresh = fresh_.load(kRelaxed);
        for (; taken < wanted && fresh < capacity_; ++taken) {
            out[taken] = static_cast<std::uint32_t>(fresh++);
        }
        fresh_.store(fresh, kRelaxed);
        return taken;
    }

    void give(const std::vector<std::uint32_t>& numbers) {
        const std::scoped_lock guard(lock_);
        free_.insert(free_.end(), numbers.begin(), numbers.end());
    }

    /// Numbers from here on were never taken.
    [[nodiscard]] std::size_t fresh() const noexcept { return fresh_.load(kRelaxed); }

  private:
    std::size_t capacity_;
    std::atomic<std::size_t> fresh_{0};
    SpinLock lock_;
    std::vector<std::uint32_t> free_;  // capacity reserved: give() does not allocate under the lock
};

}  // namespace vr
