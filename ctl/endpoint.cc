// show endpoints.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

pb::Endpoint::State state_of(WorkloadView::State state) {
    switch (state) {
        case WorkloadView::State::Invalid:
            return pb::Endpoint::STATE_INVALID;
        case WorkloadView::State::Failed:
            return pb::Endpoint::STATE_FAILED;
        case WorkloadView::State::Waiting:
            return pb::Endpoint::STATE_WAITING;
        case WorkloadView::State::Compiling:
            return pb::Endpoint::STATE_COMPILING;
        case WorkloadView::State::Inactive:
            return pb::Endpoint::STATE_INACTIVE;
        case WorkloadView::State::Ready:
            return pb::Endpoint::STATE_READY;
    }
    return pb::Endpoint::STATE_UNSPECIFIED;
}

std::uint32_t rules_of(const std::shared_ptr<const acl::Program>& program) {
    return program ? static_cast<std::uint32_t>(program->rules.size()) : 0;
}

/// What is written, and what the policer that obeys it has dropped; null: not in force yet.
pb::EndpointLimits limits_of(const RateLimits& limits, const Policer* policer) {
    pb::EndpointLimits row;
    row.set_bandwidth(limits.bandwidth);
    row.set_burst(limits.burst);
    row.set_peak_rate(limits.peak_rate);
    row.set_min_burst(limits.min_burst);
    row.set_packet_rate(limits.packet_rate);
    row.set_packet_burst(limits.packet_burst);
    row.set_max_connections(limits.connections);
    if (policer != nullptr && policer->state) {
        const PolicerState& state = *policer->state;
        row.set_over_packet_rate(state.over_packet_rate.load(std::memory_order_relaxed));
        row.set_over_bandwidth(state.over_bandwidth.load(std::memory_order_relaxed));
        row.set_over_max_connections(state.over_connections.load(std::memory_order_relaxed));
    }
    return row;
}

/// What it is to a live migration, and how far that has come.
std::string migration_of(const WorkloadView& view) {
    std::string text;
    if (view.workload.migration != MigrationRole::None) {
        text = view.workload.migration == MigrationRole::Source ? "source" : "target";
    }
    if (view.arrival != Arrival::State::Settled) {
        text += text.empty() ? "" : ", ";
        text += to_string(view.arrival);
    }
    return text;
}

pb::Endpoint row_of(const WorkloadView& view, const std::string& port) {
    const Workload& workload = view.workload;
    pb::Endpoint row;
    row.set_kind(pb::Endpoint::KIND_WORKLOAD);
    row.set_name(workload.name);
    row.set_port(port);
    row.set_state(state_of(view.state));
    row.set_mac(workload.mac ? to_string(*workload.mac) : "");
    for (const auto& prefix : workload.addresses4) {
        row.add_addresses(to_string(prefix));
    }
    for (const auto& prefix : workload.addresses6) {
        row.add_addresses(to_string(prefix));
    }
    for (const FloatingAddress& one : workload.floating) {
        row.add_floating(to_string(one.external) + " to " + to_string(one.internal));
    }
    for (const auto& prefix : workload.spoofable4) {
        row.add_spoofable(to_string(prefix));
    }
    for (const auto& prefix : workload.spoofable6) {
        row.add_spoofable(to_string(prefix));
    }
    const EndpointLimits* in_force = view.endpoint ? view.endpoint->limits.get() : nullptr;
    if (workload.qos.dscp) {
        row.set_dscp(std::to_string(*workload.qos.dscp));
    }
    if (workload.qos.ingress.any()) {
        *row.mutable_ingress_limits() =
            limits_of(workload.qos.ingress, in_force == nullptr ? nullptr : &in_force->ingress);
    }
    if (workload.qos.egress.any()) {
        *row.mutable_egress_limits() =
            limits_of(workload.qos.egress, in_force == nullptr ? nullptr : &in_force->egress);
    }
    row.set_ingress_rules(rules_of(workload.ingress));
    row.set_egress_rules(rules_of(workload.egress));
    row.set_migration(migration_of(view));
    row.set_problem(view.error);
    return row;
}

