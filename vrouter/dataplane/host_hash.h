// HostHash: exact match from IPv6 addresses to 32-bit values, for host routes.
//
// Buckets of one cache line hold three keys; a full bucket spills into the next ones and counts what
// went past it, so a search ends at the first bucket that nothing passed.  One writer, readers without
// locks: a key is written before its value, and a slot whose key was erased keeps it until the
// Reclaimer says that no reader looks at it.  Growing builds a new table and retires the old one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "vrouter/dataplane/reclaim.h"
#include "vrouter/net/addr.h"

namespace vr {

class HostHash {
  public:
    explicit HostHash(Reclaimer& reclaimer);
    ~HostHash();
    HostHash(const HostHash&) = delete;
    HostHash& operator=(const HostHash&) = delete;
    HostHash(HostHash&&) = delete;
    HostHash& operator=(HostHash&&) = delete;

    /// Adds or replaces; `value` is not 0.  Control thread.
    void set(Ip6 address, std::uint32_t value);

    /// `address` is in the table.  Control thread.
    void erase(Ip6 address);

    [[nodiscard]] std::size_t size() const noexcept {
        return size_.load(std::memory_order_relaxed);
    }

    /// The value, or 0.  Any worker.
    [[nodiscard]] std::uint32_t lookup(Ip6 address) const noexcept;

    /// At most 64 addresses, their memory accesses overlapped.  Any worker.
    void lookup_bulk(const Ip6* addresses, std::uint32_t* values, unsigned count) const noexcept;

    static constexpr unsigned kBulk = 64;

  private:
    struct Table;
    struct Place;

    void grow();
    static bool place(Table& table, Ip6 address, std::uint32_t value);

    Reclaimer& reclaimer_;
    std::shared_ptr<Table> owner_;
    std::atomic<Table*> table_;
    std::atomic<std::size_t> size_{0};
};

}  // namespace vr
