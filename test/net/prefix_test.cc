// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/prefix.h"

#include <gtest/gtest.h>

namespace vr::prefix_test {
namespace {

template <typename F>
class PrefixOf : public testing::Test {};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(PrefixOf, Families);

TYPED_TEST(PrefixOf, RefusesLengthsBeyondTheFamily) {
    EXPECT_TRUE(Prefix<TypeParam>::make({}, TypeParam::kBits));
    EXPECT_FALSE(Prefix<TypeParam>::make({}, TypeParam::kBits + 1));
}

TYPED_TEST(PrefixOf, DefaultContainsEverything) {
    const Prefix<TypeParam> all;
    EXPECT_TRUE(all.contains(typename TypeParam::Addr{}));
    EXPECT_TRUE(all.contains(Prefix<TypeParam>::host({})));
    EXPECT_FALSE(Prefix<TypeParam>::host({}).contains(all));
}

TEST(Prefix, ClearsHostBits) {
    EXPECT_EQ(to_string(*Prefix<V4>::parse("10.1.2.3/8")), "10.0.0.0/8");
    EXPECT_EQ(to_string(*Prefix<V6>::parse("fd00::1/64")), "fd00::/64");
}

TEST(Prefix, ReadsABareAddressAsItsHostRoute) {
    EXPECT_EQ(to_string(*Prefix<V4>::parse("10.1.2.3")), "10.1.2.3/32");
    EXPECT_EQ(to_string(*parse_prefix("fd00::1")), "fd00::1/128");
}

TEST(Prefix, RefusesMalformedText) {
    for (const auto* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/8x", "10.0.0.0/-1"}) {
        EXPECT_FALSE(parse_prefix(text)) << text;
    }
}

}  // namespace
}  // namespace vr::prefix_test
