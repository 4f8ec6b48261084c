// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/packet_pool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>

#include <cstring>
#include <string>

#include "vrouter/dataplane/packet_note.h"

namespace vr {

namespace {

/// A worker's share that it takes and gives back without touching the pool.
constexpr unsigned kCache = 256;

}  // namespace

void FreePacketPool::operator()(rte_mempool* pool) const noexcept {
    rte_mempool_free(pool);
}

Result<PacketPool> make_packet_pool(const char* name, unsigned count, std::uint16_t data_room) {
    constexpr auto kNote =
        static_cast<std::uint16_t>(RTE_ALIGN_CEIL(sizeof(PacketNote), RTE_MBUF_PRIV_ALIGN));
    PacketPool pool{rte_pktmbuf_pool_create(
        name,
        count,
        kCache,
        kNote,
        static_cast<std::uint16_t>(data_room + RTE_PKTMBUF_HEADROOM),
        SOCKET_ID_ANY)};
    if (!pool) {
        return fail(
            "cannot get memory for " + std::to_string(count) + " packet buffers: " +
            rte_strerror(rte_errno) + " (give the EAL more with -m, or set fewer `packets`)");
    }
    return pool;
}

rte_mbuf* make_packet(rte_mempool* pool, std::span<const std::uint8_t> frame) noexcept {
    rte_mbuf* packet = rte_pktmbuf_alloc(pool);
    if (packet == nullptr) {
        return nullptr;
    }
    char* room = frame.size() > 0xffff
                     ? nullptr
                     : rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size()));
    if (room == nullptr) {
        rte_pktmbuf_free(packet);
        return nullptr;
    }
    std::memcpy(room, frame.data(), frame.size());
    return packet;
}

}  // namespace vr
