// SPDX-License-Identifier: Apache-2.0
#include "bgp/next_hops.h"

#include <algorithm>
#include <utility>

namespace vr::bgp {

IpAddr forwarding_next_hop(const Attributes& attributes) {
    const auto* global = std::get_if<Ip6>(&attributes.next_hop);
    if (global != nullptr && global->is_unspecified() && attributes.next_hop_link_local) {
        return *attributes.next_hop_link_local;
    }
    return attributes.next_hop;
}

NextHops::Answer NextHops::answer(const IpAddr& next_hop) const {
    const auto metric = oracle_.metric(next_hop);
    return {.metric = metric, .over = oracle_.way_to(next_hop)};
}

const AttributesRef::Reachability& NextHops::ask(const AttributesRef& attributes) {
    AttributesRef::Reachability& known = attributes.reachability();
    if (known.stamp != stamp_) {
        const IpAddr next_hop = forwarding_next_hop(*attributes);
        if (answers_.size() >= kMostNextHops && !answers_.contains(next_hop)) {
            answers_.clear();
            forgotten_ = true;
        }
        const auto [at, inserted] = answers_.try_emplace(next_hop);
        if (inserted) {
            at->second = answer(next_hop);
        }
        known = {
            .stamp = stamp_,
            .metric = at->second.metric.value_or(0),
            .reachable = at->second.metric.has_value(),
            .over_bgp = !at->second.over.empty()};
    }
    return known;
}

bool NextHops::is_on_way(const IpPrefix& prefix, const Attributes& attributes) const {
    const IpAddr next_hop = forwarding_next_hop(attributes);
    const auto known = answers_.find(next_hop);
    const auto among = [&](const std::vector<IpPrefix>& over) {
        return std::ranges::find(over, prefix) != over.end();
    };
    return known != answers_.end() ? among(known->second.over) : among(oracle_.way_to(next_hop));
}

bool NextHops::refresh() {
    // Whether a forgotten answer differs cannot be told.
    bool differs = std::exchange(forgotten_, false);
    all_changed_ = all_changed_ || differs;
    for (auto& [next_hop, known] : answers_) {
        Answer now = answer(next_hop);
        if (now != known) {
            known = std::move(now);
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
