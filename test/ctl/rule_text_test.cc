// SPDX-License-Identifier: Apache-2.0
#include "ctl/rule_text.h"

#include <gtest/gtest.h>

#include <string>

namespace vr::ctl::rule_text_test {
namespace {

struct Row {
    const char* name;
    acl::Match match;
    const char* text;
};

class MatchText : public testing::TestWithParam<Row> {};

TEST_P(MatchText, ReadsAsASentence) {
    const auto group_text = [](GroupId id) { return "group-" + to_string(id); };
    EXPECT_EQ(match_text(GetParam().match, group_text), GetParam().text);
}

acl::Match match_of(void (*fill)(acl::Match&)) {
    acl::Match match;
    fill(match);
    return match;
}

INSTANTIATE_TEST_SUITE_P(
    RuleText,
    MatchText,
    testing::Values(
        Row{"Everything", {}, "any"},
        Row{"OneFamily", match_of([](acl::Match& m) { m.ip4 = false; }), "ipv6"},
        Row{"Protocol", match_of([](acl::Match& m) { m.protocol = 6; }), "tcp"},
        Row{"NotProtocol", match_of([](acl::Match& m) { m.not_protocol = 47; }), "not 47"},
        Row{"Icmp",
            match_of([](acl::Match& m) {
                m.ip6 = false;
                m.protocol = 1;
                m.icmp = acl::IcmpMatch{.type = 3, .code = 4};
            }),
            "ipv4 icmp type 3 code 4"},
        Row{"NotIcmp",
            match_of([](acl::Match& m) { m.not_icmp = acl::IcmpMatch{.type = 8, .code = {}}; }),
            "not type 8"},
        Row{"Nets",
            match_of([](acl::Match& m) {
                m.source.nets4 = {*Prefix<V4>::parse("10.0.0.0/8")};
                m.source.nets6 = {*Prefix<V6>::parse("fd00::/64")};
                m.destination.not_nets4 = {*Prefix<V4>::parse("10.1.0.0/16")};
            }),
            "from in 10.0.0.0/8, fd00::/64 to not in 10.1.0.0/16"},
        Row{"GroupsAndPorts",
            match_of([](acl::Match& m) {
                m.protocol = 17;
                m.source.not_group = GroupId{3};
                m.destination.group = GroupId{4};
                m.destination.ports = {{L4Port{53}, L4Port{53}}, {L4Port{80}, L4Port{90}}};
                m.source.not_ports = {{L4Port{1}, L4Port{1}}};
            }),
            "udp from not of group-3 not ports 1 to of group-4 ports 53, 80-90"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(ActionText, NamesTheRuleToGoTo) {
    acl::Rule rule;
    rule.action = acl::Action::Jump;
    rule.target = 12;
    EXPECT_EQ(action_text(rule), "go to 12");
}

}  // namespace
}  // namespace vr::ctl::rule_text_test
