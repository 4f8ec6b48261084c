// The sync core against an etcd made of a map: whatever happens between the two, what was handed out
// ends as what etcd has; and while it is frozen, nothing changes.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "policy/etcd/state_file.h"
#include "policy/etcd/sync.h"

namespace vr::policy::etcd::etcd_sync_test {
namespace {

const std::string kPrefix = "/c/";
const std::string kReady = "/c/clusterinformations/default";
const std::string kIsReady = R"({"spec":{"datastoreReady":true}})";
const std::string kNotReady = R"({"spec":{"datastoreReady":false}})";

/// An etcd with its history.
class Etcd {
  public:
    explicit Etcd(std::uint64_t cluster = 1) : cluster_(cluster) {}

    void put(const std::string& key, const std::string& value) {
        const bool there = items_.contains(key);
        KeyValue& item = items_[key];
        item = {key, value, ++revision_, there ? item.create_revision : revision_};
        history_[revision_].push_back({false, item});
    }

    void remove(const std::string& key) { remove_all(key, key + '\0'); }

    /// In one revision.
    void remove_all(const std::string& from, const std::string& end) {
        ++revision_;
        const auto first = items_.lower_bound(from);
        const auto last = items_.lower_bound(end);
        for (auto at = first; at != last; ++at) {
            history_[revision_].push_back({true, {at->first, {}, revision_, 0}});
        }
        items_.erase(first, last);
    }

    /// As etcd 3.4.23: deletes up to here are forgotten, a watch from right here is not cancelled.
    void compact() {
        compacted_ = revision_;
        for (auto at = history_.begin(); at != history_.upper_bound(compacted_); ++at) {
            std::erase_if(at->second, &WatchEvent::deleted);
        }
        std::erase_if(history_, [](const auto& entry) { return entry.second.empty(); });
    }

    [[nodiscard]] Header header() const { return {cluster_, revision_}; }

    [[nodiscard]] RangeReply range(const RangeRequest& request) const {
        RangeReply reply{header(), {}, false};
        const std::string end = request.end.empty() ? request.key + '\0' : request.end;
        for (auto at = items_.lower_bound(request.key); at != items_.end() && at->first < end;
             ++at) {
            if (request.limit != 0 && std::ssize(reply.items) == request.limit) {
                reply.more = true;
                break;
            }
            reply.items.push_back(at->second);
        }
        return reply;
    }

    /// The next thing that a watch from `revision` on tells; nothing when there is nothing.
    [[nodiscard]] std::optional<WatchReply> watch(std::int64_t& revision) const {
        WatchReply reply;
        reply.header = header();
        if (revision < compacted_) {
            reply.canceled = true;
            reply.compact_revision = compacted_;
            return reply;
        }
        const auto next = history_.lower_bound(revision);
        if (next == history_.end()) {
            return std::nullopt;
        }
        reply.events = next->second;
        revision = next->first + 1;
        return reply;
    }

    [[nodiscard]] std::map<std::string, std::string> state() const {
        std::map<std::string, std::string> all;
        for (const auto& [key, item] : items_) {
            all[key] = item.value;
        }
        return all;
    }

  private:
    std::uint64_t cluster_;
    std::int64_t revision_ = 1;
    std::int64_t compacted_ = 0;
    std::map<std::string, KeyValue> items_;
    std::map<std::int64_t, std::vector<WatchEvent>> history_;
};

/// Does what Sync asks for, and keeps what it hands out.
class Follower {
  public:
    Sync sync{kPrefix, prefix_end(kPrefix), kReady};
    std::map<std::string, std::string> state;
    std::map<std::string, std::string> earlier;  ///< what a restored state said of it
    std::set<std::string> anew;                  ///< keys whose objects were once exchanged
    std::size_t changes = 0;
    std::size_t ranges = 0;
    bool in_sync = false;
    std::string reconnect;

    void connect(const Etcd& etcd) {
        watching_ = 0;
        take(sync.connected());
        run(etcd);
    }

    /// Until nothing is left to be asked or told.
    void run(const Etcd& etcd) {
        while (step(etcd)) {
        }
    }

