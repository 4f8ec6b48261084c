// Policy unit tests of users: how they are read, what is said of mistakes in them, how they are judged.
// SPDX-License-Identifier: Apache-2.0
#include "policy/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "policy/trial_run.h"

namespace vr::policy::trial_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kObjects = R"(resources:
- apiVersion: projectcalico.org/v3
  kind: WorkloadEndpoint
  metadata: {name: web-1, namespace: prod, labels: {role: web}}
  spec: {node: a, interfaceName: tap1, ipNetworks: [10.0.0.2, 'fd00::2'], profiles: [open]}
- apiVersion: projectcalico.org/v3
  kind: WorkloadEndpoint
  metadata: {name: lb, namespace: prod, labels: {role: lb}}
  spec: {node: b, interfaceName: tap1, ipNetworks: [10.0.0.9]}
- apiVersion: projectcalico.org/v3
  kind: Profile
  metadata: {name: open}
  spec: {egress: [{action: Allow}]}
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: web, namespace: prod}
  spec:
    selector: role == 'web'
    types: [Ingress]
    ingress:
    - {action: Deny, protocol: TCP, destination: {ports: [81]}}
    - {action: Allow, protocol: TCP, source: {selector: role == 'lb'}}
)";
constexpr int kFirstCase = 24;  // lines before it: the objects and "cases:"

Result<std::vector<SourceFile>> no_files(const std::string& path) {
    return fail("cannot read " + path);
}

Trial read(const std::string& cases) {
    return read_trial("t.yaml", kObjects + "cases:\n" + cases, no_files);
}

std::string packet(const std::string& fields) {
    return "- {name: n, endpoint: prod/web-1, direction: ingress, expect: allow, packet: {" +
           fields + "}}\n";
}

// --- judging --------------------------------------------------------------------------------

struct Row {
    const char* name;
    const char* fields;  ///< of the case, without its name
    Ruling ruling;
    acl::Origin by;
};

class Judged : public testing::TestWithParam<Row> {};

TEST_P(Judged, ByClassifierAndReference) {
    const Trial trial = read(
        "- {name: n, endpoint: prod/web-1, expect: deny, " + std::string(GetParam().fields) +
        "}\n");
    ASSERT_THAT(trial.errors, IsEmpty());
    const auto results = run_trial(trial);
    ASSERT_EQ(results.size(), 1U);
    EXPECT_EQ(results[0].compiled, GetParam().ruling);
    EXPECT_EQ(results[0].by, GetParam().by) << results[0].by.policy << " " << results[0].by.rule;
    EXPECT_TRUE(results[0].agrees());
}

const std::string kWeb = "NetworkPolicy prod/web";

