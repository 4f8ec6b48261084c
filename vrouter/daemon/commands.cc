// What vrouterctl may ask: each noun is given the part of the daemon that it reads.  A part that this
// daemon does not have (no data plane, no BGP, no datastore) leaves its commands unknown.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <string>

#include "ctl/handlers.h"
#include "policy/backlog.h"
#include "policy/etcd/ipam.h"
#include "policy/graph.h"
#include "vrouter/daemon/bgp_control.h"
#include "vrouter/daemon/daemon.h"
#include "vrouter/daemon/endpoint_problems.h"
#include "vrouter/dataplane/clock.h"
#include "vrouter/machine.h"
#include "vrouter/slow_path.h"
#include "vrouter/workloads.h"

namespace vr::daemon {

namespace {

/// What the config gives the router on a port; guests see the gateways.
std::vector<std::string> addresses_of(const Config& config, const PortRecord& port) {
    std::vector<InterfaceAddress> own;
    if (port.kind == PortKind::Workload) {
        return {to_string(config.workloads.gateway4), to_string(config.workloads.gateway6)};
    }
    if (port.kind == PortKind::Host) {
        own = config.host.addresses;
    } else if (const auto at = std::ranges::find(config.ports, port.name, &PortConfig::name);
               at != config.ports.end()) {
        own = at->addresses;
    }
    std::vector<std::string> texts;
    for (const InterfaceAddress& address : own) {
        const auto length = length_of(address.network);
        texts.push_back(to_string(address.address) + "/" + std::to_string(length));
    }
    return texts;
}

/// What the machine has.
ctl::Endpoints endpoints_of(const Workloads& workloads) {
    return {
        .search =
            [&workloads] {
                return [&workloads](std::set<std::string>& names) {
                    names = workloads.names();
                    return false;
                };
            },
        .find = [&workloads](const std::string& name) { return workloads.find(name); }};
}

EndpointSources sources_of(
    const Workloads& workloads, const policy::Graph& graph, const policy::Datastore& store) {
    EndpointSources sources;
    sources.resource = [&graph](const policy::Key& key) { return graph.resource(key); };
    sources.refusal = [&graph](const policy::Key& key) { return graph.refusal(key); };
    sources.objects = [&store](const policy::Key& from, std::size_t count) {
        return store.list(from, count);
    };
    sources.names = [&workloads] { return workloads.names(); };
    sources.view = [&workloads](const std::string& name) { return workloads.find(name); };
    sources.first_with = [&workloads](const std::string& name) {
        return workloads.first_with(name);
    };
    return sources;
}

/// And what it does not have, for its faults.
ctl::Endpoints endpoints_of(const EndpointSources& sources) {
    return {
        .search = [sources] { return find_endpoints(sources); },
        .find = [sources](const std::string& name) { return with_problems(sources, name); }};
}

ctl::HostEndpoints hosts_of(const Workloads& workloads, const EndpointSources& sources) {
    return {
        .all = [&workloads] { return workloads.view_hosts(); },
        .with_problems =
            [sources](HostGuardView view) { return with_problems(sources, std::move(view)); }};
}

}  // namespace

void Daemon::serve_commands() {
    const auto port_name = [this](PortId id) {
        const PortRecord* record = machine_ ? machine_->port(id) : nullptr;
        return record == nullptr ? std::string{} : record->name;
    };
    ctl::serve_version(*dispatch_, VROUTER_VERSION, started_);
    ctl::serve_control(*dispatch_, times_);
    if (machine_) {
        const ctl::HostEndpoints hosts{.all = [this] { return workloads_->view_hosts(); }};
        const auto group_text = [this](GroupId group) {
            return graph_ ? graph_->sets().describe(group) : to_string(group);
        };
        ctl::serve_drops(*dispatch_, *machine_);
        ctl::serve_ports(*dispatch_, *machine_, [this](const PortRecord& port) {
            return addresses_of(config_, port);
        });
        if (graph_ && store_) {
            const EndpointSources sources = sources_of(*workloads_, *graph_, *store_);
            ctl::serve_endpoints(
                *dispatch_, endpoints_of(sources), hosts_of(*workloads_, sources), port_name);
        } else {
            ctl::serve_endpoints(*dispatch_, endpoints_of(*workloads_), hosts, port_name);
        }
        ctl::serve_routes(*dispatch_, machine_->routes(), port_name);
        ctl::serve_neighbors(
            *dispatch_,
            slow_path_->neighbors4(),
            slow_path_->neighbors6(),
            port_name,
            [this](const std::string& name) { return machine_->find_port(name).has_value(); });
        ctl::serve_policy(*dispatch_, endpoints_of(*workloads_), hosts, group_text);
        ctl::serve_flows(*dispatch_, machine_->shared(), port_name, flow_now);
        ctl::serve_trace(*dispatch_, *machine_);
    }
    if (bgp_) {
        const ctl::FindSpeaker speaker = [this]() -> const std::shared_ptr<bgp::Speaker>& {
            return bgp_->speaker();
        };
        ctl::serve_bgp(
            *dispatch_,
            speaker,
            {.restart = [this](ctl::BgpActions::Restarted done) { bgp_->restart(std::move(done)); },
             .reload =
                 [this](ctl::BgpActions::Reloaded done) {
                     reload_bgp(
                         [done = std::move(done)](Result<BgpControl::Reloaded> reloaded) mutable {
                             done(
                                 reloaded ? Result<ctl::BgpChanges>(
                                                {reloaded->came, reloaded->gone, reloaded->changed})
                                          : std::unexpected(std::move(reloaded).error()));
                         });
                 }});
        ctl::serve_bgp_routes(*dispatch_, speaker);
        ctl::serve_bgp_dump(*dispatch_, speaker);
        ctl::serve_bgp_load(*dispatch_, speaker, machine_ != nullptr);
    }
    policy::ipam::Run run_ipam;
    if (ipam_) {
        run_ipam = [this](policy::ipam::Work work) { ipam_->run(std::move(work)); };
    }
    ctl::serve_ipam(*dispatch_, config_.node, std::move(run_ipam));
    if (store_) {
        ctl::serve_datastore(*dispatch_, *store_);
        ctl::serve_resources(
            *dispatch_,
            *store_,
            [this](const policy::Key& key) {
                return bgp_ ? bgp_->problems_of(key) : std::vector<std::string>{};
            },
            [this](std::function<void()> then) {
                // A source hands on what was written in the turn that it posted before it answered.
                boost::asio::post(loop_, [this, then = std::move(then)]() mutable {
                    backlog_->after(std::move(then));
                });
            });
    }
}

}  // namespace vr::daemon
