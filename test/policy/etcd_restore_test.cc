// The sync core in its next life: what it makes of the last good state, and of its position in the state file.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "policy/etcd/state_file.h"
#include "test/policy/etcd_follower.h"

namespace vr::policy::etcd::etcd_restore_test {
namespace {

// --- the last good state ---------------------------------------------------------------------

/// Of several pages.
Etcd large(const std::string& value) {
    Etcd etcd = small();
    for (int i = 0; i < 1500; ++i) {
        etcd.put("/c/n" + std::to_string(i), value);
    }
    return etcd;
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
    Etcd etcd = large("old");
    Follower follower;
    follower.sync.restore(stored(etcd));
    const auto before = below_prefix(etcd);
    etcd.put("/c/a", "new");
    follower.take(follower.sync.connected());
    ASSERT_TRUE(follower.step(etcd));  // is it ready?
    ASSERT_TRUE(follower.step(etcd));  // the first page
    ASSERT_FALSE(follower.in_sync);
    follower.take(follower.sync.give_up_waiting());
    follower.tell();
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.state, before);
}

/// Of what the pages before had not, no later one tells.
TEST(EtcdSync, WhatIsGoneIsDeletedThoughTheRestoredStateCountsAmidAListing) {
    Etcd etcd = large("old");
    Follower follower;
    follower.sync.restore(stored(etcd));
    const auto before = below_prefix(etcd);
    etcd.remove("/c/a");
    etcd.put("/c/n0", "new");
    etcd.remove("/c/n999");
    follower.take(follower.sync.connected());
    ASSERT_TRUE(follower.message(etcd));  // is it ready?
    ASSERT_TRUE(follower.message(etcd));  // the first page
    follower.take(follower.sync.give_up_waiting());
    follower.tell();
    EXPECT_EQ(follower.state, before);
    follower.run(etcd);
    EXPECT_EQ(follower.state, below_prefix(etcd));
    EXPECT_EQ(follower.sync.revision_of("/c/a"), 0);
}

/// Without one: what came first was of another store.
TEST(EtcdSync, WhatAFirstListingBeganIsOfNoUseForAnotherStore) {
    Etcd one = large("one");
    one.put("/c/a", "one");
    Etcd two(2);
    two.put(kReady, kIsReady);
    two.put("/c/a", "two");
    Follower follower;
    follower.take(follower.sync.connected());
    ASSERT_TRUE(follower.message(one));  // is it ready?
    ASSERT_TRUE(follower.message(one));  // the first page
    EXPECT_EQ(follower.state.at("/c/a"), "one");
    follower.begin();
    follower.run(two);
    EXPECT_EQ(follower.state, below_prefix(two));
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
    EXPECT_FALSE(follower.earlier.contains("/c/b"));  // it is the same
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
    std::map<std::string, Good> items;
    for (const auto& [key, value] : life.state) {
        items[key] = {std::make_shared<const std::string>(value), life.sync.revision_of(key)};
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

}  // namespace
}  // namespace vr::policy::etcd::etcd_restore_test
