// SPDX-License-Identifier: Apache-2.0
#include "policy/salvage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "policy/bgp_spec.h"
#include "policy/host_spec.h"
#include "policy/match.h"
#include "policy/spec.h"
#include "policy/stand_in.h"

namespace vr::policy {

namespace {

/// Entries of a list, or of several that count together.
struct Tally {
    std::size_t read = 0;
    std::size_t written = 0;

    [[nodiscard]] std::string text(std::string_view entries) const {
        return fmt::format("{} of {} {}", read, written, entries);
    }
};

/// Reads each entry of the list `key` that can be read; a list that is none is one that cannot.
template <typename Read>
void read_entries(const Field& map, std::string_view key, Tally& tally, Read read) {
    const auto list = map.child(key);
    if (!list) {
        return;
    }
    if (list->node().type != Node::Type::List) {
        ++tally.written;
        return;
    }
    for (std::size_t i = 0; i < list->node().items.size(); ++i) {
        const Field item = list->item(i);
        ++tally.written;
        tally.read += refuse_tags(item) && read(item) ? 1U : 0U;
    }
}

/// Adds a net that can be read, and is one address where that is `wanted`.
enum class Wanted : std::uint8_t { Nets, Addresses };

bool read_net(const Field& item, Wanted wanted, std::vector<IpPrefix>& into) {
    const auto net = parse_net(item);
    if (!net || (wanted == Wanted::Addresses && !is_host(*net))) {
        return false;
    }
    into.push_back(*net);  // once more is no harm, but looking for it among many is
    return true;
}

Tally read_ports(const Field& spec, std::vector<NamedPort>& into) {
    Tally ports;
    read_entries(spec, "ports", ports, [&](const Field& item) {
        return parse_named_port(item, into).has_value();
    });
    return ports;
}

/// "1 of 2 addresses and 0 of 1 ports count".
std::string counts(const Tally& addresses, std::string_view of, const Tally& ports) {
    return addresses.text(of) + (ports.written > 0 ? " and " + ports.text("ports") : "") + " count";
}

/// False when `key` is there and no text, or when it may be misspelt.
bool read_text(const Field& map, std::string_view key, std::string& into) {
    const auto field = map.child(key);
    return field ? store(field->text(), into).has_value() : !is_misspelt(map, key);
}

bool read_texts(const Field& map, std::string_view key, std::vector<std::string>& into) {
    const auto field = map.child(key);
    return !is_misspelt(map, key) && (!field || store(field->texts(), into).has_value());
}

// --- kinds ----------------------------------------------------------------------------------

Salvage made(Resource known, Spec spec, std::string counts) {
    known.spec = std::move(spec);
    return {std::make_shared<const Resource>(std::move(known)), std::move(counts)};
}

Salvage network_set(const Field& spec, Resource known) {
    NetworkSet set;
    Tally nets;
    read_entries(spec, "nets", nets, [&](const Field& item) {
        return read_net(item, Wanted::Nets, set.nets);
    });
    if (set.nets.empty()) {
        return {};
    }
    return made(std::move(known), std::move(set), counts(nets, "nets", {}));
}

/// Of no host, and not active: its addresses and ports are all that it is.
Salvage workload(const Field& spec, Resource known) {
    WorkloadEndpoint endpoint;
    endpoint.active = false;
    if (!read_text(spec, "orchestrator", endpoint.orchestrator) ||
        !read_text(spec, "serviceAccountName", endpoint.service_account) ||
        !read_texts(spec, "profiles", endpoint.profiles)) {
        return {};  // these give it labels, POLICY 2.2
    }
    Tally addresses;
    read_entries(spec, "ipNetworks", addresses, [&](const Field& item) {
        return read_net(item, Wanted::Addresses, endpoint.networks);
    });
    if (endpoint.networks.empty()) {
        return {};
    }
    drop_doubles(endpoint.networks);
    const Tally ports = read_ports(spec, endpoint.ports);
    return made(std::move(known), std::move(endpoint), counts(addresses, "ipNetworks", ports));
}

Salvage slice(const Field& object, Resource known) {
    EndpointSlice slice;
    const auto type = object.child("addressType");
    const auto service = known.labels.find(kServiceNameLabel);
    if (service == known.labels.end() || service->second.empty() ||
        (type && (type->node().type != Node::Type::Scalar || type->node().text == "FQDN"))) {
        return {};
    }
    slice.service = service->second;
    Tally endpoints;
    Tally addresses;
    read_entries(object, "endpoints", endpoints, [&](const Field& endpoint) {
        read_entries(endpoint, "addresses", addresses, [&](const Field& item) {
            return read_net(item, Wanted::Nets, slice.addresses);
        });
        return endpoint.expect_map().has_value();
    });
    addresses.written += endpoints.written - endpoints.read;
    if (slice.addresses.empty()) {
        return {};
    }
    Tally ports;
    read_entries(object, "ports", ports, [&](const Field& item) {
        return parse_slice_port(item, slice).has_value();
    });
    return made(std::move(known), std::move(slice), counts(addresses, "addresses", ports));
}

/// Its labels, all or none; a misspelt key may have meant more of them.
Salvage profile(const Field& spec, Resource known, ResourcePtr stand_in) {
    static constexpr std::array<FieldRow<Profile>, 3> kRows{{
        {"ingress", nullptr},
        {"egress", nullptr},
        {"labelsToApply",
         [](const Field& f, Profile& p) { return parse_labels(f, p.labels_to_apply); }},
    }};
    Profile profile = denying_profile();
    if (stand_in && !parse_fields<Profile>(spec, kRows, profile, Unknown::RefuseSimilar)) {
        return {std::move(stand_in), "endpoints that name it are closed"};
    }
    if (!stand_in || profile.labels_to_apply.empty()) {
        return {};
    }
    return made(std::move(known), std::move(profile), "its labelsToApply count");
}

/// Its profiles give it labels: without them it lends nothing, yet closes its interface.
Salvage host(const Field& spec, const Resource& closed) {
    auto endpoint = closed.as<HostEndpoint>();
    if (!read_texts(spec, "profiles", endpoint.profiles)) {
        return {std::make_shared<const Resource>(closed), {}};
    }
    endpoint.lends = true;
    endpoint.expected_ips.clear();
    Tally addresses;
    read_entries(spec, "expectedIPs", addresses, [&](const Field& item) {
        return parse_expected_ip(item, endpoint).has_value();
    });
    drop_doubles(endpoint.expected_ips);
    const Tally ports = read_ports(spec, endpoint.ports);
    std::string what = addresses.written > 0 ? counts(addresses, "expectedIPs", ports) : "";
    return made(closed, std::move(endpoint), std::move(what));
}

}  // namespace

Salvage salvage(const Field& object, Resource known, ResourcePtr stand_in) {
    if (known.key.kind == Kind::EndpointSlice) {
        return slice(object, std::move(known));
    }
    const auto spec = object.child("spec");
    if (!spec || spec->node().type != Node::Type::Map) {
        return {std::move(stand_in), {}};
    }
    switch (known.key.kind) {
        case Kind::NetworkSet:
        case Kind::GlobalNetworkSet:
            return network_set(*spec, std::move(known));
        case Kind::WorkloadEndpoint:
            return workload(*spec, std::move(known));
        case Kind::Profile:
            return profile(*spec, std::move(known), std::move(stand_in));
        case Kind::HostEndpoint:
            return stand_in ? host(*spec, *stand_in) : Salvage{};
        default:
            return {std::move(stand_in), {}};
    }
}

ObjectState state_in_place(const ResourcePtr& in_force) {
    if (!in_force) {
        return ObjectState::Missing;
    }
    const bool lends_alone = std::holds_alternative<NetworkSet>(in_force->spec) ||
                             std::holds_alternative<EndpointSlice>(in_force->spec) ||
                             std::holds_alternative<WorkloadEndpoint>(in_force->spec);
    return lends_alone ? ObjectState::Partial : ObjectState::StandIn;
}

}  // namespace vr::policy
