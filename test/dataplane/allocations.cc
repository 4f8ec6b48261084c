// SPDX-License-Identifier: Apache-2.0
#include "test/dataplane/allocations.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local vr::test::Allocations counted;

[[nodiscard]] void* taken(std::size_t bytes, std::size_t alignment) {
    const std::size_t rounded =
        (std::max(bytes, alignment) + alignment - 1) / alignment * alignment;
    void* const piece = std::aligned_alloc(alignment, rounded);
    if (piece == nullptr) {
        throw std::bad_alloc();
    }
    counted.bytes += bytes;
    ++counted.calls;
    return piece;
}

void given(void* piece) noexcept {
    counted.calls += piece != nullptr ? 1 : 0;
    std::free(piece);
}

}  // namespace

vr::test::Allocations vr::test::allocations() noexcept {
    return counted;
}

// The other forms come down to these.
void* operator new(std::size_t bytes) {
    return taken(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return taken(bytes, static_cast<std::size_t>(alignment));
}

void operator delete(void* piece) noexcept {
    given(piece);
}

void operator delete(void* piece, std::size_t /*bytes*/) noexcept {
    given(piece);
}

void operator delete(void* piece, std::align_val_t /*alignment*/) noexcept {
    given(piece);
}

void operator delete(void* piece, std::size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
    given(piece);
}
