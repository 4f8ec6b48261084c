// Where a vhost-user socket lives, and who may take the place.
//
// Server mode: the router binds the path.  What it finds there is removed only if it is a socket on
// which nobody listens, the leavings of a router that died.  Anything else is an error that says what
// to do.  Client mode: the path belongs to the hypervisor and is never touched.
// Errors name the path.  No DPDK.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "vrouter/net/result.h"

namespace vr::vhost {

/// Longest path that sockaddr_un holds with its terminating zero.
inline constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

/// Who may connect to a socket that the router binds.
struct SocketAccess {
    ::mode_t mode = 0660;
    std::string group;  ///< name of the owning group; empty: the router's own
};

/// `explicit_path` if there is one, else "<directory>/<interface_name>.sock".
[[nodiscard]] Result<std::string> make_socket_path(
    std::string_view directory, std::string_view interface_name, std::string_view explicit_path);

/// Makes `path` free for bind(): creates its directory, removes a socket left by a dead server.
[[nodiscard]] Result<void> claim_server_path(const std::string& path);

/// What is at `path`, if anything, must be a socket; it need not exist yet.
[[nodiscard]] Result<void> check_client_path(const std::string& path);

/// Applies `access` to the bound socket at `path`.
[[nodiscard]] Result<void> grant_access(const std::string& path, const SocketAccess& access);

}  // namespace vr::vhost
