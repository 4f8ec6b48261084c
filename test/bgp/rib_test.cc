// The tables by themselves: paths of a prefix, generations of a peer's paths, rows and cursors, the
// Loc-RIB's bookkeeping.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "bgp/generations.h"
#include "bgp/ribs.h"

namespace vr::bgp::rib_test {
namespace {

/// A pool and sets that differ in their MED.
class Sets : public ::testing::Test {
  protected:
    AttributesRef set(std::uint32_t med) {
        Attributes attributes;
        attributes.med = med;
        attributes.next_hop = Ip4{0x0a000001};
        return pool.intern(std::move(attributes));
    }

    AttributePool pool;
};

using PathLists = Sets;

TEST_F(PathLists, GrowsAndShrinksInOrder) {
    PathList list;
    for (std::uint32_t i = 0; i < 40; ++i) {
        list.push_back(PathCell{.attributes = set(i), .path_id = i});
    }
    for (std::uint32_t i = 0; i < 40; i += 2) {
        list.erase(i / 2);
    }
    ASSERT_EQ(list.size(), 20U);
    for (std::uint32_t i = 0; i < 20; ++i) {
        EXPECT_EQ(list.cells()[i].path_id, 2 * i + 1);
        EXPECT_EQ(list.cells()[i].attributes->med, 2 * i + 1);
    }
}

TEST_F(PathLists, FillsTheBlocksThatTheAllocatorHas) {
    std::vector<std::size_t> octets;
    for (std::size_t paths = 1; paths < 24; paths = PathList::grown(paths)) {
        octets.push_back(PathList::grown(paths) * sizeof(PathCell));
    }
    EXPECT_EQ(octets, (std::vector<std::size_t>{48, 80, 112, 160, 192, 224, 256, 320, 384}));
    EXPECT_EQ(PathList::grown(60000), PathList::kMost);
}

TEST_F(PathLists, GivesItsReferencesBack) {
    {
        PathList list;
        list.push_back(PathCell{.attributes = set(1)});
        list.push_back(PathCell{.attributes = set(2)});
        list.erase(0);
        EXPECT_EQ(pool.size(), 1U);
    }
    EXPECT_EQ(pool.size(), 0U);
}

TEST_F(Sets, AnImportedSetRemembersTheReceivedOne) {
    const AttributesRef received = set(1);
    Attributes changed = *received;
    changed.med = 2;
    const AttributesRef imported = pool.intern(std::move(changed), received);
    EXPECT_NE(imported, set(2));  // equal, but nobody sent it
    EXPECT_EQ(imported.received(), received);
    EXPECT_EQ(received.received(), received);
}

TEST(Generations, AgedPathsAreStaleAndThenLeave) {
    Generations generations;
    const std::uint8_t first = generations.current();
    generations.add(first);
    generations.age();
    EXPECT_TRUE(generations.is_stale(first));
    EXPECT_EQ(generations.stale(), 1U);
    generations.drop_stale();
    EXPECT_FALSE(generations.is_kept(first));
    EXPECT_EQ(generations.leaving(), 1U);
}

TEST(Generations, DropAllKeepsNothing) {
    Generations generations;
    generations.add(generations.current());
    generations.age();
    generations.add(generations.current());
    generations.drop_all();
    EXPECT_EQ(generations.kept(), 0U);
    EXPECT_EQ(generations.leaving(), 2U);
}

TEST(Generations, SayWhenTheyWouldRepeat) {
    Generations generations;
    unsigned steps = 0;
    while (!generations.exhausted()) {
        generations.drop_all();
        generations.add(generations.current());
        ASSERT_LE(++steps, PathCell::kEpochs);
    }
    EXPECT_EQ(generations.leaving(), PathCell::kEpochs - 1U);
    generations.remove(generations.current() == 0 ? 1 : 0);
    EXPECT_FALSE(generations.exhausted());
}

TEST(Generations, ThatNoPathCarriesDoNotCount) {
    Generations generations;
    const std::uint8_t first = generations.current();
    generations.add(first);
    for (unsigned i = 0; i < 1000; ++i) {
        generations.age();
        generations.begin_long_lived();
        const std::uint8_t again = generations.current();
        generations.add(again);
        generations.age();
        generations.remove(again);
    }
    EXPECT_TRUE(generations.can_age());
    EXPECT_TRUE(generations.is_long_lived(first));
    EXPECT_EQ(generations.kept(), 1U);
}

TEST(Generations, OfMoreAgesThanAreToldApartAreFresh) {
    Generations generations;
    for (unsigned i = 0; i < 2U * PathCell::kEpochs; ++i) {
        generations.add(generations.current());
        generations.age();
    }
    EXPECT_FALSE(generations.can_age());
    EXPECT_FALSE(generations.exhausted());
    EXPECT_EQ(generations.stale(), PathCell::kEpochs / 2U);
}

class Rows : public Sets {
  protected:
    /// Rows that `cursor` has not passed, in order; withdrawn ones negative.
    std::vector<int> rest(OutTable::Cursor cursor) {
        std::vector<int> found;
        for (auto row = table.next_withdrawn(cursor); row != OutTable::kNone;
             row = table.next_withdrawn(cursor)) {
            found.push_back(-static_cast<int>(row));
        }
        for (auto row = table.next_announced(cursor); row != OutTable::kNone;
             row = table.next_announced(cursor)) {
            found.push_back(static_cast<int>(row));
        }
        return found;
    }

