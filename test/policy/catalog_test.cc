// What counts when files change, are broken, or define an object twice; and what is enforced for
// invalid objects.
// SPDX-License-Identifier: Apache-2.0
#include "policy/catalog.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace vr::policy::catalog_test {
namespace {

const Key kWeb{Kind::NetworkPolicy, "prod", "web"};

std::string policy(std::string_view spec, std::string_view name = "web") {
    return "---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: " +
           std::string(name) + ", namespace: prod}\nspec: {" + std::string(spec) + "}\n";
}

Events set(Catalog& catalog, const std::string& file, const std::string& text) {
    return catalog.set_file(file, text);
}

TEST(Catalog, AnObjectAppearsWithItsFile) {
    Catalog catalog;
    const auto events = set(catalog, "a.yaml", policy("order: 1"));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(std::get<Upsert>(events[0]).resource->key, kWeb);
}

TEST(Catalog, AnUnchangedObjectIsNotToldAgain) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: 1"));
    EXPECT_TRUE(set(catalog, "a.yaml", policy("order: 1") + "# a comment\n").empty());
}

/// One may be of tens of megabytes.
TEST(Catalog, TheTextOfAnObjectIsNotCopied) {
    Catalog catalog;
    const auto events = set(catalog, "a.yaml", policy("order: 1"));
    const auto text = std::get<Upsert>(events.at(0)).text;
    EXPECT_EQ(catalog.good("a.yaml")->at(0), catalog.shared_text("a.yaml"));
    (void)set(catalog, "a.yaml", policy("order: [1]"));
    EXPECT_EQ(catalog.good("a.yaml")->at(0), text);
}

TEST(Catalog, EveryFileOfWhichAnotherTextIsGoodIsTold) {
    const std::vector<std::string> texts{
        policy("order: 1"),
        policy("order: 2"),
        policy("order: [1]"),
        "kind: [unclosed\n",
        policy("order: 3", "db"),
        policy("order: 4") + policy("order: [4]", "db"),
        policy("order: [5]") + policy("order: 5", "db")};
    const std::vector<std::string> names{"a.yaml", "b.yaml", "c.yaml"};
    std::minstd_rand random(1);
    for (int round = 0; round < 200; ++round) {
        Catalog catalog;
        std::map<std::string, Catalog::Good> told;
        catalog.on_good([&](const std::string& name) {
            if (auto good = catalog.good(name)) {
                told[name] = *std::move(good);
            } else {
                told.erase(name);
            }
        });
        for (int step = 0; step < 20; ++step) {
            const std::string& name = names[random() % names.size()];
            switch (random() % 6) {
                case 0:
                    (void)catalog.remove_file(name);
                    break;
                case 1:
                    catalog.set_unreadable(name, "gone bad");
                    break;
                case 2:
                    (void)catalog.set_stand_in(name, texts[2], kWeb, "h", "not this");
                    break;
                default:
                    (void)set(catalog, name, texts[random() % texts.size()]);
                    break;
            }
            for (const std::string& each : names) {
                const auto good = catalog.good(each);
                ASSERT_EQ(told.contains(each), good.has_value());
                ASSERT_TRUE(!good || told.at(each) == *good) << each << " in step " << step;
            }
        }
    }
}

TEST(Catalog, ARemovedFileRemovesItsObjects) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: 1"));
    const auto events = catalog.remove_file("a.yaml");
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(std::get<Delete>(events[0]).key, kWeb);
    EXPECT_TRUE(catalog.list().empty());
}

TEST(Catalog, AFileThatIsNoYamlKeepsItsObjects) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: 1"));
    EXPECT_TRUE(set(catalog, "a.yaml", "kind: [unclosed\n").empty());
    ASSERT_EQ(catalog.problems().size(), 1U);
    EXPECT_TRUE(catalog.problems()[0].starts_with("a.yaml:")) << catalog.problems()[0];
    EXPECT_EQ(catalog.list().at(0).state, ObjectState::Kept);
}

TEST(Catalog, AFileIsTakenAgainOnceItParses) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: 1"));
    (void)set(catalog, "a.yaml", "kind: [unclosed\n");
    EXPECT_EQ(set(catalog, "a.yaml", policy("order: 2")).size(), 1U);
    EXPECT_TRUE(catalog.problems().empty());
}

