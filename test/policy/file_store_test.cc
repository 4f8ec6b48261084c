// The watched directory: what files do to the objects, as told by events of the kernel.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "test/policy/file_store_lab.h"

namespace vr::policy::file_store_test {
namespace {

using testing::ElementsAre;

TEST_P(FileStoreTest, DeliversWhatIsThereAndIsInSync) {
    write("a.yaml", tier("a", 1));
    write(
        "b.json",
        R"({"apiVersion": "projectcalico.org/v3", "kind": "Tier", )"
        R"("metadata": {"name": "b"}, "spec": {"order": 2}})");
    write(".hidden.yaml", tier("hidden", 3));
    write("notes.txt", "no object");
    start();
    EXPECT_TRUE(in_sync_);
    EXPECT_EQ(objects_.size(), 2U);
    EXPECT_EQ(order("b"), 2);
}

/// So that nothing else waits for all of them.
TEST_P(FileStoreTest, FilesThatChangeTogetherAreReadTurnByTurn) {
    watching_ = std::make_unique<FileStore>(
        io_.get_executor(),
        directory_,
        [this](const Batch& batch) { take(batch); },
        FileStoreOptions{.turn = std::chrono::microseconds{0}, .large = GetParam()});
    EXPECT_TRUE(watching_->start());
    const int before = batches_;
    for (const std::string name : {"a", "b", "c"}) {
        write(name + ".yaml", tier(name, 1));
    }
    wait_for([&] { return objects_.size() == 3; });
    EXPECT_EQ(batches_ - before, 3);
}

/// The same.
TEST_P(FileStoreTest, FilesThatVanishTogetherAreForgottenTurnByTurn) {
    for (const std::string name : {"a", "b", "c"}) {
        write(name + ".yaml", tier(name, 1));
    }
    watching_ = std::make_unique<FileStore>(
        io_.get_executor(),
        directory_,
        [this](const Batch& batch) { take(batch); },
        FileStoreOptions{.turn = std::chrono::microseconds{0}, .large = GetParam()});
    EXPECT_TRUE(watching_->start());
    ASSERT_EQ(objects_.size(), 3U);
    const int before = batches_;
    for (const std::string name : {"a", "b", "c"}) {
        fs::remove(directory_ / (name + ".yaml"));
    }
    wait_for([&] { return objects_.size() == 2; });
    write("c.yaml", tier("c", 2));  // its turn has not come yet
    wait_for([&] { return objects_.size() == 1 && order("c") == 2; });
    EXPECT_EQ(std::ranges::count(told_, "c gone"), 0);
    EXPECT_EQ(batches_ - before, 3);
}

TEST_P(FileStoreTest, AMissingDirectoryIsAnError) {
    FileStore store(io_.get_executor(), directory_ / "none", [](const Batch&) {});
    const auto started = store.start();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().text.find("cannot watch"), std::string::npos);
}

TEST_P(FileStoreTest, AsFoundIsInSyncWhateverItFinds) {
    write("a.yaml", "{");
    start();
    EXPECT_TRUE(in_sync_);
}

TEST_P(FileStoreTest, WhatIsWholeIsInSyncOnceItStandsStill) {
    write("a.yaml", tier("a", 1));
    start(Beginning::Whole);
    EXPECT_FALSE(in_sync_) << "it may be about to be copied";
    wait_for([&] { return in_sync_; });
}

/// Beside the loop: a directory that is large, or far away, holds up nothing else.
TEST_P(FileStoreTest, WhatALookFindsCountsInAnotherTurn) {
    write("a.yaml", tier("a", 1));
    start(Beginning::Whole);
    ASSERT_EQ(io_.run_one(), 1U);  // it is time to look
    EXPECT_FALSE(in_sync_);
    wait_for([&] { return in_sync_; });
}

TEST_P(FileStoreTest, WhatIsNotUnderstoodAtTheStartIsToldWhenItIs) {
    write("a.yaml", "{");
    start();
    EXPECT_FALSE(understood_);
    const int before = batches_;
    write("a.yaml", "# of no object\n");
    wait_for([&] { return batches_ > before; });
    EXPECT_TRUE(understood_);
}

TEST_P(FileStoreTest, WhatIsUnderstoodAtTheStartIsSoForGood) {
    write("a.yaml", tier("a", 1));
    FileStore& store = start();
    EXPECT_TRUE(understood_);
    write("b.yaml", "{");
    wait_for([&] { return !store.problems().empty(); });
    write("a.yaml", tier("a", 2));
    wait_for([&] { return order("a") == 2; });
    EXPECT_TRUE(understood_);
}

TEST_P(FileStoreTest, ChangesAreReadWhenThereIsRoom) {
    std::vector<std::function<void()>> waiting;
    watching_ = std::make_unique<FileStore>(
        io_.get_executor(),
        directory_,
        [this](const Batch& batch) { take(batch); },
        FileStoreOptions{
            .look_interval = look_,
            .turn = std::chrono::microseconds{0},
            .large = GetParam(),
            .when_room = [&](auto then) { waiting.push_back(std::move(then)); }});
    ASSERT_TRUE(watching_->start());
    for (const std::string name : {"a", "b", "c"}) {
        write(name + ".yaml", tier(name, 1));
    }
    int asked = 0;
    while (objects_.size() < 3) {
        const int before = batches_;
        wait_for([&] { return !waiting.empty(); });
        EXPECT_LE(batches_ - before, 1);
        for (const auto& then : std::exchange(waiting, {})) {
            ++asked;
            then();
        }
    }
    EXPECT_GE(asked, 3);
    watching_.reset();
    for (const auto& then : waiting) {
        then();  // of what is gone
    }
}

/// What came back is read in turns, and counts as a whole: half of it may be wider than both ends.
TEST_P(FileStoreTest, WhatCameBackIsToldTogether) {
    for (const std::string name : {"a", "b", "c"}) {
        write(name + ".yaml", tier(name, 1));
    }
    watching_ = std::make_unique<FileStore>(
        io_.get_executor(),
        directory_,
        [this](const Batch& batch) { take(batch); },
        FileStoreOptions{
            .look_interval = look_, .turn = std::chrono::microseconds{0}, .large = GetParam()});
    ASSERT_TRUE(watching_->start());
    const int before = batches_;
    const fs::path away = directory_.string() + "-away";
    fs::rename(directory_, away);
    wait_for([&] { return !watching_->problems().empty(); });
    for (const std::string name : {"a", "b", "c"}) {
        std::ofstream(away / (name + ".yaml")) << tier(name, 2);
    }
    fs::rename(away, directory_);
    wait_for([&] { return watching_->problems().empty(); });
    EXPECT_EQ(batches_ - before, 1);
    EXPECT_THAT(told_, ElementsAre("a 1", "b 1", "c 1", "a 2", "b 2", "c 2"));
    EXPECT_FALSE(watching_->put("-", tier("a", 3) + tier("a", 4)));
}

/// As a configuration map is: its files are links through a hidden one, which is renamed.
TEST_P(FileStoreTest, FilesThatAreExchangedTogetherAreToldTogether) {
    for (const int version : {1, 2}) {
        const std::string hidden = "..v" + std::to_string(version);
        fs::create_directory(directory_ / hidden);
        for (const std::string name : {"a", "b", "c"}) {
            write(hidden + "/" + name + ".yaml", tier(name, version));
        }
    }
    fs::create_directory_symlink("..v1", directory_ / "..data");
    for (const std::string name : {"a", "b", "c"}) {
        fs::create_symlink("..data/" + name + ".yaml", directory_ / (name + ".yaml"));
    }
    look_ = std::chrono::hours{1};
    start();
    const int before = batches_;
    fs::create_directory_symlink("..v2", directory_ / "..new");
    fs::rename(directory_ / "..new", directory_ / "..data");
    write("d.yaml", tier("d", 1));  // waits behind that
    wait_for([&] { return order("d") == 1; });
    EXPECT_LE(batches_ - before, 2);
    EXPECT_THAT(told_, ElementsAre("a 1", "b 1", "c 1", "a 2", "b 2", "c 2", "d 1"));
}

/// What a client writes is held against what is there, though nobody has had room to read that.
TEST_P(FileStoreTest, APutDoesNotWaitForRoom) {
    watching_ = std::make_unique<FileStore>(
        io_.get_executor(),
        directory_,
        [this](const Batch& batch) { take(batch); },
        FileStoreOptions{.large = GetParam(), .when_room = [](const auto& /*then*/) {}});
    ASSERT_TRUE(watching_->start());
    write("before.yaml", tier("before", 1));
    wait_for([&] { return order("before") == 1; });
    write("a.yaml", tier("a", 1) + tier("b", 1));
    EXPECT_FALSE(watching_->put("-", tier("a", 2))) << "it is one of two in a.yaml";
    EXPECT_EQ(order("b"), 1);
}

/// While it lives a process opens one file, but no second.
class OneFileLeft {
  public:
    OneFileLeft() {
        getrlimit(RLIMIT_NOFILE, &before_);
        rlimit few = before_;
        const int next = open("/", O_RDONLY | O_CLOEXEC);
        few.rlim_cur = static_cast<rlim_t>(next) + 1;
        close(next);
        setrlimit(RLIMIT_NOFILE, &few);
    }

