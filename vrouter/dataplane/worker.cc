// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/worker.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "vrouter/dataplane/clock.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

constexpr unsigned kInjectRing = 1024;

/// The first 6 bytes of a frame as a number that compares with mac_number().
std::uint64_t destination_number(const std::uint8_t* frame) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, frame, sizeof word);
    return word & 0xffffffffffffU;
}

std::uint64_t mac_number(const Mac& mac) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, mac.bytes().data(), 6);
    return word;
}

/// How many packets of one in-port the control thread may get per tick.  Errors are few: icmp.h limits
/// their rate further.
constexpr std::uint16_t share(Punt why) noexcept {
    const bool only_told =
        why == Punt::HopLimit || why == Punt::NoRoute || refusal(why) != DropReason::None;
    return only_told ? 64 : 512;
}

/// Room in the punt ring that only link-local control packets may use.
constexpr unsigned kControlReserve = 512;

void nap(std::uint32_t microseconds) noexcept {
    const timespec wait{0, static_cast<long>(microseconds) * 1000};
    nanosleep(&wait, nullptr);
}

}  // namespace

Worker::Worker(
    unsigned index,
    SharedState& shared,
    Rcu& rcu,
    PuntRing& punt,
    PolicyLog& policy_log,
    IdlePolicy idle)
    : index_(index),
      shared_(shared),
      rcu_(rcu),
      punt_(punt),
      policy_log_(policy_log),
      idle_(idle),
      tsc_per_tick_(rte_get_tsc_hz() / 4),
      counters_(std::make_unique<WorkerCounters>()),
      injected_(rte_ring_create(
          ("inject" + std::to_string(index)).c_str(),
          kInjectRing,
          SOCKET_ID_ANY,
          RING_F_SP_ENQ | RING_F_SC_DEQ)),
      tx_(kMaxPorts),
      punt_budget_(kMaxPorts) {
    if (injected_ == nullptr) {
        throw std::bad_alloc();
    }
}

Worker::~Worker() {
    void* packet = nullptr;
    while (rte_ring_dequeue(injected_, &packet) == 0) {
        rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    }
    rte_ring_free(injected_);
}

void Worker::run() noexcept {
    const std::uint64_t tsc_per_us = std::max<std::uint64_t>(1, rte_get_tsc_hz() / 1000000);
    std::uint64_t last_packet = rte_rdtsc();
    std::uint32_t sleep_us = 1;
    rcu_.online(index_);
    while (!stop_.load(std::memory_order_relaxed)) {
        if (poll_once() != 0) {
            last_packet = rte_rdtsc();
            sleep_us = 1;
        } else if (idle_.sleep && rte_rdtsc() - last_packet > idle_.spin_us * tsc_per_us) {
            // Each empty round doubles the sleep up to the bound; one packet ends it.
            sleep_us = std::min(sleep_us * 2, idle_.max_sleep_us);
            rcu_.offline(index_);
            counters_->idle_sleeps.add(1);
            nap(sleep_us);
            rcu_.online(index_);
        }
    }
    rcu_.offline(index_);
}

unsigned Worker::poll_once() noexcept {
    begin_round();
    unsigned found = take_injected();
    for (const PollTarget target : tables_->polls[index_]) {
        found += poll(target);
    }
    flush_all();
    end_round();
    return found;
}

void Worker::begin_round() noexcept {
    // Acquire: pairs with the control thread's release when it publishes a snapshot.
    tables_ = shared_.tables.load(std::memory_order_acquire);
    const std::uint64_t tsc = rte_rdtsc();
    now_ = static_cast<FlowTick>(tsc / tsc_per_tick_);
    bucket_now_ = bucket_time(tsc);
}

void Worker::end_round() noexcept {
    counters_->loops.add(1);
    rcu_.quiescent(index_);
}

