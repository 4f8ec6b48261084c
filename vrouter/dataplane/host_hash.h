// HostHash: exact match from IPv6 addresses to 32-bit values, for host routes.
//
// Linear hashing: each new key makes room by splitting one bucket, whose keys it shares with a new one at
// the end, so the table grows in place, as fast as it fills, and nothing is ever moved as a whole.  It
// does not shrink.  Buckets of one cache line hold three keys; a full bucket spills into the next ones
// and counts what went past it, so a search ends at the first bucket that nothing passed.
//
// One writer, readers without locks.  A key is written before its value, and a slot whose key was erased
// keeps it until the Reclaimer says that no reader looks at it.  A split copies keys before it says that
// there is one more bucket: who read the number before finds them where they were, until the Reclaimer
// says that nobody did.  A filter of two cache lines stands in front: most of what is in transit lies in
// no /64 of a host.  The hash is seeded: who chooses addresses cannot choose collisions.
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

    /// Takes from the kernel now what the first hosts would.
    void fetch() noexcept;

    /// Adds or replaces; `value` is 1..2^31 - 1.  Control thread.
    void set(Ip6 address, std::uint32_t value);

    /// `address` is in the table.  Control thread.
    void erase(Ip6 address);

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// How many buckets there are.  Control thread.
    [[nodiscard]] std::size_t buckets() const noexcept {
        return count_.load(std::memory_order_relaxed);
    }

    /// The value, or 0.  Any worker.
    [[nodiscard]] std::uint32_t lookup(Ip6 address) const noexcept;

    /// At most 64 addresses, their memory accesses overlapped.  False: none of them can be a host, and
    /// `values` is as it was.  Any worker.
    bool lookup_bulk(const Ip6* addresses, std::uint32_t* values, unsigned count) const noexcept;

    static constexpr unsigned kBulk = 64;

  private:
    struct Table;
    struct Place;

    /// Says of a /64 whether it may hold a host: a bit for each, by hash, and how many set it.
    class Nets {
      public:
        /// Before a host of the net can be found.
        void add(Ip6 host) noexcept;
        void remove(Ip6 host) noexcept;

        [[nodiscard]] bool may_hold(Ip6 host) const noexcept {
            const unsigned bit = bit_of(host);
            return (words_[bit / 64].load(std::memory_order_acquire) >> bit % 64 & 1U) != 0;
        }

      private:
        static constexpr unsigned kBits = 10;

        [[nodiscard]] static unsigned bit_of(Ip6 host) noexcept {
            return static_cast<unsigned>(host.high() * 0x9e3779b97f4a7c15U >> (64U - kBits));
        }

        alignas(64) std::array<std::atomic<std::uint64_t>, (1U << kBits) / 64> words_{};
        std::array<std::uint32_t, 1U << kBits> hosts_{};  ///< the writer's
    };

    [[nodiscard]] std::uint64_t hash(Ip6 address) const noexcept;
    [[nodiscard]] Place find(Ip6 address) const noexcept;
    void split();

    Reclaimer& reclaimer_;
    Nets nets_;
    std::array<std::uint64_t, 2> seed_;
    std::shared_ptr<Table> table_;  ///< outlives this when slots still rest with the Reclaimer
    std::atomic<std::size_t> count_;
    std::size_t size_ = 0;
};

}  // namespace vr
