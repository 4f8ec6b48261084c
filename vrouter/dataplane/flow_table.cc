// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/flow_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <mutex>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "vrouter/dataplane/connection_counts.h"
#include "vrouter/dataplane/flow_bucket.h"
#include "vrouter/dataplane/flow_hash.h"
#include "vrouter/dataplane/number_pool.h"
#include "vrouter/dataplane/orders.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr {
namespace {

/// A chain has one home bucket and at most this many overflow buckets: bounds every search.
constexpr unsigned kMaxOverflow = 3;

/// Entries that a worker takes from the pool at a time.
constexpr unsigned kRefill = 32;

/// Flows of one owner that a worker counts at a time.
constexpr std::int32_t kCountTogether = 32;

constexpr std::uint32_t kOneLess = ~std::uint32_t{0};

/// What one worker changes without asking others.
struct alignas(64) WorkerCache {
    std::array<std::uint32_t, kRefill + 1>
        entries{};  ///< one more: of two taken both may come back
    unsigned count = 0;
    std::atomic<std::size_t> inserted{0};
    /// Flows of `owner` that are not in Tables::held yet: the shared counter is touched once for many.
    PortId owner;
    std::int32_t uncounted = 0;
    ConnectionCounts connections;
};

[[nodiscard]] FlowTick timeout_of(FlowState state, const FlowTimeouts& timeouts) noexcept {
    switch (state) {
        case FlowState::New:
            return timeouts.fresh;
        case FlowState::Established:
            return timeouts.established;
        case FlowState::Closing:
            return timeouts.closing;
        case FlowState::Reset:
            return timeouts.reset;
        case FlowState::Udp:
            return timeouts.udp;
        case FlowState::Icmp:
            return timeouts.icmp;
        case FlowState::Other:
        case FlowState::Mapping:
        case FlowState::Dead:
            break;
    }
    return timeouts.other;
}

[[nodiscard]] std::array<std::uint64_t, 4> random_key() {
    std::random_device random;
    std::array<std::uint64_t, 4> key;
    for (auto& word : key) {
        word = std::uint64_t{random()} << 32U | random();
    }
    return key;
}

}  // namespace

template <Family F>
struct FlowTable<F>::Tables : std::enable_shared_from_this<Tables> {
    using Entry = FlowEntry<F>;

    Tables(Reclaimer& r, std::size_t flows, unsigned workers)
        : reclaimer(r),
          capacity(flows),
          mask(std::bit_ceil(flows / 4 + 1) - 1),
          overflow_capacity((mask + 1) / 4 + 16),
          entries(flows),
          buckets(mask + 1),
          overflow(overflow_capacity),
          live(flows),
          held(kFlowOwners),
          free_entries(flows),
          free_overflow(overflow_capacity),
          caches(workers) {
        entries.open(flows);
        buckets.open(mask + 1);
        overflow.open(overflow_capacity);
    }

    /// What a lookup is for.
    enum class Sought : std::uint8_t { Flows, Mappings, Both };

    template <Sought sought>
    [[nodiscard]] static bool is_passed_over(FlowState state) noexcept {
        static_assert(FlowState::Other < FlowState::Mapping);
        static_assert(FlowState::Mapping < FlowState::Dead);
        switch (sought) {
            case Sought::Flows:
                return state >= FlowState::Mapping;
            case Sought::Mappings:
                return state != FlowState::Mapping;
            case Sought::Both:
                break;
        }
        return state == FlowState::Dead;
    }

    /// The hit if `entry` belongs to `key` and may be used.
    template <Sought sought>
    [[nodiscard]] static FlowHit<F> compare(Entry& entry, const FlowKey<F>& key) noexcept {
        const bool forward = entry.key == key;
        if (!forward && !(entry.key == key.reversed())) {
            return {};
        }
        if (is_passed_over<sought>(entry.state.load(kRelaxed))) {
            return {};
        }
        return {&entry, !forward};
    }

    [[nodiscard]] FlowBucket& home(std::uint64_t h) const noexcept { return buckets[h & mask]; }

