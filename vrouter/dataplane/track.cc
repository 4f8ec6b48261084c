// Stage track: packets of known flows are already judged.
//
// Needs: source, destination, facts, quoted, hop.  Does: looks up the flow of every packet that comes
// from or goes to a workload; follows TCP's state; ties a flow to the endpoints on both of its sides.
// ICMP errors belong to the flow that they quote (POLICY 2.8).  A flow to a floating address is known by
// what is behind it, and to end there on one way at a time; its replies go out in that address's name.  A
// flow of natOutgoing goes out in the host's, and what comes back has come by return_mapped.
// Drops: fragment_orphan, spoofed_address, flow_invalid (POLICY 2.5 step 3), flow_moved, not_translated.
// Leaves: fresh (policy must judge), remember (enter if allowed), outward.
// Transit between fabric ports and traffic of the host with the fabric pass by where no host endpoint
// polices them.  So do packets from addresses of others that a workload may spoof: they have no flow (POLICY
// 2.8), belong to none, whatever they are, and policy judges each of them.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/nat_outgoing.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

/// The endpoint on one side of a packet as flows name it: workloads by port, all else is "outside".
PortId side(const Tables& tables, PortId port) noexcept {
    return tables.ports[port.value()].kind == PortKind::Workload ? port : PortId{};
}

/// How a packet stands to the flow that it claims to belong to.
enum class Fit : std::uint8_t {
    Belongs,
    Foreign,  ///< from a place where the flow's sender is not: says nothing about the flow
    Moved,    ///< one of the flow's addresses is at another endpoint now
};

/// An ICMP error goes to the sender of the packet that it quotes, and may come from any router on the
/// way.
template <Family F>
Fit fit(
    const Batch<F>& batch, unsigned i, const FlowHit<F>& hit, PortId out, Worker& worker) noexcept {
    const PacketFacts& facts = batch.facts[i];
    const Tables& tables = worker.tables();
    const FlowEntry<F>& flow = *hit.entry;
    const PortId in = side(tables, batch.in);
    const bool against = hit.reply != facts.icmp_error;
    const PortId sender = against ? flow.to : flow.from;
    const PortId receiver = against ? flow.from : flow.to;
    // The host's flows were not policed: nobody else may send on them in its name.
    const bool host_only = flow.from_host && !against;
    if (receiver == out && (sender == in || (facts.icmp_error && in == PortId{})) &&
        (!host_only || batch.in_port->kind == PortKind::Host)) [[likely]] {
        return facts.icmp_error && batch.destination[i] != batch.quoted[i].source ? Fit::Foreign
                                                                                  : Fit::Belongs;
    }
    if (facts.icmp_error) {
        return Fit::Foreign;
    }
    const std::uint32_t back = worker.shared().routes<F>().lookup(batch.source[i]);
    const bool sender_moved = sender != in && worker.newest().next_hops[back].workload == in;
    return receiver != out || sender_moved ? Fit::Moved : Fit::Foreign;
}

/// True for an address that this host or one of its workloads has.
template <Family F>
bool is_own_address(typename F::Addr address, Worker& worker) noexcept {
    const std::uint32_t back = worker.shared().routes<F>().lookup(address);
    const NextHop& hop = worker.newest().next_hops[back];
    return hop.kind == NextHopKind::Local || hop.workload != PortId{};
}

/// Groups are sets of addresses: who could borrow one of ours on the fabric would be let in as that
/// guest or host.  Only new flows need asking, the others are tied to their endpoints.
template <Family F>
bool is_borrowed(const Batch<F>& batch, unsigned i, Worker& worker) noexcept {
    return batch.in_port->kind == PortKind::Fabric && is_own_address<F>(batch.source[i], worker);
}

/// Host endpoints first: judge_again() notes that all have been asked.
template <Family F>
DropReason judge_flow_again(
    const Batch<F>& batch, unsigned i, const FlowHit<F>& hit, Worker& worker) noexcept {
    // An ICMP error goes against the packet that it quotes.
    const bool against = hit.reply != batch.facts[i].icmp_error;
    const PortId out = batch.hop[i]->port;
    const PortId from = against ? out : batch.in;
    const PortId to = against ? batch.in : out;
    const Tables& tables = worker.tables();
    if (hit.entry->from != PortId{} && tables.ports[to.value()].kind == PortKind::Host &&
        always_reaches_host(first_packet(hit.entry->key), tables.rules)) {
        return DropReason::None;
    }
    const DropReason reason = host_judges_again(*hit.entry, from, to, worker);
    return reason == DropReason::None ? judge_again(*hit.entry, worker) : reason;
}

