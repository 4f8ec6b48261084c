// Every reason for which a packet is dropped: one row each, with the name that counters and
// `vrouterctl show drops` use and one line of meaning.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vr {

enum class DropReason : std::uint8_t {
    None,
    MalformedEthernet,
    OtherMac,
    UnknownEtherType,
    MalformedIp,
    BadChecksum,
    MartianAddress,
    MalformedL4,
    FragmentOverlap,
    FragmentOrphan,
    Multicast,
    PortClosed,
    SpoofedMac,
    SpoofedAddress,
    PacketRate,
    Bandwidth,
    TunnelDenied,
    NoRoute,
    Discarded,
    FlowInvalid,
    FlowMoved,
    FlowTableFull,
    FlowQuota,
    ConnectionLimit,
    NotTranslated,
    NatNoAddress,
    NatPortsExhausted,
    EgressDenied,
    IngressDenied,
    HostDenied,
    HostIngressDenied,
    HostEgressDenied,
    NoHostPath,
    HopLimit,
    TooBig,
    Unresolved,
    PuntFull,
    TxFull,
    NoBuffer,
    Unanswered,
    Count
};

inline constexpr std::size_t kDropCount = static_cast<std::size_t>(DropReason::Count);

struct DropRow {
    DropReason drop;
    std::string_view name;
    std::string_view meaning;
};

inline constexpr std::array<DropRow, kDropCount> kDrops{{
    {DropReason::None, "none", "not dropped"},
    {DropReason::MalformedEthernet, "malformed_ethernet", "shorter than its link header"},
    {DropReason::OtherMac, "other_mac", "addressed to another station's MAC address"},
    {DropReason::UnknownEtherType,
     "unknown_ethertype",
     "neither IPv4, IPv6 nor ARP; VLAN tags are not accepted"},
    {DropReason::MalformedIp,
     "malformed_ip",
     "version, header length or total length is wrong (RFC 1812 5.2.2, RFC 8200 3)"},
    {DropReason::BadChecksum, "bad_checksum", "IPv4 header checksum is wrong"},
    {DropReason::MartianAddress,
     "martian_address",
     "source or destination cannot be routed: loopback, multicast source, unspecified"},
    {DropReason::MalformedL4,
     "malformed_l4",
     "TCP, UDP, SCTP or ICMP header is cut short, or TCP's data offset or UDP's length is wrong"},
    {DropReason::FragmentOverlap,
     "fragment_overlap",
     "a fragment that would overwrite a transport header (RFC 1858, RFC 3128)"},
    {DropReason::FragmentOrphan,
     "fragment_orphan",
     "a later fragment whose first fragment was not seen on this worker"},
    {DropReason::Multicast, "multicast", "multicast and broadcast are not forwarded"},
    {DropReason::PortClosed,
     "port_closed",
     "the endpoint is down or its policy is not in place yet"},
    {DropReason::SpoofedMac,
     "spoofed_mac",
     "a workload sent from a MAC address that is not its own"},
    {DropReason::SpoofedAddress,
     "spoofed_address",
     "from an address that is not the sender's: of a workload, or a workload's from the fabric"},
    {DropReason::PacketRate,
     "packet_rate",
     "over the packet rate of the endpoint that sent it or to which it goes (qosControls)"},
    {DropReason::Bandwidth,
     "bandwidth",
     "over the bandwidth or peak rate of the endpoint that sent it or to which it goes "
     "(qosControls)"},
    {DropReason::TunnelDenied,
     "tunnel_denied",
     "a workload sent VXLAN or IP-in-IP, which is not allowed"},
    {DropReason::NoRoute, "no_route", "no route covers the destination"},
    {DropReason::Discarded, "discarded", "a discard route covers the destination"},
    {DropReason::FlowInvalid,
     "flow_invalid",
     "SYN-ACK, FIN, RST or ICMP error without a known flow"},
    {DropReason::FlowMoved,
     "flow_moved",
     "the flow was allowed between other endpoints than those it came from and goes to"},
    {DropReason::FlowTableFull, "flow_table_full", "no room to remember a newly allowed flow"},
    {DropReason::FlowQuota,
     "flow_quota",
     "a new flow of an endpoint that has as many as one may (flows.per_endpoint)"},
    {DropReason::ConnectionLimit,
     "connection_limit",
     "begins a TCP connection beyond the maxConnections of an endpoint (qosControls); answered by "
     "a reset within its rate limit"},
    {DropReason::NotTranslated,
     "not_translated",
     "to a floating address, or out in the host's name (natOutgoing), but no flow would translate "
     "the answer: ICMP that is no echo request, allowed untracked, from an address of others, or "
     "to a guest's own floating address from another of its addresses; or DCCP or AH in the host's "
     "name, which another address breaks"},
    {DropReason::NatNoAddress,
     "nat_no_address",
     "natOutgoing: the host has no address of the family, or natOutgoingAddress is not its own"},
    {DropReason::NatPortsExhausted,
     "nat_ports_exhausted",
     "natOutgoing: other flows to the same destination have the ports (natPortRange) that the "
     "guest gets (flows.nat_ports_percent), or the one place of a protocol whose ports stay (SCTP) "
     "or that has none"},
    {DropReason::EgressDenied, "egress_denied", "policy of the sending endpoint"},
    {DropReason::IngressDenied, "ingress_denied", "policy of the receiving endpoint"},
    {DropReason::HostDenied,
     "host_denied",
     "a workload to the host itself: default endpoint-to-host action is drop"},
    {DropReason::HostIngressDenied,
     "host_ingress_denied",
     "policy of the host endpoint of the port that it came in by"},
    {DropReason::HostEgressDenied,
     "host_egress_denied",
     "policy of the host endpoint of the port that it would leave by"},
    {DropReason::NoHostPath,
     "no_host_path",
     "to the router's own address, but no host TAP is configured"},
    {DropReason::HopLimit,
     "hop_limit",
     "TTL or hop limit used up; answered by ICMP within its rate limit"},
    {DropReason::TooBig,
     "too_big",
     "larger than the next hop's MTU; answered by ICMP within its rate limit"},
    {DropReason::Unresolved,
     "unresolved",
     "the next hop's link address is unknown and its hold queue is full or timed out"},
    {DropReason::PuntFull, "punt_full", "the control thread has no room for more packets"},
    {DropReason::TxFull,
     "tx_full",
     "the output port took no more packets: ring full or guest gone"},
    {DropReason::NoBuffer, "no_buffer", "no packet buffer was free"},
    {DropReason::Unanswered,
     "unanswered",
     "asked the router for something that it does not answer"},
}};

[[nodiscard]] constexpr std::string_view name(DropReason drop) noexcept {
    return kDrops[static_cast<std::size_t>(drop)].name;
}

[[nodiscard]] constexpr std::string_view meaning(DropReason drop) noexcept {
    return kDrops[static_cast<std::size_t>(drop)].meaning;
}

static_assert(
    [] {
        for (std::size_t i = 0; i < kDropCount; ++i) {
            if (static_cast<std::size_t>(kDrops[i].drop) != i) {
                return false;
            }
        }
        return true;
    }(),
    "rows are in the order of the enumerators");

}  // namespace vr
