// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/router_discovery.h"

#include <algorithm>

namespace vr {

bool RouterDiscovery::is_silent(const Link& link, TimePoint now) {
    return !link.router_last || now - *link.router_last > kSilence;
}

void RouterDiscovery::add_link(PortId link, TimePoint now) {
    links_.try_emplace(link, Link{.next = now, .last = std::nullopt, .router_last = std::nullopt});
}

void RouterDiscovery::remove_link(PortId link) {
    links_.erase(link);
}

void RouterDiscovery::asked(PortId link, TimePoint now) {
    const auto found = links_.find(link);
    if (found != links_.end()) {
        Link& state = found->second;
        const TimePoint soonest = state.last ? std::max(now, *state.last + kLeastPause) : now;
        state.next = std::min(state.next, soonest);
    }
}

bool RouterDiscovery::heard(PortId link, TimePoint now) {
    const auto found = links_.find(link);
    if (found == links_.end()) {
        return false;
    }
    // Who comes anew has not heard us either.
    if (is_silent(found->second, now)) {
        asked(link, now);
    }
    found->second.router_last = now;
    return true;
}

std::vector<LinkCall> RouterDiscovery::tick(TimePoint now) {
    std::vector<LinkCall> calls;
    for (auto& [link, state] : links_) {
        if (state.next > now) {
            continue;
        }
        calls.push_back({.link = link, .advertise = true, .solicit = is_silent(state, now)});
        state.last = now;
        state.next = now + kInterval;
    }
    return calls;
}

std::optional<TimePoint> RouterDiscovery::next_deadline() const {
    std::optional<TimePoint> first;
    for (const auto& [link, state] : links_) {
        first = first ? std::min(*first, state.next) : state.next;
    }
    return first;
}

}  // namespace vr
