// Filter: which prefixes pass a session, in or out.
//
// The simple values of the configuration: none, all, local (what this host originates; for exports),
// or a list of prefixes with ge/le bounds.  RFC 8212: an eBGP session without a filter in a direction
// exchanges nothing in it; the default is peer.cc's business.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bgp/attributes.h"
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

struct Filter {
    enum class Kind : std::uint8_t { None, All, Local, List };

    Kind kind = Kind::None;
    std::vector<PrefixRule> rules;  ///< of Kind::List

    /// True when a route to `candidate` that came from `source` may pass.
    template <Family F>
    [[nodiscard]] bool passes(const Prefix<F>& candidate, PeerKind source) const {
        switch (kind) {
            case Kind::None:
                return false;
            case Kind::All:
                return true;
            case Kind::Local:
                return source == PeerKind::Local;
            case Kind::List:
                break;
        }
        for (const PrefixRule& rule : rules) {
            if (rule.matches(candidate)) {
                return true;
            }
        }
        return false;
    }

    friend bool operator==(const Filter&, const Filter&) = default;
};

/// "all", "none", "local" or the rules: "10.0.0.0/8 ge 24 le 32".
[[nodiscard]] std::string to_string(const Filter& filter);

}  // namespace vr::bgp
