// How objects are read: what is refused, where the error points, what is tolerated with a warning.
// SPDX-License-Identifier: Apache-2.0
#include "policy/resource.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/datastore.h"

namespace vr::policy::resource_test {
namespace {

std::string yaml(
    std::string_view kind, std::string_view spec, std::string_view metadata = "name: x") {
    return fmt::format(
        "apiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\nspec:\n{}\n",
        kind,
        metadata,
        spec);
}

std::string migration_end(std::string_view host) {
    return "{workloadEndpoint: {hostname: " + std::string(host) +
           ", orchestratorID: openstack, workloadID: n/vm, endpointID: p}}";
}

struct Refused {
    std::string name;
    std::string text;
    std::string error;
};

class RefusedObjects : public testing::TestWithParam<Refused> {};

TEST_P(RefusedObjects, SayWhereAndWhy) {
    const auto file = parse_file("f.yaml", GetParam().text);
    ASSERT_TRUE(file) << file.error().text;
    ASSERT_EQ(file->objects.size(), 1U);
    EXPECT_EQ(file->objects[0].resource, nullptr);
    EXPECT_TRUE(file->objects[0].error.starts_with(GetParam().error)) << file->objects[0].error;
}

const std::string kRule = "  ingress:\n  - action: Allow\n    ";

std::string repeated(int count, std::string_view item) {
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += fmt::format("{}, ", item);
    }
    return "[" + text + "]";
}

INSTANTIATE_TEST_SUITE_P(
    Resource,
    RefusedObjects,
    testing::ValuesIn(std::vector<Refused>{
        {"protocol",
         yaml("NetworkPolicy", kRule + "protocol: tpc"),
         "f.yaml:7: spec.ingress[0].protocol: unknown protocol 'tpc', expected TCP, UDP, ICMP, "
         "ICMPv6, SCTP, UDPLite or 1-255"},
        {"misspelt_criterion",
         yaml("NetworkPolicy", kRule + "protcol: TCP"),
         "f.yaml:7: spec.ingress[0].protcol: unknown field, is it 'protocol'?"},
        {"unknown_criterion",
         yaml("NetworkPolicy", kRule + "source: {domains: [a]}"),
         "f.yaml:7: spec.ingress[0].source.domains: unknown field"},
        {"misspelt_selector",
         yaml("NetworkPolicy", "  selektor: all()"),
         "f.yaml:5: spec.selektor: unknown field, is it 'selector'?"},
        {"selector",
         yaml("NetworkPolicy", "  selector: \"a = 'b'\""),
         "f.yaml:5: spec.selector: column 3: expected =="},
        {"net",
         yaml("NetworkPolicy", kRule + "source: {nets: [10.0.0.0/33]}"),
         "f.yaml:7: spec.ingress[0].source.nets[0]: '10.0.0.0/33' is not an address or prefix"},
        {"port",
         yaml("NetworkPolicy", kRule + "protocol: TCP\n    destination: {ports: ['90:80']}"),
         "f.yaml:8: spec.ingress[0].destination.ports[0]: '90:80' is not a port"},
        {"ports_without_protocol",
         yaml("NetworkPolicy", kRule + "destination: {ports: [80]}"),
         "f.yaml:6: spec.ingress[0]: ports need protocol TCP, UDP or SCTP"},
        {"icmp_without_protocol",
         yaml("NetworkPolicy", kRule + "icmp: {type: 8}"),
         "f.yaml:6: spec.ingress[0]: icmp needs protocol ICMP or ICMPv6"},
        {"icmp_code_alone",
         yaml("NetworkPolicy", kRule + "protocol: ICMP\n    icmp: {code: 8}"),
         "f.yaml:8: spec.ingress[0].icmp: a code needs a type"},
        {"family_of_icmp",
         yaml("NetworkPolicy", kRule + "protocol: ICMP\n    ipVersion: 6"),
         "f.yaml:6: spec.ingress[0]: protocol ICMP does not exist in IPv6"},
        {"services_with_more",
         yaml("NetworkPolicy", kRule + "source: {nets: [10.0.0.0/8], services: {name: x}}"),
         "f.yaml:6: spec.ingress[0]: services go with no other criterion"},
        {"services_of_the_own_side",
         yaml("NetworkPolicy", kRule + "destination: {services: {name: x}}"),
         "f.yaml:5: spec: services match the source of ingress rules"},
        {"services_without_name",
         yaml("NetworkPolicy", kRule + "source: {services: {namespace: x}}"),
         "f.yaml:7: spec.ingress[0].source.services: a service needs a name"},
        {"reject_of_an_allow_rule",
         yaml("NetworkPolicy", kRule + "metadata: {annotations: {vrouter.io/action: Reject}}"),
         "f.yaml:7: spec.ingress[0].metadata.vrouter.io/action: only a rule with action Deny"},
        {"no_action",
         yaml("NetworkPolicy", "  ingress:\n  - protocol: TCP"),
         "f.yaml:6: spec.ingress[0]: a rule needs an action"},
        {"too_many_rules",
         yaml("NetworkPolicy", "  ingress: " + repeated(1025, "{action: Allow}")),
         "f.yaml:5: spec.ingress: 1025 entries, at most 1024 allowed"},
        {"too_many_nets",
         yaml("NetworkPolicy", kRule + "source: {nets: " + repeated(257, "10.0.0.1") + "}"),
         "f.yaml:7: spec.ingress[0].source.nets: 257 entries, at most 256 allowed"},
        {"too_many_ports",
         yaml(
             "NetworkPolicy",
             kRule + "protocol: TCP\n    source: {ports: " + repeated(51, "80") + "}"),
         "f.yaml:8: spec.ingress[0].source.ports: 51 entries, at most 50 allowed"},
        {"both_hooks",
         yaml("GlobalNetworkPolicy", "  doNotTrack: true\n  preDNAT: true"),
         "f.yaml:6: spec.preDNAT: doNotTrack and preDNAT exclude each other"},
        {"tier_action",
         yaml("Tier", "  defaultAction: Allow"),
         "f.yaml:5: spec.defaultAction: unknown defaultAction 'Allow', expected Deny or Pass"},
        {"default_tier",
         yaml("Tier", "  order: 5", "name: default"),
         "f.yaml:5: spec: tier default has order 1000000"},
        {"built_in_profile",
         yaml("Profile", "  ingress: []", "name: projectcalico-default-allow"),
         "f.yaml:5: spec: this profile is built in"},
        {"tag_for_a_negation",
         yaml("NetworkPolicy", kRule + "source:\n      selector: !has(untrusted)"),
         "f.yaml:8: spec.ingress[0].source.selector: '!has(untrusted)' is a YAML tag; quote the "
         "text"},
        {"tag_in_braces",
         yaml("NetworkPolicy", kRule + "source: {selector: !has(untrusted)}"),
         "f.yaml:7: spec.ingress[0].source.selector: '!has(untrusted)' is a YAML tag"},
        {"tag_and_the_rest",
         yaml("NetworkPolicy", kRule + "source:\n      selector: !has(a) && has(b)"),
         "f.yaml:8: spec.ingress[0].source.selector: '!has(a)' is a YAML tag"},

        {"lone_tag",
         yaml("NetworkPolicy", "  # \u00fc\n  selector: ! has(untrusted)"),
         "f.yaml:6: spec.selector: '!' is a YAML tag"},
        {"lone_tag_in_braces",
         yaml("NetworkPolicy", kRule + "source: {nets: [::/0], selector: ! has(\u00fc)}"),
         "f.yaml:7: spec.ingress[0].source.selector: '!' is a YAML tag"},
        {"lone_tag_behind_an_anchor",
         yaml("NetworkPolicy", "  selector: &a # b\n    ! has(untrusted)"),
         "f.yaml:5: spec.selector: '!' is a YAML tag"},
        {"tag_alone",
         yaml("NetworkPolicy", "  selector: !\n  order: 1"),
         "f.yaml:5: spec.selector: '!' is a YAML tag"},
        {"tag_of_a_list",
         yaml("NetworkPolicy", kRule + "source: {nets: !set [10.0.0.0/8]}"),
         "f.yaml:7: spec.ingress[0].source.nets: '!set' is a YAML tag"},
        {"tag_of_a_map",
         yaml("NetworkPolicy", kRule + "source: !side {nets: [10.0.0.0/8]}"),
         "f.yaml:7: spec.ingress[0].source: '!side' is a YAML tag"},
        {"tag_of_another_core_type",
         yaml("NetworkPolicy", kRule + "source: {nets: !!null [10.0.0.0/8]}"),
         "f.yaml:7: spec.ingress[0].source.nets: 'tag:yaml.org,2002:null' is a YAML tag"},
        {"tag_where_nobody_reads",
         yaml("NetworkPolicy", "  order: 1", "name: x, annotations: {a: !b c}"),
         "f.yaml:3: metadata.annotations.a: '!b' is a YAML tag"},
        {"endpoint_network",
         yaml("WorkloadEndpoint", "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.0/24]"),
         "f.yaml:7: spec.ipNetworks[0]: expected a single address"},
        {"floating_of_a_foreign_address",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.1]\n"
             "  ipNATs: [{internalIP: 10.0.0.2, externalIP: 203.0.113.9}]"),
         "f.yaml:5: spec: ipNATs: internalIP 10.0.0.2 is not one of ipNetworks"},
        {"floating_is_an_own_address",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  ipNATs: [{internalIP: 10.0.0.1, externalIP: "
             "10.0.0.2}]\n  ipNetworks: [10.0.0.1, 10.0.0.2]"),
         "f.yaml:5: spec: ipNATs: externalIP 10.0.0.2 is one of ipNetworks"},
        {"floating_to_two_addresses",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.1, 10.0.0.2]\n"
             "  ipNATs: [{internalIP: 10.0.0.1, externalIP: 203.0.113.9}, {internalIP: 10.0.0.2, "
             "externalIP: 203.0.113.9}]"),
         "f.yaml:5: spec: ipNATs: externalIP 203.0.113.9 leads to two addresses"},
        {"floating_between_families",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.1]\n"
             "  ipNATs: [{internalIP: 10.0.0.1, externalIP: 'fd00::9'}]"),
         "f.yaml:8: spec.ipNATs[0]: internalIP and externalIP must be of one family"},
        {"floating_group",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.1]\n"
             "  ipNATs: [{internalIP: 10.0.0.1, externalIP: 224.0.0.9}]"),
         "f.yaml:8: spec.ipNATs[0].externalIP: expected an address of one station"},
        {"floating_without_inside",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.1]\n"
             "  ipNATs: [{externalIP: 203.0.113.9}]"),
         "f.yaml:8: spec.ipNATs[0]: needs internalIP and externalIP"},
        {"endpoint_without_node",
         yaml("WorkloadEndpoint", "  interfaceName: t"),
         "f.yaml:5: spec: an endpoint needs node and interfaceName"},
        {"interface_name",
         yaml("WorkloadEndpoint", "  node: h\n  interfaceName: ../t"),
         "f.yaml:6: spec.interfaceName: expected an interface name"},
        {"spoofing",
         yaml(
             "WorkloadEndpoint",
             "  node: h\n  interfaceName: t\n  allowSpoofedSourcePrefixes: [10.0.0.0/33]"),
         "f.yaml:7: spec.allowSpoofedSourcePrefixes[0]: "},
        {"spoofing_everywhere",
         yaml("FelixConfiguration", "  workloadSourceSpoofing: All"),
         "f.yaml:5: spec.workloadSourceSpoofing: unknown word 'All', expected Disabled or Any"},
        {"mac",
         yaml("WorkloadEndpoint", "  node: h\n  interfaceName: t\n  mac: 02-00"),
         "f.yaml:7: spec.mac: expected a MAC"},
        {"version",
         "apiVersion: projectcalico.org/v4\nkind: Tier\nmetadata: {name: t}\n",
         "f.yaml:1: unknown apiVersion 'projectcalico.org/v4', expected projectcalico.org/v3"},
        {"object_name",
         yaml("Tier", "  order: 1", "name: ../t"),
         "f.yaml:1: metadata.name: expected letters"},
        {"misspelt_labels",
         yaml("WorkloadEndpoint", "  node: h\n  interfaceName: t", "name: x, lables: {a: b}"),
         "f.yaml:3: metadata.lables: unknown field, is it 'labels'?"},
        {"misspelt_namespace",
         yaml("NetworkPolicy", "  order: 1", "name: x, namespase: prod"),
         "f.yaml:3: metadata.namespase: unknown field, is it 'namespace'?"},
        {"misspelt_annotations",
         yaml("WorkloadEndpoint", "  node: h\n  interfaceName: t", "name: x, anotations: {a: b}"),
         "f.yaml:3: metadata.anotations: unknown field, is it 'annotations'?"},
        {"peer_address",
         yaml("BGPPeer", "  peerIP: 10.0.0.1:x\n  asNumber: 1"),
         "f.yaml:5: spec.peerIP: '10.0.0.1:x' is not an address"},
        {"peer_address_with_a_link",
         yaml("BGPPeer", "  peerIP: fe80:1::9\n  asNumber: 1"),
         "f.yaml:5: spec.peerIP: 'fe80:1::9' is not an address"},
        {"gateway_with_a_link",
         yaml("BGPPeer", "  peerIP: fd00::1\n  asNumber: 1\n  reachableBy: fe80:1::9"),
         "f.yaml:7: spec.reachableBy: 'fe80:1::9' is not an address"},
        {"node_address_with_a_link",
         yaml("Node", "  bgp: {ipv6Address: 'fe80:1::9/64'}"),
         "f.yaml:5: spec.bgp.ipv6Address: expected address/length"},
        {"as_number",
         yaml("BGPPeer", "  peerIP: 10.0.0.1\n  asNumber: 1.70000"),
         "f.yaml:6: spec.asNumber: '1.70000' is not an AS number"},
        {"pool_without_cidr",
         yaml("IPPool", "  natOutgoing: true"),
         "f.yaml:5: spec: a pool needs"},
        {"pool_with_blocks_of_single_addresses_and_less",
         yaml("IPPool", "  cidr: 10.0.0.0/16\n  blockSize: 33"),
         "f.yaml:6: spec.blockSize: expected 20 to 32 in an IPv4 pool"},
        {"pool_with_large_blocks",
         yaml("IPPool", "  cidr: fd00::/64\n  blockSize: 115"),
         "f.yaml:6: spec.blockSize: expected 116 to 128 in an IPv6 pool"},
        {"pool_within_a_block",
         yaml("IPPool", "  cidr: 10.0.0.0/26\n  blockSize: 25"),
         "f.yaml:6: spec.blockSize: a block of /25 is larger than the pool"},
        {"pool_for_an_unknown_use",
         yaml("IPPool", "  cidr: 10.0.0.0/16\n  allowedUses: [Workload, Workloads]"),
         "f.yaml:6: spec.allowedUses[1]: 'Workloads' is not one of Workload, Tunnel, LoadBalancer"},
        {"pool_with_an_unknown_mode",
         yaml("IPPool", "  cidr: 10.0.0.0/16\n  ipipMode: always"),
         "f.yaml:6: spec.ipipMode: 'always' is not one of Always, CrossSubnet, Never"},
        {"pool_with_another_unknown_mode",
         yaml("IPPool", "  cidr: 10.0.0.0/16\n  vxlanMode: [Never]"),
         "f.yaml:6: spec.vxlanMode: expected"},
        {"pool_assigned_somehow",
         yaml("IPPool", "  cidr: 10.0.0.0/16\n  assignmentMode: Auto"),
         "f.yaml:6: spec.assignmentMode: 'Auto' is not one of Automatic, Manual"},
        {"datastore_that_may_be_ready",
         yaml("ClusterInformation", "  datastoreReady: maybe"),
         "f.yaml:5: spec.datastoreReady: "},
        {"reservation_of_no_net",
         yaml("IPReservation", "  reservedCIDRs: [10.0.0.0/8, all]"),
         "f.yaml:5: spec.reservedCIDRs[1]: 'all' is"},
        {"migration_without_target",
         yaml("LiveMigration", "  source: " + migration_end("h1")),
         "f.yaml:5: spec: needs source and target"},
        {"migration_to_itself",
         yaml(
             "LiveMigration",
             "  source: " + migration_end("h1") + "\n  target: " + migration_end("h1")),
         "f.yaml:5: spec: source and target are the same endpoint"},
        {"migration_of_a_whole_workload",
         yaml("LiveMigration", "  source: {workload: {hostname: h1}}"),
         "f.yaml:5: spec.source: expected workloadEndpoint"},
        {"migration_of_half_an_endpoint",
         yaml("LiveMigration", "  source: {workloadEndpoint: {hostname: h1}}"),
         "f.yaml:5: spec.source.workloadEndpoint: needs hostname, orchestratorID"},
        {"migration_from_a_list",
         yaml("LiveMigration", "  source: {workloadEndpoint: {hostname: [h1]}}"),
         "f.yaml:5: spec.source.workloadEndpoint.hostname: expected a name"},
        {"migration_misspelt",
         yaml("LiveMigration", "  sources: " + migration_end("h1")),
         "f.yaml:5: spec.sources: unknown field, is it 'source'?"},
    }),
    [](const auto& row) { return row.param.name; });

