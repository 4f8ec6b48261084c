// SPDX-License-Identifier: Apache-2.0
#include "policy/reference.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "policy/felix.h"
#include "policy/match.h"
#include "policy/origin.h"
#include "policy/scope.h"
#include "policy/stand_in.h"

namespace vr::policy {

namespace {

using Cluster = std::span<const ResourcePtr>;

ResourcePtr find(Cluster cluster, const Key& key) {
    for (const auto& resource : cluster) {
        if (resource->key == key) {
            return resource;
        }
    }
    return nullptr;
}

/// POLICY 2.2, with inheritance.
Labels labels_of(Cluster cluster, const Resource& resource) {
    Labels labels = own_labels(resource);
    for (const auto& name : inherited_profiles(resource)) {
        if (const auto profile = find(cluster, {Kind::Profile, {}, name})) {
            for (const auto& [label, value] : profile->as<Profile>().labels_to_apply) {
                if (!labels.contains(label)) {
                    labels[label] = value;
                }
            }
        }
    }
    return labels;
}

/// Everything that has labels and addresses.
std::vector<Labelled> labelled(Cluster cluster) {
    std::vector<Labelled> all;
    for (const auto& resource : cluster) {
        if (const auto* endpoint = std::get_if<WorkloadEndpoint>(&resource->spec)) {
            all.push_back({labels_of(cluster, *resource), endpoint->networks, endpoint->ports});
        } else if (const auto* host = std::get_if<HostEndpoint>(&resource->spec)) {
            if (host->lends) {
                all.push_back({labels_of(cluster, *resource), host->expected_ips, host->ports});
            }
        } else if (const auto* set = std::get_if<NetworkSet>(&resource->spec)) {
            all.push_back({labels_of(cluster, *resource), set->nets, {}});
        }
    }
    return all;
}

std::vector<Serving> serving(Cluster cluster) {
    std::vector<Serving> all;
    for (const auto& resource : cluster) {
        if (const auto* slice = std::get_if<EndpointSlice>(&resource->spec)) {
            all.push_back(
                {resource->key.ns + "/" + slice->service, slice->addresses, slice->ports});
        }
    }
    return all;
}

/// POLICY 2.6: the policies of workloads, and those of each hook of host endpoints.
bool acts_at(const Policy& policy, std::optional<HostHook> hook) {
    if (hook && is_untracked(*hook)) {
        return policy.hook == Hook::Untracked;
    }
    if (hook == HostHook::PreDnatIngress) {
        return policy.hook == Hook::PreDnat;
    }
    if (hook && is_forward(*hook)) {
        return policy.hook == Hook::Normal && policy.apply_on_forward;
    }
    return policy.hook == Hook::Normal;
}

/// POLICY 2.5 step 6: staged policies never count, unless one asks what would be.
bool counts(Cluster cluster, const Resource& policy, View view) {
    const Staged staged = policy.as<Policy>().staged;
    if (view == View::Enforced || staged != Staged::No) {
        return staged == (view == View::Enforced ? Staged::No : Staged::Set);
    }
    return std::ranges::none_of(cluster, [&](const ResourcePtr& other) {
        return std::holds_alternative<Policy>(other->spec) &&
               (other->as<Policy>().staged == Staged::Set ||
                other->as<Policy>().staged == Staged::Delete) &&
               enforced_key(other->key) == policy.key;
    });
}

/// POLICY 2.3, first paragraph.
bool applies(const Resource& resource, const Labels& labels, Direction direction) {
    const auto& policy = resource.as<Policy>();
    const auto ns = labels.find(kNamespaceLabel);
    if (!governs(policy.types, direction)) {
        return false;
    }
    if (!resource.key.ns.empty() && (ns == labels.end() || ns->second != resource.key.ns)) {
        return false;
    }
    return policy.selector.matches(labels) &&
           (!policy.namespace_selector ||
            selects_unprefixed(*policy.namespace_selector, labels, kNamespacePrefix)) &&
           (!policy.service_account_selector ||
            selects_unprefixed(*policy.service_account_selector, labels, kServiceAccountPrefix));
}

std::optional<Tier> tier_of(Cluster cluster, const std::string& name) {
    const auto stored = find(cluster, {Kind::Tier, {}, name});
    return stored ? stored->as<Tier>() : built_in_tier(name);
}

/// POLICY 2.5 step 6: true when tier `a` comes before tier `b`.
bool tier_before(Cluster cluster, const std::string& a, const std::string& b) {
    if (a == kFirstTier || b == kFirstTier) {
        return a == kFirstTier && b != kFirstTier;
    }
    const auto tier_a = tier_of(cluster, a);
    const auto tier_b = tier_of(cluster, b);
    if (tier_a.has_value() != tier_b.has_value()) {
        return tier_a.has_value();
    }
    constexpr double kLast = std::numeric_limits<double>::infinity();
    const double order_a = tier_a ? tier_a->order.value_or(kLast) : kLast;
    const double order_b = tier_b ? tier_b->order.value_or(kLast) : kLast;
    return order_a != order_b ? order_a < order_b : a < b;
}

bool policy_before(const ResourcePtr& a, const ResourcePtr& b) {
    constexpr double kLast = std::numeric_limits<double>::infinity();
    const double order_a = a->as<Policy>().order.value_or(kLast);
    const double order_b = b->as<Policy>().order.value_or(kLast);
    const auto text = [](const Resource& r) {
        return r.as<Policy>().name + "/" + r.key.ns + "/" +
               std::string(row_of(enforced_key(r.key).kind).name);
    };
    return order_a != order_b ? order_a < order_b : text(*a) < text(*b);
}

/// How a list of rules ended.
enum class Outcome { NoMatch, Pass, Decided };

class Judge {
  public:
    Judge(
        Cluster cluster,
        Direction direction,
        Sample packet,
        View view,
        std::optional<HostHook> hook = {})
        : cluster_(cluster),
          direction_(direction),
          packet_(packet),
          view_(view),
          hook_(hook),
          labelled_(labelled(cluster)),
          serving_(serving(cluster)) {}

