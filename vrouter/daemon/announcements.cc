// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/announcements.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vr::daemon {

bool Announcements::is_to_be_told(const IpPrefix& prefix) const {
    const auto covers = [&](const IpPrefix& outer) { return contains(outer, prefix); };
    if (configured_.contains(prefix) || std::ranges::any_of(hidden_, covers)) {
        return false;
    }
    return blocks_.contains(prefix) || priority_of(prefix) ||
           (served_.contains(prefix) && std::ranges::none_of(blocks_, covers));
}

Announcements::Priority Announcements::priority_of(const IpPrefix& prefix) const {
    const auto served = served_.find(prefix);
    return served == served_.end() ? std::nullopt : served->second;
}

/// Makes what is told of a prefix what is to be told.
void Announcements::settle(const IpPrefix& prefix, Difference& difference) {
    if (is_to_be_told(prefix)) {
        if (told_.insert(prefix).second) {
            difference.told.push_back(prefix);
        }
    } else if (told_.erase(prefix) > 0) {
        difference.withdrawn.push_back(prefix);
    }
}

Announcements::Difference Announcements::serve(
    const IpPrefix& address, bool up, Priority priority) {
    const bool otherwise = up && told_.contains(address) && priority_of(address) != priority;
    if (up) {
        served_[address] = priority;
    } else {
        served_.erase(address);
    }
    Difference difference;
    settle(address, difference);
    if (otherwise && told_.contains(address)) {
        difference.told.push_back(address);
    }
    return difference;
}

Announcements::Difference Announcements::configure(std::set<IpPrefix> configured) {
    const std::set<IpPrefix> before = std::exchange(configured_, std::move(configured));
    Difference difference;
    for (const IpPrefix& prefix : before) {
        settle(prefix, difference);
    }
    for (const IpPrefix& prefix : configured_) {
        told_.erase(prefix);
    }
    return difference;
}

Announcements::Difference Announcements::set(
    std::set<IpPrefix> blocks, std::vector<IpPrefix> hidden) {
    std::erase_if(blocks, [](const IpPrefix& block) { return is_host(block); });
    const std::set<IpPrefix> before = std::exchange(blocks_, std::move(blocks));
    hidden_ = std::move(hidden);
    Difference difference;
    std::ranges::set_difference(blocks_, before, std::back_inserter(difference.discard));
    std::ranges::set_difference(before, blocks_, std::back_inserter(difference.undiscard));
    std::set<IpPrefix> all = told_;
    for (const auto& [address, priority] : served_) {
        all.insert(address);
    }
    all.insert(blocks_.begin(), blocks_.end());
    for (const IpPrefix& prefix : all) {
        settle(prefix, difference);
    }
    return difference;
}

}  // namespace vr::daemon
