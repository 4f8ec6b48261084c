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

/// With all that was asked for so far.
auto NextHops::answer_again(const IpAddr& next_hop, const Answer& known) const -> Answer {
    Answer now = answer(next_hop);
    if (known.interface) {
        now.interface = oracle_.interface_to(next_hop);
    }
    if (known.zone) {
        now.zone = oracle_.zone_to(next_hop);
    }
    if (known.link) {
        now.link = oracle_.link_to(next_hop);
    }
    return now;
}

auto NextHops::known(const IpAddr& next_hop) -> Answer& {
    if (answers_.size() >= kMostNextHops && !answers_.contains(next_hop)) {
        answers_.clear();
        forgotten_ = true;
        forgot_links_ = asked_for_links_;
    }
    const auto [at, inserted] = answers_.try_emplace(next_hop);
    if (inserted) {
        at->second = answer(next_hop);
    }
    return at->second;
}

auto NextHops::known_for_its_link(const IpAddr& next_hop) -> Answer& {
    asked_for_links_ = true;
    return known(next_hop);
}

std::string_view NextHops::interface_to(const IpAddr& next_hop) {
    Answer& its = known_for_its_link(next_hop);
    if (!its.interface) {
        its.interface = oracle_.interface_to(next_hop);
    }
    return *its.interface;
}

Zone NextHops::zone_to(const IpAddr& next_hop) {
    Answer& its = known_for_its_link(next_hop);
    if (!its.zone) {
        its.zone = oracle_.zone_to(next_hop);
    }
    return *its.zone;
}

Zone NextHops::link_to(const IpAddr& next_hop) {
    Answer& its = known_for_its_link(next_hop);
    if (!its.link) {
        its.link = oracle_.link_to(next_hop);
    }
    return *its.link;
}

const AttributesRef::Reachability& NextHops::ask(const AttributesRef& attributes) {
    AttributesRef::Reachability& noted = attributes.reachability();
    if (noted.stamp != stamp_) {
        const Answer& its = known(forwarding_next_hop(*attributes));
        noted = {
            .stamp = stamp_,
            .metric = its.metric.value_or(0),
            .reachable = its.metric.has_value(),
            .over_bgp = !its.over.empty()};
    }
    return noted;
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
            Answer now = answer_again(next_hop, known->second);
            if (now == known->second && !forgot_links_) {
                continue;
            }
            known->second = std::move(now);
        }  // else, or where links were, it is forgotten, and whether it differs cannot be told
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
