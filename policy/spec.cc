// SPDX-License-Identifier: Apache-2.0
#include "policy/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "policy/bgp_spec.h"
#include "policy/host_spec.h"
#include "policy/kubernetes_policy.h"
#include "policy/match.h"
#include "policy/migration_spec.h"
#include "policy/pool_spec.h"
#include "policy/workload_spec.h"

namespace vr::policy {

namespace {

constexpr std::size_t kMaxRules = 1024;
constexpr std::string_view kActionAnnotation = "vrouter.io/action";
constexpr std::string_view kMetadataAnnotation = "projectcalico.org/metadata";

template <auto Member, typename T>
Result<void> selector_into(const Field& field, T& into) {
    return parse_optional_selector(field, into.*Member);
}

template <auto Member, typename T>
Result<void> rules_into(const Field& field, T& into) {
    return parse_rules(field, into.*Member);
}

// --- NetworkPolicy, GlobalNetworkPolicy, Profile, Tier --------------------------------------

// The first is for staged policies alone, those behind performanceHints for global ones.
constexpr std::array<FieldRow<Policy>, 13> kPolicyRows{{
    {"stagedAction", parse_staged_action},
    {"tier", parse_tier_name},
    {"order", [](const Field& f, Policy& p) { return parse_order(f, p.order); }},
    {"selector", [](const Field& f, Policy& p) { return store(parse_selector(f), p.selector); }},
    {"types", parse_types},
    {"ingress", rules_into<&Policy::ingress>},
    {"egress", rules_into<&Policy::egress>},
    {"serviceAccountSelector", selector_into<&Policy::service_account_selector>},
    {"performanceHints", nullptr},
    {"namespaceSelector", selector_into<&Policy::namespace_selector>},
    {"doNotTrack", parse_hook<Hook::Untracked>},
    {"preDNAT", parse_hook<Hook::PreDnat>},
    {"applyOnForward",
     [](const Field& f, Policy& p) { return store(f.boolean(), p.apply_on_forward); }},
}};

/// The name that the user gave: newer clients keep it in an annotation, older ones put the tier in
/// front of it.  DATASTORE 3.2.
std::string written_name(const Field& object, const Key& key, const Policy& policy) {
    if (const auto metadata = object.child("metadata")) {
        if (const auto json = annotation(*metadata, kMetadataAnnotation)) {
            const auto documents = parse_documents("", json->node().text);
            const Node* name = documents && documents->size() == 1
                                   ? documents->front().root.find("name")
                                   : nullptr;
            if (name != nullptr && !name->text.empty()) {
                return name->text;
            }
        }
    }
    constexpr std::string_view kPrefix = "default.";
    return policy.tier == "default" && key.name.starts_with(kPrefix)
               ? key.name.substr(kPrefix.size())
               : key.name;
}

/// An empty list says no more than none.
bool has_types(const Field& spec) {
    const auto types = spec.child("types");
    return types && !types->node().items.empty();
}

/// POLICY 2.6: the exclusion rules of doNotTrack and preDNAT.
Result<void> check_hook(const Field& spec, const Policy& policy) {
    if (policy.hook == Hook::Normal) {
        return {};
    }
    if (!policy.apply_on_forward) {
        return spec.error("doNotTrack and preDNAT need applyOnForward: true");
    }
    if (policy.hook == Hook::PreDnat &&
        (!policy.egress.empty() || (has_types(spec) && policy.types != Governs::Ingress))) {
        return spec.error("preDNAT is for ingress only");
    }
    return {};
}

/// POLICY 2.3: a rule names the service of its peer, which has a namespace.
Result<void> check_services(const Field& spec, const Resource& object, const Policy& policy) {
    for (const auto direction : {Direction::Ingress, Direction::Egress}) {
        for (const auto& rule : policy.rules(direction)) {
            const bool in = direction == Direction::Ingress;
            const auto& peer = in ? rule.match.source : rule.match.destination;
            const auto& own = in ? rule.match.destination : rule.match.source;
            if (own.service) {
                return spec.error(
                    "services match the source of ingress rules and the destination of egress "
                    "rules");
            }
            if (peer.service && peer.service->ns.empty() && object.key.ns.empty()) {
                return spec.error("services of a GlobalNetworkPolicy need a namespace");
            }
        }
    }
    return {};
}

Result<void> parse_policy(const Field& object, const Field& spec, Resource& into) {
    Policy policy;
    std::span<const FieldRow<Policy>> rows = kPolicyRows;
    if (!into.key.ns.empty()) {
        rows = rows.first(9);
    }
    if (enforced_key(into.key) == into.key) {
        rows = rows.subspan(1);
    } else {
        policy.staged = Staged::Set;
    }
    // A misspelt selector, tier or type would widen what the policy allows: refuse it.
    if (auto parsed = parse_fields<Policy>(spec, rows, policy, Unknown::RefuseSimilar); !parsed) {
        return parsed;
    }
    if (auto checked = check_hook(spec, policy); !checked) {
        return checked;
    }
    if (auto checked = check_services(spec, into, policy); !checked) {
        return checked;
    }
    if (!has_types(spec)) {
        spec.warn(
            "no types: governs ingress and egress ('vrouterctl apply' and calicoctl write down "
            "Ingress, and Egress "
            "where there are such rules)");
    }
    policy.name = written_name(object, into.key, policy);
    into.spec = std::move(policy);
    return {};
}

Result<void> parse_labels_to_apply(const Field& field, Profile& into) {
    return parse_labels(field, into.labels_to_apply);
}

Result<void> parse_profile(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<Profile>, 3> kRows{{
        {"ingress", rules_into<&Profile::ingress>},
        {"egress", rules_into<&Profile::egress>},
        {"labelsToApply", parse_labels_to_apply},
    }};
    if (into.key.name == kDefaultAllowProfile) {
        return spec.error("this profile is built in and cannot be changed");
    }
    Profile profile;
    auto parsed = parse_fields<Profile>(spec, kRows, profile, Unknown::RefuseSimilar);
    into.spec = std::move(profile);
    return parsed;
}

Result<void> parse_tier(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<Tier>, 2> kRows{{
        {"order", [](const Field& f, Tier& t) { return parse_order(f, t.order); }},
        {"defaultAction",
         [](const Field& f, Tier& t) -> Result<void> {
             const std::string& action = f.node().text;
             if (action != "Deny" && action != "Pass") {
                 return f.error(
                     fmt::format("unknown defaultAction '{}', expected Deny or Pass", action));
             }
             t.default_action = action == "Pass" ? TierDefault::Pass : TierDefault::Deny;
             return {};
         }},
    }};
    Tier tier;
    if (auto parsed = parse_fields<Tier>(spec, kRows, tier, Unknown::RefuseSimilar); !parsed) {
        return parsed;
    }
    if (into.key.name == "default" && tier != *built_in_tier("default")) {
        return spec.error("tier default has order 1000000 and defaultAction Deny");
    }
    into.spec = tier;
    return {};
}

Result<void> parse_network_set(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<NetworkSet>, 2> kRows{{
        {"nets",
         [](const Field& f, NetworkSet& set) {
             return f.each([&](const Field& item) {
                 return store(parse_net(item), set.nets.emplace_back());
             });
         }},
        {"allowedEgressDomains", nullptr},
    }};
    NetworkSet set;
    auto parsed = parse_fields<NetworkSet>(spec, kRows, set, Unknown::RefuseSimilar);
    into.spec = std::move(set);
    return parsed;
}

// --- EndpointSlice --------------------------------------------------------------------------

Result<void> parse_slice_endpoint(const Field& field, EndpointSlice& into) {
    // Ready or not: as Calico does, POLICY 2.3.
    const auto addresses = field.child("addresses");
    return !addresses ? field.expect_map() : addresses->each([&](const Field& item) {
        return store(parse_net(item), into.addresses.emplace_back());
    });
}

}  // namespace

Result<void> parse_slice_port(const Field& field, EndpointSlice& into) {
    NamedPort port{std::string(kServicePort), 6, {}};  // Kubernetes' default is TCP
    static constexpr std::array<FieldRow<NamedPort>, 4> kRows{{
        {"name", nullptr},
        {"appProtocol", nullptr},
        {"port", [](const Field& f, NamedPort& p) { return store_port(f, p.port); }},
        {"protocol",
         [](const Field& f, NamedPort& p) -> Result<void> {
             const auto protocol = parse_protocol(f);
             if (!protocol) {
                 return std::unexpected(protocol.error());
             }
             p.protocol = protocol->number;
             return {};
         }},
    }};
    auto parsed = parse_fields<NamedPort>(field, kRows, port, Unknown::Warn);
    if (parsed && port.port == L4Port{}) {
        return field.error("a port of a service needs its number");
    }
    if (parsed) {
        into.ports.push_back(std::move(port));
    }
    return parsed;
}

namespace {

/// A Kubernetes object: its content lies beside metadata, not in a spec.
Result<void> parse_endpoint_slice(const Field& object, const Field& /*spec*/, Resource& into) {
    EndpointSlice slice;
    const auto service = into.labels.find(kServiceNameLabel);
    if (service == into.labels.end() || service->second.empty()) {
        return object.error(fmt::format("a slice needs the label {}", kServiceNameLabel));
    }
    slice.service = service->second;
    if (const auto type = object.child("addressType")) {
        if (type->node().text == "FQDN") {
            return type->error("names of hosts are not resolved, expected IPv4 or IPv6");
        }
    }
    if (const auto endpoints = object.child("endpoints")) {
        auto read = endpoints->each([&](const Field& f) { return parse_slice_endpoint(f, slice); });
        if (!read) {
            return read;
        }
    }
    if (const auto ports = object.child("ports")) {
        auto read = ports->each([&](const Field& f) { return parse_slice_port(f, slice); });
        if (!read) {
            return read;
        }
    }
    into.spec = std::move(slice);
    return {};
}

struct SpecRow {
    Kind kind;
    Result<void> (*parse)(const Field& object, const Field& spec, Resource& into);
};

constexpr std::array kSpecRows{
    SpecRow{Kind::BGPConfiguration, parse_bgp_configuration},
    SpecRow{Kind::BGPFilter, parse_bgp_filter},
    SpecRow{Kind::BGPPeer, parse_bgp_peer},
    SpecRow{Kind::ClusterInformation, parse_cluster_information},
    SpecRow{Kind::EndpointSlice, parse_endpoint_slice},
    SpecRow{Kind::FelixConfiguration, parse_felix_configuration},
    SpecRow{Kind::GlobalNetworkPolicy, parse_policy},
    SpecRow{Kind::GlobalNetworkSet, parse_network_set},
    SpecRow{Kind::HostEndpoint, parse_host_endpoint},
    SpecRow{Kind::IPPool, parse_ip_pool},
    SpecRow{Kind::IPReservation, parse_ip_reservation},
    SpecRow{Kind::LiveMigration, parse_live_migration},
    SpecRow{Kind::NetworkPolicy, parse_policy},
    SpecRow{Kind::NetworkSet, parse_network_set},
    SpecRow{Kind::Node, parse_cluster_node},
    SpecRow{Kind::Profile, parse_profile},
    SpecRow{Kind::StagedGlobalNetworkPolicy, parse_policy},
    SpecRow{Kind::StagedKubernetesNetworkPolicy, parse_kubernetes_policy},
    SpecRow{Kind::StagedNetworkPolicy, parse_policy},
    SpecRow{Kind::Tier, parse_tier},
    SpecRow{Kind::WorkloadEndpoint, parse_workload_endpoint},
};

}  // namespace

std::optional<Field> annotation(const Field& metadata, std::string_view name) {
    for (const auto& [key, value] : metadata.node().fields) {
        if (key == "annotations") {
            for (const auto& [annotation_key, text] : value.fields) {
                if (annotation_key == name) {
                    return metadata.child(annotation_key, text);
                }
            }
        }
    }
    return std::nullopt;
}

namespace {

/// What Calico cannot say, in the rule's metadata: `annotations: {vrouter.io/action: Reject}`.
Result<void> parse_rule_annotations(const Field& rule, RuleAction& action) {
    const auto metadata = rule.child("metadata");
    const auto wanted = metadata ? annotation(*metadata, kActionAnnotation) : std::nullopt;
    if (!wanted) {
        return {};
    }
    if (wanted->node().text != "Reject") {
        return wanted->error(
            fmt::format("unknown action '{}', expected Reject", wanted->node().text));
    }
    if (action != RuleAction::Deny) {
        return wanted->error("only a rule with action Deny can reject");
    }
    action = RuleAction::Reject;
    return {};
}

Result<void> parse_action(const Field& rule, RuleAction& into) {
    constexpr std::array<std::pair<std::string_view, RuleAction>, 4> kActions{{
        {"Allow", RuleAction::Allow},
        {"Deny", RuleAction::Deny},
        {"Log", RuleAction::Log},
        {"Pass", RuleAction::Pass},
    }};
    const auto action = rule.child("action");
    for (const auto& [name, value] : kActions) {
        if (action && std::ranges::equal(action->node().text, name, {}, tolower, tolower)) {
            into = value;
            return parse_rule_annotations(rule, into);
        }
    }
    return action
               ? action->error(fmt::format(
                     "unknown action '{}', expected Allow, Deny, Log or Pass", action->node().text))
               : rule.error("a rule needs an action: Allow, Deny, Log or Pass");
}

}  // namespace

Result<void> parse_order(const Field& field, std::optional<double>& into) {
    auto order = field.number();
    if (!order) {
        return std::unexpected(std::move(order).error());
    }
    into = *order;
    return {};
}

template <Hook Which>
Result<void> parse_hook(const Field& field, Policy& into) {
    auto on = field.boolean();
    if (!on) {
        return std::unexpected(std::move(on).error());
    }
    if (*on && into.hook != Hook::Normal) {
        return field.error("doNotTrack and preDNAT exclude each other");
    }
    if (*on) {
        into.hook = Which;
    }
    return {};
}

template Result<void> parse_hook<Hook::Untracked>(const Field&, Policy&);
template Result<void> parse_hook<Hook::PreDnat>(const Field&, Policy&);

Result<void> parse_tier_name(const Field& field, Policy& into) {
    if (auto read = store(field.text(), into.tier); !read) {
        return read;
    }
    if (into.tier.empty()) {
        into.tier = "default";
    }
    return {};
}

Result<void> parse_types(const Field& field, Policy& into) {
    bool ingress = false;
    bool egress = false;
    auto read = field.each([&](const Field& item) -> Result<void> {
        const std::string& type = item.node().text;
        if (type != "Ingress" && type != "Egress") {
            return item.error(fmt::format("unknown type '{}', expected Ingress or Egress", type));
        }
        (type == "Ingress" ? ingress : egress) = true;
        return {};
    });
    if (ingress != egress) {
        into.types = ingress ? Governs::Ingress : Governs::Egress;
    }
    return read;
}

Result<void> parse_staged_action(const Field& field, Policy& into) {
    constexpr std::array<std::pair<std::string_view, Staged>, 4> kActions{{
        {"Set", Staged::Set},
        {"Delete", Staged::Delete},
        {"Learn", Staged::Nothing},
        {"Ignore", Staged::Nothing},
    }};
    for (const auto& [name, value] : kActions) {
        if (field.node().text == name) {
            into.staged = value;
            return {};
        }
    }
    return field.error(fmt::format(
        "unknown stagedAction '{}', expected Set, Delete, Learn or Ignore", field.node().text));
}

bool is_interface_name(std::string_view name) {
    return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
           std::ranges::all_of(name, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '-';
           });
}

