// Client: asks vrouterd one thing and waits for the answer.  Blocking; for vrouterctl and tests.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "ctl/framing.h"
#include "vrouter/net/result.h"

namespace vr::ctl {

class Client {
  public:
    /// `timeout` bounds connecting and sending; `answer` each wait for the router, not a whole listing, and
    /// nothing if it is 0.
    [[nodiscard]] static Result<Client> connect(
        const std::string& path,
        std::chrono::milliseconds timeout,
        std::chrono::milliseconds answer);

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    Client(Client&& other) noexcept;
    Client& operator=(Client&&) = delete;
    ~Client();

    /// Sends `request` and hands each frame of the answer to `on_frame` as it comes.
    [[nodiscard]] Result<void> call(
        const pb::Request& request, const std::function<void(const pb::Response&)>& on_frame);

  private:
    Client(int socket, std::string path) noexcept;
    [[nodiscard]] Result<void> send(const std::string& bytes);
    [[nodiscard]] Result<pb::Response> receive();
    [[nodiscard]] Error lost(int error) const;

    int socket_;
    std::string path_;
    FrameDecoder decoder_;
};

}  // namespace vr::ctl
