// Stages egress_policy and ingress_policy: fresh packets are judged by the endpoints on both sides.
//
// Needs: source, destination, facts, hop, fresh.  Does: looks up the groups of both addresses, then runs
// the endpoint's classifier (POLICY 2.5 steps 5-7, 2.6); the host may reach its workloads unpoliced; a
// workload to the host itself meets its egress policy, then the endpoint-to-host action (Return: see
// host_policy.cc).  Drops: tunnel_denied, egress_denied, ingress_denied, host_denied, port_closed; what
// is rejected goes to the control thread, which counts it as denied and tells the sender.  Leaves:
// fresh packets that are still live are allowed by all whom they concern.  Each rule that a packet
// matches is counted, here and not for the packets of live flows; so are those that staged policies
// would bring, for the same packets.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

/// Whose policy is asked, and what it means when it says no.
struct Judge {
    PortId endpoint;
    PolicyDirection direction;
    DropReason denied;
    Punt rejected;
};

template <Family F>
void log_match(
    const acl::Packet<F>& packet,
    const acl::Verdict& verdict,
    const acl::Program& program,
    PortId port,
    PolicyDirection direction,
    Worker& worker) noexcept {
    PolicyLogRecord record{
        .program = &program,
        .rule = verdict.logged,
        .endpoint = port,
        .direction = direction,
        .ip6 = std::is_same_v<F, V6>,
        .allowed = verdict.allow,
        .protocol = packet.protocol,
        .has_ports = packet.has_ports,
        .source_port = packet.source_port,
        .destination_port = packet.destination_port,
        .icmp_type = packet.icmp_type,
        .icmp_code = packet.icmp_code};
    packet.source.store(record.source.data());
    packet.destination.store(record.destination.data());
    worker.policy_log().push(record);
}

/// Classifies the packets of `mask` and drops those that are denied.
template <Family F>
void judge(
    Batch<F>& batch,
    PacketMask mask,
    const acl::Classifier<F>* classifier,
    const Judge& judge,
    Worker& worker) noexcept {
    std::array<acl::Verdict, kMaxBatch> verdicts;
    classify(batch, mask, *classifier, judge.endpoint, judge.direction, verdicts, worker);
    for_each(mask, batch.count, [&](unsigned i) {
        if (verdicts[i].allow) {
            return;
        }
        if (verdicts[i].reject || worker.tables().rules.reject) [[unlikely]] {
            punt(batch, i, judge.rejected, worker);
        } else {
            drop(batch, i, judge.denied, worker);
        }
    });
}

/// Packets in a row, as classifiers want them.
template <Family F>
struct Asked {
    Asked(const Batch<F>& batch, PacketMask mask, const GroupTable<F>& groups) noexcept {
        std::array<typename F::Addr, kMaxBatch> sources;
        std::array<typename F::Addr, kMaxBatch> destinations;
        for_each(mask, batch.count, [&](unsigned i) {
            sources[count] = batch.source[i];
            destinations[count] = batch.destination[i];
            packets[count] = acl_packet<F>(batch.source[i], batch.destination[i], batch.facts[i]);
            index[count++] = static_cast<std::uint8_t>(i);
        });
        groups.lookup_bulk(sources.data(), source_groups.data(), count);
        groups.lookup_bulk(destinations.data(), destination_groups.data(), count);
    }

    /// Runs them through `classifier`, which counts for `worker`.
    void ask(
        const acl::Classifier<F>& classifier,
        const Worker& worker,
        std::array<acl::Verdict, kMaxBatch>& verdicts) const noexcept {
        classifier.classify(
            packets.data(),
            source_groups.data(),
            destination_groups.data(),
            verdicts.data(),
            count,
            classifier.hits().row(worker.index()));
    }

    unsigned count = 0;
    std::array<acl::Packet<F>, kMaxBatch> packets;
    std::array<const GroupSet*, kMaxBatch> source_groups;
    std::array<const GroupSet*, kMaxBatch> destination_groups;
    std::array<std::uint8_t, kMaxBatch> index;  ///< in the batch
};

