// SPDX-License-Identifier: Apache-2.0
#include "bgp/bfd_sockets.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include "bgp/asio_address.h"
#include "bgp/link_ends.h"
#include "bgp/tcp_options.h"

namespace vr::bgp {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;

constexpr std::uint16_t kSingleHopPort = 3784;
constexpr std::uint16_t kMultihopPort = 4784;
/// RFC 5881 4: where a session's packets come from.
constexpr std::uint16_t kFirstSourcePort = 49152;
constexpr unsigned kSourcePorts = 16384;
constexpr int kSourcePortTries = 16;
/// Packets read before others of the thread get their turn.
constexpr int kReadAtOnce = 64;

bool is_v6(const IpAddr& address) {
    return std::holds_alternative<Ip6>(address);
}

void set_number(udp::socket& socket, int level, int option, int value) {
    ::setsockopt(socket.native_handle(), level, option, &value, sizeof(value));
}

struct Datagram {
    IpAddr from;
    IpAddr to;           ///< of IPv6
    unsigned scope = 0;  ///< the interface that it came by; of IPv6
    int hop_limit = 0;
    Bytes bytes;
};

IpAddr address_of(const sockaddr_storage& storage) {
    if (storage.ss_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &storage, sizeof(in));
        return Ip4::load(&in.sin_addr);
    }
    sockaddr_in6 in{};
    std::memcpy(&in, &storage, sizeof(in));
    return Ip6::load(&in.sin6_addr);
}

/// The next datagram with its hop limit, into `room`; nothing when there is none.
std::optional<Datagram> read_datagram(int socket, std::span<std::uint8_t> room) {
    sockaddr_storage from{};
    iovec part{.iov_base = room.data(), .iov_len = room.size()};
    alignas(cmsghdr) std::array<std::uint8_t, 128> control{};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket, &message, MSG_DONTWAIT);
    if (size < 0) {
        return std::nullopt;
    }
    Datagram datagram{
        .from = address_of(from),
        .to = {},
        .hop_limit = 0,
        .bytes = Bytes{room}.first(static_cast<std::size_t>(size))};
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
         each = CMSG_NXTHDR(&message, each)) {
        const bool v4 = each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_TTL;
        const bool v6 = each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_HOPLIMIT;
        if (v4 || v6) {
            std::memcpy(&datagram.hop_limit, CMSG_DATA(each), sizeof(int));
        } else if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(each), sizeof(info));
            datagram.to = Ip6::load(&info.ipi6_addr);
            datagram.scope = info.ipi6_ifindex;
        }
    }
    return datagram;
}

std::size_t index_of(bool v6, bool multihop) {
    return (v6 ? 2U : 0U) + (multihop ? 1U : 0U);
}

}  // namespace

BfdSockets::BfdSockets(asio::io_context& io, Random random, Changed changed)
    : io_(io), random_(std::move(random)), changed_(std::move(changed)), timer_(io) {}

BfdSockets::~BfdSockets() {
    while (!sessions_.empty()) {
        forget(IpAddr{sessions_.begin()->first});  // says so: nobody takes it for a lost path
    }
    *alive_ = false;
    for (const auto& receiver : receivers_) {
        if (receiver) {  // what waits on it holds it, too
            error_code ignored;
            receiver->socket.close(ignored);
        }
    }
}

Result<void> BfdSockets::watch(
    const IpAddr& peer, const std::optional<IpAddr>& source, const BfdConfig& config) {
    const auto known = sessions_.find(peer);
    if (known != sessions_.end()) {
        if (known->second.config == config && known->second.source == source) {
            return {};
        }
        forget(peer);
    }
    if (auto listening = listen(is_v6(peer), config.multihop); !listening) {
        return listening;
    }
    const auto [at, inserted] = sessions_.try_emplace(
        peer,
        Watched{
            .source = source,
            .config = config,
            .session = bfd::Session{config, new_discriminator(), random_, Clock::now()},
            .socket = Socket{io_}});
    settle(peer, at->second);
    return {};
}

