// Stage parse: sane headers -> addresses and facts.
//
// Needs: frames of this family in batch.packets.  Does: RFC 1812 5.2.2 and RFC 8200 3 checks, extension
// headers, transport ports, ICMP types, the packet that an ICMP error quotes; lets later fragments
// inherit the ports of their first.  Drops: malformed_*, bad_checksum, martian_address, multicast,
// fragment_overlap.  Punts: neighbor discovery.  Leaves: source, destination, facts, quoted; length
// excludes link padding, which is cut off.
//
// Only the first segment of a packet is read; headers that do not lie in it are malformed.
// SPDX-License-Identifier: Apache-2.0
#include <rte_mbuf.h>

#include "vrouter/dataplane/parse.h"
#include "vrouter/dataplane/pipeline.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

/// Fragments: the first leaves its ports, later ones pick them up.
template <Family F>
void inherit_ports(const ParsedPacket<F>& parsed, PacketFacts& facts, Worker& worker) noexcept {
    const FragmentKey<F> key{
        parsed.source, parsed.destination, parsed.fragment_id, facts.protocol};
    FragmentTable<F>& fragments = worker.fragments<F>();
    if (parsed.fragment_offset == 0) {
        fragments.remember(
            key,
            {facts.source_port, facts.destination_port, facts.icmp_type, facts.icmp_code},
            worker.now());
        return;
    }
    const FragmentPorts* first = fragments.find(key, worker.now());
    if (first == nullptr) {
        facts.orphan = true;
        return;
    }
    facts.source_port = first->source;
    facts.destination_port = first->destination;
    facts.icmp_type = first->icmp_type;
    facts.icmp_code = first->icmp_code;
    facts.has_ports = has_l4_ports(facts.protocol);
}

}  // namespace

template <Family F>
void parse(Batch<F>& batch, Worker& worker) noexcept {
    batch.live = first_packets(batch.count);
    for (unsigned i = 0; i < batch.count; ++i) {
        rte_mbuf* packet = batch.packets[i];
        ParsedPacket<F> parsed;
        const std::size_t have = rte_pktmbuf_data_len(packet) - sizeof(EthernetHeader);
        const std::size_t length = rte_pktmbuf_pkt_len(packet) - sizeof(EthernetHeader);
        const Bytes bytes{
            rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, sizeof(EthernetHeader)), have};
        const DropReason reason = parse_ip<F>(bytes, length, parsed);
        if (reason != DropReason::None) [[unlikely]] {
            drop(batch, i, reason, worker);
            continue;
        }
        batch.source[i] = parsed.source;
        batch.destination[i] = parsed.destination;
        PacketFacts& facts = batch.facts[i];
        facts = parsed.facts;
        if (facts.fragment) [[unlikely]] {
            inherit_ports(parsed, facts, worker);
        }
        if (facts.icmp_error) [[unlikely]] {
            batch.quoted[i] = parsed.quoted;
        }
        if (parsed.neighbor_discovery) [[unlikely]] {
            batch.next_hop[i] = 0;
            punt(batch, i, Punt::LinkLocal, worker);
            continue;
        }
        if (length != facts.length) [[unlikely]] {
            rte_pktmbuf_trim(packet, static_cast<std::uint16_t>(length - facts.length));
        }
    }
}

template void parse(Batch<V4>&, Worker&) noexcept;
template void parse(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
