// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/kernel_networks.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "vrouter/net/log.h"

namespace vr::daemon {

namespace {

using boost::system::error_code;

/// News comes in bursts, and reading all interfaces takes its time.
constexpr std::chrono::milliseconds kGather{100};

/// Nothing for addresses of other families.
std::optional<IpAddr> ip_of(const sockaddr* address) {
    if (address != nullptr && address->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof v4);
        return Ip4::load(&v4.sin_addr);
    }
    if (address != nullptr && address->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address, sizeof v6);
        return Ip6::load(&v6.sin6_addr);
    }
    return std::nullopt;
}

unsigned ones(Ip4 mask) {
    return static_cast<unsigned>(std::popcount(mask.value()));
}

unsigned ones(Ip6 mask) {
    return static_cast<unsigned>(std::popcount(mask.high()) + std::popcount(mask.low()));
}

template <typename Addr>
IpPrefix network_of(const Addr& address, const IpAddr& mask) {
    using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
    return *Prefix<F>::make(address, ones(std::get<Addr>(mask)));
}

void add(KernelInterface& to, const IpAddr& address, const IpAddr& mask) {
    const auto* v6 = std::get_if<Ip6>(&address);
    if (v6 != nullptr && v6->is_link_local()) {
        to.link_local = without_zone(*v6);
    } else {
        to.addresses.push_back(
            {address, std::visit([&](const auto& a) { return network_of(a, mask); }, address)});
    }
}

std::vector<KernelInterface> read_interfaces() {
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) != 0) {
        return {};
    }
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner{all, &freeifaddrs};
    std::map<std::string, KernelInterface> by_name;
    for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
        const auto address = ip_of(each->ifa_addr);
        const auto mask = ip_of(each->ifa_netmask);
        if (address && mask && (each->ifa_flags & IFF_LOOPBACK) == 0) {
            add(by_name[each->ifa_name], *address, *mask);
        }
    }
    std::vector<KernelInterface> interfaces;
    for (auto& [name, interface] : by_name) {
        const unsigned index = if_nametoindex(name.c_str());
        if (index != 0 && index <= std::numeric_limits<Zone>::max()) {
            interface.link = static_cast<Zone>(index);
            interfaces.push_back(std::move(interface));
        }
    }
    return interfaces;
}

}  // namespace

Zone link_to(std::span<const KernelInterface> interfaces, const IpAddr& address) {
    Zone link = 0;
    unsigned longest = 0;
    for (const KernelInterface& interface : interfaces) {
        for (const InterfaceAddress& own : interface.addresses) {
            if (contains(own.network, address) && length_of(own.network) > longest) {
                longest = length_of(own.network);
                link = interface.link;
            }
        }
    }
    return link;
}

std::optional<Ip6> link_local_beside(
    std::span<const KernelInterface> interfaces, Ip6 own, Zone link) {
    const auto at = std::ranges::find(interfaces, link, &KernelInterface::link);
    const bool ours =
        at != interfaces.end() &&
        std::ranges::count(at->addresses, IpAddr{own}, &InterfaceAddress::address) != 0;
    return ours ? at->link_local : std::nullopt;
}

KernelNetworks::KernelNetworks(boost::asio::io_context& loop, std::function<void()> changed)
    : changed_(std::move(changed)),
      news_(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR),
      readable_(loop),
      pause_(loop) {
    static_cast<void>(news_.any());  // before reading, so that nothing is missed
    interfaces_ = read_interfaces();
    error_code error;
    readable_.assign(fcntl(news_.descriptor(), F_DUPFD_CLOEXEC, 0), error);
    if (error) {
        log::warning("bgp: changed addresses of interfaces are not noticed: {}", error.message());
    } else {
        watch();
    }
}

Zone KernelNetworks::link_to(const IpAddr& address) const {
    return daemon::link_to(interfaces_, address);
}

std::optional<Ip6> KernelNetworks::link_local_beside(Ip6 own, Zone link) const {
    return daemon::link_local_beside(interfaces_, own, link);
}

void KernelNetworks::watch() {
    readable_.async_wait(
        boost::asio::posix::stream_descriptor::wait_read, [this](const error_code& error) {
            if (error) {
                return;
            }
            pause_.expires_after(kGather);
            pause_.async_wait([this](const error_code& cancelled) {
                if (!cancelled) {
                    read();
                    watch();
                }
            });
        });
}

void KernelNetworks::read() {
    static_cast<void>(news_.any());
    const auto before = std::exchange(interfaces_, read_interfaces());
    if (before != interfaces_) {
        changed_();
    }
}

}  // namespace vr::daemon
