// Filter: which routes pass a session, in or out, and what is changed on their way.
//
// Rules are asked in order; the first that matches decides.  A route that none of them decides is
// judged by the filter's kind: none, all, or local (what this host originates; for exports).  Calico's
// BGPFilter and the configuration's filters are made of the same rules.  RFC 8212: an eBGP session
// without a filter in a direction exchanges nothing in it; the default is session_rules.h's business.
// rule_index.h makes long ones quick.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/community.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

/// Matches prefixes inside `prefix` whose length lies between the bounds.
struct PrefixRule {
    IpPrefix prefix;
    unsigned ge = 0;
    unsigned le = 0;

    /// Exactly `prefix`.
    [[nodiscard]] static PrefixRule exact(const IpPrefix& prefix);

    template <Family F>
    [[nodiscard]] bool matches(const Prefix<F>& candidate) const {
        const auto* mine = std::get_if<Prefix<F>>(&prefix);
        return mine != nullptr && mine->contains(candidate) && candidate.length() >= ge &&
               candidate.length() <= le;
    }

    friend bool operator==(const PrefixRule&, const PrefixRule&) = default;
};

/// What a rule is about; what is left out matches everything.
struct FilterMatch {
    enum class Routes : std::uint8_t { Both, Ipv4, Ipv6 };
    /// Where the route came from; Peers: from either kind.
    enum class Source : std::uint8_t { Any, Local, Peers, Internal, External };
    enum class Where : std::uint8_t { Inside, Outside };

    Routes routes = Routes::Both;
    std::vector<PrefixRule> prefixes;  ///< empty: any prefix
    Where where = Where::Inside;       ///< one of `prefixes`, or none of them
    Source source = Source::Any;
    std::optional<PeerKind> peer;        ///< of the session that the route crosses
    std::string interface;               ///< that packets leave by; "tap*": any that begins so
    std::vector<Community> communities;  ///< the route has all of them
    std::vector<Asn> as_path_prefix;     ///< the AS path begins with them
    bool own_as = false;                 ///< the AS path is empty: the route began in our AS
    std::optional<std::uint32_t> local_pref;

    /// Whether routes of the family can match at all.
    template <Family F>
    [[nodiscard]] bool is_about() const {
        return routes == Routes::Both || (routes == Routes::Ipv4) == std::is_same_v<F, V4>;
    }

    friend bool operator==(const FilterMatch&, const FilterMatch&) = default;
};

// What an accepted route is changed by.
struct AddCommunity {
    Community community;
    friend bool operator==(const AddCommunity&, const AddCommunity&) = default;
};

struct RemoveCommunity {
    Community community;
    friend bool operator==(const RemoveCommunity&, const RemoveCommunity&) = default;
};

/// Puts these in front of the AS path, in this order.
struct PrependAsPath {
    std::vector<Asn> numbers;
    friend bool operator==(const PrependAsPath&, const PrependAsPath&) = default;
};

struct SetLocalPref {
    std::uint32_t value = 0;
    friend bool operator==(const SetLocalPref&, const SetLocalPref&) = default;
};

struct SetMed {
    std::uint32_t value = 0;
    friend bool operator==(const SetMed&, const SetMed&) = default;
};

using Operation = std::variant<AddCommunity, RemoveCommunity, PrependAsPath, SetLocalPref, SetMed>;
using Operations = std::vector<Operation>;

/// Performs `operations` in order.
void apply(const Operations& operations, Attributes& attributes);

struct FilterRule {
    enum class Action : std::uint8_t { Accept, Reject };

    FilterMatch match;
    Action action = Action::Reject;
    Operations operations;  ///< of Action::Accept

    friend bool operator==(const FilterRule&, const FilterRule&) = default;
};

/// What a filter looks at beside the prefix.
struct RouteFacts {
    const Attributes& attributes;
    PeerKind source = PeerKind::Local;   ///< where the route came from
    PeerKind peer = PeerKind::External;  ///< of the session
    std::string_view interface;          ///< only when Filter::wants_interface()
};

/// All criteria but those about family and prefix.
[[nodiscard]] bool matches_beside_prefix(const FilterMatch& match, const RouteFacts& route);

struct Filter {
    enum class Kind : std::uint8_t { None, All, Local };

    /// What becomes of a route that no rule decides.
    Kind kind = Kind::None;
    std::vector<FilterRule> rules;

    /// Accepts what one of `prefixes` matches and nothing else.
    [[nodiscard]] static Filter of_prefixes(std::vector<PrefixRule> prefixes);

    struct Verdict {
        bool accepted = false;
        const Operations* operations = nullptr;  ///< of the rule that accepted; null: no change
    };

    template <Family F>
    [[nodiscard]] Verdict judge(const Prefix<F>& prefix, const RouteFacts& route) const {
        return rules.empty() ? otherwise(route.source) : ask_rules(prefix, route);
    }

    /// Of a route that `rule` decides.
    [[nodiscard]] static Verdict verdict_of(const FilterRule& rule);

    /// Of a route that no rule decides.
    [[nodiscard]] Verdict otherwise(PeerKind source) const {
        return Verdict{
            .accepted = kind == Kind::All || (kind == Kind::Local && source == PeerKind::Local),
            .operations = nullptr};
    }

    /// True when a rule looks at the interface of routes.
    [[nodiscard]] bool wants_interface() const;

    friend bool operator==(const Filter&, const Filter&) = default;

  private:
    template <Family F>
    [[nodiscard]] Verdict ask_rules(const Prefix<F>& prefix, const RouteFacts& route) const;
};

/// "accept 10.0.0.0/8 ge 24 le 32, reject community 64512:1, else none", "all".
[[nodiscard]] std::string to_string(const Filter& filter);

}  // namespace vr::bgp
