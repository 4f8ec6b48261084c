// Last valid versions of a directory's objects, over starts.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "test/policy/file_store_lab.h"

namespace vr::policy::file_store_test {
namespace {

using testing::ElementsAre;

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
