// What is wrong with endpoints, as far as the machine does not know: objects that were never valid and so
// never reached it, invalid new versions, profiles that do not exist, ipNATs that do not count, interfaces that two
// have, addresses that none may have.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "policy/datastore.h"
#include "policy/model.h"
#include "vrouter/daemon/config.h"
#include "vrouter/host_guards.h"
#include "vrouter/workloads.h"

namespace vr::daemon {

/// Who knows what of local endpoints.
struct EndpointSources {
    /// The object in force with that key, null if there is none.
    std::function<policy::ResourcePtr(const policy::Key& key)> resource;
    /// Objects as written, of any node: what is not valid has none.  See policy::Datastore::list().
    std::function<std::vector<policy::ObjectStatus>(const policy::Key& from, std::size_t count)>
        objects;
    /// See policy::Graph::refusal().
    std::function<std::string(const policy::Key& key)> refusal;
    /// See Workloads.
    std::function<std::set<std::string>()> names;
    std::function<std::optional<WorkloadView>(const std::string& name)> view;
    std::function<std::string(const std::string& interface_name)> first_with;
};

/// The endpoint of that name with its problems, also one that the machine does not have since its object
/// never was valid or is refused.  Nothing: it is none of this host.
[[nodiscard]] std::optional<WorkloadView> with_problems(
    const EndpointSources& sources, const std::string& name);

/// Looks for endpoints slice by slice: adds names of endpoints, and of what is none of this host, until it
/// answers false.
[[nodiscard]] std::move_only_function<bool(std::set<std::string>& names)> find_endpoints(
    EndpointSources sources);

/// A host endpoint with its problems.
[[nodiscard]] HostGuardView with_problems(const EndpointSources& sources, HostGuardView view);

/// Why no workload may have addresses of `prefix`: they are the host's, those of a neighbor that the config
/// names, whom it would cut off, or link-local.  Empty: it may.  Peers that resources name do not count: they may be
/// read sooner or later than the workload, and what it may have would depend on that.
[[nodiscard]] std::string reserved_address(const Config& config, const IpPrefix& prefix);

}  // namespace vr::daemon
