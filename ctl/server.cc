// SPDX-License-Identifier: Apache-2.0
#include "ctl/server.h"

#include <sys/stat.h>
#include <unistd.h>

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
#include "ctl/socket_path.h"
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

struct Server::State : std::enable_shared_from_this<Server::State> {
    State(asio::io_context& io, ServerConfig settings, const Dispatch& dispatch)
        : config(std::move(settings)),
          acceptor(io),
          sessions(std::make_shared<Sessions>(dispatch, config.patience)) {}

    Result<void> listen() {
        error_code error;
        acceptor.open(stream_protocol{}, error);
        if (!error) {
            acceptor.bind(stream_protocol::endpoint{config.path}, error);
        }
        // Before listen(): nobody can connect while the permissions are still the umask's.
        if (!error && ::chmod(config.path.c_str(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) != 0) {
            error.assign(errno, boost::system::generic_category());
        }
        if (!error) {
            acceptor.listen(asio::socket_base::max_listen_connections, error);
        }
        if (error) {
            return fail("cannot listen on " + config.path + ": " + error.message());
        }
        struct stat status{};
        inode = ::lstat(config.path.c_str(), &status) == 0 ? status.st_ino : 0;
        return {};
    }

    void accept() {
        acceptor.async_accept(
            [weak = weak_from_this()](error_code error, stream_protocol::socket socket) {
                const auto self = weak.lock();
                if (!self || !self->acceptor.is_open()) {
                    return;
                }
                self->admit(error, std::move(socket));
            });
    }

    void admit(error_code error, stream_protocol::socket socket) {
        if (error) {
            // Out of descriptors, most likely: a pause instead of a busy loop.
            log::warning("control socket: cannot accept a client: {}", error.message());
            pause.expires_after(std::chrono::seconds{1});
            pause.async_wait([weak = weak_from_this()](error_code) {
                if (const auto self = weak.lock()) {
                    self->accept();
                }
            });
            return;
        }
        if (sessions->live.size() >= config.max_clients) {
            log::warning("control socket: more than {} clients, one refused", config.max_clients);
        } else {
            const auto session = std::make_shared<Session>(std::move(socket), sessions);
            sessions->live.insert(session);
            session->start();
        }
        accept();
    }

    void close() {
        error_code ignored;
        acceptor.close(ignored);
        pause.cancel();
        for (const auto& session : std::exchange(sessions->live, {})) {
            session->close();
        }
        struct stat status{};
        if (::lstat(config.path.c_str(), &status) == 0 && status.st_ino == inode) {
            ::unlink(config.path.c_str());
        }
    }

    ServerConfig config;
    stream_protocol::acceptor acceptor;
    asio::steady_timer pause{acceptor.get_executor()};
    std::shared_ptr<Sessions> sessions;
    ino_t inode = 0;  ///< of our socket file: another's is not ours to remove
};

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
    state_->close();
}

Result<std::unique_ptr<Server>> Server::listen(
    asio::io_context& io, ServerConfig config, const Dispatch& dispatch) {
    const std::string path = config.path;
    auto state = std::make_shared<State>(io, std::move(config), dispatch);
    if (auto claimed = claim_socket_path(path, [&] { return state->listen(); }); !claimed) {
        return fail(std::move(claimed).error(), "control socket");
    }
    state->accept();
    return std::unique_ptr<Server>{new Server{std::move(state)}};
}

std::size_t Server::clients() const noexcept {
    return state_->sessions->live.size();
}

}  // namespace vr::ctl
