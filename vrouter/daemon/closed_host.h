// What guards this host until its datastore is known: as long as nobody has said what may reach it, only
// that may without which nobody ever could.
//
// Open are Calico's failsafe ports (SSH among them: an operator gets in), and of this config the ports of
// BGP and BFD and, outwards, those of the datastore.  Packets between the fabric and workloads are not
// concerned: workloads have no ports yet.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "vrouter/daemon/config.h"
#include "vrouter/workload.h"

namespace vr::daemon {

/// Its name, which no HostEndpoint can have.
inline constexpr std::string_view kClosedHost = "(until the datastore is known)";

[[nodiscard]] HostGuard closed_host(const Config& config);

}  // namespace vr::daemon
