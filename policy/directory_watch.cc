// SPDX-License-Identifier: Apache-2.0
#include "policy/directory_watch.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <boost/asio/buffer.hpp>

namespace vr::policy {

namespace {

constexpr std::uint32_t kFileEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE;

std::string inotify_error() {
    return std::error_code(errno, std::generic_category()).message();
}

}  // namespace

Result<void> DirectoryWatch::open(const std::filesystem::path& directory) {
    close();
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        return fail("inotify: " + inotify_error());
    }
    inotify_.assign(fd);
    if (inotify_add_watch(fd, directory.c_str(), kFileEvents | kLost | IN_ONLYDIR) < 0) {
        return fail(fmt::format("cannot watch {}: {}", directory.string(), inotify_error()));
    }
    open_ = std::make_shared<const bool>(true);
    return {};
}

void DirectoryWatch::close() {
    open_.reset();
    at_ = 0;
    size_ = 0;
    boost::system::error_code ignored;
    inotify_.close(ignored);
}

void DirectoryWatch::wait(std::function<void()> heard) {
    inotify_.async_read_some(
        boost::asio::buffer(buffer_),
        [this, open = std::weak_ptr(open_), heard = std::move(heard)](
            boost::system::error_code error, std::size_t size) {
            if (!error && !open.expired()) {
                at_ = 0;
                size_ = size;
                heard();
            }
        });
}

std::optional<DirectoryWatch::Event> DirectoryWatch::next() {
    if (!has_next()) {
        return std::nullopt;
    }
    inotify_event event{};
    std::memcpy(&event, buffer_.data() + at_, sizeof(event));
    at_ += sizeof(event);
    // The name is padded with zero bytes up to event.len.
    const std::size_t length = std::min<std::size_t>(event.len, size_ - at_);
    Event told{event.mask, {buffer_.data() + at_, strnlen(buffer_.data() + at_, length)}};
    at_ += length;
    return told;
}

}  // namespace vr::policy
