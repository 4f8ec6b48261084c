// SPDX-License-Identifier: Apache-2.0
#include "policy/kubernetes_policy.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "policy/bgp_spec.h"
#include "policy/match.h"
#include "policy/scope.h"
#include "policy/spec.h"

namespace vr::policy {

namespace {

constexpr double kOrder = 1000;

void narrow(Selector& selector, const Selector& by) {
    selector = Selector::both(selector, by);
}

struct Expression {
    std::string key;
    std::string op;
    std::vector<std::string> values;
};

Result<void> add_expression(const Field& field, Selector& into) {
    static constexpr std::array<FieldRow<Expression>, 3> kRows{{
        {"key", [](const Field& f, Expression& e) { return store(f.text(), e.key); }},
        {"operator", [](const Field& f, Expression& e) { return store(f.text(), e.op); }},
        {"values", [](const Field& f, Expression& e) { return store(f.texts(), e.values); }},
    }};
    Expression e;
    if (auto parsed = parse_fields<Expression>(field, kRows, e, Unknown::Refuse); !parsed) {
        return parsed;
    }
    if (e.key.empty()) {
        return field.error("an expression needs a key");
    }
    if (e.op == "In") {
        narrow(into, Selector::in(e.key, e.values));
    } else if (e.op == "NotIn") {
        narrow(into, Selector::in(e.key, e.values).negated());
    } else if (e.op == "Exists") {
        narrow(into, Selector::has(e.key));
    } else if (e.op == "DoesNotExist") {
        narrow(into, Selector::has(e.key).negated());
    } else {
        return field.error(
            fmt::format("unknown operator '{}', expected In, NotIn, Exists or DoesNotExist", e.op));
    }
    return {};
}

/// A Kubernetes LabelSelector; empty is all().
Result<void> parse_label_selector(const Field& field, Selector& into) {
    static constexpr std::array<FieldRow<Selector>, 2> kRows{{
        {"matchLabels",
         [](const Field& f, Selector& s) -> Result<void> {
             Labels labels;
             if (auto parsed = parse_labels(f, labels); !parsed) {
                 return parsed;
             }
             for (const auto& [name, value] : labels) {
                 narrow(s, Selector::equals(name, value));
             }
             return {};
         }},
        {"matchExpressions",
         [](const Field& f, Selector& s) {
             return f.each([&](const Field& item) { return add_expression(item, s); });
         }},
    }};
    return parse_fields<Selector>(field, kRows, into, Unknown::Refuse);
}

Selector of_kubernetes() {
    return Selector::equals(std::string(kOrchestratorLabel), "k8s");
}

// --- peers and ports ------------------------------------------------------------------------

Result<void> parse_ip_block(const Field& field, EntityMatch& into) {
    static constexpr std::array<FieldRow<EntityMatch>, 2> kRows{{
        {"cidr",
         [](const Field& f, EntityMatch& e) { return store(parse_net(f), e.nets.emplace_back()); }},
        {"except",
         [](const Field& f, EntityMatch& e) {
             return f.each([&](const Field& item) {
                 return store(parse_net(item), e.not_nets.emplace_back());
             });
         }},
    }};
    auto parsed = parse_fields<EntityMatch>(field, kRows, into, Unknown::Refuse);
    return parsed && into.nets.empty() ? field.error("an ipBlock needs a cidr") : parsed;
}

Result<void> parse_peer(const Field& field, EntityMatch& into) {
    static constexpr std::array<FieldRow<EntityMatch>, 3> kRows{{
        {"podSelector",
         [](const Field& f, EntityMatch& e) {
             return parse_label_selector(f, e.selector.emplace(of_kubernetes()));
         }},
        {"namespaceSelector",
         [](const Field& f, EntityMatch& e) {
             return parse_label_selector(f, e.namespace_selector.emplace());
         }},
        {"ipBlock", parse_ip_block},
    }};
    if (auto parsed = parse_fields<EntityMatch>(field, kRows, into, Unknown::Refuse); !parsed) {
        return parsed;
    }
    if (into.namespace_selector && !into.selector) {
        into.selector = of_kubernetes();
    }
    if (into == EntityMatch{} || (into.selector && !into.nets.empty())) {
        return field.error("a peer is selected by pod and namespace, or by ipBlock");
    }
    return {};
}

struct Port {
    Protocol protocol{6, true};
    std::string name;
    std::optional<L4Port> first;
    std::optional<L4Port> last;
};

Result<void> parse_port(const Field& field, Port& into) {
    static constexpr std::array<FieldRow<Port>, 3> kRows{{
        {"protocol", [](const Field& f, Port& p) { return store(parse_protocol(f), p.protocol); }},
        {"port",
         [](const Field& f, Port& p) -> Result<void> {
             if (const auto number = f.integer(1, 65535)) {
                 p.first = L4Port{static_cast<std::uint16_t>(*number)};
                 return {};
             }
             return store(f.text(), p.name);
         }},
        {"endPort",
         [](const Field& f, Port& p) -> Result<void> {
             const auto number = f.integer(1, 65535);
             if (!number) {
                 return std::unexpected(number.error());
             }
             p.last = L4Port{static_cast<std::uint16_t>(*number)};
             return {};
         }},
    }};
    if (auto parsed = parse_fields<Port>(field, kRows, into, Unknown::Refuse); !parsed) {
        return parsed;
    }
    if (into.last && (!into.first || *into.last < *into.first)) {
        return field.error("endPort needs a port that is not behind it");
    }
    return {};
}

RuleMatch with_port(RuleMatch match, const Port& port) {
    match.protocol = port.protocol;
    if (port.first) {
        match.destination.ports.emplace_back(
            acl::PortRange{*port.first, port.last.value_or(*port.first)});
    } else if (!port.name.empty()) {
        match.destination.ports.emplace_back(port.name);
    }
    return match;
}

/// One rule becomes one for each of its peers and ports.
template <Direction Way>
Result<void> parse_rule(const Field& field, std::vector<Rule>& into) {
    std::vector<EntityMatch> peers;
    std::vector<Port> ports;
    if (const auto list = field.child(Way == Direction::Ingress ? "from" : "to")) {
        auto read =
            list->each([&](const Field& item) { return parse_peer(item, peers.emplace_back()); });
        if (!read) {
            return read;
        }
    }
    if (const auto list = field.child("ports")) {
        auto read =
            list->each([&](const Field& item) { return parse_port(item, ports.emplace_back()); });
        if (!read) {
            return read;
        }
    }
    if (peers.empty()) {
        peers.emplace_back();
    }
    for (auto& peer : peers) {
        RuleMatch match;
        (Way == Direction::Ingress ? match.source : match.destination) = std::move(peer);
        if (ports.empty()) {
            into.push_back({RuleAction::Allow, match});
        }
        for (const auto& port : ports) {
            into.push_back({RuleAction::Allow, with_port(match, port)});
        }
    }
    return {};
}

template <Direction Way>
Result<void> parse_policy_rules(const Field& field, std::vector<Rule>& into) {
    return field.each([&](const Field& item) { return parse_rule<Way>(item, into); });
}

}  // namespace

Result<void> parse_kubernetes_policy(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<Policy>, 5> kRows{{
        {"stagedAction", parse_staged_action},
        {"podSelector",
         [](const Field& f, Policy& p) { return parse_label_selector(f, p.selector); }},
        {"policyTypes", parse_types},
        {"ingress",
         [](const Field& f, Policy& p) {
             return parse_policy_rules<Direction::Ingress>(f, p.ingress);
         }},
        {"egress",
         [](const Field& f, Policy& p) {
             return parse_policy_rules<Direction::Egress>(f, p.egress);
         }},
    }};
    Policy policy;
    policy.staged = Staged::Set;
    policy.order = kOrder;
    policy.selector = of_kubernetes();
    if (auto parsed = parse_fields<Policy>(spec, kRows, policy, Unknown::RefuseSimilar); !parsed) {
        return parsed;
    }
    if (!spec.child("policyTypes") && policy.egress.empty()) {
        policy.types = Governs::Ingress;
    }
    policy.name = enforced_key(into.key).name;
    into.spec = std::move(policy);
    return {};
}

}  // namespace vr::policy
