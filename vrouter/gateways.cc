// SPDX-License-Identifier: Apache-2.0
#include "vrouter/gateways.h"

#include <utility>

namespace vr {

void GatewayWays::find(const std::set<IpAddr>& gateways, const Step& step) {
    ways_.clear();
    std::vector<Ways::iterator> open;  // may be other ones next time
    for (const IpAddr& gateway : gateways) {
        open.push_back(ways_.try_emplace(ways_.end(), gateway));
    }
    bool changed = true;
    for (unsigned round = 0; round < kMostRounds && changed; ++round) {
        std::vector<GatewayWay> next;
        for (const auto& each : open) {
            next.push_back(step(each->first, *this));
        }
        changed = false;
        std::vector<Ways::iterator> still_open;
        for (std::size_t i = 0; i < open.size(); ++i) {
            changed = changed || next[i] != open[i]->second;
            open[i]->second = std::move(next[i]);
            if (open[i]->second.asked_others) {
                still_open.push_back(open[i]);
            }
        }
        open = std::move(still_open);
    }
}

const GatewayWay& GatewayWays::operator[](const IpAddr& gateway) const {
    static const GatewayWay kNone;
    const auto found = ways_.find(gateway);
    return found == ways_.end() ? kNone : found->second;
}

}  // namespace vr
