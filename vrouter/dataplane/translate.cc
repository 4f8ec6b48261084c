// Stage translate: what the stages before found about floating addresses and natOutgoing is written into the
// headers.
//
// Needs: facts, inward, outward, translation.  Does: the packets' addresses and ports, those in packets that ICMP
// errors quote, and checksums (translate_ip.h).  Drops: malformed_ip.  What the
// control thread is to quote in an ICMP error stays as its sender knows it.
//
// No port of ours takes packets with checksums that are yet to be written, see vhost/features.h.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/translate_ip.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

template <Family F>
void translate(Batch<F>& batch, Worker& worker) noexcept {
    for_each(batch.live & (batch.inward | batch.outward), batch.count, [&](unsigned i) {
        if (will_be_quoted(batch, i)) {
            return;
        }
        const TranslationWay way{
            .inward = (batch.inward >> i & 1U) != 0,
            .outward = (batch.outward >> i & 1U) != 0,
            .icmp_error = batch.facts[i].icmp_error,
            .any_source = batch.facts[i].icmp_error && batch.in_port->kind == PortKind::Workload};
        rte_mbuf* packet = batch.packets[i];
        const std::span<std::uint8_t> bytes{
            rte_pktmbuf_mtod_offset(packet, std::uint8_t*, sizeof(EthernetHeader)),
            rte_pktmbuf_data_len(packet) - sizeof(EthernetHeader)};
        if (!translate_ip(bytes, batch.translation[i], way)) {
            drop(batch, i, DropReason::MalformedIp, worker);
        }
    });
}

template void translate(Batch<V4>&, Worker&) noexcept;
template void translate(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