    std::size_t reclaim() {
        std::size_t count = 0;
        table.reclaim(100, [&](OutTable::Row) { ++count; });
        return count;
    }

    OutTable table;
};

TEST_F(Rows, NewCursorFindsTheTable) {
    table.announce(1, set(1), 1);
    table.announce(5000, set(1), 1);
    EXPECT_EQ(rest(table.add_cursor()), (std::vector{1, 5000}));
}

TEST_F(Rows, ChangesAreSeenOnceHoweverMany) {
    const auto cursor = table.add_cursor();
    for (std::uint32_t i = 0; i < 10; ++i) {
        table.announce(1, set(i), 1);
        table.announce(2, set(i), 1);
    }
    EXPECT_EQ(rest(cursor), (std::vector{1, 2}));
    EXPECT_TRUE(table.at_end(cursor));
}

TEST_F(Rows, TheSameAgainIsNoChange) {
    const auto cursor = table.add_cursor();
    table.announce(1, set(1), 1);
    rest(cursor);
    table.announce(1, set(1), 1);
    EXPECT_TRUE(table.at_end(cursor));
}

TEST_F(Rows, WithdrawnRowStaysUntilTheSlowestPassed) {
    const AttributesRef one = set(1);
    const auto fast = table.add_cursor();
    const auto slow = table.add_cursor();
    table.announce(7, one, 1);
    rest(fast);
    table.withdraw(7);
    EXPECT_EQ(rest(fast), std::vector{-7});
    EXPECT_EQ(reclaim(), 0U);
    EXPECT_EQ(rest(slow), std::vector{-7});
    EXPECT_EQ(reclaim(), 1U);
    EXPECT_EQ(table.state(7), OutTable::State::Absent);
}

TEST_F(Rows, ClonesStandAtTheSamePlace) {
    const auto cursor = table.add_cursor();
    table.announce(1, set(1), 1);
    table.announce(2, set(1), 1);
    EXPECT_EQ(table.next_announced(cursor), 1U);
    const auto copy = table.clone(cursor);
    EXPECT_TRUE(table.same_place(cursor, copy));
    EXPECT_EQ(rest(copy), std::vector{2});
    EXPECT_FALSE(table.same_place(cursor, copy));
}

TEST_F(Rows, RewoundCursorFindsAllAgain) {
    const auto cursor = table.add_cursor();
    table.announce(1, set(1), 1);
    rest(cursor);
    table.rewind(cursor);
    EXPECT_EQ(rest(cursor), std::vector{1});
}

TEST_F(Rows, RemembersOtherSources) {
    table.announce(1, set(1), 1);
    EXPECT_FALSE(table.had_other_source(1));
    table.announce(1, set(1), 2);
    EXPECT_TRUE(table.had_other_source(1));
    EXPECT_EQ(table.announced_by(1), 0U);
    EXPECT_EQ(table.announced_by(2), 1U);
}

template <typename F>
class LocRibs : public ::testing::Test {
  protected:
    LocRibs() {
        source.kind = PeerKind::External;
        ribs.sources.add(source);
    }

