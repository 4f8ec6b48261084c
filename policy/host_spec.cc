// SPDX-License-Identifier: Apache-2.0
#include "policy/host_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include "policy/bgp_spec.h"
#include "policy/match.h"
#include "policy/qos_spec.h"
#include "policy/spec.h"

namespace vr::policy {

namespace {

// --- HostEndpoint ---------------------------------------------------------------------------

Result<void> parse_interface(const Field& field, HostEndpoint& into) {
    auto name = field.text();
    if (!name || (!name->empty() && *name != kAllInterfaces && !is_interface_name(*name))) {
        return field.error(
            "expected '*' or an interface name: 1-15 letters, digits, '_', '.', '-'");
    }
    into.interface_name = *std::move(name);
    return {};
}

Result<void> parse_expected_ips(const Field& field, HostEndpoint& into) {
    auto read = field.each([&](const Field& item) { return parse_expected_ip(item, into); });
    drop_doubles(into.expected_ips);
    return read;
}

constexpr std::array<FieldRow<HostEndpoint>, 5> kHostEndpointRows{{
    {"node", [](const Field& f, HostEndpoint& h) { return store(f.text(), h.node); }},
    {"interfaceName", parse_interface},
    {"expectedIPs", parse_expected_ips},
    {"profiles", [](const Field& f, HostEndpoint& h) { return store(f.texts(), h.profiles); }},
    {"ports",
     [](const Field& f, HostEndpoint& h) {
         return f.each([&](const Field& item) { return parse_named_port(item, h.ports); });
     }},
}};

// --- FelixConfiguration ---------------------------------------------------------------------

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, tolower, tolower);
}

Result<void> parse_failsafe_protocol(const Field& field, FailsafePort& into) {
    constexpr std::array<std::pair<std::string_view, std::uint8_t>, 3> kProtocols{
        {{"tcp", 6}, {"udp", 17}, {"sctp", 132}}};
    for (const auto& [name, number] : kProtocols) {
        if (equal_ignoring_case(field.node().text, name)) {
            into.protocol = number;
            return {};
        }
    }
    return field.error("unknown protocol '" + field.node().text + "', expected tcp, udp or sctp");
}

Result<void> parse_failsafe_net(const Field& field, FailsafePort& into) {
    if (field.node().text.empty()) {
        return {};
    }
    auto net = parse_net(field);
    if (!net) {
        return std::unexpected(std::move(net).error());
    }
    into.net = *net;
    return {};
}

template <auto Member>
Result<void> parse_failsafe_ports(const Field& field, FelixConfiguration& into) {
    static constexpr std::array<FieldRow<FailsafePort>, 3> kRows{{
        {"protocol", parse_failsafe_protocol},
        {"port", [](const Field& f, FailsafePort& p) { return store_port(f, p.port); }},
        {"net", parse_failsafe_net},
    }};
    auto& ports = (into.*Member).emplace();
    return field.each([&](const Field& item) -> Result<void> {
        FailsafePort& port = ports.emplace_back();
        if (auto parsed = parse_fields<FailsafePort>(item, kRows, port, Unknown::Refuse); !parsed) {
            return parsed;
        }
        return port.protocol == 0 || port.port == L4Port{}
                   ? item.error("a failsafe port needs protocol and port")
                   : Result<void>{};
    });
}

Result<void> parse_endpoint_to_host(const Field& field, FelixConfiguration& into) {
    constexpr std::array<std::pair<std::string_view, EndpointToHost>, 3> kActions{
        {{"Drop", EndpointToHost::Drop},
         {"Return", EndpointToHost::Return},
         {"Accept", EndpointToHost::Accept}}};
    for (const auto& [name, action] : kActions) {
        if (equal_ignoring_case(field.node().text, name)) {
            into.endpoint_to_host = action;
            return {};
        }
    }
    return field.error(
        "unknown action '" + field.node().text + "', expected Drop, Return or Accept");
}

template <auto Member>
Result<void> parse_switch(const Field& field, FelixConfiguration& into) {
    const auto on = field.boolean();
    if (!on) {
        return std::unexpected(on.error());
    }
    into.*Member = *on;
    return {};
}

Result<void> parse_deny_action(const Field& field, FelixConfiguration& into) {
    const bool reject = equal_ignoring_case(field.node().text, "Reject");
    if (!reject && !equal_ignoring_case(field.node().text, "Drop")) {
        return field.error("unknown action '" + field.node().text + "', expected Drop or Reject");
    }
    into.reject = reject;
    return {};
}

/// A list of prefixes of interfaces' names, split by commas.
Result<void> parse_interface_prefix(const Field& field, FelixConfiguration& into) {
    into.tap_interfaces = false;
    for (const auto part : std::views::split(std::string_view(field.node().text), ',')) {
        into.tap_interfaces = *into.tap_interfaces || std::string_view(part) == "tap";
    }
    return {};
}

