// The watched directory: what files do to the objects, as told by events of the kernel.
// SPDX-License-Identifier: Apache-2.0
#include "policy/file_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace vr::policy::file_store_test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

std::string tier(std::string_view name, int order) {
    return "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " +
           std::string(name) + "}\nspec: {order: " + std::to_string(order) + "}\n";
}

std::string bad_tier(std::string_view name) {
    return "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " +
           std::string(name) + "}\nspec: {order: many}\n";
}

Key tier_key(std::string name) {
    return {Kind::Tier, {}, std::move(name)};
}

/// Nobody else writes while the store looks.  More than the grace of vanished files, which a look renews.
constexpr std::chrono::milliseconds kLook{150};

/// The size from which on files are read beside the loop: what happens must be the same.
class FileStoreTest : public testing::TestWithParam<std::uintmax_t> {
  protected:
    FileStoreTest() {
        std::string pattern = (fs::temp_directory_path() / "policy-XXXXXX").string();
        directory_ = mkdtemp(pattern.data());
    }

    ~FileStoreTest() override {
        watching_.reset();
        fs::remove_all(directory_);
    }

    void write(const std::string& file, const std::string& text) const {
        std::ofstream(directory_ / file) << text;
    }

    void take(const Batch& batch) {
        ++batches_;
        understood_ = batch.understood;
        for (const auto& event : batch.events) {
            if (const auto* came = std::get_if<Upsert>(&event)) {
                told_.push_back(fmt::format(
                    "{} {}", came->resource->key.name, *came->resource->as<Tier>().order));
            } else if (const auto* went = std::get_if<Delete>(&event)) {
                told_.push_back(went->key.name + " gone");
            }
        }
        for (const auto& [key, reason] : batch.kept) {
            kept_[key] = reason;
        }
        for (const auto& event : batch.events) {
            if (const auto* came = std::get_if<Upsert>(&event)) {
                objects_[came->resource->key] = came->resource;
            } else if (const auto* went = std::get_if<Delete>(&event)) {
                objects_.erase(went->key);
            } else {
                in_sync_ = true;
            }
        }
    }

    /// Runs until `done()`; the limit only ends a test that fails.
    template <typename Done>
    void wait_for(Done done) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < limit) {
            io_.run_one_for(std::chrono::seconds(1));
        }
        EXPECT_TRUE(done());
    }

    [[nodiscard]] double order(const std::string& name) const {
        const auto found = objects_.find(tier_key(name));
        return found == objects_.end() ? -1 : found->second->as<Tier>().order.value_or(-2);
    }

    boost::asio::io_context io_;
    /// There is other work, as in a program, while all that the store waits for is another thread.
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    fs::path directory_;
    std::map<Key, ResourcePtr> objects_;
    std::map<Key, std::string> kept_;
    std::vector<std::string> told_;  ///< "NAME ORDER" or "NAME gone"
    bool in_sync_ = false;
    bool understood_ = false;
    int batches_ = 0;
    std::chrono::milliseconds look_ = kLook;
    std::unique_ptr<FileStore> watching_;

    FileStore& make(Beginning beginning = Beginning::AsFound) {
        watching_ = std::make_unique<FileStore>(
            io_.get_executor(),
            directory_,
            [this](const Batch& batch) { take(batch); },
            FileStoreOptions{
                .beginning = beginning,
                .state_file = {},
                .look_interval = look_,
                .large = GetParam()});
        return *watching_;
    }

    FileStore& start(Beginning beginning = Beginning::AsFound) {
        EXPECT_TRUE(make(beginning).start());
        return *watching_;
    }
};

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

bool is_told(const FileStore& store, std::string_view problem) {
    const auto problems = store.problems();
    return !problems.empty() && problems.back().find(problem) != std::string::npos;
}