INSTANTIATE_TEST_SUITE_P(
    Trial,
    Judged,
    testing::Values(
        Row{"AllowedByRule",
            "direction: ingress, packet: {protocol: TCP, source: 10.0.0.9, sourcePort: 31245, "
            "destination: 10.0.0.2, destinationPort: 80}",
            Ruling::Allow,
            {"default", kWeb, 1}},
        Row{"DeniedByRule",
            "direction: ingress, packet: {protocol: tcp, source: 10.0.0.9, destination: 10.0.0.2, "
            "destinationPort: 81}",
            Ruling::Deny,
            {"default", kWeb, 0}},
        Row{"DeniedAtTheEndOfTheTier",
            "direction: Ingress, packet: {protocol: 6, source: 'fd00::9', destination: 'fd00::2', "
            "destinationPort: 80}",
            Ruling::Deny,
            {"default", "end of tier", -1}},
        Row{"EstablishedFlowsAreNotJudged",
            "direction: ingress, flow: established, packet: {protocol: UDP, source: 10.0.0.9, "
            "destination: 10.0.0.2, destinationPort: 9}",
            Ruling::Allow,
            {"", "established flow", -1}},
        Row{"AllowedByProfile",
            "direction: egress, packet: {protocol: ICMPv6, source: 'fd00::2', destination: "
            "'fd00::7', icmp: {type: 128, code: 0}}",
            Ruling::Allow,
            {"", "Profile open", 0}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Trial, ARejectingRuleIsToldFromADenyingOne) {
    const std::string policy = R"(- apiVersion: projectcalico.org/v3
  kind: GlobalNetworkPolicy
  metadata: {name: lb}
  spec:
    selector: role == 'lb'
    types: [Egress]
    egress:
    - {action: Deny, protocol: TCP, metadata: {annotations: {vrouter.io/action: Reject}}}
)";
    const Trial trial = read_trial(
        "t.yaml",
        kObjects + policy +
            "cases:\n- {name: m, endpoint: prod/lb, direction: egress, expect: reject, packet: "
            "{protocol: TCP, source: 10.0.0.9, destination: 10.0.0.2, destinationPort: 1}}\n",
        no_files);
    ASSERT_THAT(trial.errors, IsEmpty());
    const auto results = run_trial(trial);
    EXPECT_EQ(results.at(0).compiled, Ruling::Reject);
    EXPECT_TRUE(results.at(0).agrees());
}

TEST(Trial, HostEndpointsAreJudgedByAllTheirHooks) {
    const std::string host = R"(- apiVersion: projectcalico.org/v3
  kind: HostEndpoint
  metadata: {name: h, labels: {host: yes}}
  spec: {node: a, interfaceName: eth0, expectedIPs: [192.0.2.1]}
- apiVersion: projectcalico.org/v3
  kind: GlobalNetworkPolicy
  metadata: {name: raw}
  spec:
    selector: has(host)
    types: [Ingress]
    doNotTrack: true
    applyOnForward: true
    ingress:
    - {action: Deny, protocol: UDP}
)";
    const auto line = [](const char* more, int port) {
        return "- {name: m, endpoint: h, direction: ingress, expect: deny" + std::string(more) +
               ", packet: {protocol: " + (port == 9 ? "UDP" : "TCP") +
               ", source: 192.0.2.9, destination: 192.0.2.1, destinationPort: " +
               std::to_string(port) + "}}\n";
    };
    const Trial trial = read_trial(
        "t.yaml",
        kObjects + host + "cases:\n" + line("", 22) + line("", 80) + line("", 9) +
            line(", flow: established", 9) + line(", flow: established", 80),
        no_files);
    ASSERT_THAT(trial.errors, IsEmpty());
    const auto results = run_trial(trial);
    ASSERT_EQ(results.size(), 5U);
    EXPECT_EQ(results[0].by.policy, "failsafe port");
    EXPECT_EQ(results[1].by.policy, "end of profiles");
    EXPECT_EQ(results[2].by.policy, "GlobalNetworkPolicy raw");
    EXPECT_EQ(results[3].by.policy, "GlobalNetworkPolicy raw");
    EXPECT_EQ(results[4].by.policy, "established flow");
    for (const auto& result : results) {
        EXPECT_TRUE(result.agrees());
    }
}

// --- what a host passes on --------------------------------------------------------------------

/// POLICY 2.9 cases 23 and 24: an endpoint without policy, and one whose policy denies what is forwarded.
const std::string kHosts = R"(- apiVersion: projectcalico.org/v3
  kind: HostEndpoint
  metadata: {name: bare}
  spec: {node: a, interfaceName: eth0}
- apiVersion: projectcalico.org/v3
  kind: HostEndpoint
  metadata: {name: guarded, labels: {uplink: yes}}
  spec: {node: a, interfaceName: eth1, expectedIPs: [192.0.2.2]}
- apiVersion: projectcalico.org/v3
  kind: GlobalNetworkPolicy
  metadata: {name: transit}
  spec:
    selector: has(uplink)
    types: [Ingress, Egress]
    applyOnForward: true
    ingress: [{action: Deny}]
    egress: [{action: Deny}]
)";
const std::string kNode = R"(- apiVersion: projectcalico.org/v3
  kind: Node
  metadata: {name: a}
  spec: {bgp: {ipv4Address: 192.0.2.1/24}, addresses: [{address: 198.51.100.1}]}
)";

