// SPDX-License-Identifier: Apache-2.0
#include "bgp/loc_rib.h"

#include <algorithm>

namespace vr::bgp {

IpAddr forwarding_next_hop(const Attributes& attributes) {
    const auto* global = std::get_if<Ip6>(&attributes.next_hop);
    if (global != nullptr && global->is_unspecified() && attributes.next_hop_link_local) {
        return *attributes.next_hop_link_local;
    }
    return attributes.next_hop;
}

template <Family F>
std::vector<IpAddr> next_hops_of(const typename LocRib<F>::Route& route) {
    std::vector<IpAddr> hops;
    for (std::size_t i = 0; i < route.sharing; ++i) {
        const Path& path = route.paths[i];
        if (path.source->kind != PeerKind::Local) {
            hops.push_back(forwarding_next_hop(*path.attributes));
        }
    }
    std::ranges::sort(hops);
    const auto doubled = std::ranges::unique(hops);
    hops.erase(doubled.begin(), doubled.end());
    return hops;
}

template <Family F>
auto LocRib<F>::obtain(const Prefix<F>& prefix) -> Route& {
    const auto [at, inserted] = index_.try_emplace(prefix, Index{0});
    if (inserted) {
        if (free_.empty()) {
            at->second = static_cast<Index>(routes_.size());
            routes_.emplace_back();
        } else {
            at->second = free_.back();
            free_.pop_back();
        }
        Route& route = routes_[at->second];
        route.prefix = prefix;
        route.live = true;
    }
    Route& route = routes_[at->second];
    mark(route, at->second);
    return route;
}

template <Family F>
void LocRib<F>::mark(Route& route, Index index) {
    if (!route.dirty) {
        route.dirty = true;
        dirty_.push_back(index);
    }
}

template <Family F>
bool LocRib<F>::set(
    const Prefix<F>& prefix, const PathSource* source, const AttributesRef& attributes) {
    Route& route = obtain(prefix);
    const auto found = std::ranges::find(route.paths, source, &Path::source);
    const bool is_new = found == route.paths.end();
    Path& path = is_new ? route.paths.emplace_back() : *found;
    path.source = source;
    path.attributes = attributes;
    return is_new;
}

template <Family F>
bool LocRib<F>::remove(const Prefix<F>& prefix, const PathSource* source) {
    const auto at = index_.find(prefix);
    if (at == index_.end()) {
        return false;
    }
    Route& route = routes_[at->second];
    const auto found = std::ranges::find(route.paths, source, &Path::source);
    if (found == route.paths.end()) {
        return false;
    }
    const auto position = static_cast<std::size_t>(found - route.paths.begin());
    route.paths.erase(found);
    if (position < route.sharing) {
        --route.sharing;
    }
    mark(route, at->second);
    return true;
}

template <Family F>
std::size_t LocRib<F>::decide_some(std::size_t most, const OnChange& on_change) {
    std::size_t count = 0;
    while (count < most && !dirty_.empty()) {
        const Index index = dirty_.front();
        dirty_.pop_front();
        Route& route = routes_[index];
        route.dirty = false;
        decide_route(route, on_change);
        if (route.paths.empty()) {
            index_.erase(route.prefix);
            route = Route{};
            free_.push_back(index);
        }
        ++count;
    }
    return count;
}

template <Family F>
void LocRib<F>::decide_route(Route& route, const OnChange& on_change) {
    for (Path& path : route.paths) {
        path.metric = resolve(path);
    }
    route.sharing =
        static_cast<std::uint16_t>(decide({route.paths.data(), route.paths.size()}, multipath_));
    const Path* best = route.sharing == 0 ? nullptr : &route.paths.front();
    const AttributesRef attributes = best != nullptr ? best->attributes : AttributesRef{};
    const PathSource* source = best != nullptr ? best->source : nullptr;
    std::size_t digest = 0;
    for (const IpAddr& hop : next_hops_of<F>(route)) {
        digest = digest * 0x9e3779b97f4a7c15U + std::hash<IpAddr>{}(hop) +
                 static_cast<std::size_t>(source->kind);
    }
    const Change change{
        .best_path = attributes != route.best_attributes || source != route.best_source,
        .forwarding = digest != route.forwarding_digest};
    route.best_attributes = attributes;
    route.best_source = source;
    route.forwarding_digest = digest;
    if (change.best_path || change.forwarding) {
        on_change(route, change);
    }
}

template <Family F>
std::optional<std::uint32_t> LocRib<F>::resolve(const Path& path) {
    if (path.source->kind == PeerKind::Local) {
        return 0;
    }
    const IpAddr next_hop = forwarding_next_hop(*path.attributes);
    const auto [at, inserted] = metrics_.try_emplace(next_hop);
    if (inserted) {
        at->second = oracle_.metric(next_hop);
    }
    return at->second;
}

template <Family F>
void LocRib<F>::resolve_again() {
    metrics_.clear();
    for (std::size_t i = 0; i < routes_.size(); ++i) {
        Route& route = routes_[i];
        if (!route.live || route.dirty) {
            continue;
        }
        const bool differs = std::ranges::any_of(
            route.paths, [this](const Path& path) { return resolve(path) != path.metric; });
        if (differs) {
            mark(route, static_cast<Index>(i));
        }
    }
}

template <Family F>
auto LocRib<F>::find(const Prefix<F>& prefix) const -> const Route* {
    const auto at = index_.find(prefix);
    return at == index_.end() ? nullptr : &routes_[at->second];
}

template class LocRib<V4>;
template class LocRib<V6>;
template std::vector<IpAddr> next_hops_of<V4>(const LocRib<V4>::Route&);
template std::vector<IpAddr> next_hops_of<V6>(const LocRib<V6>::Route&);

}  // namespace vr::bgp
