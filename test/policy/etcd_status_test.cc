// What a host writes about itself: values, and which key is next.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "policy/etcd/status.h"

namespace vr::policy::etcd::etcd_status_test {
namespace {

using Write = EndpointStatuses::Write;

TEST(EtcdStatus, AnAgentSaysWhenAndForHowLong) {
    EXPECT_EQ(
        agent_status(
            std::chrono::system_clock::time_point(std::chrono::seconds(1795293676)),
            std::chrono::milliseconds(5250),
            false),
        R"({"time":"2026-11-21T20:41:16Z","uptime":5.250,"first_update":false})");
}

TEST(EtcdStatus, EndpointsAreReportedWhenFelixIsToldSo) {
    EXPECT_EQ(wants_reports(R"({"spec":{"endpointReportingEnabled":true}})"), true);
    EXPECT_EQ(wants_reports(R"({"spec":{"endpointReportingEnabled":false}})"), false);
    EXPECT_EQ(wants_reports("{}"), std::nullopt);
    EXPECT_EQ(wants_reports("garbage"), std::nullopt);
    EXPECT_FALSE(reports_endpoints({}, "h"));
    EXPECT_TRUE(reports_endpoints({{"default", true}}, "h"));
    EXPECT_FALSE(reports_endpoints({{"default", true}, {"node.h", false}}, "h"));
    EXPECT_TRUE(reports_endpoints({{"default", true}, {"node.h", std::nullopt}}, "h"));
    EXPECT_FALSE(reports_endpoints({{"default", std::nullopt}, {"node.x", true}}, "h"));
}

TEST(EtcdStatus, WhatIsStoredAlreadyIsNotWritten) {
    EndpointStatuses statuses;
    statuses.set_stored({{"a", "up"}, {"b", "up"}});
    statuses.set_wanted({{"a", "up"}, {"b", "down"}});
    const auto write = statuses.next();
    EXPECT_EQ(write, (Write{"b", "down"}));
    statuses.written(*write);
    EXPECT_EQ(statuses.next(), std::nullopt);
}

TEST(EtcdStatus, WhatAnEarlierRunLeftBehindGoes) {
    EndpointStatuses statuses;
    statuses.set_stored({{"old", "up"}});
    statuses.set_wanted({{"new", "up"}});
    EXPECT_EQ(statuses.next(), (Write{"new", "up"}));
    statuses.written(*statuses.next());
    EXPECT_EQ(statuses.next(), (Write{"old", std::nullopt}));
    statuses.written(*statuses.next());
    EXPECT_EQ(statuses.next(), std::nullopt);
}

TEST(EtcdStatus, WhatIsNotKnownYetStaysAsItIs) {
    EndpointStatuses statuses;
    statuses.set_stored({{"a", "up"}});
    statuses.set_wanted({{"a", std::nullopt}, {"b", std::nullopt}});
    EXPECT_EQ(statuses.next(), std::nullopt);
}

const NodeFacts kFacts{Asn{64512}, "192.0.2.1/24", "fd00::1/64"};

TEST(EtcdStatus, ANodeIsMade) {
    EXPECT_EQ(
        node_resource(nullptr, "h", kFacts).value(),
        R"({"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":"h"},)"
        R"("spec":{"bgp":{"asNumber":64512,"ipv4Address":"192.0.2.1/24","ipv6Address":"fd00::1/64"}}})");
}

TEST(EtcdStatus, ANodeThatSaysSoIsLeftAlone) {
    const auto made = node_resource(nullptr, "h", kFacts).value();
    EXPECT_EQ(node_resource(&*made, "h", kFacts).value(), std::nullopt);
}

TEST(EtcdStatus, WhatOthersWroteIntoANodeStays) {
    const std::string before =
        R"({"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":"h","uid":"7",)"
        R"("labels":{"rack":"1"}},"spec":{"bgp":{"asNumber":1,"routeReflectorClusterID":"1.1.1.1"},)"
        R"("orchRefs":[{"nodeName":"n"}]}})";
    EXPECT_EQ(
        node_resource(&before, "h", {std::nullopt, "192.0.2.1/24", ""}).value(),
        R"({"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":"h","uid":"7",)"
        R"("labels":{"rack":"1"}},"spec":{"bgp":{"asNumber":1,"routeReflectorClusterID":"1.1.1.1",)"
        R"("ipv4Address":"192.0.2.1/24"},"orchRefs":[{"nodeName":"n"}]}})");
}

TEST(EtcdStatus, ANodeThatIsGarbageIsLeftAlone) {
    const std::string before = "garbage";
    EXPECT_FALSE(node_resource(&before, "h", kFacts));
}

}  // namespace
}  // namespace vr::policy::etcd::etcd_status_test
