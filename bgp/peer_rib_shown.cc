// What is shown of one family of a peer: numbers, and the routes that it told and is told.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/peer_rib.h"

namespace vr::bgp {
namespace {

constexpr std::size_t kAllRoutes = std::numeric_limits<std::size_t>::max();

}  // namespace

template <Family F>
FamilySummary PeerRib<F>::summary() const {
    const std::size_t kept = generations_.kept();
    return FamilySummary{
        .negotiated = up_,
        .received = kept,
        .accepted = kept == 0 ? 0 : accepted_,
        .stale = generations_.stale(),
        .left_out = left_out_,
        .advertised = group_ != nullptr ? group_->advertised_to(*this) : 0,
        .end_of_rib_received = up_ && end_of_rib_received_,
        .next_hop = up_ ? own_next_hop_ : std::nullopt};
}

template <Family F>
PeerRouteSummary PeerRib<F>::summary_of(const Prefix<F>& prefix, const PathCell& cell) const {
    const Attributes& attributes = *cell.attributes.received();
    PeerRouteSummary route{
        .prefix = prefix,
        .path_id = source_.path_ids<F>() ? std::optional{cell.path_id} : std::nullopt,
        .attributes = attributes,
        .refused = {},
        .stale = generations_.is_stale(cell.epoch)};
    const Refusal refusal =
        is_routable(prefix) ? admit(attributes, ends_, own_next_hop_) : Refusal::Prefix;
    if (refusal != Refusal::None) {
        route.refused = to_string(refusal);
    } else if (!judge(prefix, attributes).accepted) {
        route.refused = "import filter";
    }
    return route;
}

template <Family F>
bool PeerRib<F>::visit_received(
    std::size_t& at, std::size_t most, const VisitPeerRoute& visit) const {
    constexpr std::size_t kChunk = LocRib<F>::kChunk;
    const LocRib<F>& loc = ribs_.of<F>();
    const std::size_t end = std::min<std::size_t>(loc.end(), paths_in_.size() * kChunk);
    while (at < end && most != 0) {
        --most;
        if (paths_in_[at / kChunk] == 0) {
            at = (at / kChunk + 1) * kChunk;
            continue;
        }
        if (const auto* route = loc.at(static_cast<RouteId>(at))) {
            for (const PathCell& cell : route->paths.cells()) {
                if (cell.source == source_.id && generations_.is_kept(cell.epoch)) {
                    visit(summary_of(route->prefix, cell));
                }
            }
            most -= std::min(most, route->paths.cells().size() / 2);
        }
        ++at;
    }
    return at < end;
}

template <Family F>
bool PeerRib<F>::visit_advertised(
    std::size_t& at, std::size_t most, const VisitPeerRoute& visit) const {
    if (group_ == nullptr) {
        return false;
    }
    return group_->visit_advertised(
        *this,
        at,
        most,
        [&](const Prefix<F>& prefix,
            std::optional<std::uint32_t> path_id,
            const AttributesRef& attributes) {
            visit(PeerRouteSummary{
                .prefix = prefix,
                .path_id = path_id,
                .attributes = *attributes,
                .refused = {},
                .stale = false});
        });
}

template <Family F>
std::vector<PeerRouteSummary> PeerRib<F>::received_routes() const {
    std::vector<PeerRouteSummary> routes;
    std::size_t at = 0;
    static_cast<void>(visit_received(
        at, kAllRoutes, [&](PeerRouteSummary&& route) { routes.push_back(std::move(route)); }));
    std::ranges::sort(routes, {}, &PeerRouteSummary::prefix);
    return routes;
}

template <Family F>
std::vector<PeerRouteSummary> PeerRib<F>::advertised_routes() const {
    std::vector<PeerRouteSummary> routes;
    std::size_t at = 0;
    static_cast<void>(visit_advertised(
        at, kAllRoutes, [&](PeerRouteSummary&& route) { routes.push_back(std::move(route)); }));
    std::ranges::sort(routes, {}, &PeerRouteSummary::prefix);
    return routes;
}

template FamilySummary PeerRib<V4>::summary() const;
template bool PeerRib<V4>::visit_received(std::size_t&, std::size_t, const VisitPeerRoute&) const;
template bool PeerRib<V4>::visit_advertised(std::size_t&, std::size_t, const VisitPeerRoute&) const;
template std::vector<PeerRouteSummary> PeerRib<V4>::received_routes() const;
template std::vector<PeerRouteSummary> PeerRib<V4>::advertised_routes() const;
template FamilySummary PeerRib<V6>::summary() const;
template bool PeerRib<V6>::visit_received(std::size_t&, std::size_t, const VisitPeerRoute&) const;
template bool PeerRib<V6>::visit_advertised(std::size_t&, std::size_t, const VisitPeerRoute&) const;
template std::vector<PeerRouteSummary> PeerRib<V6>::received_routes() const;
template std::vector<PeerRouteSummary> PeerRib<V6>::advertised_routes() const;

}  // namespace vr::bgp
