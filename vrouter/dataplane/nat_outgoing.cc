// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/nat_outgoing.h"

#include <algorithm>
#include <array>
#include <variant>

#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/worker.h"

namespace vr {

namespace {

/// Ports tried for a flow, no two alike: where nine of ten are taken at random, one flow in 850 finds none.
constexpr std::uint32_t kTries = 64;
constexpr std::uint32_t kFewTries = 4;

/// Of a small range a guest gets so many ports, whatever its share.
constexpr std::uint32_t kLeastPorts = 64;

/// Keys looked up together.
constexpr std::uint32_t kTogether = 16;

/// From one port to the next.  Primes beyond any number of ports: each leads through all of every range.
constexpr std::array<std::uint32_t, 16> kSteps{
    1170209,
    1957997,
    1172539,
    1695509,
    1264699,
    1829551,
    1252903,
    1945303,
    1806869,
    1220239,
    1697869,
    1645417,
    2016821,
    1506191,
    1883027,
    1632467};

constexpr bool leads_through_every_range(std::uint32_t step) noexcept {
    for (std::uint32_t divisor = 2; divisor * divisor <= step; ++divisor) {
        if (step % divisor == 0) {
            return false;
        }
    }
    return step > UINT16_MAX + 1U;
}

static_assert(std::ranges::all_of(kSteps, leads_through_every_range));

std::uint32_t count_of(const acl::PortRange& ports) noexcept {
    return ports.last.value() - ports.first.value() + 1U;
}

/// The n-th of `count`, in an order that `hash` tells.
std::uint32_t nth_of(std::uint32_t count, std::uint64_t hash, std::uint32_t n) noexcept {
    const auto start = static_cast<std::uint32_t>(hash);
    return static_cast<std::uint32_t>((start + std::uint64_t{kSteps[hash >> 60U]} * n) % count);
}

/// The ports that a guest gets to each destination: those that come first in an order of its own.  Who takes
/// all of its share leaves most others three quarters of theirs, and nobody has to count: of two guests in a
/// hundred one has more in common with the other, of two in some thousands nearly all.
struct Share {
    acl::PortRange ports;
    std::uint32_t count = 0;
    std::uint64_t start = 0;
    std::uint64_t step = 0;

    /// Which port the n-th try is for, in an order of the flow's own.
    [[nodiscard]] L4Port port_of_try(std::uint64_t hash, std::uint32_t n) const noexcept {
        const std::uint64_t at = (start + step * nth_of(count, hash, n)) % count_of(ports);
        return L4Port{static_cast<std::uint16_t>(ports.first.value() + at)};
    }
};

Share share_of(PortId guest, const acl::PortRange& ports, std::uint32_t percent) noexcept {
    const std::uint32_t all = count_of(ports);
    std::uint64_t order = guest.value() * std::uint64_t{0x9e3779b97f4a7c15};
    order = (order ^ order >> 32U) * 0xd6e8feb86659fd93;
    order ^= order >> 29U;
    return {
        .ports = ports,
        .count = std::max(all * percent / 100, std::min(all, kLeastPorts)),
        .start = order & UINT32_MAX,
        // Many orders: of two primes none divides a number of ports.
        .step = std::uint64_t{kSteps[order >> 60U]} * kSteps[order >> 56U & 15U]};
}

/// The next try, from `n` on, whose port is free; `tries`: none.  Others may be quicker to take it.
template <Family F>
std::uint32_t next_free(
    const FlowTable<F>& flows,
    const Share& share,
    std::uint64_t hash,
    FlowKey<F> outside,
    std::uint32_t n,
    std::uint32_t tries) noexcept {
    std::array<FlowKey<F>, kTogether> keys;
    std::array<FlowHit<F>, kTogether> hits;
    while (n < tries) {
        const std::uint32_t some = std::min(kTogether, tries - n);
        for (std::uint32_t k = 0; k < some; ++k) {
            outside.source_port = share.port_of_try(hash, n + k);
            keys[k] = outside;
        }
        flows.lookup_any(keys.data(), hits.data(), some);
        for (std::uint32_t k = 0; k < some; ++k) {
            if (hits[k].entry == nullptr) {
                return n + k;
            }
        }
        n += some;
    }
    return tries;
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
    Batch<F>& batch,
    unsigned i,
    const FlowStart& start,
    std::uint32_t& budget,
    Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    FlowTable<F>& flows = worker.shared().flows<F>();
    const FlowKey<F> key = flow_key(batch, i);
    if (covers_address(key.protocol)) {
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
    const Share share = share_of(
        start.from, outside_ports(*tables.rules.nat_outgoing, key), tables.nat_ports_percent);
    const std::uint64_t hash = flows.hash(key);
    FlowKey<F> outside = key;
    outside.source = address;
    const std::uint32_t tries = std::min({share.count, kTries, std::max(budget, kFewTries)});
    for (std::uint32_t n = 0; n < tries;) {
        outside.source_port = share.port_of_try(hash, n);
        const auto entered = flows.insert_mapped(worker.index(), key, outside, start, worker.now());
        if (entered.taken) {
            const std::uint32_t next = next_free(flows, share, hash, outside, n + 1, tries);
            budget -= std::min(budget, next - n);
            n = next;
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
template DropReason enter_mapped(
    Batch<V4>&, unsigned, const FlowStart&, std::uint32_t&, Worker&) noexcept;
template DropReason enter_mapped(
    Batch<V6>&, unsigned, const FlowStart&, std::uint32_t&, Worker&) noexcept;
template bool send_mapped(Batch<V4>&, unsigned, const FlowEntry<V4>&, Worker&) noexcept;
template bool send_mapped(Batch<V6>&, unsigned, const FlowEntry<V6>&, Worker&) noexcept;

}  // namespace vr