template <Family F>
void on_miss(Batch<F>& batch, unsigned i, Worker& worker) noexcept {
    const PacketFacts& facts = batch.facts[i];
    if ((batch.returned >> i & 1U) != 0) [[unlikely]] {
        drop(batch, i, DropReason::FlowMoved, worker);  // its flow has ended meanwhile
        return;
    }
    if (worker.tables().rules.drop_invalid && cannot_begin_flow(facts)) [[unlikely]] {
        drop(batch, i, DropReason::FlowInvalid, worker);
        return;
    }
    if (is_borrowed(batch, i, worker)) [[unlikely]] {
        drop(batch, i, DropReason::SpoofedAddress, worker);
        return;
    }
    const PacketMask bit = PacketMask{1} << i;
    batch.fresh |= bit;
    // Of ICMP only an echo request begins something that has a reply.
    const bool icmp = facts.protocol == ipproto::kIcmp || facts.protocol == ipproto::kIcmp6;
    if (!icmp || is_echo_request(facts.protocol, facts.icmp_type)) {
        batch.remember |= bit;
    } else if ((batch.inward & bit) != 0) [[unlikely]] {
        drop(batch, i, DropReason::NotTranslated, worker);
    }
}

/// A packet of a flow to a floating address, or to one: did it come as the flow's packets do, and does it go
/// out in the address's name?  False: its way ended, or another flow begins with it.
template <Family F>
bool follow_translation(
    Batch<F>& batch, unsigned i, const FlowHit<F>& hit, Worker& worker) noexcept {
    FlowEntry<F>& flow = *hit.entry;
    const PacketMask bit = PacketMask{1} << i;
    const bool against = hit.reply != batch.facts[i].icmp_error;
    const bool to_itself = flow.key.source == flow.key.destination;
    const bool inward = (batch.inward & bit) != 0;
    const TranslationId came_by = inward ? batch.translation[i].id : TranslationId{};
    if (came_by != (against && !to_itself ? TranslationId{} : flow.translation)) {
        if (cannot_begin_flow(batch.facts[i])) {
            drop(batch, i, DropReason::FlowInvalid, worker);
        } else {
            // The same two ends by another address: the guest could not tell the two flows apart.  The known
            // one lives until all have allowed the other, see remember().
            on_miss(batch, i, worker);
        }
        return false;
    }
    if (inward) {
        return true;
    }
    const auto* translation = find_translation<F>(worker.tables(), flow.to, flow.translation);
    if (translation == nullptr) {
        flow.state.store(FlowState::Dead, std::memory_order_relaxed);
        drop(batch, i, DropReason::FlowMoved, worker);
        return false;
    }
    batch.translation[i] = *translation;
    batch.outward |= bit;
    return true;
}

/// The same of a flow that goes out in the host's name: does it come back to that?
template <Family F>
bool follow_mapping(Batch<F>& batch, unsigned i, const FlowHit<F>& hit, Worker& worker) noexcept {
    const bool against = hit.reply != batch.facts[i].icmp_error;
    const bool returned = (batch.returned >> i & 1U) != 0;
    if (against != returned) {
        if (cannot_begin_flow(batch.facts[i])) {
            drop(batch, i, DropReason::FlowInvalid, worker);
        } else {
            on_miss(batch, i, worker);
        }
        return false;
    }
    if (against || send_mapped(batch, i, *hit.entry, worker)) {
        return true;
    }
    hit.entry->state.store(FlowState::Dead, std::memory_order_relaxed);
    drop(batch, i, DropReason::FlowMoved, worker);
    return false;
}

template <Family F>
void on_hit(
    Batch<F>& batch, unsigned i, const FlowHit<F>& hit, PortId out, Worker& worker) noexcept {
    const PacketFacts& facts = batch.facts[i];
    const Tables& tables = worker.tables();
    FlowEntry<F>& flow = *hit.entry;
    if (const Fit how = fit(batch, i, hit, out, worker); how != Fit::Belongs) [[unlikely]] {
        if (how == Fit::Moved) {
            flow.state.store(FlowState::Dead, std::memory_order_relaxed);
        }
        drop(batch, i, facts.icmp_error ? DropReason::FlowInvalid : DropReason::FlowMoved, worker);
        return;
    }
    const bool inward = (batch.inward >> i & 1U) != 0;
    const bool mapped = flow.twin.load(std::memory_order_relaxed) != 0;
    if ((inward || mapped || flow.translation != TranslationId{}) &&
        !(mapped ? follow_mapping(batch, i, hit, worker)
                 : follow_translation(batch, i, hit, worker))) [[unlikely]] {
        return;
    }
    // What is begun by the host, or ends there, is tied to no endpoint: on its side only the host speaks.
    if (tables.guarded && hit.reply && flow.from == flow.to && flow.to == PortId{} &&
        is_borrowed(batch, i, worker)) [[unlikely]] {
        drop(batch, i, DropReason::SpoofedAddress, worker);
        return;
    }
    if (tables.reevaluate &&
        flow.generation.load(std::memory_order_relaxed) != tables.policy_generation) [[unlikely]] {
        if (const DropReason reason = judge_flow_again(batch, i, hit, worker);
            reason != DropReason::None) {
            // The flow stays, and is asked again at each packet: were it gone, what the allowed side
            // sends next would begin a flow of its own, and bring the other side's data back as replies.
            drop(batch, i, reason, worker);
            return;
        }
    }
    if (!facts.icmp_error) {
        advance(worker.shared().flows<F>(), worker.index(), hit, facts, hit.reply, worker.now());
    }
}

