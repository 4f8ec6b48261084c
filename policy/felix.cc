// SPDX-License-Identifier: Apache-2.0
#include "policy/felix.h"

#include <initializer_list>
#include <utility>

namespace vr::policy {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

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
        {{kTcp, 22},
         {kTcp, 179},
         {kTcp, 2379},
         {kTcp, 2380},
         {kTcp, 5473},
         {kTcp, 6443},
         {kTcp, 6666},
         {kTcp, 6667},
         {kUdp, 68}});
}

std::vector<FailsafePort> default_outbound() {
    return ports(
        {{kTcp, 179},
         {kTcp, 2379},
         {kTcp, 2380},
         {kTcp, 5473},
         {kTcp, 6443},
         {kTcp, 6666},
         {kTcp, 6667},
         {kUdp, 53},
         {kUdp, 67}});
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
