// Memory orders of the tables that one thread writes while workers read, by what they are for.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace vr {

/// Readers order a slot before what it leads to (a node, a group, a next hop); the writer the reverse.
inline constexpr auto kRead = std::memory_order_acquire;
inline constexpr auto kPublish = std::memory_order_release;
/// What only the writer changes, read by the writer; and what nothing else depends on.
inline constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace vr
