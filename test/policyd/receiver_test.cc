// The host's end: what it hands on, what it refuses, and that another server is not felt.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/receiver.h"

#include <gtest/gtest.h>

#include <functional>

#include "policy/stand_in.h"
#include "test/policyd/stream.h"

namespace vr::policyd::receiver_test {
namespace {

const std::string kEndpoint = document(
    "WorkloadEndpoint",
    "name: e, namespace: n, labels: {role: peer}",
    "node: h, interfaceName: tap0, ipNetworks: [10.0.0.1]");
const std::string kPolicy = document(
    "NetworkPolicy",
    "name: p, namespace: n",
    "selector: all(), ingress: [{action: Allow, source: {selector: role == 'peer'}}]");

/// A server that knows the same two objects as any other.
struct Server {
    explicit Server(std::string life) : epoch(std::move(life)) {
        set("e", kEndpoint);
        set("p", kPolicy);
        cluster.on({0, {policy::InSync{}}});
    }

    void set(const std::string& file, const std::optional<std::string>& text) {
        cluster.on(documents.set(file, text));
    }

    void serve(StreamedHost& host) {
        if (!feed) {
            feed.emplace(cluster, host.name);
        }
        host.connect(*feed, epoch);
        host.drain(*feed);
    }

    std::string epoch;
    Documents documents;
    Cluster cluster;
    std::optional<Feed> feed;
};

TEST(Receiver, AnotherServerWithTheSameStateChangesNothing) {
    StreamedHost host("h");
    Server first("first");
    Server second("second");
    first.serve(host);
    const auto program = host.sink.workloads.at("n/e").ingress;
    const int calls = host.sink.calls;
    second.serve(host);
    EXPECT_EQ(host.sink.calls, calls);
    EXPECT_EQ(host.sink.workloads.at("n/e").ingress, program);
}

TEST(Receiver, AnotherServerTellsOnlyWhatDiffers) {
    StreamedHost host("h");
    Server first("first");
    Server second("second");
    second.set(
        "peer",
        document(
            "WorkloadEndpoint",
            "name: peer, namespace: n, labels: {role: peer}",
            "node: other, interfaceName: tap1, ipNetworks: [10.0.0.2]"));
    first.serve(host);
    const int calls = host.sink.calls;
    second.serve(host);
    EXPECT_EQ(host.sink.calls, calls + 1) << "the new member";
}

TEST(Receiver, WhatAnotherServerDoesNotKnowGoes) {
    StreamedHost host("h");
    Server first("first");
    Server second("second");
    second.set("p", std::nullopt);
    first.serve(host);
    second.serve(host);
    EXPECT_EQ(host.receiver.catalog().files(), std::set<std::string>{"WorkloadEndpoint n/e"});
    EXPECT_TRUE(host.sink.members.empty() || host.sink.members.begin()->second.empty());
}

TEST(Receiver, BlocksThatAnotherServerDoesNotTellAreLost) {
    StreamedHost host("h");
    Server first("first");
    Server second("second");
    first.cluster.on({9, {}, {}, {{"h", {parse_prefix("10.0.0.0/26").value()}}}});
    first.serve(host);
    EXPECT_EQ(host.blocks.size(), 1U);
    second.serve(host);
    EXPECT_TRUE(host.blocks.empty());
}

const policy::Key kPolicyKey{policy::Kind::NetworkPolicy, "n", "p"};

/// "STATE: REASON" as the host tells it.
std::string told(const Receiver& receiver) {
    const auto all = receiver.list(kPolicyKey, 1);
    return all.size() != 1 ? std::string("not one")
                           : fmt::format("{}: {}", to_string(all[0].state), all[0].reason);
}

std::string told(policy::ObjectState state, std::string_view reason) {
    return fmt::format("{}: {}", to_string(state), reason);
}

TEST(Receiver, WhyAServerKeepsALastValidVersionIsToldAndChangesNothing) {
    using policy::ObjectState;
    StreamedHost host("h");
    Server server("first");
    server.serve(host);
    const int calls = host.sink.calls;
    const auto tell = [&](std::string reason) {
        server.cluster.on({.kept = {{kPolicyKey, std::move(reason)}}});
        host.drain(*server.feed);
    };
    tell("why");
    EXPECT_EQ(told(host.receiver), told(ObjectState::Kept, "why"));
    EXPECT_EQ(host.receiver.counts().at(policy::Kind::NetworkPolicy).invalid, 1U);
    StreamedHost later("h");
    ASSERT_TRUE(later.receiver.restore(host.receiver.last_good()()));
    later.apply();
    EXPECT_EQ(told(later.receiver), told(ObjectState::Kept, "why"));
    tell("");
    EXPECT_EQ(told(host.receiver), told(ObjectState::Valid, ""));
    EXPECT_EQ(host.receiver.counts().at(policy::Kind::NetworkPolicy).invalid, 0U);
    EXPECT_EQ(host.sink.calls, calls);
}

TEST(Receiver, WhyALastValidVersionCountedIsForgottenWithTheObject) {
    StreamedHost host("h");
    Server server("first");
    server.cluster.on({.kept = {{kPolicyKey, "why"}}});
    server.serve(host);
    EXPECT_EQ(told(host.receiver), told(policy::ObjectState::Kept, "why"));
    server.set("p", std::nullopt);
    host.drain(*server.feed);
    server.set("p", kPolicy);
    host.drain(*server.feed);
    EXPECT_EQ(told(host.receiver), told(policy::ObjectState::Valid, ""));
}

TEST(Receiver, WhyIsToldOfObjectsThatHostsGetAlone) {
    StreamedHost host("h");
    Server server("first");
    server.set("s", document("GlobalNetworkSet", "name: s", "nets: [10.9.0.0/24]"));
    server.serve(host);
    server.cluster.on(
        {.kept = {
             {{policy::Kind::GlobalNetworkSet, {}, "s"}, "why"},
             {{policy::Kind::NetworkPolicy, "n", "never"}, "why"}}});
    EXPECT_FALSE(server.feed->has_news());
}

TEST(Receiver, HalfASnapshotChangesNothing) {
    StreamedHost host("h");
    Server first("first");
    Server second("second");
    first.serve(host);
    second.set("p", std::nullopt);
    second.set("e", std::nullopt);
    second.set("t", document("Tier", "name: t", "order: 1"));
    second.set("u", document("Tier", "name: u", "order: 2"));
    Feed feed(second.cluster, "h");
    host.connect(feed, "second");
    host.deliver(read_frame(bytes_of(feed.take(1))));
    EXPECT_EQ(host.receiver.catalog().files().size(), 2U);
    first.serve(host);
    EXPECT_EQ(host.sink.workloads.size(), 1U);
}

/// Whether it takes the welcome of a server that begins anew.
bool welcome(Receiver& receiver) {
    (void)receiver.hello();
    pb::FromServer message;
    message.mutable_welcome()->set_protocol(kProtocol);
    message.mutable_welcome()->set_epoch("e");
    return receiver.on(message).has_value();
}

TEST(Receiver, ObjectThatCannotBeReadHereDeniesInItsPlace) {
    Receiver receiver("h");
    ASSERT_TRUE(welcome(receiver));
    const std::vector<Chunk> chunks{
        object_update(
            {policy::Kind::NetworkPolicy, "n", "p"},
            document("NetworkPolicy", "name: p, namespace: n", "selector: 'of the future('")),
        in_sync()};
    ASSERT_TRUE(receiver.on(read_frame(bytes_of({1, chunks, false}))));
    const auto batch = receiver.go_on(policy::Slice());
    ASSERT_TRUE(batch);
    ASSERT_EQ(batch->events.size(), 2U);
    const auto& stand_in = std::get<policy::Upsert>(batch->events[0]).resource;
    for (const auto& rule : stand_in->as<policy::Policy>().ingress) {
        EXPECT_EQ(rule.action, policy::RuleAction::Deny);
    }
}

TEST(Receiver, ADocumentThatIsNoObjectDeniesBeforeAllTiersAsAtTheServer) {
    Receiver receiver("h");
    ASSERT_TRUE(welcome(receiver));
    const policy::Key key{policy::Kind::NetworkPolicy, "n", "p"};
    ASSERT_TRUE(receiver.on(
        read_frame(bytes_of({1, {object_update(key, "\xff garbage"), in_sync()}, false}))));
    const auto batch = receiver.go_on(policy::Slice());
    ASSERT_TRUE(batch);
    EXPECT_EQ(*std::get<policy::Upsert>(batch->events.at(0)).resource, *policy::stand_in(key));
}

/// The same object, no longer understood; its selector is.
const std::string kSpoilt = document(
    "NetworkPolicy", "name: p, namespace: n", "selector: all(), ingress: [{action: Perhaps}]");

TEST(Receiver, LastValidVersionIsWhatTheServerTells) {
    StreamedHost host("h");
    Server first("first");
    Server restarted("second");
    first.serve(host);
    first.set("p", kSpoilt);
    first.serve(host);
    EXPECT_EQ(host.sink.members.size(), 1U) << "the first server keeps it";
    restarted.set("p", std::nullopt);
    restarted.set("p", kSpoilt);
    restarted.serve(host);
    EXPECT_EQ(
        host.receiver.catalog().list_file("NetworkPolicy n/p").at(0).state,
        policy::ObjectState::StandIn);
    restarted.set("e", std::nullopt);
    host.drain(*restarted.feed);
    EXPECT_TRUE(host.sink.workloads.empty()) << "what comes after it is still published";
}

struct Unfit {
    const char* name;
    std::string document;
};

class UnfitDocument : public testing::TestWithParam<Unfit> {};

TEST_P(UnfitDocument, DeniesInThePlaceOfWhatWasKnown) {
    const policy::Key key{policy::Kind::NetworkPolicy, "n", "p"};
    StreamedHost host("h");
    Server server("first");
    server.serve(host);
    const std::vector<Chunk> chunks{object_update(key, GetParam().document)};
    host.deliver(read_frame(bytes_of({host.receiver.applied() + 1, chunks, false})));
    const auto in_force = host.graph.resource(key);
    ASSERT_TRUE(in_force);
    for (const auto& rule : in_force->as<policy::Policy>().ingress) {
        EXPECT_EQ(rule.action, policy::RuleAction::Deny);
    }
    EXPECT_EQ(host.graph.all_resources().size(), 2U) << "nothing else came";
    EXPECT_EQ(host.receiver.complaints().size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    UnfitDocument,
    testing::Values(
        Unfit{"no_yaml", "{"},
        Unfit{"nothing", ""},
        Unfit{"another_name", document("NetworkPolicy", "name: q, namespace: n", "")},
        Unfit{"another_kind", document("Tier", "name: p", "order: 1")},
        Unfit{"two_objects", kPolicy + "---\n" + document("Tier", "name: t", "order: 1")},
        Unfit{"a_kind_of_the_future", document("NetworkPolicy2", "name: p, namespace: n", "")}),
    [](const auto& row) { return row.param.name; });

TEST(Receiver, HostEndpointThatCannotBeReadIsClosed) {
    StreamedHost host("h");
    Server server("first");
    server.serve(host);
    const policy::Key key{policy::Kind::HostEndpoint, {}, "nic"};
    const std::vector<Chunk> chunks{object_update(key, "{")};
    host.deliver(read_frame(bytes_of({host.receiver.applied() + 1, chunks, false})));
    ASSERT_TRUE(host.graph.resource(key));
    EXPECT_TRUE(host.graph.resource(key)->as<policy::HostEndpoint>().closed);
    EXPECT_EQ(host.sink.hosts.size(), 1U);
}

TEST(Receiver, SetThatWasNotToldHoldsPublishingUp) {
    policy::RememberingSink sink;
    policy::Graph graph("h", sink, policy::MembersFrom::Stream);
    policy::Catalog catalog;
    graph.on({1, catalog.set_file("e", kEndpoint)});
    graph.on({2, catalog.set_file("p", kPolicy)});
    graph.on({3, {policy::InSync{}}});
    EXPECT_TRUE(graph.lacks_sets());
    EXPECT_EQ(sink.calls, 0);
    policy::Batch told{4, {}};
    told.sets.push_back(
        {{policy::Selector::both(
              policy::Selector::equals("projectcalico.org/namespace", "n"),
              policy::Selector::equals("role", "peer"))
              .text(),
          "",
          0},
         policy::SetUpdate::How::Replace,
         {},
         {}});
    graph.on(told);
    EXPECT_FALSE(graph.lacks_sets());
    EXPECT_EQ(sink.workloads.size(), 1U);
}

/// What comes of parcels that belong together, `sent` times `chunk`, at a host with 64 KiB for them.
bool is_taken(const Chunk& chunk, int sent) {
    Receiver receiver("h", 65536);
    (void)receiver.hello();
    pb::FromServer welcome;
    welcome.mutable_welcome()->set_protocol(kProtocol);
    welcome.mutable_welcome()->set_epoch("e");
    EXPECT_TRUE(receiver.on(welcome));
    for (int i = 1; i <= sent; ++i) {
        if (!receiver.on(
                read_frame(bytes_of({static_cast<std::uint64_t>(i), {chunk}, i < sent})))) {
            return false;
        }
    }
    return true;
}

TEST(Receiver, CountsTheMemoryThatMembersTake) {
    policy::SetUpdate set{{"all()", "", 0}, policy::SetUpdate::How::Replace, {}, {}};
    for (unsigned i = 0; i < 1000; ++i) {
        set.added.emplace_back(
            L4Port{}, parse_prefix(fmt::format("10.0.{}.{}/32", i / 250, i % 250)).value());
    }
    const Chunk chunk = set_update(set);
    ASSERT_LT(chunk->size() * 4, 65536U) << "on the wire they are less";
    EXPECT_TRUE(is_taken(chunk, 1));
    EXPECT_FALSE(is_taken(chunk, 4));
}

TEST(Receiver, CountsTheMemoryThatUpdatesTake) {
    const Chunk chunk = object_remove({policy::Kind::Profile, {}, "p"});
    ASSERT_LT(chunk->size() * 1000, 65536U) << "on the wire they are less";
    EXPECT_TRUE(is_taken(chunk, 100));
    EXPECT_FALSE(is_taken(chunk, 1000));
}

struct Refusal {
    const char* name;
    std::function<void(pb::FromServer&)> spoil;
    const char* says;
};

class Refuses : public testing::TestWithParam<Refusal> {};

TEST_P(Refuses, TheStreamAndKeepsWhatIsKnown) {
    StreamedHost host("h");
    Server server("first");
    server.serve(host);
    (void)host.receiver.hello();
    pb::FromServer message;
    GetParam().spoil(message);
    const bool begins = message.has_welcome() || message.has_refused();
    if (!begins && GetParam().name != std::string("batch before the welcome")) {
        pb::FromServer welcome;
        welcome.mutable_welcome()->set_protocol(kProtocol);
        welcome.mutable_welcome()->set_epoch("other");
        ASSERT_TRUE(host.receiver.on(welcome));
    }
    const auto refused = host.receiver.on(message);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text.find(GetParam().says), std::string::npos)
        << refused.error().text;
    EXPECT_EQ(host.receiver.catalog().files().size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    Refuses,
    testing::Values(
        Refusal{
            "another protocol",
            [](auto& m) { m.mutable_welcome()->set_protocol(kProtocol + 1); },
            "protocol"},
        Refusal{
            "resumed what was not begun",
            [](auto& m) {
                m.mutable_welcome()->set_protocol(kProtocol);
                m.mutable_welcome()->set_epoch("unheard");
                m.mutable_welcome()->set_resumed(true);
            },
            "never begun"},
        Refusal{
            "the server refuses",
            [](auto& m) { m.mutable_refused()->set_reason("not your stream"); },
            "refused: not your stream"},
        Refusal{
            "a gap in the sequence",
            [](auto& m) { m.mutable_batch()->set_sequence_number(2); },
            "comes after"},
        Refusal{
            "batch before the welcome",
            [](auto& m) { m.mutable_batch()->set_sequence_number(1); },
            "before its welcome"},
        Refusal{
            "an update of another kind",
            [](auto& m) {
                m.mutable_batch()->set_sequence_number(1);
                m.mutable_batch()->add_updates();
            },
            "not known here"},
        Refusal{
            "an object of an unknown kind",
            [](auto& m) {
                m.mutable_batch()->set_sequence_number(1);
                auto& id = *m.mutable_batch()->add_updates()->mutable_object_update()->mutable_id();
                id.set_kind("Widget");
                id.set_name("w");
            },
            "is no object"}),
    [](const auto& row) {
        std::string name = row.param.name;
        std::ranges::replace(name, ' ', '_');
        return name;
    });

// --- the last good state ---------------------------------------------------------------------

/// What a host was told by a server, and one more change of the members after that.
std::string last_good_of(StreamedHost& host) {
    Server server("first");
    server.serve(host);
    server.set(
        "peer",
        document(
            "WorkloadEndpoint",
            "name: peer, namespace: n, labels: {role: peer}",
            "node: other, interfaceName: tap1, ipNetworks: [10.0.0.2]"));
    server.cluster.on({9, {}, {}, {{"h", {parse_prefix("10.0.0.0/26").value()}}}});
    host.drain(*server.feed);
    return host.receiver.last_good()();
}

TEST(LastGood, IsWhatTheEarlierLifeKnew) {
    StreamedHost before("h");
    const std::string file = last_good_of(before);
    StreamedHost after("h");
    const auto restored = after.receiver.restore(file);
    ASSERT_TRUE(restored) << restored.error().text;
    after.apply();
    EXPECT_TRUE(after.graph.is_in_sync());
    EXPECT_EQ(Comparable(before.sink), Comparable(after.sink));
    EXPECT_EQ(before.blocks, after.blocks);
    EXPECT_EQ(after.receiver.last_good()(), file);
}

TEST(LastGood, IsWhatWasKnownWhenItWasTakenHoldOf) {
    StreamedHost host("h");
    const std::string file = last_good_of(host);
    const auto held = host.receiver.last_good();
    Server server("second");  // knows no `peer`
    server.serve(host);
    EXPECT_EQ(held(), file);
    EXPECT_NE(host.receiver.last_good()(), file);
}

TEST(LastGood, OfTwoTakenHoldOfEachStaysAsItWas) {
    StreamedHost host("h");
    const std::string file = last_good_of(host);
    const auto first = host.receiver.last_good();
    const auto second = host.receiver.last_good();
    EXPECT_EQ(second(), file);
    Server server("second");  // knows no `peer`
    server.serve(host);
    EXPECT_EQ(first(), file);
}

TEST(LastGood, TheNextServerTellsAllAndOnlyDifferencesAreFelt) {
    StreamedHost before("h");
    StreamedHost after("h");
    const auto restored = after.receiver.restore(last_good_of(before));
    ASSERT_TRUE(restored) << restored.error().text;
    after.apply();
    const auto program = after.sink.workloads.at("n/e").ingress;
    const int calls = after.sink.calls;
    EXPECT_TRUE(after.receiver.hello().epoch().empty());
    Server server("second");  // knows no `peer`
    server.serve(after);
    EXPECT_EQ(after.sink.calls, calls + 1) << "the member that is gone";
    EXPECT_EQ(after.sink.workloads.at("n/e").ingress, program);
}

TEST(LastGood, ThereIsNoneBeforeInSync) {
    EXPECT_TRUE(StreamedHost("h").receiver.last_good()().empty());
}

TEST(LastGood, OfAnotherHostIsRefused) {
    StreamedHost before("h");
    const auto restored = Receiver("other").restore(last_good_of(before));
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().text, "is of host 'h'");
}

TEST(LastGood, ADamagedOrCutFileChangesNothing) {
    StreamedHost before("h");
    const std::string file = last_good_of(before);
    Receiver after("h");
    for (std::size_t i = 0; i < file.size(); ++i) {
        std::string damaged = file;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        EXPECT_FALSE(after.restore(damaged)) << i;
        EXPECT_FALSE(after.restore(file.substr(0, i))) << i;
    }
    EXPECT_TRUE(after.catalog().files().empty());
    EXPECT_TRUE(after.restore(file));
}

}  // namespace
}  // namespace vr::policyd::receiver_test
