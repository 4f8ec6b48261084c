// SlotPool: slots come in order, rest, and lie in memory that was fetched before they are used.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "test/dataplane/slow_reclaimer.h"
#include "vrouter/dataplane/reserved_array.h"

namespace vr::slot_pool_test {
namespace {

using Slot = std::array<std::uint64_t, 64>;  // 512 B
using Pool = SlotPool<Slot>;

constexpr std::uint32_t kStep = 4096;  ///< slots in a huge page
constexpr std::uint32_t kCapacity = 8 * kStep;

/// How much of the huge page that begins at slot `first` the system has memory for.
template <typename T>
std::size_t resident_pages(const SlotPool<T>& pool, std::uint32_t first) {
    std::vector<unsigned char> pages(
        (std::size_t{2} << 20U) / static_cast<std::size_t>(getpagesize()));
    if (mincore(&pool[first], std::size_t{2} << 20U, pages.data()) != 0) {
        return 0;
    }
    return static_cast<std::size_t>(
        std::ranges::count_if(pages, [](unsigned char page) { return (page & 1U) != 0; }));
}

template <typename T>
bool eventually_resident(const SlotPool<T>& pool, std::uint32_t first) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (resident_pages(pool, first) == 0 && std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
    return resident_pages(pool, first) != 0;
}

bool kernel_fetches() {
    auto* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool known = madvise(page, 4096, MADV_POPULATE_WRITE) == 0;
    munmap(page, 4096);
    return known;
}

TEST(SlotPool, HasTheNextHugePageBeforeItIsNeeded) {
    if (!kernel_fetches()) {
        GTEST_SKIP() << "the kernel has no MADV_POPULATE_WRITE";
    }
    ImmediateReclaimer reclaimer;
    Pool pool{reclaimer, kCapacity};
    for (std::uint32_t i = 0; i < kStep / 2; ++i) {
        pool[pool.take()][0] = i;
    }
    EXPECT_EQ(resident_pages(pool, kStep), 0U);  // half a page is enough for most
    static_cast<void>(pool.take());
    EXPECT_TRUE(eventually_resident(pool, kStep));
    EXPECT_EQ(resident_pages(pool, 2 * kStep), 0U);
}

/// A huge page is soon full of them.
TEST(SlotPool, HasMoreBeforehandOfWhatIsLarge) {
    if (!kernel_fetches()) {
        GTEST_SKIP() << "the kernel has no MADV_POPULATE_WRITE";
    }
    using Large = std::array<std::uint64_t, 512>;  // 4 KiB
    constexpr std::uint32_t kLargeStep = 512;
    ImmediateReclaimer reclaimer;
    SlotPool<Large> pool{reclaimer, 32 * kLargeStep};
    static_cast<void>(pool.take());
    EXPECT_TRUE(eventually_resident(pool, 4 * kLargeStep));
}

TEST(SlotPool, FetchesTheFirstAtOnce) {
    if (!kernel_fetches()) {
        GTEST_SKIP() << "the kernel has no MADV_POPULATE_WRITE";
    }
    ImmediateReclaimer reclaimer;
    Pool pool{reclaimer, kCapacity};
    pool.fetch();
    EXPECT_NE(resident_pages(pool, 0), 0U);
    EXPECT_EQ(pool.used(), 0U);
}

TEST(SlotPool, KeepsWhatIsWrittenWhileMemoryIsFetched) {
    ImmediateReclaimer reclaimer;
    Pool pool{reclaimer, kCapacity};
    for (std::uint32_t i = 0; i < kCapacity; ++i) {
        Slot& slot = pool[pool.take()];
        ASSERT_EQ(slot, Slot{});
        slot.fill(i + 1);
    }
    EXPECT_EQ(pool.used(), kCapacity);  // and nothing was opened beyond its end
    for (std::uint32_t i = 0; i < kCapacity; ++i) {
        ASSERT_EQ(pool[i][i % 64], i + 1);
    }
}

TEST(SlotPool, MayGoWhileMemoryIsFetched) {
    for (int round = 0; round < 50; ++round) {
        ImmediateReclaimer reclaimer;
        Pool pool{reclaimer, kCapacity};
        for (std::uint32_t i = 0; i <= kStep / 2; ++i) {
            static_cast<void>(pool.take());
        }
    }
}

TEST(SlotPool, LeavesItsMemoryToElementsThatRest) {
    int disposed = 0;
    SlowReclaimer reclaimer;
    {
        Pool pool{reclaimer, kCapacity};
        for (std::uint32_t i = 0; i <= kStep / 2; ++i) {
            pool[pool.take()][0] = i;
        }
        pool.retire(7, [&disposed](Slot& slot) { disposed += slot[0] == 7 ? 1 : 0; });
    }
    for (int i = 0; i < 8; ++i) {
        reclaimer.retire([] {});
    }
    EXPECT_EQ(disposed, 1);
}

TEST(SlotPool, TakesWhatWasGivenBackBeforeItGrows) {
    ImmediateReclaimer reclaimer;
    Pool pool{reclaimer, kCapacity};
    for (std::uint32_t i = 0; i < 10; ++i) {
        ASSERT_EQ(pool.take(), i);
    }
    pool.retire(3);
    EXPECT_EQ(pool.take(), 3U);
    EXPECT_EQ(pool.take(), 10U);
}

}  // namespace
}  // namespace vr::slot_pool_test
