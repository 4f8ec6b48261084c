// Stages limit_egress and limit_ingress: an endpoint's rates, POLICY 2.5 step 2.  Run only where some
// endpoint has limits.
//
// Needs: facts; limit_ingress: hop.  Does: takes the packets of a batch out of the token buckets of the
// endpoint that sent them, or to which they go, before anything is known of their flows: packets of
// established ones count as well, and what policy denies behind has been counted.  Packet rate first, then
// peak rate, then bandwidth; the latter count whole frames, as tc does.  What one of them refuses gets back
// what it has taken from those before, but too late for others of its batch: they have been judged.  What the
// host sends to its workloads counts, what the router itself answers does not.  Drops: packet_rate, bandwidth.
// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

template <Family F>
void drop_over(
    Batch<F>& batch,
    PacketMask over,
    DropReason reason,
    std::atomic<std::uint64_t>& count,
    Worker& worker) noexcept {
    if (over == 0) {
        return;
    }
    count.fetch_add(static_cast<std::uint64_t>(std::popcount(over)), std::memory_order_relaxed);
    for_each(over, batch.count, [&](unsigned i) { drop(batch, i, reason, worker); });
}

/// Drops those packets of `mask`, all of one direction of an endpoint, that are over its limits.  Those of
/// `oversize` count as packets only.
template <Family F>
void limit(
    Batch<F>& batch,
    PacketMask mask,
    PacketMask oversize,
    const Policer& policer,
    Worker& worker) noexcept {
    PolicerState& state = *policer.state;
    const std::uint64_t now = worker.bucket_now();
    const auto take = [&](SharedBucket& bucket, const BucketRate& rate, const auto& units) {
        const PacketMask before = mask;
        mask = rate.limits() ? bucket.admit(rate, now, mask, units) : mask;
        return before & ~mask;
    };
    const auto put_back =
        [](SharedBucket& bucket, const BucketRate& rate, PacketMask refused, const auto& units) {
            if (refused != 0 && rate.limits()) {
                bucket.put_back(rate, refused, units);
            }
        };
    const auto one = [](unsigned) { return 1U; };
    const auto bits = [&](unsigned i) {
        return (batch.facts[i].length + sizeof(EthernetHeader)) * 8;
    };
    const PacketMask fast = take(state.packets, policer.packets, one);
    mask &= ~oversize;
    const PacketMask steep = take(state.peak, policer.peak, bits);
    const PacketMask large = take(state.bits, policer.bits, bits);
    put_back(state.packets, policer.packets, steep | large, one);
    put_back(state.peak, policer.peak, large, bits);
    drop_over(batch, fast, DropReason::PacketRate, state.over_packet_rate, worker);
    drop_over(batch, steep | large, DropReason::Bandwidth, state.over_bandwidth, worker);
}

}  // namespace

template <Family F>
void limit_egress(Batch<F>& batch, Worker& worker) noexcept {
    const Endpoint* endpoint = batch.in_port->endpoint.get();
    if (endpoint != nullptr && endpoint->limits && endpoint->limits->egress.limits_rates()) {
        limit(batch, batch.live, 0, endpoint->limits->egress, worker);
    }
}

template <Family F>
void limit_ingress(Batch<F>& batch, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    PacketMask mask = batch.live;
    while (mask != 0) {
        const PortId to = batch.hop[static_cast<unsigned>(std::countr_zero(mask))]->workload;
        PacketMask same = 0;
        for_each(mask, batch.count, [&](unsigned i) {
            same |= PacketMask{batch.hop[i]->workload == to} << i;
        });
        mask &= ~same;
        const Endpoint* endpoint = tables.ports[to.value()].endpoint.get();
        if (endpoint != nullptr && endpoint->limits && endpoint->limits->ingress.limits_rates()) {
            // What does not fit the port may be more than a bucket holds, and its sender is to be told why.
            PacketMask oversize = 0;
            for_each(same, batch.count, [&](unsigned i) {
                oversize |= PacketMask{batch.facts[i].length > batch.hop[i]->mtu} << i;
            });
            limit(batch, same, oversize, endpoint->limits->ingress, worker);
        }
    }
}

template void limit_egress(Batch<V4>&, Worker&) noexcept;
template void limit_egress(Batch<V6>&, Worker&) noexcept;
template void limit_ingress(Batch<V4>&, Worker&) noexcept;
template void limit_ingress(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
