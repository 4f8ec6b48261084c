// SPDX-License-Identifier: Apache-2.0
#include "policy/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "policy/match_side.h"
#include "policy/scope.h"
#include "vrouter/net/headers.h"

namespace vr::policy {

namespace {

struct ProtocolName {
    std::string_view name;
    std::uint8_t number;
};

constexpr std::array kProtocols{
    ProtocolName{"TCP", ipproto::kTcp},
    ProtocolName{"UDP", ipproto::kUdp},
    ProtocolName{"ICMP", ipproto::kIcmp},
    ProtocolName{"ICMPv6", ipproto::kIcmp6},
    ProtocolName{"SCTP", ipproto::kSctp},
    ProtocolName{"UDPLite", ipproto::kUdpLite},
};

/// Of those whose ports rules may name: POLICY 2.4 leaves UDPLite out.
bool has_ports(std::uint8_t protocol) {
    return protocol == ipproto::kTcp || protocol == ipproto::kUdp || protocol == ipproto::kSctp;
}

Result<void> parse_icmp(const Field& field, std::optional<acl::IcmpMatch>& into) {
    static constexpr std::array<FieldRow<acl::IcmpMatch>, 2> kRows{{
        {"type",
         [](const Field& f, acl::IcmpMatch& icmp) { return store(f.integer(0, 254), icmp.type); }},
        {"code",
         [](const Field& f, acl::IcmpMatch& icmp) -> Result<void> {
             auto code = f.integer(0, 255);
             if (!code) {
                 return std::unexpected(std::move(code).error());
             }
             icmp.code = static_cast<std::uint8_t>(*code);
             return {};
         }},
    }};
    acl::IcmpMatch icmp;
    if (auto parsed = parse_fields<acl::IcmpMatch>(field, kRows, icmp, Unknown::Refuse); !parsed) {
        return parsed;
    }
    if (!field.child("type")) {
        // An empty map says nothing; a code without a type is an error.
        return icmp.code ? field.error("a code needs a type") : Result<void>{};
    }
    into = icmp;
    return {};
}

Result<void> parse_optional_protocol(const Field& field, std::optional<Protocol>& into) {
    auto protocol = parse_protocol(field);
    if (!protocol) {
        return std::unexpected(std::move(protocol).error());
    }
    // Neutron writes 0 for "any", DATASTORE 6.
    if (protocol->number != 0) {
        into = *protocol;
    }
    return {};
}

/// ICMP for IPv6 packets, ICMPv6 for IPv4 packets.
bool is_foreign_icmp(const Protocol& protocol, bool ip6) {
    return protocol.number == (ip6 ? ipproto::kIcmp : ipproto::kIcmp6);
}

bool protocol_matches(const RuleMatch& match, const Sample& packet, const World& /*world*/) {
    return !match.protocol ||
           (match.protocol->number == packet.protocol &&
            !(match.protocol->by_name && is_foreign_icmp(*match.protocol, packet.is_ip6())));
}

void lower_protocol(const RuleMatch& match, const std::string& /*ns*/, LoweredMatch& into) {
    if (match.protocol) {
        into.match.protocol = match.protocol->number;
        const bool by_name = match.protocol->by_name;
        into.match.ip4 = into.match.ip4 && !(by_name && is_foreign_icmp(*match.protocol, false));
        into.match.ip6 = into.match.ip6 && !(by_name && is_foreign_icmp(*match.protocol, true));
    }
}

/// ICMP criteria hold for the rule's protocol in its own family only.
bool icmp_applies(const RuleMatch& match, const Sample& packet) {
    return match.protocol && match.protocol->number == packet.protocol &&
           !is_foreign_icmp(*match.protocol, packet.is_ip6());
}

bool is_icmp(const acl::IcmpMatch& icmp, const Sample& packet) {
    return icmp.type == packet.icmp_type && (!icmp.code || *icmp.code == packet.icmp_code);
}

void lower_icmp_family(const RuleMatch& match, LoweredMatch& into) {
    into.match.ip4 = into.match.ip4 && match.protocol->number == ipproto::kIcmp;
    into.match.ip6 = into.match.ip6 && match.protocol->number == ipproto::kIcmp6;
}

constexpr std::array kRuleRows{
    RuleRow{
        "ipVersion",
        [](const Field& f, RuleMatch& m) -> Result<void> {
            auto version = f.integer(4, 6);
            if (!version || *version == 5) {
                return f.error("expected 4 or 6");
            }
            m.ip_version = static_cast<int>(*version);
            return {};
        },
        [](const RuleMatch& m, const Sample& packet, const World& /*world*/) {
            return !m.ip_version || *m.ip_version == (packet.is_ip6() ? 6 : 4);
        },
        [](const RuleMatch& m, const std::string& /*ns*/, LoweredMatch& into) {
            into.match.ip4 = into.match.ip4 && m.ip_version != 6;
            into.match.ip6 = into.match.ip6 && m.ip_version != 4;
        }},
    RuleRow{
        "protocol",
        [](const Field& f, RuleMatch& m) { return parse_optional_protocol(f, m.protocol); },
        protocol_matches,
        lower_protocol},
    RuleRow{
        "notProtocol",
        [](const Field& f, RuleMatch& m) { return parse_optional_protocol(f, m.not_protocol); },
        [](const RuleMatch& m, const Sample& packet, const World& /*world*/) {
            return !m.not_protocol || m.not_protocol->number != packet.protocol;
        },
        [](const RuleMatch& m, const std::string& /*ns*/, LoweredMatch& into) {
            if (m.not_protocol) {
                into.match.not_protocol = m.not_protocol->number;
            }
        }},
    RuleRow{
        "icmp",
        [](const Field& f, RuleMatch& m) { return parse_icmp(f, m.icmp); },
        [](const RuleMatch& m, const Sample& packet, const World& /*world*/) {
            return !m.icmp || (icmp_applies(m, packet) && is_icmp(*m.icmp, packet));
        },
        [](const RuleMatch& m, const std::string& /*ns*/, LoweredMatch& into) {
            if (m.icmp) {
                into.match.icmp = m.icmp;
                lower_icmp_family(m, into);
            }
        }},
    RuleRow{
        "notICMP",
        [](const Field& f, RuleMatch& m) { return parse_icmp(f, m.not_icmp); },
        [](const RuleMatch& m, const Sample& packet, const World& /*world*/) {
            return !m.not_icmp || (icmp_applies(m, packet) && !is_icmp(*m.not_icmp, packet));
        },
        [](const RuleMatch& m, const std::string& /*ns*/, LoweredMatch& into) {
            if (m.not_icmp) {
                into.match.not_icmp = m.not_icmp;
                lower_icmp_family(m, into);
            }
        }},
    RuleRow{
        "source",
        [](const Field& f, RuleMatch& m) { return parse_side(f, m.source); },
        [](const RuleMatch& m, const Sample& packet, const World& world) {
            return side_matches(
                m.source,
                {packet.source, packet.source_port, packet.protocol, packet.has_ports},
                world);
        },
        [](const RuleMatch& m, const std::string& ns, LoweredMatch& into) {
            lower_side(m.source, ns, into.source, into.match);
        }},
    RuleRow{
        "destination",
        [](const Field& f, RuleMatch& m) -> Result<void> {
            auto parsed = parse_side(f, m.destination);
            if (m.destination.service) {
                m.destination.service->with_ports = true;
            }
            return parsed;
        },
        [](const RuleMatch& m, const Sample& packet, const World& world) {
            return side_matches(
                m.destination,
                {packet.destination, packet.destination_port, packet.protocol, packet.has_ports},
                world);
        },
        [](const RuleMatch& m, const std::string& ns, LoweredMatch& into) {
            lower_side(m.destination, ns, into.destination, into.match);
        }},
    // Judged by no packet path, POLICY 2.4.
    RuleRow{
        "http",
        [](const Field& f, RuleMatch& /*m*/) -> Result<void> {
            f.warn("http is not judged by the packet path: the rule matches without it");
            return {};
        },
        nullptr,
        nullptr},
    RuleRow{
        "metadata",
        [](const Field& /*f*/, RuleMatch& /*m*/) { return Result<void>{}; },
        nullptr,
        nullptr},
};

/// A service says all about its side that can be said, but the ports of a source.
Result<void> check_service(const Field& rule, const EntityMatch& side) {
    if (!side.service) {
        return {};
    }
    EntityMatch alone;
    alone.service = side.service;
    if (!side.service->with_ports) {
        alone.ports = side.ports;
        alone.not_ports = side.not_ports;
    }
    return side == alone ? Result<void>{}
                         : rule.error("services go with no other criterion on the same side");
}

/// Criteria that need a certain protocol, or exclude each other.
Result<void> check(const Field& rule, const RuleMatch& match) {
    for (const auto* side : {&match.source, &match.destination}) {
        if (auto checked = check_service(rule, *side); !checked) {
            return checked;
        }
    }
    const std::uint8_t protocol = match.protocol ? match.protocol->number : std::uint8_t{0};
    for (const auto* side : {&match.source, &match.destination}) {
        if ((!side->ports.empty() || !side->not_ports.empty()) && !has_ports(protocol)) {
            return rule.error("ports need protocol TCP, UDP or SCTP");
        }
    }
    if ((match.icmp || match.not_icmp) && protocol != ipproto::kIcmp &&
        protocol != ipproto::kIcmp6) {
        return rule.error("icmp needs protocol ICMP or ICMPv6");
    }
    if (match.ip_version && match.protocol && match.protocol->by_name &&
        is_foreign_icmp(*match.protocol, match.ip_version == 6)) {
        return rule.error(fmt::format(
            "protocol {} does not exist in IPv{}",
            protocol == ipproto::kIcmp ? "ICMP" : "ICMPv6",
            *match.ip_version));
    }
    return {};
}

}  // namespace

std::span<const RuleRow> rule_rows() {
    return kRuleRows;
}

Result<void> parse_match(const Field& rule, RuleMatch& into) {
    std::array<FieldRow<RuleMatch>, kRuleRows.size() + 1> rows{};
    std::ranges::transform(kRuleRows, rows.begin(), [](const auto& row) {
        return FieldRow<RuleMatch>{row.key, row.parse};
    });
    rows.back() = {"action", nullptr};
    if (auto parsed = parse_fields<RuleMatch>(rule, rows, into, Unknown::Refuse); !parsed) {
        return parsed;
    }
    return check(rule, into);
}

bool matches(const RuleMatch& match, const Sample& packet, const World& world) {
    return std::ranges::all_of(kRuleRows, [&](const auto& row) {
        return row.matches == nullptr || row.matches(match, packet, world);
    });
}

bool selects_unprefixed(const Selector& selector, const Labels& labels, std::string_view prefix) {
    Labels bare;
    for (const auto& [name, value] : labels) {
        if (name.starts_with(prefix)) {
            bare.emplace(name.substr(prefix.size()), value);
        }
    }
    const bool in_namespace = labels.contains(kNamespaceLabel);
    return selector.matches(bare, {.all = in_namespace, .global = !in_namespace});
}

LoweredMatch lower(const RuleMatch& match, const std::string& ns) {
    LoweredMatch lowered;
    for (const auto& row : kRuleRows) {
        if (row.lower != nullptr) {
            row.lower(match, ns, lowered);
        }
    }
    return lowered;
}

Result<Protocol> parse_protocol(const Field& field) {
    auto text = field.text();
    if (!text) {
        return std::unexpected(std::move(text).error());
    }
    for (const auto& row : kProtocols) {
        if (std::ranges::equal(*text, row.name, {}, tolower, tolower)) {
            return Protocol{row.number, true};
        }
    }
    if (const auto number = field.integer(0, 255)) {
        return Protocol{static_cast<std::uint8_t>(*number), false};
    }
    std::vector<std::string_view> names;
    std::ranges::transform(kProtocols, std::back_inserter(names), &ProtocolName::name);
    return field.error(
        fmt::format("unknown protocol '{}', expected {} or 1-255", *text, fmt::join(names, ", ")));
}

Result<Selector> parse_selector(const Field& field) {
    auto text = field.text();
    if (!text) {
        return std::unexpected(std::move(text).error());
    }
    auto selector = Selector::parse(*text);
    if (!selector) {
        return field.error(selector.error().text);
    }
    return selector;
}

Result<void> parse_optional_selector(const Field& field, std::optional<Selector>& into) {
    auto selector = parse_selector(field);
    if (!selector) {
        return std::unexpected(std::move(selector).error());
    }
    if (!field.node().text.empty()) {
        into = *std::move(selector);
    }
    return {};
}

Result<IpPrefix> parse_net(const Field& field) {
    auto text = field.text();
    if (!text) {
        return std::unexpected(std::move(text).error());
    }
    const auto net = parse_prefix(*text);
    if (!net) {
        return field.error(fmt::format(
            "'{}' is not an address or prefix, expected such as 10.0.0.0/8 or fd00::/8", *text));
    }
    return *net;
}

}  // namespace vr::policy
