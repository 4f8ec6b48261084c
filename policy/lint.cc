// SPDX-License-Identifier: Apache-2.0
#include "policy/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "policy/catalog.h"
#include "policy/clashes.h"
#include "policy/cover.h"
#include "policy/document.h"
#include "policy/inheritance.h"
#include "policy/match.h"
#include "policy/origin.h"
#include "policy/reach.h"
#include "policy/resolver.h"
#include "policy/resource.h"
#include "policy/scope.h"
#include "policy/spec.h"

namespace vr::policy {

namespace {

constexpr std::array kDirections{Direction::Ingress, Direction::Egress};

std::string_view word(Direction direction) {
    return direction == Direction::Ingress ? "ingress" : "egress";
}

bool is_endpoint(const Resource& object) {
    return std::holds_alternative<WorkloadEndpoint>(object.spec) ||
           std::holds_alternative<HostEndpoint>(object.spec);
}

/// What selectors select: every endpoint and network set with its labels.
class Population {
  public:
    explicit Population(const std::map<Key, ResourcePtr>& objects) {
        for (const auto& [key, object] : objects) {
            if (const auto* profile = std::get_if<Profile>(&object->spec)) {
                (void)inheritance_.set_profile(key.name, profile);
            } else if (
                is_endpoint(*object) || std::holds_alternative<NetworkSet>(object->spec) ||
                std::holds_alternative<EndpointSlice>(object->spec)) {
                (void)inheritance_.set_item(key, own_labels(*object), inherited_profiles(*object));
            }
        }
        for (const auto& [key, object] : objects) {
            if (const auto* endpoint = std::get_if<WorkloadEndpoint>(&object->spec)) {
                if (!endpoint->networks.empty()) {  // else ignored, POLICY 2.2
                    // One of no host is what can be read of an invalid one: addresses, salvage.h.
                    const bool forwards = !endpoint->node.empty() && !inheritance_.is_closed(key);
                    (forwards ? endpoints_ : sets_).emplace(key, inheritance_.labels(key));
                    ports_.emplace(key, &endpoint->ports);
                }
            } else if (const auto* host = std::get_if<HostEndpoint>(&object->spec)) {
                hosts_.emplace(key, inheritance_.labels(key));
                if (host->closed || inheritance_.is_closed(key)) {
                    closed_.insert(key);
                }
                ports_.emplace(key, &host->ports);
            } else if (const auto* slice = std::get_if<EndpointSlice>(&object->spec)) {
                sets_.emplace(key, inheritance_.labels(key));
                ports_.emplace(key, &slice->ports);
            } else if (std::holds_alternative<NetworkSet>(object->spec)) {
                sets_.emplace(key, inheritance_.labels(key));
            }
        }
    }

    [[nodiscard]] const std::map<Key, Labels>& endpoints() const { return endpoints_; }

    [[nodiscard]] const std::map<Key, Labels>& hosts() const { return hosts_; }

    /// Stands in for an invalid one, of which no packet comes to a normal policy.
    [[nodiscard]] bool is_closed(const Key& host) const { return closed_.contains(host); }

    [[nodiscard]] bool has_endpoints() const { return !endpoints_.empty() || !hosts_.empty(); }

    [[nodiscard]] bool has_endpoint(const Selector& selector) const {
        return any(endpoints_, selector) || any(hosts_, selector);
    }

    [[nodiscard]] bool has_address(const Selector& selector) const {
        return has_endpoint(selector) || any(sets_, selector);
    }

    /// Some endpoint that `selector` selects exposes `port`.
    [[nodiscard]] bool has_port(
        const Selector& selector, const std::string& port, std::uint8_t protocol) const {
        return std::ranges::any_of(ports_, [&](const auto& entry) {
            return std::ranges::any_of(
                       *entry.second,
                       [&](const NamedPort& own) {
                           return own.name == port && own.protocol == protocol;
                       }) &&
                   selector.matches(inheritance_.labels(entry.first));
        });
    }

  private:
    static bool any(const std::map<Key, Labels>& items, const Selector& selector) {
        return std::ranges::any_of(
            items, [&](const auto& item) { return selector.matches(item.second); });
    }

