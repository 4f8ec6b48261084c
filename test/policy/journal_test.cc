// SPDX-License-Identifier: Apache-2.0
#include "policy/journal.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace vr::policy::journal_test {
namespace {

using Whole = std::map<std::string, int>;

TEST(Journal, HasAllThatWasNoted) {
    Journal<int> journal;
    EXPECT_EQ(journal.take()(), Whole{});
    journal.note("a", 1);
    journal.note("b", 2);
    journal.commit();
    EXPECT_EQ(journal.take()(), (Whole{{"a", 1}, {"b", 2}}));
    journal.note("a", 3);
    journal.note("b", std::nullopt);
    journal.note("c", 4);
    journal.commit();
    journal.note("c", std::nullopt);
    journal.note("never there", std::nullopt);
    journal.commit();
    EXPECT_EQ(journal.take()(), (Whole{{"a", 3}}));
}

TEST(Journal, WhatIsNotCommittedIsOfTheNext) {
    Journal<int> journal;
    journal.note("a", 1);
    journal.commit();
    journal.note("a", 2);
    journal.note("b", 2);
    EXPECT_EQ(journal.take()(), (Whole{{"a", 1}}));
    journal.commit();
    EXPECT_EQ(journal.take()(), (Whole{{"a", 2}, {"b", 2}}));
}

TEST(Journal, OfManyCommitsTheLastCounts) {
    Journal<int> journal;
    Whole wanted;
    for (int commit = 0; commit < 10; ++commit) {
        // A few and many in turn.
        for (int i = 0; i < (commit % 2 == 0 ? 3 : 500); ++i) {
            journal.note(std::to_string(i), commit);
            wanted[std::to_string(i)] = commit;
        }
        journal.commit();
    }
    EXPECT_EQ(journal.take()(), wanted);
}

TEST(Journal, WhatIsNotedLaterIsOfTheNext) {
    Journal<int> journal;
    journal.note("a", 1);
    journal.commit();
    const auto first = journal.take();
    journal.note("a", 2);
    journal.commit();
    EXPECT_EQ(first(), (Whole{{"a", 1}}));
    EXPECT_EQ(journal.take()(), (Whole{{"a", 2}}));
}

TEST(Journal, TheWholeOutlivesIt) {
    auto journal = std::make_unique<Journal<int>>();
    journal->note("a", 1);
    journal->commit();
    const auto whole = journal->take();
    journal.reset();
    EXPECT_EQ(whole(), (Whole{{"a", 1}}));
}

}  // namespace
}  // namespace vr::policy::journal_test
