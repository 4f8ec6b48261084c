// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/pipeline.h"

#include "vrouter/dataplane/worker.h"

namespace vr {

template <Family F>
void forward(Batch<F>& batch, Worker& worker) noexcept {
    parse(batch, worker);
    check_source(batch, worker);
    const bool limited = worker.tables().limited;
    if (limited) [[unlikely]] {
        limit_egress(batch, worker);
    }
    route(batch, worker);
    const bool guarded = worker.tables().guarded;
    if (guarded) [[unlikely]] {
        untracked_policy(batch, worker);
    }
    if (worker.tables().maps_ports) [[unlikely]] {
        return_mapped(batch, worker);
    }
    if (limited) [[unlikely]] {
        limit_ingress(batch, worker);
    }
    track(batch, worker);
    if (batch.fresh != 0) {
        if (guarded) [[unlikely]] {
            host_ingress(batch, worker);
        }
        egress_policy(batch, worker);
        ingress_policy(batch, worker);
        if (guarded) [[unlikely]] {
            host_egress(batch, worker);
        }
        remember(batch, worker);
    }
    if ((batch.inward | batch.outward) != 0) [[unlikely]] {
        translate(batch, worker);
    }
    if (worker.tables().marks) [[unlikely]] {
        mark(batch, worker);
    }
    rewrite(batch, worker);
}

template <Family F>
void drop(Batch<F>& batch, unsigned i, DropReason reason, Worker& worker) noexcept {
    batch.live &= ~(PacketMask{1} << i);
    worker.drop(batch.packets[i], batch.in, reason);
}

template <Family F>
void punt(Batch<F>& batch, unsigned i, Punt why, Worker& worker) noexcept {
    batch.live &= ~(PacketMask{1} << i);
    const bool floating = ((batch.inward | batch.outward) >> i & 1U) != 0;
    const bool goes_on = why == Punt::Resolve || why == Punt::TooBig;
    worker.punt(
        batch.packets[i],
        {.port = batch.in,
         .punt = why,
         .inject = {},
         .next_hop = NextHopId{batch.next_hop[i]},
         .use = goes_on ? batch.hop[i]->use : std::uint16_t{0},
         .translated = why == Punt::Resolve && floating});
}

template void forward(Batch<V4>&, Worker&) noexcept;
template void forward(Batch<V6>&, Worker&) noexcept;
template void drop(Batch<V4>&, unsigned, DropReason, Worker&) noexcept;
template void drop(Batch<V6>&, unsigned, DropReason, Worker&) noexcept;
template void punt(Batch<V4>&, unsigned, Punt, Worker&) noexcept;
template void punt(Batch<V6>&, unsigned, Punt, Worker&) noexcept;

}  // namespace vr
