// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/nat_outgoing.h"

#include <algorithm>
#include <variant>

#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/worker.h"

namespace vr {

namespace {

/// Ports tried for a flow: where nine of ten are taken, one flow in 850 finds none.
constexpr std::uint32_t kTries = 64;

/// Which port the n-th try is for: all of a small range, in an order of the flow's own.
L4Port port_of_try(const NatOutgoing& nat, std::uint64_t hash, std::uint32_t n) noexcept {
    const std::uint32_t ports = nat.last_port.value() - nat.first_port.value() + 1U;
    const auto start = static_cast<std::uint32_t>(hash);
    const auto step = ports <= kTries ? 1U : static_cast<std::uint32_t>(hash >> 40U) | 1U;
    const std::uint64_t at = (start + std::uint64_t{step} * n) % ports;
    return L4Port{static_cast<std::uint16_t>(nat.first_port.value() + at)};
}

template <Family F>
typename F::Addr wanted_address(const Tables& tables, PortId out) noexcept {
    const NatOutgoing& nat = *tables.rules.nat_outgoing;
    if (nat.address && std::holds_alternative<typename F::Addr>(*nat.address)) {
        return std::get<typename F::Addr>(*nat.address);
    }
    const PortEntry& port = tables.ports[out.value()];
    if constexpr (std::is_same_v<F, V4>) {
        return port.host4 != Ip4{} ? port.host4 : nat.node4.value_or(Ip4{});
    } else {
        return port.host6 != Ip6{} ? port.host6 : nat.node6.value_or(Ip6{});
    }
}

/// By the next hop of a route: what is answered elsewhere would be lost.
bool is_answered_here(const Tables& tables, std::uint32_t next_hop) noexcept {
    return tables.next_hops[next_hop].kind == NextHopKind::Local;
}

}  // namespace

template <Family F>
bool leaves_pools(
    const NatOutgoing& nat,
    const GroupTable<F>& groups,
    typename F::Addr source,
    typename F::Addr destination) noexcept {
    if (!groups.lookup(source)->contains(kNatPools)) {
        return false;
    }
    const GroupSet* there = groups.lookup(destination);
    return !there->contains(kAllPools) && !(nat.spares_hosts && there->contains(kClusterHosts));
}

template <Family F>
std::optional<typename F::Addr> outgoing_address(
    const Tables& tables, const Lpm<F>& routes, PortId out) noexcept {
    const auto address = wanted_address<F>(tables, out);
    if (address == typename F::Addr{}) {
        return std::nullopt;
    }
    const bool own = is_answered_here(tables, routes.lookup(address));
    return own ? std::optional{address} : std::nullopt;
}

template <Family F>
PacketMask outgoing_packets(const Batch<F>& batch, PacketMask mask, Worker& worker) noexcept {
    const auto& nat = worker.tables().rules.nat_outgoing;
    if (!nat || batch.in_port->kind != PortKind::Workload) [[likely]] {
        return 0;
    }
    const GroupTable<F>& groups = worker.shared().groups<F>();
    PacketMask outgoing = 0;
    for_each(mask, batch.count, [&](unsigned i) {
        const NextHop& hop = *batch.hop[i];
        const bool leaves = hop.workload == PortId{} && hop.kind != NextHopKind::Local &&
                            leaves_pools<F>(*nat, groups, batch.source[i], batch.destination[i]);
        outgoing |= PacketMask{leaves} << i;
    });
    return outgoing;
}

template <Family F>
DropReason enter_mapped(
    Batch<F>& batch, unsigned i, const FlowStart& start, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    FlowTable<F>& flows = worker.shared().flows<F>();
    const FlowKey<F> key = flow_key(batch, i);
    if (!can_be_mapped(key.protocol)) {
        return DropReason::NotTranslated;
    }
    FlowHit<F> known;
    flows.lookup_bulk(&key, &known, 1);
    if (known.entry != nullptr) {
        // Of a packet before this one; or it was begun from the other side, or in its own name.
        return !known.reply && send_mapped(batch, i, *known.entry, worker) ? DropReason::None
                                                                           : DropReason::FlowMoved;
    }
    const auto address = wanted_address<F>(tables, batch.hop[i]->port);
    const std::uint32_t back = worker.shared().routes<F>().lookup(address);
    if (!is_answered_here(worker.newest(), back) || address == typename F::Addr{}) {
        return DropReason::NatNoAddress;
    }
    const NatOutgoing& nat = *tables.rules.nat_outgoing;
    const std::uint64_t hash = flows.hash(key);
    FlowKey<F> outside = key;
    outside.source = address;
    for (std::uint32_t n = 0; n < kTries; ++n) {
        outside.source_port = port_of_try(nat, hash, n);
        const auto entered = flows.insert_mapped(worker.index(), key, outside, start, worker.now());
        if (entered.taken) {
            continue;
        }
        if (entered.flow.entry == nullptr) {
            return DropReason::FlowTableFull;
        }
        return !entered.flow.reply && send_mapped(batch, i, *entered.flow.entry, worker)
                   ? DropReason::None
                   : DropReason::FlowMoved;
    }
    return DropReason::NatPortsExhausted;
}

template <Family F>
bool send_mapped(Batch<F>& batch, unsigned i, const FlowEntry<F>& flow, Worker& worker) noexcept {
    const FlowEntry<F>* mapping = worker.shared().flows<F>().twin(flow);
    if (mapping == nullptr) {
        return false;
    }
    batch.translation[i] = translation_of(flow, *mapping);
    batch.outward |= PacketMask{1} << i;
    return true;
}

template bool leaves_pools(const NatOutgoing&, const GroupTable<V4>&, Ip4, Ip4) noexcept;
template bool leaves_pools(const NatOutgoing&, const GroupTable<V6>&, Ip6, Ip6) noexcept;
template std::optional<Ip4> outgoing_address(const Tables&, const Lpm<V4>&, PortId) noexcept;
template std::optional<Ip6> outgoing_address(const Tables&, const Lpm<V6>&, PortId) noexcept;
template PacketMask outgoing_packets(const Batch<V4>&, PacketMask, Worker&) noexcept;
template PacketMask outgoing_packets(const Batch<V6>&, PacketMask, Worker&) noexcept;
template DropReason enter_mapped(Batch<V4>&, unsigned, const FlowStart&, Worker&) noexcept;
template DropReason enter_mapped(Batch<V6>&, unsigned, const FlowStart&, Worker&) noexcept;
template bool send_mapped(Batch<V4>&, unsigned, const FlowEntry<V4>&, Worker&) noexcept;
template bool send_mapped(Batch<V6>&, unsigned, const FlowEntry<V6>&, Worker&) noexcept;

}  // namespace vr
