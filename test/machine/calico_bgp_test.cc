// What Calico's resources make of a node's speaker, peers, filters and routes.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/calico_bgp.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "policy/resource.h"
#include "vrouter/daemon/calico_filter.h"

namespace vr::daemon::calico_bgp_test {
namespace {

using namespace literals;
using policy::Kind;
using policy::ResourcePtr;

constexpr const char* kConfig = R"(
node: host1
ports: [{name: eth0, device: d, addresses: [192.0.2.1/24, "fd00::1/64"]}]
datastore: {file: {directory: /d}}
bgp: {}
)";

constexpr const char* kNodes = R"(
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host1, labels: {rack: a}}
spec: {bgp: {ipv4Address: 192.0.2.1/24}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host2, labels: {rack: a}}
spec: {bgp: {ipv4Address: 192.0.2.2/24, asNumber: 64999}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host3, labels: {rack: b}}
spec: {bgp: {ipv4Address: 192.0.2.3/24}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: reflector, labels: {reflector: "yes"}}
spec: {bgp: {ipv4Address: 192.0.2.9/24, routeReflectorClusterID: 224.0.0.1}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: unaddressed}
spec: {}
)";

BgpResources resources(const std::string& documents) {
    const auto file = policy::parse_file("f", documents);
    BgpResources found;
    if (!file) {
        ADD_FAILURE() << file.error().text;
        return found;
    }
    for (const policy::ParsedObject& object : file->objects) {
        auto& list = object.key.kind == Kind::BGPConfiguration ? found.configurations
                     : object.key.kind == Kind::BGPFilter      ? found.filters
                     : object.key.kind == Kind::IPPool         ? found.pools
                     : object.key.kind == Kind::Node           ? found.nodes
                                                               : found.peers;
        if (const auto& in_force = object.resource ? object.resource : object.stand_in) {
            list.push_back(in_force);
        }
    }
    return found;
}

Result<std::string> open_sesame(const policy::SecretRef& reference) {
    return reference.name == "bgp" ? Result<std::string>{"sesame " + reference.key}
                                   : fail("secret '" + reference.name + "': No such file");
}

CalicoBgp read(
    const std::string& documents, const std::string& nodes = kNodes, const char* config = kConfig) {
    auto parsed = parse_config(config, "f");
    if (!parsed) {
        ADD_FAILURE() << parsed.error().text;
        return {};
    }
    return calico_bgp(*parsed, resources(nodes + "---\n" + documents), open_sesame);
}

std::string bgp_peer(const std::string& spec, const std::string& name = "p") {
    return "---\napiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: " + name +
           "}\nspec: " + spec + "\n";
}

std::string configuration(const std::string& spec, const std::string& name = "default") {
    return "---\napiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {name: " +
           name + "}\nspec: " + spec + "\n";
}

std::string filter(const std::string& spec) {
    return "---\napiVersion: projectcalico.org/v3\nkind: BGPFilter\nmetadata: {name: f}\nspec: " +
           spec + "\n";
}

const std::string kNoMesh = configuration("{nodeToNodeMeshEnabled: false}");

std::vector<std::string> addresses(const CalicoBgp& calico) {
    std::vector<std::string> all;
    for (const auto& [address, peer] : calico.peers) {
        all.push_back(to_string(address));
    }
    return all;
}

using Addresses = std::vector<std::string>;

std::vector<std::string> problems(const CalicoBgp& calico, Kind kind, const std::string& name) {
    const auto found = calico.problems.find({kind, "", name});
    return found == calico.problems.end() ? std::vector<std::string>{} : found->second;
}

// --- the speaker ---------------------------------------------------------------------------------

TEST(CalicoSpeaker, DefaultsAreCalicos) {
    const CalicoBgp calico = read("");
    EXPECT_EQ(calico.speaker.asn, Asn{64512});
    EXPECT_EQ(calico.speaker.router_id, "192.0.2.1"_ip4);
    EXPECT_EQ(calico.speaker.port, L4Port{179});
    EXPECT_FALSE(calico.speaker.listen.empty());
}

TEST(CalicoSpeaker, ConfigurationNamesAsAndPort) {
    const CalicoBgp calico = read(configuration("{asNumber: 65100, listenPort: 1790}"));
    EXPECT_EQ(calico.speaker.asn, Asn{65100});
    EXPECT_EQ(calico.speaker.port, L4Port{1790});
}

TEST(CalicoSpeaker, NodesConfigurationComesFirst) {
    const CalicoBgp calico = read(
        configuration("{listenPort: 1790}") + configuration("{listenPort: 1791}", "node.host1"));
    EXPECT_EQ(calico.speaker.port, L4Port{1791});
}

TEST(CalicoSpeaker, NodesAsComesFirst) {
    const std::string nodes =
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host1}\nspec: {bgp: "
        "{asNumber: "
        "65007, ipv4Address: 192.0.2.1/24}}\n";
    EXPECT_EQ(read(configuration("{asNumber: 65100}"), nodes).speaker.asn, Asn{65007});
}

