// Identifiers as types of their own: an AS number is not a port number is not an index.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace vr {

/// An integer with a meaning: compares with its own kind only, has no arithmetic.
template <typename Tag, typename Integer>
class Id {
  public:
    using Value = Integer;

    constexpr Id() noexcept = default;

    constexpr explicit Id(Integer value) noexcept : value_(value) {}

    [[nodiscard]] constexpr Integer value() const noexcept { return value_; }

    friend constexpr auto operator<=>(const Id&, const Id&) noexcept = default;

  private:
    Integer value_ = 0;
};

template <typename Tag, typename Integer>
[[nodiscard]] std::string to_string(Id<Tag, Integer> id) {
    return std::to_string(id.value());
}

/// A port of the router: index into the port table.  0 is no port.
using PortId = Id<struct PortTag, std::uint16_t>;
/// A transport port (TCP, UDP, SCTP), host order.
using L4Port = Id<struct L4PortTag, std::uint16_t>;
/// A next hop or ECMP group: index into the next-hop table.  0 is "no route".
using NextHopId = Id<struct NextHopTag, std::uint32_t>;
/// A group of addresses that rules name (a selector's set): index into membership lists.
using GroupId = Id<struct GroupTag, std::uint32_t>;
/// An autonomous system number, RFC 6793.
using Asn = Id<struct AsnTag, std::uint32_t>;

}  // namespace vr

template <typename Tag, typename Integer>
struct std::hash<vr::Id<Tag, Integer>> {
    std::size_t operator()(const vr::Id<Tag, Integer>& id) const noexcept {
        return std::hash<Integer>{}(id.value());
    }
};
