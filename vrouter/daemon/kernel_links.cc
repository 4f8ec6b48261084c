// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/kernel_links.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "vrouter/net/headers.h"
#include "vrouter/net/log.h"

namespace vr::daemon {

namespace {

using boost::system::error_code;

constexpr int kHopLimit = 255;
/// Type, code and checksum.
constexpr std::size_t kLeastMessage = 4;
/// Messages handled before others of the thread get their turn.
constexpr int kReadAtOnce = 16;
/// What the sender's address on the link is is not told with a packet of a raw socket.
constexpr Mac kSomeStation{{2, 0, 0, 0, 0, 1}};
constexpr Mac kOurs{{2, 0, 0, 0, 0, 2}};
constexpr std::size_t kHeaders = sizeof(EthernetHeader) + sizeof(Ip6Header);

template <typename Value>
bool set(int socket, int level, int option, const Value& value) {
    return setsockopt(socket, level, option, &value, sizeof value) == 0;
}

std::optional<ifreq> ask(int socket, const std::string& interface, unsigned long what) {
    ifreq request{};
    if (interface.size() >= sizeof request.ifr_name) {
        return std::nullopt;
    }
    std::ranges::copy(interface, request.ifr_name);
    return ioctl(socket, what, &request) == 0 ? std::optional{request} : std::nullopt;
}

/// The address of a packet that came, and by which interface.
struct Arrival {
    unsigned interface = 0;
    Ip6 destination;
    int hop_limit = 0;
};

Arrival arrival_of(msghdr& message) {
    Arrival arrival;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(part), sizeof info);
            arrival.interface = info.ipi6_ifindex;
            arrival.destination = Ip6::load(&info.ipi6_addr);
        } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_HOPLIMIT) {
            std::memcpy(&arrival.hop_limit, CMSG_DATA(part), sizeof arrival.hop_limit);
        }
    }
    return arrival;
}

}  // namespace

Result<std::unique_ptr<KernelLinks>> KernelLinks::open(
    boost::asio::io_context& loop, std::map<PortId, std::string> interfaces, Heard heard) {
    const auto failed = [](std::string_view what) {
        return fail(std::string(what) + ": " + std::generic_category().message(errno));
    };
    const int socket = ::socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
    if (socket < 0) {
        return failed("cannot listen to router advertisements (a raw ICMPv6 socket)");
    }
    auto links =
        std::make_unique<KernelLinks>(loop, socket, std::move(interfaces), std::move(heard));
    icmp6_filter filter{};
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
    ICMP6_FILTER_SETPASS(ND_ROUTER_SOLICIT, &filter);
    const int on = 1;
    const int off = 0;
    const bool ready = set(socket, IPPROTO_ICMPV6, ICMP6_FILTER, filter) &&
                       set(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, on) &&
                       set(socket, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, on) &&
                       set(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kHopLimit) &&
                       set(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, kHopLimit) &&
                       set(socket, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, off);
    if (!ready) {
        return failed("cannot prepare a raw ICMPv6 socket");
    }
    links->receive_next();
    links->tick();
    return links;
}

KernelLinks::KernelLinks(
    boost::asio::io_context& loop,
    int socket,
    std::map<PortId, std::string> interfaces,
    Heard heard)
    : interfaces_(std::move(interfaces)),
      heard_(std::move(heard)),
      responder_(ResponderSettings{}),
      socket_(loop, socket),
      timer_(loop) {
    for (const auto& [link, name] : interfaces_) {
        discovery_.add_link(link, std::chrono::steady_clock::now());
    }
}

void KernelLinks::receive_next() {
    socket_.async_wait(
        boost::asio::posix::stream_descriptor::wait_read, [this](const error_code& error) {
            if (error) {
                return;
            }
            for (int i = 0; i < kReadAtOnce && receive(); ++i) {
            }
            tick();
            receive_next();
        });
}

/// Reads one message; false when there is none.
bool KernelLinks::receive() {
    sockaddr_in6 from{};
    std::array<std::uint8_t, 1500> room{};
    alignas(cmsghdr) std::array<std::uint8_t, 128> control{};
    iovec part{.iov_base = room.data(), .iov_len = room.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(socket_.native_handle(), &message, 0);
    if (size < 0) {
        return false;
    }
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) {
        const Arrival arrival = arrival_of(message);
        handle(
            arrival.interface,
            Ip6::load(&from.sin6_addr),
            arrival.destination,
            arrival.hop_limit,
            Bytes{room}.first(static_cast<std::size_t>(size)));
    }
    return true;
}

