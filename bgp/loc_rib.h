// Loc-RIB: all accepted paths per prefix, ranked, and what follows from a change; RFC 4271 9.1.
//
// Paths are set and removed at once but ranked later: a change marks its prefix dirty, decide_some()
// ranks a batch of dirty prefixes and reports those whose outcome differs.  So ten peers that bring
// the same table cause one decision per prefix, not ten.  Routes have stable indices: a walk over the
// table goes on after changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include <boost/container/small_vector.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "bgp/decision.h"
#include "bgp/route_sink.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

template <Family F>
class LocRib {
  public:
    struct Route {
        Prefix<F> prefix;
        boost::container::small_vector<Path, 1> paths;  ///< ranked by the last decision
        std::uint16_t sharing = 0;  ///< the first so many paths carry traffic; 0: no usable path
        bool live = false;          ///< false: a free slot
        bool dirty = false;
        // Outcome of the last decision; stays as it is while `paths` changes before the next one.
        AttributesRef best_attributes;            ///< nothing: no usable path
        const PathSource* best_source = nullptr;  ///< null: no usable path
        std::size_t forwarding_digest = 0;        ///< of what the machine was told; 0: nothing
    };

    /// What a decision changed; at least one of the two.
    struct Change {
        bool best_path = false;  ///< peers must hear of it
        bool forwarding =
            false;  ///< the machine must hear of it: next hops, or where they are from
    };

    using OnChange = std::function<void(const Route&, Change)>;

    LocRib(const NextHopOracle& oracle, unsigned multipath)
        : oracle_(oracle), multipath_(multipath) {}

    /// Adds or replaces the path of `source`; true when it is new.
    bool set(const Prefix<F>& prefix, const PathSource* source, const AttributesRef& attributes);

    /// False when `source` had no path to `prefix`.
    bool remove(const Prefix<F>& prefix, const PathSource* source);

    /// Ranks dirty prefixes, at most `most`; answers how many.  `on_change` must not change the RIB.
    std::size_t decide_some(std::size_t most, const OnChange& on_change);

    [[nodiscard]] bool has_dirty() const noexcept { return !dirty_.empty(); }

    /// Asks the oracle again for every next hop in use; prefixes whose answer differs become dirty.
    void resolve_again();

    [[nodiscard]] const Route* find(const Prefix<F>& prefix) const;

    /// The route at `index`, or nullptr for a free slot.
    [[nodiscard]] const Route* at(std::size_t index) const noexcept {
        return routes_[index].live ? &routes_[index] : nullptr;
    }

    /// Indices run below this.
    [[nodiscard]] std::size_t end() const noexcept { return routes_.size(); }

    /// Prefixes with at least one path.
    [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }

  private:
    using Index = std::uint32_t;

    Route& obtain(const Prefix<F>& prefix);
    void mark(Route& route, Index index);
    void decide_route(Route& route, const OnChange& on_change);
    [[nodiscard]] std::optional<std::uint32_t> resolve(const Path& path);

    const NextHopOracle& oracle_;
    unsigned multipath_;
    boost::unordered_flat_map<Prefix<F>, Index, std::hash<Prefix<F>>> index_;
    std::deque<Route> routes_;
    std::vector<Index> free_;
    std::deque<Index> dirty_;  ///< first in, first decided
    boost::unordered_flat_map<IpAddr, std::optional<std::uint32_t>, std::hash<IpAddr>> metrics_;
};

/// The next hop that traffic takes: the link-local one only where there is no other (RFC 2545 3).
[[nodiscard]] IpAddr forwarding_next_hop(const Attributes& attributes);

/// Ascending next hops of the paths that share the traffic of `route`; none for an own route.
template <Family F>
[[nodiscard]] std::vector<IpAddr> next_hops_of(const typename LocRib<F>::Route& route);

}  // namespace vr::bgp