TEST(Catalog, TheFirstFileByNameCounts) {
    Catalog catalog;
    (void)set(catalog, "b.yaml", policy("order: 2"));
    const auto events = set(catalog, "a.yaml", policy("order: 1"));
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(std::get<Upsert>(events[0]).resource->as<Policy>().order, 1);
    const auto listed = catalog.list();
    ASSERT_EQ(listed.size(), 2U);
    EXPECT_EQ(listed[1].state, ObjectState::Shadowed);
    EXPECT_EQ(listed[1].reason, "defined before in a.yaml:2, which counts");
}

TEST(Catalog, ListsSomeObjectsWithAllTheirDefinitionsFromAKeyOn) {
    Catalog catalog;
    for (const char* file : {"a.yaml", "b.yaml"}) {
        (void)set(
            catalog,
            file,
            "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: x}\nspec: {order: "
            "1}\n---\n"
            "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: y}\nspec: {order: "
            "1}\n---\n" +
                policy("order: 1"));
    }
    const auto names = [&](const Key& from, std::size_t count) {
        std::string all;
        for (const ObjectStatus& object : catalog.list(from, count)) {
            all += object.key.name + "/" + object.file + " ";
        }
        return all;
    };
    const Key first{Kind::Tier, {}, "x"};
    EXPECT_EQ(names({Kind::Tier, {}, {}}, 1), "x/a.yaml x/b.yaml ");
    EXPECT_EQ(names(first, 1), "x/a.yaml x/b.yaml ");
    EXPECT_EQ(names(behind(first), 9), "y/a.yaml y/b.yaml ");
    EXPECT_EQ(names(behind({Kind::Tier, {}, "y"}), 9), "");
    EXPECT_EQ(catalog.list().size(), 6U);
}

/// "OBJECTS/INVALID" of a kind.
std::string counted(const Catalog& catalog, Kind kind) {
    const auto found = catalog.counts().find(kind);
    return found == catalog.counts().end() ? std::string("none")
                                           : std::to_string(found->second.objects) + "/" +
                                                 std::to_string(found->second.invalid);
}

TEST(Catalog, CountsWhatThereIsOfEachKind) {
    Catalog catalog;
    constexpr auto kKind = Kind::NetworkPolicy;
    EXPECT_EQ(counted(catalog, kKind), "none");
    (void)set(catalog, "b.yaml", policy("order: 1"));
    EXPECT_EQ(counted(catalog, kKind), "1/0");
    (void)set(catalog, "a.yaml", policy("order: soon"));  // counts, as it comes first
    EXPECT_EQ(counted(catalog, kKind), "1/1");
    (void)set(catalog, "a.yaml", policy("order: 2"));
    EXPECT_EQ(counted(catalog, kKind), "1/0");
    (void)set(catalog, "b.yaml", policy("order: soon"));
    EXPECT_EQ(counted(catalog, kKind), "1/0");
    (void)catalog.remove_file("a.yaml");
    EXPECT_EQ(counted(catalog, kKind), "1/1");
    (void)set(catalog, "b.yaml", "kind: [");  // what it had stays
    EXPECT_EQ(counted(catalog, kKind), "1/1");
    (void)catalog.remove_file("b.yaml");
    EXPECT_EQ(counted(catalog, kKind), "none");
}

TEST(Catalog, TheSecondDefinitionTakesOverWhenTheFirstGoes) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: 1"));
    (void)set(catalog, "b.yaml", policy("order: 2"));
    const auto events = catalog.remove_file("a.yaml");
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(std::get<Upsert>(events[0]).resource->as<Policy>().order, 2);
}

TEST(Catalog, AnObjectThatBecomesInvalidKeepsItsLastValidVersion) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("ingress: [{action: Deny}]"));
    EXPECT_TRUE(set(catalog, "a.yaml", policy("ingress: [{action: Dney}]")).empty());
    const auto listed = catalog.list();
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].state, ObjectState::Kept);
    EXPECT_EQ(
        listed[0].reason,
        "a.yaml:5: spec.ingress[0].action: unknown action 'Dney', expected Allow, Deny, Log or "
        "Pass");
}

/// What stands in for a policy that never was valid.
Policy stand_in_for(std::string_view spec) {
    Catalog catalog;
    const auto events = set(catalog, "a.yaml", policy(spec));
    EXPECT_EQ(catalog.list().at(0).state, ObjectState::StandIn);
    return std::get<Upsert>(events.at(0)).resource->as<Policy>();
}

