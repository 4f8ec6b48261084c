// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/frame.h"

#include <type_traits>

#include "vrouter/net/checksum.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kFragmentOffset = 0x1fff;
constexpr int kMaxExtensionHeaders = 8;

template <Family F>
constexpr std::uint8_t kIcmpProtocol = std::is_same_v<F, V4> ? ipproto::kIcmp : ipproto::kIcmp6;

Fragment fragment_of(bool later, bool more) {
    if (later) {
        return Fragment::Later;
    }
    return more ? Fragment::First : Fragment::Whole;
}

bool parse_header(IpPacket<V4>& p, Bytes bytes) {
    Reader r{bytes};
    const std::uint8_t version_ihl = r.u8();
    r.skip(1);
    const std::size_t total_length = r.u16();
    r.skip(2);
    const std::uint16_t fragment = r.u16();
    p.hop_limit = r.u8();
    p.protocol = r.u8();
    r.skip(2);
    p.source = get_ip4(r);
    p.destination = get_ip4(r);
    const std::size_t header_length = std::size_t{version_ihl & 0xfU} * 4;
    if (!r.ok() || version_ihl >> 4U != 4 || header_length < sizeof(Ip4Header) ||
        total_length < header_length || total_length > bytes.size() ||
        checksum(bytes.first(header_length)) != 0) {
        return false;
    }
    p.fragment = fragment_of((fragment & kFragmentOffset) != 0, (fragment & kMoreFragments) != 0);
    p.packet = bytes.first(total_length);
    p.payload = p.packet.subspan(header_length);
    return true;
}

// Skips the extension headers of RFC 8200 4 that have a length of their own; ESP and AH hide or guard
// what follows and count as the upper layer.
bool skip_extensions(IpPacket<V6>& p, std::uint8_t next, Reader& r) {
    for (int i = 0; i < kMaxExtensionHeaders && r.ok(); ++i) {
        const bool in_order = p.fragment != Fragment::Later;
        if (in_order && (next == ipproto::kHopByHop || next == ipproto::kRouting ||
                         next == ipproto::kDestinationOptions)) {
            next = r.u8();
            const std::size_t length = r.u8();
            r.skip(6 + length * 8);
        } else if (in_order && next == ipproto::kFragment) {
            next = r.u8();
            r.skip(1);
            const std::uint16_t offset = r.u16();
            r.skip(4);
            // An atomic fragment (RFC 6946) is a fragment here too: RFC 6980 wants ND without any.
            p.fragment = fragment_of(offset >> 3U != 0, true);
        } else {
            p.protocol = next;
            p.payload = r.rest();
            return r.ok();
        }
    }
    return false;
}

bool parse_header(IpPacket<V6>& p, Bytes bytes) {
    Reader r{bytes};
    const std::uint32_t version_class_flow = r.u32();
    const std::size_t payload_length = r.u16();
    const std::uint8_t next = r.u8();
    p.hop_limit = r.u8();
    p.source = get_ip6(r);
    p.destination = get_ip6(r);
    if (!r.ok() || version_class_flow >> 28U != 6 || payload_length > r.remaining()) {
        return false;
    }
    p.packet = bytes.first(sizeof(Ip6Header) + payload_length);
    Reader payload = r.take(payload_length);
    return skip_extensions(p, next, payload);
}

void put_header(Writer& w, const IpFields<V4>& fields, std::uint8_t protocol, std::size_t payload) {
    const std::size_t start = w.size();
    w.u8(0x45);
    w.u8(fields.traffic_class);
    w.u16(static_cast<std::uint16_t>(sizeof(Ip4Header) + payload));
    w.u16(0);  // an atomic datagram needs no identification: RFC 6864 4.1
    w.u16(kDontFragment);
    w.u8(fields.hop_limit);
    w.u8(protocol);
    w.u16(0);
    put(w, fields.source);
    put(w, fields.destination);
    w.patch(start + offsetof(Ip4Header, checksum), checksum(w.view().subspan(start)));
}

void put_header(Writer& w, const IpFields<V6>& fields, std::uint8_t protocol, std::size_t payload) {
    w.u32(6U << 28U | static_cast<std::uint32_t>(fields.traffic_class) << 20U);
    w.u16(static_cast<std::uint16_t>(payload));
    w.u8(protocol);
    w.u8(fields.hop_limit);
    put(w, fields.source);
    put(w, fields.destination);
}

