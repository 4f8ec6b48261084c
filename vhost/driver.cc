// SPDX-License-Identifier: Apache-2.0
#include "vhost/driver.h"

#include <rte_vhost.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <charconv>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "vrouter/net/log.h"

namespace vr::vhost {

namespace {

struct Entry {
    Device* device = nullptr;
    VhostMode mode = VhostMode::Server;
};

struct Table {
    std::mutex mutex;
    std::map<std::string, Entry, std::less<>> entries;
};

/// Never destroyed: the library's threads live until the process ends.
Table& table() {
    static Table& instance = *new Table;
    return instance;
}

struct Found {
    std::string path;
    Entry entry;
};

/// Whose callback this is.  The Device cannot go away meanwhile: unregistering waits for callbacks.
std::optional<Found> find(int device) {
    std::array<char, PATH_MAX> path{};
    if (rte_vhost_get_ifname(device, path.data(), path.size()) != 0) {
        return std::nullopt;
    }
    const std::lock_guard lock(table().mutex);
    const auto it = table().entries.find(std::string_view(path.data()));
    if (it == table().entries.end()) {
        return std::nullopt;
    }
    return Found{.path = it->first, .entry = it->second};
}

/// True when `fd` is a connection made over the socket at `path`.
bool is_connection(int fd, VhostMode mode, std::string_view path) {
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening != 0) {
        return false;
    }
    sockaddr_un address{};
    size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    const int rc =
        mode == VhostMode::Server ? ::getsockname(fd, any, &size) : ::getpeername(fd, any, &size);
    if (rc != 0 || address.sun_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path)) {
        return false;
    }
    const std::size_t room = size - offsetof(sockaddr_un, sun_path);
    return path == std::string_view(address.sun_path, ::strnlen(address.sun_path, room));
}

/// Sets timeouts on the connections of `path`; the library keeps their descriptors to itself.
void limit_waiting(VhostMode mode, std::string_view path) {
    const ::timeval timeout{
        .tv_sec = 0,
        .tv_usec = std::chrono::microseconds(Driver::kMessageTimeout).count(),
    };
    std::error_code error;
    std::filesystem::directory_iterator it("/proc/self/fd", error);
    for (; !error && it != std::filesystem::directory_iterator{}; it.increment(error)) {
        const std::string name = it->path().filename().string();
        int fd = -1;
        std::from_chars(name.data(), name.data() + name.size(), fd);
        if (fd >= 0 && is_connection(fd, mode, path)) {
            ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
            ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        }
    }
}

Negotiated read_negotiated(int device) {
    Negotiated result;
    rte_vhost_get_negotiated_features(device, &result.features);
    const std::uint16_t rings = rte_vhost_get_vring_num(device);
    for (std::uint16_t ring = 0; ring < rings; ++ring) {
        rte_vhost_vring vring{};
        rte_vhost_get_vhost_vring(device, ring, &vring);
        result.ring_sizes.push_back(vring.size);
    }
    std::uint16_t mtu = 0;
    if (rte_vhost_get_mtu(device, &mtu) == 0 && mtu != 0) {
        result.mtu = mtu;
    }
    return result;
}

int on_new_connection(int device) {
    const auto found = find(device);
    // Who is turned away may come again at once and for ever: counted, not logged.
    if (!found || !found->entry.device->connect(device)) {
        return -1;
    }
    limit_waiting(found->entry.mode, found->path);
    return 0;
}

void on_destroy_connection(int device) {
    if (const auto found = find(device)) {
        found->entry.device->disconnect(device);
    }
}

int on_new_device(int device) {
    const auto found = find(device);
    if (!found) {
        return -1;
    }
    Negotiated negotiated = read_negotiated(device);
    // Workers poll: the guest need not kick.  Said here and not when a ring is enabled, for there the
    // library holds the lock that this call takes.
    const auto rings = static_cast<std::uint16_t>(negotiated.ring_sizes.size());
    for (std::uint16_t ring = 0; ring < rings; ++ring) {
        rte_vhost_enable_guest_notification(device, ring, 0);
    }
    found->entry.device->start(device, std::move(negotiated));
    return 0;
}

void on_destroy_device(int device) {
    if (const auto found = find(device)) {
        found->entry.device->stop(device);
    }
}

int on_vring_state_changed(int device, std::uint16_t ring, int enable) {
    if (const auto found = find(device)) {
        found->entry.device->change_ring(device, ring, enable != 0);
    }
    return 0;
}

int on_features_changed(int device, std::uint64_t features) {
    if (const auto found = find(device)) {
        found->entry.device->change_features(device, features);
    }
    return 0;
}

constexpr rte_vhost_device_ops make_callbacks() {
    rte_vhost_device_ops callbacks{};
    callbacks.new_device = on_new_device;
    callbacks.destroy_device = on_destroy_device;
    callbacks.vring_state_changed = on_vring_state_changed;
    callbacks.features_changed = on_features_changed;
    callbacks.new_connection = on_new_connection;
    callbacks.destroy_connection = on_destroy_connection;
    return callbacks;
}

/// Kept by the library by address.
constexpr rte_vhost_device_ops kCallbacks = make_callbacks();

/// One mbuf per packet: a guest that describes a frame of megabytes must not make a worker copy it,
/// nor empty the pool of everybody's mbufs.
std::uint64_t registration_flags(VhostMode mode) {
    std::uint64_t flags = RTE_VHOST_USER_LINEARBUF_SUPPORT | RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
    if (mode == VhostMode::Client) {
        flags |= RTE_VHOST_USER_CLIENT;
    }
    return flags;
}

bool add_entry(const std::string& path, Entry entry) {
    const std::lock_guard lock(table().mutex);
    return table().entries.emplace(path, entry).second;
}

void remove_entry(const std::string& path) {
    const std::lock_guard lock(table().mutex);
    table().entries.erase(path);
}

}  // namespace

Driver::Driver(std::string path, Device& device) : path_(std::move(path)), device_(device) {}

Driver::~Driver() {
    // Before the library takes its locks: see Device::retire().
    device_.retire();
    if (rte_vhost_driver_unregister(path_.c_str()) != 0) {
        log::error("vhost {}: the library does not know this socket", path_);
    }
    remove_entry(path_);
}

Result<std::unique_ptr<Driver>> Driver::start(
    const std::string& path, VhostMode mode, const SocketAccess& access, Device& device) {
    if (!add_entry(path, {.device = &device, .mode = mode})) {
        return fail(path + ": another port uses this socket");
    }
    const Result<void> usable =
        mode == VhostMode::Server ? claim_server_path(path) : check_client_path(path);
    if (!usable) {
        remove_entry(path);
        return std::unexpected(usable.error());
    }
    if (rte_vhost_driver_register(path.c_str(), registration_flags(mode)) != 0) {
        remove_entry(path);
        return fail(path + ": rte_vhost refuses to register the socket");
    }
    std::unique_ptr<Driver> driver(new Driver(path, device));
    if (rte_vhost_driver_callback_register(path.c_str(), &kCallbacks) != 0 ||
        rte_vhost_driver_disable_features(path.c_str(), withheld_features()) != 0 ||
        rte_vhost_driver_start(path.c_str()) != 0) {
        // The library closed its socket already when bind() failed and does so again on the way out;
        // claim_server_path() has ruled out every cause but a race with another process.
        return fail(path + ": rte_vhost cannot start the socket");
    }
    if (mode == VhostMode::Server) {
        if (Result<void> granted = grant_access(path, access); !granted) {
            return std::unexpected(std::move(granted).error());
        }
    }
    return driver;
}

}  // namespace vr::vhost
