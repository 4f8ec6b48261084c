// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/filter_config.h"

#include <charconv>
#include <sstream>

#include "vrouter/yaml_section.h"

namespace vr::daemon {

namespace {

using bgp::Filter;
using bgp::FilterMatch;
using bgp::FilterRule;

constexpr std::string_view kPrefixRule = "a prefix like '10.0.0.0/8 ge 24 le 32'";
constexpr std::string_view kCommunity =
    "a community like 64512:100, 64512:1:2, rt:64512:100 or no-export";

std::optional<Filter::Kind> kind_of(const std::string& word) {
    return word == "all"     ? std::optional{Filter::Kind::All}
           : word == "none"  ? std::optional{Filter::Kind::None}
           : word == "local" ? std::optional{Filter::Kind::Local}
                             : std::nullopt;
}

std::optional<bgp::Community> community_of(const std::string& text) {
    return bgp::parse_community(text);
}

std::optional<Asn> asn_of(const std::string& text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && number != 0 ? std::optional{Asn{number}} : std::nullopt;
}

/// A list of what to match; an empty one would match everything.
template <typename Parse>
auto criteria(YamlSection& yaml, const char* key, std::string_view expected, Parse parse) {
    auto values = yaml.list(key, expected, parse);
    if (values.empty() && yaml.take(key).IsDefined()) {
        yaml.refuse(key, "an empty list would match every route; leave it out or name something");
    }
    return values;
}

void read_match(YamlSection& yaml, FilterMatch& match) {
    match.prefixes = criteria(yaml, "prefixes", kPrefixRule, parse_prefix_rule);
    auto outside = criteria(yaml, "not_prefixes", kPrefixRule, parse_prefix_rule);
    if (!outside.empty()) {
        if (!match.prefixes.empty()) {
            yaml.refuse("not_prefixes", "prefixes and not_prefixes exclude each other");
        }
        match.prefixes = std::move(outside);
        match.where = FilterMatch::Where::Outside;
    }
    using Routes = FilterMatch::Routes;
    match.routes = yaml.value(
                           "family",
                           "ipv4 or ipv6",
                           [](const std::string& s) {
                               return s == "ipv4"   ? std::optional{Routes::Ipv4}
                                      : s == "ipv6" ? std::optional{Routes::Ipv6}
                                                    : std::nullopt;
                           })
                       .value_or(Routes::Both);
    using Source = FilterMatch::Source;
    match.source = yaml.value(
                           "source",
                           "local, peers, ibgp or ebgp",
                           [](const std::string& s) {
                               return s == "local"   ? std::optional{Source::Local}
                                      : s == "peers" ? std::optional{Source::Peers}
                                      : s == "ibgp"  ? std::optional{Source::Internal}
                                      : s == "ebgp"  ? std::optional{Source::External}
                                                     : std::nullopt;
                           })
                       .value_or(Source::Any);
    match.peer = yaml.value("peer", "ebgp or ibgp", [](const std::string& s) {
        return s == "ebgp"   ? std::optional{bgp::PeerKind::External}
               : s == "ibgp" ? std::optional{bgp::PeerKind::Internal}
                             : std::nullopt;
    });
    match.interface = yaml.text("interface").value_or("");
    match.communities = criteria(yaml, "communities", kCommunity, community_of);
    match.as_path_prefix = criteria(yaml, "as_path_prefix", "an AS number", asn_of);
    if (const auto value = yaml.number("local_pref", 0, kMost32)) {
        match.local_pref = static_cast<std::uint32_t>(*value);
    }
}

void read_operations(YamlSection& yaml, bgp::Operations& operations) {
    for (const bgp::Community& each : yaml.list("remove_communities", kCommunity, community_of)) {
        if (each == bgp::Community{bgp::StandardCommunity{bgp::community::kLlgrStale}}) {
            yaml.refuse("remove_communities", "llgr-stale is never removed (RFC 9494)");
        }
        operations.emplace_back(bgp::RemoveCommunity{each});
    }
    for (const bgp::Community& each : yaml.list("add_communities", kCommunity, community_of)) {
        operations.emplace_back(bgp::AddCommunity{each});
    }
    if (auto numbers = yaml.list("prepend", "an AS number", asn_of); !numbers.empty()) {
        operations.emplace_back(bgp::PrependAsPath{std::move(numbers)});
    }
    if (const auto value = yaml.number("set_local_pref", 0, kMost32)) {
        operations.emplace_back(bgp::SetLocalPref{static_cast<std::uint32_t>(*value)});
    }
    if (const auto value = yaml.number("set_med", 0, kMost32)) {
        operations.emplace_back(bgp::SetMed{static_cast<std::uint32_t>(*value)});
    }
}

FilterRule read_rule(YamlSection& yaml) {
    using Action = FilterRule::Action;
    FilterRule rule;
    yaml.require("action");
    rule.action = yaml.value(
                          "action",
                          "accept or reject",
                          [](const std::string& s) {
                              return s == "accept"   ? std::optional{Action::Accept}
                                     : s == "reject" ? std::optional{Action::Reject}
                                                     : std::nullopt;
                          })
                      .value_or(Action::Reject);
    read_match(yaml, rule.match);
    read_operations(yaml, rule.operations);
    if (rule.action == Action::Reject && !rule.operations.empty()) {
        yaml.refuse("action", "only a rule that accepts can change routes");
    }
    return rule;
}

}  // namespace

std::optional<bgp::PrefixRule> parse_prefix_rule(const std::string& text) {
    std::istringstream words{text};
    std::string prefix;
    words >> prefix;
    const auto parsed = parse_prefix(prefix);
    if (!parsed) {
        return std::nullopt;
    }
    const unsigned length = length_of(*parsed);
    const unsigned most = parsed->index() == 0 ? V4::kBits : V6::kBits;
    std::optional<unsigned> ge;
    std::optional<unsigned> le;
    std::string word;
    unsigned number = 0;
    while (words >> word) {
        if (!(words >> number) || number < length || number > most ||
            (word != "ge" && word != "le")) {
            return std::nullopt;
        }
        (word == "ge" ? ge : le) = number;
    }
    const bgp::PrefixRule rule{
        .prefix = *parsed, .ge = ge.value_or(length), .le = le.value_or(ge ? most : length)};
    return rule.ge <= rule.le ? std::optional{rule} : std::nullopt;
}

void read_named_filter(YamlSection& yaml, NamedFilters& filters) {
    yaml.require("name");
    const std::string name = yaml.text("name").value_or("");
    Filter filter;
    filter.kind = yaml.value("otherwise", "all, none or local", kind_of).value_or(filter.kind);
    yaml.sections("rules", [&](YamlSection& rule) { filter.rules.push_back(read_rule(rule)); });
    if (kind_of(name) || name.find('/') != std::string::npos) {
        yaml.refuse("name", "a filter cannot be called '" + name + "'");
    } else if (!filters.emplace(name, std::move(filter)).second) {
        yaml.refuse("name", "filter '" + name + "' is defined twice");
    }
}

std::optional<Filter> read_filter(YamlSection& yaml, const char* key, const NamedFilters& filters) {
    const YAML::Node node = yaml.take(key);
    if (!node.IsDefined()) {
        return std::nullopt;
    }
    if (!node.IsScalar() || node.Scalar().find('/') != std::string::npos) {
        return Filter::of_prefixes(yaml.list(key, kPrefixRule, parse_prefix_rule));
    }
    const auto named = [&](const std::string& word) -> std::optional<Filter> {
        if (const auto kind = kind_of(word)) {
            return Filter{.kind = *kind, .rules = {}};
        }
        const auto found = filters.find(word);
        return found == filters.end() ? std::nullopt : std::optional{found->second};
    };
    // A filter that could not be read lets nothing pass; the config is refused anyway.
    return yaml.value(key, "all, none, local, prefixes or the name of a filter", named)
        .value_or(Filter{});
}

}  // namespace vr::daemon
