// What lint finds in directories, and that it finds nothing in good ones.
// SPDX-License-Identifier: Apache-2.0
#include "policy/lint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vr::policy::lint_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string object(std::string_view kind, std::string_view metadata, std::string_view spec) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\nspec: {{{}}}\n",
        kind,
        metadata,
        spec);
}

const std::string kWeb = object(
    "WorkloadEndpoint",
    "name: web, namespace: a, labels: {role: web}",
    "node: h, interfaceName: t1, ipNetworks: [10.0.0.1], ports: [{name: http, protocol: TCP, port: "
    "80}]");

const std::string kNode = object("Node", "name: h, labels: {rack: r1}", "");

std::string workload(std::string_view name, std::string_view node, std::string_view address) {
    return object(
        "WorkloadEndpoint",
        fmt::format("name: {}, namespace: a", name),
        fmt::format(
            "orchestrator: openstack, workload: vm, endpoint: p, node: {}, interfaceName: t, "
            "ipNetworks: [{}]",
            node,
            address));
}

std::string policy(std::string_view name, std::string_view spec) {
    return object(
        "GlobalNetworkPolicy",
        fmt::format("name: {}", name),
        fmt::format("types: [Ingress], {}", spec));
}

/// "KIND LINE OBJECT: text" of each finding that is no warning.
std::vector<std::string> found(const std::string& yaml) {
    std::vector<std::string> lines;
    for (const auto& finding : lint({{"x.yaml", yaml}})) {
        if (finding.kind != Finding::Kind::Warning) {
            lines.push_back(fmt::format("{} {}", finding.object, finding.text));
        }
    }
    return lines;
}

struct Row {
    const char* name;
    std::string yaml;
    std::vector<std::string> findings;
};

class Lint : public testing::TestWithParam<Row> {};

TEST_P(Lint, Finds) {
    EXPECT_EQ(found(GetParam().yaml), GetParam().findings);
}

const std::string kAllowAll = "ingress: [{action: Allow}]";