struct PathRow {
    const char* name;
    const char* fields;     ///< of the case: endpoint, direction, and more
    const char* addresses;  ///< and what else its packet says
    Ruling ruling;
    const char* by;
    const std::string& objects = kNode;
};

class Paths : public testing::TestWithParam<PathRow> {};

TEST_P(Paths, AreJudgedForTheHostOrPassedOn) {
    const Trial trial = read_trial(
        "t.yaml",
        kObjects + kHosts + GetParam().objects + "cases:\n- {name: n, expect: deny, " +
            GetParam().fields + ", packet: {protocol: TCP, " + GetParam().addresses + "}}\n",
        no_files);
    ASSERT_THAT(trial.errors, IsEmpty());
    EXPECT_THAT(trial.warnings, IsEmpty());
    const auto results = run_trial(trial);
    ASSERT_EQ(results.size(), 1U);
    EXPECT_EQ(results[0].compiled, GetParam().ruling);
    EXPECT_EQ(results[0].by.policy, GetParam().by);
    EXPECT_TRUE(results[0].agrees());
}

constexpr const char* kForwarded = "end of forward tiers";
constexpr const char* kTransit = "GlobalNetworkPolicy transit";
constexpr const char* kToWorkload =
    "source: 198.18.0.1, destination: 10.0.0.2, destinationPort: 80";
constexpr const char* kToHost = "source: 198.18.0.1, destination: 192.0.2.1, destinationPort: 80";
constexpr const char* kNothing = "end of profiles";
const std::string kNoNode;

