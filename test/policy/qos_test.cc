// qosControls, in the spec and as annotations: what counts, what is refused.  POLICY 2.7.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/passage.h"
#include "policy/qos_spec.h"
#include "test/policy/cluster.h"

namespace vr::policy::qos_test {
namespace {

ParsedObject read(const std::string& controls, const std::string& annotations = "") {
    auto file = parse_file(
        "f.yaml",
        fmt::format(
            "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {{name: x, "
            "namespace: a, annotations: {{{}}}}}\nspec:\n  node: h\n  interfaceName: t\n"
            "  ipNetworks: [10.0.0.1]\n  qosControls: {{{}}}\n",
            annotations,
            controls));
    EXPECT_TRUE(file && file->objects.size() == 1);
    return file ? file->objects.at(0) : ParsedObject{};
}

struct Good {
    std::string name;
    std::string controls;
    std::string annotations;
    QosControls wanted;
};

class GoodControls : public testing::TestWithParam<Good> {};

TEST_P(GoodControls, AreRead) {
    const auto object = read(GetParam().controls, GetParam().annotations);
    ASSERT_TRUE(object.resource) << object.error;
    EXPECT_EQ(object.resource->as<WorkloadEndpoint>().qos, GetParam().wanted);
    EXPECT_TRUE(object.warnings.empty()) << object.warnings.front();
}

INSTANTIATE_TEST_SUITE_P(
    Qos,
    GoodControls,
    testing::ValuesIn(std::vector<Good>{
        {"none", "", "", {}},
        {"unset", "ingressBandwidth: 0, egressMaxConnections: 0, dscp: null", "", {}},
        {"all_of_one_direction",
         "ingressBandwidth: 1000000, ingressBurst: 2000000, ingressPeakrate: 3000000, "
         "ingressMinburst: 1500, ingressPacketRate: 10000, ingressPacketBurst: 7, "
         "ingressMaxConnections: 4294967295",
         "",
         {.ingress = {1000000, 2000000, 3000000, 1500, 10000, 7, 4294967295}}},
        {"egress", "egressMaxConnections: 3", "", {.egress = {.connections = 3}}},
        {"default_bursts",
         "egressBandwidth: 1e9, egressPacketRate: 100",
         "",
         {.egress =
              {.bandwidth = 1000000000,
               .burst = 4294967296,
               .packet_rate = 100,
               .packet_burst = 5}}},
        {"bounds",
         "ingressBandwidth: 1000, ingressBurst: 34359738360, egressBandwidth: 1000000000000000, "
         "egressPeakrate: 1010000000000000",
         "",
         {.ingress = {.bandwidth = 1000, .burst = 34359738360},
          .egress =
              {.bandwidth = 1000000000000000, .burst = 4294967296, .peak_rate = 1010000000000000}}},
        {"dscp_by_number", "dscp: 0", "", {.dscp = std::uint8_t{0}}},
        {"dscp_by_name", "dscp: ef", "", {.dscp = std::uint8_t{46}}},
        {"dscp_assured", "dscp: AF43", "", {.dscp = std::uint8_t{38}}},
        {"dscp_class", "dscp: CS6", "", {.dscp = std::uint8_t{48}}},
        {"annotations",
         "",
         "qos.projectcalico.org/ingressBandwidth: 10M, qos.projectcalico.org/ingressBurst: 1Mi, "
         "qos.projectcalico.org/egressPacketRate: '1.5k', qos.projectcalico.org/dscp: '18'",
         {.ingress = {.bandwidth = 10000000, .burst = 1048576},
          .egress = {.packet_rate = 1500, .packet_burst = 5},
          .dscp = std::uint8_t{18}}},
        {"annotations_of_kubernetes",
         "",
         "kubernetes.io/ingress-bandwidth: 1G, kubernetes.io/egress-bandwidth: 2G, "
         "qos.projectcalico.org/egressBandwidth: 3G",
         {.ingress = {.bandwidth = 1000000000, .burst = 4294967296},
          .egress = {.bandwidth = 3000000000, .burst = 4294967296}}},
        {"the_spec_wins_field_by_field",
         "egressBandwidth: 1000000, dscp: 1",
         "qos.projectcalico.org/egressBandwidth: 2M, qos.projectcalico.org/egressBurst: 3M, "
         "qos.projectcalico.org/dscp: '2'",
         {.egress = {.bandwidth = 1000000, .burst = 3000000}, .dscp = std::uint8_t{1}}},
    }),
    [](const auto& row) { return row.param.name; });

struct Bad {
    std::string name;
    std::string controls;
    std::string annotations;
    std::string error;
};

class BadControls : public testing::TestWithParam<Bad> {};

/// A limit that cannot be read is none too few, so the endpoint is invalid.
TEST_P(BadControls, AreRefused) {
    const auto object = read(GetParam().controls, GetParam().annotations);
    EXPECT_EQ(object.resource, nullptr);
    EXPECT_NE(object.error.find(GetParam().error), std::string::npos) << object.error;
}

INSTANTIATE_TEST_SUITE_P(
    Qos,
    BadControls,
    testing::ValuesIn(std::vector<Bad>{
        {"too_slow",
         "ingressBandwidth: 999",
         "",
         "spec.qosControls.ingressBandwidth: '999' is not from 1000 to 1000000000000000"},
        {"too_fast", "ingressBandwidth: 1.1e15", "", "is not from 1000 to"},
        {"negative", "ingressPacketRate: -1", "", "is not from 1 to 1000000000"},
        {"no_number", "egressPacketRate: fast", "", "'fast' is not a quantity"},
        {"not_a_number", "egressPacketRate: nan", "", "is not a quantity"},
        {"unknown_unit", "egressBandwidth: 1Mb", "", "is not a quantity"},
        {"list", "egressBandwidth: [1000]", "", "is not a quantity"},
        {"no_map", "egressBandwidth: {a: 1}", "", "is not a quantity"},
        {"misspelt", "egressBandwith: 1000", "", "is it 'egressBandwidth'?"},
        {"too_many_connections", "egressMaxConnections: 4294967296", "", "is not from 1 to"},
        {"burst_alone", "egressBurst: 1000000", "", "egressBurst needs egressBandwidth"},
        {"minburst_alone", "egressMinburst: 1500", "", "egressMinburst needs egressPeakrate"},
        {"packet_burst_alone",
         "ingressPacketBurst: 5",
         "",
         "ingressPacketBurst needs ingressPacketRate"},
        {"dscp_too_large", "dscp: 64", "", "'64' is no DSCP"},
        {"dscp_unknown", "dscp: AF44", "", "'AF44' is no DSCP"},
        {"dscp_empty", "dscp: ''", "", "is no DSCP"},
        {"annotation",
         "",
         "qos.projectcalico.org/ingressBandwidth: lots",
         "metadata.annotations.qos.projectcalico.org/ingressBandwidth: 'lots' is not a quantity"},
        {"annotation_of_kubernetes", "", "kubernetes.io/egress-bandwidth: '0'", "is not from 1000"},
        {"misspelt_annotation",
         "",
         "qos.projectcalico.org/ingresBandwidth: 1M",
         "is it 'ingressBandwidth'?"},
        {"annotation_that_the_spec_precedes",
         "egressBandwidth: 1000",
         "qos.projectcalico.org/egressBandwidth: ''",
         "is not a quantity"},
    }),
    [](const auto& row) { return row.param.name; });

struct Odd {
    std::string name;
    std::string controls;
    std::string warning;
};

class OddControls : public testing::TestWithParam<Odd> {};

TEST_P(OddControls, AreObeyedWithAWarning) {
    const auto object = read(GetParam().controls);
    ASSERT_TRUE(object.resource) << object.error;
    ASSERT_EQ(object.warnings.size(), 1U);
    EXPECT_NE(object.warnings[0].find(GetParam().warning), std::string::npos) << object.warnings[0];
}

INSTANTIATE_TEST_SUITE_P(
    Qos,
    OddControls,
    testing::ValuesIn(std::vector<Odd>{
        {"faster_than_calico", "ingressPacketRate: 10001", "take at most 10000; obeyed here"},
        {"low_peak",
         "ingressBandwidth: 5000, ingressPeakrate: 5000",
         "ingressPeakrate is not above ingressBandwidth"},
        {"unknown", "egressColour: 1", "unknown field, ignored"},
    }),
    [](const auto& row) { return row.param.name; });

ParsedObject read_host(const std::string& annotations) {
    auto file = parse_file(
        "f.yaml",
        "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: uplink, "
        "annotations: {" +
            annotations + "}}\nspec: {node: h1, interfaceName: eth0}\n");
    return file->objects.at(0);
}

TEST(HostEndpoint, HasADscpByItsAnnotation) {
    const auto object = read_host("qos.projectcalico.org/dscp: EF, other: 1");
    ASSERT_TRUE(object.resource) << object.error;
    EXPECT_EQ(object.resource->as<HostEndpoint>().dscp, 46);
    EXPECT_TRUE(object.warnings.empty());
    EXPECT_EQ(read_host("other: 1").resource->as<HostEndpoint>().dscp, std::nullopt);
}

TEST(HostEndpoint, ADscpThatIsNoneMakesItInvalid) {
    const auto object = read_host("qos.projectcalico.org/dscp: '64'");
    EXPECT_FALSE(object.resource);
    EXPECT_NE(object.error.find("'64' is no DSCP"), std::string::npos) << object.error;
}

TEST(HostEndpoint, LimitsOfOneAreAWarning) {
    const auto object = read_host("qos.projectcalico.org/egressBandwidth: 1M");
    ASSERT_TRUE(object.resource) << object.error;
    ASSERT_EQ(object.warnings.size(), 1U);
    EXPECT_NE(object.warnings[0].find("no limits, ignored"), std::string::npos);
}

struct Leaving {
    std::string name;
    Place from;
    Place to;
    std::string destination;
    std::optional<std::uint8_t> wanted;
};

class Dscp : public testing::TestWithParam<Leaving> {};

TEST_P(Dscp, IsOfWhatLeavesTheCluster) {
    const std::string head = "---\napiVersion: projectcalico.org/v3\nkind: ";
    const auto cluster = objects(
        head +
        "WorkloadEndpoint\nmetadata: {name: vm, namespace: a}\nspec: {node: h1, "
        "interfaceName: tapvm, ipNetworks: [10.0.0.1], profiles: "
        "[projectcalico-default-allow], qosControls: {dscp: EF}}\n" +
        head +
        "HostEndpoint\nmetadata: {name: uplink, annotations: {qos.projectcalico.org/dscp: CS1}}\n"
        "spec: {node: h1, interfaceName: eth0, profiles: [projectcalico-default-allow]}\n" +
        head + "IPPool\nmetadata: {name: pool}\nspec: {cidr: 10.1.0.0/16}\n" + head +
        "Node\nmetadata: {name: h2}\nspec: {bgp: {ipv4Address: 192.0.2.2/24}, "
        "addresses: [{address: 192.0.2.3}]}\n");
    const auto passage = judge_passage<V4>(
        cluster,
        "h1",
        GetParam().from,
        GetParam().to,
        packet<V4>("10.0.0.1", GetParam().destination, 17, 1, 2));
    EXPECT_TRUE(passage.allow || !GetParam().wanted);
    EXPECT_EQ(passage.dscp, GetParam().wanted);
}

const Place kVm = Key{Kind::WorkloadEndpoint, "a", "vm"};
const Place kUplink = Outside{"eth0", {}};
const Place kOtherPort = Outside{"eth1", {}};
const Place kHost = HostItself{};

INSTANTIATE_TEST_SUITE_P(
    Qos,
    Dscp,
    testing::ValuesIn(std::vector<Leaving>{
        {"outside", kVm, kUplink, "203.0.113.1", std::uint8_t{46}},
        {"pool", kVm, kUplink, "10.1.0.1", std::nullopt},
        {"host", kVm, kUplink, "192.0.2.2", std::nullopt},
        {"host_by_another_address", kVm, kUplink, "192.0.2.3", std::nullopt},
        {"this_host", kVm, kHost, "192.0.2.1", std::nullopt},
        {"of_the_host", kHost, kUplink, "203.0.113.1", std::uint8_t{8}},
        {"of_the_host_by_another_port", kHost, kOtherPort, "203.0.113.1", std::nullopt},
        {"of_the_host_to_a_host", kHost, kUplink, "192.0.2.2", std::nullopt},
        {"transit", kOtherPort, kUplink, "203.0.113.1", std::nullopt},
    }),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vr::policy::qos_test
