// The sync core against an etcd made of a map: whatever happens between the two, what was handed out
// ends as what etcd has; and while it is frozen, nothing changes.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <string_view>

#include "test/policy/etcd_follower.h"

namespace vr::policy::etcd::etcd_sync_test {
namespace {

TEST(EtcdSync, HandsOutASnapshotAndThenWatches) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    etcd.put("/c/c", "3");
    etcd.remove("/c/a");
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, PagesThroughManyKeysAtOneRevision) {
    Etcd etcd = small();
    for (int i = 0; i < 2500; ++i) {
        etcd.put("/c/many/" + std::to_string(i), "x");
    }
    Follower follower;
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_EQ(follower.ranges, 1U + 2500 / Sync::kPageSize + 1);  // one to look, then pages
}

TEST(EtcdSync, IsInSyncOnlyAfterTheLastPage) {
    Etcd etcd = small();
    for (int i = 0; i < 2500; ++i) {
        etcd.put("/c/many/" + std::to_string(i), "x");
    }
    Follower follower;
    follower.take(follower.sync.connected());
    for (int i = 0; i < 3; ++i) {
        (void)follower.step(etcd);
        EXPECT_FALSE(follower.in_sync);
    }
    follower.run(etcd);
    EXPECT_TRUE(follower.in_sync);
}

TEST(EtcdSync, ASmallerPageIsTriedWhenOneIsTooLarge) {
    Etcd etcd = small();
    Follower follower;
    follower.take(follower.sync.connected());
    (void)follower.step(etcd);
    const Step step = follower.sync.on_too_large();
    EXPECT_EQ(std::get<RangeRequest>(step.ask).limit, Sync::kPageSize / 4);
}

TEST(EtcdSync, GoesOnWhereItWasAfterALostConnection) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.put("/c/a", "9");
    const auto ranges = follower.ranges;
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_EQ(follower.ranges, ranges + 1);  // looked, and listed nothing
}

TEST(EtcdSync, ListsAgainAfterCompactionAndTellsOnlyWhatDiffers) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.put("/c/a", "9");
    etcd.remove("/c/b");
    etcd.put("/c/c", "3");
    etcd.compact();
    const auto changes = follower.changes;
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_EQ(follower.changes - changes, 3U);
}

TEST(EtcdSync, WhatIsGoneIsFoundInEveryPage) {
    Etcd etcd = small();
    for (int i = 0; i < 3000; ++i) {
        etcd.put("/c/many/" + std::to_string(i), "x");
    }
    Follower follower;
    follower.connect(etcd);
    for (int i = 0; i < 3000; i += 3) {
        etcd.remove("/c/many/" + std::to_string(i));
    }
    etcd.remove_all("/c/many/9", "/c/many/A");
    etcd.compact();
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, WhatIsGoneWhenAFirstListingBeginsAgainIsDeletedAtItsEnd) {
    Etcd etcd = small();
    for (int i = 0; i < 2500; ++i) {
        etcd.put("/c/many/" + std::to_string(i), "x");
    }
    Follower follower;
    follower.take(follower.sync.connected());
    (void)follower.step(etcd);
    (void)follower.step(etcd);
    ASSERT_TRUE(follower.state.contains("/c/a"));
    etcd.remove("/c/a");
    follower.take(follower.sync.on_refused({Refusal::kOutOfRange, "compacted"}));
    follower.run(etcd);  // which asserts that
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, APageThatIsOutOfOrderIsNotTaken) {
    Etcd etcd = small();
    for (const auto* keys : {"ba", "aa"}) {
        Follower follower;
        follower.take(follower.sync.connected());
        (void)follower.step(etcd);
        RangeReply page{etcd.header(), {}, false};
        for (const char key : std::string_view(keys)) {
            page.items.push_back({std::string("/c/") + key, "1", 1, 1});
        }
        const Step step = follower.sync.on_range(page);
        EXPECT_TRUE(std::holds_alternative<Reconnect>(step.ask));
        EXPECT_TRUE(step.changes.empty());
    }
}

TEST(EtcdSync, ADeleteThatWasCompactedAwayIsFound) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.remove("/c/a");
    etcd.compact();
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, ListsAgainWhenTheListedRevisionIsCompacted) {
    Etcd etcd = small();
    Follower follower;
    follower.take(follower.sync.connected());
    (void)follower.step(etcd);
    etcd.put("/c/a", "9");
    follower.take(follower.sync.on_refused({Refusal::kOutOfRange, "compacted"}));
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, ListsAgainWhenTheWatchIsCancelledAgainAndAgain) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    WatchReply canceled;
    canceled.header = etcd.header();
    canceled.canceled = true;
    const auto ranges = follower.ranges;
    for (int i = 0; i < 5; ++i) {
        follower.take(follower.sync.on_watch(canceled));
        while (!follower.sync.is_watching()) {
            ASSERT_TRUE(follower.step(etcd));
        }
    }
    EXPECT_EQ(follower.ranges - ranges, 6U);  // five looks, one listing
}