pb::Endpoint::State state_of(HostGuardView::State state) {
    switch (state) {
        case HostGuardView::State::Compiling:
            return pb::Endpoint::STATE_COMPILING;
        case HostGuardView::State::Unused:
            return pb::Endpoint::STATE_UNUSED;
        case HostGuardView::State::Ready:
            return pb::Endpoint::STATE_READY;
    }
    return pb::Endpoint::STATE_UNSPECIFIED;
}

/// Its rules are those of normal policy; show policy tells them all.
pb::Endpoint row_of(const HostGuardView& view, const PortName& port_name) {
    pb::Endpoint row;
    row.set_kind(pb::Endpoint::KIND_HOST);
    row.set_name(view.guard.name);
    std::string ports;
    for (const PortId port : view.ports) {
        ports += (ports.empty() ? "" : ",") + port_name(port);
    }
    row.set_port(ports);
    row.set_state(state_of(view.state));
    for (const auto& address : view.guard.addresses) {
        row.add_addresses(to_string(address));
    }
    if (view.guard.dscp) {
        row.set_dscp(std::to_string(*view.guard.dscp));
    }
    row.set_ingress_rules(rules_of(view.guard.program(HostHook::NormalIngress)));
    row.set_egress_rules(rules_of(view.guard.program(HostHook::NormalEgress)));
    row.set_problem(view.problem);
    return row;
}

/// Those of the host, then workloads by name.
Slices all(const Endpoints& endpoints, const HostEndpoints& hosts, PortName port_name) {
    return [host_views = hosts.all(),
            next = std::size_t{0},
            with_problems = hosts.with_problems,
            search = endpoints.search(),
            find = endpoints.find,
            port_name = std::move(port_name),
            names = std::set<std::string>{},
            searches = true](pb::Response& frame) mutable {
        auto& list = *frame.mutable_endpoints();
        for (std::size_t n = 0; n < kRowsPerFrame && next < host_views.size(); ++n, ++next) {
            *list.add_rows() = row_of(with_problems(std::move(host_views[next])), port_name);
        }
        if (next < host_views.size()) {
            return true;
        }
        searches = searches && search(names);
        const auto room = kRowsPerFrame - static_cast<std::size_t>(list.rows_size());
        for (std::size_t n = 0; !searches && n < room && !names.empty(); ++n) {
            if (const auto view = find(*names.begin())) {
                *list.add_rows() = row_of(*view, port_name(view->port));
            }
            names.erase(names.begin());
        }
        return searches || !names.empty();
    };
}

}  // namespace

Failure no_endpoint(const std::string& name) {
    return {
        .code = pb::Error::CODE_NOT_FOUND,
        .text = "no endpoint '" + name + "' on this host: 'show endpoints' lists them"};
}

void serve_endpoints(
    Dispatch& dispatch, Endpoints endpoints, HostEndpoints hosts, PortName port_name) {
    dispatch.on(
        pb::Request::kShowEndpoints,
        [endpoints = std::move(endpoints),
         hosts = std::move(hosts),
         port_name = std::move(port_name)](const pb::Request& request) -> Answer {
            const std::string& wanted = request.show_endpoints().endpoint();
            if (wanted.empty()) {
                return all(endpoints, hosts, port_name);
            }
            pb::Response response;
            auto& list = *response.mutable_endpoints();
            for (HostGuardView& view : hosts.all()) {
                if (wanted == view.guard.name) {
                    *list.add_rows() = row_of(hosts.with_problems(std::move(view)), port_name);
                }
            }
            if (const auto view = endpoints.find(wanted)) {
                *list.add_rows() = row_of(*view, port_name(view->port));
            }
            if (list.rows().empty()) {
                return no_endpoint(wanted);
            }
            return response;
        });
}

}  // namespace vr::ctl
