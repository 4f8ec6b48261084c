// Stage rewrite: hops, MTU, link header; then the packet is sent.
//
// Needs: facts, hop.  Does: RFC 1812 5.3.1, RFC 8200 3, the IPv4 checksum updated in place (RFC 1624);
// writes the 14 bytes that the next hop holds ready.  Packets to and from the host itself keep their
// TTL: router and host are one node, and BGP with TTL 1 (or 255, RFC 5082) must arrive as sent.  Local
// packets go to the host's TAP, but an echo request is answered by the control thread.  Drops:
// no_host_path.  Punts: hop_limit, too_big, to be answered with ICMP; unresolved next hops (hold and
// resolve); echo requests.  Nothing is live afterwards.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include <cstring>

#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

void write_link(std::uint8_t* frame, const NextHop& hop) noexcept {
    std::memcpy(frame, hop.link.data(), sizeof(EthernetHeader));
}

std::uint8_t* frame_of(rte_mbuf* packet) noexcept {
    return rte_pktmbuf_mtod(packet, std::uint8_t*);
}

inline void decrement(std::uint8_t* frame, V4 /*family*/) noexcept {
    auto* header = reinterpret_cast<Ip4Header*>(frame + sizeof(EthernetHeader));
    --header->ttl;
    // TTL is the high byte of its checksum word: one less there is 0x0100 more in the sum.
    const std::uint32_t sum = header->checksum.value() + 0x0100U;
    header->checksum = Be16{static_cast<std::uint16_t>(sum + (sum >> 16U))};
}

inline void decrement(std::uint8_t* frame, V6 /*family*/) noexcept {
    --reinterpret_cast<Ip6Header*>(frame + sizeof(EthernetHeader))->hop_limit;
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
        write_link(frame_of(batch.packets[i]), hop);
        worker.send(batch.packets[i], hop.port);
    }
}

}  // namespace

void decrement_ttl(rte_mbuf* packet) noexcept {
    decrement(frame_of(packet), V4{});
}

template <Family F>
void rewrite(Batch<F>& batch, Worker& worker) noexcept {
    // One pass: hops and link header lie in the same line.
    const bool from_host = batch.in_port->kind == PortKind::Host;
    for_each(batch.live, batch.count, [&](unsigned i) {
        const NextHop& hop = *batch.hop[i];
        const PacketFacts& facts = batch.facts[i];
        if (hop.kind == NextHopKind::Local) [[unlikely]] {
            deliver_local(batch, i, worker);
            return;
        }
        if (facts.hop_limit <= 1 && !from_host) [[unlikely]] {
            punt(batch, i, Punt::HopLimit, worker);
            return;
        }
        if (facts.length > hop.mtu) [[unlikely]] {
            punt(batch, i, Punt::TooBig, worker);
            return;
        }
        std::uint8_t* frame = frame_of(batch.packets[i]);
        if (!from_host) {
            decrement(frame, F{});
        }
        if (hop.kind != NextHopKind::Forward) [[unlikely]] {
            punt(batch, i, Punt::Resolve, worker);
            return;
        }
        write_link(frame, hop);
        worker.send(batch.packets[i], hop.port);
    });
    batch.live = 0;
}

void send_adjacent(rte_mbuf* packet, Worker& worker) noexcept {
    PacketNote note = note_of(packet);
    const NextHop& hop = worker.tables().next_hops[note.next_hop.value()];
    const bool same = hop.use == note.use;
    if (same && (hop.kind == NextHopKind::Unresolved || hop.kind == NextHopKind::Glean)) {
        note.punt = Punt::Resolve;
        worker.punt(packet, note);
        return;
    }
    if (!same || hop.kind != NextHopKind::Forward) {
        worker.drop(packet, note.port, DropReason::Unresolved);
        return;
    }
    write_link(frame_of(packet), hop);
    worker.send(packet, hop.port);
}

template void rewrite(Batch<V4>&, Worker&) noexcept;
template void rewrite(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
