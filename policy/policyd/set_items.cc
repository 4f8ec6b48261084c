// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/set_items.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "policy/policyd/feed.h"

namespace vr::policyd {

using policy::PortMember;
using policy::Selector;
using policy::SetName;
using policy::SetUpdate;

namespace {

/// Changes of a set are kept while they are smaller than this part of the set, or this.
constexpr std::size_t kLeastDeltaBytes = 4096;
constexpr std::size_t kBytesPerMember = 5;

}  // namespace

void SetItems::work() {
    members_.work();
    for (const auto& change : members_.take_changes()) {
        const Owner* of = owner(change.group);
        if (of == nullptr || of->set->fresh) {
            continue;  // nobody knows any of it
        }
        of->set->changed
            .try_emplace({of->port, change.member}, Change{.was = !change.present, .is = false})
            .first->second.is = change.present;
        changed_.insert(of->set);
    }
}

const ItemPtr& SetItems::item_of(const SetName& name, const Selector& selector) {
    const auto [found, fresh] = sets_.try_emplace(name);
    Set& set = found->second;
    if (fresh) {
        members_.acquire(name, selector);
        fresh_.push_back(&set);
        set.item = std::make_shared<Item>();
        set.item->id = ++*last_item_;
        set.item->is_set = true;
        set.item->set = name;
        set.item->version = set.item->base = ++last_version_;
        set.item->removal = set_update({name, SetUpdate::How::Forget, {}, {}});
    }
    return set.item;
}

void SetItems::forget(const SetName& name) {
    const auto known = sets_.find(name);
    if (known == sets_.end()) {
        return;
    }
    for (const auto group : known->second.groups) {
        owners_.erase(group);
    }
    sets_.erase(known);
    members_.release(name);
}

/// Which set a group belongs to, also for a moment after it is gone; null when nobody knew it.
const SetItems::Owner* SetItems::owner(GroupId group) {
    if (const auto known = owners_.find(group); known != owners_.end()) {
        return &known->second;
    }
    const auto living = members_.owner(group);
    const auto set = living ? sets_.find(living->first) : sets_.end();
    if (set == sets_.end()) {
        return nullptr;
    }
    set->second.groups.insert(group);
    return &(owners_[group] = {&set->second, living->second});
}

void SetItems::forget_closed_groups(const SetName& name) {
    const auto set = sets_.find(name);
    if (set == sets_.end()) {
        return;
    }
    std::set<GroupId> open;
    for (const auto& [port, group] : members_.groups(name)) {
        open.insert(group);
    }
    std::erase_if(set->second.groups, [&](GroupId group) {
        const bool closed = !open.contains(group);
        if (closed) {
            owners_.erase(group);
        }
        return closed;
    });
}

bool SetItems::flush(const policy::Slice& slice) {
    renumbered_.merge(members_.take_renumbered());
    if (!slice.drain(renumbered_, [&](auto& name) { forget_closed_groups(name.value()); })) {
        return false;
    }
    for (Set* set : std::exchange(fresh_, {})) {
        set->fresh = false;
    }
    while (!changed_.empty()) {
        Set& set = **changed_.begin();
        tell_some(set);
        if (set.changed.empty()) {
            changed_.erase(changed_.begin());
        }
        if (slice.is_over()) {
            return false;
        }
    }
    return true;
}

/// Makes one message of some of what happened to the members of `set`.
void SetItems::tell_some(Set& set) {
    SetUpdate update{set.item->set, SetUpdate::How::Change, {}, {}};
    for (std::size_t n = 0; n < kMostMembers && !set.changed.empty(); ++n) {
        const auto first = set.changed.begin();
        if (const auto& [member, change] = *first; change.was != change.is) {
            (change.is ? update.added : update.removed).push_back(member);
        }
        set.changed.erase(first);
    }
    if (update.added.empty() && update.removed.empty()) {
        return;
    }
    set.item->add_delta(
        ++last_version_,
        set_update(update),
        std::max(kLeastDeltaBytes, members_.size(set.item->set) * kBytesPerMember));
    touch_users(set.item);
}

Chunk SetItems::next(Item& item, Known& known) const {
    if (known.version == item.version) {
        return nullptr;
    }
    if (known.version >= item.base) {
        const Item::Delta& delta = item.after(known.version);
        known.version = delta.to;
        return delta.chunk;
    }
    if (item.whole.version == 0) {
        item.whole.version = item.version;
    }
    const Item::Whole& whole = item.whole;
    if (known.whole != whole.version) {
        known = {.version = 0, .whole = whole.version, .parts = 0};
    }
    if (known.parts == whole.parts.size()) {
        write_part(item);
    }
    Chunk part = whole.parts[known.parts++];
    if (whole.complete && known.parts == whole.parts.size()) {
        known = {.version = whole.version, .whole = 0, .parts = 0};
    }
    return part;
}

void SetItems::write_part(Item& item) const {
    using How = SetUpdate::How;
    Item::Whole& whole = item.whole;
    auto members = members_.members(item.set, whole.last, kMostMembers + 1);
    whole.complete = members.size() <= kMostMembers;
    if (!whole.complete) {
        members.pop_back();
        whole.last = members.back();
    }
    const How how = whole.parts.empty() ? How::Replace : How::Change;
    whole.parts.push_back(set_update({item.set, how, std::move(members), {}}));
}

}  // namespace vr::policyd
