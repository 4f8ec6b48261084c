// Keys and values of Calico's etcd as objects in force, and what of them is kept on disk.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>

#include "policy/etcd/claims.h"
#include "policy/etcd/objects.h"
#include "policy/etcd/state_file.h"
#include "policy/json_document.h"
#include "policy/sealed_file.h"

namespace vr::policy::etcd::etcd_objects_test {
namespace {

const Keys kKeys("/calico");
const std::string kRoot = "/calico/resources/v3/projectcalico.org/";
const Key kWeb{Kind::NetworkPolicy, "prod", "web"};

std::string policy(const std::string& spec, const std::string& name = "web") {
    return R"({"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":")" +
           name + R"(","namespace":"prod"},"spec":{)" + spec + "}}";
}

Events set(Objects& objects, const std::string& value) {
    return objects.apply({{kKeys.of(kWeb), value, 7}});
}

Events unset(Objects& objects) {
    return objects.apply({{kKeys.of(kWeb), std::nullopt, 8}});
}

// --- keys -----------------------------------------------------------------------------------

TEST(EtcdKeys, AKeyNamesAnObject) {
    EXPECT_EQ(kKeys.of(kWeb), kRoot + "networkpolicies/prod/web");
    EXPECT_EQ(kKeys.resource(kRoot + "networkpolicies/prod/web"), kWeb);
    EXPECT_EQ(kKeys.resource(kRoot + "tiers/t"), (Key{Kind::Tier, {}, "t"}));
    EXPECT_EQ(
        kKeys.resource(kRoot + "livemigrations/openstack/h2-openstack-vm-p"),
        (Key{Kind::LiveMigration, "openstack", "h2-openstack-vm-p"}));
}

TEST(EtcdKeys, WhatIsAmongObjectsOfAKindAndIsNoneIsMisnamed) {
    EXPECT_EQ(kKeys.misnamed(kRoot + "workloadendpoints/toodeep"), Kind::WorkloadEndpoint);
    EXPECT_EQ(kKeys.misnamed(kRoot + "tiers/a/b"), Kind::Tier);
    EXPECT_EQ(kKeys.misnamed(kRoot + "tiers/"), Kind::Tier);
    EXPECT_EQ(kKeys.misnamed(kRoot + "tiers/a"), std::nullopt);
    EXPECT_EQ(kKeys.misnamed(kRoot + "nonsense/a"), std::nullopt);
    EXPECT_EQ(kKeys.misnamed("/calico/ipam/v2/config"), std::nullopt);
}

class NoObject : public testing::TestWithParam<std::string> {};

TEST_P(NoObject, IsPassedOver) {
    EXPECT_EQ(kKeys.resource(GetParam()), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    NoObject,
    testing::Values(
        "",
        "/calico/ipam/v2/config",
        kRoot,
        kRoot + "tiers",
        kRoot + "tiers/",
        kRoot + "tiers/a/b",
        kRoot + "Tier/a",
        kRoot + "networkpolicies/web",
        kRoot + "networkpolicies//web",
        kRoot + "networkpolicies/prod/",
        kRoot + "tiers/\xff",
        kRoot + "tiers/a b"));

TEST(EtcdKeys, AnEndpointsNameSaysWhatItBelongsTo) {
    EXPECT_EQ(
        parse_endpoint_name("host--a-openstack-vm--7-eth0"),
        (EndpointName{"host-a", "openstack", "vm-7", "eth0"}));
    EXPECT_EQ(parse_endpoint_name("a-b-c"), std::nullopt);
    EXPECT_EQ(parse_endpoint_name("a-b-c-d-e"), std::nullopt);
    EXPECT_EQ(parse_endpoint_name("a-b--c-d"), std::nullopt);
}

TEST(EtcdKeys, TheStatusOfAnEndpointIsWhereNeutronLooksForIt) {
    EXPECT_EQ(
        kKeys.endpoint_status(
            "no-region",
            "host-a",
            {Kind::WorkloadEndpoint, "openstack", "host--a-openstack-564c-71e4"}),
        "/calico/felix/v2/no-region/host/host-a/workload/openstack/openstack%2f564c/endpoint/71e4");
}

TEST(EtcdKeys, TheStatusOfAHostEndpointIsAnOlderKey) {
    EXPECT_EQ(
        kKeys.endpoint_status("region-x", "host-a", {Kind::HostEndpoint, {}, "a%/b"}),
        "/calico/felix/v1/host/host-a/endpoint/a%25%2fb");
}

// --- objects --------------------------------------------------------------------------------

TEST(EtcdObjects, AnObjectComesChangesAndGoes) {
    Objects objects(kKeys);
    EXPECT_EQ(std::get<Upsert>(set(objects, policy(R"("order":1)")).at(0)).resource->key, kWeb);
    EXPECT_EQ(
        std::get<Upsert>(set(objects, policy(R"("order":2)")).at(0)).resource->as<Policy>().order,
        2);
    EXPECT_EQ(std::get<Delete>(unset(objects).at(0)).key, kWeb);
    EXPECT_TRUE(objects.list().empty());
}

TEST(EtcdObjects, TheSameValueAgainTellsNothing) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    EXPECT_TRUE(set(objects, policy(R"("order":1)")).empty());
    EXPECT_TRUE(set(objects, policy(R"("order": 1)")).empty());
}

