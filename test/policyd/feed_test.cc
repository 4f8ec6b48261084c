// What a host is told again, and what a slow one costs.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/feed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "test/policyd/stream.h"

namespace vr::policyd::feed_test {
namespace {

std::string endpoint(std::string_view name, std::string_view node, std::string_view address) {
    return document(
        "WorkloadEndpoint",
        fmt::format("name: {}, namespace: n, labels: {{role: peer}}", name),
        fmt::format("node: {}, interfaceName: tap{}, ipNetworks: [{}]", node, name, address));
}

const std::string kPolicy = document(
    "NetworkPolicy",
    "name: p, namespace: n",
    "selector: all(), ingress: [{action: Allow, source: {selector: role == 'peer'}}]");

/// Is over as soon as it has begun.
const policy::Slice kOneStep{std::chrono::microseconds{0}};

/// Host h with one endpoint whose policy names the set of all endpoints.
class FeedTest : public testing::Test {
  protected:
    FeedTest() {
        cluster.on({0, {policy::InSync{}}});
        set("own", endpoint("own", "h", "10.0.0.1"));
        set("policy", kPolicy);
    }

    void set(const std::string& file, const std::optional<std::string>& text) {
        cluster.on(documents.set(file, text));
    }

    void add_peer(int i) {
        const auto name = fmt::format("peer{}", i);
        set(name, endpoint(name, "elsewhere", fmt::format("10.1.{}.{}", i / 200, i % 200)));
    }

    std::size_t news_bytes() {
        std::size_t bytes = 0;
        while (feed->has_news()) {
            bytes += bytes_of(feed->take()).size();
        }
        return bytes;
    }

    Documents documents;
    Cluster cluster;
    std::optional<Feed> feed{std::in_place, cluster, "h"};
};

TEST_F(FeedTest, TellsAChangedMemberAlone) {
    for (int i = 0; i < 1000; ++i) {
        add_peer(i);
    }
    EXPECT_GT(news_bytes(), 5000U);
    add_peer(1000);
    EXPECT_LT(news_bytes(), 150U);
}

TEST_F(FeedTest, TellsNothingThatConcernsOthers) {
    (void)news_bytes();
    set("other", document("NetworkPolicy", "name: q, namespace: m", "selector: all()"));
    set("profile", document("Profile", "name: f", "ingress: [{action: Allow}]"));
    EXPECT_FALSE(feed->has_news());
}

TEST_F(FeedTest, TellsNothingOfAnObjectThatIsWrittenAgain) {
    (void)news_bytes();
    set("policy", kPolicy + "\n");
    EXPECT_FALSE(feed->has_news());
}

TEST_F(FeedTest, TellsAHostOfItsOwnBlocksAlone) {
    (void)news_bytes();
    const auto block = parse_prefix("10.65.0.0/26").value();
    cluster.on({1, {}, {}, {{"other", {block}}}});
    EXPECT_FALSE(feed->has_news());
    cluster.on({2, {}, {}, {{"h", {block}}}});
    EXPECT_EQ(feed->take().chunks.size(), 1U);
    cluster.on({3, {}, {}, {{"h", {}}}});
    const auto parcel = feed->take();
    ASSERT_EQ(parcel.chunks.size(), 1U);
    EXPECT_EQ(*parcel.chunks.front(), *own_blocks({}));
}

TEST_F(FeedTest, SlowHostGetsTheStateAndNotTheHistory) {
    (void)news_bytes();
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < 20; ++i) {
            add_peer(i);
        }
        for (int i = 0; i < 20; ++i) {
            set(fmt::format("peer{}", i), std::nullopt);
        }
    }
    EXPECT_EQ(feed->pending(), 1U) << "the set, once";
    EXPECT_LT(news_bytes(), 10000U) << "not 2,000 changes";
}

TEST_F(FeedTest, WhatComesAndGoesMeanwhileIsNotTold) {
    (void)news_bytes();
    set("late", endpoint("late", "h", "10.0.0.2"));
    set("late", std::nullopt);
    EXPECT_EQ(feed->pending(), 1U) << "the set; a host that takes nothing costs no more for it";
    const auto parcel = feed->take();
    EXPECT_TRUE(std::ranges::none_of(
        parcel.chunks, [](const auto& chunk) { return chunk->find("late") != std::string::npos; }));
}

TEST_F(FeedTest, SplitsWhatIsLargeAndEndsItOnce) {
    set("second", endpoint("second", "h", "10.0.0.2"));
    int parcels = 0;
    int ends = 0;
    while (feed->has_news()) {
        ends += feed->take(1).more ? 0 : 1;
        ++parcels;
    }
    EXPECT_EQ(parcels, 4) << "two endpoints, the policy, its set";
    EXPECT_EQ(ends, 1);
}

TEST_F(FeedTest, ASliceThatIsOverEndsAParcelBehindOneChange) {
    set("second", endpoint("second", "h", "10.0.0.2"));
    EXPECT_EQ(feed->take(Feed::kParcelBytes, kOneStep).chunks.size(), 1U);
    EXPECT_TRUE(feed->has_news());
}

TEST_F(FeedTest, ResumesBehindWhatWasApplied) {
    StreamedHost host("h");
    host.connect(*feed, "epoch");
    host.drain(*feed);
    set("late", endpoint("late", "h", "10.0.0.2"));
    (void)feed->take();  // lost
    const pb::Welcome welcome = greet(*feed, host.receiver.hello(), "epoch");
    EXPECT_TRUE(welcome.resumed());
    EXPECT_EQ(feed->pending(), 2U) << "the endpoint and the set";
}

TEST_F(FeedTest, DoesNotResumeAnotherEpoch) {
    StreamedHost host("h");
    host.connect(*feed, "epoch");
    host.drain(*feed);
    EXPECT_FALSE(greet(*feed, host.receiver.hello(), "another").resumed());
    EXPECT_EQ(feed->pending(), 3U);
}

TEST_F(FeedTest, DoesNotResumeWhatAForgottenFeedSent) {
    StreamedHost host("h");
    host.connect(*feed, "life");
    host.drain(*feed);
    ASSERT_EQ(host.receiver.applied(), 1U);
    feed.emplace(cluster, "h");
    (void)greet(*feed, host.receiver.hello(), "life");
    (void)feed->take(1);
    (void)feed->take(1);  // the snapshot in pieces, lost
    EXPECT_FALSE(greet(*feed, host.receiver.hello(), "life").resumed());
    EXPECT_EQ(feed->pending(), 3U);
}

TEST_F(FeedTest, DoesNotResumeWhatItNeverSent) {
    (void)news_bytes();
    EXPECT_FALSE(feed->resume(feed->sequence() + 1));
}

TEST_F(FeedTest, DoesNotResumeBeforeWhatWasAcknowledged) {
    (void)feed->take();
    feed->acknowledge(feed->sequence());
    EXPECT_FALSE(feed->resume(feed->sequence() - 1));
}

TEST(Feed, TellsNothingBeforeTheClusterIsInSync) {
    Cluster cluster;
    Documents documents;
    Feed feed(cluster, "h");
    cluster.on(documents.set("own", endpoint("own", "h", "10.0.0.1")));
    EXPECT_FALSE(feed.has_news());
    cluster.on({0, {policy::InSync{}}});
    EXPECT_TRUE(feed.has_news());
}

}  // namespace
}  // namespace vr::policyd::feed_test
