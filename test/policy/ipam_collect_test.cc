// What is wrong with the records of IPAM, what of it is mended, and what is never touched.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "policy/ipam/cidr.h"
#include "policy/ipam/collect.h"
#include "test/policy/ipam_lab.h"

namespace vr::policy::ipam::ipam_collect_test {
namespace {

const Time kLater = kNow + kGrace;

class IpamCollect : public testing::Test, public IpamLab {
  protected:
    IpamCollect() {
        node("h1");
        pool("p", "10.0.0.0/24");
    }

    std::vector<std::string> wrong(Time now = kLater) {
        std::vector<std::string> texts;
        for (const Finding& finding : survey(records)->findings(now, kGrace)) {
            texts.push_back(std::string(to_string(finding.trouble)) + " " + finding.subject);
        }
        return texts;
    }

    std::vector<std::string> mended(Collection collection) {
        collection.pauses = 1;
        Collector collector(collection, kLater);
        for (Result<bool> more = true; more && *more;) {
            more = collector.step(records, pause);
            if (step_done) {
                step_done();
            }
        }
        std::vector<std::string> texts;
        for (const Collected& each : collector.take()) {
            texts.push_back(
                std::string(to_string(each.mended)) + " " +
                std::string(to_string(each.finding.trouble)) + " " + each.finding.subject);
        }
        return texts;
    }

    std::function<bool()> pause = [] { return true; };
    std::function<void()> step_done;

