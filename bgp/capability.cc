// SPDX-License-Identifier: Apache-2.0
#include "bgp/capability.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace vr::bgp {
namespace {

/// A decode function reads one value; an encode function writes whole TLVs (multiprotocol has many).
struct Row {
    std::uint8_t code;
    std::string_view name;
    void (*decode)(Reader& value, Capabilities& into);
    void (*encode)(const Capabilities& from, Writer& out);
};

void decode_multiprotocol(Reader& value, Capabilities& into) {
    AfiSafi family;
    family.afi = value.u16();
    value.skip(1);
    family.safi = value.u8();
    if (value.ok() && !into.has(family)) {
        into.families.push_back(family);
    }
}

void encode_multiprotocol(const Capabilities& from, Writer& out) {
    for (const AfiSafi family : from.families) {
        out.u8(1);
        out.u8(4);
        out.u16(family.afi);
        out.u8(0);
        out.u8(family.safi);
    }
}

void decode_route_refresh(Reader& /*value*/, Capabilities& into) {
    into.route_refresh = true;
}

void encode_route_refresh(const Capabilities& from, Writer& out) {
    if (from.route_refresh) {
        out.u8(2);
        out.u8(0);
    }
}

void decode_graceful_restart(Reader& value, Capabilities& into) {
    into.restart_seconds = static_cast<std::uint16_t>(value.u16() & 0x0fffU);
    static_cast<void>(value.rest());
}

void encode_graceful_restart(const Capabilities& /*from*/, Writer& /*out*/) {}

void decode_four_octet_as(Reader& value, Capabilities& into) {
    into.four_octet_as = Asn{value.u32()};
}

void encode_four_octet_as(const Capabilities& from, Writer& out) {
    if (from.four_octet_as) {
        out.u8(65);
        out.u8(4);
        out.u32(from.four_octet_as->value());
    }
}

constexpr std::array kRows{
    Row{1, "multiprotocol", decode_multiprotocol, encode_multiprotocol},
    Row{2, "route-refresh", decode_route_refresh, encode_route_refresh},
    Row{64, "graceful-restart", decode_graceful_restart, encode_graceful_restart},
    Row{65, "as4", decode_four_octet_as, encode_four_octet_as},
};

/// Names of what others offer and we do not use.
struct OtherName {
    std::uint8_t code;
    std::string_view name;
};

constexpr std::array kOtherNames{
    OtherName{5, "extended-next-hop"},
    OtherName{6, "extended-message"},
    OtherName{9, "role"},
    OtherName{69, "add-path"},
    OtherName{70, "enhanced-route-refresh"},
    OtherName{71, "long-lived-graceful-restart"},
    OtherName{73, "fqdn"},
    OtherName{128, "route-refresh-cisco"},
};

}  // namespace

bool Capabilities::has(AfiSafi family) const {
    return std::ranges::find(families, family) != families.end();
}

bool decode_capabilities(Reader in, Capabilities& into) {
    while (!in.empty()) {
        const std::uint8_t code = in.u8();
        const std::uint8_t length = in.u8();
        Reader value = in.take(length);
        if (!in.ok()) {
            return false;
        }
        const auto* row = std::ranges::find(kRows, code, &Row::code);
        if (row == kRows.end()) {
            if (std::ranges::find(into.others, code) == into.others.end()) {
                into.others.push_back(code);
            }
            continue;
        }
        row->decode(value, into);
        if (!value.done()) {
            return false;
        }
    }
    return in.ok();
}

void encode_capabilities(const Capabilities& capabilities, Writer& out) {
    for (const Row& row : kRows) {
        row.encode(capabilities, out);
    }
}

std::string to_string(AfiSafi family) {
    if (family == kIpv4Unicast) {
        return "ipv4-unicast";
    }
    if (family == kIpv6Unicast) {
        return "ipv6-unicast";
    }
    return fmt::format("afi{}-safi{}", family.afi, family.safi);
}

std::string to_string(const Capabilities& capabilities) {
    std::string text;
    const auto add = [&text](std::string_view word) {
        text += (text.empty() ? "" : " ") + std::string(word);
    };
    for (const AfiSafi family : capabilities.families) {
        add(to_string(family));
    }
    if (capabilities.route_refresh) {
        add("route-refresh");
    }
    if (capabilities.restart_seconds) {
        add("graceful-restart");
    }
    if (capabilities.four_octet_as) {
        add("as4");
    }
    for (const std::uint8_t code : capabilities.others) {
        const auto* row = std::ranges::find(kOtherNames, code, &OtherName::code);
        add(row != kOtherNames.end() ? std::string(row->name) : fmt::format("capability-{}", code));
    }
    return text;
}

}  // namespace vr::bgp
