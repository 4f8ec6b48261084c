// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/arp.h"

#include "vrouter/net/headers.h"

namespace vr::arp {

namespace {

constexpr std::uint16_t kEthernet = 1;

Frame build(const Message& m) {
    Writer w;
    put_ethernet(w, m.link_destination, m.link_source, ethertype::kArp);
    w.u16(kEthernet);
    w.u16(V4::kEtherType);
    w.u8(6);
    w.u8(4);
    w.u16(static_cast<std::uint16_t>(m.operation));
    put(w, m.sender_mac);
    put(w, m.sender);
    put(w, m.target_mac);
    put(w, m.target);
    return w.release();
}

/// Addresses that a station may state; the sender of a probe has none yet.
bool is_plausible(const Message& m) {
    return is_station(m.sender_mac) && (is_unicast(m.sender) || m.is_probe()) &&
           (is_unicast(m.target) || (m.operation == Operation::Reply && m.target.is_unspecified()));
}

}  // namespace

std::optional<Message> parse(Bytes frame) {
    const auto link = parse_ethernet(frame);
    if (!link || link->ether_type != ethertype::kArp) {
        return std::nullopt;
    }
    Reader r{link->payload};
    const std::uint16_t hardware = r.u16();
    const std::uint16_t protocol = r.u16();
    const std::uint8_t hardware_length = r.u8();
    const std::uint8_t protocol_length = r.u8();
    const std::uint16_t operation = r.u16();
    if (hardware != kEthernet || protocol != V4::kEtherType || hardware_length != 6 ||
        protocol_length != 4 || operation < 1 || operation > 2) {
        return std::nullopt;
    }
    Message m;
    m.link_source = link->source;
    m.link_destination = link->destination;
    m.operation = static_cast<Operation>(operation);
    m.sender_mac = get_mac(r);
    m.sender = get_ip4(r);
    m.target_mac = get_mac(r);
    m.target = get_ip4(r);
    if (!r.ok() || !is_plausible(m)) {
        return std::nullopt;
    }
    return m;
}

std::optional<Mac> parse_reverse_request(Bytes frame) {
    constexpr std::uint16_t kRequest = 3;
    const auto link = parse_ethernet(frame);
    if (!link || link->ether_type != ethertype::kReverseArp) {
        return std::nullopt;
    }
    Reader r{link->payload};
    const bool sane = r.u16() == kEthernet && r.u16() == V4::kEtherType && r.u8() == 6 &&
                      r.u8() == 4 && r.u16() == kRequest;
    const Mac sender = get_mac(r);
    (void)get_ip4(r);
    const Mac target = get_mac(r);
    (void)get_ip4(r);
    return sane && r.ok() && is_station(sender) && sender == link->source && target == sender
               ? std::optional{sender}
               : std::nullopt;
}

Frame request(Mac sender_mac, Ip4 sender, Ip4 target, std::optional<Mac> unicast_to) {
    return build(
        {.link_source = sender_mac,
         .link_destination = unicast_to.value_or(kBroadcastMac),
         .operation = Operation::Request,
         .sender_mac = sender_mac,
         .sender = sender,
         .target_mac = {},
         .target = target});
}

Frame reply(const Message& asked, Mac answer_mac) {
    return build(
        {.link_source = answer_mac,
         .link_destination = asked.sender_mac,
         .operation = Operation::Reply,
         .sender_mac = answer_mac,
         .sender = asked.target,
         .target_mac = asked.sender_mac,
         .target = asked.sender});
}

Frame gratuitous(Mac sender_mac, Ip4 sender) {
    return request(sender_mac, sender, sender, std::nullopt);
}

}  // namespace vr::arp
