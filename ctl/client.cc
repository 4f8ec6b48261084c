// SPDX-License-Identifier: Apache-2.0
#include "ctl/client.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <vrouter.pb.h>

namespace vr::ctl {

namespace {

constexpr std::size_t kReadBytes = 65536;

std::string reason(int error) {
    return std::generic_category().message(error);
}

/// The calls that `option` is for give up after `timeout`, never if that is 0.
void set_timeout(int socket, int option, std::chrono::milliseconds timeout) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    timeval value{};
    value.tv_sec = seconds.count();
    value.tv_usec = std::chrono::microseconds{timeout - seconds}.count();
    ::setsockopt(socket, SOL_SOCKET, option, &value, sizeof(value));
}

}  // namespace

Result<Client> Client::connect(
    const std::string& path, std::chrono::milliseconds timeout, std::chrono::milliseconds answer) {
    const auto unreachable = [&](int error) {
        return fail(fmt::format(
            "cannot reach vrouterd at {}: {} (is it running? --socket chooses another)",
            path,
            reason(error)));
    };
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return unreachable(ENAMETOOLONG);
    }
    path.copy(static_cast<char*>(address.sun_path), path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) {
        return unreachable(errno);
    }
    Client client{socket, path};
    set_timeout(socket, SO_SNDTIMEO, timeout);  // connect() goes by it, too
    set_timeout(socket, SO_RCVTIMEO, answer);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket, generic, sizeof(address)) != 0) {
        return unreachable(errno);
    }
    return client;
}

Client::Client(int socket, std::string path) noexcept : socket_(socket), path_(std::move(path)) {}

Client::Client(Client&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      path_(std::move(other.path_)),
      decoder_(std::move(other.decoder_)) {}

Client::~Client() {
    if (socket_ >= 0) {
        ::close(socket_);
    }
}

Error Client::lost(int error) const {
    if (error == EAGAIN) {
        return Error{fmt::format(
            "vrouterd at {} does not answer in time (--timeout gives it longer)", path_)};
    }
    return Error{fmt::format(
        "vrouterd at {} closed the connection: {}", path_, error == 0 ? "end" : reason(error))};
}

Result<void> Client::send(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return fail(lost(errno).text);
        }
        sent += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    return {};
}

Result<pb::Response> Client::receive() {
    while (true) {
        const auto content = decoder_.next();
        if (!content) {
            return fail(content.error(), path_);
        }
        if (const std::optional<Bytes>& message = *content; message) {
            return parse_response(*message);
        }
        std::array<std::uint8_t, kReadBytes> received{};
        const ssize_t n = ::recv(socket_, received.data(), received.size(), 0);
        if (n > 0) {
            decoder_.feed(Bytes{received}.first(static_cast<std::size_t>(n)));
        } else if (n == 0 || errno != EINTR) {
            return fail(lost(n == 0 ? 0 : errno).text);
        }
    }
}

Result<void> Client::call(
    const pb::Request& request, const std::function<void(const pb::Response&)>& on_frame) {
    const auto bytes = frame(request);
    if (!bytes) {
        return fail(bytes.error().text);
    }
    if (auto sent = send(*bytes); !sent) {
        return sent;
    }
    bool more = true;
    while (more) {
        const auto response = receive();
        if (!response) {
            return fail(response.error().text);
        }
        on_frame(*response);
        more = response->more();
    }
    return {};
}

}  // namespace vr::ctl
