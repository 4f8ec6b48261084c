// Worker: one polling core.  Polls its queues, sorts packets by EtherType, runs the pipeline, transmits.
//
// A worker takes no lock, allocates nothing and logs nothing.  All that its stages may touch is in
// Worker; what it shares with others is read through `tables` and `shared` (tables.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "vrouter/dataplane/batch.h"
#include "vrouter/dataplane/counters.h"
#include "vrouter/dataplane/fragments.h"
#include "vrouter/dataplane/packet_note.h"
#include "vrouter/dataplane/policy_log.h"
#include "vrouter/dataplane/punt.h"
#include "vrouter/dataplane/rcu.h"
#include "vrouter/dataplane/tables.h"

struct rte_ring;

namespace vr {

/// How an idle worker waits.
struct IdlePolicy {
    bool sleep = true;                 ///< false: always poll
    std::uint32_t spin_us = 50;        ///< poll this long after the last packet before sleeping
    std::uint32_t max_sleep_us = 250;  ///< upper bound of one sleep: the wake-up latency
};

/// Packets that wait for the end of the loop to be sent to one port.
struct TxBuffer {
    std::array<rte_mbuf*, kMaxBatch> packets;
    std::uint16_t count = 0;
    bool dirty = false;  ///< stands in the list of buffers to flush
};

class Worker {
  public:
    /// Takes part in `rcu` as reader number `index`.
    Worker(
        unsigned index,
        SharedState& shared,
        Rcu& rcu,
        PuntRing& punt,
        PolicyLog& policy_log,
        IdlePolicy idle);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    Worker(Worker&&) = delete;
    Worker& operator=(Worker&&) = delete;
    ~Worker();

    /// The loop; returns soon after stop().
    void run() noexcept;

    /// Asks run() to return.  Any thread.
    void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

    /// One round over all queues without waiting; returns how many packets it found.  For tests and
    /// benchmarks that drive the worker by hand.
    unsigned poll_once() noexcept;

    /// Hands a packet with its note to this worker; false when the queue is full.  Control thread.
    [[nodiscard]] bool inject(rte_mbuf* packet) noexcept;

    [[nodiscard]] const WorkerCounters& counters() const noexcept { return *counters_; }

    // What the stages use.

    [[nodiscard]] const Tables& tables() const noexcept { return *tables_; }

    /// For ids of next hops that were just looked up in the routes, which may be younger than tables().
    [[nodiscard]] const Tables& newest() const noexcept {
        // Acquire: who has found an id in a route finds what was published before it was written there.
        std::atomic_thread_fence(std::memory_order_acquire);
        return *shared_.tables.load(std::memory_order_acquire);
    }

    /// Makes these tables(); true when they were others.
    [[nodiscard]] bool catch_up() noexcept {
        const Tables* const present = &newest();
        return std::exchange(tables_, present) != present;
    }

    [[nodiscard]] SharedState& shared() noexcept { return shared_; }

    [[nodiscard]] PolicyLog& policy_log() noexcept { return policy_log_; }

    [[nodiscard]] unsigned index() const noexcept { return index_; }

    [[nodiscard]] FlowTick now() const noexcept { return now_; }

    /// The clock of token buckets (clock.h), read once per round.
    [[nodiscard]] std::uint64_t bucket_now() const noexcept { return bucket_now_; }

    template <Family F>
    [[nodiscard]] FragmentTable<F>& fragments() noexcept {
        if constexpr (std::is_same_v<F, V4>) {
            return fragments4_;
        } else {
            return fragments6_;
        }
    }

    /// Ends a packet's way: frees and counts it.
    void drop(rte_mbuf* packet, PortId in, DropReason reason) noexcept;

    /// The packet was meant for the router and needs nothing more.
    void consume(rte_mbuf* packet, PortId in) noexcept;

    /// Hands a packet to the control thread, or drops it when its port has used up its share.
    void punt(rte_mbuf* packet, const PacketNote& note) noexcept;

    /// Queues a finished frame for the end of this loop.
    void send(rte_mbuf* packet, PortId out) noexcept {
        TxBuffer& buffer = tx_[out.value()];
        if (!buffer.dirty) {
            buffer.dirty = true;
            dirty_[dirty_count_++] = out;
        }
        buffer.packets[buffer.count++] = packet;
        if (buffer.count == kMaxBatch) {
            flush(out);
        }
    }

  private:
    /// What one in-port has used up of its share of the control thread in this tick (250 ms), by
    /// reason: packets that want errors never take the place of ARP and neighbor discovery.
    struct PuntBudget {
        FlowTick tick = 0;
        std::array<std::uint16_t, kPuntKinds> used{};
    };

    unsigned poll(PollTarget target) noexcept;
    unsigned take_injected() noexcept;
    std::uint64_t sort(
        rte_mbuf* const* packets, unsigned count, const PortEntry& entry, PortId in) noexcept;
    void slow_ether(rte_mbuf* packet, const PortEntry& entry, PortId in) noexcept;
    void flush(PortId out) noexcept;
    void flush_all() noexcept;
    void begin_round() noexcept;
    void end_round() noexcept;

    unsigned index_;
    SharedState& shared_;
    Rcu& rcu_;
    PuntRing& punt_;
    PolicyLog& policy_log_;
    IdlePolicy idle_;
    std::atomic<bool> stop_{false};
    const Tables* tables_ = nullptr;
    FlowTick now_ = 0;
    std::uint64_t bucket_now_ = 0;
    std::uint64_t tsc_per_tick_;
    std::unique_ptr<WorkerCounters> counters_;
    rte_ring* injected_;
    Batch<V4> batch4_;
    Batch<V6> batch6_;
    FragmentTable<V4> fragments4_;
    FragmentTable<V6> fragments6_;
    std::vector<TxBuffer> tx_;
    std::array<PortId, kMaxPorts> dirty_{};
    unsigned dirty_count_ = 0;
    std::vector<PuntBudget> punt_budget_;
};

}  // namespace vr
