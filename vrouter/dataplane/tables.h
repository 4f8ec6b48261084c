// What workers read.
//
// Tables is an immutable snapshot: ports, next hops, options.  The control thread builds the next one,
// publishes the pointer and frees the old one after a grace period (rcu.h); a worker reads the pointer
// once per burst.  SharedState holds the big structures that are changed in place under the same rule:
// routes, group members, flows.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/flow_table.h"
#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/host_hook.h"
#include "vrouter/dataplane/lpm.h"
#include "vrouter/dataplane/policer.h"
#include "vrouter/dataplane/port.h"
#include "vrouter/dataplane/workload_rules.h"
#include "vrouter/net/ids.h"

namespace vr {

/// Port numbers are 1..kMaxPorts-1.
inline constexpr std::size_t kMaxPorts = 1024;
static_assert(kMaxPorts <= kFlowOwners);

enum class PortKind : std::uint8_t {
    None,
    Fabric,    ///< a NIC towards the fabric
    Workload,  ///< a guest or container: source check and policy apply
    Host,      ///< the TAP into the host's kernel, and the router itself
};

/// A floating address: what is sent to `external` reaches `internal`, and is answered in its name.  Or what
/// the world and a guest know of a flow that goes out in the host's name, port included.
template <Family F>
struct Translation {
    TranslationId id;
    typename F::Addr external{};
    typename F::Addr internal{};
    L4Port external_port{};  ///< 0: ports stay as they are
    L4Port internal_port{};
};

/// One family's part of an endpoint.
template <Family F>
struct EndpointFamily {
    std::vector<Prefix<F>> addresses;  ///< the only sources that it may use, but for `spoofable`
    std::shared_ptr<const acl::Classifier<F>> ingress;
    std::shared_ptr<const acl::Classifier<F>> egress;
    /// What would be in force with the staged policies: asked to be counted, never obeyed.  Null where
    /// they make no difference.
    std::shared_ptr<const acl::Classifier<F>> staged_ingress;
    std::shared_ptr<const acl::Classifier<F>> staged_egress;
    std::vector<Translation<F>> translations;  ///< its floating addresses
    std::vector<Prefix<F>> spoofable;          ///< others' addresses that it may send from

    /// Null when it is no longer in force.
    [[nodiscard]] const Translation<F>* translation(TranslationId id) const noexcept {
        for (const Translation<F>& one : translations) {
            if (one.id == id) {
                return &one;
            }
        }
        return nullptr;
    }
};

/// A local workload as the packet path sees it.  Exists only with its policy in place.
struct Endpoint {
    std::string name;
    bool active = false;
    Mac mac;  ///< zero: source MAC is not checked
    EndpointFamily<V4> v4;
    EndpointFamily<V6> v6;
    std::shared_ptr<const EndpointLimits> limits;  ///< null: none
    std::optional<std::uint8_t> dscp;              ///< of its packets that leave the cluster

    template <Family F>
    [[nodiscard]] const EndpointFamily<F>& family() const noexcept {
        if constexpr (std::is_same_v<F, V4>) {
            return v4;
        } else {
            return v6;
        }
    }
};

/// What guards ports of the host towards the fabric: the programs of a HostEndpoint, by HostHook; null
/// where no policy acts.
struct HostPolicy {
    std::string name;
    std::array<std::shared_ptr<const acl::Classifier<V4>>, kHostHooks> v4;
    std::array<std::shared_ptr<const acl::Classifier<V6>>, kHostHooks> v6;
    /// What would be in force there with the staged policies: asked to be counted, never obeyed.  Null
    /// where they make no difference.
    std::array<std::shared_ptr<const acl::Classifier<V4>>, kHostHooks> staged4;
    std::array<std::shared_ptr<const acl::Classifier<V6>>, kHostHooks> staged6;
    /// New flows that only pass through are judged: their packets must be told from replies.
    bool follows_transit = false;
    std::optional<std::uint8_t> dscp;  ///< of what the host itself sends out of the cluster there

    template <Family F>
    [[nodiscard]] const acl::Classifier<F>* at(HostHook hook) const noexcept {
        const auto i = static_cast<std::size_t>(hook);
        if constexpr (std::is_same_v<F, V4>) {
            return v4[i].get();
        } else {
            return v6[i].get();
        }
    }

