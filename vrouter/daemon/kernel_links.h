// KernelLinks: routers on the kernel's interfaces make themselves known to each other (RFC 4861), for a
// speaker without a data plane.
//
// One raw ICMPv6 socket that gets router advertisements and solicitations only.  Needs CAP_NET_RAW.  What
// the kernel itself makes of advertisements is the host's affair (accept_ra).  Interfaces may come and go.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/net/result.h"
#include "vrouter/services/responder.h"
#include "vrouter/services/router_discovery.h"

namespace vr::daemon {

class KernelLinks {
  public:
    using Heard = std::function<void(PortId, const HeardRouter&, TimePoint)>;

    /// `interfaces`: the number that each is told by.
    [[nodiscard]] static Result<std::unique_ptr<KernelLinks>> open(
        boost::asio::io_context& loop, std::map<PortId, std::string> interfaces, Heard heard);

    /// By open().
    KernelLinks(
        boost::asio::io_context& loop,
        int socket,
        std::map<PortId, std::string> interfaces,
        Heard heard);

  private:
    /// In the routers' group of an interface, which may go and come back with another index.
    struct Membership {
        unsigned interface = 0;  ///< its index
        bool joined = false;
        bool warned = false;
    };

    void receive_next();
    [[nodiscard]] bool receive();
    void handle(unsigned interface, Ip6 source, Ip6 destination, int hop_limit, Bytes message);
    void tick();
    void join(PortId link, unsigned index);
    void say(const std::string& interface, const LinkCall& call);
    void send(unsigned interface, Ip6 to, Bytes frame);

    std::map<PortId, std::string> interfaces_;
    std::map<PortId, Membership> joined_;
    std::set<PortId> missing_;  ///< that was said
    Heard heard_;
    RouterDiscovery discovery_;
    Responder responder_;
    boost::asio::posix::stream_descriptor socket_;
    boost::asio::steady_timer timer_;
};

}  // namespace vr::daemon
