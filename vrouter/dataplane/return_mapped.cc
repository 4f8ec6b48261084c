// Stage return_mapped: natOutgoing.  What the world answers to the host's address goes to whose flow it is.
//
// Needs: source, destination, facts, quoted, hop, untracked.  Does: of packets from the fabric to the host
// itself, looks for the mapping of a flow that went out in the host's name (nat_outgoing.h); `destination`,
// the port and the next hop are the flow's sender's from there on, and of an ICMP error `quoted` is what that
// one sent.  What untracked policy let in is the host's own, as in Linux.
// What the host itself sends takes a mapping away that stands in its place, and the flow behind it: its own
// connections are not to be answered to a guest.  Those of TCP, and those of protocols whose ports mappings
// keep, have their place even before that: once seen, no mapping gets there.  What opens a TCP connection or an
// SCTP association with the host is never an answer.  Drops: flow_moved (the sender is no longer where it was).
// Leaves: inward, returned, translation.  Bytes change last, in translate.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include <optional>

#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/nat_outgoing.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"

namespace vr {

namespace {

/// Some packets of a batch, and what they belong to.
template <Family F>
struct Looked {
    std::array<FlowKey<F>, kMaxBatch> keys;
    std::array<FlowHit<F>, kMaxBatch> hits;
    std::array<std::uint8_t, kMaxBatch> index;
    unsigned count = 0;

