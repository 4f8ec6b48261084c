// SPDX-License-Identifier: Apache-2.0
#include "policy/migrations.h"

#include <utility>

namespace vr::policy {

namespace {

/// A pod has one name in the cluster, wherever it is.
EndpointName canonical(EndpointName name) {
    if (name.orchestrator == "k8s") {
        name.host.clear();
    }
    return name;
}

EndpointName name_of(const Resource& resource) {
    const auto& endpoint = resource.as<WorkloadEndpoint>();
    const bool pod = endpoint.orchestrator == "k8s";
    return canonical(
        {.host = endpoint.node,
         .orchestrator = endpoint.orchestrator,
         .workload = resource.key.ns + "/" + (pod ? endpoint.pod : endpoint.workload),
         .endpoint = endpoint.endpoint});
}

void erase(std::map<EndpointName, std::set<Key>>& from, const EndpointName& name, const Key& key) {
    if (const auto found = from.find(name); found != from.end()) {
        found->second.erase(key);
        if (found->second.empty()) {
            from.erase(found);
        }
    }
}

}  // namespace

std::vector<Key> Migrations::set(const Resource& resource) {
    std::vector<Key> changed = remove(resource.key);
    LiveMigration& migration = migrations_[resource.key];
    migration = resource.as<LiveMigration>();
    migration.source = canonical(std::move(migration.source));
    migration.target = canonical(std::move(migration.target));
    sources_[migration.source].insert(resource.key);
    targets_[migration.target].insert(resource.key);
    add_named(migration.source, changed);
    add_named(migration.target, changed);
    return changed;
}

std::vector<Key> Migrations::remove(const Key& key) {
    std::vector<Key> changed;
    if (const auto found = migrations_.find(key); found != migrations_.end()) {
        const LiveMigration migration = std::move(found->second);
        migrations_.erase(found);
        erase(sources_, migration.source, key);
        erase(targets_, migration.target, key);
        add_named(migration.source, changed);
        add_named(migration.target, changed);
    }
    return changed;
}

void Migrations::add_named(const EndpointName& name, std::vector<Key>& into) const {
    if (const auto found = endpoints_.find(name); found != endpoints_.end()) {
        into.insert(into.end(), found->second.begin(), found->second.end());
    }
}

void Migrations::place(const Resource& endpoint) {
    if (endpoint.key.kind != Kind::WorkloadEndpoint) {
        return;
    }
    displace(endpoint.key);
    EndpointName name = name_of(endpoint);
    endpoints_[name].insert(endpoint.key);
    names_.emplace(endpoint.key, std::move(name));
}

void Migrations::displace(const Key& endpoint) {
    if (const auto found = names_.find(endpoint); found != names_.end()) {
        erase(endpoints_, found->second, endpoint);
        names_.erase(found);
    }
}

MigrationRole Migrations::role(const Key& endpoint) const {
    const auto found = names_.find(endpoint);
    if (found == names_.end()) {
        return MigrationRole::None;
    }
    return targets_.contains(found->second)   ? MigrationRole::Target
           : sources_.contains(found->second) ? MigrationRole::Source
                                              : MigrationRole::None;
}

}  // namespace vr::policy
