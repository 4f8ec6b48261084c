// The config file: what is read, and how mistakes are answered.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "test/policyd/certificates.h"
#include "vrouter/net/host_port.h"
#include "vrouter/tls_files.h"

namespace vr::policyd::config_test {
namespace {

const std::string kCredentials =
    "listen: ['[::1]:5474', 192.0.2.1]\nca: ca.pem\ncertificate: c.pem\nkey: k.pem\n";
const std::string kWhole =
    kCredentials + "datastore: {file: {directory: /etc/vrouter/resources}}\n";

TEST(PolicydConfig, HasEveryKey) {
    const auto config = parse_config(
        kWhole + "connections: 10\ncontrol: {socket: /tmp/s}\nlog: {level: debug}\n", "f");
    ASSERT_TRUE(config) << config.error().text;
    EXPECT_EQ(config->server.listen.size(), 2U);
    EXPECT_EQ(config->server.credentials.key, "k.pem");
    EXPECT_EQ(config->server.most_connections, 10U);
    EXPECT_EQ(config->resource_directory, "/etc/vrouter/resources");
    EXPECT_EQ(config->control_socket, "/tmp/s");
    EXPECT_EQ(config->log_level, log::Level::Debug);
}

TEST(PolicydConfig, NamesEtcd) {
    const auto config = parse_config(
        kCredentials +
            "datastore: {etcd: {endpoints: ['https://192.0.2.1:2379'], ca: e.pem, prefix: "
            "/cali, region: north, write_node: false}}\n",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    EXPECT_TRUE(config->resource_directory.empty());
    ASSERT_TRUE(config->etcd);
    EXPECT_EQ(config->etcd->endpoints.size(), 1U);
    EXPECT_EQ(config->etcd->ca, "e.pem");
    EXPECT_EQ(config->etcd->prefix, "/cali");
    EXPECT_EQ(config->etcd->region, "region-north");
    EXPECT_FALSE(config->etcd->write_node);
    EXPECT_EQ(config->etcd->state_file, "/var/lib/vrouter/policyd.state");
}

struct Mistake {
    const char* name;
    std::string text;
    const char* says;
};

class PolicydConfigRefuses : public testing::TestWithParam<Mistake> {};

TEST_P(PolicydConfigRefuses, AndSaysWhere) {
    const auto config = parse_config(GetParam().text, "f");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().text.find(GetParam().says), std::string::npos) << config.error().text;
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    PolicydConfigRefuses,
    testing::Values(
        Mistake{"nothing", "{}", "listen"},
        Mistake{"an unknown key", kWhole + "nodes: x\n", "nodes"},
        Mistake{"no datastore", kCredentials + "datastore: {}\n", "there is one datastore"},
        Mistake{
            "two datastores",
            kCredentials + "datastore: {file: {directory: d}, etcd: {endpoints: ['http://e:1']}}\n",
            "there is one datastore"},
        Mistake{"no yaml", "listen: [", "f:"},
        Mistake{"a name to listen on", "listen: policyd.example\n" + kWhole.substr(34), "listen"},
        Mistake{"a level", kWhole + "log: {level: loud}\n", "log.level"}),
    [](const auto& row) {
        std::string name = row.param.name;
        std::ranges::replace(name, ' ', '_');
        return name;
    });

struct Place {
    const char* text;
    std::optional<HostPort> wanted;
};

class HostPortText : public testing::TestWithParam<Place> {};

TEST_P(HostPortText, IsRead) {
    EXPECT_EQ(HostPort::parse(GetParam().text, 1), GetParam().wanted) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    HostPortText,
    testing::Values(
        Place{"policyd.example:5474", HostPort{"policyd.example", 5474}},
        Place{"policyd.example", HostPort{"policyd.example", 1}},
        Place{"192.0.2.1:80", HostPort{"192.0.2.1", 80}},
        Place{"[2001:db8::1]:80", HostPort{"2001:db8::1", 80}},
        Place{"[2001:db8::1]", HostPort{"2001:db8::1", 1}},
        Place{"2001:db8::1", HostPort{"2001:db8::1", 1}},
        Place{"", std::nullopt},
        Place{":80", std::nullopt},
        Place{"a:", std::nullopt},
        Place{"a:70000", std::nullopt},
        Place{"a:80x", std::nullopt},
        Place{"[::1", std::nullopt},
        Place{"[::1]80", std::nullopt}));

TEST(MachineProblems, OfRightFilesAreNone) {
    const TemporaryDirectory directory;
    const Authority authority(directory.path, "ca");
    PolicydConfig config;
    config.server.credentials = authority.issue("policyd");
    config.resource_directory = directory.path;
    EXPECT_EQ(machine_problems(config), std::vector<std::string>{});
}

TEST(MachineProblems, NameAKeyOfAnotherCertificateAndAMissingDirectory) {
    const TemporaryDirectory directory;
    const Authority authority(directory.path, "ca");
    PolicydConfig config;
    config.server.credentials = authority.issue("policyd");
    config.server.credentials.key = authority.issue("other").key;
    config.resource_directory = directory.path / "none";
    const auto problems = machine_problems(config);
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_NE(problems[0].find("is not that of certificate"), std::string::npos) << problems[0];
    EXPECT_NE(problems[1].find("No such file or directory"), std::string::npos) << problems[1];
}

/// As a host's --check asks: a server lets in whom the certificate names.
TEST(TlsFileProblems, NameACertificateOfSomebodyElse) {
    const TemporaryDirectory directory;
    const Authority authority(directory.path, "ca");
    const auto problems = [](const Credentials& of, const std::string& name) {
        return tls_file_problems({of.ca, of.certificate, of.key, name});
    };
    const Credentials own = authority.issue("host-a");
    EXPECT_EQ(problems(own, "host-a"), std::vector<std::string>{});
    EXPECT_EQ(problems(own, ""), std::vector<std::string>{});
    EXPECT_EQ(
        problems(own, "host-b"),
        std::vector{"certificate: '" + own.certificate + "' is not one for 'host-b'"});
    const Names names{.common = "host-b", .alternatives = "IP:127.0.0.1"};
    EXPECT_EQ(problems(authority.issue("common", names), "host-b"), std::vector<std::string>{});
}

TEST(MachineProblems, NameWhatIsNoCertificate) {
    const TemporaryDirectory directory;
    const Authority authority(directory.path, "ca");
    PolicydConfig config;
    config.server.credentials = authority.issue("policyd");
    std::swap(config.server.credentials.key, config.server.credentials.certificate);
    config.resource_directory = directory.path;
    const auto problems = machine_problems(config);
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_NE(problems[0].find("holds no PEM certificate"), std::string::npos) << problems[0];
    EXPECT_NE(problems[1].find("holds no PEM private key"), std::string::npos) << problems[1];
}

}  // namespace
}  // namespace vr::policyd::config_test