    [[nodiscard]] FlowBucket* after(const FlowBucket& bucket) const noexcept {
        const std::uint32_t next = bucket.next.load(std::memory_order_acquire);
        return next == 0 ? nullptr : &overflow[next - 1];
    }

    template <Sought sought>
    [[nodiscard]] FlowHit<F> search(std::uint64_t h, const FlowKey<F>& key) const noexcept {
        const std::uint16_t tag = FlowBucket::tag_of(h);
        for (const FlowBucket* bucket = &home(h); bucket != nullptr; bucket = after(*bucket)) {
            for (unsigned left = bucket->matches(tag); left != 0; left &= left - 1) {
                const auto slot = static_cast<unsigned>(std::countr_zero(left));
                const auto number = bucket->entries[slot].load(std::memory_order_acquire);
                if (number == 0) {
                    continue;
                }
                const FlowHit<F> hit = compare<sought>(entries[number - 1], key);
                if (hit.entry != nullptr) {
                    return hit;
                }
            }
        }
        return {};
    }

    struct Place {
        FlowBucket* bucket;
        unsigned slot;
    };

    [[nodiscard]] std::atomic<std::int32_t>& held_by(PortId owner) noexcept {
        return held[owner.value() % kFlowOwners];
    }

    /// Notes one more flow of `owner`.
    void count(WorkerCache& cache, PortId owner) noexcept {
        if (cache.owner != owner) {
            held_by(cache.owner).fetch_add(std::exchange(cache.uncounted, 0), kRelaxed);
            cache.owner = owner;
        }
        if (++cache.uncounted == kCountTogether) {
            held_by(owner).fetch_add(std::exchange(cache.uncounted, 0), kRelaxed);
        }
    }

