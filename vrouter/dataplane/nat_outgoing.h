// What natOutgoing makes of a flow that a workload begins, POLICY 2.7: whether it goes out in the name of the
// host, in whose address and port, and what its packets need.  For the stages and trace.
//
// The world sees the address that the host has on the port by which the flow begins to leave, and a port (of
// ICMP echo: an identifier) out of a range.  The same port serves many flows, one to each destination: a
// mapping is entered into the flow table under the whole key that the world sees, and whoever finds a key
// taken tries another.  There is no other state: what bounds a guest is that it tries a part of the ports only.  Of other protocols the address alone changes, so there is
// one key to try.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vrouter/dataplane/batch.h"
#include "vrouter/dataplane/drop.h"
#include "vrouter/net/headers.h"

namespace vr {

class Worker;

/// Whether a packet between two addresses leaves the pools.
template <Family F>
[[nodiscard]] bool leaves_pools(
    const NatOutgoing& nat,
    const GroupTable<F>& groups,
    typename F::Addr source,
    typename F::Addr destination) noexcept;

/// The host's address for what leaves by `out`; none that is its own: nothing.
template <Family F>
[[nodiscard]] std::optional<typename F::Addr> outgoing_address(
    const Tables& tables, const Lpm<F>& routes, PortId out) noexcept;

/// Whether flows get ports of the range.  SCTP keeps its own, because its checksum would have to be made anew
/// over the whole packet; the others that do not have none.
[[nodiscard]] constexpr bool changes_ports(std::uint8_t protocol) noexcept {
    return protocol == ipproto::kTcp || protocol == ipproto::kUdp ||
           protocol == ipproto::kUdpLite || protocol == ipproto::kIcmp ||
           protocol == ipproto::kIcmp6;
}

/// The ports that the world may see in place of that of `key`.
template <Family F>
[[nodiscard]] constexpr acl::PortRange outside_ports(
    const NatOutgoing& nat, const FlowKey<F>& key) noexcept {
    return changes_ports(key.protocol) ? acl::PortRange{nat.first_port, nat.last_port}
                                       : acl::PortRange{key.source_port, key.source_port};
}

/// Protocols that would arrive broken from another address: a checksum or a signature of theirs covers it,
/// and is not made anew.
[[nodiscard]] constexpr bool covers_address(std::uint8_t protocol) noexcept {
    return protocol == ipproto::kDccp || protocol == ipproto::kAh;
}

/// The packets that begin flows of that kind.
template <Family F>
[[nodiscard]] PacketMask outgoing_packets(
    const Batch<F>& batch, PacketMask mask, Worker& worker) noexcept;

/// A SYN alone answers nothing: it is for who listens, and that is the host.  So is an INIT of SCTP, which
/// facts do not tell.
[[nodiscard]] inline bool opens_connection(const PacketFacts& facts) noexcept {
    return facts.protocol == ipproto::kTcp &&
           (facts.tcp_flags & (tcpflag::kSyn | tcpflag::kAck)) == tcpflag::kSyn;
}

/// Ends a mapping and its flow, for who has its place by right.
template <Family F>
inline void end_mapping(FlowTable<F>& flows, FlowEntry<F>& mapping) noexcept {
    if (FlowEntry<F>* flow = flows.twin(mapping)) {
        flow->state.store(FlowState::Dead, std::memory_order_relaxed);
    }
    mapping.state.store(FlowState::Dead, std::memory_order_relaxed);
}

/// Further ports that the flows of one batch may be tried under.  Who has none left gets few: a guest that
/// asks for more than there are takes little of the others' time.
inline constexpr std::uint32_t kTriesOfBatch = 512;

/// Enters the flow of packet `i` with a mapping, or finds it there; None, or why not.  Takes from `budget`
/// what it tries.
template <Family F>
[[nodiscard]] DropReason enter_mapped(
    Batch<F>& batch,
    unsigned i,
    const FlowStart& start,
    std::uint32_t& budget,
    Worker& worker) noexcept;

/// Lets packet `i`, on its way out, go in the name that its flow has; false: that is no more.
template <Family F>
[[nodiscard]] bool send_mapped(
    Batch<F>& batch, unsigned i, const FlowEntry<F>& flow, Worker& worker) noexcept;

/// The translation of a flow with this mapping.
template <Family F>
[[nodiscard]] inline Translation<F> translation_of(
    const FlowEntry<F>& flow, const FlowEntry<F>& mapping) noexcept {
    return {{}, mapping.key.source, flow.key.source, mapping.key.source_port, flow.key.source_port};
}

}  // namespace vr
