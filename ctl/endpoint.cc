// show endpoints.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

pb::Endpoint::State state_of(WorkloadView::State state) {
    switch (state) {
        case WorkloadView::State::Failed:
            return pb::Endpoint::STATE_FAILED;
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

void fill(const WorkloadView& view, const std::string& port, pb::Endpoint& row) {
    const Workload& workload = view.workload;
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
    row.set_ingress_rules(rules_of(workload.ingress));
    row.set_egress_rules(rules_of(workload.egress));
    row.set_problem(view.error);
}

}  // namespace

Failure no_endpoint(const std::string& name) {
    return {
        .code = pb::Error::CODE_NOT_FOUND,
        .text = "no endpoint '" + name + "' on this host: 'show endpoints' lists them"};
}

void serve_endpoints(Dispatch& dispatch, Endpoints endpoints, PortName port_name) {
    dispatch.on(
        pb::Request::kShowEndpoints,
        [endpoints = std::move(endpoints),
         port_name = std::move(port_name)](const pb::Request& request) -> Answer {
            const std::string& wanted = request.show_endpoints().endpoint();
            auto views = endpoints();
            if (!wanted.empty()) {
                std::erase_if(
                    views, [&](const auto& view) { return view.workload.name != wanted; });
                if (views.empty()) {
                    return no_endpoint(wanted);
                }
            }
            return listing<&pb::Response::mutable_endpoints>(
                std::move(views), [port_name](const WorkloadView& view, pb::Endpoint& row) {
                    fill(view, port_name(view.port), row);
                });
        });
}

}  // namespace vr::ctl