TEST(StandIn, DeniesWhatTheReadableSelectorSelects) {
    const Policy policy = stand_in_for(
        "selector: \"a == 'b'\", order: 3, types: [Ingress], "
        "ingress: [{action: Allow, protocol: tpc}]");
    EXPECT_EQ(policy.selector.text(), "a == \"b\"");
    EXPECT_EQ(policy.order, 3);
    EXPECT_EQ(policy.types, Governs::Ingress);
    EXPECT_EQ(policy.ingress, std::vector<Rule>{Rule{}});
    EXPECT_EQ(Rule{}.action, RuleAction::Deny);
}

TEST(StandIn, SelectsEverythingWhenTheSelectorIsUnreadable) {
    EXPECT_EQ(stand_in_for("selector: \"a ==\"").selector.text(), "all()");
}

TEST(StandIn, SelectsEverythingWhenTheSelectorIsATag) {
    EXPECT_EQ(stand_in_for("selector: !has(a)").selector.text(), "all()");
}

TEST(StandIn, ComesBeforeEveryTierWhenItsTierIsATag) {
    EXPECT_EQ(stand_in_for("tier: !a b").tier, "");
}

TEST(StandIn, ComesFirstWhenItsOrderIsUnreadable) {
    EXPECT_LT(*stand_in_for("order: soon").order, -1e300);
}

TEST(StandIn, ComesBeforeEveryTierWhenItsTierIsUnreadable) {
    EXPECT_EQ(stand_in_for("tier: [a]").tier, "");
}

TEST(StandIn, GovernsBothDirectionsWhenTypesAreUnreadable) {
    EXPECT_EQ(stand_in_for("types: [Inress]").types, Governs::Both);
}

TEST(StandIn, ATierDeniesAtItsEndAndKeepsItsOrder) {
    Catalog catalog;
    const auto events =
        set(catalog,
            "t.yaml",
            "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\n"
            "spec: {order: 7, defaultAction: Pas}\n");
    const auto& tier = std::get<Upsert>(events.at(0)).resource->as<Tier>();
    EXPECT_EQ(tier, (Tier{7, TierDefault::Deny}));
}

Tier tier_in_place_of(std::string_view name, std::string_view spec) {
    Catalog catalog;
    const auto events =
        set(catalog,
            "t.yaml",
            "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " + std::string(name) +
                "}\nspec: " + std::string(spec) + "\n");
    return std::get<Upsert>(events.at(0)).resource->as<Tier>();
}

TEST(StandIn, ATierOfUnknownOrderIsFirstAndClosed) {
    for (const auto* spec : {"{order: soon}", "{ordr: 7}", "[]", "x"}) {
        const Tier tier = tier_in_place_of("t", spec);
        EXPECT_LT(*tier.order, -1e300) << spec;
        EXPECT_TRUE(tier.closed) << spec;
        EXPECT_EQ(tier.default_action, TierDefault::Deny) << spec;
    }
}

