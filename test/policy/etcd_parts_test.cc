// A picture of etcd that takes several steps to tell: it becomes whole whatever happens meanwhile, is what etcd had at
// one revision, and nothing that is heard meanwhile is mixed with it or lost.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <variant>

#include "test/policy/etcd_follower.h"

namespace vr::policy::etcd::etcd_parts_test {
namespace {

constexpr int kObjects = 3 * static_cast<int>(Sync::kPart);

std::string key(int i) {
    return "/c/n" + std::to_string(1000 + i);
}

void put_all(Etcd& etcd, const std::string& value, int count = kObjects) {
    for (int i = 0; i < count; ++i) {
        etcd.put(key(i), value);
    }
}

/// The watch tells the last change, before any part.
void hear_last(Follower& follower, const Etcd& etcd) {
    auto revision = etcd.header().revision;
    follower.take(follower.sync.on_watch(*etcd.watch(revision)));
}

void hear_cancellation(Follower& follower, const Etcd& etcd, std::int64_t compacted) {
    WatchReply cancelled;
    cancelled.header = etcd.header();
    cancelled.canceled = true;
    cancelled.compact_revision = compacted;
    follower.take(follower.sync.on_watch(cancelled));
}

/// Beside a restored state all of many objects are others by now, and all was heard; the first part was told.
class FirstParts : public testing::Test {
  protected:
    void SetUp() override {
        put_all(etcd, "old");
        follower.sync.restore(stored(etcd));
        put_all(etcd, "new");
        follower.told = [this](const Step& step) {
            EXPECT_LE(step.changes.size(), Sync::kPart);
            EXPECT_FALSE(step.in_sync && !follower.sync.is_whole());
        };
        follower.begin();
        while (follower.sync.is_whole()) {
            ASSERT_TRUE(follower.message(etcd));
        }
        EXPECT_FALSE(follower.in_sync);
        EXPECT_FALSE(follower.sync.is_in_sync());
        wanted = below_prefix(etcd);
    }

    void expect_whole() {
        follower.tell();
        EXPECT_TRUE(follower.in_sync);
        EXPECT_TRUE(follower.sync.is_in_sync());
        EXPECT_EQ(follower.state, wanted);
        EXPECT_EQ(follower.earlier.size(), std::size_t{kObjects});
    }

    void expect_all() {
        follower.run(etcd);
        EXPECT_EQ(follower.state, below_prefix(etcd));
    }

