// SPDX-License-Identifier: Apache-2.0
#include "vhost/socket_path.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace vr::vhost {

namespace {

std::string reason(int error) {
    return std::error_code(error, std::generic_category()).message();
}

enum class AtPath { Nothing, Socket };

/// What stands at `path`; anything but a socket is an error.
Result<AtPath> look_at(const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) {
            return AtPath::Nothing;
        }
        return fail(path + ": " + reason(errno));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return fail(path + ": exists and is not a socket; remove it or choose another path");
    }
    return AtPath::Socket;
}

/// True when a connect() to `path` is answered by a listener.
Result<bool> is_served(const std::string& path) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return fail(path + ": cannot open a socket: " + reason(errno));
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int rc = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    const int error = rc == 0 ? 0 : errno;
    ::close(probe);
    switch (error) {
        case 0:
        case EAGAIN:  // a listener with a full backlog
            return true;
        case ECONNREFUSED:
        case ENOENT:
            return false;
        default:
            return fail(path + ": cannot tell whether the socket is in use: " + reason(error));
    }
}

bool is_file_name(std::string_view name) {
    return !name.empty() && name != "." && name != ".." &&
           std::ranges::none_of(name, [](char c) { return c == '/' || c == '\0'; });
}

Result<gid_t> group_id(const std::string& name) {
    std::array<char, 4096> buffer{};
    group entry{};
    group* found = nullptr;
    if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
        found == nullptr) {
        return fail("no group named " + name);
    }
    return entry.gr_gid;
}

}  // namespace

Result<std::string> make_socket_path(
    std::string_view directory, std::string_view interface_name, std::string_view explicit_path) {
    std::string path(explicit_path);
    if (path.empty()) {
        if (!is_file_name(interface_name)) {
            return fail(
                "interface name \"" + std::string(interface_name) +
                "\" cannot name a socket: it must be a file name without slashes");
        }
        path = std::string(directory) + "/" + std::string(interface_name) + ".sock";
    }
    if (path.front() != '/') {
        return fail(path + ": a vhost-user socket needs an absolute path");
    }
    if (path.find('\0') != std::string::npos) {
        return fail("a vhost-user socket path contains a zero byte");
    }
    if (path.size() > kMaxSocketPath) {
        return fail(
            path + ": " + std::to_string(path.size()) + " bytes long, a socket path has at most " +
            std::to_string(kMaxSocketPath));
    }
    return path;
}

Result<void> claim_server_path(const std::string& path) {
    const std::filesystem::path directory = std::filesystem::path(path).parent_path();
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
        return fail(path + ": cannot create its directory: " + error.message());
    }
    if (::access(directory.c_str(), W_OK | X_OK) != 0) {
        return fail(path + ": cannot write to its directory: " + reason(errno));
    }
    const Result<AtPath> found = look_at(path);
    if (!found) {
        return std::unexpected(found.error());
    }
    if (*found == AtPath::Nothing) {
        return {};
    }
    const Result<bool> served = is_served(path);
    if (!served) {
        return std::unexpected(served.error());
    }
    if (*served) {
        return fail(path + ": another process listens on this socket");
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return fail(path + ": cannot remove the left-over socket: " + reason(errno));
    }
    return {};
}

Result<void> check_client_path(const std::string& path) {
    const Result<AtPath> found = look_at(path);
    if (!found) {
        return std::unexpected(found.error());
    }
    return {};
}

Result<void> grant_access(const std::string& path, const SocketAccess& access) {
    if (!access.group.empty()) {
        const Result<gid_t> group = group_id(access.group);
        if (!group) {
            return fail(group.error(), path);
        }
        if (::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
            return fail(path + ": cannot give it to group " + access.group + ": " + reason(errno));
        }
    }
    if (::chmod(path.c_str(), access.mode) != 0) {
        return fail(path + ": cannot set its permissions: " + reason(errno));
    }
    return {};
}

}  // namespace vr::vhost
