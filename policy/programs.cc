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
void forget(Map& map, const K& key, typename Map::mapped_type::value_type entry) {
    if (const auto found = map.find(key); found != map.end()) {
        found->second.erase(entry);
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
        in_tier.closed = tier.closed;
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

const Programs::InUse* Programs::acquire(PolicyList list) {
    const auto [found, fresh] = entries_.try_emplace(std::move(list));
    InUse& entry = found->second;
    if (fresh) {
        entry.list = &found->first;
        for (const auto& key : keys_of(*entry.list)) {
            by_key_[key].insert(&entry);
        }
        build(entry);
    }
    ++entry.users;
    return &entry;
}

void Programs::release(const InUse* in_use) {
    const auto found = entries_.find(*in_use->list);
    InUse& entry = found->second;
    if (--entry.users > 0) {
        return;
    }
    touched_.erase(&entry);
    for (const auto& key : keys_of(*entry.list)) {
        forget(by_key_, key, &entry);
    }
    for (const auto& set : entry.sets) {
        forget(by_set_, set, &entry);
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

bool Programs::refresh(const Slice& slice, Changed& changed) {
    return slice.drain(touched_, [&](const auto& node) {
        InUse& entry = *node.value();
        auto before = entry.program;
        if (build(entry)) {
            changed.emplace(&entry, std::move(before));
        }
    });
}

bool Programs::build(InUse& entry) {
    AcquiringSource source(*sets_);
    acl::Program program = compile(input_for(*entry.list, *resources_), source);
    for (const auto& set : source.acquired()) {
        by_set_[set].insert(&entry);
    }
    // Released after the new ones are acquired, so that sets in both stay filled.
    for (const auto& set : std::exchange(entry.sets, source.acquired())) {
        if (!source.acquired().contains(set)) {
            forget(by_set_, set, &entry);
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
