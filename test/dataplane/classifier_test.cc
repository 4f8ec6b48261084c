// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/classifier.h"

#include <gtest/gtest.h>
#include <rte_malloc.h>

#include <array>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "test/dataplane/linear_acl.h"
#include "test/rounds.h"
#include "vrouter/dataplane/classifier_engine.h"
#include "vrouter/dataplane/engine_choice.h"
#include "vrouter/dataplane/trie_classifier.h"

namespace vr::acl::classifier_test {
namespace {

/// A classifier of the engine; null when it refuses the program.
template <Family F>
[[nodiscard]] std::shared_ptr<const Classifier<F>> build(
    const std::shared_ptr<const Program>& program, Engine engine, unsigned workers = 0) {
    if (engine == Engine::BitVector) {
        return Classifier<F>::build(program, workers);
    }
    return build_trie_classifier<F>(program, workers).value_or(nullptr);
}

template <Family Of, Engine kBuiltFor>
struct Case {
    using F = Of;
    static constexpr Engine kEngine = kBuiltFor;
};

template <typename Case>
class ClassifierOf : public testing::Test {
  public:
    using F = typename Case::F;

    static Verdict judge(
        const Program& program,
        const Packet<F>& packet = {},
        const GroupSet& source = GroupSet{{}},
        const GroupSet& destination = GroupSet{{}}) {
        const auto classifier = build<F>(std::make_shared<const Program>(program), Case::kEngine);
        if (!classifier) {
            ADD_FAILURE() << "refused";
            return {};
        }
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

using Cases = testing::Types<
    Case<V4, Engine::BitVector>,
    Case<V6, Engine::BitVector>,
    Case<V4, Engine::RteAcl>,
    Case<V6, Engine::RteAcl>>;
TYPED_TEST_SUITE(ClassifierOf, Cases);

TYPED_TEST(ClassifierOf, WhatNoRuleMatchesIsDenied) {
    Program program{{this->rule(Action::Allow)}, {}};
    program.rules[0].match.protocol = 6;
    const Verdict verdict = this->judge(program);
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
    program.rules[0].match.ip4 = TypeParam::F::kVersion != 4;
    program.rules[0].match.ip6 = TypeParam::F::kVersion != 6;
    EXPECT_EQ(this->judge(program).rule, 1U);
}

TYPED_TEST(ClassifierOf, PacketWithoutPortsMeetsNoPortsButEveryNotPorts) {
    Program program{{this->rule(Action::Allow), this->rule(Action::Allow)}, {}};
    program.rules[0].match.destination.ports = {{L4Port{0}, L4Port{65535}}};
    program.rules[1].match.destination.not_ports = {{L4Port{0}, L4Port{65535}}};
    Packet<typename TypeParam::F> packet;
    EXPECT_EQ(this->judge(program, packet).rule, 1U);
    packet.has_ports = true;
    EXPECT_EQ(this->judge(program, packet).rule, 0U);
}

TYPED_TEST(ClassifierOf, AddressMayBeInManyOfAThousandGroups) {
    constexpr unsigned kGroups = 1000;
    for (const auto side : {&Match::source, &Match::destination}) {
        Program program;
        std::vector<GroupId> ids;
        for (unsigned i = 0; i < kGroups; ++i) {
            program.rules.push_back(this->rule(Action::Allow));
            (program.rules.back().match.*side).group = GroupId{i};
            if (i >= 300) {
                ids.push_back(GroupId{i});
            }
        }
        const GroupSet many{ids};
        const GroupSet none{{}};
        const bool source = side == &Match::source;
        EXPECT_EQ(this->judge(program, {}, source ? many : none, source ? none : many).rule, 300U);
    }
}

TYPED_TEST(ClassifierOf, NotGroupHoldsForUnknownAddresses) {
    Program program{{this->rule(Action::Allow)}, {}};
    program.rules[0].match.source.not_group = GroupId{3};
    EXPECT_TRUE(this->judge(program).allow);
    EXPECT_FALSE(this->judge(program, {}, GroupSet{{GroupId{3}}}).allow);
}

TYPED_TEST(ClassifierOf, EachOfManyNotGroupsIsMinded) {
    constexpr unsigned kGroups = 16;
    for (const auto side : {&Match::source, &Match::destination}) {
        Program program;
        for (unsigned i = 0; i < kGroups; ++i) {
            program.rules.push_back(this->rule(Action::Allow));
            (program.rules.back().match.*side).not_group = GroupId{1000 * i};
        }
        for (unsigned missing = 0; missing < kGroups; ++missing) {
            std::vector<GroupId> ids;
            for (unsigned i = 0; i < kGroups; ++i) {
                if (i != missing) {
                    ids.push_back(GroupId{1000 * i});
                }
            }
            const GroupSet all_but_one(std::move(ids));
            const GroupSet none{{}};
            const bool source = side == &Match::source;
            const Verdict verdict =
                this->judge(program, {}, source ? all_but_one : none, source ? none : all_but_one);
            EXPECT_TRUE(verdict.allow);
            EXPECT_EQ(verdict.rule, missing);
        }
    }
}

TYPED_TEST(ClassifierOf, GroupsOfBothSidesMeet) {
    Program program{{this->rule(Action::Allow)}, {}};
    program.rules[0].match.source.group = GroupId{3};
    program.rules[0].match.destination.group = GroupId{40};
    const GroupSet source{{GroupId{1}, GroupId{3}}};
    EXPECT_TRUE(this->judge(program, {}, source, GroupSet{{GroupId{40}, GroupId{41}}}).allow);
    EXPECT_FALSE(this->judge(program, {}, source, GroupSet{{GroupId{41}}}).allow);
}

TYPED_TEST(ClassifierOf, EveryRuleOnTheWayIsCounted) {
    Program program{
        {this->rule(Action::Log),
         this->rule(Action::Jump, 3),
         this->rule(Action::Deny),
         this->rule(Action::Allow)},
        {}};
    program.rules[3].match.protocol = 6;
    const auto classifier = build<typename TypeParam::F>(
        std::make_shared<const Program>(program), TypeParam::kEngine, 2);
    ASSERT_NE(classifier, nullptr);
    std::vector<Packet<typename TypeParam::F>> packets(3);
    packets[1].protocol = 6;
    const GroupSet none{{}};
    const std::vector<const GroupSet*> sets(3, &none);
    std::vector<Verdict> verdicts(3);
    classifier->classify(
        packets.data(), sets.data(), sets.data(), verdicts.data(), 3, classifier->hits().row(1));
    const std::vector<std::uint64_t> wanted{3, 3, 0, 1, 2};
    for (std::size_t rule = 0; rule < wanted.size(); ++rule) {
        EXPECT_EQ(classifier->hits().sum(rule), wanted[rule]) << rule;
    }
}

/// Rules that name groups without logging: rte_acl has few places to begin anew.
TYPED_TEST(ClassifierOf, AnyOfManyGroupsIsFound) {
    Program program;
    std::vector<GroupId> ids;
    for (unsigned i = 0; i < 200; ++i) {
        ids.push_back(GroupId{i});
        program.rules.push_back(this->rule(Action::Allow));
        program.rules.back().match.source.group = GroupId{i};
        program.rules.back().match.protocol = i == 199 ? 0 : 6;
    }
    EXPECT_EQ(this->judge(program, {}, GroupSet{ids}).rule, 199U);
}

template <typename F>
class BitVectorsOf : public ClassifierOf<Case<F, Engine::BitVector>> {};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(BitVectorsOf, Families);

TYPED_TEST(BitVectorsOf, EmptyProgramDenies) {
    EXPECT_EQ(this->judge({}).rule, Verdict::kFellOff);
}

TYPED_TEST(BitVectorsOf, ManyGroupsOfOneAddressAllCount) {
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

/// Of DPDK's memory.
[[nodiscard]] std::size_t free_bytes() {
    rte_malloc_socket_stats stats{};
    return rte_malloc_get_socket_stats(0, &stats) == 0 ? stats.heap_freesz_bytes : 0;
}

template <typename F>
class TriesOf : public ClassifierOf<Case<F, Engine::RteAcl>> {
  public:
    /// Why rte_acl does not execute the program; empty when it does.
    static std::string refusal(const Program& program) {
        const auto built = build_trie_classifier<F>(std::make_shared<const Program>(program));
        return built ? "" : built.error().text;
    }

    /// Each for a port of its own.
    static Program rules_by_port(unsigned count) {
        Program program;
        for (unsigned i = 0; i < count; ++i) {
            const L4Port port{static_cast<std::uint16_t>(i)};
            program.rules.push_back({.action = Action::Allow});
            program.rules.back().match.destination.ports = {{port, port}};
        }
        return program;
    }
};

TYPED_TEST_SUITE(TriesOf, Families);

TYPED_TEST(TriesOf, ProgramThatWouldBuildForMinutesIsRefusedAtOnce) {
    EXPECT_NE(this->refusal(this->rules_by_port(16'385)).find("entries"), std::string::npos);
}

TYPED_TEST(TriesOf, MemoryOfBuffersAndRingsIsNotTaken) {
    const auto program = std::make_shared<const Program>(this->rules_by_port(1000));
    const std::size_t before = free_bytes();
    auto first = build_trie_classifier<TypeParam>(program);
    ASSERT_TRUE(first);
    const std::size_t taken = before - free_bytes();
    first = nullptr;
    // There is room for it twice.
    void* buffers = rte_malloc("test", free_bytes() - 2 * taken, 0);
    ASSERT_NE(buffers, nullptr);
    EXPECT_NE(this->refusal(*program), "");
    rte_free(buffers);
    EXPECT_EQ(this->refusal(*program), "");
}

TYPED_TEST(TriesOf, ManyGroupsOnBothSidesAreRefused) {
    Program program;
    for (unsigned i = 0; i < 17; ++i) {
        program.rules.push_back(this->rule(Action::Allow));
        program.rules.back().match.source.group = GroupId{i};
        program.rules.back().match.destination.group = GroupId{i};
    }
    EXPECT_NE(this->refusal(program), "");
    program.rules.pop_back();
    EXPECT_EQ(this->refusal(program), "");
}

TYPED_TEST(TriesOf, SizeThatCouldNotBeBuiltIsNotTriedAgain) {
    const auto program = std::make_shared<const Program>(this->rules_by_port(1000));
    const auto chosen = build_classifier<TypeParam>(program, EngineChoice::RteAcl, 0);
    RefusedSizes refused;
    void* buffers = rte_malloc("test", free_bytes() - (std::size_t{1} << 20U), 0);
    ASSERT_NE(buffers, nullptr);
    EXPECT_NE(add_trie(chosen.wanting, refused), "");
    rte_free(buffers);
    EXPECT_NE(add_trie(chosen.wanting, refused), "");
    EXPECT_EQ(chosen.classifier->engine(), Engine::BitVector);
    RefusedSizes none;
    EXPECT_EQ(add_trie(chosen.wanting, none), "");
}

template <typename F>
class ChoiceOf : public TriesOf<F> {
  public:
    /// Judges one packet and compares with the linear walk.
    static void expect_linear(const Classifier<F>& classifier, const Packet<F>& packet) {
        const GroupSet none{{}};
        const GroupSet* set = &none;
        Verdict verdict;
        classifier.classify(&packet, &set, &set, &verdict, 1, classifier.hits().row(0));
        const Verdict wanted = linear_verdict<F>(classifier.program(), packet, none, none);
        EXPECT_EQ(verdict.rule, wanted.rule);
        EXPECT_EQ(verdict.allow, wanted.allow);
    }
};

TYPED_TEST_SUITE(ChoiceOf, Families);

TYPED_TEST(ChoiceOf, WhatRteAclRefusesIsExecutedByTheBitVectors) {
    Program program;
    for (unsigned i = 0; i < 17; ++i) {
        program.rules.push_back(this->rule(Action::Log));
    }
    program.rules.push_back(this->rule(Action::Deny));
    program.rules.back().match.protocol = 6;
    program.rules.push_back(this->rule(Action::Allow));
    const auto chosen = build_classifier<TypeParam>(
        std::make_shared<const Program>(program), EngineChoice::RteAcl, 1);
    RefusedSizes refused;
    EXPECT_EQ(add_trie(chosen.wanting, refused), "it passes and logs too often");
    EXPECT_EQ(chosen.classifier->engine(), Engine::BitVector);
    Packet<TypeParam> packet;
    this->expect_linear(*chosen.classifier, packet);
    packet.protocol = 6;
    this->expect_linear(*chosen.classifier, packet);
}

TYPED_TEST(ChoiceOf, BitVectorsJudgeUntilRteAclIsBuilt) {
    const auto chosen = build_classifier<TypeParam>(
        std::make_shared<const Program>(this->rules_by_port(20)), EngineChoice::RteAcl, 1);
    Packet<TypeParam> packet;
    packet.has_ports = true;
    packet.destination_port = L4Port{7};
    EXPECT_EQ(chosen.classifier->engine(), Engine::BitVector);
    this->expect_linear(*chosen.classifier, packet);
    RefusedSizes refused;
    EXPECT_EQ(add_trie(chosen.wanting, refused), "");
    EXPECT_EQ(chosen.classifier->engine(), Engine::RteAcl);
    this->expect_linear(*chosen.classifier, packet);
    EXPECT_EQ(chosen.classifier->hits().sum(7), 2U);
}

TYPED_TEST(ChoiceOf, RteAclIsNotBuiltForWhatWasReplaced) {
    auto chosen = build_classifier<TypeParam>(
        std::make_shared<const Program>(this->rules_by_port(20)), EngineChoice::RteAcl, 0);
    const std::size_t before = free_bytes();
    chosen.classifier = nullptr;
    RefusedSizes refused;
    EXPECT_EQ(add_trie(chosen.wanting, refused), "");
    EXPECT_EQ(free_bytes(), before);
}

TYPED_TEST(ChoiceOf, AutoWantsRteAclWhereRowsWouldBeLong) {
    const auto wanted = [&](unsigned rules) {
        const auto program = std::make_shared<const Program>(this->rules_by_port(rules));
        const auto chosen = build_classifier<TypeParam>(program, EngineChoice::Auto, 0);
        EXPECT_EQ(chosen.classifier->engine(), Engine::BitVector);
        EXPECT_EQ(row_bytes<TypeParam>(*program) > kMostRowBytes, rules > 16'384);
        return chosen.wanting.lock() != nullptr;
    };
    EXPECT_FALSE(wanted(16'000));
    EXPECT_TRUE(wanted(17'000));
}

/// Answers with a number.
class Numbered final : public Classifier<V4> {
  public:
    explicit Numbered(std::uint32_t number)
        : Classifier(std::make_shared<const Program>(), 0), number_(number) {}

    void classify(
        const Packet<V4>* /*packets*/,
        const GroupSet* const* /*source_groups*/,
        const GroupSet* const* /*destination_groups*/,
        Verdict* verdicts,
        unsigned count,
        Counter* /*hits*/) const noexcept override {
        for (unsigned i = 0; i < count; ++i) {
            verdicts[i].rule = number_;
        }
    }

    [[nodiscard]] Engine engine() const noexcept override { return Engine::BitVector; }

  private:
    std::uint32_t number_;
};

TEST(Relay, LargeBatchesGoToTheSuccessorAlone) {
    Relay<V4> relay(std::make_shared<const Program>(), std::make_shared<Numbered>(1U), 8);
    std::array<Verdict, 8> verdicts;
    const auto judge = [&](unsigned count) {
        relay.classify(nullptr, nullptr, nullptr, verdicts.data(), count, nullptr);
        return verdicts[count - 1].rule;
    };
    EXPECT_EQ(judge(8), 1U);
    relay.succeed(std::make_shared<Numbered>(2U));
    EXPECT_EQ(judge(7), 1U);
    EXPECT_EQ(judge(8), 2U);
}

TEST(RefusedSizes, SimilarOnesAreOne) {
    RefusedSizes refused;
    refused.add(4, 10'000);
    EXPECT_TRUE(refused.contains(4, 10'001));
    EXPECT_FALSE(refused.contains(6, 10'001));
    EXPECT_FALSE(refused.contains(4, 8'000));
    EXPECT_FALSE(refused.contains(4, 12'000));
    refused.add(4, 3);
    EXPECT_TRUE(refused.contains(4, 3));
    EXPECT_FALSE(refused.contains(4, 4));
}

struct Size {
    Engine engine;
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

/// What rte_acl takes: few places to begin anew, and in long programs no negations, which multiply.
void simplify(Program& program) {
    unsigned anew = 6;
    for (Rule& rule : program.rules) {
        if (rule.action > Action::Reject && (anew == 0 || --anew == 0)) {
            rule.action = rule.target % 2 == 0 ? Action::Allow : Action::Deny;
        }
        if (program.rules.size() > 100) {
            rule.match.not_protocol.reset();
            rule.match.not_icmp.reset();
            for (SideMatch* side : {&rule.match.source, &rule.match.destination}) {
                side->not_nets4.clear();
                side->not_nets6.clear();
                side->not_group.reset();
                side->not_ports.clear();
            }
        }
    }
}

template <Family F>
void compare_with_linear(const Size& size) {
    AclDice dice(size.rules);
    constexpr unsigned kBatch = 43;  // whole chunks of every engine, and a rest
    std::set<std::uint32_t> deciding;
    const unsigned programs = std::max(test::rounds(size.programs), std::min(size.programs, 20U));
    unsigned refused = 0;
    for (unsigned n = 0; n < programs; ++n) {
        Program drawn = dice.program(size.rules);
        if (size.engine == Engine::RteAcl) {
            simplify(drawn);
        }
        const auto program = std::make_shared<const Program>(std::move(drawn));
        const auto classifier = build<F>(program, size.engine);
        if (!classifier) {
            ++refused;
            continue;
        }
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
    EXPECT_LE(refused, programs / 2);
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
        Size{Engine::BitVector, 1, 500, 32},
        Size{Engine::BitVector, 5, 500, 64},
        Size{Engine::BitVector, 30, 300, 128},
        Size{Engine::BitVector, 64, 100, 128},
        Size{Engine::BitVector, 513, 20, 512},
        Size{Engine::BitVector, 3000, 2, 1024},
        Size{Engine::BitVector, 40000, 1, 512},
        Size{Engine::RteAcl, 1, 40, 32},
        Size{Engine::RteAcl, 5, 16, 128},
        Size{Engine::RteAcl, 30, 3, 512},
        Size{Engine::RteAcl, 513, 1, 8192}),
    [](const auto& row) {
        return std::string(name(row.param.engine)) + std::to_string(row.param.rules);
    });

}  // namespace
}  // namespace vr::acl::classifier_test
