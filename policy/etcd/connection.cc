// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/connection.h"

#include <netinet/tcp.h>

#include <optional>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace vr::policy::etcd {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

using PlainStream = tcp::socket;
using TlsStream = asio::ssl::stream<tcp::socket>;

constexpr std::uint32_t kMaxHeader = 16384;
constexpr std::size_t kReadSize = 65536;

/// Seconds after which the kernel asks a silent peer, again and again, and gives up.
constexpr int kKeepAliveIdle = 10;
constexpr int kKeepAliveInterval = 5;
constexpr int kKeepAliveCount = 3;
constexpr int kUserTimeoutMs = 15000;

void set_option(tcp::socket& socket, int level, int name, int value) {
    // Best effort: without it a dead peer is noticed later.
    static_cast<void>(setsockopt(socket.native_handle(), level, name, &value, sizeof(value)));
}

void find_dead_peers(tcp::socket& socket) {
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdle);
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval);
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveCount);
    set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

template <typename Stream>
class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection<Stream>> {
  public:
    template <typename... Arguments>
    HttpConnection(
        const asio::any_io_executor& executor, EtcdEndpoint endpoint, Arguments&... arguments)
        : endpoint_(std::move(endpoint)),
          resolver_(executor),
          stream_(executor, arguments...),
          timer_(executor) {
        buffer_.reserve(kReadSize);
    }

    /// What a TLS stream reads from; must live as long.
    void keep(std::shared_ptr<asio::ssl::context> context) { context_ = std::move(context); }

    [[nodiscard]] Stream& stream() { return stream_; }

    void send(Request request, Events events) override {
        events_ = std::move(events);
        patience_ = request.patience;
        endless_ = request.endless;
        request_ = {http::verb::post, {request.path.data(), request.path.size()}, 11};
        const std::string url = to_string(endpoint_);
        request_.set(http::field::host, url.substr(url.find("//") + 2));
        request_.set(http::field::content_type, "application/json");
        if (!request.token.empty()) {
            request_.set(http::field::authorization, request.token);
        }
        request_.body() = std::move(request.body);
        request_.prepare_payload();
        parser_.emplace();
        parser_->header_limit(kMaxHeader);
        if (endless_) {
            parser_->body_limit(boost::none);
        } else {
            parser_->body_limit(request.max_body);
        }
        wait();
        if (connected_) {
            write();
        } else {
            resolve();
        }
    }

    [[nodiscard]] bool is_closed() const override { return closed_; }

    void close() override {
        closed_ = true;
        events_ = {};
        resolver_.cancel();
        timer_.cancel();
        error_code ignored;
        beast::get_lowest_layer(stream_).close(ignored);
    }

  private:
    /// A completion that does nothing once the connection is closed.
    template <typename Next>
    auto then(Next next) {
        return [self = this->shared_from_this(), next](error_code error, auto&&... rest) {
            if (self->closed_) {
                return;
            }
            if (error) {
                self->fail(error);
            } else {
                next(*self, std::forward<decltype(rest)>(rest)...);
            }
        };
    }

    void wait() {
        timer_.expires_after(patience_);
        timer_.async_wait([weak = this->weak_from_this()](error_code error) {
            const auto self = weak.lock();
            if (self && !error && !self->closed_) {
                self->fail(Trouble::Lost, "no answer");
            }
        });
    }

    void resolve() {
        resolver_.async_resolve(
            endpoint_.host,
            std::to_string(endpoint_.port),
            then([](HttpConnection& self, const tcp::resolver::results_type& found) {
                self.connect(found);
            }));
    }

    void connect(const tcp::resolver::results_type& found) {
        asio::async_connect(
            beast::get_lowest_layer(stream_),
            found,
            then([](HttpConnection& self, const tcp::endpoint& /*to*/) {
                find_dead_peers(beast::get_lowest_layer(self.stream_));
                self.greet();
            }));
    }

    void greet() {
        if constexpr (std::is_same_v<Stream, TlsStream>) {
            stream_.async_handshake(asio::ssl::stream_base::client, then([](HttpConnection& self) {
                                        self.connected_ = true;
                                        self.write();
                                    }));
        } else {
            connected_ = true;
            write();
        }
    }

