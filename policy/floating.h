// Floating addresses of WorkloadEndpoints (ipNATs): how they are written, and what the reference says of
// them.  Their members are those of no selector's set (POLICY 2.3), and policy of workloads does not see
// them (POLICY 2.9 case 21).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/felix.h"
#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// Reads one of ipNATs.
[[nodiscard]] Result<void> parse_floating(const Field& item, std::vector<FloatingAddress>& into);

/// That they stand for addresses of the endpoint, each for one; to be called when all else is read.
[[nodiscard]] Result<void> check_floating(const Field& spec, const WorkloadEndpoint& endpoint);

/// Whether the router obeys them.  In OpenStack the cloud alone writes endpoints; elsewhere whoever may
/// annotate a pod may, and could draw any address to it.
[[nodiscard]] bool may_float(const WorkloadEndpoint& endpoint, const FelixSettings& felix);

/// What `address` leads to on that node: an endpoint's own address is no floating one, and of several
/// endpoints that claim it the first by name has it.
[[nodiscard]] std::optional<IpAddr> behind_floating(
    std::span<const ResourcePtr> cluster, const std::string& node, const IpAddr& address);

}  // namespace vr::policy
