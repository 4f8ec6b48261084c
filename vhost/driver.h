// Driver: one socket registered with rte_vhost, whose callbacks reach a Device.
//
// The only file that calls rte_vhost's control side.  The library's callbacks carry no context, only a
// device number, from which the socket's path can be asked: so a table from path to Device is kept per
// process, the mirror of the library's own.  No lock of ours is held across a call into the library.
//
// The library serves all sockets on one thread and reads messages there without a time limit; a peer
// that sends half a message would stop every other guest's control messages and dead-lock removal.
// Each connection therefore gets a receive and send timeout when it comes up.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "vhost/device.h"
#include "vhost/socket_path.h"
#include "vrouter/net/result.h"
#include "vrouter/workload.h"

namespace vr::vhost {

class Driver {
  public:
    /// Registers `path` and starts to listen or to connect (again each second while nobody answers).
    /// `device` must outlive the driver.  Control thread.
    [[nodiscard]] static Result<std::unique_ptr<Driver>> start(
        const std::string& path, VhostMode mode, const SocketAccess& access, Device& device);

    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    Driver(Driver&&) = delete;
    Driver& operator=(Driver&&) = delete;

    /// Retires the device, closes connection and socket; no callback runs afterwards.  Takes a grace
    /// period, and waits for a message of this socket that is being read: kMessageTimeout at most.
    ~Driver();

    /// Longest pause within a message.  Any hypervisor writes a message in one piece.
    static constexpr std::chrono::milliseconds kMessageTimeout{200};

  private:
    Driver(std::string path, Device& device);

    std::string path_;
    Device& device_;
};

}  // namespace vr::vhost
