// The worked cases of POLICY 2.9 that concern workload endpoints (1-18, 26-29), each judged by the
// reference and by the compiled program; 19-25 and 30 are rows of host_endpoint_test.cc.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "test/policy/cluster.h"
#include "vrouter/net/headers.h"

namespace vr::policy::worked_cases_test {
namespace {

/// A packet towards or from endpoint a/vm, and what becomes of it.
struct Probe {
    Direction direction;
    std::string_view peer;  ///< the other side's address; its family is the packet's
    std::uint8_t protocol;
    std::uint16_t first;   ///< source port or ICMP type
    std::uint16_t second;  ///< destination port or ICMP code
    bool allow;
    std::string_view by = {};  ///< policy that decides, if it matters
};

constexpr Direction kIn = Direction::Ingress;
constexpr Direction kOut = Direction::Egress;

struct Case {
    std::string_view name;
    std::string_view endpoint;  ///< spec fields and labels of a/vm beyond the usual
    std::string objects;
    std::vector<Probe> probes;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.name;
}

constexpr std::string_view kAllow = "profiles: [projectcalico-default-allow]";

/// The beginning of an object; its spec follows.
std::string head(std::string_view kind, std::string_view metadata) {
    return "---\napiVersion: projectcalico.org/v3\nkind: " + std::string(kind) + "\nmetadata: {" +
           std::string(metadata) + "}\n";
}

std::string slice(
    const std::string& ns,
    const std::string& service,
    const std::string& address,
    const std::string& ports) {
    return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " +
           service + "-1, namespace: " + ns + ", labels: {kubernetes.io/service-name: " + service +
           "}}\naddressType: IPv4\nendpoints: [{addresses: [" + address + "]}]\nports: [" + ports +
           "]\n";
}

const std::vector<Case> kCases{
    {"1 neither policy nor profile",
     "",
     "",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "end of profiles"},
      {kOut, "fd00:9::1", ipproto::kTcp, 1000, 80, false, "end of profiles"}}},
    {"2 default-allow profile only",
     kAllow,
     "",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true},
      {kOut, "fd00:9::1", ipproto::kUdp, 1, 2, true}}},
    {"3 ingress policy without rules",
     kAllow,
     head("NetworkPolicy", "name: p, namespace: a") + "spec: {types: [Ingress]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "end of tier"},
      {kOut, "192.0.2.1", ipproto::kTcp, 1000, 80, true}}},
    {"4 no types, egress rules only",
     kAllow,
     head("NetworkPolicy", "name: p, namespace: a") + "spec: {egress: [{action: Allow}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "end of tier"},
      {kOut, "192.0.2.1", ipproto::kTcp, 1000, 80, true, "NetworkPolicy a/p"}}},
    {"5 a tier with staged policies only is skipped",
     "",
     head("Tier", "name: tier-a") + "spec: {order: 1}\n" +
         head("StagedGlobalNetworkPolicy", "name: tier-a.s") + "spec: {tier: tier-a}\n" +
         head("Tier", "name: tier-b") + "spec: {order: 2}\n" +
         head("GlobalNetworkPolicy", "name: b") +
         "spec: {tier: tier-b, types: [Ingress], ingress: [{action: Allow}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true, "GlobalNetworkPolicy b"}}},
    {"5 staged policies of every kind never act",
     kAllow,
     head("StagedGlobalNetworkPolicy", "name: s") + "spec: {ingress: [{action: Deny}]}\n" +
         head("StagedNetworkPolicy", "name: s, namespace: a") +
         "spec: {egress: [{action: Deny}]}\n" +
         head("StagedKubernetesNetworkPolicy", "name: s, namespace: a") +
         "spec: {podSelector: {}}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true},
      {kOut, "192.0.2.1", ipproto::kTcp, 1000, 80, true}}},
    {"6 tier default Pass",
     kAllow,
     head("Tier", "name: tier-a") + "spec: {order: 1, defaultAction: Pass}\n" +
         head("Tier", "name: tier-b") + "spec: {order: 2}\n" +
         head("GlobalNetworkPolicy", "name: a") +
         "spec: {tier: tier-a, types: [Ingress], ingress: [{action: Allow, protocol: UDP}]}\n" +
         head("GlobalNetworkPolicy", "name: b") +
         "spec: {tier: tier-b, types: [Ingress], ingress: [{action: Deny}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy b"},
      {kIn, "192.0.2.1", ipproto::kUdp, 1000, 80, true, "GlobalNetworkPolicy a"}}},
    {"7 Pass leaves the tier",
     kAllow,
     head("Tier", "name: tier-a") + "spec: {order: 1}\n" + head("GlobalNetworkPolicy", "name: a1") +
         "spec: {tier: tier-a, order: 1, types: [Ingress], ingress: [{action: Pass}]}\n" +
         head("GlobalNetworkPolicy", "name: a2") +
         "spec: {tier: tier-a, order: 2, types: [Ingress], ingress: [{action: Deny}]}\n" +
         head("GlobalNetworkPolicy", "name: d") +
         "spec: {types: [Ingress], ingress: [{action: Allow}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true, "GlobalNetworkPolicy d"}}},
    {"8 the only tier passes, profile allows",
     kAllow,
     head("GlobalNetworkPolicy", "name: d") + "spec: {ingress: [{action: Pass}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true, "Profile projectcalico-default-allow"}}},
    {"8 the only tier passes, no profile",
     "",
     head("GlobalNetworkPolicy", "name: d") + "spec: {ingress: [{action: Pass}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "end of profiles"}}},
    {"9 only a Log rule",
     kAllow,
     head("GlobalNetworkPolicy", "name: d") + "spec: {ingress: [{action: LOG}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"10 ties are broken by name/namespace/kind",
     "",
     head("GlobalNetworkPolicy", "name: a") + "spec: {order: 5, ingress: [{action: Allow}]}\n" +
         head("GlobalNetworkPolicy", "name: a-b") + "spec: {order: 5, ingress: [{action: Deny}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy a-b"}}},
    {"11 != holds for an absent label",
     kAllow,
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {selector: \"role != 'db'\", ingress: [{action: Deny}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy d"}}},
    {"12 notSelector alone matches strangers",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Allow, source: {notSelector: \"role == 'db'\"}}]}\n" +
         head("GlobalNetworkSet", "name: s, labels: {role: db}") +
         "spec: {nets: [198.51.100.0/24]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true},
      {kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, false}}},
    {"13 selector and notSelector do not match strangers",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Allow, source: "
         "{selector: has(app), notSelector: \"role == 'db'\"}}]}\n" +
         head("GlobalNetworkSet", "name: s, labels: {app: x}") +
         "spec: {nets: [198.51.100.0/24]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false},
      {kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, true}}},
    {"14 nets of both families",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Allow, source: {nets: [10.0.0.0/8, 'fd00::/8']}}]}\n",
     {{kIn, "fd00::1", ipproto::kTcp, 1000, 80, true},
      {kIn, "2001:db8::1", ipproto::kTcp, 1000, 80, false}}},
    {"15 nets of the other family only",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Allow, source: {nets: [10.0.0.0/8]}}]}\n",
     {{kIn, "fd00::1", ipproto::kTcp, 1000, 80, false},
      {kIn, "10.1.1.1", ipproto::kTcp, 1000, 80, true}}},
    {"16 notNets of the other family only",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Allow, source: {notNets: [10.0.0.0/8]}}]}\n",
     {{kIn, "fd00::1", ipproto::kTcp, 1000, 80, false},
      {kIn, "11.1.1.1", ipproto::kTcp, 1000, 80, true}}},
    {"17 named ports",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {egress: [{action: Allow, protocol: TCP, destination: {ports: [22, http]}}]}\n" +
         head("WorkloadEndpoint", "name: web, namespace: a") +
         "spec: {node: h2, interfaceName: tapweb, ipNetworks: [10.0.0.9/32], "
         "ports: [{name: http, protocol: TCP, port: 8080}]}\n" +
         head("WorkloadEndpoint", "name: other, namespace: a") +
         "spec: {node: h2, interfaceName: tapo, ipNetworks: [10.0.0.10/32]}\n",
     {{kOut, "10.0.0.9", ipproto::kTcp, 1000, 22, true},
      {kOut, "10.0.0.9", ipproto::kTcp, 1000, 8080, true},
      {kOut, "10.0.0.9", ipproto::kUdp, 1000, 8080, false},
      {kOut, "10.0.0.10", ipproto::kTcp, 1000, 8080, false},
      {kOut, "10.0.0.10", ipproto::kTcp, 1000, 22, true}}},
    {"17 named notPorts",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {egress: [{action: Allow, protocol: TCP, "
         "destination: {notPorts: [22, http]}}]}\n" +
         head("WorkloadEndpoint", "name: web, namespace: a") +
         "spec: {node: h2, interfaceName: tapweb, ipNetworks: [10.0.0.9/32], "
         "ports: [{name: http, protocol: TCP, port: 8080}]}\n",
     {{kOut, "10.0.0.9", ipproto::kTcp, 1000, 22, false},
      {kOut, "10.0.0.9", ipproto::kTcp, 1000, 8080, false},
      {kOut, "10.0.0.9", ipproto::kTcp, 1000, 8081, true},
      {kOut, "10.0.0.10", ipproto::kTcp, 1000, 8080, true}}},
    {"18 echo requests only",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]}\n",
     {{kIn, "192.0.2.1", ipproto::kIcmp, 8, 0, true},
      {kIn, "192.0.2.1", ipproto::kIcmp, 0, 0, false}}},
    {"services of the destination with their ports",
     "",
     head("NetworkPolicy", "name: p, namespace: a") +
         "spec: {types: [Egress], egress: [{action: Allow, destination: {services: {name: "
         "web}}}]}\n" +
         slice("a", "web", "10.0.0.9", "{port: 8080}, {port: 53, protocol: UDP}") +
         slice("b", "web", "10.0.0.10", "{port: 8080}"),
     {{kOut, "10.0.0.9", ipproto::kTcp, 1000, 8080, true},
      {kOut, "10.0.0.9", ipproto::kUdp, 1000, 53, true},
      {kOut, "10.0.0.9", ipproto::kTcp, 1000, 53, false},
      {kOut, "10.0.0.9", ipproto::kIcmp, 8, 0, false},
      {kOut, "10.0.0.10", ipproto::kTcp, 1000, 8080, false}}},
    {"services of the source whatever the port",
     "",
     head("GlobalNetworkPolicy", "name: p") +
         "spec: {types: [Ingress], ingress: [{action: Allow, "
         "source: {services: {name: web, namespace: b}}}]}\n" +
         slice("a", "web", "10.0.0.9", "{port: 8080}") +
         slice("b", "web", "10.0.0.10", "{port: 8080}"),
     {{kIn, "10.0.0.10", ipproto::kTcp, 1000, 22, true},
      {kIn, "10.0.0.9", ipproto::kTcp, 1000, 22, false}}},
    {"services are in no other set",
     "",
     head("GlobalNetworkPolicy", "name: p") +
         "spec: {types: [Ingress], ingress: [{action: Allow, source: {selector: all()}}, "
         "{action: Allow, source: {namespaceSelector: global()}}, "
         "{action: Allow, source: {selector: \"!has(x)\"}}]}\n" +
         slice("a", "web", "10.0.0.9", "{port: 8080}"),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 22, false}}},
    {"26 an unknown profile denies",
     "profiles: [ghost, projectcalico-default-allow]",
     "",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "Profile ghost, which does not exist"}}},
    {"26 the profile appears",
     "profiles: [ghost]",
     head("Profile", "name: ghost") + "spec: {ingress: [{action: Allow}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true, "Profile ghost"}}},
    {"27 a tier without Tier object comes last",
     "",
     head("GlobalNetworkPolicy", "name: d") +
         "spec: {ingress: [{action: Deny, protocol: UDP}, {action: Pass}]}\n" +
         head("GlobalNetworkPolicy", "name: g") +
         "spec: {tier: aaa, ingress: [{action: Allow, destination: {ports: [80]}, protocol: TCP}, "
         "{action: Allow, protocol: UDP}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, true, "GlobalNetworkPolicy g"},
      {kIn, "192.0.2.1", ipproto::kUdp, 1000, 80, false, "GlobalNetworkPolicy d"},
      {kIn, "192.0.2.1", ipproto::kTcp, 1000, 81, false, "end of tier"}}},
    {"28 selector of a NetworkPolicy means its namespace",
     "",
     head("NetworkPolicy", "name: p, namespace: a") +
         "spec: {ingress: [{action: Allow, source: {selector: \"x == 'y'\"}}]}\n" +
         head("WorkloadEndpoint", "name: in, namespace: a, labels: {x: y}") +
         "spec: {node: h2, interfaceName: tapa, ipNetworks: [10.0.0.9/32]}\n" +
         head("WorkloadEndpoint", "name: out, namespace: b, labels: {x: y}") +
         "spec: {node: h2, interfaceName: tapb, ipNetworks: [10.0.0.10/32]}\n",
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, true},
      {kIn, "10.0.0.10", ipproto::kTcp, 1000, 80, false}}},
    {"28 with namespaceSelector all()",
     "",
     head("NetworkPolicy", "name: p, namespace: a") +
         "spec: {ingress: [{action: Allow, source: "
         "{selector: \"x == 'y'\", namespaceSelector: all()}}]}\n" +
         head("WorkloadEndpoint", "name: out, namespace: b, labels: {x: y}") +
         "spec: {node: h2, interfaceName: tapb, ipNetworks: [10.0.0.10/32]}\n" +
         head("GlobalNetworkSet", "name: s, labels: {x: y}") + "spec: {nets: [198.51.100.0/24]}\n" +
         head("HostEndpoint", "name: h, labels: {x: y}") +
         "spec: {node: h2, interfaceName: eth0, expectedIPs: [198.51.101.7]}\n",
     {{kIn, "10.0.0.10", ipproto::kTcp, 1000, 80, true},
      {kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, false},
      {kIn, "198.51.101.7", ipproto::kTcp, 1000, 80, false}}},
    {"29 Pass ends a profile",
     "profiles: [one, two]",
     head("Profile", "name: one") + "spec: {ingress: [{action: Pass}, {action: Allow}]}\n" +
         head("Profile", "name: two") + "spec: {ingress: [{action: Deny}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "Profile two"}}},
};

