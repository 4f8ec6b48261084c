// What the machine is told of differences: in which order, and what of it in one turn.
// SPDX-License-Identifier: Apache-2.0
#include "policy/publisher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "test/policy/cluster.h"

namespace vr::policy::publisher_test {
namespace {

/// What waits to be told, as it does while a set is not known, is told as it is by then.
TEST(Publisher, OfProgramsReplacedAgainBeforeTheyAreToldTheNewestCounts) {
    const auto program = [] { return std::make_shared<const acl::Program>(); };
    const auto first = program();
    const auto second = program();
    const auto third = program();
    RememberingSink sink;
    Publisher publisher(sink);
    const auto add = [&](const std::string& name, const auto& ingress) {
        Workload workload;
        workload.name = name;
        workload.ingress = ingress;
        workload.egress = ingress;
        publisher.set_workload(workload);
    };
    add("told", first);
    publisher.flush();
    publisher.replace_programs({{first, second}});
    add("new", second);
    publisher.replace_programs({{second, third}});
    publisher.flush();
    for (const std::string name : {"told", "new"}) {
        EXPECT_EQ(sink.workloads.at(name).ingress, third) << name;
        EXPECT_EQ(publisher.published().at(name).egress, third) << name;
    }
    const int calls = sink.calls;
    publisher.flush();
    EXPECT_EQ(sink.calls, calls);
}

/// Has so many members inside the last net that came still to do.
class SlowSink final : public RememberingSink {
  public:
    void add_member(GroupId group, const IpPrefix& member) override {
        EXPECT_EQ(left, 0) << "those inside the one before have not followed";
        RememberingSink::add_member(group, member);
        left = 3;
    }

    void update_workload(const Workload& workload) override {
        EXPECT_EQ(left, 0);
        RememberingSink::update_workload(workload);
    }

    bool refresh_members() override {
        left -= left != 0 ? 1 : 0;
        return left != 0;
    }

    int left = 0;
};

TEST(Publisher, NothingIsToldBeforeMembersInsideNetsHaveFollowed) {
    SlowSink sink;
    Publisher publisher(sink);
    Workload workload;
    workload.name = "a";
    workload.ingress = std::make_shared<const acl::Program>();
    workload.egress = workload.ingress;
    publisher.set_workload(workload);
    const IpPrefix net = *parse_prefix("10.0.0.0/8");
    publisher.change_members({{kAllPools, net, true}, {kNatPools, net, true}});
    int turns = 1;
    while (!publisher.flush(Slice(std::chrono::microseconds{0}))) {
        ++turns;
    }
    EXPECT_GT(turns, 6);
    EXPECT_EQ(sink.members.at(kNatPools).size(), 1U);
    EXPECT_TRUE(sink.workloads.contains("a"));
}

/// A guard that goes to another port leaves its own to one that must be known by then.
TEST(Publisher, GuardsOfTheHostAreToldTogetherHoweverShortTheSlice) {
    RememberingSink sink;
    Publisher publisher(sink);
    for (const std::string name : {"a", "b", "c"}) {
        HostGuard guard;
        guard.name = name;
        for (const HostHook hook : {HostHook::NormalIngress, HostHook::NormalEgress}) {
            guard.programs[static_cast<std::size_t>(hook)] = std::make_shared<const acl::Program>();
        }
        publisher.set_host(guard);
    }
    (void)publisher.flush(Slice(std::chrono::microseconds{0}));
    EXPECT_EQ(sink.hosts.size(), 3U);
}

}  // namespace
}  // namespace vr::policy::publisher_test
