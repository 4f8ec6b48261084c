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
using policy::Resource;
using policy::ResourcePtr;
using policy::Selector;
using policy::SetName;

namespace {

/// Endpoints that are looked at between two looks at the clock.
constexpr std::size_t kStep = 32;

/// Kinds that hosts know by the members of sets alone.
bool brings_only_members(Kind kind) {
    return kind == Kind::NetworkSet || kind == Kind::GlobalNetworkSet ||
           kind == Kind::EndpointSlice;
}

/// Kinds that no host acts upon.
bool is_for_no_host(Kind kind) {
    return kind == Kind::IPReservation || kind == Kind::ClusterInformation;
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
    const auto all_kept = [&](auto& kept) { keep(kept.key(), kept.mapped()); };
    const auto all_owned = [&](auto& owned) { own(owned.key(), owned.mapped()); };
    const auto all_unused = [&](auto& item) { forget(item.value()); };
    if (!slice.drain(batch.kept, all_kept) || !slice.drain(batch.blocks, all_owned) ||
        !sets_.flush(slice) || !slice.drain(unused_, all_unused)) {
        return false;
    }
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
    while (sets_.has_work() || !bestowing_.empty() || !selecting_.empty() || !leaving_.empty()) {
        if (sets_.has_work()) {
            sets_.work();
        } else if (!bestowing_.empty()) {
            place_next_follower();
        } else if (!selecting_.empty()) {
            find_some(selecting_.front());
        } else {
            let_some_go(leaving_.front());
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
    if (is_for_no_host(key.kind)) {
        return;
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
    if (is_for_no_host(key.kind) || brings_only_members(key.kind) || !resources_.contains(key)) {
        return;
    }
    if (reason.empty()) {
        kept_.erase(key);
    } else {
        kept_[key] = reason;
    }
    const ItemPtr item = item_of(key);
    set_content(item, with_reason(item->content, reason));
}

void Cluster::remove(const Key& key) {
    if (is_for_no_host(key.kind)) {
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
    } else if (selections_.contains(key)) {
        set_stage(key, false);
        deselect(key);  // host by host, with the sets that it names
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
        if (endpoint.key.kind == Kind::HostEndpoint || !selections_.at(key).only_hosts) {
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

void Cluster::select(const Resource& resource) {
    const Key& key = resource.key;
    const auto& policy = resource.as<policy::Policy>();
    const Selector scope = policy_scope(policy, key.ns);
    const bool only_hosts = policy.hook != policy::Hook::Normal;
    Selection& selection = selections_[key];
    const bool fresh = selection.id == policy::SelectorId{};
    if (!fresh && selection.scope == scope.text() && selection.only_hosts == only_hosts) {
        return;
    }
    const ItemPtr item = item_of(key);
    if (!fresh) {
        leaving_.push_back({selection.id, item, selection.only_hosts, {}});
    }
    selection = {policy::SelectorId{++last_policy_}, scope.text(), only_hosts};
    policy_keys_.emplace(selection.id, key);
    selecting_.push_back(
        {selection.id, item, only_hosts, policy_index_.begin_selector(selection.id, scope)});
}

void Cluster::deselect(const Key& key) {
    const auto known = selections_.find(key);
    leaving_.push_back({known->second.id, item_of(key), known->second.only_hosts, {}});
    selections_.erase(known);
}

/// An endpoint whose labels a policy selects; null: the policy is not for such a one.
Cluster::Placed* Cluster::selected(policy::ItemId endpoint, bool only_hosts) {
    const Key& key = endpoint_keys_.at(endpoint);
    return key.kind == Kind::HostEndpoint || !only_hosts ? &placed_.at(key) : nullptr;
}

/// Makes the hosts of some endpoints need a policy.
void Cluster::find_some(Selecting& selecting) {
    std::vector<policy::MatchChange> changes;
    const bool more = policy_index_.judge(selecting.scan, kStep, changes);
    for (const auto& change : changes) {
        if (Placed* placed = selected(change.item, selecting.only_hosts)) {
            use(*placed->host, selecting.policy);
            placed->needs.push_back(selecting.policy);
        }
    }
    if (!more) {
        selecting_.pop_front();
    }
}

void Cluster::let_some_go(Selecting& leaving) {
    std::vector<policy::MatchChange> changes;
    const bool over = policy_index_.remove_selector(leaving.id, kStep, changes);
    for (const auto& change : changes) {
        if (Placed* placed = selected(change.item, leaving.only_hosts)) {
            placed->needs.erase(std::ranges::find(placed->needs, leaving.policy));
            drop(*placed->host, leaving.policy);
        }
    }
    if (over) {
        policy_keys_.erase(leaving.id);
        leaving_.pop_front();
    }
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

void Cluster::set_content(const ItemPtr& item, Chunk content) {
    item->version = content ? ++last_version_ : 0;
    item->content = std::move(content);
    touch_users(item);
}

void Cluster::set_names(const ItemPtr& item, std::map<SetName, Selector> names) {
    for (const auto& [host, reasons] : item->users) {
        for (const auto& [name, selector] : names) {
            if (!item->names.contains(name)) {
                use(*host, sets_.item_of(name, selector));
            }
        }
        for (const auto& [name, selector] : item->names) {
            if (!names.contains(name)) {
                drop(*host, sets_.item(name));
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
        use(host, sets_.item_of(name, selector));
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
        drop(host, sets_.item(name));
    }
    for (const auto& stage : item->stages) {
        drop(host, stage);
    }
    if (item->users.empty()) {
        unused_.insert(item);
    }
}

/// Forgets a set that nobody needs, or an object that neither exists nor is waited for.
void Cluster::forget(const ItemPtr& unused) {
    if (!unused->users.empty()) {
        return;
    }
    if (unused->is_set) {
        sets_.forget(unused->set);
    } else if (unused->version == 0 && unused->stages.empty()) {
        items_.erase(unused->key);
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

Chunk Cluster::next(Item& item, Known& known) const {
    assert(!busy_ && "half of a batch may be wider than both of its ends");
    if (item.is_set) {
        return sets_.next(item, known);
    }
    return std::exchange(known.version, item.version) == item.version ? nullptr : item.content;
}

}  // namespace vr::policyd
