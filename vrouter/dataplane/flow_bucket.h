// FlowBucket: one cache line of the flow table's index, eight tags and the entries they stand for.
//
// Readers compare all tags at once and take no lock.  Writers hold the lock of the chain's first
// bucket.  An entry's number is stored before its tag and flows never move between slots, so a flow
// that stays in the table is always found.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <emmintrin.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

namespace vr {

/// A lock for a few instructions.  Spins; yields only when its holder seems to have lost its CPU.
class SpinLock {
  public:
    void lock() noexcept {
        for (unsigned tries = 1; word_.exchange(1, std::memory_order_acquire) != 0; ++tries) {
            while (word_.load(std::memory_order_relaxed) != 0) {
                _mm_pause();
                if (++tries % 1024 == 0) {
                    std::this_thread::yield();
                }
            }
        }
    }

    void unlock() noexcept { word_.store(0, std::memory_order_release); }

  private:
    std::atomic<std::uint32_t> word_{0};
};

struct alignas(64) FlowBucket {
    static constexpr unsigned kSlots = 8;

    std::array<std::atomic<std::uint64_t>, 2> tags;  ///< four 16-bit tags each, 0 is empty
    std::array<std::atomic<std::uint32_t>, kSlots>
        entries;                      ///< number of the entry + 1, 0 is empty
    SpinLock lock;                    ///< of the chain that begins here
    std::atomic<std::uint32_t> next;  ///< overflow bucket + 1, 0 is none

    [[nodiscard]] static std::uint16_t tag_of(std::uint64_t hash) noexcept {
        return static_cast<std::uint16_t>(hash >> 48U | 1U);
    }

    /// Bit i is set where slot i has `tag`.
    [[nodiscard]] unsigned matches(std::uint16_t tag) const noexcept {
        const auto low = static_cast<long long>(tags[0].load(std::memory_order_acquire));
        const auto high = static_cast<long long>(tags[1].load(std::memory_order_acquire));
        const __m128i equal =
            _mm_cmpeq_epi16(_mm_set_epi64x(high, low), _mm_set1_epi16(static_cast<short>(tag)));
        const __m128i bytes = _mm_packs_epi16(equal, _mm_setzero_si128());
        return static_cast<unsigned>(_mm_movemask_epi8(bytes));
    }

    void set_tag(unsigned slot, std::uint16_t tag) noexcept {
        auto& word = tags[slot / 4];
        const unsigned shift = 16 * (slot % 4);
        const std::uint64_t rest =
            word.load(std::memory_order_relaxed) & ~(std::uint64_t{0xffff} << shift);
        word.store(rest | std::uint64_t{tag} << shift, std::memory_order_release);
    }

    void put(unsigned slot, std::uint16_t tag, std::uint32_t entry) noexcept {
        entries[slot].store(entry + 1, std::memory_order_release);
        set_tag(slot, tag);
    }

    void clear(unsigned slot) noexcept {
        set_tag(slot, 0);
        entries[slot].store(0, std::memory_order_relaxed);
    }

    [[nodiscard]] bool empty() const noexcept {
        for (const auto& entry : entries) {
            if (entry.load(std::memory_order_relaxed) != 0) {
                return false;
            }
        }
        return true;
    }
};

static_assert(sizeof(FlowBucket) == 64);

}  // namespace vr
