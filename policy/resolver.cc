// SPDX-License-Identifier: Apache-2.0
#include "policy/resolver.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "policy/scope.h"
#include "policy/stand_in.h"

namespace vr::policy {

namespace {

constexpr double kLast = std::numeric_limits<double>::infinity();

/// Sorts as policies of one tier are judged: by order, then by "name/namespace/kind".
auto rank_of(const Resource& resource) {
    const auto& policy = resource.as<Policy>();
    return std::pair(
        policy.order.value_or(kLast),
        policy.name + "/" + resource.key.ns + "/" +
            std::string(row_of(enforced_key(resource.key).kind).name));
}

/// POLICY 2.6: doNotTrack and preDNAT are for host endpoints only, each at its own hook.
bool acts_at_hook(const Policy& policy, std::optional<HostHook> hook) {
    if (hook && is_forward(*hook) && !policy.apply_on_forward) {
        return false;
    }
    const Hook wanted = hook == HostHook::PreDnatIngress ? Hook::PreDnat
                        : hook && is_untracked(*hook)    ? Hook::Untracked
                                                         : Hook::Normal;
    return policy.hook == wanted;
}

/// Everything that lists follow from: all but the rules.
auto standing(const Policy& policy) {
    return std::tie(
        policy.name,
        policy.tier,
        policy.order,
        policy.selector,
        policy.namespace_selector,
        policy.service_account_selector,
        policy.types,
        policy.hook,
        policy.staged,
        policy.apply_on_forward);
}

}  // namespace

void Resolver::set_endpoint(const Key& key, const Labels& labels) {
    ItemId& id = endpoint_ids_[key];
    if (id == ItemId{}) {
        id = ItemId{++last_endpoint_};
        endpoints_.emplace(id, key);
        dirty_.insert(key);
    }
    if (!index_.set_item(id, labels).empty()) {
        dirty_.insert(key);
    }
}

void Resolver::remove_endpoint(const Key& key) {
    const auto known = endpoint_ids_.find(key);
    if (known == endpoint_ids_.end()) {
        return;
    }
    (void)index_.remove_item(known->second);
    endpoints_.erase(known->second);
    endpoint_ids_.erase(known);
    dirty_.erase(key);
}

void Resolver::set_policy(const ResourcePtr& policy) {
    const Key& key = policy->key;
    Entry& entry = policies_[key];
    if (entry.policy && standing(entry.policy->as<Policy>()) == standing(policy->as<Policy>())) {
        entry.policy = policy;
        return;
    }
    remove_stage(key);
    if (entry.id == SelectorId{}) {
        entry.id = SelectorId{++last_policy_};
        policy_keys_.emplace(entry.id, key);
    }
    entry.policy = policy;
    mark_matched(entry.id);
    (void)index_.set_selector(entry.id, policy_scope(policy->as<Policy>(), key.ns));
    mark_matched(entry.id);
    const Staged staged = policy->as<Policy>().staged;
    if (staged == Staged::Set || staged == Staged::Delete) {
        replaced_[enforced_key(key)].insert(key);
        mark_policy(enforced_key(key));
    }
}

/// Forgets what a staged policy would replace.
void Resolver::remove_stage(const Key& key) {
    const auto replaced = replaced_.find(enforced_key(key));
    if (replaced == replaced_.end() || replaced->second.erase(key) == 0) {
        return;
    }
    if (replaced->second.empty()) {
        replaced_.erase(replaced);
    }
    mark_policy(enforced_key(key));
}

void Resolver::mark_policy(const Key& key) {
    if (const auto known = policies_.find(key); known != policies_.end()) {
        mark_matched(known->second.id);
    }
}

/// Whether the policy counts in this view.
bool Resolver::counts(const Resource& policy, View view) const {
    switch (policy.as<Policy>().staged) {
        case Staged::No:
            return view == View::Enforced || !replaced_.contains(policy.key);
        case Staged::Set:
            return view == View::Preview;
        case Staged::Delete:
        case Staged::Nothing:
            break;
    }
    return false;
}

void Resolver::remove_policy(const Key& key) {
    const auto known = policies_.find(key);
    if (known == policies_.end()) {
        return;
    }
    remove_stage(key);
    mark_matched(known->second.id);
    index_.remove_selector(known->second.id);
    policy_keys_.erase(known->second.id);
    policies_.erase(known);
}

void Resolver::set_tier(const std::string& name, const Tier& tier) {
    tiers_.insert_or_assign(name, tier);
    mark_all();
}

void Resolver::remove_tier(const std::string& name) {
    tiers_.erase(name);
    mark_all();
}

std::set<Key> Resolver::take_dirty() {
    return std::exchange(dirty_, {});
}

PolicyList Resolver::resolve(
    const Key& endpoint,
    Direction direction,
    const std::vector<std::string>& profiles,
    std::optional<HostHook> hook,
    View view) const {
    std::map<TierRank, std::vector<const Resource*>> tiers;
    for (const auto id : index_.selectors_of(endpoint_ids_.at(endpoint))) {
        const ResourcePtr& policy = policies_.at(policy_keys_.at(id)).policy;
        if (counts(*policy, view) && governs(policy->as<Policy>().types, direction) &&
            acts_at_hook(policy->as<Policy>(), hook)) {
            tiers[rank(policy->as<Policy>().tier)].push_back(policy.get());
        }
    }
    PolicyList list;
    list.direction = direction;
    list.hook = hook;
    list.profiles = profiles;
    for (auto& [tier_rank, policies] : tiers) {
        std::ranges::sort(policies, {}, [](const auto* policy) { return rank_of(*policy); });
        TierPolicies& in_order = list.tiers.emplace_back();
        in_order.name = tier_rank.name;
        const Tier known = tier(tier_rank.name).value_or(Tier{});
        in_order.default_action = known.default_action;
        in_order.closed = known.closed;
        for (const auto* policy : policies) {
            in_order.policies.push_back(policy->key);
        }
    }
    return list;
}

std::optional<Tier> Resolver::tier(const std::string& name) const {
    const auto known = tiers_.find(name);
    return known == tiers_.end() ? built_in_tier(name) : known->second;
}

Resolver::TierRank Resolver::rank(const std::string& name) const {
    if (name == kFirstTier) {
        return {0, 0, name};
    }
    const auto known = tier(name);
    return known ? TierRank{1, known->order.value_or(kLast), name} : TierRank{2, kLast, name};
}

void Resolver::mark_matched(SelectorId policy) {
    for (const auto item : index_.items_of(policy)) {
        dirty_.insert(endpoints_.at(item));
    }
}

void Resolver::mark_all() {
    for (const auto& [key, id] : endpoint_ids_) {
        dirty_.insert(key);
    }
}

}  // namespace vr::policy
