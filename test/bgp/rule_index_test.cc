// RuleIndex: whatever the rules, the verdict is that of asking one after the other.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/rule_index.h"

#include <gtest/gtest.h>

#include <random>

namespace vr::bgp::rule_index_test {
namespace {

using Where = FilterMatch::Where;

/// Filters and routes out of so few addresses that most prefixes contain others.
class Chance {
  public:
    explicit Chance(unsigned seed) : random_(seed) {}

    [[nodiscard]] bool one_in(unsigned n) { return below(n) == 0; }

    [[nodiscard]] unsigned below(unsigned n) {
        return std::uniform_int_distribution<unsigned>{0, n - 1}(random_);
    }

    /// Addresses differ in four bits on either side of the middle, and in the last ones.
    template <Family F>
    [[nodiscard]] Prefix<F> prefix() {
        const unsigned middle = F::kBits / 2;
        const std::uint32_t bits = below(256);
        const unsigned length = one_in(4) ? below(F::kBits + 1) : middle - 4 + below(9);
        if constexpr (std::is_same_v<F, V4>) {
            return *Prefix<V4>::make(Ip4{0x0a000000U | bits << 12U | below(4)}, length);
        } else {
            const Ip6 address{
                0x20010db800000000U | bits >> 4U, std::uint64_t{bits} << 60U | below(4)};
            return *Prefix<V6>::make(address, length);
        }
    }

    [[nodiscard]] PrefixRule prefix_rule() {
        const IpPrefix named = one_in(2) ? IpPrefix{prefix<V4>()} : IpPrefix{prefix<V6>()};
        PrefixRule rule = PrefixRule::exact(named);
        if (one_in(2)) {
            rule.ge += below(4);  // past the family's longest, too
            rule.le = rule.ge + below(6);
        }
        return rule;
    }

    [[nodiscard]] FilterRule rule() {
        FilterRule rule;
        const unsigned prefixes = one_in(6) ? 0 : 1 + below(4);
        for (unsigned i = 0; i < prefixes; ++i) {
            rule.match.prefixes.push_back(prefix_rule());
        }
        rule.match.where = one_in(5) ? Where::Outside : Where::Inside;
        rule.match.routes = static_cast<FilterMatch::Routes>(one_in(2) ? 0 : below(3));
        if (prefixes == 0 || one_in(2)) {
            rule.match.local_pref = below(3);
        }
        rule.action = static_cast<FilterRule::Action>(below(2));
        if (one_in(2)) {
            rule.operations = {SetMed{below(1000)}};
        }
        return rule;
    }

    [[nodiscard]] Filter filter() {
        Filter filter{.kind = static_cast<Filter::Kind>(below(3)), .rules = {}};
        for (unsigned left = below(60); left != 0; --left) {
            filter.rules.push_back(rule());
        }
        return filter;
    }

  private:
    std::mt19937 random_;
};

std::string text_of(const Filter::Verdict& verdict) {
    std::string text = verdict.accepted ? "accepted" : "refused";
    if (verdict.operations != nullptr) {
        text += " with MED " + std::to_string(std::get<SetMed>(verdict.operations->front()).value);
    }
    return text;
}

template <typename F>
class RuleIndexOf : public ::testing::Test {};

using Families = ::testing::Types<V4, V6>;
TYPED_TEST_SUITE(RuleIndexOf, Families);

TYPED_TEST(RuleIndexOf, SaysWhatThePlainWalkSays) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        Chance chance{seed};
        const Filter filter = chance.filter();
        const RuleIndex index{filter};
        for (unsigned i = 0; i < 200; ++i) {
            const auto prefix = chance.prefix<TypeParam>();
            Attributes attributes;
            attributes.local_pref = chance.below(3);
            const RouteFacts route{.attributes = attributes};
            ASSERT_EQ(text_of(index.judge(prefix, route)), text_of(filter.judge(prefix, route)))
                << "seed " << seed << ": " << to_string(IpPrefix{prefix}) << " by "
                << to_string(filter);
        }
    }
}

TEST(RuleIndex, KnowsWhetherInterfacesMatter) {
    Filter filter;
    EXPECT_FALSE(RuleIndex{filter}.wants_interface());
    filter.rules.emplace_back().match.interface = "eth0";
    EXPECT_TRUE(RuleIndex{filter}.wants_interface());
}

TEST(RuleIndex, OperationsOutliveItsMove) {
    Filter filter;
    for (unsigned i = 0; i < 100; ++i) {
        FilterRule& rule = filter.rules.emplace_back();
        rule.match.prefixes = {PrefixRule::exact(Prefix<V4>::host(Ip4{i}))};
        rule.action = FilterRule::Action::Accept;
        rule.operations = {SetMed{i}};
    }
    const Attributes attributes;
    const RouteFacts route{.attributes = attributes};
    RuleIndex first{filter};
    const auto before = first.judge(Prefix<V4>::host(Ip4{7}), route);
    const RuleIndex second = std::move(first);
    EXPECT_EQ(before.operations, second.judge(Prefix<V4>::host(Ip4{7}), route).operations);
    EXPECT_EQ(text_of(before), "accepted with MED 7");
}

}  // namespace
}  // namespace vr::bgp::rule_index_test
