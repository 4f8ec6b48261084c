// SPDX-License-Identifier: Apache-2.0
#include "policy/passage.h"

#include <algorithm>
#include <utility>

#include "policy/felix.h"
#include "policy/floating.h"

namespace vr::policy {

namespace {

using Cluster = std::span<const ResourcePtr>;

bool expects_one_of(const HostEndpoint& host, const std::vector<IpAddr>& addresses) {
    return std::ranges::any_of(host.expected_ips, [&](const IpPrefix& expected) {
        const IpAddr address =
            std::visit([](const auto& prefix) { return IpAddr{prefix.address()}; }, expected);
        return std::ranges::count(addresses, address) != 0;
    });
}

/// The first by name of the node's host endpoints that `fits`.
template <typename Fits>
std::optional<Key> first_host_endpoint(Cluster cluster, const std::string& node, Fits fits) {
    std::optional<Key> first;
    for (const auto& resource : cluster) {
        const auto* host = std::get_if<HostEndpoint>(&resource->spec);
        if (host != nullptr && host->node == node && fits(*host) &&
            (!first || resource->key.name < first->name)) {
            first = resource->key;
        }
    }
    return first;
}

/// Of those for all interfaces, first what stands in for one meant for an interface that nobody can tell.
std::optional<Key> for_all_interfaces(Cluster cluster, const std::string& node) {
    const auto first = [&](bool closed) {
        return first_host_endpoint(cluster, node, [&](const HostEndpoint& host) {
            return host.interface_name == kAllInterfaces && host.closed == closed;
        });
    };
    const auto unknown = first(true);
    return unknown ? unknown : first(false);
}

/// Neighbor discovery and multicast listeners; in OpenStack DHCP, DNS and metadata, POLICY 2.6.
template <Family F>
bool always_reaches_the_host(const acl::Packet<F>& packet, const WorkloadRules& rules) {
    const std::uint8_t type = packet.icmp_type;
    if (packet.protocol == 58 && std::is_same_v<F, V6> &&
        ((type >= 130 && type <= 133) || type == 135 || type == 136)) {
        return true;
    }
    if (!rules.openstack) {
        return false;
    }
    const auto from = packet.source_port.value();
    const auto to = packet.destination_port.value();
    const bool dhcp = std::is_same_v<F, V4> ? from == 68 && to == 67 : from == 546 && to == 547;
    if (packet.protocol == 17) {
        return packet.has_ports && (to == 53 || dhcp);
    }
    return packet.protocol == 6 && packet.has_ports &&
           packet.destination_port == rules.openstack->metadata_port &&
           rules.openstack->metadata_address == IpAddr{packet.destination};
}

/// VXLAN and IP in IP of workloads, POLICY 2.5 step 5.
template <Family F>
bool is_forbidden_tunnel(const acl::Packet<F>& packet, const WorkloadRules& rules) {
    const bool vxlan = packet.protocol == 17 && packet.destination_port.value() == 4789;
    return (packet.protocol == 4 && !rules.allow_ipip) || (vxlan && !rules.allow_vxlan);
}

/// Whether `address` is in this pool, or of this node.
bool is_part_of_cluster(const Spec& spec, const IpAddr& address) {
    if (const auto* pool = std::get_if<IpPool>(&spec)) {
        return contains(pool->cidr, address);
    }
    const auto* node = std::get_if<ClusterNode>(&spec);
    return node != nullptr && ((node->address4 && IpAddr{*node->address4} == address) ||
                               (node->address6 && IpAddr{*node->address6} == address) ||
                               std::ranges::count(node->addresses, address) != 0);
}

/// One packet on its way; each step returns false when the way ends there.
template <Family F>
class Walk {
  public:
    Walk(Cluster cluster, std::string node, const Place& from, const Place& to)
        : cluster_(cluster), node_(std::move(node)), from_(from), to_(to) {
        if (const auto* outside = std::get_if<Outside>(&from)) {
            in_ = guard_of(cluster, node_, *outside);
        }
        if (const auto* outside = std::get_if<Outside>(&to)) {
            out_ = guard_of(cluster, node_, *outside);
        }
    }

    Passage run(const acl::Packet<F>& arriving, FlowState flow) {
        acl::Packet<F> packet = arriving;
        // What is the host's own is nobody's floating address.
        const auto behind = to_host()
                                ? std::nullopt
                                : behind_floating(cluster_, node_, IpAddr{arriving.destination});
        if (behind) {
            packet.destination = std::get<typename F::Addr>(*behind);
        }
        // Without a flow, nobody would translate the answer.
        passage_.allow =
            has_own_source(arriving) && (!behind || !meets_itself(packet)) && untracked(arriving) &&
            (passage_.tracked || !behind) &&
            ((flow == FlowState::Established && !spoofed_) ||
             (pre_dnat(arriving) && incoming(packet) && workloads(packet) && outgoing(packet)));
        // Who sends to a floating address of its own is answered in that name.
        passage_.source =
            behind && packet.source == packet.destination ? arriving.destination : packet.source;
        passage_.destination = packet.destination;
        passage_.source_ports = {packet.source_port, packet.source_port};
        if (passage_.allow && (flow == FlowState::New || spoofed_) && leaves_pools(packet)) {
            passage_.in_hosts_name = true;
            passage_.allow = !spoofed_ && can_be_translated(packet) && take_hosts_name(packet);
            passage_.by.policy = passage_.allow ? passage_.by.policy : "natOutgoing";
        }
        if (passage_.allow) {
            passage_.dscp = mark(packet);
        }
        return std::move(passage_);
    }

