// What Calico's resources make of filters, and of what is announced and passed on.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test/machine/calico_lab.h"

namespace vr::daemon::calico_routes_test {
namespace {

using namespace calico_lab;
using namespace literals;

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
    EXPECT_EQ(own.communities, bgp::CompactVector<std::uint32_t>{0xfc00012c});
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
    EXPECT_EQ(own.communities, bgp::CompactVector<std::uint32_t>{0xfc000002});
}

}  // namespace
}  // namespace vr::daemon::calico_routes_test
