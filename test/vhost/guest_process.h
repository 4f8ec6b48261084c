// GuestProcess: dpdk-testpmd over virtio-user, a guest without a virtual machine.
//
// It sends every frame back with its MAC addresses swapped.  Runs as an ordinary user without huge
// pages; what it writes goes to a log file in the test's directory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vr::vhost {

/// Who listens on the guest's socket, seen from the guest.
enum class GuestRole { Connects, Listens };

struct GuestSettings {
    std::string socket_path;
    GuestRole role = GuestRole::Connects;
    unsigned queue_pairs = 1;
    std::string log_path;
};

class GuestProcess {
  public:
    /// Whether dpdk-testpmd is installed.
    [[nodiscard]] static bool is_available();

    explicit GuestProcess(const GuestSettings& settings);
    GuestProcess(const GuestProcess&) = delete;
    GuestProcess& operator=(const GuestProcess&) = delete;
    GuestProcess(GuestProcess&&) = delete;
    GuestProcess& operator=(GuestProcess&&) = delete;
    ~GuestProcess();

    /// Ends the guest without warning, as a crash does.
    void kill();

  private:
    pid_t pid_ = -1;
    int input_ = -1;  ///< testpmd runs until its standard input ends
};

/// "(0,1)": the processors that this process may use, in the EAL's notation.
[[nodiscard]] std::string allowed_processors();

}  // namespace vr::vhost