std::string ingress(std::string_view rules) {
    return head("GlobalNetworkPolicy", "name: p") + "spec: {types: [Ingress], ingress: [" +
           std::string(rules) + "]}\n";
}

/// Of two nets and an entry that is none.
std::string broken_set(std::string_view labels) {
    return head("GlobalNetworkSet", "name: broken, labels: {" + std::string(labels) + "}") +
           "spec: {nets: [198.51.100.0/24, 203.0.113.300/24, 'fd00:1::/64']}\n";
}

std::string broken_endpoint(std::string_view spec, std::string_view labels = "x: y") {
    return head(
               "WorkloadEndpoint",
               "name: broken, namespace: b, labels: {" + std::string(labels) + "}") +
           "spec: {node: h1, interfaceName: tapb, " + std::string(spec) + "}\n";
}

std::string broken_slice(std::string_view addresses, std::string_view ports) {
    return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: broken, "
           "namespace: a, labels: {kubernetes.io/service-name: s}}\nendpoints: [{addresses: [" +
           std::string(addresses) + "]}]\nports: [" + std::string(ports) + "]\n";
}

std::string to_service(std::string_view action) {
    return head("GlobalNetworkPolicy", "name: p") +
           "spec: {types: [Egress], egress: [{action: " + std::string(action) +
           ", destination: {services: {name: s, namespace: a}}}]}\n";
}

