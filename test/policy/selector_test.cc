// POLICY 2.1: how selectors are read, what they match, their canonical text.
// SPDX-License-Identifier: Apache-2.0
#include "policy/selector.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vr::policy::selector_test {
namespace {

const Labels kLabels{{"a", "x"}, {"b", "y"}, {"ns/role.b-1", "db"}, {"empty", ""}, {"has", "1"}};

struct Row {
    std::string text;
    bool matches;
    std::string canonical;
};

class Selectors : public testing::TestWithParam<Row> {};

TEST_P(Selectors, MatchesAndHasCanonicalText) {
    const auto selector = Selector::parse(GetParam().text);
    ASSERT_TRUE(selector) << selector.error().text;
    EXPECT_EQ(selector->matches(kLabels), GetParam().matches) << GetParam().text;
    EXPECT_EQ(selector->text(), GetParam().canonical);
}

TEST_P(Selectors, CanonicalTextMeansTheSame) {
    const auto selector = Selector::parse(GetParam().canonical);
    ASSERT_TRUE(selector) << selector.error().text;
    EXPECT_EQ(selector->text(), GetParam().canonical);
    EXPECT_EQ(selector->matches(kLabels), GetParam().matches);
}

TEST_P(Selectors, RestrictionsHoldForEveryMatch) {
    const auto selector = Selector::parse(GetParam().text);
    if (!selector->matches(kLabels)) {
        return;
    }
    for (const auto& [label, values] : selector->restrictions()) {
        ASSERT_TRUE(kLabels.contains(label));
        EXPECT_TRUE(
            values.empty() ||
            std::find(values.begin(), values.end(), kLabels.find(label)->second) != values.end());
    }
}

INSTANTIATE_TEST_SUITE_P(
    Policy21,
    Selectors,
    testing::ValuesIn(std::vector<Row>{
        {"", true, "all()"},
        {" \t ", true, "all()"},
        {"all()", true, "all()"},
        {"all( )", true, "all()"},
        {"global()", true, "global()"},
        {"a == 'x'", true, "a == \"x\""},
        {"a=='x'", true, "a == \"x\""},
        {"a == \"it's\"", false, "a == \"it's\""},
        {"a == '\"'", false, "a == '\"'"},
        {"a != 'x'", false, "a != \"x\""},
        {"c == 'x'", false, "c == \"x\""},
        {"c != 'x'", true, "c != \"x\""},
        {"empty == ''", true, "empty == \"\""},
        {"ns/role.b-1 == 'db'", true, "ns/role.b-1 == \"db\""},
        {"ns/role.b-1 contains 'd'", true, "ns/role.b-1 contains \"d\""},
        {"ns/role.b-1 starts with 'd'", true, "ns/role.b-1 starts with \"d\""},
        {"ns/role.b-1 startswith 'b'", false, "ns/role.b-1 starts with \"b\""},
        {"ns/role.b-1 ends with 'b'", true, "ns/role.b-1 ends with \"b\""},
        {"ns/role.b-1 endswith'b'", true, "ns/role.b-1 ends with \"b\""},
        {"c contains 'd'", false, "c contains \"d\""},
        {"a in {'z', \"x\", 'z'}", true, "a in {\"x\", \"z\"}"},
        {"a in{'x',}", true, "a in {\"x\"}"},
        {"a in {}", false, "a in {}"},
        {"a not in {'x'}", false, "a not in {\"x\"}"},
        {"a notin {'y'}", true, "a not in {\"y\"}"},
        {"c not in {'y'}", true, "c not in {\"y\"}"},
        {"c not in {}", true, "c not in {}"},
        {"has(a)", true, "has(a)"},
        {"has( c )", false, "has(c)"},
        {"has == '1'", true, "has == \"1\""},
        {"all != '1'", true, "all != \"1\""},
        {"!a == 'x' && b == 'y'", false, "(!a == \"x\" && b == \"y\")"},
        {"!(a == 'x' && b == 'z')", true, "!(a == \"x\" && b == \"z\")"},
        {"!!has(a)", true, "has(a)"},
        {"! ! !has(a)", false, "!has(a)"},
        {"!(!has(a))", true, "has(a)"},
        {"!(!(!c in {'x', ''}))", true, "!c in {\"\", \"x\"}"},
        {"a == 'x' || b == 'z' && has(c)", true, "(a == \"x\" || (b == \"z\" && has(c)))"},
        {"(a == 'x' || b == 'z') && has(c)", false, "((a == \"x\" || b == \"z\") && has(c))"},
        {"((a == 'x'))", true, "a == \"x\""},
        {"has(a) && has(b) && has(c)", false, "(has(a) && has(b) && has(c))"},
    }));

struct Wrong {
    std::string text;
    std::string error;
};

class WrongSelectors : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSelectors, AreRefusedWithTheColumn) {
    const auto selector = Selector::parse(GetParam().text);
    ASSERT_FALSE(selector) << selector->text();
    EXPECT_TRUE(selector.error().text.starts_with(GetParam().error)) << selector.error().text;
}