    Etcd etcd = small();
    Follower follower;
    std::map<std::string, std::string> wanted;
};

TEST_F(FirstParts, AreAllToldBeforeTheyCount) {
    expect_whole();
    EXPECT_EQ(follower.changes, wanted.size());
}

TEST_F(FirstParts, AreNotGivenUpForTheRestoredState) {
    follower.take(follower.sync.give_up_waiting());
    EXPECT_FALSE(follower.in_sync);
    expect_whole();
}

TEST_F(FirstParts, BecomeWholeThoughItIsFrozenMeanwhile) {
    etcd.put(kReady, kNotReady);
    hear_last(follower, etcd);
    etcd.put(key(0), "newer");
    hear_last(follower, etcd);
    follower.take(follower.sync.give_up_waiting());
    expect_whole();
    EXPECT_FALSE(follower.sync.frozen().empty());
    etcd.put(kReady, kIsReady);
    expect_all();
}

TEST_F(FirstParts, BecomeWholeThoughTheConnectionIsLost) {
    hear_cancellation(follower, etcd, 0);
    expect_whole();
    etcd.put(key(0), "newer");
    follower.begin();
    expect_all();
}

TEST_F(FirstParts, BecomeWholeThoughAllIsListedAnew) {
    etcd.put(key(0), "newer");
    etcd.remove(key(kObjects - 1));
    etcd.compact();
    hear_cancellation(follower, etcd, etcd.header().revision);
    while (!std::holds_alternative<WatchRequest>(follower.asked())) {
        ASSERT_TRUE(follower.message(etcd));
    }
    while (!follower.sync.is_whole()) {
        ASSERT_TRUE(follower.part());
    }
    EXPECT_TRUE(follower.in_sync);
    EXPECT_EQ(follower.earlier.size(), std::size_t{kObjects});
    EXPECT_EQ(follower.state, wanted);
    expect_all();
}

TEST_F(FirstParts, AreNotMixedWithWhatIsHeardMeanwhile) {
    etcd.put(key(0), "newer");
    hear_last(follower, etcd);
    etcd.put(key(kObjects - 1), "newer");
    hear_last(follower, etcd);
    etcd.remove(key(kObjects - 2));
    hear_last(follower, etcd);
    while (!follower.sync.is_whole()) {
        ASSERT_TRUE(follower.part());
    }
    EXPECT_EQ(follower.state, wanted);
    expect_all();
}

TEST_F(FirstParts, AreFollowedByWhatIsWrittenMeanwhile) {
    const std::string written = key(kObjects - 1);
    const auto revision = etcd.header().revision + 1;
    etcd.put(written, "by us");
    follower.take(follower.sync.written({{written, "by us", revision - 1}}, etcd.header()));
    EXPECT_EQ(follower.sync.revision_of(written), revision);
    while (!follower.sync.is_whole()) {
        ASSERT_TRUE(follower.part());
    }
    EXPECT_EQ(follower.state, wanted);
    follower.tell();
    EXPECT_EQ(follower.state, below_prefix(etcd));
    expect_all();
}

TEST_F(FirstParts, EndAtTheRevisionThatWasHeard) {
    WatchReply progress;
    progress.header = {etcd.header().cluster, etcd.header().revision + 100};
    follower.take(follower.sync.on_watch(progress));
    EXPECT_EQ(follower.sync.position().revision, etcd.header().revision);
    follower.tell();
    EXPECT_EQ(follower.sync.position().revision, progress.header.revision);
}

TEST_F(FirstParts, TellTheRevisionThatAKeyHas) {
    EXPECT_EQ(follower.sync.revision_of(key(kObjects - 1)), etcd.header().revision);
    const auto before = follower.sync.revision_of(key(0));
    etcd.put(key(0), "newer");
    hear_last(follower, etcd);
    EXPECT_LT(before, follower.sync.revision_of(key(0)));
    etcd.remove(key(1));
    hear_last(follower, etcd);
    EXPECT_EQ(follower.sync.revision_of(key(1)), 0);
}

// --- later pictures -----------------------------------------------------------------------------

class Parts : public testing::Test {
  protected:
    void SetUp() override {
        put_all(etcd, "old");
        follower.connect(etcd);
    }

    Etcd etcd = small();
    Follower follower;
};

TEST_F(Parts, DoNotHideThatAllIsGone) {
    etcd.remove_all(key(0), key(2 * static_cast<int>(Sync::kPart)));
    hear_last(follower, etcd);
    ASSERT_FALSE(follower.sync.is_whole());
    const auto left = below_prefix(etcd);
    etcd.remove_all("/c/", "/c0");
    hear_last(follower, etcd);
    EXPECT_EQ(follower.sync.frozen(), "ClusterInformation is gone");
    hear_cancellation(follower, etcd, 0);
    follower.tell();
    EXPECT_EQ(follower.state, left);
    follower.begin();
    follower.run(etcd);
    EXPECT_EQ(follower.sync.frozen(), "ClusterInformation is gone");
    EXPECT_TRUE(follower.sync.position().was_ready);
    EXPECT_EQ(follower.state, left);
}

TEST_F(Parts, DoNotHideThatEtcdIsOlderThanWhatTheyTell) {
    const Etcd backup = etcd;
    WatchReply all;
    put_all(etcd, "after the backup");
    for (const auto& item : etcd.range({key(0), key(kObjects), 0, 0}).items) {
        all.events.push_back({false, item});
    }
    all.header = etcd.header();
    follower.take(follower.sync.on_watch(all));
    ASSERT_FALSE(follower.sync.is_whole());
    etcd.put(kReady, kNotReady);
    hear_last(follower, etcd);
    follower.begin();
    follower.run(backup);  // its ClusterInformation says ready
    EXPECT_EQ(follower.state, below_prefix(backup));
}

TEST_F(Parts, OfAnotherEtcdAreOtherObjectsOnce) {
    Etcd other(2);
    other.put(kReady, kIsReady);
    put_all(other, "other");
    follower.begin();
    while (follower.sync.is_whole()) {
        ASSERT_TRUE(follower.message(other));
    }
    EXPECT_TRUE(follower.anew.contains(key(0)));
    follower.anew.clear();
    other.put(key(0), "other, changed");
    hear_last(follower, other);
    follower.run(other);
    EXPECT_FALSE(follower.anew.contains(key(0)));
    EXPECT_TRUE(follower.anew.contains(key(kObjects - 1)));
    EXPECT_EQ(follower.state, below_prefix(other));
}

/// Who follows an etcd of which each state is known by its revision.
class Wanderer {
  public:
    explicit Wanderer(unsigned seed) : random_(seed) {
        note();
        if (random_() % 2 == 0) {
            put_all(etcd_, "restored", kSome);
            follower_.sync.restore(stored(etcd_));
        }
        note();
        follower_.begin();
    }

