// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/parse.h"

namespace vr {

namespace {

constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kOffsetMask = 0x1fff;
constexpr unsigned kMaxExtensionHeaders = 8;

/// Where the transport header begins, and what it is.
struct L4 {
    Bytes bytes;  ///< from the transport header on, padding cut off
    std::uint8_t protocol = 0;
    std::size_t length = 0;  ///< of the transport part, whether all of it lies in `bytes` or not
};

template <Family F>
FlowKey<F> quoted_flow(Bytes quoted) noexcept;

template <Family F>
DropReason parse_icmp(Bytes l4, ParsedPacket<F>& parsed) noexcept {
    PacketFacts& facts = parsed.facts;
    if (l4.size() < sizeof(IcmpHeader)) {
        return DropReason::MalformedL4;
    }
    parsed.fragment_headers =
        static_cast<std::uint16_t>(parsed.fragment_headers + sizeof(IcmpHeader));
    facts.icmp_type = l4[0];
    facts.icmp_code = l4[1];
    const L4Port id{load_be<std::uint16_t>(&l4[4])};
    if (is_echo_request(facts.protocol, facts.icmp_type)) {
        facts.source_port = id;
    } else if (is_echo_reply(facts.protocol, facts.icmp_type)) {
        facts.destination_port = id;
    } else if (is_icmp_error<F>(facts.icmp_type)) {
        facts.icmp_error = true;
        parsed.quoted = quoted_flow<F>(l4.subspan(sizeof(IcmpHeader)));
    }
    return DropReason::None;
}

/// What a transport header says of its own length fits the packet: TCP's data offset (RFC 9293 3.1),
/// UDP's length (RFC 768), UDP-Lite's coverage (RFC 3828 3.1).  The first fragment of a UDP datagram may
/// be shorter than the datagram.  `l4` holds the fixed header.
bool length_fits(const L4& l4, bool fragment) noexcept {
    if (l4.protocol == ipproto::kTcp) {
        const std::size_t header = (l4.bytes[12] >> 4U) * 4U;
        return header >= sizeof(TcpHeader) && header <= l4.length;
    }
    if (l4.protocol == ipproto::kUdp || l4.protocol == ipproto::kUdpLite) {
        const std::size_t said = load_be<std::uint16_t>(&l4.bytes[4]);
        const bool whole_packet = said == 0 && l4.protocol == ipproto::kUdpLite;
        return whole_packet || (said >= sizeof(UdpHeader) && (fragment || said <= l4.length));
    }
    return true;
}

template <Family F>
DropReason parse_l4(const L4& l4, ParsedPacket<F>& parsed) noexcept {
    PacketFacts& facts = parsed.facts;
    facts.protocol = l4.protocol;
    constexpr std::uint8_t kIcmpOfFamily = std::is_same_v<F, V4> ? ipproto::kIcmp : ipproto::kIcmp6;
    if (parsed.fragment_offset != 0) [[unlikely]] {
        // RFC 3128: an offset of 8 bytes would rewrite the flags of a TCP header seen before.
        return l4.protocol == ipproto::kTcp && parsed.fragment_offset < sizeof(TcpHeader)
                   ? DropReason::FragmentOverlap
                   : DropReason::None;
    }
    if (has_l4_ports(l4.protocol)) {
        const std::size_t need = l4.protocol == ipproto::kTcp    ? sizeof(TcpHeader)
                                 : l4.protocol == ipproto::kSctp ? sctp::kHeader
                                                                 : sizeof(UdpHeader);
        if (l4.bytes.size() < need || !length_fits(l4, facts.fragment)) [[unlikely]] {
            return DropReason::MalformedL4;
        }
        parsed.fragment_headers = static_cast<std::uint16_t>(parsed.fragment_headers + need);
        facts.source_port = L4Port{load_be<std::uint16_t>(&l4.bytes[0])};
        facts.destination_port = L4Port{load_be<std::uint16_t>(&l4.bytes[2])};
        facts.has_ports = true;
        if (l4.protocol == ipproto::kTcp) {
            facts.tcp_flags = l4.bytes[13];
        }
        return DropReason::None;
    }
    return l4.protocol == kIcmpOfFamily ? parse_icmp<F>(l4.bytes, parsed) : DropReason::None;
}

// IPv4.

/// A packet on its way must be whole and right; one quoted by an ICMP error may be cut short, and
/// routers on the way have changed its TTL.
enum class Check : std::uint8_t { Whole, Quoted };

/// Reads the IPv4 header; `l4` is what follows, cut at the total length.
template <Check check>
DropReason parse_header(
    Bytes bytes, std::size_t length, ParsedPacket<V4>& parsed, L4& l4) noexcept {
    if (bytes.size() < sizeof(Ip4Header)) [[unlikely]] {
        return DropReason::MalformedIp;
    }
    const std::uint8_t* header = bytes.data();
    const std::size_t header_size = (header[0] & 0xfU) * 4U;
    const std::uint16_t total = load_be<std::uint16_t>(header + 2);
    if (header[0] >> 4U != 4 || header_size < sizeof(Ip4Header) || header_size > bytes.size() ||
        total < header_size || (check == Check::Whole && total > length)) [[unlikely]] {
        return DropReason::MalformedIp;
    }
    if (check == Check::Whole && !header_sum_is_right(header, header_size)) [[unlikely]] {
        return DropReason::BadChecksum;
    }
    const std::uint16_t fragment = load_be<std::uint16_t>(header + 6);
    PacketFacts& facts = parsed.facts;
    facts.length = total;
    facts.hop_limit = header[8];
    facts.may_fragment = (fragment & kDontFragment) == 0;
    if ((fragment & (kMoreFragments | kOffsetMask)) != 0) [[unlikely]] {
        facts.fragment = true;
        parsed.fragment_offset = static_cast<std::uint16_t>((fragment & kOffsetMask) * 8);
        parsed.fragment_id = load_be<std::uint16_t>(header + 4);
    }
    parsed.source = Ip4::load(header + 12);
    parsed.destination = Ip4::load(header + 16);
    const std::size_t end = std::min<std::size_t>(total, bytes.size());
    l4 = {bytes.subspan(header_size, end - header_size), header[9]};
    return DropReason::None;
}

// IPv6.

struct FragmentHeader {
    std::uint16_t offset = 0;
    std::uint32_t id = 0;
    const std::uint8_t* part = nullptr;  ///< the fragment's part of the datagram; null: no fragment
    bool more = false;
};

/// Walks extension headers to the transport header: RFC 8200 4.
DropReason skip_extensions(L4& l4, FragmentHeader& fragment) noexcept {
    for (unsigned seen = 0;; ++seen) {
        const bool extension =
            l4.protocol == ipproto::kHopByHop || l4.protocol == ipproto::kRouting ||
            l4.protocol == ipproto::kFragment || l4.protocol == ipproto::kDestinationOptions;
        if (!extension) [[likely]] {
            return DropReason::None;
        }
        // Hop-by-hop options are first or nowhere; a later fragment has no further headers of its own.
        if (seen == kMaxExtensionHeaders || l4.bytes.size() < 8 ||
            (l4.protocol == ipproto::kHopByHop && seen != 0) || fragment.offset != 0) {
            return fragment.offset != 0 ? DropReason::None : DropReason::MalformedIp;
        }
        std::size_t size = (l4.bytes[1] + 1U) * 8U;
        if (l4.protocol == ipproto::kFragment) {
            if (fragment.part != nullptr) {
                return DropReason::MalformedIp;
            }
            const std::uint16_t word = load_be<std::uint16_t>(&l4.bytes[2]);
            fragment = {
                static_cast<std::uint16_t>(word & 0xfff8U),
                load_be<std::uint32_t>(&l4.bytes[4]),
                l4.bytes.data() + 8,
                (word & 1U) != 0};
            size = 8;
        }
        if (size > l4.bytes.size()) {
            return DropReason::MalformedIp;
        }
        l4.protocol = l4.bytes[0];
        l4.bytes = l4.bytes.subspan(size);
    }
}

template <Check check>
DropReason parse_header(
    Bytes bytes, std::size_t length, ParsedPacket<V6>& parsed, L4& l4) noexcept {
    if (bytes.size() < sizeof(Ip6Header)) [[unlikely]] {
        return DropReason::MalformedIp;
    }
    const std::uint8_t* header = bytes.data();
    const std::size_t total = sizeof(Ip6Header) + load_be<std::uint16_t>(header + 4);
    if (header[0] >> 4U != 6 || (check == Check::Whole && total > length) || total > 0xffff)
        [[unlikely]] {
        return DropReason::MalformedIp;
    }
    PacketFacts& facts = parsed.facts;
    facts.length = static_cast<std::uint16_t>(total);
    facts.hop_limit = header[7];
    parsed.source = Ip6::load(header + 8);
    parsed.destination = Ip6::load(header + 24);
    const std::size_t end = std::min(total, bytes.size());
    l4 = {bytes.subspan(sizeof(Ip6Header), end - sizeof(Ip6Header)), header[6]};
    FragmentHeader fragment;
    const DropReason reason = skip_extensions(l4, fragment);
    // An atomic fragment (offset 0, no more) is a whole packet: RFC 6946.
    if (fragment.part != nullptr && (fragment.offset != 0 || fragment.more)) {
        facts.fragment = true;
        parsed.fragment_headers = static_cast<std::uint16_t>(l4.bytes.data() - fragment.part);
        parsed.fragment_offset = fragment.offset;
        parsed.fragment_id = fragment.id;
    }
    return reason;
}

/// The flow of the packet inside an ICMP error.  Where addresses and ports are not shown, the key of
/// no flow: a router forwards such errors all the same.
template <Family F>
FlowKey<F> quoted_flow(Bytes quoted) noexcept {
    ParsedPacket<F> inner;
    L4 l4;
    const DropReason reason = parse_header<Check::Quoted>(quoted, 0, inner, l4);
    if (reason != DropReason::None || l4.bytes.size() < 8 || inner.fragment_offset != 0) {
        return {};
    }
    FlowKey<F> key{inner.source, inner.destination, {}, {}, l4.protocol};
    if (has_l4_ports(l4.protocol)) {
        key.source_port = L4Port{load_be<std::uint16_t>(&l4.bytes[0])};
        key.destination_port = L4Port{load_be<std::uint16_t>(&l4.bytes[2])};
    } else if (is_echo_request(l4.protocol, l4.bytes[0])) {
        key.source_port = L4Port{load_be<std::uint16_t>(&l4.bytes[4])};
    } else if (is_echo_reply(l4.protocol, l4.bytes[0])) {
        key.destination_port = L4Port{load_be<std::uint16_t>(&l4.bytes[4])};
    }
    return key;
}

}  // namespace

template <Family F>
DropReason parse_ip(Bytes bytes, std::size_t length, ParsedPacket<F>& parsed) noexcept {
    L4 l4;
    if (const DropReason reason = parse_header<Check::Whole>(bytes, length, parsed, l4);
        reason != DropReason::None) [[unlikely]] {
        return reason;
    }
    l4.length = parsed.facts.length - static_cast<std::size_t>(l4.bytes.data() - bytes.data());
    if (const DropReason reason = parse_l4<F>(l4, parsed); reason != DropReason::None)
        [[unlikely]] {
        return reason;
    }
    if constexpr (std::is_same_v<F, V6>) {
        // RFC 4861 4: router and neighbor messages and redirects are for the router itself, and may
        // come from the unspecified address.
        if (l4.protocol == ipproto::kIcmp6 && parsed.fragment_offset == 0 &&
            parsed.facts.icmp_type >= 133 && parsed.facts.icmp_type <= 137) [[unlikely]] {
            parsed.neighbor_discovery = true;
            return DropReason::None;
        }
    }
    return check_addresses(parsed.source, parsed.destination);
}

template <Family F>
std::optional<TransportPlace> find_transport(Bytes bytes) noexcept {
    ParsedPacket<F> parsed;
    L4 l4;
    if (parse_header<Check::Quoted>(bytes, 0, parsed, l4) != DropReason::None) {
        return std::nullopt;
    }
    return TransportPlace{
        .offset = static_cast<std::size_t>(l4.bytes.data() - bytes.data()),
        .size = l4.bytes.size(),
        .protocol = l4.protocol,
        .first = parsed.fragment_offset == 0};
}

template std::optional<TransportPlace> find_transport<V4>(Bytes) noexcept;
template std::optional<TransportPlace> find_transport<V6>(Bytes) noexcept;
template DropReason parse_ip(Bytes, std::size_t, ParsedPacket<V4>&) noexcept;
template DropReason parse_ip(Bytes, std::size_t, ParsedPacket<V6>&) noexcept;

}  // namespace vr
