// SPDX-License-Identifier: Apache-2.0
#include "policy/reach.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/origin.h"

namespace vr::policy {

namespace {

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
        reason = by_one(list, i, before);
        if (reason.empty()) {
            reason = by_several(list, i, before);
        }
    }
}

std::string Reach::by_one(const List& list, std::size_t rule, const Before& before) {
    const auto blame = [&](const List& first, int by) {
        return fmt::format(
            "rule {} of {} decides before for all that it matches",
            by,
            title(*objects_->at(first.first)));
    };
    for (const auto& first : before.same_tier) {
        if (const int by = covers(first, list)[rule]; by >= 0) {
            return blame(first, by);
        }
    }
    for (const auto& [first, met] : before.earlier_tiers) {
        const int by = covers(first, list)[rule];
        if (by >= 0 && static_cast<std::size_t>(by) < met) {
            return blame(first, by);
        }
    }
    return {};
}

std::string Reach::by_several(const List& list, std::size_t rule, const Before& before) {
    const Rules& own = rules(list);
    Remainder remainder(own.matches[rule]);
    std::vector<std::string> takers;
    for (const auto& [first, met] : before.earlier_tiers) {
        if (rules(first).take(remainder, met)) {
            takers.push_back(title(*objects_->at(first.first)));
        }
    }
    for (const auto& first : before.same_tier) {
        const Rules& theirs = rules(first);
        if (theirs.take(remainder, theirs.actions.size())) {
            takers.push_back(title(*objects_->at(first.first)));
        }
    }
    if (own.take(remainder, rule)) {
        takers.push_back(title(*objects_->at(list.first)));
    }
    if (!remainder.empty() || takers.empty()) {
        return {};
    }
    return fmt::format(
        "rules of {} together decide before for all that it matches", fmt::join(takers, ", "));
}

bool Reach::Rules::decides(std::size_t rule) const {
    const acl::Match& match = matches[rule].match;
    return actions[rule] != RuleAction::Log && (match.ip4 || match.ip6);
}

bool Reach::Rules::take(Remainder& from, std::size_t count) const {
    bool took = false;
    for (std::size_t i = 0; i < count && !from.empty(); ++i) {
        took |= decides(i) && from.take(matches[i]);
    }
    return took;
}

std::optional<std::string> Reach::covered_within(const RulePlace& rule) {
    const Rules& own = rules({rule.object, rule.direction});
    const LoweredMatch& match = own.matches[rule.index];
    for (std::size_t i = 0; i < rule.index; ++i) {
        if (own.decides(i) && policy::covers(own.matches[i], match)) {
            return fmt::format("rule {} decides before for all that it matches", i);
        }
    }
    Remainder remainder(match);
    if (own.take(remainder, rule.index) && remainder.empty()) {
        return "rules before it together decide for all that it matches";
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
                if (wide.decides(i) && policy::covers(wide.matches[i], narrow)) {
                    by = static_cast<int>(i);
                }
            }
            found->second.push_back(by);
        }
    }
    return found->second;
}

}  // namespace vr::policy
