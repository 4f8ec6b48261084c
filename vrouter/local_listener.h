// LocalListener: a unix socket on which a program of ours is asked, and its file.
//
// The path is claimed by the stale-socket rule (socket_path.h) and gets permissions 0660; at the end the
// file is removed, if it is still ours.  A client that cannot be accepted (no descriptor is left) costs a
// pause, never the socket.  Asio shell.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/local/stream_protocol.hpp>

#include "vrouter/net/result.h"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr {

class LocalListener {
  public:
    using Socket = boost::asio::local::stream_protocol::socket;
    using OnClient = std::function<void(Socket client)>;

    /// `on_client` is called for each client until the listener is closed.
    [[nodiscard]] static Result<std::unique_ptr<LocalListener>> listen(
        boost::asio::io_context& io, const std::string& path, OnClient on_client);
    LocalListener(const LocalListener&) = delete;
    LocalListener& operator=(const LocalListener&) = delete;
    LocalListener(LocalListener&&) = delete;
    LocalListener& operator=(LocalListener&&) = delete;
    ~LocalListener();

  private:
    struct State;
    explicit LocalListener(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace vr
