// Kinds of resources by the words that people type for them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace vr::ctl {

struct Kind {
    std::string_view name;  ///< as in a document
    std::string_view word;  ///< lower case
    std::string_view plural;
    std::string_view brief;
};

inline constexpr std::array kKinds{
    Kind{
        .name = "BGPConfiguration",
        .word = "bgpconfiguration",
        .plural = "bgpconfigurations",
        .brief = "bgpconfig"},
    Kind{.name = "BGPFilter", .word = "bgpfilter", .plural = "bgpfilters", .brief = "bgpf"},
    Kind{.name = "BGPPeer", .word = "bgppeer", .plural = "bgppeers", .brief = "bgpp"},
    Kind{
        .name = "ClusterInformation",
        .word = "clusterinformation",
        .plural = "clusterinformations",
        .brief = "clusterinfo"},
    Kind{
        .name = "EndpointSlice",
        .word = "endpointslice",
        .plural = "endpointslices",
        .brief = "eps"},
    Kind{
        .name = "FelixConfiguration",
        .word = "felixconfiguration",
        .plural = "felixconfigurations",
        .brief = "felixconfig"},
    Kind{
        .name = "GlobalNetworkPolicy",
        .word = "globalnetworkpolicy",
        .plural = "globalnetworkpolicies",
        .brief = "gnp"},
    Kind{
        .name = "GlobalNetworkSet",
        .word = "globalnetworkset",
        .plural = "globalnetworksets",
        .brief = "gns"},
    Kind{.name = "HostEndpoint", .word = "hostendpoint", .plural = "hostendpoints", .brief = "hep"},
    Kind{.name = "IPPool", .word = "ippool", .plural = "ippools", .brief = "ipp"},
    Kind{
        .name = "IPReservation",
        .word = "ipreservation",
        .plural = "ipreservations",
        .brief = "ipr"},
    Kind{
        .name = "LiveMigration",
        .word = "livemigration",
        .plural = "livemigrations",
        .brief = "lm"},
    Kind{
        .name = "NetworkPolicy",
        .word = "networkpolicy",
        .plural = "networkpolicies",
        .brief = "np"},
    Kind{.name = "NetworkSet", .word = "networkset", .plural = "networksets", .brief = "ns"},
    Kind{.name = "Node", .word = "node", .plural = "nodes", .brief = "no"},
    Kind{.name = "Profile", .word = "profile", .plural = "profiles", .brief = "pro"},
    Kind{
        .name = "StagedGlobalNetworkPolicy",
        .word = "stagedglobalnetworkpolicy",
        .plural = "stagedglobalnetworkpolicies",
        .brief = "sgnp"},
    Kind{
        .name = "StagedKubernetesNetworkPolicy",
        .word = "stagedkubernetesnetworkpolicy",
        .plural = "stagedkubernetesnetworkpolicies",
        .brief = "sknp"},
    Kind{
        .name = "StagedNetworkPolicy",
        .word = "stagednetworkpolicy",
        .plural = "stagednetworkpolicies",
        .brief = "snp"},
    Kind{.name = "Tier", .word = "tier", .plural = "tiers", .brief = "ti"},
    Kind{
        .name = "WorkloadEndpoint",
        .word = "workloadendpoint",
        .plural = "workloadendpoints",
        .brief = "wep"},
};

/// By document name, word, plural or short form, in any case; "all" is every kind (an empty name).
[[nodiscard]] std::optional<std::string_view> kind_of(std::string_view text);

}  // namespace vr::ctl
