// SPDX-License-Identifier: Apache-2.0
#include "vrouter/config.h"

#include <net/if.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "vrouter/etcd_section.h"
#include "vrouter/net/zone.h"
#include "vrouter/yaml_section.h"

namespace vr {

namespace {

constexpr std::string_view kAddress = "an IPv4 or IPv6 address";
constexpr std::string_view kAddress4 = "an IPv4 address";
constexpr std::string_view kAddress6 = "an IPv6 address";
constexpr std::string_view kPrefix = "a prefix like 10.0.0.0/8 or fd00::/64";
constexpr std::string_view kInterface = "an address with its length, like 192.0.2.1/24";
/// What a unix socket's address holds, without its terminating zero.
constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;
/// Room for "/" + an interface's name + ".sock" is left.
constexpr std::size_t kMaxSocketDirectory = kMaxSocketPath - 1 - (IFNAMSIZ - 1) - 5;
constexpr std::string_view kShortPath = "a path of at most 107 characters";
constexpr std::string_view kShortDirectory = "a path of at most 86 characters";
static_assert(kMaxSocketPath == 107 && kMaxSocketDirectory == 86);

std::optional<IpAddr> parse_address(const std::string& text) {
    return parse_ip_without_zone(text);
}

/// Where a route leads: like an address, it has no zone inside.
std::optional<IpPrefix> parse_destination(const std::string& text) {
    return parse_address(text.substr(0, text.find('/'))) ? parse_prefix(text) : std::nullopt;
}

std::optional<InterfaceAddress> parse_interface(const std::string& text) {
    const auto network = parse_prefix(text);
    const auto address = parse_address(text.substr(0, text.find('/')));
    const auto cannot_be_ours = [](const auto& a) {
        return a.is_multicast() || a.is_loopback() || a.is_unspecified();
    };
    if (!network || !address || std::visit(cannot_be_ours, *address)) {
        return std::nullopt;
    }
    return InterfaceAddress{*address, *network};
}

/// Of a port: without a length nobody would be on the wire beside it.
std::optional<InterfaceAddress> parse_port_address(const std::string& text) {
    return text.contains('/') ? parse_interface(text) : std::nullopt;
}

std::optional<std::string> any_text(const std::string& text) {
    return text;
}

std::optional<unsigned> parse_unsigned(const std::string& text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

template <typename T>
void assign(T& to, const std::optional<std::uint64_t>& from) {
    if (from) {
        to = static_cast<T>(*from);
    }
}

template <typename T>
void assign(T& to, std::optional<T> from) {
    if (from) {
        to = std::move(*from);
    }
}

void read_workers(YamlSection& yaml, WorkerConfig& workers) {
    if (yaml.take("lcores").IsDefined()) {
        workers.lcores = yaml.list("lcores", "CPU numbers", parse_unsigned);
    }
    if (workers.lcores.empty()) {
        yaml.refuse("lcores", "at least one CPU is needed");
    }
    if (std::set<unsigned>(workers.lcores.begin(), workers.lcores.end()).size() !=
        workers.lcores.size()) {
        yaml.refuse("lcores", "a CPU is named twice");
    }
    assign(workers.idle.sleep, yaml.value("idle", "adaptive or busy", [](const std::string& s) {
        return s == "adaptive" || s == "busy" ? std::optional{s == "adaptive"} : std::nullopt;
    }));
    assign(workers.idle.max_sleep_us, yaml.number("max_sleep_us", 1, 10000));
    assign(workers.idle.spin_us, yaml.number("spin_us", 0, 1000000));
}

void read_port(YamlSection& yaml, Config& config) {
    PortConfig port;
    yaml.require("name");
    yaml.require("device");
    assign(port.name, yaml.text("name"));
    assign(port.device, yaml.text("device"));
    port.addresses = yaml.list("addresses", kInterface, parse_port_address);
    assign(port.mtu, yaml.number("mtu", 1280, 9600));
    assign(port.rx_queues, yaml.number("rx_queues", 1, 64));
    const auto same = [&](const PortConfig& p) { return p.name == port.name; };
    if (std::ranges::any_of(config.ports, same)) {
        yaml.refuse("name", "port '" + port.name + "' is defined twice");
    }
    config.ports.push_back(std::move(port));
}

void read_route(YamlSection& yaml, Config& config) {
    StaticRoute route;
    yaml.require("prefix");
    assign(route.prefix, yaml.value("prefix", kPrefix, parse_destination));
    route.via = yaml.list("via", kAddress, parse_address);
    const bool discard = yaml.boolean("discard").value_or(false);
    if (yaml.ok() && discard != route.via.empty()) {
        yaml.refuse("via", "a route needs either next hops in `via` or `discard: true`");
    }
    for (const IpAddr& hop : route.via) {
        if (hop.index() != route.prefix.index()) {
            yaml.refuse("via", "next hop " + to_string(hop) + " is not of the prefix's family");
        }
    }
    const auto same = [&](const StaticRoute& r) { return r.prefix == route.prefix; };
    if (std::ranges::any_of(config.routes, same)) {
        yaml.refuse("prefix", "the route to " + to_string(route.prefix) + " is defined twice");
    }
    config.routes.push_back(std::move(route));
}

void read_neighbor(YamlSection& yaml, Config& config) {
    StaticNeighbor neighbor;
    yaml.require("address");
    yaml.require("mac");
    yaml.require("port");
    assign(neighbor.address, yaml.value("address", kAddress, parse_address));
    assign(
        neighbor.mac, yaml.value("mac", "a MAC address like 02:00:00:00:00:01", [](const auto& s) {
            const auto mac = Mac::parse(s);
            return mac && !mac->is_multicast() ? mac : std::nullopt;
        }));
    assign(neighbor.port, yaml.text("port"));
    const auto named = [&](const PortConfig& p) { return p.name == neighbor.port; };
    if (yaml.ok() && std::ranges::none_of(config.ports, named)) {
        yaml.refuse("port", "no port is called '" + neighbor.port + "'");
    }
    config.neighbors.push_back(std::move(neighbor));
}

void read_workloads(YamlSection& yaml, WorkloadConfig& workloads) {
    assign(
        workloads.socket_directory,
        yaml.value("socket_directory", kShortDirectory, [](const std::string& s) {
            return s.size() <= kMaxSocketDirectory ? std::optional{s} : std::nullopt;
        }));
    assign(workloads.gateway4, yaml.value("gateway4", kAddress4, [](const std::string& s) {
        return Ip4::parse(s);
    }));
    assign(workloads.gateway6, yaml.value("gateway6", kAddress6, [](const std::string& s) {
        return parse_address(s) ? Ip6::parse(s) : std::nullopt;
    }));
    assign(workloads.mtu, yaml.number("mtu", 1280, 9600));
    assign(workloads.queue_pairs, yaml.number("queue_pairs", 1, 16));
    workloads.to_host = yaml.value("to_host", "drop, return or accept", [](const std::string& s) {
        return s == "accept"   ? std::optional{EndpointToHost::Accept}
               : s == "return" ? std::optional{EndpointToHost::Return}
               : s == "drop"   ? std::optional{EndpointToHost::Drop}
                               : std::nullopt;
    });
}

void read_flows(YamlSection& yaml, FlowConfig& flows) {
    assign(flows.capacity, yaml.number("capacity", 1024, 16U << 20U));
    if (const auto share = yaml.number("per_endpoint", 1, flows.capacity)) {
        flows.per_endpoint = static_cast<std::uint32_t>(*share);
    }
    assign(flows.nat_ports_percent, yaml.number("nat_ports_percent", 1, 100));
    assign(flows.reevaluate, yaml.boolean("reevaluate"));
    flows.drop_invalid = yaml.boolean("drop_invalid");
    yaml.section("timeouts", [&](YamlSection& t) {
        const auto seconds = [&](const char* key, FlowTick& ticks) {
            if (const auto s = t.number(key, 1, 864000)) {
                ticks = static_cast<FlowTick>(*s * 4);
            }
        };
        seconds("tcp_new", flows.timeouts.fresh);
        seconds("tcp_established", flows.timeouts.established);
        seconds("tcp_closing", flows.timeouts.closing);
        seconds("tcp_reset", flows.timeouts.reset);
        seconds("udp", flows.timeouts.udp);
        seconds("icmp", flows.timeouts.icmp);
        seconds("other", flows.timeouts.other);
    });
}

void read_policyd(YamlSection& yaml, Config& config) {
    PolicydSourceConfig source;
    for (const char* key : {"servers", "ca", "certificate", "key"}) {
        yaml.require(key);
    }
    source.servers =
        yaml.list("servers", "a server like policyd.example:5474", [](const std::string& s) {
            return HostPort::parse(s, kPolicydPort);
        });
    assign(source.ca, yaml.text("ca"));
    assign(source.certificate, yaml.text("certificate"));
    assign(source.key, yaml.text("key"));
    assign(source.state_file, yaml.value("state_file", "the path of a file", absolute_path));
    if (yaml.ok() && source.servers.empty()) {
        yaml.refuse("servers", "at least one server is needed");
    }
    config.policyd = std::move(source);
}

void read_datastore(YamlSection& yaml, Config& config) {
    yaml.section("file", [&](YamlSection& f) {
        f.require("directory");
        assign(config.resource_directory, f.text("directory"));
        assign(config.file_state, f.value("state_file", "the path of a file", absolute_path));
    });
    yaml.section("etcd", [&](YamlSection& e) { config.etcd = read_etcd(e, {}); });
    yaml.section("policyd", [&](YamlSection& p) { read_policyd(p, config); });
    if (!yaml.ok()) {
        return;
    }
    const bool file = !config.resource_directory.empty();
    if (config.etcd && file) {
        yaml.refuse("etcd", "there is one datastore: file or etcd");
    } else if (config.policyd && (file || config.etcd)) {
        yaml.refuse("policyd", "there is one datastore: file, etcd or policyd");
    }
}

std::optional<acl::EngineChoice> read_engine(const std::string& text) {
    using Choice = acl::EngineChoice;
    return text == "auto"        ? std::optional{Choice::Auto}
           : text == "bitvector" ? std::optional{Choice::BitVector}
           : text == "rte_acl"   ? std::optional{Choice::RteAcl}
                                 : std::nullopt;
}

void read_root(YamlSection& yaml, Config& config, const OtherSections& others) {
    yaml.require("node");
    assign(config.node, yaml.text("node"));
    assign(config.dataplane, yaml.value("dataplane", "dpdk or none", [](const std::string& s) {
        return s == "dpdk" || s == "none" ? std::optional{s == "dpdk"} : std::nullopt;
    }));
    config.eal = yaml.list("eal", "EAL arguments", any_text);
    assign(config.packets, yaml.number("packets", 2048, 1U << 22U));
    assign(config.classifier, yaml.value("classifier", "auto, bitvector or rte_acl", read_engine));
    yaml.section("workers", [&](YamlSection& s) { read_workers(s, config.workers); });
    yaml.sections("ports", [&](YamlSection& s) { read_port(s, config); });
    std::optional<std::uint64_t> host_mtu;
    yaml.section("host", [&](YamlSection& s) {
        assign(
            config.host.tap,
            s.value("tap", "an interface name of at most 15 characters", [](const auto& t) {
                return !t.empty() && t.size() < 16 ? std::optional{t} : std::nullopt;
            }));
        config.host.addresses = s.list("addresses", kInterface, parse_interface);
        config.host.routes =
            s.list("routes", kPrefix, [](const std::string& r) { return parse_prefix(r); });
        host_mtu = s.number("mtu", 1280, 9600);
        assign(
            config.host.until_known,
            s.value("until_known", "failsafe or open", [](const std::string& t) {
                using UntilKnown = HostConfig::UntilKnown;
                return t == "failsafe" ? std::optional{UntilKnown::Failsafe}
                       : t == "open"   ? std::optional{UntilKnown::Open}
                                       : std::nullopt;
            }));
    });
    const auto largest = std::ranges::max_element(config.ports, {}, &PortConfig::mtu);
    if (largest != config.ports.end()) {
        config.host.mtu = largest->mtu;
    }
    assign(config.host.mtu, host_mtu);
    yaml.sections("routes", [&](YamlSection& s) { read_route(s, config); });
    yaml.sections("neighbors", [&](YamlSection& s) { read_neighbor(s, config); });
    yaml.section("workloads", [&](YamlSection& s) { read_workloads(s, config.workloads); });
    yaml.section("flows", [&](YamlSection& s) { read_flows(s, config.flows); });
    yaml.section("datastore", [&](YamlSection& s) { read_datastore(s, config); });
    if (others) {
        others(yaml);
    }
    yaml.section("control", [&](YamlSection& s) {
        assign(config.control_socket, s.value("socket", kShortPath, [](const std::string& t) {
            return !t.empty() && t.size() <= kMaxSocketPath ? std::optional{t} : std::nullopt;
        }));
    });
    yaml.section("log", [&](YamlSection& s) { assign(config.log_level, read_log_level(s)); });
    yaml.finish();
}

}  // namespace

Result<Config> parse_config(
    const std::string& text, const std::string& name, const OtherSections& others) {
    const auto file = std::make_shared<YamlSection::File>(YamlSection::File{name, std::nullopt});
    Config config;
    try {
        YamlSection root{file, YAML::Load(text), ""};
        if (root.ok()) {
            read_root(root, config, others);
        }
    } catch (const YAML::Exception& e) {
        return fail(name + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
    }
    if (file->error) {
        return std::unexpected(*file->error);
    }
    return config;
}

}  // namespace vr
