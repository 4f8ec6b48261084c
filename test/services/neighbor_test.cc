// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/neighbor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "test/services/frames.h"

namespace vr::neighbor_test {
namespace {

using namespace std::chrono_literals;
using namespace vr::test;

constexpr PortId kPort{1};
constexpr PortId kOtherPort{2};
constexpr nd::AdvertisementFlags kSolicited{
    .router = false, .solicited = true, .override_cached = true};
constexpr nd::AdvertisementFlags kGratuitous{
    .router = false, .solicited = false, .override_cached = true};
constexpr nd::AdvertisementFlags kProxied{
    .router = false, .solicited = false, .override_cached = false};

template <typename F>
class NeighborsOf : public testing::Test {
  public:
    using N = Neighbors<F>;
    using Key = NeighborKey<F>;
    using Actions = typename N::Actions;

    static Key key(unsigned host, PortId port = kPort) {
        if constexpr (F::kVersion == 4) {
            return {port, Ip4{0x0a000000U + host}};
        } else {
            return {port, Ip6{0xfd00000000000000U, host}};
        }
    }

    static typename N::Waiting packet(unsigned handle, std::size_t size = 100) {
        return {HeldPacket{handle}, size};
    }

    static std::vector<HeldPacket> handles(std::initializer_list<unsigned> numbers) {
        std::vector<HeldPacket> all;
        for (const unsigned number : numbers) {
            all.push_back(HeldPacket{number});
        }
        return all;
    }

    template <typename... Each>
    static Actions actions(Each... each) {
        return {each...};
    }

    static Heard<F> heard(const Key& who, Mac mac, std::optional<nd::AdvertisementFlags> flags) {
        return {who, mac, flags};
    }

    NeighborState state(const Key& who) { return neighbors.find(who).value().state; }

    /// Makes the neighbor Reachable at kPeerMac.
    void make_reachable(const Key& who, TimePoint now = kStart) {
        static_cast<void>(neighbors.resolve(who, std::nullopt, now));
        static_cast<void>(neighbors.hear(heard(who, kPeerMac, kSolicited), now));
    }

    void make_stale(const Key& who, TimePoint now = kStart) {
        static_cast<void>(neighbors.hear(heard(who, kPeerMac, std::nullopt), now));
    }

    NeighborSettings settings{
        .max_entries_per_port = 4,
        .max_entries = 6,
        .max_held_per_entry = 3,
        .max_held_bytes_per_entry = 1000,
        .max_held = 5,
        .max_held_bytes = 3000};
    N neighbors{settings};
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(NeighborsOf, Families);

TYPED_TEST(NeighborsOf, FirstPacketAsksTheGroupAndWaits) {
    const auto who = this->key(1);
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(7), kStart),
        this->actions(Solicit<TypeParam>{who, std::nullopt}));
    EXPECT_EQ(this->state(who), NeighborState::Incomplete);
    EXPECT_EQ(this->neighbors.next_deadline(), kStart + 1s);
}

TYPED_TEST(NeighborsOf, MorePacketsAskNoMore) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, this->packet(1), kStart));
    EXPECT_EQ(this->neighbors.resolve(who, this->packet(2), kStart + 1ms), this->actions());
}

TYPED_TEST(NeighborsOf, AnswerReleasesInOrder) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, this->packet(1), kStart));
    static_cast<void>(this->neighbors.resolve(who, this->packet(2), kStart));
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kPeerMac, kSolicited), kStart + 1ms),
        this->actions(
            Resolved<TypeParam>{who, kPeerMac},
            Release<TypeParam>{who, kPeerMac, this->handles({1, 2})}));
    EXPECT_EQ(this->state(who), NeighborState::Reachable);
    EXPECT_EQ(this->neighbors.held(), 0U);
}

TYPED_TEST(NeighborsOf, SilenceIsAskedThreeTimesThenFails) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, this->packet(1), kStart));
    EXPECT_EQ(
        this->neighbors.tick(kStart + 1s), this->actions(Solicit<TypeParam>{who, std::nullopt}));
    EXPECT_EQ(
        this->neighbors.tick(kStart + 2s), this->actions(Solicit<TypeParam>{who, std::nullopt}));
    EXPECT_EQ(
        this->neighbors.tick(kStart + 3s),
        this->actions(Drop<TypeParam>{who, HoldDrop::Unresolved, this->handles({1})}));
    EXPECT_EQ(this->state(who), NeighborState::Failed);
}

