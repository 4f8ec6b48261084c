// Counter: a number that one thread adds to and any thread may read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace vr {

/// One writer, many readers: plain adds, never torn, no bus lock.
class Counter {
  public:
    void add(std::uint64_t amount) noexcept {
        // Relaxed: a reader needs some recent value, and orders nothing by it.
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t get() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
};

}  // namespace vr
