// What Calico's resources make of a node's speaker and of its peers.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "test/machine/calico_lab.h"

namespace vr::daemon::calico_bgp_test {
namespace {

using namespace calico_lab;
using namespace literals;
using namespace std::chrono_literals;
using Restart = bgp::GracefulRestartConfig;

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

TEST(CalicoPeer, TellsAndTakesEveryPath) {
    const CalicoBgp calico = read(bgp_peer("{peerIP: 198.51.100.1, asNumber: 65001}"));
    const bgp::AddPathConfig both{.receive = true, .send = true};
    EXPECT_EQ(calico.peers.at("192.0.2.2"_ip4).add_path, both) << "of the mesh";
    EXPECT_EQ(calico.peers.at("198.51.100.1"_ip4).add_path, both) << "of a BGPPeer";
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
    EXPECT_EQ(peer.graceful_restart.mode, Restart::Mode::Full);
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
    EXPECT_EQ(peer.graceful_restart.mode, Restart::Mode::Full);
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

TEST(CalicoPeer, TellsOfGatewaysThatMeanNothingHere) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000, reachableBy: 192.0.2.3}"),
        kNodes,
        "node: host1\ndataplane: none\ndatastore: {file: {directory: /d}}\nbgp: {}");
    EXPECT_EQ(
        problems(calico, Kind::BGPPeer, "p"),
        std::vector<std::string>{"reachableBy has no effect without a data plane"});
}

struct Times {
    const char* name;
    const char* field;
    Restart::Mode mode;
    std::chrono::seconds time;
    std::vector<std::string> problems;
};

void PrintTo(const Times& row, std::ostream* out) {
    *out << row.name;
}

class CalicoRestart : public testing::TestWithParam<Times> {};

TEST_P(CalicoRestart, TimeAsksThePeerToKeepOurRoutes) {
    const CalicoBgp calico = read(
        bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000" + std::string{GetParam().field} + "}"));
    const Restart& restart = calico.peers.at("192.0.2.254"_ip4).graceful_restart;
    EXPECT_EQ(restart.mode, GetParam().mode);
    EXPECT_EQ(restart.restart_time, GetParam().time);
    EXPECT_EQ(problems(calico, Kind::BGPPeer, "p"), GetParam().problems);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    CalicoRestart,
    testing::Values(
        Times{"absent", "", Restart::Mode::Helper, Restart{}.restart_time, {}},
        Times{"some", ", maxRestartTime: 5m", Restart::Mode::Full, 300s, {}},
        Times{"none", ", maxRestartTime: 0s", Restart::Mode::Helper, 0s, {}},
        Times{"most", ", maxRestartTime: 4095s", Restart::Mode::Full, 4095s, {}},
        Times{
            "more",
            ", maxRestartTime: 2h",
            Restart::Mode::Full,
            4095s,
            {"maxRestartTime: 4095 s is the most that there is"}}),
    [](const auto& row) { return std::string{row.param.name}; });

TEST(CalicoPeer, ProblemIsToldOnceForBothEndsOfABgpPeer) {
    const CalicoBgp calico = read(
        bgp_peer("{peerSelector: has(reflector), maxRestartTime: 2h}"),
        std::string{kNodes} + R"(
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: reflector2, labels: {reflector: "yes"}}
spec: {bgp: {ipv4Address: 192.0.2.8/24, routeReflectorClusterID: 224.0.0.1}}
)",
        kReflectorConfig);
    EXPECT_EQ(addresses(calico).size(), 4U);
    EXPECT_EQ(problems(calico, Kind::BGPPeer, "p").size(), 1U);
}

/// Of a start with a BGPPeer that has this field.
bool defers_selection(const std::string& field, const char* config) {
    return read(bgp_peer("{peerIP: 192.0.2.254, asNumber: 65000" + field + "}"), kNodes, config)
        .speaker.selection_deferral.has_value();
}

TEST(CalicoSpeaker, StartIsAReturnOnlyWhereSomebodyKeepsWhatAnotherForwards) {
    EXPECT_TRUE(defers_selection(", maxRestartTime: 2m", kReflectorConfig));
    EXPECT_FALSE(defers_selection("", kReflectorConfig));
    EXPECT_FALSE(defers_selection(", maxRestartTime: 2m", kConfig)) << "it has forwarded nothing";
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

}  // namespace
}  // namespace vr::daemon::calico_bgp_test