TEST(CalicoSpeaker, AsZeroIsNone) {
    const std::string nodes =
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: host1}\nspec: {bgp: "
        "{asNumber: 0, ipv4Address: 192.0.2.1/24}}\n";
    const CalicoBgp calico = read(
        configuration("{asNumber: 0}") +
            bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, localASNumber: 0}"),
        nodes);
    EXPECT_EQ(calico.speaker.asn, Asn{64512});
    EXPECT_FALSE(calico.peers.at("1.1.1.1"_ip4).local_as);
}

TEST(CalicoSpeaker, ConfigFileComesBeforeResources) {
    constexpr const char* kOwn =
        "node: host1\nbgp: {as: 65001, router_id: 198.51.100.1, port: 1179, listen: false}";
    const CalicoBgp calico =
        read(configuration("{asNumber: 65100, listenPort: 1790, bindMode: NodeIP}"), kNodes, kOwn);
    EXPECT_EQ(calico.speaker.asn, Asn{65001});
    EXPECT_EQ(calico.speaker.router_id, "198.51.100.1"_ip4);
    EXPECT_EQ(calico.speaker.port, L4Port{1179});
    EXPECT_TRUE(calico.speaker.listen.empty());
}

TEST(CalicoSpeaker, BindModeNodeIpListensThereOnly) {
    EXPECT_EQ(
        read(configuration("{bindMode: NodeIP}")).speaker.listen,
        std::vector<IpAddr>{"192.0.2.1"_ip4});
}

// --- who is a peer -------------------------------------------------------------------------------

TEST(CalicoMesh, IsEveryOtherNodeThatIsNoReflector) {
    EXPECT_EQ(addresses(read("")), (Addresses{"192.0.2.2", "192.0.2.3"}));
}

TEST(CalicoMesh, CanBeTurnedOff) {
    EXPECT_TRUE(addresses(read(kNoMesh)).empty());
}

TEST(CalicoMesh, PeersTakeAllAndGiveTheirOwn) {
    const CalicoBgp calico = read("");
    const bgp::PeerConfig& peer = calico.peers.at("192.0.2.2"_ip4);
    EXPECT_EQ(peer.asn, Asn{64999});
    EXPECT_EQ(calico.peers.at("192.0.2.3"_ip4).asn, Asn{64512});
    EXPECT_EQ(to_string(*peer.import), "all");
    EXPECT_EQ(to_string(*peer.export_), "local");
    EXPECT_EQ(peer.source, IpAddr{"192.0.2.1"_ip4});
    EXPECT_EQ(peer.ipv6.next_hop, parse_ip("fd00::1"));
    EXPECT_EQ(peer.description, "node host2");
}

TEST(CalicoMesh, NodesAreCalledWhereEachListens) {
    constexpr const char* kOwnPort =
        "node: host1\ndatastore: {file: {directory: /d}}\nbgp: {port: 1179}";
    const CalicoBgp calico = read(
        configuration("{listenPort: 1790}") + configuration("{listenPort: 1791}", "node.host1") +
            configuration("{listenPort: 1792}", "node.host2"),
        kNodes,
        kOwnPort);
    EXPECT_EQ(calico.peers.at("192.0.2.2"_ip4).port, L4Port{1792});
    EXPECT_EQ(calico.peers.at("192.0.2.3"_ip4).port, L4Port{1790});
}

TEST(CalicoMesh, NodesAreCalledAtTheUsualPort) {
    constexpr const char* kOwnPort =
        "node: host1\ndatastore: {file: {directory: /d}}\nbgp: {port: 1179}";
    const CalicoBgp calico =
        read(bgp_peer("{peerIP: 192.0.2.2, asNumber: 64999}"), kNodes, kOwnPort);
    EXPECT_EQ(calico.peers.at("192.0.2.2"_ip4).port, L4Port{179});
    EXPECT_EQ(calico.peers.at("192.0.2.3"_ip4).port, L4Port{179});
}

TEST(CalicoMesh, PasswordAndRestartTimeAreTheConfigurations) {
    const CalicoBgp calico =
        read(configuration("{nodeMeshPassword: {secretKeyRef: {name: bgp, key: mesh}}, "
                           "nodeMeshMaxRestartTime: 1m30s}"));
    const bgp::PeerConfig& peer = calico.peers.at("192.0.2.2"_ip4);
    EXPECT_EQ(peer.password, "sesame mesh");
    EXPECT_EQ(peer.graceful_restart.restart_time, std::chrono::seconds{90});
}

TEST(CalicoMesh, WithoutItsPasswordThereIsNone) {
    const CalicoBgp calico =
        read(configuration("{nodeMeshPassword: {secretKeyRef: {name: gone, key: mesh}}}"));
    EXPECT_TRUE(addresses(calico).empty());
    EXPECT_EQ(
        problems(calico, Kind::BGPConfiguration, "default"),
        std::vector<std::string>{
            "secret 'gone': No such file: there is no session without the password"});
}

TEST(CalicoMesh, NodesWithBothFamiliesHaveASessionInEach) {
    const std::string nodes = R"(
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host1}
spec: {bgp: {ipv4Address: 192.0.2.1/24, ipv6Address: "fd00::1/64"}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host2}
spec: {bgp: {ipv4Address: 192.0.2.2/24, ipv6Address: "fd00::2/64"}}
)";
    const CalicoBgp calico = read("", nodes);
    EXPECT_EQ(addresses(calico), (Addresses{"192.0.2.2", "fd00::2"}));
    EXPECT_FALSE(calico.peers.at("192.0.2.2"_ip4).ipv6.enabled);
    EXPECT_FALSE(calico.peers.at(*parse_ip("fd00::2")).ipv4.enabled);
}

