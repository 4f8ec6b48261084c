// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/flap_guard.h"

#include <algorithm>

namespace vr::daemon {

bool FlapGuard::flipped(const Subject& subject, Time now) {
    bool all_counted = true;
    if (flips_.size() >= kMostWatched && !flips_.contains(subject)) {
        if (now < full_until_) {
            return false;
        }
        std::erase_if(flips_, [&](const auto& each) { return each.second.held_until <= now; });
        all_counted = false;
        if (flips_.size() >= kMostWatched) {
            full_until_ = next_release(now).value_or(now);
            return false;
        }
    }
    Flips& flips = flips_.try_emplace(subject, Flips{.since = now}).first->second;
    if (now - flips.since > kWindow) {
        flips = Flips{.since = now, .held_until = flips.held_until};
    }
    if (++flips.count >= kMostFlips) {
        flips = Flips{.since = now, .held_until = now + kHold};
    }
    return all_counted;
}

bool FlapGuard::holds(const IpAddr& next_hop, Time now) const {
    const auto found = flips_.find({.next_hop = next_hop, .over = std::nullopt});
    return found != flips_.end() && now < found->second.held_until;
}

std::vector<IpPrefix> FlapGuard::held_over(const IpAddr& next_hop, Time now) const {
    std::vector<IpPrefix> held;
    for (auto at = flips_.lower_bound({.next_hop = next_hop, .over = std::nullopt});
         at != flips_.end() && at->first.next_hop == next_hop;
         ++at) {
        if (at->first.over && now < at->second.held_until) {
            held.push_back(*at->first.over);
        }
    }
    return held;
}

std::optional<FlapGuard::Time> FlapGuard::next_release(Time now) const {
    std::optional<Time> next;
    for (const auto& [subject, flips] : flips_) {
        if (flips.held_until > now) {
            next = std::min(next.value_or(flips.held_until), flips.held_until);
        }
    }
    return next;
}

}  // namespace vr::daemon
