// SPDX-License-Identifier: Apache-2.0
#include "vrouter/endpoint_parts.h"

#include <variant>

namespace vr {

Endpoint describe(const Workload& workload) {
    Endpoint endpoint;
    endpoint.name = workload.name;
    endpoint.active = workload.active;
    endpoint.mac = workload.mac.value_or(Mac{});
    endpoint.v4.addresses = workload.addresses4;
    endpoint.v6.addresses = workload.addresses6;
    endpoint.v4.spoofable = workload.spoofable4;
    endpoint.v6.spoofable = workload.spoofable6;
    endpoint.dscp = workload.qos.dscp;
    return endpoint;
}

void set_programs(Endpoint& endpoint, const CompiledPrograms& compiled) {
    const auto judge = [&]<Family F>(EndpointFamily<F>& part, auto Compiled::* of) {
        part.ingress = compiled[kIngress].*of;
        part.egress = compiled[kEgress].*of;
        part.staged_ingress = compiled[kStagedIngress].*of;
        part.staged_egress = compiled[kStagedEgress].*of;
    };
    judge(endpoint.v4, &Compiled::v4);
    judge(endpoint.v6, &Compiled::v6);
}

void set_translations(
    Endpoint& endpoint, std::span<const ServedAddresses::Translated> translations) {
    const auto fill = [&]<Family F>(EndpointFamily<F>& part) {
        part.translations.clear();
        for (const auto& [address, id] : translations) {
            if (const auto* external = std::get_if<typename F::Addr>(&address.external)) {
                part.translations.push_back(
                    {id, *external, std::get<typename F::Addr>(address.internal)});
            }
        }
    };
    fill(endpoint.v4);
    fill(endpoint.v6);
}

bool judge_flows_alike(const Endpoint& a, const Endpoint& b) {
    const auto alike = [](const auto& one, const auto& other) {
        return one.addresses == other.addresses && one.ingress == other.ingress &&
               one.egress == other.egress;
    };
    return a.active == b.active && alike(a.v4, b.v4) && alike(a.v6, b.v6);
}

}  // namespace vr
