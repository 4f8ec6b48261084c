// SPDX-License-Identifier: Apache-2.0
#include "vrouter/host_link.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

namespace vr {

namespace {

/// One rtnetlink request: header, fixed part, attributes.
class Request {
  public:
    template <typename Fixed>
    Request(std::uint16_t type, std::uint16_t flags, const Fixed& fixed) {
        nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
        append(&header, sizeof header);
        append(&fixed, sizeof fixed);
    }

    void attribute(std::uint16_t type, const void* value, std::size_t size) {
        rtattr head{};
        head.rta_type = type;
        head.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
        append(&head, sizeof head);
        append(value, size);
    }

    [[nodiscard]] std::vector<char>& finish() {
        nlmsghdr header{};
        std::memcpy(&header, bytes_.data(), sizeof header);
        header.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
        std::memcpy(bytes_.data(), &header, sizeof header);
        return bytes_;
    }

  private:
    void append(const void* from, std::size_t size) {
        const std::size_t at = bytes_.size();
        bytes_.resize(at + NLMSG_ALIGN(size));
        std::memcpy(bytes_.data() + at, from, size);
    }

    std::vector<char> bytes_;
};

/// 0, or the errno that the kernel answers with.
int ask_kernel(Request request) {
    const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (socket < 0) {
        return errno;
    }
    const std::vector<char>& bytes = request.finish();
    std::array<char, 4096> answer{};
    int error = EIO;
    if (send(socket, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
        recv(socket, answer.data(), answer.size(), 0) >=
            static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) {
        nlmsgerr message{};
        std::memcpy(&message, answer.data() + NLMSG_HDRLEN, sizeof message);
        error = -message.error;
    }
    close(socket);
    return error;
}

struct WireAddress {
    unsigned char family = AF_INET;
    std::array<std::byte, 16> bytes{};
    std::size_t size = 4;
};

WireAddress wire(const IpAddr& address) {
    WireAddress out;
    if (const auto* v4 = std::get_if<Ip4>(&address)) {
        v4->store(out.bytes.data());
    } else {
        out.family = AF_INET6;
        out.size = 16;
        std::get<Ip6>(address).store(out.bytes.data());
    }
    return out;
}

int set_up(int index, std::uint16_t mtu) {
    ifinfomsg info{};
    info.ifi_index = index;
    info.ifi_flags = IFF_UP;
    info.ifi_change = IFF_UP;
    Request request{RTM_NEWLINK, 0, info};
    const std::uint32_t wide = mtu;
    request.attribute(IFLA_MTU, &wide, sizeof wide);
    return ask_kernel(std::move(request));
}

int add_address(int index, const IpAddr& address) {
    const WireAddress local = wire(address);
    ifaddrmsg message{};
    message.ifa_family = local.family;
    const auto* v6 = std::get_if<Ip6>(&address);
    message.ifa_prefixlen =
        static_cast<unsigned char>(v6 != nullptr && v6->is_link_local() ? 64 : local.size * 8);
    message.ifa_flags = IFA_F_NODAD;
    message.ifa_index = static_cast<unsigned>(index);
    Request request{RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, message};
    request.attribute(IFA_LOCAL, local.bytes.data(), local.size);
    request.attribute(IFA_ADDRESS, local.bytes.data(), local.size);
    return ask_kernel(std::move(request));
}

int add_route(int index, const IpPrefix& prefix, const IpAddr& source) {
    const WireAddress from = wire(source);
    const WireAddress to =
        std::visit([](const auto& p) { return wire(IpAddr{p.address()}); }, prefix);
    rtmsg message{};
    message.rtm_dst_len = static_cast<unsigned char>(length_of(prefix));
    message.rtm_family = from.family;
    message.rtm_table = RT_TABLE_MAIN;
    message.rtm_protocol = RTPROT_STATIC;
    message.rtm_scope = from.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    message.rtm_type = RTN_UNICAST;
    Request request{RTM_NEWROUTE, NLM_F_CREATE, message};
    // Never better than what the host has already: a management network keeps its routes.
    const std::uint32_t metric = 4096;
    request.attribute(RTA_PRIORITY, &metric, sizeof metric);
    request.attribute(RTA_DST, to.bytes.data(), to.size);
    request.attribute(RTA_OIF, &index, sizeof index);
    request.attribute(RTA_PREFSRC, from.bytes.data(), from.size);
    return ask_kernel(std::move(request));
}

/// The kernel makes link-local addresses and sends router solicitations of its own accord; on this
/// link only the router's word counts.
void quieten(const std::string& name) {
    const std::string directory = "/proc/sys/net/ipv6/conf/" + name + "/";
    std::ofstream{directory + "accept_ra"} << 0;
    std::ofstream{directory + "accept_dad"} << 0;
}

}  // namespace

Result<bool> configure_host_link(
    const std::string& name,
    const std::vector<InterfaceAddress>& addresses,
    const std::vector<IpPrefix>& routes,
    std::uint16_t mtu) {
    const auto failed = [&](const std::string& what, int error) {
        return fail(
            "host interface '" + name + "': cannot " + what + ": " +
            std::generic_category().message(error));
    };
    const int index = static_cast<int>(if_nametoindex(name.c_str()));
    if (index == 0) {
        return failed("find it", errno);
    }
    quieten(name);
    if (const int error = set_up(index, mtu); error != 0) {
        return failed("set it up", error);
    }
    for (const InterfaceAddress& address : addresses) {
        if (const int error = add_address(index, address.address); error != 0) {
            return failed("add address " + to_string(address.address), error);
        }
    }
    for (const IpPrefix& route : routes) {
        const auto source = std::ranges::find_if(addresses, [&](const InterfaceAddress& a) {
            return a.address.index() == route.index();
        });
        if (source == addresses.end()) {
            continue;  // the host has no address of this family
        }
        const int error = add_route(index, route, source->address);
        if (error != 0 && error != EEXIST) {
            return failed("add the route to " + to_string(route), error);
        }
    }
    return true;
}

}  // namespace vr
