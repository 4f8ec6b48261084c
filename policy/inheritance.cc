// SPDX-License-Identifier: Apache-2.0
#include "policy/inheritance.h"

#include <algorithm>
#include <utility>

namespace vr::policy {

Labels Inheritance::set_item(const Key& item, Labels own, std::vector<std::string> profiles) {
    remove_item(item);
    for (const auto& profile : profiles) {
        followers_[profile].insert(item);
    }
    items_[item] = {std::move(own), std::move(profiles)};
    return labels(item);
}

void Inheritance::remove_item(const Key& item) {
    const auto known = items_.find(item);
    if (known == items_.end()) {
        return;
    }
    for (const auto& profile : known->second.profiles) {
        const auto followers = followers_.find(profile);
        // A profile may be listed twice.
        if (followers != followers_.end()) {
            followers->second.erase(item);
            if (followers->second.empty()) {
                followers_.erase(followers);
            }
        }
    }
    items_.erase(known);
}

bool Inheritance::set_profile(const std::string& name, const Profile* profile) {
    const Labels labels = profile == nullptr ? Labels{} : profile->labels_to_apply;
    const bool unread = profile != nullptr && profile->labels_unread;
    const bool as_read = unread ? !unread_.insert(name).second : unread_.erase(name) == 0;
    const bool same = labels.empty() ? bestowed_.erase(name) == 0
                                     : std::exchange(bestowed_[name], labels) == labels;
    return !as_read || !same;
}

const Key* Inheritance::next_follower(const std::string& name, const Key& from) const {
    const auto followers = followers_.find(name);
    if (followers == followers_.end()) {
        return nullptr;
    }
    const auto next = followers->second.lower_bound(from);
    return next == followers->second.end() ? nullptr : &*next;
}

Labels Inheritance::labels(const Key& item) const {
    const auto known = items_.find(item);
    if (known == items_.end()) {
        return {};
    }
    Labels all = known->second.own;
    for (const auto& profile : known->second.profiles) {
        if (const auto bestowed = bestowed_.find(profile); bestowed != bestowed_.end()) {
            all.insert(bestowed->second.begin(), bestowed->second.end());
        }
    }
    return all;
}

bool Inheritance::is_closed(const Key& item) const {
    const auto known = items_.find(item);
    return known != items_.end() &&
           std::ranges::any_of(known->second.profiles, [&](const std::string& profile) {
               return unread_.contains(profile);
           });
}

}  // namespace vr::policy