void BfdSockets::forget(const IpAddr& peer) {
    const auto at = sessions_.find(peer);
    if (at == sessions_.end()) {
        return;
    }
    Watched& watched = at->second;
    watched.session.shut_down(Clock::now());
    static_cast<void>(watched.session.take_changes());  // our own doing is no news
    settle(peer, watched);
    const bool v6 = is_v6(peer);
    const bool multihop = watched.config.multihop;
    sessions_.erase(at);
    const bool needed = std::ranges::any_of(sessions_, [&](const auto& each) {
        return is_v6(each.first) == v6 && each.second.config.multihop == multihop;
    });
    if (auto& receiver = receivers_[index_of(v6, multihop)]; !needed && receiver) {
        error_code ignored;
        receiver->socket.close(ignored);
        receiver.reset();
    }
}

void BfdSockets::forget_unless(const std::function<bool(const IpAddr& peer)>& wanted) {
    std::vector<IpAddr> others;
    for (const auto& [peer, watched] : sessions_) {
        if (!wanted(peer)) {
            others.push_back(peer);
        }
    }
    for (const IpAddr& peer : others) {
        forget(peer);
    }
}

std::optional<BfdSummary> BfdSockets::summary(const IpAddr& peer) const {
    const auto at = sessions_.find(peer);
    if (at == sessions_.end()) {
        return std::nullopt;
    }
    const bfd::Session& session = at->second.session;
    return BfdSummary{
        .mine = session.mine(),
        .state = session.state(),
        .remote_state = session.remote_state(),
        .diagnostic = session.diagnostic(),
        .transmit_interval = session.transmit_interval(),
        .detection_time = session.detection_time(),
        .ups = at->second.ups};
}

std::optional<bfd::Change> BfdSockets::loss(const IpAddr& peer) const {
    const auto at = sessions_.find(peer);
    return at == sessions_.end() ? std::nullopt : at->second.loss;
}

