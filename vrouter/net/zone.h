// The link of a link-local IPv6 address, kept inside the address.
//
// A link-local address means something on its own link only.  Where one is kept among addresses that
// mean something everywhere (next hops of routes), the link's number stands in bits 16 to 31, which are
// zero on every wire (RFC 4291 2.5.6).  Such an address must lose its zone before it leaves.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"

namespace vr {

/// A link's number; 0 is no link.
using Zone = std::uint16_t;

/// `address`, which is link-local, without a zone.
[[nodiscard]] constexpr Ip6 without_zone(Ip6 address) noexcept {
    return Ip6{address.high() & ~(std::uint64_t{0xffff} << 32U), address.low()};
}

/// `address`, which is link-local, on the link `zone`; what stood there before is forgotten.
[[nodiscard]] constexpr Ip6 with_zone(Ip6 address, Zone zone) noexcept {
    return Ip6{without_zone(address).high() | std::uint64_t{zone} << 32U, address.low()};
}

/// The link of `address`; 0 when it has none or is not link-local.
[[nodiscard]] constexpr Zone zone_of(Ip6 address) noexcept {
    return address.is_link_local() ? static_cast<Zone>(address.high() >> 32U) : Zone{0};
}

/// The same of any address: those that mean something everywhere have no link.
[[nodiscard]] constexpr Zone zone_of(const IpAddr& address) noexcept {
    const auto* v6 = std::get_if<Ip6>(&address);
    return v6 == nullptr ? Zone{0} : zone_of(*v6);
}

[[nodiscard]] constexpr IpAddr without_zone(const IpAddr& address) noexcept {
    return zone_of(address) == 0 ? address : IpAddr{without_zone(std::get<Ip6>(address))};
}

/// The same of a prefix: as it is called where its link is told beside it.
[[nodiscard]] inline IpPrefix without_zone(const IpPrefix& prefix) {
    const auto* v6 = std::get_if<Prefix<V6>>(&prefix);
    return v6 == nullptr || zone_of(v6->address()) == 0
               ? prefix
               : IpPrefix{*Prefix<V6>::make(without_zone(v6->address()), v6->length())};
}

/// An address as configs and resources write it: nobody names a link inside, for it would be that of a
/// port that happens to have the number.
[[nodiscard]] inline std::optional<IpAddr> parse_ip_without_zone(std::string_view text) {
    const auto address = parse_ip(text);
    return address && zone_of(*address) == 0 ? address : std::nullopt;
}

}  // namespace vr
