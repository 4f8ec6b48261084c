// KernelNetworks: what a speaker without a data plane knows of next hops.
//
// All can be reached, for nothing is forwarded here.  On which of the kernel's interfaces one is decides whether
// a link-local address may be told beside it (RFC 2545 3): the interface whose network it is in, the longest.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/kernel_news.h"
#include "bgp/route_sink.h"
#include "vrouter/config.h"

namespace vr::daemon {

struct KernelInterface {
    Zone link = 0;  ///< its index
    std::vector<InterfaceAddress> addresses;
    std::optional<Ip6> link_local;

    friend bool operator==(const KernelInterface&, const KernelInterface&) = default;
};

[[nodiscard]] Zone link_to(std::span<const KernelInterface> interfaces, const IpAddr& address);

[[nodiscard]] std::optional<Ip6> link_local_beside(
    std::span<const KernelInterface> interfaces, Ip6 own, Zone link);

class KernelNetworks final : public bgp::AnyNextHop {
  public:
    /// `changed` is called when answers may be others than before; the loop runs no more when this is destroyed.
    KernelNetworks(boost::asio::io_context& loop, std::function<void()> changed);

    [[nodiscard]] Zone link_to(const IpAddr& address) const override;
    [[nodiscard]] std::optional<Ip6> link_local_beside(Ip6 own, Zone link) const override;

  private:
    void watch();
    void read();

    std::function<void()> changed_;
    bgp::KernelNews news_;
    boost::asio::posix::stream_descriptor readable_;  ///< when there is news
    boost::asio::steady_timer pause_;
    std::vector<KernelInterface> interfaces_;  ///< as they were after the last news
};

}  // namespace vr::daemon
