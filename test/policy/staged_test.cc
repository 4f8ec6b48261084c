// Staged policies as what-if: what would become of packets if they were in force.  POLICY 2.5 step 6.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "test/policy/cluster.h"

namespace vr::policy::staged_test {
namespace {

std::string head(std::string_view kind, std::string_view metadata) {
    return "---\napiVersion: projectcalico.org/v3\nkind: " + std::string(kind) + "\nmetadata: {" +
           std::string(metadata) + "}\n";
}

const std::string kEndpoint =
    head("WorkloadEndpoint", "name: vm, namespace: a, labels: {app: web}") +
    "spec: {orchestrator: k8s, node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.2, 'fd00::2'], "
    "profiles: [projectcalico-default-allow], ports: [{name: http, protocol: TCP, port: 8080}]}\n" +
    head("WorkloadEndpoint", "name: client, namespace: a, labels: {app: client}") +
    "spec: {orchestrator: k8s, node: h2, interfaceName: tapc, ipNetworks: [10.0.0.3]}\n";

/// What would decide about TCP from `source` to a/vm, and that both judges say so.
Decision preview(const Cluster& cluster, std::string_view source, std::uint16_t port) {
    const auto p = packet<V4>(source, "10.0.0.2", 6, 1000, port);
    const Key vm = endpoint_key("a", "vm");
    const Decision wanted = cluster.reference<V4>(vm, Direction::Ingress, p, View::Preview);
    const Decision said = cluster.compiled<V4>(vm, Direction::Ingress, p, View::Preview);
    EXPECT_EQ(said.allow, wanted.allow);
    EXPECT_EQ(said.by, wanted.by) << said.by.policy << " / " << wanted.by.policy;
    EXPECT_TRUE(cluster.reference<V4>(vm, Direction::Ingress, p).allow) << "it acts";
    return wanted;
}

TEST(Staged, WouldStandBesideTheOthers) {
    const Cluster cluster(
        kEndpoint + head("StagedGlobalNetworkPolicy", "name: s") +
        "spec: {types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: "
        "[80]}}, {action: Allow}]}\n");
    EXPECT_EQ(
        preview(cluster, "10.0.0.3", 80).by,
        (acl::Origin{"default", "StagedGlobalNetworkPolicy s", 0}));
    EXPECT_TRUE(preview(cluster, "10.0.0.3", 81).allow);
}

TEST(Staged, WouldReplaceThePolicyOfItsName) {
    const Cluster cluster(
        kEndpoint + head("NetworkPolicy", "name: p, namespace: a") +
        "spec: {types: [Ingress], ingress: [{action: Allow}]}\n" +
        head("StagedNetworkPolicy", "name: p, namespace: a") +
        "spec: {selector: app == 'other', types: [Ingress]}\n");
    // The endpoint is not selected any more: its profile decides.
    EXPECT_EQ(preview(cluster, "10.0.0.3", 80).by.policy, "Profile projectcalico-default-allow");
}

TEST(Staged, WouldDeleteThePolicyOfItsName) {
    const Cluster cluster(
        kEndpoint + head("GlobalNetworkPolicy", "name: p") +
        "spec: {types: [Ingress], ingress: [{action: Allow}]}\n" +
        head("StagedGlobalNetworkPolicy", "name: p") + "spec: {stagedAction: Delete}\n");
    EXPECT_EQ(preview(cluster, "10.0.0.3", 80).by.policy, "Profile projectcalico-default-allow");
}

TEST(Staged, IsNoProgramWhereNothingIsStaged) {
    const Cluster cluster(kEndpoint);
    EXPECT_FALSE(cluster.sink.workloads.at("a/vm").staged_ingress);
    EXPECT_FALSE(cluster.sink.workloads.at("a/vm").staged_egress);
}

TEST(Staged, GoesWithItsPolicy) {
    Cluster cluster(
        kEndpoint + head("StagedGlobalNetworkPolicy", "name: s") +
        "spec: {types: [Ingress], ingress: [{action: Deny}]}\n");
    EXPECT_TRUE(cluster.sink.workloads.at("a/vm").staged_ingress);
    EXPECT_FALSE(cluster.sink.workloads.at("a/vm").staged_egress);
    cluster.remove({Kind::StagedGlobalNetworkPolicy, {}, "s"});
    EXPECT_FALSE(cluster.sink.workloads.at("a/vm").staged_ingress);
}

/// POLICY 2.6: each hook of a host endpoint for itself.
TEST(Staged, IsAProgramAtTheHooksOfHostsWhereItMakesADifference) {
    const Cluster cluster(
        head("HostEndpoint", "name: eth0, labels: {side: host}") +
        "spec: {node: h1, interfaceName: eth0}\n" + head("StagedGlobalNetworkPolicy", "name: s") +
        "spec: {selector: has(side), applyOnForward: true, types: [Ingress], ingress: [{action: "
        "Allow, protocol: TCP, destination: {ports: [80]}}]}\n");
    const HostGuard& guard = cluster.sink.hosts.at("eth0");
    for (const HostHook hook : kAllHostHooks) {
        EXPECT_EQ(
            guard.staged[static_cast<std::size_t>(hook)] != nullptr,
            hook == HostHook::NormalIngress || hook == HostHook::ForwardIngress)
            << name(hook) << is_ingress(hook);
    }
    EXPECT_FALSE(guard.program(HostHook::ForwardIngress)) << "nothing acts there";
    const auto p = packet<V4>("10.0.0.3", "10.0.0.2", 6, 1000, 80);
    const Key eth0 = host_key("eth0");
    EXPECT_FALSE(cluster.compiled<V4>(eth0, HostHook::NormalIngress, p).allow);
    EXPECT_EQ(
        cluster.compiled<V4>(eth0, HostHook::NormalIngress, p, View::Preview).by,
        (acl::Origin{"default", "StagedGlobalNetworkPolicy s", 0}));
}

/// Behind what would be deleted a forward hook lets everything pass.
TEST(Staged, WouldDeleteTheLastPolicyOfAHook) {
    const Cluster cluster(
        head("HostEndpoint", "name: eth0, labels: {side: host}") +
        "spec: {node: h1, interfaceName: eth0}\n" + head("GlobalNetworkPolicy", "name: p") +
        "spec: {selector: has(side), applyOnForward: true, types: [Ingress], ingress: [{action: "
        "Deny}]}\n" +
        head("StagedGlobalNetworkPolicy", "name: p") + "spec: {stagedAction: Delete}\n");
    const auto p = packet<V4>("10.0.0.3", "10.0.0.2", 6, 1000, 80);
    const Key eth0 = host_key("eth0");
    EXPECT_FALSE(cluster.compiled<V4>(eth0, HostHook::ForwardIngress, p).allow);
    EXPECT_TRUE(cluster.compiled<V4>(eth0, HostHook::ForwardIngress, p, View::Preview).allow);
}

TEST(Staged, ReadsThePoliciesOfKubernetes) {
    const Cluster cluster(
        kEndpoint + head("StagedKubernetesNetworkPolicy", "name: k, namespace: a") + R"(spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: {matchExpressions: [{key: app, operator: In, values: [client]}]}
    - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}
    ports: [{port: http}, {port: 9000, endPort: 9010}]
)");
    EXPECT_TRUE(preview(cluster, "10.0.0.3", 8080).allow);
    EXPECT_TRUE(preview(cluster, "192.0.2.1", 9005).allow);
    EXPECT_FALSE(preview(cluster, "192.0.2.200", 9005).allow);
    EXPECT_FALSE(preview(cluster, "10.0.0.3", 8081).allow);
    EXPECT_FALSE(preview(cluster, "10.0.0.9", 8080).allow);
}

TEST(Staged, MistakesInPoliciesOfKubernetesAreToldWithTheirPlace) {
    const auto error = [](const std::string& spec) {
        const auto parsed = parse_file(
            "k.yaml",
            head("StagedKubernetesNetworkPolicy", "name: k, namespace: a") + "spec: " + spec);
        return parsed.value().objects.at(0).error;
    };
    EXPECT_EQ(error("{podSelector: {}}\n"), "");
    EXPECT_NE(
        error("{ingress: [{from: [{}]}]}\n").find("k.yaml:5: spec.ingress[0].from[0]: a peer"),
        std::string::npos);
    EXPECT_NE(error("{ingress: [{ports: [{endPort: 5}]}]}\n").find("endPort"), std::string::npos);
    EXPECT_NE(
        error("{podSelector: {matchExpressions: [{key: a, operator: Is}]}}\n")
            .find("unknown operator"),
        std::string::npos);
    EXPECT_NE(error("{stagedAction: Do}\n").find("unknown stagedAction"), std::string::npos);
}

}  // namespace
}  // namespace vr::policy::staged_test
