// Reference: what POLICY 2.1-2.5 says, evaluated on the objects themselves, slowly and plainly.
//
// The oracle of compiler, classifiers and packet path: linear scans only, no index, nothing compiled,
// nothing remembered.  Covers steps 1, 3, 6 and 7 of POLICY 2.5 for workload endpoints and each hook of
// host endpoints (POLICY 2.6; passage.h puts these together).  It is told whether a flow is known;
// connection tracking itself and limits are the packet path's.
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

[[nodiscard]] constexpr Ruling ruling(bool allow, bool reject) {
    return allow ? Ruling::Allow : reject ? Ruling::Reject : Ruling::Deny;
}

/// Whether the packet begins a flow, POLICY 2.5 step 3.
enum class FlowState { New, Established };

struct Decision {
    bool allow = false;
    bool silent = false;              ///< nothing decides here: the packet goes on to the next hook
    bool reject = false;              ///< not allowed, and the sender is to be told
    acl::Origin by;                   ///< what decided
    std::vector<acl::Origin> logged;  ///< Log rules that matched before
};

/// Judges a packet at `endpoint`, a WorkloadEndpoint of `cluster`; View::Preview: as it would be judged
/// if the staged policies were in force.
template <Family F>
[[nodiscard]] Decision judge(
    std::span<const ResourcePtr> cluster,
    const Key& endpoint,
    Direction direction,
    const acl::Packet<F>& packet,
    FlowState flow = FlowState::New,
    View view = View::Enforced);

/// The same for the first packet of a flow at one hook of `endpoint`, a HostEndpoint.
template <Family F>
[[nodiscard]] Decision judge(
    std::span<const ResourcePtr> cluster,
    const Key& endpoint,
    HostHook hook,
    const acl::Packet<F>& packet,
    View view = View::Enforced);

}  // namespace vr::policy
