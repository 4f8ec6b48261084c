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
#include "vrouter/dataplane/parse.h"

#include <rte_mbuf.h>

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

/// Any packet that is not the common one.
template <Family F>
void parse_other(
    Batch<F>& batch, unsigned i, Bytes bytes, std::size_t length, Worker& worker) noexcept {
    ParsedPacket<F> parsed;
    DropReason reason = parse_ip<F>(bytes, length, parsed);
    if (reason == DropReason::None && parsed.facts.fragment) {
        reason = inherit_ports(parsed, parsed.facts, worker);
    }
    if (reason != DropReason::None) {
        drop(batch, i, reason, worker);
        return;
    }
    batch.source[i] = parsed.source;
    batch.destination[i] = parsed.destination;
    batch.facts[i] = parsed.facts;
    const bool link_local = parsed.source.is_link_local() || parsed.destination.is_link_local();
    batch.link_local |= PacketMask{link_local} << i;
    if (parsed.facts.icmp_error) {
        batch.quoted[i] = parsed.quoted;
    }
    if (parsed.neighbor_discovery) {
        batch.next_hop[i] = 0;
        punt(batch, i, Punt::LinkLocal, worker);
    }
}

template <Family F>
inline void parse_packet(Batch<F>& batch, unsigned i, Worker& worker) noexcept {
    rte_mbuf* packet = batch.packets[i];
    const std::size_t have = rte_pktmbuf_data_len(packet) - sizeof(EthernetHeader);
    const std::size_t length = rte_pktmbuf_pkt_len(packet) - sizeof(EthernetHeader);
    const Bytes bytes{
        rte_pktmbuf_mtod_offset(packet, const std::uint8_t*, sizeof(EthernetHeader)), have};
    if (!parse_common<F>(bytes, length, batch.source[i], batch.destination[i], batch.facts[i]))
        [[unlikely]] {
        parse_other(batch, i, bytes, length, worker);
        if ((batch.live >> i & 1U) == 0) {
            return;
        }
    }
    if (length != batch.facts[i].length) [[unlikely]] {
        cut_to(packet, static_cast<std::uint32_t>(sizeof(EthernetHeader)) + batch.facts[i].length);
    }
}

}  // namespace

template <Family F>
void parse(Batch<F>& batch, Worker& worker) noexcept {
    // While some packets are parsed, the routes of those before come into the caches.
    constexpr unsigned kStep = 8;
    [[maybe_unused]] const Lpm<F>& routes = worker.shared().routes<F>();
    batch.live = first_packets(batch.count);
    batch.link_local = 0;
    for (unsigned i = 0; i < batch.count; ++i) {
        parse_packet(batch, i, worker);
        if constexpr (Lpm<F>::kPrefetches) {
            if (i % kStep == kStep - 1) {
                routes.prefetch(&batch.destination[i + 1 - kStep], kStep);
            }
        }
    }
}

template void parse(Batch<V4>&, Worker&) noexcept;
template void parse(Batch<V6>&, Worker&) noexcept;

}  // namespace vr
