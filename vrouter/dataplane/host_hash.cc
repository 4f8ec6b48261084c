// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/host_hash.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <random>
#include <utility>
#include <vector>

#include "vrouter/dataplane/orders.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr {
namespace {

constexpr unsigned kSlots = 3;
constexpr std::size_t kFewest = 64;                       // buckets
constexpr std::uint32_t kMost = std::uint32_t{1} << 25U;  // as many as NibbleTrie has nodes
constexpr std::size_t kCached = 256;  // stay in the first cache: nothing to prefetch
constexpr std::uint32_t kResting = std::uint32_t{1} << 31U;  // the value where a key rests

struct alignas(64) Bucket {
    // Halves of the keys are atomics because a reader may look at a slot while it is filled; it sees
    // no value then, or one that was stored after the key.
    std::array<std::array<std::atomic<std::uint64_t>, 2>, kSlots> keys;
    std::array<std::atomic<std::uint32_t>, kSlots> values;  ///< 0: free
    std::atomic<std::uint32_t> passed;  ///< keys that belong here or before and lie behind

    [[nodiscard]] Ip6 key(unsigned slot) const noexcept {
        return {keys[slot][0].load(kRelaxed), keys[slot][1].load(kRelaxed)};
    }
};

static_assert(sizeof(Bucket) == 64);

[[nodiscard]] constexpr bool is_live(std::uint32_t value) noexcept {
    return static_cast<std::int32_t>(value) > 0;
}

/// Every bit of the product's halves depends on every bit of both factors.
[[nodiscard]] std::uint64_t folded(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{a} * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

[[nodiscard]] std::uint64_t drawn() {
    std::random_device device;
    return std::uint64_t{device()} << 32U | device();
}

/// Of 2^k < `count` <= 2^(k+1) buckets, count - 2^k are split: there one bit more of the hash decides.
[[nodiscard]] inline std::size_t bucket_of(std::uint64_t hash, std::size_t count) noexcept {
    const std::size_t mask = std::bit_ceil(count) - 1;
    const std::size_t at = hash & mask;
    return at < count ? at : at & mask >> 1U;
}

}  // namespace

/// A slot, by the bucket where its key belongs and the one where it lies.
struct HostHash::Place {
    std::size_t home;
    std::size_t bucket;
    unsigned slot;
};

struct HostHash::Table {
    explicit Table(Reclaimer& reclaimer) : pool(reclaimer, kMost), buckets(pool.data()) {
        open(kFewest);
    }

    /// Makes the first `count` buckets usable.
    void open(std::size_t count) {
        while (pool.used() < count) {
            static_cast<void>(pool.take());
        }
    }

    /// The value of `address`, which belongs in bucket `at`.
    [[nodiscard]] std::uint32_t search(Ip6 address, std::size_t at) const noexcept {
        for (;; ++at) {
            const Bucket& bucket = buckets[at];
            // Which slot it is cannot be foretold: no branch asks.
            std::uint32_t found = 0;
#pragma GCC unroll 3
            for (unsigned slot = 0; slot < kSlots; ++slot) {
                const std::uint32_t value = bucket.values[slot].load(kRead);
                const Ip6 key = bucket.key(slot);
                const std::uint64_t differs =
                    (key.high() ^ address.high()) | (key.low() ^ address.low());
                // Of an erased key that came back the old slot may rest here, too.
                found |= value & (differs == 0 ? ~kResting : 0U);
            }
            if (found != 0) {
                return found;
            }
            if (bucket.passed.load(kRead) == 0) {
                return 0;
            }
        }
    }

    void place(std::size_t home, Ip6 address, std::uint32_t value) {
        for (std::size_t at = home;; ++at) {
            Bucket& bucket = buckets[at];
            for (unsigned slot = 0; slot < kSlots; ++slot) {
                if (bucket.values[slot].load(kRelaxed) == 0) {
                    bucket.keys[slot][0].store(address.high(), kRelaxed);
                    bucket.keys[slot][1].store(address.low(), kRelaxed);
                    bucket.values[slot].store(value, kPublish);
                    return;
                }
            }
            open(at + 2);  // a reader may go on there as soon as it reads the next line
            bucket.passed.fetch_add(1, kPublish);
        }
    }

    /// No reader can have seen a key there.
    void free(const Place& place) noexcept {
        buckets[place.bucket].values[place.slot].store(0, kRelaxed);
        for (std::size_t at = place.home; at != place.bucket; ++at) {
            buckets[at].passed.fetch_sub(1, kPublish);
        }
    }

