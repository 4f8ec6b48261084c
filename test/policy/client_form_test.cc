// SPDX-License-Identifier: Apache-2.0
#include "policy/client_form.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/resource.h"

namespace vr::policy::client_form_test {
namespace {

struct Row {
    std::string name;
    std::string kind;
    std::string spec;
    Governs types;
};

std::string text_of(const Row& row) {
    const bool global = row.kind.find("Global") != std::string::npos;
    return "apiVersion: projectcalico.org/v3\nkind: " + row.kind + "\nmetadata: {name: p" +
           (global ? "" : ", namespace: a") + "}\nspec: " + row.spec + "\n";
}

class WithoutTypes : public testing::TestWithParam<Row> {};

/// POLICY 2.3.
TEST_P(WithoutTypes, GovernsWhatItsRulesAreFor) {
    const auto written = parse_file("f.yaml", text_of(GetParam()));
    ASSERT_TRUE(written && written->objects.at(0).resource) << written->objects.at(0).error;
    const auto stored = parse_file("f.yaml", client_form(written->objects.at(0)));
    ASSERT_TRUE(stored && stored->objects.at(0).resource);
    Policy wanted = written->objects.at(0).resource->as<Policy>();
    wanted.types = GetParam().types;
    EXPECT_EQ(stored->objects.at(0).resource->as<Policy>(), wanted) << "the rest is as it was";
    EXPECT_EQ(stored->objects.at(0).key, written->objects.at(0).key);
    EXPECT_TRUE(stored->objects.at(0).warnings.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Policy23,
    WithoutTypes,
    testing::ValuesIn(std::vector<Row>{
        {"ingress",
         "NetworkPolicy",
         "{selector: \"a == '1'\", ingress: [{action: Allow, protocol: '51'}]}",
         Governs::Ingress},
        {"egress", "GlobalNetworkPolicy", "{egress: [{action: Allow}]}", Governs::Egress},
        {"both",
         "NetworkPolicy",
         "{types: [], ingress: [{action: Deny}], egress: [{action: Allow}]}",
         Governs::Both},
        {"neither", "GlobalNetworkPolicy", "{selector: all(), egress: []}", Governs::Ingress},
        {"staged", "StagedNetworkPolicy", "{egress: [{action: Pass}]}", Governs::Egress},
    }),
    [](const auto& row) { return row.param.name; });

TEST(ClientForm, WhatHasTypesOrNeedsNoneStaysAsWritten) {
    for (const std::string& text :
         {text_of(
              {"", "NetworkPolicy", "{types: [Egress], ingress: [{action: Allow}]} # mine", {}}),
          std::string("apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: "
                      "{order: 1}\n")}) {
        const auto parsed = parse_file("f.yaml", text);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(client_form(parsed->objects.at(0)), *parsed->objects.at(0).text);
    }
}

}  // namespace
}  // namespace vr::policy::client_form_test
