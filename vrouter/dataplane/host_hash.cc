// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/host_hash.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "vrouter/dataplane/orders.h"

namespace vr {
namespace {

constexpr unsigned kSlots = 3;
constexpr unsigned kSmallest = 64;  // buckets
constexpr unsigned kCached = 256;   // buckets that stay in the first cache: nothing to prefetch

enum class Use : std::uint8_t { Free, Live, Resting };

struct alignas(64) Bucket {
    // Halves of the keys are atomics because a reader may look at a slot while it is filled; it sees
    // value 0 then, or a value that was stored after the key.
    std::array<std::array<std::atomic<std::uint64_t>, 2>, kSlots> key;
    std::array<std::atomic<std::uint32_t>, kSlots> value;
    std::atomic<std::uint32_t> passed;  ///< keys that belong here or before and lie behind

    [[nodiscard]] bool holds(unsigned slot, Ip6 address) const noexcept {
        return key[slot][0].load(kRelaxed) == address.high() &&
               key[slot][1].load(kRelaxed) == address.low();
    }
};

static_assert(sizeof(Bucket) == 64);

[[nodiscard]] std::uint64_t hash(Ip6 address) noexcept {
    std::uint64_t h = (address.high() ^ 0x9e3779b97f4a7c15U) * 0xff51afd7ed558ccdU;
    h = (h ^ (h >> 32U) ^ address.low()) * 0xc4ceb9fe1a85ec53U;
    return h ^ (h >> 29U);
}

}  // namespace

struct HostHash::Table {
    explicit Table(std::size_t count) : mask(count - 1), buckets(count), use(count) {}

    [[nodiscard]] std::size_t home(Ip6 address) const noexcept { return hash(address) & mask; }

    /// The value of `address`, whose home bucket is `at`.
    [[nodiscard]] std::uint32_t search(Ip6 address, std::size_t at) const noexcept {
        for (;; at = (at + 1) & mask) {
            const Bucket& bucket = buckets[at];
#pragma GCC unroll 3
            for (unsigned slot = 0; slot < kSlots; ++slot) {
                const std::uint32_t value = bucket.value[slot].load(kRead);
                if (value != 0 && bucket.holds(slot, address)) {
                    return value;
                }
            }
            if (bucket.passed.load(kRead) == 0) {
                return 0;
            }
        }
    }

    std::size_t mask;
    std::vector<Bucket> buckets;
    std::vector<std::array<Use, kSlots>> use;  ///< the writer's own view
    std::size_t taken = 0;                     ///< slots live or resting
};

/// A slot found by the writer.
struct HostHash::Place {
    std::size_t bucket;
    unsigned slot;

