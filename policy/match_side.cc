// SPDX-License-Identifier: Apache-2.0
#include "policy/match_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "policy/scope.h"

namespace vr::policy {

namespace {

constexpr std::size_t kMaxNets = 256;
constexpr std::size_t kMaxPorts = 50;

bool is_ip6(const IpPrefix& net) {
    return std::holds_alternative<Prefix<V6>>(net);
}

// --- nets, notNets --------------------------------------------------------------------------

Result<void> parse_nets(const Field& field, std::vector<IpPrefix>& into) {
    return field.each(
        [&](const Field& item) { return store(parse_net(item), into.emplace_back()); }, kMaxNets);
}

/// POLICY 2.4: nets of the other family do not count, and where only such are left the rule is
/// skipped, even for notNets.
bool all_of_other_family(const std::vector<IpPrefix>& nets, bool ip6) {
    return !nets.empty() &&
           std::ranges::none_of(nets, [&](const auto& net) { return is_ip6(net) == ip6; });
}

bool nets_match(const EntityMatch& match, const SideSample& side, const World& /*world*/) {
    return match.nets.empty() || std::ranges::any_of(match.nets, [&](const auto& net) {
               return contains(net, side.address);
           });
}

bool not_nets_match(const EntityMatch& match, const SideSample& side, const World& /*world*/) {
    const bool ip6 = std::holds_alternative<Ip6>(side.address);
    return !all_of_other_family(match.not_nets, ip6) &&
           std::ranges::none_of(
               match.not_nets, [&](const auto& net) { return contains(net, side.address); });
}

void divide(
    const std::vector<IpPrefix>& nets,
    std::vector<Prefix<V4>>& nets4,
    std::vector<Prefix<V6>>& nets6,
    acl::Match& all) {
    for (const auto& net : nets) {
        if (is_ip6(net)) {
            nets6.push_back(std::get<Prefix<V6>>(net));
        } else {
            nets4.push_back(std::get<Prefix<V4>>(net));
        }
    }
    all.ip4 = all.ip4 && (nets.empty() || !nets4.empty());
    all.ip6 = all.ip6 && (nets.empty() || !nets6.empty());
}

void lower_nets(
    const EntityMatch& match, const std::string& /*ns*/, LoweredSide& side, acl::Match& all) {
    divide(match.nets, side.match.nets4, side.match.nets6, all);
}

void lower_not_nets(
    const EntityMatch& match, const std::string& /*ns*/, LoweredSide& side, acl::Match& all) {
    divide(match.not_nets, side.match.not_nets4, side.match.not_nets6, all);
    const auto everything = [](const auto& net) { return net.length() == 0; };
    all.ip4 = all.ip4 && std::ranges::none_of(side.match.not_nets4, everything);
    all.ip6 = all.ip6 && std::ranges::none_of(side.match.not_nets6, everything);
}

// --- selectors ------------------------------------------------------------------------------

bool is_account(const ServiceAccounts& accounts, const Labels& labels) {
    if (accounts.selector &&
        !selects_unprefixed(*accounts.selector, labels, kServiceAccountPrefix)) {
        return false;
    }
    const auto account = labels.find(kServiceAccountLabel);
    return accounts.names.empty() ||
           (account != labels.end() && std::ranges::count(accounts.names, account->second) > 0);
}

bool has_positive_selector(const EntityMatch& match, const World& world) {
    return match.selector || match.namespace_selector || match.service_accounts ||
           (match.not_selector && !world.ns.empty());
}

/// `item` satisfies everything positive that this side of the rule says about labels.
bool is_selected(const EntityMatch& match, const Labelled& item, const World& world) {
    const auto ns = item.labels.find(kNamespaceLabel);
    if (match.namespace_selector) {
        if (!selects_unprefixed(*match.namespace_selector, item.labels, kNamespacePrefix)) {
            return false;
        }
    } else if (
        has_positive_selector(match, world) && !world.ns.empty() &&
        (ns == item.labels.end() || ns->second != world.ns)) {
        return false;
    }
    if (match.service_accounts && !is_account(*match.service_accounts, item.labels)) {
        return false;
    }
    if (match.selector && !match.selector->matches(item.labels)) {
        return false;
    }
    return !has_positive_selector(match, world) || !match.not_selector ||
           !match.not_selector->matches(item.labels);
}

bool owns(const Labelled& item, const IpAddr& address) {
    return std::ranges::any_of(
        item.networks, [&](const auto& net) { return contains(net, address); });
}

bool selector_matches(const EntityMatch& match, const SideSample& side, const World& world) {
    if (has_positive_selector(match, world)) {
        return std::ranges::any_of(world.labelled, [&](const auto& item) {
            return owns(item, side.address) && is_selected(match, item, world);
        });
    }
    return !match.not_selector || std::ranges::none_of(world.labelled, [&](const auto& item) {
        return owns(item, side.address) && match.not_selector->matches(item.labels);
    });
}

void lower_selector(
    const EntityMatch& match, const std::string& ns, LoweredSide& side, acl::Match& /*all*/) {
    auto scope = entity_scope(match, ns);
    side.group = std::move(scope.in);
    side.not_group = std::move(scope.not_in);
}

Result<void> parse_service_accounts(const Field& field, EntityMatch& into) {
    static constexpr std::array<FieldRow<ServiceAccounts>, 2> kRows{{
        {"names", [](const Field& f, ServiceAccounts& a) { return store(f.texts(), a.names); }},
        {"selector",
         [](const Field& f, ServiceAccounts& a) { return parse_optional_selector(f, a.selector); }},
    }};
    ServiceAccounts accounts;
    if (auto parsed = parse_fields<ServiceAccounts>(field, kRows, accounts, Unknown::Refuse);
        !parsed) {
        return parsed;
    }
    if (accounts.selector || !accounts.names.empty()) {
        into.service_accounts = std::move(accounts);
    }
    return {};
}

// --- services -------------------------------------------------------------------------------

Result<void> parse_service(const Field& field, EntityMatch& into) {
    static constexpr std::array<FieldRow<ServiceMatch>, 2> kRows{{
        {"name", [](const Field& f, ServiceMatch& s) { return store(f.text(), s.name); }},
        {"namespace", [](const Field& f, ServiceMatch& s) { return store(f.text(), s.ns); }},
    }};
    ServiceMatch service;
    if (auto parsed = parse_fields<ServiceMatch>(field, kRows, service, Unknown::Refuse); !parsed) {
        return parsed;
    }
    if (service.name.empty()) {
        return field.error("a service needs a name");
    }
    into.service = std::move(service);
    return {};
}

bool service_matches(const EntityMatch& match, const SideSample& side, const World& world) {
    if (!match.service) {
        return true;
    }
    const std::string& ns = match.service->ns.empty() ? world.ns : match.service->ns;
    return std::ranges::any_of(world.serving, [&](const Serving& slice) {
        if (slice.service != ns + "/" + match.service->name ||
            std::ranges::none_of(
                slice.addresses, [&](const auto& net) { return contains(net, side.address); })) {
            return false;
        }
        return !match.service->with_ports ||
               (side.has_ports && std::ranges::any_of(slice.ports, [&](const NamedPort& port) {
                    return port.protocol == side.protocol && port.port == side.port;
                }));
    });
}

/// Its addresses are the side's group: see entity_scope().
void lower_service(
    const EntityMatch& match, const std::string& /*ns*/, LoweredSide& side, acl::Match& /*all*/) {
    if (match.service && match.service->with_ports) {
        side.names.emplace_back(kServicePort);
    }
}

// --- ports ----------------------------------------------------------------------------------

std::optional<std::uint16_t> port_number(std::string_view text) {
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

bool is_port_name(std::string_view text) {
    return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    });
}

Result<PortMatch> parse_port(const Field& field) {
    auto text = field.text();
    if (!text) {
        return std::unexpected(std::move(text).error());
    }
    const std::size_t colon = text->find(':');
    const auto first = port_number(std::string_view(*text).substr(0, colon));
    const auto last =
        colon == std::string::npos ? first : port_number(std::string_view(*text).substr(colon + 1));
    if (first && last && *first <= *last) {
        return acl::PortRange{L4Port{*first}, L4Port{*last}};
    }
    const bool looks_numeric = text->find_first_not_of("0123456789:-") == std::string::npos;
    if (looks_numeric || !is_port_name(*text)) {
        return field.error(
            fmt::format("'{}' is not a port, expected 0-65535, \"min:max\" or a name", *text));
    }
    return *std::move(text);
}

Result<void> parse_ports(const Field& field, std::vector<PortMatch>& into) {
    return field.each(
        [&](const Field& item) { return store(parse_port(item), into.emplace_back()); }, kMaxPorts);
}

bool is_port(
    const PortMatch& port, const EntityMatch& match, const SideSample& side, const World& world) {
    if (const auto* range = std::get_if<acl::PortRange>(&port)) {
        return range->first <= side.port && side.port <= range->last;
    }
    const NamedPort wanted{std::get<std::string>(port), side.protocol, side.port};
    return std::ranges::any_of(world.labelled, [&](const auto& item) {
        return owns(item, side.address) && std::ranges::count(item.ports, wanted) > 0 &&
               is_selected(match, item, world);
    });
}

bool ports_match(const EntityMatch& match, const SideSample& side, const World& world) {
    return match.ports.empty() ||
           (side.has_ports && std::ranges::any_of(match.ports, [&](const auto& port) {
                return is_port(port, match, side, world);
            }));
}

bool not_ports_match(const EntityMatch& match, const SideSample& side, const World& world) {
    return !side.has_ports || std::ranges::none_of(match.not_ports, [&](const auto& port) {
        return is_port(port, match, side, world);
    });
}

void divide(
    const std::vector<PortMatch>& ports,
    std::vector<acl::PortRange>& ranges,
    std::vector<std::string>& names) {
    for (const auto& port : ports) {
        if (const auto* range = std::get_if<acl::PortRange>(&port)) {
            ranges.push_back(*range);
        } else {
            names.push_back(std::get<std::string>(port));
        }
    }
}

constexpr std::array kEntityRows{
    EntityRow{
        "nets",
        [](const Field& f, EntityMatch& e) { return parse_nets(f, e.nets); },
        nets_match,
        lower_nets},
    EntityRow{
        "notNets",
        [](const Field& f, EntityMatch& e) { return parse_nets(f, e.not_nets); },
        not_nets_match,
        lower_not_nets},
    EntityRow{
        "selector",
        [](const Field& f, EntityMatch& e) { return parse_optional_selector(f, e.selector); },
        selector_matches,
        lower_selector},
    // The next three are judged and lowered together with "selector".
    EntityRow{
        "notSelector",
        [](const Field& f, EntityMatch& e) { return parse_optional_selector(f, e.not_selector); },
        nullptr,
        nullptr},
    EntityRow{
        "namespaceSelector",
        [](const Field& f, EntityMatch& e) {
            return parse_optional_selector(f, e.namespace_selector);
        },
        nullptr,
        nullptr},
    EntityRow{"serviceAccounts", parse_service_accounts, nullptr, nullptr},
    EntityRow{"services", parse_service, service_matches, lower_service},
    EntityRow{
        "ports",
        [](const Field& f, EntityMatch& e) { return parse_ports(f, e.ports); },
        ports_match,
        [](const EntityMatch& e,
           const std::string& /*ns*/,
           LoweredSide& side,
           acl::Match& /*all*/) { divide(e.ports, side.match.ports, side.names); }},
    EntityRow{
        "notPorts",
        [](const Field& f, EntityMatch& e) { return parse_ports(f, e.not_ports); },
        not_ports_match,
        [](const EntityMatch& e,
           const std::string& /*ns*/,
           LoweredSide& side,
           acl::Match& /*all*/) { divide(e.not_ports, side.match.not_ports, side.not_names); }},
};

}  // namespace

std::span<const EntityRow> entity_rows() {
    return kEntityRows;
}

Result<void> parse_side(const Field& field, EntityMatch& into) {
    std::array<FieldRow<EntityMatch>, kEntityRows.size()> rows{};
    std::ranges::transform(kEntityRows, rows.begin(), [](const auto& row) {
        return FieldRow<EntityMatch>{row.key, row.parse};
    });
    return parse_fields<EntityMatch>(field, rows, into, Unknown::Refuse);
}

bool side_matches(const EntityMatch& match, const SideSample& side, const World& world) {
    return std::ranges::all_of(kEntityRows, [&](const auto& row) {
        return row.matches == nullptr || row.matches(match, side, world);
    });
}

void lower_side(
    const EntityMatch& match, const std::string& ns, LoweredSide& side, acl::Match& all) {
    for (const auto& row : kEntityRows) {
        if (row.lower != nullptr) {
            row.lower(match, ns, side, all);
        }
    }
}

}  // namespace vr::policy