TYPED_TEST(NeighborsOf, FailedIsLeftAloneForAWhile) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    for (const auto at : {1s, 2s, 3s}) {
        static_cast<void>(this->neighbors.tick(kStart + at));
    }
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(1), kStart + 4s),
        this->actions(Drop<TypeParam>{who, HoldDrop::Unresolved, this->handles({1})}));
    EXPECT_EQ(this->neighbors.tick(kStart + 13s), this->actions());
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(2), kStart + 13s),
        this->actions(Solicit<TypeParam>{who, std::nullopt}));
}

TYPED_TEST(NeighborsOf, FailedRecoversWhenItSpeaks) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    for (const auto at : {1s, 2s, 3s}) {
        static_cast<void>(this->neighbors.tick(kStart + at));
    }
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kPeerMac, kGratuitous), kStart + 4s),
        this->actions(Resolved<TypeParam>{who, kPeerMac}));
}

TYPED_TEST(NeighborsOf, SolicitationCreatesAStaleEntry) {
    const auto who = this->key(1);
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kPeerMac, std::nullopt), kStart),
        this->actions(Resolved<TypeParam>{who, kPeerMac}));
    EXPECT_EQ(this->state(who), NeighborState::Stale);
}

TYPED_TEST(NeighborsOf, AdvertisementCreatesNothing) {
    EXPECT_EQ(
        this->neighbors.hear(this->heard(this->key(1), kPeerMac, kGratuitous), kStart),
        this->actions());
    EXPECT_EQ(this->neighbors.size(), 0U);
}

TYPED_TEST(NeighborsOf, GroupAndZeroMacsAreNeverLearnt) {
    static_cast<void>(
        this->neighbors.hear(this->heard(this->key(1), kBroadcastMac, std::nullopt), kStart));
    static_cast<void>(this->neighbors.hear(this->heard(this->key(1), Mac{}, std::nullopt), kStart));
    EXPECT_EQ(this->neighbors.size(), 0U);
}

TYPED_TEST(NeighborsOf, GratuitousUpdateMovesAnEntry) {
    const auto who = this->key(1);
    this->make_reachable(who);
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kOtherMac, kGratuitous), kStart),
        this->actions(Resolved<TypeParam>{who, kOtherMac}));
    EXPECT_EQ(this->state(who), NeighborState::Stale);
}

TYPED_TEST(NeighborsOf, DifferentMacWithoutOverrideOnlyRaisesDoubt) {
    const auto who = this->key(1);
    this->make_reachable(who);
    EXPECT_EQ(this->neighbors.hear(this->heard(who, kOtherMac, kProxied), kStart), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Stale);
    EXPECT_EQ(this->neighbors.find(who)->mac, kPeerMac);
}

TYPED_TEST(NeighborsOf, SolicitationFromANewMacUpdates) {
    const auto who = this->key(1);
    this->make_reachable(who);
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kOtherMac, std::nullopt), kStart),
        this->actions(Resolved<TypeParam>{who, kOtherMac}));
    EXPECT_EQ(this->state(who), NeighborState::Stale);
}

TYPED_TEST(NeighborsOf, SolicitationFromTheKnownMacChangesNothing) {
    const auto who = this->key(1);
    this->make_reachable(who);
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kPeerMac, std::nullopt), kStart), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Reachable);
}

TYPED_TEST(NeighborsOf, AnswerWithoutMacConfirmsTheKnownOne) {
    const auto who = this->key(1);
    this->make_stale(who);
    EXPECT_EQ(this->neighbors.hear({who, std::nullopt, kSolicited}, kStart), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Reachable);
}

TYPED_TEST(NeighborsOf, AnswerWithoutMacResolvesNothing) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    EXPECT_EQ(this->neighbors.hear({who, std::nullopt, kSolicited}, kStart), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Incomplete);
}

TYPED_TEST(NeighborsOf, RouterFlagIsRemembered) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    static_cast<void>(this->neighbors.hear(
        this->heard(who, kPeerMac, nd::AdvertisementFlags{.router = true, .solicited = true}),
        kStart));
    EXPECT_TRUE(this->neighbors.find(who)->router);
}