INSTANTIATE_TEST_SUITE_P(
    Trial,
    Paths,
    testing::Values(
        PathRow{
            "Case23Failsafe",
            "endpoint: bare, direction: ingress",
            "source: 198.18.0.1, destination: 192.0.2.1, destinationPort: 22",
            Ruling::Allow,
            "failsafe port"},
        PathRow{
            "Case23ToTheHost",
            "endpoint: bare, direction: ingress",
            kToHost,
            Ruling::Deny,
            kNothing},
        PathRow{
            "Case23ToAnotherAddressOfItsNode",
            "endpoint: bare, direction: ingress",
            "source: 198.18.0.1, destination: 198.51.100.1, destinationPort: 80",
            Ruling::Deny,
            kNothing},
        PathRow{
            "Case23ToAWorkload",
            "endpoint: bare, direction: ingress",
            kToWorkload,
            Ruling::Allow,
            kForwarded},
        PathRow{
            "Case23ToAWorkloadOfAnUnknownNode",
            "endpoint: bare, direction: ingress",
            kToWorkload,
            Ruling::Allow,
            kForwarded,
            kNoNode},
        PathRow{
            "Case23FromAWorkload",
            "endpoint: bare, direction: egress",
            "source: 10.0.0.2, destination: 198.18.0.1, destinationPort: 80",
            Ruling::Allow,
            kForwarded},
        PathRow{
            "Case23Through",
            "endpoint: bare, direction: ingress",
            "source: 198.18.0.1, destination: 198.18.0.9, destinationPort: 80",
            Ruling::Allow,
            kForwarded},
        PathRow{
            "Case24ToAWorkload",
            "endpoint: guarded, direction: ingress",
            kToWorkload,
            Ruling::Deny,
            kTransit},
        PathRow{
            "Case24FromAWorkload",
            "endpoint: guarded, direction: egress",
            "source: 'fd00::2', destination: 'fd00::9', destinationPort: 80",
            Ruling::Deny,
            kTransit},
        PathRow{
            "Case24OfAnAllowedFlow",
            "endpoint: guarded, direction: ingress, flow: established",
            kToWorkload,
            Ruling::Allow,
            "established flow"},
        PathRow{
            "LinkLocalIsForTheHost",
            "endpoint: bare, direction: ingress",
            "source: 'fe80::9', destination: 'ff02::1', destinationPort: 80",
            Ruling::Deny,
            kNothing},
        PathRow{
            "WhatIsWrittenCounts",
            "endpoint: bare, direction: ingress, path: host",
            kToWorkload,
            Ruling::Deny,
            kNothing},
        PathRow{
            "WhatIsWrittenCountsForTransit",
            "endpoint: bare, direction: ingress, path: forwarded",
            kToHost,
            Ruling::Allow,
            kForwarded,
            kNoNode}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Trial, ThatNothingTellsWhoseAPacketIsIsWarnedOf) {
    const Trial trial = read_trial(
        "t.yaml",
        kObjects + kHosts +
            "cases:\n- {name: n, endpoint: bare, direction: ingress, expect: deny, " +
            "packet: {protocol: TCP, " + kToHost + "}}\n",
        no_files);
    ASSERT_THAT(trial.errors, IsEmpty());
    EXPECT_THAT(
        trial.warnings,
        ElementsAre(HasSubstr("neither expectedIPs nor Node a tells whether the packet's "
                              "destination is the host's")));
    EXPECT_EQ(run_trial(trial).at(0).by.policy, kNothing);
}

/// POLICY 2.9 case 21.
TEST(Trial, FloatingAddressesAreTranslatedBeforePolicyOfWorkloads) {
    const std::string objects = R"(resources:
- apiVersion: projectcalico.org/v3
  kind: WorkloadEndpoint
  metadata: {name: vm, namespace: prod}
  spec:
    orchestrator: openstack
    node: a
    interfaceName: tap1
    ipNetworks: [10.0.0.2]
    ipNATs: [{internalIP: 10.0.0.2, externalIP: 203.0.113.9}]
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: in, namespace: prod}
  spec:
    types: [Ingress]
    ingress:
    - {action: Deny, destination: {nets: [203.0.113.9/32]}}
    - {action: Allow, destination: {nets: [10.0.0.2/32]}}
- apiVersion: projectcalico.org/v3
  kind: HostEndpoint
  metadata: {name: h, labels: {host: yes}}
  spec: {node: a, interfaceName: eth0}
- apiVersion: projectcalico.org/v3
  kind: GlobalNetworkPolicy
  metadata: {name: early}
  spec:
    selector: has(host)
    types: [Ingress]
    preDNAT: true
    applyOnForward: true
    ingress:
    - {action: Deny, protocol: TCP, destination: {nets: [203.0.113.9/32]}}
)";
    const auto line = [](const char* endpoint, const char* protocol) {
        return "- {name: m, endpoint: " + std::string(endpoint) +
               ", direction: ingress, expect: allow, packet: {protocol: " + protocol +
               ", source: 192.0.2.9, destination: 203.0.113.9, destinationPort: 80}}\n";
    };
    const Trial trial = read_trial(
        "t.yaml",
        objects + "cases:\n" + line("prod/vm", "TCP") + line("h", "TCP") + line("h", "UDP"),
        no_files);
    ASSERT_THAT(trial.errors, IsEmpty());
    EXPECT_THAT(trial.warnings, IsEmpty());
    const auto results = run_trial(trial);
    ASSERT_EQ(results.size(), 3U);
    EXPECT_EQ(results[0].by.policy, "NetworkPolicy prod/in");
    EXPECT_EQ(results[0].compiled, Ruling::Allow);
    EXPECT_EQ(results[1].by.policy, "GlobalNetworkPolicy early");
    EXPECT_EQ(results[1].compiled, Ruling::Deny);
    EXPECT_EQ(results[2].by.policy, "end of forward tiers");
    EXPECT_EQ(results[2].compiled, Ruling::Allow);
    for (const auto& result : results) {
        EXPECT_TRUE(result.agrees());
    }
}

TEST(Trial, EndpointsOfSeveralHostsAreJudged) {
    const Trial trial = read(
        packet("protocol: 47, source: 10.0.0.9, destination: 10.0.0.2") +
        "- {name: m, endpoint: prod/lb, direction: egress, expect: deny, packet: {protocol: 47, "
        "source: 10.0.0.9, destination: 10.0.0.2}}\n");
    const auto results = run_trial(trial);
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[0].by.policy, "end of tier");
    EXPECT_EQ(results[1].by.policy, "end of profiles");
}

