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
DropReason inherit_ports(
    const ParsedPacket<F>& parsed, PacketFacts& facts, Worker& worker) noexcept {
    const std::uint8_t protocol = std::is_same_v<F, V4> ? facts.protocol : std::uint8_t{0};
    const FragmentKey<F> key{parsed.source, parsed.destination, parsed.fragment_id, protocol};
    FragmentTable<F>& fragments = worker.fragments<F>();
    if (parsed.fragment_offset == 0) {
        fragments.remember(
            key,
            {.source = facts.source_port,
             .destination = facts.destination_port,
             .headers = parsed.fragment_headers,
             .protocol = facts.protocol,
             .icmp_type = facts.icmp_type,
             .icmp_code = facts.icmp_code},
            worker.now());
        return DropReason::None;
    }
    const FragmentPorts* first = fragments.find(key, worker.now());
    if (first == nullptr) {
        facts.orphan = true;
        return DropReason::None;
    }
    facts.source_port = first->source;
    facts.destination_port = first->destination;
    facts.protocol = first->protocol;
    facts.icmp_type = first->icmp_type;
    facts.icmp_code = first->icmp_code;
    facts.has_ports = has_l4_ports(facts.protocol);
    return parsed.fragment_offset < first->headers ? DropReason::FragmentOverlap : DropReason::None;
}

/// Cuts a packet to its first `size` bytes, whatever segments the rest lies in.
void cut_to(rte_mbuf* packet, std::uint32_t size) noexcept {
    packet->pkt_len = size;
    packet->nb_segs = 1;
    rte_mbuf* last = packet;
    while (last->data_len < size && last->next != nullptr) {
        size -= last->data_len;
        last = last->next;
        ++packet->nb_segs;
    }
    last->data_len = static_cast<std::uint16_t>(size);
    rte_pktmbuf_free(last->next);
    last->next = nullptr;
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
            if (const DropReason overlap = inherit_ports(parsed, facts, worker);
                overlap != DropReason::None) {
                drop(batch, i, overlap, worker);
                continue;
            }
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
            cut_to(packet, static_cast<std::uint32_t>(sizeof(EthernetHeader)) + facts.length);
        }
    }
}

template void parse(Batch<V4>&, Worker&) noexcept;
template void parse(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
