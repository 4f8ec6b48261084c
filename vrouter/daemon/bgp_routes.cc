// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_routes.h"

#include <boost/asio/post.hpp>

namespace vr::daemon {

BgpRoutes::BgpRoutes(
    boost::asio::io_context& loop,
    RouteTable& routes,
    std::function<void()> commit)
    : loop_(loop), routes_(routes), commit_(std::move(commit)) {}

void BgpRoutes::update(const IpPrefix& prefix, const bgp::LearntRoute& route) {
    const bool external = route.from == bgp::PeerKind::External;
    // A prefix that changes from one kind of peer to the other must not keep both.
    routes_.remove(prefix, external ? RouteSource::IBgp : RouteSource::EBgp);
    routes_.set(
        prefix,
        external ? RouteSource::EBgp : RouteSource::IBgp,
        Gateways{route.next_hops});
    commit_soon();
}

void BgpRoutes::withdraw(const IpPrefix& prefix) {
    routes_.remove(prefix, RouteSource::EBgp);
    routes_.remove(prefix, RouteSource::IBgp);
    commit_soon();
}

std::optional<std::uint32_t> BgpRoutes::metric(const IpAddr& next_hop) const {
    return routes_.reachable(next_hop) ? std::optional<std::uint32_t>{0} : std::nullopt;
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
