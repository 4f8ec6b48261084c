// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/flap_guard.h"

#include <algorithm>

namespace vr::daemon {

void FlapGuard::flipped(const IpAddr& next_hop, Time now) {
    if (flips_.size() >= kMostWatched && !flips_.contains(next_hop)) {
        std::erase_if(flips_, [&](const auto& each) { return each.second.held_until <= now; });
        if (flips_.size() >= kMostWatched) {
            return;
        }
    }
    Flips& flips = flips_.try_emplace(next_hop, Flips{.since = now}).first->second;
    if (now - flips.since > kWindow) {
        flips = Flips{.since = now, .held_until = flips.held_until};
    }
    if (++flips.count >= kMostFlips) {
        flips = Flips{.since = now, .held_until = now + kHold};
    }
}

bool FlapGuard::holds(const IpAddr& next_hop, Time now) const {
    const auto found = flips_.find(next_hop);
    return found != flips_.end() && now < found->second.held_until;
}

std::optional<FlapGuard::Time> FlapGuard::next_release(Time now) const {
    std::optional<Time> next;
    for (const auto& [next_hop, flips] : flips_) {
        if (flips.held_until > now) {
            next = std::min(next.value_or(flips.held_until), flips.held_until);
        }
    }
    return next;
}

}  // namespace vr::daemon
