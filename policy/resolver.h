// Resolver: which policies govern each local endpoint, and in which order.  POLICY 2.5 step 6.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "policy/label_index.h"
#include "policy/model.h"
#include "policy/policy_list.h"

namespace vr::policy {

class Resolver {
  public:
    void set_endpoint(const Key& key, const Labels& labels);
    void remove_endpoint(const Key& key);
    void set_policy(const ResourcePtr& policy);
    void remove_policy(const Key& key);
    void set_tier(const std::string& name, const Tier& tier);
    void remove_tier(const std::string& name);

    /// Endpoints whose list may be another than at the last call.
    [[nodiscard]] std::set<Key> take_dirty();

    /// The list of `endpoint`, with `profiles` behind it; `hook` of a host endpoint.
    [[nodiscard]] PolicyList resolve(
        const Key& endpoint,
        Direction direction,
        const std::vector<std::string>& profiles,
        std::optional<HostHook> hook = {},
        View view = View::Enforced) const;

  private:
    /// Sorts as tiers are judged.
    struct TierRank {
        int known = 0;  ///< 0: before all, 1: known, 2: only named
        double order = 0;
        std::string name;

        friend auto operator<=>(const TierRank&, const TierRank&) = default;
    };

    struct Entry {
        SelectorId id;
        ResourcePtr policy;
    };

    [[nodiscard]] std::optional<Tier> tier(const std::string& name) const;
    [[nodiscard]] TierRank rank(const std::string& name) const;
    [[nodiscard]] bool counts(const Resource& policy, View view) const;
    void remove_stage(const Key& key);
    void mark_policy(const Key& key);
    void mark_matched(SelectorId policy);
    void mark_all();

    LabelIndex index_;
    std::map<Key, ItemId> endpoint_ids_;
    std::map<ItemId, Key> endpoints_;
    std::map<Key, Entry> policies_;
    std::map<Key, std::set<Key>> replaced_;  ///< by which staged policies
    std::map<SelectorId, Key> policy_keys_;
    std::map<std::string, Tier> tiers_;
    std::uint32_t last_endpoint_ = 0;
    std::uint32_t last_policy_ = 0;
    std::set<Key> dirty_;
};

}  // namespace vr::policy