    void add(const FlowKey<F>& key, unsigned i) noexcept {
        keys[count] = key;
        index[count++] = static_cast<std::uint8_t>(i);
    }
};

/// What the first chunk of an SCTP packet is, RFC 9260 3; of all else nothing.
template <Family F>
std::optional<std::uint8_t> first_chunk(const Batch<F>& batch, unsigned i) noexcept {
    if (batch.facts[i].protocol != ipproto::kSctp) [[likely]] {
        return std::nullopt;
    }
    rte_mbuf* packet = batch.packets[i];
    const Bytes bytes{
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, sizeof(EthernetHeader)),
        rte_pktmbuf_data_len(packet) - sizeof(EthernetHeader)};
    const auto transport = find_transport<F>(bytes);
    if (!transport || !transport->first || transport->size <= sctp::kHeader) {
        return std::nullopt;
    }
    return bytes[transport->offset + sctp::kHeader];
}

/// The kernel's answer to what it knows nothing of, or its last word: nothing to keep a place for.
template <Family F>
bool ends_connection(const Batch<F>& batch, unsigned i) noexcept {
    const PacketFacts& facts = batch.facts[i];
    if (facts.protocol == ipproto::kTcp) {
        return (facts.tcp_flags & tcpflag::kRst) != 0;
    }
    const auto chunk = first_chunk(batch, i);
    return chunk == sctp::kAbort || chunk == sctp::kShutdownComplete;
}

/// Sends packet `i` on to who began `flow`, which the world knows by `mapping`.
template <Family F>
void give_back(
    Batch<F>& batch,
    unsigned i,
    FlowEntry<F>& flow,
    const FlowEntry<F>& mapping,
    Worker& worker) noexcept {
    const std::uint32_t id = worker.shared().routes<F>().lookup(flow.key.source);
    const NextHop& hop = worker.newest().next_hops[id];
    if (hop.workload != flow.from || hop.kind == NextHopKind::Floating) {
        flow.state.store(FlowState::Dead, std::memory_order_relaxed);
        drop(batch, i, DropReason::FlowMoved, worker);
        return;
    }
    const PacketMask bit = PacketMask{1} << i;
    batch.inward |= bit;
    batch.returned |= bit;
    batch.translation[i] = translation_of(flow, mapping);
    batch.destination[i] = flow.key.source;
    if (batch.facts[i].icmp_error) {
        batch.quoted[i] = flow.key;
    } else {
        batch.facts[i].destination_port = flow.key.source_port;
    }
    batch.next_hop[i] = id;
    batch.hop[i] = &hop;
}

template <Family F>
void give_back_answers(Batch<F>& batch, Worker& worker) noexcept {
    Looked<F> looked;
    for_each(batch.live & ~batch.untracked, batch.count, [&](unsigned i) {
        const PacketFacts& facts = batch.facts[i];
        if (batch.hop[i]->kind == NextHopKind::Local && !facts.orphan && !opens_connection(facts) &&
            first_chunk(batch, i) != sctp::kInit) {
            looked.add(facts.icmp_error ? batch.quoted[i] : flow_key(batch, i), i);
        }
    });
    const FlowTable<F>& flows = worker.shared().flows<F>();
    flows.lookup_mappings(looked.keys.data(), looked.hits.data(), looked.count);
    for (unsigned n = 0; n < looked.count; ++n) {
        const unsigned i = looked.index[n];
        const FlowHit<F>& hit = looked.hits[n];
        const PacketFacts& facts = batch.facts[i];
        // An answer goes against the mapping, an error quotes what went along it.
        if (hit.entry == nullptr || hit.reply == facts.icmp_error ||
            !may_belong(facts, hit.reply) ||
            (facts.icmp_error && batch.destination[i] != hit.entry->key.source)) {
            continue;
        }
        if (FlowEntry<F>* flow = flows.twin(*hit.entry)) {
            give_back(batch, i, *flow, *hit.entry, worker);
        }
    }
}

/// A packet of the host that shows a connection of its own whose place a mapping could take.  Not of UDP: who asks a
/// service would fill the table.  So might others that make the host send what shows no handshake: that has as
/// much room as a workload.
template <Family F>
bool keeps_place(const FlowKey<F>& key, const PacketFacts& facts, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    const auto& nat = tables.rules.nat_outgoing;
    const bool tcp = key.protocol == ipproto::kTcp;
    if (!nat || (!tcp && changes_ports(key.protocol)) || cannot_begin_flow(facts)) [[likely]] {
        return false;
    }
    const acl::PortRange ports = outside_ports(*nat, key);
    const bool has_room = tcp || worker.shared().flows<F>().held_by(PortId{}, worker.index()) <
                                     tables.flows_per_endpoint;
    if (key.source_port < ports.first || key.source_port > ports.last || !has_room) {
        return false;
    }
    const std::uint32_t back = worker.shared().routes<F>().lookup(key.source);
    return worker.newest().next_hops[back].kind == NextHopKind::Local;
}

/// Whose flows are entered once policy allows them.
template <Family F>
PacketMask followed_packets(const Batch<F>& batch, const Tables& tables) noexcept {
    PacketMask followed = tables.guarded ? followed_by_guards(batch, tables) : 0;
    for_each(batch.live, batch.count, [&](unsigned i) {
        followed |= PacketMask{batch.hop[i]->workload != PortId{}} << i;
    });
    return followed;
}

/// Enters a flow of the host that is not followed otherwise.
template <Family F>
void enter_own(const FlowKey<F>& key, const PacketFacts& facts, Worker& worker) noexcept {
    const FlowStart start{
        .from = {},
        .to = {},
        .state = first_state(facts),
        .from_host = true,
        .generation = worker.tables().policy_generation};
    // Where there is no room, the next packet tries again.
    static_cast<void>(worker.shared().flows<F>().insert(worker.index(), key, start, worker.now()));
}

/// Ends the mappings in whose place the host sends, but not where that ends a connection.  Returns which packets
/// have their place from one.
template <Family F>
PacketMask end_mappings(const Batch<F>& batch, Looked<F>& looked, Worker& worker) noexcept {
    FlowTable<F>& flows = worker.shared().flows<F>();
    flows.lookup_mappings(looked.keys.data(), looked.hits.data(), looked.count);
    PacketMask ended = 0;
    for (unsigned n = 0; n < looked.count; ++n) {
        const FlowHit<F>& hit = looked.hits[n];
        if (hit.entry != nullptr && !hit.reply && !ends_connection(batch, looked.index[n])) {
            end_mapping(flows, *hit.entry);
            ended |= PacketMask{1} << looked.index[n];
        }
    }
    return ended;
}

/// Track looks after the flows of the host that are followed, this after others, so that nobody gets to their
/// place.
template <Family F>
void claim_own(Batch<F>& batch, Worker& worker) noexcept {
    Looked<F> looked;
    for_each(batch.live, batch.count, [&](unsigned i) {
        const PacketFacts& facts = batch.facts[i];
        if (!facts.icmp_error && !facts.orphan) {
            looked.add(flow_key(batch, i), i);
        }
    });
    const PacketMask ended = end_mappings(batch, looked, worker);
    const PacketMask followed = followed_packets(batch, worker.tables());
    worker.shared().flows<F>().lookup_bulk(looked.keys.data(), looked.hits.data(), looked.count);
    for (unsigned n = 0; n < looked.count; ++n) {
        const unsigned i = looked.index[n];
        const FlowHit<F>& hit = looked.hits[n];
        const PacketFacts& facts = batch.facts[i];
        if ((followed >> i & 1U) != 0) {
            continue;
        }
        if (hit.entry == nullptr) {
            if ((ended >> i & 1U) != 0 ||
                (keeps_place(looked.keys[n], facts, worker) && !ends_connection(batch, i))) {
                enter_own(looked.keys[n], facts, worker);
            }
        } else if (!hit.reply && hit.entry->from_host) {
            if (begins_anew(*hit.entry, facts)) {
                hit.entry->state.store(FlowState::New, std::memory_order_relaxed);
            }
            // Who goes on after its SYN has been answered.
            advance(
                worker.shared().flows<F>(),
                worker.index(),
                hit,
                facts,
                (facts.tcp_flags & tcpflag::kSyn) == 0,
                worker.now());
        }
    }
}

}  // namespace

template <Family F>
void return_mapped(Batch<F>& batch, Worker& worker) noexcept {
    if (batch.in_port->kind == PortKind::Fabric) {
        give_back_answers(batch, worker);
    } else if (batch.in_port->kind == PortKind::Host) {
        claim_own(batch, worker);
    }
}

template void return_mapped(Batch<V4>&, Worker&) noexcept;
template void return_mapped(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