Result<void> BfdSockets::listen(bool v6, bool multihop) {
    auto& receiver = receivers_[index_of(v6, multihop)];
    if (receiver) {
        return {};
    }
    const std::uint16_t port = multihop ? kMultihopPort : kSingleHopPort;
    Socket socket{io_};
    error_code error;
    error_code ignored;
    socket.open(v6 ? udp::v6() : udp::v4(), error);
    if (v6) {
        socket.set_option(asio::ip::v6_only{true}, ignored);
        set_number(socket, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
        set_number(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    } else {
        set_number(socket, IPPROTO_IP, IP_RECVTTL, 1);
    }
    if (!error) {
        socket.bind(udp::endpoint{v6 ? udp::v6() : udp::v4(), port}, error);
    }
    if (error) {
        return fail(fmt::format("bfd: listen on UDP port {}: {}", port, error.message()));
    }
    receiver = std::make_shared<Receiver>(std::move(socket));
    receive_next(receiver, multihop);
    return {};
}

void BfdSockets::receive_next(std::shared_ptr<Receiver> receiver, bool multihop) {
    Socket& socket = receiver->socket;
    socket.async_wait(
        Socket::wait_read,
        [this, receiver = std::move(receiver), multihop, alive = alive_](const error_code& error) {
            if (error || !*alive) {
                return;
            }
            drain(*receiver, multihop);
            if (receiver->socket.is_open()) {
                receive_next(receiver, multihop);
            }
        });
}

void BfdSockets::drain(Receiver& receiver, bool multihop) {
    std::array<std::uint8_t, 256> room{};
    for (int i = 0; i < kReadAtOnce && receiver.socket.is_open(); ++i) {
        const auto datagram = read_datagram(receiver.socket.native_handle(), room);
        if (!datagram) {
            return;
        }
        // RFC 5881 5: only a neighbor can send with all hops left.
        if (!multihop && datagram->hop_limit != kMostHops) {
            continue;
        }
        IpAddr from = datagram->from;
        if (const auto* v6 = std::get_if<Ip6>(&from); v6 != nullptr && v6->is_link_local()) {
            from = with_zone(*v6, link_of(links_, indices_, datagram->scope, datagram->to));
        }
        on_packet(from, multihop, datagram->bytes);
    }
}

/// RFC 5880 6.8.6: the discriminator names the session, or else the addresses do; both must fit.
void BfdSockets::on_packet(const IpAddr& from, bool multihop, Bytes bytes) {
    const auto at = sessions_.find(from);
    const auto packet = bfd::decode(bytes);
    if (!packet || at == sessions_.end()) {
        return;
    }
    Watched& watched = at->second;
    if (watched.config.multihop != multihop ||
        (packet->yours != 0 && packet->yours != watched.session.mine())) {
        return;
    }
    watched.session.receive(*packet, Clock::now());
    settle(from, watched);
}

/// Sends what the session has to say, then tells what became of it.
void BfdSockets::settle(const IpAddr& peer, Watched& watched) {
    for (const bfd::Packet& packet : watched.session.take_output()) {
        if (open(peer, watched)) {
            error_code error;  // nobody there: that is what the session is about to find out
            const auto bytes = bfd::encode(packet);
            watched.socket.send(asio::buffer(bytes), 0, error);
            if (error) {
                after_failure(peer, watched, error);
            }
        }
    }
    const auto changes = watched.session.take_changes();
    if (watched.session.next_deadline() < armed_) {
        arm_timer();
    }
    for (const bfd::Change& change : changes) {
        watched.ups += change.to == bfd::State::Up ? 1U : 0U;
        const bool lost = change.to == bfd::State::Down && !change.by_operator;
        watched.loss = lost ? std::optional{change} : std::nullopt;
        changed_(peer, change);
    }
}

/// Closes a socket whose interface is gone, which may come back with another number; one whose packets
/// only find nobody, or no room, stays.
void BfdSockets::after_failure(const IpAddr& peer, Watched& watched, const error_code& error) {
    if (zone_of(peer) == 0) {
        return;
    }
    const auto end = our_end(links_, peer, watched.source);
    if (is_end_gone(error.value()) || !end || end->scope != watched.scope) {
        error_code ignored;
        watched.socket.close(ignored);
    }
}

/// Binds to the session's source port; to a free one when it has none yet.
bool BfdSockets::bind(Socket& socket, const asio::ip::address& source, Watched& watched) {
    error_code taken;
    if (watched.port != 0) {
        socket.bind(udp::endpoint{source, watched.port}, taken);
        if (!taken) {
            return true;
        }
    }
    for (int i = 0; i < kSourcePortTries; ++i) {
        const auto port = static_cast<std::uint16_t>(
            kFirstSourcePort + static_cast<unsigned>(random_() * kSourcePorts));
        socket.bind(udp::endpoint{source, port}, taken);
        if (!taken) {
            watched.port = port;
            return true;
        }
    }
    return false;
}

/// The session's sending socket; false while there is no way to the peer.
bool BfdSockets::open(const IpAddr& peer, Watched& watched) {
    if (watched.socket.is_open()) {
        return true;
    }
    const bool v6 = is_v6(peer);
    Socket socket{io_};
    error_code error;
    error_code ignored;
    socket.open(v6 ? udp::v6() : udp::v4(), error);
    socket.non_blocking(true, ignored);
    set_number(socket, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL, kMostHops);
    set_number(
        socket, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, kInternetworkControl);
    const auto end = our_end(links_, peer, watched.source);
    if (!end) {
        return false;
    }
    const asio::ip::address source = end->source ? to_asio(*end->source, end->scope)
                                     : v6        ? asio::ip::address{asio::ip::address_v6{}}
                                                 : asio::ip::address{asio::ip::address_v4{}};
    const bool bound = !error && bind(socket, source, watched);
    if (bound) {
        const std::uint16_t port = watched.config.multihop ? kMultihopPort : kSingleHopPort;
        socket.connect(udp::endpoint{to_asio(peer, end->scope), port}, error);
    }
    if (!bound || error) {
        return false;
    }
    watched.socket = std::move(socket);
    watched.scope = end->scope;
    return true;
}

void BfdSockets::arm_timer() {
    armed_ = Time::max();
    for (const auto& [peer, watched] : sessions_) {
        armed_ = std::min(armed_, watched.session.next_deadline());
    }
    if (armed_ == Time::max()) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(armed_);
    timer_.async_wait([this, alive = alive_](const error_code& error) {
        if (!error && *alive) {
            tick();
        }
    });
}

void BfdSockets::tick() {
    const Time now = Clock::now();
    for (auto& [peer, watched] : sessions_) {
        if (watched.session.next_deadline() <= now) {
            watched.session.tick(now);
            settle(peer, watched);
        }
    }
    arm_timer();
}

bfd::Discriminator BfdSockets::new_discriminator() const {
    for (;;) {
        const auto candidate = static_cast<bfd::Discriminator>(random_() * 4294967295.0);
        const bool taken = std::ranges::any_of(sessions_, [candidate](const auto& each) {
            return each.second.session.mine() == candidate;
        });
        if (candidate != 0 && !taken) {
            return candidate;
        }
    }
}

}  // namespace vr::bgp