TEST(EtcdObjects, ADeleteOfWhatIsNotThereTellsNothing) {
    Objects objects(kKeys);
    EXPECT_TRUE(unset(objects).empty());
}

TEST(EtcdObjects, AnInvalidObjectKeepsItsLastValidVersion) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    EXPECT_TRUE(set(objects, policy(R"("order":"soon")")).empty());
    const auto listed = objects.list();
    EXPECT_EQ(listed.at(0).state, ObjectState::Kept);
    EXPECT_NE(listed.at(0).reason.find("networkpolicies/prod/web"), std::string::npos);
}

TEST(EtcdObjects, AreCountedByKind) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    EXPECT_EQ(objects.counts().at(Kind::NetworkPolicy).objects, 1U);
    EXPECT_EQ(objects.counts().at(Kind::NetworkPolicy).invalid, 0U);
    (void)set(objects, policy(R"("order":"soon")"));
    EXPECT_EQ(objects.counts().at(Kind::NetworkPolicy).objects, 1U);
    EXPECT_EQ(objects.counts().at(Kind::NetworkPolicy).invalid, 1U);
    (void)unset(objects);
    EXPECT_TRUE(objects.counts().empty());
    (void)unset(objects);
    EXPECT_TRUE(objects.counts().empty());
}

TEST(EtcdObjects, AnInvalidPolicyThatNeverWasValidDenies) {
    Objects objects(kKeys);
    const auto events = set(objects, policy(R"("order":"soon")"));
    EXPECT_EQ(
        std::get<Upsert>(events.at(0)).resource->as<Policy>().ingress, std::vector<Rule>{Rule{}});
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

/// First in the first tier, for all endpoints and both directions.
void expect_strictest(const Policy& policy) {
    EXPECT_EQ(policy.selector.text(), "all()");
    EXPECT_EQ(policy.tier, "");
    EXPECT_LT(policy.order.value_or(0), -1e300);
    EXPECT_EQ(policy.types, Governs::Both);
    EXPECT_EQ(policy.hook, Hook::Normal);
    EXPECT_EQ(policy.ingress, std::vector<Rule>{Rule{}});
    EXPECT_EQ(policy.egress, std::vector<Rule>{Rule{}});
}

class Garbage : public testing::TestWithParam<std::string> {};

TEST_P(Garbage, ChangesNothingThatWasValidAndIsShown) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    EXPECT_TRUE(set(objects, GetParam()).empty());
    EXPECT_EQ(objects.list().at(0).state, ObjectState::Kept);
    EXPECT_EQ(unset(objects).size(), 1U);
}

