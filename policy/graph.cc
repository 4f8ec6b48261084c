// SPDX-License-Identifier: Apache-2.0
#include "policy/graph.h"

#include <utility>

#include "policy/scope.h"

namespace vr::policy {

namespace {

std::string workload_name(const Key& endpoint) {
    return endpoint.ns + "/" + endpoint.name;
}

bool is_policy(Kind kind) {
    return kind == Kind::NetworkPolicy || kind == Kind::GlobalNetworkPolicy;
}

}  // namespace

Graph::Graph(std::string node, WorkloadSink& sink)
    : node_(std::move(node)), programs_(resources_, sets_), publisher_(sink) {}

void Graph::on(const Batch& batch) {
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

void Graph::upsert(const ResourcePtr& resource) {
    const Key& key = resource->key;
    if (std::holds_alternative<WorkloadEndpoint>(resource->spec) ||
        std::holds_alternative<NetworkSet>(resource->spec)) {
        (void)inheritance_.set_item(key, own_labels(*resource), inherited_profiles(*resource));
        place_item(*resource);
    } else if (const auto* profile = std::get_if<Profile>(&resource->spec)) {
        programs_.touch(key);
        bestow(key.name, profile->labels_to_apply);
    } else if (is_policy(key.kind)) {
        programs_.touch(key);
        resolver_.set_policy(resource);
    } else if (const auto* tier = std::get_if<Tier>(&resource->spec)) {
        resolver_.set_tier(key.name, *tier);
    }
}

void Graph::remove(const Key& key) {
    if (key.kind == Kind::Profile) {
        programs_.touch(key);
        bestow(key.name, {});
    } else if (is_policy(key.kind)) {
        resolver_.remove_policy(key);
    } else if (key.kind == Kind::Tier) {
        resolver_.remove_tier(key.name);
    } else {
        inheritance_.remove_item(key);
        remove_item(key);
    }
}

void Graph::bestow(const std::string& profile, const Labels& labels) {
    for (const auto& item : inheritance_.set_profile(profile, labels)) {
        place_item(*resources_.at(item));
    }
}

void Graph::place_item(const Resource& resource) {
    const Key& key = resource.key;
    const Labels labels = inheritance_.labels(key);
    if (const auto* set = std::get_if<NetworkSet>(&resource.spec)) {
        sets_.set_item(key, labels, set->nets, {});
        return;
    }
    const auto& endpoint = resource.as<WorkloadEndpoint>();
    if (endpoint.networks.empty()) {
        remove_item(key);  // ignored completely, POLICY 2.2
        return;
    }
    sets_.set_item(key, labels, endpoint.networks, endpoint.ports);
    if (is_local(resource)) {
        resolver_.set_endpoint(key, labels);
        changed_local_.insert(key);
        removed_local_.erase(key);
    } else {
        resolver_.remove_endpoint(key);
        removed_local_.insert(key);
        changed_local_.erase(key);
    }
}

void Graph::remove_item(const Key& key) {
    sets_.remove_item(key);
    resolver_.remove_endpoint(key);
    changed_local_.erase(key);
    removed_local_.insert(key);
}

bool Graph::is_local(const Resource& resource) const {
    return resource.as<WorkloadEndpoint>().node == node_;
}

void Graph::flush() {
    if (!in_sync_) {
        return;
    }
    for (const auto& endpoint : std::exchange(removed_local_, {})) {
        drop_lists(endpoint);
        publisher_.remove_workload(workload_name(endpoint));
    }
    std::set<Key> to_publish = std::exchange(changed_local_, {});
    to_publish.merge(resolver_.take_dirty());
    for (const auto& endpoint : to_publish) {
        resolve(endpoint);
    }
    for (const auto& set : sets_.take_renumbered()) {
        programs_.touch(set);
    }
    const std::set<PolicyList> changed = programs_.refresh();
    for (const auto& [endpoint, lists] : local_) {
        if (changed.contains(lists.ingress) || changed.contains(lists.egress)) {
            to_publish.insert(endpoint);
        }
    }
    for (const auto& endpoint : to_publish) {
        publisher_.set_workload(workload(endpoint));
    }
    publisher_.change_members(sets_.take_changes());
    publisher_.flush();
    const std::set<Kind> kinds = std::exchange(changed_kinds_, {});
    if (kinds_changed_ && !kinds.empty()) {
        kinds_changed_(kinds);
    }
}

/// Gives `endpoint` the lists that it should have now.
void Graph::resolve(const Key& endpoint) {
    const auto& profiles = resources_.at(endpoint)->as<WorkloadEndpoint>().profiles;
    Lists lists{
        resolver_.resolve(endpoint, Direction::Ingress, profiles),
        resolver_.resolve(endpoint, Direction::Egress, profiles)};
    // The new ones first: programs that stay are not compiled again.
    programs_.acquire(lists.ingress);
    programs_.acquire(lists.egress);
    drop_lists(endpoint);
    local_.emplace(endpoint, std::move(lists));
}

void Graph::drop_lists(const Key& endpoint) {
    if (const auto known = local_.find(endpoint); known != local_.end()) {
        programs_.release(known->second.ingress);
        programs_.release(known->second.egress);
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
    for (const auto& network : endpoint.networks) {
        if (const auto* net4 = std::get_if<Prefix<V4>>(&network)) {
            workload.addresses4.push_back(*net4);
        } else {
            workload.addresses6.push_back(std::get<Prefix<V6>>(network));
        }
    }
    workload.attachment = endpoint.attachment;
    workload.ingress = programs_.program(lists.ingress);
    workload.egress = programs_.program(lists.egress);
    return workload;
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
    if (known == local_.end()) {
        return std::nullopt;
    }
    return direction == Direction::Ingress ? known->second.ingress : known->second.egress;
}

}  // namespace vr::policy
