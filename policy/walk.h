// Walks an acl::Program rule by rule, as its definition says: what classifiers are compared with.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "vrouter/dataplane/acl.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"

namespace vr::policy {

/// Whether `address` is a member of `group` (IpSets::contains).
using Membership = std::function<bool(GroupId group, const IpAddr& address)>;

template <Family F>
[[nodiscard]] acl::Verdict walk(
    const acl::Program& program, const acl::Packet<F>& packet, const Membership& is_member);

/// Where the deciding rule of `verdict` was written; nothing when it fell off the end.
[[nodiscard]] std::optional<acl::Origin> origin_of(
    const acl::Program& program, const acl::Verdict& verdict);

}  // namespace vr::policy
