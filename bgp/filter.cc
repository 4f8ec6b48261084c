// SPDX-License-Identifier: Apache-2.0
#include "bgp/filter.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace vr::bgp {
namespace {

using Source = FilterMatch::Source;

bool matches_interface(std::string_view pattern, std::string_view name) {
    if (pattern.ends_with('*')) {
        return name.starts_with(pattern.substr(0, pattern.size() - 1));
    }
    return pattern == name;
}

template <Family F>
bool matches_prefix(const FilterMatch& match, const Prefix<F>& prefix) {
    if (!match.is_about<F>() || match.prefixes.empty()) {
        return match.is_about<F>();
    }
    const bool inside = std::ranges::any_of(
        match.prefixes, [&](const PrefixRule& rule) { return rule.matches(prefix); });
    return inside == (match.where == FilterMatch::Where::Inside);
}

bool matches_source(Source wanted, PeerKind source) {
    switch (wanted) {
        case Source::Any:
            return true;
        case Source::Local:
            return source == PeerKind::Local;
        case Source::Peers:
            return source != PeerKind::Local;
        case Source::Internal:
            return source == PeerKind::Internal;
        case Source::External:
            return source == PeerKind::External;
    }
    return false;
}

void perform(const AddCommunity& what, Attributes& attributes) {
    add_community(attributes, what.community);
}

void perform(const RemoveCommunity& what, Attributes& attributes) {
    // RFC 9494 4.3: nobody may make a good route of one that is the last resort.
    if (what.community != Community{StandardCommunity{community::kLlgrStale}}) {
        remove_community(attributes, what.community);
    }
}

void perform(const PrependAsPath& what, Attributes& attributes) {
    for (auto number = what.numbers.rbegin(); number != what.numbers.rend(); ++number) {
        attributes.as_path = attributes.as_path.prepended(*number);
    }
}

void perform(const SetLocalPref& what, Attributes& attributes) {
    attributes.local_pref = what.value;
}

void perform(const SetMed& what, Attributes& attributes) {
    attributes.med = what.value;
}

std::string numbers_text(const std::vector<Asn>& numbers) {
    std::string text;
    for (const Asn number : numbers) {
        text += " " + to_string(number);
    }
    return text;
}

std::string text_of(const Operation& operation) {
    struct Text {
        std::string operator()(const AddCommunity& what) const {
            return " add-community " + to_string(what.community);
        }

        std::string operator()(const RemoveCommunity& what) const {
            return " remove-community " + to_string(what.community);
        }

        std::string operator()(const PrependAsPath& what) const {
            return " prepend" + numbers_text(what.numbers);
        }

        std::string operator()(const SetLocalPref& what) const {
            return fmt::format(" local-pref {}", what.value);
        }

        std::string operator()(const SetMed& what) const {
            return fmt::format(" med {}", what.value);
        }
    };

    return std::visit(Text{}, operation);
}

std::string text_of(const FilterMatch& match) {
    constexpr std::array<std::string_view, 3> kRoutes{"", " ipv4", " ipv6"};
    constexpr std::array<std::string_view, 5> kSource{
        "", " own", " learnt", " from-ibgp", " from-ebgp"};
    std::string text{kRoutes.at(static_cast<std::size_t>(match.routes))};
    if (match.where == FilterMatch::Where::Outside && !match.prefixes.empty()) {
        text += " outside";
    }
    for (const PrefixRule& rule : match.prefixes) {
        text += fmt::format(" {} ge {} le {}", to_string(rule.prefix), rule.ge, rule.le);
    }
    text += kSource.at(static_cast<std::size_t>(match.source));
    if (match.peer) {
        text += fmt::format(" peer {}", to_string(*match.peer));
    }
    if (!match.interface.empty()) {
        text += " interface " + match.interface;
    }
    for (const Community& community : match.communities) {
        text += " community " + to_string(community);
    }
    if (!match.as_path_prefix.empty()) {
        text += " as-path" + numbers_text(match.as_path_prefix);
    }
    if (match.own_as) {
        text += " of-own-as";
    }
    if (match.local_pref) {
        text += fmt::format(" local-pref {}", *match.local_pref);
    }
    return text;
}

std::string text_of(const FilterRule& rule) {
    std::string text = rule.action == FilterRule::Action::Accept ? "accept" : "reject";
    text += text_of(rule.match);
    if (!rule.operations.empty()) {
        text += " with";
        for (const Operation& operation : rule.operations) {
            text += text_of(operation);
        }
    }
    return text;
}

}  // namespace

PrefixRule PrefixRule::exact(const IpPrefix& prefix) {
    const unsigned length = length_of(prefix);
    return PrefixRule{.prefix = prefix, .ge = length, .le = length};
}

bool matches_beside_prefix(const FilterMatch& match, const RouteFacts& route) {
    const Attributes& set = route.attributes;
    return matches_source(match.source, route.source) &&
           (!match.peer || *match.peer == route.peer) &&
           (match.interface.empty() || matches_interface(match.interface, route.interface)) &&
           std::ranges::all_of(
               match.communities,
               [&](const Community& community) { return has_community(set, community); }) &&
           set.as_path.begins_with(match.as_path_prefix) &&
           (!match.own_as || set.as_path.empty()) &&
           (!match.local_pref || *match.local_pref == set.local_pref.value_or(kDefaultLocalPref));
}

void apply(const Operations& operations, Attributes& attributes) {
    for (const Operation& operation : operations) {
        std::visit([&](const auto& what) { perform(what, attributes); }, operation);
    }
}

Filter Filter::of_prefixes(std::vector<PrefixRule> prefixes) {
    Filter filter;
    // Without prefixes a rule would match everything.
    if (!prefixes.empty()) {
        FilterRule& rule = filter.rules.emplace_back();
        rule.match.prefixes = std::move(prefixes);
        rule.action = FilterRule::Action::Accept;
    }
    return filter;
}

template <Family F>
Filter::Verdict Filter::ask_rules(const Prefix<F>& prefix, const RouteFacts& route) const {
    for (const FilterRule& rule : rules) {
        if (matches_prefix(rule.match, prefix) && matches_beside_prefix(rule.match, route)) {
            return verdict_of(rule);
        }
    }
    return otherwise(route.source);
}

Filter::Verdict Filter::verdict_of(const FilterRule& rule) {
    const bool accepted = rule.action == FilterRule::Action::Accept;
    const bool changes = accepted && !rule.operations.empty();
    return Verdict{.accepted = accepted, .operations = changes ? &rule.operations : nullptr};
}

bool Filter::wants_interface() const {
    return std::ranges::any_of(
        rules, [](const FilterRule& rule) { return !rule.match.interface.empty(); });
}

std::string to_string(const Filter& filter) {
    constexpr std::array<std::string_view, 3> kKinds{"none", "all", "local"};
    const std::string_view kind = kKinds.at(static_cast<std::size_t>(filter.kind));
    if (filter.rules.empty()) {
        return std::string(kind);
    }
    std::string text;
    for (const FilterRule& rule : filter.rules) {
        text += text_of(rule) + ", ";
    }
    return text + "else " + std::string(kind);
}

template Filter::Verdict Filter::ask_rules(const Prefix<V4>&, const RouteFacts&) const;
template Filter::Verdict Filter::ask_rules(const Prefix<V6>&, const RouteFacts&) const;

}  // namespace vr::bgp
