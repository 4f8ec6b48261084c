// SPDX-License-Identifier: Apache-2.0
#include "vrouter/gateways.h"

#include <algorithm>
#include <utility>

namespace vr {

std::set<IpAddr> GatewayWays::find(
    const std::map<IpAddr, std::uint32_t>& gateways, const Step& step) {
    std::set<IpAddr> moved;
    std::set<IpAddr> open;
    take_over(gateways);
    look_at_routes(step, moved, open);
    add_dependents(moved, open);
    add_needed(open);
    find_in_rounds(open, step, moved);
    return moved;
}

/// Forgets who is no gateway any more; new ones are to be found.
void GatewayWays::take_over(const std::map<IpAddr, std::uint32_t>& gateways) {
    auto at = ways_.begin();
    for (const auto& [gateway, uses] : gateways) {
        while (at != ways_.end() && at->first < gateway) {
            behind_.erase(at->first);
            touched_.erase(at->first);
            at = ways_.erase(at);
        }
        if (at == ways_.end() || at->first != gateway) {
            at = ways_.try_emplace(at, gateway);
            touched_.insert(gateway);
        }
        ++at;
    }
    while (at != ways_.end()) {
        behind_.erase(at->first);
        touched_.erase(at->first);
        at = ways_.erase(at);
    }
}

/// The first round, of those whose routes changed: what needs no other gateway is found by it (`moved`, if
/// it is not what it was), the rest is `open`.
void GatewayWays::look_at_routes(
    const Step& step, std::set<IpAddr>& moved, std::set<IpAddr>& open) {
    const GatewayWays nothing;
    for (const IpAddr& gateway : std::exchange(touched_, {})) {
        GatewayWay next = step(gateway, nothing);
        if (!next.asked.empty()) {
            behind_[gateway] = std::move(next.asked);
            open.insert(gateway);
            continue;
        }
        behind_.erase(gateway);
        GatewayWay& way = ways_.at(gateway);
        if (next != way) {
            way = std::move(next);
            moved.insert(gateway);
        }
    }
}

/// Those behind gateways that moved or are open themselves.
void GatewayWays::add_dependents(const std::set<IpAddr>& moved, std::set<IpAddr>& open) const {
    for (bool more = !moved.empty() || !open.empty(); std::exchange(more, false);) {
        for (const auto& [gateway, asked] : behind_) {
            if (!open.contains(gateway) && std::ranges::any_of(asked, [&](const IpAddr& each) {
                    return moved.contains(each) || open.contains(each);
                })) {
                open.insert(gateway);
                more = true;
            }
        }
    }
}

/// Those that open ones are behind, unless they need no others: in each round the ways to all of them must
/// be those of that round.
void GatewayWays::add_needed(std::set<IpAddr>& open) const {
    std::vector<IpAddr> waiting(open.begin(), open.end());
    while (!waiting.empty()) {
        const IpAddr gateway = waiting.back();
        waiting.pop_back();
        for (const IpAddr& each : behind_.at(gateway)) {
            if (behind_.contains(each) && open.insert(each).second) {
                waiting.push_back(each);
            }
        }
    }
}

void GatewayWays::find_in_rounds(
    const std::set<IpAddr>& open, const Step& step, std::set<IpAddr>& moved) {
    std::vector<GatewayWay> old;
    for (const IpAddr& gateway : open) {
        old.push_back(std::exchange(ways_.at(gateway), {}));
    }
    bool changed = !open.empty();
    for (unsigned round = 1; round < kMostRounds && changed; ++round) {
        std::vector<GatewayWay> next;
        for (const IpAddr& gateway : open) {
            next.push_back(step(gateway, *this));
            next.back().asked.clear();
        }
        changed = false;
        for (auto found = next.begin(); const IpAddr& gateway : open) {
            GatewayWay& way = ways_.at(gateway);
            changed = changed || *found != way;
            way = std::move(*found++);
        }
    }
    for (auto before = old.begin(); const IpAddr& gateway : open) {
        if (*before++ != ways_.at(gateway)) {
            moved.insert(gateway);
        }
    }
}

const GatewayWay& GatewayWays::operator[](const IpAddr& gateway) const {
    static const GatewayWay kNone;
    const auto found = ways_.find(gateway);
    return found == ways_.end() ? kNone : found->second;
}

}  // namespace vr