TEST(StandIn, ABuiltInTierKeepsItsOrder) {
    EXPECT_EQ(
        tier_in_place_of("kube-baseline", "{order: soon}"), (Tier{10'000'000, TierDefault::Deny}));
    EXPECT_EQ(tier_in_place_of("kube-admin", "[]"), (Tier{1'000, TierDefault::Deny}));
}

TEST(StandIn, OfAMisspeltFieldTheStrictestIsTaken) {
    EXPECT_LT(*stand_in_for("ordr: 1").order, -1e300);
    EXPECT_EQ(stand_in_for("teir: x").tier, "");
    EXPECT_EQ(stand_in_for("type: [Ingress]").types, Governs::Both);
}

TEST(StandIn, EndsWhenTheObjectBecomesValid) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: soon"));
    const auto events = set(catalog, "a.yaml", policy("order: 5"));
    EXPECT_EQ(std::get<Upsert>(events.at(0)).resource->as<Policy>().order, 5);
    EXPECT_EQ(catalog.list().at(0).state, ObjectState::Valid);
}

/// An invalid object of which something counts, or nothing.
struct Broken {
    std::string_view name;
    std::string object;  ///< its lines without apiVersion
    std::string counts;  ///< the end of the reason; empty: it is missing

    friend std::ostream& operator<<(std::ostream& out, const Broken& b) { return out << b.name; }
};

class Salvaged : public testing::TestWithParam<Broken> {};

TEST_P(Salvaged, IsInvalidAndSaysWhatCounts) {
    Catalog catalog;
    const bool slice = GetParam().object.starts_with("kind: EndpointSlice");
    const std::string version = slice ? "discovery.k8s.io/v1" : "projectcalico.org/v3";
    const auto events = set(catalog, "x.yaml", "apiVersion: " + version + "\n" + GetParam().object);
    const auto status = catalog.list().at(0);
    EXPECT_EQ(events.size(), GetParam().counts.empty() ? 0U : 1U);
    EXPECT_EQ(
        status.state, GetParam().counts.empty() ? ObjectState::Missing : ObjectState::Partial);
    EXPECT_TRUE(status.reason.ends_with(GetParam().counts)) << status.reason;
    EXPECT_EQ(catalog.counts().begin()->second.invalid, 1U);
}

const std::string kSet = "kind: GlobalNetworkSet\nmetadata: {name: s, labels: {a: b}}\n";
const std::string kSlice =
    "kind: EndpointSlice\nmetadata: {name: s, labels: {kubernetes.io/service-name: a}}\n";
const std::string kGuest = "kind: WorkloadEndpoint\nmetadata: {name: w}\n";

INSTANTIATE_TEST_SUITE_P(
    All,
    Salvaged,
    testing::Values(
        Broken{"Nets", kSet + "spec: {nets: [10.0.0.0/8, x, '::/0']}\n", "; 2 of 3 nets count"},
        Broken{"AKey", kSet + "spec: {nets: [10.0.0.0/8], net: []}\n", "; 1 of 1 nets count"},
        Broken{"ATaggedNet", kSet + "spec: {nets: [10.0.0.1, !x '::/0']}\n", "; 1 of 2 nets count"},
        Broken{"NoNet", kSet + "spec: {nets: [x]}\n", ""},
        Broken{"NoList", kSet + "spec: {nets: 10.0.0.0/8}\n", ""},
        Broken{"NoSpec", kSet + "spec: [10.0.0.0/8]\n", ""},
        Broken{
            "ALabel",
            "kind: GlobalNetworkSet\nmetadata: {name: s, labels: {a: b, c: []}}\nspec: {nets: "
            "[10.0.0.0/8]}\n",
            ""},
        Broken{
            "ATaggedLabel",
            "kind: GlobalNetworkSet\nmetadata: {name: s, labels: {a: !b c}}\nspec: {nets: "
            "[10.0.0.0/8]}\n",
            ""},
        Broken{
            "AName",
            "kind: GlobalNetworkSet\nmetadata: {name: 's s'}\nspec: {nets: [10.0.0.0/8]}\n",
            ""},
        Broken{
            "Addresses",
            kGuest + "spec: {node: h, interfaceName: t, ipNetworks: [10.0.0.1, 10.0.0.0/24], "
                     "ports: [{name: a, protocol: TCP, port: 80}, {name: b}]}\n",
            "; 1 of 2 ipNetworks and 1 of 2 ports count"},
        Broken{"NoNode", kGuest + "spec: {ipNetworks: [10.0.0.1]}\n", "; 1 of 1 ipNetworks count"},
        Broken{"NoAddress", kGuest + "spec: {ports: [x]}\n", ""},
        Broken{"Orchestrator", kGuest + "spec: {orchestrator: [], ipNetworks: [10.0.0.1]}\n", ""},
        Broken{
            "ServiceAccount",
            kGuest + "spec: {serviceAccountName: {}, ipNetworks: [10.0.0.1]}\n",
            ""},
        Broken{"Profiles", kGuest + "spec: {profiles: a, ipNetworks: [10.0.0.1]}\n", ""},
        Broken{
            "Slice",
            kSlice + "endpoints: [{addresses: [10.0.0.1, x]}, y]\nports: [{port: 80}, {}]\n",
            "; 1 of 3 addresses and 1 of 2 ports count"},
        Broken{
            "SliceOfNames",
            kSlice + "addressType: FQDN\nendpoints: [{addresses: [10.0.0.1]}]\n",
            ""},
        Broken{
            "SliceOfNothing",
            "kind: EndpointSlice\nmetadata: {name: s}\nendpoints: [{addresses: [10.0.0.1]}]\n",
            ""}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Salvage, AnEndpointIsOfNoHost) {
    Catalog catalog;
    const auto events =
        set(catalog,
            "w.yaml",
            "apiVersion: projectcalico.org/v3\n" + kGuest +
                "spec: {node: h1, interfaceName: t, mac: x, ipNetworks: [10.0.0.1]}\n");
    const auto& endpoint = std::get<Upsert>(events.at(0)).resource->as<WorkloadEndpoint>();
    EXPECT_EQ(endpoint.node, "");
    EXPECT_EQ(endpoint.interface_name, "");
    EXPECT_FALSE(endpoint.active);
}

TEST(Salvage, TheLastValidVersionIsPreferred) {
    Catalog catalog;
    const std::string head = "apiVersion: projectcalico.org/v3\n" + kSet;
    (void)set(catalog, "s.yaml", head + "spec: {nets: [10.0.0.0/8, 192.0.2.0/24]}\n");
    EXPECT_TRUE(set(catalog, "s.yaml", head + "spec: {nets: [10.0.0.0/8, x]}\n").empty());
    const auto status = catalog.list().at(0);
    EXPECT_EQ(status.state, ObjectState::Kept);
    EXPECT_FALSE(status.reason.ends_with("count")) << status.reason;
}

TEST(Salvage, TheBuiltInProfileIsNotReplaced) {
    Catalog catalog;
    EXPECT_TRUE(set(catalog,
                    "p.yaml",
                    "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: "
                    "projectcalico-default-allow}\nspec: {labelsToApply: {a: b}}\n")
                    .empty());
}

TEST(Salvage, OfAProfileWithAKeyThatMayMeanLabelsTheyAreUnread) {
    Catalog catalog;
    for (const std::string spec :
         {"{labelsToApply: {a: b}, labelToApply: {c: d}}", "{labelsToApply: {a: [b]}}", "[]"}) {
        const auto events = set(
            catalog,
            "p.yaml",
            "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: p}\nspec: " + spec +
                "\n");
        ASSERT_EQ(events.size(), 1U) << spec;
        const auto& profile = std::get<Upsert>(events[0]).resource->as<Profile>();
        EXPECT_TRUE(profile.labels_unread);
        EXPECT_TRUE(profile.closed);
        EXPECT_TRUE(profile.labels_to_apply.empty());
        EXPECT_EQ(catalog.list().at(0).state, ObjectState::StandIn);
        (void)catalog.remove_file("p.yaml");
    }
}

TEST(Catalog, AnInvalidEndpointWithoutAnAddressIsMissing) {
    Catalog catalog;
    const auto events =
        set(catalog,
            "w.yaml",
            "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {name: w}\n"
            "spec: {node: h1, interfaceName: tap0, ipNetworks: [10.0.0.0/24]}\n");
    EXPECT_TRUE(events.empty());
    EXPECT_EQ(catalog.list().at(0).state, ObjectState::Missing);
}

TEST(Catalog, WhatIsInForceDoesNotDependOnTheOrderOfFiles) {
    const std::vector<std::pair<std::string, std::string>> files{
        {"a.yaml", policy("order: 1") + policy("order: 9", "db")},
        {"b.yaml", policy("order: 2", "db")},
        {"c.yaml", policy("order: soon", "api")}};
    const auto summary = [](const Catalog& catalog) {
        std::string text;
        for (const auto& object : catalog.list()) {
            text += to_string(object.key) + " " + object.file + " " +
                    std::string(to_string(object.state)) + "\n";
        }
        return text;
    };
    Catalog forwards;
    for (const auto& [name, text] : files) {
        (void)set(forwards, name, text);
    }
    Catalog backwards;
    for (auto file = files.rbegin(); file != files.rend(); ++file) {
        (void)set(backwards, file->first, file->second);
    }
    EXPECT_EQ(summary(forwards), summary(backwards));
}

TEST(Catalog, AnObjectIsFoundWithItsPlace) {
    Catalog catalog;
    (void)set(catalog, "a.yaml", policy("order: 1") + policy("order: 9", "db"));
    const auto place = catalog.find({Kind::NetworkPolicy, "prod", "db"});
    ASSERT_TRUE(place);
    EXPECT_EQ(place->file, "a.yaml");
    EXPECT_EQ(place->line, 7);
    EXPECT_EQ(place->objects_in_file, 2U);
}

}  // namespace
}  // namespace vr::policy::catalog_test
