// SPDX-License-Identifier: Apache-2.0
#include "bgp/attributes.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>

namespace vr::bgp {
namespace {

using attribute_flag::kExtendedLength;
using attribute_flag::kOptional;
using attribute_flag::kPartial;
using attribute_flag::kTransitive;

template <typename Range, typename ToText>
std::string joined(const Range& values, ToText to_text) {
    std::string text;
    for (const auto& value : values) {
        text += (text.empty() ? "" : " ") + to_text(value);
    }
    return text;
}

// ORIGIN, RFC 7606 7.1.
bool decode_origin(Reader& value, const AttributeContext&, AttributeDraft& into) {
    const std::uint8_t origin = value.u8();
    into.set.origin = static_cast<Origin>(origin);
    return value.done() && origin <= 2;
}

bool encode_origin(const Attributes& from, const AttributeContext&, Writer& value) {
    value.u8(static_cast<std::uint8_t>(from.origin));
    return true;
}

std::string text_origin(const Attributes& from) {
    constexpr std::array<std::string_view, 3> kNames{"igp", "egp", "incomplete"};
    return std::string(kNames.at(static_cast<std::size_t>(from.origin)));
}

// AS_PATH, RFC 7606 7.2.
bool decode_as_path(Reader& value, const AttributeContext& context, AttributeDraft& into) {
    auto path = AsPath::decode(value, context.as_width);
    if (!path) {
        return false;
    }
    into.set.as_path = *std::move(path);
    return true;
}

bool encode_as_path(const Attributes& from, const AttributeContext& context, Writer& value) {
    from.as_path.encode(context.as_width, value);
    return true;
}

std::string text_as_path(const Attributes& from) {
    return from.as_path.text();
}

// NEXT_HOP, RFC 7606 7.3.
bool decode_next_hop(Reader& value, const AttributeContext&, AttributeDraft& into) {
    into.set.next_hop = Ip4{value.u32()};
    return value.done();
}

bool encode_next_hop(const Attributes& from, const AttributeContext&, Writer& value) {
    const auto* next_hop = std::get_if<Ip4>(&from.next_hop);
    if (next_hop == nullptr) {
        return false;
    }
    value.u32(next_hop->value());
    return true;
}

std::string text_next_hop(const Attributes& from) {
    std::string text = to_string(from.next_hop);
    if (from.next_hop_link_local) {
        text += " " + to_string(*from.next_hop_link_local);
    }
    return text;
}

// MULTI_EXIT_DISC and LOCAL_PREF, RFC 7606 7.4 and 7.5.
template <std::optional<std::uint32_t> Attributes::* Field>
bool decode_number(Reader& value, const AttributeContext&, AttributeDraft& into) {
    into.set.*Field = value.u32();
    return value.done();
}

template <std::optional<std::uint32_t> Attributes::* Field>
bool encode_number(const Attributes& from, const AttributeContext&, Writer& value) {
    if (from.*Field) {
        value.u32(*(from.*Field));
    }
    return (from.*Field).has_value();
}

template <std::optional<std::uint32_t> Attributes::* Field>
std::string text_number(const Attributes& from) {
    return from.*Field ? std::to_string(*(from.*Field)) : std::string{};
}

// ATOMIC_AGGREGATE, RFC 7606 7.6.
bool decode_atomic_aggregate(Reader& value, const AttributeContext&, AttributeDraft& into) {
    into.set.atomic_aggregate = value.done();
    return into.set.atomic_aggregate;
}

bool encode_atomic_aggregate(const Attributes& from, const AttributeContext&, Writer&) {
    return from.atomic_aggregate;
}

std::string text_atomic_aggregate(const Attributes& from) {
    return from.atomic_aggregate ? "yes" : "";
}

// AGGREGATOR and AS4_AGGREGATOR, RFC 7606 7.7, RFC 7607 2.
std::optional<Aggregator> read_aggregator(Reader& value, AsWidth width) {
    Aggregator aggregator;
    aggregator.asn = Asn{width == AsWidth::Four ? value.u32() : value.u16()};
    aggregator.address = Ip4{value.u32()};
    if (!value.done() || aggregator.asn.value() == 0) {
        return std::nullopt;
    }
    return aggregator;
}

bool decode_aggregator(Reader& value, const AttributeContext& context, AttributeDraft& into) {
    into.set.aggregator = read_aggregator(value, context.as_width);
    return into.set.aggregator.has_value();
}

bool encode_aggregator(const Attributes& from, const AttributeContext& context, Writer& value) {
    if (!from.aggregator) {
        return false;
    }
    const std::uint32_t asn = from.aggregator->asn.value();
    if (context.as_width == AsWidth::Four) {
        value.u32(asn);
    } else {
        value.u16(static_cast<std::uint16_t>(asn > 0xffffU ? kAsTrans.value() : asn));
    }
    value.u32(from.aggregator->address.value());
    return true;
}

std::string text_aggregator(const Attributes& from) {
    return from.aggregator
               ? to_string(from.aggregator->asn) + " " + to_string(from.aggregator->address)
               : std::string{};
}

bool decode_as4_aggregator(Reader& value, const AttributeContext&, AttributeDraft& into) {
    into.as4_aggregator = read_aggregator(value, AsWidth::Four);
    return into.as4_aggregator.has_value();
}

bool encode_as4_aggregator(const Attributes& from, const AttributeContext& context, Writer& value) {
    if (context.as_width == AsWidth::Four || !from.aggregator ||
        from.aggregator->asn.value() <= 0xffffU) {
        return false;
    }
    value.u32(from.aggregator->asn.value());
    value.u32(from.aggregator->address.value());
    return true;
}

// AS4_PATH, RFC 6793 3 and 6.
bool decode_as4_path(Reader& value, const AttributeContext&, AttributeDraft& into) {
    into.as4_path = AsPath::decode(value, AsWidth::Four, AsPath::Confederations::LeftOut);
    return into.as4_path.has_value();
}

bool encode_as4_path(const Attributes& from, const AttributeContext& context, Writer& value) {
    if (context.as_width == AsWidth::Four || !from.as_path.needs_four_octets()) {
        return false;
    }
    from.as_path.encode(AsWidth::Four, value);
    return true;
}

std::string text_nothing(const Attributes&) {
    return {};
}

// Lists of fixed-size elements: a length that is zero or no multiple is malformed.
template <typename Element>
Element read_element(Reader& value) {
    if constexpr (std::is_same_v<Element, Ip4>) {
        return Ip4{value.u32()};
    } else if constexpr (std::is_same_v<Element, LargeCommunity>) {
        LargeCommunity community;
        community.global = value.u32();
        community.local1 = value.u32();
        community.local2 = value.u32();
        return community;
    } else {
        return value.get<Element>();
    }
}

template <typename Element>
void write_element(const Element& element, Writer& value) {
    if constexpr (std::is_same_v<Element, Ip4>) {
        value.u32(element.value());
    } else if constexpr (std::is_same_v<Element, LargeCommunity>) {
        value.u32(element.global);
        value.u32(element.local1);
        value.u32(element.local2);
    } else {
        value.put(element);
    }
}

template <auto Field>
bool decode_list(Reader& value, const AttributeContext&, AttributeDraft& into) {
    auto& list = into.set.*Field;
    using Element = typename std::remove_reference_t<decltype(list)>::value_type;
    if (value.remaining() == 0 || value.remaining() % sizeof(Element) != 0) {
        return false;
    }
    list.reserve(value.remaining() / sizeof(Element));
    while (!value.empty()) {
        list.push_back(read_element<Element>(value));
    }
    return value.done();
}

// LARGE_COMMUNITY: their order means nothing, and each counts once (RFC 8092 3).
bool decode_large(Reader& value, const AttributeContext& context, AttributeDraft& into) {
    const bool good = decode_list<&Attributes::large_communities>(value, context, into);
    auto& list = into.set.large_communities;
    std::ranges::sort(list);
    list.erase(std::ranges::unique(list).begin(), list.end());
    return good;
}

template <auto Field>
bool encode_list(const Attributes& from, const AttributeContext&, Writer& value) {
    for (const auto& element : from.*Field) {
        write_element(element, value);
    }
    return !(from.*Field).empty();
}

std::string text_communities(const Attributes& from) {
    return joined(from.communities, community_text);
}

std::string text_extended(const Attributes& from) {
    return joined(
        from.extended_communities, [](std::uint64_t c) { return fmt::format("{:016x}", c); });
}

std::string text_large(const Attributes& from) {
    return joined(from.large_communities, [](const LargeCommunity& c) {
        return fmt::format("{}:{}:{}", c.global, c.local1, c.local2);
    });
}

std::string text_clusters(const Attributes& from) {
    return joined(from.cluster_list, [](Ip4 id) { return to_string(id); });
}

// ORIGINATOR_ID, RFC 7606 7.9.
bool decode_originator(Reader& value, const AttributeContext&, AttributeDraft& into) {
    into.set.originator_id = Ip4{value.u32()};
    return value.done();
}

bool encode_originator(const Attributes& from, const AttributeContext&, Writer& value) {
    if (from.originator_id) {
        value.u32(from.originator_id->value());
    }
    return from.originator_id.has_value();
}

std::string text_originator(const Attributes& from) {
    return from.originator_id ? to_string(*from.originator_id) : std::string{};
}

constexpr std::uint8_t kWellKnown = kTransitive;
constexpr std::uint8_t kOptionalTransitive = kOptional | kTransitive;

// clang-format off
constexpr std::array<AttributeRow, 16> kRows{{
    {.code = 1, .name = "origin", .flags = kWellKnown, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_origin, .encode = encode_origin, .text = text_origin},
    {.code = 2, .name = "as-path", .flags = kWellKnown, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_as_path, .encode = encode_as_path, .text = text_as_path},
    {.code = 3, .name = "next-hop", .flags = kWellKnown, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_next_hop, .encode = encode_next_hop, .text = text_next_hop},
    {.code = 4, .name = "med", .flags = kOptional, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_number<&Attributes::med>, .encode = encode_number<&Attributes::med>, .text = text_number<&Attributes::med>},
    {.code = 5, .name = "local-pref", .flags = kWellKnown, .on_error = OnError::Withdraw, .sent_by = SentBy::InternalPeer,
     .decode = decode_number<&Attributes::local_pref>, .encode = encode_number<&Attributes::local_pref>, .text = text_number<&Attributes::local_pref>},
    {.code = 6, .name = "atomic-aggregate", .flags = kWellKnown, .on_error = OnError::Discard, .sent_by = SentBy::Anyone,
     .decode = decode_atomic_aggregate, .encode = encode_atomic_aggregate, .text = text_atomic_aggregate},
    {.code = 7, .name = "aggregator", .flags = kOptionalTransitive, .on_error = OnError::Discard, .sent_by = SentBy::Anyone,
     .decode = decode_aggregator, .encode = encode_aggregator, .text = text_aggregator},
    {.code = 8, .name = "communities", .flags = kOptionalTransitive, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_list<&Attributes::communities>, .encode = encode_list<&Attributes::communities>, .text = text_communities},
    {.code = 9, .name = "originator-id", .flags = kOptional, .on_error = OnError::Withdraw, .sent_by = SentBy::InternalPeer,
     .decode = decode_originator, .encode = encode_originator, .text = text_originator},
    {.code = 10, .name = "cluster-list", .flags = kOptional, .on_error = OnError::Withdraw, .sent_by = SentBy::InternalPeer,
     .decode = decode_list<&Attributes::cluster_list>, .encode = encode_list<&Attributes::cluster_list>, .text = text_clusters},
    {.code = 14, .name = "mp-reach-nlri", .flags = kOptional, .on_error = OnError::Reset, .sent_by = SentBy::Anyone,
     .decode = nullptr, .encode = nullptr, .text = text_nothing},
    {.code = 15, .name = "mp-unreach-nlri", .flags = kOptional, .on_error = OnError::Reset, .sent_by = SentBy::Anyone,
     .decode = nullptr, .encode = nullptr, .text = text_nothing},
    {.code = 16, .name = "extended-communities", .flags = kOptionalTransitive, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_list<&Attributes::extended_communities>, .encode = encode_list<&Attributes::extended_communities>, .text = text_extended},
    {.code = 17, .name = "as4-path", .flags = kOptionalTransitive, .on_error = OnError::Discard, .sent_by = SentBy::TwoOctetSpeaker,
     .decode = decode_as4_path, .encode = encode_as4_path, .text = text_nothing},
    {.code = 18, .name = "as4-aggregator", .flags = kOptionalTransitive, .on_error = OnError::Discard, .sent_by = SentBy::TwoOctetSpeaker,
     .decode = decode_as4_aggregator, .encode = encode_as4_aggregator, .text = text_nothing},
    {.code = 32, .name = "large-communities", .flags = kOptionalTransitive, .on_error = OnError::Withdraw, .sent_by = SentBy::Anyone,
     .decode = decode_large, .encode = encode_list<&Attributes::large_communities>, .text = text_large},
}};
// clang-format on

constexpr std::size_t mixed(std::size_t hash, std::uint64_t value) noexcept {
    return (std::rotl(hash, 23) ^ value) * 0x9e3779b97f4a7c15U;
}

template <typename Number>
constexpr std::uint64_t presence(const std::optional<Number>& value) noexcept {
    return value ? std::uint64_t{*value} << 1U | 1U : 0U;
}

}  // namespace

std::string_view to_string(PeerKind kind) {
    switch (kind) {
        case PeerKind::Local:
            return "local";
        case PeerKind::Internal:
            return "ibgp";
        case PeerKind::External:
            return "ebgp";
    }
    return "";
}

bool Attributes::has_community(std::uint32_t community) const {
    return std::ranges::find(communities, community) != communities.end();
}

std::size_t hash_value(const Attributes& a) noexcept {
    std::size_t hash = mixed(static_cast<std::size_t>(a.origin), std::hash<IpAddr>{}(a.next_hop));
    for (const std::uint32_t word : a.as_path.words()) {
        hash = mixed(hash, word);
    }
    hash = mixed(hash, presence(a.med));
    hash = mixed(hash, presence(a.local_pref));
    for (const std::uint32_t community : a.communities) {
        hash = mixed(hash, community);
    }
    for (const std::uint64_t community : a.extended_communities) {
        hash = mixed(hash, community);
    }
    for (const LargeCommunity& community : a.large_communities) {
        hash = mixed(hash, std::uint64_t{community.local1} << 32U | community.local2);
    }
    for (const Ip4 id : a.cluster_list) {
        hash = mixed(hash, id.value());
    }
    return mixed(hash, a.originator_id ? a.originator_id->value() : 0U);
}

std::span<const AttributeRow> attribute_rows() {
    return kRows;
}

const AttributeRow* attribute_row(std::uint8_t code) {
    const auto* row = std::ranges::find(kRows, code, &AttributeRow::code);
    return row == kRows.end() ? nullptr : row;
}

void encode_attribute(std::uint8_t flags, std::uint8_t code, Bytes value, Writer& out) {
    if (value.size() > 255) {
        out.u8(flags | kExtendedLength);
        out.u8(code);
        out.u16(static_cast<std::uint16_t>(value.size()));
    } else {
        out.u8(static_cast<std::uint8_t>(flags & ~kExtendedLength));
        out.u8(code);
        out.u8(static_cast<std::uint8_t>(value.size()));
    }
    out.bytes(value);
}

void encode_attributes(const Attributes& from, const AttributeContext& context, Writer& out) {
    auto unknown = from.unknown.begin();
    const auto write_unknown_below = [&](unsigned code) {
        for (; unknown != from.unknown.end() && unknown->code < code; ++unknown) {
            encode_attribute(unknown->flags | kPartial, unknown->code, unknown->value, out);
        }
    };
    for (const AttributeRow& row : kRows) {
        write_unknown_below(row.code);
        const bool wanted =
            row.sent_by != SentBy::InternalPeer || context.peer != PeerKind::External;
        Writer value;
        if (wanted && row.encode != nullptr && row.encode(from, context, value)) {
            const bool partial = (from.partial >> row.code & 1U) != 0;
            const std::uint8_t flags = row.flags | (partial ? kPartial : 0U);
            encode_attribute(flags, row.code, value.view(), out);
        }
    }
    write_unknown_below(256);
}

Attributes finish(AttributeDraft&& draft) {
    Attributes set = std::move(draft.set);
    // RFC 6793 4.2.3: an AGGREGATOR with a real AS number says that the AS4 attributes are stale.
    const bool stale = draft.as4_aggregator && set.aggregator && set.aggregator->asn != kAsTrans;
    if (!stale) {
        if (draft.as4_aggregator && set.aggregator) {
            set.aggregator = draft.as4_aggregator;
        }
        if (draft.as4_path) {
            set.as_path = AsPath::merged(set.as_path, *draft.as4_path);
        }
    }
    std::ranges::stable_sort(set.unknown, {}, &UnknownAttribute::code);
    return set;
}

std::string to_string(const Attributes& attributes) {
    std::string text;
    for (const AttributeRow& row : kRows) {
        if (const std::string value = row.text(attributes); !value.empty()) {
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", row.name, value);
        }
    }
    for (const UnknownAttribute& unknown : attributes.unknown) {
        text += fmt::format(", attribute-{} {} octets", unknown.code, unknown.value.size());
    }
    return text;
}

std::string community_text(std::uint32_t community) {
    switch (community) {
        case community::kNoExport:
            return "no-export";
        case community::kNoAdvertise:
            return "no-advertise";
        case community::kNoExportSubconfed:
            return "no-export-subconfed";
        case community::kLlgrStale:
            return "llgr-stale";
        case community::kNoLlgr:
            return "no-llgr";
        default:
            return fmt::format("{}:{}", community >> 16U, community & 0xffffU);
    }
}

}  // namespace vr::bgp
