// Config: everything that vrouterd is told at start, as one value, from one YAML file.
//
// Every mistake is answered with file, line and what was expected; unknown keys are refused.  README.md
// shows the file; `vrouterd --check --config FILE` says whether one is right.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/dataplane/tables.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/etcd_config.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/log.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"

namespace vr {

/// An address of the router and the network it is connected to by it: "192.0.2.1/24".
struct InterfaceAddress {
    IpAddr address;
    IpPrefix network;

    friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

/// A port towards the fabric.
struct PortConfig {
    std::string name;
    std::string device;
    std::vector<InterfaceAddress> addresses;
    std::uint16_t mtu = 1500;
    std::uint16_t rx_queues = 1;
};

/// The way into the host's kernel; without `tap` there is none.
struct HostConfig {
    std::string tap;
    std::vector<InterfaceAddress> addresses;
    /// What the kernel sends to the TAP; empty: the networks that the ports are connected to.
    std::vector<IpPrefix> routes;
    std::uint16_t mtu = 1500;  ///< not in the file: the largest of the ports'
};

struct StaticRoute {
    IpPrefix prefix;
    std::vector<IpAddr> via;  ///< empty: discard
};

struct StaticNeighbor {
    IpAddr address;
    Mac mac;
    std::string port;
};

struct WorkerConfig {
    std::vector<unsigned> lcores{1};  ///< CPU of each worker
    IdlePolicy idle;
};

struct WorkloadConfig {
    std::string socket_directory = "/run/vrouter/vhost";
    Ip4 gateway4{0xa9fe0101};                 ///< 169.254.1.1
    Ip6 gateway6{0xfe80'0000'0000'0000U, 1};  ///< fe80::1
    std::uint16_t mtu = 1500;
    std::uint16_t queue_pairs = 1;
    std::optional<EndpointToHost> to_host;  ///< absent: what FelixConfiguration says
};

struct FlowConfig {
    std::uint32_t capacity = 262144;            ///< per family
    std::optional<std::uint32_t> per_endpoint;  ///< of them; absent: a quarter
    FlowTimeouts timeouts;
    bool reevaluate = false;
    bool drop_invalid = true;
};

/// What a neighbour may exchange with us: all, none, our own routes, or listed prefixes.
struct BgpFilterConfig {
    struct Term {
        IpPrefix prefix;
        unsigned ge = 0;
        unsigned le = 0;

        friend bool operator==(const Term&, const Term&) = default;
    };

    enum class Kind : std::uint8_t { All, None, Local, Prefixes };
    Kind kind = Kind::None;
    std::vector<Term> prefixes;

    friend bool operator==(const BgpFilterConfig&, const BgpFilterConfig&) = default;
};

struct BgpNeighborConfig {
    IpAddr address;
    Asn asn;
    L4Port port{179};
    std::string description;
    bool passive = false;
    std::string password;
    std::optional<IpAddr> source;
    std::optional<std::uint8_t> ttl;
    std::uint8_t ttl_security = 0;
    std::uint16_t hold_time = 90;
    std::uint16_t connect_retry = 10;
    std::uint32_t maximum_prefixes = 0;
    bool ipv4 = true;
    bool ipv6 = true;
    std::optional<IpAddr> next_hop4;
    std::optional<IpAddr> next_hop6;
    std::optional<BgpFilterConfig> import;
    std::optional<BgpFilterConfig> export_;
};

struct BgpConfig {
    Asn asn;
    Ip4 router_id;
    L4Port port{179};
    bool listen = true;
    std::vector<IpPrefix> announce;  ///< besides the workloads' addresses
    std::vector<BgpNeighborConfig> neighbors;
};

struct Config {
    std::string node;               ///< this host's name in the datastore
    bool dataplane = true;          ///< false: no ports, no workers, no datastore
    std::vector<std::string> eal;   ///< raw EAL arguments
    std::uint32_t packets = 32768;  ///< packet buffers
    WorkerConfig workers;
    std::vector<PortConfig> ports;
    HostConfig host;
    std::vector<StaticRoute> routes;
    std::vector<StaticNeighbor> neighbors;
    WorkloadConfig workloads;
    FlowConfig flows;
    std::string resource_directory;  ///< datastore.file.directory; empty: no such datastore
    std::optional<EtcdConfig> etcd;  ///< datastore.etcd
    std::optional<BgpConfig> bgp;
    std::string control_socket = "/run/vrouter/vrouter.sock";
    log::Level log_level = log::Level::Info;
};

/// Reads and checks `path`.
[[nodiscard]] Result<Config> load_config(const std::string& path);

/// The same for text; `name` stands in error messages where the path would.
[[nodiscard]] Result<Config> parse_config(const std::string& text, const std::string& name);

}  // namespace vr