struct Row {
    const char* name;
    const char* spec;
    Addresses wanted;
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class BgpPeerScope : public testing::TestWithParam<Row> {};

TEST_P(BgpPeerScope, DecidesWithWhomThisNodeTalks) {
    EXPECT_EQ(addresses(read(bgp_peer(GetParam().spec) + kNoMesh)), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    BgpPeerScope,
    testing::Values(
        Row{"global", "{peerIP: 1.1.1.1, asNumber: 1}", {"1.1.1.1"}},
        Row{"this_node", "{node: host1, peerIP: 1.1.1.1, asNumber: 1}", {"1.1.1.1"}},
        Row{"other_node", "{node: host2, peerIP: 1.1.1.1, asNumber: 1}", {}},
        Row{"selected", "{nodeSelector: rack == 'a', peerIP: 1.1.1.1, asNumber: 1}", {"1.1.1.1"}},
        Row{"not_selected", "{nodeSelector: rack == 'b', peerIP: 1.1.1.1, asNumber: 1}", {}},
        Row{"never_its_own_address",
            "{peerIP: 192.0.2.1, asNumber: 64512, reversePeering: Manual}",
            {}},
        Row{"peers_by_label", "{peerSelector: has(reflector)}", {"192.0.2.9"}},
        Row{"never_oneself", "{peerSelector: rack == 'a', reversePeering: Manual}", {"192.0.2.2"}},
        Row{"whom_it_names_speaks_too", "{node: host3, peerSelector: rack == 'a'}", {"192.0.2.3"}}),
    [](const auto& row) { return std::string{row.param.name}; });

TEST(CalicoPeer, SaysHowItsSessionIs) {
    const CalicoBgp calico = read(
        bgp_peer(
            "{peerIP: '192.0.2.254:2179', asNumber: 65000, localASNumber: 65010, "
            "numAllowedLocalASNumbers: 2, ttlSecurity: 3, keepaliveTime: 7s, maxRestartTime: 2m, "
            "nextHopMode: Keep, sourceAddress: None, password: {secretKeyRef: {name: bgp, key: "
            "tor}}}") +
        kNoMesh);
    const bgp::PeerConfig& peer = calico.peers.at("192.0.2.254"_ip4);
    EXPECT_EQ(peer.port, L4Port{2179});
    EXPECT_EQ(peer.asn, Asn{65000});
    EXPECT_EQ(peer.local_as, Asn{65010});
    EXPECT_EQ(peer.allow_own_as, 2U);
    EXPECT_EQ(peer.ttl_security, 3);
    EXPECT_EQ(peer.timers.keepalive, std::chrono::seconds{7});
    EXPECT_EQ(peer.graceful_restart.restart_time, std::chrono::seconds{120});
    EXPECT_EQ(peer.next_hop, bgp::NextHopMode::Keep);
    EXPECT_FALSE(peer.source);
    EXPECT_EQ(peer.password, "sesame tor");
}

TEST(CalicoPeer, IsBoundToTheNodesAddress) {
    const CalicoBgp calico = read(bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}") + kNoMesh);
    EXPECT_EQ(calico.peers.at("192.0.2.254"_ip4).source, IpAddr{"192.0.2.1"_ip4});
}

TEST(CalicoPeer, ReplacesTheMeshPeerOfItsAddress) {
    const CalicoBgp calico = read(bgp_peer("{peerIP: 192.0.2.2, asNumber: 65000}"));
    EXPECT_EQ(calico.peers.at("192.0.2.2"_ip4).asn, Asn{65000});
}

TEST(CalicoPeer, WithoutItsPasswordIsNone) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, password: {secretKeyRef: {name: gone, key: k}}}") +
        kNoMesh);
    EXPECT_TRUE(calico.peers.empty());
    EXPECT_EQ(problems(calico, Kind::BGPPeer, "p").size(), 1U);
}

TEST(CalicoPeer, WithoutItsPasswordClosesTheMeshToo) {
    const CalicoBgp calico = read(bgp_peer(
        "{peerIP: 192.0.2.2, asNumber: 1, password: {secretKeyRef: {name: gone, key: k}}}"));
    EXPECT_EQ(addresses(calico), Addresses{"192.0.2.3"});
}

TEST(CalicoPeer, WithoutItsPasswordClosesTheMeshToAllItSelects) {
    const CalicoBgp calico =
        read(bgp_peer("{peerSelector: has(rack), password: {secretKeyRef: {name: gone, key: k}}}"));
    EXPECT_TRUE(addresses(calico).empty());
}

TEST(CalicoPeer, WithoutItsPasswordIsNoneForALaterOneEither) {
    const CalicoBgp calico = read(
        bgp_peer(
            "{peerIP: 1.1.1.1, asNumber: 1, password: {secretKeyRef: {name: gone, key: k}}}", "a") +
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1}", "z") + kNoMesh);
    EXPECT_TRUE(calico.peers.empty());
}

