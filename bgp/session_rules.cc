// SPDX-License-Identifier: Apache-2.0
#include "bgp/session_rules.h"

#include <algorithm>
#include <array>

namespace vr::bgp {
namespace {

bool is_unspecified(const IpAddr& address) {
    return std::visit([](const auto& a) { return a.is_unspecified(); }, address);
}

bool is_link_local(const IpAddr& address) {
    const auto* v6 = std::get_if<Ip6>(&address);
    return v6 != nullptr && v6->is_link_local();
}

/// RFC 4271 6.3: a host address that is not our own; a link-local one on the peer's link.
bool usable_next_hop(
    const Attributes& attributes, const Ends& ends, const std::optional<IpAddr>& own_next_hop) {
    const bool is_host = std::visit(
        [](const auto& a) {
            return !a.is_unspecified() && !a.is_multicast() && !a.is_loopback() &&
                   !a.is_broadcast();
        },
        attributes.next_hop);
    if (is_link_local(attributes.next_hop)) {
        const Ip6 address = std::get<Ip6>(attributes.next_hop);
        return zone_of(address) != 0 && IpAddr{without_zone(address)} != ends.local_address;
    }
    return is_host && attributes.next_hop != ends.local_address &&
           (!own_next_hop || attributes.next_hop != *own_next_hop);
}

/// How often we are in the path, by either of our AS numbers.
unsigned own_in(const AsPath& path, const Ends& ends) {
    return path.count(ends.local_as) +
           (ends.speaker_as == ends.local_as ? 0 : path.count(ends.speaker_as));
}

/// RFC 1997: communities that keep a received route inside.  On our own they are words to the peers.
bool may_leave(const Attributes& best, PeerKind source, const Ends& ends) {
    if (source == PeerKind::Local) {
        return true;
    }
    if (best.has_community(community::kNoAdvertise)) {
        return false;
    }
    return ends.kind != PeerKind::External || (!best.has_community(community::kNoExport) &&
                                               !best.has_community(community::kNoExportSubconfed));
}

/// True when the peer is told our address instead of the route's next hop.
bool replaces_next_hop(const Attributes& best, PeerKind source, const Ends& ends) {
    if (is_unspecified(best.next_hop) && !best.next_hop_link_local) {
        return true;  // an own route that names none
    }
    if (source == PeerKind::Local || ends.next_hop == NextHopMode::Keep) {
        return false;
    }
    return ends.kind == PeerKind::External || ends.next_hop == NextHopMode::Self;
}

/// RFC 9494 4.3 and 4.6, whoever marked the route; false when the peer is not told of it.
bool tell_long_lived(Attributes& told, const Ends& ends) {
    if (!told.has_community(community::kLlgrStale) || ends.long_lived == LongLivedRoutes::Told) {
        return true;
    }
    if (ends.long_lived == LongLivedRoutes::Withheld || ends.kind == PeerKind::External) {
        return false;
    }
    add_community(told, StandardCommunity{community::kNoExport});
    told.local_pref = 0;
    return true;
}

/// RFC 4456 6 and 8: a route that came over iBGP goes on to clients, and from clients to everybody.
void reflect(Attributes& told, const PathSource& source, const Ends& ends) {
    if (!told.originator_id) {
        told.originator_id = source.identifier;
    }
    told.cluster_list.insert(told.cluster_list.begin(), ends.cluster_id);
}

/// What leaves the AS is told without what is meant for the inside only.
void make_external(Attributes& told, const Ends& ends) {
    if (ends.remove_private_as) {
        told.as_path = told.as_path.without_private();
    }
    if (ends.as_override) {
        told.as_path = told.as_path.replaced(ends.peer_as, ends.local_as);
    }
    told.as_path = told.as_path.prepended(ends.local_as);
    told.local_pref.reset();
    told.originator_id.reset();
    told.cluster_list.clear();
    remove_non_transitive(told);
}

}  // namespace

std::string_view to_string(Refusal refusal) {
    constexpr std::array<std::string_view, 7> kWords{
        "accepted",
        "next hop is no usable address",
        "AS path does not begin with the peer's AS",
        "our AS is in the AS path",
        "we are the originator",
        "our cluster id is in the cluster list",
        "no route can lead to such addresses"};
    return kWords.at(static_cast<std::size_t>(refusal));
}

void place_next_hop(Attributes& received, const Ends& ends) {
    auto* address = std::get_if<Ip6>(&received.next_hop);
    if (address == nullptr) {
        return;
    }
    // Where the session itself is between link-local addresses, no other need be reachable.
    const bool only_link_local = address->is_unspecified() || is_link_local(ends.local_address);
    if (only_link_local && received.next_hop_link_local &&
        received.next_hop_link_local->is_link_local()) {
        *address = *received.next_hop_link_local;
    }
    if (address->is_link_local()) {
        *address = with_zone(*address, ends.zone);
        received.next_hop_link_local.reset();
    }
    const auto& second = received.next_hop_link_local;
    if (second && (!second->is_link_local() || zone_of(*second) != 0)) {
        received.next_hop_link_local.reset();
    }
}

Filter filter_in_force(const std::optional<Filter>& configured, PeerKind kind) {
    return configured.value_or(Filter{
        .kind = kind == PeerKind::External ? Filter::Kind::None : Filter::Kind::All, .rules = {}});
}

Refusal admit(
    const Attributes& attributes, const Ends& ends, const std::optional<IpAddr>& own_next_hop) {
    if (!usable_next_hop(attributes, ends, own_next_hop)) {
        return Refusal::NextHop;
    }
    if (ends.kind == PeerKind::External && ends.enforce_first_as &&
        attributes.as_path.first() != ends.peer_as) {
        return Refusal::FirstAs;
    }
    if (own_in(attributes.as_path, ends) > ends.allow_own_as) {
        return Refusal::AsLoop;
    }
    if (attributes.originator_id == ends.local_identifier) {
        return Refusal::Originator;
    }
    if (ends.kind == PeerKind::Internal &&
        std::ranges::find(attributes.cluster_list, ends.cluster_id) !=
            attributes.cluster_list.end()) {
        return Refusal::ClusterLoop;
    }
    return Refusal::None;
}

std::optional<Attributes> advertise(
    const Attributes& best,
    const PathSource& source,
    const Ends& ends,
    const std::optional<IpAddr>& own_next_hop,
    const Operations* operations) {
    const bool external = ends.kind == PeerKind::External;
    const bool reflected = !external && source.kind == PeerKind::Internal;
    // RFC 4271 9.2: what came over iBGP does not go back into iBGP, but for clients.
    if (reflected && !source.client && !ends.client) {
        return std::nullopt;
    }
    if (!may_leave(best, source.kind, ends)) {
        return std::nullopt;
    }
    Attributes told = best;
    // RFC 4271 5.1.4: a MED that another AS gave us goes no further.
    if (external && source.kind != PeerKind::Local) {
        told.med.reset();
    }
    if (operations != nullptr) {
        apply(*operations, told);
    }
    // RFC 4456 10: a reflector is not in the traffic's way.
    if (!reflected && replaces_next_hop(best, source.kind, ends)) {
        if (!own_next_hop) {
            return std::nullopt;
        }
        told.next_hop = *own_next_hop;
        told.next_hop_link_local = ends.own_link_local;
    } else if (is_link_local(best.next_hop)) {
        return std::nullopt;  // it means nothing on another link
    } else if (ends.link == 0) {
        told.next_hop_link_local.reset();
    }
    if (external) {
        make_external(told, ends);
    } else {
        told.local_pref = told.local_pref.value_or(kDefaultLocalPref);
        if (reflected) {
            reflect(told, source, ends);
        }
    }
    return tell_long_lived(told, ends) ? std::optional{std::move(told)} : std::nullopt;
}

}  // namespace vr::bgp
