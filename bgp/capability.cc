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

/// RFC 8950 4: triples of AFI, SAFI (two octets) and the AFI of next hops.
void decode_extended_next_hop(Reader& value, Capabilities& into) {
    while (!value.empty()) {
        const std::uint16_t afi = value.u16();
        const std::uint16_t safi = value.u16();
        const std::uint16_t next_hop = value.u16();
        const bool ipv4_unicast = afi == V4::kAfi && safi == kSafiUnicast;
        into.ipv4_over_ipv6 =
            into.ipv4_over_ipv6 || (value.ok() && ipv4_unicast && next_hop == V6::kAfi);
    }
}

void encode_extended_next_hop(const Capabilities& from, Writer& out) {
    if (from.ipv4_over_ipv6) {
        out.u8(5);
        out.u8(6);
        out.u16(V4::kAfi);
        out.u16(kSafiUnicast);
        out.u16(V6::kAfi);
    }
}

/// A capability that says nothing but that it is there.
template <bool Capabilities::* Field>
void decode_flag(Reader& /*value*/, Capabilities& into) {
    into.*Field = true;
}

template <bool Capabilities::* Field, std::uint8_t Code>
void encode_flag(const Capabilities& from, Writer& out) {
    if (from.*Field) {
        out.u8(Code);
        out.u8(0);
    }
}

constexpr std::uint16_t kRestarting = 0x8000;
constexpr std::uint16_t kNotification = 0x4000;
constexpr std::uint8_t kForwarding = 0x80;

void decode_graceful_restart(Reader& value, Capabilities& into) {
    const std::uint16_t head = value.u16();
    GracefulRestart restart;
    restart.restarting = (head & kRestarting) != 0;
    restart.notification = (head & kNotification) != 0;
    restart.seconds = head & GracefulRestart::kMostSeconds;
    while (!value.empty()) {
        GracefulRestart::Member member;
        member.family.afi = value.u16();
        member.family.safi = value.u8();
        member.forwarding = (value.u8() & kForwarding) != 0;
        if (value.ok()) {
            restart.members.push_back(member);
        }
    }
    into.graceful_restart = std::move(restart);  // RFC 4724 3: the last one counts
}

void encode_graceful_restart(const Capabilities& from, Writer& out) {
    if (!from.graceful_restart) {
        return;
    }
    const GracefulRestart& restart = *from.graceful_restart;
    out.u8(64);
    out.u8(static_cast<std::uint8_t>(2 + 4 * restart.members.size()));
    const unsigned flags =
        (restart.restarting ? kRestarting : 0U) | (restart.notification ? kNotification : 0U);
    out.u16(static_cast<std::uint16_t>(
        flags | std::min(restart.seconds, GracefulRestart::kMostSeconds)));
    for (const GracefulRestart::Member& member : restart.members) {
        out.u16(member.family.afi);
        out.u8(member.family.safi);
        out.u8(member.forwarding ? kForwarding : std::uint8_t{0});
    }
}

void decode_long_lived(Reader& value, Capabilities& into) {
    LongLivedRestart restart;
    while (!value.empty()) {
        LongLivedRestart::Member member;
        member.family.afi = value.u16();
        member.family.safi = value.u8();
        member.forwarding = (value.u8() & kForwarding) != 0;
        const std::uint32_t high = value.u8();
        member.seconds = high << 16U | value.u16();
        if (value.ok()) {
            restart.members.push_back(member);
        }
    }
    into.long_lived = std::move(restart);
}

void encode_long_lived(const Capabilities& from, Writer& out) {
    if (!from.long_lived) {
        return;
    }
    out.u8(71);
    out.u8(static_cast<std::uint8_t>(7 * from.long_lived->members.size()));
    for (const LongLivedRestart::Member& member : from.long_lived->members) {
        const std::uint32_t seconds = std::min(member.seconds, LongLivedRestart::kMostSeconds);
        out.u16(member.family.afi);
        out.u8(member.family.safi);
        out.u8(member.forwarding ? kForwarding : std::uint8_t{0});
        out.u8(static_cast<std::uint8_t>(seconds >> 16U));
        out.u16(static_cast<std::uint16_t>(seconds));
    }
}

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