/// In the place of the directory comes another, empty one.
void replace(const fs::path& directory) {
    fs::rename(directory, directory.string() + ".old");
    fs::create_directory(directory);
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

constexpr auto kNever = std::numeric_limits<std::uintmax_t>::max();

std::string name_of_size(const testing::TestParamInfo<std::uintmax_t>& info) {
    return info.param == kNever ? "AtOnce" : "Beside";
}

INSTANTIATE_TEST_SUITE_P(Files, FileStoreTest, testing::Values(kNever, 1), name_of_size);

/// Every file is read beside the loop, and somebody does something else before the loop hears of it.
class BesideTest : public FileStoreTest {
  protected:
    /// No look comes before the other thread has read.
    BesideTest() { look_ = std::chrono::seconds(1); }

    ~BesideTest() override { close(closed_.fd); }

    void write_and_watch(const std::string& file, const std::string& text) {
        write(file, text);
        watch(file);
    }

    void watch(const std::string& file) const {
        inotify_add_watch(closed_.fd, (directory_ / file).c_str(), IN_CLOSE_NOWRITE | IN_ONESHOT);
    }

    /// Whether the other thread has read that file.
    [[nodiscard]] bool is_read(int milliseconds) { return poll(&closed_, 1, milliseconds) == 1; }

    /// Writes a file and returns when the other thread has read it: what it says is not in force yet.
    void write_and_read(const std::string& file, const std::string& text) {
        write_and_watch(file, text);
        bool read = false;
        for (int i = 0; i < 10 && !read; ++i) {
            io_.run_one();  // the loop hears of the file, unless this was a look
            read = is_read(2000);
        }
        ASSERT_TRUE(read);
    }

    /// Runs until the other thread has read the watched file for a look: the loop has not heard of it.
    void run_until_looks_have_read_it() {
        bool read = false;
        for (int i = 0; i < 100 && !read; ++i) {
            io_.run_one();
            read = is_read(100);
        }
        ASSERT_TRUE(read);
    }

    /// Until what is written now is in force: all before it was heard of.
    void run_to_the_end() {
        write("end.yaml", tier("end", 99));
        wait_for([&] { return order("end") == 99; });
        told_.pop_back();
    }

  private:
    pollfd closed_{inotify_init1(IN_CLOEXEC), POLLIN, 0};
};

TEST_P(BesideTest, WhatIsReadCountsInAnotherTurn) {
    start();
    write_and_read("a.yaml", tier("a", 1));
    EXPECT_THAT(told_, ElementsAre());
    wait_for([&] { return !told_.empty(); });
    EXPECT_THAT(told_, ElementsAre("a 1"));
}

TEST_P(BesideTest, AFileThatChangesAgainMeanwhileIsReadAgain) {
    start();
    write_and_read("a.yaml", tier("a", 1));
    write("a.yaml", tier("a", 2));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1", "a 2"));
}

TEST_P(BesideTest, PutComesAfterWhatIsBeingRead) {
    write("a.yaml", tier("a", 1));
    auto& store = start();
    write_and_read("a.yaml", tier("a", 2));
    ASSERT_TRUE(store.put("t.yaml", tier("a", 3)));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1", "a 2", "a 3"));
}

TEST_P(BesideTest, PutReadsWhatWaitsFirst) {
    auto& store = start();
    write_and_read("tier.b.yaml", tier("b", 1) + tier("c", 1));
    EXPECT_FALSE(store.put("t.yaml", tier("b", 2)));  // the file holds another object, too
    ASSERT_TRUE(store.put("t.yaml", tier("d", 3)));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("b 1", "c 1", "d 3"));
}

TEST_P(BesideTest, WhatIsRenamedIsNotGoneWhileItIsRead) {
    std::string text;  // so much that reading takes longer than what vanished is missed for
    for (int i = 0; i < 15000; ++i) {
        text += tier(fmt::format("t{}", i), i);
    }
    write("a.yaml", text);
    start();
    fs::rename(directory_ / "a.yaml", directory_ / "b.yaml");
    run_to_the_end();
    EXPECT_EQ(
        std::ranges::count_if(told_, [](const auto& each) { return each.ends_with("gone"); }), 0);
}

TEST_P(BesideTest, WhatIsRemovedDoesNotComeBack) {
    write("a.yaml", tier("a", 1));
    auto& store = start();
    write_and_read("a.yaml", tier("a", 2));
    ASSERT_TRUE(store.remove(tier_key("a")));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1", "a 2", "a gone"));
}

TEST_P(BesideTest, AFileThatVanishesMeanwhileIsForgotten) {
    start();
    write_and_read("a.yaml", tier("a", 1));
    fs::remove(directory_ / "a.yaml");
    wait_for([&] { return told_.size() == 2; });
    EXPECT_THAT(told_, ElementsAre("a 1", "a gone"));
}

TEST_P(BesideTest, WhatBecomesUnreadableMeanwhileKeepsItsObjects) {
    write("a.yaml", tier("a", 1));
    auto& store = start();
    write_and_read("a.yaml", "{");
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1"));
    EXPECT_FALSE(store.problems().empty());
}

TEST_P(BesideTest, TwoFilesMaySwapTheirObjects) {
    write("a.yaml", tier("x", 1));
    write("b.yaml", tier("y", 2));
    start();
    told_.clear();
    write_and_read("a.yaml", tier("y", 3));
    write("b.yaml", tier("x", 4));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("x gone", "y 3", "x 4"));
}

