// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/endpoint_problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "vrouter/net/format.h"

namespace vr::daemon {

namespace {

using policy::Kind;
using policy::ObjectState;

void add(std::string& problems, const std::string& problem) {
    problems += (problems.empty() ? "" : "; ") + problem;
}

/// A profile that is named but unknown denies: POLICY 2.5 step 7.
void add_missing_profiles(
    std::string& problems, const std::vector<std::string>& profiles, const FindResource& find) {
    for (const std::string& profile : profiles) {
        const policy::Key key{.kind = Kind::Profile, .ns = {}, .name = profile};
        if (profile == policy::kDefaultAllowProfile) {
            continue;
        }
        if (const auto known = find(key); !known) {
            add(problems, "profile '" + profile + "' does not exist, so it denies");
        } else if (known->as<policy::Profile>().closed) {
            add(problems, "profile '" + profile + "' is invalid, so it denies");
        }
    }
}

/// Floating addresses that were written and do not count, see policy/floating.h.
void add_ignored_floating(WorkloadView& view, const policy::Resource& endpoint) {
    if (view.workload.floating.empty() &&
        !endpoint.as<policy::WorkloadEndpoint>().floating.empty()) {
        add(view.error,
            "ipNATs do not count: FelixConfiguration does not say floatingIPs: Enabled");
    }
}

/// One that the machine does not have.
WorkloadView invalid(const std::string& name, const std::string& reason) {
    WorkloadView view;
    view.workload.name = name;
    view.state = WorkloadView::State::Invalid;
    view.error = reason;
    return view;
}

/// The first by name is meant by what names the interface.
void add_shared_interfaces(std::vector<WorkloadView>& views) {
    std::map<std::string, std::string> owners;
    for (WorkloadView& view : views) {
        const std::string& interface = view.workload.interface_name;
        const auto [owner, is_new] = owners.try_emplace(interface, view.workload.name);
        if (!interface.empty() && !is_new) {
            add(view.error,
                "interfaceName '" + interface + "' is that of " + owner->second + " too");
        }
    }
}

}  // namespace

std::string reserved_address(const Config& config, const IpPrefix& prefix) {
    const auto has = [&](const IpAddr& address) { return contains(prefix, address); };
    std::vector<InterfaceAddress> own = config.host.addresses;
    for (const PortConfig& port : config.ports) {
        own.insert(own.end(), port.addresses.begin(), port.addresses.end());
    }
    if (std::ranges::any_of(own, has, &InterfaceAddress::address) ||
        has(config.workloads.gateway4) || has(config.workloads.gateway6)) {
        return fmt::format("{} is an address of this host", prefix);
    }
    // A station of one link: what workloads say to those is not routed, and one may be a peer of the host.
    if (const auto* v6 = std::get_if<Prefix<V6>>(&prefix); v6 && v6->address().is_link_local()) {
        return fmt::format("{} is a link-local address", prefix);
    }
    const auto is_gateway = [&](const StaticRoute& route) {
        return std::ranges::any_of(route.via, has);
    };
    // A peer elsewhere may be a workload that speaks BGP.
    const auto is_on_the_fabric = [&](const bgp::PeerConfig& peer) {
        return has(peer.address) && std::ranges::any_of(own, [&](const InterfaceAddress& address) {
                   return contains(address.network, peer.address);
               });
    };
    if (std::ranges::any_of(config.neighbors, has, &StaticNeighbor::address) ||
        std::ranges::any_of(config.routes, is_gateway) ||
        (config.bgp && std::ranges::any_of(config.bgp->neighbors, is_on_the_fabric))) {
        return fmt::format("{} is an address of a neighbor of this host", prefix);
    }
    return {};
}

std::vector<WorkloadView> with_problems(
    std::vector<WorkloadView> views,
    const std::vector<policy::ObjectStatus>& objects,
    const FindResource& find,
    const std::map<std::string, std::string>& refused) {
    for (WorkloadView& view : views) {
        const std::string& name = view.workload.name;
        const auto slash = name.find('/');
        const policy::Key key{
            .kind = Kind::WorkloadEndpoint,
            .ns = name.substr(0, slash),
            .name = name.substr(slash + 1)};
        if (const auto endpoint = find(key)) {
            add_missing_profiles(
                view.error, endpoint->as<policy::WorkloadEndpoint>().profiles, find);
            add_ignored_floating(view, *endpoint);
        }
    }
    for (const policy::ObjectStatus& object : objects) {
        if (object.state == ObjectState::Valid || object.state == ObjectState::Shadowed) {
            continue;
        }
        const std::string name = object.key.ns + "/" + object.key.name;
        const auto known = std::ranges::find(
            views, name, [](const WorkloadView& view) { return view.workload.name; });
        if (known != views.end()) {
            add(known->error, "its last valid version is in force: " + object.reason);
        } else if (object.state != ObjectState::Kept) {
            views.push_back(invalid(name, object.reason));
        }
    }
    for (const auto& [name, reason] : refused) {
        views.push_back(invalid(name, reason));
    }
    std::ranges::sort(views, {}, [](const WorkloadView& view) { return view.workload.name; });
    add_shared_interfaces(views);
    return views;
}

std::vector<HostGuardView> with_problems(
    std::vector<HostGuardView> views,
    const std::vector<policy::ObjectStatus>& objects,
    const FindResource& find) {
    for (HostGuardView& view : views) {
        const policy::Key key{.kind = Kind::HostEndpoint, .ns = {}, .name = view.guard.name};
        if (const auto endpoint = find(key)) {
            add_missing_profiles(view.problem, endpoint->as<policy::HostEndpoint>().profiles, find);
        }
        for (const policy::ObjectStatus& object : objects) {
            if (object.key != key) {
                continue;
            }
            if (object.state == ObjectState::Kept) {
                add(view.problem, "its last valid version is in force: " + object.reason);
            } else if (
                object.state == ObjectState::StandIn || object.state == ObjectState::Partial) {
                add(view.problem, "it is invalid, so it denies: " + object.reason);
            }
        }
    }
    return views;
}

}  // namespace vr::daemon
