// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "test/dataplane/allocations.h"
#include "test/dataplane/reference_lpm.h"
#include "test/dataplane/slow_reclaimer.h"
#include "test/rounds.h"
#include "vrouter/net/byte_order.h"

namespace vr::groups_test {
namespace {

template <typename F>
class GroupsOf : public testing::Test {
  public:
    SlowReclaimer reclaimer;
    GroupTable<F> table{reclaimer};

    void settle() {
        while (!table.is_settled()) {
            table.refresh(64);
        }
    }

    /// When all is settled.
    std::vector<unsigned> at(typename F::Addr address) {
        settle();
        return now_at(address);
    }

    std::vector<unsigned> now_at(typename F::Addr address) {
        std::vector<unsigned> ids;
        for (const GroupId id : table.lookup(address)->ids()) {
            ids.push_back(id.value());
        }
        return ids;
    }

    static typename F::Addr address(std::uint8_t first_byte, std::uint8_t last_byte) {
        std::array<std::uint8_t, 16> bytes{};
        bytes[0] = first_byte;
        bytes[F::kAddrBytes - 1] = last_byte;
        return F::Addr::load(bytes.data());
    }

    static Prefix<F> net(std::uint8_t first_byte, unsigned length) {
        return *Prefix<F>::make(address(first_byte, 0), length);
    }

