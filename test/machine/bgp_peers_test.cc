// Which BGP peers the config and Calico's resources give to a node.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_peers.h"

#include <gtest/gtest.h>

namespace vr::daemon {
namespace {

using namespace literals;
using policy::ResourcePtr;

constexpr const char* kConfig = R"(
node: host1
ports: [{name: eth0, device: d, addresses: [192.0.2.1/24, "fd00::1/64"]}]
bgp:
  as: 64512
  router_id: 192.0.2.1
  port: 1179
  neighbors:
    - {address: 192.0.2.254, as: 64513, import: all, export: local}
    - {address: 198.51.100.1, as: 64514, next_hop4: 203.0.113.1}
)";

Config config() {
    return *parse_config(kConfig, "f");
}

ResourcePtr node(const std::string& name, std::optional<Ip4> address, policy::Labels labels = {}) {
    policy::ClusterNode spec;
    spec.address4 = address;
    return std::make_shared<const policy::Resource>(
        policy::Resource{{policy::Kind::Node, "", name}, std::move(labels), spec});
}

ResourcePtr bgp_peer(const std::string& name, policy::BgpPeer spec) {
    return std::make_shared<const policy::Resource>(
        policy::Resource{{policy::Kind::BGPPeer, "", name}, {}, std::move(spec)});
}

ResourcePtr mesh(bool on) {
    policy::BgpConfiguration spec;
    spec.node_mesh = on;
    return std::make_shared<const policy::Resource>(
        policy::Resource{{policy::Kind::BGPConfiguration, "", "default"}, {}, spec});
}

const std::vector<ResourcePtr> kNodes{
    node("host1", "192.0.2.1"_ip4, {{"rack", "a"}}),
    node("host2", "192.0.2.2"_ip4, {{"rack", "a"}}),
    node("host3", "192.0.2.3"_ip4, {{"rack", "b"}, {"reflector", "yes"}}),
    node("unaddressed", std::nullopt)};

/// The addresses of the peers that the resources give, as text.
std::vector<std::string> addresses(
    const std::vector<ResourcePtr>& peers, const std::vector<ResourcePtr>& configurations) {
    std::vector<std::string> all;
    for (const auto& [address, peer] : resource_peers(config(), peers, kNodes, configurations)) {
        all.push_back(to_string(address));
    }
    return all;
}

policy::BgpPeer to(const char* address) {
    policy::BgpPeer spec;
    spec.peer_ip = parse_ip(address);
    return spec;
}

TEST(SpeakerConfig, IsTheConfigs) {
    const bgp::SpeakerConfig speaker = speaker_config(*config().bgp);
    EXPECT_EQ(speaker.asn, Asn{64512});
    EXPECT_EQ(speaker.port, L4Port{1179});
    EXPECT_FALSE(speaker.listen.empty());
}

TEST(SpeakerConfig, NotListeningIsNowhere) {
    BgpConfig quiet = *config().bgp;
    quiet.listen = false;
    EXPECT_TRUE(speaker_config(quiet).listen.empty());
}

TEST(ConfiguredPeers, NextHopIsOurAddressInThePeersNetwork) {
    const Peers peers = configured_peers(config());
    const bgp::PeerConfig& peer = peers.at("192.0.2.254"_ip4);
    EXPECT_EQ(peer.ipv4.next_hop, IpAddr{"192.0.2.1"_ip4});
    EXPECT_EQ(peer.ipv6.next_hop, parse_ip("fd00::1"));
}

TEST(ConfiguredPeers, WrittenNextHopStays) {
    const Peers peers = configured_peers(config());
    EXPECT_EQ(peers.at("198.51.100.1"_ip4).ipv4.next_hop, IpAddr{"203.0.113.1"_ip4});
    EXPECT_FALSE(peers.at("198.51.100.1"_ip4).ipv6.next_hop);
}

TEST(ConfiguredPeers, FiltersAreCarriedOver) {
    const Peers peers = configured_peers(config());
    EXPECT_EQ(peers.at("192.0.2.254"_ip4).import->kind, bgp::Filter::Kind::All);
    EXPECT_EQ(peers.at("192.0.2.254"_ip4).export_->kind, bgp::Filter::Kind::Local);
    EXPECT_FALSE(peers.at("198.51.100.1"_ip4).import);
}

TEST(ResourcePeers, MeshIsEveryOtherNodeWithAnAddress) {
    EXPECT_EQ(addresses({}, {}), (std::vector<std::string>{"192.0.2.2", "192.0.2.3"}));
    EXPECT_EQ(addresses({}, {mesh(true)}), (std::vector<std::string>{"192.0.2.2", "192.0.2.3"}));
}

TEST(ResourcePeers, MeshCanBeTurnedOff) {
    EXPECT_TRUE(addresses({}, {mesh(false)}).empty());
}

TEST(ResourcePeers, MeshPeersTakeAllAndGiveTheirOwn) {
    const Peers peers = resource_peers(config(), {}, kNodes, {});
    const bgp::PeerConfig& peer = peers.at("192.0.2.2"_ip4);
    EXPECT_EQ(peer.asn, Asn{64512});
    EXPECT_EQ(peer.import->kind, bgp::Filter::Kind::All);
    EXPECT_EQ(peer.export_->kind, bgp::Filter::Kind::Local);
    EXPECT_EQ(peer.description, "node host2");
}

struct Row {
    const char* name;
    const char* node;
    const char* node_selector;
    bool wanted;
};

class BgpPeerScope : public testing::TestWithParam<Row> {};

TEST_P(BgpPeerScope, IsByNodeSelectorOrGlobal) {
    policy::BgpPeer spec = to("198.51.100.9");
    spec.node = GetParam().node;
    if (*GetParam().node_selector != '\0') {
        spec.node_selector = *policy::Selector::parse(GetParam().node_selector);
    }
    EXPECT_EQ(addresses({bgp_peer("p", spec)}, {mesh(false)}).size(), GetParam().wanted ? 1U : 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    BgpPeerScope,
    testing::Values(
        Row{"global", "", "", true},
        Row{"this_node", "host1", "", true},
        Row{"other_node", "host2", "", false},
        Row{"selected", "", "rack == 'a'", true},
        Row{"not_selected", "", "rack == 'b'", false}),
    [](const auto& row) { return std::string{row.param.name}; });

TEST(ResourcePeers, PeerSelectorChoosesNodes) {
    policy::BgpPeer spec;
    spec.peer_selector = *policy::Selector::parse("has(reflector)");
    EXPECT_EQ(
        addresses({bgp_peer("p", spec)}, {mesh(false)}), std::vector<std::string>{"192.0.2.3"});
}

TEST(ResourcePeers, PeerSelectorNeverChoosesThisNode) {
    policy::BgpPeer spec;
    spec.peer_selector = *policy::Selector::parse("rack == 'a'");
    EXPECT_EQ(
        addresses({bgp_peer("p", spec)}, {mesh(false)}), std::vector<std::string>{"192.0.2.2"});
}

TEST(ResourcePeers, BgpPeerReplacesTheMeshPeerOfItsAddress) {
    policy::BgpPeer spec = to("192.0.2.2");
    spec.as_number = Asn{65000};
    spec.peer_port = L4Port{2179};
    const Peers peers = resource_peers(config(), {bgp_peer("p", spec)}, kNodes, {});
    EXPECT_EQ(peers.at("192.0.2.2"_ip4).asn, Asn{65000});
    EXPECT_EQ(peers.at("192.0.2.2"_ip4).port, L4Port{2179});
}

TEST(ResourcePeers, ConfigWinsOverResources) {
    // As Daemon::update_peers joins them.
    Peers wanted = configured_peers(config());
    policy::BgpPeer spec = to("192.0.2.254");
    spec.as_number = Asn{65000};
    wanted.merge(resource_peers(config(), {bgp_peer("p", spec)}, kNodes, {mesh(false)}));
    EXPECT_EQ(wanted.at("192.0.2.254"_ip4).asn, Asn{64513});
}

TEST(ResourcePeers, WithoutBgpInTheConfigThereAreNone) {
    Config quiet = config();
    quiet.bgp.reset();
    EXPECT_TRUE(resource_peers(quiet, {bgp_peer("p", to("1.1.1.1"))}, kNodes, {}).empty());
}

}  // namespace
}  // namespace vr::daemon
