// Stage decrement_hops: TTL or hop limit, and the next hop's MTU.
//
// Needs: facts, hop.  Does: RFC 1812 5.3.1, RFC 8200 3; the IPv4 checksum is updated in place (RFC
// 1624).  Packets to and from the host itself keep their TTL: router and host are one node, and BGP
// with TTL 1 (or 255, RFC 5082) must arrive as sent.  Punts: hop_limit, too_big, to be answered with
// ICMP.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

inline void decrement(rte_mbuf* packet, V4 /*family*/) noexcept {
    auto* header = rte_pktmbuf_mtod_offset(packet, Ip4Header*, sizeof(EthernetHeader));
    --header->ttl;
    // TTL is the high byte of its checksum word: one less there is 0x0100 more in the sum.
    const std::uint32_t sum = header->checksum.value() + 0x0100U;
    header->checksum = Be16{static_cast<std::uint16_t>(sum + (sum >> 16U))};
}

inline void decrement(rte_mbuf* packet, V6 /*family*/) noexcept {
    --rte_pktmbuf_mtod_offset(packet, Ip6Header*, sizeof(EthernetHeader))->hop_limit;
}

}  // namespace

void decrement_ttl(rte_mbuf* packet) noexcept {
    decrement(packet, V4{});
}

template <Family F>
void decrement_hops(Batch<F>& batch, Worker& worker) noexcept {
    const bool from_host = batch.in_port->kind == PortKind::Host;
    for_each(batch.live, batch.count, [&](unsigned i) {
        const NextHop& hop = *batch.hop[i];
        if (hop.kind == NextHopKind::Local) [[unlikely]] {
            return;
        }
        const PacketFacts& facts = batch.facts[i];
        if (!from_host && facts.hop_limit <= 1) [[unlikely]] {
            punt(batch, i, Punt::HopLimit, worker);
        } else if (facts.length > hop.mtu) [[unlikely]] {
            punt(batch, i, Punt::TooBig, worker);
        } else if (!from_host) {
            decrement(batch.packets[i], F{});
        }
    });
}

template void decrement_hops(Batch<V4>&, Worker&) noexcept;
template void decrement_hops(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
