// SPDX-License-Identifier: Apache-2.0
#include "policy/scope.h"

#include <algorithm>

namespace vr::policy {

namespace {

void narrow(std::optional<Selector>& scope, const Selector& by) {
    scope = scope ? Selector::both(*scope, by) : by;
}

}  // namespace

Selector policy_scope(const Policy& policy, const std::string& ns) {
    std::optional<Selector> scope = policy.selector;
    if (!ns.empty()) {
        narrow(scope, Selector::equals(std::string(kNamespaceLabel), ns));
    }
    if (policy.namespace_selector) {
        narrow(scope, policy.namespace_selector->prefixed(kNamespacePrefix));
    }
    if (policy.service_account_selector) {
        narrow(scope, policy.service_account_selector->prefixed(kServiceAccountPrefix));
    }
    return *scope;
}

EntityScope entity_scope(const EntityMatch& entity, const std::string& ns) {
    if (entity.service) {
        const std::string& own = entity.service->ns;
        return {
            Selector::service((own.empty() ? ns : own) + "/" + entity.service->name), std::nullopt};
    }
    std::optional<Selector> in;
    if (entity.namespace_selector) {
        in = entity.namespace_selector->prefixed(kNamespacePrefix);
    } else if (!ns.empty() && (entity.selector || entity.not_selector || entity.service_accounts)) {
        in = Selector::equals(std::string(kNamespaceLabel), ns);
    }
    if (entity.service_accounts) {
        const auto& accounts = *entity.service_accounts;
        if (accounts.selector) {
            narrow(in, accounts.selector->prefixed(kServiceAccountPrefix));
        }
        if (!accounts.names.empty()) {
            narrow(in, Selector::in(std::string(kServiceAccountLabel), accounts.names));
        }
    }
    if (entity.selector) {
        narrow(in, *entity.selector);
    }
    if (in && entity.not_selector) {
        narrow(in, entity.not_selector->negated());
        return {in, std::nullopt};
    }
    return {in, entity.not_selector};
}

Labels own_labels(const Resource& resource) {
    if (const auto* slice = std::get_if<EndpointSlice>(&resource.spec)) {
        return Selector::service_labels(resource.key.ns + "/" + slice->service);
    }
    Labels labels = resource.labels;
    if (const auto* endpoint = std::get_if<WorkloadEndpoint>(&resource.spec)) {
        std::erase_if(labels, [](const auto& label) {
            return label.first.starts_with(kNamespacePrefix) ||
                   label.first.starts_with(kServiceAccountPrefix);
        });
        labels.insert_or_assign(std::string(kOrchestratorLabel), endpoint->orchestrator);
        if (!endpoint->service_account.empty()) {
            labels.insert_or_assign(std::string(kServiceAccountLabel), endpoint->service_account);
        }
    }
    if (!resource.key.ns.empty()) {
        labels.insert_or_assign(std::string(kNamespaceLabel), resource.key.ns);
    }
    return labels;
}

std::vector<std::string> inherited_profiles(const Resource& resource) {
    if (const auto* endpoint = std::get_if<WorkloadEndpoint>(&resource.spec)) {
        return endpoint->profiles;
    }
    if (const auto* host = std::get_if<HostEndpoint>(&resource.spec)) {
        return host->profiles;
    }
    if (resource.key.kind == Kind::NetworkSet) {
        return {"kns." + resource.key.ns};
    }
    return {};
}

bool is_closed(std::span<const ResourcePtr> cluster, const Resource& resource) {
    const std::vector<std::string> names = inherited_profiles(resource);
    return std::ranges::any_of(cluster, [&](const ResourcePtr& other) {
        const auto* profile = std::get_if<Profile>(&other->spec);
        return profile != nullptr && profile->labels_unread &&
               std::ranges::count(names, other->key.name) != 0;
    });
}

}  // namespace vr::policy
