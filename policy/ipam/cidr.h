// Arithmetic of address blocks: the n-th address of one, which number an address has, what they share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "vrouter/net/addr.h"
#include "vrouter/net/prefix.h"

namespace vr::policy::ipam {

/// The address `n` after `from`; wraps around at the family's end.
[[nodiscard]] constexpr Ip4 advance(Ip4 from, std::uint64_t n) {
    return Ip4{static_cast<std::uint32_t>(from.value() + n)};
}

[[nodiscard]] constexpr Ip6 advance(Ip6 from, std::uint64_t n) {
    const std::uint64_t low = from.low() + n;
    return {from.high() + (low < n ? 1U : 0U), low};
}

/// How far `to` lies behind `from`; nothing when it lies before, or 2^64 addresses and more behind.
[[nodiscard]] constexpr std::optional<std::uint64_t> distance(Ip4 from, Ip4 to) {
    return to < from ? std::nullopt : std::optional<std::uint64_t>(to.value() - from.value());
}

[[nodiscard]] constexpr std::optional<std::uint64_t> distance(Ip6 from, Ip6 to) {
    const bool near =
        to.high() == from.high() || (to.high() == from.high() + 1 && to.low() < from.low());
    return to < from || !near ? std::nullopt : std::optional(to.low() - from.low());
}

/// Address number `n` of `cidr`.
[[nodiscard]] inline IpAddr nth(const IpPrefix& cidr, std::uint64_t n) {
    return std::visit([n](const auto& p) { return IpAddr{advance(p.address(), n)}; }, cidr);
}

[[nodiscard]] inline bool overlap(const IpPrefix& a, const IpPrefix& b) {
    return contains(a, b) || contains(b, a);
}

/// Which number `address` has in `cidr`; nothing when it is not in it.
[[nodiscard]] inline std::optional<std::uint64_t> ordinal(
    const IpPrefix& cidr, const IpAddr& address) {
    if (!contains(cidr, address)) {
        return std::nullopt;
    }
    return std::visit(
        [&]<Family F>(const Prefix<F>& p) {
            return distance(p.address(), std::get<typename F::Addr>(address));
        },
        cidr);
}

/// The prefix of `length` bits that `address` is in.
[[nodiscard]] inline IpPrefix around(const IpAddr& address, unsigned length) {
    return std::visit(
        [length]<typename Addr>(const Addr& a) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            return IpPrefix{*Prefix<F>::make(a, length)};
        },
        address);
}

}  // namespace vr::policy::ipam