    static Prefix<F> host(std::uint8_t first_byte, std::uint8_t last_byte) {
        return Prefix<F>::host(address(first_byte, last_byte));
    }
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(GroupsOf, Families);
using Wanted = std::vector<unsigned>;

TYPED_TEST(GroupsOf, UnknownAddressHasTheEmptySet) {
    EXPECT_EQ(this->at(this->address(10, 1)), Wanted{});
}

TYPED_TEST(GroupsOf, HostIsInEveryGroupThatNamesIt) {
    this->table.add(GroupId{9}, this->host(10, 1));
    this->table.add(GroupId{3}, this->host(10, 1));
    EXPECT_EQ(this->at(this->address(10, 1)), (Wanted{3, 9}));
    EXPECT_EQ(this->at(this->address(10, 2)), Wanted{});
}

TYPED_TEST(GroupsOf, NetAddsItsGroupToMembersInside) {
    this->table.add(GroupId{1}, this->host(10, 1));
    this->table.add(GroupId{2}, this->net(10, 8));
    EXPECT_EQ(this->at(this->address(10, 1)), (Wanted{1, 2}));
    this->table.add(GroupId{3}, this->host(10, 2));
    EXPECT_EQ(this->at(this->address(10, 2)), (Wanted{2, 3}));
    EXPECT_EQ(this->at(this->address(10, 3)), Wanted{2});
}

TYPED_TEST(GroupsOf, RemovedNetLeavesMembersInsideTheirOwnGroups) {
    this->table.add(GroupId{1}, this->host(10, 1));
    this->table.add(GroupId{2}, this->net(10, 8));
    this->table.remove(GroupId{2}, this->net(10, 8));
    EXPECT_EQ(this->at(this->address(10, 1)), Wanted{1});
    EXPECT_EQ(this->at(this->address(10, 2)), Wanted{});
}

TYPED_TEST(GroupsOf, GroupStaysWhileAnotherMemberOfItCovers) {
    this->table.add(GroupId{1}, this->net(10, 8));
    this->table.add(GroupId{1}, this->host(10, 1));
    this->table.remove(GroupId{1}, this->host(10, 1));
    EXPECT_EQ(this->at(this->address(10, 1)), Wanted{1});
    EXPECT_EQ(this->table.size(), 1U);
}

TYPED_TEST(GroupsOf, RepeatedAddAndForeignRemoveChangeNothing) {
    this->table.add(GroupId{1}, this->host(10, 1));
    this->table.add(GroupId{1}, this->host(10, 1));
    this->table.remove(GroupId{2}, this->host(10, 1));
    this->table.remove(GroupId{1}, this->host(10, 2));
    EXPECT_EQ(this->table.size(), 1U);
    EXPECT_EQ(this->at(this->address(10, 1)), Wanted{1});
}

TYPED_TEST(GroupsOf, EqualSetsAreStoredOnce) {
    this->table.add(GroupId{1}, this->host(10, 1));
    this->table.add(GroupId{1}, this->host(10, 2));
    EXPECT_EQ(this->table.lookup(this->address(10, 1)), this->table.lookup(this->address(10, 2)));
}

TYPED_TEST(GroupsOf, SetsKnowTheirGroups) {
    this->table.add(GroupId{5}, this->host(10, 1));
    EXPECT_TRUE(this->table.lookup(this->address(10, 1))->contains(GroupId{5}));
    EXPECT_FALSE(this->table.lookup(this->address(10, 1))->contains(GroupId{4}));
}

TYPED_TEST(GroupsOf, MembersInsideANetFollowInSlices) {
    for (unsigned i = 0; i < 200; ++i) {
        this->table.add(GroupId{1}, this->host(10, static_cast<std::uint8_t>(i)));
    }
    const auto with_both = [&] {
        unsigned count = 0;
        for (unsigned i = 0; i < 200; ++i) {
            const auto ids = this->now_at(this->address(10, static_cast<std::uint8_t>(i)));
            count += ids == Wanted{1, 2} ? 1 : 0;
        }
        return count;
    };
    this->table.add(GroupId{2}, this->net(10, 8));
    EXPECT_EQ(this->now_at(this->address(10, 255)), Wanted{2});
    EXPECT_EQ(this->table.refresh(50), 50U);
    EXPECT_EQ(with_both(), 49U);  // and the net
    this->settle();
    EXPECT_EQ(with_both(), 200U);
    this->table.remove(GroupId{2}, this->net(10, 8));
    EXPECT_EQ(this->table.refresh(50), 50U);
    EXPECT_EQ(with_both(), 150U);
    this->settle();
    EXPECT_EQ(with_both(), 0U);
}

TYPED_TEST(GroupsOf, MembersChangeWhileThoseInsideANetFollow) {
    for (unsigned i = 0; i < 100; ++i) {
        this->table.add(GroupId{1}, this->host(10, static_cast<std::uint8_t>(2 * i)));
    }
    this->table.add(GroupId{2}, this->net(10, 8));
    this->table.refresh(50);
    this->table.add(GroupId{1}, this->host(10, 3));  // before and behind where it is
    this->table.add(GroupId{1}, this->host(10, 151));
    EXPECT_EQ(this->now_at(this->address(10, 3)), (Wanted{1, 2}));
    EXPECT_EQ(this->now_at(this->address(10, 151)), (Wanted{1, 2}));
    for (unsigned i = 40; i < 60; ++i) {  // where it is
        this->table.remove(GroupId{1}, this->host(10, static_cast<std::uint8_t>(2 * i)));
    }
    this->table.add(GroupId{3}, this->net(0, 4));  // around it
    this->table.refresh(10);
    this->table.remove(GroupId{2}, this->net(10, 8));  // and it goes again
    this->settle();
    EXPECT_EQ(this->now_at(this->address(10, 2)), (Wanted{1, 3}));
    EXPECT_EQ(this->now_at(this->address(10, 100)), (Wanted{3}));
    EXPECT_EQ(this->now_at(this->address(10, 198)), (Wanted{1, 3}));
}

TYPED_TEST(GroupsOf, NetThatComesBackMeanwhileReachesAll) {
    for (unsigned i = 0; i < 100; ++i) {
        this->table.add(GroupId{1}, this->host(10, static_cast<std::uint8_t>(i)));
    }
    this->table.add(GroupId{2}, this->net(10, 8));
    this->settle();
    this->table.remove(GroupId{2}, this->net(10, 8));
    this->table.refresh(50);
    this->table.add(GroupId{2}, this->net(10, 8));
    this->settle();
    for (unsigned i = 0; i < 100; ++i) {
        const auto address = this->address(10, static_cast<std::uint8_t>(i));
        EXPECT_EQ(this->now_at(address), (Wanted{1, 2})) << i;
    }
}

TYPED_TEST(GroupsOf, AgreesWithTheListOfMembersUnderRandomChanges) {
    using F = TypeParam;
    std::mt19937 random(7);
    std::set<std::pair<Prefix<F>, unsigned>> members;
    constexpr unsigned kPhase = test::rounds(1000);
    for (unsigned step = 0; step < 6 * kPhase; ++step) {
        const auto group = static_cast<unsigned>(random() % 12);
        if (members.empty() || random() % 100 < (step / kPhase % 2 == 0 ? 75U : 35U)) {
            const auto member = clustered_prefix<F>(random);
            this->table.add(GroupId{group}, member);
            members.emplace(member, group);
        } else {
            auto victim = members.lower_bound({clustered_prefix<F>(random), group});
            victim = victim == members.end() ? members.begin() : victim;
            this->table.remove(GroupId{victim->second}, victim->first);
            members.erase(victim);
        }
        ASSERT_EQ(this->table.size(), members.size());
        if (random() % 4 != 0) {
            this->table.refresh(random() % 3);  // others change while it is at it
            continue;
        }
        this->settle();
        constexpr unsigned kProbes = 20;
        std::array<typename F::Addr, kProbes> addresses;
        std::array<const GroupSet*, kProbes> sets;
        for (auto& address : addresses) {
            address = clustered_address<F>(random);
        }
        this->table.lookup_bulk(addresses.data(), sets.data(), kProbes);
        for (unsigned i = 0; i < kProbes; ++i) {
            std::set<unsigned> wanted;
            for (const auto& [member, id] : members) {
                if (member.contains(addresses[i])) {
                    wanted.insert(id);
                }
            }
            ASSERT_EQ(this->at(addresses[i]), (Wanted{wanted.begin(), wanted.end()}));
            ASSERT_EQ(sets[i], this->table.lookup(addresses[i]));
        }
    }
}

/// A group of very many members comes and goes: each of them costs what it would in a small one.
TYPED_TEST(GroupsOf, OneMemberCostsLittleHoweverManyThereAre) {
    using F = TypeParam;
    constexpr unsigned kMembers = test::rounds(50'000);
    std::vector<Prefix<F>> members;
    for (std::uint32_t n = 0; n < kMembers; ++n) {
        std::array<std::uint8_t, 16> bytes{10};
        store_be(bytes.data() + F::kAddrBytes - 4, n);
        bytes[0] = 10;
        members.push_back(Prefix<F>::host(F::Addr::load(bytes.data())));
    }
    std::shuffle(members.begin(), members.end(), std::mt19937{8});
    test::Allocations most;
    const auto measure = [&](auto change) {
        for (const auto& member : members) {
            const test::Allocations now = test::allocations_of([&] { change(member); });
            most = {std::max(most.bytes, now.bytes), std::max(most.calls, now.calls)};
        }
    };
    measure([&](const auto& member) { this->table.add(GroupId{1}, member); });
    measure([&](const auto& member) { this->table.add(GroupId{2}, member); });
    EXPECT_EQ(this->table.size(), 2 * members.size());
    measure([&](const auto& member) { this->table.remove(GroupId{1}, member); });
    measure([&](const auto& member) { this->table.remove(GroupId{2}, member); });
    EXPECT_EQ(this->table.size(), 0U);
    EXPECT_LE(most.bytes, 131072U);  // a chunk each of two PrefixTries, and little else
    EXPECT_LE(most.calls, 100U);
}

}  // namespace
}  // namespace vr::groups_test
