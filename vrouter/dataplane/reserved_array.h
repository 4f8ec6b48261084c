// ReservedArray<T> and SlotPool<T>: memory for structures that workers read while they grow.
//
// Address space for the largest possible array is reserved at once and opened for use in steps, so
// elements never move and a small table costs few resident pages.  New elements are zero bytes, which
// must be a valid T; no constructor or destructor runs.  SlotPool hands out elements by index and
// takes them back through the Reclaimer: an index is not used again while a worker may hold it.
//
// A new element may lie in a huge page that the kernel has to find and to clear, which takes a tenth of a
// millisecond, or several where a hypervisor has to find it first.  A SlotPool that grows has this done
// beforehand, beside the control thread; when it was not done in time, the first write does it as ever.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <system_error>
#include <type_traits>

#include "vrouter/dataplane/reclaim.h"

namespace vr {

template <typename T>
class ReservedArray {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    /// Reserves addresses for `capacity` elements; none is usable before open().
    explicit ReservedArray(std::size_t capacity)
        : bytes_(rounded(capacity * sizeof(T))), data_(static_cast<T*>(reserve(bytes_))) {}

    ReservedArray(const ReservedArray&) = delete;
    ReservedArray& operator=(const ReservedArray&) = delete;
    ReservedArray(ReservedArray&&) = delete;
    ReservedArray& operator=(ReservedArray&&) = delete;

    ~ReservedArray() { ::munmap(data_, bytes_); }

    /// Makes the first `count` elements usable.  Aborts when the system has no memory to promise.
    void open(std::size_t count) {
        const std::size_t wanted = std::min(rounded(count * sizeof(T)), bytes_);
        if (wanted <= open_) {
            return;
        }
        auto* from = reinterpret_cast<std::byte*>(data_) + open_;
        if (::mprotect(from, wanted - open_, PROT_READ | PROT_WRITE) != 0) {
            die("open");
        }
        open_ = wanted;
    }

    /// Has the memory of all that is open fetched from the kernel now, and not at the first writes.  Changes nothing
    /// that is there; kernels before 5.14 do not know it.
    void fetch() const noexcept { ::madvise(data_, open_, MADV_POPULATE_WRITE); }

    /// Opens as much as `count` elements and `ahead` more take, and answers the memory that was not open before.
    [[nodiscard]] std::span<std::byte> open_ahead(std::size_t count, std::size_t ahead) {
        const std::size_t before = open_;
        open(count + ahead);
        return {reinterpret_cast<std::byte*>(data_) + before, open_ - before};
    }

    /// False when that would open something.
    [[nodiscard]] bool is_ahead(std::size_t count, std::size_t ahead) const noexcept {
        return std::min((count + ahead) * sizeof(T), bytes_) <= open_;
    }

    [[nodiscard]] T* data() const noexcept { return data_; }

    [[nodiscard]] T& operator[](std::size_t index) const noexcept { return data_[index]; }

    static constexpr std::size_t kStep = std::size_t{2} << 20U;  ///< one huge page, in bytes

  private:
    [[nodiscard]] static std::size_t rounded(std::size_t bytes) {
        return (bytes + kStep - 1) / kStep * kStep;
    }

    [[noreturn]] static void die(const char* step) {
        std::perror(step);
        std::abort();
    }

    /// Reserved addresses begin on a huge page's boundary so that the kernel can use huge pages.
    [[nodiscard]] static void* reserve(std::size_t bytes) {
        constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void* area = ::mmap(nullptr, bytes + kStep, PROT_NONE, kFlags, -1, 0);
        if (area == MAP_FAILED) {
            die("reserve");
        }
        auto* begin = static_cast<std::byte*>(area);
        const std::size_t skip = (kStep - reinterpret_cast<std::uintptr_t>(area) % kStep) % kStep;
        if (skip != 0) {
            ::munmap(begin, skip);
        }
        ::munmap(begin + skip + bytes, kStep - skip);
        // Advice only: without huge pages everything works, slower.
        ::madvise(begin + skip, bytes, MADV_HUGEPAGE);
        return begin + skip;
    }