TEST(EtcdSync, WhatIsToldTwiceIsHandedOutOnce) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.put("/c/a", "9");
    follower.run(etcd);
    const auto changes = follower.changes;
    follower.hear_again();
    EXPECT_EQ(follower.changes, changes);
}

TEST(EtcdSync, AnOlderVersionOfAKeyIsNotTaken) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.put("/c/a", "9");
    follower.run(etcd);
    follower.take(follower.sync.on_watch(
        {etcd.header(), false, false, 0, {}, {{false, {"/c/a", "old", 2, 2}}}}));
    EXPECT_EQ(follower.state.at("/c/a"), "9");
}

TEST(EtcdSync, OwnWritesCountAtOnceAndAreSwallowedLater) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.put("/c/a", "9");
    follower.take(follower.sync.written({{"/c/a", "9", 3}}, etcd.header()));
    EXPECT_EQ(follower.state.at("/c/a"), "9");
    const auto changes = follower.changes;
    follower.run(etcd);
    EXPECT_EQ(follower.changes, changes);
    EXPECT_EQ(follower.sync.revision_of("/c/a"), etcd.header().revision);
}

// --- one name, another object ----------------------------------------------------------------

/// What becomes of "/c/a" while it is in force, and how that is heard.
struct Fate {
    std::string name;
    bool removed;
    enum class Heard { InOneReply, OneByOne, WhileNotReady, ByListing } heard;
};

class FateOfAnObject : public testing::TestWithParam<Fate> {
  protected:
    /// All that happened since, in one reply.
    void hear_at_once(const std::vector<WatchEvent>& events) {
        follower.take(follower.sync.on_watch({etcd.header(), false, false, 0, {}, events}));
    }

    Etcd etcd = small();
    Follower follower;
};

TEST_P(FateOfAnObject, IsToldIfItMustBeForgotten) {
    using Heard = Fate::Heard;
    follower.connect(etcd);
    if (GetParam().heard == Heard::WhileNotReady) {
        etcd.put(kReady, kNotReady);
    }
    const std::int64_t made = etcd.range({"/c/a", {}, 0, 0}).items.front().create_revision;
    if (GetParam().removed) {
        etcd.remove("/c/a");
    }
    etcd.put("/c/a", "9");
    const std::int64_t now = etcd.header().revision;
    switch (GetParam().heard) {
        case Heard::InOneReply:
            if (GetParam().removed) {
                hear_at_once({{true, {"/c/a", {}, now - 1, 0}}, {false, {"/c/a", "9", now, now}}});
            } else {
                hear_at_once({{false, {"/c/a", "9", now, made}}});
            }
            break;
        case Heard::ByListing:
            etcd.compact();
            break;
        case Heard::WhileNotReady:
            follower.run(etcd);
            etcd.put(kReady, kIsReady);
            break;
        case Heard::OneByOne:
            break;
    }
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    // Heard of one by one, the deletion itself is told.
    const bool wanted = GetParam().removed && GetParam().heard != Heard::OneByOne;
    EXPECT_EQ(follower.anew.contains("/c/a"), wanted);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    FateOfAnObject,
    testing::Values(
        Fate{"ExchangedInOneReply", true, Fate::Heard::InOneReply},
        Fate{"ExchangedOneByOne", true, Fate::Heard::OneByOne},
        Fate{"ExchangedWhileNotReady", true, Fate::Heard::WhileNotReady},
        Fate{"ExchangedBeforeAListing", true, Fate::Heard::ByListing},
        Fate{"ChangedInOneReply", false, Fate::Heard::InOneReply},
        Fate{"ChangedOneByOne", false, Fate::Heard::OneByOne},
        Fate{"ChangedWhileNotReady", false, Fate::Heard::WhileNotReady},
        Fate{"ChangedBeforeAListing", false, Fate::Heard::ByListing}),
    [](const auto& row) { return row.param.name; });

TEST(EtcdSync, WhatWeMadeOurselvesIsTheSameWhenItIsChanged) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    etcd.put("/c/c", "3");
    follower.take(follower.sync.written({{"/c/c", "3", 0}}, etcd.header()));
    etcd.put("/c/c", "4");
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_TRUE(follower.anew.empty());
}

TEST(EtcdSync, OfAnExchangedStoreAllObjectsAreOthers) {
    Follower follower;
    follower.connect(small());
    Etcd other(2);
    other.put("/c/a", "1");
    other.put(kReady, kIsReady);
    follower.connect(other);
    EXPECT_EQ(follower.anew, (std::set<std::string>{"/c/a", kReady}));
}

TEST(EtcdSync, AProgressNoticeMovesTheWatchOn) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    for (int i = 0; i < 10; ++i) {
        etcd.put("/elsewhere", "x");
    }
    WatchReply progress;
    progress.header = etcd.header();
    follower.take(follower.sync.on_watch(progress));
    etcd.compact();
    const auto ranges = follower.ranges;
    etcd.put("/c/a", "9");
    follower.connect(etcd);
    EXPECT_EQ(follower.ranges, ranges + 1);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