    /// One question or one notice.
    bool step(const Etcd& etcd) {
        if (const auto* range = std::get_if<RangeRequest>(&ask_)) {
            ++ranges;
            const RangeRequest request = *range;
            ask_ = {};
            take(sync.on_range(etcd.range(request)));
            return true;
        }
        if (const auto* watch = std::get_if<WatchRequest>(&ask_)) {
            watching_ = watch->start_revision;
            ask_ = {};
            WatchReply created;
            created.header = etcd.header();
            created.created = true;
            take(sync.on_watch(created));
            return true;
        }
        if (const auto* again = std::get_if<Reconnect>(&ask_)) {
            reconnect = again->why;
            ask_ = {};
            take(sync.connected());
            return true;
        }
        if (watching_ == 0) {
            return false;
        }
        auto notice = etcd.watch(watching_);
        if (notice) {
            last_ = *notice;
            take(sync.on_watch(*std::move(notice)));
        }
        return notice.has_value();
    }

    void hear_again() { take(sync.on_watch(last_)); }

    void take(Step step) {
        if (!std::holds_alternative<std::monostate>(step.ask)) {
            ask_ = std::move(step.ask);
        }
        changes += step.changes.size();
        for (auto& change : step.changes) {
            EXPECT_TRUE(!change.anew || (change.value && state.contains(change.key)))
                << "made anew, but not told before";
            if (change.anew) {
                anew.insert(change.key);
            }
            if (change.earlier) {
                EXPECT_TRUE(step.in_sync) << "not beside the first picture";
                earlier[change.key] = *std::move(change.earlier);
            }
            if (change.value) {
                state[change.key] = *std::move(change.value);
            } else {
                EXPECT_TRUE(in_sync || in_sync_with(step)) << "a delete before in-sync";
                state.erase(change.key);
            }
        }
        in_sync = in_sync || step.in_sync;
    }

  private:
    static bool in_sync_with(const Step& step) { return step.in_sync; }

    Ask ask_;
    std::int64_t watching_ = 0;
    WatchReply last_;
};

Etcd small() {
    Etcd etcd;
    etcd.put(kReady, kIsReady);
    etcd.put("/c/a", "1");
    etcd.put("/c/b", "2");
    etcd.put("/other", "x");
    return etcd;
}

std::map<std::string, std::string> below_prefix(const Etcd& etcd) {
    auto all = etcd.state();
    std::erase_if(all, [](const auto& item) { return !item.first.starts_with(kPrefix); });
    return all;
}

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
    EXPECT_EQ(follower.ranges, 4U);  // one to look, three pages
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

class ExchangedStore : public testing::TestWithParam<Exchange> {};

TEST_P(ExchangedStore, FreezesUntilItSaysThatItIsReady) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    const auto before = follower.state;
    Etcd other(GetParam().cluster);
    for (int i = 0; i < GetParam().writes; ++i) {
        other.put("/c/new", std::to_string(i));
    }
    follower.connect(other);
    EXPECT_EQ(follower.state, before);
    EXPECT_FALSE(follower.sync.frozen().empty());
    other.put(kReady, kIsReady);
    follower.run(other);
    EXPECT_EQ(follower.state, below_prefix(other));
}

TEST_P(ExchangedStore, IsTakenWhenAnOperatorSaysSo) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    Etcd other(GetParam().cluster);
    for (int i = 0; i < GetParam().writes; ++i) {
        other.put("/c/new", std::to_string(i));
    }
    follower.connect(other);
    follower.take(follower.sync.accept());
    EXPECT_EQ(follower.state, below_prefix(other));
    other.put("/c/more", "1");
    follower.run(other);
    EXPECT_EQ(follower.state, below_prefix(other));
}

TEST_P(ExchangedStore, IsForgottenWhenTheOldOneIsBack) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    Etcd other(GetParam().cluster);
    for (int i = 0; i < GetParam().writes; ++i) {
        other.put("/c/new", std::to_string(i));
    }
    follower.connect(other);
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

// --- the last good state ---------------------------------------------------------------------

Stored stored(const Etcd& etcd) {
    Stored state{{etcd.header().cluster, etcd.header().revision, true}, {}};
    for (auto& item : etcd.range({kPrefix, prefix_end(kPrefix), 0, 0}).items) {
        state.items.push_back(std::move(item));
    }
    return state;
}

TEST(EtcdSync, ARestoredStateCountsWhenNobodyAnswers) {
    const Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    follower.take(follower.sync.give_up_waiting());
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

/// Neither half of it beside half of what etcd has now.
TEST(EtcdSync, ARestoredStateCountsAsAWholeWhenEtcdFailsAmidAListing) {
    Etcd etcd = small();
    for (int i = 0; i < 1500; ++i) {
        etcd.put("/c/n" + std::to_string(i), "old");
    }
    Follower follower;
    follower.sync.restore(stored(etcd));
    const auto before = below_prefix(etcd);
    etcd.put("/c/a", "new");
    follower.take(follower.sync.connected());
    ASSERT_TRUE(follower.step(etcd));  // is it ready?
    ASSERT_TRUE(follower.step(etcd));  // the first page of two
    ASSERT_FALSE(follower.in_sync);
    follower.take(follower.sync.give_up_waiting());
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, before);
}

