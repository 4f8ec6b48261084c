// SPDX-License-Identifier: Apache-2.0
#include "policy/felix.h"

#include <chrono>
#include <initializer_list>
#include <utility>

#include "vrouter/net/headers.h"
#include "vrouter/net/host_port.h"

namespace vr::policy {

namespace {

std::vector<FailsafePort> ports(
    std::initializer_list<std::pair<std::uint8_t, std::uint16_t>> numbers) {
    std::vector<FailsafePort> all;
    for (const auto& [protocol, number] : numbers) {
        all.push_back({protocol, L4Port{number}, std::nullopt});
    }
    return all;
}

/// SSH, BGP, etcd, Typha, the Kubernetes API server, old etcd, DHCP.
std::vector<FailsafePort> default_inbound() {
    return ports(
        {{ipproto::kTcp, 22},
         {ipproto::kTcp, 179},
         {ipproto::kTcp, 2379},
         {ipproto::kTcp, 2380},
         {ipproto::kTcp, 5473},
         {ipproto::kTcp, kPolicydPort},
         {ipproto::kTcp, 6443},
         {ipproto::kTcp, 6666},
         {ipproto::kTcp, 6667},
         {ipproto::kUdp, 68}});
}

std::vector<FailsafePort> default_outbound() {
    return ports(
        {{ipproto::kTcp, 179},
         {ipproto::kTcp, 2379},
         {ipproto::kTcp, 2380},
         {ipproto::kTcp, 5473},
         {ipproto::kTcp, kPolicydPort},
         {ipproto::kTcp, 6443},
         {ipproto::kTcp, 6666},
         {ipproto::kTcp, 6667},
         {ipproto::kUdp, 53},
         {ipproto::kUdp, 67}});
}

void override_with(const FelixConfiguration& other, FelixConfiguration& felix) {
    const auto take = [&](auto field) {
        if (other.*field) {
            felix.*field = other.*field;
        }
    };
    take(&FelixConfiguration::failsafe_inbound);
    take(&FelixConfiguration::failsafe_outbound);
    take(&FelixConfiguration::endpoint_to_host);
    take(&FelixConfiguration::allow_vxlan);
    take(&FelixConfiguration::allow_ipip);
    take(&FelixConfiguration::skip_invalid_check);
    take(&FelixConfiguration::reject);
    take(&FelixConfiguration::tap_interfaces);
    take(&FelixConfiguration::metadata_address);
    take(&FelixConfiguration::metadata_port);
    take(&FelixConfiguration::floating);
    take(&FelixConfiguration::nat_ports);
    take(&FelixConfiguration::nat_address);
    take(&FelixConfiguration::nat_spares_hosts);
    take(&FelixConfiguration::spoofing);
    take(&FelixConfiguration::log_prefix);
    take(&FelixConfiguration::log_rate);
    take(&FelixConfiguration::log_burst);
    take(&FelixConfiguration::migration_seconds);
    take(&FelixConfiguration::elevated_priority4);
    take(&FelixConfiguration::elevated_priority6);
}

/// Only where somebody says that this is OpenStack: guests of other clouds get nothing for free.
std::optional<OpenStackServices> openstack_services(const FelixConfiguration& felix) {
    const bool named = felix.metadata_address && *felix.metadata_address;
    if (!named && !felix.tap_interfaces.value_or(false)) {
        return std::nullopt;
    }
    OpenStackServices services;
    services.metadata_address = felix.metadata_address.value_or(std::nullopt);
    services.metadata_port = felix.metadata_port.value_or(services.metadata_port);
    return services;
}

NatOutgoing nat_outgoing(const FelixConfiguration& felix) {
    NatOutgoing nat;
    if (const auto ports = felix.nat_ports.value_or(std::nullopt)) {
        nat.first_port = ports->first;
        nat.last_port = ports->last;
    }
    nat.address = felix.nat_address.value_or(std::nullopt);
    nat.spares_hosts = felix.nat_spares_hosts.value_or(false);
    return nat;
}

PolicyLogTerms policy_log(const FelixConfiguration& felix) {
    PolicyLogTerms terms;
    terms.prefix = felix.log_prefix.value_or(terms.prefix);
    terms.rate = felix.log_rate;
    terms.burst = felix.log_burst.value_or(terms.burst);
    return terms;
}

MigrationTerms migration(const FelixConfiguration& felix) {
    MigrationTerms terms;
    auto& [priority4, priority6] = terms.priority;
    priority4 = felix.elevated_priority4.value_or(priority4);
    priority6 = felix.elevated_priority6.value_or(priority6);
    if (felix.migration_seconds) {
        terms.settling = std::chrono::seconds(*felix.migration_seconds);
    }
    return terms;
}

}  // namespace

std::string felix_name(const std::string& node) {
    return "node." + node;
}

FelixSettings felix_settings(const FelixConfiguration* everywhere, const FelixConfiguration* here) {
    FelixConfiguration both;
    for (const auto* felix : {everywhere, here}) {
        if (felix != nullptr) {
            override_with(*felix, both);
        }
    }
    return {
        .failsafe_inbound = both.failsafe_inbound ? *both.failsafe_inbound : default_inbound(),
        .failsafe_outbound = both.failsafe_outbound ? *both.failsafe_outbound : default_outbound(),
        .workloads =
            {.to_host = both.endpoint_to_host.value_or(EndpointToHost::Drop),
             .allow_vxlan = both.allow_vxlan.value_or(false),
             .allow_ipip = both.allow_ipip.value_or(false),
             .drop_invalid = !both.skip_invalid_check.value_or(false),
             .reject = both.reject.value_or(false),
             .openstack = openstack_services(both)},
        .nat_outgoing = nat_outgoing(both),
        .policy_log = policy_log(both),
        .migration = migration(both),
        .floating = both.floating.value_or(false),
        .spoofing = both.spoofing.value_or(false)};
}

bool is_permitted(const WorkloadEndpoint& endpoint, const FelixSettings& felix) {
    return felix.spoofing || endpoint.spoofable.empty();
}

FelixSettings felix_settings(std::span<const ResourcePtr> cluster, const std::string& node) {
    const FelixConfiguration* everywhere = nullptr;
    const FelixConfiguration* here = nullptr;
    for (const auto& resource : cluster) {
        if (const auto* felix = std::get_if<FelixConfiguration>(&resource->spec)) {
            if (resource->key.name == kFelixDefault) {
                everywhere = felix;
            } else if (resource->key.name == felix_name(node)) {
                here = felix;
            }
        }
    }
    return felix_settings(everywhere, here);
}

}  // namespace vr::policy
