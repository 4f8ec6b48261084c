// What is wrong with endpoints, as far as the machine does not know: objects that were never valid and so
// never reached it, invalid new versions, profiles that do not exist, ipNATs that do not count, interfaces that two
// have, addresses that none may have.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "policy/datastore.h"
#include "policy/model.h"
#include "vrouter/daemon/config.h"
#include "vrouter/host_guards.h"
#include "vrouter/workloads.h"

namespace vr::daemon {

/// The object in force with that key, null if there is none.
using FindResource = std::function<policy::ResourcePtr(const policy::Key&)>;

/// `views` with their problems, those of `objects` (WorkloadEndpoints as written, of any node: what is
/// not valid has none) that never were valid, and the `refused` (policy::Graph).  Sorted by name.
[[nodiscard]] std::vector<WorkloadView> with_problems(
    std::vector<WorkloadView> views,
    const std::vector<policy::ObjectStatus>& objects,
    const FindResource& find,
    const std::map<std::string, std::string>& refused = {});

/// The same for host endpoints, `objects` as written.
[[nodiscard]] std::vector<HostGuardView> with_problems(
    std::vector<HostGuardView> views,
    const std::vector<policy::ObjectStatus>& objects,
    const FindResource& find);

/// Why no workload may have addresses of `prefix`: they are the host's, those of a neighbor that the config
/// names, whom it would cut off, or link-local.  Empty: it may.  Peers that resources name do not count: they may be
/// read sooner or later than the workload, and what it may have would depend on that.
[[nodiscard]] std::string reserved_address(const Config& config, const IpPrefix& prefix);

}  // namespace vr::daemon