    template <Family F>
    [[nodiscard]] const acl::Classifier<F>* staged_at(HostHook hook) const noexcept {
        const auto i = static_cast<std::size_t>(hook);
        if constexpr (std::is_same_v<F, V4>) {
            return staged4[i].get();
        } else {
            return staged6[i].get();
        }
    }
};

/// A port as workers see it.
struct PortEntry {
    PortKind kind = PortKind::None;
    PortIo io;
    Mac mac;  ///< the router's address on this port
    std::uint16_t mtu = 1500;
    std::shared_ptr<const Endpoint> endpoint;  ///< Workload; null: closed
    std::shared_ptr<const HostPolicy> guard;   ///< Fabric; null: what uses it is not policed
    Ip4 host4;  ///< Fabric: the host's address there; unspecified: none
    Ip6 host6;
};

enum class NextHopKind : std::uint8_t {
    None,        ///< no route
    Forward,     ///< link header known: send
    Unresolved,  ///< gateway known, its link address not yet: hold and resolve
    Glean,       ///< directly connected network: resolve the destination itself
    Local,       ///< one of the router's own addresses
    Discard,     ///< drop silently
    // Those from here on lead to another one.
    Group,     ///< ECMP: pick a slot by flow hash
    Floating,  ///< a floating address: translate, then go on at another next hop
};

/// Where a route leads.  `link` is the finished Ethernet header of this next hop and family.
struct alignas(32) NextHop {
    std::array<std::uint8_t, 14> link{};
    PortId port;
    std::uint16_t mtu = 1500;
    NextHopKind kind = NextHopKind::None;
    std::uint32_t group =
        0;            ///< Group: index into Tables::groups; Floating: the NextHopId behind it
    PortId workload;  ///< the port, if it is a workload's; PortId{}: outside, or the host
    /// Of the id, counted: one that is used again means another next hop (PacketNote).
    std::uint16_t use = 0;
    TranslationId translation;  ///< Floating: of the workload's endpoint
};

static_assert(sizeof(NextHop) == 32);

/// Slots of an ECMP group; a member appears in as many slots as its weight says.
inline constexpr std::size_t kGroupSlots = 64;
using NextHopGroup = std::array<NextHopId, kGroupSlots>;

/// A queue that a worker polls.
struct PollTarget {
    PortId port;
    std::uint16_t queue = 0;
};

/// The host's own address on a link that peers with link-local addresses are on.
struct LinkLocal {
    Ip6 own;
    PortId port;
};

struct Tables {
    std::vector<PortEntry> ports;                ///< by PortId, kMaxPorts entries
    std::vector<NextHop> next_hops;              ///< by NextHopId; entry 0 is "no route"
    std::vector<NextHopGroup> groups;            ///< by NextHop::group
    std::vector<std::vector<PollTarget>> polls;  ///< by worker
    PortId host_port;                            ///< the TAP; PortId{}: none
    std::vector<LinkLocal> link_locals;          ///< few: link_local.h
    /// Grows with every change of policy or membership; a flow remembers the one it was judged under.
    std::uint32_t policy_generation = 1;
    bool reevaluate = false;  ///< judge live flows again after a policy change (POLICY 2.8)
    /// Flows of one family that may count against one endpoint: none may fill the table.
    std::uint32_t flows_per_endpoint = UINT32_MAX;
    /// Of the ports of natOutgoing one endpoint gets so many to each destination.
    std::uint32_t nat_ports_percent = 100;
    WorkloadRules rules;
    /// Flows may go out in the host's name, or did; false: nobody looks for what comes back.
    bool maps_ports = false;
    /// Some port is guarded; false: no stage of host endpoints is run.
    bool guarded = false;
    /// Some endpoint has limits; false: no stage of theirs is run.
    bool limited = false;
    /// The same of a DSCP, of an endpoint or a guard.
    bool marks = false;
    std::shared_ptr<const HostPolicy> any_interface;  ///< of the HostEndpoint "*"; null: none
};

/// The translation that flows between workloads' ports name; null: it is no longer in force.
template <Family F>
[[nodiscard]] inline const Translation<F>* find_translation(
    const Tables& tables, PortId workload, TranslationId id) noexcept {
    const Endpoint* endpoint = tables.ports[workload.value()].endpoint.get();
    return endpoint == nullptr ? nullptr : endpoint->family<F>().translation(id);
}

struct SharedState {
    SharedState(Reclaimer& reclaimer, std::size_t flows, unsigned workers)
        : routes4(reclaimer),
          routes6(reclaimer),
          groups4(reclaimer),
          groups6(reclaimer),
          flows4(reclaimer, flows, workers),
          flows6(reclaimer, flows, workers) {}

    Lpm<V4> routes4;
    Lpm<V6> routes6;
    GroupTable<V4> groups4;
    GroupTable<V6> groups6;
    FlowTable<V4> flows4;
    FlowTable<V6> flows6;
    std::atomic<const Tables*> tables{nullptr};

    /// Takes from the kernel now, while nobody waits, what first writes would.
    void fetch() noexcept {
        routes4.fetch();
        routes6.fetch();
        groups4.fetch();
        groups6.fetch();
        flows4.fetch();
        flows6.fetch();
    }

    /// FlowTable::connections() of both families.
    [[nodiscard]] std::size_t connections(PortId endpoint, FlowSide side) const noexcept {
        return flows4.connections(endpoint, side) + flows6.connections(endpoint, side);
    }

    template <Family F>
    [[nodiscard]] Lpm<F>& routes() noexcept {
        if constexpr (std::is_same_v<F, V4>) {
            return routes4;
        } else {
            return routes6;
        }
    }

    template <Family F>
    [[nodiscard]] GroupTable<F>& groups() noexcept {
        if constexpr (std::is_same_v<F, V4>) {
            return groups4;
        } else {
            return groups6;
        }
    }

    template <Family F>
    [[nodiscard]] FlowTable<F>& flows() noexcept {
        if constexpr (std::is_same_v<F, V4>) {
            return flows4;
        } else {
            return flows6;
        }
    }
};

}  // namespace vr
