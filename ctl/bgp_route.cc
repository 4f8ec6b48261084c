// bgp routes: paths to prefixes, with the step of the decision that each of them lost.
//
// The whole table is walked slice by slice; small tables come sorted.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/speaker.h"
#include "ctl/bgp_row.h"
#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

using State = pb::BgpRoute;
using SpeakerPtr = std::shared_ptr<bgp::Speaker>;

/// Tables up to this size are shown in order of prefixes.
constexpr std::size_t kSorted = 2048;
/// Prefixes looked at for one frame: each may have a dozen paths.
constexpr std::size_t kPrefixesPerFrame = 128;

using NameOf = std::function<std::string(const IpAddr&)>;

void fill(
    const IpPrefix& prefix,
    const bgp::PathSummary& path,
    const NameOf& name_of,
    pb::BgpRoute& row) {
    row.set_prefix(to_string(prefix));
    const bool best = path.lost_at == bgp::Step::Best;
    row.set_state(
        best             ? State::STATE_BEST
        : path.multipath ? State::STATE_SHARING
                         : State::STATE_LOST);
    if (!best) {
        row.set_reason(std::string(to_string(path.lost_at)));
    }
    row.set_neighbor(path.peer ? name_of(*path.peer) : std::string{});
    row.set_kind(std::string(to_string(path.kind)));
    fill_attributes(path.attributes, row);
}

/// Which of the paths are wanted.
struct Wanted {
    std::optional<IpPrefix> within;
    bool best_only = false;
    NameOf name_of;  ///< a peer
};

bool is_inside(const IpPrefix& prefix, const std::optional<IpPrefix>& within) {
    return !within || contains(*within, prefix);
}

void add(const bgp::RouteSummary& route, const Wanted& wanted, pb::BgpRouteList& list) {
    if (!is_inside(route.prefix, wanted.within)) {
        return;
    }
    for (const bgp::PathSummary& path : route.paths) {
        if (!wanted.best_only || path.lost_at == bgp::Step::Best) {
            fill(route.prefix, path, wanted.name_of, *list.add_rows());
        }
    }
}

Slices in_frames(std::vector<bgp::RouteSummary> routes, Wanted wanted) {
    return
        [routes = std::move(routes), wanted, next = std::size_t{0}](pb::Response& frame) mutable {
            auto& list = *frame.mutable_bgp_routes();
            for (std::size_t n = 0; n < kPrefixesPerFrame && next < routes.size(); ++n, ++next) {
                add(routes[next], wanted, list);
            }
            return next < routes.size();
        };
}

Slices best_paths(const SpeakerPtr& speaker, const Wanted& wanted) {
    const bgp::Instance& instance = speaker->instance();
    const bgp::SpeakerSummary sizes = instance.summary();
    if (sizes.ipv4_prefixes + sizes.ipv6_prefixes <= kSorted) {
        return in_frames(instance.routes(wanted.within, kSorted), wanted);
    }
    return [from = std::weak_ptr(speaker), wanted, cursor = bgp::RouteCursor{}](
               pb::Response& frame) mutable {
        const auto present = from.lock();
        if (!present) {
            return say_restarted(frame);
        }
        auto& list = *frame.mutable_bgp_routes();
        return present->instance().visit_routes(
            cursor, kPrefixesPerFrame, [&](const bgp::RouteSummary& route) {
                add(route, wanted, list);
            });
    };
}

/// What is wanted of the routes that crossed the session with one neighbour.
struct Exchanged {
    IpAddr peer;
    std::string name;  ///< of the peer
    bgp::Crossing way = bgp::Crossing::Received;
    std::optional<IpPrefix> within;
};

void fill(const Exchanged& wanted, const bgp::PeerRouteSummary& route, pb::BgpRoute& row) {
    const auto good =
        wanted.way == bgp::Crossing::Received ? State::STATE_ACCEPTED : State::STATE_ADVERTISED;
    row.set_prefix(to_string(route.prefix));
    row.set_state(route.refused.empty() ? good : State::STATE_REFUSED);
    row.set_reason(route.refused);
    row.set_neighbor(wanted.name);
    fill_attributes(route.attributes, row);
}