TEST_P(Garbage, DeniesWhereAPolicyShouldBe) {
    Objects objects(kKeys);
    const auto events = set(objects, GetParam());
    const Resource& resource = *std::get<Upsert>(events.at(0)).resource;
    EXPECT_EQ(resource.key, kWeb);
    expect_strictest(resource.as<Policy>());
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
    EXPECT_EQ(unset(objects).size(), 1U);
}

TEST_P(Garbage, DeniesWhatIsForwardedWhereAGlobalPolicyShouldBe) {
    Objects objects(kKeys);
    const Key key{Kind::GlobalNetworkPolicy, {}, "p"};
    const auto events = objects.apply({{kKeys.of(key), GetParam(), 7}});
    const Resource& resource = *std::get<Upsert>(events.at(0)).resource;
    expect_strictest(resource.as<Policy>());
    EXPECT_TRUE(resource.as<Policy>().apply_on_forward);
}

TEST_P(Garbage, ClosesATierWhereItIs) {
    Objects objects(kKeys);
    const auto tier = [&](const char* name) {
        const auto events = objects.apply({{kKeys.of(Key{Kind::Tier, {}, name}), GetParam(), 7}});
        return std::get<Upsert>(events.at(0)).resource->as<Tier>();
    };
    EXPECT_EQ(tier("kube-baseline"), (Tier{10'000'000, TierDefault::Deny}));
    EXPECT_TRUE(tier("platform").closed);
}

TEST_P(Garbage, IsNothingWhereNoPacketIsDenied) {
    Objects objects(kKeys);
    for (const Key& key :
         {Key{Kind::BGPConfiguration, {}, "default"},
          Key{Kind::IPPool, {}, "x"},
          Key{Kind::BGPPeer, {}, "x"}}) {
        EXPECT_TRUE(objects.apply({{kKeys.of(key), GetParam(), 7}}).empty()) << to_string(key);
    }
}

TEST_P(Garbage, IsNothingWhereASetShouldBe) {
    Objects objects(kKeys);
    const Key key{Kind::GlobalNetworkSet, {}, "s"};
    EXPECT_TRUE(objects.apply({{kKeys.of(key), GetParam(), 7}}).empty());
    EXPECT_EQ(objects.list().at(0).state, ObjectState::Missing);
}

TEST_P(Garbage, DoesNotEndWhatWasGoodInAnEarlierRun) {
    Objects objects(kKeys);
    const std::string good = policy(R"("order":1)");
    const auto events = objects.apply({{kKeys.of(kWeb), GetParam(), 7, false, good}});
    EXPECT_EQ(std::get<Upsert>(events.at(0)).resource->as<Policy>().order, 1);
    EXPECT_EQ(*std::get<Upsert>(events.at(0)).text, good);
    EXPECT_EQ(objects.list().at(0).state, ObjectState::Kept);
    EXPECT_EQ(*objects.good(kKeys.of(kWeb))->value, good);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    Garbage,
    testing::Values(
        "",
        "garbage",
        "\xff\xfe",
        "[]",
        "{}",
        policy("") + policy(""),
        policy("", "another"),
        std::string(10000, '['),
        R"({"kind":"Tier","metadata":{"name":"web"}})",
        R"({"kind":"NetworkPolicy","kind":"NetworkPolicy"})"));

TEST(EtcdObjects, OfAnInvalidSetWhatCanBeReadCounts) {
    Objects objects(kKeys);
    const Key key{Kind::GlobalNetworkSet, {}, "s"};
    const auto events = objects.apply(
        {{kKeys.of(key),
          R"({"apiVersion":"projectcalico.org/v3","kind":"GlobalNetworkSet","metadata":)"
          R"({"name":"s","labels":{"a":"b"}},"spec":{"nets":["10.0.0.0/8",7]}})",
          7}});
    EXPECT_EQ(
        std::get<Upsert>(events.at(0)).resource->as<NetworkSet>().nets,
        std::vector<IpPrefix>{*parse_prefix("10.0.0.0/8")});
    const auto status = objects.list().at(0);
    EXPECT_EQ(status.state, ObjectState::Partial);
    EXPECT_TRUE(status.reason.ends_with("; 1 of 2 nets count")) << status.reason;
}