TYPED_TEST(NeighborsOf, ReachableAgesToStaleSilently) {
    const auto who = this->key(1);
    this->make_reachable(who);
    EXPECT_EQ(this->neighbors.tick(kStart + 30s), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Stale);
}

TYPED_TEST(NeighborsOf, UsedStaleEntryIsProbedByUnicast) {
    const auto who = this->key(1);
    this->make_stale(who);
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(1), kStart),
        this->actions(Release<TypeParam>{who, kPeerMac, this->handles({1})}));
    EXPECT_EQ(this->state(who), NeighborState::Delay);
    EXPECT_EQ(this->neighbors.tick(kStart + 5s), this->actions(Solicit<TypeParam>{who, kPeerMac}));
    EXPECT_EQ(this->state(who), NeighborState::Probe);
}

TYPED_TEST(NeighborsOf, ProbeAnsweredIsReachableAgain) {
    const auto who = this->key(1);
    this->make_stale(who);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    static_cast<void>(this->neighbors.tick(kStart + 5s));
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kPeerMac, kSolicited), kStart + 5s), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Reachable);
}

TYPED_TEST(NeighborsOf, ProbeUnansweredThreeTimesLosesTheNeighbor) {
    const auto who = this->key(1);
    this->make_stale(who);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    for (const auto at : {5s, 6s, 7s}) {
        EXPECT_EQ(
            this->neighbors.tick(kStart + at), this->actions(Solicit<TypeParam>{who, kPeerMac}));
    }
    EXPECT_EQ(this->neighbors.tick(kStart + 8s), this->actions(Lost<TypeParam>{who}));
    EXPECT_EQ(this->state(who), NeighborState::Failed);
}

TYPED_TEST(NeighborsOf, ConfirmationSparesTheProbe) {
    const auto who = this->key(1);
    this->make_stale(who);
    static_cast<void>(this->neighbors.resolve(who, std::nullopt, kStart));
    this->neighbors.confirm(who, kStart + 1s);
    EXPECT_EQ(this->neighbors.tick(kStart + 6s), this->actions());
    EXPECT_EQ(this->state(who), NeighborState::Reachable);
}

TYPED_TEST(NeighborsOf, ConfirmationOfTheUnknownDoesNothing) {
    this->neighbors.confirm(this->key(1), kStart);
    static_cast<void>(this->neighbors.resolve(this->key(2), std::nullopt, kStart));
    this->neighbors.confirm(this->key(2), kStart);
    EXPECT_EQ(this->state(this->key(2)), NeighborState::Incomplete);
    EXPECT_EQ(this->neighbors.size(), 1U);
}

TYPED_TEST(NeighborsOf, UnusedStaleEntryIsForgotten) {
    const auto who = this->key(1);
    this->make_stale(who);
    EXPECT_EQ(this->neighbors.tick(kStart + 20min), this->actions(Lost<TypeParam>{who}));
    EXPECT_EQ(this->neighbors.size(), 0U);
    EXPECT_EQ(this->neighbors.next_deadline(), std::nullopt);
}

TYPED_TEST(NeighborsOf, PermanentResolvesAndStays) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, this->packet(1), kStart));
    EXPECT_EQ(
        this->neighbors.add_permanent(who, kPeerMac),
        this->actions(
            Resolved<TypeParam>{who, kPeerMac},
            Release<TypeParam>{who, kPeerMac, this->handles({1})}));
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kOtherMac, kGratuitous), kStart), this->actions());
    EXPECT_EQ(
        this->neighbors.hear(this->heard(who, kOtherMac, std::nullopt), kStart), this->actions());
    EXPECT_EQ(this->neighbors.tick(kStart + 24h), this->actions());
    EXPECT_EQ(this->neighbors.find(who)->mac, kPeerMac);
    EXPECT_EQ(this->neighbors.remove(who), this->actions(Lost<TypeParam>{who}));
}