class UnreadableFiles : public testing::TestWithParam<Refused> {};

TEST_P(UnreadableFiles, AreRefusedAsAWhole) {
    const auto file = parse_file("f.yaml", GetParam().text);
    ASSERT_FALSE(file);
    EXPECT_TRUE(file.error().text.starts_with(GetParam().error)) << file.error().text;
}

INSTANTIATE_TEST_SUITE_P(
    Resource,
    UnreadableFiles,
    testing::ValuesIn(std::vector<Refused>{
        {"no_yaml", "a: [b\n", "f.yaml:2: not readable as YAML"},
        {"no_map", "- a\n", "f.yaml:1: expected fields"},
        {"no_kind", "metadata: {name: x}\n", "f.yaml:1: an object needs a kind"},
        {"unknown_kind",
         "apiVersion: projectcalico.org/v3\nkind: NetworkPolcy\nmetadata: {name: x}\n",
         "f.yaml:1: kind: unknown kind 'NetworkPolcy'"},
        {"no_name", "kind: Tier\nmetadata: {}\n", "f.yaml:1: an object needs metadata.name"},
    }),
    [](const auto& row) { return row.param.name; });

ParsedFile read(const std::string& text) {
    auto file = parse_file("f.yaml", text);
    EXPECT_TRUE(file) << (file ? "" : file.error().text);
    return file ? *std::move(file) : ParsedFile{};
}