/// An object that was valid when the router was stopped, and is not when it starts.
Objects spoilt_meanwhile() {
    Objects objects(kKeys);
    (void)objects.apply(
        {{kKeys.of(kWeb), policy(R"("order":"soon")"), 7, false, policy(R"("order":1)")}});
    return objects;
}

TEST(EtcdObjects, WhatWasGoodInAnEarlierRunStandsUntilMended) {
    Objects objects = spoilt_meanwhile();
    EXPECT_TRUE(set(objects, policy(R"("order":"later")")).empty());
    const auto events = set(objects, policy(R"("order":2)"));
    EXPECT_EQ(std::get<Upsert>(events.at(0)).resource->as<Policy>().order, 2);
}

TEST(EtcdObjects, WhatWasGoodInAnEarlierRunStandsUntilDeleted) {
    Objects objects = spoilt_meanwhile();
    EXPECT_EQ(unset(objects).size(), 1U);
    (void)set(objects, policy(R"("order":"soon")"));
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

TEST(EtcdObjects, WhatWasGoodInAnEarlierRunYieldsToAValidValue) {
    Objects objects(kKeys);
    const auto events =
        objects.apply({{kKeys.of(kWeb), policy(R"("order":2)"), 7, false, policy(R"("order":1)")}});
    EXPECT_EQ(std::get<Upsert>(events.at(0)).resource->as<Policy>().order, 2);
}

TEST(EtcdObjects, WhatNeverWasGoodInAnEarlierRunDoesNotStand) {
    Objects objects(kKeys);
    const std::string bad = policy(R"("order":"soon")");
    (void)objects.apply({{kKeys.of(kWeb), bad, 7, false, bad}});
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

Events set_anew(Objects& objects, const std::string& value) {
    return objects.apply({{kKeys.of(kWeb), value, 9, true}});
}

TEST(EtcdObjects, OneMadeAnewHasNoVersionsOfTheOldOne) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    const auto events = set_anew(objects, policy(R"("order":"soon")"));
    ASSERT_EQ(events.size(), 1U);  // in one step: nothing is gone in between
    EXPECT_EQ(
        std::get<Upsert>(events.at(0)).resource->as<Policy>().ingress, std::vector<Rule>{Rule{}});
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

TEST(EtcdObjects, OneMadeAnewAsInvalidAsTheOldOneHasNoVersionsOfIt) {
    Objects objects = spoilt_meanwhile();
    EXPECT_EQ(set_anew(objects, policy(R"("order":"soon")")).size(), 1U);
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

TEST(EtcdObjects, OneMadeAnewAsItWasTellsNothing) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    EXPECT_TRUE(set_anew(objects, policy(R"("order":1)")).empty());
    EXPECT_EQ(objects.list().at(0).state, ObjectState::Valid);
}

/// A version of the policy by somebody who gave it `uid`, if anything.
std::string made(const std::string& uid, const std::string& spec) {
    std::string value = policy(spec);
    const std::string field = uid.empty() ? "" : R"("uid":")" + uid + R"(",)";
    return value.insert(value.find(R"("name")"), field);
}

struct Uids {
    std::string name;
    std::string good;  ///< of the last valid version
    std::string bad;   ///< of the invalid one
    bool same;
};

class SameObject : public testing::TestWithParam<Uids> {
  protected:
    std::string good = made(GetParam().good, R"("order":1)");
    std::string bad = made(GetParam().bad, R"("order":"soon")");
    ObjectState wanted = GetParam().same ? ObjectState::Kept : ObjectState::StandIn;
    Objects objects{kKeys};
};

TEST_P(SameObject, KeepsItsLastValidVersion) {
    (void)set(objects, good);
    EXPECT_EQ(set(objects, bad).empty(), GetParam().same);
    EXPECT_EQ(objects.list().at(0).state, wanted);
}

TEST_P(SameObject, KeepsThatOfAnEarlierRun) {
    (void)objects.apply({{kKeys.of(kWeb), bad, 7, false, good}});
    EXPECT_EQ(objects.list().at(0).state, wanted);
}

TEST_P(SameObject, IsWrittenDownAsSuch) {
    (void)set(objects, good);
    (void)set(objects, bad);
    EXPECT_EQ(*objects.good(kKeys.of(kWeb))->value, GetParam().same ? good : bad);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    SameObject,
    testing::Values(
        Uids{"SameUid", "5b1c", "5b1c", true},
        Uids{"AnotherUid", "5b1c", "77aa", false},
        Uids{"NoUids", "", "", true},
        Uids{"UidLost", "5b1c", "", true},
        Uids{"UidGiven", "", "5b1c", true}),
    [](const auto& row) { return row.param.name; });

TEST(EtcdObjects, GarbageInBetweenMakesNoOtherObjectTheSame) {
    Objects objects(kKeys);
    (void)set(objects, made("5b1c", R"("order":1)"));
    EXPECT_TRUE(set(objects, "garbage").empty());
    EXPECT_EQ(set(objects, made("77aa", R"("order":"soon")")).size(), 1U);
    EXPECT_TRUE(set(objects, made("5b1c", R"("order":"later")")).empty());
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

TEST(EtcdObjects, WhatWasGoodInAnEarlierRunEndsInTheSameBatch) {
    Objects objects(kKeys);
    const std::string bad = policy(R"("order":"soon")");
    (void)objects.apply(
        {{kKeys.of(kWeb), bad, 7, false, policy(R"("order":1)")},
         {kKeys.of(kWeb), std::nullopt, 8},
         {kKeys.of(kWeb), bad, 9}});
    EXPECT_EQ(objects.list().at(0).state, ObjectState::StandIn);
}

// --- JSON -----------------------------------------------------------------------------------

TEST(JsonDocument, MakesTheTreeThatYamlMakes) {
    const auto json = parse_json("f", R"({"a":[1,-2.5,1e3,"x\n1",true,null],"b":{"c":"é"}})");
    ASSERT_TRUE(json) << json.error().text;
    EXPECT_EQ(to_json(*json), R"({"a":[1,-2.5E0,1E3,"x\n1",true,null],"b":{"c":"é"}})");
    EXPECT_EQ(json->find("a")->items.at(1).text, "-2.5");
}

TEST(JsonDocument, RefusesAKeyGivenTwice) {
    EXPECT_EQ(parse_json("f", R"({"a":1,"a":2})").error().text, "f: 'a' is given twice");
}

TEST(JsonDocument, RefusesWhatIsNestedTooDeep) {
    EXPECT_TRUE(parse_json("f", std::string(60, '[') + std::string(60, ']')));
    EXPECT_FALSE(parse_json("f", std::string(80, '[') + std::string(80, ']')));
}

// --- the last good state ---------------------------------------------------------------------

TEST(EtcdState, IsReadAsItWasWritten) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    const Position position{0xfedcba9876543210U, 42, true};
    const auto read =
        decode_state(encode_state(position, {{kKeys.of(kWeb), *objects.good(kKeys.of(kWeb))}}));
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->position, position);
    EXPECT_EQ(read->items, (std::vector<KeyValue>{{kKeys.of(kWeb), policy(R"("order":1)"), 7, 0}}));
}

TEST(EtcdState, HoldsTheLastValidVersion) {
    Objects objects(kKeys);
    (void)set(objects, policy(R"("order":1)"));
    (void)set(objects, policy(R"("order":"soon")"));
    const auto good = objects.good(kKeys.of(kWeb));
    EXPECT_EQ(*good->value, policy(R"("order":1)"));
    EXPECT_EQ(good->revision, 0);
}

TEST(EtcdState, ADamagedFileIsNoState) {
    const std::string bytes = encode_state({1, 2, true}, {});
    EXPECT_TRUE(decode_state(bytes));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        EXPECT_FALSE(decode_state(damaged)) << i;
        EXPECT_FALSE(decode_state(bytes.substr(0, i))) << i;
    }
}