    static Prefix<F> prefix(std::uint32_t number) {
        if constexpr (std::is_same_v<F, V4>) {
            return Prefix<F>::host(Ip4{number});
        } else {
            std::array<std::uint8_t, 16> bytes{0x20, 1};
            store_be(bytes.data() + 12, number);
            return Prefix<F>::host(Ip6::load(bytes.data()));
        }
    }

    void set(std::uint32_t number, std::uint32_t path_id = 0) {
        loc.set(
            prefix(number),
            PathCell{
                .attributes = ribs.pool.intern(Attributes{.next_hop = Ip4{0x0a000001}}),
                .path_id = path_id,
                .source = source.id});
    }

    unsigned decide() {
        unsigned changes = 0;
        while (loc.decide_some(100, [&](RouteId, const auto&, auto change) {
            changes += change.best_path ? 1U : 0U;
        }) != 0) {
        }
        return changes;
    }

    AnyNextHop oracle;
    Ribs ribs{oracle, 16, 1};
    PathSource source;
    LocRib<F>& loc = ribs.of<F>();
};

using Families = ::testing::Types<V4, V6>;
TYPED_TEST_SUITE(LocRibs, Families);

TYPED_TEST(LocRibs, FindsEachOfMany) {
    for (std::uint32_t i = 0; i < 5000; ++i) {
        this->set(i);
    }
    EXPECT_EQ(this->decide(), 5000U);
    EXPECT_EQ(this->loc.size(), 5000U);
    for (std::uint32_t i = 0; i < 5000; ++i) {
        ASSERT_NE(this->loc.find(this->prefix(i)), nullptr);
    }
    EXPECT_EQ(this->loc.find(this->prefix(5000)), nullptr);
}

TYPED_TEST(LocRibs, SetAgainDecidesNothing) {
    this->set(1);
    EXPECT_EQ(this->decide(), 1U);
    this->set(1);
    EXPECT_FALSE(this->loc.has_dirty());
}

TYPED_TEST(LocRibs, GoneAndBackBeforeTheDecisionIsAChange) {
    this->set(1);
    this->decide();
    EXPECT_TRUE(this->loc.remove(this->prefix(1), this->source.id));
    this->set(1);
    EXPECT_EQ(this->decide(), 1U);
}

TYPED_TEST(LocRibs, PinnedRouteKeepsItsNumber) {
    this->set(1);
    this->decide();
    this->loc.pin(0);
    this->loc.remove(this->prefix(1), this->source.id);
    this->decide();
    EXPECT_EQ(this->loc.size(), 0U);
    ASSERT_NE(this->loc.at(0), nullptr);
    this->loc.unpin(0);
    EXPECT_EQ(this->loc.at(0), nullptr);
}

TYPED_TEST(LocRibs, OnePeerHasManyPathsButNotAny) {
    for (std::uint32_t id = 1; id < 1000; ++id) {
        this->set(1, id);
    }
    EXPECT_EQ(this->loc.find(this->prefix(1))->paths.size(), PathList::kMostOfOne);
}

}  // namespace
}  // namespace vr::bgp::rib_test
