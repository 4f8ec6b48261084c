// SPDX-License-Identifier: Apache-2.0
#include "policy/felix.h"

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

}  // namespace

std::string felix_name(const std::string& node) {
    return "node." + node;
}

FelixSettings felix_settings(const FelixConfiguration* everywhere, const FelixConfiguration* here) {
    FelixSettings settings{default_inbound(), default_outbound(), EndpointToHost::Drop};
    for (const auto* felix : {everywhere, here}) {
        if (felix != nullptr) {
            settings.failsafe_inbound =
                felix->failsafe_inbound.value_or(std::move(settings.failsafe_inbound));
            settings.failsafe_outbound =
                felix->failsafe_outbound.value_or(std::move(settings.failsafe_outbound));
            settings.endpoint_to_host = felix->endpoint_to_host.value_or(settings.endpoint_to_host);
        }
    }
    return settings;
}

}  // namespace vr::policy
