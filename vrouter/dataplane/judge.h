// Asking flows and policy about packets: what the stages, re-evaluation of live flows and trace share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <type_traits>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/batch.h"
#include "vrouter/dataplane/drop.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/policy_log.h"
#include "vrouter/net/headers.h"

namespace vr {

class Worker;

/// The flow that packet `i` belongs to, in its own orientation.
template <Family F>
[[nodiscard]] inline FlowKey<F> flow_key(const Batch<F>& batch, unsigned i) noexcept {
    const PacketFacts& facts = batch.facts[i];
    return {
        batch.source[i],
        batch.destination[i],
        facts.source_port,
        facts.destination_port,
        facts.protocol};
}

/// The packet as classifiers see it: ICMP has no ports there, whatever its flow key holds.
template <Family F>
[[nodiscard]] inline acl::Packet<F> acl_packet(
    typename F::Addr source, typename F::Addr destination, const PacketFacts& facts) noexcept {
    return {
        .source = source,
        .destination = destination,
        .source_port = facts.has_ports ? facts.source_port : L4Port{},
        .destination_port = facts.has_ports ? facts.destination_port : L4Port{},
        .protocol = facts.protocol,
        .icmp_type = facts.icmp_type,
        .icmp_code = facts.icmp_code,
        .has_ports = facts.has_ports};
}

/// Whether packet `i`, of a workload to the host, is let through before policy.
template <Family F>
[[nodiscard]] inline bool reaches_host(
    const Batch<F>& batch, unsigned i, const WorkloadRules& rules) noexcept {
    return always_reaches_host(
        acl_packet<F>(batch.source[i], batch.destination[i], batch.facts[i]), rules);
}

/// The packet that began a flow.
template <Family F>
[[nodiscard]] inline acl::Packet<F> first_packet(const FlowKey<F>& key) noexcept {
    PacketFacts facts;
    facts.protocol = key.protocol;
    facts.has_ports = has_l4_ports(key.protocol);
    facts.source_port = key.source_port;
    facts.destination_port = key.destination_port;
    // Of ICMP only echo requests begin flows.
    facts.icmp_type = key.protocol == ipproto::kIcmp6 ? 128 : 8;
    return acl_packet<F>(key.source, key.destination, facts);
}

/// Runs the packets of `mask` through a policy of `port`; verdicts[i] is that of packet i.  Log rules
/// leave their records.
template <Family F>
void classify(
    const Batch<F>& batch,
    PacketMask mask,
    const acl::Classifier<F>& classifier,
    PortId port,
    PolicyDirection direction,
    std::array<acl::Verdict, kMaxBatch>& verdicts,
    Worker& worker) noexcept;

/// Counts what `staged` would make of the packets of `mask`; null: nothing else than what is in force.
template <Family F>
void count_staged(
    const Batch<F>& batch,
    PacketMask mask,
    const acl::Classifier<F>* staged,
    Worker& worker) noexcept;

/// Runs one packet through a policy, without a record.
template <Family F>
[[nodiscard]] acl::Verdict classify_one(
    const acl::Classifier<F>& classifier,
    const acl::Packet<F>& packet,
    const GroupTable<F>& groups) noexcept;

/// The packets of whose flows a host endpoint must know, POLICY 2.6.  To be asked only if some port is
/// guarded.
template <Family F>
[[nodiscard]] PacketMask followed_by_guards(const Batch<F>& batch, const Tables& tables) noexcept;

/// What host endpoints say today to a flow between two ports, in the orientation of its first packet.
template <Family F>
[[nodiscard]] DropReason host_judges_again(
    const FlowEntry<F>& flow, PortId from, PortId to, Worker& worker) noexcept;

/// POLICY 2.5 step 3: these never begin a connection.  A bare ACK may (loose pick-up after a restart).
[[nodiscard]] inline bool cannot_begin_flow(const PacketFacts& facts) noexcept {
    if (facts.icmp_error) {
        return true;
    }
    if (facts.protocol != ipproto::kTcp) {
        return false;
    }
    const std::uint8_t flags = facts.tcp_flags;
    return (flags & (tcpflag::kFin | tcpflag::kRst)) != 0 ||
           (flags & (tcpflag::kSyn | tcpflag::kAck)) == (tcpflag::kSyn | tcpflag::kAck);
}

/// Of the flow that a packet begins.
[[nodiscard]] inline FlowState first_state(const PacketFacts& facts) noexcept {
    switch (facts.protocol) {
        case ipproto::kTcp:
            // A bare ACK picks up a connection that is older than this table (POLICY 2.5 step 3).
            return (facts.tcp_flags & tcpflag::kRst) != 0   ? FlowState::Reset
                   : (facts.tcp_flags & tcpflag::kFin) != 0 ? FlowState::Closing
                   : (facts.tcp_flags & tcpflag::kSyn) != 0 ? FlowState::New
                                                            : FlowState::Established;
        case ipproto::kUdp:
        case ipproto::kUdpLite:
            return FlowState::Udp;
        case ipproto::kIcmp:
        case ipproto::kIcmp6:
            return FlowState::Icmp;
        default:
            return FlowState::Other;
    }
}

inline constexpr std::uint8_t kBothSides = 3;

/// Both sides have sent a FIN.
template <Family F>
[[nodiscard]] inline bool is_closed(const FlowEntry<F>& flow) noexcept {
    return flow.closed_by.load(std::memory_order_relaxed) == kBothSides;
}

/// Notes that the flow is alive, and what TCP says about it; `answered`: the packet shows that the other side
/// has spoken.  Writes only what changes, so that an established flow costs no cache line transfer between
/// workers.  Worker `worker`.
template <Family F>
inline void advance(
    FlowTable<F>& flows,
    unsigned worker,
    const FlowHit<F>& hit,
    const PacketFacts& facts,
    bool answered,
    FlowTick now) noexcept {
    FlowEntry<F>& flow = *hit.entry;
    const bool is_tcp = facts.protocol == ipproto::kTcp;
    if (is_tcp && is_closed(flow)) [[unlikely]] {
        return;  // it counts no more, so it does not live on either, whatever is sent
    }
    // Relaxed throughout: state and time steer ageing only; a lost update is made good by the next packet.
    if (flow.last_seen.load(std::memory_order_relaxed) != now) {
        flow.last_seen.store(now, std::memory_order_relaxed);
    }
    if (!is_tcp) {
        return;
    }
    const FlowState state = flow.state.load(std::memory_order_relaxed);
    FlowState next = state;
    if ((facts.tcp_flags & tcpflag::kRst) != 0) {
        next = FlowState::Reset;
        flows.uncount(worker, flow);
    } else if ((facts.tcp_flags & tcpflag::kFin) != 0) {
        next = FlowState::Closing;
        // A connection that only one side has closed still counts.
        const auto side = static_cast<std::uint8_t>(hit.reply ? 2 : 1);
        if ((flow.closed_by.fetch_or(side, std::memory_order_relaxed) | side) == kBothSides) {
            flows.uncount(worker, flow);
        }
    } else if (state == FlowState::Reset) {
        // The reset was not believed, as none is that is outside of its window.
        next = FlowState::Closing;
        flows.recount(worker, flow);
    } else if (state == FlowState::New && answered) {
        next = FlowState::Established;
    }
    if (next != state) {
        flow.state.store(next, std::memory_order_relaxed);
    }
}

/// A TCP connection that ended and begins again on the same ports.
template <Family F>
[[nodiscard]] inline bool begins_anew(const FlowEntry<F>& flow, const PacketFacts& facts) noexcept {
    constexpr std::uint8_t kOpening = tcpflag::kSyn | tcpflag::kAck | tcpflag::kRst | tcpflag::kFin;
    const FlowState state = flow.state.load(std::memory_order_relaxed);
    return (state == FlowState::Closing || state == FlowState::Reset) &&
           (facts.tcp_flags & kOpening) == tcpflag::kSyn;
}

/// Of ICMP only echo has flows, and each of its two messages goes one way.  Without this a request, or
/// any other message where the identifier is 0, would pass as the reply.
[[nodiscard]] inline bool may_belong(const PacketFacts& facts, bool reply) noexcept {
    const bool icmp = facts.protocol == ipproto::kIcmp || facts.protocol == ipproto::kIcmp6;
    if (!icmp || facts.icmp_error) [[likely]] {
        return true;
    }
    return reply ? is_echo_reply(facts.protocol, facts.icmp_type)
                 : is_echo_request(facts.protocol, facts.icmp_type);
}

/// Judges a live flow by today's policy, in the orientation of its first packet: DropReason::None (and the
/// flow notes today's generation), or why it may no longer pass.
template <Family F>
[[nodiscard]] DropReason judge_again(FlowEntry<F>& flow, Worker& worker) noexcept;

}  // namespace vr
