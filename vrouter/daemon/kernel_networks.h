// KernelNetworks: what a speaker without a data plane knows of next hops.
//
// All can be reached, for nothing is forwarded here.  On which of the kernel's interfaces one is decides whether
// a link-local address may be told beside it (RFC 2545 3): the interface whose network it is in, the longest.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "bgp/kernel_news.h"
#include "bgp/route_sink.h"
#include "vrouter/config.h"

namespace vr::daemon {

struct KernelInterface {
    Zone link = 0;  ///< its index
    std::vector<InterfaceAddress> addresses;
    std::optional<Ip6> link_local;
};

[[nodiscard]] Zone link_to(std::span<const KernelInterface> interfaces, const IpAddr& address);

[[nodiscard]] std::optional<Ip6> link_local_beside(
    std::span<const KernelInterface> interfaces, Ip6 own, Zone link);

class KernelNetworks final : public bgp::AnyNextHop {
  public:
    KernelNetworks();

    [[nodiscard]] Zone link_to(const IpAddr& address) const override;
    [[nodiscard]] std::optional<Ip6> link_local_beside(Ip6 own, Zone link) const override;

  private:
    [[nodiscard]] const std::vector<KernelInterface>& interfaces() const;

    mutable bgp::KernelNews news_;
    mutable std::vector<KernelInterface> interfaces_;  ///< as they were at the last news
};

}  // namespace vr::daemon