TEST(CalicoPeer, WithAPasswordCountsBeforeAnOpenOneOfItsAddress) {
    const CalicoBgp calico = read(
        bgp_peer(
            "{peerIP: 1.1.1.1, asNumber: 1, password: {secretKeyRef: {name: bgp, key: k}}}", "a") +
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, reachableBy: 192.0.2.254}", "z") + kNoMesh);
    EXPECT_EQ(calico.peers.at("1.1.1.1"_ip4).password, "sesame k");
    EXPECT_TRUE(calico.gateways.empty());
    EXPECT_EQ(
        problems(calico, Kind::BGPPeer, "z"),
        std::vector<std::string>{"BGPPeer 'a' speaks for 1.1.1.1 in its place"});
}

TEST(CalicoPeer, ThatSaysTheSameAsAnotherIsNoProblem) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1}", "a") +
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1}", "z") + kNoMesh);
    EXPECT_EQ(addresses(calico), Addresses{"1.1.1.1"});
    EXPECT_TRUE(calico.problems.empty());
}

TEST(CalicoPeer, SaysByWhichGatewayItIsReached) {
    const CalicoBgp calico =
        read(bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, reachableBy: 192.0.2.254}") + kNoMesh);
    EXPECT_EQ(calico.gateways.at("1.1.1.1"_ip4), IpAddr{"192.0.2.254"_ip4});
}

TEST(CalicoPeer, WhatCannotBeHonouredIsToldOfTheObject) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, localWorkloadSelector: all()}") +
        configuration("{nodeToNodeMeshEnabled: false, logSeverityScreen: Debug, serviceClusterIPs: "
                      "[{cidr: 10.96.0.0/12}]}"));
    EXPECT_EQ(
        problems(calico, Kind::BGPPeer, "p"),
        std::vector<std::string>{"localWorkloadSelector has no effect on this router"});
    EXPECT_EQ(
        problems(calico, Kind::BGPConfiguration, "default"),
        (std::vector<std::string>{
            "logSeverityScreen has no effect on this router",
            "serviceClusterIPs has no effect on this router"}));
}

TEST(CalicoPeer, TellsOfTimesAndGatewaysThatMeanNothingHere) {
    const CalicoBgp calico = read(
        bgp_peer(
            "{peerIP: 192.0.2.254, asNumber: 65000, maxRestartTime: 2m, reachableBy: 192.0.2.3}") +
            configuration("{nodeMeshMaxRestartTime: 90s}"),
        kNodes,
        "node: host1\ndataplane: none\ndatastore: {file: {directory: /d}}\nbgp: {}");
    EXPECT_EQ(
        problems(calico, Kind::BGPPeer, "p"),
        (std::vector<std::string>{
            "maxRestartTime has no effect: peers of resources are not asked to keep this router's "
            "routes",
            "reachableBy has no effect without a data plane"}));
    EXPECT_EQ(problems(calico, Kind::BGPConfiguration, "default").size(), 1U);
}

TEST(CalicoPeer, KnowsWhoseEveryPeerIs) {
    const CalicoBgp calico = read(bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}"));
    EXPECT_EQ(calico.owners.at("192.0.2.254"_ip4), (policy::Key{Kind::BGPPeer, "", "p"}));
    EXPECT_EQ(calico.owners.at("192.0.2.3"_ip4), (policy::Key{Kind::Node, "", "host3"}));
}

TEST(CalicoPeer, WithoutItsPasswordClosesItsAddressToCallers) {
    const CalicoBgp calico = read(bgp_peer(
        "{peerIP: 192.0.2.2, asNumber: 1, password: {secretKeyRef: {name: gone, key: k}}}"));
    EXPECT_EQ(calico.closed, std::set<IpAddr>{"192.0.2.2"_ip4});
}

// --- what stands in for invalid objects ----------------------------------------------------------

TEST(CalicoStandIn, OfTheConfigurationHasNoMesh) {
    const CalicoBgp calico = read(configuration("{listenPort: 1790, logSeverity: 5, bindMode: X}"));
    EXPECT_TRUE(addresses(calico).empty());
    EXPECT_EQ(calico.speaker.port, L4Port{1790}) << "what can be read counts";
    EXPECT_EQ(calico.speaker.listen, std::vector<IpAddr>{"192.0.2.1"_ip4});
}

class ClosedBgpPeer : public testing::TestWithParam<Row> {};