TEST(Resource, UnknownFieldsOfASpecAreAWarning) {
    const auto file =
        read(yaml("WorkloadEndpoint", "  node: h\n  interfaceName: t\n  colour: red"));
    EXPECT_TRUE(file.objects.at(0).resource);
    EXPECT_EQ(
        file.objects.at(0).warnings,
        std::vector<std::string>{"f.yaml:7: spec.colour: unknown field, ignored"});
}

TEST(Resource, UnknownFieldsOfMetadataAreAWarning) {
    const auto file = read(yaml("Tier", "  order: 1", "name: x, note: {a: b}"));
    EXPECT_TRUE(file.objects.at(0).resource);
    EXPECT_EQ(
        file.objects.at(0).warnings,
        std::vector<std::string>{"f.yaml:3: metadata.note: unknown field, ignored"});
}

/// What Calico's API keeps, whatever of it.
TEST(Resource, WhatKubernetesWritesIntoMetadataIsKnown) {
    const auto object = parse_stored(
        "x",
        {Kind::Tier, {}, "t"},
        R"({"apiVersion":"projectcalico.org/v3","kind":"Tier","metadata":{"name":"t",)"
        R"("generateName":"t-","selfLink":"/t","uid":"5b1c","resourceVersion":"7","generation":2,)"
        R"("clusterName":"","creationTimestamp":"2026-11-22T10:00:00Z","deletionTimestamp":null,)"
        R"("deletionGracePeriodSeconds":30,"labels":null,"annotations":{},"finalizers":["f"],)"
        R"("ownerReferences":[{"kind":"Node"}],"managedFields":[{"manager":"m"}]},"spec":{}})");
    ASSERT_TRUE(object) << object.error().text;
    EXPECT_TRUE(object->resource) << object->error;
    EXPECT_TRUE(object->warnings.empty()) << object->warnings.front();
}