  private:
    [[nodiscard]] bool from_host() const { return std::holds_alternative<HostItself>(from_); }

    [[nodiscard]] bool to_host() const { return std::holds_alternative<HostItself>(to_); }

    /// A workload sends from its own addresses, or from those that it may spoof, POLICY 2.7.
    bool has_own_source(const acl::Packet<F>& packet) {
        const auto* sender = std::get_if<Key>(&from_);
        if (sender == nullptr) {
            return true;
        }
        passage_.by.policy = "source check";
        return std::ranges::any_of(cluster_, [&](const ResourcePtr& resource) {
            if (resource->key != *sender) {
                return false;
            }
            const auto& endpoint = resource->as<WorkloadEndpoint>();
            const auto is_source = [&](const IpPrefix& one) {
                return contains(one, IpAddr{packet.source});
            };
            const bool own = std::ranges::any_of(endpoint.networks, is_source);
            spoofed_ = !own && std::ranges::any_of(endpoint.spoofable, is_source);
            return own || spoofed_;
        });
    }

    /// What a workload sends out of the cluster, or the host by a guarded interface: to no pool, and to no
    /// host of it.
    [[nodiscard]] std::optional<std::uint8_t> mark(const acl::Packet<F>& packet) const {
        const auto* sender = std::get_if<Key>(&from_);
        if (!std::holds_alternative<Outside>(to_)) {
            return std::nullopt;
        }
        std::optional<std::uint8_t> dscp;
        for (const auto& resource : cluster_) {
            if (is_part_of_cluster(resource->spec, IpAddr{packet.destination})) {
                return std::nullopt;
            }
            if (sender != nullptr && resource->key == *sender) {
                dscp = resource->as<WorkloadEndpoint>().qos.dscp;
            } else if (from_host() && resource->key == out_) {
                dscp = resource->as<HostEndpoint>().dscp;
            }
        }
        return dscp;
    }

    /// Sent by an endpoint with several addresses to itself, from another than it is to reach.
    bool meets_itself(const acl::Packet<F>& packet) const {
        const auto* sender = std::get_if<Key>(&from_);
        const auto* receiver = std::get_if<Key>(&to_);
        return sender != nullptr && receiver != nullptr && *sender == *receiver &&
               packet.source != packet.destination;
    }

    /// What is allowed before the flow lookup, or before translation, is not asked again on that side.
    bool early(const std::optional<Key>& guard, HostHook hook, const acl::Packet<F>& packet) {
        const Decision decision = judge<F>(cluster_, *guard, hook, packet);
        if (decision.silent) {
            return true;
        }
        passage_.by = decision.by;
        accepted_ = decision.allow;
        return decision.allow;
    }

    bool untracked(const acl::Packet<F>& packet) {
        bool goes_on = true;
        if (in_) {
            goes_on = early(in_, HostHook::UntrackedIngress, packet);
        } else if (from_host() && out_) {
            goes_on = early(out_, HostHook::UntrackedEgress, packet);
        }
        passage_.tracked = !accepted_ && !spoofed_;
        return goes_on;
    }

    bool pre_dnat(const acl::Packet<F>& packet) {
        return !in_ || accepted_ || early(in_, HostHook::PreDnatIngress, packet);
    }

    bool ask(const std::optional<Key>& guard, HostHook hook, const acl::Packet<F>& packet) {
        const Decision decision = judge<F>(cluster_, *guard, hook, packet);
        passage_.by = decision.by;
        return decision.allow;
    }

    bool incoming(const acl::Packet<F>& packet) {
        return !in_ || accepted_ ||
               ask(in_, to_host() ? HostHook::NormalIngress : HostHook::ForwardIngress, packet);
    }

    bool ask(const Key& endpoint, Direction direction, const acl::Packet<F>& packet) {
        const Decision decision = judge<F>(cluster_, endpoint, direction, packet);
        passage_.by = decision.by;
        return decision.allow;
    }

    bool workloads(const acl::Packet<F>& packet) {
        const auto* sender = std::get_if<Key>(&from_);
        const auto* receiver = std::get_if<Key>(&to_);
        const WorkloadRules rules = felix_settings(cluster_, node_).workloads;
        if (sender != nullptr && to_host() && always_reaches_the_host(packet, rules)) {
            return true;
        }
        if (sender != nullptr && is_forbidden_tunnel(packet, rules)) {
            return false;
        }
        return (sender == nullptr || ask(*sender, Direction::Egress, packet)) &&
               (receiver == nullptr || from_host() || ask(*receiver, Direction::Ingress, packet)) &&
               (sender == nullptr || !to_host() || workload_to_host(packet));
    }

