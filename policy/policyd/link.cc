// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/link.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>

namespace vr::policyd {

namespace asio = boost::asio;
using boost::system::error_code;

Link::Link(Socket socket, std::shared_ptr<asio::ssl::context> context, std::size_t most_frame)
    : context_(std::move(context)), stream_(std::move(socket), *context_), decoder_(most_frame) {}

void Link::start(asio::ssl::stream_base::handshake_type side, Callbacks callbacks) {
    callbacks_ = std::move(callbacks);
    open_ = true;
    error_code ignored;
    stream_.next_layer().set_option(asio::ip::tcp::no_delay(true), ignored);
    stream_.async_handshake(side, [self = shared_from_this()](error_code error) {
        if (!self->open_) {
            return;
        }
        if (error) {
            self->end("TLS: " + error.message());
            return;
        }
        self->keepalive_.heard();
        const auto on_secured = self->callbacks_.on_secured;
        on_secured();
        self->hand_out();
    });
}

void Link::read() {
    stream_.async_read_some(
        asio::buffer(received_), [self = shared_from_this()](error_code error, std::size_t size) {
            if (!self->open_) {
                return;
            }
            if (error) {
                self->end(
                    error == asio::error::eof || error == asio::ssl::error::stream_truncated
                        ? "closed by the other end"
                        : error.message());
                return;
            }
            self->keepalive_.heard();
            self->decoder_.feed(Bytes{self->received_}.first(size));
            self->hand_out();
        });
}

/// What has come, then reads on.
void Link::hand_out() {
    while (open_ && !held_) {
        const auto content = decoder_.next();
        if (!content) {
            end(content.error().text);
            return;
        }
        if (!*content) {
            read();
            return;
        }
        const auto on_frame = callbacks_.on_frame;
        on_frame(**content);
    }
}

void Link::release() {
    const auto self = shared_from_this();  // callbacks may let go of it
    held_ = false;
    hand_out();
}

void Link::send(std::string bytes) {
    send(std::vector<Chunk>{std::make_shared<const std::string>(std::move(bytes))});
}

void Link::send(std::vector<Chunk> pieces) {
    if (!open_) {
        return;
    }
    std::ranges::move(pieces, std::back_inserter(unsent_));
    if (!sending_) {
        write();
    }
}

void Link::write() {
    gathered_.clear();
    while (!unsent_.empty() && gathered_.size() < kGather) {
        const std::string& piece = *unsent_.front();
        const std::size_t part = std::min(piece.size() - offset_, kGather - gathered_.size());
        gathered_.append(piece, offset_, part);
        offset_ += part;
        if (offset_ == piece.size()) {
            unsent_.pop_front();
            offset_ = 0;
        }
    }
    sending_ = !gathered_.empty();
    if (!sending_) {
        const auto on_sent = callbacks_.on_sent;
        on_sent();
        return;
    }
    keepalive_.said();
    asio::async_write(
        stream_,
        asio::buffer(gathered_),
        [self = shared_from_this()](error_code error, std::size_t size) {
            if (!self->open_) {
                return;
            }
            self->bytes_sent_ += size;
            if (error) {
                self->end(error.message());
            } else {
                self->write();
            }
        });
}

void Link::tick(const std::string& ping) {
    if (!open_) {
        return;
    }
    if (!held_ && !keepalive_.tick()) {
        end("nothing heard for a while");
        return;
    }
    if (!sending_ && keepalive_.must_speak()) {
        send(ping);
    }
}

void Link::end(std::string why) {
    const auto on_end = std::move(callbacks_.on_end);
    close();
    on_end(std::move(why));
}

void Link::close() {
    open_ = false;
    callbacks_ = {};
    unsent_.clear();
    error_code ignored;
    stream_.next_layer().close(ignored);
}

}  // namespace vr::policyd
