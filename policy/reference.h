// Reference: what POLICY 2.1-2.5 says, evaluated on the objects themselves, slowly and plainly.
//
// The oracle of compiler, classifiers and packet path: linear scans only, no index, nothing compiled,
// nothing remembered.  Covers steps 1, 6 and 7 of POLICY 2.5 for workload endpoints; connection
// tracking and limits are the packet path's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "policy/model.h"
#include "vrouter/dataplane/acl.h"
#include "vrouter/net/addr.h"

namespace vr::policy {

struct Decision {
    bool allow = false;
    acl::Origin by;                   ///< what decided
    std::vector<acl::Origin> logged;  ///< Log rules that matched before
};

/// Judges the first packet of a flow at `endpoint`, a WorkloadEndpoint of `cluster`.
template <Family F>
[[nodiscard]] Decision judge(
    std::span<const ResourcePtr> cluster,
    const Key& endpoint,
    Direction direction,
    const acl::Packet<F>& packet);

}  // namespace vr::policy
