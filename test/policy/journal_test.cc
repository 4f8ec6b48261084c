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
    EXPECT_EQ(journal.take()(), (Whole{{"a", 1}, {"b", 2}}));
    journal.note("a", 3);
    journal.note("b", std::nullopt);
    journal.note("c", 4);
    journal.note("c", std::nullopt);
    journal.note("never there", std::nullopt);
    EXPECT_EQ(journal.take()(), (Whole{{"a", 3}}));
}

TEST(Journal, WhatIsNotedLaterIsOfTheNext) {
    Journal<int> journal;
    journal.note("a", 1);
    const auto first = journal.take();
    journal.note("a", 2);
    EXPECT_EQ(first(), (Whole{{"a", 1}}));
    EXPECT_EQ(journal.take()(), (Whole{{"a", 2}}));
}

TEST(Journal, TheWholeOutlivesIt) {
    auto journal = std::make_unique<Journal<int>>();
    journal->note("a", 1);
    const auto whole = journal->take();
    journal.reset();
    EXPECT_EQ(whole(), (Whole{{"a", 1}}));
}

}  // namespace
}  // namespace vr::policy::journal_test