    SlotPool<Bucket> pool;  ///< gives none back: the next one follows the last
    Bucket* buckets;
    std::size_t taken =
        0;  ///< slots: of keys live or resting, and the copies that splits leave behind
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

inline std::uint64_t HostHash::hash(Ip6 address) const noexcept {
    return folded(folded(address.high() ^ seed_[0], address.low() ^ seed_[1]) ^ seed_[0], seed_[1]);
}

HostHash::HostHash(Reclaimer& reclaimer)
    : reclaimer_(reclaimer),
      seed_{drawn(), drawn()},
      table_(std::make_shared<Table>(reclaimer)),
      count_(kFewest) {}

void HostHash::fetch() noexcept {
    table_->pool.fetch();
}

HostHash::~HostHash() = default;

std::uint32_t HostHash::lookup(Ip6 address) const noexcept {
    return table_->search(address, bucket_of(hash(address), count_.load(kRead)));
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
    const Table& table = *table_;
    const std::size_t buckets = count_.load(kRead);
    if (buckets <= kCached) {
        for (unsigned n = 0; n < left; ++n) {
            const unsigned i = possible[n];
            values[i] = table.search(addresses[i], bucket_of(hash(addresses[i]), buckets));
        }
        return true;
    }
    std::array<std::size_t, kBulk> homes;
    for (unsigned n = 0; n < left; ++n) {
        homes[n] = bucket_of(hash(addresses[possible[n]]), buckets);
        __builtin_prefetch(&table.buckets[homes[n]]);
    }
    for (unsigned n = 0; n < left; ++n) {
        values[possible[n]] = table.search(addresses[possible[n]], homes[n]);
    }
    return true;
}

/// Where `address` lies; slot kSlots: nowhere.
HostHash::Place HostHash::find(Ip6 address) const noexcept {
    const std::size_t first = bucket_of(hash(address), buckets());
    for (std::size_t at = first;; ++at) {
        const Bucket& bucket = table_->buckets[at];
        for (unsigned slot = 0; slot < kSlots; ++slot) {
            if (is_live(bucket.values[slot].load(kRelaxed)) && bucket.key(slot) == address) {
                return {first, at, slot};
            }
        }
        if (bucket.passed.load(kRelaxed) == 0) {
            return {first, at, kSlots};
        }
    }
}

void HostHash::set(Ip6 address, std::uint32_t value) {
    assert(is_live(value));
    const Place found = find(address);
    if (found.slot != kSlots) {
        table_->buckets[found.bucket].values[found.slot].store(value, kPublish);
        return;
    }
    nets_.add(address);
    table_->place(found.home, address, value);
    ++size_;
    if (++table_->taken * 4 > buckets() * kSlots) {
        split();
    }
}

void HostHash::erase(Ip6 address) {
    const Place found = find(address);
    assert(found.slot != kSlots);
    table_->buckets[found.bucket].values[found.slot].store(kResting, kPublish);
    nets_.remove(address);
    --size_;
    reclaimer_.retire([table = table_, found] {
        table->free(found);
        --table->taken;
    });
}

/// Adds a bucket, for which the first one that is not split yet gives keys.
///
/// A copy that stays behind lies before the bucket where its key belongs, so that no later search meets
/// it.  Hence the end of the loop: what was spilled as far as the new bucket is found from there.
void HostHash::split() {
    const std::size_t added = buckets();
    if (added == kMost) {
        return;
    }
    table_->open(added + 1);
    const std::size_t from = added - std::bit_floor(added);
    std::vector<Place> moved;
    for (std::size_t at = from; at < added; ++at) {
        const Bucket& bucket = table_->buckets[at];
        for (unsigned slot = 0; slot < kSlots; ++slot) {
            const std::uint32_t value = bucket.values[slot].load(kRelaxed);
            if (is_live(value) && bucket_of(hash(bucket.key(slot)), added + 1) == added) {
                table_->place(added, bucket.key(slot), value);
                moved.push_back({from, at, slot});
            }
        }
        if (bucket.passed.load(kRelaxed) == 0) {
            break;
        }
    }
    count_.store(added + 1, kPublish);
    if (moved.empty()) {
        return;
    }
    table_->taken += moved.size();
    // First nobody looks for them there any more, then nobody looks at them.
    reclaimer_.retire([&reclaimer = reclaimer_, table = table_, moved = std::move(moved)] {
        for (const Place& place : moved) {
            table->buckets[place.bucket].values[place.slot].store(kResting, kPublish);
        }
        reclaimer.retire([table, moved] {
            for (const Place& place : moved) {
                table->free(place);
            }
            table->taken -= moved.size();
        });
    });
}

}  // namespace vr