    Decision judge(const Resource& endpoint) {
        if (!run_tiers(endpoint)) {
            run_profiles(endpoint.as<WorkloadEndpoint>().profiles);
        }
        return decision_;
    }

    Decision judge_host(const Resource& endpoint, const FelixSettings& felix) {
        const auto& host = endpoint.as<HostEndpoint>();
        if (!is_forward(*hook_) && is_failsafe(felix)) {
            if (is_normal(*hook_)) {
                decide(true, failsafe_port());
            } else {
                decision_.silent = true;
            }
            return decision_;
        }
        if ((host.closed || is_closed(cluster_, endpoint)) && is_normal(*hook_)) {
            decide(false, end_of_profiles());
        } else if (!run_tiers(endpoint)) {
            if (is_normal(*hook_)) {
                run_profiles(host.profiles);
            } else if (is_forward(*hook_)) {
                decide(true, end_of_forward_tiers());
            } else {
                decision_.silent = true;
            }
        }
        return decision_;
    }

  private:
    /// True when a tier decided.
    bool run_tiers(const Resource& endpoint) {
        const Labels labels = labels_of(cluster_, endpoint);
        std::vector<ResourcePtr> policies;
        std::vector<std::string> tiers;
        for (const auto& resource : cluster_) {
            if (std::holds_alternative<Policy>(resource->spec) &&
                counts(cluster_, *resource, view_) && acts_at(resource->as<Policy>(), hook_) &&
                applies(*resource, labels, direction_)) {
                policies.push_back(resource);
                if (std::ranges::count(tiers, resource->as<Policy>().tier) == 0) {
                    tiers.push_back(resource->as<Policy>().tier);
                }
            }
        }
        std::ranges::sort(policies, policy_before);
        std::ranges::sort(
            tiers, [&](const auto& a, const auto& b) { return tier_before(cluster_, a, b); });
        return std::ranges::any_of(
            tiers, [&](const auto& tier) { return run_tier(tier, policies); });
    }

    /// POLICY 2.6: the failsafe ports of this direction; before the flow lookup also what comes back
    /// from those of the other one.
    [[nodiscard]] bool is_failsafe(const FelixSettings& felix) const {
        const bool in = is_ingress(*hook_);
        const IpAddr& peer = in ? packet_.source : packet_.destination;
        const auto listed = [&](const std::vector<FailsafePort>& ports, L4Port port) {
            return packet_.has_ports && std::ranges::any_of(ports, [&](const FailsafePort& p) {
                       return p.protocol == packet_.protocol && p.port == port &&
                              (!p.net || contains(*p.net, peer));
                   });
        };
        const auto& own = in ? felix.failsafe_inbound : felix.failsafe_outbound;
        const auto& other = in ? felix.failsafe_outbound : felix.failsafe_inbound;
        return listed(own, packet_.destination_port) ||
               (is_untracked(*hook_) && listed(other, packet_.source_port));
    }

