// Ethernet and IP framing for the cores that answer packets themselves.
//
// Reads whole Ethernet frames as they come from a port (untagged, padding allowed) and builds whole
// frames to send.  Nothing here decides anything; headers are checked as far as the answering cores
// rely on them: lengths, IPv4 header checksum (RFC 1812 5.2.2), IPv6 extension headers (RFC 8200 4).
// Frames are not padded to the Ethernet minimum: ports do that.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/wire.h"

namespace vr {

/// A whole Ethernet frame to send.
using Frame = std::vector<std::uint8_t>;

struct EthernetFrame {
    Mac destination;
    Mac source;
    std::uint16_t ether_type = 0;
    Bytes payload;  ///< points into the frame that was parsed
};

/// Nothing when the frame is too short, or its source is no station's address (RFC 894, IEEE 802).
[[nodiscard]] std::optional<EthernetFrame> parse_ethernet(Bytes frame);

/// Which part of a fragmented datagram a packet is.
enum class Fragment : std::uint8_t { Whole, First, Later };

/// An IP packet seen in a frame; the spans point into that frame.
template <Family F>
struct IpPacket {
    using Addr = typename F::Addr;

    EthernetFrame link;
    Addr source{};
    Addr destination{};
    std::uint8_t hop_limit = 0;
    std::uint8_t protocol = 0;  ///< behind the extension headers that could be skipped
    Fragment fragment = Fragment::Whole;
    Bytes packet;   ///< the IP packet without link padding
    Bytes payload;  ///< what follows the IP header and the skipped extension headers
};

/// Nothing when the frame holds no packet of this family or its headers contradict themselves.
template <Family F>
[[nodiscard]] std::optional<IpPacket<F>> parse_ip(Bytes frame);

/// What a packet that the router sends says in its link and IP headers.
template <Family F>
struct IpFields {
    using Addr = typename F::Addr;

    Mac link_source;
    Mac link_destination;
    Addr source{};
    Addr destination{};
    std::uint8_t hop_limit = 64;
    std::uint8_t traffic_class = 0;
};

/// A frame that carries `payload`, which fits one packet, as IP protocol `protocol`.
template <Family F>
[[nodiscard]] Frame ip_frame(const IpFields<F>& fields, std::uint8_t protocol, Bytes payload);

/// A frame that carries `message` as ICMP or ICMPv6; its checksum field (bytes 2-3) is filled in here.
/// `message` has at least 4 bytes and fits one packet.
template <Family F>
[[nodiscard]] Frame icmp_frame(const IpFields<F>& fields, Bytes message);

/// True when the checksum of an ICMP or ICMPv6 packet's payload is right.
template <Family F>
[[nodiscard]] bool icmp_checksum_ok(const IpPacket<F>& packet);

/// Address fields of wire messages; all zero once the reader has failed.
[[nodiscard]] Mac get_mac(Reader& reader);
[[nodiscard]] Ip4 get_ip4(Reader& reader);
[[nodiscard]] Ip6 get_ip6(Reader& reader);

void put(Writer& writer, Mac mac);
void put(Writer& writer, Ip4 address);
void put(Writer& writer, Ip6 address);
void put_ethernet(Writer& writer, Mac destination, Mac source, std::uint16_t ether_type);

/// An address that one station can have: neither group nor zero.
[[nodiscard]] inline bool is_station(Mac mac) noexcept {
    return !mac.is_multicast() && !mac.is_zero();
}

/// An address that can be a packet's sender and be answered: RFC 1812 5.3.7, RFC 4291 2.5.
[[nodiscard]] inline bool is_unicast(Ip4 address) noexcept {
    return address.value() >> 24U != 0 && !address.is_loopback() && address.value() >> 28U < 0xeU;
}

[[nodiscard]] inline bool is_unicast(Ip6 address) noexcept {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast();
}

}  // namespace vr
