// The config file: one right file with everything in it, and every mistake with its line and its words.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/config.h"

#include <gtest/gtest.h>

#include <string>

#include "vrouter/preflight.h"

namespace vr::config_test {
namespace {

using namespace literals;
using daemon::Config;
using daemon::load_config;
using daemon::parse_config;

constexpr const char* kFull = R"(node: host1
dataplane: dpdk
eal: [-d, librte_net_foo.so]
packets: 4096
classifier: rte_acl
workers: {lcores: [2, 3], idle: busy, max_sleep_us: 100, spin_us: 0}
ports:
  - {name: eth0, device: "0000:3b:00.0", addresses: [192.0.2.1/24, "fd00::1/64"], mtu: 9000, rx_queues: 4}
  - {name: eth1, device: net_tap0}
host: {tap: vr0, addresses: 198.51.100.1/32, routes: [203.0.113.0/24]}
routes:
  - {prefix: 10.0.0.0/8, via: [192.0.2.254, 192.0.2.253]}
  - {prefix: "fd01::/16", discard: true}
neighbors:
  - {address: 192.0.2.254, mac: "02:00:00:00:00:01", port: eth0}
workloads: {socket_directory: /tmp/v, gateway4: 169.254.1.2, gateway6: "fe80::2", mtu: 1400, queue_pairs: 2, to_host: accept}
flows:
  capacity: 2048
  per_endpoint: 100
  nat_ports_percent: 10
  reevaluate: true
  drop_invalid: false
  timeouts: {tcp_new: 1, tcp_established: 2, tcp_closing: 3, tcp_reset: 4, udp: 5, icmp: 6, other: 7}
datastore: {file: {directory: /tmp/d, state_file: /tmp/s}}
control: {socket: /tmp/c}
log: {level: debug}
)";

Config full() {
    auto config = parse_config(kFull, "f");
    EXPECT_TRUE(config) << (config ? "" : config.error().text);
    return config ? *config : Config{};
}

TEST(Config, ReadsTheMachine) {
    const Config config = full();
    EXPECT_EQ(config.node, "host1");
    EXPECT_EQ(config.eal, (std::vector<std::string>{"-d", "librte_net_foo.so"}));
    EXPECT_EQ(config.packets, 4096U);
    EXPECT_EQ(config.workers.lcores, (std::vector<unsigned>{2, 3}));
    EXPECT_FALSE(config.workers.idle.sleep);
    EXPECT_EQ(config.workers.idle.max_sleep_us, 100U);
    EXPECT_EQ(config.workers.idle.spin_us, 0U);
    EXPECT_EQ(config.flows.capacity, 2048U);
    EXPECT_EQ(config.flows.per_endpoint, 100U);
    EXPECT_EQ(config.flows.nat_ports_percent, 10U);
    EXPECT_TRUE(config.flows.reevaluate);
    EXPECT_EQ(config.flows.drop_invalid, std::optional(false));
    EXPECT_EQ(config.resource_directory, "/tmp/d");
    EXPECT_EQ(config.file_state, "/tmp/s");
    EXPECT_EQ(config.control_socket, "/tmp/c");
    EXPECT_EQ(config.log_level, log::Level::Debug);
}

TEST(Config, TimeoutsAreSeconds) {
    const FlowTimeouts t = full().flows.timeouts;
    EXPECT_EQ(
        (std::vector<FlowTick>{t.fresh, t.established, t.closing, t.reset, t.udp, t.icmp, t.other}),
        (std::vector<FlowTick>{4, 8, 12, 16, 20, 24, 28}));
}

TEST(Config, ReadsPorts) {
    const Config config = full();
    ASSERT_EQ(config.ports.size(), 2U);
    const PortConfig& port = config.ports[0];
    EXPECT_EQ(port.device, "0000:3b:00.0");
    EXPECT_EQ(port.mtu, 9000);
    EXPECT_EQ(port.rx_queues, 4);
    ASSERT_EQ(port.addresses.size(), 2U);
    EXPECT_EQ(port.addresses[0].address, IpAddr{"192.0.2.1"_ip4});
    EXPECT_EQ(to_string(port.addresses[0].network), "192.0.2.0/24");
}

TEST(Config, ReadsRoutesAndNeighbors) {
    const Config config = full();
    ASSERT_EQ(config.routes.size(), 2U);
    EXPECT_EQ(config.routes[0].via.size(), 2U);
    EXPECT_TRUE(config.routes[1].via.empty());
    ASSERT_EQ(config.neighbors.size(), 1U);
    EXPECT_EQ(config.neighbors[0].port, "eth0");
    ASSERT_EQ(config.host.addresses.size(), 1U);
    EXPECT_EQ(config.host.tap, "vr0");
}

TEST(Config, ReadsTheEngineOfClassifiers) {
    EXPECT_EQ(full().classifier, acl::EngineChoice::RteAcl);
    EXPECT_EQ(Config().classifier, acl::EngineChoice::Auto);
}

TEST(Config, ReadsWorkloads) {
    const WorkloadConfig w = full().workloads;
    EXPECT_EQ(w.socket_directory, "/tmp/v");
    EXPECT_EQ(w.gateway4, "169.254.1.2"_ip4);
    EXPECT_EQ(w.mtu, 1400);
    EXPECT_EQ(w.queue_pairs, 2);
    EXPECT_EQ(w.to_host, EndpointToHost::Accept);
}

TEST(Config, ReadsPolicydAsASource) {
    const auto config = parse_config(
        "node: a\ndatastore: {policyd: {servers: ['[::1]:9', policyd.example], ca: a, certificate: "
        "b, "
        "key: c}}",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    const std::vector<HostPort> wanted{{"::1", 9}, {"policyd.example", 5474}};
    EXPECT_EQ(config->policyd->servers, wanted);
    EXPECT_EQ(config->policyd->key, "c");
}

TEST(Config, OnlyTheNodeIsNeeded) {
    const auto config = parse_config("node: a", "f");
    ASSERT_TRUE(config);
    EXPECT_TRUE(config->dataplane);
    EXPECT_FALSE(config->bgp);
    EXPECT_EQ(config->workers.lcores, std::vector<unsigned>{1});
}

TEST(Config, ReadsEtcd) {
    const auto config = parse_config(
        "node: a\ndatastore: {etcd: {endpoints: ['https://etcd-1.example', "
        "'https://[fd00::1]:2380/'], "
        "ca: /a, certificate: /b, key: /c, username: u, password_file: /d, prefix: /c, region: r, "
        "state_file: /s, write_node: false}}",
        "f");
    ASSERT_TRUE(config) << config.error().text;
    const EtcdConfig& etcd = *config->etcd;
    EXPECT_EQ(
        etcd.endpoints,
        (std::vector<EtcdEndpoint>{{true, "etcd-1.example", 2379}, {true, "fd00::1", 2380}}));
    EXPECT_EQ(to_string(etcd.endpoints[1]), "https://[fd00::1]:2380");
    EXPECT_EQ(etcd.ca + etcd.certificate + etcd.key + etcd.password_file, "/a/b/c/d");
    EXPECT_EQ(etcd.username, "u");
    EXPECT_EQ(etcd.prefix, "/c");
    EXPECT_EQ(etcd.region, "region-r");
    EXPECT_EQ(etcd.state_file, "/s");
    EXPECT_FALSE(etcd.write_node);
}

TEST(Config, MissingFileIsNamed) {
    const auto config = load_config("/nonexistent/vrouter.yaml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().text.find("'/nonexistent/vrouter.yaml'"), std::string::npos);
}

TEST(Config, DirectoryIsNamedAsOne) {
    const auto config = load_config("/");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().text, "cannot read config file '/': it is a directory");
}

struct Mistake {
    const char* name;
    const char* text;
    const char* wanted;  ///< how the message begins
};

class ConfigMistake : public testing::TestWithParam<Mistake> {};

TEST_P(ConfigMistake, IsAnsweredWithFileLineAndWhatWasExpected) {
    const auto config = parse_config(GetParam().text, "f");
    ASSERT_FALSE(config);
    EXPECT_EQ(
        config.error().text.substr(0, std::string{GetParam().wanted}.size()), GetParam().wanted)
        << config.error().text;
}

constexpr const char* kAnAddress = "expected an IPv4 or IPv6 address";

const Mistake kMistakes[] = {
    {"not_yaml", "node: [", "f:1: "},
    {"no_mapping", "- a", "f:1: expected a mapping of keys to values"},
    {"empty", "", "f:1: key 'node' is missing"},
    {"no_node", "packets: 2048", "f:1: key 'node' is missing"},
    {"null_node", "node:", "f:1: node: expected text, found 'nothing'"},
    {"empty_node", "node: ''", "f:1: node: expected text, found ''"},
    {"node_is_list", "node: [a]", "f:1: node: expected text, found 'a list or mapping'"},
    {"unknown_key",
     "node: a\nnod: b",
     "f:2: nod: unknown key; known here: bgp, classifier, control, "},
    {"key_twice", "node: a\nnode: b", "f:2: node: the key is given twice"},
    {"etcd_nowhere",
     "node: a\ndatastore:\n  etcd: {ca: x}",
     "f:3: datastore.etcd: key 'endpoints' is missing"},
    {"etcd_no_endpoints",
     "node: a\ndatastore:\n  etcd: {endpoints: []}",
     "f:3: datastore.etcd.endpoints: at least one endpoint is needed"},
    {"etcd_no_url",
     "node: a\ndatastore:\n  etcd: {endpoints: [etcd:2379]}",
     "f:3: datastore.etcd.endpoints: expected a URL like https://192.0.2.1:2379, found "
     "'etcd:2379'"},
    {"etcd_port",
     "node: a\ndatastore:\n  etcd: {endpoints: ['http://e:0']}",
     "f:3: datastore.etcd.endpoints: expected a URL"},
    {"etcd_certificate_alone",
     "node: a\ndatastore:\n  etcd: {endpoints: ['https://e'], certificate: x}",
     "f:3: datastore.etcd.certificate: certificate and key belong together"},
    {"etcd_user_alone",
     "node: a\ndatastore:\n  etcd: {endpoints: ['https://e'], username: x}",
     "f:3: datastore.etcd.username: username and password_file belong together"},
    {"etcd_in_the_clear",
     "node: a\ndatastore:\n  etcd: {endpoints: ['http://e'], ca: x}",
     "f:3: datastore.etcd.endpoints: with ca or certificate every endpoint must be https://"},
    {"etcd_prefix",
     "node: a\ndatastore:\n  etcd: {endpoints: ['http://e'], prefix: calico}",
     "f:3: datastore.etcd.prefix: expected a path like /calico, found 'calico'"},
    {"two_datastores",
     "node: a\ndatastore:\n  file: {directory: /d}\n  etcd: {endpoints: ['http://e']}",
     "f:4: datastore.etcd: there is one datastore: file or etcd"},
    {"link_in_a_gateway",
     "node: a\nroutes:\n  - {prefix: 'fd00::/8', via: 'fe80:1::9'}",
     "f:3: routes[0].via: expected an IPv4 or IPv6 address, found 'fe80:1::9'"},
    {"link_in_a_route",
     "node: a\nroutes:\n  - {prefix: 'fe80:1::9/128', discard: true}",
     "f:3: routes[0].prefix: expected a prefix"},
    {"link_in_a_neighbor",
     "node: a\nports: [{name: p, device: d}]\nneighbors:\n"
     "  - {address: 'fe80:1::9', mac: '02:00:00:00:00:01', port: p}",
     "f:4: neighbors[0].address: expected an IPv4 or IPv6 address, found 'fe80:1::9'"},
    {"link_in_an_address",
     "node: a\nports:\n  - {name: p, device: d, addresses: ['fe80:1::9/64']}",
     "f:3: ports[0].addresses: expected an address with its length"},
    {"link_in_the_guests_gateway",
     "node: a\nworkloads: {gateway6: 'fe80:1::9'}",
     "f:2: workloads.gateway6: expected an IPv6 address, found 'fe80:1::9'"},
    {"unknown_inner_key",
     "node: a\nlog:\n  lvel: debug",
     "f:3: log.lvel: unknown key; known here: level"},
    {"dataplane", "node: a\ndataplane: xdp", "f:2: dataplane: expected dpdk or none, found 'xdp'"},
    {"packets_few",
     "node: a\npackets: 1",
     "f:2: packets: expected a number from 2048 to 4194304, found '1'"},
    {"packets_word",
     "node: a\npackets: 4k",
     "f:2: packets: expected a number from 2048 to 4194304, found '4k'"},
    {"packets_negative", "node: a\npackets: -1", "f:2: packets: expected a number from"},
    {"packets_wraps",
     "node: a\npackets: 18446744073709553664",
     "f:2: packets: expected a number from"},
    {"eal_nested",
     "node: a\neal: [[x]]",
     "f:2: eal: expected EAL arguments, found 'something else'"},
    {"eal_mapping", "node: a\neal: {a: b}", "f:2: eal: expected a list, found 'a mapping'"},
    {"lcores",
     "node: a\nworkers: {lcores: [x]}",
     "f:2: workers.lcores: expected CPU numbers, found 'x'"},
    {"lcore_twice",
     "node: a\nworkers: {lcores: [1, 1]}",
     "f:2: workers.lcores: a CPU is named twice"},
    {"no_lcores",
     "node: a\nworkers: {lcores: []}",
     "f:2: workers.lcores: at least one CPU is needed"},
    {"classifier",
     "node: a\nclassifier: fast",
     "f:2: classifier: expected auto, bitvector or rte_acl, found 'fast'"},
    {"idle",
     "node: a\nworkers: {idle: lazy}",
     "f:2: workers.idle: expected adaptive or busy, found 'lazy'"},
    {"sleep",
     "node: a\nworkers: {max_sleep_us: 0}",
     "f:2: workers.max_sleep_us: expected a number from 1 to 10000"},
    {"port_name", "node: a\nports:\n  - {device: x}", "f:3: ports[0]: key 'name' is missing"},
    {"port_device", "node: a\nports:\n  - {name: x}", "f:3: ports[0]: key 'device' is missing"},
    {"port_scalar", "node: a\nports: x", "f:2: ports[0]: expected a mapping of keys to values"},
    {"port_mtu",
     "node: a\nports:\n  - {name: x, device: y, mtu: 68}",
     "f:3: ports[0].mtu: expected a number from 1280 to 9600"},
    {"port_twice",
     "node: a\nports:\n  - {name: x, device: y}\n  - {name: x, device: z}",
     "f:4: ports[1].name: port 'x' is defined twice"},
    {"port_address",
     "node: a\nports:\n  - {name: x, device: y, addresses: [1.1.1]}",
     "f:3: ports[0].addresses: expected an address with its length, like 192.0.2.1/24, found "
     "'1.1.1'"},
    {"port_address_wide",
     "node: a\nports:\n  - {name: x, device: y, addresses: [1.1.1.1/33]}",
     "f:3: ports[0].addresses: expected an address with its length"},
    {"port_address_group",
     "node: a\nports:\n  - {name: x, device: y, addresses: [224.0.0.1/24]}",
     "f:3: ports[0].addresses: expected an address with its length"},
    {"tap_name",
     "node: a\nhost: {tap: abcdefghijklmnop}",
     "f:2: host.tap: expected an interface name of at most 15 characters"},
    {"host_routes",
     "node: a\nhost: {routes: [x]}",
     "f:2: host.routes: expected a prefix like 10.0.0.0/8 or fd00::/64, found 'x'"},
    {"route_prefix",
     "node: a\nroutes:\n  - {via: [1.1.1.1]}",
     "f:3: routes[0]: key 'prefix' is missing"},
    {"route_bad_prefix",
     "node: a\nroutes:\n  - {prefix: 10/8, discard: true}",
     "f:3: routes[0].prefix: expected a prefix"},
    {"route_nowhere",
     "node: a\nroutes:\n  - {prefix: 10.0.0.0/8}",
     "f:3: routes[0].via: a route needs either next hops in `via` or `discard: true`"},
    {"route_both",
     "node: a\nroutes:\n  - {prefix: 10.0.0.0/8, via: [1.1.1.1], discard: true}",
     "f:3: routes[0].via: a route needs either"},
    {"route_family",
     "node: a\nroutes:\n  - {prefix: 10.0.0.0/8, via: ['fd00::1']}",
     "f:3: routes[0].via: next hop fd00::1 is not of the prefix's family"},
    {"route_twice",
     "node: a\nroutes:\n  - {prefix: 10.0.0.0/8, discard: true}\n  - {prefix: 10.1.0.0/8, discard: "
     "true}",
     "f:4: routes[1].prefix: the route to 10.0.0.0/8 is defined twice"},
    {"route_discard",
     "node: a\nroutes:\n  - {prefix: 10.0.0.0/8, discard: maybe}",
     "f:3: routes[0].discard: expected true or false, found 'maybe'"},
    {"port_address_length",
     "node: a\nports:\n  - {name: p, device: d, addresses: [192.0.2.1]}",
     "f:3: ports[0].addresses: expected an address with its length, like 192.0.2.1/24, found "
     "'192.0.2.1'"},
    {"neighbor_mac",
     "node: a\nports: [{name: p, device: d}]\nneighbors:\n  - {address: 1.1.1.1, mac: "
     "'01:00:00:00:00:01', port: p}",
     "f:4: neighbors[0].mac: expected a MAC address like 02:00:00:00:00:01"},
    {"neighbor_port",
     "node: a\nneighbors:\n  - {address: 1.1.1.1, mac: '02:00:00:00:00:01', port: p}",
     "f:3: neighbors[0].port: no port is called 'p'"},
    {"neighbor_address",
     "node: a\nneighbors:\n  - {mac: '02:00:00:00:00:01', port: p}",
     "f:3: neighbors[0]: key 'address' is missing"},
    {"gateway4",
     "node: a\nworkloads: {gateway4: 'fe80::1'}",
     "f:2: workloads.gateway4: expected an IPv4 address"},
    {"gateway6",
     "node: a\nworkloads: {gateway6: 1.1.1.1}",
     "f:2: workloads.gateway6: expected an IPv6 address"},
    {"queue_pairs",
     "node: a\nworkloads: {queue_pairs: 17}",
     "f:2: workloads.queue_pairs: expected a number from 1 to 16"},
    {"to_host",
     "node: a\nworkloads: {to_host: reject}",
     "f:2: workloads.to_host: expected drop, return or accept"},
    {"flow_capacity",
     "node: a\nflows: {capacity: 1}",
     "f:2: flows.capacity: expected a number from 1024 to 16777216"},
    {"flow_timeout",
     "node: a\nflows: {timeouts: {udp: 0}}",
     "f:2: flows.timeouts.udp: expected a number from 1 to 864000"},
    {"flow_reevaluate",
     "node: a\nflows: {reevaluate: 1}",
     "f:2: flows.reevaluate: expected true or false"},
    {"datastore_kind",
     "node: a\ndatastore: {consul: {}}",
     "f:2: datastore.consul: unknown key; known here: etcd, file, policyd"},
    {"datastore_policyd_server",
     "node: a\ndatastore: {policyd: {servers: [':1'], ca: a, certificate: b, key: c}}",
     "f:2: datastore.policyd.servers: expected a server like policyd.example:5474, found ':1'"},
    {"datastore_policyd_key",
     "node: a\ndatastore: {policyd: {servers: [a], ca: a, certificate: b}}",
     "f:2: datastore.policyd: key 'key' is missing"},
    {"datastore_twice",
     "node: a\ndatastore: {file: {directory: d}, policyd: {servers: [a], ca: a, certificate: b, "
     "key: c}}",
     "f:2: datastore.policyd: there is one datastore"},
    {"datastore_directory",
     "node: a\ndatastore: {file: {}}",
     "f:2: datastore.file: key 'directory' is missing"},
    {"log_level",
     "node: a\nlog: {level: loud}",
     "f:2: log.level: expected debug, info, warning or error, found 'loud'"},
    {"control",
     "node: a\ncontrol: {socket: ''}",
     "f:2: control.socket: expected a path of at most 107 characters, found ''"},
};

INSTANTIATE_TEST_SUITE_P(Rows, ConfigMistake, testing::ValuesIn(kMistakes), [](const auto& row) {
    return std::string{row.param.name};
});

/// A unix socket's address holds 107 characters; guests' sockets are "DIRECTORY/INTERFACE.sock".
TEST(Config, RefusesPathsThatNoSocketCanHave) {
    const auto accepts = [](const std::string& section, std::size_t size) {
        return parse_config("node: a\n" + section + std::string(size, 'd') + "}", "f").has_value();
    };
    EXPECT_TRUE(accepts("control: {socket: ", 107));
    EXPECT_FALSE(accepts("control: {socket: ", 108));
    EXPECT_TRUE(accepts("workloads: {socket_directory: ", 86));
    EXPECT_FALSE(accepts("workloads: {socket_directory: ", 87));
}

TEST(Config, TheHostsMtuFollowsThePorts) {
    const auto mtu = [](const std::string& text) {
        return parse_config("node: a\n" + text, "f")->host.mtu;
    };
    EXPECT_EQ(mtu("host: {tap: t}"), 1500);
    EXPECT_EQ(
        mtu("host: {tap: t}\nports: [{name: p, device: d, mtu: 9000}, {name: q, device: e}]"),
        9000);
    EXPECT_EQ(mtu("host: {tap: t, mtu: 1400}\nports: [{name: p, device: d, mtu: 9000}]"), 1400);
}

TEST(MachineProblems, NamesCpusThatMayNotBeUsed) {
    const auto config = *parse_config("node: a\nworkers: {lcores: [1, 9]}", "f");
    EXPECT_EQ(
        machine_problems(config, {0, 1}),
        std::vector<std::string>{
            "workers.lcores: CPU 9 is not one that this process may use (0, 1)"});
}

TEST(MachineProblems, LeavesCpusToTheEalWhenItIsToldOfThem) {
    const auto config = *parse_config("node: a\neal: [-l, '0']\nworkers: {lcores: [9]}", "f");
    EXPECT_TRUE(machine_problems(config, {0}).empty());
}

TEST(MachineProblems, NamesDevicesThatAreNotThere) {
    const auto config =
        *parse_config("node: a\nports: [{name: p, device: 'net_af_packet0,iface=absent0'}]", "f");
    EXPECT_EQ(
        machine_problems(config, {1}),
        std::vector<std::string>{
            "port p: device 'net_af_packet0,iface=absent0': there is no network interface "
            "'absent0' here ('ip link' lists them)"});
}

TEST(MachineProblems, AreNoneWithoutADataPlane) {
    const auto config = *parse_config("node: a\ndataplane: none\nworkers: {lcores: [9]}", "f");
    EXPECT_TRUE(machine_problems(config, {0}).empty());
}

TEST(Config, AnAddressMayBeOfEitherFamily) {
    for (const std::string address : {"1.1.1.1", "fd00::1"}) {
        const auto config = parse_config(
            "node: a\nports: [{name: p, device: d}]\nneighbors: [{address: '" + address +
                "', mac: '02:00:00:00:00:01', port: p}]",
            "f");
        EXPECT_TRUE(config) << kAnAddress;
    }
}

TEST(FileProblems, NameWhatCannotBeRead) {
    const auto config = *parse_config(
        "node: a\ndatastore: {etcd: {endpoints: ['https://e'], ca: /, certificate: /nowhere/c, "
        "key: /nowhere/k}}",
        "f");
    EXPECT_EQ(
        file_problems(config),
        (std::vector<std::string>{
            "datastore.etcd.ca: '/' holds no PEM certificate",
            "datastore.etcd.certificate: cannot read '/nowhere/c': No such file or directory",
            "datastore.etcd.key: cannot read '/nowhere/k': No such file or directory"}));
}

TEST(FileProblems, NameADirectoryThatIsNotThere) {
    const auto config = *parse_config("node: a\ndatastore: {file: {directory: /nowhere}}", "f");
    EXPECT_EQ(
        file_problems(config),
        std::vector<std::string>{
            "datastore.file.directory: cannot read '/nowhere': No such file or directory"});
}

}  // namespace
}  // namespace vr::config_test
