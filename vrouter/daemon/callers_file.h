// CallersFile: which callers of ranges a start after a crash is to wait for (RFC 4724 4.1).
//
// It is beside the control socket: where that is in /run, it survives a crash and no reboot.  It is written
// a second or two after a change, every five at most; an orderly end removes it, for nobody keeps routes
// then.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/net/addr.h"
#include "vrouter/net/result.h"

namespace vr::policy {
class Saver;
}

namespace vr::daemon {

// --- content, pure ---

using Callers = std::vector<IpAddr>;

[[nodiscard]] std::string encode_callers(const Callers& callers);

[[nodiscard]] Result<Callers> decode_callers(std::string_view bytes);

// --- the file ---

class CallersFile {
  public:
    CallersFile(boost::asio::io_context& loop, std::string path);
    CallersFile(const CallersFile&) = delete;
    CallersFile& operator=(const CallersFile&) = delete;
    CallersFile(CallersFile&&) = delete;
    CallersFile& operator=(CallersFile&&) = delete;
    /// Writes what is not written yet.
    ~CallersFile();

    /// Those of the last run; nobody when there is no file.
    [[nodiscard]] Result<Callers> read();

    /// Keeps in the file what `present` says.
    void follow(std::function<Callers()> present);

    [[nodiscard]] bool is_followed() const { return saver_ != nullptr; }

    /// Nobody is to be waited for, whatever comes.
    void remove();

  private:
    void watch();

    std::string path_;
    boost::asio::steady_timer timer_;
    std::function<Callers()> present_;  ///< null: not (any more) followed
    Callers callers_;                   ///< as `present_` said last, before that the file
    std::unique_ptr<policy::Saver> saver_;
};

}  // namespace vr::daemon
