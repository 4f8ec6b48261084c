// SPDX-License-Identifier: Apache-2.0
#include "bgp/link_ends.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vr::bgp {

Result<LinkEnd> our_end(
    const Links& links, const IpAddr& peer, const std::optional<IpAddr>& source) {
    const Zone zone = zone_of(peer);
    if (zone == 0) {
        return LinkEnd{.source = source};
    }
    const auto link = links.find(zone);
    if (link == links.end()) {
        return fail("no link to the peer");
    }
    const unsigned scope = if_nametoindex(link->second.device.c_str());
    if (scope == 0) {
        return fail("there is no interface '" + link->second.device + "'");
    }
    const auto& own = link->second.own;
    return LinkEnd{.scope = scope, .source = own ? std::optional<IpAddr>{*own} : source};
}

bool is_end_gone(int error) noexcept {
    constexpr std::array kGone{ENODEV, ENXIO, EADDRNOTAVAIL, EINVAL, ENETUNREACH};
    return std::ranges::find(kGone, error) != kGone.end();
}

Zone link_of(const Links& links, InterfaceIndices& indices, unsigned scope, const IpAddr& local) {
    if (links.empty() || scope == 0) {
        return 0;
    }
    indices.refresh();
    const auto link = std::ranges::find_if(links, [&](const auto& each) {
        const Link& at = each.second;
        // Not by name: an interface may have several.
        return (!at.own || IpAddr{*at.own} == local) && indices.of(at.device) == scope;
    });
    return link == links.end() ? Zone{0} : link->first;
}

}  // namespace vr::bgp
