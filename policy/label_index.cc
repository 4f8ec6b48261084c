// SPDX-License-Identifier: Apache-2.0
#include "policy/label_index.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace vr::policy {

namespace {

template <typename Map, typename K, typename V>
void enter(Map& map, const K& key, V value, bool present) {
    if (present) {
        map[key].insert(value);
        return;
    }
    const auto found = map.find(key);
    if (found != map.end()) {
        found->second.erase(value);
        if (found->second.empty()) {
            map.erase(found);
        }
    }
}

template <typename Map, typename K, typename Set>
void collect(const Map& map, const K& key, Set& into) {
    if (const auto found = map.find(key); found != map.end()) {
        into.insert(found->second.begin(), found->second.end());
    }
}

template <typename Map, typename K>
std::size_t count_at(const Map& map, const K& key) {
    const auto found = map.find(key);
    return found == map.end() ? 0 : found->second.size();
}

}  // namespace

std::vector<MatchChange> LabelIndex::set_item(ItemId id, Labels labels) {
    Item& item = items_[id];
    unindex_item(id, item.labels);
    item.labels = std::move(labels);
    index_item(id, item.labels);
    std::set<SelectorId> to_judge = candidates(item);
    to_judge.insert(item.matched.begin(), item.matched.end());
    std::vector<MatchChange> changes;
    for (const auto selector : to_judge) {
        judge(id, selector, changes);
    }
    return changes;
}

std::vector<MatchChange> LabelIndex::remove_item(ItemId id) {
    std::vector<MatchChange> changes;
    const auto found = items_.find(id);
    if (found == items_.end()) {
        return changes;
    }
    for (const auto selector : found->second.matched) {
        selectors_.at(selector).matched.erase(id);
        changes.push_back({id, selector, false});
    }
    unindex_item(id, found->second.labels);
    items_.erase(found);
    return changes;
}

std::vector<MatchChange> LabelIndex::set_selector(SelectorId id, const Selector& selector) {
    Scan scan = begin_selector(id, selector);
    std::vector<MatchChange> changes;
    (void)judge(scan, std::numeric_limits<std::size_t>::max(), changes);
    return changes;
}

LabelIndex::Scan LabelIndex::begin_selector(SelectorId id, const Selector& selector) {
    const auto [known, fresh] = selectors_.try_emplace(id);
    Entry& entry = known->second;
    if (!fresh) {
        index_selector(id, entry, false);
    }
    entry.selector = selector;
    entry.place = choose_place(selector);
    index_selector(id, entry, true);
    Scan scan;
    scan.selector = id;
    auto restrictions = selector.restrictions();
    const auto rarest = std::ranges::min_element(
        restrictions, {}, [this](const auto& restriction) { return holders(restriction); });
    if (rarest != restrictions.end()) {
        scan.among = std::move(*rarest);
        std::ranges::sort(scan.among->values);
    }
    return scan;
}

bool LabelIndex::judge(Scan& scan, std::size_t count, std::vector<MatchChange>& changes) {
    for (; count > 0; --count) {
        const auto item = next(scan);
        if (!item) {
            return false;
        }
        judge(*item, scan.selector, changes);
    }
    return true;
}

void LabelIndex::remove_selector(SelectorId id) {
    std::vector<MatchChange> ignored;
    (void)remove_selector(id, std::numeric_limits<std::size_t>::max(), ignored);
}

bool LabelIndex::remove_selector(
    SelectorId id, std::size_t count, std::vector<MatchChange>& changes) {
    const auto found = selectors_.find(id);
    if (found == selectors_.end()) {
        return true;
    }
    index_selector(id, found->second, false);  // nothing more is to match
    auto& matched = found->second.matched;
    for (; count > 0 && !matched.empty(); --count) {
        items_.at(*matched.begin()).matched.erase(id);
        changes.push_back({*matched.begin(), id, false});
        matched.erase(matched.begin());
    }
    if (!matched.empty()) {
        return false;
    }
    selectors_.erase(found);
    return true;
}

std::set<SelectorId> LabelIndex::selectors_of(ItemId item) const {
    const auto found = items_.find(item);
    return found == items_.end() ? std::set<SelectorId>{} : found->second.matched;
}

std::set<ItemId> LabelIndex::items_of(SelectorId selector) const {
    const auto found = selectors_.find(selector);
    return found == selectors_.end() ? std::set<ItemId>{} : found->second.matched;
}

