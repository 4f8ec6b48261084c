// Status: what a running vrouter-policyd does, as one line of JSON for whoever connects to its control
// socket, and as text for people.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "policy/datastore.h"
#include "policy/source_status.h"
#include "vrouter/net/result.h"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr {
class LocalListener;
}  // namespace vr

namespace vr::policyd {

class Cluster;
class Server;

/// What of the datastore is not in force as it is written, and why.  Hosts are told it of the objects
/// that they get alone, of sets never.
[[nodiscard]] std::vector<std::string> problems_of(const policy::Datastore& datastore);

/// `server` is null until the datastore is known in full.
[[nodiscard]] std::string status_json(
    const Cluster& cluster,
    const policy::SourceStatus& source,
    std::span<const std::string> problems,
    const Server* server);

/// The JSON of status_json() as text; an error when it is something else.
[[nodiscard]] Result<std::string> status_text(const std::string& json);

/// Answers each connection with what `tell` returns.  Asio shell.
class StatusSocket {
  public:
    /// On a path that is claimed as vrouter/socket_path.h says.
    [[nodiscard]] static Result<std::unique_ptr<StatusSocket>> listen(
        boost::asio::io_context& io, const std::string& path, std::function<std::string()> tell);
    StatusSocket(const StatusSocket&) = delete;
    StatusSocket& operator=(const StatusSocket&) = delete;
    StatusSocket(StatusSocket&&) = delete;
    StatusSocket& operator=(StatusSocket&&) = delete;
    /// Removes the socket file.
    ~StatusSocket();

  private:
    explicit StatusSocket(std::unique_ptr<LocalListener> listener);
    std::unique_ptr<LocalListener> listener_;
};

/// What the server behind `path` says.
[[nodiscard]] Result<std::string> ask_status(const std::string& path);

}  // namespace vr::policyd