TEST_P(ClosedBgpPeer, LeavesTheMeshToOthers) {
    EXPECT_EQ(addresses(read(bgp_peer(GetParam().spec))), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    ClosedBgpPeer,
    testing::Values(
        Row{"address", "{peerIP: 192.0.2.2, asNumber: x}", {"192.0.2.3"}},
        Row{"port", "{peerIP: '192.0.2.2:x', asNumber: 1}", {"192.0.2.3"}},
        Row{"selector", "{peerSelector: rack == 'a', password: {}}", {"192.0.2.3"}},
        Row{"both", "{peerIP: 192.0.2.2, peerSelector: rack == 'b'}", {}},
        Row{"bad_node", "{node: [host2], peerIP: 192.0.2.2, asNumber: 1}", {"192.0.2.3"}},
        Row{"of_another_node",
            "{node: host2, peerIP: 192.0.2.2, asNumber: x}",
            {"192.0.2.2", "192.0.2.3"}},
        Row{"nobody", "{peerIP: [], asNumber: 1}", {"192.0.2.2", "192.0.2.3"}}),
    [](const auto& row) { return std::string{row.param.name}; });

// --- reflectors ----------------------------------------------------------------------------------

constexpr const char* kReflectorConfig =
    "node: reflector\ndataplane: none\ndatastore: {file: {directory: /d}}\nbgp: {}";

TEST(CalicoReflector, TakesPartInNoMesh) {
    EXPECT_TRUE(addresses(read("", kNodes, kReflectorConfig)).empty());
}

TEST(CalicoReflector, ReflectsToItsClients) {
    const CalicoBgp calico = read(
        bgp_peer("{nodeSelector: has(reflector), peerSelector: '!has(reflector)'}"),
        kNodes,
        kReflectorConfig);
    EXPECT_EQ(calico.speaker.cluster_id, "224.0.0.1"_ip4);
    const bgp::PeerConfig& client = calico.peers.at("192.0.2.3"_ip4);
    EXPECT_TRUE(client.reflector_client);
    EXPECT_EQ(to_string(*client.export_), "all");
    EXPECT_FALSE(calico.peers.at("192.0.2.2"_ip4).reflector_client) << "of another AS";
}

TEST(CalicoReflector, SpeaksWithThoseThatAreToSpeakWithIt) {
    for (const auto* nodes : {"'!has(reflector)'", "all()"}) {
        const CalicoBgp calico = read(
            bgp_peer(fmt::format("{{nodeSelector: {}, peerSelector: has(reflector)}}", nodes)),
            kNodes,
            kReflectorConfig);
        EXPECT_EQ(addresses(calico), (Addresses{"192.0.2.1", "192.0.2.2", "192.0.2.3"})) << nodes;
        EXPECT_TRUE(calico.peers.at("192.0.2.3"_ip4).reflector_client);
    }
}

TEST(CalicoReflector, SpeaksWithThoseThatNameItsAddress) {
    const auto named = [](const std::string& as) {
        return addresses(read(
            bgp_peer("{node: host3, peerIP: 192.0.2.9, asNumber: " + as + "}"),
            kNodes,
            kReflectorConfig));
    };
    EXPECT_EQ(named("64512"), Addresses{"192.0.2.3"});
    EXPECT_EQ(named("64513"), Addresses{}) << "of another AS";
}

TEST(CalicoReflector, LeavesTheOtherDirectionWhereItIsManual) {
    const CalicoBgp calico = read(
        bgp_peer("{nodeSelector: '!has(reflector)', peerSelector: has(reflector), "
                 "reversePeering: Manual}"),
        kNodes,
        kReflectorConfig);
    EXPECT_EQ(addresses(calico), Addresses{});
}

TEST(CalicoReflector, ItsOwnBgpPeerStandsBeforeTheOtherDirection) {
    const CalicoBgp calico = read(
        bgp_peer("{nodeSelector: '!has(reflector)', peerSelector: has(reflector)}", "a") +
            bgp_peer(
                "{node: reflector, peerIP: 192.0.2.3, asNumber: 64512, password: {secretKeyRef: "
                "{name: bgp, "
                "key: k}}}",
                "b"),
        kNodes,
        kReflectorConfig);
    EXPECT_EQ(calico.peers.at("192.0.2.3"_ip4).password, "sesame k");
    EXPECT_EQ(calico.peers.at("192.0.2.2"_ip4).password, "");
}

TEST(CalicoReflector, TheOtherDirectionNeedsThePasswordToo) {
    const CalicoBgp calico = read(
        bgp_peer("{nodeSelector: '!has(reflector)', peerSelector: has(reflector), "
                 "password: {secretKeyRef: {name: lost, key: k}}}"),
        kNodes,
        kReflectorConfig);
    EXPECT_EQ(addresses(calico), Addresses{});
}

TEST(CalicoReflector, OfItsOwnClusterIsNoClient) {
    const std::string second =
        "---\napiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: second, labels: "
        "{reflector: "
        "'yes'}}\nspec: {bgp: {ipv4Address: 192.0.2.10/24, routeReflectorClusterID: 224.0.0.1}}\n";
    const CalicoBgp calico = read(
        bgp_peer("{nodeSelector: has(reflector), peerSelector: has(reflector)}"),
        kNodes + second,
        kReflectorConfig);
    EXPECT_FALSE(calico.peers.at("192.0.2.10"_ip4).reflector_client);
}

TEST(CalicoReflector, ClientsAreNoReflectors) {
    const CalicoBgp calico = read(bgp_peer("{peerSelector: has(reflector)}") + kNoMesh);
    EXPECT_FALSE(calico.peers.at("192.0.2.9"_ip4).reflector_client);
    EXPECT_EQ(to_string(*calico.peers.at("192.0.2.9"_ip4).export_), "local");
}

// --- what is passed on ---------------------------------------------------------------------------

std::string pool(const std::string& name, const std::string& spec) {
    return "---\napiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: " + name +
           "}\nspec: " + spec + "\n";
}

const std::string kPools = pool("guests", "{cidr: 10.65.0.0/16}") +
                           pool("inner", "{cidr: 10.65.128.0/24, disableBGPExport: true}") +
                           pool("guests6", "{cidr: 'fd00:65::/48'}");

std::string exported(const std::string& documents, const char* config = kConfig) {
    return to_string(*read(documents, kNodes, config).peers.at("192.0.2.254"_ip4).export_);
}

TEST(CalicoPassesOn, NothingToItsOwnAs) {
    EXPECT_EQ(
        exported(
            pool("guests", "{cidr: 10.65.0.0/16}") +
            bgp_peer("{peerIP: 192.0.2.254, asNumber: 64512}")),
        "local");
}

TEST(CalicoPassesOn, NothingOfClosedPoolsToAnybody) {
    const CalicoBgp calico = read(kPools);
    EXPECT_EQ(
        to_string(*calico.peers.at("192.0.2.3"_ip4).export_),
        "reject 10.65.128.0/24 ge 24 le 32, else local");
}

TEST(CalicoPassesOn, WhatNodesToldOfPoolsToExternalPeersOfAReflector) {
    EXPECT_EQ(
        exported(kPools + bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}"), kReflectorConfig),
        "reject 10.65.128.0/24 ge 24 le 32, accept 10.65.0.0/16 ge 16 le 32 "
        "fd00:65::/48 ge 48 le 128 from-ibgp of-own-as, else local");
}

/// It would draw the traffic of other racks.
TEST(CalicoPassesOn, NothingFromAHostThatIsNoReflector) {
    EXPECT_EQ(
        exported(kPools + bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}")),
        "reject 10.65.128.0/24 ge 24 le 32, else local");
}

/// Nobody knows what was in it: what all is passed on for is that nobody uses pools.
TEST(CalicoPassesOn, NothingWhereTheOnlyPoolCannotBeRead) {
    EXPECT_EQ(
        exported(
            pool("guests", "{cidr: 10.65.0.0/1x, disableBGPExport: true}") +
                bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}"),
            kReflectorConfig),
        "reject 0.0.0.0/32 ge 32 le 32, else local");
}

