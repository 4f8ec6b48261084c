// Link-local destinations, which mean something on one link only.
//
// On links that peers are on (Tables::link_locals) routes know them with the link's port inside
// (vrouter/net/zone.h): packets from such a link go to what is on that link, packets of the host to the
// link whose own address they come from.  No packet brings a zone along: those bits are zero on every
// wire (RFC 4291 2.5.6).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vrouter/dataplane/tables.h"
#include "vrouter/net/zone.h"

namespace vr {

/// A link-local address that no packet may have.
[[nodiscard]] constexpr bool is_forged_link_local(Ip4 /*address*/) noexcept {
    return false;
}

[[nodiscard]] constexpr bool is_forged_link_local(Ip6 address) noexcept {
    return zone_of(address) != 0;
}

/// The destination as the routes know it.
[[nodiscard]] inline Ip4 routed_destination(
    const Tables& /*tables*/, PortId /*in*/, Ip4 /*source*/, Ip4 destination) noexcept {
    return destination;
}

[[nodiscard]] inline Ip6 routed_destination(
    const Tables& tables, PortId in, Ip6 source, Ip6 destination) noexcept {
    if (!destination.is_link_local()) {
        return destination;
    }
    const bool from_host = tables.ports[in.value()].kind == PortKind::Host;
    for (const LinkLocal& link : tables.link_locals) {
        if (from_host ? link.own == source : link.port == in) {
            return with_zone(destination, link.port.value());
        }
    }
    return destination;
}

}  // namespace vr
