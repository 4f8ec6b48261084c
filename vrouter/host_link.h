// The host's side of the TAP: its kernel interface gets up, with addresses and routes.
//
// Spoken to the kernel by rtnetlink; nothing of the host's other interfaces is touched.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "vrouter/config.h"
#include "vrouter/net/result.h"

namespace vr {

/// Brings `name` up, gives it `addresses` (as /32 or /128: the router is in front of everything; link-local
/// ones with their link, so that the kernel sends there) and
/// sends `routes` to it, each from the first address of its family.
[[nodiscard]] Result<bool> configure_host_link(
    const std::string& name,
    const std::vector<InterfaceAddress>& addresses,
    const std::vector<IpPrefix>& routes,
    std::uint16_t mtu);

}  // namespace vr
