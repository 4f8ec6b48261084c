// Link: one TLS connection that carries frames both ways.  Asio shell, the same at both ends.
//
// What is to be sent is a list of shared pieces, of which at most kGather bytes are copied at a time: a
// snapshot on its way to hundreds of hosts exists once.  Who takes no more frames for a while holds the link: what
// comes waits at the other end, not here.  After close(), or once the other end is gone, no callback comes any
// more.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "policy/policyd/keepalive.h"
#include "policy/policyd/wire.h"

namespace vr::policyd {

class Link : public std::enable_shared_from_this<Link> {
  public:
    using Socket = boost::asio::ip::tcp::socket;

    /// Each may close the link: it is copied before it is called.
    struct Callbacks {
        std::function<void()> on_secured;         ///< the handshake is done
        std::function<void(Bytes)> on_frame;      ///< content of a frame, valid during the call
        std::function<void()> on_sent;            ///< nothing is left to send
        std::function<void(std::string)> on_end;  ///< closed, and why
    };

    Link(Socket socket, std::shared_ptr<boost::asio::ssl::context> context, std::size_t most_frame);

    /// Shakes hands, then reads frames.
    void start(boost::asio::ssl::stream_base::handshake_type side, Callbacks callbacks);

    /// No further frame is handed out, nor are bytes read, until release(); silence of the other end is not
    /// noticed meanwhile.
    void hold() { held_ = true; }

    void release();
    void send(std::string bytes);
    void send(std::vector<Chunk> pieces);
    void close();

    /// To be called each Keepalive::kTick: sends `ping` when nothing else was sent, ends the link when
    /// nothing comes.
    void tick(const std::string& ping);

    [[nodiscard]] bool is_sending() const { return sending_; }

    [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }

    [[nodiscard]] boost::asio::ssl::stream<Socket>& stream() { return stream_; }

  private:
    static constexpr std::size_t kGather = 65536;

    void read();
    void hand_out();
    void write();
    void end(std::string why);

    std::shared_ptr<boost::asio::ssl::context> context_;
    boost::asio::ssl::stream<Socket> stream_;
    FrameDecoder decoder_;
    Callbacks callbacks_;
    Keepalive keepalive_;
    std::array<std::uint8_t, 16384> received_{};
    std::deque<Chunk> unsent_;
    std::size_t offset_ = 0;  ///< into the first of unsent_
    std::string gathered_;
    bool sending_ = false;
    bool open_ = false;
    bool held_ = false;
    std::uint64_t bytes_sent_ = 0;
};

}  // namespace vr::policyd
