// Stage route: longest prefix -> next hop.
//
// Needs: source, destination, facts.  Does: one bulk lookup; goes on with the newest tables, which a changed
// route may need (sources are checked again when they are others); picks the member of an ECMP group by a hash
// of the flow (fragments: of the addresses, so that one datagram keeps one path); goes on with what is behind a
// floating address, which is in `destination` from here on.  Drops: those of check_source, discarded,
// not_translated, martian_address (link-local traffic that is neither to nor from the router: RFC 3927 2.7,
// RFC 4291 2.5.6).  Punts: packets without route, to be answered with ICMP.  Leaves: next_hop, hop,
// inward, outward.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/link_local.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"

namespace vr {

namespace {

/// Finds link-local destinations on their link.
template <Family F>
void look_up_link_local(Batch<F>& batch, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    for_each(batch.link_local & batch.live, batch.count, [&](unsigned i) {
        if (is_forged_link_local(batch.source[i]) || is_forged_link_local(batch.destination[i])) {
            drop(batch, i, DropReason::MartianAddress, worker);
            return;
        }
        const auto to = routed_destination(tables, batch.in, batch.source[i], batch.destination[i]);
        if (to != batch.destination[i]) {
            batch.next_hop[i] = worker.shared().routes<F>().lookup(to);
        }
    });
}

/// Nothing that is link-local passes through.
template <Family F>
void keep_link_local(Batch<F>& batch, Worker& worker) noexcept {
    if (batch.in_port->kind == PortKind::Host) {
        return;
    }
    for_each(batch.link_local & batch.live, batch.count, [&](unsigned i) {
        if (worker.tables().next_hops[batch.next_hop[i]].kind != NextHopKind::Local) {
            drop(batch, i, DropReason::MartianAddress, worker);
        }
    });
}

/// The same for both directions of a flow is not needed; stable for one direction is.
template <Family F>
std::uint32_t flow_hash(const Batch<F>& batch, unsigned i) noexcept {
    const PacketFacts& facts = batch.facts[i];
    std::uint64_t hash = std::hash<typename F::Addr>{}(batch.source[i]) * 31 +
                         std::hash<typename F::Addr>{}(batch.destination[i]);
    if (!facts.fragment) {
        hash ^= (std::uint64_t{facts.source_port.value()} << 24U) ^
                (std::uint64_t{facts.destination_port.value()} << 8U) ^ facts.protocol;
    }
    return static_cast<std::uint32_t>((hash * 0x9e3779b97f4a7c15U) >> 32U);
}

/// Goes on behind a floating address; nothing changes in the packet yet.  What its owner sends to it comes
/// back in its name, or the guest would answer itself; from another own address it cannot: the answer would
/// not tell to which.  False: dropped.
template <Family F>
bool enter(Batch<F>& batch, unsigned i, const NextHop& floating, Worker& worker) noexcept {
    const auto* translation =
        find_translation<F>(worker.tables(), floating.workload, floating.translation);
    if (translation == nullptr) {
        drop(batch, i, DropReason::PortClosed, worker);
        return false;
    }
    const bool by_owner = batch.in == floating.workload;
    if (by_owner && batch.source[i] != translation->internal) {
        drop(batch, i, DropReason::NotTranslated, worker);
        return false;
    }
    const PacketMask bit = PacketMask{1} << i;
    batch.inward |= bit;
    batch.outward |= by_owner ? bit : 0;
    batch.translation[i] = *translation;
    batch.destination[i] = translation->internal;
    if (batch.facts[i].icmp_error && batch.quoted[i].source == translation->external) {
        batch.quoted[i].source = translation->internal;
    }
    batch.next_hop[i] = floating.group;
    return true;
}

/// Finds the ids of next hops, then goes on with tables that know them all: with policy that is no older than
/// the routes, too.
template <Family F>
void look_up(Batch<F>& batch, Worker& worker) noexcept {
    worker.shared().routes<F>().lookup_bulk(
        batch.destination.data(), batch.next_hop.data(), batch.count);
    if (batch.link_local != 0) [[unlikely]] {
        look_up_link_local(batch, worker);
    }
    if (worker.catch_up()) [[unlikely]] {
        batch.in_port = &worker.tables().ports[batch.in.value()];
        check_source(batch, worker);
    }
    if (batch.link_local != 0) [[unlikely]] {
        keep_link_local(batch, worker);
    }
}

}  // namespace

template <Family F>
void route(Batch<F>& batch, Worker& worker) noexcept {
    if (batch.live == 0) {
        return;
    }
    look_up(batch, worker);
    const Tables& tables = worker.tables();
    for_each(batch.live, batch.count, [&](unsigned i) {
        const NextHop* hop = &tables.next_hops[batch.next_hop[i]];
        if (hop->kind >= NextHopKind::Group) {
            if (hop->kind == NextHopKind::Group) {
                const NextHopGroup& group = tables.groups[hop->group];
                batch.next_hop[i] = group[flow_hash(batch, i) % kGroupSlots].value();
            } else if (!enter(batch, i, *hop, worker)) {
                return;
            }
            hop = &tables.next_hops[batch.next_hop[i]];
        }
        batch.hop[i] = hop;
        if (hop->kind == NextHopKind::None) [[unlikely]] {
            punt(batch, i, Punt::NoRoute, worker);
        } else if (hop->kind == NextHopKind::Discard) [[unlikely]] {
            drop(batch, i, DropReason::Discarded, worker);
        }
    });
}

template void route(Batch<V4>&, Worker&) noexcept;
template void route(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
