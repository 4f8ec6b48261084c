// EthdevPort: any DPDK ethernet device as a port: PCI NICs and virtual devices alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "vrouter/dataplane/port.h"
#include "vrouter/net/result.h"

struct rte_mempool;

namespace vr {

struct EthdevSettings {
    /// PCI address or "driver,key=value...", as DPDK's --vdev / -a take it ("net_af_packet0,iface=e0"),
    /// or the name of a device that exists already.
    std::string device;
    std::uint16_t mtu = 1500;
    unsigned workers = 1;         ///< that may transmit
    std::uint16_t rx_queues = 1;  ///< wanted; fewer if the device has fewer
    std::uint16_t ring_size = 1024;
};

class EthdevPort final : public Port {
  public:
    /// Attaches, configures and starts the device.  Control thread.
    [[nodiscard]] static Result<std::unique_ptr<EthdevPort>> open(
        const EthdevSettings& settings, rte_mempool* pool);

    ~EthdevPort() override;

    [[nodiscard]] PortIo io() noexcept override;
    [[nodiscard]] PortStatus status() const override;

    [[nodiscard]] Mac mac() const override { return mac_; }

    [[nodiscard]] std::uint16_t mtu() const override { return mtu_; }

  private:
    EthdevPort() = default;

    struct TxLock;

    std::uint16_t id_ = 0;
    bool attached_ = false;
    std::string driver_;
    std::string device_;
    Mac mac_;
    std::uint16_t mtu_ = 1500;
    std::uint16_t rx_queues_ = 1;
    std::uint16_t tx_queues_ = 1;
    unsigned workers_ = 1;
    std::unique_ptr<TxLock> lock_;
};

}  // namespace vr
