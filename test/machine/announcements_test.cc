// What a host announces of blocks, addresses and pools, and in which order it changes that.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/announcements.h"

#include <gtest/gtest.h>

#include <string>

namespace vr::daemon::announcements_test {
namespace {

using Prefixes = std::vector<IpPrefix>;

IpPrefix prefix(const std::string& text) {
    return *parse_prefix(text);
}

class Announcing : public testing::Test {
  protected:
    const IpPrefix block = prefix("10.0.0.0/26");
    const IpPrefix inside = prefix("10.0.0.5/32");
    const IpPrefix outside = prefix("10.0.0.70/32");
    const IpPrefix six = prefix("fd00::5/128");
    Announcements announcements{{prefix("10.9.0.0/16")}};
};

TEST_F(Announcing, WithoutBlocksEveryAddressIsTold) {
    EXPECT_EQ(announcements.serve(inside, true).told, Prefixes{inside});
    EXPECT_EQ(announcements.serve(six, true).told, Prefixes{six});
    EXPECT_EQ(announcements.serve(inside, false).withdrawn, Prefixes{inside});
    EXPECT_EQ(announcements.told(), std::set<IpPrefix>{six});
}

TEST_F(Announcing, ABlockSpeaksForItsAddresses) {
    (void)announcements.set({block}, {});
    EXPECT_EQ(announcements.serve(inside, true), Announcements::Difference{});
    EXPECT_EQ(announcements.serve(outside, true).told, Prefixes{outside});
    EXPECT_EQ(announcements.serve(inside, false), Announcements::Difference{});
    EXPECT_EQ(announcements.told(), (std::set<IpPrefix>{block, outside}));
}

TEST_F(Announcing, ABlockThatComesTakesThePlaceOfItsAddresses) {
    (void)announcements.serve(inside, true);
    EXPECT_EQ(
        announcements.set({block}, {}),
        (Announcements::Difference{
            .discard = {block}, .told = {block}, .withdrawn = {inside}, .undiscard = {}}));
}

TEST_F(Announcing, ABlockThatGoesLeavesItsAddresses) {
    (void)announcements.set({block}, {});
    (void)announcements.serve(inside, true);
    EXPECT_EQ(
        announcements.set({}, {}),
        (Announcements::Difference{
            .discard = {}, .told = {inside}, .withdrawn = {block}, .undiscard = {block}}));
}

TEST_F(Announcing, WhatIsAnnouncedAnywayMayChange) {
    (void)announcements.serve(outside, true);
    (void)announcements.set({block, prefix("10.9.0.0/16")}, {});
    EXPECT_EQ(announcements.told(), (std::set<IpPrefix>{block, outside}));
    EXPECT_EQ(announcements.configure({block}).told, Prefixes{prefix("10.9.0.0/16")});
    EXPECT_EQ(announcements.told(), (std::set<IpPrefix>{prefix("10.9.0.0/16"), outside}));
    EXPECT_EQ(
        announcements.configure({}),
        (Announcements::Difference{
            .discard = {}, .told = {block}, .withdrawn = {}, .undiscard = {}}));
}

TEST_F(Announcing, WhatStaysIsNotToldAgain) {
    (void)announcements.set({block}, {});
    EXPECT_EQ(announcements.set({block}, {}), Announcements::Difference{});
}

TEST_F(Announcing, AHiddenPoolIsNotToldButItsBlocksStillDiscard) {
    (void)announcements.serve(outside, true);
    const auto hidden = announcements.set({block}, {prefix("10.0.0.0/24")});
    EXPECT_EQ(
        hidden,
        (Announcements::Difference{
            .discard = {block}, .told = {}, .withdrawn = {outside}, .undiscard = {}}));
    EXPECT_EQ(announcements.set({block}, {}).told, (Prefixes{block, outside}));
}

TEST_F(Announcing, ABlockOfOneAddressIsToldWhileItIsServed) {
    EXPECT_EQ(announcements.set({inside, six}, {}), Announcements::Difference{});
    EXPECT_EQ(announcements.serve(inside, true).told, Prefixes{inside});
    EXPECT_EQ(announcements.set({}, {}), Announcements::Difference{});
    EXPECT_EQ(announcements.serve(inside, false).withdrawn, Prefixes{inside});
}

TEST_F(Announcing, APriorityOfItsOwnIsToldAndToldAgainWhenItChanges) {
    EXPECT_EQ(announcements.serve(outside, true, 512).told, Prefixes{outside});
    EXPECT_EQ(announcements.priority_of(outside), 512U);
    EXPECT_EQ(announcements.serve(outside, true, 512), Announcements::Difference{});
    EXPECT_EQ(announcements.serve(outside, true, 100).told, Prefixes{outside});
    EXPECT_EQ(announcements.serve(outside, true).told, Prefixes{outside});
    EXPECT_EQ(announcements.priority_of(outside), std::nullopt);
}

TEST_F(Announcing, ABlockDoesNotSpeakForAnAddressWithAPriorityOfItsOwn) {
    (void)announcements.set({block}, {});
    EXPECT_EQ(announcements.serve(inside, true, 512).told, Prefixes{inside});
    EXPECT_EQ(announcements.serve(inside, true).withdrawn, Prefixes{inside});
}

TEST_F(Announcing, APriorityDoesNotOpenAHiddenPool) {
    (void)announcements.set({}, {prefix("10.0.0.0/24")});
    EXPECT_EQ(announcements.serve(outside, true, 512), Announcements::Difference{});
}

TEST_F(Announcing, WhatTheConfigAnnouncesIsLeftToIt) {
    const auto added = announcements.set({prefix("10.9.0.0/16")}, {});
    EXPECT_EQ(added.told, Prefixes{});
    EXPECT_EQ(added.discard, Prefixes{prefix("10.9.0.0/16")});
    EXPECT_EQ(announcements.set({}, {}).withdrawn, Prefixes{});
}

}  // namespace
}  // namespace vr::daemon::announcements_test