unsigned Worker::poll(PollTarget target) noexcept {
    const PortEntry& entry = tables_->ports[target.port.value()];
    if (entry.kind == PortKind::None) [[unlikely]] {
        return 0;  // removed since the round began
    }
    std::array<rte_mbuf*, kMaxBatch> packets;
    const unsigned count = entry.io.rx(entry.io.self, target.queue, packets.data(), kMaxBatch);
    if (count == 0) {
        return 0;
    }
    for (unsigned i = 0; i < count; ++i) {
        rte_prefetch0(rte_pktmbuf_mtod(packets[i], const void*));
    }
    begin_batch(batch4_, target.port, entry);
    begin_batch(batch6_, target.port, entry);
    const std::uint64_t bytes = sort(packets.data(), count, entry, target.port);
    PortCounters& counters = counters_->ports[target.port.value()];
    counters.rx_packets.add(count);
    counters.rx_bytes.add(bytes);
    if (batch4_.count != 0) {
        forward(batch4_, *this);
    }
    if (batch6_.count != 0) {
        batch6_.in_port = &tables_->ports[target.port.value()];  // which may be newer ones by now
        forward(batch6_, *this);
    }
    return count;
}

/// Puts unicast IP for this port into the two batches; all else ends here.  Returns the bytes received.
std::uint64_t Worker::sort(
    rte_mbuf* const* packets, unsigned count, const PortEntry& entry, PortId in) noexcept {
    constexpr auto kType4 = to_network(V4::kEtherType);
    constexpr auto kType6 = to_network(V6::kEtherType);
    const std::uint64_t own = mac_number(entry.mac);
    std::uint64_t bytes = 0;
    unsigned count4 = 0;
    unsigned count6 = 0;
    for (unsigned i = 0; i < count; ++i) {
        rte_mbuf* packet = packets[i];
        bytes += rte_pktmbuf_pkt_len(packet);
        if (rte_pktmbuf_data_len(packet) < sizeof(EthernetHeader)) [[unlikely]] {
            drop(packet, in, DropReason::MalformedEthernet);
            continue;
        }
        const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
        std::uint16_t type = 0;
        std::memcpy(&type, frame + 12, sizeof type);
        const bool ours = destination_number(frame) == own;
        if (ours && type == kType4) [[likely]] {
            batch4_.packets[count4++] = packet;
        } else if (ours && type == kType6) [[likely]] {
            batch6_.packets[count6++] = packet;
        } else {
            slow_ether(packet, entry, in);
        }
    }
    batch4_.count = count4;
    batch6_.count = count6;
    return bytes;
}

/// Everything that is not unicast IP to this port: ARP, a guest's RARP and neighbor discovery for the control
/// thread, the rest is not forwarded (a router does not bridge).
void Worker::slow_ether(rte_mbuf* packet, const PortEntry& entry, PortId in) noexcept {
    const auto* frame = rte_pktmbuf_mtod(packet, const std::uint8_t*);
    const auto type = load_be<std::uint16_t>(frame + 12);
    const bool group = (frame[0] & 1U) != 0;
    if (entry.kind == PortKind::Workload && (!entry.endpoint || !entry.endpoint->active)) {
        drop(packet, in, DropReason::PortClosed);
    } else if (!group && destination_number(frame) != mac_number(entry.mac)) {
        drop(packet, in, DropReason::OtherMac);
    } else if (
        type == ethertype::kArp ||
        (type == ethertype::kReverseArp && entry.kind == PortKind::Workload)) {
        punt(packet, {.port = in, .punt = Punt::LinkLocal, .inject = {}, .next_hop = {}});
    } else if (type == ethertype::kIp6 && group) {
        // Neighbor discovery goes to multicast groups; multicast listener reports (hop-by-hop) are
        // heard and need no answer, since nothing is forwarded to groups.
        constexpr std::size_t kNextHeader = sizeof(EthernetHeader) + 6;
        if (rte_pktmbuf_data_len(packet) < sizeof(EthernetHeader) + sizeof(Ip6Header)) {
            drop(packet, in, DropReason::MalformedIp);
        } else if (frame[kNextHeader] == ipproto::kIcmp6) {
            punt(packet, {.port = in, .punt = Punt::LinkLocal, .inject = {}, .next_hop = {}});
        } else if (frame[kNextHeader] == ipproto::kHopByHop) {
            consume(packet, in);
        } else {
            drop(packet, in, DropReason::Multicast);
        }
    } else if (type == ethertype::kIp4 && group) {
        drop(packet, in, DropReason::Multicast);
    } else {
        drop(packet, in, DropReason::UnknownEtherType);
    }
}

