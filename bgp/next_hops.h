// NextHops: what the machine says about the next hops in use, asked once each.
//
// Paths share next hops by the thousand, and attribute sets keep the answer beside them, so ranking a
// path costs no look-up.  When answers may have changed they are asked for again, in slices; only where some
// did change the tables are walked, and not once for each that did.  The link of a next hop is asked for, and
// its change is one, only where a filter or what a peer is told depends on it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "bgp/attribute_pool.h"
#include "bgp/route_sink.h"

namespace vr::bgp {

/// The next hop that traffic takes: the link-local one only where there is no other (RFC 2545 3).
[[nodiscard]] IpAddr forwarding_next_hop(const Attributes& attributes);

class NextHops {
  public:
    /// The table of answers never moves as a whole: it has room for all, though not memory yet.
    explicit NextHops(const NextHopOracle& oracle) : oracle_(oracle) {
        answers_.reserve(kMostNextHops);
    }

    /// Cost of reaching the next hop of a path to `prefix`; nothing: unreachable, or reached over the
    /// route to `prefix` itself.
    template <Family F>
    [[nodiscard]] std::optional<std::uint32_t> metric(
        const AttributesRef& attributes, const Prefix<F>& prefix) {
        const AttributesRef::Reachability& known = ask(attributes);
        if (!known.reachable || (known.over_bgp && is_on_way(prefix, *attributes))) {
            return std::nullopt;
        }
        return known.metric;
    }

    /// NextHopOracle::interface_to(), zone_to() and link_to(): who asks hears of changes.  What
    /// interface_to() answers is valid until the next question.
    [[nodiscard]] std::string_view interface_to(const IpAddr& next_hop);
    [[nodiscard]] Zone zone_to(const IpAddr& next_hop);
    [[nodiscard]] Zone link_to(const IpAddr& next_hop);

    /// Another number after each answer that differed.
    [[nodiscard]] std::uint32_t stamp() const noexcept { return stamp_; }

    /// The machine's answer for this one / for any may have changed.
    void ask_again(const IpAddr& next_hop);
    void ask_all_again();

    /// Asks for up to `most` of them; true when more are left.
    bool ask_some(std::size_t most);

    /// True when the machine has said all, was asked for all of it, and the tables were told what differed.
    [[nodiscard]] bool is_settled() const {
        return to_ask_.empty() && next_changed_.empty() && !next_all_changed_ &&
               oracle_.is_settled();
    }

    /// Begins a walk of the tables if answers were found to differ since the last one began: changed() tells
    /// whose.
    [[nodiscard]] bool begin_walk();

    /// Whether `next_hop`, or that of `attributes`, is among those that the walk is about.
    [[nodiscard]] bool changed(const IpAddr& next_hop) const {
        return all_changed_ || changed_.contains(next_hop);
    }

    [[nodiscard]] bool changed(const Attributes& attributes) const {
        return changed(forwarding_next_hop(attributes));
    }

  private:
    struct Answer {
        std::optional<std::uint32_t> metric;
        std::vector<IpPrefix> over;  ///< routes of ours on the way
        // As far as anybody asked:
        std::optional<std::string> interface;
        std::optional<Zone> zone;
        std::optional<Zone> link;

        friend bool operator==(const Answer&, const Answer&) = default;
    };

    [[nodiscard]] Answer answer(const IpAddr& next_hop) const;
    [[nodiscard]] Answer answer_again(const IpAddr& next_hop, const Answer& known) const;
    [[nodiscard]] Answer& known(const IpAddr& next_hop);
    [[nodiscard]] Answer& known_for_its_link(const IpAddr& next_hop);
    const AttributesRef::Reachability& ask(const AttributesRef& attributes);
    [[nodiscard]] bool is_on_way(const IpPrefix& prefix, const Attributes& attributes) const;

    const NextHopOracle& oracle_;
    boost::unordered_flat_map<IpAddr, Answer, std::hash<IpAddr>> answers_;
    using Set = boost::unordered_flat_set<IpAddr, std::hash<IpAddr>>;

    void note_difference();

    std::deque<IpAddr> to_ask_;  ///< in their turn: what changes often keeps no other from its own
    Set waiting_;                ///< the same
    Set changed_;
    Set next_changed_;  ///< since the present walk began
    std::uint32_t stamp_ = 1;
    bool forgotten_ = false;  ///< there were answers that are not in answers_ any more
    bool asked_for_links_ = false;
    bool forgot_links_ = false;  ///< among answers that were forgotten, or may have been
    bool all_changed_ = false;
    bool next_all_changed_ = false;
};

}  // namespace vr::bgp
