// SPDX-License-Identifier: Apache-2.0
#include "perf/bgp/session.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vr::perf {
namespace {

constexpr std::size_t kHeader = 19;
constexpr std::size_t kInput = 256 * 1024;
constexpr std::uint16_t kPort = 179;
constexpr std::uint16_t kHoldTime = 180;
constexpr std::chrono::seconds kKeepalive{50};

namespace type {
constexpr std::uint8_t kOpen = 1;
constexpr std::uint8_t kUpdate = 2;
constexpr std::uint8_t kNotification = 3;
constexpr std::uint8_t kKeepalive = 4;
}  // namespace type

sockaddr_in socket_address(Ip4 address, std::uint16_t port) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(address.value());
    return where;
}

void write_header(std::uint8_t type, std::size_t body, Writer& out) {
    for (unsigned i = 0; i < 16; ++i) {
        out.u8(0xff);
    }
    out.u16(static_cast<std::uint16_t>(kHeader + body));
    out.u8(type);
}

/// Capabilities: IPv4 unicast, IPv6 where wanted, 4-octet AS numbers.
std::vector<std::uint8_t> open_of(const Endpoint& endpoint) {
    const std::uint8_t extra = endpoint.ip6_routes ? 6 : 0;
    Writer body;
    body.u8(4);
    body.u16(static_cast<std::uint16_t>(endpoint.asn));
    body.u16(kHoldTime);
    body.u32(endpoint.local.value());
    body.u8(static_cast<std::uint8_t>(14 + extra));
    body.u8(2);
    body.u8(static_cast<std::uint8_t>(12 + extra));
    body.u8(1);
    body.u8(4);
    body.u32(0x00010001);
    if (endpoint.ip6_routes) {
        body.u8(1);
        body.u8(4);
        body.u32(0x00020001);
    }
    body.u8(65);
    body.u8(4);
    body.u32(endpoint.asn);
    return body.release();
}

}  // namespace

Session::Session(const Endpoint& endpoint, std::function<void(Bytes)> on_update)
    : endpoint_(endpoint), on_update_(std::move(on_update)) {}

Session::~Session() {
    if (socket_ >= 0) {
        close(socket_);
    }
}

void Session::connect() {
    if (socket_ >= 0) {
        close(socket_);
    }
    called_at_ = Clock::now();
    filled_ = 0;
    established_at_.reset();
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const sockaddr_in from = socket_address(endpoint_.local, 0);
    const sockaddr_in to = socket_address(endpoint_.remote, kPort);
    state_ = State::Connecting;
    if (bind(socket_, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
         errno != EINPROGRESS)) {
        lose(std::strerror(errno));
    }
}

void Session::reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    lose("reset");
}

void Session::send(Bytes octets) {
    queue_ = octets;
}