INSTANTIATE_TEST_SUITE_P(
    Directories,
    Lint,
    testing::Values(
        Row{"ARuleThatExceptsWhatItNames",
            kWeb + policy(
                       "p",
                       "ingress: [{action: Allow, protocol: UDP, notProtocol: UDP}, {action: Deny, "
                       "source: {nets: [10.0.0.0/9, 10.128.0.0/9], notNets: [10.0.0.0/8]}}]"),
            {"GlobalNetworkPolicy p ingress rule 0: its criteria leave out all that they name",
             "GlobalNetworkPolicy p ingress rule 1: its criteria leave out all that they name"}},
        Row{"NothingInGoodOnes",
            kWeb +
                policy(
                    "p",
                    "selector: role == 'web', ingress: [{action: Log}, {action: Allow, protocol: "
                    "TCP, destination: {ports: [http]}}, {action: Deny}]"),
            {}},
        Row{"PolicyWithoutEndpoints",
            kWeb + policy("p", "selector: role == 'db', " + kAllowAll),
            {"GlobalNetworkPolicy p selects no endpoint"}},
        Row{"MisspeltLabels",
            object(
                "WorkloadEndpoint",
                "name: web, namespace: a, lables: {role: web}",
                "node: h, interfaceName: t1, ipNetworks: [10.0.0.1]"),
            {"WorkloadEndpoint a/web metadata.lables: unknown field, is it 'labels'?"}},
        Row{"PolicyOfAHostEndpoint",
            kWeb +
                object(
                    "HostEndpoint",
                    "name: up, labels: {side: host}",
                    "node: h, interfaceName: eth0, ports: [{name: ssh, protocol: TCP, port: 22}]") +
                policy(
                    "p",
                    "selector: has(side), ingress: [{action: Allow, protocol: TCP, destination: "
                    "{selector: has(side), ports: [ssh]}}, {action: Deny}]") +
                policy(
                    "early",
                    "selector: has(side), applyOnForward: true, preDNAT: true, order: 1, ingress: "
                    "[{action: Deny, source: {nets: [192.0.2.0/24]}}]"),
            {}},
        Row{"HostEndpointWithAnUnknownProfile",
            object("HostEndpoint", "name: up", "node: h, interfaceName: eth0, profiles: [no]"),
            {"HostEndpoint up names Profile no, which does not exist: what comes to it is denied"}},
        Row{"NothingIsSaidOfSelectorsWithoutEndpoints",
            policy(
                "p",
                "selector: role == 'db', ingress: [{action: Allow, source: {selector: x == 'y'}}]"),
            {}},
        Row{"RuleWithEmptySelector",
            kWeb + policy("p", "ingress: [{action: Allow, source: {selector: x == 'y'}}]"),
            {"GlobalNetworkPolicy p ingress rule 0: source: no endpoint or network set is x == "
             "\"y\""}},
        Row{"WhatCanBeReadOfASetIsThere",
            kWeb + object("GlobalNetworkSet", "name: s, labels: {x: y}", "nets: [10.0.0.0/8, z]") +
                policy("p", "ingress: [{action: Allow, source: {selector: x == 'y'}}]"),
            {"GlobalNetworkSet s spec.nets[1]: 'z' is not an address or prefix, expected such as "
             "10.0.0.0/8 or fd00::/8; 1 of 2 nets count"}},
        Row{"LabelsOfAProfileThatDenies",
            object("Profile", "name: q", "labelsToApply: {x: y}, ingress: [{action: Alow}]") +
                object(
                    "WorkloadEndpoint",
                    "name: db, namespace: a",
                    "node: h, interfaceName: t2, ipNetworks: [10.0.0.2], profiles: [q]") +
                policy("p", "selector: x == 'y', " + kAllowAll),
            {"Profile q spec.ingress[0].action: unknown action 'Alow', expected Allow, Deny, Log "
             "or "
             "Pass; its labelsToApply count"}},
        Row{"PortThatNobodyHas",
            kWeb +
                policy(
                    "p", "ingress: [{action: Allow, protocol: UDP, destination: {ports: [http]}}]"),
            {"GlobalNetworkPolicy p ingress rule 0: destination: no endpoint has a port named "
             "http"}},
        Row{"NeitherFamily",
            kWeb +
                policy(
                    "p", "ingress: [{action: Allow, ipVersion: 6, source: {nets: [10.0.0.0/8]}}]"),
            {"GlobalNetworkPolicy p ingress rule 0: matches packets of neither family"}},
        Row{"ShadowedRule",
            kWeb + policy(
                       "p",
                       "ingress: [{action: Deny, source: {nets: [10.0.0.0/8]}}, {action: Allow, "
                       "protocol: TCP, source: {nets: [10.1.0.0/16, 10.2.0.0/16]}}]"),
            {"GlobalNetworkPolicy p ingress rule 1: never reached: rule 0 decides before for all "
             "that it matches"}},
        Row{"ShadowedByTwoRulesOfPorts",
            kWeb + policy(
                       "p",
                       "ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}, "
                       "{action: Log}, "
                       "{action: Allow, protocol: TCP, destination: {ports: ['81:90']}}, "
                       "{action: Allow, protocol: TCP, destination: {ports: ['80:85', 90]}}]"),
            {"GlobalNetworkPolicy p ingress rule 3: never reached: rules before it together decide "
             "for all that it matches"}},
        Row{"ShadowedByTwoHalvesOfANet",
            kWeb + policy(
                       "p",
                       "ingress: [{action: Deny, source: {nets: [10.0.0.0/9, 'fd00::/9']}}, "
                       "{action: Allow, source: {nets: [10.128.0.0/9, 'fd80::/9']}}, "
                       "{action: Allow, protocol: TCP, source: {nets: [10.0.0.0/8, 'fd00::/8']}}]"),
            {"GlobalNetworkPolicy p ingress rule 2: never reached: rules before it together decide "
             "for all that it matches"}},
        Row{"ShadowedByARuleAndWhatItLeavesOut",
            kWeb + policy(
                       "p",
                       "ingress: [{action: Deny, protocol: TCP, source: {notNets: [10.0.0.0/8]}, "
                       "destination: {notPorts: [80]}}, "
                       "{action: Allow, source: {nets: [10.0.0.0/8]}}, "
                       "{action: Allow, protocol: TCP, destination: {ports: [80]}}, "
                       "{action: Allow, protocol: TCP, ipVersion: 4}]"),
            {"GlobalNetworkPolicy p ingress rule 3: never reached: rules before it together decide "
             "for all that it matches"}},
        Row{"ShadowedByEveryProtocol",
            kWeb + policy(
                       "p",
                       "ingress: [{action: Deny, notProtocol: TCP}, {action: Deny, protocol: TCP}, "
                       "{action: Allow}]"),
            {"GlobalNetworkPolicy p ingress rule 2: never reached: rules before it together decide "
             "for all that it matches"}},
        Row{"ShadowedByNamesOfPorts",
            object(
                "WorkloadEndpoint",
                "name: web, namespace: a, labels: {role: web}",
                "node: h, interfaceName: t1, ipNetworks: [10.0.0.1], ports: "
                "[{name: http, protocol: TCP, port: 80}, {name: tls, protocol: TCP, port: 443}]") +
                policy(
                    "p",
                    "ingress: [{action: Allow, protocol: TCP, destination: {ports: [tls]}}, "
                    "{action: Allow, protocol: TCP, destination: {ports: [http]}}, "
                    "{action: Deny, protocol: TCP, destination: {ports: [http, tls]}}]"),
            {"GlobalNetworkPolicy p ingress rule 2: never reached: rules before it together decide "
             "for all that it matches"}},
        Row{"NotShadowedWhereSomethingIsLeft",
            kWeb +
                policy(
                    "p",
                    "ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}, "
                    "{action: Deny, protocol: UDP, destination: {ports: ['81:90']}}, "
                    "{action: Deny, protocol: TCP, source: {selector: role == 'web'}, destination: "
                    "{ports: ['81:90']}}, "
                    "{action: Deny, ipVersion: 6, protocol: TCP, destination: {ports: ['81:90']}}, "
                    "{action: Allow, protocol: TCP, destination: {ports: ['80:85']}}, "
                    "{action: Deny, protocol: TCP, destination: {notPorts: [443]}}, "
                    "{action: Allow, protocol: TCP, destination: {ports: [443, 444]}}]"),
            {}},
        Row{"ShadowedByTwoPolicies",
            kWeb + object("Tier", "name: first", "order: 1") +
                policy(
                    "o", "tier: first, ingress: [{action: Deny, protocol: UDP}, {action: Pass}]") +
                policy("p", "order: 1, ingress: [{action: Allow, protocol: TCP}]") +
                policy(
                    "q",
                    "order: 2, ingress: [{action: Allow, destination: {ports: ['0:65535']}, "
                    "protocol: UDP}, {action: Deny, notProtocol: TCP}, {action: Allow}]"),
            {"GlobalNetworkPolicy q ingress rule 0: never reached: rule 0 of GlobalNetworkPolicy o "
             "decides before for all that it matches",
             "GlobalNetworkPolicy q ingress rule 2: never reached: rules of GlobalNetworkPolicy o, "
             "GlobalNetworkPolicy p, GlobalNetworkPolicy q together decide before for all that it "
             "matches"}},
        Row{"ShadowedByAnotherPolicy",
            kWeb + policy("p", "order: 1, " + kAllowAll) + policy("q", "order: 2, " + kAllowAll),
            {"GlobalNetworkPolicy q ingress rule 0: never reached: rule 0 of GlobalNetworkPolicy p "
             "decides before for all that it matches"}},
        Row{"NotShadowedWhereTheOtherDoesNotApply",
            kWeb +
                object(
                    "WorkloadEndpoint",
                    "name: db, namespace: a",
                    "node: h, interfaceName: t2, ipNetworks: [10.0.0.2]") +
                policy("p", "order: 1, selector: role == 'web', " + kAllowAll) +
                policy("q", "order: 2, " + kAllowAll),
            {}},
        Row{"ClosedTier",
            kWeb + object("Tier", "name: first", "order: 1") +
                policy("p", "tier: first, ingress: [{action: Allow, protocol: TCP}]") +
                policy("q", "ingress: [{action: Allow, protocol: UDP}]"),
            {"GlobalNetworkPolicy q ingress rule 0: never reached: tier first lets no packet "
             "pass"}},
        Row{"PassOpensTheTier",
            kWeb + object("Tier", "name: first", "order: 1") +
                policy(
                    "p",
                    "tier: first, ingress: [{action: Pass, protocol: UDP}, {action: Allow, "
                    "protocol: "
                    "UDP}]") +
                policy("q", "ingress: [{action: Allow, protocol: UDP}]"),
            {"GlobalNetworkPolicy p ingress rule 1: never reached: rule 0 decides before for all "
             "that it matches"}},
        Row{"EarlierTierDecidesBeforeItPasses",
            kWeb + object("Tier", "name: first", "order: 1") +
                policy(
                    "p", "tier: first, ingress: [{action: Allow, protocol: UDP}, {action: Pass}]") +
                policy("q", "ingress: [{action: Allow, protocol: UDP}]"),
            {"GlobalNetworkPolicy q ingress rule 0: never reached: rule 0 of GlobalNetworkPolicy p "
             "decides before for all that it matches"}},
        Row{"RulesOfAnotherType",
            kWeb + policy("p", kAllowAll + ", egress: [{action: Allow}]"),
            {"GlobalNetworkPolicy p egress rules that never act: types does not name them"}},
        Row{"UnknownTier",
            kWeb + policy("p", "tier: ghost, " + kAllowAll),
            {"GlobalNetworkPolicy p names Tier ghost, which does not exist: judged after all "
             "others"}},
        Row{"UnknownProfile",
            object(
                "WorkloadEndpoint",
                "name: web, namespace: a",
                "node: h, interfaceName: t1, ipNetworks: [10.0.0.1], profiles: [ghost]"),
            {"WorkloadEndpoint a/web names Profile ghost, which does not exist: what comes to it "
             "is "
             "denied"}},
        Row{"EmptySet",
            object("GlobalNetworkSet", "name: s", "nets: []"),
            {"GlobalNetworkSet s no nets"}},
        Row{"InvalidObject",
            policy("p", "order: x"),
            {"GlobalNetworkPolicy p spec.order: 'x' is not a number"}},
        Row{"PolicyOfAnInvalidTier",
            kWeb + object("Tier", "name: t", "order: x") + policy("p", "tier: t, " + kAllowAll),
            {"Tier t spec.order: 'x' is not a number",
             "GlobalNetworkPolicy p ingress rule 0: never reached: tier t lets no packet pass"}},
        Row{"PolicyBehindWhatStandsForAnInvalidOne",
            kWeb + policy("bad", "order: x, selector: role == 'web'") +
                policy("p", "order: 5, " + kAllowAll),
            {"GlobalNetworkPolicy bad spec.order: 'x' is not a number",
             "GlobalNetworkPolicy p ingress rule 0: never reached: rule 0 of GlobalNetworkPolicy "
             "bad decides before for all that it matches"}},
        Row{"PolicyOfAnInvalidHostEndpoint",
            kWeb +
                object(
                    "HostEndpoint",
                    "name: eth0, labels: {side: host}",
                    "node: h, interfaceName: eth0, ports: x") +
                policy("p", "selector: has(side), " + kAllowAll),
            {"HostEndpoint eth0 spec.ports: expected a list"}},
        Row{"ToNormalPoliciesOfAnInvalidHostEndpointNothingComes",
            kWeb +
                object(
                    "HostEndpoint",
                    "name: eth0, labels: {side: host}",
                    "node: h, interfaceName: eth0, ports: x") +
                policy("a", "selector: role == 'web', order: 1, ingress: [{action: Deny}]") +
                policy("p", "order: 2, " + kAllowAll),
            {"HostEndpoint eth0 spec.ports: expected a list",
             "GlobalNetworkPolicy p ingress rule 0: never reached: rule 0 of GlobalNetworkPolicy a "
             "decides before for all that it matches"}},
        Row{"PolicyOfAnInvalidWorkloadEndpoint",
            kWeb +
                object(
                    "WorkloadEndpoint",
                    "name: db, namespace: a, labels: {role: db}",
                    "node: h, interfaceName: t2, ipNetworks: [10.0.0.2], mac: x") +
                policy("p", "selector: role == 'db', " + kAllowAll),
            {"WorkloadEndpoint a/db spec.mac: expected a MAC such as 02:00:00:00:00:09; 1 of 1 "
             "ipNetworks count",
             "GlobalNetworkPolicy p selects no endpoint"}},
        Row{"SecondDefinition",
            object("Tier", "name: t", "order: 1") + object("Tier", "name: t", "order: 2"),
            {"Tier t defined before in x.yaml:2, which counts"}},
        Row{"UnknownFilter",
            object("BGPPeer", "name: p", "peerIP: 192.0.2.1, asNumber: 1, filters: [f, g]") +
                object("BGPFilter", "name: f", ""),
            {"BGPPeer p names BGPFilter g, which does not exist: no route is exchanged"}},
        Row{"PeersOfNodes",
            kNode + object("BGPPeer", "name: a", "node: h, peerSelector: rack == 'r1'") +
                object("BGPPeer", "name: b", "nodeSelector: rack == 'r1', peerSelector: all()"),
            {}},
        Row{"PeersOfNoNode",
            kNode + object("BGPPeer", "name: a", "node: i, peerIP: 192.0.2.1, asNumber: 1") +
                object("BGPPeer", "name: b", "nodeSelector: rack == 'r2', peerSelector: has(x)"),
            {"BGPPeer a node: no Node is called i",
             "BGPPeer b nodeSelector: no Node is rack == \"r2\"",
             "BGPPeer b peerSelector: no Node is has(x)"}},
        Row{"NothingIsSaidOfNodesWithoutAny",
            object("BGPPeer", "name: a", "node: i, peerIP: 192.0.2.1, asNumber: 1") +
                object("IPPool", "name: p", "cidr: 10.0.0.0/16, nodeSelector: has(x)") +
                object("FelixConfiguration", "name: node.i", ""),
            {}},
        Row{"PoolOfNoNode",
            kNode + object("IPPool", "name: p", "cidr: 10.0.0.0/16, nodeSelector: has(x)"),
            {"IPPool p nodeSelector: no Node is has(x)"}},
        Row{"PoolsThatOverlap",
            object("IPPool", "name: a", "cidr: 10.0.0.0/16") +
                object("IPPool", "name: b", "cidr: 10.0.1.0/24") +
                object("IPPool", "name: c", "cidr: 10.0.2.0/24") +
                object("IPPool", "name: d", "cidr: 10.1.0.0/24") +
                object("IPPool", "name: e", "cidr: 'fd00::/64'"),
            {"IPPool b 10.0.1.0/24 overlaps 10.0.0.0/16 of IPPool a",
             "IPPool c 10.0.2.0/24 overlaps 10.0.0.0/16 of IPPool a"}},
        Row{"NamesThatNobodyLooksFor",
            kNode + object("FelixConfiguration", "name: defaults", "") +
                object("FelixConfiguration", "name: default", "") +
                object("FelixConfiguration", "name: node.h", "") +
                object("BGPConfiguration", "name: node.i", "") +
                object("BGPConfiguration", "name: default", ""),
            {"FelixConfiguration defaults has no effect: only default and node.NAME have",
             "BGPConfiguration node.i has no effect: no Node is called i"}},
        Row{"HostEndpointsOfOneInterface",
            object("HostEndpoint", "name: a", "node: h, interfaceName: eth0") +
                object("HostEndpoint", "name: b", "node: h, interfaceName: eth0") +
                object("HostEndpoint", "name: c", "node: i, interfaceName: eth0") +
                object("HostEndpoint", "name: d", "node: h, expectedIPs: [192.0.2.1, 192.0.2.2]") +
                object("HostEndpoint", "name: e", "node: h, expectedIPs: [192.0.2.2]"),
            {"HostEndpoint b HostEndpoint a guards interface eth0 of h",
             "HostEndpoint e HostEndpoint d guards the interface with 192.0.2.2/32 of h"}},
        Row{"EndpointsWithOneAddress",
            kWeb + workload("two", "i", "10.0.0.1") + workload("three", "i", "10.0.0.2"),
            {"WorkloadEndpoint a/web 10.0.0.1/32 is an address of WorkloadEndpoint a/two, too"}},
        Row{"AGuestThatMoves",
            workload("from", "h", "10.0.0.1") + workload("to", "i", "10.0.0.1") +
                object(
                    "LiveMigration",
                    "name: m, namespace: a",
                    "source: {workloadEndpoint: {hostname: h, orchestratorID: openstack, "
                    "workloadID: a/vm, endpointID: p}}, target: {workloadEndpoint: {hostname: i, "
                    "orchestratorID: openstack, workloadID: a/vm, endpointID: p}}"),
            {}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(LintPlaces, EveryMistakeOfAnObject) {
    const auto all = lint(
        {{"x.yaml",
          "apiVersion: projectcalico.org/v3\n"
          "kind: GlobalNetworkPolicy\n"
          "metadata: {name: p, labels: {a: [b]}}\n"
          "spec:\n"
          "  order: soon\n"
          "  selector: has(\n"
          "  ingress:\n"
          "  - action: Permit\n"
          "    protocol: TPC\n"
          "    source: {nets: [10.0.0.0/33]}\n"
          "  - {action: Allow}\n"
          "  - {action: Allow, protocol: TCP, destination: {ports: [70000]}}\n"}});
    std::vector<int> lines;
    for (const auto& finding : all) {
        EXPECT_EQ(finding.kind, Finding::Kind::Invalid) << finding.text;
        lines.push_back(finding.line);
    }
    EXPECT_THAT(lines, ElementsAre(3, 5, 6, 8, 9, 10, 12));
}

TEST(LintPlaces, ARuleIsFoundByItsLine) {
    const std::string text =
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec:\n"
        "  types: [Ingress]\n  ingress:\n  - action: Allow\n  - action: Deny\n";
    EXPECT_THAT(
        lint({{"a.yaml", text}}),
        ElementsAre(Finding{
            Finding::Kind::Shadowed,
            "a.yaml",
            8,
            "GlobalNetworkPolicy p",
            "ingress rule 1: never reached: rule 0 decides before for all that it matches"}));
}

TEST(LintPlaces, ARuleOfAListToo) {
    const std::string text =
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicyList\nitems:\n"
        "- apiVersion: projectcalico.org/v3\n  kind: GlobalNetworkPolicy\n  metadata: {name: p}\n"
        "  spec:\n    types: [Ingress]\n    ingress:\n    - action: Allow\n    - action: Deny\n";
    const auto findings = lint({{"a.yaml", text}});
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].line, 11);
}

TEST(LintPlaces, AFileThatCannotBeUnderstood) {
    const auto findings = lint({{"a.yaml", "a: [\n"}, {"b.yaml", "kind: Tier\n"}});
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_EQ(findings[0].file, "a.yaml");
    EXPECT_EQ(findings[1].line, 1);
    EXPECT_EQ(
        findings[1].text, "an object needs metadata.name; a router takes nothing of this file");
}

TEST(LintPlaces, TheRestOfAFileWithUnknownKindsIsLookedAt) {
    EXPECT_THAT(
        found(
            object("Teir", "name: s", "order: 1") + object("Tier", "name: t", "order: x") +
            "---\napiVersion: projectcalico.org/v3\nkind: TierList\nitems:\n"
            "- {apiVersion: projectcalico.org/v3, kind: Tire, metadata: {name: u}}\n"
            "- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: v}, spec: {order: "
            "y}}\n"),
        ElementsAre(
            " kind: unknown kind 'Teir'; a router takes nothing of this file",
            "Tier t spec.order: 'x' is not a number",
            " kind: unknown kind 'Tire'; a router takes nothing of this file",
            "Tier v spec.order: 'y' is not a number"));
}

TEST(LintPlaces, WhatIsForEtcdIsWarnedOf) {
    const auto findings =
        lint({{"x.yaml", object("ClusterInformation", "name: default", "datastoreReady: true")}});
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].kind, Finding::Kind::Warning);
    EXPECT_EQ(findings[0].text, "has no effect in a directory: it is for etcd");
}

TEST(LintPlaces, AnEmptyDirectoryIsFine) {
    EXPECT_THAT(lint({}), IsEmpty());
}

}  // namespace
}  // namespace vr::policy::lint_test
