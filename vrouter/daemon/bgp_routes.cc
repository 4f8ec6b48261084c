// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_routes.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace vr::daemon {

namespace {

/// Gateways behind gateways that are followed.
constexpr unsigned kMostGateways = 4;

}  // namespace

BgpRoutes::BgpRoutes(
    boost::asio::io_context& loop,
    RouteTable& routes,
    std::function<std::string(PortId)> port_name,
    std::function<void()> commit,
    std::function<void()> moved)
    : loop_(loop),
      routes_(routes),
      port_name_(std::move(port_name)),
      commit_(std::move(commit)),
      moved_(std::move(moved)) {
    routes_.watch_reachability([this] { compare_answers(); });
}

BgpRoutes::~BgpRoutes() {
    routes_.watch_reachability({});
}

void BgpRoutes::update(const IpPrefix& prefix, const bgp::LearntRoute& route) {
    const bool external = route.from == bgp::PeerKind::External;
    // A prefix that changes from one kind of peer to the other must not keep both.
    routes_.remove(prefix, external ? RouteSource::IBgp : RouteSource::EBgp);
    routes_.set(
        prefix, external ? RouteSource::EBgp : RouteSource::IBgp, Gateways{route.next_hops});
    commit_soon();
}

void BgpRoutes::withdraw(const IpPrefix& prefix) {
    routes_.remove(prefix, RouteSource::EBgp);
    routes_.remove(prefix, RouteSource::IBgp);
    commit_soon();
}

void BgpRoutes::avoid(const IpAddr& next_hop, bool avoid) {
    if (avoid) {
        avoided_.insert(next_hop);
        routes_.avoid(next_hop, true);
        commit_();  // before any of the routes that are about to change
        return;
    }
    avoided_.erase(next_hop);
    // Once the last routes over it, staged before this, are out of the FIB.
    boost::asio::post(loop_, [this, next_hop, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired() && !avoided_.contains(next_hop)) {
            routes_.avoid(next_hop, false);
            commit_soon();
        }
    });
}

std::optional<std::uint32_t> BgpRoutes::metric(const IpAddr& next_hop) const {
    const bool reachable = routes_.reachable(next_hop);
    answers_[next_hop] = reachable;
    return reachable ? std::optional<std::uint32_t>{0} : std::nullopt;
}

Zone BgpRoutes::zone_to(const IpAddr& peer) const {
    const auto station = routes_.station_of(peer);
    return station && station->address == peer ? station->port.value() : Zone{0};
}

std::string BgpRoutes::interface_to(const IpAddr& destination) const {
    auto route = routes_.lookup(destination);
    for (unsigned depth = 0; route && depth < kMostGateways; ++depth) {
        if (const auto* station = std::get_if<Adjacency>(&route->target)) {
            return port_name_(station->port);
        }
        if (const auto* network = std::get_if<Connected>(&route->target)) {
            return port_name_(network->port);
        }
        const auto* gateways = std::get_if<Gateways>(&route->target);
        if (gateways == nullptr || gateways->addresses.empty()) {
            return {};
        }
        route = routes_.lookup(gateways->addresses.front());
    }
    return {};
}

void BgpRoutes::compare_answers() {
    const bool same = std::ranges::all_of(answers_, [this](const auto& answer) {
        return routes_.reachable(answer.first) == answer.second;
    });
    if (same || std::exchange(moved_posted_, true)) {
        return;
    }
    boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) {
            moved_posted_ = false;
            // Those that are still wanted are asked for again.
            answers_.clear();
            moved_();
        }
    });
}

void BgpRoutes::commit_soon() {
    if (std::exchange(commit_posted_, true)) {
        return;
    }
    boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) {
            commit_posted_ = false;
            commit_();
        }
    });
}

}  // namespace vr::daemon
