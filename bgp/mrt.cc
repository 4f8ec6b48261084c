// SPDX-License-Identifier: Apache-2.0
#include "bgp/mrt.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "bgp/nlri.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {

namespace {

constexpr std::size_t kMostPeers = 0xffff;
constexpr std::size_t kMostOctets = 0xffff;

void write_address(const Ip6& address, Writer& out) {
    std::array<std::uint8_t, V6::kAddrBytes> octets{};
    (address.is_link_local() ? without_zone(address) : address).store(octets.data());
    out.bytes(octets);
}

std::uint16_t subtype_of(const IpPrefix& prefix, bool path_ids) {
    if (std::holds_alternative<Prefix<V4>>(prefix)) {
        return path_ids ? kMrtRibIpv4UnicastAddPath : kMrtRibIpv4Unicast;
    }
    return path_ids ? kMrtRibIpv6UnicastAddPath : kMrtRibIpv6Unicast;
}

/// What this host originates has no next hop yet: that is unspecified, in the prefix's family.
Attributes with_next_hop_of_family(const IpPrefix& prefix, Attributes attributes) {
    if (std::holds_alternative<Prefix<V6>>(prefix) &&
        std::holds_alternative<Ip4>(attributes.next_hop)) {
        attributes.next_hop = Ip6{};
    }
    return attributes;
}

}  // namespace

MrtDump::MrtDump(const MrtPeer& self, std::vector<MrtPeer> peers, std::uint32_t seconds)
    : peers_{MrtPeer{.identifier = self.identifier, .address = Ip4{}, .asn = self.asn}},
      seconds_(seconds) {
    peers.resize(std::min(peers.size(), kMostPeers - peers_.size()));
    std::ranges::move(peers, std::back_inserter(peers_));
    for (std::size_t at = 1; at < peers_.size(); ++at) {
        index_.emplace(peers_[at].address, static_cast<std::uint16_t>(at));
    }
}

void MrtDump::write_header(std::uint16_t subtype, std::size_t length, Writer& out) const {
    out.u32(seconds_);
    out.u16(kMrtTableDumpV2);
    out.u16(subtype);
    out.u32(static_cast<std::uint32_t>(length));
}

void MrtDump::write_peers(Writer& out) const {
    Writer body;
    body.u32(peers_.front().identifier.value());
    body.u16(0);  // the view has no name
    body.u16(static_cast<std::uint16_t>(peers_.size()));
    for (const MrtPeer& peer : peers_) {
        const bool v6 = std::holds_alternative<Ip6>(peer.address);
        body.u8(static_cast<std::uint8_t>(kMrtFourOctetAs | (v6 ? kMrtIpv6Address : 0U)));
        body.u32(peer.identifier.value());
        if (v6) {
            write_address(std::get<Ip6>(peer.address), body);
        } else {
            body.u32(std::get<Ip4>(peer.address).value());
        }
        body.u32(peer.asn.value());
    }
    write_header(kMrtPeerIndexTable, body.size(), out);
    out.bytes(body.view());
}

void MrtDump::write_route(const RouteSummary& route, Writer& out) {
    const bool best_has_id = !route.paths.empty() && route.paths.front().path_id.has_value();
    write_record(route, best_has_id, out);
    write_record(route, !best_has_id, out);
}

void MrtDump::write_record(const RouteSummary& route, bool path_ids, Writer& out) {
    Writer paths;
    std::uint16_t count = 0;
    for (const PathSummary& path : route.paths) {
        const auto found = path.peer ? index_.find(*path.peer) : index_.end();
        if (path.path_id.has_value() != path_ids || (path.peer && found == index_.end())) {
            continue;
        }
        const Attributes attributes = with_next_hop_of_family(route.prefix, path.attributes);
        if (write_path(
                path.peer ? found->second : std::uint16_t{0}, path.path_id, attributes, paths)) {
            ++count;
        }
    }
    if (count == 0) {
        return;
    }
    Writer body;
    body.u32(sequence_++);
    std::visit([&](const auto& prefix) { encode_nlri(prefix, body); }, route.prefix);
    body.u16(count);
    body.bytes(paths.view());
    write_header(subtype_of(route.prefix, path_ids), body.size(), out);
    out.bytes(body.view());
}

/// AS numbers have four octets whatever the session had; of MP_REACH_NLRI only the next hop is written
/// (RFC 6396 4.3.4).  False for more attributes than the record can hold.
bool MrtDump::write_path(
    std::uint16_t peer,
    std::optional<std::uint32_t> path_id,
    const Attributes& attributes,
    Writer& out) const {
    Writer all;
    encode_attributes(
        attributes, AttributeContext{.as_width = AsWidth::Four, .peer = PeerKind::Internal}, all);
    if (const auto* next_hop = std::get_if<Ip6>(&attributes.next_hop)) {
        Writer reach;
        reach.u8(V6::kAddrBytes * (attributes.next_hop_link_local ? 2U : 1U));
        write_address(*next_hop, reach);
        if (attributes.next_hop_link_local) {
            write_address(*attributes.next_hop_link_local, reach);
        }
        encode_attribute(attribute_flag::kOptional, attribute_code::kMpReach, reach.view(), all);
    }
    if (all.size() > kMostOctets) {
        return false;
    }
    out.u16(peer);
    out.u32(seconds_);
    if (path_id) {
        out.u32(*path_id);
    }
    out.u16(static_cast<std::uint16_t>(all.size()));
    out.bytes(all.view());
    return true;
}

}  // namespace vr::bgp
