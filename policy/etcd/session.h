// Session: what goes on with one etcd endpoint until it fails: calls one after the other on one
// connection, the watch on another, and a probe that asks when there was nothing to ask.  Asio shell.
//
// A session that lost anything has ended: it says so once, and all calls that wait fail.  The probe is a
// read that a majority must confirm: it finds a frozen process, a black-holed path and a member that
// was cut off from the others alike.  With a user name the session begins with a token, and renews it
// when etcd knows it no more.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "policy/etcd/connection.h"
#include "policy/etcd/messages.h"
#include "vrouter/etcd_config.h"
#include "vrouter/net/result.h"

namespace vr::policy::etcd {

/// How long things may take.
struct Patience {
    std::chrono::milliseconds answer{5000};  ///< silence of an endpoint that has something to say
    std::chrono::milliseconds probe{2000};   ///< pause between probes
};

class Session : public std::enable_shared_from_this<Session> {
  public:
    struct Failure {
        bool too_large = false;
        bool lost = false;  ///< the session has ended
        Refusal refusal;
    };

    using Done = std::function<void(std::expected<std::string, Failure> body)>;

    struct Events {
        /// A line of the watch.
        std::function<void(std::string_view line)> watched;
        /// The session has ended, all by itself.
        std::function<void(const std::string& why)> ended;
        /// Before more of the watch is read.
        WhenRoom when_room = at_once;
    };

    Session(
        boost::asio::any_io_executor executor,
        EtcdEndpoint endpoint,
        const EtcdConfig& config,
        Patience patience,
        Events events);

    /// `probe_key` is what the probe reads.
    void start(std::string probe_key);

    /// Asks behind what was asked before.
    void call(std::string_view path, std::string body, Done done);

    /// Watches; ends a watch that was there before.
    void watch(std::string body);

    /// Ends without a word; calls that wait are dropped.
    void close();

    /// close(), and whoever waits for an answer is told that it is lost.
    void give_up(const std::string& why);

    [[nodiscard]] const EtcdEndpoint& endpoint() const { return endpoint_; }

  private:
    struct Call {
        std::string_view path;
        std::string body;
        Done done;
        bool repeated = false;  ///< with a new token
    };

    [[nodiscard]] bool make(std::shared_ptr<Connection>& connection);
    void authenticate();
    void next();
    void on_answer(unsigned status, std::string body);
    void on_trouble(Connection::Trouble trouble, const std::string& why);
    void open_watch();
    void on_watched(std::string_view part);
    void probe_later();
    void end(const std::string& why);
    void end_later(std::string why);

    boost::asio::any_io_executor executor_;
    EtcdEndpoint endpoint_;
    const EtcdConfig& config_;
    Patience patience_;
    Events events_;
    boost::asio::steady_timer probe_timer_;
    std::string probe_key_;
    std::shared_ptr<Connection> calls_connection_;
    std::shared_ptr<Connection> watch_connection_;
    std::deque<Call> calls_;  ///< the first is on its way
    std::string watch_body_;
    std::string line_;  ///< of the watch, not yet complete
    std::string token_;
    bool busy_ = false;
    bool authenticating_ = false;
    bool ended_ = false;
};

}  // namespace vr::policy::etcd