TEST(EtcdState, AnAbsentFileIsAnEmptyState) {
    std::string pattern = (std::filesystem::temp_directory_path() / "state-XXXXXX").string();
    const std::filesystem::path directory = mkdtemp(pattern.data());
    const std::string path = directory / "deeper" / "state";
    EXPECT_EQ(read_state(path)->position, Position{});
    ASSERT_TRUE(write_whole(path, encode_state({1, 2, true}, {})));
    EXPECT_EQ(read_state(path)->position, (Position{1, 2, true}));
    std::ofstream(path) << "something else";
    EXPECT_FALSE(read_state(path));
    std::filesystem::remove_all(directory);
}

// --- keys and claims of IPAM ------------------------------------------------------------------

const IpPrefix kBlock4 = *parse_prefix("10.0.0.0/26");
const IpPrefix kBlock6 = *parse_prefix("fd00::/122");

struct IpamKeyRow {
    std::string key;
    ipam::RecordId id;
};

class IpamKey : public testing::TestWithParam<IpamKeyRow> {};

TEST_P(IpamKey, IsThatOfItsRecord) {
    const IpamKeys keys("/calico");
    EXPECT_EQ(keys.of(GetParam().id), GetParam().key);
    EXPECT_EQ(keys.record(GetParam().key), GetParam().id);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    IpamKey,
    testing::Values(
        IpamKeyRow{"/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26", ipam::BlockId{kBlock4}},
        IpamKeyRow{"/calico/ipam/v2/assignment/ipv6/block/fd00::-122", ipam::BlockId{kBlock6}},
        IpamKeyRow{
            "/calico/ipam/v2/host/h-1/ipv4/block/10.0.0.0-26", ipam::AffinityId{"h-1", kBlock4}},
        IpamKeyRow{
            "/calico/ipam/v2/host/h1/ipv6/block/fd00::-122", ipam::AffinityId{"h1", kBlock6}},
        IpamKeyRow{"/calico/ipam/v2/handle/net.c1", ipam::HandleId{"net.c1"}},
        IpamKeyRow{"/calico/ipam/v2/config", ipam::ConfigId{}},
        IpamKeyRow{kRoot + "ipreservations/r", ipam::ReservationId{"r"}},
        IpamKeyRow{kRoot + "ippools/p", Key{Kind::IPPool, {}, "p"}},
        IpamKeyRow{"/calico/ipam/v2/host/h1", ipam::StrangeId{"/calico/ipam/v2/host/h1"}},
        IpamKeyRow{
            "/calico/ipam/v2/host/h1/ipv6/block/10.0.0.0-26",
            ipam::StrangeId{"/calico/ipam/v2/host/h1/ipv6/block/10.0.0.0-26"}},
        IpamKeyRow{
            "/calico/ipam/v2/assignment/ipv4/block/10.0.0.1-26",
            ipam::StrangeId{"/calico/ipam/v2/assignment/ipv4/block/10.0.0.1-26"}},
        IpamKeyRow{
            "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-33",
            ipam::StrangeId{"/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-33"}},
        IpamKeyRow{"/calico/ipam/v2/handle/a/b", ipam::StrangeId{"/calico/ipam/v2/handle/a/b"}},
        IpamKeyRow{
            "/calico/ipam/v2/host/h1/ipv4/block/0.0.0.0-0",
            ipam::StrangeId{"/calico/ipam/v2/host/h1/ipv4/block/0.0.0.0-0"}},
        IpamKeyRow{"/calico/other", ipam::StrangeId{"/calico/other"}}));

