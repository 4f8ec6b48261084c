// SPDX-License-Identifier: Apache-2.0
#include "bgp/next_hops.h"

#include <utility>

namespace vr::bgp {

IpAddr forwarding_next_hop(const Attributes& attributes) {
    const auto* global = std::get_if<Ip6>(&attributes.next_hop);
    if (global != nullptr && global->is_unspecified() && attributes.next_hop_link_local) {
        return *attributes.next_hop_link_local;
    }
    return attributes.next_hop;
}

std::optional<std::uint32_t> NextHops::metric(const AttributesRef& attributes) {
    AttributesRef::Reachability& known = attributes.reachability();
    if (known.stamp != stamp_) {
        const IpAddr next_hop = forwarding_next_hop(*attributes);
        if (answers_.size() >= kMostAnswers && !answers_.contains(next_hop)) {
            answers_.clear();
            forgotten_ = true;
        }
        const auto [at, inserted] = answers_.try_emplace(next_hop);
        if (inserted) {
            at->second = oracle_.metric(next_hop);
        }
        known = {.stamp = stamp_, .metric = at->second};
    }
    return known.metric;
}

bool NextHops::refresh() {
    // Whether a forgotten answer differs cannot be told.
    bool differs = std::exchange(forgotten_, false);
    all_changed_ = all_changed_ || differs;
    for (auto& [next_hop, answer] : answers_) {
        const auto now = oracle_.metric(next_hop);
        if (now != answer) {
            answer = now;
            changed_.insert(next_hop);
            differs = true;
        }
    }
    if (differs && ++stamp_ == 0) {
        stamp_ = 1;
    }
    return differs;
}

}  // namespace vr::bgp