/// One packet's verdict; null classifier: closed.
template <Family F>
bool allows(
    const acl::Classifier<F>* classifier, const acl::Packet<F>& packet, Worker& worker) noexcept {
    return classifier != nullptr &&
           classify_one(*classifier, packet, worker.shared().groups<F>()).allow;
}

template <Family F>
const EndpointFamily<F>* open_endpoint(const Tables& tables, PortId port) noexcept {
    const Endpoint* endpoint = tables.ports[port.value()].endpoint.get();
    return endpoint != nullptr && endpoint->active ? &endpoint->family<F>() : nullptr;
}

/// Fresh packets to one workload: judged together, by that workload's ingress policy.
template <Family F>
void judge_ingress(Batch<F>& batch, PacketMask mask, PortId out, Worker& worker) noexcept {
    const EndpointFamily<F>* endpoint = open_endpoint<F>(worker.tables(), out);
    if (endpoint == nullptr || !endpoint->ingress) {
        for_each(
            mask, batch.count, [&](unsigned i) { drop(batch, i, DropReason::PortClosed, worker); });
        return;
    }
    count_staged(batch, mask, endpoint->staged_ingress.get(), worker);
    judge(
        batch,
        mask,
        endpoint->ingress.get(),
        {out, PolicyDirection::Ingress, DropReason::IngressDenied, Punt::IngressRejected},
        worker);
}

}  // namespace

template <Family F>
void classify(
    const Batch<F>& batch,
    PacketMask mask,
    const acl::Classifier<F>& classifier,
    PortId port,
    PolicyDirection direction,
    std::array<acl::Verdict, kMaxBatch>& verdicts,
    Worker& worker) noexcept {
    const Asked<F> asked(batch, mask, worker.shared().template groups<F>());
    std::array<acl::Verdict, kMaxBatch> in_a_row;
    asked.ask(classifier, worker, in_a_row);
    for (unsigned n = 0; n < asked.count; ++n) {
        verdicts[asked.index[n]] = in_a_row[n];
        if (in_a_row[n].logged != acl::Verdict::kFellOff) [[unlikely]] {
            log_match<F>(
                asked.packets[n], in_a_row[n], classifier.program(), port, direction, worker);
        }
    }
}

template <Family F>
void count_staged(
    const Batch<F>& batch,
    PacketMask mask,
    const acl::Classifier<F>* staged,
    Worker& worker) noexcept {
    if (staged == nullptr || mask == 0) [[likely]] {
        return;
    }
    std::array<acl::Verdict, kMaxBatch> ignored;
    Asked<F>(batch, mask, worker.shared().template groups<F>()).ask(*staged, worker, ignored);
}

template <Family F>
acl::Verdict classify_one(
    const acl::Classifier<F>& classifier,
    const acl::Packet<F>& packet,
    const GroupTable<F>& groups) noexcept {
    const GroupSet* source = groups.lookup(packet.source);
    const GroupSet* destination = groups.lookup(packet.destination);
    acl::Verdict verdict;
    classifier.classify(&packet, &source, &destination, &verdict, 1);
    return verdict;
}

template <Family F>
void egress_policy(Batch<F>& batch, Worker& worker) noexcept {
    if (batch.in_port->kind != PortKind::Workload) {
        return;
    }
    const WorkloadRules& rules = worker.tables().rules;
    PacketMask mask = batch.live & batch.fresh;
    for_each(mask, batch.count, [&](unsigned i) {
        const PacketFacts& facts = batch.facts[i];
        if (batch.hop[i]->kind == NextHopKind::Local && reaches_host(batch, i, rules))
            [[unlikely]] {
            mask &= ~(PacketMask{1} << i);
        } else if (is_denied_tunnel(facts.protocol, facts.destination_port, rules)) [[unlikely]] {
            mask &= ~(PacketMask{1} << i);
            drop(batch, i, DropReason::TunnelDenied, worker);
        }
    });
    if (mask != 0) {
        // check_source let only packets of an open endpoint pass, and an open one has its programs.
        const auto& endpoint = batch.in_port->endpoint->template family<F>();
        count_staged(batch, mask, endpoint.staged_egress.get(), worker);
        judge(
            batch,
            mask,
            endpoint.egress.get(),
            {batch.in, PolicyDirection::Egress, DropReason::EgressDenied, Punt::EgressRejected},
            worker);
    }
}

