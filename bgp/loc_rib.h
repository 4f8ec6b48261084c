// Loc-RIB: all paths per prefix, ranked, and what follows from a change; RFC 4271 9.1.
//
// The paths here are the Adj-RIB-In of every peer too: what a peer sent and policy refused lies among
// them, marked so.  Paths are set and removed at once but ranked later: a change marks its prefix dirty,
// decide_some() ranks a batch of dirty prefixes and reports each.  So ten peers that bring the same table
// cause one decision per prefix, not ten.
//
// Routes have numbers that stay theirs while anybody needs them (a path, a decision that is due, a pin
// of an update group): a walk over the table goes on after changes.  They lie in chunks; a peer counts
// its paths per chunk and so finds them without walking the whole table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bgp/decision.h"
#include "bgp/next_hops.h"
#include "bgp/path_list.h"
#include "bgp/prefix_index.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

using RouteId = std::uint32_t;

template <Family F>
class LocRib {
  public:
    /// Routes per chunk.
    static constexpr std::size_t kChunk = 256;

    struct Route {
        Prefix<F> prefix;
        [[no_unique_address]] PathList paths;  ///< ranked by the last decision
        std::uint32_t digest = 0;              ///< of what the machine was told; 0: nothing
        std::uint32_t pins = 0;                ///< rows of update groups that speak of this prefix
        std::uint16_t sharing = 0;  ///< the first so many paths carry traffic; 0: none is usable
        bool live : 1 = false;      ///< false: a free slot
        bool dirty : 1 = false;
        bool best_touched : 1 = false;  ///< the best path changed since it was ranked

        /// The best path; nullptr when none is usable.
        [[nodiscard]] const PathCell* best() const noexcept {
            return sharing == 0 ? nullptr : paths.cells().data();
        }
    };

    /// What a decision found; on_change is called even when nothing changed, since other paths did.
    struct Change {
        bool best_path = false;
        /// The machine must hear of it: next hops, or where they are from.
        bool forwarding = false;
    };

    using OnDecision = std::function<void(RouteId, const Route&, Change)>;

    LocRib(NextHops& next_hops, const Sources& sources, unsigned multipath, std::uint64_t seed);
    LocRib(const LocRib&) = delete;
    LocRib& operator=(const LocRib&) = delete;
    LocRib(LocRib&&) = delete;
    LocRib& operator=(LocRib&&) = delete;
    ~LocRib() = default;

    // --- paths -----------------------------------------------------------------------------------
    /// A path in its place: what was there before it.
    struct Placed {
        RouteId route = 0;
        bool added = false;  ///< there was none of this source and path id

        struct {
            std::uint8_t epoch = 0;
            bool refused = false;
        } was;  ///< unless added
    };

    /// Adds or replaces the path of this source and path id; nothing when the prefix has too many.
    std::optional<Placed> set(const Prefix<F>& prefix, PathCell&& cell);

    /// Removes a path; nothing when there was none.
    std::optional<Placed> remove(
        const Prefix<F>& prefix, SourceId source, std::uint32_t path_id = 0);

    /// Removes from route `id` the paths for which doomed(cell) holds; answers how many.
    template <typename Doomed>
    std::size_t remove_where(RouteId id, Doomed doomed) {
        Route& route = slot(id);
        std::size_t count = 0;
        for (std::size_t at = route.paths.size(); at-- > 0;) {
            if (doomed(std::as_const(route.paths).cells()[at])) {
                erase(route, id, at);
                ++count;
            }
        }
        return count;
    }

    // --- decisions -------------------------------------------------------------------------------
    /// Ranks dirty prefixes, at most about `most`; answers how many, where one of many paths counts for several.
    /// `on_decision` may pin and unpin routes and nothing else here.
    std::size_t decide_some(std::size_t most, const OnDecision& on_decision);

    [[nodiscard]] bool has_dirty() const noexcept { return !dirty_.empty(); }

    /// Answers about next hops changed: every prefix that has such a path is to be ranked again.
    void resolve_again() { resolving_ = 0; }

    /// Looks at up to `most` routes for that; true when more are left.
    bool resolve_some(std::size_t most);

    // --- reading ---------------------------------------------------------------------------------
    [[nodiscard]] const Route* find(const Prefix<F>& prefix) const;

    /// The route of number `id`, or nullptr for a free slot.
    [[nodiscard]] const Route* at(RouteId id) const noexcept {
        const Route& route = (*chunks_[id / kChunk])[id % kChunk];
        return route.live ? &route : nullptr;
    }

    /// Numbers run below this.
    [[nodiscard]] RouteId end() const noexcept { return end_; }

    /// Prefixes with at least one path.
    [[nodiscard]] std::size_t size() const noexcept { return used_; }

    // --- pins ------------------------------------------------------------------------------------
    /// Number `id` keeps its prefix until unpin().
    void pin(RouteId id) { ++slot(id).pins; }

    void unpin(RouteId id);

    // --- the end ---------------------------------------------------------------------------------
    /// Frees a chunk of routes; true when more are left.  Afterwards there is only more of this, and the
    /// destructor.
    bool dismantle();

  private:
    using Chunk = std::array<Route, kChunk>;
    using Chunks = std::vector<std::unique_ptr<Chunk>>;

    struct PrefixOf {
        const Chunks* chunks;

        const Prefix<F>& operator()(RouteId id) const noexcept {
            return (*(*chunks)[id / kChunk])[id % kChunk].prefix;
        }
    };

    [[nodiscard]] Route& slot(RouteId id) noexcept { return (*chunks_[id / kChunk])[id % kChunk]; }

    [[nodiscard]] RouteId obtain(const Prefix<F>& prefix);
    void mark(Route& route, RouteId id);
    void erase(Route& route, RouteId id, std::size_t position);
    void free_if_unused(Route& route, RouteId id);
    [[nodiscard]] Change decide_route(Route& route);
    void rank(Route& route);
    void rank_one(Route& route);
    [[nodiscard]] std::uint32_t digest_of(const Route& route);

    NextHops& next_hops_;
    const Sources& sources_;
    unsigned multipath_;
    Chunks chunks_;
    PrefixIndex<F, PrefixOf> index_;
    RouteId end_ = 0;
    std::size_t used_ = 0;
    std::deque<RouteId> free_;
    std::deque<RouteId> dirty_;         ///< first in, first decided
    std::optional<RouteId> resolving_;  ///< next number to look at
    // Room for one decision, kept.
    std::vector<Path> ranking_;
    std::vector<PathCell> moved_;
    std::vector<IpAddr> hops_;
};

/// Puts into `hops` the ascending next hops of the paths that share the traffic of `route`; none for an
/// own route.
template <Family F>
void next_hops_of(
    const typename LocRib<F>::Route& route, const Sources& sources, std::vector<IpAddr>& hops);

}  // namespace vr::bgp
