// bgp routes: paths to prefixes, with the step of the decision that each of them lost.
//
// The whole table is walked slice by slice.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
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

using NameOf = std::function<std::string(const IpAddr&)>;

/// Which of the paths are wanted.
struct Wanted {
    std::optional<IpPrefix> within;
    bool best_only = false;
    NameOf name_of;  ///< a peer
};

void set_path_id(std::optional<std::uint32_t> id, pb::BgpRoute& row) {
    if (id) {
        row.set_path_id(*id);
    }
}

void fill(
    const Wanted& wanted, const IpPrefix& prefix, const bgp::PathSummary& path, pb::BgpRoute& row) {
    row.set_prefix(to_string(prefix));
    const bool best = path.lost_at == bgp::Step::Best;
    row.set_state(
        best             ? State::STATE_BEST
        : path.multipath ? State::STATE_SHARING
                         : State::STATE_LOST);
    if (!best) {
        row.set_reason(std::string(to_string(path.lost_at)));
    }
    row.set_neighbor(path.peer ? wanted.name_of(*path.peer) : std::string{});
    row.set_kind(std::string(to_string(path.kind)));
    set_path_id(path.path_id, row);
    fill_attributes(path.attributes, row);
}

bool is_inside(const IpPrefix& prefix, const std::optional<IpPrefix>& within) {
    return !within || contains(*within, prefix);
}

/// Calls visit(prefix, path) for the paths of `route` that are wanted, in the order of the decision.
template <typename Visit>
void visit_paths(const bgp::RouteSummary& route, const Wanted& wanted, Visit visit) {
    if (!is_inside(route.prefix, wanted.within)) {
        return;
    }
    for (const bgp::PathSummary& path : route.paths) {
        if (!wanted.best_only || path.lost_at == bgp::Step::Best) {
            visit(route.prefix, path);
        }
    }
}

Slices paths_to(const bgp::Speaker& speaker, const IpAddr& address, Wanted wanted) {
    using Row = std::pair<IpPrefix, bgp::PathSummary>;
    std::vector<Row> rows;
    for (const bgp::RouteSummary& route : speaker.instance().routes_to(address)) {
        visit_paths(route, wanted, [&](const auto& prefix, const auto& path) {
            rows.emplace_back(prefix, path);
        });
    }
    return listing<&pb::Response::mutable_bgp_routes>(
        std::move(rows), [wanted = std::move(wanted)](const Row& row, pb::BgpRoute& into) {
            fill(wanted, row.first, row.second, into);
        });
}

/// `rows`, as long as the speaker is there whose routes they tell.
Slices while_running(const SpeakerPtr& speaker, Slices rows) {
    return [from = std::weak_ptr(speaker), rows = std::move(rows)](pb::Response& frame) mutable {
        return from.expired() ? say_restarted(frame) : rows(frame);
    };
}

Slices all_paths(const SpeakerPtr& speaker, const Wanted& wanted) {
    return while_running(
        speaker,
        sorted_listing<&pb::Response::mutable_bgp_routes, IpPrefix, bgp::PathSummary>(
            [&instance = speaker->instance(), wanted, cursor = bgp::RouteCursor{}](
                auto& found) mutable {
                return instance.visit_routes(
                    cursor, kRowsPerFrame, [&](const bgp::RouteSummary& route) {
                        visit_paths(route, wanted, [&](const auto& prefix, const auto& path) {
                            found.emplace(prefix, path);
                        });
                    });
            },
            [wanted](const IpPrefix& prefix, const bgp::PathSummary& path, pb::BgpRoute& row) {
                fill(wanted, prefix, path, row);
            }));
}

/// What is wanted of the routes that crossed the session with one neighbour.
struct Exchanged {
    IpAddr peer;
    std::string name;  ///< of the peer
    bgp::Crossing way = bgp::Crossing::Received;
    std::optional<IpPrefix> within;
    std::optional<IpAddr> address;  ///< all that it is in, in place of `within`

    [[nodiscard]] bool has(const IpPrefix& prefix) const {
        return address ? contains(prefix, *address) : is_inside(prefix, within);
    }
};

void fill(const Exchanged& wanted, const bgp::PeerRouteSummary& route, pb::BgpRoute& row) {
    const auto good =
        wanted.way == bgp::Crossing::Received ? State::STATE_ACCEPTED : State::STATE_ADVERTISED;
    row.set_prefix(to_string(route.prefix));
    row.set_state(route.refused.empty() ? good : State::STATE_REFUSED);
    row.set_reason(route.refused);
    row.set_neighbor(wanted.name);
    set_path_id(route.path_id, row);
    fill_attributes(route.attributes, row);
}

Answer exchanged(const SpeakerPtr& speaker, const std::string& neighbor, Exchanged wanted) {
    const auto peer = speaker->find_peer(neighbor);
    if (!peer) {
        return Failure{
            .code = pb::Error::CODE_NOT_FOUND,
            .text = "no BGP neighbor '" + neighbor + "': 'bgp summary' lists them"};
    }
    wanted.peer = *peer;
    wanted.name = speaker->name_of(*peer);
    using Key = std::pair<IpPrefix, std::optional<std::uint32_t>>;
    return while_running(
        speaker,
        sorted_listing<&pb::Response::mutable_bgp_routes, Key, bgp::PeerRouteSummary>(
            [&from = *speaker, wanted, cursor = bgp::RouteCursor{}](auto& found) mutable {
                return from.visit_routes(
                    wanted.peer,
                    wanted.way,
                    cursor,
                    kRowsPerFrame,
                    [&](bgp::PeerRouteSummary&& route) {
                        if (wanted.has(route.prefix)) {
                            const Key key{route.prefix, route.path_id};
                            found.emplace(key, std::move(route));
                        }
                    });
            },
            [wanted](const Key&, const bgp::PeerRouteSummary& route, pb::BgpRoute& row) {
                fill(wanted, route, row);
            }));
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
    wanted.within = parse_prefix(request.prefix());
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
             .within = wanted.within,
             .address = address});
    }
    if (address) {
        wanted.within.reset();
        return paths_to(*speaker, *address, std::move(wanted));
    }
    return all_paths(speaker, wanted);
}

}  // namespace

void serve_bgp_routes(Dispatch& dispatch, FindSpeaker speaker) {
    dispatch.on(
        pb::Request::kShowBgpRoutes, [speaker = std::move(speaker)](const pb::Request& request) {
            return show(speaker(), request.show_bgp_routes());
        });
}

}  // namespace vr::ctl