/// Refused, it would leave what it says open: failsafe ports, say.
TEST(Resource, AMisspeltKeyThatWouldMeanNothingThereIsAWarning) {
    for (const char* const key : {"lables", "anotations", "namspace"}) {
        const auto file = read(yaml(
            "FelixConfiguration",
            "  failsafeInboundHostPorts: []",
            fmt::format("name: default, {}: {{a: b}}", key)));
        EXPECT_TRUE(file.objects.at(0).resource) << file.objects.at(0).error;
        EXPECT_EQ(file.objects.at(0).warnings.size(), 1U) << key;
    }
}

TEST(Resource, WithoutItsAnnotationsAnEndpointStillCountsInSets) {
    const auto file = read(yaml(
        "WorkloadEndpoint",
        "  node: h\n  interfaceName: t\n  ipNetworks: [10.0.0.1/32]",
        "name: x, labels: {a: b}, anotations: {c: d}"));
    EXPECT_FALSE(file.objects.at(0).resource);
    ASSERT_TRUE(file.objects.at(0).stand_in);
    EXPECT_EQ(file.objects.at(0).stand_in->labels.size(), 1U);
}

/// Half of the labels may satisfy a selector that was not meant.
TEST(Resource, WithoutItsLabelsASetLendsNothing) {
    const auto file =
        read(yaml("GlobalNetworkSet", "  nets: [10.0.0.0/8]", "name: x, lables: {a: b}"));
    EXPECT_FALSE(file.objects.at(0).resource);
    EXPECT_FALSE(file.objects.at(0).stand_in);
}

