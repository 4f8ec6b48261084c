// Port: what a worker polls and sends to, whatever stands behind it (NIC, guest, TAP, generator).
//
// The two burst functions are called once per batch, like an ethdev's; a port is otherwise opaque to
// the pipeline.  Ports are created and destroyed by the control thread; workers learn of them through
// the published tables and have let go of a port before it is destroyed (rcu.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "vrouter/net/addr.h"

struct rte_mbuf;

namespace vr {

/// What operators see of a port.
struct PortStatus {
    bool link_up = false;
    std::string driver;  ///< "net_af_packet", "vhost-user server", ...
    std::string detail;  ///< one line for humans: socket path, negotiated features, ...
};

/// Burst functions and their argument.  `rx` fills `packets` with up to `count` packets and returns how
/// many; `tx` takes the first n packets and returns n, the caller keeps (and frees) the rest.  A queue
/// is used by one worker at a time unless `tx_shared` says that tx locks by itself.
struct PortIo {
    using Burst = std::uint16_t (*)(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;

    void* self = nullptr;
    Burst rx = nullptr;
    Burst tx = nullptr;
    std::uint16_t rx_queues = 1;
    std::uint16_t tx_queues = 1;
    bool tx_shared = false;
};

class Port {
  public:
    Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    Port(Port&&) = delete;
    Port& operator=(Port&&) = delete;
    virtual ~Port() = default;

    [[nodiscard]] virtual PortIo io() noexcept = 0;
    [[nodiscard]] virtual PortStatus status() const = 0;
    [[nodiscard]] virtual Mac mac() const = 0;
    [[nodiscard]] virtual std::uint16_t mtu() const = 0;
};

}  // namespace vr
