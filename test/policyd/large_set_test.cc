// Sets that are told in parts, and what happens between two of them.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "policy/policyd/set_items.h"
#include "test/policyd/stream.h"

namespace vr::policyd::large_set_test {
namespace {

/// Is over as soon as it has begun.
const policy::Slice kOneStep{std::chrono::microseconds{0}};

IpPrefix member(unsigned i) {
    return parse_prefix(fmt::format("10.{}.{}.{}/32", i >> 16U, (i >> 8U) & 0xffU, i & 0xffU))
        .value();
}

/// Hosts h and g, whose endpoints a policy guards that names a set of four parts.
class LargeSet : public testing::Test {
  protected:
    static constexpr auto kPart = static_cast<unsigned>(SetItems::kMostMembers);
    static constexpr unsigned kMembers = 3 * kPart + 17;

    LargeSet() {
        cluster.on({0, {policy::InSync{}}});
        for (const char* name : {"h", "g"}) {
            set(name,
                document(
                    "WorkloadEndpoint",
                    fmt::format("name: {}, namespace: n", name),
                    fmt::format("node: {}, interfaceName: tap, ipNetworks: [10.255.0.1]", name)));
        }
        for (unsigned i = 0; i < kMembers; ++i) {
            members.insert(member(2 * i + 2));
        }
        write();
        set("policy",
            document(
                "NetworkPolicy",
                "name: p, namespace: n",
                "selector: all(), ingress: [{action: Allow, source: {selector: large == 'y'}}]"));
    }

    void set(const std::string& file, const std::optional<std::string>& text) {
        cluster.on(documents.set(file, text));
    }

    void write() {
        policy::Resource large{{policy::Kind::NetworkSet, "n", "large"}, {{"large", "y"}}, {}};
        large.spec = policy::NetworkSet{{members.begin(), members.end()}};
        cluster.on({0, {policy::Upsert{std::make_shared<policy::Resource>(large), nullptr}}});
    }

    void add(unsigned i) {
        members.insert(member(i));
        write();
    }

    void remove(unsigned i) {
        members.erase(member(i));
        write();
    }

    /// One more change is told; false: there is none.
    static bool step(StreamedHost& host, Feed& feed) {
        const bool more = feed.has_news();
        if (more) {
            host.deliver(read_frame(bytes_of(feed.take(Feed::kParcelBytes, kOneStep))));
        }
        return more;
    }

    void expect_all(const StreamedHost& told) const {
        std::set<IpPrefix> held;
        for (const auto& [group, in] : told.sink.members) {
            held.insert(in.begin(), in.end());
        }
        EXPECT_TRUE(held == members) << held.size() << " of " << members.size();
    }

    std::set<IpPrefix> members;
    Documents documents;
    Cluster cluster;
    Feed feed{cluster, "h"};
    StreamedHost host{"h"};
};

TEST_F(LargeSet, NoMessageIsLarge) {
    const auto parcel = feed.take();
    EXPECT_EQ(parcel.chunks.size(), 7U) << "endpoint, policy, four parts, in-sync";
    EXPECT_TRUE(std::ranges::all_of(
        parcel.chunks, [](const auto& chunk) { return chunk->size() < 5 * kPart + 100; }));
}

TEST_F(LargeSet, NothingIsInForceBeforeTheLastPart) {
    host.connect(feed, "life");
    while (feed.pending() > 1 || feed.sequence() < 5) {
        ASSERT_TRUE(step(host, feed));
        EXPECT_EQ(host.batches, 0);
    }
    ASSERT_TRUE(step(host, feed));
    EXPECT_EQ(host.batches, 1);
    EXPECT_FALSE(feed.has_news());
    expect_all(host);
}

TEST_F(LargeSet, IsWrittenOnceForAllHosts) {
    const auto first = feed.take();
    add(1);
    Feed other(cluster, "g");
    const auto second = other.take();
    const auto shared = std::ranges::count_if(second.chunks, [&](const auto& chunk) {
        return std::ranges::count(first.chunks, chunk) == 1;
    });
    EXPECT_EQ(shared, 5) << "the policy and four parts, behind which is told what came since";
    StreamedHost streamed("g");
    other.restart();
    streamed.connect(other, "life");
    streamed.drain(other);
    expect_all(streamed);
}

struct Event {
    std::string name;
    /// What becomes of the members.
    std::function<void(std::set<IpPrefix>&)> change;
};

/// The event happens when some changes were told, of which the host knows nothing, some, or all.
class AmidALargeSet : public LargeSet, public testing::WithParamInterface<std::tuple<Event, int>> {
  protected:
    void happen() {
        std::get<Event>(GetParam()).change(members);
        write();
    }