TYPED_TEST(NeighborsOf, PortRemovedTakesItsEntriesOnly) {
    const auto mine = this->key(1);
    const auto other = this->key(1, kOtherPort);
    static_cast<void>(this->neighbors.resolve(mine, this->packet(1), kStart));
    this->make_stale(other);
    static_cast<void>(this->neighbors.add_permanent(this->key(2), kPeerMac));
    EXPECT_EQ(
        this->neighbors.remove_port(kPort),
        this->actions(
            Drop<TypeParam>{mine, HoldDrop::PortGone, this->handles({1})},
            Lost<TypeParam>{this->key(2)}));
    EXPECT_EQ(this->neighbors.size(), 1U);
    EXPECT_EQ(this->state(other), NeighborState::Stale);
}

TYPED_TEST(NeighborsOf, NewestPacketsReplaceTheOldest) {
    const auto who = this->key(1);
    for (const unsigned handle : {1U, 2U, 3U}) {
        static_cast<void>(this->neighbors.resolve(who, this->packet(handle), kStart));
    }
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(4), kStart),
        this->actions(Drop<TypeParam>{who, HoldDrop::NoRoom, this->handles({1})}));
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(5, 950), kStart),
        this->actions(Drop<TypeParam>{who, HoldDrop::NoRoom, this->handles({2, 3, 4})}));
}

TYPED_TEST(NeighborsOf, PacketBeyondTheByteBoundIsDroppedAlone) {
    const auto who = this->key(1);
    static_cast<void>(this->neighbors.resolve(who, this->packet(1), kStart));
    EXPECT_EQ(
        this->neighbors.resolve(who, this->packet(2, 1001), kStart),
        this->actions(Drop<TypeParam>{who, HoldDrop::NoRoom, this->handles({2})}));
    EXPECT_EQ(this->neighbors.held(), 1U);
}

TYPED_TEST(NeighborsOf, OverallBoundRefusesAnotherEntrysPackets) {
    for (const unsigned handle : {1U, 2U, 3U}) {
        static_cast<void>(this->neighbors.resolve(this->key(1), this->packet(handle), kStart));
    }
    for (const unsigned handle : {4U, 5U}) {
        static_cast<void>(this->neighbors.resolve(this->key(2), this->packet(handle), kStart));
    }
    const auto actions = this->neighbors.resolve(this->key(3), this->packet(6), kStart);
    EXPECT_EQ(
        actions.front(),
        (typename TestFixture::N::Action{
            Drop<TypeParam>{this->key(3), HoldDrop::NoRoom, this->handles({6})}}));
    EXPECT_EQ(this->neighbors.held(), 5U);
}

TYPED_TEST(NeighborsOf, FullPortGivesUpTheLeastUseful) {
    this->make_stale(this->key(1), kStart);
    this->make_reachable(this->key(2), kStart);
    static_cast<void>(this->neighbors.resolve(this->key(3), std::nullopt, kStart));
    this->make_stale(this->key(4), kStart + 1s);
    // Unresolved goes before stale, the longest unused stale before the others.
    this->make_stale(this->key(5), kStart + 2s);
    EXPECT_FALSE(this->neighbors.find(this->key(3)));
    this->make_stale(this->key(6), kStart + 2s);
    EXPECT_FALSE(this->neighbors.find(this->key(1)));
    EXPECT_TRUE(this->neighbors.find(this->key(2)));
    EXPECT_EQ(this->neighbors.size(), 4U);
}

TYPED_TEST(NeighborsOf, EntriesInUseAreNotEvicted) {
    for (const unsigned host : {1U, 2U, 3U}) {
        this->make_reachable(this->key(host));
    }
    static_cast<void>(this->neighbors.add_permanent(this->key(4), kPeerMac));
    EXPECT_EQ(
        this->neighbors.resolve(this->key(5), this->packet(1), kStart),
        this->actions(Drop<TypeParam>{this->key(5), HoldDrop::NoRoom, this->handles({1})}));
    EXPECT_EQ(this->neighbors.size(), 4U);
}

TYPED_TEST(NeighborsOf, FullTableTakesFromTheSamePortOnly) {
    for (const unsigned host : {1U, 2U, 3U}) {
        this->make_stale(this->key(host));
        this->make_stale(this->key(host, kOtherPort));
    }
    this->make_stale(this->key(4), kStart + 1s);
    EXPECT_EQ(this->neighbors.size(), 6U);
    EXPECT_FALSE(this->neighbors.find(this->key(1)));
    EXPECT_TRUE(this->neighbors.find(this->key(1, kOtherPort)));
    EXPECT_EQ(
        this->neighbors.resolve(this->key(1, PortId{3}), this->packet(1), kStart),
        this->actions(
            Drop<TypeParam>{this->key(1, PortId{3}), HoldDrop::NoRoom, this->handles({1})}));
}

