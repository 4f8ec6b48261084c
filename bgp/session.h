// Session: the TCP connection of one side of one peer, as bytes; Asio shell.
//
// Tells its owner what happens through Events and knows nothing of BGP.  Reads only when asked to, so
// that a peer cannot send faster than its messages are handled; writes one buffer at a time, so that
// what waits for a slow peer stays with the owner.  close() lets the last words out before the socket
// goes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/output.h"
#include "vrouter/net/wire.h"

namespace vr::bgp {

class Session : public std::enable_shared_from_this<Session> {
  public:
    using Socket = boost::asio::ip::tcp::socket;
    using Endpoint = boost::asio::ip::tcp::endpoint;

    struct Events {
        std::function<void()> connected;
        std::function<void(Bytes)> received;      ///< then nothing until read()
        std::function<void()> written;            ///< write() may be called again
        std::function<void(std::string)> closed;  ///< by the peer or an error; never after close()
    };

    /// `scratch` is where reads land: shared by all sessions of a thread.
    Session(Socket socket, std::span<std::uint8_t> scratch);

    void set_events(Events events) { events_ = std::move(events); }

    [[nodiscard]] Socket& socket() noexcept { return socket_; }

    /// Calls; reports connected or closed.
    void connect(const Endpoint& to);

    /// Asks for the next bytes.
    void read();

    /// True while a buffer is on its way.
    [[nodiscard]] bool writing() const noexcept { return writing_; }

    /// Sends `output`; only when not writing().
    void write(Output output);

    /// Sends `last_words` behind what is on its way, then closes; reports nothing more.
    void close(Output last_words);

    /// Reports nothing more; whoever has the socket closes it.
    void abandon() noexcept { closing_ = true; }

  private:
    template <typename Done>
    void send(Output output, Done done);
    void lose(const std::string& why);
    void say_goodbye();
    void drain();

    Socket socket_;
    boost::asio::steady_timer patience_;
    std::span<std::uint8_t> scratch_;
    Events events_;
    Output out_;
    Output last_words_;
    bool connected_ = false;
    bool reading_ = false;
    bool writing_ = false;
    bool closing_ = false;
};

}  // namespace vr::bgp