TEST(Resource, ForeignAndUnsupportedObjectsAreIgnored) {
    const auto file = read(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n"
        "apiVersion: projectcalico.org/v3\nkind: BlockAffinity\nmetadata: {name: x}\n");
    EXPECT_TRUE(file.objects.empty());
    EXPECT_EQ(file.ignored.size(), 2U);
}

TEST(Resource, AListHoldsObjects) {
    const auto file = read(
        "apiVersion: projectcalico.org/v3\nkind: TierList\nitems:\n"
        "- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}\n"
        "- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: b}}\n");
    ASSERT_EQ(file.objects.size(), 2U);
    EXPECT_EQ(file.objects[1].line, 5);
    EXPECT_EQ(file.objects[1].key, (Key{Kind::Tier, "", "b"}));
}

TEST(Resource, JsonIsReadToo) {
    const auto file =
        read(R"({"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",)"
             R"( "metadata": {"name": "x", "namespace": "n"}, "spec": {"order": 100.5}})");
    EXPECT_EQ(file.objects.at(0).resource->as<Policy>().order, 100.5);
}

TEST(Resource, AbsentNamespaceIsDefault) {
    EXPECT_EQ(read(yaml("NetworkPolicy", "  order: 1")).objects.at(0).key.ns, "default");
}

