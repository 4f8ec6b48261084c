// SPDX-License-Identifier: Apache-2.0
#include "policy/reach.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/cover.h"
#include "policy/origin.h"

namespace vr::policy {

namespace {

bool can_match(const LoweredMatch& match) {
    return match.match.ip4 || match.match.ip6;
}

std::string title(const Resource& object) {
    return object.key.kind == Kind::Profile ? profile_title(object.key.name) : policy_title(object);
}

}  // namespace

/// What packets have met before they come to a policy.
struct Reach::Before {
    std::string closed_by;  ///< the tier that lets nothing pass; empty: none
    std::vector<List>
        same_tier;  ///< earlier policies: Allow, Deny and Pass end a packet's way here
    /// Policies of earlier tiers, each with the number of its rules that every packet meets, because
    /// no Pass comes before them in their tier: Allow and Deny of those end a packet's way.
    std::vector<std::pair<List, std::size_t>> earlier_tiers;
};

void Reach::add(const PolicyList& list) {
    Before before;
    for (const auto& tier : list.tiers) {
        bool passed = false;  // by a rule
        std::vector<std::pair<List, std::size_t>> met_by_all;
        before.same_tier.clear();
        if (tier.closed && before.closed_by.empty()) {
            before.closed_by = tier.name;
        }
        for (const auto& key : tier.policies) {
            const List policy(key, list.direction);
            visit(policy, before);
            before.same_tier.push_back(policy);
            const auto& actions = rules(policy).actions;
            const auto pass = std::ranges::find(actions, RuleAction::Pass);
            if (!passed) {
                met_by_all.emplace_back(policy, static_cast<std::size_t>(pass - actions.begin()));
            }
            passed = passed || pass != actions.end();
        }
        std::ranges::move(met_by_all, std::back_inserter(before.earlier_tiers));
        if (!passed && tier.default_action == TierDefault::Deny && before.closed_by.empty()) {
            before.closed_by = tier.name;
        }
    }
}

void Reach::visit(const List& list, const Before& before) {
    const std::size_t count = rules(list).actions.size();
    for (std::size_t i = 0; i < count; ++i) {
        const auto [known, fresh] = reasons_.try_emplace({list.first, list.second, i});
        std::string& reason = known->second;
        if (!fresh && reason.empty()) {
            continue;  // reached in another list
        }
        reason.clear();
        if (!before.closed_by.empty()) {
            reason = fmt::format("tier {} lets no packet pass", before.closed_by);
            continue;
        }
        const auto blame = [&](const List& first, int rule) {
            reason = fmt::format(
                "rule {} of {} decides before for all that it matches",
                rule,
                title(*objects_->at(first.first)));
        };
        for (const auto& first : before.same_tier) {
            if (const int by = covers(first, list)[i]; by >= 0) {
                blame(first, by);
                break;
            }
        }
        for (const auto& [first, met] : before.earlier_tiers) {
            const int by = reason.empty() ? covers(first, list)[i] : -1;
            if (by >= 0 && static_cast<std::size_t>(by) < met) {
                blame(first, by);
            }
        }
    }
}

std::optional<std::size_t> Reach::covered_within(const RulePlace& rule) {
    const Rules& own = rules({rule.object, rule.direction});
    for (std::size_t i = 0; i < rule.index; ++i) {
        if (own.actions[i] != RuleAction::Log && can_match(own.matches[i]) &&
            policy::covers(own.matches[i], own.matches[rule.index])) {
            return i;
        }
    }
    return std::nullopt;
}

std::map<RulePlace, std::string> Reach::unreached() const {
    std::map<RulePlace, std::string> found;
    for (const auto& [rule, reason] : reasons_) {
        if (!reason.empty()) {
            found.emplace(rule, reason);
        }
    }
    return found;
}

const Reach::Rules& Reach::rules(const List& list) {
    const auto [found, fresh] = rules_.try_emplace(list);
    if (fresh) {
        const Resource& object = *objects_->at(list.first);
        const auto& written = object.key.kind == Kind::Profile
                                  ? object.as<Profile>().rules(list.second)
                                  : object.as<Policy>().rules(list.second);
        for (const auto& rule : written) {
            found->second.actions.push_back(rule.action);
            found->second.matches.push_back(lower(rule.match, object.key.ns));
        }
    }
    return found->second;
}

const Reach::Covers& Reach::covers(const List& first, const List& second) {
    const auto [found, fresh] = covers_.try_emplace({first, second});
    if (fresh) {
        const Rules& wide = rules(first);
        for (const auto& narrow : rules(second).matches) {
            int by = -1;
            for (std::size_t i = 0; i < wide.matches.size() && by < 0; ++i) {
                if (wide.actions[i] != RuleAction::Log && can_match(wide.matches[i]) &&
                    policy::covers(wide.matches[i], narrow)) {
                    by = static_cast<int>(i);
                }
            }
            found->second.push_back(by);
        }
    }
    return found->second;
}

}  // namespace vr::policy
