// LabelIndex: which items (endpoints, network sets) match which selectors, kept up to date.
//
// A change of one item evaluates the selectors that can match its labels; a new selector evaluates the
// items that have a label it asks for: of the labels that it asks for together, the one that fewest have,
// so that "all of this namespace with that role" looks at the few with the role.  Where these are many, a
// Scan goes through them bit by bit.  Changes are returned, never called back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/selector.h"
#include "vrouter/net/ids.h"

namespace vr::policy {

using ItemId = Id<struct ItemTag, std::uint32_t>;
using SelectorId = Id<struct SelectorTag, std::uint32_t>;

/// Item `item` matches `selector` from now on, or no longer.
struct MatchChange {
    ItemId item;
    SelectorId selector;
    bool matches = false;

    friend auto operator<=>(const MatchChange&, const MatchChange&) = default;
};

class LabelIndex {
  public:
    /// Adds an item or changes its labels.
    [[nodiscard]] std::vector<MatchChange> set_item(ItemId id, Labels labels);
    [[nodiscard]] std::vector<MatchChange> remove_item(ItemId id);

    /// Adds a selector or changes it.
    [[nodiscard]] std::vector<MatchChange> set_selector(SelectorId id, const Selector& selector);

    /// How far a new selector, or a changed one, has been judged.
    class Scan {
      private:
        friend class LabelIndex;
        SelectorId selector;
        bool matched_before = true;  ///< first those that match the old one
        std::optional<Selector::Restriction> among;
        std::string value;  ///< the next item is of this value of the label or a later one, ...
        ItemId from;        ///< ... this item or a later one
    };

    /// The same, but nothing is judged yet, except for items that change meanwhile.
    [[nodiscard]] Scan begin_selector(SelectorId id, const Selector& selector);
    /// Judges the next `count` items; false: there is none left.
    [[nodiscard]] bool judge(Scan& scan, std::size_t count, std::vector<MatchChange>& changes);

    /// Forgets a selector; what matched it is not reported.
    void remove_selector(SelectorId id);
    /// Forgets `count` of what matches `id`, and with the last one the selector; false: there are more.
    [[nodiscard]] bool remove_selector(
        SelectorId id, std::size_t count, std::vector<MatchChange>& changes);

    [[nodiscard]] std::set<SelectorId> selectors_of(ItemId item) const;
    [[nodiscard]] std::set<ItemId> items_of(SelectorId selector) const;

  private:
    using LabelValue = std::pair<std::string, std::string>;

    struct Item {
        Labels labels;
        std::set<SelectorId> matched;
    };

    struct Entry {
        Selector selector;
        /// Where items look for the selector; nothing: all of them look.
        std::optional<Selector::Restriction> place;
        std::set<ItemId> matched;
    };

    /// The items that have a label.
    struct Holders {
        std::map<std::string, std::set<ItemId>> by_value;
        std::size_t count = 0;
    };

    void judge(ItemId item_id, SelectorId selector_id, std::vector<MatchChange>& changes);
    [[nodiscard]] std::set<SelectorId> candidates(const Item& item) const;
    [[nodiscard]] std::optional<ItemId> next(Scan& scan) const;
    [[nodiscard]] std::optional<ItemId> next_candidate(Scan& scan) const;
    void index_item(ItemId id, const Labels& labels);
    void unindex_item(ItemId id, const Labels& labels);
    /// How many items fulfil `restriction`; how many selectors items find beside one placed there.
    [[nodiscard]] std::size_t holders(const Selector::Restriction& restriction) const;
    [[nodiscard]] std::size_t neighbours(const Selector::Restriction& restriction) const;
    /// The place with the fewest others.
    [[nodiscard]] std::optional<Selector::Restriction> choose_place(const Selector& selector) const;
    /// Enters or takes out a selector where items look for it.
    void index_selector(SelectorId id, const Entry& entry, bool present);

    std::map<ItemId, Item> items_;
    std::map<SelectorId, Entry> selectors_;
    std::map<std::string, Holders, std::less<>> items_by_label_;
    std::set<SelectorId> unrestricted_;
    std::map<std::string, std::set<SelectorId>> selectors_by_label_;
    std::map<LabelValue, std::set<SelectorId>> selectors_by_value_;
};

}  // namespace vr::policy
