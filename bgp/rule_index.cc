// SPDX-License-Identifier: Apache-2.0
#include "bgp/rule_index.h"

#include <algorithm>
#include <utility>

#include <boost/container/small_vector.hpp>

namespace vr::bgp {
namespace {

/// So many prefixes are compared as quickly as they are looked up.
constexpr std::size_t kFew = 8;

std::size_t count_prefixes(const Filter& filter) {
    std::size_t count = 0;
    for (const FilterRule& rule : filter.rules) {
        count += rule.match.prefixes.size();
    }
    return count;
}

}  // namespace

RuleIndex::RuleIndex(Filter filter)
    : filter_(std::move(filter)),
      wants_interface_(filter_.wants_interface()),
      indexed_(count_prefixes(filter_) > kFew) {
    if (indexed_) {
        build(v4_);
        build(v6_);
    }
}

/// The prefixes of the family that rules name, ascending, and which rule it is each time.
template <Family F>
std::vector<std::pair<Prefix<F>, RuleIndex::Use>> RuleIndex::named() const {
    std::vector<std::pair<Prefix<F>, Use>> named;
    for (RuleNumber number = 0; number < filter_.rules.size(); ++number) {
        const FilterMatch& match = filter_.rules[number].match;
        for (const PrefixRule& each : match.prefixes) {
            const auto* prefix = std::get_if<Prefix<F>>(&each.prefix);
            if (match.is_about<F>() && prefix != nullptr && each.ge <= F::kBits) {
                const auto le = static_cast<std::uint8_t>(std::min<unsigned>(each.le, F::kBits));
                named.emplace_back(
                    *prefix,
                    Use{.rule = number, .ge = static_cast<std::uint8_t>(each.ge), .le = le});
            }
        }
    }
    std::ranges::stable_sort(named, {}, [](const auto& each) { return each.first; });
    return named;
}

template <Family F>
void RuleIndex::build(Rules<F>& rules) const {
    for (RuleNumber number = 0; number < filter_.rules.size(); ++number) {
        const FilterMatch& match = filter_.rules[number].match;
        const bool always = match.prefixes.empty() || match.where == FilterMatch::Where::Outside;
        if (match.is_about<F>() && always) {
            rules.always.push_back(number);
        }
    }
    std::vector<Node<F>>& nodes = rules.nodes;
    std::vector<Use>& uses = rules.uses;
    for (const auto& [prefix, use] : named<F>()) {
        if (nodes.empty() || nodes.back().prefix != prefix) {
            // In order, what contains a prefix is its predecessor or contains that.
            auto parent = nodes.empty() ? kNone : static_cast<std::uint32_t>(nodes.size() - 1);
            while (parent != kNone && !nodes[parent].prefix.contains(prefix)) {
                parent = nodes[parent].parent;
            }
            nodes.push_back(
                {.prefix = prefix,
                 .parent = parent,
                 .begin = static_cast<std::uint32_t>(uses.size())});
        }
        uses.push_back(use);
    }
    nodes.push_back({.begin = static_cast<std::uint32_t>(uses.size())});
}

template <Family F, typename Numbers>
void RuleIndex::list_matching(const Prefix<F>& prefix, Numbers& numbers) const {
    const auto& [nodes, uses, always] = rules<F>();
    const auto behind = std::upper_bound(
        nodes.begin(), nodes.end() - 1, prefix, [](const Prefix<F>& wanted, const Node<F>& node) {
            return wanted < node.prefix;
        });
    auto at =
        behind == nodes.begin() ? kNone : static_cast<std::uint32_t>(behind - nodes.begin() - 1);
    for (; at != kNone; at = nodes[at].parent) {
        if (!nodes[at].prefix.contains(prefix)) {
            continue;
        }
        for (std::uint32_t use = nodes[at].begin; use != nodes[at + 1].begin; ++use) {
            if (prefix.length() >= uses[use].ge && prefix.length() <= uses[use].le) {
                numbers.push_back(uses[use].rule);
            }
        }
    }
    std::ranges::sort(numbers);
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

template <Family F>
Filter::Verdict RuleIndex::find(const Prefix<F>& prefix, const RouteFacts& route) const {
    boost::container::small_vector<RuleNumber, 32> matching;
    list_matching(prefix, matching);
    const std::vector<RuleNumber>& always = rules<F>().always;
    auto hit = matching.begin();
    auto any = always.begin();
    while (hit != matching.end() || any != always.end()) {
        if (hit != matching.end() && any != always.end() && *hit == *any) {
            ++hit;  // a rule about what is outside, and this is not
            ++any;
            continue;
        }
        const bool is_hit = any == always.end() || (hit != matching.end() && *hit < *any);
        const FilterRule& rule = filter_.rules[is_hit ? *hit++ : *any++];
        if (matches_beside_prefix(rule.match, route)) {
            return Filter::verdict_of(rule);
        }
    }
    return filter_.otherwise(route.source);
}

template Filter::Verdict RuleIndex::find(const Prefix<V4>&, const RouteFacts&) const;
template Filter::Verdict RuleIndex::find(const Prefix<V6>&, const RouteFacts&) const;

}  // namespace vr::bgp