void LabelIndex::judge(ItemId item_id, SelectorId selector_id, std::vector<MatchChange>& changes) {
    Item& item = items_.at(item_id);
    Entry& entry = selectors_.at(selector_id);
    const bool before = item.matched.contains(selector_id);
    const bool now = entry.selector.matches(item.labels);
    if (before == now) {
        return;
    }
    if (now) {
        item.matched.insert(selector_id);
        entry.matched.insert(item_id);
    } else {
        item.matched.erase(selector_id);
        entry.matched.erase(item_id);
    }
    changes.push_back({item_id, selector_id, now});
}

std::set<SelectorId> LabelIndex::candidates(const Item& item) const {
    std::set<SelectorId> found = unrestricted_;
    for (const auto& [name, value] : item.labels) {
        collect(selectors_by_label_, name, found);
        collect(selectors_by_value_, LabelValue{name, value}, found);
    }
    return found;
}

/// Items may have come, changed or gone since the last one: from an id on, there is always a next.
std::optional<ItemId> LabelIndex::next(Scan& scan) const {
    if (scan.matched_before) {
        const auto selector = selectors_.find(scan.selector);
        if (selector == selectors_.end()) {
            return std::nullopt;
        }
        const auto& matched = selector->second.matched;
        if (const auto at = matched.lower_bound(scan.from); at != matched.end()) {
            scan.from = ItemId{at->value() + 1};
            return *at;
        }
        scan.matched_before = false;
        scan.from = ItemId{};
    }
    const auto found = next_candidate(scan);
    if (found) {
        scan.from = ItemId{found->value() + 1};
    }
    return found;
}

std::optional<ItemId> LabelIndex::next_candidate(Scan& scan) const {
    if (!scan.among) {
        const auto at = items_.lower_bound(scan.from);
        return at == items_.end() ? std::nullopt : std::optional(at->first);
    }
    const auto label = items_by_label_.find(scan.among->label);
    if (label == items_by_label_.end()) {
        return std::nullopt;
    }
    const auto& by_value = label->second.by_value;
    const auto& values = scan.among->values;
    for (auto at = by_value.lower_bound(scan.value); at != by_value.end();) {
        if (!values.empty()) {
            const auto wanted = std::ranges::lower_bound(values, at->first);
            if (wanted == values.end()) {
                return std::nullopt;
            }
            if (*wanted != at->first) {
                at = by_value.lower_bound(*wanted);
                continue;
            }
        }
        if (at->first != scan.value) {
            scan.value = at->first;
            scan.from = ItemId{};
        }
        if (const auto item = at->second.lower_bound(scan.from); item != at->second.end()) {
            return *item;
        }
        ++at;
    }
    return std::nullopt;
}

std::size_t LabelIndex::holders(const Selector::Restriction& restriction) const {
    const auto label = items_by_label_.find(restriction.label);
    if (label == items_by_label_.end()) {
        return 0;
    }
    if (restriction.values.empty()) {
        return label->second.count;
    }
    std::size_t count = 0;
    for (const auto& value : restriction.values) {
        count += count_at(label->second.by_value, value);
    }
    return count;
}

std::size_t LabelIndex::neighbours(const Selector::Restriction& restriction) const {
    if (restriction.values.empty()) {
        return count_at(selectors_by_label_, restriction.label);
    }
    std::size_t most = 0;
    for (const auto& value : restriction.values) {
        most = std::max(most, count_at(selectors_by_value_, LabelValue{restriction.label, value}));
    }
    return most;
}

std::optional<Selector::Restriction> LabelIndex::choose_place(const Selector& selector) const {
    const auto restrictions = selector.restrictions();
    // Values first: items that have the label with another one need not look there.
    const auto best = std::ranges::min_element(restrictions, {}, [this](const auto& r) {
        return std::pair(r.values.empty(), neighbours(r));
    });
    return best == restrictions.end() ? std::nullopt : std::optional(*best);
}

void LabelIndex::index_item(ItemId id, const Labels& labels) {
    for (const auto& [name, value] : labels) {
        Holders& label = items_by_label_[name];
        label.by_value[value].insert(id);
        ++label.count;
    }
}

void LabelIndex::unindex_item(ItemId id, const Labels& labels) {
    for (const auto& [name, value] : labels) {
        const auto label = items_by_label_.find(name);
        enter(label->second.by_value, value, id, false);
        if (--label->second.count == 0) {
            items_by_label_.erase(label);
        }
    }
}

void LabelIndex::index_selector(SelectorId id, const Entry& entry, bool present) {
    if (!entry.place) {
        if (present) {
            unrestricted_.insert(id);
        } else {
            unrestricted_.erase(id);
        }
        return;
    }
    const auto& [label, values] = *entry.place;
    if (values.empty()) {
        enter(selectors_by_label_, label, id, present);
    }
    for (const auto& value : values) {
        enter(selectors_by_value_, LabelValue{label, value}, id, present);
    }
}

}  // namespace vr::policy
