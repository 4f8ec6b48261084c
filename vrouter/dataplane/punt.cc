// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/punt.h"

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>

namespace vr {

Result<std::unique_ptr<PuntRing>> PuntRing::make(unsigned size) {
    rte_ring* ring = rte_ring_create("punt", size, SOCKET_ID_ANY, RING_F_SC_DEQ);
    if (ring == nullptr) {
        return fail("cannot create the punt ring: no memory");
    }
    const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event < 0) {
        rte_ring_free(ring);
        return fail("cannot create an eventfd");
    }
    return std::unique_ptr<PuntRing>(new PuntRing(ring, event));
}

PuntRing::~PuntRing() {
    void* packet = nullptr;
    while (rte_ring_dequeue(ring_, &packet) == 0) {
        rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    }
    rte_ring_free(ring_);
    close(event_);
}

bool PuntRing::push(rte_mbuf* packet, unsigned reserve) noexcept {
    if (rte_ring_free_count(ring_) <= reserve || rte_ring_mp_enqueue(ring_, packet) != 0) {
        return false;
    }
    // Pairs with arm(): either we see it armed, or the control thread sees the packet.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (armed_.load(std::memory_order_relaxed) && armed_.exchange(false)) {
        const std::uint64_t one = 1;
        static_cast<void>(!write(event_, &one, sizeof one));
    }
    return true;
}

unsigned PuntRing::pop(std::span<rte_mbuf*> packets) noexcept {
    return rte_ring_sc_dequeue_burst(
        ring_,
        reinterpret_cast<void**>(packets.data()),
        static_cast<unsigned>(packets.size()),
        nullptr);
}

bool PuntRing::arm() noexcept {
    armed_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (rte_ring_empty(ring_) == 0) {
        armed_.store(false, std::memory_order_relaxed);
        return false;
    }
    return true;
}

}  // namespace vr