    ~OneFileLeft() { setrlimit(RLIMIT_NOFILE, &before_); }

    OneFileLeft(const OneFileLeft&) = delete;
    OneFileLeft& operator=(const OneFileLeft&) = delete;
    OneFileLeft(OneFileLeft&&) = delete;
    OneFileLeft& operator=(OneFileLeft&&) = delete;

  private:
    rlimit before_{};
};

TEST_P(FileStoreTest, ADirectoryThatCannotBeListedIsInSyncOnceItCan) {
    write("a.yaml", tier("a", 1));
    FileStore& store = make();
    {
        const OneFileLeft for_the_watch;
        ASSERT_TRUE(store.start());
        EXPECT_FALSE(in_sync_);
        EXPECT_EQ(store.status().state, SourceStatus::State::Waiting);
    }
    wait_for([&] { return in_sync_; });
    EXPECT_EQ(order("a"), 1);
}

TEST_P(FileStoreTest, WholeWaitsForAnObject) {
    write("b.yaml", "# nothing yet\n");
    start(Beginning::Whole);
    EXPECT_FALSE(in_sync_);
    write("a.yaml", tier("a", 1));
    wait_for([&] { return in_sync_; });
    EXPECT_EQ(order("a"), 1);
}

TEST_P(FileStoreTest, WholeWaitsForAFileThatIsNotUnderstood) {
    write("a.yaml", tier("a", 1));
    write("b.yaml", "{");
    start(Beginning::Whole);
    write("a.yaml", tier("a", 2));
    wait_for([&] { return order("a") == 2; });
    EXPECT_FALSE(in_sync_);
    write("b.yaml", tier("b", 1));
    wait_for([&] { return in_sync_; });
    EXPECT_EQ(order("b"), 1);
}

TEST_P(FileStoreTest, WholeWaitsForAFileThatCannotBeRead) {
    write("a.yaml", tier("a", 1));
    fs::create_symlink(directory_ / "elsewhere", directory_ / "b.yaml");
    start(Beginning::Whole);
    EXPECT_FALSE(in_sync_);
    write("elsewhere", tier("b", 1));  // of which nothing is told
    wait_for([&] { return in_sync_; });
    EXPECT_EQ(order("b"), 1);
}

TEST_P(FileStoreTest, WholeWaitsForAnotherVolumeInThePlaceOfTheDirectory) {
    const fs::path link = directory_ / "link";
    fs::create_directory(directory_ / "empty");
    fs::create_directory(directory_ / "full");
    write("full/a.yaml", tier("a", 1));
    fs::create_directory_symlink("empty", link);
    FileStore store(
        io_.get_executor(),
        link,
        [this](const Batch& b) { take(b); },
        FileStoreOptions{.beginning = Beginning::Whole, .state_file = {}, .look_interval = kLook});
    ASSERT_TRUE(store.start());
    EXPECT_FALSE(in_sync_);
    fs::remove(link);
    fs::create_directory_symlink("full", link);
    wait_for([&] { return in_sync_; });
    write("full/a.yaml", tier("a", 2));
    wait_for([&] { return order("a") == 2; });
}

TEST_P(FileStoreTest, SeesAWrittenFile) {
    start();
    write("a.yaml", tier("a", 1));
    wait_for([&] { return order("a") == 1; });
    write("a.yaml", tier("a", 2));
    wait_for([&] { return order("a") == 2; });
}

TEST_P(FileStoreTest, SeesARenamedFile) {
    start();
    write(".draft", tier("a", 1));
    fs::rename(directory_ / ".draft", directory_ / "a.yaml");
    wait_for([&] { return order("a") == 1; });
}

TEST_P(FileStoreTest, SeesLinksOfBothKinds) {
    write("elsewhere", tier("a", 1) + tier("b", 2));
    write("another", tier("c", 3));
    start();
    fs::create_hard_link(directory_ / "elsewhere", directory_ / "hard.yaml");
    fs::create_symlink(directory_ / "another", directory_ / "soft.yaml");
    wait_for([this] { return objects_.size() == 3; });
}

TEST_P(FileStoreTest, SeesARemovedFile) {
    write("a.yaml", tier("a", 1));
    start();
    fs::remove(directory_ / "a.yaml");
    wait_for([&] { return objects_.empty(); });
}

TEST_P(FileStoreTest, WhyALastValidVersionCountsIsToldUntilItNoLongerDoes) {
    write("a.yaml", tier("t", 1) + tier("u", 2));
    start();
    write("a.yaml", bad_tier("t") + tier("u", 2));
    wait_for([&] { return kept_.contains(tier_key("t")); });
    EXPECT_NE(kept_.at(tier_key("t")).find("spec.order"), std::string::npos);
    write("a.yaml", tier("t", 1) + tier("u", 2));  // as before: no event tells of it
    wait_for([&] { return kept_.at(tier_key("t")).empty(); });
    EXPECT_FALSE(kept_.contains(tier_key("u")));
    write("a.yaml", "{");
    wait_for([&] { return kept_.size() == 2; });
    EXPECT_EQ(order("u"), 2);
    write("b.yaml", tier("t", 1));
    fs::remove(directory_ / "a.yaml");
    wait_for([&] { return kept_.at(tier_key("t")).empty() && kept_.at(tier_key("u")).empty(); });
}

TEST_P(FileStoreTest, AReplacedFileNeverBlinks) {
    write("a.yaml", tier("a", 1));
    start();
    fs::rename(directory_ / "a.yaml", directory_ / "a.yaml~");
    write("b.yaml", tier("b", 1));
    bool blinked = false;
    wait_for([&] {
        blinked = blinked || order("a") < 0;
        return order("b") == 1;
    });
    write("a.yaml", tier("a", 2));
    wait_for([&] {
        blinked = blinked || order("a") < 0;
        return order("a") == 2;
    });
    EXPECT_FALSE(blinked);
}

TEST_P(FileStoreTest, AVanishedDirectoryKeepsTheStateAndIsWatchedAgain) {
    write("a.yaml", tier("a", 1));
    start();
    fs::remove_all(directory_);
    fs::create_directory(directory_);
    write("a.yaml", tier("a", 1));
    write("b.yaml", tier("b", 2));
    bool kept = true;
    wait_for([&] {
        kept = kept && order("a") == 1;
        return order("b") == 2;
    });
    EXPECT_TRUE(kept);
}

TEST_P(FileStoreTest, ADirectoryThatComesBackEmptyDeletesNothing) {
    write("a.yaml", tier("a", 1));
    FileStore& store = start();
    replace(directory_);
    wait_for([&] { return is_told(store, "came back empty"); });
    EXPECT_EQ(store.status().state, SourceStatus::State::Frozen);
    EXPECT_FALSE(store.put("f", tier("b", 2))) << "it would be the only one";
    EXPECT_EQ(order("a"), 1);
    fs::remove_all(directory_.string() + ".old");
}

TEST_P(FileStoreTest, ADirectoryThatComesBackWithOtherContentCountsOnceItStandsStill) {
    write("a.yaml", tier("a", 1));
    FileStore& store = start();
    replace(directory_);
    write("b.yaml", tier("b", 2));
    wait_for([&] { return order("b") == 2; });
    EXPECT_EQ(order("a"), -1) << "both at once";
    EXPECT_EQ(store.status().state, SourceStatus::State::InSync);
    EXPECT_TRUE(store.problems().empty());
    fs::remove_all(directory_.string() + ".old");
}

TEST_P(FileStoreTest, AFileThatComesBackEmptyDeletesNothing) {
    write("a.yaml", tier("a", 1));
    FileStore& store = start();
    replace(directory_);
    write("a.yaml", "");
    wait_for([&] { return is_told(store, "came back empty"); });
    EXPECT_EQ(order("a"), 1);
    fs::remove_all(directory_.string() + ".old");
}

TEST_P(FileStoreTest, AFileThatComesBackInPiecesDeletesNothing) {
    write("all.yaml", tier("a", 1) + tier("b", 2));
    FileStore& store = start();
    replace(directory_);
    write("all.yaml", tier("a", 3));
    wait_for([&] { return is_told(store, "being filled"); });
    write("all.yaml", tier("a", 3) + tier("b", 4));
    bool kept = true;
    wait_for([&] {
        kept = kept && order("b") > 0;
        return order("a") == 3;
    });
    EXPECT_TRUE(kept);
    EXPECT_EQ(order("b"), 4);
    fs::remove_all(directory_.string() + ".old");
}

TEST_P(FileStoreTest, ADirectoryThatHeldNothingMayComeBackEmpty) {
    FileStore& store = start();
    replace(directory_);
    wait_for([&] { return store.status().state == SourceStatus::State::Frozen; });
    wait_for([&] { return store.status().state == SourceStatus::State::InSync; });
    fs::remove_all(directory_.string() + ".old");
}

TEST_P(FileStoreTest, AnotherDirectoryBehindTheSamePathDeletesNothing) {
    fs::create_directory(directory_ / "full");
    fs::create_directory(directory_ / "empty");
    const fs::path real = directory_ / "full";
    const fs::path link = directory_ / "link";
    fs::create_directory_symlink("full", link);
    std::ofstream(real / "a.yaml") << tier("a", 1);
    directory_ /= "link";
    FileStore& store = start();
    fs::remove(link);
    fs::create_directory_symlink("empty", link);
    fs::remove(real / "a.yaml");  // seen in what is watched, and what is missing behind the path
    wait_for([&] { return !store.problems().empty(); });
    EXPECT_EQ(order("a"), 1);
    directory_ = directory_.parent_path();
}

TEST_P(FileStoreTest, AnotherDirectoryBehindTheSamePathIsReadThoughNothingIsTold) {
    fs::create_directory(directory_ / "old");
    fs::create_directory(directory_ / "new");
    write("old/a.yaml", tier("a", 1));
    write("new/a.yaml", tier("a", 2));
    const fs::path link = directory_ / "link";
    fs::create_directory_symlink("old", link);
    FileStore store(
        io_.get_executor(),
        link,
        [this](const Batch& b) { take(b); },
        FileStoreOptions{
            .beginning = Beginning::AsFound, .state_file = {}, .look_interval = kLook});
    ASSERT_TRUE(store.start());
    EXPECT_EQ(order("a"), 1);
    fs::create_directory_symlink("new", directory_ / "next");
    fs::rename(directory_ / "next", link);
    wait_for([&] { return order("a") == 2; });
    EXPECT_EQ(store.status().state, SourceStatus::State::InSync);
}

TEST_P(FileStoreTest, TheLastFileRemovedByHandIsADelete) {
    write("a.yaml", tier("a", 1));
    FileStore& store = start();
    fs::remove(directory_ / "a.yaml");
    wait_for([&] { return order("a") == -1; });
    EXPECT_EQ(store.status().state, SourceStatus::State::InSync);
}

TEST_P(FileStoreTest, PutWritesAFilePerObjectAndDeliversAtOnce) {
    auto& store = start();
    const auto keys = store.put("t.yaml", tier("a", 1) + tier("b", 2));
    ASSERT_TRUE(keys) << keys.error().text;
    EXPECT_EQ(*keys, (std::vector<Key>{tier_key("a"), tier_key("b")}));
    EXPECT_EQ(order("a"), 1);
    EXPECT_TRUE(fs::exists(directory_ / "tier.a.yaml"));
    EXPECT_TRUE(fs::exists(directory_ / "tier.b.yaml"));
}

TEST_P(FileStoreTest, PutOverwritesTheFileThatHoldsTheObjectAlone) {
    write("mine.yaml", tier("a", 1));
    auto& store = start();
    ASSERT_TRUE(store.put("t.yaml", tier("a", 5)));
    EXPECT_EQ(order("a"), 5);
    EXPECT_FALSE(fs::exists(directory_ / "tier.a.yaml"));
}

TEST_P(FileStoreTest, PutRefusesWhatLivesInAFileWithOthers) {
    write("mine.yaml", tier("a", 1) + tier("b", 2));
    auto& store = start();
    const auto put = store.put("t.yaml", tier("b", 5));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().text, "Tier b is defined in mine.yaml:7, edit it there");
}

TEST_P(FileStoreTest, PutRefusesAnInvalidObjectAndWritesNothing) {
    auto& store = start();
    const auto put = store.put(
        "t.yaml",
        tier("a", 1) +
            "---\napiVersion: projectcalico.org/v3\nkind: Tier\n"
            "metadata: {name: b}\nspec: {order: x}\n");
    ASSERT_FALSE(put);
    EXPECT_TRUE(put.error().text.starts_with("t.yaml:10: ")) << put.error().text;
    EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_P(FileStoreTest, RemoveDeletesTheObjectsFile) {
    auto& store = start();
    ASSERT_TRUE(store.put("t.yaml", tier("a", 1)));
    ASSERT_TRUE(store.remove(tier_key("a")));
    EXPECT_TRUE(objects_.empty());
    EXPECT_TRUE(fs::is_empty(directory_));
    EXPECT_FALSE(store.remove(tier_key("a")));
}

INSTANTIATE_TEST_SUITE_P(Files, FileStoreTest, testing::Values(kNever, 1), name_of_size);

}  // namespace
}  // namespace vr::policy::file_store_test