    void write() {
        http::async_write(stream_, request_, then([](HttpConnection& self, std::size_t /*size*/) {
                              self.read();
                          }));
    }

    void read() {
        http::async_read_some(
            stream_, buffer_, *parser_, then([](HttpConnection& self, std::size_t /*size*/) {
                self.on_read();
            }));
    }

    void read_when_room() {
        const auto when_room = events_.when_room;
        when_room([weak = this->weak_from_this()] {
            if (const auto self = weak.lock(); self && !self->closed_) {
                self->read();
            }
        });
    }

    void on_read() {
        const bool done = parser_->is_done();
        if (done || (endless_ && parser_->is_header_done())) {
            timer_.cancel();
        } else {
            wait();
        }
        if (events_.data && parser_->get().result() == http::status::ok) {
            const std::string part = std::exchange(parser_->get().body(), {});
            if (!part.empty()) {
                // Taken along, as it may close this connection.
                const auto data = events_.data;
                data(part);
            }
            if (closed_) {
                return;
            }
        }
        if (!done) {
            if (endless_) {
                read_when_room();
            } else {
                read();
            }
            return;
        }
        const unsigned status = parser_->get().result_int();
        closed_ = !parser_->get().keep_alive();
        const auto events = std::exchange(events_, {});
        events.done(status, std::move(parser_->get().body()));
    }

    void fail(error_code error) {
        const bool large = error == http::error::body_limit;
        fail(large ? Trouble::TooLarge : Trouble::Lost, words(error));
    }

    static std::string words(const error_code& error) {
        return error == http::error::end_of_stream || error == asio::error::eof
                   ? "connection closed"
                   : error.message();
    }

    void fail(Trouble trouble, const std::string& why) {
        const auto events = std::exchange(events_, {});
        close();
        if (events.failed) {
            events.failed(trouble, why);
        }
    }

    EtcdEndpoint endpoint_;
    tcp::resolver resolver_;
    std::shared_ptr<asio::ssl::context> context_;
    Stream stream_;
    asio::steady_timer timer_;
    beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    std::optional<http::response_parser<http::string_body>> parser_;
    Events events_;
    std::chrono::milliseconds patience_{0};
    bool endless_ = false;
    bool connected_ = false;
    bool closed_ = false;
};

/// What we trust, and who we are.
Result<std::shared_ptr<asio::ssl::context>> make_context(const EtcdConfig& config) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    error_code error;
    context->set_options(
        asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
            asio::ssl::context::no_tlsv1_1,
        error);
    context->set_verify_mode(asio::ssl::verify_peer, error);
    if (config.ca.empty()) {
        context->set_default_verify_paths(error);
    } else {
        context->load_verify_file(config.ca, error);
    }
    if (error) {
        return vr::fail("ca " + config.ca + ": " + error.message());
    }
    if (!config.certificate.empty()) {
        context->use_certificate_chain_file(config.certificate, error);
        if (error) {
            return vr::fail("certificate " + config.certificate + ": " + error.message());
        }
        context->use_private_key_file(config.key, asio::ssl::context::pem, error);
        if (error) {
            return vr::fail("key " + config.key + ": " + error.message());
        }
    }
    return context;
}

}  // namespace

Result<std::shared_ptr<Connection>> Connection::make(
    const asio::any_io_executor& executor, const EtcdEndpoint& endpoint, const EtcdConfig& config) {
    if (!endpoint.tls) {
        return std::make_shared<HttpConnection<PlainStream>>(executor, endpoint);
    }
    auto context = make_context(config);
    if (!context) {
        return std::unexpected(std::move(context).error());
    }
    auto connection = std::make_shared<HttpConnection<TlsStream>>(executor, endpoint, **context);
    connection->keep(*context);
    TlsStream& stream = connection->stream();
    error_code error;
    stream.set_verify_callback(asio::ssl::host_name_verification(endpoint.host), error);
    // Names only, RFC 6066 section 3.
    asio::ip::make_address(endpoint.host, error);
    if (error) {
        // What the library's macro does, without its cast.
        SSL_ctrl(
            stream.native_handle(),
            SSL_CTRL_SET_TLSEXT_HOSTNAME,
            TLSEXT_NAMETYPE_host_name,
            const_cast<char*>(endpoint.host.c_str()));
    }
    return connection;
}

}  // namespace vr::policy::etcd