template <Family F>
void track_packets(Batch<F>& batch, PacketMask tracked, Worker& worker) noexcept {
    std::array<FlowKey<F>, kMaxBatch> keys;
    std::array<FlowHit<F>, kMaxBatch> hits;
    std::array<std::uint8_t, kMaxBatch> index;
    unsigned count = 0;
    for_each(tracked, batch.count, [&](unsigned i) {
        const PacketFacts& facts = batch.facts[i];
        if (facts.orphan) [[unlikely]] {
            drop(batch, i, DropReason::FragmentOrphan, worker);
            return;
        }
        keys[count] = facts.icmp_error ? batch.quoted[i] : flow_key(batch, i);
        index[count++] = static_cast<std::uint8_t>(i);
    });
    worker.shared().flows<F>().lookup_bulk(keys.data(), hits.data(), count);
    for (unsigned n = 0; n < count; ++n) {
        const unsigned i = index[n];
        const FlowHit<F>& hit = hits[n];
        if (hit.entry == nullptr || !may_belong(batch.facts[i], hit.reply)) {
            on_miss(batch, i, worker);
        } else if (begins_anew(*hit.entry, batch.facts[i])) [[unlikely]] {
            hit.entry->state.store(FlowState::Dead, std::memory_order_relaxed);
            on_miss(batch, i, worker);
        } else {
            on_hit(batch, i, hit, batch.hop[i]->workload, worker);
        }
    }
}

/// What a host endpoint allows without a flow is judged by the others at each packet.
template <Family F>
void admit_untracked(Batch<F>& batch, Worker& worker) noexcept {
    for_each(batch.live & batch.untracked, batch.count, [&](unsigned i) {
        if (is_borrowed(batch, i, worker)) [[unlikely]] {
            drop(batch, i, DropReason::SpoofedAddress, worker);
        } else if ((batch.inward >> i & 1U) != 0) [[unlikely]] {
            drop(batch, i, DropReason::NotTranslated, worker);
        } else {
            batch.fresh |= PacketMask{1} << i;
        }
    });
}

/// Nothing of a spoofed packet is remembered, so nothing is known of it either, nor is there a flow that its
/// ICMP errors could be about.
template <Family F>
void admit_spoofed(Batch<F>& batch, Worker& worker) noexcept {
    for_each(batch.live & batch.spoofed, batch.count, [&](unsigned i) {
        if (batch.facts[i].orphan) {
            drop(batch, i, DropReason::FragmentOrphan, worker);
        } else if (batch.facts[i].icmp_error && worker.tables().rules.drop_invalid) {
            drop(batch, i, DropReason::FlowInvalid, worker);
        } else if ((batch.inward >> i & 1U) != 0) {
            drop(batch, i, DropReason::NotTranslated, worker);
        } else {
            batch.fresh |= PacketMask{1} << i;
        }
    });
}

}  // namespace

template <Family F>
void track(Batch<F>& batch, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    PacketMask tracked = batch.live;
    if (batch.in_port->kind != PortKind::Workload) {
        tracked = 0;
        for_each(batch.live, batch.count, [&](unsigned i) {
            tracked |= PacketMask{batch.hop[i]->workload != PortId{}} << i;
        });
    }
    if (tables.guarded) [[unlikely]] {
        tracked |= followed_by_guards(batch, tables);
        tracked &= ~batch.untracked;
        admit_untracked(batch, worker);
    }
    if (batch.spoofed != 0) [[unlikely]] {
        tracked &= ~batch.spoofed;
        admit_spoofed(batch, worker);
    }
    if (tracked != 0) {
        track_packets(batch, tracked, worker);
    }
}

template void track(Batch<V4>&, Worker&) noexcept;
template void track(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
