// Asking policy about packets: what the policy stages, re-evaluation of live flows and trace share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/batch.h"
#include "vrouter/dataplane/drop.h"

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

/// POLICY 2.5 step 5: VXLAN and IP-in-IP from a workload would carry traffic past its policy.
[[nodiscard]] bool is_tunnel(const PacketFacts& facts) noexcept;

/// Judges a live flow by today's policy, in the orientation of its first packet: DropReason::None (and the
/// flow notes today's generation), or why it may no longer pass.
template <Family F>
[[nodiscard]] DropReason judge_again(FlowEntry<F>& flow, Worker& worker) noexcept;

}  // namespace vr
