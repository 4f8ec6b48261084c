// The packet's way.  pipeline.cc is the order; each stage is a batch function of a file of its own.
//
// A stage sees the live packets of a batch and either leaves a packet live or ends its way (sent,
// punted, consumed, dropped with a reason).  Stages in their order, with what each relies on:
//   parse            sane headers -> addresses and facts
//   check_source     a workload may send only from its own addresses
//   limit_egress     rates of the sender
//   route            longest prefix -> next hop, ECMP member chosen; what is behind a floating address
//   untracked_policy host endpoints: doNotTrack policy
//   return_mapped    natOutgoing: what answers flows in the host's name goes to their senders
//   limit_ingress    rates of the receiver
//   track            known flow: verdict is already decided
//   host_ingress     host endpoints: may it come in by this port, and reach the host?
//   egress_policy    may the sender send this?
//   ingress_policy   may the receiver receive it?
//   host_egress      host endpoints: may it leave by this port?
//   remember         newly allowed flows enter the flow table; natOutgoing: in whose name they go out
//   translate        into the headers what route, return_mapped, track and remember found
//   mark             DSCP of what leaves the cluster
//   rewrite          TTL / hop limit, MTU, link header; resolved: sent, unresolved: held by the control
//                    thread
// The three of host endpoints are run only where a port has one, return_mapped where a flow may have gone
// out in the host's name, those of rates, and mark, only where an endpoint has limits or a DSCP.  Route comes
// before track, unlike in a
// NAT box: transit between fabric ports then never touches the flow table, and a flow's verdict can be
// tied to the endpoints on both of its sides.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vrouter/dataplane/batch.h"
#include "vrouter/dataplane/drop.h"
#include "vrouter/dataplane/packet_note.h"

namespace vr {

class Worker;

/// Runs the packets of `batch` (count and packets set, see begin_batch) all the way.
template <Family F>
void forward(Batch<F>& batch, Worker& worker) noexcept;

/// Empties a batch for packets that came in on `in`.
template <Family F>
inline void begin_batch(Batch<F>& batch, PortId in, const PortEntry& entry) noexcept {
    batch.count = 0;
    batch.in = in;
    batch.in_port = &entry;
    batch.fresh = 0;
    batch.remember = 0;
    batch.untracked = 0;
    batch.spoofed = 0;
    batch.inward = 0;
    batch.outward = 0;
    batch.returned = 0;
}

/// Writes the link header of the next hop in its note on a packet that went through forward() before and was
/// held until its next hop was resolved.
void send_adjacent(rte_mbuf* packet, Worker& worker) noexcept;

/// One hop less for an IPv4 packet, its checksum kept right.
void decrement_ttl(rte_mbuf* packet) noexcept;

// The stages.

template <Family F>
void parse(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void check_source(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void limit_egress(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void route(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void limit_ingress(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void untracked_policy(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void return_mapped(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void track(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void host_ingress(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void egress_policy(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void ingress_policy(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void host_egress(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void remember(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void translate(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void mark(Batch<F>& batch, Worker& worker) noexcept;
template <Family F>
void rewrite(Batch<F>& batch, Worker& worker) noexcept;

/// Whether rewrite() has the control thread report packet `i` to its sender, who must recognize it.
template <Family F>
[[nodiscard]] inline bool will_be_quoted(const Batch<F>& batch, unsigned i) noexcept {
    const PacketFacts& facts = batch.facts[i];
    const NextHop& hop = *batch.hop[i];
    const bool last_hop = facts.hop_limit <= 1 && batch.in_port->kind != PortKind::Host;
    return hop.kind != NextHopKind::Local &&
           (last_hop || (facts.length > hop.mtu && !facts.may_fragment));
}

/// Ends the way of packet `i` with a reason.
template <Family F>
void drop(Batch<F>& batch, unsigned i, DropReason reason, Worker& worker) noexcept;

/// Hands packet `i` to the control thread.
template <Family F>
void punt(Batch<F>& batch, unsigned i, Punt why, Worker& worker) noexcept;

}  // namespace vr