    Inheritance inheritance_;
    std::map<Key, Labels> endpoints_;  ///< of workloads
    std::map<Key, Labels> hosts_;
    std::set<Key> closed_;  ///< of the hosts
    std::map<Key, Labels> sets_;
    std::map<Key, const std::vector<NamedPort>*> ports_;
};

/// The object that begins in `line` of a document, which may be a List of objects.
const Node* find_object(const Node& root, int line) {
    if (root.line == line && root.find("spec") != nullptr) {
        return &root;
    }
    if (const Node* items = root.find("items")) {
        for (const auto& item : items->items) {
            if (const Node* found = find_object(item, line)) {
                return found;
            }
        }
    }
    return nullptr;
}

class Linter {
  public:
    explicit Linter(const std::vector<SourceFile>& files) {
        for (const auto& file : files) {
            auto parsed = parse_file(file.name, file.text);
            if (auto documents = parse_documents(file.name, file.text)) {
                if (!parsed) {
                    parsed = read_the_rest(file.name, *documents);
                }
                documents_.emplace(file.name, *std::move(documents));
            }
            const auto text = std::make_shared<const std::string>(file.text);
            for (const auto& event : catalog_.set_file(file.name, text, std::move(parsed))) {
                if (const auto* came = std::get_if<Upsert>(&event)) {
                    objects_[came->resource->key] = came->resource;
                }
            }
        }
    }

    std::vector<Finding> run() {
        report_files();
        report_objects();
        const Population population(objects_);
        for (const auto& [key, object] : objects_) {
            if (!stand_ins_.contains(key)) {
                check_object(*object, population);
            }
        }
        for (auto& clash : clashes(objects_)) {
            if (!stand_ins_.contains(clash.object)) {
                report(clash.kind, clash.object, std::move(clash.text));
            }
        }
        check_reach(population);
        std::ranges::sort(findings_, {}, [](const Finding& f) {
            return std::tie(f.file, f.line, f.kind, f.text);
        });
        return std::move(findings_);
    }

  private:
    /// Of a file that a router refuses as a whole: what is no object is reported, the others are looked at.
    ParsedFile read_the_rest(const std::string& file, const std::vector<Document>& documents) {
        ParsedFile rest;
        for (const auto& document : documents) {
            read_root(file, document.root, rest);
        }
        return rest;
    }

    void read_root(const std::string& file, const Node& root, ParsedFile& into) {
        auto parsed = parse_root(file, root);
        const Node* items = root.find("items");
        if (parsed) {
            std::ranges::move(parsed->objects, std::back_inserter(into.objects));
            std::ranges::move(parsed->ignored, std::back_inserter(into.ignored));
        } else if (items != nullptr && !items->items.empty()) {
            for (const auto& item : items->items) {
                read_root(file, item, into);
            }
        } else {
            report_text(
                Finding::Kind::Invalid,
                file,
                parsed.error().text + "; a router takes nothing of this file",
                {});
        }
    }

    /// Reports "FILE:LINE: text", or text that names its file alone.
    void report_text(
        Finding::Kind kind, const std::string& file, std::string text, std::string of) {
        Finding finding{kind, file, 0, std::move(of), std::move(text)};
        std::string_view rest = finding.text;
        if (rest.starts_with(file + ":")) {
            rest.remove_prefix(file.size() + 1);
            const auto [end, error] =
                std::from_chars(rest.data(), rest.data() + rest.size(), finding.line);
            if (error == std::errc{}) {
                rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
                rest.remove_prefix(rest.starts_with(": ") ? 2 : 0);
            }
            finding.text =
                std::string(rest.substr(std::min(rest.find_first_not_of(' '), rest.size())));
        }
        findings_.push_back(std::move(finding));
    }

    /// Files that cannot be understood, and objects in them that are none of ours.
    void report_files() {
        for (const auto& file : catalog_.files()) {
            for (const auto& problem : catalog_.problems()) {
                if (problem.starts_with(file + ":")) {
                    const bool whole = problem == catalog_.file_error(file);
                    report_text(
                        whole ? Finding::Kind::Invalid : Finding::Kind::Warning, file, problem, {});
                }
            }
        }
    }