unsigned Worker::take_injected() noexcept {
    std::array<void*, kMaxBatch> taken;
    const unsigned count = rte_ring_sc_dequeue_burst(injected_, taken.data(), kMaxBatch, nullptr);
    if (count == 0) {
        return 0;
    }
    counters_->injected.add(count);
    // What the control thread published before it handed these over must be seen with them.
    tables_ = shared_.tables.load(std::memory_order_acquire);
    for (unsigned i = 0; i < count; ++i) {
        auto* packet = static_cast<rte_mbuf*>(taken[i]);
        const PacketNote& note = note_of(packet);
        switch (note.inject) {
            case Inject::Transmit:
                send(packet, note.port);
                break;
            case Inject::Fragment:
                decrement_ttl(packet);
                [[fallthrough]];
            case Inject::Adjacent:
                send_adjacent(packet, *this);
                break;
        }
    }
    return count;
}

bool Worker::inject(rte_mbuf* packet) noexcept {
    return rte_ring_sp_enqueue(injected_, packet) == 0;
}

void Worker::drop(rte_mbuf* packet, PortId in, DropReason reason) noexcept {
    counters_->ports[in.value()].drops[static_cast<std::size_t>(reason)].add(1);
    rte_pktmbuf_free(packet);
}

void Worker::consume(rte_mbuf* packet, PortId in) noexcept {
    counters_->ports[in.value()].consumed.add(1);
    rte_pktmbuf_free(packet);
}

void Worker::punt(rte_mbuf* packet, const PacketNote& note) noexcept {
    const PortId in = note.port;
    const Punt why = note.punt;
    PuntBudget& budget = punt_budget_[in.value()];
    if (budget.tick != now_) {
        budget = {now_, {}};
    }
    std::uint16_t& used = budget.used[static_cast<std::size_t>(why)];
    // What is refused anyway is refused without a word.
    const DropReason untold =
        refusal(why) == DropReason::None ? DropReason::PuntFull : refusal(why);
    if (used == share(why)) {
        drop(packet, in, untold);
        return;
    }
    ++used;
    note_of(packet) = note;
    if (!punt_.push(packet, why == Punt::LinkLocal ? 0 : kControlReserve)) {
        drop(packet, in, untold);
        return;
    }
    counters_->ports[in.value()].punted.add(1);
}

void Worker::flush(PortId out) noexcept {
    TxBuffer& buffer = tx_[out.value()];
    const PortEntry& entry = tables_->ports[out.value()];
    std::uint64_t bytes = 0;
    for (unsigned i = 0; i < buffer.count; ++i) {
        bytes += rte_pktmbuf_pkt_len(buffer.packets[i]);
    }
    std::uint16_t sent = 0;
    if (entry.kind != PortKind::None) {
        const auto queue = static_cast<std::uint16_t>(index_ % entry.io.tx_queues);
        sent = entry.io.tx(entry.io.self, queue, buffer.packets.data(), buffer.count);
    }
    for (unsigned i = sent; i < buffer.count; ++i) {
        bytes -= rte_pktmbuf_pkt_len(buffer.packets[i]);
        drop(buffer.packets[i], out, DropReason::TxFull);
    }
    PortCounters& counters = counters_->ports[out.value()];
    counters.tx_packets.add(sent);
    counters.tx_bytes.add(bytes);
    buffer.count = 0;
}

void Worker::flush_all() noexcept {
    for (unsigned i = 0; i < dirty_count_; ++i) {
        TxBuffer& buffer = tx_[dirty_[i].value()];
        buffer.dirty = false;
        if (buffer.count != 0) {
            flush(dirty_[i]);
        }
    }
    dirty_count_ = 0;
}

}  // namespace vr
