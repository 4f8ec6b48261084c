// Port: a guest's network interface as a port of the router, over one vhost-user socket.
//
// Receiving copies from the guest's transmit rings into mbufs, sending copies into its receive rings.
// While there is no guest, or its driver is not ready, both move nothing and cost a few loads.  A
// worker may be inside a burst when the guest goes: device.h says why that is safe.
//
// A guest may use more queue pairs than the port has queues; the surplus is folded onto them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vhost/device.h"
#include "vhost/driver.h"
#include "vhost/socket_path.h"
#include "vrouter/dataplane/port.h"
#include "vrouter/dataplane/reclaim.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/result.h"
#include "vrouter/workload.h"

struct rte_mempool;

namespace vr::vhost {

struct Settings {
    std::string socket_path;  ///< see make_socket_path()
    VhostMode mode = VhostMode::Server;
    SocketAccess access;            ///< server mode
    std::uint16_t queue_pairs = 1;  ///< queues that workers see, 1..Port::kMaxQueuePairs
    std::uint16_t mtu = 1500;       ///< a frame of this payload must fit one mbuf of `pool`
    Mac mac;                        ///< what Port::mac() returns; the library has no use for it
    rte_mempool* pool = nullptr;    ///< received packets come from here; must outlive the port
};

class Port final : public vr::Port {
  public:
    static constexpr std::uint16_t kMaxQueuePairs = Device::kMaxRings / 2;

    /// Opens the socket; a guest may come at once, later or never.  `grace` must outlive the port.
    /// `on_event` is called on other threads until the destructor returns, see EventCallback.
    /// Control thread; the EAL must run.
    [[nodiscard]] static Result<std::unique_ptr<Port>> open(
        Settings settings, GracePeriod& grace, EventCallback on_event);

    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    Port(Port&&) = delete;
    Port& operator=(Port&&) = delete;

    /// Disconnects the guest and closes the socket, with the guest in full swing too.  Workers must
    /// have let go of io().  See ~Driver() for how long it takes.  Control thread.
    ~Port() override = default;

    [[nodiscard]] PortIo io() noexcept override;
    [[nodiscard]] PortStatus status() const override;

    [[nodiscard]] Mac mac() const override { return settings_.mac; }

    [[nodiscard]] std::uint16_t mtu() const override { return settings_.mtu; }

    /// The same as status(), for programs.
    [[nodiscard]] DeviceStatus device() const { return device_.status(); }

    [[nodiscard]] const Settings& settings() const noexcept { return settings_; }

  private:
    /// Which of several folded rings a queue serves first at its next burst; one writer, its worker.
    struct alignas(64) Turn {
        std::uint16_t next = 0;
    };

    Port(Settings settings, GracePeriod& grace, EventCallback on_event);

    static std::uint16_t rx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;
    static std::uint16_t tx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;
    std::uint16_t receive_folded(
        int device,
        std::uint16_t queue,
        unsigned pairs,
        rte_mbuf** packets,
        std::uint16_t count) noexcept;

    Device device_;
    Settings settings_;
    std::vector<Turn> turns_;
    std::unique_ptr<Driver> driver_;  ///< last: callbacks end before anything else goes
};

}  // namespace vr::vhost
