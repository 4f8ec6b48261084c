// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/classifier.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <vector>

#include "test/dataplane/linear_acl.h"
#include "test/rounds.h"
#include "vrouter/dataplane/classifier_engine.h"

namespace vr::acl {
namespace {

template <typename F>
class ClassifierOf : public testing::Test {
  public:
    static Verdict judge(
        const Program& program,
        const Packet<F>& packet = {},
        const GroupSet& source = GroupSet{{}},
        const GroupSet& destination = GroupSet{{}}) {
        const auto classifier = Classifier<F>::build(std::make_shared<const Program>(program));
        Verdict verdict;
        const GroupSet* from = &source;
        const GroupSet* to = &destination;
        classifier->classify(&packet, &from, &to, &verdict, 1);
        return verdict;
    }

    static Rule rule(Action action, std::uint32_t target = 0) {
        Rule r;
        r.action = action;
        r.target = target;
        return r;
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(ClassifierOf, Families);

TYPED_TEST(ClassifierOf, EmptyProgramDenies) {
    const Verdict verdict = this->judge({});
    EXPECT_FALSE(verdict.allow);
    EXPECT_EQ(verdict.rule, Verdict::kFellOff);
}

TYPED_TEST(ClassifierOf, FirstMatchDecides) {
    Program program{{this->rule(Action::Allow), this->rule(Action::Deny)}, {}};
    EXPECT_TRUE(this->judge(program).allow);
    EXPECT_EQ(this->judge(program).rule, 0U);
}

TYPED_TEST(ClassifierOf, JumpPassesOverRules) {
    Program program{
        {this->rule(Action::Jump, 2), this->rule(Action::Deny), this->rule(Action::Allow)}, {}};
    EXPECT_EQ(this->judge(program).rule, 2U);
}

TYPED_TEST(ClassifierOf, JumpToTheEndFallsOff) {
    Program program{{this->rule(Action::Jump, 2), this->rule(Action::Allow)}, {}};
    EXPECT_EQ(this->judge(program).rule, Verdict::kFellOff);
    EXPECT_FALSE(this->judge(program).allow);
}

TYPED_TEST(ClassifierOf, LogIsRememberedAndGoesOn) {
    Program program{
        {this->rule(Action::Log), this->rule(Action::Log), this->rule(Action::Allow)}, {}};
    EXPECT_EQ(this->judge(program).rule, 2U);
    EXPECT_EQ(this->judge(program).logged, 1U);
}

TYPED_TEST(ClassifierOf, RuleOfTheOtherFamilyIsPassedOver) {
    Program program{{this->rule(Action::Allow), this->rule(Action::Deny)}, {}};
    program.rules[0].match.ip4 = TypeParam::kVersion != 4;
    program.rules[0].match.ip6 = TypeParam::kVersion != 6;
    EXPECT_EQ(this->judge(program).rule, 1U);
}

TYPED_TEST(ClassifierOf, PacketWithoutPortsMeetsNoPortsButEveryNotPorts) {
    Program program{{this->rule(Action::Allow), this->rule(Action::Allow)}, {}};
    program.rules[0].match.destination.ports = {{L4Port{0}, L4Port{65535}}};
    program.rules[1].match.destination.not_ports = {{L4Port{0}, L4Port{65535}}};
    Packet<TypeParam> packet;
    EXPECT_EQ(this->judge(program, packet).rule, 1U);
    packet.has_ports = true;
    EXPECT_EQ(this->judge(program, packet).rule, 0U);
}

TYPED_TEST(ClassifierOf, NotGroupHoldsForUnknownAddresses) {
    Program program{{this->rule(Action::Allow)}, {}};
    program.rules[0].match.source.not_group = GroupId{3};
    EXPECT_TRUE(this->judge(program).allow);
    EXPECT_FALSE(this->judge(program, {}, GroupSet{{GroupId{3}}}).allow);
}

TYPED_TEST(ClassifierOf, ManyGroupsOfOneAddressAllCount) {
    Program program;
    std::vector<GroupId> ids;
    for (unsigned i = 0; i < 200; ++i) {
        ids.push_back(GroupId{i});
        program.rules.push_back(this->rule(i == 199 ? Action::Allow : Action::Log));
        program.rules.back().match.source.group = GroupId{i};
    }
    const Verdict verdict = this->judge(program, {}, GroupSet{ids});
    EXPECT_EQ(verdict.rule, 199U);
    EXPECT_EQ(verdict.logged, 198U);
}

struct Size {
    unsigned rules;
    unsigned programs;
    unsigned packets;
};

/// Rows of random bits, with a summary in front.
[[nodiscard]] std::vector<Block> random_row(std::mt19937_64& random) {
    std::vector<Block> row(3);
    for (Block& block : row) {
        for (auto& word : block.words) {
            word = random() % 2 == 0 ? random() : 0;
        }
    }
    return row;
}

TEST(Intersect, EveryWidthGivesTheSameRules) {
    std::mt19937_64 random(1);
    const auto engines = usable_intersects();
    for (unsigned round = 0; round < 2000; ++round) {
        std::vector<std::vector<Block>> rows;
        rows.reserve(64);
        const auto row = [&] { return rows.emplace_back(random_row(random)).data() + 1; };
        Query query;
        for (query.count = 0; query.count <= round % Query::kMostFields; ++query.count) {
            query.rows[query.count] = row();
        }
        query.count = std::min(query.count, Query::kMostFields);
        for (GroupRows& side : query.groups) {
            side.base = random() % 3 == 0 ? nullptr : row();
            for (side.wanted_count = 0; random() % 3 == 0 && side.wanted_count < 8;) {
                side.wanted[side.wanted_count++] = row();
            }
            for (side.unwanted_count = 0; random() % 3 == 0 && side.unwanted_count < 8;) {
                side.unwanted[side.unwanted_count++] = row();
            }
        }
        for (const std::ptrdiff_t block : {-1, 0, 1}) {
            Block wanted;
            const unsigned mask = engines[0](query, block, wanted);
            for (const Intersect engine : engines) {
                Block live;
                ASSERT_EQ(engine(query, block, live), mask);
                ASSERT_EQ(live, wanted);
            }
        }
    }
}

template <Family F>
void compare_with_linear(const Size& size) {
    AclDice dice(size.rules);
    constexpr unsigned kBatch = 32;
    std::set<std::uint32_t> deciding;
    const unsigned programs = std::max(test::rounds(size.programs), std::min(size.programs, 20U));
    for (unsigned n = 0; n < programs; ++n) {
        const auto program = std::make_shared<const Program>(dice.program(size.rules));
        const auto classifier = Classifier<F>::build(program);
        for (unsigned done = 0; done < size.packets; done += kBatch) {
            std::vector<Packet<F>> packets;
            std::vector<GroupSet> sets;
            std::vector<const GroupSet*> source;
            std::vector<const GroupSet*> destination;
            sets.reserve(2 * kBatch);
            for (unsigned i = 0; i < kBatch; ++i) {
                packets.push_back(dice.packet<F>());
                source.push_back(&sets.emplace_back(dice.groups(6)));
                destination.push_back(&sets.emplace_back(dice.groups(6)));
            }
            std::vector<Verdict> verdicts(kBatch);
            classifier->classify(
                packets.data(), source.data(), destination.data(), verdicts.data(), kBatch);
            for (unsigned i = 0; i < kBatch; ++i) {
                const Verdict wanted =
                    linear_verdict<F>(*program, packets[i], *source[i], *destination[i]);
                deciding.insert(wanted.rule);
                ASSERT_EQ(verdicts[i].rule, wanted.rule) << "program " << n;
                ASSERT_EQ(verdicts[i].allow, wanted.allow) << "program " << n;
                ASSERT_EQ(verdicts[i].reject, wanted.reject) << "program " << n;
                ASSERT_EQ(verdicts[i].logged, wanted.logged) << "program " << n;
            }
        }
    }
    // The comparison is worth little if few rules ever decide.
    EXPECT_GE(deciding.size(), std::min(size.rules / 3, 100U));
}

class AgainstLinearWalk : public testing::TestWithParam<Size> {};

TEST_P(AgainstLinearWalk, VerdictsAreEqualV4) {
    compare_with_linear<V4>(GetParam());
}

TEST_P(AgainstLinearWalk, VerdictsAreEqualV6) {
    compare_with_linear<V6>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    RandomPrograms,
    AgainstLinearWalk,
    testing::Values(
        Size{1, 500, 32},
        Size{5, 500, 64},
        Size{30, 300, 128},
        Size{64, 100, 128},
        Size{513, 20, 512},
        Size{3000, 4, 2048},
        Size{40000, 1, 2048}),
    [](const auto& row) { return std::to_string(row.param.rules) + "Rules"; });

}  // namespace
}  // namespace vr::acl
