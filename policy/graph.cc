// SPDX-License-Identifier: Apache-2.0
#include "policy/graph.h"

#include <algorithm>
#include <utility>

#include "policy/floating.h"
#include "policy/scope.h"

namespace vr::policy {

namespace {

std::string workload_name(const Key& endpoint) {
    return endpoint.ns + "/" + endpoint.name;
}

void split(
    const std::vector<IpPrefix>& all, std::vector<Prefix<V4>>& ip4, std::vector<Prefix<V6>>& ip6) {
    for (const auto& one : all) {
        if (const auto* net4 = std::get_if<Prefix<V4>>(&one)) {
            ip4.push_back(*net4);
        } else {
            ip6.push_back(std::get<Prefix<V6>>(one));
        }
    }
}

bool is_policy(Kind kind) {
    return enforced_key({kind, {}, {}}).kind == Kind::NetworkPolicy ||
           enforced_key({kind, {}, {}}).kind == Kind::GlobalNetworkPolicy;
}

bool has_dscp(const Spec& spec) {
    const auto* host = std::get_if<HostEndpoint>(&spec);
    const auto* workload = std::get_if<WorkloadEndpoint>(&spec);
    return (host != nullptr && host->dscp) || (workload != nullptr && workload->qos.dscp);
}

/// Groups of addresses that packets are asked about beside policy.
std::set<GroupId> groups_asked(const WorkloadRules& rules, bool marks) {
    std::set<GroupId> groups;
    if (rules.nat_outgoing) {
        groups = {kNatPools, kAllPools};
    }
    if (marks) {
        groups.insert({kAllPools, kClusterHosts});
    }
    if (rules.nat_outgoing && rules.nat_outgoing->spares_hosts) {
        groups.insert(kClusterHosts);
    }
    return groups;
}

}  // namespace

Graph::Graph(std::string node, WorkloadSink& sink, MembersFrom members_from)
    : node_(std::move(node)), sets_(members_from), programs_(resources_, sets_), publisher_(sink) {}

void Graph::on(const Batch& batch) {
    for (const auto& update : batch.sets) {
        take(SetUpdate(update));
    }
    for (const auto& event : batch.events) {
        take(event);
    }
    flush();
}

void Graph::take(const Event& event) {
    if (const auto* came = std::get_if<Upsert>(&event)) {
        ResourcePtr& known = resources_[came->resource->key];
        if (!known || *known != *came->resource) {
            known = came->resource;
            upsert(known);
            changed_kinds_.insert(known->key.kind);
        }
    } else if (const auto* went = std::get_if<Delete>(&event)) {
        if (resources_.erase(went->key) > 0) {
            remove(went->key);
            changed_kinds_.insert(went->key.kind);
        }
    } else {
        in_sync_ = true;
    }
}

void Graph::take(SetUpdate update) {
    sets_.feed(std::move(update));
}

void Graph::upsert(const ResourcePtr& resource) {
    const Key& key = resource->key;
    if (std::holds_alternative<WorkloadEndpoint>(resource->spec) ||
        std::holds_alternative<HostEndpoint>(resource->spec) ||
        std::holds_alternative<NetworkSet>(resource->spec) ||
        std::holds_alternative<EndpointSlice>(resource->spec)) {
        (void)inheritance_.set_item(key, own_labels(*resource), inherited_profiles(*resource));
        place_item(resource);
    } else if (const auto* profile = std::get_if<Profile>(&resource->spec)) {
        programs_.touch(key);
        bestow(key.name, profile);
    } else if (is_policy(key.kind)) {
        programs_.touch(key);
        resolver_.set_policy(resource);
    } else if (const auto* tier = std::get_if<Tier>(&resource->spec)) {
        resolver_.set_tier(key.name, *tier);
    } else if (key.kind == Kind::FelixConfiguration) {
        configure();
    } else if (key.kind == Kind::IPPool || key.kind == Kind::Node) {
        nets_.set(*resource);
    } else if (key.kind == Kind::LiveMigration) {
        place_again(migrations_.set(*resource));
    }
}

void Graph::remove(const Key& key) {
    if (key.kind == Kind::Profile) {
        programs_.touch(key);
        bestow(key.name, nullptr);
    } else if (is_policy(key.kind)) {
        resolver_.remove_policy(key);
    } else if (key.kind == Kind::Tier) {
        resolver_.remove_tier(key.name);
    } else if (key.kind == Kind::FelixConfiguration) {
        configure();
    } else if (key.kind == Kind::IPPool || key.kind == Kind::Node) {
        nets_.remove(key);
    } else if (key.kind == Kind::LiveMigration) {
        place_again(migrations_.remove(key));
    } else {
        inheritance_.remove_item(key);
        remove_item(key);
    }
}

void Graph::bestow(const std::string& name, const Profile* profile) {
    if (inheritance_.set_profile(name, profile)) {
        bestowing_[name] = Key{Kind{}, {}, {}};
    }
}

void Graph::place_again(std::vector<Key> items) {
    for (auto& item : items) {
        misplaced_.insert(std::move(item));
    }
}

bool Graph::settle(const Slice& slice) {
    while (sets_.has_work()) {
        sets_.work();
        publisher_.change_members(sets_.take_changes());
        if (slice.is_over()) {
            return false;
        }
    }
    return true;
}

/// All that have a profile which bestows other labels now.
bool Graph::place_followers(const Slice& slice) {
    while (!bestowing_.empty()) {
        const auto profile = bestowing_.begin();
        if (const Key* next = inheritance_.next_follower(profile->first, profile->second)) {
            profile->second = behind(*next);
            place_item(resources_.at(*next));
        } else {
            bestowing_.erase(profile);
        }
        if (!settle(slice) || slice.is_over()) {
            return false;
        }
    }
    return true;
}

void Graph::place_item(const ResourcePtr& object) {
    const Resource& resource = *object;
    const Key& key = resource.key;
    const Labels labels = inheritance_.labels(key);
    if (const auto* set = std::get_if<NetworkSet>(&resource.spec)) {
        sets_.set_item(key, labels, {object, set->nets, {}});
        return;
    }
    if (const auto* slice = std::get_if<EndpointSlice>(&resource.spec)) {
        sets_.set_item(key, labels, {object, slice->addresses, slice->ports});
        return;
    }
    if (const auto* host = std::get_if<HostEndpoint>(&resource.spec)) {
        if (host->lends) {
            sets_.set_item(key, labels, {object, host->expected_ips, host->ports});
        } else {
            sets_.set_item(key, labels, {});
        }
    } else {
        const auto& workload = resource.as<WorkloadEndpoint>();
        if (workload.networks.empty()) {
            remove_item(key);  // ignored completely, POLICY 2.2
            return;
        }
        sets_.set_item(key, labels, {object, workload.networks, workload.ports});
    }
    if (is_local(resource)) {
        own_.insert(key);
    } else {
        own_.erase(key);
    }
    const bool counts = own_.contains(key) && !is_refused(resource);
    if (counts && has_dscp(resource.spec)) {
        marking_.insert(key);
    } else {
        marking_.erase(key);
    }
    if (counts) {
        migrations_.place(resource);
        resolver_.set_endpoint(key, labels);
        changed_local_.insert(key);
        removed_local_.erase(key);
    } else {
        migrations_.displace(key);
        resolver_.remove_endpoint(key);
        removed_local_.insert(key);
        changed_local_.erase(key);
    }
}

void Graph::remove_item(const Key& key) {
    sets_.remove_item(key);
    migrations_.displace(key);
    resolver_.remove_endpoint(key);
    changed_local_.erase(key);
    marking_.erase(key);
    own_.erase(key);
    removed_local_.insert(key);
}

bool Graph::is_local(const Resource& resource) const {
    if (const auto* host = std::get_if<HostEndpoint>(&resource.spec)) {
        return host->node == node_;
    }
    return resource.as<WorkloadEndpoint>().node == node_;
}

/// An endpoint of a workload that FelixConfiguration does not permit, or that is closed.
bool Graph::is_refused(const Resource& resource) const {
    const auto* endpoint = std::get_if<WorkloadEndpoint>(&resource.spec);
    return endpoint != nullptr &&
           (!is_permitted(*endpoint, felix_) || inheritance_.is_closed(resource.key));
}

std::string Graph::refusal(const Key& key) const {
    const ResourcePtr endpoint = resource(key);
    if (!endpoint || !is_refused(*endpoint) || !is_local(*endpoint)) {
        return {};
    }
    return inheritance_.is_closed(key)
               ? "spec.profiles: one is invalid, and its labelsToApply cannot be read"
               : "spec.allowSpoofedSourcePrefixes: no FelixConfiguration says "
                 "workloadSourceSpoofing: Any";
}

/// Takes over what FelixConfiguration says now.
void Graph::configure() {
    const auto find = [&](const std::string& name) {
        const auto found = resource({Kind::FelixConfiguration, {}, name});
        return found ? &found->as<FelixConfiguration>() : nullptr;
    };
    felix_ = felix_settings(find(std::string(kFelixDefault)), find(felix_name(node_)));
    for (const auto& key : own_) {
        const auto* workload = std::get_if<WorkloadEndpoint>(&resources_.at(key)->spec);
        if (workload == nullptr) {
            changed_local_.insert(key);
        } else if (!workload->floating.empty() || !workload->spoofable.empty()) {
            misplaced_.insert(key);
        }
    }
}

bool Graph::flush(const Slice& slice) {
    if (!in_sync_) {
        return true;
    }
    if (!calculate(slice)) {
        return false;
    }
    if (!sets_.has_gaps()) {
        if (!publisher_.flush(slice)) {
            return false;
        }
        in_force_ = true;
    }
    const std::set<Kind> kinds = std::exchange(changed_kinds_, {});
    if (kinds_changed_ && !kinds.empty()) {
        kinds_changed_(kinds);
    }
    return true;
}

/// What is still to do is in queues, so a further call goes on where the last one ended.
bool Graph::calculate(const Slice& slice) {
    const auto find_lists = [&](const auto& endpoint) {
        resolve(endpoint.value());
        resolved_local_.insert(endpoint.value());
    };
    const auto place = [&](const auto& item) {
        if (const auto known = resource(item.value())) {
            place_item(known);
        }
    };
    if (!place_followers(slice) || !slice.drain(misplaced_, place)) {
        return false;
    }
    changed_local_.merge(resolver_.take_dirty());
    if (!slice.drain(removed_local_, [&](const auto& each) { withdraw(each.value()); }) ||
        !slice.drain(changed_local_, find_lists)) {
        return false;
    }
    // Programs name sets; what numbers the ports of a set have, by which they are compiled, its members tell.
    do {
        if (!settle(slice)) {
            return false;
        }
        for (const auto& set : sets_.take_renumbered()) {
            programs_.touch(set);
        }
        if (!programs_.refresh(slice, changed_programs_)) {
            return false;
        }
    } while (sets_.has_work());
    replace_programs();
    if (!slice.drain(resolved_local_, [&](const auto& each) { publish(each.value()); })) {
        return false;
    }
    const WorkloadRules rules = workload_rules();
    nets_.want(groups_asked(rules, !marking_.empty()));
    publisher_.set_workload_rules(rules);
    publisher_.set_policy_log(felix_.policy_log);
    publisher_.set_migration_terms(felix_.migration);
    publisher_.change_members(nets_.take_changes());
    return true;
}

void Graph::withdraw(const Key& endpoint) {
    drop_lists(endpoint);
    if (endpoint.kind == Kind::HostEndpoint) {
        publisher_.remove_host(endpoint.name);
    } else {
        publisher_.remove_workload(workload_name(endpoint));
    }
}

/// Workloads are told by program, however many share it; host endpoints are published anew.
void Graph::replace_programs() {
    if (changed_programs_.empty()) {
        return;
    }
    const auto changed = std::exchange(changed_programs_, {});
    ReplacedPrograms replaced;
    for (const auto& [list, before] : changed) {
        replaced.emplace(before, list->program);
    }
    publisher_.replace_programs(replaced);
    for (auto at = local_.lower_bound(Key{Kind::HostEndpoint, {}, {}});
         at != local_.end() && at->first.kind == Kind::HostEndpoint;
         ++at) {
        if (std::ranges::any_of(
                at->second, [&](const auto* list) { return changed.contains(list); })) {
            resolved_local_.insert(at->first);
        }
    }
}

/// Gives `endpoint` the lists that it should have now.
void Graph::resolve(const Key& endpoint) {
    Lists lists;
    // The new ones first: programs that stay are not compiled again.
    for (auto& list : lists_of(endpoint)) {
        lists.push_back(programs_.acquire(std::move(list)));
    }
    drop_lists(endpoint);
    local_.emplace(endpoint, std::move(lists));
}

std::vector<PolicyList> Graph::lists_of(const Key& endpoint) const {
    if (endpoint.kind == Kind::HostEndpoint) {
        return host_lists(endpoint);
    }
    const auto& profiles = resources_.at(endpoint)->as<WorkloadEndpoint>().profiles;
    return {
        resolver_.resolve(endpoint, Direction::Ingress, profiles),
        resolver_.resolve(endpoint, Direction::Egress, profiles),
        resolver_.resolve(endpoint, Direction::Ingress, profiles, {}, View::Preview),
        resolver_.resolve(endpoint, Direction::Egress, profiles, {}, View::Preview)};
}

std::vector<PolicyList> Graph::host_lists(const Key& endpoint) const {
    const auto& host = resources_.at(endpoint)->as<HostEndpoint>();
    std::vector<PolicyList> lists;
    for (const View view : {View::Enforced, View::Preview}) {
        for (const HostHook hook : kAllHostHooks) {
            lists.push_back(host_list(endpoint, host, hook, view));
        }
    }
    return lists;
}

PolicyList Graph::host_list(
    const Key& endpoint, const HostEndpoint& host, HostHook hook, View view) const {
    const bool in = is_ingress(hook);
    const Direction direction = in ? Direction::Ingress : Direction::Egress;
    PolicyList list;
    if ((host.closed || inheritance_.is_closed(endpoint)) && is_normal(hook)) {
        list.direction = direction;
        list.hook = hook;
    } else {
        list = resolver_.resolve(
            endpoint,
            direction,
            is_normal(hook) ? host.profiles : std::vector<std::string>{},
            hook,
            view);
    }
    if (!is_forward(hook)) {
        list.failsafes.opened = in ? felix_.failsafe_inbound : felix_.failsafe_outbound;
    }
    if (is_untracked(hook)) {
        list.failsafes.answers = in ? felix_.failsafe_outbound : felix_.failsafe_inbound;
    }
    return list;
}

void Graph::publish(const Key& endpoint) {
    if (endpoint.kind == Kind::HostEndpoint) {
        publisher_.set_host(host_guard(endpoint));
    } else {
        publisher_.set_workload(workload(endpoint));
    }
}

void Graph::drop_lists(const Key& endpoint) {
    if (const auto known = local_.find(endpoint); known != local_.end()) {
        for (const auto* list : known->second) {
            programs_.release(list);
        }
        local_.erase(known);
    }
}

Workload Graph::workload(const Key& key) const {
    const auto& endpoint = resources_.at(key)->as<WorkloadEndpoint>();
    const Lists& lists = local_.at(key);
    Workload workload;
    workload.name = workload_name(key);
    workload.interface_name = endpoint.interface_name;
    workload.active = endpoint.active;
    workload.mac = endpoint.mac;
    split(endpoint.networks, workload.addresses4, workload.addresses6);
    split(endpoint.spoofable, workload.spoofable4, workload.spoofable6);
    workload.qos = endpoint.qos;
    if (may_float(endpoint, felix_)) {
        workload.floating = endpoint.floating;
    }
    workload.attachment = endpoint.attachment;
    workload.route_priority = endpoint.route_priority;
    workload.migration = migrations_.role(key);
    workload.ingress = lists[0]->program;
    workload.egress = lists[1]->program;
    if (lists[2] != lists[0]) {
        workload.staged_ingress = lists[2]->program;
    }
    if (lists[3] != lists[1]) {
        workload.staged_egress = lists[3]->program;
    }
    return workload;
}

WorkloadRules Graph::workload_rules() const {
    WorkloadRules rules = felix_.workloads;
    if (!nets_.is_empty(kNatPools)) {
        rules.nat_outgoing = felix_.nat_outgoing;
        if (const auto node = resource({Kind::Node, {}, node_})) {
            rules.nat_outgoing->node4 = node->as<ClusterNode>().address4;
            rules.nat_outgoing->node6 = node->as<ClusterNode>().address6;
        }
    }
    return rules;
}

HostGuard Graph::host_guard(const Key& key) const {
    const auto& host = resources_.at(key)->as<HostEndpoint>();
    const Lists& lists = local_.at(key);
    HostGuard guard;
    guard.name = key.name;
    guard.interface_name = host.interface_name;
    guard.closed = host.closed;
    guard.dscp = host.dscp;
    for (const auto& expected : host.expected_ips) {
        guard.addresses.push_back(
            std::visit([](const auto& prefix) { return IpAddr{prefix.address()}; }, expected));
    }
    for (const HostHook hook : kAllHostHooks) {
        const auto i = static_cast<std::size_t>(hook);
        if (is_normal(hook) || !lists[i]->list->tiers.empty()) {
            guard.programs[i] = lists[i]->program;
        }
        if (const auto* staged = lists[kHostHooks + i]; staged != lists[i]) {
            guard.staged[i] = staged->program;
        }
    }
    return guard;
}

std::vector<ResourcePtr> Graph::resources(Kind kind) const {
    std::vector<ResourcePtr> all;
    for (auto at = resources_.lower_bound(Key{kind, {}, {}});
         at != resources_.end() && at->first.kind == kind;
         ++at) {
        all.push_back(at->second);
    }
    return all;
}

ResourcePtr Graph::resource(const Key& key) const {
    const auto found = resources_.find(key);
    return found == resources_.end() ? nullptr : found->second;
}

std::optional<PolicyList> Graph::policies_of(const Key& endpoint, Direction direction) const {
    const auto known = local_.find(endpoint);
    if (known == local_.end() || endpoint.kind != Kind::WorkloadEndpoint) {
        return std::nullopt;
    }
    return *known->second[direction == Direction::Ingress ? 0 : 1]->list;
}

std::optional<PolicyList> Graph::policies_of(const Key& host_endpoint, HostHook hook) const {
    const auto known = local_.find(host_endpoint);
    if (known == local_.end() || host_endpoint.kind != Kind::HostEndpoint) {
        return std::nullopt;
    }
    return *known->second[static_cast<std::size_t>(hook)]->list;
}

}  // namespace vr::policy