INSTANTIATE_TEST_SUITE_P(
    Policy21,
    WrongSelectors,
    testing::ValuesIn(std::vector<Wrong>{
        {"a", "column 2: expected =="},
        {"a = 'b'", "column 3: expected =="},
        {"a == b", "column 6: expected a text in quotes"},
        {"a == 'b", "column 6: quote is never closed"},
        {"a == 'b' &&", "column 12: expected a label"},
        {"a == 'b' c", "column 10: expected && or ||"},
        {"a == 'é' c", "column 10: expected && or ||"},
        {"a ==\n'b'", "column 5: expected a text in quotes"},
        {"\nall()", "column 1: expected a label"},
        {"(a == 'b'", "column 10: expected ')'"},
        {"a in 'b'", "column 6: expected '{'"},
        {"a in {'b' 'c'}", "column 11: expected ',' or '}'"},
        {"a in {,}", "column 7: expected a text in quotes"},
        {"has()", "column 5: expected a label"},
        {"all(x)", "column 5: expected ')'"},
        {"has (a)", "column 5: expected =="},
        {"a$ == 'b'", "column 2: expected =="},
        {"!", "column 2: expected a label"},
        {std::string(600, 'l') + " == 'x'", "column 1: label longer than 512"},
        {std::string(509, '(') + "all()" + std::string(508, ')'), "column 1023: expected ')'"},
        {"a == '" + std::string(1024, 'x') + "'", "column 1025: longer than 1024"},
        {std::string(4097, '\x80'), "column 1025: longer than 1024"},
    }));

TEST(Selector, PrefixedReadsNamespaceLabels) {
    const auto selector = Selector::parse("env == 'prod' && !has(x) && all() && !global()");
    EXPECT_EQ(
        selector->prefixed("pcns.").text(),
        "(pcns.env == \"prod\" && !has(pcns.x) && has(projectcalico.org/namespace) && "
        "has(projectcalico.org/namespace))");
}

TEST(Selector, EveryOperandOfAndRestricts) {
    const auto found = Selector::parse("has(a) && (b in {'x', 'y'} && c == 'z')")->restrictions();
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].label, "a");
    EXPECT_TRUE(found[0].values.empty());
    EXPECT_EQ(found[1].label, "b");
    EXPECT_EQ(found[1].values.size(), 2U);
    EXPECT_EQ(found[2].label, "c");
}

TEST(Selector, OrAndNotRestrictNothing) {
    EXPECT_TRUE(Selector::parse("has(a) || has(b)")->restrictions().empty());
    EXPECT_TRUE(Selector::parse("!has(a) && b != 'x'")->restrictions().empty());
}

}  // namespace
}  // namespace vr::policy::selector_test
