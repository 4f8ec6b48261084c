// Stages untracked_policy, host_ingress and host_egress: policy of host endpoints, POLICY 2.6.  Run only
// where some port is guarded by one.
//
// Needs: source, destination, facts, hop; the last two: fresh.  Does: asks the programs of the guarded
// ports on both sides of a packet, each hook for its packets:
//   untracked_policy  before the flow lookup: all that comes in by the port, and what the host itself
//                     sends; what is allowed needs no flow and makes none
//   host_ingress      new flows: with the destination as it came (preDNAT), then those to the host
//                     (normal) or to others (forward)
//   host_egress       new flows of the host (normal) and of others (forward); workloads to the host where
//                     the endpoint-to-host action is Return: the guard of all interfaces
// Untracked and preDNAT policy see a floating address where a packet was sent to one.
// What they allow is not asked again on that side.  What staged policies would bring at a hook is counted
// for the packets that come by there, and changes nothing: transit is not followed for it.  Drops: host_ingress_denied,
// host_egress_denied, fragment_orphan.  Leaves: untracked.
// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"

namespace vr {

namespace {

constexpr PacketMask bit(unsigned i) noexcept {
    return PacketMask{1} << i;
}

constexpr DropReason denied(HostHook hook) noexcept {
    return is_ingress(hook) ? DropReason::HostIngressDenied : DropReason::HostEgressDenied;
}

constexpr Punt rejected(HostHook hook) noexcept {
    return is_ingress(hook) ? Punt::HostIngressRejected : Punt::HostEgressRejected;
}

/// Falling off the end is silence where a hook need not decide, else it is Deny.
constexpr bool is_silent(HostHook hook, const acl::Verdict& verdict) noexcept {
    return may_be_silent(hook) && !verdict.allow && verdict.rule == acl::Verdict::kFellOff;
}

const HostPolicy* guard_of(const Tables& tables, PortId port) noexcept {
    const PortEntry& entry = tables.ports[port.value()];
    return entry.kind == PortKind::Fabric ? entry.guard.get() : nullptr;
}

/// Whether `guard` has a program there, in force or to be counted.
template <Family F>
bool is_asked(const HostPolicy& guard, HostHook hook) noexcept {
    return guard.at<F>(hook) != nullptr || guard.staged_at<F>(hook) != nullptr;
}

/// Exchanges what packets were sent to and what is behind it.
template <Family F>
void exchange_destinations(Batch<F>& batch, PacketMask mask) noexcept {
    for_each(mask, batch.count, [&](unsigned i) {
        const Translation<F>& translation = batch.translation[i];
        batch.destination[i] = batch.destination[i] == translation.internal ? translation.external
                                                                            : translation.internal;
    });
}

/// Drops what `guard` denies at `hook`; returns what it allows.  What it says nothing about is neither.
template <Family F>
PacketMask ask(
    Batch<F>& batch,
    PacketMask mask,
    const HostPolicy* guard,
    HostHook hook,
    PortId port,
    Worker& worker) noexcept {
    if (mask == 0 || guard == nullptr || !is_asked<F>(*guard, hook)) {
        return 0;
    }
    const acl::Classifier<F>* classifier = guard->at<F>(hook);
    std::array<acl::Verdict, kMaxBatch> verdicts;
    const auto direction = is_ingress(hook) ? PolicyDirection::Ingress : PolicyDirection::Egress;
    const PacketMask as_sent = may_be_silent(hook) ? mask & batch.inward : 0;
    exchange_destinations(batch, as_sent);
    count_staged(batch, mask, guard->staged_at<F>(hook), worker);
    if (classifier != nullptr) [[likely]] {
        classify(batch, mask, *classifier, port, direction, verdicts, worker);
    }
    exchange_destinations(batch, as_sent);
    if (classifier == nullptr) [[unlikely]] {
        return 0;
    }
    PacketMask allowed = 0;
    for_each(mask, batch.count, [&](unsigned i) {
        if (verdicts[i].allow) {
            allowed |= bit(i);
        } else if (is_silent(hook, verdicts[i])) {
            return;
        } else if (verdicts[i].reject || worker.tables().rules.reject) [[unlikely]] {
            punt(batch, i, rejected(hook), worker);
        } else {
            drop(batch, i, denied(hook), worker);
        }
    });
    return allowed;
}

/// Calls `visit(same, port)` for the packets of `mask` by the guarded port that they leave by.
template <Family F, typename Visit>
void for_each_guarded_exit(
    Batch<F>& batch, PacketMask mask, const Tables& tables, Visit visit) noexcept {
    while (mask != 0) {
        const PortId out = batch.hop[static_cast<unsigned>(std::countr_zero(mask))]->port;
        PacketMask same = 0;
        for_each(
            mask, batch.count, [&](unsigned i) { same |= batch.hop[i]->port == out ? bit(i) : 0; });
        mask &= ~same;
        if (guard_of(tables, out) != nullptr) {
            visit(same, out);
        }
    }
}

template <Family F>
PacketMask packets_to_host(const Batch<F>& batch, PacketMask mask) noexcept {
    PacketMask local = 0;
    for_each(mask, batch.count, [&](unsigned i) {
        local |= batch.hop[i]->kind == NextHopKind::Local ? bit(i) : 0;
    });
    return local;
}

/// Asks untracked policy; a later fragment without its ports cannot be judged.
template <Family F>
void ask_untracked(
    Batch<F>& batch, PacketMask mask, HostHook hook, PortId port, Worker& worker) noexcept {
    const HostPolicy* guard = guard_of(worker.tables(), port);
    if (guard == nullptr || !is_asked<F>(*guard, hook)) {
        return;
    }
    for_each(mask, batch.count, [&](unsigned i) {
        if (batch.facts[i].orphan) [[unlikely]] {
            mask &= ~bit(i);
            if (guard->at<F>(hook) != nullptr) {
                drop(batch, i, DropReason::FragmentOrphan, worker);
            }
        }
    });
    batch.untracked |= ask(batch, mask & batch.live, guard, hook, port, worker);
}

}  // namespace

template <Family F>
void untracked_policy(Batch<F>& batch, Worker& worker) noexcept {
    if (batch.in_port->kind == PortKind::Fabric) {
        ask_untracked(batch, batch.live, HostHook::UntrackedIngress, batch.in, worker);
    } else if (batch.in_port->kind == PortKind::Host) {
        for_each_guarded_exit(batch, batch.live, worker.tables(), [&](PacketMask same, PortId out) {
            ask_untracked(batch, same, HostHook::UntrackedEgress, out, worker);
        });
    }
}

template <Family F>
PacketMask followed_by_guards(const Batch<F>& batch, const Tables& tables) noexcept {
    if (batch.in_port->kind == PortKind::Workload) {
        return 0;  // followed anyway
    }
    const bool from_host = batch.in_port->kind == PortKind::Host;
    const HostPolicy* in = guard_of(tables, batch.in);
    PacketMask followed = 0;
    for_each(batch.live, batch.count, [&](unsigned i) {
        const NextHop& hop = *batch.hop[i];
        const HostPolicy* out = guard_of(tables, hop.port);
        const bool ends_here = hop.kind == NextHopKind::Local;
        const bool asked_in = in != nullptr && (ends_here || in->follows_transit);
        const bool asked_out = out != nullptr && (from_host || out->follows_transit);
        followed |= asked_in || asked_out ? bit(i) : 0;
    });
    return followed;
}

template <Family F>
void host_ingress(Batch<F>& batch, Worker& worker) noexcept {
    const HostPolicy* guard = guard_of(worker.tables(), batch.in);
    if (guard == nullptr) {
        return;
    }
    PacketMask open = batch.live & batch.fresh & ~batch.untracked;
    open &= ~ask(batch, open, guard, HostHook::PreDnatIngress, batch.in, worker);
    open &= batch.live;
    const PacketMask local = packets_to_host(batch, open);
    ask(batch, local, guard, HostHook::NormalIngress, batch.in, worker);
    ask(batch, open & ~local, guard, HostHook::ForwardIngress, batch.in, worker);
}

template <Family F>
void host_egress(Batch<F>& batch, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    const bool from_host = batch.in_port->kind == PortKind::Host;
    const HostHook hook = from_host ? HostHook::NormalEgress : HostHook::ForwardEgress;
    PacketMask open = batch.live & batch.fresh;
    if (from_host) {
        open &= ~batch.untracked;
    }
    for_each_guarded_exit(batch, open, tables, [&](PacketMask same, PortId out) {
        ask(batch, same, guard_of(tables, out), hook, out, worker);
    });
    if (batch.in_port->kind == PortKind::Workload &&
        tables.rules.to_host == EndpointToHost::Return) {
        PacketMask local = packets_to_host(batch, batch.live & batch.fresh);
        for_each(local, batch.count, [&](unsigned i) {
            local &= reaches_host(batch, i, tables.rules) ? ~bit(i) : ~PacketMask{0};
        });
        ask(batch, local, tables.any_interface.get(), HostHook::NormalIngress, batch.in, worker);
    }
}

namespace {

/// One packet's verdict: None, silence included, or why not.
template <Family F>
DropReason ask_one(
    const HostPolicy* guard,
    HostHook hook,
    const acl::Packet<F>& packet,
    Worker& worker,
    bool& accepted) noexcept {
    const acl::Classifier<F>* classifier = guard == nullptr ? nullptr : guard->at<F>(hook);
    if (classifier == nullptr) {
        return DropReason::None;
    }
    const acl::Verdict verdict = classify_one(*classifier, packet, worker.shared().groups<F>());
    accepted = verdict.allow;
    return verdict.allow || is_silent(hook, verdict) ? DropReason::None : denied(hook);
}

}  // namespace

template <Family F>
DropReason host_judges_again(
    const FlowEntry<F>& flow, PortId from, PortId to, Worker& worker) noexcept {
    const Tables& tables = worker.tables();
    const acl::Packet<F> packet = first_packet(flow.key);
    const PortKind from_kind = tables.ports[from.value()].kind;
    const PortKind to_kind = tables.ports[to.value()].kind;
    const bool to_host = to_kind != PortKind::Fabric && to_kind != PortKind::Workload;
    const HostPolicy* in = guard_of(tables, from);
    acl::Packet<F> as_sent = packet;
    if (const auto* floating = find_translation<F>(tables, flow.to, flow.translation)) {
        as_sent.destination = floating->external;
    }
    bool accepted = false;
    DropReason reason = ask_one(in, HostHook::PreDnatIngress, as_sent, worker, accepted);
    if (reason == DropReason::None && !accepted) {
        const HostHook hook = to_host ? HostHook::NormalIngress : HostHook::ForwardIngress;
        reason = ask_one(in, hook, packet, worker, accepted);
    }
    if (reason == DropReason::None) {
        const bool from_host = from_kind != PortKind::Fabric && from_kind != PortKind::Workload;
        const HostHook hook = from_host ? HostHook::NormalEgress : HostHook::ForwardEgress;
        reason = ask_one(guard_of(tables, to), hook, packet, worker, accepted);
    }
    if (reason == DropReason::None && from_kind == PortKind::Workload && to_host) {
        if (tables.rules.to_host == EndpointToHost::Drop) {
            return DropReason::HostDenied;
        }
        if (tables.rules.to_host == EndpointToHost::Return) {
            reason = ask_one(
                tables.any_interface.get(), HostHook::NormalIngress, packet, worker, accepted);
        }
    }
    return reason;
}

template void untracked_policy(Batch<V4>&, Worker&) noexcept;
template void untracked_policy(Batch<V6>&, Worker&) noexcept;
template void host_ingress(Batch<V4>&, Worker&) noexcept;
template void host_ingress(Batch<V6>&, Worker&) noexcept;
template void host_egress(Batch<V4>&, Worker&) noexcept;
template void host_egress(Batch<V6>&, Worker&) noexcept;
template PacketMask followed_by_guards(const Batch<V4>&, const Tables&) noexcept;
template PacketMask followed_by_guards(const Batch<V6>&, const Tables&) noexcept;
template DropReason host_judges_again(const FlowEntry<V4>&, PortId, PortId, Worker&) noexcept;
template DropReason host_judges_again(const FlowEntry<V6>&, PortId, PortId, Worker&) noexcept;

}  // namespace vr