Result<void> parse_metadata_address(const Field& field, FelixConfiguration& into) {
    const std::string& text = field.node().text;
    const auto address = parse_ip(text);
    if (!address && !text.empty() && !equal_ignoring_case(text, "none")) {
        return field.error("'" + text + "' is no address; expected one, or none");
    }
    into.metadata_address = address;
    return {};
}

Result<void> parse_floating_ips(const Field& field, FelixConfiguration& into) {
    const bool enabled = equal_ignoring_case(field.node().text, "Enabled");
    if (!enabled && !equal_ignoring_case(field.node().text, "Disabled")) {
        return field.error(
            "unknown word '" + field.node().text + "', expected Enabled or Disabled");
    }
    into.floating = enabled;
    return {};
}

/// "MIN:MAX" or one port; "0" stands for what the host chooses.
Result<void> parse_nat_ports(const Field& field, FelixConfiguration& into) {
    const auto number = [](std::string_view text) -> std::optional<std::uint16_t> {
        std::uint16_t port = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
        const bool whole = error == std::errc{} && end == text.data() + text.size();
        return whole ? std::optional{port} : std::nullopt;
    };
    const std::string_view text = field.node().text;
    const auto colon = text.find(':');
    const auto first = number(text.substr(0, colon));
    const auto last = colon == std::string_view::npos ? first : number(text.substr(colon + 1));
    if (!first || !last || *first > *last || (*first == 0 && *last != 0)) {
        return field.error("expected ports such as '61000:65535', or 0 for the default");
    }
    auto& range = into.nat_ports.emplace();
    if (*last != 0) {
        range = acl::PortRange{L4Port{*first}, L4Port{*last}};
    }
    return {};
}

Result<void> parse_nat_address(const Field& field, FelixConfiguration& into) {
    const std::string& text = field.node().text;
    const auto address = parse_ip(text);
    const auto is_unicast = [](const auto& a) {
        return !a.is_unspecified() && !a.is_multicast() && !a.is_loopback() && !a.is_link_local();
    };
    if (!text.empty() && (!address || !std::visit(is_unicast, *address))) {
        return field.error("'" + text + "' is no address of a station");
    }
    into.nat_address = address;
    return {};
}

Result<void> parse_nat_exclusions(const Field& field, FelixConfiguration& into) {
    const bool hosts = equal_ignoring_case(field.node().text, "IPPoolsAndHostIPs");
    if (!hosts && !equal_ignoring_case(field.node().text, "IPPoolsOnly")) {
        return field.error(
            "unknown word '" + field.node().text + "', expected IPPoolsOnly or IPPoolsAndHostIPs");
    }
    into.nat_spares_hosts = hosts;
    return {};
}

Result<void> parse_source_spoofing(const Field& field, FelixConfiguration& into) {
    const bool any = equal_ignoring_case(field.node().text, "Any");
    if (!any && !equal_ignoring_case(field.node().text, "Disabled")) {
        return field.error("unknown word '" + field.node().text + "', expected Disabled or Any");
    }
    into.spoofing = any;
    return {};
}

/// It becomes part of log lines.
Result<void> parse_log_prefix(const Field& field, FelixConfiguration& into) {
    constexpr std::size_t kMostCharacters = 127;
    const std::string& text = field.node().text;
    const auto is_printable = [](char c) { return c >= 0x20 && c < 0x7f; };
    if (text.size() > kMostCharacters || !std::ranges::all_of(text, is_printable)) {
        return field.error("expected up to 127 printable ASCII characters");
    }
    if (!text.empty()) {
        into.log_prefix = text;
    }
    return {};
}

Result<void> parse_log_rate(const Field& field, FelixConfiguration& into) {
    static constexpr std::array<std::pair<std::string_view, double>, 4> kUnits{
        {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}}};
    const std::string_view text = field.node().text;
    const auto slash = std::min(text.find('/'), text.size());
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + slash, count);
    const auto unit =
        std::ranges::find(kUnits, text.substr(std::min(slash + 1, text.size())), [](const auto& u) {
            return u.first;
        });
    if (error != std::errc{} || end != text.data() + slash || unit == kUnits.end()) {
        return field.error("expected N/second, N/minute, N/hour or N/day");
    }
    into.log_rate = count / unit->second;
    return {};
}

Result<void> parse_log_burst(const Field& field, FelixConfiguration& into) {
    const auto burst = field.integer(0, 9999);
    if (!burst) {
        return std::unexpected(burst.error());
    }
    into.log_burst = static_cast<std::uint32_t>(*burst);
    return {};
}

template <std::optional<std::uint32_t> FelixConfiguration::* Member>
Result<void> parse_priority(const Field& field, FelixConfiguration& into) {
    return store(field.integer(1, kLeastRoutePriority), (into.*Member).emplace());
}

Result<void> parse_metadata_port(const Field& field, FelixConfiguration& into) {
    return store_port(field, into.metadata_port.emplace());
}

}  // namespace

