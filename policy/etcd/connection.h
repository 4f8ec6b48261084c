// Connection: HTTP/1.1 to one etcd, in the clear or over TLS, one exchange at a time.  Asio shell.
//
// Connects at its first exchange and keeps the connection for the next.  Whatever goes wrong ends it:
// the exchange fails, and a new Connection is needed.  Silence counts as failure after `patience`, which
// every byte received renews; an endless exchange (a watch) may be silent once it has begun, and the
// kernel's keep-alives find out if the other host is gone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

#include "policy/when_room.h"
#include "vrouter/etcd_config.h"
#include "vrouter/net/result.h"

namespace vr::policy::etcd {

class Connection {
  public:
    struct Request {
        std::string_view path;
        std::string body;
        std::string token;  ///< of authentication; may be empty
        std::chrono::milliseconds patience{0};
        std::size_t max_body = 0;  ///< what the answer may have, if it is not endless
        bool endless = false;
    };

    enum class Trouble {
        Lost,      ///< not reached, broken, silent
        TooLarge,  ///< the answer exceeds max_body
    };

    struct Events {
        /// A part of the body.  May be null: then the whole is given to `done`.
        std::function<void(std::string_view part)> data;
        /// HTTP status and body.
        std::function<void(unsigned status, std::string body)> done;
        std::function<void(Trouble trouble, const std::string& why)> failed;
        /// Before more of an endless body is read.
        WhenRoom when_room = at_once;
    };

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    Connection(Connection&&) = delete;
    Connection& operator=(Connection&&) = delete;
    virtual ~Connection() = default;

    /// Only when no exchange is going on.  No event comes before this returns.
    virtual void send(Request request, Events events) = 0;
    /// No event comes any more.
    virtual void close() = 0;
    /// True when no exchange can go over it any more.
    [[nodiscard]] virtual bool is_closed() const = 0;

    /// Reads certificates and keys; they may have changed since the last connection.
    [[nodiscard]] static Result<std::shared_ptr<Connection>> make(
        const boost::asio::any_io_executor& executor,
        const EtcdEndpoint& endpoint,
        const EtcdConfig& config);
};

}  // namespace vr::policy::etcd
