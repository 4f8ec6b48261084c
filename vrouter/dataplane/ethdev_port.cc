// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/ethdev_port.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_spinlock.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "vrouter/dataplane/device_needs.h"

namespace vr {

/// Devices with fewer transmit queues than there are workers are shared under a lock.
struct EthdevPort::TxLock {
    rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;
    std::uint16_t id = 0;
};

namespace {

std::uint16_t id_of(void* self) noexcept {
    return *static_cast<const std::uint16_t*>(self);
}

std::uint16_t receive(
    void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept {
    return rte_eth_rx_burst(id_of(self), queue, packets, count);
}

std::uint16_t transmit(
    void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept {
    return rte_eth_tx_burst(id_of(self), queue, packets, count);
}

/// "driver,args" -> "driver": the name that DPDK gives the device.
std::string device_name(const std::string& device) {
    return device.substr(0, device.find(','));
}

/// Why DPDK could not open a device.  Drivers return -1 (EPERM) for whatever went wrong.
std::string why_not(const std::string& device, int error) {
    if (const auto missing = missing_for(device)) {
        return *missing;
    }
    if (error == -EPERM || error == -EACCES) {
        return "its driver gave up, for a reason that it writes above or none; one is the lack of "
               "CAP_NET_ADMIN and CAP_NET_RAW (run vrouterd as root)";
    }
    return rte_strerror(-error) +
           std::string(
               " (is the driver's library loaded, with EAL option -d if it is not a default one?)");
}

Result<std::uint16_t> find_or_attach(const std::string& device, bool& attached) {
    const std::string name = device_name(device);
    std::uint16_t id = 0;
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id) == 0) {
        return id;
    }
    if (const int error = rte_dev_probe(device.c_str()); error != 0) {
        return fail("cannot open device '" + device + "': " + why_not(device, error));
    }
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
        return fail("device '" + device + "' opened but has no ethernet port");
    }
    attached = true;
    return id;
}

/// Takes a device for one port alone: a second port of the same name would set it up anew, and close
/// it when that fails.
Result<void> take(std::uint16_t id, const std::string& device) {
    rte_eth_dev_owner owner{};
    std::ranges::copy(std::string_view{"vrouter"}, owner.name);
    if (rte_eth_dev_owner_new(&owner.id) != 0 || rte_eth_dev_owner_set(id, &owner) != 0) {
        return fail(
            "device '" + device + "': another port has '" + device_name(device) +
            "' already; a name is taken once on a host");
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<EthdevPort>> EthdevPort::open(
    const EthdevSettings& settings, rte_mempool* pool) {
    bool attached = false;
    const auto id = find_or_attach(settings.device, attached);
    if (!id) {
        return std::unexpected(id.error());
    }
    if (auto taken = take(*id, settings.device); !taken) {
        return std::unexpected(std::move(taken).error());
    }
    std::unique_ptr<EthdevPort> port{new EthdevPort()};
    port->id_ = *id;
    port->attached_ = attached;
    port->device_ = settings.device;
    port->workers_ = settings.workers;

    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(*id, &info) != 0) {
        return fail("cannot read the properties of device '" + settings.device + "'");
    }
    port->driver_ = info.driver_name == nullptr ? "ethdev" : info.driver_name;
    port->rx_queues_ = std::clamp<std::uint16_t>(settings.rx_queues, 1, info.max_rx_queues);
    port->tx_queues_ = static_cast<std::uint16_t>(
        std::clamp<unsigned>(settings.workers, 1, std::max<unsigned>(1, info.max_tx_queues)));
    // net_tap pairs its queues.
    if (port->driver_ == "net_tap") {
        port->rx_queues_ = port->tx_queues_ = std::max(port->rx_queues_, port->tx_queues_);
    }
    rte_eth_conf conf{};
    if (port->rx_queues_ > 1 && info.flow_type_rss_offloads != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf =
            info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
    }
    const auto failed = [&](const char* what, int error) {
        return fail(
            "device '" + settings.device + "': cannot " + what + ": " + rte_strerror(-error));
    };
    if (const int e = rte_eth_dev_configure(*id, port->rx_queues_, port->tx_queues_, &conf);
        e < 0) {
        return failed("configure its queues", e);
    }
    std::uint16_t rx_ring = settings.ring_size;
    std::uint16_t tx_ring = settings.ring_size;
    if (const int e = rte_eth_dev_adjust_nb_rx_tx_desc(*id, &rx_ring, &tx_ring); e < 0) {
        return failed("size its rings", e);
    }
    const int socket = rte_eth_dev_socket_id(*id);
    const auto node = static_cast<unsigned>(socket);
    for (std::uint16_t q = 0; q < port->rx_queues_; ++q) {
        if (const int e = rte_eth_rx_queue_setup(*id, q, rx_ring, node, nullptr, pool); e < 0) {
            return failed("set up a receive queue", e);
        }
    }
    for (std::uint16_t q = 0; q < port->tx_queues_; ++q) {
        if (const int e = rte_eth_tx_queue_setup(*id, q, tx_ring, node, nullptr); e < 0) {
            return failed("set up a transmit queue", e);
        }
    }
    // Devices without a notion of MTU (memif, ring, null, pcap) refuse this; the router still keeps it.
    if (const int e = rte_eth_dev_set_mtu(*id, settings.mtu);
        e < 0 && e != -ENOTSUP && e != -EINVAL) {
        return failed("set its MTU", e);
    }
    port->mtu_ = settings.mtu;
    if (const int e = rte_eth_dev_start(*id); e < 0) {
        return failed("start it", e);
    }
    // Group addresses: neighbor discovery needs them.
    static_cast<void>(rte_eth_allmulticast_enable(*id));
    rte_ether_addr address{};
    if (const int e = rte_eth_macaddr_get(*id, &address); e < 0) {
        return failed("read its MAC address", e);
    }
    port->mac_ = Mac::load(&address);
    port->lock_ = std::make_unique<TxLock>();
    port->lock_->id = *id;
    return port;
}

EthdevPort::~EthdevPort() {
    rte_eth_dev_info info{};
    const bool known = rte_eth_dev_info_get(id_, &info) == 0;
    static_cast<void>(rte_eth_dev_stop(id_));
    if (attached_ && known && info.device != nullptr) {
        static_cast<void>(rte_dev_remove(info.device));
    } else {
        static_cast<void>(rte_eth_dev_close(id_));
    }
}

PortIo EthdevPort::io() noexcept {
    if (tx_queues_ >= workers_) {
        return {&id_, receive, transmit, rx_queues_, tx_queues_, false};
    }
    const auto locked = [](void* self,
                           std::uint16_t queue,
                           rte_mbuf** packets,
                           std::uint16_t count) noexcept -> std::uint16_t {
        auto* lock = static_cast<TxLock*>(self);
        rte_spinlock_lock(&lock->lock);
        const std::uint16_t sent = rte_eth_tx_burst(lock->id, queue, packets, count);
        rte_spinlock_unlock(&lock->lock);
        return sent;
    };
    const auto receive_locked = [](void* self,
                                   std::uint16_t queue,
                                   rte_mbuf** packets,
                                   std::uint16_t count) noexcept -> std::uint16_t {
        return rte_eth_rx_burst(static_cast<TxLock*>(self)->id, queue, packets, count);
    };
    return {lock_.get(), receive_locked, locked, rx_queues_, tx_queues_, true};
}

PortStatus EthdevPort::status() const {
    rte_eth_link link{};
    const bool up = rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status != 0;
    return {.link_up = up, .driver = driver_, .detail = device_};
}

}  // namespace vr
