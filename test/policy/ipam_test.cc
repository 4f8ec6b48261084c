// Which addresses a host gets, from whom, and how they are given back; several at once, too.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "policy/ipam/cidr.h"
#include "policy/ipam/release.h"
#include "test/policy/ipam_lab.h"

namespace vr::policy::ipam::ipam_test {
namespace {

class Ipam : public testing::Test, public IpamLab {
  protected:
    Ipam() {
        node("h1");
        node("h2");
    }

    /// A pool of two blocks of four addresses.
    void small_pool() { pool("small", "10.0.0.0/29", R"(,"blockSize":30)"); }

    /// Where the addresses are from; "?" and the reason when there are none.
    static std::string origins(const Result<std::vector<Assigned>>& assigned) {
        if (!assigned) {
            return "? " + assigned.error().text;
        }
        std::string text;
        for (const Assigned& each : *assigned) {
            text += (text.empty() ? "" : " ") + std::string(to_string(each.origin));
        }
        return text;
    }
};

TEST_F(Ipam, AFirstAddressClaimsABlock) {
    pool("p", "10.0.0.0/16");
    const auto assigned = get("h1");
    ASSERT_EQ(origins(assigned), "claimed");
    const IpPrefix cidr = assigned->front().block;
    EXPECT_EQ(length_of(cidr), 26U);
    EXPECT_EQ(claim("h1", vr::to_string(cidr)), kConfirmed);
    EXPECT_EQ(block(vr::to_string(cidr)).host(), "h1");
    EXPECT_EQ(handle("c1"), R"({"block":{")" + vr::to_string(cidr) + R"(":1},"deleted":false})");
    EXPECT_EQ(records.commits, 1U);
}

TEST_F(Ipam, TheAllocationTellsWhereAndWhen) {
    pool("p", "10.0.0.0/26");
    Request request{.host = "h1", .handle = "c1", .attributes = {{"pod", "web"}}, .count4 = 1};
    const auto assigned = allocate(records, request, kNow);
    const auto found = block("10.0.0.0/26").find(assigned->front().address);
    EXPECT_EQ(found->handle, "c1");
    EXPECT_EQ(
        found->attributes,
        (Attributes{
            {"node", "h1"}, {"pod", "web"}, {"timestamp", "2025-11-22 07:10:17 +0000 UTC"}}));
}

TEST_F(Ipam, BothFamiliesHaveOneHandle) {
    pool("p4", "10.0.0.0/26");
    pool("p6", "fd00::/122");
    Request request{.host = "h1", .handle = "c1", .count4 = 1, .count6 = 2};
    ASSERT_EQ(allocate(records, request, kNow)->size(), 3U);
    EXPECT_EQ(handle("c1"), R"({"block":{"10.0.0.0/26":1,"fd00::/122":2},"deleted":false})");
}

TEST_F(Ipam, OwnBlocksComeFirstThenNewThenOthers) {
    small_pool();
    EXPECT_EQ(origins(get("h1", 3)), "claimed claimed claimed");
    EXPECT_EQ(origins(get("h2", 1)), "claimed");
    EXPECT_EQ(origins(get("h1", 3)), "own borrowed borrowed");
    EXPECT_EQ(origins(get("h2", 1)), "own");
    EXPECT_EQ(origins(get("h1")), "? no IPv4 address is left for host h1 in 1 pools with 2 blocks");
}

TEST_F(Ipam, AllOrNothing) {
    small_pool();
    EXPECT_FALSE(get("h1", 9));
    EXPECT_EQ(handle("c1"), "");
    EXPECT_EQ(origins(get("h1", 8)).substr(0, 3), "own");
}

TEST_F(Ipam, StrictAffinityForbidsToBorrow) {
    small_pool();
    config(R"({"strict_affinity":true,"auto_allocate_blocks":true})");
    EXPECT_TRUE(get("h1"));
    EXPECT_TRUE(get("h2"));
    EXPECT_NE(origins(get("h1", 4)).find("strict affinity forbids"), std::string::npos);
}

TEST_F(Ipam, AHostHasAtMostTheBlocksThatItMay) {
    small_pool();
    config(R"({"auto_allocate_blocks":true,"maxBlocksPerHost":1})");
    EXPECT_EQ(origins(get("h1", 4)), "claimed claimed claimed claimed");
    EXPECT_NE(origins(get("h1")).find("maxBlocksPerHost"), std::string::npos);
}

TEST_F(Ipam, WithoutAutomaticBlocksThereIsOnlyWhatIsThere) {
    small_pool();
    config("{}");
    EXPECT_NE(origins(get("h1")).find("not allocated automatically"), std::string::npos);
    store(Block(*parse_prefix("10.0.0.0/30"), "host:h2", 1));
    EXPECT_EQ(origins(get("h1")), "borrowed");
}

TEST_F(Ipam, AnEmptyBlockOfAHostThatIsGoneIsTakenOver) {
    pool("p", "10.0.0.0/26");
    store(Block(*parse_prefix("10.0.0.0/26"), "host:gone", 1));
    set_claim("gone", "10.0.0.0/26");
    EXPECT_EQ(origins(get("h1")), "taken_over");
    EXPECT_EQ(claim("gone", "10.0.0.0/26"), "");
    EXPECT_EQ(claim("h1", "10.0.0.0/26"), kConfirmed);
    EXPECT_EQ(block("10.0.0.0/26").host(), "h1");
}

TEST_F(Ipam, AHostKeepsItsLastBlock) {
    pool("p", "10.0.0.0/26");
    store(Block(*parse_prefix("10.0.0.0/26"), "host:h2", 1));
    EXPECT_EQ(origins(get("h1")), "borrowed");
}

TEST_F(Ipam, ABlockOfOneAddressIsNotKept) {
    pool("p", "10.0.0.0/32", R"(,"blockSize":32)");
    store(Block(*parse_prefix("10.0.0.0/32"), "host:h2", 1));
    set_claim("h2", "10.0.0.0/32");
    EXPECT_EQ(origins(get("h1")), "taken_over");
    EXPECT_EQ(claim("h2", "10.0.0.0/32"), "");
}

TEST_F(Ipam, AnEmptyBlockOfAHostWithAnotherIsTakenOver) {
    small_pool();
    store(Block(*parse_prefix("10.0.0.0/30"), "host:h2", 1));
    store(Block(*parse_prefix("10.0.0.4/30"), "host:h2", 1));
    EXPECT_EQ(origins(get("h1")), "taken_over");
    EXPECT_EQ(origins(get("h1", 4)), "own own own borrowed");
}

TEST_F(Ipam, BlocksOfNoHostAreLeftAlone) {
    pool("p", "10.0.0.0/26");
    store(Block(*parse_prefix("10.0.0.0/26"), "virtual:load-balancer", 1));
    EXPECT_FALSE(get("h1"));
}

TEST_F(Ipam, WhatAnotherBeganIsFinished) {
    pool("p", "10.0.0.0/26");
    set_claim("h1", "10.0.0.0/26", AffinityState::Pending);
    EXPECT_EQ(origins(get("h1")), "claimed");
    EXPECT_EQ(claim("h1", "10.0.0.0/26"), kConfirmed);
    set_claim("h1", "10.0.0.0/26", AffinityState::Pending);
    EXPECT_EQ(origins(get("h1")), "own");
    EXPECT_EQ(claim("h1", "10.0.0.0/26"), kConfirmed);
}

TEST_F(Ipam, AClaimToABlockOfAnotherCountsForNothing) {
    small_pool();
    store(Block(*parse_prefix("10.0.0.0/30"), "host:h2", 1));
    set_claim("h1", "10.0.0.0/30", AffinityState::Pending);
    const auto assigned = get("h1");
    ASSERT_EQ(origins(assigned), "claimed");
    EXPECT_EQ(vr::to_string(assigned->front().block), "10.0.0.4/30");
}

TEST_F(Ipam, ABlockThatCannotBeReadIsPassedOver) {
    small_pool();
    records.put(BlockId{*parse_prefix("10.0.0.0/30")}, "garbage");
    set_claim("h1", "10.0.0.0/30");
    EXPECT_EQ(vr::to_string(get("h1")->front().block), "10.0.0.4/30");
}

TEST_F(Ipam, NewBlocksOverlapNone) {
    pool("p", "10.0.0.0/24");
    store(Block(*parse_prefix("10.0.0.0/25"), "host:h2", 1));
    store(Block(*parse_prefix("10.0.0.128/28"), "host:h2", 1));
    EXPECT_EQ(vr::to_string(get("h1")->front().block), "10.0.0.192/26");
}

TEST_F(Ipam, ABlockMadeForAClaimOverlapsNone) {
    pool("p", "10.0.0.0/25");
    store(Block(*parse_prefix("10.0.0.0/28"), "host:h2", 1));
    set_claim("h1", "10.0.0.0/26");
    EXPECT_EQ(vr::to_string(get("h1")->front().block), "10.0.0.64/26");
}

class IpamAddress : public Ipam {
  protected:
    std::string ask(const std::string& address) {
        Request request{.host = "h1", .handle = "c1", .address = *parse_ip(address)};
        return origins(allocate(records, request, kNow));
    }
};

TEST_F(IpamAddress, IsTakenFromTheBlockThatHasItWhateverItsSize) {
    pool("p", "10.0.0.0/24");
    for (const auto* cidr : {"10.0.0.0/28", "10.0.0.128/25"}) {
        Block block(*parse_prefix(cidr), "host:h2", 1);
        (void)block.assign(6, "c2", {}, {});
        store(block);
    }
    EXPECT_EQ(ask("10.0.0.5"), "? 10.0.0.5 is taken");
    EXPECT_EQ(ask("10.0.0.130"), "? 10.0.0.130 is taken");
    EXPECT_EQ(ask("10.0.0.9"), "borrowed");
    EXPECT_EQ(block("10.0.0.0/28").used(), 7U);
}

TEST_F(IpamAddress, IsNotGivenWhereBlocksOverlapOrWould) {
    pool("p", "10.0.0.0/24");
    store(Block(*parse_prefix("10.0.0.0/28"), "host:h2", 1));
    store(Block(*parse_prefix("10.0.0.128/25"), "host:h2", 1));
    store(Block(*parse_prefix("10.0.0.128/26"), "host:h2", 1));
    for (const auto* address : {"10.0.0.17", "10.0.0.129"}) {
        EXPECT_EQ(ask(address), std::string("? ") + address + " is where blocks overlap, or would");
    }
}

TEST_F(Ipam, ReservedAddressesAreNotGivenOut) {
    small_pool();
    records.put(
        ReservationId{"r"},
        object("IPReservation", "r", R"("reservedCIDRs":["10.0.0.0/30","10.0.0.4"])"));
    EXPECT_EQ(get("h1", 3)->size(), 3U);
    EXPECT_FALSE(get("h1"));
}

TEST_F(Ipam, AReservationThatCannotBeReadIsNotPassedOver) {
    small_pool();
    records.put(ReservationId{"r"}, object("IPReservation", "r", R"("reservedCIDRs":["x"])"));
    EXPECT_NE(origins(get("h1")).find("IPReservation r"), std::string::npos);
}

TEST_F(Ipam, AnAddressCanBeAskedFor) {
    pool("p", "10.0.0.0/24", R"(,"assignmentMode":"Manual")");
    Request request{.host = "h1", .handle = "c1", .address = *parse_ip("10.0.0.70")};
    EXPECT_EQ(origins(allocate(records, request, kNow)), "claimed");
    EXPECT_EQ(origins(allocate(records, request, kNow)), "? 10.0.0.70 is taken");
    request.host = "h2";
    request.address = *parse_ip("10.0.0.71");
    EXPECT_EQ(origins(allocate(records, request, kNow)), "borrowed");
    config(R"({"strict_affinity":true})");
    request.address = *parse_ip("10.0.0.72");
    EXPECT_FALSE(allocate(records, request, kNow));
    request.address = *parse_ip("10.9.0.1");
    EXPECT_FALSE(allocate(records, request, kNow));
}

TEST_F(Ipam, APoolCanBeAskedFor) {
    pool("a", "10.0.0.0/26");
    pool("b", "10.0.1.0/26", R"(,"assignmentMode":"Manual")");
    Request request{.host = "h1", .handle = "c1", .count4 = 1, .pools = {"b"}};
    EXPECT_EQ(vr::to_string(allocate(records, request, kNow)->front().block), "10.0.1.0/26");
    EXPECT_EQ(vr::to_string(get("h1")->front().block), "10.0.0.0/26");
}

struct NoPool {
    std::string name;
    std::string more;
};

class PoolThatDoesNotServe : public Ipam, public testing::WithParamInterface<NoPool> {};

TEST_P(PoolThatDoesNotServe, IsNotUsed) {
    pool("p", "10.0.0.0/16", GetParam().more);
    EXPECT_EQ(
        origins(get("h1")),
        "? no IPv4 pool serves host h1: none is enabled, allows Workload and selects it");
}

INSTANTIATE_TEST_SUITE_P(
    All,
    PoolThatDoesNotServe,
    testing::Values(
        NoPool{"Disabled", R"(,"disabled":true)"},
        NoPool{"OtherNodes", R"(,"nodeSelector":"rack == 'r1'")"},
        NoPool{"OtherUse", R"(,"allowedUses":["Tunnel"])"},
        NoPool{"Manual", R"(,"assignmentMode":"Manual")"},
        NoPool{"OneNamespace", R"(,"namespaceSelector":"a == 'b'")"},
        NoPool{"Invalid", R"(,"nodeSelector":"((")"},
        NoPool{"BlocksLargerThanThePool", R"(,"blockSize":15)"},
        NoPool{"BlocksTooSmall", R"(,"blockSize":33)"}),
    [](const auto& param) { return param.param.name; });

TEST_F(Ipam, APoolOfItsRackServes) {
    node("h1", R"("rack":"r1")");
    pool("p", "10.0.0.0/16", R"(,"nodeSelector":"rack == 'r1'","allowedUses":["Workload"])");
    EXPECT_TRUE(get("h1"));
    EXPECT_FALSE(get("h2"));
}

TEST_F(Ipam, WhoIsSlowerTriesAgain) {
    pool("p", "10.0.0.0/26");
    records.intruder = [this] { EXPECT_TRUE(get("h2", 2, "c2")); };
    EXPECT_EQ(origins(get("h1")), "borrowed");
    EXPECT_EQ(block("10.0.0.0/26").used(), 3U);
    EXPECT_EQ(records.conflicts, 1U);
}

TEST_F(Ipam, ThreadsNeverGetTheSameAddress) {
    pool("p", "10.0.0.0/25", R"(,"blockSize":28)");
    std::vector<std::thread> hosts;
    std::vector<std::vector<IpAddr>> got(4);
    for (std::size_t i = 0; i < got.size(); ++i) {
        hosts.emplace_back([this, i, &mine = got[i]] {
            for (int n = 0; n < 32; ++n) {
                const auto assigned = get(i % 2 == 0 ? "h1" : "h2", 1, "c" + std::to_string(i));
                if (assigned) {
                    mine.push_back(assigned->front().address);
                }
            }
        });
    }
    std::set<IpAddr> all;
    for (std::size_t i = 0; i < got.size(); ++i) {
        hosts[i].join();
        all.insert(got[i].begin(), got[i].end());
    }
    EXPECT_EQ(all.size(), 128U);
}

// --- giving back ------------------------------------------------------------------------------

TEST_F(Ipam, AHandleGivesAllItsAddressesBack) {
    small_pool();
    EXPECT_TRUE(get("h1", 6));
    EXPECT_TRUE(get("h1", 1, "c2"));
    EXPECT_EQ(release(records, {.handle = "c1"})->size(), 6U);
    EXPECT_EQ(handle("c1"), "");
    EXPECT_EQ(release(records, {.handle = "c1"})->size(), 0U);
    EXPECT_EQ(release(records, {.handle = "c2"})->size(), 1U);
}

TEST_F(Ipam, AnEmptyBlockStaysWithItsHost) {
    pool("p", "10.0.0.0/26");
    EXPECT_TRUE(get("h1"));
    EXPECT_TRUE(release(records, {.handle = "c1"}));
    EXPECT_EQ(block("10.0.0.0/26").used(), 0U);
    EXPECT_EQ(claim("h1", "10.0.0.0/26"), kConfirmed);
}

TEST_F(Ipam, AnEmptyBlockOfNobodyGoes) {
    pool("p", "10.0.0.0/26");
    Block orphan(*parse_prefix("10.0.0.0/26"), "", 1);
    const auto address = orphan.assign(1, "c1", {}, {}).front();
    store(orphan);
    EXPECT_TRUE(release(records, {.addresses = {address}}));
    EXPECT_EQ(records.value(BlockId{orphan.cidr()}), "");
}

TEST_F(Ipam, OneAddressOfSeveralIsGivenBack) {
    pool("p", "10.0.0.0/26");
    const auto address = get("h1", 2)->front().address;
    EXPECT_EQ(release(records, {.handle = "c1", .addresses = {address}})->size(), 1U);
    EXPECT_EQ(handle("c1"), R"({"block":{"10.0.0.0/26":1},"deleted":false})");
}

TEST_F(Ipam, WhatSomebodyElseHasIsNotGivenBack) {
    pool("p", "10.0.0.0/26");
    const auto address = get("h1", 1, "c2")->front().address;
    EXPECT_FALSE(release(records, {.handle = "c1", .addresses = {address}}));
    EXPECT_EQ(block("10.0.0.0/26").used(), 1U);
}

TEST_F(Ipam, AnAllocationOfLaterIsNotGivenBack) {
    pool("p", "10.0.0.0/26");
    const auto address = get("h1")->front().address;
    const auto sequence = block("10.0.0.0/26").find(address)->sequence;
    EXPECT_FALSE(
        release(records, {.handle = "c1", .addresses = {address}, .sequence = sequence + 1}));
    EXPECT_TRUE(release(records, {.handle = "c1", .addresses = {address}, .sequence = sequence}));
}

TEST_F(Ipam, GivingBackTriesAgain) {
    pool("p", "10.0.0.0/26");
    EXPECT_TRUE(get("h1"));
    records.intruder = [this] { EXPECT_TRUE(get("h1", 2, "c2")); };
    EXPECT_EQ(release(records, {.handle = "c1"})->size(), 1U);
    EXPECT_EQ(block("10.0.0.0/26").used(), 2U);
}

TEST_F(Ipam, AttributesAreBrief) {
    pool("p", "10.0.0.0/26");
    Request request{.host = "h1", .handle = "c1", .attributes = {}, .count4 = 1};
    request.attributes["pod"] = std::string(1022, 'x');
    EXPECT_FALSE(allocate(records, request, kNow));
    request.attributes["pod"] = std::string(1021, 'x');
    EXPECT_TRUE(allocate(records, request, kNow));
    for (int i = 0; i < 16; ++i) {
        request.attributes[std::to_string(i)] = "";
    }
    EXPECT_FALSE(allocate(records, request, kNow));
}

TEST_F(Ipam, ABlockThatOutgrowsADatastoreIsFull) {
    small_pool();
    Block large(*parse_prefix("10.0.0.0/30"), "host:h1", 1);
    EXPECT_EQ(large.assign(1, "c2", {{"pod", std::string(1'000'000, 'x')}}, {}).size(), 1U);
    store(large);
    set_claim("h1", "10.0.0.0/30");
    EXPECT_EQ(vr::to_string(get("h1")->front().block), "10.0.0.4/30");
}

TEST_F(Ipam, WhatWasDoneThoughTheAnswerWasLostIsDone) {
    pool("p", "10.0.0.0/26");
    records.loses_answer = true;
    EXPECT_EQ(origins(get("h1", 2)), "claimed claimed");
    EXPECT_EQ(block("10.0.0.0/26").used(), 2U);
}

TEST_F(Ipam, ManyHandlesOfOneBlockAreGivenBack) {
    pool("p", "10.0.0.0/24", R"(,"blockSize":24)");
    std::vector<IpAddr> all;
    for (int i = 0; i < 200; ++i) {
        all.push_back(get("h1", 1, "c" + std::to_string(i))->front().address);
    }
    EXPECT_EQ(release(records, {.addresses = all})->size(), 200U);
    EXPECT_EQ(block("10.0.0.0/24").used(), 0U);
    EXPECT_EQ(handle("c0") + handle("c199"), "");
}

TEST_F(Ipam, AHandleThatCountsTheImpossibleIsNotCountedOn) {
    pool("p", "10.0.0.0/26");
    const std::string value = R"({"block":{"10.0.0.0/26":9223372036854775807}})";
    records.put(HandleId{"c1"}, value);
    EXPECT_FALSE(get("h1"));
    EXPECT_FALSE(release(records, {.handle = "c1"}));
    EXPECT_EQ(handle("c1"), value);
}

TEST_F(Ipam, WordsThatAreNoKeysAreRefused) {
    pool("p", "10.0.0.0/26");
    EXPECT_FALSE(get("h1", 1, "a/b"));
    EXPECT_FALSE(get("h 1"));
    EXPECT_FALSE(get("h1", 0));
    EXPECT_FALSE(get("h1", 257));
    EXPECT_FALSE(release(records, {.handle = ""}));
    EXPECT_FALSE(release(records, {.handle = "a/b"}));
}

}  // namespace
}  // namespace vr::policy::ipam::ipam_test
