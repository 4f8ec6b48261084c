// SPDX-License-Identifier: Apache-2.0
#include "bgp/tcp_options.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <system_error>

#include "vrouter/net/zone.h"

namespace vr::bgp {
namespace {

sockaddr_storage to_sockaddr(const IpAddr& address) {
    sockaddr_storage storage{};
    if (const auto* v4 = std::get_if<Ip4>(&address)) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        v4->store(&in.sin_addr);
        std::memcpy(&storage, &in, sizeof(in));
    } else {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        // The kernel finds keys by address alone, whatever the link.
        std::get<Ip6>(without_zone(address)).store(&in.sin6_addr);
        std::memcpy(&storage, &in, sizeof(in));
    }
    return storage;
}

Result<void> failed(std::string_view what) {
    return fail(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

Result<void> set_number(int socket, int level, int option, int value, std::string_view name) {
    if (::setsockopt(socket, level, option, &value, sizeof(value)) != 0) {
        return failed(name);
    }
    return {};
}

/// A key for one address, or for the `length` first bits of it; no password: none any more.  Returns
/// what errno says.
int try_key(
    int socket,
    const sockaddr_storage& address,
    std::optional<unsigned> length,
    std::string_view password) {
    tcp_md5sig signature{};
    static_assert(sizeof(signature.tcpm_addr) == sizeof(address));
    std::memcpy(&signature.tcpm_addr, &address, sizeof(address));
    if (password.size() > sizeof(signature.tcpm_key)) {
        return EMSGSIZE;
    }
    signature.tcpm_keylen = static_cast<std::uint16_t>(password.size());
    std::ranges::copy(password, signature.tcpm_key);
    int option = TCP_MD5SIG;
    if (length) {
        option = TCP_MD5SIG_EXT;
        signature.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
        signature.tcpm_prefixlen = static_cast<std::uint8_t>(*length);
    }
    return ::setsockopt(socket, IPPROTO_TCP, option, &signature, sizeof(signature)) == 0 ? 0
                                                                                         : errno;
}

Result<void> set_key(
    int socket,
    const sockaddr_storage& address,
    std::optional<unsigned> length,
    std::string_view password) {
    const int error = try_key(socket, address, length, password);
    const bool none_to_remove = password.empty() && error == ENOENT;
    if (error != 0 && !none_to_remove) {
        return fail(fmt::format("TCP MD5 signature: {}", std::generic_category().message(error)));
    }
    return {};
}

}  // namespace

Result<void> set_tcp_md5(int socket, const IpAddr& peer, std::string_view password) {
    return set_key(socket, to_sockaddr(peer), std::nullopt, password);
}

/// The kernel tells of no socket whether it has a key, but only a key that is there can be removed: an
/// accepted connection has one when its listener had it at the peer's first segment.
Result<void> check_tcp_md5(int socket, const IpAddr& peer, std::string_view password) {
    if (try_key(socket, to_sockaddr(peer), std::nullopt, {}) != 0) {
        return fail("the connection is not signed (TCP MD5)");
    }
    return set_key(socket, to_sockaddr(peer), std::nullopt, password);
}

Result<void> set_tcp_md5(int socket, const IpPrefix& peers, std::string_view password) {
    return std::visit(
        [&](const auto& prefix) {
            return set_key(
                socket, to_sockaddr(IpAddr{prefix.address()}), prefix.length(), password);
        },
        peers);
}

Result<void> set_user_timeout(int socket, const PeerTimers& timers) {
    const std::chrono::milliseconds patience =
        std::max(timers.send_hold, 2 * timers.hold) + timers.hold;
    return set_number(
        socket,
        IPPROTO_TCP,
        TCP_USER_TIMEOUT,
        static_cast<int>(patience.count()),
        "TCP user timeout");
}

Result<void> set_hop_limits(int socket, const PeerConfig& config, bool external) {
    const bool v6 = std::holds_alternative<Ip6>(config.address);
    const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int ttl = config.ttl ? int{*config.ttl} : external ? 1 : kMostHops;
    if (config.ttl_security != 0) {
        ttl = kMostHops;
        const int least = kMostHops + 1 - config.ttl_security;
        auto set = set_number(
            socket, level, v6 ? IPV6_MINHOPCOUNT : IP_MINTTL, least, "least accepted hop limit");
        if (!set) {
            return set;
        }
    }
    if (auto set = set_number(socket, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, ttl, "hop limit");
        !set) {
        return set;
    }
    return set_number(
        socket, level, v6 ? IPV6_TCLASS : IP_TOS, kInternetworkControl, "traffic class");
}

}  // namespace vr::bgp