/// The message in a frame, as it came, is judged by the same rules as on a port of the data plane.
void KernelLinks::handle(
    unsigned interface, Ip6 source, Ip6 destination, int hop_limit, Bytes message) {
    const auto link = std::ranges::find_if(
        joined_, [interface](const auto& each) { return each.second.interface == interface; });
    if (link == joined_.end() || hop_limit != kHopLimit || message.size() < kLeastMessage) {
        return;
    }
    const TimePoint now = std::chrono::steady_clock::now();
    PortFacts facts;
    facts.id = link->first;
    facts.role = PortRole::Fabric;
    facts.mac = kOurs;
    facts.has_link_peers = true;
    const Frame frame = icmp_frame<V6>(
        {.link_source = kSomeStation,
         .link_destination = destination.is_multicast() ? nd::multicast_mac(destination) : kOurs,
         .source = source,
         .destination = destination,
         .hop_limit = kHopLimit},
        message);
    const Answer answer = responder_.answer(facts, frame, now);
    if (std::holds_alternative<RoutersWanted>(answer.discovery)) {
        discovery_.asked(link->first, now);
    } else if (const auto* router = std::get_if<HeardRouter>(&answer.discovery)) {
        if (discovery_.heard(link->first, now)) {
            heard_(link->first, *router, now);
        }
    }
}

void KernelLinks::tick() {
    const TimePoint now = std::chrono::steady_clock::now();
    for (const LinkCall& call : discovery_.tick(now)) {
        say(interfaces_.at(call.link), call);
    }
    if (const auto deadline = discovery_.next_deadline()) {
        timer_.expires_at(*deadline);
        timer_.async_wait([this](const error_code& error) {
            if (!error) {
                tick();
            }
        });
    }
}

/// Joins the routers' group of the interface with this index, or tries to again.
void KernelLinks::join(PortId link, unsigned index) {
    Membership& membership = joined_[link];
    if (membership.interface != index) {
        membership = {.interface = index, .joined = false, .warned = false};
    }
    if (membership.joined) {
        return;
    }
    ipv6_mreq group{};
    nd::kAllRouters.store(&group.ipv6mr_multiaddr);
    group.ipv6mr_interface = index;
    membership.joined =
        set(socket_.native_handle(), IPPROTO_IPV6, IPV6_JOIN_GROUP, group) || errno == EADDRINUSE;
    if (!membership.joined && !std::exchange(membership.warned, true)) {
        log::warning(
            "interface {}: cannot hear router solicitations: {}",
            interfaces_.at(link),
            std::generic_category().message(errno));
    }
}

void KernelLinks::say(const std::string& interface, const LinkCall& call) {
    const int socket = socket_.native_handle();
    const unsigned index = if_nametoindex(interface.c_str());
    const auto hardware = ask(socket, interface, SIOCGIFHWADDR);
    const auto mtu = ask(socket, interface, SIOCGIFMTU);
    if (index == 0 || !hardware || !mtu) {
        joined_.erase(call.link);
        if (missing_.insert(call.link).second) {
            log::warning("interface {}: there is none, so nobody is heard there yet", interface);
        }
        return;
    }
    missing_.erase(call.link);
    join(call.link, index);
    std::array<std::uint8_t, 6> octets{};
    if (hardware->ifr_hwaddr.sa_family == ARPHRD_ETHER) {
        std::memcpy(octets.data(), hardware->ifr_hwaddr.sa_data, octets.size());
    }
    const Mac mac{octets};
    if (call.solicit) {
        send(index, nd::kAllRouters, nd::router_solicitation(mac));
    }
    if (call.advertise) {
        const auto most = std::clamp(mtu->ifr_mtu, 1280, 65535);
        const auto offer = RouterDiscovery::offer(static_cast<std::uint16_t>(most));
        send(index, nd::kAllNodes, nd::router_advertisement(nullptr, mac, offer));
    }
}

/// The message of a frame; the kernel writes the headers anew, with its own address and the checksum.
void KernelLinks::send(unsigned interface, Ip6 to, Bytes frame) {
    sockaddr_in6 destination{};
    destination.sin6_family = AF_INET6;
    destination.sin6_scope_id = interface;
    to.store(&destination.sin6_addr);
    const Bytes message = frame.subspan(kHeaders);
    sockaddr_storage storage{};
    std::memcpy(&storage, &destination, sizeof destination);
    const ssize_t sent = sendto(
        socket_.native_handle(),
        message.data(),
        message.size(),
        0,
        reinterpret_cast<const sockaddr*>(&storage),
        sizeof destination);
    if (sent < 0) {
        log::debug(
            "interface {}: cannot advertise: {}",
            interface,
            std::generic_category().message(errno));
    }
}

}  // namespace vr::daemon
