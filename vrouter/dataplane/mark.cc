// Stage mark: DSCP on packets that leave the cluster, POLICY 2.7.  Run only where some endpoint has one.
//
// Needs: destination, hop.  Does: packets of a workload with a DSCP, of whatever flow or none, that go to
// neither a pool, a host of the cluster, a workload of this host nor the host itself get it; so does what the
// host itself sends by a port whose guard has one.  ECN stays.  Which
// addresses are in pools is asked for each packet: flows need not know, and a changed pool counts at once.
// What the control thread is to quote in an ICMP error stays as it came.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include "vrouter/dataplane/dscp.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

/// What packets from `in` that leave by `out` get.
std::optional<std::uint8_t> dscp_of(const PortEntry& in, const PortEntry& out) noexcept {
    if (in.kind == PortKind::Host) {
        return out.guard ? out.guard->dscp : std::nullopt;
    }
    return in.endpoint ? in.endpoint->dscp : std::nullopt;
}

/// Which packets get one if they leave the cluster.  Those of the host are asked one by one, or each of them
/// would be looked up because some workload has a DSCP.
template <Family F>
PacketMask marked_packets(const Batch<F>& batch, const Tables& tables) noexcept {
    const PortEntry& in = *batch.in_port;
    if (in.kind != PortKind::Host) {
        return dscp_of(in, in) ? batch.live : 0;
    }
    PacketMask marked = 0;
    for_each(batch.live, batch.count, [&](unsigned i) {
        const bool has_dscp = dscp_of(in, tables.ports[batch.hop[i]->port.value()]).has_value();
        marked |= PacketMask{has_dscp} << i;
    });
    return marked;
}

}  // namespace

template <Family F>
void mark(Batch<F>& batch, Worker& worker) noexcept {
    const PortEntry& in = *batch.in_port;
    const PacketMask marked = marked_packets(batch, worker.tables());
    if (marked == 0) {
        return;
    }
    std::array<const GroupSet*, kMaxBatch> groups;
    worker.shared().groups<F>().lookup_bulk(batch.destination.data(), groups.data(), batch.count);
    for_each(marked, batch.count, [&](unsigned i) {
        const NextHop& hop = *batch.hop[i];
        const auto dscp = dscp_of(in, worker.tables().ports[hop.port.value()]);
        if (hop.kind != NextHopKind::Local && hop.workload == PortId{} &&
            !is_in_cluster(*groups[i]) && !will_be_quoted(batch, i)) {
            set_dscp<F>(
                rte_pktmbuf_mtod_offset(batch.packets[i], std::uint8_t*, sizeof(EthernetHeader)),
                *dscp);
        }
    });
}

template void mark(Batch<V4>&, Worker&) noexcept;
template void mark(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
