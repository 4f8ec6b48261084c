// SPDX-License-Identifier: Apache-2.0
#include "ctl/text.h"

#include <fmt/core.h>

#include <algorithm>

#include "ctl/json.h"

namespace vr::ctl {

using google::protobuf::Message;

namespace {

/// The row as its own type; columns of one command see one type only.
template <typename Row>
const Row& as(const Message& row) {
    return dynamic_cast<const Row&>(row);
}

/// "10.0.0.1:80", "[fd00::1]:80", or the bare address when there is no port.
std::string address_and_port(const std::string& address, std::uint32_t port) {
    if (port == 0) {
        return address;
    }
    const bool brackets = address.find(':') != std::string::npos;
    return brackets ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

/// "received/accepted/advertised", empty for a family that was not negotiated.
std::string prefixes(const pb::BgpFamily& family) {
    if (!family.negotiated()) {
        return {};
    }
    return fmt::format("{}/{}/{}", family.received(), family.accepted(), family.advertised());
}

/// "ingress 1000 packets/s, 1000000 bit/s (17 dropped)"
std::string limits(const std::string& direction, const pb::EndpointLimits& limits) {
    std::string text;
    const auto add = [&](std::uint64_t limit, std::string_view unit) {
        if (limit != 0) {
            text += fmt::format("{} {} {}", text.empty() ? "" : ",", limit, unit);
        }
    };
    add(limits.packet_rate(), "packets/s");
    add(limits.bandwidth(), "bit/s");
    add(limits.peak_rate(), "bit/s at most");
    add(limits.max_connections(), "connections");
    const std::uint64_t dropped =
        limits.over_packet_rate() + limits.over_bandwidth() + limits.over_max_connections();
    return direction + text + (dropped == 0 ? "" : fmt::format(" ({} dropped)", dropped));
}

/// "120", or with a long life after that "120+3600".
std::string kept_for(std::uint64_t seconds, std::uint64_t long_lived) {
    return long_lived == 0 ? std::to_string(seconds) : fmt::format("{}+{}", seconds, long_lived);
}

std::string qualified(const std::string& space, const std::string& name) {
    return space.empty() ? name : space + "/" + name;
}

}  // namespace

std::string link_text(const Message& port) {
    return as<pb::Port>(port).link_up() ? "up" : "down";
}

std::string limits_text(const Message& endpoint) {
    const auto& row = as<pb::Endpoint>(endpoint);
    std::string text;
    if (row.has_ingress_limits()) {
        text = limits("ingress", row.ingress_limits());
    }
    if (row.has_egress_limits()) {
        text += (text.empty() ? "" : "; ") + limits("egress", row.egress_limits());
    }
    if (!row.dscp().empty()) {
        text += (text.empty() ? "DSCP " : "; DSCP ") + row.dscp();
    }
    return text;
}

std::string next_hops_text(const Message& route) {
    const auto& row = as<pb::Route>(route);
    std::string text;
    if (row.action() == pb::Route::ACTION_LOCAL || row.action() == pb::Route::ACTION_DISCARD) {
        text = field_text(route, "action");
    }
    for (const auto& hop : row.next_hops()) {
        text += text.empty() ? "" : ", ";
        text += hop.address();
        text += hop.address().empty() || hop.port().empty() ? "" : " ";
        text += hop.port();
    }
    return row.action() == pb::Route::ACTION_TRANSLATE ? "translated to " + text : text;
}

std::string ipv4_prefixes_text(const Message& bgp_neighbor) {
    return prefixes(as<pb::BgpNeighbor>(bgp_neighbor).ipv4());
}

std::string ipv6_prefixes_text(const Message& bgp_neighbor) {
    return prefixes(as<pb::BgpNeighbor>(bgp_neighbor).ipv6());
}

std::string messages_text(const Message& bgp_neighbor) {
    const auto& row = as<pb::BgpNeighbor>(bgp_neighbor);
    return fmt::format("{}/{}", row.messages_received(), row.messages_sent());
}

/// Its address, or where one is awaited.
std::string bgp_neighbor_text(const Message& bgp_neighbor) {
    const auto& row = as<pb::BgpNeighbor>(bgp_neighbor);
    return row.address().empty() ? '%' + row.interface() : row.address();
}

std::string bgp_state_text(const Message& bgp_neighbor) {
    const bool shut_down = as<pb::BgpNeighbor>(bgp_neighbor).shut_down();
    return shut_down ? "shut down" : field_text(bgp_neighbor, "state");
}

/// Of a session that is up.
std::string bgp_uptime_text(const Message& bgp_neighbor) {
    const auto& row = as<pb::BgpNeighbor>(bgp_neighbor);
    const bool up = row.state() == pb::BgpNeighbor::STATE_ESTABLISHED;
    return up ? std::to_string(row.uptime_seconds()) : std::string{};
}

/// The text of a shutdown that lasts; else what happened last and when, as long as nothing is well again.
std::string bgp_error_text(const Message& bgp_neighbor) {
    const auto& row = as<pb::BgpNeighbor>(bgp_neighbor);
    if (row.shut_down()) {
        return row.shutdown_text();
    }
    if (row.last_error().empty() || row.state() == pb::BgpNeighbor::STATE_ESTABLISHED) {
        return {};
    }
    if (row.address().empty()) {
        return row.last_error();  // lasts, and has no beginning
    }
    return fmt::format("{} ({} s ago)", row.last_error(), row.last_error_age_seconds());
}

std::string restart_agreed_text(const Message& bgp_neighbor) {
    const auto& restart = as<pb::BgpNeighbor>(bgp_neighbor).restart();
    return !restart.agreed() ? "no" : restart.notification() ? "yes, on NOTIFICATION too" : "yes";
}

std::string restart_time_text(const Message& bgp_neighbor) {
    const auto& restart = as<pb::BgpNeighbor>(bgp_neighbor).restart();
    return restart.agreed() ? kept_for(restart.time_seconds(), restart.long_lived_seconds())
                            : std::string{};
}

std::string restart_our_time_text(const Message& bgp_neighbor) {
    const auto& restart = as<pb::BgpNeighbor>(bgp_neighbor).restart();
    return restart.agreed() ? kept_for(restart.our_time_seconds(), restart.our_long_lived_seconds())
                            : std::string{};
}

std::string restart_stale_text(const Message& bgp_neighbor) {
    const auto& restart = as<pb::BgpNeighbor>(bgp_neighbor).restart();
    return fmt::format("{}/{}", restart.ipv4_stale(), restart.ipv6_stale());
}

std::string restart_wait_text(const Message& bgp_neighbor) {
    const auto& restart = as<pb::BgpNeighbor>(bgp_neighbor).restart();
    if (restart.back_within_seconds() != 0) {
        return fmt::format("its return, {} s", restart.back_within_seconds());
    }
    if (restart.done_within_seconds() != 0) {
        return fmt::format("its last word, {} s", restart.done_within_seconds());
    }
    if (restart.forgotten_within_seconds() != 0) {
        return fmt::format("its return, {} s, long-lived", restart.forgotten_within_seconds());
    }
    return {};
}

/// "best", "lost: longer AS path"
std::string bgp_route_text(const Message& bgp_route) {
    const auto& row = as<pb::BgpRoute>(bgp_route);
    const std::string state = field_text(bgp_route, "state");
    return row.reason().empty() ? state : state + ": " + row.reason();
}

/// "192.0.2.1", with ADD-PATH "192.0.2.1 path 7"
std::string bgp_route_neighbor_text(const Message& bgp_route) {
    const auto& row = as<pb::BgpRoute>(bgp_route);
    return row.has_path_id() ? fmt::format("{} path {}", row.neighbor(), row.path_id())
                             : row.neighbor();
}

/// "2001:db8::1", or both of RFC 2545: "2001:db8::1 fe80::1"
std::string bgp_next_hop_text(const Message& bgp_route) {
    const auto& row = as<pb::BgpRoute>(bgp_route);
    return row.next_hop_link_local().empty()
               ? row.next_hop()
               : fmt::format("{} {}", row.next_hop(), row.next_hop_link_local());
}

std::string rule_text(const Message& policy_rule) {
    const int rule = as<pb::PolicyRule>(policy_rule).rule();
    return rule < 0 ? std::string{} : std::to_string(rule);
}

std::string flow_source_text(const Message& flow) {
    return address_and_port(as<pb::Flow>(flow).source(), as<pb::Flow>(flow).source_port());
}

std::string flow_destination_text(const Message& flow) {
    const auto& row = as<pb::Flow>(flow);
    return address_and_port(row.destination(), row.destination_port());
}

std::string flow_mapping_text(const Message& flow) {
    const auto& row = as<pb::Flow>(flow);
    return row.mapping().empty() ? std::string{}
                                 : address_and_port(row.mapping(), row.mapping_port());
}

std::string resources_text(const pb::Response& frame) {
    std::string text;
    for (const auto& resource : frame.resources().rows()) {
        text += "---\n";
        if (resource.state() != pb::Resource::STATE_VALID) {
            text += fmt::format("# {}: {}\n", field_text(resource, "state"), resource.problem());
        }
        text += resource.document();
        text += text.ends_with('\n') ? "" : "\n";
    }
    return text;
}

std::string datastore_text(const pb::Response& frame) {
    const auto& store = frame.datastore();
    std::string state = field_text(store, "state");
    std::ranges::replace(state, '_', ' ');
    std::string text = fmt::format(
        "{}: {} for {} s, {}\n",
        store.source(),
        state,
        store.state_seconds(),
        store.in_force() ? fmt::format("revision {} in force", store.revision())
                         : "nothing in force yet");
    for (const std::string& place : store.places()) {
        text += fmt::format("  {}{}\n", place, place == store.place() ? " (in use)" : "");
    }
    if (!store.state_file().empty()) {
        text += fmt::format("last good state: {}\n", store.state_file());
    }
    if (!store.last_error().empty()) {
        text += fmt::format("last error: {}\n", store.last_error());
    }
    for (const std::string& problem : store.problems()) {
        text += fmt::format("problem: {}\n", problem);
    }
    for (const auto& kind : store.kinds()) {
        text += fmt::format("{:>8} {}", kind.objects(), kind.kind());
        text += kind.invalid() == 0 ? "\n" : fmt::format(", {} invalid\n", kind.invalid());
    }
    return text;
}

std::string changes_text(const pb::Response& frame) {
    std::string text;
    for (const auto& change : frame.changes().rows()) {
        text += fmt::format(
            "{}{}{}: {}",
            change.kind(),
            change.kind().empty() ? "" : " ",
            qualified(change.namespace_(), change.name()),
            field_text(change, "outcome"));
        text += change.problem().empty() ? "\n" : fmt::format(": {}\n", change.problem());
    }
    return text;
}

std::string trace_text(const pb::Response& frame) {
    const auto& trace = frame.trace();
    std::size_t width = 0;
    for (const auto& step : trace.steps()) {
        width = std::max(width, step.stage().size());
    }
    std::string text;
    for (const auto& step : trace.steps()) {
        text += fmt::format(
            "{:<{}}  {:<4}  {}{}\n",
            step.stage(),
            width,
            field_text(step, "outcome"),
            step.detail(),
            step.tier().empty() ? "" : fmt::format(" (tier {})", step.tier()));
    }
    text += "verdict: " + field_text(trace, "verdict");
    text += trace.output_port().empty() ? "" : fmt::format(" to port {}", trace.output_port());
    text += trace.reason().empty() ? "" : fmt::format(": {}", trace.reason());
    return text + "\n";
}

std::string cleared_text(const pb::Response& frame) {
    return fmt::format("cleared: {}\n", frame.cleared().count());
}

std::string bgp_changed_text(const pb::Response& frame) {
    return fmt::format("neighbors: {}\n", frame.cleared().count());
}

std::string bgp_reloaded_text(const pb::Response& frame) {
    const pb::BgpReloaded& reloaded = frame.bgp_reloaded();
    return fmt::format(
        "neighbors and ranges: {} came, {} went, {} changed\n",
        reloaded.came(),
        reloaded.gone(),
        reloaded.changed());
}

std::string bgp_dump_text(const pb::Response& frame) {
    return frame.bgp_dump().mrt();
}

Exit changes_exit(const pb::Response& frame) {
    const bool refused = std::ranges::any_of(frame.changes().rows(), [](const auto& change) {
        return change.outcome() == pb::Change::OUTCOME_REFUSED;
    });
    return refused ? Exit::Refused : Exit::Ok;
}

Exit trace_exit(const pb::Response& frame) {
    return frame.trace().verdict() == pb::TraceReply::VERDICT_DROPPED ? Exit::Dropped : Exit::Ok;
}

}  // namespace vr::ctl