TEST_P(BesideTest, WhatHappensAfterALargeFileWaitsForIt) {
    const std::string large = tier("large", 1) + std::string(1000, '#') + "\n";
    watching_ = std::make_unique<FileStore>(
        io_.get_executor(),
        directory_,
        [this](const Batch& batch) { take(batch); },
        FileStoreOptions{.large = 1000});
    ASSERT_TRUE(watching_->start());
    write("s.yaml", tier("small", 0));
    write("l.yaml", large);
    write("t.yaml", tier("tiny", 2));
    write("m.yaml", large + tier("more", 3));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("small 0", "large 1", "tiny 2", "more 3"));
}

TEST_P(BesideTest, ManyFilesAtOnceKeepTheirOrder) {
    start();
    std::vector<std::string> wanted;
    for (int i = 0; i < 200; ++i) {
        write(fmt::format("{}.yaml", 1000 - i), tier(fmt::format("t{}", i), i));
        wanted.push_back(fmt::format("t{0} {0}", i));
    }
    run_to_the_end();
    EXPECT_EQ(told_, wanted);
}

TEST_P(BesideTest, ADirectoryThatGoesMeanwhileIsReadWhenItIsBack) {
    write("a.yaml", tier("a", 1));
    start();
    write_and_read("a.yaml", tier("a", 2));
    fs::rename(directory_, directory_.string() + ".old");
    wait_for([&] { return is_told(*watching_, "is gone"); });
    EXPECT_THAT(told_, ElementsAre("a 1"));
    fs::rename(directory_.string() + ".old", directory_);
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1", "a 2"));
}

TEST_P(BesideTest, AnotherDirectoryMeanwhileIsReadInItsPlace) {
    write("a.yaml", tier("a", 1));
    start();
    write_and_read("a.yaml", tier("a", 2));
    replace(directory_);
    write("a.yaml", tier("a", 3));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1", "a 3"));
    fs::remove_all(directory_.string() + ".old");
}

/// So long that another directory is found, and its file read and changed, before the answer comes.
TEST_P(BesideTest, AnAnswerFromAnotherDirectoryIsNotTakenForThatOfTheSameFileHere) {
    std::string large = tier("a", 2);
    for (int i = 0; i < 10'000; ++i) {
        large += tier(fmt::format("old{}", i), i);
    }
    write("a.yaml", tier("a", 1));
    look_ = std::chrono::milliseconds(1);
    start();
    write_and_watch("a.yaml", large);
    wait_for([&] { return is_read(0); });
    replace(directory_);
    write("a.yaml", tier("a", 3));
    wait_for([&] { return order("a") == 3; });
    write("a.yaml", tier("a", 4));
    run_to_the_end();
    EXPECT_THAT(told_, ElementsAre("a 1", "a 3", "a 4"));
    fs::remove_all(directory_.string() + ".old");
}

TEST_P(BesideTest, WhatChangesWhileADirectoryThatIsBackIsReadIsReadAgain) {
    for (const std::string name : {"a", "b", "z"}) {
        write(name + ".yaml", tier(name, 1));
    }
    look_ = std::chrono::milliseconds(10);
    start();
    fs::rename(directory_, directory_.string() + ".old");
    wait_for([&] { return is_told(*watching_, "is gone"); });
    fs::rename(directory_.string() + ".old", directory_);
    watch("z.yaml");
    run_until_looks_have_read_it();
    write("a.yaml", tier("a", 2));
    fs::remove(directory_ / "b.yaml");
    wait_for([&] { return order("a") == 2 && order("b") == -1; });
}

/// The look's reading goes on for long after it has read the file that changes.
TEST_P(BesideTest, WhatALookReadIsOlderThanWhatEventsTellMeanwhile) {
    std::string large;
    for (int i = 0; i < 3000; ++i) {
        large += tier(fmt::format("m{}", i), i);
    }
    for (const std::string name : {"a", "l"}) {
        write(name + ".yaml", tier(name, 1));
    }
    look_ = std::chrono::milliseconds(10);
    start(Beginning::Whole);
    write("l.yaml", tier("l", 2));
    write("m.yaml", large);
    wait_for([&] { return order("l") == 2 && order("m2999") == 2999; });
    ASSERT_FALSE(in_sync_);
    watch("l.yaml");
    run_until_looks_have_read_it();
    write("l.yaml", tier("l", 3));
    fs::remove(directory_ / "a.yaml");
    wait_for([&] { return order("l") == 3; });
    wait_for([&] { return in_sync_ && order("a") == -1; });
    run_to_the_end();
    EXPECT_EQ(order("l"), 3);
    EXPECT_EQ(std::ranges::count(told_, "l 2"), 1);
}

