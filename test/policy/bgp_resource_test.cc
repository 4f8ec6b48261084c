// BGPFilter, BGPPeer and BGPConfiguration with mistakes.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "policy/resource.h"

namespace vr::policy::bgp_resource_test {
namespace {

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
    const auto file = parse_file(
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
}  // namespace vr::policy::bgp_resource_test
