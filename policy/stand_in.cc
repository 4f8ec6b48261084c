// SPDX-License-Identifier: Apache-2.0
#include "policy/stand_in.h"

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/bgp_spec.h"
#include "policy/host_spec.h"
#include "policy/match.h"
#include "policy/pool_spec.h"
#include "policy/spec.h"

namespace vr::policy {

namespace {

constexpr double kBeforeAll = -std::numeric_limits<double>::infinity();

/// Tries to read one field of a broken spec; false when it is there but unreadable, or misspelt.
template <typename Parse>
bool try_field(const Field& spec, std::string_view key, Parse parse) {
    if (const auto field = spec.child(key)) {
        return parse(*field).has_value();
    }
    return !is_misspelt(spec, key);
}

/// Where a broken policy was to act; what cannot be read acts on new flows, forwarded ones too.
void read_hook(const Field& spec, Policy& policy) {
    const bool untracked = try_field(
        spec, "doNotTrack", [&](const Field& f) { return parse_hook<Hook::Untracked>(f, policy); });
    const bool pre_dnat = try_field(
        spec, "preDNAT", [&](const Field& f) { return parse_hook<Hook::PreDnat>(f, policy); });
    const bool forward = try_field(spec, "applyOnForward", [&](const Field& f) {
        return store(f.boolean(), policy.apply_on_forward);
    });
    if (!untracked || !pre_dnat) {
        policy.hook = Hook::Normal;
    }
    if (!untracked || !pre_dnat || !forward) {
        policy.apply_on_forward = true;
    }
    if (policy.hook == Hook::PreDnat) {
        policy.types = Governs::Both;
    }
}

Policy denying_policy(const Field& object, const Key& key) {
    const auto spec = object.child("spec");
    Policy policy;
    if (spec && spec->node().type == Node::Type::Map) {
        if (!try_field(*spec, "tier", [&](const Field& f) { return parse_tier_name(f, policy); })) {
            policy.tier = kFirstTier;
        }
        if (!try_field(
                *spec, "order", [&](const Field& f) { return parse_order(f, policy.order); })) {
            policy.order = kBeforeAll;
        }
        const auto read = [&](std::string_view name, std::optional<Selector>& into) {
            if (!try_field(*spec, name, [&](const Field& f) {
                    return parse_optional_selector(f, into);
                })) {
                into = std::nullopt;
            }
        };
        std::optional<Selector> selector;
        read("selector", selector);
        policy.selector = selector.value_or(Selector());
        read("serviceAccountSelector", policy.service_account_selector);
        if (key.kind == Kind::GlobalNetworkPolicy) {
            read("namespaceSelector", policy.namespace_selector);
        }
        if (!try_field(*spec, "types", [&](const Field& f) { return parse_types(f, policy); })) {
            policy.types = Governs::Both;
        }
        read_hook(*spec, policy);
    } else {
        policy.tier = kFirstTier;
        policy.order = kBeforeAll;
        policy.apply_on_forward = key.kind == Kind::GlobalNetworkPolicy;
    }
    policy.name = key.name;
    policy.ingress = {Rule{}};
    policy.egress = {Rule{}};
    return policy;
}

/// One whose order is lost may come before all, but then must not bring its Allow rules along.
Tier denying_tier(const Field& object, const Key& key) {
    Tier tier;
    const auto spec = object.child("spec");
    if (spec && spec->node().type == Node::Type::Map &&
        try_field(*spec, "order", [&](const Field& f) { return parse_order(f, tier.order); })) {
        return tier;
    }
    if (const auto built_in = built_in_tier(key.name)) {
        tier.order = built_in->order;
    } else {
        tier.order = kBeforeAll;
        tier.closed = true;
    }
    return tier;
}

}  // namespace

Profile denying_profile() {
    Profile profile;
    profile.closed = true;
    profile.ingress = {Rule{}};
    profile.egress = {Rule{}};
    return profile;
}

ResourcePtr stand_in(const Field& object, const Key& key) {
    Resource resource;
    resource.key = key;
    if (key.kind == Kind::NetworkPolicy || key.kind == Kind::GlobalNetworkPolicy) {
        resource.spec = denying_policy(object, key);
    } else if (key.kind == Kind::Tier && key.name != "default") {
        resource.spec = denying_tier(object, key);
    } else if (key.kind == Kind::Profile && key.name != kDefaultAllowProfile) {
        Profile unread = denying_profile();
        unread.labels_unread = true;
        resource.spec = std::move(unread);
    } else if (key.kind == Kind::HostEndpoint) {
        auto closed = closed_host_endpoint(object, resource.labels);
        if (!closed) {
            return nullptr;
        }
        resource.spec = std::move(*closed);
    } else if (key.kind == Kind::BGPConfiguration) {
        resource.spec = closed_bgp_configuration(object);
    } else if (key.kind == Kind::BGPPeer) {
        auto closed = closed_bgp_peer(object);
        if (!closed) {
            return nullptr;
        }
        resource.spec = std::move(*closed);
    } else if (key.kind == Kind::IPPool) {
        auto closed = closed_ip_pool(object);
        if (!closed) {
            return nullptr;
        }
        resource.spec = std::move(*closed);
    } else {
        return nullptr;
    }
    return std::make_shared<const Resource>(std::move(resource));
}

ResourcePtr stand_in(const Key& key) {
    // What else is invalid as a whole is passed over: without its key it denies no packet.
    if (key.kind != Kind::NetworkPolicy && key.kind != Kind::GlobalNetworkPolicy &&
        key.kind != Kind::Tier && key.kind != Kind::Profile) {
        return nullptr;
    }
    Node nothing;
    nothing.type = Node::Type::Map;
    std::vector<std::string> warnings;
    return stand_in(Field({}, nothing, warnings), key);
}

}  // namespace vr::policy