bool Session::poll(std::uint32_t ready) {
    if (state_ == State::Connecting && (ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 &&
        !connected()) {
        return false;
    }
    if ((ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && !read()) {
        return false;
    }
    return state_ != State::Established || (ready & EPOLLOUT) == 0 || write();
}

bool Session::connected() {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        return lose(std::strerror(error));
    }
    state_ = State::OpenSent;
    say(type::kOpen, open_of(endpoint_));
    return true;
}

bool Session::read() {
    input_.resize(kInput);
    for (;;) {
        const ssize_t got = recv(socket_, input_.data() + filled_, input_.size() - filled_, 0);
        if (got <= 0) {
            return got < 0 && errno == EAGAIN ? true : lose("closed by the speaker");
        }
        filled_ += static_cast<std::size_t>(got);
        std::size_t done = 0;
        while (filled_ - done >= kHeader) {
            const std::size_t length = load_be<std::uint16_t>(input_.data() + done + 16);
            if (filled_ - done < length || length < kHeader) {
                break;
            }
            if (!handle(Bytes{input_}.subspan(done, length))) {
                return false;
            }
            done += length;
        }
        std::memmove(input_.data(), input_.data() + done, filled_ - done);
        filled_ -= done;
    }
}

bool Session::write() {
    while (!queue_.empty()) {
        const ssize_t put = ::send(socket_, queue_.data(), queue_.size(), MSG_NOSIGNAL);
        if (put < 0) {
            return errno == EAGAIN ? true : lose(std::strerror(errno));
        }
        queue_ = queue_.subspan(static_cast<std::size_t>(put));
    }
    return true;
}

bool Session::handle(Bytes message) {
    const Bytes body = message.subspan(kHeader);
    switch (message[kHeader - 1]) {
        case type::kOpen:
            say(type::kKeepalive, {});
            state_ = State::OpenConfirm;
            break;
        case type::kKeepalive:
            if (state_ == State::OpenConfirm) {
                state_ = State::Established;
                established_at_ = Clock::now();
            }
            break;
        case type::kNotification:
            return lose("NOTIFICATION " + std::to_string(body[0]) + "/" + std::to_string(body[1]));
        case type::kUpdate:
            on_update_(body);
            break;
        default:
            break;
    }
    return true;
}

bool Session::lose(std::string why) {
    trouble_ = std::move(why);
    close(socket_);
    socket_ = -1;
    state_ = State::Closed;
    return false;
}

void Session::say(std::uint8_t type, Bytes body) {
    Writer out;
    write_header(type, body.size(), out);
    out.bytes(body);
    // A few octets: the socket has room for them.
    if (::send(socket_, out.view().data(), out.size(), MSG_NOSIGNAL) < 0) {
        trouble_ = std::strerror(errno);
    }
    spoke_at_ = Clock::now();
}

void Session::keep_alive(Clock::time_point now) {
    if (state_ == State::Established && queue_.empty() && now - spoke_at_ > kKeepalive) {
        say(type::kKeepalive, {});
    }
}

namespace {

void write_attribute(std::uint8_t flags, std::uint8_t code, Bytes value, Writer& out) {
    out.u8(flags);
    out.u8(code);
    if ((flags & 0x10U) != 0) {
        out.u16(static_cast<std::uint16_t>(value.size()));
    } else {
        out.u8(static_cast<std::uint8_t>(value.size()));
    }
    out.bytes(value);
}

/// ORIGIN and AS_PATH.
void write_path(const std::vector<std::uint32_t>& as_path, Writer& out) {
    write_attribute(0x40, 1, std::array<std::uint8_t, 1>{0}, out);
    Writer path;
    path.u8(2);
    path.u8(static_cast<std::uint8_t>(as_path.size()));
    for (const std::uint32_t asn : as_path) {
        path.u32(asn);
    }
    write_attribute(0x40, 2, path.view(), out);
}

void write_community(std::uint32_t value, Writer& out) {
    Writer community;
    community.u32(value);
    write_attribute(0xc0, 8, community.view(), out);
}

}  // namespace

void encode_update(const Announcement& announcement, Writer& out) {
    Writer attributes;
    write_path(announcement.as_path, attributes);
    Writer next_hop;
    next_hop.u32(announcement.next_hop.value());
    write_attribute(0x40, 3, next_hop.view(), attributes);
    write_community(announcement.community, attributes);
    write_header(type::kUpdate, 4 + attributes.size() + 5 * announcement.count, out);
    out.u16(0);
    out.u16(static_cast<std::uint16_t>(attributes.size()));
    out.bytes(attributes.view());
    for (unsigned i = 0; i < announcement.count; ++i) {
        out.u8(32);
        out.u32(announcement.first.value() + i);
    }
}

void encode_withdrawal(Ip4 address, Writer& out) {
    constexpr std::size_t kRoute = 5;
    write_header(type::kUpdate, 4 + kRoute, out);
    out.u16(kRoute);
    out.u8(32);
    out.u32(address.value());
    out.u16(0);
}

void encode_update(const Announcement6& announcement, Writer& out) {
    Writer reach;
    reach.u32(0x00020110);  // IPv6, unicast, a next hop of 16 octets
    std::array<std::uint8_t, 16> octets{};
    announcement.next_hop.store(octets.data());
    reach.bytes(octets);
    reach.u8(0);
    const unsigned length = announcement.length;
    for (unsigned i = 0; i < announcement.count; ++i) {
        const auto [high, low] = std::pair{announcement.first.high(), announcement.first.low()};
        const Ip6 route = length == 64 ? Ip6{high + i, low} : Ip6{high, low + i};
        route.store(octets.data());
        reach.u8(static_cast<std::uint8_t>(length));
        reach.bytes(std::span{octets}.first(length / 8));
    }
    Writer attributes;
    write_path(announcement.as_path, attributes);
    write_community(announcement.community, attributes);
    write_attribute(0x90, 14, reach.view(), attributes);
    write_header(type::kUpdate, 4 + attributes.size(), out);
    out.u16(0);
    out.u16(static_cast<std::uint16_t>(attributes.size()));
    out.bytes(attributes.view());
}

void for_each_route(Bytes body, const std::function<void(Ip4, bool)>& visit) {
    Reader in{body};
    Reader withdrawn = in.take(in.u16());
    in.skip(in.u16());
    const auto walk = [&visit](Reader& routes, bool announced) {
        while (!routes.empty()) {
            const unsigned length = routes.u8();
            const Bytes present = routes.bytes((length + 7) / 8);
            std::array<std::uint8_t, 4> address{};
            if (present.size() == address.size()) {
                std::memcpy(address.data(), present.data(), address.size());
                visit(Ip4::load(address.data()), announced);
            }
        }
    };
    walk(withdrawn, false);
    walk(in, true);
}

}  // namespace vr::perf
