// A rule as boxes: each an interval of every header field, so that the rule matches a packet if and only
// if the packet lies in one of them.  What engines without lists and negations need.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vrouter/dataplane/acl.h"

namespace vr::acl {

/// The header fields beside addresses.
enum HeaderField : std::uint8_t {
    kProtocol,
    kHasPorts,
    kIcmpType,
    kIcmpCode,
    kSourcePort,
    kDestinationPort
};

inline constexpr std::size_t kHeaderFields = 6;

struct Interval {
    std::uint16_t first;
    std::uint16_t last;

    friend bool operator==(const Interval&, const Interval&) = default;
};

using HeaderBox = std::array<Interval, kHeaderFields>;

inline constexpr HeaderBox kAnyHeader{
    {{0, 255}, {0, 1}, {0, 255}, {0, 255}, {0, 65535}, {0, 65535}}};

/// The boxes of what a rule asks beside addresses and groups; they may overlap.  `icmp` is the family's
/// number of ICMP.
[[nodiscard]] std::vector<HeaderBox> header_boxes(const Match& match, std::uint8_t icmp);

/// False when any address will do.
template <Family F>
[[nodiscard]] bool asks_for_address(const SideMatch& match);

/// The prefixes of what a rule asks of one side's address; none: no address will do.
template <Family F>
[[nodiscard]] std::vector<Prefix<F>> address_prefixes(const SideMatch& match);

}  // namespace vr::acl
