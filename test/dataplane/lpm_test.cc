// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/lpm.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "test/dataplane/reference_lpm.h"
#include "test/dataplane/slow_reclaimer.h"
#include "test/rounds.h"

namespace vr::lpm_test {
namespace {

template <typename F>
class LpmOf : public testing::Test {
  public:
    SlowReclaimer reclaimer;
    Lpm<F> lpm{reclaimer};

    static Prefix<F> prefix(std::uint8_t first_byte, unsigned length) {
        std::array<std::uint8_t, 16> bytes{};
        bytes[0] = first_byte;
        return *Prefix<F>::make(F::Addr::load(bytes.data()), length);
    }

    static typename F::Addr address(std::uint8_t first_byte, std::uint8_t last_byte) {
        std::array<std::uint8_t, 16> bytes{};
        bytes[0] = first_byte;
        bytes[F::kAddrBytes - 1] = last_byte;
        return F::Addr::load(bytes.data());
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(LpmOf, Families);

TYPED_TEST(LpmOf, EmptyTableMatchesNothing) {
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), Lpm<TypeParam>::kNone);
    EXPECT_FALSE(this->lpm.match(this->address(10, 1)));
}

TYPED_TEST(LpmOf, DefaultRouteAnswersForTheRest) {
    this->lpm.insert(Prefix<TypeParam>{}, 7);
    this->lpm.insert(this->prefix(10, 8), 8);
    EXPECT_EQ(this->lpm.lookup(this->address(11, 1)), 7U);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 8U);
    this->lpm.erase(this->prefix(10, 8));
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 7U);
}

TYPED_TEST(LpmOf, LongestPrefixWinsWhateverTheOrderOfInsertion) {
    this->lpm.insert(Prefix<TypeParam>::host(this->address(10, 1)), 3);
    this->lpm.insert(this->prefix(10, 12), 2);
    this->lpm.insert(this->prefix(10, 8), 1);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 3U);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 2)), 2U);
}

TYPED_TEST(LpmOf, ShortPrefixesNestAroundLongOnes) {
    const auto everywhere = [&] {
        return std::array{
            this->lpm.lookup(this->address(10, 1)),
            this->lpm.lookup(this->address(11, 1)),
            this->lpm.lookup(this->address(100, 1)),
            this->lpm.lookup(this->address(200, 1))};
    };
    using Answers = std::array<std::uint32_t, 4>;
    this->lpm.insert(this->prefix(10, 9), 9);
    this->lpm.insert(this->prefix(10, 7), 7);
    this->lpm.insert(this->prefix(0, 1), 1);
    EXPECT_EQ(everywhere(), (Answers{9, 7, 1, 0}));
    this->lpm.insert(Prefix<TypeParam>{}, 5);
    this->lpm.insert(this->prefix(10, 8), 8);
    this->lpm.insert(this->prefix(0, 1), 2);
    EXPECT_EQ(everywhere(), (Answers{9, 7, 2, 5}));
    this->lpm.erase(this->prefix(10, 9));
    this->lpm.erase(this->prefix(10, 7));
    EXPECT_EQ(everywhere(), (Answers{8, 2, 2, 5}));
    this->lpm.erase(this->prefix(0, 1));
    this->lpm.erase(this->prefix(10, 8));
    EXPECT_EQ(everywhere(), (Answers{5, 5, 5, 5}));
    this->lpm.erase(Prefix<TypeParam>{});
    EXPECT_EQ(everywhere(), (Answers{0, 0, 0, 0}));
}

/// A /24 of IPv4 with longer prefixes has entries of its own.
TYPED_TEST(LpmOf, NetsComeAndGoAroundHosts) {
    const auto host = Prefix<TypeParam>::host(this->address(10, 1));
    this->lpm.insert(this->prefix(10, 16), 16);
    this->lpm.insert(host, 1);
    this->lpm.insert(this->prefix(10, 12), 12);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 2)), 16U);
    this->lpm.erase(this->prefix(10, 16));
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 1U);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 2)), 12U);
    this->lpm.erase(host);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 12U);
    this->lpm.insert(this->prefix(10, 16), 17);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 17U);
    this->lpm.erase(this->prefix(10, 12));
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 17U);
}

TYPED_TEST(LpmOf, EraseUncoversWhatLiesAround) {
    this->lpm.insert(this->prefix(10, 8), 1);
    this->lpm.insert(this->prefix(10, 20), 2);
    this->lpm.insert(this->prefix(10, 27), 3);
    EXPECT_TRUE(this->lpm.erase(this->prefix(10, 20)));
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 3U);
    EXPECT_TRUE(this->lpm.erase(this->prefix(10, 27)));
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 1U);
    EXPECT_TRUE(this->lpm.erase(this->prefix(10, 8)));
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 0U);
}

TYPED_TEST(LpmOf, InsertReplacesTheValue) {
    this->lpm.insert(this->prefix(10, 30), 1);
    this->lpm.insert(this->prefix(10, 30), 2);
    EXPECT_EQ(this->lpm.size(), 1U);
    EXPECT_EQ(this->lpm.lookup(this->address(10, 1)), 2U);
    EXPECT_EQ(this->lpm.find(this->prefix(10, 30)), 2U);
}