    [[nodiscard]] std::optional<Place> vacancy(FlowBucket& first) noexcept;
    [[nodiscard]] std::optional<std::uint32_t> take_entry(unsigned worker) noexcept;
    void give_back_entry(unsigned worker, std::uint32_t number) noexcept;
    void fill(
        unsigned worker,
        std::uint32_t number,
        const FlowKey<F>& key,
        const FlowStart& start,
        FlowTick now) noexcept;
    void note_inserted(unsigned worker, std::uint32_t number) noexcept;
    [[nodiscard]] FlowHit<F> put(unsigned worker, std::uint32_t number, bool& done) noexcept;
    template <Sought sought>
    void lookup_step(const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept;

    template <Sought sought>
    void lookup(const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept {
        for (unsigned done = 0; done < count; done += kRefill) {
            lookup_step<sought>(keys + done, hits + done, std::min(count - done, kRefill));
        }
    }

    /// Things taken out, to rest until no worker can hold them.
    struct Removed {
        std::vector<std::uint32_t> entries;
        std::vector<std::uint32_t> overflow;
    };

    void remove(std::uint32_t number, Removed& removed);
    std::size_t rest(Removed removed);

    Reclaimer& reclaimer;
    std::size_t capacity;
    std::size_t mask;
    std::size_t overflow_capacity;
    FlowHash<F> hash{random_key()};
    ReservedArray<Entry> entries;
    ReservedArray<FlowBucket> buckets;
    ReservedArray<FlowBucket> overflow;
    std::vector<std::atomic<bool>> live;  ///< entry is in the table: what age() looks through
    /// Flows by owner; below zero for a moment when flows go that a worker has not counted yet.
    std::vector<std::atomic<std::int32_t>> held;
    NumberPool free_entries;
    NumberPool free_overflow;
    std::vector<WorkerCache> caches;
    ConnectionCounts aged_connections;  ///< the control thread's
    std::size_t cursor = 0;             ///< where age() goes on
    std::atomic<std::size_t> removed_count{0};
};

/// A slot of the chain for a new flow: an empty one, that of a dead flow, or one of a new bucket.  The
/// chain's lock is held.  A dead flow whose slot is taken waits, unlinked, for age().
template <Family F>
auto FlowTable<F>::Tables::vacancy(FlowBucket& first) noexcept -> std::optional<Place> {
    unsigned length = 0;
    FlowBucket* last = &first;
    for (FlowBucket* bucket = &first; bucket != nullptr; bucket = after(*bucket), ++length) {
        last = bucket;
        for (unsigned slot = 0; slot < FlowBucket::kSlots; ++slot) {
            const std::uint32_t number = bucket->entries[slot].load(kRelaxed);
            if (number == 0 || entries[number - 1].state.load(kRelaxed) == FlowState::Dead) {
                return Place{bucket, slot};
            }
        }
    }
    std::uint32_t number = 0;
    if (length > kMaxOverflow || free_overflow.take(&number, 1) == 0) {
        return std::nullopt;
    }
    overflow[number].next.store(0, kRelaxed);
    last->next.store(number + 1, std::memory_order_release);
    return Place{&overflow[number], 0};
}

template <Family F>
std::optional<std::uint32_t> FlowTable<F>::Tables::take_entry(unsigned worker) noexcept {
    WorkerCache& cache = caches[worker];
    if (cache.count == 0) {
        cache.count = free_entries.take(cache.entries.data(), kRefill);
        if (cache.count == 0) {
            return std::nullopt;
        }
    }
    return cache.entries[--cache.count];
}

template <Family F>
void FlowTable<F>::Tables::give_back_entry(unsigned worker, std::uint32_t number) noexcept {
    WorkerCache& cache = caches[worker];
    if (entries[number].counted.exchange(false, kRelaxed)) {
        cache.connections.add(entries[number], kOneLess);
    }
    cache.entries[cache.count++] = number;
}

/// What nobody can find yet.
template <Family F>
void FlowTable<F>::Tables::fill(
    unsigned worker,
    std::uint32_t number,
    const FlowKey<F>& key,
    const FlowStart& start,
    FlowTick now) noexcept {
    Entry& entry = entries[number];
    entry.key = key;
    entry.from = start.from;
    entry.to = start.to;
    entry.from_host = start.from_host;
    entry.translation = start.translation;
    entry.state.store(start.state, kRelaxed);
    entry.last_seen.store(now, kRelaxed);
    entry.generation.store(start.generation, kRelaxed);
    entry.twin.store(0, kRelaxed);
    entry.closed_by.store(0, kRelaxed);
    // Before anybody may find it, and uncount it.
    const bool counts = is_connection(key.protocol, start);
    entry.counted.store(counts, kRelaxed);
    if (counts) {
        caches[worker].connections.add(entry, 1);
    }
}

/// From here on age() looks after it.
template <Family F>
void FlowTable<F>::Tables::note_inserted(unsigned worker, std::uint32_t number) noexcept {
    live[number].store(true, std::memory_order_release);
    WorkerCache& cache = caches[worker];
    cache.inserted.store(cache.inserted.load(kRelaxed) + 1, kRelaxed);
    const Entry& entry = entries[number];
    count(cache, owner_of(entry.from, entry.to, entry.from_host));
}

/// Makes a filled entry be found, unless something of its key is there, which is returned then; nothing
/// where there is no room.
template <Family F>
FlowHit<F> FlowTable<F>::Tables::put(unsigned worker, std::uint32_t number, bool& done) noexcept {
    Entry& entry = entries[number];
    const std::uint64_t h = hash(entry.key);
    FlowBucket& first = home(h);
    const std::scoped_lock guard(first.lock);
    done = false;
    if (const FlowHit<F> present = search<Sought::Both>(h, entry.key); present.entry != nullptr) {
        return present;
    }
    const auto place = vacancy(first);
    if (!place) {
        return {};
    }
    place->bucket->put(place->slot, FlowBucket::tag_of(h), number);
    note_inserted(worker, number);
    done = true;
    return {&entry, false};
}

/// At most 32 keys.  Three rounds, each of which starts the next one's memory accesses.
template <Family F>
template <typename FlowTable<F>::Tables::Sought sought>
void FlowTable<F>::Tables::lookup_step(
    const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept {
    std::array<std::uint64_t, kRefill> hashes;
    std::array<Entry*, kRefill> likely;
    for (unsigned i = 0; i < count; ++i) {
        hashes[i] = hash(keys[i]);
        __builtin_prefetch(&home(hashes[i]));
    }
    for (unsigned i = 0; i < count; ++i) {
        const FlowBucket& bucket = home(hashes[i]);
        const unsigned found = bucket.matches(FlowBucket::tag_of(hashes[i]));
        likely[i] = nullptr;
        if (found != 0) {
            const auto slot = static_cast<unsigned>(std::countr_zero(found));
            const auto number = bucket.entries[slot].load(std::memory_order_acquire);
            likely[i] = number != 0 ? &entries[number - 1] : nullptr;
            __builtin_prefetch(likely[i]);
        }
    }
    for (unsigned i = 0; i < count; ++i) {
        hits[i] = likely[i] != nullptr ? compare<sought>(*likely[i], keys[i]) : FlowHit<F>{};
        const bool more = likely[i] != nullptr || home(hashes[i]).next.load(kRelaxed) != 0;
        if (hits[i].entry == nullptr && more) {
            hits[i] = search<sought>(hashes[i], keys[i]);
        }
    }
}

/// Takes an entry out of the table, and its twin.  An overflow bucket that became empty goes too.
template <Family F>
void FlowTable<F>::Tables::remove(std::uint32_t number, Removed& removed) {
    const std::uint64_t h = hash(entries[number].key);
    FlowBucket& first = home(h);
    {
        const std::scoped_lock guard(first.lock);
        FlowBucket* before = nullptr;
        for (FlowBucket* bucket = &first; bucket != nullptr; bucket = after(*bucket)) {
            for (unsigned slot = 0; slot < FlowBucket::kSlots; ++slot) {
                if (bucket->entries[slot].load(kRelaxed) == number + 1) {
                    bucket->clear(slot);
                }
            }
            if (before != nullptr && bucket->empty()) {
                // Its own `next` stays for readers that stand in it.
                removed.overflow.push_back(before->next.load(kRelaxed) - 1);
                before->next.store(bucket->next.load(kRelaxed), std::memory_order_release);
            } else {
                before = bucket;
            }
        }
    }
    live[number].store(false, kRelaxed);
    Entry& entry = entries[number];
    if (entry.counted.exchange(false, kRelaxed)) {
        aged_connections.add(entry, kOneLess);
    }
    held_by(owner_of(entry.from, entry.to, entry.from_host)).fetch_sub(1, kRelaxed);
    removed.entries.push_back(number);
    const std::uint32_t twin = entry.twin.load(kRelaxed);
    if (twin != 0 && live[twin - 1].load(std::memory_order_acquire) &&
        entries[twin - 1].twin.load(kRelaxed) == number + 1) {
        remove(twin - 1, removed);
    }
}

template <Family F>
std::size_t FlowTable<F>::Tables::rest(Removed removed) {
    const std::size_t count = removed.entries.size();
    if (count == 0) {
        return 0;
    }
    removed_count.fetch_add(count, kRelaxed);
    reclaimer.retire([tables = this->shared_from_this(), gone = std::move(removed)] {
        tables->free_entries.give(gone.entries);
        tables->free_overflow.give(gone.overflow);
    });
    return count;
}

template <Family F>
FlowTable<F>::FlowTable(Reclaimer& reclaimer, std::size_t capacity, unsigned workers)
    : tables_(std::make_shared<Tables>(reclaimer, capacity, workers)) {}

template <Family F>
FlowTable<F>::~FlowTable() = default;

template <Family F>
void FlowTable<F>::fetch() const noexcept {
    tables_->entries.fetch();
    tables_->buckets.fetch();
    tables_->overflow.fetch();
}

template <Family F>
void FlowTable<F>::lookup_bulk(
    const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept {
    tables_->template lookup<Tables::Sought::Flows>(keys, hits, count);
}

template <Family F>
void FlowTable<F>::lookup_mappings(
    const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept {
    tables_->template lookup<Tables::Sought::Mappings>(keys, hits, count);
}

template <Family F>
void FlowTable<F>::lookup_any(
    const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept {
    tables_->template lookup<Tables::Sought::Both>(keys, hits, count);
}

template <Family F>
FlowEntry<F>* FlowTable<F>::twin(const FlowEntry<F>& entry) const noexcept {
    // Acquire: who sees the number sees the key of what it stands for.
    const std::uint32_t number = entry.twin.load(std::memory_order_acquire);
    if (number == 0) {
        return nullptr;
    }
    FlowEntry<F>& other = tables_->entries[number - 1];
    const auto own = static_cast<std::uint32_t>(&entry - tables_->entries.data()) + 1;
    // Of an entry that was removed with `entry` and is used anew, the twin is another one.
    return other.twin.load(std::memory_order_acquire) == own &&
                   other.state.load(kRelaxed) != FlowState::Dead
               ? &other
               : nullptr;
}

template <Family F>
std::uint64_t FlowTable<F>::hash(const FlowKey<F>& key) const noexcept {
    return tables_->hash(key);
}

template <Family F>
FlowHit<F> FlowTable<F>::insert(
    unsigned worker, const FlowKey<F>& key, const FlowStart& start, FlowTick now) noexcept {
    Tables& t = *tables_;
    assert(worker < t.caches.size());
    const std::uint64_t h = t.hash(key);
    FlowBucket& first = t.home(h);
    const std::scoped_lock guard(first.lock);
    const FlowHit<F> present = t.template search<Tables::Sought::Both>(h, key);
    if (present.entry != nullptr) {
        return present;
    }
    const auto number = t.take_entry(worker);
    if (!number) {
        return {};
    }
    const auto place = t.vacancy(first);
    if (!place) {
        t.give_back_entry(worker, *number);
        return {};
    }
    t.fill(worker, *number, key, start, now);
    place->bucket->put(place->slot, FlowBucket::tag_of(h), *number);
    t.note_inserted(worker, *number);
    return {&t.entries[*number], false};
}

template <Family F>
auto FlowTable<F>::insert_mapped(
    unsigned worker,
    const FlowKey<F>& key,
    const FlowKey<F>& outside,
    const FlowStart& start,
    FlowTick now) noexcept -> Mapped {
    if (outside == key) {
        return {{}, true};  // the flow itself will have it: its sender uses the host's address
    }
    Tables& t = *tables_;
    const auto flow = t.take_entry(worker);
    const auto mapping = flow ? t.take_entry(worker) : std::nullopt;
    if (!mapping) {
        if (flow) {
            t.give_back_entry(worker, *flow);
        }
        return {};
    }
    t.fill(worker, *flow, key, start, now);
    FlowStart mapped = start;
    mapped.state = FlowState::Mapping;
    t.fill(worker, *mapping, outside, mapped, now);
    t.entries[*flow].twin.store(*mapping + 1, kRelaxed);
    t.entries[*mapping].twin.store(*flow + 1, kRelaxed);
    bool done = false;
    const FlowHit<F> taken = t.put(worker, *mapping, done);
    if (!done) {
        t.give_back_entry(worker, *flow);
        t.give_back_entry(worker, *mapping);
        return {{}, taken.entry != nullptr};
    }
    const FlowHit<F> entered = t.put(worker, *flow, done);
    if (!done) {
        // A worker may have found the mapping meanwhile, and the flow by it: both rest as others do.
        t.entries[*mapping].state.store(FlowState::Dead, kRelaxed);
        t.entries[*flow].state.store(FlowState::Dead, kRelaxed);
        t.note_inserted(worker, *flow);
        const bool is_mapping =
            entered.entry != nullptr && entered.entry->state.load(kRelaxed) == FlowState::Mapping;
        return {is_mapping ? FlowHit<F>{} : entered, false};
    }
    return {entered, false};
}

template <Family F>
std::size_t FlowTable<F>::held_by(PortId owner, unsigned worker) const noexcept {
    const WorkerCache& cache = tables_->caches[worker];
    const std::int32_t known = tables_->held_by(owner).load(kRelaxed);
    return static_cast<std::size_t>(
        std::max(0, cache.owner == owner ? known + cache.uncounted : known));
}

template <Family F>
std::size_t FlowTable<F>::held_by(PortId owner) const noexcept {
    return static_cast<std::size_t>(std::max(0, tables_->held_by(owner).load(kRelaxed)));
}

template <Family F>
std::size_t FlowTable<F>::connections(PortId endpoint, FlowSide side) const noexcept {
    std::uint32_t sum = tables_->aged_connections.get(endpoint, side);
    for (const WorkerCache& cache : tables_->caches) {
        sum += cache.connections.get(endpoint, side);
    }
    return static_cast<std::size_t>(std::max(0, static_cast<std::int32_t>(sum)));
}

template <Family F>
void FlowTable<F>::recount(unsigned worker, FlowEntry<F>& flow) noexcept {
    if (!flow.from_host && !flow.counted.exchange(true, kRelaxed)) {
        tables_->caches[worker].connections.add(flow, 1);
    }
}

template <Family F>
void FlowTable<F>::uncount(unsigned worker, FlowEntry<F>& flow) noexcept {
    if (flow.counted.exchange(false, kRelaxed)) {
        tables_->caches[worker].connections.add(flow, kOneLess);
    }
}

template <Family F>
std::size_t FlowTable<F>::age(FlowTick now, const FlowTimeouts& timeouts, std::size_t budget) {
    Tables& t = *tables_;
    const std::size_t used = t.free_entries.fresh();
    typename Tables::Removed removed;
    for (std::size_t left = std::min(budget, used); left > 0; --left) {
        t.cursor = t.cursor + 1 < used ? t.cursor + 1 : 0;
        if (!t.live[t.cursor].load(std::memory_order_acquire)) {
            continue;
        }
        const FlowEntry<F>& entry = t.entries[t.cursor];
        const FlowState state = entry.state.load(kRelaxed);
        if (state == FlowState::Mapping) {
            continue;  // goes with its flow
        }
        // Signed: a worker's clock may be ahead of ours.
        const auto idle = static_cast<std::int32_t>(now - entry.last_seen.load(kRelaxed));
        const auto allowed = static_cast<std::int32_t>(timeout_of(state, timeouts));
        if (state == FlowState::Dead || idle > allowed) {
            t.remove(static_cast<std::uint32_t>(t.cursor), removed);
        }
    }
    return t.rest(std::move(removed));
}

template <Family F>
std::size_t FlowTable<F>::remove_if(
    const std::function<bool(const FlowEntry<F>&)>& condemned, FlowRange where) {
    Tables& t = *tables_;
    typename Tables::Removed removed;
    std::size_t flows = 0;
    for (std::size_t i = where.begin; i < std::min(where.end, extent()); ++i) {
        const bool is_flow = t.live[i].load(std::memory_order_acquire) &&
                             t.entries[i].state.load(kRelaxed) != FlowState::Mapping;
        if (is_flow && condemned(t.entries[i])) {
            t.remove(static_cast<std::uint32_t>(i), removed);
            ++flows;
        }
    }
    t.rest(std::move(removed));
    return flows;
}

template <Family F>
void FlowTable<F>::for_each(
    const std::function<void(const FlowEntry<F>&)>& visit, FlowRange where) const {
    const Tables& t = *tables_;
    for (std::size_t i = where.begin; i < std::min(where.end, extent()); ++i) {
        const bool live = t.live[i].load(std::memory_order_acquire);
        if (live && t.entries[i].state.load(kRelaxed) < FlowState::Mapping) {
            visit(t.entries[i]);
        }
    }
}

template <Family F>
std::size_t FlowTable<F>::extent() const noexcept {
    return tables_->free_entries.fresh();
}

template <Family F>
std::size_t FlowTable<F>::size() const noexcept {
    std::size_t inserted = 0;
    for (const WorkerCache& cache : tables_->caches) {
        inserted += cache.inserted.load(kRelaxed);
    }
    // Read apart, the counts may be off by flows in motion, never below zero.
    return inserted - std::min(inserted, tables_->removed_count.load(kRelaxed));
}

template <Family F>
std::size_t FlowTable<F>::capacity() const noexcept {
    return tables_->capacity;
}

template class FlowTable<V4>;
template class FlowTable<V6>;

}  // namespace vr
