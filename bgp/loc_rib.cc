// SPDX-License-Identifier: Apache-2.0
#include "bgp/loc_rib.h"

#include <algorithm>

namespace vr::bgp {
namespace {

/// Further paths to a prefix that make its decision twice as dear.
constexpr std::size_t kPathsAsOne = 8;

}  // namespace

template <Family F>
void next_hops_of(
    const typename LocRib<F>::Route& route, const Sources& sources, std::vector<IpAddr>& hops) {
    hops.clear();
    for (const PathCell& cell : route.paths.cells().first(route.sharing)) {
        if (sources[cell.source].kind != PeerKind::Local) {
            hops.push_back(forwarding_next_hop(*cell.attributes));
        }
    }
    std::ranges::sort(hops);
    const auto doubled = std::ranges::unique(hops);
    hops.erase(doubled.begin(), doubled.end());
}

template <Family F>
LocRib<F>::LocRib(
    NextHops& next_hops, const Sources& sources, unsigned multipath, std::uint64_t seed)
    : next_hops_(next_hops),
      sources_(sources),
      multipath_(multipath),
      index_(PrefixOf{&chunks_}, seed) {}

template <Family F>
RouteId LocRib<F>::obtain(const Prefix<F>& prefix) {
    if (const RouteId known = index_.find(prefix); known != index_.kNone) {
        return known;
    }
    RouteId id = end_;
    if (free_.empty()) {
        if (end_ % kChunk == 0) {
            chunks_.push_back(std::make_unique<Chunk>());
        }
        ++end_;
    } else {
        id = free_.back();
        free_.pop_back();
    }
    Route& route = slot(id);
    route.prefix = prefix;
    route.live = true;
    index_.insert(id);
    return id;
}

template <Family F>
void LocRib<F>::mark(Route& route, RouteId id) {
    if (!route.dirty) {
        route.dirty = true;
        dirty_.push_back(id);
    }
}

template <Family F>
auto LocRib<F>::set(const Prefix<F>& prefix, PathCell&& cell) -> std::optional<Placed> {
    const RouteId id = obtain(prefix);
    Route& route = slot(id);
    const auto cells = route.paths.cells();
    const auto same = std::ranges::find_if(cells, [&](const PathCell& other) {
        return other.source == cell.source && other.path_id == cell.path_id;
    });
    if (same == cells.end()) {
        if (cells.size() >= PathList::kMost ||
            (cells.size() >= PathList::kMostOfOne &&
             std::ranges::count(cells, cell.source, &PathCell::source) >=
                 static_cast<std::ptrdiff_t>(PathList::kMostOfOne))) {
            return std::nullopt;
        }
        used_ += cells.empty() ? 1 : 0;
        route.paths.push_back(std::move(cell));
        mark(route, id);
        return Placed{.route = id, .added = true};
    }
    const Placed placed{.route = id, .was = {same->epoch, same->refused}};
    if (same->attributes == cell.attributes && same->refused == cell.refused) {
        same->epoch = cell.epoch;  // nothing new but that it still holds
        return placed;
    }
    route.best_touched = route.best_touched || same == cells.begin();
    same->attributes = std::move(cell.attributes);
    same->refused = cell.refused;
    same->epoch = cell.epoch;
    mark(route, id);
    return placed;
}

template <Family F>
auto LocRib<F>::remove(const Prefix<F>& prefix, SourceId source, std::uint32_t path_id)
    -> std::optional<Placed> {
    const RouteId id = index_.find(prefix);
    if (id == index_.kNone) {
        return std::nullopt;
    }
    Route& route = slot(id);
    const auto cells = route.paths.cells();
    const auto found = std::ranges::find_if(cells, [&](const PathCell& cell) {
        return cell.source == source && cell.path_id == path_id;
    });
    if (found == cells.end()) {
        return std::nullopt;
    }
    const Placed placed{.route = id, .was = {found->epoch, found->refused}};
    erase(route, id, static_cast<std::size_t>(found - cells.begin()));
    return placed;
}

template <Family F>
void LocRib<F>::erase(Route& route, RouteId id, std::size_t position) {
    route.best_touched = route.best_touched || position == 0;
    route.paths.erase(position);
    if (position < route.sharing) {
        --route.sharing;
    }
    used_ -= route.paths.empty() ? 1 : 0;
    mark(route, id);
}

template <Family F>
void LocRib<F>::unpin(RouteId id) {
    Route& route = slot(id);
    --route.pins;
    free_if_unused(route, id);
}

template <Family F>
bool LocRib<F>::dismantle() {
    if (!chunks_.empty()) {
        chunks_.pop_back();
    }
    return !chunks_.empty();
}

template <Family F>
void LocRib<F>::free_if_unused(Route& route, RouteId id) {
    if (route.paths.empty() && route.pins == 0 && !route.dirty) {
        index_.erase(id);
        route.live = false;
        route.digest = 0;
        route.sharing = 0;
        route.best_touched = false;
        free_.push_back(id);
    }
}

template <Family F>
std::size_t LocRib<F>::decide_some(std::size_t most, const OnDecision& on_decision) {
    std::size_t count = 0;
    while (count < most && !dirty_.empty()) {
        const RouteId id = dirty_.front();
        dirty_.pop_front();
        Route& route = slot(id);
        count += 1 + route.paths.size() / kPathsAsOne;
        const Change change = decide_route(route);
        on_decision(id, route, change);  // before the route may be freed: it is still marked dirty
        route.dirty = false;
        free_if_unused(route, id);
    }
    return count;
}

template <Family F>
auto LocRib<F>::decide_route(Route& route) -> Change {
    const bool touched = route.best_touched;
    route.best_touched = false;
    const bool had_best = route.sharing != 0 || touched;
    const auto cells = route.paths.cells();
    // Whether the first path stays the first is seen by what it holds: cells move.
    const auto identity = [&] {
        return cells.empty() ? std::pair<SourceId, std::uint32_t>{}
                             : std::pair{cells.front().source, cells.front().path_id};
    };
    const auto before = identity();
    if (cells.size() == 1) {
        rank_one(route);
    } else {
        rank(route);
    }
    Change change;
    change.best_path =
        touched || had_best != (route.sharing != 0) || (route.sharing != 0 && before != identity());
    const std::uint32_t digest = digest_of(route);
    change.forwarding = digest != route.digest;
    route.digest = digest;
    return change;
}

/// Most prefixes have one path: nothing to compare.
template <Family F>
void LocRib<F>::rank_one(Route& route) {
    PathCell& cell = route.paths.cells().front();
    const bool usable =
        !cell.refused && (sources_[cell.source].kind == PeerKind::Local ||
                          next_hops_.metric(cell.attributes, route.prefix).has_value());
    cell.lost_at = usable ? Step::Best : Step::NextHop;
    cell.multipath = usable;
    route.sharing = usable ? 1 : 0;
}

template <Family F>
void LocRib<F>::rank(Route& route) {
    const auto cells = route.paths.cells();
    ranking_.clear();
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const PathCell& cell = cells[i];
        if (cell.refused) {
            continue;
        }
        const PathSource& source = sources_[cell.source];
        ranking_.push_back(Path{
            .attributes = &*cell.attributes,
            .source = &source,
            .metric = source.kind == PeerKind::Local
                          ? std::optional<std::uint32_t>{0}
                          : next_hops_.metric(cell.attributes, route.prefix),
            .path_id = cell.path_id,
            .position = static_cast<std::uint16_t>(i)});
    }
    route.sharing = static_cast<std::uint16_t>(decide(ranking_, multipath_));
    moved_.clear();
    for (const Path& path : ranking_) {
        PathCell& cell = moved_.emplace_back(std::move(cells[path.position]));
        cell.lost_at = path.lost_at;
        cell.multipath = path.multipath;
    }
    for (PathCell& cell : cells) {
        if (cell.refused) {
            cell.multipath = false;
            moved_.push_back(std::move(cell));
        }
    }
    std::ranges::move(moved_, cells.begin());
}