    /// An address that `prod/NAME` has, or nobody.
    IpAddr assigned(const std::string& endpoint = {}, const std::string& handle = "c1") {
        const IpAddr address = get("h1", 1, handle)->front().address;
        if (!endpoint.empty()) {
            this->endpoint(endpoint, "\"" + vr::to_string(host_prefix(address)) + "\"");
        }
        return address;
    }
};

using Texts = std::vector<std::string>;

TEST_F(IpamCollect, NothingIsWrongWithWhatIsUsed) {
    assigned("web");
    assigned("db", "c2");
    EXPECT_EQ(wrong(), Texts{});
}

TEST_F(IpamCollect, AnAddressThatNobodyHasIsLeaked) {
    assigned("web");
    const std::string leaked = vr::to_string(assigned({}, "c2"));
    EXPECT_EQ(wrong(), Texts{"leaked_address " + leaked});
}

TEST_F(IpamCollect, NotWhileItsEndpointMayBeAboutToCome) {
    assigned();
    EXPECT_EQ(wrong(kLater - std::chrono::seconds{1}), Texts{});
    EXPECT_EQ(wrong(kLater).size(), 1U);
}

TEST_F(IpamCollect, WhoseTimeCannotBeReadIsKept) {
    Block block(*parse_prefix("10.0.0.0/26"), "host:h1", 1);
    for (const auto* since : {"2025-11-22 09:10:17 +0200 CEST", "2025-11-22T07:10:17Z", ""}) {
        const Attributes attributes{{"timestamp", since}};
        EXPECT_EQ(block.assign(1, "c1", attributes, {}).size(), 1U);
    }
    store(block);
    set_claim("h1", "10.0.0.0/26");
    records.put(HandleId{"c1"}, encode_handle({{block.cidr(), 3}}));
    EXPECT_EQ(
        mended({.act = true}),
        (Texts{
            "left leaked_address 10.0.0.0",
            "left leaked_address 10.0.0.1",
            "done leaked_address 10.0.0.2"}));
}

TEST_F(IpamCollect, ATunnelsEndIsUsed) {
    const std::string address = vr::to_string(assigned());
    node("h1", {}, R"("bgp":{"ipv4IPIPTunnelAddr":")" + address + "\"}");
    EXPECT_EQ(wrong(), Texts{});
}

struct Illegible {
    std::string name;
    RecordId id;
    std::string value;
};

class IpamIllegibleUser : public IpamCollect, public testing::WithParamInterface<Illegible> {};

TEST_P(IpamIllegibleUser, MayHaveAnyAddress) {
    const std::string leaked = vr::to_string(assigned());
    records.put(GetParam().id, GetParam().value);
    EXPECT_EQ(
        mended({.act = true}),
        (Texts{"left leaked_address " + leaked, "left unreadable " + to_string(GetParam().id)}));
}

const Key kUser{Kind::WorkloadEndpoint, "prod", "x"};

std::string user_with(const std::string& spec) {
    return IpamLab::object("WorkloadEndpoint", "x", spec, R"(,"namespace":"prod")");
}

std::string user_at(const std::string& networks) {
    return user_with(R"("node":"h1","interfaceName":"eth0","ipNetworks":)" + networks);
}

const Illegible kIllegible[] = {
    {"NoJson", kUser, "garbage"},
    {"NoSpec", kUser, user_with("")},
    {"NoHost", kUser, user_at(R"(["10.0.0.0/26"])")},
    {"NoList", kUser, user_at(R"("10.0.0.0/32")")},
    {"NoAddress", kUser, user_at(R"(["x"])")},
    {"AnotherObject", kUser, IpamLab::object("WorkloadEndpoint", "y", "")},
    {"NoKey", StrangeId{"/calico/resources/v3/projectcalico.org/workloadendpoints/x"}, "{}"},
    {"NoKeyOfANode", StrangeId{"/calico/resources/v3/projectcalico.org/nodes/a/b"}, "{}"},
    {"TunnelWithoutAddress",
     Key{Kind::Node, {}, "h2"},
     IpamLab::object("Node", "h2", R"("bgp":{"ipv4IPIPTunnelAddr":"10.0.0.0/26"})")},
    {"TunnelWithAList",
     Key{Kind::Node, {}, "h2"},
     IpamLab::object("Node", "h2", R"("bgp":{"ipv4IPIPTunnelAddr":["10.0.0.0"]})")},
};

INSTANTIATE_TEST_SUITE_P(
    All, IpamIllegibleUser, testing::ValuesIn(kIllegible), [](const auto& param) {
        return param.param.name;
    });

TEST_F(IpamCollect, AKeyThatNamesNoObjectIsToldAsThat) {
    records.put(StrangeId{"/calico/resources/v3/projectcalico.org/workloadendpoints/x"}, "{}");
    const auto findings = survey(records)->findings(kLater, kGrace);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(
        findings[0].detail,
        "names no WorkloadEndpoint: expected NAMESPACE/NAME behind workloadendpoints/");
}

TEST_F(IpamCollect, AddressesOfNoHostAndReservedOnesAreNotLeaked) {
    Block balancer(*parse_prefix("10.0.0.0/26"), "virtual:load-balancer", 1);
    EXPECT_TRUE(balancer.assign_address(*parse_ip("10.0.0.1"), "", {}));
    store(balancer);
    Block windows(*parse_prefix("10.0.0.64/26"), "host:h1", 1);
    EXPECT_TRUE(windows.assign_address(*parse_ip("10.0.0.64"), std::string(kReservedHandle), {}));
    store(windows);
    set_claim("h1", "10.0.0.64/26");
    records.put(HandleId{std::string(kReservedHandle)}, encode_handle({{windows.cidr(), 1}}));
    EXPECT_EQ(wrong(), Texts{});
}

TEST_F(IpamCollect, ADryRunTellsAndDoesNothing) {
    const std::string leaked = vr::to_string(assigned());
    const unsigned before = records.commits;
    EXPECT_EQ(mended({}), Texts{"would leaked_address " + leaked});
    EXPECT_EQ(records.commits, before);
}

TEST_F(IpamCollect, LeaksAreReleasedWithTheirHandles) {
    const std::string a = vr::to_string(assigned());
    const std::string b = vr::to_string(assigned());
    const std::string c = vr::to_string(assigned({}, "c2"));
    auto done = mended({.act = true});
    std::ranges::sort(done);
    EXPECT_EQ(
        done,
        (Texts{
            "done leaked_address " + a, "done leaked_address " + b, "done leaked_address " + c}));
    EXPECT_EQ(wrong(), Texts{});
    EXPECT_EQ(handle("c1") + handle("c2"), "");
}

TEST_F(IpamCollect, WhatALeakLeavesBehindGoesWithIt) {
    const std::string leaked = vr::to_string(assigned());
    const auto cidr = vr::to_string(around(*parse_ip(leaked), 26));
    records.erase(Key{Kind::Node, {}, "h1"});
    EXPECT_EQ(
        mended({.act = true}),
        (Texts{"done leaked_address " + leaked, "done orphaned_block " + cidr}));
    EXPECT_EQ(claim("h1", cidr), "");
    EXPECT_EQ(wrong(), Texts{});
}

TEST_F(IpamCollect, WhatChangedMeanwhileIsLeftAlone) {
    const IpAddr leaked = assigned();
    const Collection collection{.act = true};
    pause = [&] {
        endpoint("web", "\"" + vr::to_string(leaked) + "\"");
        EXPECT_TRUE(get("h1", 1, "c2"));
        return true;
    };
    EXPECT_EQ(
        mended(collection),
        Texts{"changed leaked_address " + vr::to_string(advance(std::get<Ip4>(leaked), 1))});
    EXPECT_TRUE(block(vr::to_string(around(leaked, 26))).find(leaked));
}

TEST_F(IpamCollect, ABlockIsMendedByFewCommits) {
    pool("p", "10.0.0.0/24", R"(,"blockSize":24)");
    for (int i = 0; i < 150; ++i) {
        assigned({}, "c" + std::to_string(i));
    }
    const unsigned before = records.commits;
    EXPECT_EQ(mended({.act = true}).size(), 150U);
    EXPECT_EQ(records.commits - before, 2U);
    EXPECT_EQ(wrong(), Texts{});
}

TEST_F(IpamCollect, AnEndpointThatComesBetweenBatchesKeepsItsAddress) {
    pool("p", "10.0.0.0/24", R"(,"blockSize":24)");
    IpAddr last;
    for (int i = 0; i < 150; ++i) {
        last = assigned({}, "c" + std::to_string(i));
    }
    const unsigned before = records.commits;
    step_done = [&] {
        if (records.commits > before) {
            endpoint("web", "\"" + vr::to_string(last) + "\"");
        }
    };
    EXPECT_EQ(mended({.act = true}).size(), 149U);
    EXPECT_TRUE(block("10.0.0.0/24").find(last));
}

TEST_F(IpamCollect, AnAddressThatLosesItsUserBetweenTheLooksIsKept) {
    const std::string leaked = vr::to_string(assigned("web"));
    pause = [&] {
        records.erase(Key{Kind::WorkloadEndpoint, "prod", "web"});
        return true;
    };
    EXPECT_EQ(mended({.act = true}), Texts{"changed leaked_address " + leaked});
}

TEST_F(IpamCollect, WhoWritesMeanwhileIsFaster) {
    const std::string leaked = vr::to_string(assigned());
    const Collection collection{.act = true};
    pause = [&] {
        records.intruder = [this] { EXPECT_TRUE(get("h1", 1, "c2")); };
        return true;
    };
    EXPECT_EQ(mended(collection), Texts{"changed leaked_address " + leaked});
}

struct Race {
    std::string name;
    void (*make)(IpamLab& lab);
    void (*meanwhile)(IpamLab& lab);
    std::string mended;
    std::string claim;  ///< of h1, afterwards
};

const std::string kCidr = "10.0.0.0/26";

class IpamClaimRace : public IpamCollect, public testing::WithParamInterface<Race> {};

TEST_P(IpamClaimRace, IsLostToWhoWritesTheBlock) {
    GetParam().make(*this);
    const Collection collection{.act = true};
    pause = [&] {
        records.intruder = [this] { GetParam().meanwhile(*this); };
        return true;
    };
    EXPECT_EQ(mended(collection), Texts{GetParam().mended});
    EXPECT_EQ(claim("h1", kCidr), GetParam().claim);
}

Block block_of(const std::string& host, std::size_t used = 0) {
    Block block(*parse_prefix(kCidr), "host:" + host, 1);
    (void)block.assign(used, std::string(kReservedHandle), {}, {});
    return block;
}

const Race kRaces[] = {
    {"TakenOver",
     [](IpamLab& lab) { lab.store(block_of("h1")); },
     [](IpamLab& lab) {
         lab.store(block_of("h2"));
         lab.set_claim("h2", kCidr);
     },
     "changed block_without_claim " + kCidr,
     ""},
    {"GivenUp",
     [](IpamLab& lab) {
         lab.store(block_of("h1"));
         lab.set_claim("h1", kCidr, AffinityState::Pending);
     },
     [](IpamLab& lab) { lab.records.erase(BlockId{*parse_prefix(kCidr)}); },
     "changed unconfirmed_claim " + kCidr,
     encode_affinity(AffinityState::Pending)},
    {"Made",
     [](IpamLab& lab) { lab.set_claim("h1", kCidr, AffinityState::Pending); },
     [](IpamLab& lab) { lab.store(block_of("h1")); },
     "changed unconfirmed_claim " + kCidr,
     encode_affinity(AffinityState::Pending)},
    {"UsedAgain",
     [](IpamLab& lab) {
         lab.store(block_of("h1"));
         lab.set_claim("h1", kCidr, AffinityState::PendingDeletion);
     },
     [](IpamLab& lab) { lab.store(block_of("h1", 1)); },
     "changed unconfirmed_claim " + kCidr,
     encode_affinity(AffinityState::PendingDeletion)},
};

INSTANTIATE_TEST_SUITE_P(All, IpamClaimRace, testing::ValuesIn(kRaces), [](const auto& param) {
    return param.param.name;
});

TEST_F(IpamCollect, ABlockThatWasBeingGivenUpGoesIfItIsEmpty) {
    store(block_of("h1"));
    set_claim("h1", kCidr, AffinityState::PendingDeletion);
    EXPECT_EQ(mended({.act = true}), Texts{"done unconfirmed_claim " + kCidr});
    EXPECT_EQ(records.value(BlockId{*parse_prefix(kCidr)}) + claim("h1", kCidr), "");
}

TEST_F(IpamCollect, ABlockThatWasBeingGivenUpStaysIfItIsUsed) {
    store(block_of("h1", 1));
    records.put(HandleId{std::string(kReservedHandle)}, encode_handle({{*parse_prefix(kCidr), 1}}));
    set_claim("h1", kCidr, AffinityState::PendingDeletion);
    EXPECT_EQ(mended({.act = true}), Texts{"done unconfirmed_claim " + kCidr});
    EXPECT_EQ(block(kCidr).used(), 1U);
    EXPECT_EQ(claim("h1", kCidr), kConfirmed);
}

struct Case {
    std::string name;
    void (*make)(IpamLab& lab);
    Texts wrong;
    bool mends = true;
};

class IpamTrouble : public IpamCollect, public testing::WithParamInterface<Case> {};

TEST_P(IpamTrouble, IsFoundAndMendedIfItCanBe) {
    GetParam().make(*this);
    EXPECT_EQ(wrong(), GetParam().wrong);
    (void)mended({.act = true});
    EXPECT_EQ(wrong(), GetParam().mends ? Texts{} : GetParam().wrong);
}

Block full_block(const std::string& affinity) {
    Block block(*parse_prefix("10.0.0.0/30"), affinity, 1);
    (void)block.assign_address(*parse_ip("10.0.0.1"), "c1", {});
    return block;
}

const Case kCases[] = {
    {"HandleOfNothing",
     [](IpamLab& lab) { lab.records.put(HandleId{"x"}, encode_handle({})); },
     {"wrong_handle x"}},
    {"HandleThatCountsTooMuch",
     [](IpamLab& lab) {
         lab.endpoint("web", R"("10.0.0.1/32")");
         lab.store(full_block("host:h1"));
         lab.set_claim("h1", "10.0.0.0/30");
         lab.records.put(HandleId{"c1"}, encode_handle({{*parse_prefix("10.0.0.0/30"), 3}}));
     },
     {"wrong_handle c1"}},
    {"HandleThatIsMissing",
     [](IpamLab& lab) {
         lab.endpoint("web", R"("10.0.0.1/32")");
         lab.store(full_block("host:h1"));
         lab.set_claim("h1", "10.0.0.0/30");
     },
     {"wrong_handle c1"}},
    {"PendingClaimOfNothing",
     [](IpamLab& lab) { lab.set_claim("h1", "10.0.0.0/26", AffinityState::Pending); },
     {"unconfirmed_claim 10.0.0.0/26"}},
    {"PendingClaimToAnOwnBlock",
     [](IpamLab& lab) {
         lab.store(Block(*parse_prefix("10.0.0.0/26"), "host:h1", 1));
         lab.set_claim("h1", "10.0.0.0/26", AffinityState::Pending);
     },
     {"unconfirmed_claim 10.0.0.0/26"}},
    {"ClaimToAnothersBlock",
     [](IpamLab& lab) {
         lab.node("h2");
         lab.store(Block(*parse_prefix("10.0.0.0/26"), "host:h1", 1));
         lab.set_claim("h1", "10.0.0.0/26");
         lab.set_claim("h2", "10.0.0.0/26");
     },
     {"claim_without_block 10.0.0.0/26"}},
    {"BlockWithoutClaim",
     [](IpamLab& lab) { lab.store(Block(*parse_prefix("10.0.0.0/26"), "host:h1", 1)); },
     {"block_without_claim 10.0.0.0/26"}},
    {"BlockOfAHostThatIsGone",
     [](IpamLab& lab) {
         lab.store(Block(*parse_prefix("10.0.0.0/26"), "host:gone", 1));
         lab.set_claim("gone", "10.0.0.0/26");
     },
     {"orphaned_block 10.0.0.0/26"}},
    {"BlockOfNobody",
     [](IpamLab& lab) { lab.store(Block(*parse_prefix("10.0.0.0/26"), "", 1)); },
     {"orphaned_block 10.0.0.0/26"}},
    {"TwoEndpointsWithOneAddress",
     [](IpamLab& lab) {
         lab.endpoint("a", R"("10.9.0.1/32")");
         lab.endpoint("b", R"("10.9.0.1/32")");
     },
     {"double_address 10.9.0.1"},
     false},
    {"EndpointThatIsNotRecorded",
     [](IpamLab& lab) { lab.endpoint("a", R"("10.0.0.1/32")"); },
     {"unrecorded_address 10.0.0.1"},
     false},
    {"EndpointRecordedInABlockOfAnotherSize",
     [](IpamLab& lab) {
         lab.endpoint("web", R"("10.0.0.1/32")");
         lab.store(full_block("host:h1"));
         lab.set_claim("h1", "10.0.0.0/30");
         lab.records.put(HandleId{"c1"}, encode_handle({{*parse_prefix("10.0.0.0/30"), 1}}));
     },
     {}},
    {"BlockOutsideOfPools",
     [](IpamLab& lab) {
         lab.store(Block(*parse_prefix("10.9.0.0/26"), "host:h1", 1));
         lab.set_claim("h1", "10.9.0.0/26");
     },
     {"outside_of_pools 10.9.0.0/26"},
     false},
    {"BlocksThatOverlap",
     [](IpamLab& lab) {
         for (const auto* cidr : {"10.0.0.0/25", "10.0.0.64/26"}) {
             lab.store(Block(*parse_prefix(cidr), "host:h1", 1));
             lab.set_claim("h1", cidr);
         }
     },
     {"overlapping_block 10.0.0.64/26"},
     false},
    {"PoolsThatOverlap",
     [](IpamLab& lab) { lab.pool("inner", "10.0.0.64/26"); },
     {"overlapping_pool p"},
     false},
    {"PoolWithBlocksThatCannotBe",
     [](IpamLab& lab) { lab.pool("q", "10.1.0.0/24", R"(,"blockSize":33)"); },
     {"unreadable IPPool q"},
     false},
    {"WhatEndsEveryAttempt",
     [](IpamLab& lab) {
         lab.records.put(ReservationId{"r"}, R"({"spec":{"reservedCIDRs":["x"]}})");
         lab.config("garbage");
     },
     {"unreadable IPAM configuration", "unreadable IPReservation r"},
     false},
    {"ReservationAndConfiguration",
     [](IpamLab& lab) {
         lab.records.put(ReservationId{"r"}, R"({"spec":{"reservedCIDRs":["10.0.0.0/30"]}})");
         lab.config(R"({"strict_affinity":true})");
     },
     {}},
    {"GarbageEverywhere",
     [](IpamLab& lab) {
         lab.records.put(BlockId{*parse_prefix("10.0.0.0/26")}, "garbage");
         lab.set_claim("h1", "10.0.0.0/26");
         lab.records.put(AffinityId{"h1", *parse_prefix("10.0.0.64/26")}, "garbage");
         lab.records.put(HandleId{"c1"}, R"({"block":7})");
     },
     {"wrong_handle c1",
      "unreadable affinity of h1 to 10.0.0.64/26",
      "unreadable block 10.0.0.0/26",
      "unreadable handle c1"},
     false},
};

INSTANTIATE_TEST_SUITE_P(All, IpamTrouble, testing::ValuesIn(kCases), [](const auto& param) {
    return param.param.name;
});

}  // namespace
}  // namespace vr::policy::ipam::ipam_collect_test
