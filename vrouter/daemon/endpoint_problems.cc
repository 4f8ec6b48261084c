// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/endpoint_problems.h"

#include <fmt/format.h>

#include <algorithm>
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
    std::string& problems,
    const std::vector<std::string>& profiles,
    const EndpointSources& sources) {
    for (const std::string& profile : profiles) {
        const policy::Key key{.kind = Kind::Profile, .ns = {}, .name = profile};
        if (profile == policy::kDefaultAllowProfile) {
            continue;
        }
        if (const auto known = sources.resource(key); !known) {
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
void add_shared_interface(WorkloadView& view, const EndpointSources& sources) {
    const std::string& interface = view.workload.interface_name;
    if (interface.empty()) {
        return;
    }
    if (const std::string owner = sources.first_with(interface); owner != view.workload.name) {
        add(view.error, "interfaceName '" + interface + "' is that of " + owner + " too");
    }
}

policy::Key key_of(const std::string& name) {
    const auto slash = name.find('/');
    return {
        .kind = Kind::WorkloadEndpoint,
        .ns = name.substr(0, slash),
        .name = name.substr(slash + 1)};
}

/// Why the machine does not have an endpoint as it is written, or has an older one; empty: nothing is wrong,
/// or it is none of this host.
std::string refused_version(const EndpointSources& sources, const policy::Key& key, bool known) {
    std::string problems;
    for (const policy::ObjectStatus& object : sources.objects(key, 1)) {
        if (object.key != key || object.state == ObjectState::Valid ||
            object.state == ObjectState::Shadowed) {
            continue;
        }
        if (known) {
            add(problems, "its last valid version is in force: " + object.reason);
        } else if (object.state != ObjectState::Kept) {
            add(problems, object.reason);
        }
    }
    if (const std::string refusal = sources.refusal(key); !refusal.empty()) {
        add(problems, refusal);
    }
    return problems;
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

std::optional<WorkloadView> with_problems(const EndpointSources& sources, const std::string& name) {
    const policy::Key key = key_of(name);
    auto view = sources.view(name);
    const std::string problems = refused_version(sources, key, view.has_value());
    if (!view) {
        return problems.empty() ? std::nullopt : std::optional{invalid(name, problems)};
    }
    if (const auto endpoint = sources.resource(key)) {
        add_missing_profiles(
            view->error, endpoint->as<policy::WorkloadEndpoint>().profiles, sources);
        add_ignored_floating(*view, *endpoint);
    }
    if (!problems.empty()) {
        add(view->error, problems);
    }
    add_shared_interface(*view, sources);
    return view;
}

std::move_only_function<bool(std::set<std::string>& names)> find_endpoints(
    EndpointSources sources) {
    constexpr std::size_t kSlice = 128;
    return [sources = std::move(sources),
            from = policy::Key{Kind::WorkloadEndpoint, {}, {}},
            begins = true](std::set<std::string>& names) mutable {
        if (std::exchange(begins, false)) {
            names.merge(sources.names());
        }
        const auto objects = sources.objects(from, kSlice);
        for (const policy::ObjectStatus& object : objects) {
            if (object.key.kind != Kind::WorkloadEndpoint) {
                return false;
            }
            if (object.state != ObjectState::Valid || !sources.refusal(object.key).empty()) {
                names.insert(object.key.ns + "/" + object.key.name);
            }
        }
        if (!objects.empty()) {
            from = policy::behind(objects.back().key);
        }
        return !objects.empty();
    };
}

HostGuardView with_problems(const EndpointSources& sources, HostGuardView view) {
    const policy::Key key{.kind = Kind::HostEndpoint, .ns = {}, .name = view.guard.name};
    if (const auto endpoint = sources.resource(key)) {
        add_missing_profiles(view.problem, endpoint->as<policy::HostEndpoint>().profiles, sources);
    }
    for (const policy::ObjectStatus& object : sources.objects(key, 1)) {
        if (object.key != key) {
            continue;
        }
        if (object.state == ObjectState::Kept) {
            add(view.problem, "its last valid version is in force: " + object.reason);
        } else if (object.state == ObjectState::StandIn || object.state == ObjectState::Partial) {
            add(view.problem, "it is invalid, so it denies: " + object.reason);
        }
    }
    return view;
}

}  // namespace vr::daemon
