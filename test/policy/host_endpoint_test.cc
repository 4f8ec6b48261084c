// A packet's whole way through a host, judged by the reference: the worked cases of POLICY 2.9 that are
// about more than one endpoint's policy (19-25, 30).  Host endpoints: which guards an interface, how their
// objects are read.  Of the packet path itself the cases are test/dataplane's.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "policy/felix.h"
#include "policy/passage.h"
#include "test/policy/cluster.h"
#include "vrouter/net/headers.h"

namespace vr::policy::host_endpoint_test {
namespace {

std::string object(std::string_view kind, std::string_view metadata, std::string_view spec) {
    return "---\napiVersion: projectcalico.org/v3\nkind: " + std::string(kind) + "\nmetadata: {" +
           std::string(metadata) + "}\nspec: {" + std::string(spec) + "}\n";
}

std::string gnp(std::string_view name, std::string_view spec) {
    return object("GlobalNetworkPolicy", "name: " + std::string(name), spec);
}

const std::string kHost =
    object("HostEndpoint", "name: uplink, labels: {side: host}", "node: h1, interfaceName: eth0");
const std::string kGuest = object(
    "WorkloadEndpoint",
    "name: vm, namespace: a",
    "orchestrator: openstack, node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.2], ipNATs: "
    "[{internalIP: 10.0.0.2, externalIP: 203.0.113.9}], profiles: [projectcalico-default-allow]");

/// The same as somebody's pod.
const std::string kPod = object(
    "WorkloadEndpoint",
    "name: vm, namespace: a",
    "orchestrator: k8s, node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.2], ipNATs: "
    "[{internalIP: 10.0.0.2, externalIP: 203.0.113.9}], profiles: [projectcalico-default-allow]");

/// Denies what is not translated.
const std::string kByFixed = object(
    "NetworkPolicy",
    "name: by-fixed, namespace: a",
    "types: [Ingress], ingress: [{action: Allow, destination: {nets: [10.0.0.2/32]}}]");

const Place kHostItself = HostItself{};
const Place kUplink = Outside{"eth0", {Ip4{0xc6336401}}};
const Place kVm = endpoint_key("a", "vm");
const Place kPeer = endpoint_key("a", "peer");

/// Another workload on the same host.
const std::string kNeighbor = object(
    "WorkloadEndpoint",
    "name: peer, namespace: a, labels: {role: peer}",
    "node: h1, interfaceName: tappeer, ipNetworks: [10.0.0.3], profiles: "
    "[projectcalico-default-allow]");

/// A packet, the first of a flow unless it says otherwise; from an address outside unless it comes from
/// a guest.
struct Probe {
    const Place& from;
    const Place& to;
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;  ///< of the destination
    bool allow = false;
    bool tracked = true;
    std::string by = {};           ///< what decides, if it matters
    std::string arriving_to = {};  ///< another than the receiver's own
    FlowState flow = FlowState::New;
    std::string source = {};  ///< another than the sender's own
};

struct Case {
    std::string name;
    std::string objects;
    std::vector<Probe> probes;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.name;
}

const std::vector<Case> kCases{
    // What is established passes the reference by definition; that a flow outlives a change of policy is
    // shown on packets, by test/dataplane's FlowPolicy.AnEstablishedFlowSurvivesALaterDeny.
    {"19 an established flow survives a later Deny",
     object("NetworkPolicy", "name: shut, namespace: a", "types: [Ingress, Egress]"),
     {{.from = kUplink,
       .to = kVm,
       .protocol = ipproto::kTcp,
       .port = 80,
       .allow = true,
       .flow = FlowState::Established},
      {kUplink, kVm, ipproto::kTcp, 80, false, true, "end of tier"}}},
    {"20 both ends local, egress allowed, ingress denied",
     kNeighbor + object(
                     "NetworkPolicy",
                     "name: shut, namespace: a",
                     "selector: role == 'peer', types: [Ingress], ingress: [{action: Deny}]"),
     {{kVm, kPeer, ipproto::kTcp, 80, false, true, "NetworkPolicy a/shut"},
      {kPeer, kVm, ipproto::kTcp, 80, true}}},
    {"21 policy of a workload does not see a floating address",
     object(
         "NetworkPolicy",
         "name: by-fip, namespace: a",
         "types: [Ingress], ingress: [{action: Allow, destination: {nets: [203.0.113.9/32]}}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, false, true, "end of tier", "203.0.113.9"}}},
    {"21 policy of a workload sees the address behind it",
     kByFixed,
     {{kUplink, kVm, ipproto::kTcp, 80, true, true, "NetworkPolicy a/by-fixed", "203.0.113.9"}}},
    {"a pod has no floating address",
     kByFixed + kPod,
     {{kUplink, kVm, ipproto::kTcp, 80, false, true, "end of tier", "203.0.113.9"}}},
    {"a pod has one where FelixConfiguration allows it",
     kByFixed + kPod + object("FelixConfiguration", "name: default", "floatingIPs: Enabled"),
     {{kUplink, kVm, ipproto::kTcp, 80, true, true, "NetworkPolicy a/by-fixed", "203.0.113.9"}}},
    {"the node's FelixConfiguration has the last word on it",
     kByFixed + kPod + object("FelixConfiguration", "name: default", "floatingIPs: Enabled") +
         object("FelixConfiguration", "name: node.h1", "floatingIPs: Disabled"),
     {{kUplink, kVm, ipproto::kTcp, 80, false, true, "end of tier", "203.0.113.9"}}},
    {"a selector does not find an endpoint by its floating address",
     kNeighbor +
         object(
             "WorkloadEndpoint",
             "name: far, namespace: a",
             "orchestrator: openstack, node: h2, interfaceName: tapfar, ipNetworks: [10.0.0.4], "
             "ipNATs: [{internalIP: 10.0.0.4, externalIP: 203.0.113.10}]") +
         object(
             "NetworkPolicy",
             "name: out, namespace: a",
             "selector: role == 'peer', types: [Egress], egress: [{action: Allow, destination: "
             "{selector: all()}}]"),
     {{kPeer, kVm, ipproto::kTcp, 80, true, true, "", "203.0.113.9"},
      {kPeer, kUplink, ipproto::kTcp, 80, false, true, "end of tier", "203.0.113.10"}}},
    {"what is untracked is not translated",
     gnp("fast",
         "selector: has(side), doNotTrack: true, applyOnForward: true, types: [Ingress], ingress: "
         "[{action: Allow, protocol: TCP, destination: {ports: [80]}}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, false, false, "", "203.0.113.9"},
      {kUplink, kVm, ipproto::kTcp, 80, true, false},
      {kUplink, kVm, ipproto::kTcp, 81, true, true, "", "203.0.113.9"}}},
    {"21 preDNAT policy does",
     gnp("by-fip",
         "selector: has(side), preDNAT: true, applyOnForward: true, types: [Ingress], ingress: "
         "[{action: Deny, destination: {nets: [203.0.113.9/32]}}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, false, true, "GlobalNetworkPolicy by-fip", "203.0.113.9"},
      {kUplink, kVm, ipproto::kTcp, 80, true, true, "", "10.0.0.2"}}},
    {"22 doNotTrack ingress allow",
     gnp("fast",
         "selector: has(side), doNotTrack: true, applyOnForward: true, types: [Ingress], ingress: "
         "[{action: Allow, protocol: TCP, destination: {ports: [80]}}]"),
     {{kUplink, kHostItself, ipproto::kTcp, 80, true, false, "GlobalNetworkPolicy fast"},
      {kUplink, kHostItself, ipproto::kTcp, 81, false, true, "end of profiles"},
      {kHostItself, kUplink, ipproto::kTcp, 80, false, true, "end of profiles"}}},
    {"23 host endpoint without policy",
     "",
     {{kUplink, kHostItself, ipproto::kTcp, 22, true, true, "failsafe port"},
      {kUplink, kHostItself, ipproto::kUdp, 22, false},
      {kUplink, kHostItself, ipproto::kTcp, 80, false, true, "end of profiles"},
      {kHostItself, kUplink, ipproto::kUdp, 53, true, true, "failsafe port"},
      {kHostItself, kUplink, ipproto::kTcp, 22, false},
      {kUplink, kVm, ipproto::kTcp, 80, true},
      {kVm, kUplink, ipproto::kTcp, 80, true},
      {kUplink, kUplink, ipproto::kTcp, 80, true}}},
    {"24 applyOnForward Deny on the uplink",
     gnp("closed",
         "selector: has(side), applyOnForward: true, ingress: [{action: Deny}], egress: [{action: "
         "Deny}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, false, true, "GlobalNetworkPolicy closed"},
      {kVm, kUplink, ipproto::kTcp, 80, false, true, "GlobalNetworkPolicy closed"},
      {kUplink, kVm, ipproto::kTcp, 22, false, true, "GlobalNetworkPolicy closed"},
      {kUplink, kHostItself, ipproto::kTcp, 22, true, true, "failsafe port"}}},
    {"25 a spoofed source does not ride on a known flow",
     kNeighbor,
     {{.from = kVm,
       .to = kUplink,
       .protocol = ipproto::kTcp,
       .port = 80,
       .allow = false,
       .by = "source check",
       .flow = FlowState::Established,
       .source = "10.0.0.3"},
      {.from = kPeer,
       .to = kUplink,
       .protocol = ipproto::kTcp,
       .port = 80,
       .allow = true,
       .flow = FlowState::Established}}},
    // A later fragment has no ports; it belongs to the flow of the first, if that was allowed.  That it is
    // found to is shown on packets, by test/dataplane's FlowPolicy.LaterFragmentsShareTheFirstOnesVerdict.
    {"30 second fragment of an allowed datagram",
     object(
         "NetworkPolicy",
         "name: dns, namespace: a",
         "types: [Ingress], ingress: [{action: Allow, protocol: UDP, destination: {ports: [53]}}]"),
     {{kUplink, kVm, ipproto::kUdp, 53, true, true, "NetworkPolicy a/dns"},
      {.from = kUplink,
       .to = kVm,
       .protocol = ipproto::kUdp,
       .allow = true,
       .flow = FlowState::Established},
      {kUplink, kVm, ipproto::kUdp, 0, false, true, "end of tier"}}},
    {"without applyOnForward only the host is meant",
     gnp("closed", "selector: has(side), ingress: [{action: Deny}], egress: [{action: Deny}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, true},
      {kVm, kUplink, ipproto::kTcp, 80, true},
      {kUplink, kHostItself, ipproto::kTcp, 80, false, true, "GlobalNetworkPolicy closed"},
      {kUplink, kHostItself, ipproto::kTcp, 179, true, true, "failsafe port"}}},
    {"forward policy of one direction leaves the other alone",
     gnp("in-only",
         "selector: has(side), applyOnForward: true, types: [Ingress], ingress: [{action: Deny}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, false}, {kVm, kUplink, ipproto::kTcp, 80, true}}},
    {"what all forward tiers pass is allowed",
     object("Tier", "name: first", "order: 1, defaultAction: Pass") +
         gnp("some",
             "tier: first, selector: has(side), applyOnForward: true, ingress: [{action: Deny, "
             "protocol: TCP, destination: {ports: [81]}}]"),
     {{kUplink, kVm, ipproto::kTcp, 80, true},
      {kUplink, kVm, ipproto::kTcp, 81, false},
      {kUplink, kHostItself, ipproto::kTcp, 80, false, true, "end of profiles"}}},
    {"untracked and preDNAT tiers do not drop at their end",
     gnp("fast",
         "selector: has(side), doNotTrack: true, applyOnForward: true, ingress: [{action: Allow, "
         "protocol: UDP}], egress: []") +
         gnp("early",
             "selector: has(side), preDNAT: true, applyOnForward: true, types: [Ingress], ingress: "
             "[{action: Allow, protocol: TCP, destination: {ports: [80]}}]"),
     {{kUplink, kVm, ipproto::kTcp, 443, true},
      {kUplink, kHostItself, ipproto::kTcp, 80, true, true, "GlobalNetworkPolicy early"},
      {kUplink, kHostItself, ipproto::kTcp, 443, false, true, "end of profiles"},
      {kUplink, kHostItself, ipproto::kUdp, 7, true, false}}},
    {"failsafe ports come before untracked and preDNAT policy",
     gnp("fast",
         "selector: has(side), doNotTrack: true, applyOnForward: true, ingress: [{action: Deny}], "
         "egress: [{action: Deny}]") +
         gnp("early",
             "selector: has(side), preDNAT: true, applyOnForward: true, types: [Ingress], ingress: "
             "[{action: Deny}]"),
     {{kUplink, kHostItself, ipproto::kTcp, 22, true, true, "failsafe port"},
      {kUplink, kHostItself, ipproto::kTcp, 23, false, true, "GlobalNetworkPolicy fast"},
      {kHostItself, kUplink, ipproto::kTcp, 179, true, true, "failsafe port"}}},
    {"a profile of the host endpoint",
     object(
         "HostEndpoint",
         "name: uplink",
         "node: h1, interfaceName: eth0, profiles: [projectcalico-default-allow]"),
     {{kUplink, kHostItself, ipproto::kTcp, 80, true},
      {kHostItself, kUplink, ipproto::kTcp, 80, true}}},
    {"own failsafe ports, with a net",
     object(
         "FelixConfiguration",
         "name: default",
         "failsafeInboundHostPorts: [{protocol: tcp, port: 22, net: 10.0.0.0/8}, {protocol: udp, "
         "port: 500}], failsafeOutboundHostPorts: []"),
     {{kUplink, kHostItself, ipproto::kTcp, 22, false},
      {kUplink, kHostItself, ipproto::kUdp, 500, true},
      {kUplink, kHostItself, ipproto::kTcp, 179, false},
      {kHostItself, kUplink, ipproto::kTcp, 179, false}}},
    {"a workload to the host is dropped",
     "",
     {{kVm, kHostItself, ipproto::kTcp, 22, false}, {kHostItself, kVm, ipproto::kTcp, 80, true}}},
    {"Accept: its egress policy decides",
     object("FelixConfiguration", "name: default", "defaultEndpointToHostAction: Drop") +
         object("FelixConfiguration", "name: node.h1", "defaultEndpointToHostAction: Accept") +
         object(
             "NetworkPolicy",
             "name: out, namespace: a",
             "types: [Egress], egress: [{action: Allow, protocol: UDP}]"),
     {{kVm, kHostItself, ipproto::kTcp, 80, false, true, "end of tier"},
      {kVm, kHostItself, ipproto::kUdp, 80, true}}},
    {"Return: the guard of all interfaces decides",
     object("FelixConfiguration", "name: default", "defaultEndpointToHostAction: Return") +
         object("HostEndpoint", "name: zz-all, labels: {all: x}", "node: h1, interfaceName: '*'") +
         gnp("from-guests",
             "selector: has(all), types: [Ingress], ingress: [{action: Allow, protocol: UDP}]"),
     {{kVm, kHostItself, ipproto::kUdp, 80, true, true, "GlobalNetworkPolicy from-guests"},
      {kVm, kHostItself, ipproto::kTcp, 80, false, true, "end of tier"},
      {kVm, kHostItself, ipproto::kTcp, 22, true, true, "failsafe port"}}},
    {"Return without such a guard",
     object("FelixConfiguration", "name: default", "defaultEndpointToHostAction: Return"),
     {{kVm, kHostItself, ipproto::kTcp, 80, true}}},
    {"OpenStack: the host's DNS comes before policy",
     object("FelixConfiguration", "name: default", "interfacePrefix: 'cali,tap'") +
         object("NetworkPolicy", "name: none, namespace: a", "types: [Egress]"),
     {{kVm, kHostItself, ipproto::kUdp, 53, true},
      {kVm, kHostItself, ipproto::kTcp, 53, false, true, "end of tier"},
      {kVm, kUplink, ipproto::kUdp, 53, false, true, "end of tier"}}},
    {"tunnels of workloads",
     object("FelixConfiguration", "name: default", "allowVXLANPacketsFromWorkloads: false"),
     {{kVm, kUplink, ipproto::kUdp, 4789, false}, {kUplink, kVm, ipproto::kUdp, 4789, true}}},
    {"tunnels of workloads, allowed",
     object("FelixConfiguration", "name: default", "allowVXLANPacketsFromWorkloads: true"),
     {{kVm, kUplink, ipproto::kUdp, 4789, true}}},
    {"both ends of a flow through the host count",
     gnp("closed", "selector: has(side), applyOnForward: true, types: [Egress], egress: []"),
     {{kUplink, kUplink, ipproto::kTcp, 80, false, true, "end of tier"},
      {kUplink, kVm, ipproto::kTcp, 80, true}}},
};

class HostWorkedCases : public testing::TestWithParam<Case> {};

TEST_P(HostWorkedCases, TheReferenceDecides) {
    const Cluster cluster(kHost + kGuest + GetParam().objects);
    for (const auto& p : GetParam().probes) {
        const auto address = [](const Place& place, const std::string& outside) {
            const auto* guest = std::get_if<Key>(&place);
            return guest == nullptr ? outside : guest->name == "vm" ? "10.0.0.2" : "10.0.0.3";
        };
        const std::string source = p.source.empty() ? address(p.from, "192.0.2.7") : p.source;
        const std::string destination =
            p.arriving_to.empty() ? address(p.to, "198.51.100.1") : p.arriving_to;
        const Passage passage = judge_passage<V4>(
            cluster.all(),
            "h1",
            p.from,
            p.to,
            packet<V4>(source, destination, p.protocol, 1000, p.port),
            p.flow);
        const std::string where = "protocol " + std::to_string(p.protocol) + " port " +
                                  std::to_string(p.port) + " by " + passage.by.policy;
        EXPECT_EQ(passage.allow, p.allow) << where;
        EXPECT_EQ(passage.tracked, p.tracked) << where;
        if (!p.by.empty()) {
            EXPECT_EQ(passage.by.policy, p.by) << where;
        }
    }
}

std::string row_name(const testing::TestParamInfo<Case>& info) {
    std::string name = info.param.name;
    std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Policy26, HostWorkedCases, testing::ValuesIn(kCases), row_name);

// Which endpoint guards an interface.

std::string host_endpoint(std::string_view name, std::string_view spec) {
    return object("HostEndpoint", "name: " + std::string(name), spec);
}

std::string guard(std::string_view yaml) {
    const Cluster cluster(yaml);
    const auto key = guard_of(
        cluster.all(), "h1", Outside{"eth0", {*parse_ip("192.0.2.1"), *parse_ip("fd00::1")}});
    return key ? key->name : "none";
}

TEST(GuardOf, TheLowerNameWins) {
    EXPECT_EQ(
        guard(
            host_endpoint("b", "node: h1, interfaceName: eth0") +
            host_endpoint("a", "node: h1, expectedIPs: ['fd00::1']")),
        "a");
}

TEST(GuardOf, AnInterfaceNameIsNotPassedOverForAnAddress) {
    EXPECT_EQ(
        guard(host_endpoint("a", "node: h1, interfaceName: eth1, expectedIPs: [192.0.2.1]")),
        "none");
}

TEST(GuardOf, AllInterfacesComeLast) {
    EXPECT_EQ(
        guard(
            host_endpoint("a", "node: h1, interfaceName: '*'") +
            host_endpoint("b", "node: h1, interfaceName: eth0")),
        "b");
    EXPECT_EQ(guard(host_endpoint("a", "node: h1, interfaceName: '*'")), "a");
}

TEST(GuardOf, OtherNodesEndpointsDoNotCount) {
    EXPECT_EQ(guard(host_endpoint("a", "node: h2, interfaceName: '*'")), "none");
}

// Rules that name host endpoints.

TEST(HostEndpoint, ItsAddressesBelongToSelectors) {
    const Cluster cluster(
        kGuest +
        object(
            "HostEndpoint",
            "name: x, labels: {role: host}",
            "node: h2, interfaceName: eth0, expectedIPs: [192.0.2.5]") +
        object(
            "NetworkPolicy",
            "name: p, namespace: a",
            "types: [Ingress], ingress: [{action: Allow, source: {selector: \"role == 'host'\", "
            "namespaceSelector: global()}}]"));
    const Key vm = endpoint_key("a", "vm");
    for (const auto& [from, allowed] :
         {std::pair("192.0.2.5", true), std::pair("192.0.2.6", false)}) {
        const auto p = packet<V4>(from, "10.0.0.2", ipproto::kTcp, 1, 80);
        EXPECT_EQ(cluster.reference<V4>(vm, Direction::Ingress, p).allow, allowed);
        EXPECT_EQ(cluster.compiled<V4>(vm, Direction::Ingress, p).allow, allowed);
    }
}

// How they are read.

struct Refused {
    std::string name;
    std::string object;
    std::string error;
};

class RefusedHostObjects : public testing::TestWithParam<Refused> {};

TEST_P(RefusedHostObjects, SayWhereAndWhy) {
    const auto file = parse_file("f", GetParam().object);
    ASSERT_TRUE(file) << file.error().text;
    ASSERT_EQ(file->objects.size(), 1U);
    EXPECT_EQ(file->objects[0].resource, nullptr);
    EXPECT_NE(file->objects[0].error.find(GetParam().error), std::string::npos)
        << file->objects[0].error;
}

INSTANTIATE_TEST_SUITE_P(
    HostEndpoint,
    RefusedHostObjects,
    testing::ValuesIn(std::vector<Refused>{
        {"no_node", host_endpoint("a", "interfaceName: eth0"), "needs node"},
        {"no_interface", host_endpoint("a", "node: h1"), "needs interfaceName or expectedIPs"},
        {"interface",
         host_endpoint("a", "node: h1, interfaceName: 'eth*'"),
         "spec.interfaceName: expected '*' or an interface name"},
        {"address",
         host_endpoint("a", "node: h1, expectedIPs: [192.0.2.0/24]"),
         "spec.expectedIPs[0]: '192.0.2.0/24' is not an address"},
        {"misspelt", host_endpoint("a", "node: h1, interfacename: eth0"), "is it 'interfaceName'?"},
        {"untracked_without_forward", gnp("p", "doNotTrack: true"), "need applyOnForward: true"},
        {"pre_dnat_without_forward", gnp("p", "preDNAT: true"), "need applyOnForward: true"},
        {"both",
         gnp("p", "applyOnForward: true, preDNAT: true, doNotTrack: true"),
         "exclude each other"},
        {"pre_dnat_egress_rules",
         gnp("p", "applyOnForward: true, preDNAT: true, egress: [{action: Allow}]"),
         "preDNAT is for ingress only"},
        {"pre_dnat_egress_type",
         gnp("p", "applyOnForward: true, preDNAT: true, types: [Ingress, Egress]"),
         "preDNAT is for ingress only"},
        {"failsafe_protocol",
         object(
             "FelixConfiguration",
             "name: default",
             "failsafeInboundHostPorts: [{protocol: icmp, port: 1}]"),
         "unknown protocol 'icmp', expected tcp, udp or sctp"},
        {"failsafe_port",
         object(
             "FelixConfiguration", "name: default", "failsafeInboundHostPorts: [{protocol: tcp}]"),
         "needs protocol and port"},
        {"action",
         object("FelixConfiguration", "name: default", "defaultEndpointToHostAction: Reject"),
         "expected Drop, Return or Accept"},
        {"deny_action",
         object("FelixConfiguration", "name: default", "iptablesFilterDenyAction: Accept"),
         "expected Drop or Reject"},
        {"switch",
         object("FelixConfiguration", "name: default", "allowIPIPPacketsFromWorkloads: perhaps"),
         "neither true nor false"},
        {"metadata_address",
         object("FelixConfiguration", "name: default", "metadataAddr: nova"),
         "'nova' is no address; expected one, or none"},
        {"floating",
         object("FelixConfiguration", "name: default", "floatingIPs: true"),
         "expected Enabled or Disabled"},
        {"nat_ports",
         object("FelixConfiguration", "name: default", "natPortRange: '65535:61000'"),
         "expected ports such as '61000:65535'"},
        {"nat_ports_from_0",
         object("FelixConfiguration", "name: default", "natPortRange: '0:10'"),
         "expected ports such as '61000:65535'"},
        {"nat_address",
         object("FelixConfiguration", "name: default", "natOutgoingAddress: 127.0.0.1"),
         "'127.0.0.1' is no address of a station"},
        {"nat_exclusions",
         object("FelixConfiguration", "name: default", "natOutgoingExclusions: Hosts"),
         "expected IPPoolsOnly or IPPoolsAndHostIPs"},
        {"log_prefix",
         object("FelixConfiguration", "name: default", "logPrefix: \"a\\nb\""),
         "printable ASCII"},
        {"log_rate",
         object("FelixConfiguration", "name: default", "logActionRateLimit: 5"),
         "expected N/second"},
        {"log_rate_unit",
         object("FelixConfiguration", "name: default", "logActionRateLimit: 5/week"),
         "expected N/second"},
        {"migration_time",
         object("FelixConfiguration", "name: default", "liveMigrationRouteConvergenceTime: 30"),
         "'30' is not a duration"},
        {"elevated_priority",
         object("FelixConfiguration", "name: default", "ipv6ElevatedRoutePriority: 0"),
         "'0' is not a whole number from 1 to 2147483646"},
        {"log_burst",
         object("FelixConfiguration", "name: default", "logActionRateLimitBurst: 10000"),
         "9999"},
    }),
    [](const auto& row) { return row.param.name; });

/// What cannot be understood opens nothing: the interface is closed but for failsafe ports.
TEST(HostEndpoint, PreDnatPolicyWithAnEmptyListOfTypesIsAsOneWithout) {
    for (const std::string_view types : {"", ", types: []"}) {
        const auto file =
            parse_file("f", gnp("p", "applyOnForward: true, preDNAT: true" + std::string(types)));
        ASSERT_TRUE(file) << file.error().text;
        EXPECT_NE(file->objects[0].resource, nullptr) << file->objects[0].error;
        EXPECT_EQ(file->objects[0].warnings.size(), 1U);
    }
}

TEST(HostEndpoint, AnInvalidOneIsClosed) {
    const auto file = parse_file(
        "f",
        object(
            "HostEndpoint",
            "name: a, labels: {side: host}",
            "node: h1, interfaceName: eth0, expectedIPs: [x], profiles: "
            "[projectcalico-default-allow]"));
    ASSERT_TRUE(file && file->objects.at(0).stand_in);
    auto all = objects(gnp("open", "selector: all(), ingress: [{action: Allow}]"));
    all.push_back(file->objects[0].stand_in);
    const auto ask = [&](std::uint16_t port) {
        const auto p = packet<V4>("192.0.2.7", "198.51.100.1", ipproto::kTcp, 1000, port);
        return judge<V4>(all, host_key("a"), HostHook::NormalIngress, p).allow;
    };
    EXPECT_TRUE(ask(22));
    EXPECT_FALSE(ask(80));
    Cluster cluster;
    cluster.graph.on({0, {Upsert{all[0]}, Upsert{all[1]}, InSync{}}});
    const auto p = packet<V4>("192.0.2.7", "198.51.100.1", ipproto::kTcp, 1000, 80);
    EXPECT_FALSE(cluster.compiled<V4>(host_key("a"), HostHook::NormalIngress, p).allow);
}

/// What closes in place of an invalid host endpoint.
HostEndpoint closed_for(const std::string& spec) {
    const auto file = parse_file("f", host_endpoint("a", "node: h1, " + spec));
    EXPECT_TRUE(file && file->objects.at(0).stand_in) << spec;
    const auto& host = file->objects.at(0).stand_in->as<HostEndpoint>();
    EXPECT_TRUE(host.closed);
    return host;
}

TEST(HostEndpoint, AnInvalidOneClosesThePortOfItsAddresses) {
    for (const auto* typo : {"ports: x", "profile: [prod]", "port: []"}) {
        for (const auto* name : {"", "interfaceName: '', "}) {
            const auto host = closed_for(
                std::string(name) + "expectedIPs: [10.0.0.1, 10.0.0.1], " + std::string(typo));
            EXPECT_EQ(host.interface_name, "") << typo;
            EXPECT_EQ(host.expected_ips, std::vector{*parse_prefix("10.0.0.1/32")}) << typo;
        }
    }
}

TEST(HostEndpoint, AnInvalidOneWhosePortNobodyCanTellClosesAll) {
    for (const auto* spec :
         {"expectedIPs: [10.0.0.1, x]",
          "expectedIPs: []",
          "expectedIPs: x",
          "expectedIP: [10.0.0.1]",
          "expectedIPs: [10.0.0.1], expectedIps: [10.0.0.2]",
          "interfaceName: [], expectedIPs: [10.0.0.1]",
          "interfaceNam: eth0, expectedIPs: [10.0.0.1]",
          "expectedIPs: [!t 10.0.0.1]"}) {
        EXPECT_EQ(closed_for(spec).interface_name, kAllInterfaces) << spec;
    }
}

TEST(HostEndpoint, OfThoseForAllInterfacesTheClosedOneCountsFirst) {
    Cluster cluster;
    cluster.set(
        host_endpoint("all", "node: h1, interfaceName: '*'") +
        host_endpoint("broken", "node: h1, expectedIPs: [x]"));
    EXPECT_TRUE(cluster.sink.hosts.at("broken").closed);
    EXPECT_FALSE(cluster.sink.hosts.at("all").closed);
    EXPECT_EQ(guard_of(cluster.all(), "h1", {"uplink2", {}}), host_key("broken"));
}

TEST(HostEndpoint, AnInvalidOneOfUnknownNodeIsMissing) {
    const auto file = parse_file("f", host_endpoint("a", "interfaceName: eth0"));
    ASSERT_TRUE(file);
    EXPECT_EQ(file->objects.at(0).stand_in, nullptr);
}

/// A broken policy denies where it was to act, and nowhere else.
TEST(HostEndpoint, ABrokenUntrackedPolicyDeniesUntracked) {
    const auto file = parse_file(
        "f",
        gnp("p",
            "selector: has(side), applyOnForward: true, doNotTrack: true, ingress: [{action: x}]"));
    ASSERT_TRUE(file && file->objects.at(0).stand_in);
    const auto& policy = file->objects[0].stand_in->as<Policy>();
    EXPECT_EQ(policy.hook, Hook::Untracked);
    EXPECT_EQ(policy.ingress, std::vector<Rule>{Rule{}});
}

TEST(HostEndpoint, ABrokenPolicyOfUnknownHookDeniesForwardingToo) {
    const auto file = parse_file("f", gnp("p", "selector: has(side), doNotTrack: perhaps"));
    ASSERT_TRUE(file && file->objects.at(0).stand_in);
    const auto& policy = file->objects[0].stand_in->as<Policy>();
    EXPECT_EQ(policy.hook, Hook::Normal);
    EXPECT_TRUE(policy.apply_on_forward);
}

TEST(Felix, TheNodesObjectOverridesFieldByField) {
    FelixConfiguration everywhere;
    everywhere.failsafe_inbound.emplace();
    everywhere.endpoint_to_host = EndpointToHost::Accept;
    FelixConfiguration here;
    here.endpoint_to_host = EndpointToHost::Return;
    const auto settings = felix_settings(&everywhere, &here);
    EXPECT_TRUE(settings.failsafe_inbound.empty());
    EXPECT_EQ(settings.failsafe_outbound.size(), 10U) << "the default";
    EXPECT_EQ(settings.workloads.to_host, EndpointToHost::Return);
}

/// What one FelixConfiguration says of workloads.
WorkloadRules rules_of(const std::string& spec) {
    const auto file = parse_file("f", object("FelixConfiguration", "name: default", spec));
    EXPECT_TRUE(file && file->objects.at(0).resource) << spec;
    return felix_settings(&file->objects.at(0).resource->as<FelixConfiguration>(), nullptr)
        .workloads;
}

TEST(Felix, RulesOfWorkloads) {
    EXPECT_EQ(rules_of(""), WorkloadRules{});
    EXPECT_EQ(
        rules_of("allowIPIPPacketsFromWorkloads: true, disableConntrackInvalidCheck: true, "
                 "iptablesFilterDenyAction: REJECT"),
        (WorkloadRules{.allow_ipip = true, .drop_invalid = false, .reject = true}));
}

/// What one FelixConfiguration says of natOutgoing.
NatOutgoing nat_of(const std::string& spec) {
    const auto file = parse_file("f", object("FelixConfiguration", "name: default", spec));
    EXPECT_TRUE(file && file->objects.at(0).resource) << spec;
    return felix_settings(&file->objects.at(0).resource->as<FelixConfiguration>(), nullptr)
        .nat_outgoing;
}

TEST(Felix, WhatNatOutgoingMakesOfAFlow) {
    EXPECT_EQ(nat_of("natPortRange: 0, natOutgoingAddress: ''"), NatOutgoing{});
    const NatOutgoing nat = nat_of(
        "natPortRange: '20000:29999', natOutgoingAddress: 192.0.2.9, natOutgoingExclusions: "
        "IPPoolsAndHostIPs");
    EXPECT_EQ(nat.first_port, L4Port{20000});
    EXPECT_EQ(nat.last_port, L4Port{29999});
    EXPECT_EQ(nat.address, parse_ip("192.0.2.9"));
    EXPECT_TRUE(nat.spares_hosts);
    EXPECT_EQ(nat_of("natPortRange: 4000").last_port, L4Port{4000});
}

TEST(Felix, HowAGuestThatHasMovedIsTold) {
    const auto terms_of = [](const std::string& spec) {
        const auto file = parse_file("f", object("FelixConfiguration", "name: default", spec));
        EXPECT_TRUE(file && file->objects.at(0).resource) << spec;
        return felix_settings(&file->objects.at(0).resource->as<FelixConfiguration>(), nullptr)
            .migration;
    };
    EXPECT_EQ(terms_of(""), (MigrationTerms{{512, 512}, std::chrono::seconds(30)}));
    EXPECT_EQ(
        terms_of("liveMigrationRouteConvergenceTime: 1m30s, ipv4ElevatedRoutePriority: 100, "
                 "ipv6ElevatedRoutePriority: 200"),
        (MigrationTerms{{100, 200}, std::chrono::seconds(90)}));
}

TEST(Felix, HowLogRulesAreWritten) {
    const auto terms_of = [](const std::string& spec) {
        const auto file = parse_file("f", object("FelixConfiguration", "name: default", spec));
        EXPECT_TRUE(file && file->objects.at(0).resource) << spec;
        return felix_settings(&file->objects.at(0).resource->as<FelixConfiguration>(), nullptr)
            .policy_log;
    };
    EXPECT_EQ(terms_of("logPrefix: ''"), PolicyLogTerms{});
    EXPECT_EQ(
        terms_of("logPrefix: '%t %k %p', logActionRateLimit: 120/minute, "
                 "logActionRateLimitBurst: 9"),
        (PolicyLogTerms{.prefix = "%t %k %p", .rate = 2, .burst = 9}));
    EXPECT_EQ(terms_of("logActionRateLimit: 86400/day").rate, 1);
}

/// Guests of other clouds get nothing for free.
TEST(Felix, OpenStackIsWhereItsInterfacesOrItsMetadataAre) {
    EXPECT_FALSE(rules_of("interfacePrefix: 'cali,taps', metadataAddr: none").openstack);
    const auto named = rules_of("metadataAddr: 192.0.2.80, metadataPort: 80").openstack;
    ASSERT_TRUE(named);
    EXPECT_EQ(named->metadata_address, parse_ip("192.0.2.80"));
    EXPECT_EQ(named->metadata_port, L4Port{80});
    const auto taps = rules_of("interfacePrefix: 'cali,tap'").openstack;
    ASSERT_TRUE(taps);
    EXPECT_EQ(taps->metadata_address, std::nullopt);
    EXPECT_EQ(taps->metadata_port, L4Port{8775});
}

}  // namespace
}  // namespace vr::policy::host_endpoint_test