    /// True when the tier decided.
    bool run_tier(const std::string& tier, const std::vector<ResourcePtr>& policies) {
        if (tier_of(cluster_, tier).value_or(Tier{}).closed) {
            decide(false, closed_tier(tier));
            return true;
        }
        for (const auto& policy : policies) {
            if (policy->as<Policy>().tier != tier) {
                continue;
            }
            const Outcome outcome = run_rules(
                policy->as<Policy>().rules(direction_),
                policy->key.ns,
                {tier, policy_title(*policy), -1});
            if (outcome != Outcome::NoMatch) {
                return outcome == Outcome::Decided;
            }
        }
        if (tier_of(cluster_, tier).value_or(Tier{}).default_action == TierDefault::Pass ||
            (hook_ && may_be_silent(*hook_))) {
            return false;
        }
        decide(false, end_of_tier(tier));
        return true;
    }

    void run_profiles(const std::vector<std::string>& names) {
        for (const auto& name : names) {
            if (name == kDefaultAllowProfile) {
                decide(true, default_allow());
                return;
            }
            const auto profile = find(cluster_, {Kind::Profile, {}, name});
            if (!profile) {
                decide(false, unknown_profile(name));
                return;
            }
            const auto& rules = profile->as<Profile>().rules(direction_);
            if (run_rules(rules, {}, {{}, profile_title(name), -1}) == Outcome::Decided) {
                return;
            }
        }
        decide(false, end_of_profiles());
    }

    Outcome run_rules(const std::vector<Rule>& rules, const std::string& ns, acl::Origin origin) {
        for (const auto& rule : rules) {
            ++origin.rule;
            if (!matches(rule.match, packet_, {labelled_, serving_, ns})) {
                continue;
            }
            switch (rule.action) {
                case RuleAction::Allow:
                case RuleAction::Deny:
                case RuleAction::Reject:
                    decision_.reject = rule.action == RuleAction::Reject;
                    decide(rule.action == RuleAction::Allow, origin);
                    return Outcome::Decided;
                case RuleAction::Pass:
                    return Outcome::Pass;
                case RuleAction::Log:
                    decision_.logged.push_back(origin);
                    break;
            }
        }
        return Outcome::NoMatch;
    }

    void decide(bool allow, acl::Origin by) {
        decision_.allow = allow;
        decision_.by = std::move(by);
    }

    Cluster cluster_;
    Direction direction_;
    Sample packet_;
    View view_;
    std::optional<HostHook> hook_;  ///< absent: of a workload endpoint
    std::vector<Labelled> labelled_;
    std::vector<Serving> serving_;
    Decision decision_;
};

template <Family F>
Sample sample_of(const acl::Packet<F>& packet) {
    return {
        packet.source,
        packet.destination,
        packet.source_port,
        packet.destination_port,
        packet.protocol,
        packet.icmp_type,
        packet.icmp_code,
        packet.has_ports};
}

/// By what FelixConfiguration says on its node.
bool counts_on_its_node(Cluster cluster, const WorkloadEndpoint& endpoint) {
    return endpoint.spoofable.empty() ||
           policy::is_permitted(endpoint, felix_settings(cluster, endpoint.node));
}

}  // namespace

template <Family F>
Decision judge(
    Cluster cluster,
    const Key& endpoint,
    Direction direction,
    const acl::Packet<F>& packet,
    FlowState flow,
    View view) {
    const auto resource = find(cluster, endpoint);
    if (!resource || !resource->as<WorkloadEndpoint>().active ||
        resource->as<WorkloadEndpoint>().networks.empty() || is_closed(cluster, *resource) ||
        !counts_on_its_node(cluster, resource->as<WorkloadEndpoint>())) {
        return {.by = inactive_endpoint()};
    }
    if (flow == FlowState::Established) {
        return {.allow = true, .by = established_flow()};
    }
    return Judge(cluster, direction, sample_of(packet), view).judge(*resource);
}

template <Family F>
Decision judge(
    Cluster cluster, const Key& endpoint, HostHook hook, const acl::Packet<F>& packet, View view) {
    const auto resource = find(cluster, endpoint);
    const std::string& node = resource->as<HostEndpoint>().node;
    const Direction direction = is_ingress(hook) ? Direction::Ingress : Direction::Egress;
    return Judge(cluster, direction, sample_of(packet), view, hook)
        .judge_host(*resource, felix_settings(cluster, node));
}

template Decision judge(Cluster, const Key&, Direction, const acl::Packet<V4>&, FlowState, View);
template Decision judge(Cluster, const Key&, Direction, const acl::Packet<V6>&, FlowState, View);
template Decision judge(Cluster, const Key&, HostHook, const acl::Packet<V4>&, View);
template Decision judge(Cluster, const Key&, HostHook, const acl::Packet<V6>&, View);

}  // namespace vr::policy
