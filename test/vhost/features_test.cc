// What guests are offered, and how negotiated bits are named.
// SPDX-License-Identifier: Apache-2.0
#include "vhost/features.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vr::vhost::features_test {
namespace {

struct OfferRow {
    std::string name;
    unsigned bit;
    bool withheld;
};

class Offer : public testing::TestWithParam<OfferRow> {};

TEST_P(Offer, FollowsTheTable) {
    EXPECT_EQ((withheld_features() >> GetParam().bit & 1U) != 0, GetParam().withheld);
}

INSTANTIATE_TEST_SUITE_P(
    Features,
    Offer,
    testing::ValuesIn(std::vector<OfferRow>{
        {"ChecksumByHost", 0, true}, {"ChecksumByGuest", 1, true},
        {"LegacyGso", 6, true},      {"GuestTso4", 7, true},
        {"GuestTso6", 8, true},      {"GuestEcn", 9, true},
        {"GuestUfo", 10, true},      {"HostTso4", 11, true},
        {"HostTso6", 12, true},      {"HostEcn", 13, true},
        {"HostUfo", 14, true},       {"PackedRing", 34, true},
        {"Mtu", 3, false},           {"MergeableBuffers", 15, false},
        {"Multiqueue", 22, false},   {"ControlQueue", 17, false},
        {"AnyLayout", 27, false},    {"IndirectDescriptors", 28, false},
        {"EventIndex", 29, false},   {"VersionOne", 32, false},
        {"DirtyLog", 26, false},     {"ProtocolFeatures", 30, false},
    }),
    [](const auto& row) { return row.param.name; });

TEST(FeatureNames, AreListedLowestBitFirst) {
    EXPECT_EQ(
        feature_names(1ULL << 32 | 1ULL << 15 | 1ULL << 22),
        (std::vector<std::string>{"MRG_RXBUF", "MQ", "VERSION_1"}));
}

TEST(FeatureNames, NumberAnUnknownBit) {
    EXPECT_EQ(feature_names(1ULL << 63), std::vector<std::string>{"bit-63"});
}

TEST(FeatureNames, AreEmptyForNoFeatures) {
    EXPECT_TRUE(feature_names(0).empty());
}

TEST(Multiqueue, IsBit22) {
    EXPECT_TRUE(has_multiqueue(1ULL << 22));
    EXPECT_FALSE(has_multiqueue(~(1ULL << 22)));
}

}  // namespace
}  // namespace vr::vhost::features_test
