// The config's section `bgp`: what is read, and every mistake with its line and its words.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "vrouter/daemon/config.h"
#include "vrouter/daemon/secret.h"

namespace vr::daemon::bgp_config_test {
namespace {

using namespace literals;
using namespace std::chrono_literals;

constexpr const char* kFull = R"(node: host1
bgp:
  as: 4200000001
  router_id: 192.0.2.1
  port: 1179
  listen: false
  multipath: 4
  cluster_id: 192.0.2.99
  announce: [192.0.2.0/24, "fd00:1::/64"]
  filters:
    - name: from-fabric
      otherwise: none
      rules:
        - {action: reject, communities: [64512:666], peer: ebgp}
        - action: accept
          prefixes: [10.0.0.0/8 ge 24 le 32]
          family: ipv4
          source: peers
          interface: eth*
          as_path_prefix: [64513]
          local_pref: 100
          remove_communities: 64512:1
          add_communities: [64512:2, no-export]
          prepend: [1, 2]
          set_local_pref: 200
          set_med: 5
        - {action: reject, not_prefixes: "fd00::/8"}
  groups:
    - {name: racks, as: 64513, import: from-fabric, export: local, hold_time: 30, ttl_security: 1}
  neighbors:
    - address: 192.0.2.254
      as: 64513
      port: 2179
      description: top of rack
      passive: true
      password: secret
      source: 192.0.2.1
      ttl: 2
      hold_time: 30
      keepalive: 7
      connect_retry: 5
      maximum_prefixes: 100
      families: ipv4
      next_hop4: 192.0.2.1
      next_hop6: "fd00::1"
      import: all
      export: [10.0.0.0/8 ge 24 le 32, "fd00::/8"]
      next_hop: self
      local_as: 64999
      allow_own_as: 1
      as_override: true
      remove_private_as: true
      enforce_first_as: false
      add_path: send
      extended_messages: true
      bfd: {transmit_ms: 100, multiplier: 5}
    - {address: 192.0.2.253, group: racks}
    - {address: 192.0.2.252, group: racks, as: 64514, hold_time: 9, export: all}
    - {address: 192.0.2.251, as: internal, route_reflector_client: true}
  ranges:
    - {prefix: 10.99.0.0/16, limit: 7, group: racks, password: p}
)";

BgpConfig full() {
    const auto config = parse_config(kFull, "f");
    if (!config) {
        ADD_FAILURE() << config.error().text;
        return {};
    }
    return *config->bgp;
}

TEST(BgpConfig, ReadsTheSpeaker) {
    const BgpConfig bgp = full();
    EXPECT_EQ(bgp.speaker.asn, Asn{4200000001});
    EXPECT_EQ(bgp.speaker.router_id, "192.0.2.1"_ip4);
    EXPECT_EQ(bgp.speaker.port, L4Port{1179});
    EXPECT_TRUE(bgp.speaker.listen.empty());
    EXPECT_EQ(bgp.speaker.multipath, 4U);
    EXPECT_EQ(bgp.speaker.cluster_id, "192.0.2.99"_ip4);
}

TEST(BgpConfig, SomeSettingsWantAStart) {
    const BgpConfig now = *parse_config(kFull, "f.yaml")->bgp;
    BgpConfig fresh = now;
    fresh.neighbors.clear();
    fresh.ranges.clear();
    fresh.announce.clear();
    fresh.speaker.port = L4Port{179};
    EXPECT_EQ(wants_a_start(now, fresh), "");
    fresh.speaker.asn = Asn{64512};
    fresh.speaker.router_id = *Ip4::parse("192.0.2.2");
    fresh.speaker.cluster_id.reset();
    fresh.speaker.multipath = 1;
    fresh.link_neighbors.push_back({.interface = "eth0", .peer = {}});
    EXPECT_EQ(
        wants_a_start(now, fresh),
        "as, router_id, cluster_id, multipath, neighbors at link-local addresses or with "
        "`interface`");
}

TEST(BgpConfig, ListensWhereItIsTold) {
    const auto config = parse_config(
        "node: a\nbgp: {as: 1, router_id: 1.1.1.1, listen: [192.0.2.1, 'fd00::1']}", "f");
    ASSERT_TRUE(config) << config.error().text;
    EXPECT_EQ(
        config->bgp->speaker.listen,
        (std::vector<IpAddr>{*parse_ip("192.0.2.1"), *parse_ip("fd00::1")}));
}

/// The neighbor of which the config says no more than what a neighbor must say, and `keys`.
bgp::PeerConfig neighbor_with(const std::string& keys, const std::string& group = "") {
    const auto config = parse_config(
        "node: a\nbgp: {as: 1, router_id: 1.1.1.1, groups: [{name: g, as: 2" + group +
            "}],\n  neighbors: [{address: 1.1.1.2, group: g" + keys + "}]}",
        "f");
    if (!config) {
        ADD_FAILURE() << config.error().text;
        return {};
    }
    return config->bgp->neighbors.at(0);
}

TEST(BgpConfig, MaximumOfPrefixesIsOfEachFamilyOrOfOne) {
    const auto limits = [](const std::string& keys, const std::string& group = "") {
        const auto peer = neighbor_with(keys, group);
        return std::pair{peer.ipv4.maximum_prefixes, peer.ipv6.maximum_prefixes};
    };
    EXPECT_EQ(limits(""), (std::pair{0U, 0U}));
    EXPECT_EQ(limits(", maximum_prefixes: 7"), (std::pair{7U, 7U}));
    EXPECT_EQ(limits(", maximum_prefixes: {ipv4: 7}"), (std::pair{7U, 0U}));
    EXPECT_EQ(limits(", maximum_prefixes: {ipv4: 7, ipv6: 8}"), (std::pair{7U, 8U}));
    EXPECT_EQ(
        limits(", maximum_prefixes: {ipv6: 8}", ", maximum_prefixes: 5"), (std::pair{5U, 8U}));
    EXPECT_EQ(limits(", maximum_prefixes: 0", ", maximum_prefixes: 5"), (std::pair{0U, 0U}));
}

TEST(BgpConfig, ReadsTimers) {
    const auto said = neighbor_with(", hold_time: 0, open_wait: 5, idle_hold: 90").timers;
    EXPECT_EQ(said.hold, 0s);
    EXPECT_EQ(said.open_wait, 5s);
    EXPECT_EQ(said.idle_hold, 90s);
    EXPECT_EQ(said.idle_hold_most, 90s);
    const auto brief = neighbor_with(", idle_hold: 2").timers;
    EXPECT_EQ(brief.idle_hold, 2s);
    EXPECT_EQ(brief.idle_hold_most, 60s);
    EXPECT_EQ(neighbor_with("").timers, bgp::PeerTimers{});
}

TEST(BgpConfig, ReadsANeighbor) {
    const bgp::PeerConfig peer = full().neighbors.at(0);
    EXPECT_EQ(peer.address, IpAddr{"192.0.2.254"_ip4});
    EXPECT_EQ(peer.asn, Asn{64513});
    EXPECT_EQ(peer.port, L4Port{2179});
    EXPECT_TRUE(peer.passive);
    EXPECT_EQ(peer.password, "secret");
    EXPECT_EQ(peer.source, parse_ip("192.0.2.1"));
    EXPECT_EQ(peer.ttl, 2);
    EXPECT_EQ(peer.timers.hold, 30s);
    EXPECT_EQ(peer.timers.keepalive, 7s);
    EXPECT_EQ(peer.timers.connect_retry, 5s);
    EXPECT_EQ(peer.ipv4.maximum_prefixes, 100U);
    EXPECT_TRUE(peer.ipv4.enabled);
    EXPECT_FALSE(peer.ipv6.enabled);
    EXPECT_EQ(peer.import->kind, bgp::Filter::Kind::All);
    EXPECT_EQ(peer.next_hop, bgp::NextHopMode::Self);
    EXPECT_EQ(peer.local_as, Asn{64999});
    EXPECT_EQ(peer.allow_own_as, 1U);
    EXPECT_TRUE(peer.as_override);
    EXPECT_TRUE(peer.remove_private_as);
    EXPECT_FALSE(peer.enforce_first_as);
    EXPECT_FALSE(peer.reflector_client);
    EXPECT_TRUE(full().neighbors.at(3).reflector_client);
    EXPECT_EQ(peer.add_path, (bgp::AddPathConfig{.receive = false, .send = true}));
    EXPECT_TRUE(peer.extended_messages);
    const bgp::BfdConfig bfd{
        .transmit = 100ms, .receive = 300ms, .multiplier = 5, .multihop = false};
    EXPECT_EQ(peer.bfd, bfd);
}

TEST(BgpConfig, WhoForwardsPacketsBeginsAfresh) {
    const auto of = [](const std::string& dataplane, const std::string& mode) {
        return parse_config(
            "node: a\ndataplane: " + dataplane +
                "\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: "
                "[{address: 192.0.2.1, as: 1, graceful_restart: " +
                mode + "}]}",
            "f");
    };
    const auto reflector = of("none", "full");
    ASSERT_TRUE(reflector) << reflector.error().text;
    EXPECT_TRUE(reflector->bgp->speaker.selection_deferral);
    EXPECT_FALSE(of("none", "helper")->bgp->speaker.selection_deferral);
    const auto router = of("dpdk", "full");
    ASSERT_TRUE(router) << router.error().text;
    EXPECT_FALSE(router->bgp->speaker.selection_deferral);
}

TEST(BgpConfig, ListOfPrefixesIsAFilter) {
    EXPECT_EQ(
        full().neighbors.at(0).export_,
        bgp::Filter::of_prefixes(
            {{*parse_prefix("10.0.0.0/8"), 24, 32}, {*parse_prefix("fd00::/8"), 8, 8}}));
}

TEST(BgpConfig, NamedFilterIsWhatItsRulesSay) {
    EXPECT_EQ(
        to_string(*full().neighbors.at(1).import),
        "reject peer ebgp community 64512:666, "
        "accept ipv4 10.0.0.0/8 ge 24 le 32 learnt interface eth* as-path 64513 local-pref 100 "
        "with "
        "remove-community 64512:1 add-community 64512:2 add-community no-export prepend 1 2 "
        "local-pref 200 med 5, "
        "reject outside fd00::/8 ge 8 le 8, else none");
}

TEST(BgpConfig, GroupSaysWhatANeighborDoesNot) {
    const bgp::PeerConfig peer = full().neighbors.at(1);
    EXPECT_EQ(peer.asn, Asn{64513});
    EXPECT_EQ(peer.timers.hold, 30s);
    EXPECT_EQ(peer.ttl_security, 1);
    EXPECT_EQ(peer.export_->kind, bgp::Filter::Kind::Local);
}

TEST(BgpConfig, NeighborOverridesItsGroup) {
    const bgp::PeerConfig peer = full().neighbors.at(2);
    EXPECT_EQ(peer.asn, Asn{64514});
    EXPECT_EQ(peer.timers.hold, 9s);
    EXPECT_EQ(peer.export_->kind, bgp::Filter::Kind::All);
    EXPECT_EQ(peer.ttl_security, 1);
}

struct WordForAs {
    const char* name;
    const char* said;  ///< of groups g, e and i with `as: 7`, `as: external` and `as: internal`
    bool external;
    std::uint32_t asn;
};

void PrintTo(const WordForAs& row, std::ostream* out) {
    *out << row.name;
}

class AsOfPeer : public testing::TestWithParam<WordForAs> {};

TEST_P(AsOfPeer, IsReadWhereverAnAsIs) {
    const auto config = parse_config(
        std::string{"node: a\nbgp:\n  as: 1\n  router_id: 1.1.1.1\n  groups:\n"
                    "    - {name: g, as: 7}\n    - {name: e, as: external}\n"
                    "    - {name: i, as: internal}\n"} +
            GetParam().said,
        "f");
    ASSERT_TRUE(config) << config.error().text;
    const BgpConfig& bgp = *config->bgp;
    const bgp::PeerConfig& peer = bgp.ranges.empty() ? bgp.neighbors.at(0) : bgp.ranges.at(0).peer;
    EXPECT_EQ(peer.any_external_as, GetParam().external);
    EXPECT_EQ(peer.asn, Asn{GetParam().asn});
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    AsOfPeer,
    testing::Values(
        WordForAs{"neighbor", "  neighbors: [{address: 1.1.1.2, as: external}]", true, 0},
        WordForAs{
            "with_local_as",
            "  neighbors: [{address: 1.1.1.2, as: external, local_as: 5}]",
            true,
            0},
        WordForAs{"group", "  neighbors: [{address: 1.1.1.2, group: e}]", true, 0},
        WordForAs{
            "number_over_group", "  neighbors: [{address: 1.1.1.2, group: e, as: 9}]", false, 9},
        WordForAs{
            "over_number_of_group",
            "  neighbors: [{address: 1.1.1.2, group: g, as: external}]",
            true,
            0},
        WordForAs{"range", "  ranges: [{prefix: 10.0.0.0/8, as: external}]", true, 0},
        WordForAs{"range_by_group", "  ranges: [{prefix: 10.0.0.0/8, group: e}]", true, 0},
        WordForAs{"inside", "  neighbors: [{address: 1.1.1.2, as: internal}]", false, 1},
        WordForAs{
            "inside_by_local_as",
            "  neighbors: [{address: 1.1.1.2, as: internal, local_as: 5}]",
            false,
            5},
        WordForAs{
            "local_as_of_inside_group",
            "  neighbors: [{address: 1.1.1.2, group: i, local_as: 5}]",
            false,
            5},
        WordForAs{
            "external_over_inside_group",
            "  neighbors: [{address: 1.1.1.2, group: i, as: external}]",
            true,
            0},
        WordForAs{
            "number_over_inside_group",
            "  neighbors: [{address: 1.1.1.2, group: i, as: 9}]",
            false,
            9},
        WordForAs{
            "inside_over_external_group",
            "  neighbors: [{address: 1.1.1.2, group: e, as: internal}]",
            false,
            1},
        WordForAs{"range_inside", "  ranges: [{prefix: 10.0.0.0/8, as: internal}]", false, 1}),
    [](const auto& row) { return row.param.name; });

TEST(BgpConfig, LongLivedRoutesAreAsked) {
    const auto config = parse_config(
        "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: internal, "
        "long_lived_families: ipv6, long_lived_to_all: true}]}",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    const bgp::PeerConfig& peer = config->bgp->neighbors.at(0);
    EXPECT_FALSE(peer.ipv4.long_lived);
    EXPECT_TRUE(peer.ipv6.long_lived);
    EXPECT_TRUE(peer.long_lived_to_all);
}

TEST(BgpConfig, RangeIsPassiveAndLimited) {
    const bgp::RangeConfig range = full().ranges.at(0);
    EXPECT_EQ(range.prefix, *parse_prefix("10.99.0.0/16"));
    EXPECT_EQ(range.limit, 7U);
    EXPECT_TRUE(range.peer.passive);
    EXPECT_EQ(range.peer.password, "p");
    EXPECT_EQ(range.peer.asn, Asn{64513});
}

TEST(BgpConfig, AnnouncesPrefixes) {
    const auto own = full().announce;
    ASSERT_EQ(own.size(), 2U);
    EXPECT_EQ(own[1].prefix, *parse_prefix("fd00:1::/64"));
}

TEST(BgpConfig, AnnouncesWithAttributes) {
    const auto config = parse_config(
        "node: a\nbgp: {as: 1, router_id: 1.1.1.1, announce: [{prefix: 10.0.0.0/24, communities: "
        "[64512:7, '1:2:3'], local_pref: 300, med: 4}]}",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    const bgp::Attributes& set = config->bgp->announce.at(0).attributes;
    EXPECT_EQ(set.communities, bgp::CompactVector<std::uint32_t>{0xfc000007});
    EXPECT_EQ(set.large_communities.size(), 1U);
    EXPECT_EQ(set.local_pref, 300U);
    EXPECT_EQ(set.med, 4U);
}

TEST(BgpConfig, TermWithOnlyGeEndsAtTheFamilysWidth) {
    const auto config = parse_config(
        "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, import: "
        "[10.0.0.0/8 ge 9]}]}",
        "f");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->bgp->neighbors[0].import->rules[0].match.prefixes[0].le, 32U);
}

TEST(BgpConfig, NeighborsOfLinks) {
    const auto config = parse_config(
        "node: a\nhost: {tap: vr0}\nports: [{name: up0, device: d}, {name: up1, device: e}]\n"
        "bgp:\n  as: 1\n  router_id: 1.1.1.1\n  neighbors:\n"
        "    - {interface: up0, as: 2}\n"
        "    - {address: \"fe80::1%up1\", as: 3}\n"
        "    - {address: \"fe80::2%up1\", as: 4}\n",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    EXPECT_TRUE(config->bgp->neighbors.empty());
    const auto& links = config->bgp->link_neighbors;
    ASSERT_EQ(links.size(), 3U);
    EXPECT_EQ(links[0].interface, "up0");
    EXPECT_EQ(links[0].peer.address, IpAddr{Ip6{}});
    EXPECT_EQ(links[1].interface, "up1");
    EXPECT_EQ(links[1].peer.address, parse_ip("fe80::1"));
    EXPECT_EQ(links[2].peer.asn, Asn{4});
}

class Secret : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/vrouter-secret-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        directory = name;
    }

    void TearDown() override { std::filesystem::remove_all(directory); }

    std::string write(const std::string& text, std::filesystem::perms perms) {
        const std::string path = directory + "/secret";
        std::ofstream(path) << text;
        std::filesystem::permissions(path, perms);
        return path;
    }

    static constexpr auto kPrivate =
        std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
    std::string directory;
};

TEST_F(Secret, IsReadWithoutTheEndOfItsLine) {
    EXPECT_EQ(read_secret(write("open sesame\n", kPrivate)).value(), "open sesame");
}

TEST_F(Secret, ThatEverybodyMayReadIsRefused) {
    const auto secret = read_secret(write("x", kPrivate | std::filesystem::perms::others_read));
    ASSERT_FALSE(secret);
    EXPECT_NE(secret.error().text.find("everybody"), std::string::npos);
}

TEST_F(Secret, EmptyIsRefused) {
    EXPECT_FALSE(read_secret(write("\n", kPrivate)));
}

TEST_F(Secret, LongerThanAPasswordIsRefused) {
    EXPECT_TRUE(read_secret(write(std::string(80, 'x') + "\n", kPrivate)));
    EXPECT_FALSE(read_secret(write(std::string(81, 'x'), kPrivate)));
    EXPECT_FALSE(read_secret(write(std::string(100, 'x'), kPrivate)));
}

TEST_F(Secret, MissingFileAndDirectoryAreRefused) {
    EXPECT_FALSE(read_secret(directory + "/missing"));
    EXPECT_FALSE(read_secret(directory));
}

TEST(SecretPath, LeadsNowhereElse) {
    EXPECT_EQ(secret_path("/s", "bgp", "rack").value(), "/s/bgp/rack");
    for (const std::string part : {"", ".", "..", "../x", "/etc/passwd"}) {
        EXPECT_FALSE(secret_path("/s", part, "key")) << part;
        EXPECT_FALSE(secret_path("/s", "name", part)) << part;
    }
}

struct Mistake {
    const char* name;
    const char* text;
    const char* wanted;  ///< how the message begins
};

void PrintTo(const Mistake& row, std::ostream* out) {
    *out << row.name;
}

class BgpMistake : public testing::TestWithParam<Mistake> {};

TEST_P(BgpMistake, IsAnsweredWithFileLineAndWhatWasExpected) {
    const auto config = parse_config(GetParam().text, "f");
    ASSERT_FALSE(config);
    EXPECT_EQ(
        config.error().text.substr(0, std::string{GetParam().wanted}.size()), GetParam().wanted)
        << config.error().text;
}

const Mistake kMistakes[] = {
    {"bgp_as", "node: a\nbgp: {router_id: 1.1.1.1}", "f:2: bgp: key 'as' is missing"},
    {"bgp_as_zero",
     "node: a\nbgp: {as: 0, router_id: 1.1.1.1}",
     "f:2: bgp.as: expected a number from 1 to 4294967295"},
    {"neighbor_as_word",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n  {address: 1.1.1.2, as: inside}]}",
     "f:3: bgp.neighbors[0].as: expected a number from 1 to 4294967295, internal or external, "
     "found "
     "'inside'"},
    {"speaker_as_word",
     "node: a\nbgp: {as: internal, router_id: 1.1.1.1}",
     "f:2: bgp.as: expected a number from 1 to 4294967295, found 'internal'"},
    {"filter_removes_last_resort",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [\n"
     "  {name: f, rules: [{action: accept, remove_communities: llgr-stale}]}]}",
     "f:3: bgp.filters[0].rules[0].remove_communities: llgr-stale is never removed (RFC 9494)"},
    {"long_lived_families",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, "
     "long_lived_families: [vpn]}]}",
     "f:2: bgp.neighbors[0].long_lived_families: expected ipv4 or ipv6, found 'vpn'"},
    {"neighbor_as_zero",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n  {address: 1.1.1.2, as: 0}]}",
     "f:3: bgp.neighbors[0].as: expected a number from 1 to 4294967295"},
    {"bgp_router_id",
     "node: a\nbgp: {as: 1, router_id: 0.0.0.0}",
     "f:2: bgp.router_id: expected an IPv4 address, found '0.0.0.0'"},
    {"bgp_announce",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, announce: x}",
     "f:2: bgp.announce: expected a prefix"},
    {"link_unknown_port",
     "node: a\nhost: {tap: vr0}\nports: [{name: up0, device: d}]\nbgp: {as: 1, router_id: 1.1.1.1, "
     "neighbors: [\n"
     "  {interface: up9, as: 2}]}",
     "f:5: bgp.neighbors[0].interface: no port is called 'up9'"},
    {"link_address_unknown_port",
     "node: a\nhost: {tap: vr0}\nports: [{name: up0, device: d}]\nbgp: {as: 1, router_id: 1.1.1.1, "
     "neighbors: [\n"
     "  {address: \"fe80::1%up9\", as: 2}]}",
     "f:5: bgp.neighbors[0].address: no port is called 'up9'"},
    {"link_without_host_path",
     "node: a\nports: [{name: up0, device: d}]\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {interface: up0, as: 2}]}",
     "f:4: bgp.neighbors[0].interface: a neighbor of a link is reached by the host's `tap`, and "
     "there is none"},
    {"link_and_address",
     "node: a\nhost: {tap: vr0}\nports: [{name: up0, device: d}]\nbgp: {as: 1, router_id: 1.1.1.1, "
     "neighbors: [\n"
     "  {interface: up0, address: 1.1.1.2, as: 2}]}",
     "f:5: bgp.neighbors[0].interface: address and interface exclude each other"},
    {"link_local_without_interface",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {address: \"fe80::1\", as: 2}]}",
     "f:4: bgp.neighbors[0].address: expected an IPv4 or IPv6 address, a link-local one with its "
     "interface (fe80::1%uplink0), found 'fe80::1'"},
    {"interface_of_another_address",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {address: \"fd00::1%eth0\", as: 2}]}",
     "f:4: bgp.neighbors[0].address: expected an IPv4 or IPv6 address, a link-local one with its "
     "interface (fe80::1%uplink0), found 'fd00::1%eth0'"},
    {"link_twice",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {interface: eth0, as: 2}, {address: \"fe80::1%eth0\", as: 2}]}",
     "f:4: bgp.neighbors[1].address: interface 'eth0' has a neighbor already"},
    {"link_source",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {interface: eth0, as: 2, source: \"fd00::1\"}]}",
     "f:4: bgp.neighbors[0].source: a neighbor of a link is called from our address on that link"},
    {"link_bfd",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {interface: eth0, as: 2, bfd: {multihop: true}}]}",
     "f:4: bgp.neighbors[0].bfd: a neighbor of a link is one hop away: no multihop"},
    {"as_word",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {interface: eth0, as: extern}]}",
     "f:4: bgp.neighbors[0].as: expected a number from 1 to 4294967295, internal or external, "
     "found "
     "'extern'"},
    {"peer_address",
     "node: a\nbgp:\n  as: 1\n  router_id: 1.1.1.1\n  neighbors:\n    - {as: 2}",
     "f:6: bgp.neighbors[0]: key 'address' is missing"},
    {"peer_twice",
     "node: a\nbgp:\n  as: 1\n  router_id: 1.1.1.1\n  neighbors:\n    - {address: 1.1.1.2, as: "
     "2}\n    - {address: 1.1.1.2, as: 3}",
     "f:7: bgp.neighbors[1].address: neighbor 1.1.1.2 is defined twice"},
    {"peer_families",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, families: "
     "[vpn]}]}",
     "f:2: bgp.neighbors[0].families: expected ipv4 or ipv6, found 'vpn'"},
    {"peer_ttl",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, ttl: 256}]}",
     "f:2: bgp.neighbors[0].ttl: expected a number from 1 to 255"},
    {"peer_hold_time",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, hold_time: "
     "2}]}",
     "f:2: bgp.neighbors[0].hold_time: expected 0 or a number from 3 to 65535, found "
     "'2'"},
    {"peer_hold_time_no_number",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, hold_time: "
     "9s}]}",
     "f:2: bgp.neighbors[0].hold_time: expected 0 or a number from 3 to 65535, found '9s'"},
    {"peer_open_wait",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, open_wait: "
     "0}]}",
     "f:2: bgp.neighbors[0].open_wait: expected a number from 1 to 3600"},
    {"peer_idle_hold",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, idle_hold: "
     "3601}]}",
     "f:2: bgp.neighbors[0].idle_hold: expected a number from 1 to 3600"},
    {"peer_maximum_prefixes",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2,\n"
     "  maximum_prefixes: many}]}",
     "f:3: bgp.neighbors[0].maximum_prefixes: expected a number from 0 to 4294967295"},
    {"peer_maximum_prefixes_of_a_family",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2,\n"
     "  maximum_prefixes: {ipv4: 1, ipv5: 2}}]}",
     "f:3: bgp.neighbors[0].maximum_prefixes.ipv5: unknown key; known here: ipv4, ipv6"},
    {"peer_source_family",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, source: "
     "'fd00::1'}]}",
     "f:2: bgp.neighbors[0].source: fd00::1 is not of the neighbor's family"},
    {"peer_next_hop4",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, next_hop4: "
     "'fd00::1'}]}",
     "f:2: bgp.neighbors[0].next_hop4: expected an IPv4 address, found 'fd00::1'"},
    {"peer_next_hop6",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, next_hop6: "
     "1.1.1.1}]}",
     "f:2: bgp.neighbors[0].next_hop6: expected an IPv6 address, found '1.1.1.1'"},
    {"peer_bad_source",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, source: x}]}",
     "f:2: bgp.neighbors[0].source: expected an IPv4 or IPv6 address, found 'x'"},
    {"filter_word",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, import: "
     "some}]}",
     "f:2: bgp.neighbors[0].import: expected all, none, local, prefixes or the name of a filter, "
     "found 'some'"},
    {"filter_term",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, import: "
     "[10.0.0.0/8 gt 9]}]}",
     "f:2: bgp.neighbors[0].import: expected a prefix like '10.0.0.0/8 ge 24 le 32', found "
     "'10.0.0.0/8 gt 9'"},
    {"filter_bounds",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, import: "
     "[10.0.0.0/8 ge 25 le 24]}]}",
     "f:2: bgp.neighbors[0].import: expected a prefix like"},
    {"filter_dangling",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, import: "
     "[10.0.0.0/8 ge]}]}",
     "f:2: bgp.neighbors[0].import: expected a prefix like"},
    {"group_unknown",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, group: g}]}",
     "f:2: bgp.neighbors[0].group: no group is called 'g'"},
    {"group_twice",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, groups: [{name: g},\n {name: g}]}",
     "f:3: bgp.groups[1].name: group 'g' is defined twice"},
    {"group_key",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, groups: [{name: g, address: 1.1.1.1}]}",
     "f:2: bgp.groups[0].address: unknown key"},
    {"nobodys_as",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, groups: [{name: g}], neighbors: [{address: "
     "1.1.1.2, group: g}]}",
     "f:2: bgp.neighbors[0]: key 'as' is missing"},
    {"two_passwords",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, password: x, "
     "password_file: /y}]}",
     "f:2: bgp.neighbors[0].password_file: password and password_file exclude each other"},
    {"password_file",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, "
     "password_file: /nonexistent/secret}]}",
     "f:2: bgp.neighbors[0].password_file: secret '/nonexistent/secret': No such file"},
    {"client_of_another_as",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {address: 1.1.1.2, as: 2, route_reflector_client: true}]}",
     "f:3: bgp.neighbors[0].route_reflector_client: only neighbors of our AS are clients: leave it "
     "out, or say 'as: internal'"},
    {"client_of_whichever_other_as",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, groups: [{name: g, route_reflector_client: "
     "true}],\n"
     " ranges: [{prefix: 10.0.0.0/8, group: g, as: external}]}",
     "f:3: bgp.ranges[0].route_reflector_client: only neighbors of our AS are clients"},
    {"client_of_our_other_as",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {address: 1.1.1.2, as: 1, local_as: 3, route_reflector_client: true}]}",
     "f:3: bgp.neighbors[0].route_reflector_client: only neighbors of our AS are clients"},
    {"range_prefix",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, ranges: [{as: 2}]}",
     "f:2: bgp.ranges[0]: key 'prefix' is missing"},
    {"range_of_links",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, ranges: [\n  {prefix: 'fe80::/64', as: 2}]}",
     "f:3: bgp.ranges[0].prefix: neighbors at link-local addresses are named, each with its "
     "interface"},
    {"link_in_an_address",
     "node: a\ndataplane: none\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [\n"
     "  {address: 'fe80:1::9%eth0', as: 2}]}",
     "f:4: bgp.neighbors[0].address: expected an IPv4 or IPv6 address"},
    {"link_in_a_next_hop",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, next_hop6: "
     "'fe80:1::9'}]}",
     "f:2: bgp.neighbors[0].next_hop6: expected an IPv6 address, found 'fe80:1::9'"},
    {"range_twice",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, ranges: [{prefix: 10.0.0.0/8, as: 2},\n {prefix: "
     "10.0.0.0/8, as: 3}]}",
     "f:3: bgp.ranges[1].prefix: range 10.0.0.0/8 is defined twice"},
    {"range_limit",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, ranges: [{prefix: 10.0.0.0/8, as: 2, limit: 0}]}",
     "f:2: bgp.ranges[0].limit: expected a number from 1 to 100000"},
    {"announced_community",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, announce: [{prefix: 10.0.0.0/8, communities: x}]}",
     "f:2: bgp.announce[0].communities: expected a community like"},
    {"rule_action",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{prefixes: "
     "10.0.0.0/8}]}]}",
     "f:2: bgp.filters[0].rules[0]: key 'action' is missing"},
    {"rule_changes_what_it_rejects",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: reject, "
     "set_med: 1}]}]}",
     "f:2: bgp.filters[0].rules[0].action: only a rule that accepts can change routes"},
    {"rule_both_prefixes",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: reject, "
     "prefixes: 10.0.0.0/8, not_prefixes: 11.0.0.0/8}]}]}",
     "f:2: bgp.filters[0].rules[0].not_prefixes: prefixes and not_prefixes exclude each other"},
    {"rule_empty_prefixes",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: accept, "
     "prefixes: "
     "[]}]}]}",
     "f:2: bgp.filters[0].rules[0].prefixes: an empty list would match every route"},
    {"rule_null_prefixes",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: accept, "
     "prefixes: "
     "}]}]}",
     "f:2: bgp.filters[0].rules[0].prefixes: an empty list would match every route"},
    {"rule_empty_not_prefixes",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: accept, "
     "not_prefixes: "
     "[]}]}]}",
     "f:2: bgp.filters[0].rules[0].not_prefixes: an empty list would match every route"},
    {"rule_empty_communities",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: accept, "
     "communities: "
     "[]}]}]}",
     "f:2: bgp.filters[0].rules[0].communities: an empty list would match every route"},
    {"rule_null_as_path",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f, rules: [{action: accept, "
     "as_path_prefix: "
     "}]}]}",
     "f:2: bgp.filters[0].rules[0].as_path_prefix: an empty list would match every route"},
    {"filter_twice",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: f},\n {name: f}]}",
     "f:3: bgp.filters[1].name: filter 'f' is defined twice"},
    {"filter_name",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, filters: [{name: all}]}",
     "f:2: bgp.filters[0].name: a filter cannot be called 'all'"},
    {"next_hop_mode",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, next_hop: "
     "other}]}",
     "f:2: bgp.neighbors[0].next_hop: expected auto, self or keep, found 'other'"},
    {"bfd_interval",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, bfd: "
     "{transmit_ms: 9}}]}",
     "f:2: bgp.neighbors[0].bfd.transmit_ms: expected a number from 10 to 60000, found '9'"},
    {"add_path",
     "node: a\nbgp: {as: 1, router_id: 1.1.1.1, neighbors: [{address: 1.1.1.2, as: 2, add_path: "
     "all}]}",
     "f:2: bgp.neighbors[0].add_path: expected off, receive, send or both, found 'all'"},
};

INSTANTIATE_TEST_SUITE_P(Rows, BgpMistake, testing::ValuesIn(kMistakes), [](const auto& row) {
    return std::string{row.param.name};
});

}  // namespace
}  // namespace vr::daemon::bgp_config_test