TEST(EtcdSync, WithoutARestoredStateNothingCountsWhenNobodyAnswers) {
    Follower follower;
    follower.take(follower.sync.give_up_waiting());
    EXPECT_FALSE(follower.in_sync);
}

TEST(EtcdSync, WhatWentMeanwhileIsDeletedAfterARestoredStateCounted) {
    Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    follower.take(follower.sync.give_up_waiting());
    etcd.remove("/c/a");
    etcd.put("/c/c", "3");
    const auto changes = follower.changes;
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_EQ(follower.changes - changes, 2U);
}

TEST(EtcdSync, ARestoredStateIsNotNeededWhenEtcdAnswers) {
    Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    etcd.remove("/c/a");
    follower.connect(etcd);
    follower.take(follower.sync.give_up_waiting());
    EXPECT_EQ(follower.state, below_prefix(etcd));
}

TEST(EtcdSync, ARestoredStateIsToldBesideTheFirstPicture) {
    Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    etcd.put("/c/a", "no longer valid");
    follower.connect(etcd);
    EXPECT_EQ(follower.state.at("/c/a"), "no longer valid");
    EXPECT_EQ(follower.earlier.at("/c/a"), "1");
    EXPECT_EQ(follower.earlier.at("/c/b"), "2");
}

TEST(EtcdSync, OfARestoredStateIsNotToldWhatWentMeanwhile) {
    Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    etcd.remove("/c/a");
    etcd.remove("/c/b");
    etcd.put("/c/b", "another of this name");
    follower.connect(etcd);
    EXPECT_TRUE(follower.in_sync);
    EXPECT_FALSE(follower.earlier.contains("/c/a"));
    EXPECT_FALSE(follower.earlier.contains("/c/b"));
}

/// A key of the restored state that is there again: by the same name, but another object.
struct Elsewhere {
    std::string name;
    std::uint64_t cluster;
    int writes;  ///< before the object is made
};

class RestoredElsewhere : public testing::TestWithParam<Elsewhere> {
  protected:
    void SetUp() override {
        Etcd before = small();
        for (int i = 0; i < 20; ++i) {
            before.put("/other", "x");
        }
        follower.sync.restore(stored(before));
        for (int i = 0; i < GetParam().writes; ++i) {
            etcd.put("/other", "x");
        }
        etcd.put("/c/a", "never was valid");
        etcd.put(kReady, kIsReady);
    }

    Follower follower;
    Etcd etcd{GetParam().cluster};
};

TEST_P(RestoredElsewhere, SaysNothingOfTheObjectsThere) {
    follower.connect(etcd);
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_TRUE(follower.earlier.empty());
}

TEST_P(RestoredElsewhere, SaysSoOfWhatItHandedOut) {
    follower.take(follower.sync.give_up_waiting());
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_TRUE(follower.anew.contains("/c/a"));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    RestoredElsewhere,
    testing::Values(
        Elsewhere{"AnotherCluster", 2, 0},
        Elsewhere{"AnotherClusterFurther", 2, 50},
        Elsewhere{"SameClusterBehind", 1, 2},
        Elsewhere{"MadeAnew", 1, 50}),
    [](const auto& row) { return row.param.name; });

TEST(EtcdSync, ARestoredStateThatCountedIsNotToldAgain) {
    const Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    follower.take(follower.sync.give_up_waiting());
    follower.connect(etcd);
    EXPECT_TRUE(follower.earlier.empty());
}

TEST(EtcdSync, ARestoredStateCountsWhenEtcdWasWipedMeanwhile) {
    Etcd etcd = small();
    Follower follower;
    follower.sync.restore(stored(etcd));
    const auto before = below_prefix(etcd);
    etcd.remove_all("/", "0");
    follower.connect(etcd);
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, before);
}

