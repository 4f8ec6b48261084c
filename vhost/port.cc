// SPDX-License-Identifier: Apache-2.0
#include "vhost/port.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

#include <cassert>
#include <utility>

namespace vr::vhost {

namespace {

// Ring numbers of the vhost-user protocol, named from the guest's side.
constexpr unsigned guest_rx_ring(unsigned pair) {
    return 2 * pair;
}

constexpr unsigned guest_tx_ring(unsigned pair) {
    return 2 * pair + 1;
}

Result<void> check(const Settings& settings) {
    if (settings.queue_pairs == 0 || settings.queue_pairs > Port::kMaxQueuePairs) {
        return fail(fmt::format(
            "{}: {} queue pairs, must be 1 to {}",
            settings.socket_path,
            settings.queue_pairs,
            Port::kMaxQueuePairs));
    }
    const unsigned room = rte_pktmbuf_data_room_size(settings.pool) - RTE_PKTMBUF_HEADROOM;
    const unsigned frame = settings.mtu + RTE_ETHER_HDR_LEN;
    if (frame > room) {
        return fail(fmt::format(
            "{}: mtu {} needs mbufs of {} bytes, the pool's hold {}",
            settings.socket_path,
            settings.mtu,
            frame,
            room));
    }
    return {};
}

}  // namespace

Port::Port(Settings settings, GracePeriod& grace, EventCallback on_event)
    : device_(grace, std::move(on_event)),
      settings_(std::move(settings)),
      turns_(settings_.queue_pairs) {}

Result<std::unique_ptr<Port>> Port::open(
    Settings settings, GracePeriod& grace, EventCallback on_event) {
    Result<std::string> path = make_socket_path("", "", settings.socket_path);
    if (!path) {
        return std::unexpected(std::move(path).error());
    }
    if (Result<void> valid = check(settings); !valid) {
        return std::unexpected(std::move(valid).error());
    }
    std::unique_ptr<Port> port(new Port(std::move(settings), grace, std::move(on_event)));
    Result<std::unique_ptr<Driver>> driver =
        Driver::start(*path, port->settings_.mode, port->settings_.access, port->device_);
    if (!driver) {
        return std::unexpected(std::move(driver).error());
    }
    port->driver_ = std::move(*driver);
    return port;
}

PortIo Port::io() noexcept {
    return {
        .self = this,
        .rx = rx,
        .tx = tx,
        .rx_queues = settings_.queue_pairs,
        .tx_queues = settings_.queue_pairs,
        .tx_shared = true,  // the library locks the ring
    };
}

PortStatus Port::status() const {
    const DeviceStatus now = device_.status();
    std::string detail = settings_.socket_path;
    if (now.running) {
        detail += fmt::format(
            ", {} of {} queue pairs, ring size {}, features {}",
            now.tx_pairs,
            settings_.queue_pairs,
            now.negotiated.ring_sizes.empty() ? 0 : now.negotiated.ring_sizes.front(),
            fmt::join(feature_names(now.negotiated.features), " "));
    } else {
        detail += now.connected ? ", guest driver not ready" : ", no guest";
    }
    return {
        .link_up = now.running,
        .driver = settings_.mode == VhostMode::Server ? "vhost-user server" : "vhost-user client",
        .detail = std::move(detail),
    };
}

std::uint16_t Port::rx(
    void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept {
    auto& port = *static_cast<Port*>(self);
    const int device = port.device_.running();
    if (device == Device::kNone) {
        return 0;
    }
    const unsigned pairs = port.device_.rx_pairs();
    if (pairs > port.settings_.queue_pairs) {
        return port.receive_folded(device, queue, pairs, packets, count);
    }
    const unsigned ring = guest_tx_ring(queue);
    if (!port.device_.ring_enabled(ring)) {
        return 0;
    }
    return rte_vhost_dequeue_burst(
        device, static_cast<std::uint16_t>(ring), port.settings_.pool, packets, count);
}

std::uint16_t Port::receive_folded(
    int device,
    std::uint16_t queue,
    unsigned pairs,
    rte_mbuf** packets,
    std::uint16_t count) noexcept {
    if (queue >= pairs) {
        return 0;
    }
    // This queue serves pairs queue, queue + limit, queue + 2 limit, ...; each is first in its turn.
    const unsigned limit = settings_.queue_pairs;
    const unsigned folded = (pairs - queue + limit - 1) / limit;
    assert(folded > 0);
    const unsigned first = turns_[queue].next;
    std::uint16_t received = 0;
    for (unsigned i = 0; i < folded && received < count; ++i) {
        const unsigned ring = guest_tx_ring(queue + (first + i) % folded * limit);
        if (device_.ring_enabled(ring)) {
            received = static_cast<std::uint16_t>(
                received + rte_vhost_dequeue_burst(
                               device,
                               static_cast<std::uint16_t>(ring),
                               settings_.pool,
                               packets + received,
                               static_cast<std::uint16_t>(count - received)));
        }
    }
    turns_[queue].next = static_cast<std::uint16_t>((first + 1) % folded);
    return received;
}

std::uint16_t Port::tx(
    void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept {
    auto& port = *static_cast<Port*>(self);
    const int device = port.device_.running();
    const unsigned pairs = port.device_.tx_pairs();
    if (device == Device::kNone || pairs == 0) {
        return 0;
    }
    const unsigned pair = queue < pairs ? queue : queue % pairs;
    const std::uint16_t sent = rte_vhost_enqueue_burst(
        device, static_cast<std::uint16_t>(guest_rx_ring(pair)), packets, count);
    // The library copies; what it took is ours to free.
    rte_pktmbuf_free_bulk(packets, sent);
    return sent;
}

}  // namespace vr::vhost
