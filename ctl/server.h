// Server: the control socket, a unix stream socket on which many clients ask and Dispatch answers.
//
// One request of a client is answered before its next is read, and a frame of an answer is made only
// when the one before it has left for the kernel: a client holds at most one request and one frame of
// memory here, however slowly it reads.  One that does not read at all is closed after `patience`.
// Something else on the socket (garbage, a frame too large) costs that connection alone.
//
// Whose the path is: vrouter/socket_path.h.
// Asio shell, control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "vrouter/net/result.h"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr::ctl {

class Dispatch;

struct ServerConfig {
    std::string path = "/run/vrouter/vrouter.sock";
    std::size_t max_clients = 64;
    std::chrono::milliseconds patience{30'000};
};

class Server {
  public:
    /// Listens on `config.path` with permissions 0660.  `dispatch` must outlive the server.
    [[nodiscard]] static Result<std::unique_ptr<Server>> listen(
        boost::asio::io_context& io, ServerConfig config, const Dispatch& dispatch);

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    Server(Server&&) = delete;
    Server& operator=(Server&&) = delete;
    /// Closes every client and removes the socket file.
    ~Server();

    [[nodiscard]] std::size_t clients() const noexcept;

  private:
    struct State;
    explicit Server(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace vr::ctl
