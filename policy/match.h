// Matches: one row per criterion of a rule, POLICY 2.4.
//
// A row carries everything of its kind: the key, how it is read, what it means (evaluated on the
// model, for the reference), and how it is lowered towards an ACL rule.  Selectors, their negations
// and named ports need groups, whose numbers only the compiler has: lowering leaves them as selectors
// and names.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/dataplane/acl.h"

namespace vr::policy {

// --- what the reference evaluates on --------------------------------------------------------

/// An endpoint or network set as rules see it.
struct Labelled {
    Labels labels;
    std::vector<IpPrefix> networks;
    std::vector<NamedPort> ports;
};

/// A part of the members of a service, "namespace/name".
struct Serving {
    std::string service;
    std::vector<IpPrefix> addresses;
    std::vector<NamedPort> ports;
};

/// A packet of either family.
struct Sample {
    IpAddr source;
    IpAddr destination;
    L4Port source_port;
    L4Port destination_port;
    std::uint8_t protocol = 0;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    bool has_ports = false;

    [[nodiscard]] bool is_ip6() const { return std::holds_alternative<Ip6>(source); }
};

/// One side of a packet.
struct SideSample {
    IpAddr address;
    L4Port port;
    std::uint8_t protocol = 0;
    bool has_ports = false;
};

/// Everything that a rule may ask beyond the packet.
struct World {
    std::span<const Labelled> labelled;
    std::span<const Serving> serving;
    std::string ns;  ///< of the rule's policy, empty when global
};

// --- what lowering produces -----------------------------------------------------------------

struct LoweredSide {
    acl::SideMatch match;                ///< without groups
    std::optional<Selector> group;       ///< address must be in this set
    std::optional<Selector> not_group;   ///< address must not be in this set
    std::vector<std::string> names;      ///< or'ed with match.ports
    std::vector<std::string> not_names;  ///< packet must match none
};

struct LoweredMatch {
    acl::Match match;  ///< its sides are empty; ip4 and ip6 both false: can never match
    LoweredSide source;
    LoweredSide destination;
};

// --- the rows -------------------------------------------------------------------------------

struct EntityRow {
    std::string_view key;
    Result<void> (*parse)(const Field& field, EntityMatch& into);
    /// nullptr: part of another row's meaning.
    bool (*matches)(const EntityMatch& match, const SideSample& side, const World& world);
    void (*lower)(
        const EntityMatch& match, const std::string& ns, LoweredSide& side, acl::Match& all);
};

struct RuleRow {
    std::string_view key;
    Result<void> (*parse)(const Field& field, RuleMatch& into);
    bool (*matches)(const RuleMatch& match, const Sample& packet, const World& world);
    void (*lower)(const RuleMatch& match, const std::string& ns, LoweredMatch& into);
};

[[nodiscard]] std::span<const RuleRow> rule_rows();
[[nodiscard]] std::span<const EntityRow> entity_rows();

/// Reads a rule's criteria (every key but "action") and checks them together.
[[nodiscard]] Result<void> parse_match(const Field& rule, RuleMatch& into);

/// The reference's meaning of a rule's criteria.
[[nodiscard]] bool matches(const RuleMatch& match, const Sample& packet, const World& world);

/// The reference's meaning of a namespaceSelector or serviceAccountSelector: judges it by taking the
/// prefix off the labels, where scope.h puts it on the selector.  POLICY 2.3.
[[nodiscard]] bool selects_unprefixed(
    const Selector& selector, const Labels& labels, std::string_view prefix);

[[nodiscard]] LoweredMatch lower(const RuleMatch& match, const std::string& ns);

// --- readers shared with other resources ----------------------------------------------------

[[nodiscard]] Result<Protocol> parse_protocol(const Field& field);
[[nodiscard]] Result<Selector> parse_selector(const Field& field);
/// Empty text is an absent selector.
[[nodiscard]] Result<void> parse_optional_selector(
    const Field& field, std::optional<Selector>& into);
[[nodiscard]] Result<IpPrefix> parse_net(const Field& field);

}  // namespace vr::policy