Result<void> parse_named_port(const Field& field, std::vector<NamedPort>& into) {
    static constexpr std::array<FieldRow<NamedPort>, 5> kRows{{
        {"name", text_into<&NamedPort::name>},
        {"protocol",
         [](const Field& f, NamedPort& p) -> Result<void> {
             auto protocol = parse_protocol(f);
             if (!protocol) {
                 return std::unexpected(std::move(protocol).error());
             }
             p.protocol = protocol->number;
             return {};
         }},
        {"port", [](const Field& f, NamedPort& p) { return store_port(f, p.port); }},
        {"hostPort", nullptr},
        {"hostIP", nullptr},
    }};
    NamedPort port;
    if (auto parsed = parse_fields<NamedPort>(field, kRows, port, Unknown::Warn); !parsed) {
        return parsed;
    }
    if (port.port.value() == 0 || port.protocol == 0) {
        return field.error("a port needs protocol and port");
    }
    if (!port.name.empty()) {
        into.push_back(std::move(port));
    }
    return {};
}

Result<void> parse_rules(const Field& field, std::vector<Rule>& into) {
    const auto parse_rule = [&](const Field& item) {
        Rule rule;
        Result<void> first;
        if (item.goes_on(parse_match(item, rule.match), first)) {
            (void)item.goes_on(parse_action(item, rule.action), first);
        }
        into.push_back(std::move(rule));
        return first;
    };
    into.reserve(std::min(field.node().items.size(), kMaxRules));
    return field.each(parse_rule, kMaxRules);
}

Result<void> parse_spec(const Field& object, Resource& into) {
    static const Node kEmpty = [] {
        Node node;
        node.type = Node::Type::Map;
        return node;
    }();
    const auto spec = object.child("spec");
    const auto* row = std::ranges::find(kSpecRows, into.key.kind, &SpecRow::kind);
    return row->parse(object, spec ? *spec : object.child("spec", kEmpty), into);
}

void drop_doubles(std::vector<IpPrefix>& nets) {
    std::set<IpPrefix> seen;
    std::erase_if(nets, [&](const IpPrefix& net) { return !seen.insert(net).second; });
}

bool is_misspelt(const Field& map, std::string_view key) {
    return std::ranges::any_of(map.node().fields, [&](const auto& field) {
        return field.key != key && similar(field.key, std::span(&key, 1)) == key;
    });
}

}  // namespace vr::policy