/// The sum that is 0 over a correct message: ICMPv6 covers the pseudo header (RFC 4443 2.3), ICMP not.
template <Family F>
std::uint16_t icmp_checksum(typename F::Addr source, typename F::Addr destination, Bytes message) {
    Checksum sum;
    if constexpr (std::is_same_v<F, V6>) {
        sum.add_pseudo_header(
            source, destination, ipproto::kIcmp6, static_cast<std::uint32_t>(message.size()));
    }
    sum.add(message);
    return sum.finish();
}

}  // namespace

std::optional<EthernetFrame> parse_ethernet(Bytes frame) {
    Reader r{frame};
    EthernetFrame parsed;
    parsed.destination = get_mac(r);
    parsed.source = get_mac(r);
    parsed.ether_type = r.u16();
    if (!r.ok() || !is_station(parsed.source)) {
        return std::nullopt;
    }
    parsed.payload = r.rest();
    return parsed;
}

template <Family F>
std::optional<IpPacket<F>> parse_ip(Bytes frame) {
    const auto link = parse_ethernet(frame);
    if (!link || link->ether_type != F::kEtherType) {
        return std::nullopt;
    }
    IpPacket<F> packet;
    packet.link = *link;
    if (!parse_header(packet, link->payload)) {
        return std::nullopt;
    }
    return packet;
}

template <Family F>
Frame ip_frame(const IpFields<F>& fields, std::uint8_t protocol, Bytes payload) {
    Writer w;
    put_ethernet(w, fields.link_destination, fields.link_source, F::kEtherType);
    put_header(w, fields, protocol, payload.size());
    w.bytes(payload);
    return w.release();
}

template <Family F>
Frame icmp_frame(const IpFields<F>& fields, Bytes message) {
    Writer w;
    put_ethernet(w, fields.link_destination, fields.link_source, F::kEtherType);
    put_header(w, fields, kIcmpProtocol<F>, message.size());
    const std::size_t start = w.size();
    w.bytes(message);
    w.patch<std::uint16_t>(start + 2, 0);
    w.patch(
        start + 2, icmp_checksum<F>(fields.source, fields.destination, w.view().subspan(start)));
    return w.release();
}

template <Family F>
bool icmp_checksum_ok(const IpPacket<F>& packet) {
    return packet.protocol == kIcmpProtocol<F> &&
           icmp_checksum<F>(packet.source, packet.destination, packet.payload) == 0;
}

Mac get_mac(Reader& reader) {
    const Bytes field = reader.bytes(6);
    return reader.ok() ? Mac::load(field.data()) : Mac{};
}

Ip4 get_ip4(Reader& reader) {
    return Ip4{reader.u32()};
}

Ip6 get_ip6(Reader& reader) {
    const auto high = reader.get<std::uint64_t>();
    const auto low = reader.get<std::uint64_t>();
    return reader.ok() ? Ip6{high, low} : Ip6{};
}

void put(Writer& writer, Mac mac) {
    writer.bytes(mac.bytes());
}

void put(Writer& writer, Ip4 address) {
    writer.u32(address.value());
}

void put(Writer& writer, Ip6 address) {
    writer.put(address.high());
    writer.put(address.low());
}

void put_ethernet(Writer& writer, Mac destination, Mac source, std::uint16_t ether_type) {
    put(writer, destination);
    put(writer, source);
    writer.u16(ether_type);
}

template std::optional<IpPacket<V4>> parse_ip<V4>(Bytes);
template std::optional<IpPacket<V6>> parse_ip<V6>(Bytes);
template Frame ip_frame<V4>(const IpFields<V4>&, std::uint8_t, Bytes);
template Frame ip_frame<V6>(const IpFields<V6>&, std::uint8_t, Bytes);
template Frame icmp_frame<V4>(const IpFields<V4>&, Bytes);
template Frame icmp_frame<V6>(const IpFields<V6>&, Bytes);
template bool icmp_checksum_ok<V4>(const IpPacket<V4>&);
template bool icmp_checksum_ok<V6>(const IpPacket<V6>&);

}  // namespace vr
