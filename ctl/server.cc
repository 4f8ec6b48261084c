// SPDX-License-Identifier: Apache-2.0
#include "ctl/server.h"

#include <array>
#include <set>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "ctl/dispatch.h"
#include "ctl/framing.h"
#include "vrouter/local_listener.h"
#include "vrouter/net/log.h"

namespace vr::ctl {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes = 16384;

class Session;

/// What a session needs of its server.
struct Sessions {
    Sessions(const Dispatch& answers, std::chrono::milliseconds wait)
        : dispatch(answers), patience(wait) {}

    const Dispatch& dispatch;
    std::chrono::milliseconds patience;
    std::set<std::shared_ptr<Session>> live;
};

/// One client: read a request, write the frames of its answer one after the other, read on.
class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(stream_protocol::socket socket, std::weak_ptr<Sessions> server)
        : socket_(std::move(socket)), timer_(socket_.get_executor()), server_(std::move(server)) {}

    void start() { read(); }

    void close() {
        error_code ignored;
        socket_.close(ignored);
        timer_.cancel();
        slices_ = nullptr;
        if (const auto server = server_.lock()) {
            server->live.erase(shared_from_this());
        }
    }

  private:
    void read() {
        socket_.async_read_some(
            asio::buffer(received_), [self = shared_from_this()](error_code error, std::size_t n) {
                if (error) {
                    self->close();
                    return;
                }
                self->decoder_.feed(Bytes{self->received_}.first(n));
                self->next_request();
            });
    }

    void next_request() {
        const auto server = server_.lock();
        if (!server) {
            return;
        }
        const auto content = decoder_.next();
        if (!content) {
            refuse(content.error());
            return;
        }
        const std::optional<Bytes>& message = *content;
        if (!message) {
            read();
            return;
        }
        const auto request = parse_request(*message);
        if (!request) {
            refuse(request.error());
            return;
        }
        server->dispatch.answer(*request, [self = shared_from_this()](Slices slices) {
            // The client may have been closed while it waited.
            if (self->socket_.is_open()) {
                self->slices_ = std::move(slices);
                self->next_frame();
            }
        });
    }

    void next_frame() {
        pb::Response response;
        const bool more = slices_(response);
        response.set_more(more);
        auto bytes = frame(response);
        if (!bytes) {
            refuse(bytes.error());
            return;
        }
        frame_ = std::move(*bytes);
        const auto server = server_.lock();
        timer_.expires_after(server ? server->patience : std::chrono::milliseconds{0});
        timer_.async_wait([weak = weak_from_this()](error_code error) {
            if (const auto self = weak.lock(); self && !error) {
                self->refuse(Error{"it does not read its answer"});
            }
        });
        asio::async_write(
            socket_,
            asio::buffer(frame_),
            [self = shared_from_this(), more](error_code error, std::size_t /*written*/) {
                self->timer_.cancel();
                if (error) {
                    self->close();
                } else if (more) {
                    self->next_frame();
                } else {
                    self->next_request();
                }
            });
    }

    void refuse(const Error& why) {
        if (socket_.is_open()) {
            log::info("control client closed: {}", why.text);
            close();
        }
    }

    stream_protocol::socket socket_;
    asio::steady_timer timer_;
    std::weak_ptr<Sessions> server_;
    FrameDecoder decoder_;
    std::array<std::uint8_t, kReadBytes> received_{};
    Slices slices_;
    std::string frame_;
};

}  // namespace

struct Server::State {
    State(ServerConfig settings, const Dispatch& dispatch)
        : config(std::move(settings)),
          sessions(std::make_shared<Sessions>(dispatch, config.patience)) {}

    void admit(stream_protocol::socket socket) {
        if (sessions->live.size() >= config.max_clients) {
            log::warning("control socket: more than {} clients, one refused", config.max_clients);
            return;
        }
        const auto session = std::make_shared<Session>(std::move(socket), sessions);
        sessions->live.insert(session);
        session->start();
    }

    ServerConfig config;
    std::shared_ptr<Sessions> sessions;
    std::unique_ptr<LocalListener> listener;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
    state_->listener.reset();
    for (const auto& session : std::exchange(state_->sessions->live, {})) {
        session->close();
    }
}

Result<std::unique_ptr<Server>> Server::listen(
    asio::io_context& io, ServerConfig config, const Dispatch& dispatch) {
    auto state = std::make_unique<State>(std::move(config), dispatch);
    auto listening = LocalListener::listen(
        io, state->config.path, [at = state.get()](auto client) { at->admit(std::move(client)); });
    if (!listening) {
        return std::unexpected(std::move(listening).error());
    }
    state->listener = std::move(*listening);
    return std::unique_ptr<Server>{new Server{std::move(state)}};
}

std::size_t Server::clients() const noexcept {
    return state_->sessions->live.size();
}

}  // namespace vr::ctl