TYPED_TEST(NeighborsOf, ScanOfDeadAddressesIsRateLimitedAndBounded) {
    this->settings.solicits_per_port = {.per_second = 10, .burst = 10};
    Neighbors<TypeParam> tight{this->settings};
    std::size_t solicits = 0;
    for (unsigned host = 1; host <= 1000; ++host) {
        for (const auto& action : tight.resolve(this->key(host), this->packet(host), kStart)) {
            solicits += std::holds_alternative<Solicit<TypeParam>>(action) ? 1 : 0;
        }
    }
    EXPECT_EQ(solicits, 10U);
    EXPECT_EQ(tight.size(), 4U);
    EXPECT_EQ(tight.held(), 4U);
}

TYPED_TEST(NeighborsOf, EntryThatMayNeverAskGivesUp) {
    this->settings.solicits_per_port = {.per_second = 1, .burst = 1};
    this->settings.solicits = {.per_second = 1, .burst = 1};
    Neighbors<TypeParam> tight{this->settings};
    // The busy port takes every token there is, so the other one never gets to ask.
    static_cast<void>(tight.resolve(this->key(1), this->packet(1), kStart));
    for (int second = 1; second < 30; ++second) {
        const auto now = kStart + std::chrono::seconds{second};
        static_cast<void>(tight.remove(this->key(99, kOtherPort)));
        static_cast<void>(tight.resolve(this->key(99, kOtherPort), std::nullopt, now));
        static_cast<void>(tight.tick(now));
    }
    EXPECT_EQ(tight.held(), 0U);
}

// Random events: the bounds hold, and every handle that went in comes out exactly once.
TYPED_TEST(NeighborsOf, KeepsItsBoundsUnderRandomEvents) {
    std::mt19937 engine{1};
    const auto random = [&](unsigned below) { return static_cast<unsigned>(engine() % below); };
    std::vector<int> seen(5001);
    TimePoint now = kStart;
    const auto count = [&](const typename TestFixture::Actions& actions) {
        for (const auto& action : actions) {
            if (const auto* release = std::get_if<Release<TypeParam>>(&action)) {
                for (const HeldPacket packet : release->packets) {
                    ++seen.at(static_cast<std::size_t>(packet));
                }
            } else if (const auto* drop = std::get_if<Drop<TypeParam>>(&action)) {
                for (const HeldPacket packet : drop->packets) {
                    ++seen.at(static_cast<std::size_t>(packet));
                }
            }
        }
        ASSERT_LE(this->neighbors.size(), this->settings.max_entries + 1);
        ASSERT_LE(this->neighbors.held(), this->settings.max_held);
    };
    for (unsigned handle = 1; handle <= 5000; ++handle) {
        const auto who = this->key(random(9), PortId{static_cast<std::uint16_t>(1 + random(3))});
        const Mac mac = random(2) == 0 ? kPeerMac : kOtherMac;
        const std::array flags{kSolicited, kGratuitous, kProxied};
        count(this->neighbors.resolve(who, this->packet(handle, random(1200)), now));
        switch (random(8)) {
            case 0:
                count(this->neighbors.hear(this->heard(who, mac, std::nullopt), now));
                break;
            case 1:
                count(this->neighbors.hear(this->heard(who, mac, flags.at(random(3))), now));
                break;
            case 2:
                count(this->neighbors.remove_port(who.port));
                break;
            case 3:
                this->neighbors.confirm(who, now);
                break;
            case 4:
                count(this->neighbors.remove(who));
                break;
            default:
                now += std::chrono::milliseconds{random(3000)};
                count(this->neighbors.tick(now));
                break;
        }
    }
    for (const unsigned port : {1U, 2U, 3U}) {
        count(this->neighbors.remove_port(PortId{static_cast<std::uint16_t>(port)}));
    }
    EXPECT_TRUE(std::all_of(seen.begin() + 1, seen.end(), [](int times) { return times == 1; }));
    EXPECT_EQ(this->neighbors.next_deadline(), std::nullopt);
}

}  // namespace
}  // namespace vr::neighbor_test
