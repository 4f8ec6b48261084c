// FamilyRules<F>: the rules of a program that may match packets of one family, and where each leads.
//
// What every engine starts from.  Positions are those in this list; verdicts name rules by their index
// in the program.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vrouter/dataplane/acl.h"

namespace vr::acl {

/// The protocol number of the family's ICMP.
template <Family F>
inline constexpr std::uint8_t kIcmp = F::kVersion == 4 ? 1 : 58;

/// What happens at a rule, by its position.
struct Step {
    Action action;
    std::uint32_t target;    ///< Jump: position to go on at
    std::uint32_t original;  ///< index in Program::rules
};

/// In order; positions in it are what the bits of rows stand for.  They point into the program.
using RuleList = std::vector<const Rule*>;

template <Family F>
struct FamilyRules {
    explicit FamilyRules(const Program& program) {
        std::vector<std::uint32_t> position;  // of each rule of the program, in `list`
        for (std::size_t i = 0; i < program.rules.size(); ++i) {
            const Rule& rule = program.rules[i];
            position.push_back(static_cast<std::uint32_t>(list.size()));
            if (std::same_as<F, V4> ? rule.match.ip4 : rule.match.ip6) {
                list.push_back(&rule);
                steps.push_back({rule.action, rule.target, static_cast<std::uint32_t>(i)});
            }
        }
        position.push_back(static_cast<std::uint32_t>(list.size()));
        for (Step& step : steps) {
            if (step.action == Action::Jump) {
                step.target = position[std::min<std::size_t>(step.target, program.rules.size())];
            }
        }
    }

    RuleList list;
    std::vector<Step> steps;
};

static_assert(
    Action::Allow < Action::Reject && Action::Deny < Action::Reject &&
    Action::Reject < Action::Jump && Action::Reject < Action::Log);

/// True for the actions that end a packet's way; notes them in `verdict`.
inline bool ends(const Step& step, Verdict& verdict) noexcept {
    if (step.action > Action::Reject) {
        return false;
    }
    verdict.allow = step.action == Action::Allow;
    verdict.reject = step.action == Action::Reject;
    verdict.rule = step.original;
    return true;
}

}  // namespace vr::acl