/// One slice of the walk; true when more is left.
template <typename Visit>
bool visit_some(
    const bgp::Speaker& speaker, const Exchanged& wanted, bgp::RouteCursor& cursor, Visit visit) {
    return speaker.visit_routes(
        wanted.peer, wanted.way, cursor, kPrefixesPerFrame, [&](bgp::PeerRouteSummary&& route) {
            if (is_inside(route.prefix, wanted.within)) {
                visit(std::move(route));
            }
        });
}

Slices in_order(const bgp::Speaker& speaker, const Exchanged& wanted) {
    std::vector<bgp::PeerRouteSummary> routes;
    bgp::RouteCursor cursor;
    while (visit_some(speaker, wanted, cursor, [&](bgp::PeerRouteSummary&& route) {
        routes.push_back(std::move(route));
    })) {
    }
    std::ranges::sort(routes, {}, &bgp::PeerRouteSummary::prefix);
    return listing<&pb::Response::mutable_bgp_routes>(
        std::move(routes), [wanted](const bgp::PeerRouteSummary& route, pb::BgpRoute& row) {
            fill(wanted, route, row);
        });
}

Answer exchanged(const SpeakerPtr& speaker, const std::string& neighbor, Exchanged wanted) {
    const auto peer = speaker->find_peer(neighbor);
    const auto count = peer ? speaker->count_routes(*peer, wanted.way) : std::nullopt;
    if (!count) {
        return Failure{
            .code = pb::Error::CODE_NOT_FOUND,
            .text = "no BGP neighbor '" + neighbor + "': 'bgp summary' lists them"};
    }
    wanted.peer = *peer;
    wanted.name = speaker->name_of(*peer);
    const bgp::SpeakerSummary sizes = speaker->instance().summary();
    if (*count <= kSorted && sizes.ipv4_prefixes + sizes.ipv6_prefixes <= kSorted) {
        return in_order(*speaker, wanted);
    }
    return [from = std::weak_ptr(speaker), wanted, cursor = bgp::RouteCursor{}](
               pb::Response& frame) mutable {
        const auto present = from.lock();
        if (!present) {
            return say_restarted(frame);
        }
        auto& list = *frame.mutable_bgp_routes();
        return visit_some(*present, wanted, cursor, [&](const bgp::PeerRouteSummary& route) {
            fill(wanted, route, *list.add_rows());
        });
    };
}

Answer show(const SpeakerPtr& speaker, const pb::ShowBgpRoutes& request) {
    Wanted wanted{
        .within = std::nullopt,
        .best_only = request.best_only(),
        .name_of = [from = std::weak_ptr(speaker)](const IpAddr& peer) {
            const auto present = from.lock();
            return present ? present->name_of(peer) : to_string(peer);
        }};
    const auto address = parse_ip(request.prefix());
    wanted.within =
        parse_prefix(request.prefix());  // an address: its own, of what crossed a session
    if (!request.prefix().empty() && !wanted.within) {
        return Failure{
            .code = pb::Error::CODE_INVALID,
            .text = "'" + request.prefix() + "' is neither prefix nor address"};
    }
    if (!request.received().empty() || !request.advertised().empty()) {
        const bool received = !request.received().empty();
        return exchanged(
            speaker,
            received ? request.received() : request.advertised(),
            {.peer = {},
             .name = {},
             .way = received ? bgp::Crossing::Received : bgp::Crossing::Advertised,
             .within = wanted.within});
    }
    if (address) {
        wanted.within.reset();
        return in_frames(speaker->instance().routes_to(*address), wanted);
    }
    return best_paths(speaker, wanted);
}

}  // namespace

void serve_bgp_routes(Dispatch& dispatch, FindSpeaker speaker) {
    dispatch.on(
        pb::Request::kShowBgpRoutes, [speaker = std::move(speaker)](const pb::Request& request) {
            return show(speaker(), request.show_bgp_routes());
        });
}

}  // namespace vr::ctl