    /// Where `address` lies, live or resting.
    [[nodiscard]] static Place of(const Table& table, Ip6 address) noexcept {
        for (std::size_t at = hash(address) & table.mask;; at = (at + 1) & table.mask) {
            for (unsigned slot = 0; slot < kSlots; ++slot) {
                if (table.use[at][slot] == Use::Live && table.buckets[at].holds(slot, address)) {
                    return {at, slot};
                }
            }
            if (table.buckets[at].passed.load(kRelaxed) == 0) {
                return {at, kSlots};
            }
        }
    }
};

void HostHash::Nets::add(Ip6 host) noexcept {
    const unsigned bit = bit_of(host);
    if (hosts_[bit]++ == 0) {
        words_[bit / 64].fetch_or(std::uint64_t{1} << bit % 64, kPublish);
    }
}

void HostHash::Nets::remove(Ip6 host) noexcept {
    const unsigned bit = bit_of(host);
    if (--hosts_[bit] == 0) {
        words_[bit / 64].fetch_and(~(std::uint64_t{1} << bit % 64), kPublish);
    }
}

HostHash::HostHash(Reclaimer& reclaimer)
    : reclaimer_(reclaimer), owner_(std::make_shared<Table>(kSmallest)), table_(owner_.get()) {}

HostHash::~HostHash() = default;

std::uint32_t HostHash::lookup(Ip6 address) const noexcept {
    const Table& table = *table_.load(kRead);
    return table.search(address, table.home(address));
}

bool HostHash::lookup_bulk(
    const Ip6* addresses, std::uint32_t* values, unsigned count) const noexcept {
    assert(count <= kBulk);
    std::array<std::uint8_t, kBulk> possible;
    unsigned left = 0;
    for (unsigned i = 0; i < count; ++i) {
        possible[left] = static_cast<std::uint8_t>(i);
        left += nets_.may_hold(addresses[i]) ? 1U : 0U;
    }
    if (left == 0) {
        return false;
    }
    std::fill_n(values, count, 0U);
    const Table& table = *table_.load(kRead);
    if (table.mask < kCached) {
        for (unsigned n = 0; n < left; ++n) {
            const unsigned i = possible[n];
            values[i] = table.search(addresses[i], table.home(addresses[i]));
        }
        return true;
    }
    std::array<std::size_t, kBulk> homes;
    for (unsigned n = 0; n < left; ++n) {
        homes[n] = table.home(addresses[possible[n]]);
        __builtin_prefetch(&table.buckets[homes[n]]);
    }
    for (unsigned n = 0; n < left; ++n) {
        values[possible[n]] = table.search(addresses[possible[n]], homes[n]);
    }
    return true;
}

bool HostHash::place(Table& table, Ip6 address, std::uint32_t value) {
    for (std::size_t at = hash(address) & table.mask;; at = (at + 1) & table.mask) {
        Bucket& bucket = table.buckets[at];
        for (unsigned slot = 0; slot < kSlots; ++slot) {
            if (table.use[at][slot] == Use::Free) {
                bucket.key[slot][0].store(address.high(), kRelaxed);
                bucket.key[slot][1].store(address.low(), kRelaxed);
                bucket.value[slot].store(value, kPublish);
                table.use[at][slot] = Use::Live;
                return ++table.taken * 2 <= (table.mask + 1) * kSlots;
            }
        }
        bucket.passed.fetch_add(1, kPublish);
    }
}

void HostHash::set(Ip6 address, std::uint32_t value) {
    Table& table = *owner_;
    const Place found = Place::of(table, address);
    if (found.slot != kSlots) {
        table.buckets[found.bucket].value[found.slot].store(value, kPublish);
        return;
    }
    nets_.add(address);
    const bool roomy = place(table, address, value);
    size_.fetch_add(1, kRelaxed);
    if (!roomy) {
        grow();
    }
}

void HostHash::erase(Ip6 address) {
    const Place found = Place::of(*owner_, address);
    assert(found.slot != kSlots);
    owner_->buckets[found.bucket].value[found.slot].store(0, kPublish);
    owner_->use[found.bucket][found.slot] = Use::Resting;
    nets_.remove(address);
    size_.fetch_sub(1, kRelaxed);
    reclaimer_.retire([table = owner_, found, home = hash(address) & owner_->mask] {
        table->use[found.bucket][found.slot] = Use::Free;
        --table->taken;
        for (std::size_t at = home; at != found.bucket; at = (at + 1) & table->mask) {
            table->buckets[at].passed.fetch_sub(1, kPublish);
        }
    });
}

/// Moves to a table at most a quarter full.
void HostHash::grow() {
    std::size_t buckets = kSmallest;
    while (buckets * kSlots < size() * 4) {
        buckets *= 2;
    }
    auto next = std::make_shared<Table>(buckets);
    for (std::size_t at = 0; at <= owner_->mask; ++at) {
        for (unsigned slot = 0; slot < kSlots; ++slot) {
            if (owner_->use[at][slot] == Use::Live) {
                const auto& key = owner_->buckets[at].key[slot];
                const auto value = owner_->buckets[at].value[slot].load(kRelaxed);
                place(*next, Ip6{key[0].load(kRelaxed), key[1].load(kRelaxed)}, value);
            }
        }
    }
    table_.store(next.get(), kPublish);
    reclaimer_.retire([old = std::move(owner_)] {});
    owner_ = std::move(next);
}

}  // namespace vr
