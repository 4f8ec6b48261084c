// Reference: what POLICY 2.1-2.5 says, evaluated on the objects themselves, slowly and plainly.
//
// The oracle of compiler, classifiers and packet path: linear scans only, no index, nothing compiled,
// nothing remembered.  Covers steps 1, 3, 6 and 7 of POLICY 2.5 for workload endpoints: it is told
// whether a flow is known; connection tracking itself and limits are the packet path's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "policy/model.h"
#include "vrouter/dataplane/acl.h"
#include "vrouter/net/addr.h"

namespace vr::policy {

/// What becomes of a packet: a rejected one is dropped, and its sender is told.
enum class Ruling { Deny, Allow, Reject };

/// Whether the packet begins a flow, POLICY 2.5 step 3.
enum class FlowState { New, Established };

struct Decision {
    bool allow = false;
    acl::Origin by;                   ///< what decided
    std::vector<acl::Origin> logged;  ///< Log rules that matched before
};

/// Judges a packet at `endpoint`, a WorkloadEndpoint of `cluster`.
template <Family F>
[[nodiscard]] Decision judge(
    std::span<const ResourcePtr> cluster,
    const Key& endpoint,
    Direction direction,
    const acl::Packet<F>& packet,
    FlowState flow = FlowState::New);

}  // namespace vr::policy