TEST_P(BesideTest, WhoStopsMeanwhileHearsNoMore) {
    start();
    write_and_read("a.yaml", tier("a", 1));
    watching_->stop();
    watching_.reset();
    io_.poll();
    EXPECT_THAT(told_, ElementsAre());
}

INSTANTIATE_TEST_SUITE_P(Files, BesideTest, testing::Values(1), name_of_size);

/// A store that keeps its state on disk, and is started again and again.
class FileStateTest : public FileStoreTest {
  protected:
    FileStateTest() : state_(directory_ / "state" / "files.state") {}

    /// Ends the store that runs, and starts another one.
    FileStore& restart(const std::string& state, const fs::path& directory) {
        if (watching_) {
            watching_->stop();
        }
        objects_.clear();
        watching_ = std::make_unique<FileStore>(
            io_.get_executor(),
            directory,
            [this](const Batch& batch) { take(batch); },
            FileStoreOptions{.state_file = state, .look_interval = kLook, .large = GetParam()});
        EXPECT_TRUE(watching_->start());
        return *watching_;
    }

    FileStore& restart() { return restart(state_.string(), directory_); }

    [[nodiscard]] ObjectState state_of(const std::string& name) const {
        for (const auto& status : watching_->list({Kind::Tier, {}, {}}, SIZE_MAX)) {
            if (status.key == tier_key(name)) {
                return status.state;
            }
        }
        return ObjectState::Missing;
    }

    fs::path state_;
};

TEST_P(FileStateTest, WhatBecameInvalidWhileNobodyWatchedIsAsBefore) {
    write("a.yaml", tier("a", 1));
    write("b.yaml", tier("b", 2) + tier("c", 3));
    restart();
    watching_->stop();
    write("a.yaml", tier("a", 4) + bad_tier("x"));
    write("b.yaml", "{");
    restart();
    EXPECT_EQ(order("a"), 4);
    EXPECT_EQ(state_of("x"), ObjectState::StandIn) << "it was never valid";
    EXPECT_EQ(order("b"), 2);
    EXPECT_EQ(order("c"), 3);
    write("a.yaml", tier("x", 7) + bad_tier("a"));
    restart();
    EXPECT_EQ(order("a"), 4);
    EXPECT_EQ(state_of("a"), ObjectState::Kept);
    restart();
    EXPECT_EQ(order("a"), 4) << "also when it was invalid all the while";
    EXPECT_EQ(order("x"), 7);
    EXPECT_EQ(order("b"), 2);
}

TEST_P(FileStateTest, WhatIsGoneIsGone) {
    write("a.yaml", tier("a", 1) + tier("b", 2));
    write("c.yaml", tier("c", 3));
    restart();
    watching_->stop();
    write("a.yaml", tier("a", 1));
    fs::remove(directory_ / "c.yaml");
    restart();
    EXPECT_EQ(objects_.size(), 1U);
    write("c.yaml", "{");
    wait_for([&] { return !watching_->problems().empty(); });
    EXPECT_EQ(objects_.size(), 1U) << "another file of that name";
}

TEST_P(FileStateTest, AnUnreadableFileIsAsBefore) {
    write("a.yaml", tier("a", 1));
    restart();
    watching_->stop();
    fs::remove(directory_ / "a.yaml");
    fs::create_directory(directory_ / "a.yaml");
    restart();
    EXPECT_EQ(order("a"), 1);
}

TEST_P(FileStateTest, AStateThatIsDamagedOrOfAnotherDirectoryIsNone) {
    write("a.yaml", tier("a", 1));
    restart();
    watching_->stop();
    const fs::path other = directory_ / "other";
    fs::create_directory(other);
    std::ofstream(other / "a.yaml") << "{";
    restart(state_.string(), other);
    EXPECT_TRUE(objects_.empty());
    EXPECT_TRUE(in_sync_);
    const fs::path damaged = directory_ / "state" / "damaged";
    std::ofstream(damaged) << "vrouter files state 1\nrubbish";
    write("a.yaml", "{");
    restart(damaged.string(), directory_);
    EXPECT_TRUE(objects_.empty());
    EXPECT_TRUE(in_sync_);
}

TEST_P(FileStateTest, AStateThatCannotBeWrittenIsAProblem) {
    std::ofstream(directory_ / "file") << "no directory";
    write("a.yaml", tier("a", 1));
    restart((directory_ / "file" / "state").string(), directory_);
    wait_for([&] { return !watching_->problems().empty(); });
    EXPECT_NE(watching_->problems().front().find("cannot be written"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Files, FileStateTest, testing::Values(kNever, 1), name_of_size);

}  // namespace
}  // namespace vr::policy::file_store_test
