// SPDX-License-Identifier: Apache-2.0
#include "vrouter/socket_path.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace vr {

namespace {

std::string reason(int error) {
    return std::generic_category().message(error);
}

class Descriptor {
  public:
    explicit Descriptor(int number) noexcept : number_(number) {}

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor(Descriptor&&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;

    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }

    [[nodiscard]] int number() const noexcept { return number_; }

  private:
    int number_;
};

/// 0 when someone answers at `path`, else why not.  Never waits: a full backlog is an answer too.
int probe(const std::string& path) {
    const Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (socket.number() < 0) {
        return errno;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof(address.sun_path) - 1);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.number(), generic, sizeof(address)) == 0 || errno == EAGAIN) {
        return 0;
    }
    return errno;
}

/// Clears a left-over socket away; an error when the path is taken.
Result<void> clear(const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? Result<void>{} : fail(fmt::format("{}: {}", path, reason(errno)));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return fail(fmt::format("{} exists and is not a socket: choose another path", path));
    }
    const int answer = probe(path);
    if (answer == 0) {
        return fail(fmt::format(
            "another program listens on {}: stop it, or give this one another socket", path));
    }
    if (answer != ECONNREFUSED) {
        return fail(fmt::format("{}: {}", path, reason(answer)));
    }
    if (::unlink(path.c_str()) != 0) {
        return fail(fmt::format("cannot remove the left-over {}: {}", path, reason(errno)));
    }
    return {};
}

}  // namespace

Result<void> claim_socket_path(
    const std::string& path, const std::function<Result<void>()>& bind_and_listen) {
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
        return fail(fmt::format(
            "socket path '{}' must have 1 to {} bytes", path, sizeof(sockaddr_un::sun_path) - 1));
    }
    auto directory = std::filesystem::path(path).parent_path();
    if (directory.empty()) {
        directory = ".";
    }
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
        return fail(fmt::format("cannot create {}: {}", directory.string(), error.message()));
    }
    const Descriptor lock{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (lock.number() < 0 || ::flock(lock.number(), LOCK_EX) != 0) {
        return fail(fmt::format("cannot lock {}: {}", directory.string(), reason(errno)));
    }
    if (auto cleared = clear(path); !cleared) {
        return cleared;
    }
    return bind_and_listen();
}

}  // namespace vr
