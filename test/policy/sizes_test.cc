// The largest that Calico's validation lets through still works, and what is larger is refused.
// POLICY 2.4.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/ip_set.h"
#include "policy/resource.h"
#include "test/policy/cluster.h"
#include "test/rounds.h"
#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/reclaim.h"

namespace vr::policy::sizes_test {
namespace {

constexpr std::string_view kEndpoint =
    "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {name: vm, namespace: a}\n"
    "spec: {node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.2]}\n";

std::string list(int count, auto item) {
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += (i == 0 ? "" : ", ") + item(i);
    }
    return "[" + text + "]";
}

std::string policy(const std::string& spec) {
    return "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\n"
           "spec: {types: [Ingress], " +
           spec + "}\n";
}

/// Rule i takes the source 10.1.(i / 256).(i % 256) and ports from 1000 on, only even ones.
std::string rules(int count, int ports) {
    return list(count, [&](int i) {
        return fmt::format(
            "{{action: {}, protocol: TCP, source: {{nets: [10.1.{}.{}]}}, destination: {{ports: "
            "{}}}}}",
            i % 2 == 0 ? "Allow" : "Deny",
            i / 256,
            i % 256,
            list(ports, [](int n) { return std::to_string(1000 + 2 * n); }));
    });
}

std::string error_of(const std::string& yaml) {
    const auto parsed = parse_file("p.yaml", yaml);
    return parsed ? parsed->objects.at(0).error : parsed.error().text;
}

TEST(Sizes, APolicyOf1024RulesWith50PortsEach) {
    const Cluster cluster(std::string(kEndpoint) + policy("ingress: " + rules(1024, 50)));
    const auto program = cluster.sink.workloads.at("a/vm").ingress;
    const auto classifier = acl::Classifier<V4>::build(program);
    const GroupSet none({});
    const GroupSet* groups = &none;
    for (const int i : {0, 1, 511, 1022, 1023}) {
        for (const int port : {1000, 1001, 1098, 1100}) {
            const auto p = packet<V4>(
                fmt::format("10.1.{}.{}", i / 256, i % 256),
                "10.0.0.2",
                6,
                9,
                static_cast<std::uint16_t>(port));
            const bool listed = port % 2 == 0 && port < 1100;
            acl::Verdict verdict;
            classifier->classify(&p, &groups, &groups, &verdict, 1);
            EXPECT_EQ(verdict.allow, listed && i % 2 == 0) << i << " " << port;
            EXPECT_EQ(program->origins[program->rules[verdict.rule].origin].rule, listed ? i : -1);
        }
    }
}

TEST(Sizes, OneRuleMoreIsRefused) {
    EXPECT_NE(
        error_of(policy("ingress: " + rules(1025, 1))).find("at most 1024"), std::string::npos);
}

TEST(Sizes, OnePortMoreIsRefused) {
    EXPECT_NE(error_of(policy("ingress: " + rules(1, 51))).find("at most 50"), std::string::npos);
}

TEST(Sizes, OneNetMoreIsRefused) {
    const auto nets = [](int count) {
        return policy(
            "ingress: [{action: Allow, source: {nets: " +
            list(count, [](int i) { return fmt::format("10.{}.0.0/16", i % 256); }) + "}}]");
    };
    EXPECT_EQ(error_of(nets(256)), "");
    EXPECT_NE(error_of(nets(257)).find("at most 256"), std::string::npos);
}

TEST(Sizes, ASelectorOf1024Characters) {
    std::string selector = "role == 'web'";
    for (int i = 0; selector.size() < 1000; ++i) {
        selector += fmt::format(" && l{} != 'v'", i);
    }
    selector.resize(1024, ' ');
    const auto parsed = Selector::parse(selector);
    ASSERT_TRUE(parsed) << parsed.error().text;
    EXPECT_TRUE(parsed->matches({{"role", "web"}}));
    EXPECT_FALSE(parsed->matches({{"role", "web"}, {"l7", "v"}}));
    EXPECT_FALSE(Selector::parse(selector + " "));
}

TEST(Sizes, ASelectorOf1024CharactersThatTakeTwoBytesEach) {
    const auto selector = [](std::size_t count) {
        std::string value;
        for (std::size_t i = 0; i < count; ++i) {
            value += "\u00e9";
        }
        return "role == '" + value + "'";
    };
    EXPECT_TRUE(Selector::parse(selector(1014)));
    EXPECT_FALSE(Selector::parse(selector(1015)));
}

TEST(Sizes, ASelectorOf1024CharactersThatAreBrackets) {
    const std::string open(508, '(');
    const std::string close(508, ')');
    const auto parsed = Selector::parse(open + "has(a)  " + close);
    ASSERT_TRUE(parsed) << parsed.error().text;
    EXPECT_TRUE(parsed->matches({{"a", ""}}));
}

/// `count` addresses as JSON, the last of them none.
std::string spoilt_list(std::uint32_t count) {
    std::string text;
    for (std::uint32_t i = 1; i < count; ++i) {
        text += fmt::format("\"10.{}.{}.{}\",", i >> 16U, (i >> 8U) & 255U, i & 255U);
    }
    return "[" + text + "\"x\"]";
}

std::string spoilt(std::string_view kind, std::string_view list, std::uint32_t count) {
    return fmt::format(
        R"({{"apiVersion":"projectcalico.org/v3","kind":"{}","metadata":{{"name":"s"}},)"
        R"("spec":{{"node":"h1","{}":{}}}}})",
        kind,
        list,
        spoilt_list(count));
}

TEST(Sizes, AHugeListWithOneBadEntry) {
    constexpr std::uint32_t kCount = test::rounds(300'000);
    const auto counts = [](Kind kind, std::string_view list) {
        const Key key{kind, {}, "s"};
        const auto parsed = parse_stored("s", key, spoilt(row_of(kind).name, list, kCount));
        return parsed ? parsed->counts : parsed.error().text;
    };
    EXPECT_EQ(
        counts(Kind::GlobalNetworkSet, "nets"),
        fmt::format("{} of {} nets count", kCount - 1, kCount));
    EXPECT_EQ(
        counts(Kind::HostEndpoint, "expectedIPs"),
        fmt::format("{} of {} expectedIPs count", kCount - 1, kCount));
}

TEST(Sizes, AGroupOfAMillionMembers) {
    constexpr std::uint32_t kMembers = test::rounds(1'000'000);
    const auto nets = std::make_shared<std::vector<IpPrefix>>();
    nets->reserve(kMembers);
    for (std::uint32_t i = 0; i < kMembers; ++i) {
        nets->emplace_back(Prefix<V4>::host(Ip4{0x0a000000U + 2 * i}));
    }
    IpSets sets;
    const Selector selector = Selector::has("bad");
    sets.set_item({Kind::GlobalNetworkSet, {}, "s"}, {{"bad", "yes"}}, {nets, *nets, {}});
    sets.acquire({selector.text(), {}, 0}, selector);
    while (sets.has_work()) {
        sets.work();
    }
    ImmediateReclaimer reclaimer;
    GroupTable<V4> table(reclaimer);
    for (const auto& change : sets.take_changes()) {
        ASSERT_TRUE(change.present);
        table.add(change.group, std::get<Prefix<V4>>(change.member));
    }
    EXPECT_EQ(table.size(), kMembers);
    EXPECT_EQ(table.lookup(Ip4{0x0a000000U + 2 * (kMembers - 1)})->ids().size(), 1U);
    EXPECT_EQ(table.lookup(Ip4{0x0a000001U})->ids().size(), 0U);
}

}  // namespace
}  // namespace vr::policy::sizes_test