    bool workload_to_host(const acl::Packet<F>& packet) {
        const EndpointToHost action = felix_settings(cluster_, node_).workloads.to_host;
        const auto everywhere = for_all_interfaces(cluster_, node_);
        if (action == EndpointToHost::Return && everywhere) {
            return ask(everywhere, HostHook::NormalIngress, packet);
        }
        return action != EndpointToHost::Drop;
    }

    /// From a pool with natOutgoing to what is neither in a pool nor on this host, POLICY 2.7; nor a host of
    /// the cluster, where those are spared.
    bool leaves_pools(const acl::Packet<F>& packet) const {
        if (!std::holds_alternative<Key>(from_) || !std::holds_alternative<Outside>(to_)) {
            return false;
        }
        bool translated = false;
        const bool spared = felix_settings(cluster_, node_).nat_outgoing.spares_hosts;
        for (const auto& resource : cluster_) {
            if (const auto* pool = std::get_if<IpPool>(&resource->spec)) {
                if (contains(pool->cidr, IpAddr{packet.destination})) {
                    return false;
                }
                translated |= pool->nat_outgoing && contains(pool->cidr, IpAddr{packet.source});
            } else if (const auto* node = std::get_if<ClusterNode>(&resource->spec)) {
                if (spared && has_address(*node, IpAddr{packet.destination})) {
                    return false;
                }
            }
        }
        return translated;
    }

    static bool has_address(const ClusterNode& node, const IpAddr& address) {
        return std::ranges::count(node.addresses, address) != 0 ||
               (node.address4 && IpAddr{*node.address4} == address) ||
               (node.address6 && IpAddr{*node.address6} == address);
    }

    /// Of ICMP only an echo request; neither DCCP nor AH, which another address breaks.
    static bool can_be_translated(const acl::Packet<F>& packet) {
        constexpr bool kIp4 = std::is_same_v<F, V4>;
        const bool icmp = packet.protocol == 1 || packet.protocol == 58;
        const bool echo =
            packet.protocol == (kIp4 ? 1 : 58) && packet.icmp_type == (kIp4 ? 8 : 128);
        const bool breaks = packet.protocol == 33 || packet.protocol == 51;
        return echo || !(icmp || breaks);
    }

    /// The address that is configured, else that of the interface, else the Node's; false: there is none.  A
    /// port of the range where the protocol has ports, but SCTP.
    bool take_hosts_name(const acl::Packet<F>& packet) {
        const NatOutgoing nat = felix_settings(cluster_, node_).nat_outgoing;
        std::vector<IpAddr> names;
        if (nat.address) {
            names.push_back(*nat.address);
        }
        const auto& own = std::get<Outside>(to_).addresses;
        names.insert(names.end(), own.begin(), own.end());
        for (const auto& resource : cluster_) {
            const auto* node = std::get_if<ClusterNode>(&resource->spec);
            if (node != nullptr && resource->key.name == node_ && node->address4) {
                names.emplace_back(*node->address4);
            }
            if (node != nullptr && resource->key.name == node_ && node->address6) {
                names.emplace_back(*node->address6);
            }
        }
        const auto name = std::ranges::find_if(names, [](const IpAddr& one) {
            const auto* of_family = std::get_if<typename F::Addr>(&one);
            return of_family != nullptr && !of_family->is_link_local();
        });
        if (name == names.end()) {
            return false;
        }
        passage_.source = *name;
        if (packet.protocol == 6 || packet.protocol == 17 || packet.protocol == 136) {
            passage_.source_ports = {nat.first_port, nat.last_port};
        }
        return true;
    }

    bool outgoing(const acl::Packet<F>& packet) {
        if (!out_ || (from_host() && accepted_)) {
            return true;
        }
        return ask(out_, from_host() ? HostHook::NormalEgress : HostHook::ForwardEgress, packet);
    }

    Cluster cluster_;
    std::string node_;
    const Place& from_;
    const Place& to_;
    std::optional<Key> in_;   ///< guards the interface that it came in by
    std::optional<Key> out_;  ///< guards the one that it leaves by
    bool accepted_ = false;
    bool spoofed_ = false;  ///< from an address of others: nothing is remembered of it
    Passage passage_;
};

}  // namespace

std::optional<Key> guard_of(Cluster cluster, const std::string& node, const Outside& interface) {
    const auto own = first_host_endpoint(cluster, node, [&](const HostEndpoint& host) {
        return host.interface_name == interface.interface ||
               (host.interface_name.empty() && expects_one_of(host, interface.addresses));
    });
    return own ? own : for_all_interfaces(cluster, node);
}

template <Family F>
Passage judge_passage(
    Cluster cluster,
    const std::string& node,
    const Place& from,
    const Place& to,
    const acl::Packet<F>& arriving,
    FlowState flow) {
    return Walk<F>(cluster, node, from, to).run(arriving, flow);
}

template Passage judge_passage(
    Cluster, const std::string&, const Place&, const Place&, const acl::Packet<V4>&, FlowState);
template Passage judge_passage(
    Cluster, const std::string&, const Place&, const Place&, const acl::Packet<V6>&, FlowState);

}  // namespace vr::policy
