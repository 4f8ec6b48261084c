// The links on which peers have link-local addresses.
//
// A peer's address has its link's number inside (vrouter/net/zone.h); here is what the kernel and people
// call that link.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "vrouter/net/addr.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {

struct Link {
    std::string name;    ///< for people
    std::string device;  ///< the kernel's interface; it may come later
    /// Our address there, where several links share the device; absent: the kernel chooses.
    std::optional<Ip6> own;

    friend bool operator==(const Link&, const Link&) = default;
};

using Links = std::map<Zone, Link>;

/// "fe80::1%uplink0"; an address of no link as it is.
[[nodiscard]] inline std::string to_string(const IpAddr& address, const Links& links) {
    const auto link = links.find(zone_of(address));
    std::string text = vr::to_string(without_zone(address));
    return link == links.end() ? text : text + '%' + link->second.name;
}

}  // namespace vr::bgp