// --- when not to believe ---------------------------------------------------------------------

TEST(EtcdSync, NotReadyFreezesUntilItIs) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    const auto before = follower.state;
    etcd.put(kReady, kNotReady);
    etcd.put("/c/a", "9");
    etcd.remove("/c/b");
    follower.run(etcd);
    EXPECT_EQ(follower.state, before);
    EXPECT_FALSE(follower.sync.frozen().empty());
    etcd.put(kReady, kIsReady);
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_TRUE(follower.sync.frozen().empty());
}

TEST(EtcdSync, NothingIsInSyncBeforeAStoreIsReady) {
    Etcd etcd = small();
    etcd.put(kReady, kNotReady);
    Follower follower;
    follower.connect(etcd);
    EXPECT_FALSE(follower.in_sync);
    EXPECT_TRUE(follower.state.empty());
    etcd.put(kReady, kIsReady);
    follower.run(etcd);
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, AStoreWithoutClusterInformationIsTakenAsItIs) {
    Etcd etcd;
    etcd.put("/c/a", "1");
    Follower follower;
    follower.connect(etcd);
    EXPECT_TRUE(follower.in_sync);
    etcd.remove("/c/a");
    follower.run(etcd);
    EXPECT_TRUE(follower.state.empty());
}

TEST(EtcdSync, AWipedStoreFreezes) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    const auto before = follower.state;
    etcd.remove_all("/", "0");
    follower.run(etcd);
    EXPECT_EQ(follower.state, before);
    EXPECT_EQ(follower.sync.frozen(), "ClusterInformation is gone");
}

TEST(EtcdSync, AnUnreadableClusterInformationFreezes) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    const auto before = follower.state;
    etcd.put(kReady, "garbage");
    etcd.put("/c/a", "garbage");
    follower.run(etcd);
    EXPECT_EQ(follower.state, before);
}

/// The same endpoint, and behind it another store.
struct Exchange {
    std::string name;
    std::uint64_t cluster;
    int writes;  ///< before the router looks again
};

class ExchangedStore : public testing::TestWithParam<Exchange> {
  protected:
    void SetUp() override {
        follower.connect(etcd);
        before = follower.state;
        for (int i = 0; i < GetParam().writes; ++i) {
            other.put("/c/new", std::to_string(i));
        }
        follower.connect(other);
    }

    Etcd etcd = small();
    Etcd other{GetParam().cluster};
    Follower follower;
    std::map<std::string, std::string> before;
};

TEST_P(ExchangedStore, FreezesUntilItSaysThatItIsReady) {
    EXPECT_EQ(follower.state, before);
    EXPECT_FALSE(follower.sync.frozen().empty());
    other.put(kReady, kIsReady);
    follower.run(other);
    EXPECT_EQ(follower.state, below_prefix(other));
}

TEST_P(ExchangedStore, IsForgottenWhenTheOldOneIsBack) {
    etcd.put("/c/a", "9");
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_TRUE(follower.sync.frozen().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All,
    ExchangedStore,
    testing::Values(
        Exchange{"AnotherClusterEmpty", 2, 0},
        Exchange{"AnotherClusterFurther", 2, 50},
        Exchange{"SameClusterEmpty", 1, 0},
        Exchange{"SameClusterBehind", 1, 2},
        Exchange{"SameClusterFurther", 1, 50}),
    [](const auto& row) { return row.param.name; });

// --- any order of trouble --------------------------------------------------------------------

/// Random writes, compactions, lost connections and late notices: the end is what etcd has.
TEST(EtcdSync, EndsWithWhatEtcdHasWhateverHappens) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::mt19937 random(seed);
        Etcd etcd = small();
        Follower follower;
        follower.connect(etcd);
        for (int i = 0; i < 60; ++i) {
            const std::string key = "/c/k" + std::to_string(random() % 5);
            switch (random() % 8) {
                case 0:
                case 1:
                    etcd.put(key, std::to_string(i));
                    break;
                case 2:
                    etcd.remove(key);
                    break;
                case 3:
                    // An open watch has heard everything by then; one that is opened later has not.
                    if (random() % 2 == 0) {
                        follower.run(etcd);
                    } else {
                        follower.take(follower.sync.connected());
                    }
                    etcd.compact();
                    break;
                case 4:
                    follower.take(follower.sync.connected());
                    break;
                case 5:
                    etcd.put(kReady, random() % 2 == 0 ? kIsReady : kNotReady);
                    break;
                default:
                    (void)follower.step(etcd);
            }
        }
        etcd.put(kReady, kIsReady);
        follower.connect(etcd);
        ASSERT_EQ(follower.state, below_prefix(etcd)) << "seed " << seed;
    }
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_sync_test