TYPED_TEST(LpmOf, EraseOfAnAbsentPrefixSaysSo) {
    this->lpm.insert(this->prefix(10, 30), 1);
    EXPECT_FALSE(this->lpm.erase(this->prefix(10, 29)));
    EXPECT_FALSE(this->lpm.erase(this->prefix(10, 31)));
    EXPECT_FALSE(this->lpm.erase(this->prefix(11, 30)));
}

TYPED_TEST(LpmOf, CoverIsNeverThePrefixItself) {
    this->lpm.insert(this->prefix(10, 8), 1);
    this->lpm.insert(this->prefix(10, 20), 2);
    EXPECT_EQ(this->lpm.cover(this->prefix(10, 20))->first, this->prefix(10, 8));
    EXPECT_EQ(this->lpm.cover(this->prefix(10, 21))->first, this->prefix(10, 20));
    EXPECT_FALSE(this->lpm.cover(this->prefix(10, 8)));
}

TYPED_TEST(LpmOf, VisitsCoveringPrefixesFirstAndOnlyThoseWithin) {
    for (const unsigned length : {20U, 8U, 0U, 24U}) {
        this->lpm.insert(this->prefix(length == 0 ? 0 : 10, length), length + 1);
    }
    this->lpm.insert(this->prefix(11, 24), 99);
    std::vector<unsigned> lengths;
    this->lpm.for_each_within(
        this->prefix(10, 7), [&](const auto& p, std::uint32_t) { lengths.push_back(p.length()); });
    EXPECT_EQ(lengths, (std::vector<unsigned>{8, 20, 24, 24}));
}

TYPED_TEST(LpmOf, GrowsWithManyHosts) {
    constexpr std::uint32_t kHosts = 5000;
    std::mt19937 random(1);
    ReferenceLpm<TypeParam> reference;
    std::vector<typename TypeParam::Addr> hosts;
    for (std::uint32_t i = 1; i <= kHosts; ++i) {
        std::array<std::uint8_t, 16> bytes{};
        for (auto& byte : bytes) {
            byte = static_cast<std::uint8_t>(random());
        }
        hosts.push_back(TypeParam::Addr::load(bytes.data()));
        this->lpm.insert(Prefix<TypeParam>::host(hosts.back()), i);
    }
    std::vector<std::uint32_t> values(hosts.size());
    this->lpm.lookup_bulk(hosts.data(), values.data(), kHosts);
    for (std::uint32_t i = 0; i < kHosts; ++i) {
        EXPECT_EQ(values[i], i + 1);
    }
    for (const auto& host : hosts) {
        EXPECT_TRUE(this->lpm.erase(Prefix<TypeParam>::host(host)));
        EXPECT_EQ(this->lpm.lookup(host), 0U);
    }
}

/// Random changes; after each, the addresses at and around the changed prefix, and others, are asked.
TYPED_TEST(LpmOf, AgreesWithALinearSearchUnderRandomChanges) {
    using F = TypeParam;
    std::mt19937 random(42);
    ReferenceLpm<F> reference;
    constexpr unsigned kPhase = test::rounds(2000);
    for (unsigned step = 1; step <= 10 * kPhase; ++step) {
        const auto prefix = clustered_prefix<F>(random);
        // Phases of growth and of decay.
        if (random() % 100 < (step / kPhase % 2 == 0 ? 70U : 30U)) {
            reference.insert(prefix, step);
            this->lpm.insert(prefix, step);
        } else if (!reference.prefixes().empty() && random() % 4 != 0) {
            auto victim = reference.prefixes().lower_bound(prefix);
            victim = victim == reference.prefixes().end() ? reference.prefixes().begin() : victim;
            const auto gone = victim->first;
            reference.erase(gone);
            ASSERT_TRUE(this->lpm.erase(gone));
        } else {
            ASSERT_EQ(this->lpm.erase(prefix), reference.erase(prefix));
        }
        if (step % 20 != 0) {
            continue;
        }
        std::array<typename F::Addr, 100> addresses;
        std::array<std::uint32_t, 100> values;
        addresses[0] = prefix.address();
        for (std::size_t i = 1; i < addresses.size(); ++i) {
            addresses[i] = clustered_address<F>(random);
        }
        this->lpm.lookup_bulk(addresses.data(), values.data(), 100);
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            const auto wanted = reference.lookup(addresses[i]);
            ASSERT_EQ(values[i], wanted) << to_string(addresses[i]) << " step " << step;
            ASSERT_EQ(this->lpm.lookup(addresses[i]), wanted);
            const auto match = this->lpm.match(addresses[i]);
            ASSERT_EQ(match ? match->second : 0, wanted);
        }
    }
    ASSERT_EQ(this->lpm.size(), reference.prefixes().size());
    while (!reference.prefixes().empty()) {
        const auto prefix = reference.prefixes().begin()->first;
        reference.erase(prefix);
        ASSERT_TRUE(this->lpm.erase(prefix));
    }
    for (unsigned i = 0; i < 1000; ++i) {
        ASSERT_EQ(this->lpm.lookup(clustered_address<F>(random)), 0U);
    }
}

}  // namespace
}  // namespace vr::lpm_test
