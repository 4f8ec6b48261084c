// What a host tells of itself, and what a server believes of it.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <policyd.pb.h>

#include "policy/policyd/wire.h"

namespace vr::policyd::report_test {
namespace {

using policy::Key;
using policy::Kind;

const Key kWeb{Kind::WorkloadEndpoint, "prod", "a-openstack-web-eth0"};
const Key kUplink{Kind::HostEndpoint, {}, "uplink"};

pb::FromHost read(const std::string& bytes) {
    FrameDecoder decoder(kMostFromHost);
    decoder.feed(Bytes{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    const auto content = decoder.next();
    EXPECT_TRUE(content && *content);
    auto message = parse_from_host(**content);
    EXPECT_TRUE(message) << (message ? "" : message.error().text);
    return *std::move(message);
}

/// A host and a server, which is told by frames.
struct Connection {
    std::size_t tell(const HostReport& now) {
        const auto frames = writer.tell(now);
        for (const auto& bytes : frames) {
            reader.take(read(bytes).report());
        }
        return frames.size();
    }

    void connect() {
        writer.restart();
        reader = {};
    }

    ReportWriter writer;
    ReportReader reader;
};

TEST(Report, EverythingIsToldOnceAndThenWhatIsDifferent) {
    Connection at;
    HostReport now{std::chrono::seconds(5), {{kWeb, std::nullopt}, {kUplink, "down"}}};
    EXPECT_EQ(at.tell(now), 1U);
    EXPECT_TRUE(at.reader.is_whole());
    EXPECT_EQ(at.reader.report().uptime, std::chrono::seconds(5));
    EXPECT_EQ(at.reader.report().endpoints, now.endpoints);
    EXPECT_EQ(at.tell(now), 0U);
    now.endpoints[kWeb] = "up";
    EXPECT_EQ(at.writer.tell(now).size(), 1U);
    now.endpoints[kWeb] = "error";
    now.endpoints.erase(kUplink);
    EXPECT_EQ(at.tell(now), 1U);
    EXPECT_EQ(at.reader.report().endpoints, now.endpoints);
}

TEST(Report, ANextConnectionIsToldEverythingAnewButNotThatTheHostIsNew) {
    Connection at;
    const HostReport now{{}, {{kWeb, "up"}}};
    (void)at.tell(now);
    EXPECT_TRUE(at.reader.is_first());
    at.connect();
    EXPECT_EQ(at.tell(now), 1U);
    EXPECT_FALSE(at.reader.is_first());
    EXPECT_EQ(at.reader.report().endpoints, now.endpoints);
}

TEST(Report, ManyEndpointsTakeFramesThatAnOldServerReadsAndAreWholeWithTheLast) {
    Connection at;
    HostReport now;
    for (int i = 0; i < 1000; ++i) {
        now.endpoints[{Kind::WorkloadEndpoint, "prod", fmt::format("a-openstack-vm{}-eth0", i)}] =
            "up";
    }
    const auto frames = at.writer.tell(now);
    EXPECT_GT(frames.size(), 10U);
    for (const auto& bytes : frames) {
        EXPECT_FALSE(at.reader.is_whole());
        at.reader.take(read(bytes).report());
    }
    EXPECT_TRUE(at.reader.is_whole());
    EXPECT_EQ(at.reader.report().endpoints, now.endpoints);
}

TEST(Report, WhatNoFrameHoldsIsLeftOut) {
    Connection at;
    HostReport now{{}, {{kWeb, "up"}}};
    now.endpoints[{Kind::WorkloadEndpoint, "prod", std::string(5000, 'a')}] = "up";
    EXPECT_EQ(at.tell(now), 2U);
    EXPECT_TRUE(at.reader.is_whole());
    EXPECT_EQ(at.reader.report().endpoints.size(), 1U);
}

TEST(Report, AddressesAreToldWhereTheyAreSome) {
    Connection at;
    const policy::etcd::NodeFacts facts{Asn{64512}, "192.0.2.1/24", "fd00::1/64"};
    (void)at.tell({{}, {}, facts});
    EXPECT_EQ(at.reader.report().node, facts);
    const policy::etcd::NodeFacts other{std::nullopt, "", "fd00::2/64"};
    EXPECT_EQ(at.tell({{}, {}, other}), 1U);
    EXPECT_EQ(at.reader.report().node, other);
}

// --- hosts that lie --------------------------------------------------------------------------

pb::Report status(std::string_view kind, std::string_view ns, std::string name, std::string is) {
    pb::Report report;
    auto& update = *report.add_updates()->mutable_workload_endpoint_status_update();
    update.mutable_id()->set_kind(std::string(kind));
    update.mutable_id()->set_namespace_(std::string(ns));
    update.mutable_id()->set_name(std::move(name));
    update.set_status(std::move(is));
    return report;
}

TEST(Report, WhatIsNoStatusOfAnEndpointIsLeftOut) {
    ReportReader reader;
    reader.take(status("Node", "", "a", "up"));
    reader.take(status("NetworkPolicy", "prod", "a", "up"));
    reader.take(status("HostEndpoint", "", "a", "up"));  // in the wrong message
    reader.take(status("WorkloadEndpoint", "", "a", "up"));
    reader.take(status("WorkloadEndpoint", "prod", "", "up"));
    reader.take(status("WorkloadEndpoint", "prod", "a", R"(up"},"x":{")"));
    reader.take(
        status("WorkloadEndpoint", "prod", std::string(ReportReader::kMostName, 'a'), "up"));
    pb::Report empty;
    (void)empty.add_updates();  // of a newer host
    reader.take(empty);
    EXPECT_TRUE(reader.report().endpoints.empty());
    EXPECT_FALSE(reader.is_whole());
}

TEST(Report, EndpointsAreBoundedAndThoseThatAreKnownGoOn) {
    ReportReader reader;
    for (std::size_t i = 0; i < ReportReader::kMostEndpoints + 10; ++i) {
        reader.take(status("WorkloadEndpoint", "n", fmt::format("e{}", i), "up"));
    }
    EXPECT_EQ(reader.report().endpoints.size(), ReportReader::kMostEndpoints);
    reader.take(status("WorkloadEndpoint", "n", "e0", "down"));
    EXPECT_EQ(reader.report().endpoints.at({Kind::WorkloadEndpoint, "n", "e0"}), "down");
}

TEST(Report, AnUptimeOfAgesIsTenYears) {
    pb::Report report;
    report.add_updates()->mutable_process_status_update()->set_milliseconds(~std::uint64_t{0});
    ReportReader reader;
    reader.take(report);
    EXPECT_EQ(reader.report().uptime, std::chrono::years(10));
}

class NoAddress : public testing::TestWithParam<std::string> {};

TEST_P(NoAddress, MakesNoNode) {
    pb::Report report;
    report.add_updates()->mutable_node_addresses()->set_address4(GetParam());
    ReportReader reader;
    reader.take(report);
    EXPECT_EQ(reader.report().node, std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    Report,
    NoAddress,
    testing::Values(
        "192.0.2.1",
        "192.0.2.1/",
        "192.0.2.1/33",
        "192.0.2.1/-1",
        "192.0.2.1/24/1",
        "/24",
        "fd00::1/64",
        R"(192.0.2.1/24","x":")"));

}  // namespace
}  // namespace vr::policyd::report_test