class EtcdClaims : public testing::Test {
  protected:
    bool set(const std::string& host, std::optional<std::string> value) {
        const auto key = keys.of(ipam::AffinityId{host, kBlock4});
        return claims.apply({{key, std::move(value), 7}});
    }

    using Owned = std::map<std::string, std::set<IpPrefix>>;

    const IpamKeys keys{"/calico"};
    Claims claims{keys};
};

TEST_F(EtcdClaims, ConfirmedOnesCount) {
    EXPECT_TRUE(set("h1", R"({"state":"confirmed","deleted":false})"));
    EXPECT_TRUE(set("h2", R"({"state":"pending"})"));
    EXPECT_EQ(claims.take_confirmed(), (Owned{{"h1", {kBlock4}}}));
}

TEST_F(EtcdClaims, WhatIsToldOfAHostIsAllThatItOwnsAndOnlyWhenThatChanged) {
    EXPECT_TRUE(set("h1", R"({"state":"confirmed"})"));
    EXPECT_TRUE(set("h2", R"({"state":"confirmed"})"));
    (void)claims.take_confirmed();
    EXPECT_TRUE(set("h2", R"({"state":"confirmed","deleted":false})"));
    EXPECT_EQ(claims.take_confirmed(), Owned{});
    EXPECT_TRUE(
        claims.apply({{keys.of(ipam::AffinityId{"h1", kBlock6}), R"({"state":"confirmed"})", 8}}));
    EXPECT_EQ(claims.take_confirmed(), (Owned{{"h1", {kBlock4, kBlock6}}}));
}