// --- reading --------------------------------------------------------------------------------

/// As `apply` would store it: one that a router finds without types governs both directions.
TEST(Trial, APolicyWithoutTypesGovernsTheDirectionsOfItsRules) {
    const std::string policy = R"(apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: first}
spec: {order: 1, egress: [{action: Deny, protocol: UDP}]}
)";
    const auto in_a_file = [&](const std::string&) {
        return Result<std::vector<SourceFile>>{{{"p.yaml", policy}}};
    };
    std::string inline_policy = "- " + policy;
    for (std::size_t at = inline_policy.find('\n'); at + 1 < inline_policy.size();
         at = inline_policy.find('\n', at + 1)) {
        inline_policy.insert(at + 1, "  ");
    }
    const std::string cases = "cases:\n" + packet(
                                               "protocol: TCP, source: 10.0.0.9, destination: "
                                               "10.0.0.2, destinationPort: 80");
    for (const auto& resource : {std::string("- p.yaml\n"), inline_policy}) {
        const Trial trial = read_trial("t.yaml", kObjects + resource + cases, in_a_file);
        ASSERT_THAT(trial.errors, IsEmpty());
        EXPECT_EQ(trial.objects.back()->as<Policy>().types, Governs::Egress);
        EXPECT_EQ(run_trial(trial).front().compiled, Ruling::Allow)
            << "ingress is not the first one's";
    }
}

TEST(Trial, ACaseKnowsItsLine) {
    const Trial trial = read(packet("protocol: 47, source: 10.0.0.9, destination: 10.0.0.2"));
    ASSERT_EQ(trial.cases.size(), 1U);
    EXPECT_EQ(trial.cases[0].line, kFirstCase);
}

TEST(Trial, PingsUnlessTold) {
    const Trial trial = read(
        packet("protocol: ICMP, source: 10.0.0.9, destination: 10.0.0.2") +
        packet("protocol: ICMPv6, source: 'fd00::9', destination: 'fd00::2'"));
    ASSERT_EQ(trial.cases.size(), 2U);
    EXPECT_EQ(trial.cases[0].packet.icmp_type, 8);
    EXPECT_EQ(trial.cases[1].packet.icmp_type, 128);
}

TEST(Trial, PathsStartInTheFolderOfTheFile) {
    std::vector<std::string> asked;
    const auto trial = read_trial(
        "ci/t.yaml",
        "resources: [web.yaml, /etc/x]\ncases: []\n",
        [&](const std::string& path) -> Result<std::vector<SourceFile>> {
            asked.push_back(path);
            return std::vector<SourceFile>{};
        });
    EXPECT_THAT(asked, ElementsAre("ci/web.yaml", "/etc/x"));
    EXPECT_THAT(trial.errors, IsEmpty());
}

TEST(Trial, ObjectsComeFromFilesToo) {
    const std::string tier =
        "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {order: 1}\n";
    const auto trial = read_trial(
        "t.yaml",
        "resources: [dir]\ncases: []\n",
        [&](const std::string&) -> Result<std::vector<SourceFile>> {
            return std::vector<SourceFile>{{"dir/a.yaml", tier}, {"dir/b.yaml", "---\n" + tier}};
        });
    EXPECT_EQ(trial.objects.size(), 1U);
    EXPECT_THAT(
        trial.errors, ElementsAre("dir/b.yaml:2: Tier t is defined in dir/a.yaml:1 already"));
}

TEST(Trial, AnAddressThatIsNotTheEndpointsIsWarnedOf) {
    const Trial trial = read(packet("protocol: 47, source: 10.0.0.9, destination: 10.0.0.3"));
    EXPECT_THAT(trial.errors, IsEmpty());
    EXPECT_THAT(
        trial.warnings,
        ElementsAre(
            "t.yaml:24: cases[0].endpoint: prod/web-1 does not have the packet's destination"));
}