template <Family F>
std::uint32_t LocRib<F>::digest_of(const Route& route) {
    if (route.sharing == 0) {
        return 0;
    }
    const auto kind = sources_[route.paths.cells().front().source].kind;
    next_hops_of<F>(route, sources_, hops_);
    std::size_t digest = 0;
    for (const IpAddr& hop : hops_) {
        digest = (digest + std::hash<IpAddr>{}(hop) + static_cast<std::size_t>(kind)) *
                 0x9e3779b97f4a7c15U;
    }
    const auto folded = static_cast<std::uint32_t>(digest >> 32U);
    return hops_.empty() ? 0 : folded | 1U;
}

template <Family F>
bool LocRib<F>::resolve_some(std::size_t most) {
    if (!resolving_) {
        return false;
    }
    for (; most != 0 && *resolving_ < end_; --most, ++*resolving_) {
        Route& route = slot(*resolving_);
        const auto cells = route.paths.cells();
        const auto changed = [&](const PathCell& cell) {
            return sources_[cell.source].kind == PeerKind::Local
                       ? next_hops_.changed(IpAddr{route.prefix.address()})
                       : next_hops_.changed(*cell.attributes);
        };
        if (route.live && std::ranges::any_of(cells, changed)) {
            // What is told of the best path may be another, though it stays the best.
            route.best_touched = route.best_touched || changed(cells.front());
            mark(route, *resolving_);
        }
    }
    if (*resolving_ == end_) {
        resolving_.reset();
    }
    return resolving_.has_value();
}

template <Family F>
auto LocRib<F>::find(const Prefix<F>& prefix) const -> const Route* {
    const RouteId id = index_.find(prefix);
    return id == index_.kNone ? nullptr : at(id);
}

template class LocRib<V4>;
template class LocRib<V6>;
template void next_hops_of<V4>(const LocRib<V4>::Route&, const Sources&, std::vector<IpAddr>&);
template void next_hops_of<V6>(const LocRib<V6>::Route&, const Sources&, std::vector<IpAddr>&);

}  // namespace vr::bgp
