// SPDX-License-Identifier: Apache-2.0
#include "vrouter/local_listener.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/net/log.h"
#include "vrouter/socket_path.h"

namespace vr {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kPause{1};

}  // namespace

struct LocalListener::State : std::enable_shared_from_this<LocalListener::State> {
    State(asio::io_context& io, std::string at, OnClient take)
        : path(std::move(at)), on_client(std::move(take)), acceptor(io), pause(io) {}

    Result<void> listen() {
        error_code error;
        acceptor.open(stream_protocol{}, error);
        if (!error) {
            acceptor.bind(stream_protocol::endpoint{path}, error);
        }
        // Before listen(): nobody can connect while the permissions are still the umask's.
        if (!error && ::chmod(path.c_str(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) != 0) {
            error.assign(errno, boost::system::generic_category());
        }
        if (!error) {
            acceptor.listen(asio::socket_base::max_listen_connections, error);
        }
        if (error) {
            return fail("cannot listen on " + path + ": " + error.message());
        }
        struct stat status{};
        inode = ::lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
        return {};
    }

    void accept() {
        acceptor.async_accept([weak = weak_from_this()](error_code error, Socket client) {
            const auto self = weak.lock();
            if (!self || !self->acceptor.is_open()) {
                return;
            }
            if (error) {
                self->accept_later(error);
                return;
            }
            self->on_client(std::move(client));
            self->accept();
        });
    }

    /// Out of descriptors, most likely: a pause instead of a busy loop.
    void accept_later(error_code why) {
        log::warning("control socket: cannot accept a client: {}", why.message());
        pause.expires_after(kPause);
        pause.async_wait([weak = weak_from_this()](error_code error) {
            if (const auto self = weak.lock(); self && !error) {
                self->accept();
            }
        });
    }

    void close() {
        error_code ignored;
        acceptor.close(ignored);
        pause.cancel();
        struct stat status{};
        if (::lstat(path.c_str(), &status) == 0 && status.st_ino == inode) {
            ::unlink(path.c_str());
        }
    }

    std::string path;
    OnClient on_client;
    stream_protocol::acceptor acceptor;
    asio::steady_timer pause;
    ino_t inode = 0;  ///< of our socket file: another's is not ours to remove
};

LocalListener::LocalListener(std::shared_ptr<State> state) : state_(std::move(state)) {}

LocalListener::~LocalListener() {
    state_->close();
}

Result<std::unique_ptr<LocalListener>> LocalListener::listen(
    asio::io_context& io, const std::string& path, OnClient on_client) {
    auto state = std::make_shared<State>(io, path, std::move(on_client));
    if (auto claimed = claim_socket_path(path, [&] { return state->listen(); }); !claimed) {
        return fail(std::move(claimed).error(), "control socket");
    }
    state->accept();
    return std::unique_ptr<LocalListener>{new LocalListener{std::move(state)}};
}

}  // namespace vr