    /// What the catalog says of each definition.  Only valid ones are looked at further, beside what stands in
    /// for others: it selects and denies, and others may name it.
    void report_objects() {
        for (const auto& status : catalog_.list()) {
            const std::string object = to_string(status.key);
            if (status.state == ObjectState::Shadowed) {
                findings_.push_back(
                    {Finding::Kind::Shadowed, status.file, status.line, object, status.reason});
            } else if (status.state != ObjectState::Valid) {
                report_mistakes(status);
                if (status.state == ObjectState::StandIn || status.state == ObjectState::Partial) {
                    stand_ins_.insert(status.key);
                } else {
                    objects_.erase(status.key);
                }
            }
            for (const auto& warning : status.warnings) {
                report_text(Finding::Kind::Warning, status.file, warning, object);
            }
        }
    }

    /// The catalog tells the first, and what counts instead.
    void report_mistakes(const ObjectStatus& status) {
        const std::string object = to_string(status.key);
        report_text(Finding::Kind::Invalid, status.file, status.reason, object);
        const Node* node = find_node(status.file, status.line);
        const auto all =
            node != nullptr ? mistakes(status.file, status.key, *node) : std::vector<std::string>{};
        for (const auto& mistake : all) {
            if (!status.reason.starts_with(mistake)) {
                report_text(Finding::Kind::Invalid, status.file, mistake, object);
            }
        }
    }

    void report(Finding::Kind kind, const Key& key, std::string text) {
        const auto place = catalog_.find(key);
        findings_.push_back({kind, place->file, place->line, to_string(key), std::move(text)});
    }

    void report_rule(Finding::Kind kind, const RulePlace& rule, const std::string& text) {
        report(
            kind,
            rule.object,
            fmt::format("{} rule {}: {}", word(rule.direction), rule.index, text));
        findings_.back().line = line_of(rule, findings_.back());
    }

    /// The line where a rule begins.
    int line_of(const RulePlace& rule, const Finding& object) {
        const Node* found = find_node(object.file, object.line);
        const Node* spec = found != nullptr ? found->find("spec") : nullptr;
        const Node* list = spec != nullptr ? spec->find(word(rule.direction)) : nullptr;
        return list != nullptr && rule.index < list->items.size() ? list->items[rule.index].line
                                                                  : object.line;
    }

    /// The object that begins there; null: it has no spec.
    const Node* find_node(const std::string& file, int line) {
        for (const auto& document : documents_[file]) {
            if (const Node* found = find_object(document.root, line)) {
                return found;
            }
        }
        return nullptr;
    }

    void check_object(const Resource& object, const Population& population) {
        const Key& key = object.key;
        if (std::holds_alternative<Policy>(object.spec)) {
            check_policy(object, population);
        } else if (const auto* profile = std::get_if<Profile>(&object.spec)) {
            for (const auto direction : kDirections) {
                check_rules(key, direction, profile->rules(direction), population);
            }
        } else if (const auto* endpoint = std::get_if<WorkloadEndpoint>(&object.spec)) {
            check_endpoint(key, *endpoint);
        } else if (const auto* host = std::get_if<HostEndpoint>(&object.spec)) {
            check_profiles(key, host->profiles);
        } else if (const auto* set = std::get_if<NetworkSet>(&object.spec)) {
            if (set->nets.empty()) {
                report(Finding::Kind::MatchesNothing, key, "no nets");
            }
        }
    }

    void check_endpoint(const Key& key, const WorkloadEndpoint& endpoint) {
        if (endpoint.networks.empty()) {
            report(Finding::Kind::MatchesNothing, key, "no ipNetworks: the endpoint is ignored");
        }
        check_profiles(key, endpoint.profiles);
    }

    void check_profiles(const Key& key, const std::vector<std::string>& profiles) {
        for (const auto& profile : profiles) {
            if (profile != kDefaultAllowProfile &&
                !objects_.contains({Kind::Profile, {}, profile})) {
                report(
                    Finding::Kind::Invalid,
                    key,
                    fmt::format(
                        "names Profile {}, which does not exist: what comes to it is denied",
                        profile));
            }
        }
    }

