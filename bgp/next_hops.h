// NextHops: what the machine says about the next hops in use, asked once each.
//
// Paths share next hops by the thousand, and attribute sets keep the answer beside them, so ranking a
// path costs no look-up.  When answers may have changed, refresh() asks again for all of them and tells
// which did; only then a table needs to be walked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
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
    explicit NextHops(const NextHopOracle& oracle) : oracle_(oracle) {}

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

    /// Asks the machine again; true when an answer differs from before: changed() then tells whose.
    bool refresh();

    /// Whether the next hop of `attributes` was among those whose answer refresh() found changed since
    /// the last settled().
    [[nodiscard]] bool changed(const Attributes& attributes) const {
        return all_changed_ || changed_.contains(forwarding_next_hop(attributes));
    }

    /// Every table has been walked.
    void settled() {
        changed_.clear();
        all_changed_ = false;
    }

  private:
    struct Answer {
        std::optional<std::uint32_t> metric;
        std::vector<IpPrefix> over;  ///< routes of ours on the way

        friend bool operator==(const Answer&, const Answer&) = default;
    };

    [[nodiscard]] Answer answer(const IpAddr& next_hop) const;
    const AttributesRef::Reachability& ask(const AttributesRef& attributes);
    [[nodiscard]] bool is_on_way(const IpPrefix& prefix, const Attributes& attributes) const;

    const NextHopOracle& oracle_;
    boost::unordered_flat_map<IpAddr, Answer, std::hash<IpAddr>> answers_;
    boost::unordered_flat_set<IpAddr, std::hash<IpAddr>> changed_;
    std::uint32_t stamp_ = 1;
    bool forgotten_ = false;  ///< there were answers that are not in answers_ any more
    bool all_changed_ = false;
};

}  // namespace vr::bgp
