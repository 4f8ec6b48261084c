// Reach: which rules some packet can get to, in the order in which policies guard endpoints.
// POLICY 2.5 step 6.
//
// A rule is out of reach where an earlier one decides for everything that it could match: in its own
// policy, in a policy before it in the tier, or in an earlier tier that lets no such packet pass.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "policy/cover.h"
#include "policy/match.h"
#include "policy/model.h"
#include "policy/policy_list.h"

namespace vr::policy {

/// Where a rule is written: object, direction, index.
struct RulePlace {
    Key object;
    Direction direction = Direction::Ingress;
    std::size_t index = 0;

    friend auto operator<=>(const RulePlace&, const RulePlace&) = default;
};

class Reach {
  public:
    /// `objects` must outlive this.
    explicit Reach(const std::map<Key, ResourcePtr>& objects) : objects_(&objects) {}

    /// One more list that guards some endpoint.
    void add(const PolicyList& list);

    /// Why rules of the same object take everything from this one, if they do.
    [[nodiscard]] std::optional<std::string> covered_within(const RulePlace& rule);

    /// Rules out of reach in every list that holds them, with the reason; not those that are covered
    /// within their own object.
    [[nodiscard]] std::map<RulePlace, std::string> unreached() const;

  private:
    /// The rules of one direction of one object, lowered.
    struct Rules {
        std::vector<RuleAction> actions;
        std::vector<LoweredMatch> matches;

        /// Ends the way of what it matches.
        [[nodiscard]] bool decides(std::size_t rule) const;
        /// What the first `count` match; true when that was something.
        bool take(Remainder& from, std::size_t count) const;
    };

    using List = std::pair<Key, Direction>;
    /// For each rule of the second, the rule of the first that covers it, or -1.
    using Covers = std::vector<int>;

    struct Before;

    const Rules& rules(const List& list);
    const Covers& covers(const List& first, const List& second);
    std::string by_one(const List& list, std::size_t rule, const Before& before);
    std::string by_several(const List& list, std::size_t rule, const Before& before);
    void visit(const List& list, const Before& before);

    const std::map<Key, ResourcePtr>* objects_;
    std::map<List, Rules> rules_;
    std::map<std::pair<List, List>, Covers> covers_;
    std::map<RulePlace, std::string> reasons_;  ///< empty: reached somewhere
};

}  // namespace vr::policy