    std::size_t bytes_;
    T* data_;
    std::size_t open_ = 0;
};

template <typename T>
class SlotPool {
  public:
    SlotPool(Reclaimer& reclaimer, std::uint32_t capacity)
        : reclaimer_(reclaimer), store_(std::make_shared<Store>(capacity)) {}

    /// An element that nobody uses: zero bytes, or as its last user left it.  Control thread.
    [[nodiscard]] std::uint32_t take() {
        if (!store_->free.empty()) {
            const std::uint32_t index = store_->free.back();
            store_->free.pop_back();
            return index;
        }
        if (store_->used == store_->capacity) {
            std::fputs("table full: every index is in use\n", stderr);
            std::abort();
        }
        store_->slots.open(store_->used + std::size_t{1});
        ++store_->used;
        fetch_ahead();
        return store_->used - 1;
    }

    /// Gives an element back once no worker can hold its index; `dispose` runs then.
    void retire(std::uint32_t index, std::function<void(T&)> dispose = nullptr) {
        reclaimer_.retire([store = store_, index, dispose = std::move(dispose)] {
            if (dispose) {
                dispose(store->slots[index]);
            }
            store->free.push_back(index);
        });
    }

    /// Has the memory of the first elements fetched now.
    void fetch() noexcept {
        store_->slots.open(store_->used + 2 * kAhead);
        store_->slots.fetch();
    }

    [[nodiscard]] T& operator[](std::uint32_t index) const noexcept { return store_->slots[index]; }

    [[nodiscard]] T* data() const noexcept { return store_->slots.data(); }

    /// Indices in use or resting with the Reclaimer are below this.
    [[nodiscard]] std::uint32_t used() const noexcept { return store_->used; }

    [[nodiscard]] std::uint32_t live() const noexcept {
        return store_->used - static_cast<std::uint32_t>(store_->free.size());
    }

  private:
    // Outlives the pool when elements still rest with the Reclaimer.
    struct Store {
        explicit Store(std::uint32_t count) : capacity(count), slots(count) {}

        std::uint32_t capacity;
        std::uint32_t used = 0;
        std::deque<std::uint32_t> free;  ///< a vector of a million would move as a whole
        ReservedArray<T> slots;
        std::future<void> fetching;  ///< goes first: waits for who is at it
    };

    /// So many elements are there, or on their way, before they are taken: half a huge page at least, and what the
    /// control thread takes while the kernel clears one.
    static constexpr std::size_t kAhead = std::max<std::size_t>((1U << 20U) / sizeof(T), 2048);

    /// Has memory fetched before it is used.  Who is still at the last piece is not waited for, nor disturbed:
    /// open_ahead() takes a lock that he holds.
    void fetch_ahead() {
        auto& slots = store_->slots;
        auto& fetching = store_->fetching;
        if (slots.is_ahead(store_->used, kAhead) ||
            (fetching.valid() &&
             fetching.wait_for(std::chrono::seconds{0}) != std::future_status::ready)) {
            return;
        }
        try {
            // Changes nothing that is there.  Kernels before 5.14 do not know it.  A page at a time: whoever opens
            // more memory waits for it.
            fetching = std::async(
                std::launch::async, [memory = slots.open_ahead(store_->used, 2 * kAhead)] {
                    for (std::size_t at = 0; at < memory.size(); at += ReservedArray<T>::kStep) {
                        ::madvise(&memory[at], ReservedArray<T>::kStep, MADV_POPULATE_WRITE);
                    }
                });
        } catch (const std::system_error&) {
            // No thread to be had: the first write will fetch it.
        }
    }

    Reclaimer& reclaimer_;
    std::shared_ptr<Store> store_;
};

}  // namespace vr