template <Family F>
void ingress_policy(Batch<F>& batch, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    const bool from_host = batch.in_port->kind == PortKind::Host;
    PacketMask mask = batch.live & batch.fresh;
    while (mask != 0) {
        const PortId out = batch.hop[static_cast<unsigned>(std::countr_zero(mask))]->port;
        PacketMask same = 0;
        for_each(mask, batch.count, [&](unsigned i) {
            same |= batch.hop[i]->port == out ? PacketMask{1} << i : 0;
        });
        mask &= ~same;
        const PortKind kind = tables.ports[out.value()].kind;
        if (kind == PortKind::Workload && !from_host) {
            judge_ingress(batch, same, out, worker);
        } else if (kind != PortKind::Workload && batch.in_port->kind == PortKind::Workload) {
            // To a fabric port, or to the host itself.
            for_each(same, batch.count, [&](unsigned i) {
                if (batch.hop[i]->kind == NextHopKind::Local &&
                    tables.rules.to_host == EndpointToHost::Drop &&
                    !reaches_host(batch, i, tables.rules)) {
                    drop(batch, i, DropReason::HostDenied, worker);
                }
            });
        }
    }
}

template <Family F>
DropReason judge_again(FlowEntry<F>& flow, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    const acl::Packet<F> packet = first_packet(flow.key);
    if (flow.from != PortId{}) {
        const EndpointFamily<F>* sender = open_endpoint<F>(tables, flow.from);
        if (sender == nullptr || !allows(sender->egress.get(), packet, worker)) {
            return DropReason::EgressDenied;
        }
    }
    if (flow.to != PortId{} && !flow.from_host) {
        const EndpointFamily<F>* receiver = open_endpoint<F>(tables, flow.to);
        if (receiver == nullptr || !allows(receiver->ingress.get(), packet, worker)) {
            return DropReason::IngressDenied;
        }
    }
    flow.generation.store(tables.policy_generation, std::memory_order_relaxed);
    return DropReason::None;
}

template void classify(
    const Batch<V4>&,
    PacketMask,
    const acl::Classifier<V4>&,
    PortId,
    PolicyDirection,
    std::array<acl::Verdict, kMaxBatch>&,
    Worker&) noexcept;
template void classify(
    const Batch<V6>&,
    PacketMask,
    const acl::Classifier<V6>&,
    PortId,
    PolicyDirection,
    std::array<acl::Verdict, kMaxBatch>&,
    Worker&) noexcept;
template void count_staged(
    const Batch<V4>&, PacketMask, const acl::Classifier<V4>*, Worker&) noexcept;
template void count_staged(
    const Batch<V6>&, PacketMask, const acl::Classifier<V6>*, Worker&) noexcept;
template acl::Verdict classify_one(
    const acl::Classifier<V4>&, const acl::Packet<V4>&, const GroupTable<V4>&) noexcept;
template acl::Verdict classify_one(
    const acl::Classifier<V6>&, const acl::Packet<V6>&, const GroupTable<V6>&) noexcept;
template void egress_policy(Batch<V4>&, Worker&) noexcept;
template void egress_policy(Batch<V6>&, Worker&) noexcept;
template void ingress_policy(Batch<V4>&, Worker&) noexcept;
template void ingress_policy(Batch<V6>&, Worker&) noexcept;
template DropReason judge_again(FlowEntry<V4>&, Worker&) noexcept;
template DropReason judge_again(FlowEntry<V6>&, Worker&) noexcept;

}  // namespace vr