    void go() {
        switch (random_() % 16) {
            case 0:
                etcd_.put(some_key(), std::to_string(random_()));
                break;
            case 1:
                etcd_.remove(some_key());
                break;
            case 2:
                etcd_.remove_all(key(0), some_key());
                break;
            case 3:
                for (int i = 0; i < kSome; ++i) {
                    etcd_.put(key(i), std::to_string(random_()));
                    note();
                }
                break;
            case 4:
                etcd_.put(kReady, random_() % 2 == 0 ? kIsReady : kNotReady);
                break;
            case 5:
                etcd_.compact();
                break;
            case 6:
                follower_.begin();
                break;
            case 7:
                follower_.take(follower_.sync.give_up_waiting());
                break;
            case 8:
            case 9:
            case 10:
                (void)follower_.part();
                break;
            default:
                hear();
                break;
        }
        note();
        look();
    }

    void end() {
        etcd_.put(kReady, kIsReady);
        note();
        while (follower_.part() || hear()) {
        }
        EXPECT_TRUE(follower_.in_sync);
        EXPECT_EQ(follower_.state, below_prefix(etcd_));
        look();
    }

  private:
    static constexpr int kSome = static_cast<int>(Sync::kPart) + 60;

    std::string some_key() { return key(static_cast<int>(random_() % kSome)); }

    /// Pages are those of the revision that was found.
    bool hear() {
        const auto* range = std::get_if<RangeRequest>(&follower_.asked());
        if (range == nullptr) {
            return follower_.message(etcd_);
        }
        if (range->revision == 0) {
            listed_ = etcd_;
        } else if (range->revision < etcd_.compacted()) {
            follower_.refuse({Refusal::kOutOfRange, "compacted"});
            return true;
        }
        return follower_.message(listed_);
    }

    void note() {
        if (etcd_.header().revision != noted_) {
            noted_ = etcd_.header().revision;
            states_[noted_] = below_prefix(etcd_);
            while (states_.size() > 2U * kSome) {
                states_.erase(states_.begin());
            }
        }
    }

    /// A whole picture is that of its revision.
    void look() {
        const auto revision = follower_.sync.position().revision;
        const auto at = states_.upper_bound(revision);
        if (follower_.in_sync && follower_.sync.is_whole() && at != states_.begin()) {
            ASSERT_EQ(follower_.state, std::prev(at)->second) << "at " << revision;
        }
    }

    std::minstd_rand random_;
    Etcd etcd_ = small();
    Etcd listed_;  ///< as it was when it was looked at last
    Follower follower_;
    std::int64_t noted_ = 0;
    std::map<std::int64_t, std::map<std::string, std::string>> states_;
};

TEST(AnyOrderOfParts, TellsOnePictureAfterTheOther) {
    for (unsigned seed = 0; seed < 12; ++seed) {
        SCOPED_TRACE(seed);
        Wanderer wanderer(seed);
        for (int i = 0; i < 150 && !testing::Test::HasFatalFailure(); ++i) {
            wanderer.go();
        }
        wanderer.end();
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_parts_test
