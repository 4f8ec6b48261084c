// RuleIndex: a filter that finds the rules which a prefix may match without asking all of them.
//
// Filters of thousands of prefixes are common (a customer's, a registry's), and every route is judged.
// Per family, the prefixes of all rules form a forest by containment: those that contain a route's prefix
// are the ancestors of the one that precedes it in order.  Rules without prefixes, and those about what
// lies outside of theirs, are asked always.  The verdict is that of Filter::judge(), which small filters
// are asked themselves.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "bgp/filter.h"

namespace vr::bgp {

class RuleIndex {
  public:
    RuleIndex() = default;

    explicit RuleIndex(Filter filter);

    [[nodiscard]] const Filter& filter() const noexcept { return filter_; }

    /// Filter::wants_interface().
    [[nodiscard]] bool wants_interface() const noexcept { return wants_interface_; }

    /// Filter::judge(); operations are this index's, for as long as it lives or is moved.
    template <Family F>
    [[nodiscard]] Filter::Verdict judge(const Prefix<F>& prefix, const RouteFacts& route) const {
        return indexed_ ? find(prefix, route) : filter_.judge(prefix, route);
    }

  private:
    using RuleNumber = std::uint32_t;

    /// That a rule names a prefix, with these bounds.
    struct Use {
        RuleNumber rule = 0;
        std::uint8_t ge = 0;
        std::uint8_t le = 0;
    };

    static constexpr std::uint32_t kNone = ~std::uint32_t{0};

    /// A prefix that rules name.
    template <Family F>
    struct Node {
        Prefix<F> prefix;
        std::uint32_t parent = kNone;  ///< the longest other one that contains it
        std::uint32_t begin = 0;       ///< its first use; the next node's is behind its last
    };

    /// What concerns routes of one family.
    template <Family F>
    struct Rules {
        std::vector<Node<F>> nodes;      ///< ascending, with an end
        std::vector<Use> uses;           ///< by node
        std::vector<RuleNumber> always;  ///< ascending: for whatever prefix, or for those outside
    };

    template <Family F>
    [[nodiscard]] const Rules<F>& rules() const {
        if constexpr (std::is_same_v<F, V4>) {
            return v4_;
        } else {
            return v6_;
        }
    }

    template <Family F>
    [[nodiscard]] std::vector<std::pair<Prefix<F>, Use>> named() const;
    template <Family F>
    void build(Rules<F>& rules) const;
    template <Family F>
    [[nodiscard]] Filter::Verdict find(const Prefix<F>& prefix, const RouteFacts& route) const;
    /// Numbers of rules of which one of the prefixes matches, ascending.
    template <Family F, typename Numbers>
    void list_matching(const Prefix<F>& prefix, Numbers& numbers) const;

    Filter filter_;
    bool wants_interface_ = false;
    bool indexed_ = false;
    Rules<V4> v4_;
    Rules<V6> v6_;
};

}  // namespace vr::bgp