TEST(Resource, TheTierInFrontOfAStoredNameIsNoPartOfTheName) {
    const auto file = read(yaml("NetworkPolicy", "  order: 1", "name: default.web"));
    EXPECT_EQ(file.objects.at(0).resource->as<Policy>().name, "web");
}

TEST(Resource, TheNameInTheAnnotationIsTheWrittenOne) {
    const auto file = read(yaml(
        "NetworkPolicy",
        "  order: 1",
        "name: stored, annotations: {projectcalico.org/metadata: '{\"name\":\"written\"}'}"));
    EXPECT_EQ(file.objects.at(0).resource->as<Policy>().name, "written");
}

TEST(Resource, NeutronsAnyProtocolIsNoCriterion) {
    const auto file = read(yaml("NetworkPolicy", kRule + "protocol: \"0\""));
    EXPECT_EQ(file.objects.at(0).resource->as<Policy>().ingress.at(0).match, RuleMatch{});
}

TEST(Resource, APeerMayNameItsPort) {
    const auto peer = read(yaml("BGPPeer", "  peerIP: '[fd00::1]:1790'\n  asNumber: 64512"))
                          .objects.at(0)
                          .resource->as<BgpPeer>();
    EXPECT_EQ(peer.peer_ip, parse_ip("fd00::1"));
    EXPECT_EQ(peer.peer_port, L4Port{1790});
    EXPECT_EQ(peer.as_number, Asn{64512});
}

TEST(Resource, ANodeHasItsBgpAddresses) {
    const auto node = read(yaml("Node", "  bgp: {ipv4Address: 192.0.2.1/24, asNumber: '1.1'}"))
                          .objects.at(0)
                          .resource->as<ClusterNode>();
    EXPECT_EQ(node.address4, Ip4::parse("192.0.2.1"));
    EXPECT_EQ(node.as_number, Asn{65537});
}

TEST(Json, KeepsTypes) {
    EXPECT_EQ(
        yaml_to_json("a: 1\nb: '1'\nc: [true, 1.5, x]\nd: {}\ne:\n").value(),
        R"({"a":1,"b":"1","c":[true,1.5E0,"x"],"d":{},"e":null})");
}

/// Sources hand an object's text on: it must mean the same wherever it is read again.
TEST(ObjectText, ReadsAsWhatItWasReadFrom) {
    const std::string tier = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\n";
    std::string indented;
    for (const char c : "\n" + tier) {
        indented += c;
        indented += c == '\n' ? "  " : "";
    }
    const std::vector<std::string> texts{
        tier,
        "\n \r\n" + tier,
        indented,
        "---\n" + indented,
        "--- {kind: Tier, metadata: {name: t}, apiVersion: projectcalico.org/v3}\n"};
    for (const auto& text : texts) {
        const auto file = parse_file("f.yaml", text);
        ASSERT_TRUE(file) << file.error().text;
        ASSERT_EQ(file->objects.size(), 1U);
        const auto again = parse_file("g.yaml", *file->objects[0].text);
        ASSERT_TRUE(again) << again.error().text << text;
        ASSERT_EQ(again->objects.size(), 1U);
        EXPECT_EQ(again->objects[0].key, file->objects[0].key);
    }
}

}  // namespace
}  // namespace vr::policy::resource_test
