// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/tcp_reset.h"

#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"

namespace vr::tcp {

namespace {

/// What a reset depends on.
struct Segment {
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgment = 0;
    std::uint8_t flags = 0;
    std::uint32_t length = 0;  ///< of what it takes of the sequence space

    [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

std::optional<Segment> parse(Bytes payload) {
    Reader r{payload};
    Segment segment;
    segment.source_port = r.u16();
    segment.destination_port = r.u16();
    segment.sequence = r.u32();
    segment.acknowledgment = r.u32();
    const std::size_t header = 4U * (r.u8() >> 4U);
    segment.flags = r.u8();
    if (!r.ok() || header < sizeof(TcpHeader) || header > payload.size()) {
        return std::nullopt;
    }
    segment.length = static_cast<std::uint32_t>(payload.size() - header) +
                     (segment.has(tcpflag::kSyn) ? 1U : 0U) +
                     (segment.has(tcpflag::kFin) ? 1U : 0U);
    return segment;
}

/// RFC 9293 3.10.7.1: a segment that acknowledges tells the sequence number; one that does not is
/// acknowledged.
Writer header_for(const Segment& segment) {
    const bool acknowledges = segment.has(tcpflag::kAck);
    Writer w;
    w.u16(segment.destination_port);
    w.u16(segment.source_port);
    w.u32(acknowledges ? segment.acknowledgment : 0);
    w.u32(acknowledges ? 0 : segment.sequence + segment.length);
    w.u8(static_cast<std::uint8_t>(sizeof(TcpHeader) / 4U << 4U));
    w.u8(acknowledges ? tcpflag::kRst : tcpflag::kRst | tcpflag::kAck);
    w.u16(0);  // window
    w.u16(0);  // checksum
    w.u16(0);  // urgent pointer
    return w;
}

}  // namespace

template <Family F>
std::optional<Frame> reset(Bytes frame, Mac mac) {
    const auto packet = parse_ip<F>(frame);
    if (!packet || packet->protocol != ipproto::kTcp || packet->fragment != Fragment::Whole ||
        packet->link.destination.is_multicast() || !is_unicast(packet->source) ||
        !is_unicast(packet->destination)) {
        return std::nullopt;
    }
    const auto segment = parse(packet->payload);
    if (!segment || segment->has(tcpflag::kRst)) {
        return std::nullopt;
    }
    Writer w = header_for(*segment);
    Checksum sum;
    sum.add_pseudo_header(
        packet->destination,
        packet->source,
        ipproto::kTcp,
        static_cast<std::uint32_t>(sizeof(TcpHeader)));
    sum.add(w.view());
    w.patch(offsetof(TcpHeader, checksum), sum.finish());
    return ip_frame<F>(
        {.link_source = mac,
         .link_destination = packet->link.source,
         .source = packet->destination,
         .destination = packet->source},
        ipproto::kTcp,
        w.view());
}

template std::optional<Frame> reset<V4>(Bytes, Mac);
template std::optional<Frame> reset<V6>(Bytes, Mac);

}  // namespace vr::tcp