Result<void> parse_host_endpoint(const Field& object, const Field& spec, Resource& into) {
    HostEndpoint host;
    // A misspelt interface or profile would leave the host open, or close it.
    if (auto parsed =
            parse_fields<HostEndpoint>(spec, kHostEndpointRows, host, Unknown::RefuseSimilar);
        !parsed) {
        return parsed;
    }
    if (host.node.empty()) {
        return spec.error("a host endpoint needs node");
    }
    if (host.interface_name.empty() && host.expected_ips.empty()) {
        return spec.error("a host endpoint needs interfaceName or expectedIPs");
    }
    if (auto parsed = parse_host_dscp(object.child("metadata"), host.dscp); !parsed) {
        return parsed;
    }
    into.spec = std::move(host);
    return {};
}

Result<void> parse_expected_ip(const Field& field, HostEndpoint& into) {
    const auto address = parse_ip(field.node().text);
    if (!address) {
        return field.error("'" + field.node().text + "' is not an address");
    }
    std::visit(
        [&]<typename Addr>(const Addr& a) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            into.expected_ips.emplace_back(Prefix<F>::host(a));
        },
        *address);
    return {};
}

namespace {

/// Where a broken one was to be.  It must not get away because that is what cannot be read: then it is for
/// all interfaces.
void read_place(const Field& spec, HostEndpoint& host) {
    const auto name = spec.child("interfaceName");
    const bool named =
        name ? parse_interface(*name, host).has_value() : !is_misspelt(spec, "interfaceName");
    if (named && !host.interface_name.empty()) {
        return;
    }
    const auto addresses = spec.child("expectedIPs");
    const bool expected = addresses && !is_misspelt(spec, "expectedIPs") &&
                          refuse_tags(*addresses) && parse_expected_ips(*addresses, host) &&
                          !host.expected_ips.empty();
    if (!named || !expected) {
        host.interface_name = kAllInterfaces;
        host.expected_ips.clear();
    }
}

}  // namespace

std::optional<HostEndpoint> closed_host_endpoint(const Field& object, Labels& labels) {
    const auto spec = object.child("spec");
    const auto node = spec ? spec->child("node") : std::nullopt;
    if (!node || node->node().type != Node::Type::Scalar || node->node().text.empty()) {
        return std::nullopt;
    }
    HostEndpoint host;
    host.node = node->node().text;
    host.closed = true;
    host.lends = false;
    read_place(*spec, host);
    const auto metadata = object.child("metadata");
    const auto written = metadata ? metadata->child("labels") : std::nullopt;
    if (written && !parse_labels(*written, labels)) {
        labels.clear();
    }
    return host;
}

Result<void> parse_felix_configuration(const Field& /*object*/, const Field& spec, Resource& into) {
    // Its other fields, a hundred and more, steer Calico's own data planes or are not acted upon yet.
    FelixConfiguration felix;
    static constexpr std::array<FieldRow<FelixConfiguration>, 21> kRows{{
        {"failsafeInboundHostPorts", parse_failsafe_ports<&FelixConfiguration::failsafe_inbound>},
        {"failsafeOutboundHostPorts", parse_failsafe_ports<&FelixConfiguration::failsafe_outbound>},
        {"defaultEndpointToHostAction", parse_endpoint_to_host},
        {"allowVXLANPacketsFromWorkloads", parse_switch<&FelixConfiguration::allow_vxlan>},
        {"allowIPIPPacketsFromWorkloads", parse_switch<&FelixConfiguration::allow_ipip>},
        {"disableConntrackInvalidCheck", parse_switch<&FelixConfiguration::skip_invalid_check>},
        {"iptablesFilterDenyAction", parse_deny_action},
        {"interfacePrefix", parse_interface_prefix},
        {"metadataAddr", parse_metadata_address},
        {"metadataPort", parse_metadata_port},
        {"floatingIPs", parse_floating_ips},
        {"natPortRange", parse_nat_ports},
        {"natOutgoingAddress", parse_nat_address},
        {"natOutgoingExclusions", parse_nat_exclusions},
        {"workloadSourceSpoofing", parse_source_spoofing},
        {"logPrefix", parse_log_prefix},
        {"logActionRateLimit", parse_log_rate},
        {"logActionRateLimitBurst", parse_log_burst},
        {"liveMigrationRouteConvergenceTime",
         [](const Field& f, FelixConfiguration& c) {
             return store(f.seconds(), c.migration_seconds.emplace());
         }},
        {"ipv4ElevatedRoutePriority", parse_priority<&FelixConfiguration::elevated_priority4>},
        {"ipv6ElevatedRoutePriority", parse_priority<&FelixConfiguration::elevated_priority6>},
    }};
    if (auto parsed = parse_fields<FelixConfiguration>(spec, kRows, felix, Unknown::RefuseSimilar);
        !parsed) {
        return parsed;
    }
    into.spec = std::move(felix);
    return {};
}

}  // namespace vr::policy
