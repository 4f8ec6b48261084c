// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/cluster.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "policy/policyd/feed.h"
#include "policy/policyd/rule_sets.h"
#include "policy/scope.h"

namespace vr::policyd {

using policy::Key;
using policy::Kind;
using policy::Labels;
using policy::PortMember;
using policy::Resource;
using policy::ResourcePtr;
using policy::Selector;
using policy::SetName;
using policy::SetUpdate;

namespace {

/// Changes of a set are kept while they are smaller than this part of the set, or this.
constexpr std::size_t kLeastDeltaBytes = 4096;
constexpr std::size_t kBytesPerMember = 5;

/// Kinds that hosts know by the members of sets alone.
bool brings_only_members(Kind kind) {
    return kind == Kind::NetworkSet || kind == Kind::GlobalNetworkSet ||
           kind == Kind::EndpointSlice;
}

bool is_endpoint(Kind kind) {
    return kind == Kind::WorkloadEndpoint || kind == Kind::HostEndpoint;
}

/// What endpoints of workloads and of hosts have in common.
struct Standing {
    const std::string& node;
    const std::vector<IpPrefix>& networks;
    const std::vector<policy::NamedPort>& ports;
    const std::vector<std::string>& profiles;
    bool ignored = false;  ///< completely, POLICY 2.2
    bool lends = true;     ///< its addresses and ports to sets
};

Standing standing_of(const Resource& endpoint) {
    if (const auto* host = std::get_if<policy::HostEndpoint>(&endpoint.spec)) {
        return {host->node, host->expected_ips, host->ports, host->profiles, false, host->lends};
    }
    const auto& workload = endpoint.as<policy::WorkloadEndpoint>();
    return {
        workload.node,
        workload.networks,
        workload.ports,
        workload.profiles,
        workload.networks.empty()};
}

/// POLICY 2.6: doNotTrack and preDNAT policies are for host endpoints only.
bool may_guard(const Resource& policy, Kind endpoint) {
    return endpoint == Kind::HostEndpoint ||
           policy.as<policy::Policy>().hook == policy::Hook::Normal;
}

}  // namespace

// --- events ---------------------------------------------------------------------------------

bool Cluster::go_on(const policy::Slice& slice) {
    if (waiting_.empty()) {
        return settle(slice);  // sets that went
    }
    busy_ = true;
    policy::Batch& batch = waiting_.front();
    if (!take_all(batch, slice) || !settle(slice)) {
        return false;
    }
    for (const auto& [key, reason] : batch.kept) {
        keep(key, reason);
    }
    for (const auto& [host, blocks] : batch.blocks) {
        own(host, blocks);
    }
    tell_member_changes();
    forget_unused();
    waiting_.pop_front();
    next_ = 0;
    busy_ = false;
    return true;
}

bool Cluster::take_all(policy::Batch& batch, const policy::Slice& slice) {
    while (next_ < batch.events.size()) {
        if (!settle(slice)) {
            return false;
        }
        take(std::exchange(batch.events[next_++], policy::InSync{}));
        if (slice.is_over()) {
            return false;
        }
    }
    return true;
}

/// What one object sets off, before the next is taken: it may concern all others.
bool Cluster::settle(const policy::Slice& slice) {
    while (sets_.has_work() || !bestowing_.empty()) {
        if (sets_.has_work()) {
            sets_.work();
            note_member_changes();
        } else {
            place_next_follower();
        }
        if (slice.is_over()) {
            return false;
        }
    }
    return true;
}

void Cluster::take(const policy::Event& event) {
    if (const auto* came = std::get_if<policy::Upsert>(&event)) {
        policy::ResourcePtr& known = resources_[came->resource->key];
        if (!known || *known != *came->resource) {
            known = came->resource;
            upsert(*came);
        }
    } else if (const auto* went = std::get_if<policy::Delete>(&event)) {
        kept_.erase(went->key);
        if (resources_.erase(went->key) > 0) {
            remove(went->key);
        }
    } else {
        in_sync_ = true;
    }
}

void Cluster::upsert(const policy::Upsert& event) {
    const Resource& resource = *event.resource;
    const Key& key = resource.key;
    if (key.kind == Kind::IPReservation) {
        return;  // no host acts upon it
    }
    if (!brings_only_members(key.kind)) {
        assert(event.text && "what hosts are told is the text");
        const auto kept = kept_.find(key);
        const std::string_view reason = kept == kept_.end() ? std::string_view() : kept->second;
        set_content(item_of(key), object_update(key, *event.text, reason));
    }
    if (brings_only_members(key.kind) || is_endpoint(key.kind)) {
        (void)inheritance_.set_item(key, own_labels(resource), inherited_profiles(resource));
        place(event.resource);
    } else if (const auto* profile = std::get_if<policy::Profile>(&resource.spec)) {
        set_names(item_of(key), sets_of(event.resource));
        bestow(key.name, profile);
    } else if (const auto* policy = std::get_if<policy::Policy>(&resource.spec)) {
        set_names(item_of(key), sets_of(event.resource));
        select(resource);
        set_stage(
            key, policy->staged == policy::Staged::Set || policy->staged == policy::Staged::Delete);
    } else if (!for_all_.contains(key)) {
        const ItemPtr& item = for_all_[key] = item_of(key);
        for (auto& [name, host] : hosts_) {
            use(host, item);
        }
    }
}

/// Hosts are told why, that they can tell it.
void Cluster::keep(const Key& key, const std::string& reason) {
    if (brings_only_members(key.kind) || !resources_.contains(key)) {
        return;
    }
    if (reason.empty()) {
        kept_.erase(key);
    } else {
        kept_[key] = reason;
    }
    const ItemPtr item = item_of(key);
    set_content(item, with_reason(item->whole, reason));
}

void Cluster::remove(const Key& key) {
    if (key.kind == Kind::IPReservation) {
        return;
    }
    if (brings_only_members(key.kind)) {
        inheritance_.remove_item(key);
        sets_.remove_item(key);
        return;
    }
    const ItemPtr item = item_of(key);
    set_content(item, nullptr);
    if (is_endpoint(key.kind)) {
        inheritance_.remove_item(key);
        unplace(key);
    } else if (key.kind == Kind::Profile) {
        set_names(item, {});
        bestow(key.name, nullptr);
    } else if (policy_ids_.contains(key)) {
        set_stage(key, false);
        deselect(key);
        set_names(item, {});
    } else if (for_all_.erase(key) > 0) {
        for (auto& [name, host] : hosts_) {
            drop(host, item);
        }
    }
    unused_.insert(item);
}

// --- endpoints and sets ---------------------------------------------------------------------

void Cluster::place(const ResourcePtr& object) {
    const Resource& resource = *object;
    const Labels labels = inheritance_.labels(resource.key);
    if (const auto* set = std::get_if<policy::NetworkSet>(&resource.spec)) {
        sets_.set_item(resource.key, labels, {object, set->nets, {}});
    } else if (const auto* slice = std::get_if<policy::EndpointSlice>(&resource.spec)) {
        sets_.set_item(resource.key, labels, {object, slice->addresses, slice->ports});
    } else {
        place_endpoint(object, labels);
    }
}

void Cluster::place_endpoint(const ResourcePtr& object, const Labels& labels) {
    const Resource& resource = *object;
    const Key& key = resource.key;
    const Standing standing = standing_of(resource);
    if (standing.ignored) {
        unplace(key);
        return;
    }
    if (standing.lends) {
        sets_.set_item(key, labels, {object, standing.networks, standing.ports});
    } else {
        sets_.set_item(key, labels, {});
    }
    if (standing.node.empty()) {
        leave_host(key);  // of no host: an invalid one whose addresses count (salvage.h)
        return;
    }
    Placed& placed = placed_[key];
    if (placed.id == policy::ItemId{}) {
        placed.id = policy::ItemId{++last_endpoint_};
        endpoint_keys_.emplace(placed.id, key);
    }
    (void)policy_index_.set_item(placed.id, labels);
    std::vector<ItemPtr> needs = needs_of(resource, placed.id);
    // First the new ones: what stays is never dropped.
    Host& host = host_of(standing.node);
    for (const auto& item : needs) {
        use(host, item);
    }
    for (const auto& item : placed.needs) {
        drop(*placed.host, item);
    }
    placed.host = &host;
    placed.needs = std::move(needs);
}

std::vector<ItemPtr> Cluster::needs_of(const Resource& endpoint, policy::ItemId id) {
    std::vector<ItemPtr> needs{item_of(endpoint.key)};
    for (const auto policy : policy_index_.selectors_of(id)) {
        const Key& key = policy_keys_.at(policy);
        if (may_guard(*resources_.at(key), endpoint.key.kind)) {
            needs.push_back(item_of(key));
        }
    }
    for (const auto& profile : standing_of(endpoint).profiles) {
        needs.push_back(item_of({Kind::Profile, {}, profile}));
    }
    return needs;
}

bool Cluster::is_on(const Key& endpoint, const std::string& host) const {
    const auto placed = placed_.find(endpoint);
    return placed != placed_.end() && placed->second.host->name == host;
}

void Cluster::unplace(const Key& key) {
    sets_.remove_item(key);
    leave_host(key);
}

void Cluster::leave_host(const Key& key) {
    const auto known = placed_.find(key);
    if (known == placed_.end()) {
        return;
    }
    (void)policy_index_.remove_item(known->second.id);
    for (const auto& item : known->second.needs) {
        drop(*known->second.host, item);
    }
    endpoint_keys_.erase(known->second.id);
    placed_.erase(known);
}

void Cluster::bestow(const std::string& name, const policy::Profile* profile) {
    if (inheritance_.set_profile(name, profile)) {
        bestowing_[name] = Key{Kind{}, {}, {}};
    }
}

void Cluster::place_next_follower() {
    const auto profile = bestowing_.begin();
    if (const Key* next = inheritance_.next_follower(profile->first, profile->second)) {
        profile->second = policy::behind(*next);
        place(resources_.at(*next));
    } else {
        bestowing_.erase(profile);
    }
}

// --- policies -------------------------------------------------------------------------------

void Cluster::select(const Resource& policy) {
    const Key& key = policy.key;
    policy::SelectorId& id = policy_ids_[key];
    if (id == policy::SelectorId{}) {
        id = policy::SelectorId{++last_policy_};
        policy_keys_.emplace(id, key);
    }
    const Selector scope = policy_scope(policy.as<policy::Policy>(), key.ns);
    std::set<policy::ItemId> concerned = policy_index_.items_of(id);
    (void)policy_index_.set_selector(id, scope);
    concerned.merge(policy_index_.items_of(id));
    for (const auto endpoint : concerned) {
        settle(endpoint, policy);
    }
}

/// Makes the host of `endpoint` need `policy`, or no longer.
void Cluster::settle(policy::ItemId endpoint, const Resource& policy) {
    const Key& key = endpoint_keys_.at(endpoint);
    Placed& placed = placed_.at(key);
    const ItemPtr item = item_of(policy.key);
    const bool needed = may_guard(policy, key.kind) &&
                        policy_index_.selectors_of(endpoint).contains(policy_ids_.at(policy.key));
    const auto known = std::ranges::find(placed.needs, item);
    if (needed && known == placed.needs.end()) {
        use(*placed.host, item);
        placed.needs.push_back(item);
    } else if (!needed && known != placed.needs.end()) {
        placed.needs.erase(known);
        drop(*placed.host, item);
    }
}

void Cluster::deselect(const Key& key) {
    const auto known = policy_ids_.find(key);
    const ItemPtr item = item_of(key);
    for (const auto endpoint : policy_index_.items_of(known->second)) {
        Placed& placed = placed_.at(endpoint_keys_.at(endpoint));
        if (std::erase(placed.needs, item) > 0) {
            drop(*placed.host, item);
        }
    }
    policy_index_.remove_selector(known->second);
    policy_keys_.erase(known->second);
    policy_ids_.erase(known);
}

/// Who needs a policy needs the staged ones that would replace it, POLICY 2.5 step 6, even those that
/// select nothing.
void Cluster::set_stage(const Key& key, bool replaces) {
    const Key replaced = policy::enforced_key(key);
    if (replaced == key) {
        return;
    }
    const ItemPtr item = item_of(replaced);
    const ItemPtr stage = item_of(key);
    if (replaces && item->stages.insert(stage).second) {
        for (const auto& [host, reasons] : item->users) {
            use(*host, stage);
        }
    } else if (!replaces && item->stages.erase(stage) > 0) {
        for (const auto& [host, reasons] : item->users) {
            drop(*host, stage);
        }
        unused_.insert(item);
    }
}

// --- blocks of addresses --------------------------------------------------------------------

void Cluster::own(const std::string& host, const std::set<IpPrefix>& blocks) {
    const auto [owned, fresh] = owned_.try_emplace(host);
    ItemPtr& item = owned->second;
    if (fresh) {
        item = std::make_shared<Item>();
        item->id = ++last_item_;
        item->removal = own_blocks({});
    }
    set_content(item, blocks.empty() ? nullptr : own_blocks(blocks));
    const auto known = hosts_.find(host);
    if (known != hosts_.end() && fresh) {
        use(known->second, item);
    }
    if (blocks.empty()) {
        if (known != hosts_.end()) {
            drop(known->second, item);
            unused_.erase(item);
        }
        owned_.erase(owned);
    }
}

// --- items ----------------------------------------------------------------------------------

/// The item of an object, which need not exist: profiles are waited for, and what stages replace.
ItemPtr Cluster::item_of(const Key& key) {
    ItemPtr& item = items_[key];
    if (!item) {
        item = std::make_shared<Item>();
        item->id = ++last_item_;
        item->key = key;
        item->removal = object_remove(key);
        unused_.insert(item);
    }
    return item;
}

ItemPtr Cluster::set_item_of(const SetName& name, const Selector& selector) {
    const auto [found, fresh] = sets_by_name_.try_emplace(name);
    Set& set = found->second;
    if (fresh) {
        sets_.acquire(name, selector);
        set.item = std::make_shared<Item>();
        set.item->id = ++last_item_;
        set.item->is_set = true;
        set.item->set = name;
        set.item->version = ++last_version_;
        set.item->removal = set_update({name, SetUpdate::How::Forget, {}, {}});
    }
    return set.item;
}

Host& Cluster::host_of(const std::string& name) {
    const auto [found, fresh] = hosts_.try_emplace(name);
    if (fresh) {
        found->second.name = name;
        for (const auto& [key, item] : for_all_) {
            use(found->second, item);
        }
        if (const auto blocks = owned_.find(name); blocks != owned_.end()) {
            use(found->second, blocks->second);
        }
    }
    return found->second;
}

void Cluster::set_content(const ItemPtr& item, Chunk whole) {
    item->version = whole ? ++last_version_ : 0;
    item->whole = std::move(whole);
    for (const auto& [host, reasons] : item->users) {
        if (host->feed != nullptr) {
            host->feed->touch(item);
        }
    }
}

void Cluster::set_names(const ItemPtr& item, std::map<SetName, Selector> names) {
    for (const auto& [host, reasons] : item->users) {
        for (const auto& [name, selector] : names) {
            if (!item->names.contains(name)) {
                use(*host, set_item_of(name, selector));
            }
        }
        for (const auto& [name, selector] : item->names) {
            if (!names.contains(name)) {
                drop(*host, sets_by_name_.at(name).item);
            }
        }
    }
    item->names = std::move(names);
}

void Cluster::use(Host& host, const ItemPtr& item) {
    if (++item->users[&host] > 1) {
        return;
    }
    host.items.emplace(item->id, item);
    if (host.feed != nullptr) {
        host.feed->touch(item);
    }
    for (const auto& [name, selector] : item->names) {
        use(host, set_item_of(name, selector));
    }
    for (const auto& stage : item->stages) {
        use(host, stage);
    }
}

void Cluster::drop(Host& host, const ItemPtr& item) {
    const auto user = item->users.find(&host);
    if (--user->second > 0) {
        return;
    }
    item->users.erase(user);
    host.items.erase(item->id);
    if (host.feed != nullptr) {
        host.feed->touch(item);
    }
    for (const auto& [name, selector] : item->names) {
        drop(host, sets_by_name_.at(name).item);
    }
    for (const auto& stage : item->stages) {
        drop(host, stage);
    }
    if (item->users.empty()) {
        unused_.insert(item);
    }
}

/// Forgets sets that nobody needs, and objects that neither exist nor are waited for.
void Cluster::forget_unused() {
    for (const auto& item : std::exchange(unused_, {})) {
        if (!item->users.empty()) {
            continue;
        }
        if (!item->is_set) {
            if (item->version == 0 && item->stages.empty()) {
                items_.erase(item->key);
            }
        } else if (const auto set = sets_by_name_.find(item->set); set != sets_by_name_.end()) {
            forget_closed_groups(set->second, {});
            sets_by_name_.erase(set);
            sets_.release(item->set);
        }
    }
}

// --- members --------------------------------------------------------------------------------

/// Which set a group belongs to, also for a moment after it is gone; null when nobody knew it.
const Cluster::Owner* Cluster::owner(GroupId group) {
    if (const auto known = owners_.find(group); known != owners_.end()) {
        return &known->second;
    }
    const auto living = sets_.owner(group);
    const auto set = living ? sets_by_name_.find(living->first) : sets_by_name_.end();
    if (set == sets_by_name_.end()) {
        return nullptr;
    }
    set->second.groups.insert(group);
    return &(owners_[group] = {&set->second, living->second});
}

void Cluster::forget_closed_groups(Set& set, const std::set<GroupId>& open) {
    for (const auto group : set.groups) {
        if (!open.contains(group)) {
            owners_.erase(group);
        }
    }
    std::erase_if(set.groups, [&](GroupId group) { return !open.contains(group); });
}

void Cluster::note_member_changes() {
    for (const auto& change : sets_.take_changes()) {
        const Owner* of = owner(change.group);
        if (of == nullptr || of->set->fresh) {
            continue;  // nobody knows any of it
        }
        of->set->changed
            .try_emplace({of->port, change.member}, Change{.was = !change.present, .is = false})
            .first->second.is = change.present;
        changed_sets_.insert(of->set);
    }
}

/// Makes one delta of all that happened to the members of each set since the last flush.
void Cluster::tell_member_changes() {
    for (const auto& name : sets_.take_renumbered()) {
        if (const auto set = sets_by_name_.find(name); set != sets_by_name_.end()) {
            std::set<GroupId> open;
            for (const auto& [port, group] : sets_.groups(name)) {
                open.insert(group);
            }
            forget_closed_groups(set->second, open);
        }
    }
    for (Set* set : std::exchange(changed_sets_, {})) {
        tell_member_changes(*set);
    }
    for (auto& [name, set] : sets_by_name_) {
        if (std::exchange(set.fresh, false)) {
            set.members = sets_.members(name).size();
        }
    }
}

void Cluster::tell_member_changes(Set& set) {
    SetUpdate update{set.item->set, SetUpdate::How::Change, {}, {}};
    for (const auto& [member, change] : std::exchange(set.changed, {})) {
        if (change.was != change.is) {
            (change.is ? update.added : update.removed).push_back(member);
        }
    }
    if (update.added.empty() && update.removed.empty()) {
        return;
    }
    set.members += update.added.size();
    set.members -= update.removed.size();
    set.item->add_delta(
        ++last_version_,
        set_update(update),
        std::max(kLeastDeltaBytes, set.members * kBytesPerMember));
    for (const auto& [host, reasons] : set.item->users) {
        if (host->feed != nullptr) {
            host->feed->touch(set.item);
        }
    }
}

// --- feeds ----------------------------------------------------------------------------------

Host& Cluster::attach(const std::string& name, Feed& feed) {
    Host& host = host_of(name);
    assert(host.feed == nullptr);
    host.feed = &feed;
    return host;
}

void Cluster::detach(Host& host) {
    host.feed = nullptr;
}

/// What tells a host of `item` that has version `told` of it, 0 for none.
std::vector<Chunk> Cluster::content(Item& item, std::uint64_t told) {
    if (told == item.version) {
        return {};
    }
    const auto known =
        std::ranges::find_if(item.deltas, [&](const auto& delta) { return delta.to == told; });
    if (told != 0 && !item.deltas.empty() && (told == item.base || known != item.deltas.end())) {
        std::vector<Chunk> changes;
        for (auto at = told == item.base ? item.deltas.begin() : std::next(known);
             at != item.deltas.end();
             ++at) {
            changes.push_back(at->chunk);
        }
        return changes;
    }
    if (!item.whole) {
        item.whole = set_update({item.set, SetUpdate::How::Replace, sets_.members(item.set), {}});
    }
    return {item.whole};
}

}  // namespace vr::policyd
