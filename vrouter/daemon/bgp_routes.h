// BgpRoutes: joins the BGP speaker and the machine's route table.  What peers offer becomes routes over
// gateways; whether a BGP next hop can be reached is asked of the routes that BGP did not bring.
// Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>

#include "bgp/route_sink.h"
#include "vrouter/routes.h"

namespace vr::daemon {

class BgpRoutes final : public bgp::RouteSink, public bgp::NextHopOracle {
  public:
    /// `commit` makes staged routes visible; it is called once per turn of `loop`.
    BgpRoutes(boost::asio::io_context& loop, RouteTable& routes, std::function<void()> commit);

    void update(const IpPrefix& prefix, const bgp::LearntRoute& route) override;
    void withdraw(const IpPrefix& prefix) override;
    [[nodiscard]] std::optional<std::uint32_t> metric(const IpAddr& next_hop) const override;

  private:
    void commit_soon();

    boost::asio::io_context& loop_;
    RouteTable& routes_;
    std::function<void()> commit_;
    bool commit_posted_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// For a speaker without a data plane: whatever peers offer is kept and passed on, nothing is installed.
class NoRoutes final : public bgp::RouteSink {
  public:
    void update(const IpPrefix& /*prefix*/, const bgp::LearntRoute& /*route*/) override {}

    void withdraw(const IpPrefix& /*prefix*/) override {}
};

}  // namespace vr::daemon
