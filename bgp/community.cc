// SPDX-License-Identifier: Apache-2.0
#include "bgp/community.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

namespace vr::bgp {
namespace {

struct WellKnown {
    std::string_view name;
    std::uint32_t value;
};

constexpr std::array kWellKnownCommunities{
    WellKnown{.name = "no-export", .value = community::kNoExport},
    WellKnown{.name = "no-advertise", .value = community::kNoAdvertise},
    WellKnown{.name = "no-export-subconfed", .value = community::kNoExportSubconfed},
    WellKnown{.name = "llgr-stale", .value = community::kLlgrStale},
    WellKnown{.name = "no-llgr", .value = community::kNoLlgr},
};

/// Sub-types of extended communities that have names.
struct Named {
    std::string_view name;
    std::uint8_t subtype;
};

constexpr std::array kNamed{Named{.name = "rt", .subtype = 2}, Named{.name = "soo", .subtype = 3}};

// What an extended community begins with: the shape of its value, RFC 4360 3 and RFC 5668 2.
constexpr std::uint8_t kTwoOctetAs = 0;
constexpr std::uint8_t kAddress = 1;
constexpr std::uint8_t kFourOctetAsType = 2;

std::optional<std::uint64_t> number(std::string_view text, std::uint64_t most, int base = 10) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > most) {
        return std::nullopt;
    }
    return value;
}

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t colon = text.find(':');
        parts.push_back(text.substr(0, colon));
        if (colon == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(colon + 1);
    }
}

constexpr std::uint64_t extended(
    std::uint8_t type, std::uint8_t subtype, std::uint64_t global, std::uint64_t local) {
    const unsigned shift = type == kTwoOctetAs ? 32 : 16;
    return std::uint64_t{type} << 56U | std::uint64_t{subtype} << 48U | global << shift | local;
}

/// "rt:64512:100", "rt:4200000000:1", "soo:192.0.2.1:7"
std::optional<Community> parse_named(std::span<const std::string_view> parts) {
    const auto* const named = std::ranges::find(kNamed, parts[0], &Named::name);
    if (named == kNamed.end()) {
        return std::nullopt;
    }
    if (const auto address = Ip4::parse(parts[1])) {
        const auto local = number(parts[2], 0xffff);
        return local ? std::optional<Community>{ExtendedCommunity{
                           extended(kAddress, named->subtype, address->value(), *local)}}
                     : std::nullopt;
    }
    const auto global = number(parts[1], 0xffffffff);
    const bool wide = global && *global > 0xffff;
    const auto local = number(parts[2], wide ? 0xffff : 0xffffffff);
    if (!global || !local) {
        return std::nullopt;
    }
    return ExtendedCommunity{
        extended(wide ? kFourOctetAsType : kTwoOctetAs, named->subtype, *global, *local)};
}

std::string extended_text(std::uint64_t value) {
    const auto type = static_cast<std::uint8_t>(value >> 56U);
    const auto subtype = static_cast<std::uint8_t>(value >> 48U);
    const auto* const named = std::ranges::find(kNamed, subtype, &Named::subtype);
    const auto wide_global = static_cast<std::uint32_t>(value >> 16U);
    if (named != kNamed.end() && type == kTwoOctetAs) {
        return fmt::format("{}:{}:{}", named->name, value >> 32U & 0xffffU, value & 0xffffffffU);
    }
    if (named != kNamed.end() && type == kAddress) {
        return fmt::format("{}:{}:{}", named->name, to_string(Ip4{wide_global}), value & 0xffffU);
    }
    // A small number would be read back as the two-octet shape.
    if (named != kNamed.end() && type == kFourOctetAsType && wide_global > 0xffff) {
        return fmt::format("{}:{}:{}", named->name, wide_global, value & 0xffffU);
    }
    return fmt::format("0x{:016x}", value);
}

/// Calls visit(list, value) with the attribute that holds communities of this kind.
template <typename Set, typename Visit>
auto with_list(Set& attributes, const Community& community, Visit visit) {
    if (const auto* standard = std::get_if<StandardCommunity>(&community)) {
        return visit(attributes.communities, standard->value);
    }
    if (const auto* large = std::get_if<LargeCommunity>(&community)) {
        return visit(attributes.large_communities, *large);
    }
    return visit(attributes.extended_communities, std::get<ExtendedCommunity>(community).value);
}

}  // namespace

std::optional<Community> parse_community(std::string_view text) {
    for (const auto& [name, value] : kWellKnownCommunities) {
        if (text == name) {
            return StandardCommunity{value};
        }
    }
    if (text.starts_with("0x") && text.size() == 18) {
        const auto value = number(text.substr(2), ~std::uint64_t{0}, 16);
        return value ? std::optional<Community>{ExtendedCommunity{*value}} : std::nullopt;
    }
    const auto parts = split(text);
    if (parts.size() == 2) {
        const auto high = number(parts[0], 0xffff);
        const auto low = number(parts[1], 0xffff);
        return high && low ? std::optional<Community>{StandardCommunity{
                                 static_cast<std::uint32_t>(*high << 16U | *low)}}
                           : std::nullopt;
    }
    if (parts.size() != 3) {
        return std::nullopt;
    }
    constexpr std::uint64_t kMost = 0xffffffff;
    const auto global = number(parts[0], kMost);
    const auto local1 = number(parts[1], kMost);
    const auto local2 = number(parts[2], kMost);
    if (!global) {
        return parse_named(parts);
    }
    if (!local1 || !local2) {
        return std::nullopt;
    }
    return LargeCommunity{
        static_cast<std::uint32_t>(*global),
        static_cast<std::uint32_t>(*local1),
        static_cast<std::uint32_t>(*local2)};
}

std::string to_string(const Community& community) {
    if (const auto* standard = std::get_if<StandardCommunity>(&community)) {
        return community_text(standard->value);
    }
    if (const auto* large = std::get_if<LargeCommunity>(&community)) {
        return fmt::format("{}:{}:{}", large->global, large->local1, large->local2);
    }
    return extended_text(std::get<ExtendedCommunity>(community).value);
}

bool has_community(const Attributes& attributes, const Community& community) {
    return with_list(attributes, community, [](const auto& list, const auto& value) {
        return std::ranges::find(list, value) != list.end();
    });
}

void add_community(Attributes& attributes, const Community& community) {
    with_list(attributes, community, [](auto& list, const auto& value) {
        if (std::ranges::find(list, value) == list.end()) {
            list.push_back(value);
        }
    });
}

void remove_community(Attributes& attributes, const Community& community) {
    with_list(attributes, community, [](auto& list, const auto& value) {
        list.erase(std::ranges::remove(list, value).begin(), list.end());
    });
}

void remove_non_transitive(Attributes& attributes) {
    auto& list = attributes.extended_communities;
    const auto gone = std::ranges::remove_if(
        list, [](std::uint64_t value) { return !ExtendedCommunity{value}.is_transitive(); });
    list.erase(gone.begin(), list.end());
}

}  // namespace vr::bgp
