// Saver: keeps the last good state of a source on disk, now and then.  Asio shell.
//
// It is written by a thread of its own, at most every 5 s, more rarely if that takes 50 ms, and once more
// at stop() if it changed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/net/result.h"

namespace boost::asio {
class thread_pool;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr::policy {

class Saver {
  public:
    /// Makes the content of the file; runs once, on another thread, those of one saver in their order.
    using Encode = std::function<std::string()>;
    /// Takes hold of the present state; runs where the executor's handlers do.  Null: not now, ask later.
    using Picture = std::function<Encode()>;

    /// `who` begins what is logged.
    Saver(
        boost::asio::any_io_executor executor, std::string path, std::string who, Picture picture);
    Saver(const Saver&) = delete;
    Saver& operator=(const Saver&) = delete;
    Saver(Saver&&) = delete;
    Saver& operator=(Saver&&) = delete;
    ~Saver();

    /// The state is another: it will be saved, unless stop() came before.
    void changed();
    /// Saves what is not saved yet, and nothing after that.
    void stop();

    /// Why the last try failed; empty: it did not.
    [[nodiscard]] const std::string& error() const { return error_; }

  private:
    void save_later();
    void save();
    void saved(const Result<void>& result, std::chrono::steady_clock::time_point started);

    boost::asio::any_io_executor executor_;
    std::string path_;
    std::string who_;
    Picture picture_;
    boost::asio::steady_timer timer_;
    std::unique_ptr<boost::asio::thread_pool> thread_;
    std::chrono::milliseconds pause_;
    bool changed_ = false;  ///< since the last save began
    bool saving_ = false;   ///< or about to
    std::string error_;
    /// Held weakly by completions that may come when this is gone; null after stop().
    std::shared_ptr<const bool> running_ = std::make_shared<const bool>(true);
};

}  // namespace vr::policy
