// Stage remember: newly allowed flows enter the flow table.
//
// Needs: remember, and fresh packets that policy let live.  Does: ends the flow between the same ends that
// came by another address of the receiver (see track): only now has the new one been allowed.
// A flow that leaves the pools of natOutgoing is entered with its mapping, and what cannot have one does not
// leave (nat_outgoing.h).
// Drops: not_translated, nat_no_address, nat_ports_exhausted, flow_moved (another worker begins such a flow at
// the same time), connection_limit (POLICY 2.5 step 4, once policy has allowed it: who is denied learns nothing;
// the control thread answers with a reset), flow_table_full,
// flow_quota (the endpoint that the flow counts against has its share; the host's own flows and transit
// count against none): without an entry the replies would be refused, so the sender had better know now.
// Leaves: outward.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/nat_outgoing.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

/// True when a packet before this one, of the same batch or of another worker's, entered the flow.
template <Family F>
bool is_known(
    const FlowTable<F>& flows, const FlowKey<F>& key, TranslationId translation) noexcept {
    FlowHit<F> hit;
    flows.lookup_bulk(&key, &hit, 1);
    return hit.entry != nullptr && hit.entry->translation == translation;
}

/// Enters a flow in the place of one that came by another address, or of a mapping: who has policy's leave to
/// speak with the host itself wins over what goes in its name.
template <Family F>
FlowHit<F> enter(
    FlowTable<F>& flows, const FlowKey<F>& key, const FlowStart& start, Worker& worker) noexcept {
    const FlowHit<F> entered = flows.insert(worker.index(), key, start, worker.now());
    const bool meets_mapping =
        entered.entry != nullptr &&
        entered.entry->state.load(std::memory_order_relaxed) == FlowState::Mapping;
    if (meets_mapping) [[unlikely]] {
        end_mapping(flows, *entered.entry);
    } else if (entered.entry == nullptr || entered.entry->translation == start.translation)
        [[likely]] {
        return entered;
    } else {
        entered.entry->state.store(FlowState::Dead, std::memory_order_relaxed);
    }
    return flows.insert(worker.index(), key, start, worker.now());
}

/// Of the floating address that the packet was sent to.
template <Family F>
TranslationId floating_of(const Batch<F>& batch, unsigned i) noexcept {
    return (batch.inward >> i & 1U) != 0 ? batch.translation[i].id : TranslationId{};
}

/// The endpoint whose maxConnections a new flow is beyond; null: none.
const Policer* full_endpoint(
    const Tables& tables, const SharedState& shared, const FlowStart& start) noexcept {
    const auto is_full = [&](const Policer& policer, PortId port, FlowSide side) {
        return policer.connections != 0 && shared.connections(port, side) >= policer.connections;
    };
    const auto limits_of = [&](PortId port) {
        const Endpoint* endpoint = tables.ports[port.value()].endpoint.get();
        return endpoint == nullptr ? nullptr : endpoint->limits.get();
    };
    const EndpointLimits* sender = limits_of(start.from);
    if (sender != nullptr && is_full(sender->egress, start.from, FlowSide::Sender)) {
        return &sender->egress;
    }
    const EndpointLimits* receiver = start.from_host ? nullptr : limits_of(start.to);
    if (receiver != nullptr && is_full(receiver->ingress, start.to, FlowSide::Receiver)) {
        return &receiver->ingress;
    }
    return nullptr;
}

/// Refuses packet `i` if it begins a TCP connection too many; true: its way ended.
template <Family F>
bool refuse_connection(
    Batch<F>& batch,
    unsigned i,
    const FlowKey<F>& key,
    const FlowStart& start,
    Worker& worker) noexcept {
    const FlowTable<F>& flows = worker.shared().flows<F>();
    const Policer* full = key.protocol == ipproto::kTcp
                              ? full_endpoint(worker.tables(), worker.shared(), start)
                              : nullptr;
    if (full == nullptr || is_known(flows, key, start.translation)) {
        return false;
    }
    full->state->over_connections.fetch_add(1, std::memory_order_relaxed);
    punt(batch, i, Punt::ConnectionRefused, worker);
    return true;
}

}  // namespace

template <Family F>
void remember(Batch<F>& batch, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    const PortId from = batch.in_port->kind == PortKind::Workload ? batch.in : PortId{};
    FlowTable<F>& flows = worker.shared().flows<F>();
    const PacketMask outgoing = outgoing_packets(batch, batch.live & batch.fresh, worker);
    for_each(outgoing & ~batch.remember, batch.count, [&](unsigned i) {
        drop(batch, i, DropReason::NotTranslated, worker);
    });
    const PacketMask mask = batch.live & batch.fresh & batch.remember;
    std::uint32_t tries = kTriesOfBatch;
    for_each(mask, batch.count, [&](unsigned i) {
        const FlowStart start{
            .from = from,
            .to = batch.hop[i]->workload,
            .state = first_state(batch.facts[i]),
            .from_host = batch.in_port->kind == PortKind::Host,
            .generation = tables.policy_generation,
            .translation = floating_of(batch, i)};
        const FlowKey<F> key = flow_key(batch, i);
        const PortId owner = owner_of(start.from, start.to, start.from_host);
        if (owner != PortId{} &&
            flows.held_by(owner, worker.index()) >= tables.flows_per_endpoint &&
            !is_known(flows, key, start.translation)) [[unlikely]] {
            drop(batch, i, DropReason::FlowQuota, worker);
            return;
        }
        if (tables.limited && refuse_connection(batch, i, key, start, worker)) [[unlikely]] {
            return;
        }
        if ((outgoing >> i & 1U) != 0) [[unlikely]] {
            if (const DropReason reason = enter_mapped(batch, i, start, tries, worker);
                reason != DropReason::None) {
                drop(batch, i, reason, worker);
            }
            return;
        }
        const FlowHit<F> entered = enter(flows, key, start, worker);
        if (entered.entry == nullptr) {
            drop(batch, i, DropReason::FlowTableFull, worker);
        } else if (
            entered.entry->translation != start.translation ||
            entered.entry->twin.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            drop(batch, i, DropReason::FlowMoved, worker);
        }
    });
}

template void remember(Batch<V4>&, Worker&) noexcept;
template void remember(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
