// SPDX-License-Identifier: Apache-2.0
#include "test/vhost/echo_worker.h"

#include <rte_ether.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace vr::vhost {

namespace {

constexpr std::uint16_t kBurst = 32;
constexpr std::array<std::uint8_t, 6> kGuestMac{2, 0, 0, 0, 0, 1};
constexpr std::array<std::uint8_t, 6> kRouterMac{2, 0, 0, 0, 0, 2};

/// Frame lengths in turn: no payload, minimal, full, and more than the MTU within one mbuf.
constexpr std::array<std::uint16_t, 4> kLengths{14, 60, 1514, 2000};

/// Frame `sequence`: destination, source, EtherType = sequence, then sequence's low byte throughout.
void fill(std::span<std::uint8_t> frame, std::uint32_t sequence) {
    std::ranges::copy(kGuestMac, frame.begin());
    std::ranges::copy(kRouterMac, frame.begin() + 6);
    frame[12] = static_cast<std::uint8_t>(sequence >> 8);
    frame[13] = static_cast<std::uint8_t>(sequence);
    std::ranges::fill(frame.subspan(14), static_cast<std::uint8_t>(sequence));
}

/// Whether this is such a frame with its addresses swapped.
bool is_echo(std::span<const std::uint8_t> frame) {
    if (frame.size() < 14) {
        return false;
    }
    const std::uint32_t sequence = static_cast<std::uint32_t>(frame[12]) << 8U | frame[13];
    return frame.size() == kLengths[sequence % kLengths.size()] &&
           std::ranges::equal(frame.first(6), kRouterMac) &&
           std::ranges::equal(frame.subspan(6, 6), kGuestMac) &&
           std::ranges::all_of(
               frame.subspan(14), [&](std::uint8_t byte) { return byte == frame[13]; });
}

}  // namespace

EchoWorker::EchoWorker(rte_mempool* pool)
    : pool_(pool), thread_([this](const std::stop_token& stop) { run(stop); }) {}

EchoWorker::~EchoWorker() = default;

std::shared_ptr<EchoCount> EchoWorker::serve(PortIo io) {
    auto count = std::make_shared<EchoCount>();
    const std::lock_guard lock(mutex_);
    ports_.insert_or_assign(io.self, Served{.io = io, .count = count});
    return count;
}

void EchoWorker::drop(const void* self) {
    const std::lock_guard lock(mutex_);
    ports_.erase(self);
}

void EchoWorker::wait() noexcept {
    // Read-modify-write on both sides: the worker's next one sees ours, so its round after that sees
    // everything that was written before this call.
    const std::uint64_t start = rounds_.fetch_add(0, std::memory_order_acq_rel);
    while (rounds_.load(std::memory_order_acquire) == start) {
        std::this_thread::yield();
    }
}

void EchoWorker::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        {
            const std::lock_guard lock(mutex_);
            for (auto& [self, port] : ports_) {
                for (std::uint16_t queue = 0; queue < port.io.rx_queues; ++queue) {
                    send(port, queue);
                    receive(port, queue);
                }
            }
        }
        rounds_.fetch_add(1, std::memory_order_acq_rel);
        std::this_thread::yield();
    }
}

void EchoWorker::send(Served& port, std::uint16_t queue) {
    std::array<rte_mbuf*, kBurst> packets{};
    std::uint16_t made = 0;
    for (; made < 8; ++made) {
        rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
        if (packet == nullptr) {
            break;
        }
        const std::uint16_t length = kLengths[sequence_ % kLengths.size()];
        auto* bytes = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet, length));
        fill({bytes, length}, sequence_++);
        packets[made] = packet;
    }
    const std::uint16_t sent = port.io.tx(port.io.self, queue, packets.data(), made);
    rte_pktmbuf_free_bulk(packets.data() + sent, made - sent);
    port.count->sent.fetch_add(sent, std::memory_order_relaxed);
}

void EchoWorker::receive(Served& port, std::uint16_t queue) {
    std::array<rte_mbuf*, kBurst> packets{};
    const std::uint16_t received = port.io.rx(port.io.self, queue, packets.data(), kBurst);
    for (std::uint16_t i = 0; i < received; ++i) {
        const bool good = packets[i]->nb_segs == 1 && packets[i]->ol_flags == 0 &&
                          is_echo(
                              {rte_pktmbuf_mtod(packets[i], const std::uint8_t*),
                               rte_pktmbuf_data_len(packets[i])});
        (good ? port.count->returned : port.count->spoiled).fetch_add(1, std::memory_order_relaxed);
    }
    rte_pktmbuf_free_bulk(packets.data(), received);
}

}  // namespace vr::vhost
