// PuntRing: packets on their way from the workers to the control thread.
//
// Bounded and lock-free.  The control thread sleeps in its event loop; it arms the ring before, and the
// first worker that pushes into an armed ring wakes it through an eventfd: one system call per sleep,
// none while the control thread is awake.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "vrouter/net/result.h"

struct rte_mbuf;
struct rte_ring;

namespace vr {

class PuntRing {
  public:
    [[nodiscard]] static Result<std::unique_ptr<PuntRing>> make(unsigned size);
    PuntRing(const PuntRing&) = delete;
    PuntRing& operator=(const PuntRing&) = delete;
    PuntRing(PuntRing&&) = delete;
    PuntRing& operator=(PuntRing&&) = delete;
    ~PuntRing();

    /// False when less than `reserve` room is left; the packet stays the caller's.  Any worker.
    [[nodiscard]] bool push(rte_mbuf* packet, unsigned reserve) noexcept;

    /// Takes up to packets.size() packets.  Control thread.
    [[nodiscard]] unsigned pop(std::span<rte_mbuf*> packets) noexcept;

    /// To be called after pop() returned 0 and before sleeping on fd(); false when packets have come
    /// in meanwhile.  Control thread.
    [[nodiscard]] bool arm() noexcept;

    /// Becomes readable when an armed ring gets a packet; read 8 bytes to reset it.
    [[nodiscard]] int fd() const noexcept { return event_; }

  private:
    PuntRing(rte_ring* ring, int event) : ring_(ring), event_(event) {}

    rte_ring* ring_;
    int event_;
    alignas(64) std::atomic<bool> armed_{false};
};

}  // namespace vr