TEST(CalicoPassesOn, NothingWithoutPools) {
    EXPECT_EQ(exported(bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}")), "local");
}

TEST(CalicoPassesOn, BehindTheFiltersOfThePeer) {
    EXPECT_EQ(
        exported(
            pool("guests", "{cidr: 10.65.0.0/16}") +
                bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000, filters: [f]}") +
                filter("{exportV4: [{action: Reject, source: RemotePeers}]}"),
            kReflectorConfig),
        "reject ipv4 learnt, accept 10.65.0.0/16 ge 16 le 32 from-ibgp of-own-as, else local");
}

TEST(CalicoPassesOn, NothingWhereAFilterIsMissing) {
    EXPECT_EQ(
        exported(kPools + bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000, filters: [gone]}")),
        "none");
}

TEST(CalicoPassesOn, EverythingThatClientsToldAReflectorWithoutPools) {
    const std::string peer = bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}");
    EXPECT_EQ(exported(peer, kReflectorConfig), "accept from-ibgp of-own-as, else local");
}

TEST(CalicoPassesOn, NothingOfAPoolThatIsInvalid) {
    EXPECT_EQ(
        exported(
            pool("guests", "{cidr: 10.65.0.0/16, disableBGPExport: tru}") +
                bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000}"),
            kReflectorConfig),
        "reject 10.65.0.0/16 ge 16 le 32, else local");
}

// --- filters -------------------------------------------------------------------------------------

struct FilterRow {
    const char* name;
    const char* rule;  ///< of importV4
    const char* wanted;
};

void PrintTo(const FilterRow& row, std::ostream* out) {
    *out << row.name;
}

class CalicoFilters : public testing::TestWithParam<FilterRow> {};

