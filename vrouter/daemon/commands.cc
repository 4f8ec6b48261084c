// What vrouterctl may ask: each noun is given the part of the daemon that it reads.  A part that this
// daemon does not have (no data plane, no BGP, no datastore) leaves its commands unknown.
// SPDX-License-Identifier: Apache-2.0
#include "ctl/handlers.h"
#include "vrouter/daemon/daemon.h"
#include "vrouter/dataplane/clock.h"

namespace vr::daemon {

void Daemon::serve_commands() {
    const auto port_name = [this](PortId id) {
        const PortRecord* record = machine_ ? machine_->port(id) : nullptr;
        return record == nullptr ? std::string{} : record->name;
    };
    ctl::serve_version(dispatch_, VROUTER_VERSION, started_);
    if (machine_) {
        const auto endpoints = [this] { return workloads_->view(); };
        const auto hosts = [this] { return workloads_->view_hosts(); };
        const auto group_text = [this](GroupId group) {
            return graph_ ? graph_->sets().describe(group) : to_string(group);
        };
        ctl::serve_drops(dispatch_, *machine_);
        ctl::serve_ports(dispatch_, *machine_);
        ctl::serve_endpoints(dispatch_, endpoints, hosts, port_name);
        ctl::serve_routes(dispatch_, machine_->routes(), port_name);
        ctl::serve_neighbors(
            dispatch_, slow_path_->neighbors4(), slow_path_->neighbors6(), port_name);
        ctl::serve_policy(dispatch_, endpoints, hosts, group_text);
        ctl::serve_flows(dispatch_, machine_->shared(), port_name, flow_now);
        ctl::serve_trace(dispatch_, *machine_);
    }
    if (speaker_) {
        ctl::serve_bgp(dispatch_, *speaker_);
    }
    if (store_) {
        ctl::serve_resources(dispatch_, *store_);
    }
}

}  // namespace vr::daemon
