// SPDX-License-Identifier: Apache-2.0
#include "policy/floating.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "policy/scope.h"

namespace vr::policy {

namespace {

/// A single address that a packet may come from and go to.
Result<void> parse_unicast(const Field& field, std::optional<IpAddr>& into) {
    auto text = field.text();
    if (!text) {
        return std::unexpected(std::move(text).error());
    }
    into = parse_ip(*text);
    const auto is_unicast = [](const auto& a) {
        return !a.is_unspecified() && !a.is_multicast() && !a.is_loopback() && !a.is_link_local() &&
               !a.is_broadcast();
    };
    return into && std::visit(is_unicast, *into)
               ? Result<void>{}
               : field.error("expected an address of one station, such as 203.0.113.9");
}

}  // namespace

Result<void> parse_floating(const Field& item, std::vector<FloatingAddress>& into) {
    struct Pair {
        std::optional<IpAddr> internal;
        std::optional<IpAddr> external;
    };

    static constexpr std::array<FieldRow<Pair>, 2> kRows{{
        {"internalIP", [](const Field& f, Pair& p) { return parse_unicast(f, p.internal); }},
        {"externalIP", [](const Field& f, Pair& p) { return parse_unicast(f, p.external); }},
    }};
    Pair pair;
    if (auto parsed = parse_fields<Pair>(item, kRows, pair, Unknown::Warn); !parsed) {
        return parsed;
    }
    if (!pair.internal || !pair.external) {
        return item.error("needs internalIP and externalIP");
    }
    if (pair.internal->index() != pair.external->index()) {
        return item.error("internalIP and externalIP must be of one family");
    }
    const FloatingAddress floating{.external = *pair.external, .internal = *pair.internal};
    if (std::ranges::count(into, floating) == 0) {
        into.push_back(floating);
    }
    return {};
}

Result<void> check_floating(const Field& spec, const WorkloadEndpoint& endpoint) {
    const auto is_own = [&](const IpAddr& address) {
        return std::ranges::count(endpoint.networks, host_prefix(address)) != 0;
    };
    for (const FloatingAddress& one : endpoint.floating) {
        if (!is_own(one.internal)) {
            return spec.error(
                "ipNATs: internalIP " + to_string(one.internal) + " is not one of ipNetworks");
        }
        if (is_own(one.external)) {
            return spec.error(
                "ipNATs: externalIP " + to_string(one.external) + " is one of ipNetworks");
        }
        if (std::ranges::count(endpoint.floating, one.external, &FloatingAddress::external) > 1) {
            return spec.error(
                "ipNATs: externalIP " + to_string(one.external) + " leads to two addresses");
        }
    }
    return {};
}

bool may_float(const WorkloadEndpoint& endpoint, const FelixSettings& felix) {
    return felix.floating || endpoint.orchestrator == "openstack";
}

namespace {

/// As endpoints compare.
std::string name_of(const Resource& endpoint) {
    return endpoint.key.ns + "/" + endpoint.key.name;
}

}  // namespace

std::optional<IpAddr> behind_floating(
    std::span<const ResourcePtr> cluster, const std::string& node, const IpAddr& address) {
    const FelixSettings felix = felix_settings(cluster, node);
    const Resource* first = nullptr;
    std::optional<IpAddr> internal;
    for (const auto& resource : cluster) {
        const auto* endpoint = std::get_if<WorkloadEndpoint>(&resource->spec);
        if (endpoint == nullptr || endpoint->node != node || !endpoint->active ||
            !is_permitted(*endpoint, felix) || is_closed(cluster, *resource)) {
            continue;
        }
        if (std::ranges::count(endpoint->networks, host_prefix(address)) != 0) {
            return std::nullopt;
        }
        const auto found =
            std::ranges::find(endpoint->floating, address, &FloatingAddress::external);
        if (found != endpoint->floating.end() && may_float(*endpoint, felix) &&
            (first == nullptr || name_of(*resource) < name_of(*first))) {
            first = resource.get();
            internal = found->internal;
        }
    }
    return internal;
}

}  // namespace vr::policy