TEST_P(CalicoFilters, AreRulesBeforeTheDefault) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, filters: [f]}") +
        filter("{importV4: [" + std::string(GetParam().rule) + "]}") + kNoMesh);
    EXPECT_EQ(
        to_string(*calico.peers.at("1.1.1.1"_ip4).import),
        GetParam().wanted + std::string(", else all"));
    EXPECT_EQ(to_string(*calico.peers.at("1.1.1.1"_ip4).export_), "local");
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    CalicoFilters,
    testing::Values(
        FilterRow{"everything", "{action: Reject}", "reject ipv4"},
        FilterRow{
            "in",
            "{action: Accept, cidr: 10.0.0.0/8, matchOperator: In}",
            "accept ipv4 10.0.0.0/8 ge 8 le 32"},
        FilterRow{
            "not_in",
            "{action: Reject, cidr: 10.0.0.0/8, matchOperator: NotIn}",
            "reject ipv4 outside 10.0.0.0/8 ge 8 le 32"},
        FilterRow{
            "equal",
            "{action: Reject, cidr: 10.0.0.0/8, matchOperator: Equal}",
            "reject ipv4 10.0.0.0/8 ge 8 le 8"},
        FilterRow{
            "not_equal",
            "{action: Reject, cidr: 10.0.0.0/8, matchOperator: NotEqual}",
            "reject ipv4 outside 10.0.0.0/8 ge 8 le 8"},
        FilterRow{
            "lengths",
            "{action: Reject, cidr: 10.0.0.0/8, matchOperator: In, prefixLength: {min: 16, max: "
            "24}}",
            "reject ipv4 10.0.0.0/8 ge 16 le 24"},
        FilterRow{"source", "{action: Reject, source: RemotePeers}", "reject ipv4 learnt"},
        FilterRow{"interface", "{action: Reject, interface: 'eth*'}", "reject ipv4 interface eth*"},
        FilterRow{"external", "{action: Reject, peerType: eBGP}", "reject ipv4 peer ebgp"},
        FilterRow{"internal", "{action: Reject, peerType: iBGP}", "reject ipv4 peer ibgp"},
        FilterRow{
            "community",
            "{action: Reject, communities: {values: ['64512:100']}}",
            "reject ipv4 community 64512:100"},
        FilterRow{
            "large_community",
            "{action: Reject, communities: {values: ['64512:1:2']}}",
            "reject ipv4 community 64512:1:2"},
        FilterRow{
            "as_path",
            "{action: Reject, asPathPrefix: [65001, '1.10']}",
            "reject ipv4 as-path 65001 65546"},
        FilterRow{
            "priority", "{action: Reject, priority: 512}", "reject ipv4 local-pref 2147483135"},
        FilterRow{
            "normal_priority",
            "{action: Reject, priority: 1024}",
            "reject ipv4 local-pref 2147482623, reject ipv4 local-pref 100"},
        FilterRow{
            "operations",
            "{action: Accept, operations: [{addCommunity: {value: '64512:7'}}, {prependASPath: "
            "{prefix: "
            "[65001, 65001]}}, {setPriority: {value: 512}}]}",
            "accept ipv4 with add-community 64512:7 prepend 65001 65001 local-pref 2147483135"}),
    [](const auto& row) { return std::string{row.param.name}; });

TEST(CalicoFilter, EveryDirectionAndFamilyHasItsRules) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, filters: [f]}") +
        filter("{importV6: [{action: Accept}], exportV4: [{action: Reject}], exportV6: [{action: "
               "Accept}]}") +
        kNoMesh);
    EXPECT_EQ(to_string(*calico.peers.at("1.1.1.1"_ip4).import), "accept ipv6, else all");
    EXPECT_EQ(
        to_string(*calico.peers.at("1.1.1.1"_ip4).export_), "reject ipv4, accept ipv6, else local");
}

TEST(CalicoFilter, MissingOneLetsNothingPass) {
    const CalicoBgp calico =
        read(bgp_peer("{peerIP: 1.1.1.1, asNumber: 1, filters: [gone]}") + kNoMesh);
    EXPECT_EQ(to_string(*calico.peers.at("1.1.1.1"_ip4).import), "none");
    EXPECT_EQ(to_string(*calico.peers.at("1.1.1.1"_ip4).export_), "none");
    EXPECT_EQ(
        problems(calico, Kind::BGPPeer, "p"),
        std::vector<std::string>{"BGPFilter 'gone' is missing: no routes are exchanged"});
}

// --- announcements -------------------------------------------------------------------------------

TEST(CalicoRoutes, HaveTheNormalPriority) {
    const bgp::Attributes own = own_attributes(read(""), *parse_prefix("10.65.0.1/32"));
    const bgp::Attributes moving = own_attributes(read(""), *parse_prefix("10.65.0.1/32"), 512);
    EXPECT_GT(moving.local_pref, own.local_pref);
    EXPECT_EQ(own.local_pref, 2147483647U - 1024U);
    EXPECT_TRUE(own.communities.empty());
}

TEST(CalicoRoutes, HaveThePriorityAndCommunitiesOfTheConfiguration) {
    const CalicoBgp calico = read(configuration(
        "{ipv4NormalRoutePriority: 2048, communities: [{name: guests, value: '64512:300'}], "
        "prefixAdvertisements: [{cidr: 10.65.0.0/16, communities: [guests, '64512:1:2']}, {cidr: "
        "'fd00::/8', communities: ['64512:6']}]}"));
    const bgp::Attributes own = own_attributes(calico, *parse_prefix("10.65.0.1/32"));
    EXPECT_EQ(own.local_pref, 2147483647U - 2048U);
    EXPECT_EQ(own.communities, std::vector<std::uint32_t>{0xfc00012c});
    EXPECT_EQ(own.large_communities.size(), 1U);
    EXPECT_TRUE(own_attributes(calico, *parse_prefix("10.66.0.1/32")).communities.empty());
    EXPECT_EQ(own_attributes(calico, *parse_prefix("fd00::1/128")).communities.size(), 1U);
}

TEST(CalicoRoutes, AdvertisementsOfTheNodeReplaceThoseOfAll) {
    const CalicoBgp calico = read(
        configuration("{prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: ['64512:1']}]}") +
        configuration(
            "{prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: ['64512:2']}]}",
            "node.host1"));
    const bgp::Attributes own = own_attributes(calico, *parse_prefix("10.65.0.1/32"));
    EXPECT_EQ(own.communities, std::vector<std::uint32_t>{0xfc000002});
}

// --- mistakes ------------------------------------------------------------------------------------

struct Mistake {
    const char* name;
    const char* kind;
    const char* spec;
    const char* wanted;
};

void PrintTo(const Mistake& row, std::ostream* out) {
    *out << row.name;
}

class BgpResourceMistake : public testing::TestWithParam<Mistake> {};