TEST(Trial, TellsAllErrorsAtOnce) {
    const Trial trial = read(
        packet("protocol: TCP, source: 10.0.0.9, destination: 10.0.0.2") + "- {name: n}\n" +
        packet("protocol: 47, source: 10.0.0.9, destination: 10.0.0.2"));
    EXPECT_EQ(trial.errors.size(), 2U);
    EXPECT_EQ(trial.cases.size(), 1U);
}

struct Mistake {
    const char* name;
    std::string text;  ///< of the whole file
    const char* told;
};

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreToldWithTheirPlace) {
    const Trial trial = read_trial("t.yaml", GetParam().text, no_files);
    ASSERT_FALSE(trial.errors.empty());
    EXPECT_THAT(trial.errors.front(), HasSubstr(GetParam().told));
}

std::string with(const std::string& cases) {
    return kObjects + "cases:\n" + cases;
}

INSTANTIATE_TEST_SUITE_P(
    Trial,
    Mistakes,
    testing::Values(
        Mistake{"NoYaml", "a: [", "t.yaml:"},
        Mistake{"Empty", "", "t.yaml:1: expected one document with resources and cases"},
        Mistake{"NoCases", kObjects, "t.yaml:1: no cases"},
        Mistake{"UnknownField", "resource: []\ncases: []\n", "unknown field, is it 'resources'?"},
        Mistake{
            "AbsentFile",
            "resources:\n- absent.yaml\ncases: []\n",
            "t.yaml:2: resources[0]: cannot read absent.yaml"},
        Mistake{
            "InvalidObject",
            "resources:\n- apiVersion: projectcalico.org/v3\n  kind: Tier\n  metadata: {name: t}\n"
            "  spec: {order: x}\ncases: []\n",
            "t.yaml:5: spec.order: 'x' is not a number"},
        Mistake{"NoFields", with("- {name: n}\n"), "t.yaml:24: cases[0]: a case needs name,"},
        Mistake{
            "UnknownEndpoint",
            with("- {name: n, endpoint: prod/web-9, direction: ingress, expect: allow, packet: "
                 "{protocol: 47, source: 10.0.0.9, destination: 10.0.0.2}}\n"),
            "t.yaml:24: cases[0].endpoint: no endpoint 'prod/web-9' among the resources"},
        Mistake{
            "UnknownExpectation",
            with("- {name: n, expect: accept}\n"),
            "cases[0].expect: 'accept' is not allow or deny or reject"},
        Mistake{
            "NoPort",
            with(packet("protocol: TCP, source: 10.0.0.9, destination: 10.0.0.2")),
            "cases[0].packet: a TCP, UDP or SCTP packet needs a destinationPort"},
        Mistake{
            "PortOfPing",
            with(packet("protocol: ICMP, source: 10.0.0.9, destination: 10.0.0.2, sourcePort: 1")),
            "only TCP, UDP and SCTP packets have ports"},
        Mistake{
            "TwoFamilies",
            with(packet("protocol: 47, source: 'fd00::9', destination: 10.0.0.2")),
            "must be of one family"},
        Mistake{
            "ForeignIcmp",
            with(packet("protocol: ICMP, source: 'fd00::9', destination: 'fd00::2'")),
            "IPv6 packets have protocol ICMPv6"},
        Mistake{
            "IcmpOfTcp",
            with(packet("protocol: TCP, source: 10.0.0.9, destination: 10.0.0.2, "
                        "destinationPort: 1, icmp: {type: 8}")),
            "icmp needs protocol ICMP"},
        Mistake{
            "PathOfAWorkload",
            with("- {name: n, endpoint: prod/web-1, direction: ingress, expect: allow, path: host, "
                 "packet: {protocol: 47, source: 10.0.0.9, destination: 10.0.0.2}}\n"),
            "cases[0].endpoint: only what passes a HostEndpoint has a path"},
        Mistake{
            "NoAddress",
            with(packet("protocol: 47, source: 10.0.0, destination: 10.0.0.2")),
            "'10.0.0' is not an address"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace vr::policy::trial_test
