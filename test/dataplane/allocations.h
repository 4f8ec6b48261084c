// What a thread takes from the heap, for tests that bound the work of one change: a table that is built
// again, or grows as a whole, shows as one large piece or as many.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace vr::test {

struct Allocations {
    std::size_t bytes = 0;
    std::size_t calls = 0;  ///< pieces taken and given back
};

/// All that this thread did so far.
[[nodiscard]] Allocations allocations() noexcept;

/// What `change` did.
template <typename Change>
[[nodiscard]] Allocations allocations_of(Change change) {
    const Allocations before = allocations();
    change();
    const Allocations after = allocations();
    return {after.bytes - before.bytes, after.calls - before.calls};
}

}  // namespace vr::test
