// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <policyd.pb.h>

#include "policy/policyd/link.h"
#include "policy/policyd/receiver.h"
#include "vrouter/net/log.h"

namespace vr::policyd {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

/// Until a server says Welcome; doubled with each round of failures, because a server that hundreds of
/// hosts call at once takes its time.
constexpr milliseconds kPatience{1000};
constexpr milliseconds kMostPatience{16000};
/// Between two rounds over all servers.
constexpr milliseconds kPause{100};
constexpr milliseconds kMostPause{5000};
constexpr unsigned kMostDoublings = 6;

std::string ping_frame() {
    pb::FromHost message;
    (void)message.mutable_ping();
    return frame(message);
}

}  // namespace

struct Client::State : std::enable_shared_from_this<Client::State> {
    State(asio::io_context& loop, ClientSettings given, policy::Listener to)
        : io(loop),
          settings(std::move(given)),
          listener(std::move(to)),
          receiver(settings.host),
          resolver(loop),
          deadline(loop),
          ticker(loop) {}

    /// `act`, unless the client or the attempt that it belongs to is over.
    template <typename Act>
    auto guarded(std::uint64_t number, Act act) {
        return [weak = weak_from_this(), number, act](auto&&... arguments) {
            if (const auto self = weak.lock(); self && self->attempts == number) {
                act(*self, std::forward<decltype(arguments)>(arguments)...);
            }
        };
    }

    // --- one attempt after the other ---------------------------------------------------------

    void attempt() {
        const std::uint64_t number = ++attempts;
        deadline.expires_after(
            std::min(kMostPatience, kPatience * (1U << std::min(rounds, kMostDoublings))));
        deadline.async_wait(guarded(number, [](State& self, error_code error) {
            if (!error) {
                self.give_up("no answer");
            }
        }));
        const HostPort& server = settings.servers[at];
        resolver.async_resolve(
            server.host,
            std::to_string(server.port),
            guarded(
                number, [](State& self, error_code error, const tcp::resolver::results_type& all) {
                    if (error) {
                        self.give_up(error.message());
                    } else {
                        self.connect(all);
                    }
                }));
    }

    void connect(const tcp::resolver::results_type& all) {
        socket = std::make_shared<tcp::socket>(io);
        asio::async_connect(
            *socket,
            all,
            // Holds the socket, which the operation looks at to its end.
            [held = socket, then = guarded(attempts, [](State& self, error_code error) {
                                if (error) {
                                    self.give_up(error.message());
                                } else {
                                    self.secure();
                                }
                            })](error_code error, const tcp::endpoint&) { then(error); });
    }

    void secure() {
        link = std::make_shared<Link>(std::move(*socket), context, kMaxFrame);
        socket.reset();
        if (!expect_peer(link->stream().native_handle(), settings.servers[at].host)) {
            give_up("its name cannot be looked for in a certificate");
            return;
        }
        link->start(
            asio::ssl::stream_base::client,
            {.on_secured = guarded(
                 attempts,
                 [](State& self) {
                     pb::FromHost message;
                     *message.mutable_hello() = self.receiver.hello();
                     self.link->send(frame(message));
                 }),
             .on_frame =
                 guarded(attempts, [](State& self, Bytes content) { self.on_frame(content); }),
             .on_sent = [] {},
             .on_end = guarded(
                 attempts, [](State& self, const std::string& why) { self.give_up(why); })});
    }

    void on_frame(Bytes content) {
        const auto message = parse_from_server(content);
        if (!message) {
            give_up(message.error().text);
            return;
        }
        const bool was_welcome = receiver.is_welcome();
        const auto batch = receiver.on(*message);
        if (!batch) {
            give_up(batch.error().text);
            return;
        }
        if (!was_welcome && receiver.is_welcome()) {
            following = name();
            deadline.cancel();
            tick_later();
            log::info(
                "policyd {}: followed, {}",
                following,
                message->welcome().resumed() ? "from where it was left"
                                             : "waiting for its snapshot");
            rounds = message->welcome().resumed() ? 0 : rounds;
        }
        if (*batch) {
            apply(**batch);
        }
    }

