// SPDX-License-Identifier: Apache-2.0
#include "bgp/session.h"

#include <array>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

namespace vr::bgp {
namespace {

using boost::system::error_code;

/// How long a closed connection may take to get rid of its last words.
constexpr std::chrono::seconds kPatience{3};

std::string words(const error_code& error) {
    return error == boost::asio::error::eof ? "connection closed by the peer" : error.message();
}

}  // namespace

Session::Session(Socket socket, std::span<std::uint8_t> scratch)
    : socket_(std::move(socket)),
      patience_(socket_.get_executor()),
      scratch_(scratch),
      connected_(socket_.is_open()) {
    if (connected_) {
        error_code ignored;
        socket_.non_blocking(true, ignored);
    }
}

void Session::connect(const Endpoint& to) {
    connected_ = false;
    socket_.async_connect(to, [self = shared_from_this()](const error_code& error) {
        if (self->closing_) {
            return;
        }
        if (error) {
            self->lose(words(error));
            return;
        }
        self->connected_ = true;
        error_code ignored;
        self->socket_.non_blocking(true, ignored);
        self->events_.connected();
    });
}

void Session::read() {
    if (reading_ || closing_) {
        return;
    }
    reading_ = true;
    socket_.async_wait(
        Socket::wait_read, [self = shared_from_this()](const error_code& wait_error) {
            self->reading_ = false;
            if (self->closing_) {
                return;
            }
            error_code error = wait_error;
            const std::size_t size =
                error ? 0 : self->socket_.read_some(boost::asio::buffer(self->scratch_), error);
            if (error == boost::asio::error::would_block ||
                error == boost::asio::error::try_again) {
                self->read();
            } else if (error) {
                self->lose(words(error));
            } else {
                self->events_.received(Bytes{self->scratch_.first(size)});
            }
        });
}

/// Calls done(error) when TCP has all of it.
template <typename Done>
void Session::send(Output output, Done done) {
    out_ = std::move(output);
    std::vector<boost::asio::const_buffer> buffers;
    for (const Bytes part : out_.parts()) {
        buffers.push_back(boost::asio::buffer(part.data(), part.size()));
    }
    boost::asio::async_write(
        socket_, std::move(buffers), [done](const error_code& error, std::size_t /*size*/) {
            done(error);
        });
}

void Session::write(Output output) {
    writing_ = true;
    send(std::move(output), [self = shared_from_this()](const error_code& error) {
        self->writing_ = false;
        self->out_ = {};
        if (self->closing_) {
            self->say_goodbye();
        } else if (error) {
            self->lose(words(error));
        } else {
            self->events_.written();
        }
    });
}

void Session::close(Output last_words) {
    if (closing_) {
        return;
    }
    closing_ = true;  // no event after this
    error_code ignored;
    if (!connected_ || !socket_.is_open()) {
        socket_.close(ignored);
        return;
    }
    last_words_ = std::move(last_words);
    patience_.expires_after(kPatience);
    patience_.async_wait([self = shared_from_this()](const error_code&) {
        error_code nothing;
        self->socket_.close(nothing);
    });
    if (!writing_) {
        say_goodbye();
    }
}

void Session::lose(const std::string& why) {
    if (closing_) {
        return;
    }
    closing_ = true;
    error_code ignored;
    socket_.close(ignored);
    events_.closed(why);
}

/// Writes the last words, closes our half and waits for the peer's: closing with unread input would
/// reset the connection and could lose the words on the way.
void Session::say_goodbye() {
    if (!last_words_.empty()) {
        send(std::exchange(last_words_, {}), [self = shared_from_this()](const error_code&) {
            self->say_goodbye();
        });
        return;
    }
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    drain();
}

void Session::drain() {
    socket_.async_wait(
        Socket::wait_read, [self = shared_from_this()](const error_code& wait_error) {
            error_code error = wait_error;
            std::array<std::uint8_t, 4096> unwanted{};  // the owner of the scratch may be gone
            if (!error) {
                static_cast<void>(self->socket_.read_some(boost::asio::buffer(unwanted), error));
            }
            if (error && error != boost::asio::error::would_block) {
                self->patience_.cancel();  // closes the socket
                return;
            }
            self->drain();
        });
}

}  // namespace vr::bgp