TEST(EtcdSync, ADamagedItemOfARestoredStateIsReadAgain) {
    const Etcd etcd = small();
    Stored state = stored(etcd);
    state.items.front().mod_revision = 0;
    state.items.front().value = "the last valid version";
    Follower follower;
    follower.sync.restore(state);
    follower.take(follower.sync.give_up_waiting());
    follower.connect(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_TRUE(follower.anew.empty());
}

// --- the position in the state file ------------------------------------------------------------

/// What a router leaves behind for its next life.
std::string written_down(const Follower& life) {
    std::vector<Objects::Good> items;
    for (const auto& [key, value] : life.state) {
        items.push_back(
            {key, std::make_shared<const std::string>(value), life.sync.revision_of(key)});
    }
    return encode_state(life.sync.position(), items);
}

struct Restart {
    std::string name;
    void (*with_etcd)(Etcd& etcd);  ///< what happens while the router does not run
    void (*with_file)(std::string& file);
    bool remembered;     ///< what was in force
    std::string frozen;  ///< why what is in etcd does not count
};

class SavedPosition : public testing::TestWithParam<Restart> {
  protected:
    SavedPosition() {
        Follower before;
        for (int i = 0; i < 20; ++i) {
            etcd.put("/other", "x");
        }
        before.connect(etcd);
        std::string file = written_down(before);
        GetParam().with_file(file);
        GetParam().with_etcd(etcd);
        auto stored = decode_state(file);
        EXPECT_EQ(stored.has_value(), GetParam().remembered);
        if (stored) {
            was = before.state;
            position = before.sync.position();
            after.sync.restore(*std::move(stored));
        }
    }

    void expect_what_counts_now() const {
        EXPECT_TRUE(after.in_sync);
        EXPECT_EQ(after.sync.frozen(), GetParam().frozen);
        EXPECT_EQ(after.state, GetParam().frozen.empty() ? below_prefix(etcd) : was);
    }

    Etcd etcd = small();
    Follower after;
    std::map<std::string, std::string> was;
    Position position;
};

TEST_P(SavedPosition, IsThatOfTheNextLifeWhileEtcdIsAway) {
    after.take(after.sync.give_up_waiting());
    EXPECT_EQ(after.in_sync, GetParam().remembered);
    EXPECT_EQ(after.sync.position(), position);
    EXPECT_EQ(after.state, was);
}

TEST_P(SavedPosition, IsComparedWithAnEtcdThatIsThere) {
    after.connect(etcd);
    expect_what_counts_now();
}

TEST_P(SavedPosition, IsComparedWithAnEtcdThatComesLater) {
    after.take(after.sync.give_up_waiting());
    after.connect(etcd);
    expect_what_counts_now();
}

constexpr auto kNothing = [](auto& /*happens*/) {};
constexpr auto kCompaction = [](Etcd& etcd) {
    etcd.put("/c/a", "9");
    etcd.remove("/c/b");
    etcd.put("/c/c", "3");
    etcd.compact();
};

INSTANTIATE_TEST_SUITE_P(
    All,
    SavedPosition,
    testing::Values(
        Restart{"Nothing", kNothing, kNothing, true, ""},
        Restart{"Compaction", kCompaction, kNothing, true, ""},
        Restart{
            "AnotherCluster",
            [](Etcd& etcd) { etcd = Etcd(2); },
            kNothing,
            true,
            "etcd is another one than before"},
        Restart{
            "AnotherClusterThatIsReady",
            [](Etcd& etcd) {
                etcd = Etcd(2);
                etcd.put(kReady, kIsReady);
            },
            kNothing,
            true,
            ""},
        Restart{
            "AnOlderState",
            [](Etcd& etcd) { etcd = Etcd(1); },
            kNothing,
            true,
            "etcd is older than the state in force"},
        Restart{
            "Emptied",
            [](Etcd& etcd) { etcd.remove_all("/", "0"); },
            kNothing,
            true,
            "ClusterInformation is gone"},
        Restart{
            "GarbageInTheFile",
            kCompaction,
            [](std::string& file) { file = "garbage"; },
            false,
            ""},
        Restart{"AnEmptyFile", kCompaction, [](std::string& file) { file.clear(); }, false, ""},
        Restart{
            "HalfAFile",
            kCompaction,
            [](std::string& file) { file.resize(file.size() / 2); },
            false,
            ""}),
    [](const auto& row) { return row.param.name; });

TEST(EtcdSync, ThePositionWrittenDownIsThatOfWhatWasHandedOut) {
    Etcd etcd = small();
    Follower follower;
    follower.connect(etcd);
    const Position before = follower.sync.position();
    etcd.put(kReady, kNotReady);
    etcd.put("/c/a", "held back");
    follower.run(etcd);
    const auto stored = decode_state(written_down(follower));
    ASSERT_TRUE(stored) << stored.error().text;
    EXPECT_EQ(stored->position, before);
    etcd.put(kReady, kIsReady);
    follower.run(etcd);
    EXPECT_EQ(follower.sync.position(), (Position{1, etcd.header().revision, true}));
}

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
