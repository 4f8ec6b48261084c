// What update_bench writes: the objects of this host and of others, and which of them are changed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/model.h"
#include "test/dataplane/packet_builder.h"
#include "vrouter/net/addr.h"

namespace vr::perf {

using test::host;

inline constexpr std::uint32_t kClient = 0xc0000201;  ///< 192.0.2.1, on the fabric
inline constexpr int kRules = 1000;

inline std::string head(
    const std::string& kind, const std::string& name, const std::string& labels = "") {
    return "apiVersion: projectcalico.org/v3\nkind: " + kind + "\nmetadata: {name: " + name +
           ", namespace: prod, labels: {" + labels + "}}\nspec:\n";
}

inline std::string endpoint_name(std::size_t i) {
    return fmt::format("h-openstack-w{:03}-eth0", i);
}

inline std::string endpoint(
    const std::string& node, std::size_t i, Ip4 address, const std::string& role) {
    return head("WorkloadEndpoint", node + endpoint_name(i).substr(1), "role: " + role) +
           fmt::format(
               "  node: {}\n  orchestrator: openstack\n  workload: w{:03}\n  endpoint: eth0\n"
               "  interfaceName: tap{:03}\n  mac: \"02:00:00:00:09:{:02x}\"\n  ipNetworks: "
               "[{}/32]\n",
               node,
               i,
               i,
               i % 256,
               to_string(address));
}

inline std::string network_set(bool with_client) {
    return head("NetworkSet", "clients", "role: client") + "  nets: [198.51.100.0/24" +
           (with_client ? ", " + to_string(host<V4>(kClient)) + "/32]\n" : "]\n");
}

/// Rules that look at everything and match nothing, then one about the clients.
inline std::string network_policy(bool allow) {
    std::string text = head("NetworkPolicy", "default.web") +
                       "  tier: default\n  order: 100\n  selector: role == 'server'\n"
                       "  types: [Ingress]\n  ingress:\n";
    for (int i = 0; i + 1 < kRules; ++i) {
        text += fmt::format(
            "  - action: Deny\n    protocol: UDP\n    source: {{nets: [172.16.{}.{}/32]}}\n"
            "    destination: {{ports: [{}]}}\n",
            i / 256,
            i % 256,
            i + 1);
    }
    return text + "  - action: " + (allow ? "Allow" : "Deny") +
           "\n    source: {selector: role == 'client'}\n";
}

inline constexpr std::size_t kGroups = 1000;

inline std::string endpoint_elsewhere(std::size_t i) {
    const std::string name = fmt::format("h{}-openstack-c{}-eth0", i / 100, i);
    return head("WorkloadEndpoint", name, fmt::format("group: g{}", i % kGroups)) +
           fmt::format(
               "  node: h{}\n  orchestrator: openstack\n  workload: c{}\n  endpoint: eth0\n"
               "  interfaceName: tap{}\n  ipNetworks: [{}/32]\n",
               i / 100,
               i,
               i,
               to_string(Ip4{0x0b000000 + static_cast<std::uint32_t>(i)}));
}

/// Lets a few groups reach another one; those of the first also guard the local endpoints, behind what is changed.
inline std::string policy_elsewhere(std::size_t i) {
    std::string text = head("NetworkPolicy", fmt::format("default.c{}", i)) +
                       fmt::format(
                           "  tier: default\n  order: 200\n  types: [Ingress]\n"
                           "  selector: group == 'g{}'{}\n  ingress:\n",
                           i % kGroups,
                           i % kGroups == 0 ? " || role == 'server'" : "");
    for (std::size_t rule = 0; rule < 5; ++rule) {
        text += fmt::format(
            "  - action: Allow\n    protocol: TCP\n    source: {{selector: group == 'g{}'}}\n"
            "    destination: {{ports: [{}]}}\n",
            (i * 7 + rule * 131) % kGroups,
            1000 + rule);
    }
    return text;
}

/// What is changed, to and fro.
struct Scenario {
    std::string name;
    std::string file;
    std::string (*text)(bool allow);  ///< empty: it goes, and is the client
    bool has_client;                  ///< the set holds the client from the start
};

inline const policy::Key kClientKey{
    policy::Kind::WorkloadEndpoint, "prod", "x-openstack-w000-eth0"};

inline std::string client(bool allow) {
    return endpoint("x", 0, host<V4>(kClient), allow ? "client" : "other");
}

inline const std::vector<Scenario> kScenarios{
    {"members of a network set", "set.yaml", network_set, false},
    {"labels of an endpoint", "client.yaml", client, false},
    {"endpoint comes", "client.yaml", [](bool allow) { return allow ? client(true) : ""; }, false},
    {"policy of 1,000 rules", "policy.yaml", network_policy, true}};

}  // namespace vr::perf