    void check_policy(const Resource& object, const Population& population) {
        const auto& policy = object.as<Policy>();
        if (!objects_.contains({Kind::Tier, {}, policy.tier}) && !built_in_tier(policy.tier)) {
            report(
                Finding::Kind::Invalid,
                object.key,
                fmt::format(
                    "names Tier {}, which does not exist: judged after all others", policy.tier));
        }
        if (population.has_endpoints() &&
            !population.has_endpoint(policy_scope(policy, object.key.ns))) {
            report(Finding::Kind::MatchesNothing, object.key, "selects no endpoint");
        }
        for (const auto direction : kDirections) {
            const auto& rules = policy.rules(direction);
            if (!rules.empty() && !governs(policy.types, direction)) {
                report(
                    Finding::Kind::MatchesNothing,
                    object.key,
                    fmt::format(
                        "{} rules that never act: types does not name them", word(direction)));
            }
            check_rules(object.key, direction, rules, population);
        }
    }

    void check_rules(
        const Key& key,
        Direction direction,
        const std::vector<Rule>& rules,
        const Population& population) {
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const RulePlace place{key, direction, i};
            const LoweredMatch match = lower(rules[i].match, key.ns);
            if (const std::string why = matches_nothing(match, population); !why.empty()) {
                report_rule(Finding::Kind::MatchesNothing, place, why);
                dead_.insert(place);
            } else if (const auto by = reach_.covered_within(place)) {
                report_rule(Finding::Kind::Shadowed, place, "never reached: " + *by);
                dead_.insert(place);
            }
        }
    }

    /// Why no packet can match; empty when one may.
    static std::string matches_nothing(const LoweredMatch& match, const Population& population) {
        if (!match.match.ip4 && !match.match.ip6) {
            return "matches packets of neither family";
        }
        if (Remainder(match).empty()) {
            return "its criteria leave out all that they name";
        }
        if (!population.has_endpoints()) {
            return {};
        }
        for (const auto& [side, name] :
             {std::pair(&match.source, "source"), std::pair(&match.destination, "destination")}) {
            if (side->group && !population.has_address(*side->group)) {
                return fmt::format(
                    "{}: no endpoint or network set is {}", name, side->group->text());
            }
            const auto exposed = [&](const std::string& port) {
                return population.has_port(
                    side->group.value_or(Selector()), port, match.match.protocol.value_or(0));
            };
            if (!side->names.empty() && side->match.ports.empty() &&
                std::ranges::none_of(side->names, exposed)) {
                return fmt::format(
                    "{}: no endpoint has a port named {}", name, fmt::join(side->names, " or "));
            }
        }
        return {};
    }

    /// Rules that packets of no endpoint get to.
    void check_reach(const Population& population) {
        Resolver resolver;
        for (const auto& [key, object] : objects_) {
            if (std::holds_alternative<Policy>(object->spec)) {
                resolver.set_policy(object);
            } else if (const auto* tier = std::get_if<Tier>(&object->spec)) {
                resolver.set_tier(key.name, *tier);
            }
        }
        std::set<PolicyList> lists;
        for (const auto& [key, labels] : population.endpoints()) {
            resolver.set_endpoint(key, labels);
            for (const auto direction : kDirections) {
                lists.insert(resolver.resolve(key, direction, {}));
            }
        }
        for (const auto& [key, labels] : population.hosts()) {
            resolver.set_endpoint(key, labels);
            for (const HostHook hook : kAllHostHooks) {
                if (is_normal(hook) && population.is_closed(key)) {
                    continue;
                }
                const Direction direction =
                    is_ingress(hook) ? Direction::Ingress : Direction::Egress;
                PolicyList list = resolver.resolve(key, direction, {}, hook);
                for (auto& tier : list.tiers) {
                    if (may_be_silent(hook)) {  // nothing is denied at the end of a tier
                        tier.default_action = TierDefault::Pass;
                    }
                }
                lists.insert(std::move(list));
            }
        }
        for (const auto& list : lists) {
            reach_.add(list);
        }
        for (const auto& [rule, reason] : reach_.unreached()) {
            if (!dead_.contains(rule) && !stand_ins_.contains(rule.object)) {
                report_rule(Finding::Kind::Shadowed, rule, "never reached: " + reason);
            }
        }
    }

    Catalog catalog_;
    std::map<std::string, std::vector<Document>> documents_;
    std::map<Key, ResourcePtr> objects_;  ///< those in force
    std::set<Key> stand_ins_;             ///< of them, for what is invalid
    Reach reach_{objects_};
    std::set<RulePlace> dead_;  ///< reported already
    std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> lint(const std::vector<SourceFile>& files) {
    return Linter(files).run();
}

}  // namespace vr::policy