    /// Some steps, if there are so many.
    void some_steps(StreamedHost& to, Feed& of) const {
        for (int i = 0; i < std::get<int>(GetParam()); ++i) {
            (void)step(to, of);
        }
    }
};

TEST_P(AmidALargeSet, TheHostHasWhatIsTrueInTheEnd) {
    host.connect(feed, "life");
    some_steps(host, feed);
    happen();
    host.drain(feed);
    expect_all(host);
}

TEST_P(AmidALargeSet, OneChangeAfterTheOtherIsToldToo) {
    host.connect(feed, "life");
    some_steps(host, feed);
    happen();
    some_steps(host, feed);
    add(1);
    (void)step(host, feed);
    remove(1);
    host.drain(feed);
    expect_all(host);
}

TEST_P(AmidALargeSet, AHostThatLeavesLeavesNothingWrong) {
    std::optional<Feed> leaves(std::in_place, cluster, "g");
    StreamedHost other("g");
    other.connect(*leaves, "life");
    some_steps(other, *leaves);
    leaves.reset();
    happen();
    host.connect(feed, "life");
    host.drain(feed);
    expect_all(host);
}

TEST_P(AmidALargeSet, TwoHostsAtOnceDoNotDisturbEachOther) {
    Feed second(cluster, "g");
    StreamedHost other("g");
    host.connect(feed, "life");
    other.connect(second, "life");
    some_steps(host, feed);
    happen();
    bool more = true;
    while (more) {
        more = step(other, second);
        more = step(host, feed) || more;
    }
    expect_all(host);
    expect_all(other);
}

TEST_P(AmidALargeSet, AHostThatComesBackIsToldWhatItMissed) {
    set("policy", std::nullopt);
    host.connect(feed, "life");
    host.drain(feed);
    set("policy",
        document(
            "NetworkPolicy",
            "name: p, namespace: n",
            "selector: all(), egress: [{action: Allow, destination: {selector: large == 'y'}}]"));
    some_steps(host, feed);
    happen();
    host.connect(feed, "life");
    EXPECT_TRUE(host.receiver.is_in_sync());
    host.drain(feed);
    expect_all(host);
}

TEST_P(AmidALargeSet, WhatStaysIsNeverAbsentFromAnotherServersSnapshot) {
    host.connect(feed, "life");
    host.drain(feed);
    const auto before = members;
    host.connect(feed, "another life");
    some_steps(host, feed);
    happen();
    host.sink.calls = 0;
    host.drain(feed);
    expect_all(host);
    std::vector<IpPrefix> others;
    std::ranges::set_symmetric_difference(before, members, std::back_inserter(others));
    EXPECT_EQ(host.sink.calls, others.size());
}

const std::vector<Event> kEvents{
    {"nothing", [](auto&) {}},
    {"first_goes", [](auto& members) { members.erase(members.begin()); }},
    {"last_goes", [](auto& members) { members.erase(std::prev(members.end())); }},
    {"one_comes_before_all", [](auto& members) { members.insert(member(1)); }},
    {"one_comes_behind_all", [](auto& members) { members.insert(member(0x100000)); }},
    {"all_go", [](auto& members) { members.clear(); }},
    {"others_take_their_place",
     [](auto& members) {
         members.clear();
         for (unsigned i = 0; i < 1250; ++i) {
             members.insert(member(2 * i + 1));
         }
     }},
    {"many_more_come",
     [](auto& members) {
         for (unsigned i = 0; i < 7500; ++i) {
             members.insert(member(2 * i + 1));
         }
     }},
};

INSTANTIATE_TEST_SUITE_P(
    Table,
    AmidALargeSet,
    testing::Combine(testing::ValuesIn(kEvents), testing::Range(0, 7)),
    [](const auto& row) {
        return fmt::format(
            "{}_behind_{}", std::get<Event>(row.param).name, std::get<int>(row.param));
    });

TEST_F(LargeSet, ChangesThatAreToldInPiecesAreNewsAtTheirEnd) {
    host.connect(feed, "life");
    host.drain(feed);
    const int before = host.batches;
    members.clear();
    cluster.add({0, {policy::Delete{{policy::Kind::NetworkSet, "n", "large"}}}});
    int turns = 1;
    for (; !cluster.go_on(kOneStep); ++turns) {
        EXPECT_FALSE(feed.has_news());
    }
    EXPECT_GT(turns, 4);
    host.drain(feed);
    EXPECT_EQ(host.batches, before + 1);
    expect_all(host);
}

}  // namespace
}  // namespace vr::policyd::large_set_test