    void apply(const policy::Batch& batch) {
        rounds = 0;
        failed_in_a_row = 0;
        last_failure.clear();
        for (const auto& complaint : receiver.complaints()) {
            log::error("policy: {}", complaint);
        }
        listener(batch);
        if (!link) {
            return;  // stopped by the listener
        }
        pb::FromHost message;
        message.mutable_acknowledge()->set_sequence(receiver.applied());
        link->send(frame(message));
    }

    void give_up(const std::string& why) {
        disconnect();
        if (why != last_failure || !following.empty()) {
            log::warning("policyd {}: {}; what is in force stays", name(), why);
            last_failure = why;
        }
        following.clear();
        at = (at + 1) % settings.servers.size();
        if (++failed_in_a_row < settings.servers.size()) {
            attempt();
            return;
        }
        failed_in_a_row = 0;
        const auto pause = std::min(kMostPause, kPause * (1U << std::min(rounds, kMostDoublings)));
        ++rounds;
        deadline.expires_after(
            pause + milliseconds(random() % static_cast<unsigned>(pause.count())));
        deadline.async_wait(guarded(attempts, [](State& self, error_code error) {
            if (!error) {
                self.attempt();
            }
        }));
    }

    void disconnect() {
        ++attempts;  // no completion of this attempt counts any more
        resolver.cancel();
        deadline.cancel();
        ticker.cancel();
        if (socket) {
            error_code ignored;
            socket->close(ignored);
            socket.reset();
        }
        if (link) {
            link->close();
            link.reset();
        }
    }

    void tick_later() {
        ticker.expires_after(Keepalive::kTick);
        ticker.async_wait(guarded(attempts, [](State& self, error_code error) {
            static const std::string kPing = ping_frame();
            if (error) {
                return;
            }
            const auto held = self.link;
            held->tick(kPing);
            if (self.link == held) {
                self.tick_later();
            }
        }));
    }

    [[nodiscard]] std::string name() const {
        const HostPort& server = settings.servers[at];
        return fmt::format("{}:{}", server.host, server.port);
    }

    asio::io_context& io;
    ClientSettings settings;
    policy::Listener listener;
    Receiver receiver;
    std::shared_ptr<asio::ssl::context> context;
    tcp::resolver resolver;
    asio::steady_timer deadline;  ///< of an attempt, or until the next
    asio::steady_timer ticker;
    std::shared_ptr<tcp::socket> socket;  ///< being connected
    std::shared_ptr<Link> link;
    std::size_t at = 0;  ///< the server that is followed or tried
    std::string following;
    std::string last_failure;
    std::uint64_t attempts = 0;
    std::size_t failed_in_a_row = 0;
    unsigned rounds = 0;  ///< in which every server failed
    std::minstd_rand random{std::random_device{}()};
};

Client::Client(asio::io_context& io, ClientSettings settings, policy::Listener listener)
    : state_(std::make_shared<State>(io, std::move(settings), std::move(listener))) {}

Client::~Client() {
    stop();
}

Result<void> Client::start() {
    auto context = tls_context(state_->settings.credentials, Side::Host);
    if (!context) {
        return fail(std::move(context).error(), "datastore.policyd");
    }
    state_->context = std::move(*context);
    state_->attempt();
    return {};
}

void Client::stop() {
    state_->disconnect();
    state_->following.clear();
}

std::string Client::server() const {
    return state_->following;
}

std::vector<policy::ObjectStatus> Client::list(std::optional<policy::Kind> kind) const {
    return state_->receiver.catalog().list(kind);
}

std::vector<std::string> Client::problems() const {
    return state_->receiver.catalog().problems();
}

void Client::put(std::string_view /*file*/, std::string_view /*yaml*/, PutDone done) {
    done(
        fail("this host is told its objects by vrouter-policyd: write them where that reads them"));
}

void Client::remove(const policy::Key& /*key*/, RemoveDone done) {
    done(fail(
        "this host is told its objects by vrouter-policyd: remove them where that reads them"));
}

}  // namespace vr::policyd
