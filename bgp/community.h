// Community: one community of any of the three kinds, as an operator names it.
//
//   64512:100  no-export  no-advertise  no-export-subconfed   standard, RFC 1997
//   llgr-stale  no-llgr                                       standard, RFC 9494
//   64512:1:2                                                 large, RFC 8092
//   rt:64512:100  soo:192.0.2.1:7  0x4300fde800000001         extended, RFC 4360 and RFC 5668
//
// Filters and announcements name communities in this way; on the wire each kind has its own attribute.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "bgp/attributes.h"

namespace vr::bgp {

/// The eight octets as they are on the wire.
struct ExtendedCommunity {
    std::uint64_t value = 0;

    /// False: it must not leave the AS, RFC 4360 2.
    [[nodiscard]] constexpr bool is_transitive() const noexcept { return (value >> 62U & 1U) == 0; }

    friend auto operator<=>(const ExtendedCommunity&, const ExtendedCommunity&) = default;
};

struct StandardCommunity {
    std::uint32_t value = 0;

    friend auto operator<=>(const StandardCommunity&, const StandardCommunity&) = default;
};

using Community = std::variant<StandardCommunity, LargeCommunity, ExtendedCommunity>;

[[nodiscard]] std::optional<Community> parse_community(std::string_view text);

/// In the form that parse_community() reads.
[[nodiscard]] std::string to_string(const Community& community);

[[nodiscard]] bool has_community(const Attributes& attributes, const Community& community);

/// Adds it behind those that are there, if it is not among them.
void add_community(Attributes& attributes, const Community& community);

void remove_community(Attributes& attributes, const Community& community);

/// Drops the extended communities that must not leave the AS, RFC 4360 6.
void remove_non_transitive(Attributes& attributes);

}  // namespace vr::bgp
