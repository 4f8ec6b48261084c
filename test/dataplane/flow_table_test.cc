// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/flow_table.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>
#include <vector>

#include "test/dataplane/slow_reclaimer.h"

namespace vr::flow_table_test {
namespace {

template <typename F>
FlowKey<F> key(std::uint32_t n) {
    FlowKey<F> k;
    std::array<std::uint8_t, 16> wire{};
    store_be(wire.data() + F::kAddrBytes - 4, 0x0a000000U + n / 7);
    k.source = F::Addr::load(wire.data());
    store_be(wire.data() + F::kAddrBytes - 4, 0x0b000000U + n % 7);
    k.destination = F::Addr::load(wire.data());
    k.source_port = L4Port{static_cast<std::uint16_t>(n)};
    k.destination_port = L4Port{80};
    k.protocol = 6;
    return k;
}

template <typename F>
class FlowsOf : public testing::Test {
  public:
    SlowReclaimer reclaimer;
    FlowTable<F> table{reclaimer, 1000, 2};

    FlowHit<F> find(const FlowKey<F>& k) {
        FlowHit<F> hit;
        table.lookup_bulk(&k, &hit, 1);
        return hit;
    }

    FlowHit<F> insert(const FlowKey<F>& k, FlowState state = FlowState::New, FlowTick now = 0) {
        return table.insert(0, k, {PortId{1}, PortId{2}, state, false, 5}, now);
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(FlowsOf, Families);

TYPED_TEST(FlowsOf, UnknownFlowIsNotFound) {
    EXPECT_EQ(this->find(key<TypeParam>(1)).entry, nullptr);
}

TYPED_TEST(FlowsOf, FlowIsFoundInBothDirections) {
    const auto k = key<TypeParam>(1);
    const auto added = this->insert(k);
    EXPECT_EQ(this->find(k).entry, added.entry);
    EXPECT_FALSE(this->find(k).reply);
    EXPECT_EQ(this->find(k.reversed()).entry, added.entry);
    EXPECT_TRUE(this->find(k.reversed()).reply);
}

TYPED_TEST(FlowsOf, EveryPartOfTheKeyCounts) {
    const auto k = key<TypeParam>(1);
    this->insert(k);
    auto other = k;
    other.protocol = 17;
    EXPECT_EQ(this->find(other).entry, nullptr);
    other = k;
    std::swap(other.source_port, other.destination_port);
    EXPECT_EQ(this->find(other).entry, nullptr);
    other = k;
    std::swap(other.source, other.destination);
    EXPECT_EQ(this->find(other).entry, nullptr);
}

TYPED_TEST(FlowsOf, EntryHoldsWhatTheFlowStartedWith) {
    const auto* entry = this->insert(key<TypeParam>(1), FlowState::Udp, 9).entry;
    EXPECT_EQ(entry->key, key<TypeParam>(1));
    EXPECT_EQ(entry->from, PortId{1});
    EXPECT_EQ(entry->to, PortId{2});
    EXPECT_EQ(entry->state, FlowState::Udp);
    EXPECT_EQ(entry->last_seen, 9U);
    EXPECT_EQ(entry->generation, 5U);
}

TYPED_TEST(FlowsOf, CountsAFlowAgainstItsSender) {
    for (std::uint32_t n = 0; n < 100; ++n) {
        this->insert(key<TypeParam>(n));
        this->insert(key<TypeParam>(n));
    }
    EXPECT_EQ(this->table.held_by(PortId{1}, 0), 100U);
    EXPECT_EQ(this->table.held_by(PortId{2}, 0), 0U);
}

TYPED_TEST(FlowsOf, CountsAFlowFromOutsideAgainstItsReceiver) {
    const FlowStart from_outside{.from = PortId{}, .to = PortId{2}};
    static_cast<void>(this->table.insert(0, key<TypeParam>(1), from_outside, 0));
    EXPECT_EQ(this->table.held_by(PortId{2}, 0), 1U);
}

TYPED_TEST(FlowsOf, ARemovedFlowNoLongerCounts) {
    for (std::uint32_t n = 0; n < 50; ++n) {
        this->insert(key<TypeParam>(n));
    }
    this->table.remove_if([](const auto& flow) { return flow.key.source_port.value() < 20; });
    EXPECT_EQ(this->table.held_by(PortId{1}, 0), 30U);
}

TYPED_TEST(FlowsOf, CountsByDifferentWorkersAddUp) {
    static_cast<void>(this->table.insert(0, key<TypeParam>(1), {.from = PortId{1}}, 0));
    static_cast<void>(this->table.insert(1, key<TypeParam>(2), {.from = PortId{1}}, 0));
    // Each worker tells the others when it turns to another endpoint.
    static_cast<void>(this->table.insert(0, key<TypeParam>(3), {.from = PortId{3}}, 0));
    static_cast<void>(this->table.insert(1, key<TypeParam>(4), {.from = PortId{3}}, 0));
    EXPECT_EQ(this->table.held_by(PortId{1}), 2U);
}

TYPED_TEST(FlowsOf, CountsTcpConnectionsOfBothSides) {
    this->insert(key<TypeParam>(1));
    this->insert(key<TypeParam>(1));
    this->insert(key<TypeParam>(2));
    auto udp = key<TypeParam>(3);
    udp.protocol = 17;
    this->insert(udp, FlowState::Udp);
    EXPECT_EQ(this->table.connections(PortId{1}, FlowSide::Sender), 2U);
    EXPECT_EQ(this->table.connections(PortId{2}, FlowSide::Receiver), 2U);
    EXPECT_EQ(this->table.connections(PortId{1}, FlowSide::Receiver), 0U);
    EXPECT_EQ(this->table.connections(PortId{2}, FlowSide::Sender), 0U);
}

TYPED_TEST(FlowsOf, CountsNoConnectionOfTheHost) {
    const FlowStart of_host{.from = PortId{}, .to = PortId{2}, .from_host = true};
    static_cast<void>(this->table.insert(0, key<TypeParam>(1), of_host, 0));
    EXPECT_EQ(this->table.connections(PortId{2}, FlowSide::Receiver), 0U);
}

TYPED_TEST(FlowsOf, AConnectionThatIsClosedStopsCountingOnce) {
    auto* closing = this->insert(key<TypeParam>(1)).entry;
    this->insert(key<TypeParam>(2));
    this->table.uncount(1, *closing);
    this->table.uncount(0, *closing);
    EXPECT_EQ(this->table.connections(PortId{1}, FlowSide::Sender), 1U);
    this->table.remove_if([](const auto&) { return true; });
    EXPECT_EQ(this->table.connections(PortId{1}, FlowSide::Sender), 0U);
    EXPECT_EQ(this->table.connections(PortId{2}, FlowSide::Receiver), 0U);
}

TYPED_TEST(FlowsOf, SecondInsertReturnsTheFirstFlow) {
    const auto k = key<TypeParam>(1);
    const auto first = this->insert(k);
    const auto second = this->table.insert(1, k.reversed(), {}, 0);
    EXPECT_EQ(second.entry, first.entry);
    EXPECT_TRUE(second.reply);
    EXPECT_EQ(this->table.size(), 1U);
}

TYPED_TEST(FlowsOf, TakesAsManyFlowsAsItPromisesAndNoMore) {
    for (std::uint32_t i = 0; i < this->table.capacity(); ++i) {
        ASSERT_NE(this->insert(key<TypeParam>(i)).entry, nullptr) << i;
    }
    EXPECT_EQ(this->insert(key<TypeParam>(5000)).entry, nullptr);
    EXPECT_EQ(this->table.size(), this->table.capacity());
    std::vector<FlowKey<TypeParam>> keys;
    for (std::uint32_t i = 0; i < this->table.capacity(); ++i) {
        keys.push_back(i % 2 == 0 ? key<TypeParam>(i) : key<TypeParam>(i).reversed());
    }
    std::vector<FlowHit<TypeParam>> hits(keys.size());
    this->table.lookup_bulk(keys.data(), hits.data(), static_cast<unsigned>(keys.size()));
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        ASSERT_NE(hits[i].entry, nullptr);
        EXPECT_EQ(hits[i].entry->key, key<TypeParam>(i));
        EXPECT_EQ(hits[i].reply, i % 2 != 0);
    }
}

TYPED_TEST(FlowsOf, DeadFlowIsPassedOverAndReplaced) {
    const auto k = key<TypeParam>(1);
    auto* dead = this->insert(k).entry;
    dead->state = FlowState::Dead;
    EXPECT_EQ(this->find(k).entry, nullptr);
    const auto next = this->insert(k.reversed());
    EXPECT_NE(next.entry, dead);
    EXPECT_EQ(this->find(k).entry, next.entry);
    EXPECT_EQ(this->table.age(0, {}, 1000), 1U);
    EXPECT_EQ(this->find(k).entry, next.entry);
    EXPECT_EQ(this->table.size(), 1U);
}

TYPED_TEST(FlowsOf, RemovesWhatIsCondemned) {
    for (std::uint32_t i = 0; i < 500; ++i) {
        this->insert(key<TypeParam>(i));
    }
    const auto odd = [](const auto& entry) { return entry.key.source_port.value() % 2 != 0; };
    EXPECT_EQ(this->table.remove_if(odd), 250U);
    for (std::uint32_t i = 0; i < 500; ++i) {
        EXPECT_EQ(this->find(key<TypeParam>(i)).entry != nullptr, i % 2 == 0);
    }
    std::size_t seen = 0;
    this->table.for_each([&](const auto&) { ++seen; });
    EXPECT_EQ(seen, 250U);
}

TYPED_TEST(FlowsOf, RoomOfRemovedFlowsIsUsedAgain) {
    for (std::uint32_t round = 0; round < 50; ++round) {
        for (std::uint32_t i = 0; i < 900; ++i) {
            ASSERT_NE(this->insert(key<TypeParam>(round * 900 + i)).entry, nullptr) << round;
        }
        ASSERT_EQ(this->table.remove_if([](const auto&) { return true; }), 900U);
        // A full reclaimer hands the entries back.
        for (unsigned i = 0; i < 16; ++i) {
            this->reclaimer.retire([] {});
        }
    }
    EXPECT_EQ(this->table.size(), 0U);
}

TYPED_TEST(FlowsOf, AgeWorksInSlices) {
    for (std::uint32_t i = 0; i < 100; ++i) {
        this->insert(key<TypeParam>(i), FlowState::Icmp);
    }
    std::size_t removed = 0;
    for (unsigned slice = 0; slice < 15; ++slice) {
        const auto now = this->table.age(1000, {}, 10);
        EXPECT_LE(now, 10U);
        removed += now;
    }
    EXPECT_EQ(removed, 100U);
}

TYPED_TEST(FlowsOf, WorkersClockAheadOfOursDoesNotAgeAFlow) {
    this->insert(key<TypeParam>(1), FlowState::Udp, 10);
    EXPECT_EQ(this->table.age(9, {}, 100), 0U);
}

struct Timeout {
    const char* name;
    FlowState state;
    FlowTick idle;  ///< longest silence that it survives
};

class FlowTimeout : public testing::TestWithParam<Timeout> {};

TEST_P(FlowTimeout, FlowGoesAfterItsStatesTimeout) {
    ImmediateReclaimer reclaimer;
    FlowTable<V4> table(reclaimer, 10, 1);
    static_cast<void>(table.insert(0, key<V4>(1), {{}, {}, GetParam().state, false, 0}, 100));
    EXPECT_EQ(table.age(100 + GetParam().idle, {}, 100), 0U);
    EXPECT_EQ(table.age(101 + GetParam().idle, {}, 100), 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Policy28,
    FlowTimeout,
    testing::Values(
        Timeout{"New", FlowState::New, 20 * 4},
        Timeout{"Established", FlowState::Established, 3600 * 4},
        Timeout{"Closing", FlowState::Closing, 30 * 4},
        Timeout{"Reset", FlowState::Reset, 40 * 4},
        Timeout{"Udp", FlowState::Udp, 60 * 4},
        Timeout{"Icmp", FlowState::Icmp, 5 * 4},
        Timeout{"Other", FlowState::Other, 600 * 4}),
    [](const auto& row) { return row.param.name; });

/// A flow with a mapping, both made of numbers.
template <typename F>
typename FlowTable<F>::Mapped insert_mapped(
    FlowTable<F>& table, std::uint32_t flow, std::uint32_t outside, FlowTick now = 0) {
    return table.insert_mapped(
        0, key<F>(flow), key<F>(outside), {.from = PortId{1}, .state = FlowState::Udp}, now);
}

template <typename F>
FlowHit<F> find_mapping(const FlowTable<F>& table, std::uint32_t n) {
    const FlowKey<F> k = key<F>(n);
    FlowHit<F> hit;
    table.lookup_mappings(&k, &hit, 1);
    return hit;
}

TYPED_TEST(FlowsOf, AFlowAndItsMappingFindEachOther) {
    const auto added = insert_mapped(this->table, 1, 2);
    ASSERT_NE(added.flow.entry, nullptr);
    EXPECT_EQ(this->find(key<TypeParam>(1)).entry, added.flow.entry);
    EXPECT_EQ(this->find(key<TypeParam>(2)).entry, nullptr) << "no flow";
    const auto mapping = find_mapping(this->table, 2);
    ASSERT_NE(mapping.entry, nullptr);
    EXPECT_EQ(find_mapping(this->table, 1).entry, nullptr);
    EXPECT_EQ(this->table.twin(*mapping.entry), added.flow.entry);
    EXPECT_EQ(this->table.twin(*added.flow.entry), mapping.entry);
}

TYPED_TEST(FlowsOf, AMappingsKeyIsTakenByFlowsToo) {
    this->insert(key<TypeParam>(3));
    EXPECT_TRUE(insert_mapped(this->table, 1, 3).taken);
    EXPECT_EQ(this->find(key<TypeParam>(1)).entry, nullptr);
    ASSERT_NE(insert_mapped(this->table, 1, 2).flow.entry, nullptr);
    EXPECT_TRUE(insert_mapped(this->table, 4, 2).taken);
    const auto met = this->insert(key<TypeParam>(2));
    EXPECT_EQ(met.entry, find_mapping(this->table, 2).entry) << "nor is it a flow's";
    EXPECT_EQ(this->table.size(), 3U);
}

TYPED_TEST(FlowsOf, AFlowsOwnKeyIsTakenForItsMapping) {
    EXPECT_TRUE(insert_mapped(this->table, 1, 1).taken);
    EXPECT_EQ(this->table.size(), 0U);
    EXPECT_FALSE(insert_mapped(this->table, 1, 2).taken);
    EXPECT_NE(this->find(key<TypeParam>(1)).entry, nullptr);
}

TYPED_TEST(FlowsOf, BothAreFoundByWhoAsksForAny) {
    ASSERT_NE(insert_mapped(this->table, 1, 2).flow.entry, nullptr);
    const std::array keys{key<TypeParam>(1), key<TypeParam>(2), key<TypeParam>(3)};
    std::array<FlowHit<TypeParam>, 3> hits;
    this->table.lookup_any(keys.data(), hits.data(), 3);
    EXPECT_EQ(hits[0].entry, this->find(keys[0]).entry);
    EXPECT_EQ(hits[1].entry, find_mapping(this->table, 2).entry);
    EXPECT_EQ(hits[2].entry, nullptr);
}

TYPED_TEST(FlowsOf, AKnownFlowKeepsItsMapping) {
    const auto first = insert_mapped(this->table, 1, 2);
    const auto second = insert_mapped(this->table, 1, 3);
    EXPECT_EQ(second.flow.entry, first.flow.entry);
    EXPECT_FALSE(second.taken);
    EXPECT_EQ(find_mapping(this->table, 3).entry, nullptr);
    EXPECT_EQ(this->table.twin(*first.flow.entry), find_mapping(this->table, 2).entry);
    this->table.age(0, {}, 1000);
    EXPECT_EQ(this->table.size(), 2U) << "what was prepared in vain is gone";
}

TYPED_TEST(FlowsOf, AMappingGoesWithItsFlow) {
    insert_mapped(this->table, 1, 2);
    insert_mapped(this->table, 5, 6, 4 * 60);
    this->table.age(4 * 60 + 1, {}, 1000);
    EXPECT_EQ(find_mapping(this->table, 2).entry, nullptr);
    EXPECT_NE(find_mapping(this->table, 6).entry, nullptr);
    EXPECT_EQ(this->table.size(), 2U);
    EXPECT_EQ(this->table.remove_if([](const auto& flow) { return flow.from == PortId{1}; }), 1U);
    EXPECT_EQ(this->table.size(), 0U);
}

TYPED_TEST(FlowsOf, ADeadFlowsMappingLeadsNowhere) {
    const auto added = insert_mapped(this->table, 1, 2);
    added.flow.entry->state = FlowState::Dead;
    const auto mapping = find_mapping(this->table, 2);
    ASSERT_NE(mapping.entry, nullptr);
    EXPECT_EQ(this->table.twin(*mapping.entry), nullptr);
    EXPECT_TRUE(insert_mapped(this->table, 1, 2).taken) << "until it is removed";
    this->table.age(0, {}, 1000);
    EXPECT_FALSE(insert_mapped(this->table, 1, 2).taken);
}

TYPED_TEST(FlowsOf, AFlowWithAMappingCountsForTheRoomThatItTakes) {
    insert_mapped(this->table, 1, 2);
    EXPECT_EQ(this->table.held_by(PortId{1}, 0), 2U);
    insert_mapped(this->table, 1, 3);
    this->table.age(0, {}, 1000);
    EXPECT_EQ(this->table.held_by(PortId{1}, 0), 2U) << "what was prepared in vain is gone";
    this->table.remove_if([](const auto&) { return true; });
    EXPECT_EQ(this->table.held_by(PortId{1}, 0), 0U);
}

TYPED_TEST(FlowsOf, OnlyFlowsAreVisited) {
    insert_mapped(this->table, 1, 2);
    std::vector<FlowKey<TypeParam>> seen;
    this->table.for_each([&](const auto& flow) { seen.push_back(flow.key); });
    EXPECT_EQ(seen, std::vector{key<TypeParam>(1)});
}

TYPED_TEST(FlowsOf, InAFullTableNoFlowIsEnteredByHalves) {
    FlowTable<TypeParam> small{this->reclaimer, 3, 1};
    EXPECT_NE(insert_mapped(small, 1, 2).flow.entry, nullptr);
    const auto second = insert_mapped(small, 3, 4);
    EXPECT_EQ(second.flow.entry, nullptr);
    EXPECT_FALSE(second.taken);
    EXPECT_EQ(small.size(), 2U);
    EXPECT_NE(small.insert(0, key<TypeParam>(5), {}, 0).entry, nullptr) << "the third";
}

}  // namespace
}  // namespace vr::flow_table_test
