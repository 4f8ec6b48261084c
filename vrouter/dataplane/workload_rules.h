// WorkloadRules: what holds for all workloads of a host beside their own policies, POLICY 2.5 and 2.6.
// Words that the packet path and whoever reads FelixConfiguration share; no DPDK.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "vrouter/dataplane/acl.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/ids.h"

namespace vr {

/// FelixConfiguration defaultEndpointToHostAction: workloads to the host itself, behind their own
/// egress policy.
enum class EndpointToHost : std::uint8_t {
    Drop,
    Return,  ///< the host endpoint of all interfaces decides; without one: as Accept
    Accept,
};

/// What an OpenStack host does for its guests whatever policy says: DHCP, DNS and metadata.
struct OpenStackServices {
    std::optional<IpAddr> metadata_address;  ///< none: no metadata service
    L4Port metadata_port{8775};

    friend bool operator==(const OpenStackServices&, const OpenStackServices&) = default;
};

/// Groups that no selector makes: where addresses are, for what is decided beside policy.  Filled only
/// while something is decided by them.
inline constexpr GroupId kNatPools{0xffffffff};      ///< IPPools with natOutgoing
inline constexpr GroupId kAllPools{0xfffffffe};      ///< all IPPools, disabled ones too
inline constexpr GroupId kClusterHosts{0xfffffffd};  ///< addresses of Nodes

/// What workloads with addresses in kNatPools begin with the world beyond kAllPools goes out in the name of
/// the host, POLICY 2.7.
struct NatOutgoing {
    /// Above those that Linux takes for what the host itself begins (32768 to 60999), so that nobody has to
    /// know of the other.
    L4Port first_port{61000};
    L4Port last_port{65535};
    bool spares_hosts = false;      ///< kClusterHosts are not beyond
    std::optional<IpAddr> address;  ///< natOutgoingAddress: in place of the port's
    std::optional<Ip4> node4;       ///< the Node's, for ports without an address of their own
    std::optional<Ip6> node6;

    friend bool operator==(const NatOutgoing&, const NatOutgoing&) = default;
};

struct WorkloadRules {
    EndpointToHost to_host = EndpointToHost::Drop;
    bool allow_vxlan = false;  ///< of workloads: UDP to port 4789
    bool allow_ipip = false;   ///< of workloads: IP protocol 4
    bool drop_invalid = true;  ///< what begins no connection and belongs to none
    bool reject = false;       ///< senders of what policy denies are told
    std::optional<OpenStackServices> openstack;
    std::optional<NatOutgoing> nat_outgoing;  ///< none: no pool has it

    friend bool operator==(const WorkloadRules&, const WorkloadRules&) = default;
};

/// True for what a workload may send to the host itself before policy: neighbor discovery, multicast
/// listeners, and the services of an OpenStack host.
template <Family F>
[[nodiscard]] inline bool always_reaches_host(
    const acl::Packet<F>& packet, const WorkloadRules& rules) noexcept {
    if constexpr (std::same_as<F, V6>) {
        const std::uint8_t type = packet.icmp_type;
        if (packet.protocol == ipproto::kIcmp6 &&
            ((type >= 130 && type <= 133) || type == 135 || type == 136)) {
            return true;
        }
    }
    if (!rules.openstack || !packet.has_ports) {
        return false;
    }
    const auto [client, server] = std::same_as<F, V4> ? std::pair{L4Port{68}, L4Port{67}}
                                                      : std::pair{L4Port{546}, L4Port{547}};
    constexpr L4Port kDns{53};
    if (packet.protocol == ipproto::kUdp) {
        return packet.destination_port == kDns ||
               (packet.source_port == client && packet.destination_port == server);
    }
    return packet.protocol == ipproto::kTcp &&
           rules.openstack->metadata_address == IpAddr{packet.destination} &&
           packet.destination_port == rules.openstack->metadata_port;
}

/// True for tunnels that a workload may not send, whoever allows them.
[[nodiscard]] inline bool is_denied_tunnel(
    std::uint8_t protocol, L4Port destination, const WorkloadRules& rules) noexcept {
    constexpr L4Port kVxlan{4789};
    return (protocol == ipproto::kIpip && !rules.allow_ipip) ||
           (protocol == ipproto::kUdp && destination == kVxlan && !rules.allow_vxlan);
}

}  // namespace vr
