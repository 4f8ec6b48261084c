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

bool LinkPeers::is_gone(const Entry& entry, TimePoint now, const InUse& in_use) {
    return entry.found->until < now && !in_use(with_zone(entry.found->router, entry.zone));
}

bool LinkPeers::heard(
    Zone zone, Ip6 router, std::chrono::seconds lifetime, TimePoint now, const InUse& in_use) {
    const auto entry = std::ranges::find_if(
        entries_, [&](const Entry& each) { return each.advertised && each.zone == zone; });
    if (entry == entries_.end()) {
        return false;
    }
    const TimePoint until =
        now + std::clamp<std::chrono::seconds>(lifetime, RouterDiscovery::kSilence, kMostLifetime);
    if (entry->found && entry->found->router == router) {
        entry->found->until = until;
        return false;
    }
    if (entry->found && !is_gone(*entry, now, in_use)) {
        return false;
    }
    entry->found = Found{.router = router, .until = until};
    return true;
}

bool LinkPeers::forget_silent(TimePoint now, const InUse& in_use) {
    bool changed = false;
    for (Entry& entry : entries_) {
        if (entry.found && is_gone(entry, now, in_use)) {
            entry.found.reset();
            changed = true;
        }
    }
    return changed;
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
