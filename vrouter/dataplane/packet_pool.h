// The pool of packet buffers that all ports of the router receive into.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "vrouter/net/result.h"

struct rte_mbuf;
struct rte_mempool;

namespace vr {

struct FreePacketPool {
    void operator()(rte_mempool* pool) const noexcept;
};

using PacketPool = std::unique_ptr<rte_mempool, FreePacketPool>;

/// `count` buffers of `data_room` bytes behind the usual headroom, each with room for a PacketNote.
[[nodiscard]] Result<PacketPool> make_packet_pool(
    const char* name, unsigned count, std::uint16_t data_room);

/// A packet that holds a copy of `frame`; null when no buffer is free or the frame is too long.
[[nodiscard]] rte_mbuf* make_packet(
    rte_mempool* pool, std::span<const std::uint8_t> frame) noexcept;

}  // namespace vr
