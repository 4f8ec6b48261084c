// SPDX-License-Identifier: Apache-2.0
#include "vrouter/policy_log_writer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "test/machine/route_lab.h"
#include "vrouter/net/headers.h"

namespace vr::policy_log_writer_test {
namespace {

using namespace std::chrono_literals;

/// Three Log rules, the second for UDP alone, before one that allows.
acl::Program logging_program() {
    acl::Program program;
    program.origins = {
        {"security", "GlobalNetworkPolicy audit", 0},
        {"security", "GlobalNetworkPolicy audit", 1},
        {"default", "NetworkPolicy prod/web", 0},
        {"default", "NetworkPolicy prod/web", 1}};
    for (std::uint32_t i = 0; i < 4; ++i) {
        acl::Rule rule{.action = i == 3 ? acl::Action::Allow : acl::Action::Log, .origin = i};
        if (i == 1) {
            rule.match.protocol = ipproto::kUdp;
        }
        program.rules.push_back(rule);
    }
    return program;
}

template <typename F>
class PolicyLogWriterOf : public testing::Test {
  protected:
    static typename F::Addr address() {
        if constexpr (std::is_same_v<F, V4>) {
            return Ip4{0x0a000001};
        } else {
            return Ip6{0xfd00000000000000U, 1};
        }
    }

    [[nodiscard]] PolicyLogRecord record() const {
        PolicyLogRecord record{
            .program = program.get(),
            .rule = 2,
            .direction = PolicyDirection::Ingress,
            .ip6 = std::is_same_v<F, V6>,
            .allowed = true,
            .protocol = ipproto::kTcp,
            .has_ports = true,
            .source_port = L4Port{1000},
            .destination_port = L4Port{80}};
        address().store(record.source.data());
        address().store(record.destination.data());
        return record;
    }

    std::vector<std::string> lines(const PolicyLogRecord& of) {
        return writer.lines<F>(of, {{"prod/vm", classifier.get()}}, groups, now);
    }

    std::shared_ptr<const acl::Program> program =
        std::make_shared<const acl::Program>(logging_program());
    std::shared_ptr<const acl::Classifier<F>> classifier = acl::Classifier<F>::build(program);
    test::Workers workers;
    GroupTable<F> groups{workers};
    PolicyLogWriter writer;
    PolicyLogWriter::Time now{1h};
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(PolicyLogWriterOf, Families);

TYPED_TEST(PolicyLogWriterOf, EveryLogRuleThatThePacketMeetsHasALine) {
    const std::string at = to_string(this->address());
    const std::string packet = "endpoint prod/vm ingress: " + at + " port 1000 -> " + at +
                               " port 80 protocol 6: allowed, matched by ";
    EXPECT_EQ(
        this->lines(this->record()),
        (std::vector<std::string>{
            "calico-packet: " + packet + "GlobalNetworkPolicy audit rule 0 of tier security",
            "calico-packet: " + packet + "NetworkPolicy prod/web rule 0 of tier default"}));
}

/// The worker saw it match; its set has other members by now.
TYPED_TEST(PolicyLogWriterOf, RuleOfTheRecordCountsInAnyCase) {
    PolicyLogRecord record = this->record();
    record.rule = 1;
    EXPECT_EQ(this->lines(record).size(), 3U);
}

TYPED_TEST(PolicyLogWriterOf, PolicyThatHasChangedIsNotGuessed) {
    PolicyLogRecord record = this->record();
    record.program = nullptr;
    this->writer.set_terms({.prefix = "%t%k %n"});
    const auto lines = this->lines(record);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(lines[0].starts_with("unknown unknown: endpoint prod/vm "));
    EXPECT_TRUE(lines[0].ends_with("matched by a policy that has changed since"));
}

TYPED_TEST(PolicyLogWriterOf, IcmpHasTypeAndCode) {
    PolicyLogRecord record = this->record();
    record.protocol = ipproto::kIcmp;
    record.has_ports = false;
    record.icmp_type = 8;
    const std::string at = to_string(this->address());
    EXPECT_NE(
        this->lines(record).at(0).find(at + " -> " + at + " protocol 1 type 8 code 0: "),
        std::string::npos);
}

TYPED_TEST(PolicyLogWriterOf, RateAndBurstBoundLines) {
    this->writer.set_terms({.rate = 1, .burst = 3});
    EXPECT_EQ(this->lines(this->record()).size(), 2U);
    EXPECT_EQ(this->lines(this->record()).size(), 1U);
    EXPECT_EQ(this->lines(this->record()).size(), 0U);
    EXPECT_EQ(
        this->writer.complaint(4, this->now),
        "policy log: 7 lines or more are missing (logActionRateLimit, or too many packets)");
    this->now += 1s;
    EXPECT_EQ(this->lines(this->record()).size(), 1U);
    EXPECT_EQ(this->writer.complaint(4, this->now), std::nullopt) << "not every time";
    this->now += 1min;
    EXPECT_EQ(this->lines(this->record()).size(), 2U);
    EXPECT_TRUE(this->writer.complaint(4, this->now));
    this->now += 1min;
    EXPECT_EQ(this->writer.complaint(4, this->now), std::nullopt) << "nothing new";
}

TYPED_TEST(PolicyLogWriterOf, ManyRulesDoNotFloodTheLog) {
    acl::Program many;
    many.origins = {{"default", "NetworkPolicy prod/web", 0}};
    many.rules.resize(1000, {.action = acl::Action::Log});
    this->program = std::make_shared<const acl::Program>(many);
    this->classifier = acl::Classifier<TypeParam>::build(this->program);
    EXPECT_EQ(this->lines(this->record()).size(), PolicyLogWriter::kMostLines);
    EXPECT_TRUE(this->writer.complaint(0, this->now));
}

TEST(LogPrefix, SpecifiersAreReplaced) {
    const acl::Origin np{"default", "NetworkPolicy prod/web", 0};
    EXPECT_EQ(log_prefix("calico-packet", np), "calico-packet");
    EXPECT_EQ(log_prefix("%t %k %n %p", np), "default np web prod/web");
    EXPECT_EQ(log_prefix("%k%p", {"t", "GlobalNetworkPolicy x", 0}), "gnpx");
    EXPECT_EQ(log_prefix("%k:%n", {"", "Profile kns.prod", 0}), "pro:kns.prod");
    EXPECT_EQ(log_prefix("100%% %x %", np), "100%% %x %");
}

}  // namespace
}  // namespace vr::policy_log_writer_test
