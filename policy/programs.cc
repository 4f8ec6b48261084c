// SPDX-License-Identifier: Apache-2.0
#include "policy/programs.h"

#include <utility>

#include "policy/compiler.h"

namespace vr::policy {

namespace {

/// Acquires every set that the compiler asks for, once.
class AcquiringSource : public GroupSource {
  public:
    explicit AcquiringSource(IpSets& sets) : sets_(&sets) {}

    GroupId group(const Selector& selector) override {
        return acquire({selector.text(), {}, 0}, selector).at(L4Port{});
    }

    std::map<L4Port, GroupId> port_groups(
        const Selector& selector, const std::string& name, std::uint8_t protocol) override {
        return acquire({selector.text(), name, protocol}, selector);
    }

    [[nodiscard]] const std::set<SetName>& acquired() const { return acquired_; }

  private:
    std::map<L4Port, GroupId> acquire(const SetName& name, const Selector& selector) {
        if (acquired_.insert(name).second) {
            sets_->acquire(name, selector);
        }
        return sets_->groups(name);
    }

    IpSets* sets_;
    std::set<SetName> acquired_;
};

std::vector<Key> keys_of(const PolicyList& list) {
    std::vector<Key> keys;
    for (const auto& tier : list.tiers) {
        keys.insert(keys.end(), tier.policies.begin(), tier.policies.end());
    }
    for (const auto& profile : list.profiles) {
        keys.push_back({Kind::Profile, {}, profile});
    }
    return keys;
}

template <typename Map, typename K>
void forget(Map& map, const K& key, const PolicyList* list) {
    if (const auto found = map.find(key); found != map.end()) {
        found->second.erase(list);
        if (found->second.empty()) {
            map.erase(found);
        }
    }
}

ResourcePtr find(const std::map<Key, ResourcePtr>& resources, const Key& key) {
    const auto found = resources.find(key);
    return found == resources.end() ? nullptr : found->second;
}

CompilerInput input_for(const PolicyList& list, const std::map<Key, ResourcePtr>& resources) {
    CompilerInput input;
    input.direction = list.direction;
    input.hook = list.hook;
    input.failsafes = list.failsafes;
    for (const auto& tier : list.tiers) {
        auto& in_tier = input.tiers.emplace_back();
        in_tier.name = tier.name;
        in_tier.default_action = tier.default_action;
        for (const auto& key : tier.policies) {
            in_tier.policies.push_back(resources.at(key));
        }
    }
    for (const auto& profile : list.profiles) {
        input.profiles.emplace_back(profile, find(resources, {Kind::Profile, {}, profile}));
    }
    return input;
}

}  // namespace

void Programs::acquire(const PolicyList& list) {
    const auto [found, fresh] = entries_.try_emplace(list);
    if (fresh) {
        for (const auto& key : keys_of(list)) {
            by_key_[key].insert(&found->first);
        }
        build(found->first, found->second);
    }
    ++found->second.users;
}

void Programs::release(const PolicyList& list) {
    const auto found = entries_.find(list);
    if (--found->second.users > 0) {
        return;
    }
    const PolicyList* const stored = &found->first;
    touched_.erase(stored);
    for (const auto& key : keys_of(list)) {
        forget(by_key_, key, stored);
    }
    for (const auto& set : found->second.sets) {
        forget(by_set_, set, stored);
        sets_->release(set);
    }
    entries_.erase(found);
}

void Programs::touch(const Key& key) {
    if (const auto lists = by_key_.find(key); lists != by_key_.end()) {
        touched_.insert(lists->second.begin(), lists->second.end());
    }
}

void Programs::touch(const SetName& set) {
    if (const auto lists = by_set_.find(set); lists != by_set_.end()) {
        touched_.insert(lists->second.begin(), lists->second.end());
    }
}

std::set<PolicyList> Programs::refresh() {
    std::set<PolicyList> changed;
    for (const auto* list : std::exchange(touched_, {})) {
        if (build(*list, entries_.at(*list))) {
            changed.insert(*list);
        }
    }
    return changed;
}

std::shared_ptr<const acl::Program> Programs::program(const PolicyList& list) const {
    return entries_.at(list).program;
}

bool Programs::build(const PolicyList& list, Entry& entry) {
    AcquiringSource source(*sets_);
    acl::Program program = compile(input_for(list, *resources_), source);
    for (const auto& set : source.acquired()) {
        by_set_[set].insert(&list);
    }
    // Released after the new ones are acquired, so that sets in both stay filled.
    for (const auto& set : std::exchange(entry.sets, source.acquired())) {
        if (!source.acquired().contains(set)) {
            forget(by_set_, set, &list);
        }
        sets_->release(set);
    }
    if (entry.program && *entry.program == program) {
        return false;
    }
    entry.program = std::make_shared<const acl::Program>(std::move(program));
    return true;
}

}  // namespace vr::policy
