// DirectoryWatch: what happens to the files of a directory, one event after the other.  Asio shell over inotify.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/inotify.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vrouter/net/result.h"

namespace vr::policy {

class DirectoryWatch {
  public:
    explicit DirectoryWatch(boost::asio::any_io_executor loop) : inotify_(std::move(loop)) {}

    /// From now on this directory; what an earlier one left to be told is forgotten.
    [[nodiscard]] Result<void> open(const std::filesystem::path& directory);
    void close();

    /// Calls `heard` when there are events.
    void wait(std::function<void()> heard);

    struct Event {
        std::uint32_t mask = 0;
        std::string name;
    };

    /// Of those that were read; nothing when all were told.
    [[nodiscard]] std::optional<Event> next();

    [[nodiscard]] bool has_next() const { return at_ + sizeof(inotify_event) <= size_; }

    /// The directory itself is gone.
    static constexpr std::uint32_t kLost = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT;

  private:
    boost::asio::posix::stream_descriptor inotify_;
    std::shared_ptr<const bool> open_;  ///< held weakly by who waits
    std::size_t at_ = 0;
    std::size_t size_ = 0;
    alignas(8) std::array<char, 16384> buffer_{};
};

}  // namespace vr::policy
