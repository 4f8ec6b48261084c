// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/link_peers.h"

#include <algorithm>

#include "vrouter/services/router_discovery.h"

namespace vr::daemon {

namespace {

/// However long a router says that it will be there.
constexpr std::chrono::seconds kMostLifetime{1800};

}  // namespace

void LinkPeers::add(Zone zone, const LinkNeighbor& neighbor) {
    entries_.push_back(Entry{
        .zone = zone,
        .config = neighbor.peer,
        .advertised = neighbor.peer.address == IpAddr{Ip6{}},
        .found = std::nullopt});
}

/// A speaker that is begun anew forgets which sessions were up; here that counts.
auto LinkPeers::look_at_use(Entry& entry, const UseOf& use_of) -> Use {
    const Use use = use_of(with_zone(entry.found->router, entry.zone));
    entry.found->had_session = entry.found->had_session || use.tried;
    return use;
}

/// To another one that advertises.
bool LinkPeers::gives_way(Entry& entry, TimePoint now, const UseOf& use_of) {
    const Use use = look_at_use(entry, use_of);
    const Found& found = *entry.found;
    const bool silent = now - found.last > RouterDiscovery::kSilence;
    const bool in_vain = !found.had_session && now - found.since > kTrial;
    return !use.holds && (silent || in_vain);
}

bool LinkPeers::is_gone(Entry& entry, TimePoint now, const UseOf& use_of) {
    const Use use = look_at_use(entry, use_of);
    return entry.found->until < now && !use.holds && !use.keeps;
}

bool LinkPeers::heard(
    Zone zone, Ip6 router, std::chrono::seconds lifetime, TimePoint now, const UseOf& use_of) {
    const auto entry = std::ranges::find_if(
        entries_, [&](const Entry& each) { return each.advertised && each.zone == zone; });
    if (entry == entries_.end()) {
        return false;
    }
    const TimePoint until =
        now + std::clamp<std::chrono::seconds>(lifetime, RouterDiscovery::kSilence, kMostLifetime);
    if (entry->found && entry->found->router == router) {
        entry->found->last = now;
        entry->found->until = until;
        return false;
    }
    if (!entry->others.take(now) || (entry->found && !gives_way(*entry, now, use_of))) {
        return false;
    }
    entry->found = Found{.router = router, .since = now, .last = now, .until = until};
    return true;
}

bool LinkPeers::forget_silent(TimePoint now, const UseOf& use_of) {
    bool changed = false;
    for (Entry& entry : entries_) {
        if (entry.found && is_gone(entry, now, use_of)) {
            entry.found.reset();
            changed = true;
        }
    }
    return changed;
}

bool LinkPeers::lacks_one() const {
    return !awaited().empty();
}

std::vector<std::pair<Zone, bgp::PeerConfig>> LinkPeers::awaited() const {
    std::vector<std::pair<Zone, bgp::PeerConfig>> awaited;
    for (const Entry& entry : entries_) {
        if (entry.advertised && !entry.found) {
            awaited.emplace_back(entry.zone, entry.config);
        }
    }
    return awaited;
}

Peers LinkPeers::peers() const {
    Peers peers;
    for (const Entry& entry : entries_) {
        if (entry.advertised && !entry.found) {
            continue;
        }
        bgp::PeerConfig peer = entry.config;
        const Ip6 address = entry.advertised ? entry.found->router : std::get<Ip6>(peer.address);
        peer.address = with_zone(address, entry.zone);
        peers.emplace(peer.address, peer);
    }
    return peers;
}

}  // namespace vr::daemon
