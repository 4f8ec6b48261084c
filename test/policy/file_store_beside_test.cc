// What another thread reads for the watched directory, and what happens meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "test/policy/file_store_lab.h"

namespace vr::policy::file_store_test {
namespace {

using testing::ElementsAre;

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
    look_ = kLook;
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
    look_ = kLook;
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

}  // namespace
}  // namespace vr::policy::file_store_test
