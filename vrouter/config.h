// Config: what vrouterd's machine is told at start, as one value, from one YAML file.
//
// The section `bgp` is read by daemon/config.h into a larger value.  Every mistake is answered with file, line and what was expected; unknown keys are refused.  README.md
// shows the file; `vrouterd --check --config FILE` says whether one is right.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/dataplane/engine_choice.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/etcd_config.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/host_port.h"
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
    /// What protects the host while its datastore has told nothing yet.
    enum class UntilKnown : std::uint8_t {
        Failsafe,  ///< only failsafe ports, BGP and the way to the datastore are open
        Open,
    };

    UntilKnown until_known = UntilKnown::Failsafe;
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
    std::uint32_t nat_ports_percent =
        25;  ///< of natPortRange, for one endpoint to each destination
    FlowTimeouts timeouts;
    bool reevaluate = false;
    std::optional<bool> drop_invalid;  ///< absent: what FelixConfiguration says
};

/// vrouter-policyd as the source of resources.
struct PolicydSourceConfig {
    std::vector<HostPort> servers;  ///< in the order in which they are tried
    std::string ca;                 ///< paths of PEM files
    std::string certificate;
    std::string key;
    std::string state_file = "/var/lib/vrouter/stream.state";  ///< the last good state
};

struct Config {
    std::string node;               ///< this host's name in the datastore
    bool dataplane = true;          ///< false: no ports, no workers: BGP only
    std::vector<std::string> eal;   ///< raw EAL arguments
    std::uint32_t packets = 32768;  ///< packet buffers
    WorkerConfig workers;
    std::vector<PortConfig> ports;
    HostConfig host;
    std::vector<StaticRoute> routes;
    std::vector<StaticNeighbor> neighbors;
    WorkloadConfig workloads;
    FlowConfig flows;
    acl::EngineChoice classifier = acl::EngineChoice::Auto;
    std::string resource_directory;  ///< datastore.file.directory; empty: no such datastore
    std::string file_state;          ///< datastore.file.state_file; empty: none
    std::optional<EtcdConfig> etcd;  ///< datastore.etcd
    std::optional<PolicydSourceConfig> policyd;  ///< datastore.policyd; one of the three at most
    std::string control_socket = "/run/vrouter/vrouter.sock";
    log::Level log_level = log::Level::Info;
};

class YamlSection;

/// Reads sections of the file that are not the machine's: `bgp` (daemon/config.h).
using OtherSections = std::function<void(YamlSection& root)>;

/// Reads and checks `text`; `name` stands in error messages where the path would.
[[nodiscard]] Result<Config> parse_config(
    const std::string& text, const std::string& name, const OtherSections& others = {});

}  // namespace vr
