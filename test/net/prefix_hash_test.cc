// Hash tables as parts of a larger one get different shares, so that they grow one after the other.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/prefix_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vr::prefix_hash_test {
namespace {

template <std::size_t kParts>
std::vector<std::size_t> shares() {
    std::vector<std::size_t> all(kParts);
    constexpr std::uint64_t kHashes = std::uint64_t{1} << 20U;
    for (std::uint64_t hash = 0; hash < kHashes; ++hash) {
        // The lowest eight bits are for the table itself.
        ++all.at(part_of<kParts>((hash << 8U) | 0xffU | (hash << 40U)));
    }
    return all;
}

TEST(PartOf, GivesTheFirstThreeQuartersAndTheLastOneAndAHalf) {
    constexpr std::size_t kAverage = (std::size_t{1} << 20U) / 1024;
    const auto all = shares<1024>();
    EXPECT_NEAR(static_cast<double>(all.front()), 0.75 * kAverage, 0.05 * kAverage);
    EXPECT_NEAR(static_cast<double>(all.back()), 1.5 * kAverage, 0.05 * kAverage);
}

TEST(PartOf, GivesHardlyTwoTheSame) {
    const auto all = shares<4096>();
    EXPECT_EQ(*std::ranges::min_element(all) * 2 >= *std::ranges::max_element(all), false);
    // Within a tenth of any size there are no more than their part of all, and some.
    for (std::size_t size = 200; size < 380; size += 20) {
        const auto alike = std::ranges::count_if(
            all, [&](std::size_t share) { return share >= size && share < size + 20; });
        EXPECT_LT(alike, 4096 / 4) << size;
        EXPECT_GT(alike, 0) << size;
    }
}

TEST(PartOf, NeedsNoMoreThanIsThere) {
    EXPECT_EQ(part_of<1024>(0), 0U);
    EXPECT_EQ(part_of<1024>(~std::uint64_t{0}), 1023U);
    EXPECT_EQ(part_of<1>(~std::uint64_t{0}), 0U);
}

}  // namespace
}  // namespace vr::prefix_hash_test
