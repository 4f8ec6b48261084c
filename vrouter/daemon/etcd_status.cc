// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/etcd_status.h"

#include <utility>

namespace vr::daemon {

namespace {

/// The first address of a family, fabric ports before the host's own, as "192.0.2.1/24".
std::string address_of(const Config& config, std::size_t family) {
    std::vector<InterfaceAddress> all;
    for (const PortConfig& port : config.ports) {
        all.insert(all.end(), port.addresses.begin(), port.addresses.end());
    }
    all.insert(all.end(), config.host.addresses.begin(), config.host.addresses.end());
    for (const InterfaceAddress& address : all) {
        if (address.address.index() == family) {
            const unsigned length =
                std::visit([](const auto& p) { return unsigned{p.length()}; }, address.network);
            return to_string(address.address) + "/" + std::to_string(length);
        }
    }
    return {};
}

}  // namespace

std::optional<policy::etcd::NodeFacts> node_facts(const Config& config) {
    const bool tells = config.etcd ? config.etcd->write_node : config.policyd.has_value();
    if (!config.bgp || !tells) {
        return std::nullopt;
    }
    policy::etcd::NodeFacts facts{
        .as_number = std::nullopt,
        .address4 = address_of(config, 0),
        .address6 = address_of(config, 1)};
    if (const Asn own = config.bgp->speaker.asn; own.value() != 0) {
        facts.as_number = own;
    }
    return facts;
}

std::optional<std::map<policy::Key, std::optional<std::string>>> ChangedStatuses::take(
    const Workloads& workloads) {
    States now{workloads.states(), workloads.host_states()};
    if (told_ == now) {
        return std::nullopt;
    }
    told_ = std::move(now);
    return endpoint_statuses(workloads);
}

std::map<policy::Key, std::optional<std::string>> endpoint_statuses(const Workloads& workloads) {
    using State = WorkloadView::State;
    std::map<policy::Key, std::optional<std::string>> all;
    for (const auto& [name, state] : workloads.states()) {
        const std::size_t slash = name.find('/');
        if (slash == std::string::npos) {
            continue;
        }
        auto& status =
            all[{policy::Kind::WorkloadEndpoint, name.substr(0, slash), name.substr(slash + 1)}];
        if (state != State::Waiting && state != State::Compiling) {
            status = state == State::Ready ? "up" : state == State::Inactive ? "down" : "error";
        }
    }
    for (const auto& [name, state] : workloads.host_states()) {
        auto& status = all[{policy::Kind::HostEndpoint, {}, name}];
        if (state != HostGuardView::State::Compiling) {
            status = state == HostGuardView::State::Ready ? "up" : "down";
        }
    }
    return all;
}

}  // namespace vr::daemon
