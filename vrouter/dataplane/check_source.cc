// Stage check_source: a workload may send only from its own addresses, and from those of others that it may
// spoof.
//
// Needs: source.  Does: compares source MAC and IP address of packets from workloads with those of the
// endpoint (POLICY 2.7), before any flow is looked at: a spoofed packet never rides on a known flow
// (POLICY 2.9 case 25).  Where allowSpoofedSourcePrefixes let it send from others' addresses, it may not use
// the host's, nor those of one link: who answers them must not be the host's to say.  Drops: port_closed,
// spoofed_mac, spoofed_address.  Leaves: spoofed.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include <algorithm>

#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

void drop_all(auto& batch, DropReason reason, Worker& worker) noexcept {
    for_each(batch.live, batch.count, [&](unsigned i) { drop(batch, i, reason, worker); });
}

bool sent_by(const rte_mbuf* packet, const Mac& mac) noexcept {
    const auto* header = rte_pktmbuf_mtod(packet, const EthernetHeader*);
    return header->source == mac.bytes();
}

template <Family F>
bool covers(const std::vector<Prefix<F>>& prefixes, const typename F::Addr& address) noexcept {
    return std::ranges::any_of(
        prefixes, [&](const Prefix<F>& prefix) { return prefix.contains(address); });
}

/// An address of others; those of the host and of single links are nobody's to use.
template <Family F>
bool may_spoof(
    const EndpointFamily<F>& endpoint, const typename F::Addr& source, Worker& worker) noexcept {
    if (endpoint.spoofable.empty() || source.is_link_local() || !covers(endpoint.spoofable, source))
        [[likely]] {
        return false;
    }
    const std::uint32_t back = worker.shared().routes<F>().lookup(source);
    // The route may be newer than this round's tables.
    return worker.newest().next_hops[back].kind != NextHopKind::Local;
}

}  // namespace

template <Family F>
void check_source(Batch<F>& batch, Worker& worker) noexcept {
    if (batch.in_port->kind == PortKind::None) [[unlikely]] {
        drop_all(
            batch, DropReason::PortClosed, worker);  // removed while its packets were on their way
        return;
    }
    if (batch.in_port->kind != PortKind::Workload) {
        return;
    }
    const Endpoint* endpoint = batch.in_port->endpoint.get();
    if (endpoint == nullptr || !endpoint->active) {
        drop_all(batch, DropReason::PortClosed, worker);
        return;
    }
    const EndpointFamily<F>& family = endpoint->family<F>();
    const bool check_mac = !endpoint->mac.is_zero();
    for_each(batch.live, batch.count, [&](unsigned i) {
        if (check_mac && !sent_by(batch.packets[i], endpoint->mac)) {
            drop(batch, i, DropReason::SpoofedMac, worker);
        } else if (!covers(family.addresses, batch.source[i])) {
            if (may_spoof(family, batch.source[i], worker)) {
                batch.spoofed |= PacketMask{1} << i;
            } else {
                drop(batch, i, DropReason::SpoofedAddress, worker);
            }
        }
    });
}

template void check_source(Batch<V4>&, Worker&) noexcept;
template void check_source(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