const std::string kDenyY = "{action: Deny, source: {selector: x == 'y'}}, {action: Allow}";
const std::string kAllowY = "{action: Allow, source: {selector: x == 'y'}}";
const std::string kPort = "{name: web, protocol: TCP, port: 80}";

/// Beyond POLICY 2.9: what can be read of an invalid object counts, salvage.h.
const std::vector<Case> kBroken{
    {"of a set that a Deny names the nets count that can be read",
     kAllow,
     broken_set("x: y") + ingress(kDenyY),
     {{kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"},
      {kIn, "fd00:1::7", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"},
      {kIn, "203.0.113.7", ipproto::kTcp, 1000, 80, true}}},
    {"of a set that an Allow names the same ones count",
     kAllow,
     broken_set("x: y") + ingress(kAllowY),
     {{kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, true},
      {kIn, "203.0.113.7", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"nobody else is excepted from a Deny, nor into an Allow",
     kAllow,
     broken_set("x: y") + ingress("{action: Deny, source: {notSelector: x == 'y'}}, "
                                  "{action: Allow}"),
     {{kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, true},
      {kIn, "203.0.113.7", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"}}},
    {"an object whose labels cannot be read wholly is missing",
     kAllow,
     broken_set("x: y, role: [db]") + ingress("{action: Allow, source: {selector: has(x)}}, "
                                              "{action: Allow, source: {selector: role != 'db'}}"),
     {{kIn, "198.51.100.7", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"an endpoint counts with its addresses and ports",
     kAllow,
     broken_endpoint("mac: x, ipNetworks: [10.0.0.9], ports: [" + kPort + ", {name: web}]") +
         ingress("{action: Deny, protocol: TCP, source: {selector: x == 'y', ports: [web]}}, "
                 "{action: Allow}"),
     {{kIn, "10.0.0.9", ipproto::kTcp, 80, 80, false, "GlobalNetworkPolicy p"},
      {kIn, "10.0.0.9", ipproto::kTcp, 81, 80, true},
      {kIn, "10.0.0.8", ipproto::kTcp, 80, 80, true}}},
    {"an endpoint that may not spoof does not, and counts",
     kAllow,
     head("WorkloadEndpoint", "name: other, namespace: b, labels: {x: y}") +
         "spec: {node: h1, interfaceName: tapb, ipNetworks: [10.0.0.9], "
         "allowSpoofedSourcePrefixes: [10.1.0.0/16]}\n" +
         ingress(kDenyY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"},
      {kIn, "10.1.0.9", ipproto::kTcp, 1000, 80, true}}},
    {"a prefix of an endpoint is none of its addresses",
     kAllow,
     broken_endpoint("ipNetworks: [10.0.0.0/24, 10.0.0.9]") + ingress(kAllowY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, true},
      {kIn, "10.0.0.8", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"an endpoint whose profiles cannot be read is missing",
     kAllow,
     broken_endpoint("ipNetworks: [10.0.0.9], profiles: [[]]") + ingress(kAllowY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"an endpoint has the labels of its profiles",
     kAllow,
     head("Profile", "name: q") + "spec: {labelsToApply: {x: y}}\n" +
         broken_endpoint("mac: x, ipNetworks: [10.0.0.9], profiles: [q]", "") + ingress(kDenyY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"}}},
    {"a profile that denies in place of another lends its labels",
     kAllow,
     head("Profile", "name: broken") +
         "spec: {labelsToApply: {x: y}, ingress: [{action: Alow}]}\n" +
         broken_endpoint("mac: x, ipNetworks: [10.0.0.9], profiles: [broken]", "") +
         ingress(kDenyY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"}}},
    {"a profile that cannot be understood denies",
     "profiles: [broken, projectcalico-default-allow]",
     head("Profile", "name: broken") + "spec: {labelsToApply: {x: y}, ingress: [{action: Alow}]}\n",
     {{kIn, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "Profile broken"},
      {kOut, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "Profile broken"}}},
    {"a tier of unknown order comes first, yet none of its rules may allow",
     kAllow,
     head("Tier", "name: security") + "spec: {order: 100}\n" + head("Tier", "name: broken") +
         "spec: {order: soon}\n" + head("GlobalNetworkPolicy", "name: s") +
         "spec: {tier: security, types: [Ingress], ingress: [{action: Deny, source: {nets: "
         "[10.0.0.66]}}, {action: Pass}]}\n" +
         head("GlobalNetworkPolicy", "name: b") +
         "spec: {tier: broken, types: [Ingress], ingress: [{action: Pass, protocol: UDP}, {action: "
         "Allow, source: {nets: [10.0.0.0/8]}}]}\n",
     {{kIn, "10.0.0.66", ipproto::kTcp, 1000, 80, false, "a tier that cannot be read"},
      {kIn, "10.0.0.67", ipproto::kUdp, 1000, 80, false, "a tier that cannot be read"},
      {kOut, "10.0.0.66", ipproto::kTcp, 1000, 80, true}}},
    {"a tier of unknown order that governs nothing denies nothing",
     kAllow,
     head("Tier", "name: broken") + "spec: {ordr: 1}\n" + head("GlobalNetworkPolicy", "name: b") +
         "spec: {tier: broken, selector: has(no)}\n",
     {{kIn, "10.0.0.66", ipproto::kTcp, 1000, 80, true}}},
    {"a host whose profiles may be misspelt lends nothing",
     kAllow,
     head("Profile", "name: prod") + "spec: {labelsToApply: {role: db}}\n" +
         head("HostEndpoint", "name: broken, labels: {x: y}") +
         "spec: {node: h2, expectedIPs: [10.0.0.9], profile: [prod]}\n" +
         ingress("{action: Allow, source: {selector: has(x) && role != 'db'}}"),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"an endpoint whose profiles may be misspelt is missing",
     kAllow,
     broken_endpoint("mac: x, ipNetworks: [10.0.0.9], profile: [prod]") + ingress(kAllowY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"a host counts with its addresses",
     kAllow,
     head("HostEndpoint", "name: broken, labels: {x: y}") +
         "spec: {node: h2, interfaceName: eth0, expectedIPs: [10.0.0.9, 10.0.0.300]}\n" +
         ingress(kDenyY),
     {{kIn, "10.0.0.9", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"},
      {kIn, "10.0.0.8", ipproto::kTcp, 1000, 80, true}}},
    {"of a slice that a Deny names the addresses and ports count that can be read",
     kAllow,
     broken_slice("192.0.2.300, 192.0.2.1", "{port: x}, {port: 80}") + to_service("Deny"),
     {{kOut, "192.0.2.1", ipproto::kTcp, 1000, 80, false, "GlobalNetworkPolicy p"},
      {kOut, "192.0.2.1", ipproto::kTcp, 1000, 81, false, "end of tier"},
      {kOut, "192.0.2.2", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
    {"of a slice that an Allow names the same ones count",
     kAllow,
     broken_slice("192.0.2.300, 192.0.2.1", "{port: x}, {port: 80}") + to_service("Allow"),
     {{kOut, "192.0.2.1", ipproto::kTcp, 1000, 80, true},
      {kOut, "192.0.2.1", ipproto::kTcp, 1000, 81, false, "end of tier"},
      {kOut, "192.0.2.2", ipproto::kTcp, 1000, 80, false, "end of tier"}}},
};

class WorkedCases : public testing::TestWithParam<Case> {};

template <Family F>
void probe(const Cluster& cluster, const Probe& p, std::string_view own) {
    const bool in = p.direction == kIn;
    const auto made =
        packet<F>(in ? p.peer : own, in ? own : p.peer, p.protocol, p.first, p.second);
    const Key endpoint = endpoint_key("a", "vm");
    const Decision reference = cluster.reference<F>(endpoint, p.direction, made);
    const Decision compiled = cluster.compiled<F>(endpoint, p.direction, made);
    EXPECT_EQ(reference.allow, p.allow) << p.peer << " by " << reference.by.policy;
    EXPECT_EQ(compiled.allow, p.allow) << p.peer << " by " << compiled.by.policy;
    EXPECT_EQ(compiled.by, reference.by) << compiled.by.policy << " / " << reference.by.policy;
    if (!p.by.empty()) {
        EXPECT_EQ(reference.by.policy, p.by);
    }
}

TEST_P(WorkedCases, ReferenceAndProgramAgree) {
    const Case& c = GetParam();
    std::string yaml =
        "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n"
        "metadata: {name: vm, namespace: a}\nspec:\n  node: h1\n  interfaceName: tapvm\n"
        "  ipNetworks: [10.0.0.2/32, 'fd00::2/128']\n";
    if (!c.endpoint.empty()) {
        yaml += "  " + std::string(c.endpoint) + "\n";
    }
    const Cluster cluster(yaml + c.objects);
    for (const auto& p : c.probes) {
        if (p.peer.find(':') == std::string_view::npos) {
            probe<V4>(cluster, p, "10.0.0.2");
        } else {
            probe<V6>(cluster, p, "fd00::2");
        }
    }
}

std::string row_name(const testing::TestParamInfo<Case>& info) {
    std::string name(info.param.name);
    std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Policy29, WorkedCases, testing::ValuesIn(kCases), row_name);
INSTANTIATE_TEST_SUITE_P(Broken, WorkedCases, testing::ValuesIn(kBroken), row_name);

// --- objects that were written well and then spoilt -------------------------------------------

struct Lender {
    std::string_view kind;
    std::string_view spec;  ///< up to its list of addresses
};

constexpr std::size_t kEntries = 3;
using Entries = std::array<std::string, kEntries>;
const Entries kWritten{"192.0.2.1", "192.0.2.2", "'fd00:9::3'"};

class Spoilt : public testing::TestWithParam<Lender> {
  protected:
    /// Whom a rule that names `selector` means, but for the endpoint that it guards.
    static std::set<IpPrefix> members(
        const std::string& selector, const Entries& entries, std::string_view label) {
        const std::string text =
            head(
                GetParam().kind,
                "name: lender, namespace: a, labels: {x: y, role: " + std::string(label) + "}") +
            "spec: {" + std::string(GetParam().spec) + "[" + entries[0] + ", " + entries[1] + ", " +
            entries[2] + "]}\n";
        Cluster cluster(
            head("WorkloadEndpoint", "name: vm, namespace: a") +
            "spec: {node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.2]}\n" +
            ingress("{action: Deny, source: {selector: \"" + selector + "\"}}"));
        const auto file = parse_file("lender.yaml", text);
        EXPECT_TRUE(file && file->objects.size() == 1) << text;
        const ParsedObject& object = file->objects.at(0);
        if (const auto& counts = object.resource ? object.resource : object.stand_in) {
            cluster.graph.on({0, {Upsert{counts}}});
        }
        std::set<IpPrefix> all;
        for (const auto& [group, nets] : cluster.sink.members) {
            all.insert(nets.begin(), nets.end());
        }
        all.erase(*parse_prefix("10.0.0.2/32"));
        return all;
    }

    inline static const std::vector<std::string> kSelectors{
        "x == 'y'", "has(x) && role != 'db'", "!has(nothing)", "role in {'web'}", "role != 'web'"};
};

TEST_P(Spoilt, OfItsEntriesNobodyJoinsWhoWasNotMeant) {
    for (const auto& selector : kSelectors) {
        const auto meant = members(selector, kWritten, "web");
        for (std::size_t i = 0; i < kEntries; ++i) {
            for (const auto* bad : {"x", "[]", "!t 192.0.2.9", "192.0.2.300"}) {
                Entries entries = kWritten;
                entries[i] = bad;
                const auto left = members(selector, entries, "web");
                EXPECT_TRUE(std::ranges::includes(meant, left)) << selector << " " << i << bad;
                EXPECT_EQ(left.size(), meant.empty() ? 0U : kEntries - 1) << selector << i << bad;
            }
        }
    }
}

TEST_P(Spoilt, WithoutOneOfItsLabelsNobodyCounts) {
    EXPECT_EQ(members("x == 'y'", kWritten, "web").size(), kEntries);
    for (const auto& selector : kSelectors) {
        for (const auto* bad : {"[]", "{a: b}", "!t web"}) {
            EXPECT_TRUE(members(selector, kWritten, bad).empty()) << selector << " " << bad;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    Spoilt,
    testing::Values(
        Lender{"GlobalNetworkSet", "nets: "},
        Lender{"NetworkSet", "nets: "},
        Lender{"WorkloadEndpoint", "node: h2, interfaceName: t, ipNetworks: "},
        Lender{"HostEndpoint", "node: h2, interfaceName: eth0, expectedIPs: "},
        Lender{"HostEndpoint", "node: h2, expectedIPs: "}),
    [](const auto& row) { return std::string(row.param.kind) + std::to_string(row.index); });

}  // namespace
}  // namespace vr::policy::worked_cases_test
