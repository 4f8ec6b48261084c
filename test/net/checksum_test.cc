// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/checksum.h"

#include <gtest/gtest.h>

#include <array>

namespace vr::checksum_test {
namespace {

using namespace vr::literals;

// The worked example of RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
constexpr std::array<std::uint8_t, 8> kExample{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

TEST(Checksum, MatchesTheExampleOfRfc1071) {
    EXPECT_EQ(checksum(kExample), static_cast<std::uint16_t>(~0xddf2U));
}

TEST(Checksum, PadsAnOddByteOnTheRight) {
    const std::array<std::uint8_t, 3> odd{0x12, 0x34, 0x56};
    const std::array<std::uint8_t, 4> even{0x12, 0x34, 0x56, 0x00};
    EXPECT_EQ(checksum(odd), checksum(even));
}

TEST(Checksum, UpdateEqualsRecomputation) {
    auto changed = kExample;
    changed[2] = 0x41;
    changed[3] = 0x11;
    EXPECT_EQ(checksum_updated(checksum(kExample), 0xf203, 0x4111), checksum(changed));
}

TEST(Checksum, PseudoHeaderOfBothFamilies) {
    Checksum four;
    four.add_pseudo_header("10.0.0.1"_ip4, "10.0.0.2"_ip4, 17, 8);
    EXPECT_EQ(four.finish(), static_cast<std::uint16_t>(~(0x0a00 + 1 + 0x0a00 + 2 + 17 + 8)));
    Checksum six;
    six.add_pseudo_header(Ip6{0, 1}, Ip6{0, 2}, 58, 8);
    EXPECT_EQ(six.finish(), static_cast<std::uint16_t>(~(1 + 2 + 58 + 8)));
}

}  // namespace
}  // namespace vr::checksum_test
