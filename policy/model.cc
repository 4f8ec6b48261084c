// SPDX-License-Identifier: Apache-2.0
#include "policy/model.h"

#include <algorithm>
#include <array>

namespace vr::policy {

namespace {

constexpr std::array kKinds{
    KindRow{Kind::BGPConfiguration, "BGPConfiguration", "bgpconfigurations", false},
    KindRow{Kind::BGPFilter, "BGPFilter", "bgpfilters", false},
    KindRow{Kind::BGPPeer, "BGPPeer", "bgppeers", false},
    KindRow{Kind::ClusterInformation, "ClusterInformation", "clusterinformations", false},
    KindRow{Kind::EndpointSlice, "EndpointSlice", "endpointslices", true},
    KindRow{Kind::FelixConfiguration, "FelixConfiguration", "felixconfigurations", false},
    KindRow{Kind::GlobalNetworkPolicy, "GlobalNetworkPolicy", "globalnetworkpolicies", false},
    KindRow{Kind::GlobalNetworkSet, "GlobalNetworkSet", "globalnetworksets", false},
    KindRow{Kind::HostEndpoint, "HostEndpoint", "hostendpoints", false},
    KindRow{Kind::IPPool, "IPPool", "ippools", false},
    KindRow{Kind::IPReservation, "IPReservation", "ipreservations", false},
    KindRow{Kind::LiveMigration, "LiveMigration", "livemigrations", true},
    KindRow{Kind::NetworkPolicy, "NetworkPolicy", "networkpolicies", true},
    KindRow{Kind::NetworkSet, "NetworkSet", "networksets", true},
    KindRow{Kind::Node, "Node", "nodes", false},
    KindRow{Kind::Profile, "Profile", "profiles", false},
    KindRow{
        Kind::StagedGlobalNetworkPolicy,
        "StagedGlobalNetworkPolicy",
        "stagedglobalnetworkpolicies",
        false},
    KindRow{
        Kind::StagedKubernetesNetworkPolicy,
        "StagedKubernetesNetworkPolicy",
        "stagedkubernetesnetworkpolicies",
        true},
    KindRow{Kind::StagedNetworkPolicy, "StagedNetworkPolicy", "stagednetworkpolicies", true},
    KindRow{Kind::Tier, "Tier", "tiers", false},
    KindRow{Kind::WorkloadEndpoint, "WorkloadEndpoint", "workloadendpoints", true},
};

bool same_word(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const KindRow> kinds() {
    return kKinds;
}

const KindRow& row_of(Kind kind) {
    return kKinds[static_cast<std::size_t>(kind)];
}

std::optional<Kind> find_kind(std::string_view text) {
    for (const auto& row : kKinds) {
        if (same_word(text, row.name) || same_word(text, row.plural)) {
            return row.kind;
        }
    }
    return std::nullopt;
}

std::string misnamed(Kind kind) {
    const KindRow& row = row_of(kind);
    return "names no " + std::string(row.name) + ": expected " +
           (row.namespaced ? "NAMESPACE/NAME" : "a name") + " behind " + std::string(row.plural) +
           "/";
}

std::string to_string(const Key& key) {
    const std::string kind(row_of(key.kind).name);
    return key.ns.empty() ? kind + " " + key.name : kind + " " + key.ns + "/" + key.name;
}

Key enforced_key(const Key& key) {
    switch (key.kind) {
        case Kind::StagedGlobalNetworkPolicy:
            return {Kind::GlobalNetworkPolicy, key.ns, key.name};
        case Kind::StagedNetworkPolicy:
            return {Kind::NetworkPolicy, key.ns, key.name};
        case Kind::StagedKubernetesNetworkPolicy:
            // How Calico calls the policies of Kubernetes.
            return {Kind::NetworkPolicy, key.ns, "knp.default." + key.name};
        default:
            return key;
    }
}

std::optional<Tier> built_in_tier(std::string_view name) {
    if (name == "default") {
        return Tier{1'000'000, TierDefault::Deny};
    }
    if (name == "kube-admin") {
        return Tier{1'000, TierDefault::Pass};
    }
    if (name == "kube-baseline") {
        return Tier{10'000'000, TierDefault::Pass};
    }
    return std::nullopt;
}

}  // namespace vr::policy