TEST_F(EtcdClaims, TheyEndWhenTheyAreNotConfirmedOrGone) {
    EXPECT_TRUE(set("h1", R"({"state":"confirmed"})"));
    (void)claims.take_confirmed();
    EXPECT_TRUE(set("h1", R"({"state":"pendingDeletion"})"));
    EXPECT_EQ(claims.take_confirmed(), (Owned{{"h1", {}}}));
    EXPECT_TRUE(set("h1", std::nullopt));
    EXPECT_FALSE(set("h1", std::nullopt));
    EXPECT_FALSE(claims.good(keys.of(ipam::AffinityId{"h1", kBlock4})));
}

TEST_F(EtcdClaims, OnesLostAndWonAgainInBetweenAreNoNews) {
    EXPECT_TRUE(set("h1", R"({"state":"confirmed"})"));
    (void)claims.take_confirmed();
    EXPECT_TRUE(set("h1", std::nullopt));
    EXPECT_TRUE(set("h1", R"({"state":"confirmed"})"));
    EXPECT_TRUE(set("h2", R"({"state":"confirmed"})"));
    EXPECT_TRUE(set("h2", std::nullopt));
    EXPECT_EQ(claims.take_confirmed(), Owned{});
}

TEST_F(EtcdClaims, GarbageLeavesWhatWasKnown) {
    EXPECT_FALSE(set("h1", "garbage"));
    EXPECT_TRUE(set("h1", R"({"state":"confirmed"})"));
    EXPECT_FALSE(set("h1", "garbage"));
    EXPECT_EQ(claims.take_confirmed(), (Owned{{"h1", {kBlock4}}}));
    const auto good = claims.good(keys.of(ipam::AffinityId{"h1", kBlock4}));
    EXPECT_EQ(*good.value().value, R"({"state":"confirmed"})");
}

TEST_F(EtcdClaims, GarbageInPlaceOfOneThatIsGoneEndsIt) {
    EXPECT_TRUE(set("h1", R"({"state":"confirmed"})"));
    (void)claims.take_confirmed();
    EXPECT_TRUE(claims.apply({{keys.of(ipam::AffinityId{"h1", kBlock4}), "garbage", 8, true}}));
    EXPECT_EQ(claims.take_confirmed(), (Owned{{"h1", {}}}));
}

TEST_F(EtcdClaims, OtherKeysAreNotLookedAt) {
    EXPECT_FALSE(claims.apply({{kKeys.of(kWeb), policy(""), 7}, {"/calico/openstack/x", "y", 8}}));
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_objects_test
