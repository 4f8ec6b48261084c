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

void NextHops::ask_again(const IpAddr& next_hop) {
    if (waiting_.insert(next_hop).second) {
        to_ask_.push_back(next_hop);
    }
}

void NextHops::ask_all_again() {
    for (const auto& [next_hop, known] : answers_) {
        ask_again(next_hop);
    }
    if (std::exchange(forgotten_, false)) {
        next_all_changed_ = true;  // whether those differ cannot be told
        note_difference();
    }
}

bool NextHops::ask_some(std::size_t most) {
    bool differs = false;
    for (; most != 0 && !to_ask_.empty(); --most) {
        const IpAddr next_hop = to_ask_.front();
        to_ask_.pop_front();
        waiting_.erase(next_hop);
        const auto known = answers_.find(next_hop);
        if (known != answers_.end()) {
            Answer now = answer(next_hop);
            if (now == known->second) {
                continue;
            }
            known->second = std::move(now);
        }  // else it is forgotten, and whether it differs cannot be told
        next_changed_.insert(next_hop);
        differs = true;
    }
    if (differs) {
        note_difference();
    }
    return !to_ask_.empty();
}

/// What attribute sets have noted does not count any more.
void NextHops::note_difference() {
    if (++stamp_ == 0) {
        stamp_ = 1;
    }
}

bool NextHops::begin_walk() {
    changed_ = std::exchange(next_changed_, {});
    all_changed_ = std::exchange(next_all_changed_, false);
    return all_changed_ || !changed_.empty();
}

}  // namespace vr::bgp