TEST_P(BgpResourceMistake, IsRefusedWithItsPlace) {
    const auto file = policy::parse_file(
        "f",
        std::string("apiVersion: projectcalico.org/v3\nkind: ") + GetParam().kind +
            "\nmetadata: {name: x}\nspec: " + GetParam().spec + "\n");
    ASSERT_TRUE(file);
    ASSERT_EQ(file->objects.size(), 1U);
    EXPECT_EQ(file->objects[0].error, GetParam().wanted);
    EXPECT_EQ(file->objects[0].resource, nullptr);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    BgpResourceMistake,
    testing::Values(
        Mistake{
            "filter_key",
            "BGPFilter",
            "{importV4: [{action: Accept, prefix: 10.0.0.0/8}]}",
            "f:4: spec.importV4[0].prefix: unknown field"},
        Mistake{
            "filter_action",
            "BGPFilter",
            "{importV4: [{cidr: 10.0.0.0/8, matchOperator: In}]}",
            "f:4: spec.importV4[0]: a rule needs an action"},
        Mistake{
            "filter_family",
            "BGPFilter",
            "{importV4: [{action: Accept, cidr: 'fd00::/8', matchOperator: In}]}",
            "f:4: spec.importV4[0].cidr: 'fd00::/8' is not an IPv4 block"},
        Mistake{
            "filter_operator",
            "BGPFilter",
            "{importV4: [{action: Accept, cidr: 10.0.0.0/8}]}",
            "f:4: spec.importV4[0]: cidr and matchOperator belong together"},
        Mistake{
            "filter_length",
            "BGPFilter",
            "{importV4: [{action: Accept, prefixLength: {min: 8}}]}",
            "f:4: spec.importV4[0]: prefixLength needs a cidr"},
        Mistake{
            "filter_lengths_reversed",
            "BGPFilter",
            "{importV4: [{action: Accept, cidr: 10.0.0.0/8, matchOperator: NotIn, prefixLength: "
            "{min: 30, max: 20}}]}",
            "f:4: spec.importV4[0]: prefixLength has min above max"},
        Mistake{
            "filter_length_outside_cidr",
            "BGPFilter",
            "{importV4: [{action: Accept, cidr: 10.0.0.0/16, matchOperator: NotIn, prefixLength: "
            "{max: 8}}]}",
            "f:4: spec.importV4[0]: prefixLength has max below the length of cidr"},
        Mistake{
            "filter_empty_as_path",
            "BGPFilter",
            "{importV4: [{action: Accept, asPathPrefix: []}]}",
            "f:4: spec.importV4[0].asPathPrefix: expected an AS number"},
        Mistake{
            "filter_operations",
            "BGPFilter",
            "{importV4: [{action: Reject, operations: [{setPriority: {value: 1}}]}]}",
            "f:4: spec.importV4[0]: operations need the action Accept"},
        Mistake{
            "filter_two_operations",
            "BGPFilter",
            "{importV4: [{action: Accept, operations: [{setPriority: {value: 1}, addCommunity: "
            "{value: "
            "'1:2'}}]}]}",
            "f:4: spec.importV4[0].operations[0]: expected exactly one of addCommunity, "
            "prependASPath, "
            "setPriority"},
        Mistake{
            "filter_community",
            "BGPFilter",
            "{importV4: [{action: Accept, communities: {values: ['65536:1']}}]}",
            "f:4: spec.importV4[0].communities.values[0]: '65536:1' is not a community such as "
            "64512:100 "
            "or 64512:1:2"},
        Mistake{
            "peer_as_zero",
            "BGPPeer",
            "{peerIP: 1.1.1.1, asNumber: 0}",
            "f:4: spec: a peer with peerIP needs asNumber"},
        Mistake{
            "peer_misspelt_password",
            "BGPPeer",
            "{peerIP: 1.1.1.1, asNumber: 1, pasword: {}}",
            "f:4: spec.pasword: unknown field, is it 'password'?"},
        Mistake{
            "configuration_misspelt_password",
            "BGPConfiguration",
            "{nodeMeshPasword: {}}",
            "f:4: spec.nodeMeshPasword: unknown field, is it 'nodeMeshPassword'?"},
        Mistake{
            "peer_next_hop",
            "BGPPeer",
            "{peerIP: 1.1.1.1, asNumber: 1, nextHopMode: Other}",
            "f:4: spec.nextHopMode: expected Auto, Self or Keep"},
        Mistake{
            "peer_gateway_family",
            "BGPPeer",
            "{peerIP: 1.1.1.1, asNumber: 1, reachableBy: 'fd00::1'}",
            "f:4: spec: reachableBy is not of peerIP's family"},
        Mistake{
            "configuration_bind_mode",
            "BGPConfiguration",
            "{bindMode: All}",
            "f:4: spec.bindMode: expected None or NodeIP"},
        Mistake{
            "configuration_unknown_community",
            "BGPConfiguration",
            "{prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: [guests]}]}",
            "f:4: spec.prefixAdvertisements[0].communities[0]: 'guests' is not a community such as "
            "64512:100 or 64512:1:2"}),
    [](const auto& row) { return std::string{row.param.name}; });

}  // namespace
}  // namespace vr::daemon::calico_bgp_test
