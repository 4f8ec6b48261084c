// SPDX-License-Identifier: Apache-2.0
#include "policy/label_index.h"

#include <algorithm>

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
    const auto [known, fresh] = selectors_.try_emplace(id);
    Entry& entry = known->second;
    if (!fresh) {
        index_selector(id, entry, false);
    }
    entry.selector = selector;
    entry.place = choose_place(selector);
    index_selector(id, entry, true);
    std::set<ItemId> to_judge = candidates(selector);
    to_judge.insert(entry.matched.begin(), entry.matched.end());
    std::vector<MatchChange> changes;
    for (const auto item : to_judge) {
        judge(item, id, changes);
    }
    return changes;
}

void LabelIndex::remove_selector(SelectorId id) {
    const auto found = selectors_.find(id);
    if (found == selectors_.end()) {
        return;
    }
    for (const auto item : found->second.matched) {
        items_.at(item).matched.erase(id);
    }
    index_selector(id, found->second, false);
    selectors_.erase(found);
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

std::set<ItemId> LabelIndex::candidates(const Selector& selector) const {
    std::set<ItemId> found;
    const auto restrictions = selector.restrictions();
    if (restrictions.empty()) {
        for (const auto& [id, item] : items_) {
            found.insert(id);
        }
        return found;
    }
    const auto rarest = std::ranges::min_element(
        restrictions, {}, [this](const auto& restriction) { return holders(restriction); });
    const auto label = items_by_label_.find(rarest->label);
    if (label == items_by_label_.end()) {
        return found;
    }
    const auto& by_value = label->second.by_value;
    for (const auto& value : rarest->values) {
        collect(by_value, value, found);
    }
    if (rarest->values.empty()) {
        for (const auto& [value, items] : by_value) {
            found.insert(items.begin(), items.end());
        }
    }
    return found;
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
