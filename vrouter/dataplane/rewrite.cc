// Stage rewrite: the link header of the next hop; then the packet is sent.
//
// Needs: hop.  Does: writes the 14 bytes that the next hop holds ready; local packets go to the host's
// TAP, but an echo request is answered by the control thread.  Drops: no_host_path.  Punts: unresolved
// next hops (hold and resolve), echo requests.  Nothing is live afterwards.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include <cstring>

#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

void write_link(rte_mbuf* packet, const NextHop& hop) noexcept {
    std::memcpy(rte_pktmbuf_mtod(packet, std::uint8_t*), hop.link.data(), sizeof(EthernetHeader));
}

template <Family F>
void deliver_local(Batch<F>& batch, unsigned i, Worker& worker) noexcept {
    const PacketFacts& facts = batch.facts[i];
    const NextHop& hop = *batch.hop[i];
    if (is_echo_request(facts.protocol, facts.icmp_type) && !facts.fragment &&
        batch.in_port->kind != PortKind::Host) {
        punt(batch, i, Punt::Echo, worker);
    } else if (hop.port == PortId{}) {
        drop(batch, i, DropReason::NoHostPath, worker);
    } else {
        write_link(batch.packets[i], hop);
        worker.send(batch.packets[i], hop.port);
    }
}

}  // namespace

template <Family F>
void rewrite(Batch<F>& batch, Worker& worker) noexcept {
    for_each(batch.live, batch.count, [&](unsigned i) {
        const NextHop& hop = *batch.hop[i];
        if (hop.kind == NextHopKind::Forward) [[likely]] {
            write_link(batch.packets[i], hop);
            worker.send(batch.packets[i], hop.port);
        } else if (hop.kind == NextHopKind::Local) {
            deliver_local(batch, i, worker);
        } else {
            punt(batch, i, Punt::Resolve, worker);
        }
    });
    batch.live = 0;
}

void send_adjacent(rte_mbuf* packet, NextHopId next_hop, Worker& worker) noexcept {
    const NextHop& hop = worker.tables().next_hops[next_hop.value()];
    if (hop.kind == NextHopKind::Unresolved || hop.kind == NextHopKind::Glean) {
        worker.punt(packet, note_of(packet).port, Punt::Resolve, next_hop);
        return;
    }
    if (hop.kind != NextHopKind::Forward) {
        worker.drop(packet, note_of(packet).port, DropReason::Unresolved);
        return;
    }
    write_link(packet, hop);
    worker.send(packet, hop.port);
}

template void rewrite(Batch<V4>&, Worker&) noexcept;
template void rewrite(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
