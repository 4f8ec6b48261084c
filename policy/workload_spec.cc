// SPDX-License-Identifier: Apache-2.0
#include "policy/workload_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "policy/floating.h"
#include "policy/match.h"
#include "policy/qos_spec.h"
#include "policy/spec.h"

namespace vr::policy {

namespace {

Result<void> parse_interface_name(const Field& field, WorkloadEndpoint& into) {
    auto name = field.text();
    if (!name || !is_interface_name(*name)) {
        return field.error("expected an interface name: 1-15 letters, digits, '_', '.', '-'");
    }
    into.interface_name = *std::move(name);
    return {};
}

Result<void> parse_mac(const Field& field, WorkloadEndpoint& into) {
    auto text = field.text();
    if (text && text->empty()) {
        return {};
    }
    into.mac = text ? Mac::parse(*text) : std::nullopt;
    return into.mac ? Result<void>{} : field.error("expected a MAC such as 02:00:00:00:00:09");
}

Result<void> parse_ip_networks(const Field& field, WorkloadEndpoint& into) {
    auto read = field.each([&](const Field& item) -> Result<void> {
        auto net = parse_net(item);
        if (!net) {
            return std::unexpected(std::move(net).error());
        }
        if (!is_host(*net)) {
            return item.error("expected a single address (/32 or /128)");
        }
        into.networks.push_back(*net);
        return {};
    });
    drop_doubles(into.networks);
    return read;
}

/// Whether they count is what FelixConfiguration says, see is_permitted().
Result<void> parse_spoofable(const Field& field, WorkloadEndpoint& into) {
    auto read = field.each(
        [&](const Field& item) { return store(parse_net(item), into.spoofable.emplace_back()); });
    drop_doubles(into.spoofable);
    return read;
}

/// Only live migrations go by these: what is no text names nothing.
template <std::string WorkloadEndpoint::* Member>
Result<void> name_into(const Field& field, WorkloadEndpoint& into) {
    into.*Member = field.text().value_or(std::string());
    return {};
}

constexpr std::array<FieldRow<WorkloadEndpoint>, 19> kEndpointRows{{
    {"orchestrator", text_into<&WorkloadEndpoint::orchestrator>},
    {"workload", name_into<&WorkloadEndpoint::workload>},
    {"node", text_into<&WorkloadEndpoint::node>},
    {"endpoint", name_into<&WorkloadEndpoint::endpoint>},
    {"containerID", nullptr},
    {"pod", name_into<&WorkloadEndpoint::pod>},
    {"interfaceName", parse_interface_name},
    {"mac", parse_mac},
    {"ipNetworks", parse_ip_networks},
    {"ipv4Gateway", nullptr},
    {"ipv6Gateway", nullptr},
    {"ipNATs",
     [](const Field& f, WorkloadEndpoint& e) {
         return f.each([&](const Field& item) { return parse_floating(item, e.floating); });
     }},
    {"allowSpoofedSourcePrefixes", parse_spoofable},
    {"profiles", [](const Field& f, WorkloadEndpoint& e) { return store(f.texts(), e.profiles); }},
    {"ports",
     [](const Field& f, WorkloadEndpoint& e) {
         return f.each([&](const Field& item) { return parse_named_port(item, e.ports); });
     }},
    {"serviceAccountName", text_into<&WorkloadEndpoint::service_account>},
    {"qosControls", [](const Field& f, WorkloadEndpoint& e) { return parse_qos(f, e.qos); }},
    {"logPrefix", nullptr},
    {"awsElasticIPs", nullptr},
}};

constexpr std::string_view kPort = "vrouter.io/port";
constexpr std::string_view kVhostSocket = "vrouter.io/vhost-socket";
constexpr std::string_view kVhostMode = "vrouter.io/vhost-mode";
constexpr std::string_view kAdminState = "vrouter.io/admin-state";
constexpr std::string_view kRoutePriority = "vrouter.io/route-priority";

/// Annotations of ours that nobody reads are misspelt, as a rule.
void warn_of_unknown_annotations(const Field& metadata) {
    constexpr std::array kKnown{kPort, kVhostSocket, kVhostMode, kAdminState, kRoutePriority};
    const auto annotations = metadata.child("annotations");
    if (!annotations) {
        return;
    }
    for (const auto& [key, value] : annotations->node().fields) {
        if (key.starts_with("vrouter.io/") && std::ranges::count(kKnown, key) == 0) {
            const std::string_view meant = similar(key, kKnown);
            annotations->child(key, value)
                .warn(
                    "no annotation of vrouter" +
                    (meant.empty() ? std::string() : ": is " + std::string(meant) + " meant?"));
        }
    }
}

Result<void> parse_attachment(const Field& metadata, WorkloadEndpoint& into) {
    warn_of_unknown_annotations(metadata);
    if (const auto port = annotation(metadata, kPort)) {
        into.attachment.ethdev = port->node().text;
    }
    if (const auto socket = annotation(metadata, kVhostSocket)) {
        into.attachment.vhost_socket = socket->node().text;
        if (!into.attachment.ethdev.empty()) {
            return socket->error("an endpoint has either vrouter.io/port or a vhost-user socket");
        }
    }
    if (const auto mode = annotation(metadata, kVhostMode)) {
        if (mode->node().text != "server" && mode->node().text != "client") {
            return mode->error("expected server or client");
        }
        into.attachment.vhost_mode =
            mode->node().text == "client" ? VhostMode::Client : VhostMode::Server;
    }
    if (const auto state = annotation(metadata, kAdminState)) {
        if (state->node().text != "up" && state->node().text != "down") {
            return state->error("expected up or down");
        }
        into.active = state->node().text == "up";
    }
    if (const auto priority = annotation(metadata, kRoutePriority)) {
        // Only how a route is told depends on it; labels and policy must not wait for it to be mended.
        if (auto value = priority->integer(1, kLeastRoutePriority)) {
            into.route_priority = static_cast<std::uint32_t>(*value);
        } else {
            priority->warn(
                fmt::format("not used: expected a whole number from 1 to {}", kLeastRoutePriority));
        }
    }
    return {};
}

}  // namespace

Result<void> parse_workload_endpoint(const Field& object, const Field& spec, Resource& into) {
    WorkloadEndpoint endpoint;
    if (auto parsed = parse_fields<WorkloadEndpoint>(spec, kEndpointRows, endpoint, Unknown::Warn);
        !parsed) {
        return parsed;
    }
    if (endpoint.node.empty() || endpoint.interface_name.empty()) {
        return spec.error("an endpoint needs node and interfaceName");
    }
    if (auto checked = check_floating(spec, endpoint); !checked) {
        return checked;
    }
    if (const auto metadata = object.child("metadata")) {
        if (auto parsed = parse_attachment(*metadata, endpoint); !parsed) {
            return parsed;
        }
    }
    if (auto completed = complete_qos(spec, object.child("metadata"), endpoint.qos); !completed) {
        return completed;
    }
    into.spec = std::move(endpoint);
    return {};
}

}  // namespace vr::policy