/// RFC 7911 4: what is neither to be received nor sent, nor both, is ignored.
void decode_add_path(Reader& value, Capabilities& into) {
    while (!value.empty()) {
        AddPath offer;
        offer.family.afi = value.u16();
        offer.family.safi = value.u8();
        const unsigned directions = value.u8();
        offer.receive = (directions & 1U) != 0;
        offer.send = (directions & 2U) != 0;
        if (value.ok() && directions >= 1 && directions <= 3) {
            std::erase_if(into.add_path, [&](const auto& e) { return e.family == offer.family; });
            into.add_path.push_back(offer);
        }
    }
}

void encode_add_path(const Capabilities& from, Writer& out) {
    if (from.add_path.empty()) {
        return;
    }
    out.u8(69);
    out.u8(static_cast<std::uint8_t>(4 * from.add_path.size()));
    for (const AddPath& offer : from.add_path) {
        out.u16(offer.family.afi);
        out.u8(offer.family.safi);
        out.u8(static_cast<std::uint8_t>((offer.receive ? 1U : 0U) | (offer.send ? 2U : 0U)));
    }
}

constexpr std::array kCapabilities{
    Row{1, "multiprotocol", decode_multiprotocol, encode_multiprotocol},
    Row{2,
        "route-refresh",
        decode_flag<&Capabilities::route_refresh>,
        encode_flag<&Capabilities::route_refresh, 2>},
    Row{5, "extended-next-hop", decode_extended_next_hop, encode_extended_next_hop},
    Row{6,
        "extended-message",
        decode_flag<&Capabilities::extended_message>,
        encode_flag<&Capabilities::extended_message, 6>},
    Row{64, "graceful-restart", decode_graceful_restart, encode_graceful_restart},
    Row{65, "as4", decode_four_octet_as, encode_four_octet_as},
    Row{69, "add-path", decode_add_path, encode_add_path},
    Row{70,
        "enhanced-route-refresh",
        decode_flag<&Capabilities::enhanced_refresh>,
        encode_flag<&Capabilities::enhanced_refresh, 70>},
    Row{71, "long-lived-graceful-restart", decode_long_lived, encode_long_lived},
};

/// Names of what others offer and we do not use.
struct OtherName {
    std::uint8_t code;
    std::string_view name;
};

constexpr std::array kOtherNames{
    OtherName{9, "role"},
    OtherName{73, "fqdn"},
    OtherName{128, "route-refresh-cisco"},
};

}  // namespace

const GracefulRestart::Member* GracefulRestart::find(AfiSafi family) const {
    const auto at = std::ranges::find(members, family, &Member::family);
    return at == members.end() ? nullptr : &*at;
}

const LongLivedRestart::Member* LongLivedRestart::find(AfiSafi family) const {
    const auto at = std::ranges::find(members, family, &Member::family);
    return at == members.end() ? nullptr : &*at;
}

bool Capabilities::has(AfiSafi family) const {
    return std::ranges::find(families, family) != families.end();
}

AddPath Capabilities::add_path_of(AfiSafi family) const {
    const auto at = std::ranges::find(add_path, family, &AddPath::family);
    return at == add_path.end() ? AddPath{.family = family} : *at;
}

bool decode_capabilities(Reader in, Capabilities& into) {
    while (!in.empty()) {
        const std::uint8_t code = in.u8();
        const std::uint8_t length = in.u8();
        Reader value = in.take(length);
        if (!in.ok()) {
            return false;
        }
        const auto* row = std::ranges::find(kCapabilities, code, &Row::code);
        if (row == kCapabilities.end()) {
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
    for (const Row& row : kCapabilities) {
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
    if (capabilities.enhanced_refresh) {
        add("enhanced-route-refresh");
    }
    if (capabilities.extended_message) {
        add("extended-message");
    }
    if (capabilities.ipv4_over_ipv6) {
        add("extended-next-hop");
    }
    for (const AddPath& offer : capabilities.add_path) {
        add(fmt::format(
            "add-path-{}{}{}",
            to_string(offer.family),
            offer.receive ? "-receive" : "",
            offer.send ? "-send" : ""));
    }
    if (capabilities.graceful_restart) {
        add("graceful-restart");
    }
    if (capabilities.long_lived) {
        add("long-lived-graceful-restart");
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
