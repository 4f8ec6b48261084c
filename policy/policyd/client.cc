// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <policyd.pb.h>

#include "policy/policyd/link.h"
#include "policy/policyd/receiver.h"
#include "policy/saver.h"
#include "policy/sealed_file.h"
#include "vrouter/net/log.h"

namespace vr::policyd {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

/// Until a server says Welcome; doubled with each round of failures, because a server that hundreds of
/// hosts call at once takes its time.
constexpr milliseconds kPatience{1000};
constexpr milliseconds kMostPatience{16000};
/// Between two rounds over all servers.
constexpr milliseconds kPause{100};
constexpr milliseconds kMostPause{5000};
constexpr unsigned kMostDoublings = 6;

std::string text(const HostPort& server) {
    return fmt::format("{}:{}", server.host, server.port);
}

}  // namespace

struct Client::State : std::enable_shared_from_this<Client::State> {
    State(asio::io_context& loop, ClientSettings given, policy::Listener to)
        : io(loop),
          settings(std::move(given)),
          listener(std::move(to)),
          receiver(settings.host),
          tls(settings.credentials, Side::Host),
          resolver(loop),
          deadline(loop),
          ticker(loop) {
        health.source = "policyd";
        health.state_file = settings.state_file;
        for (const HostPort& server : settings.servers) {
            health.places.push_back(text(server));
        }
        if (!settings.state_file.empty()) {
            saver.emplace(loop.get_executor(), settings.state_file, "policyd", [this] {
                return receiver.last_good();
            });
        }
    }

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

    /// Behind what an earlier one brought.
    void attempt() {
        when_ready(guarded(++attempts, [](State& self) { self.call(); }));
    }

    void call() {
        const std::uint64_t number = attempts;
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
        link = std::make_shared<Link>(std::move(*socket), tls.current(), kMaxFrame);
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
        if (const auto taken = receiver.on(*message); !taken) {
            give_up(taken.error().text);
            return;
        }
        if (!was_welcome && receiver.is_welcome()) {
            following = name();
            takes_reports = message->welcome().takes_reports();
            told_all = message->welcome().resumed() && receiver.is_in_sync();
            reports.restart();
            health.place = following;
            using Health = policy::SourceStatus::State;
            health.is(
                message->welcome().resumed() ? Health::InSync : Health::Waiting,
                steady_clock::now());
            deadline.cancel();
            tick_later();
            log::info(
                "policyd {}: followed, {}",
                following,
                message->welcome().resumed() ? "from where it was left"
                                             : "waiting for its snapshot");
            rounds = message->welcome().resumed() ? 0 : rounds;
        }
        if (receiver.is_applying()) {
            rounds = 0;
            failed_in_a_row = 0;
            last_failure.clear();
            link->hold();
            begin(attempts);
            when_ready(guarded(attempts, [](State& self) { self.link->release(); }));
        }
    }

    // --- a batch, turn by turn, though the connection ends -----------------------------------

    /// Calls `then` when a batch is applied, if one is, and there is room for the next.
    void when_ready(std::function<void()> then) {
        if (receiver.is_applying()) {
            ready.push_back(std::move(then));
        } else {
            settings.when_room(std::move(then));
        }
    }

    /// `attempt`: that brought the batch; 0: the state file.
    void begin(std::uint64_t attempt) {
        brought_by = attempt;
        go_on_later();
    }

    void go_on_later() {
        asio::post(io, [weak = weak_from_this()] {
            // Not after stop(), which has finished it.
            if (const auto self = weak.lock(); self && self->receiver.is_applying()) {
                self->go_on();
            }
        });
    }

    void go_on() {
        auto batch = receiver.go_on(policy::Slice(settings.slice));
        if (!batch) {
            go_on_later();
            return;
        }
        apply(*std::move(batch));
        for (auto& then : std::exchange(ready, {})) {
            when_ready(std::move(then));
        }
    }

    void apply(policy::Batch batch) {
        const bool from_server = brought_by != 0;
        if (from_server && !std::exchange(told_all, true)) {
            in_force = false;
            whole = takes + 1;  // what was before is not all
        }
        if (brought_by == attempts) {
            health.is(policy::SourceStatus::State::InSync, steady_clock::now());
        }
        take(std::move(batch), guarded(brought_by, [sequence = receiver.applied()](State& self) {
                 pb::FromHost message;
                 message.mutable_acknowledge()->set_sequence(sequence);
                 self.link->send(frame(message));
             }));
        if (from_server && saver) {
            saver->changed();
        }
    }

    /// At once, at the end: a batch that is begun is told and saved.
    void finish() {
        if (receiver.is_applying()) {
            apply(*receiver.go_on(policy::Slice()));
            ready.clear();
        }
    }

    /// `then`: when it is in force.
    void take(policy::Batch batch, const std::function<void()>& then) {
        for (const auto& complaint : receiver.complaints()) {
            log::error("policy: {}", complaint);
        }
        ++takes;
        listener(std::move(batch));
        const auto done = [weak = weak_from_this(), then, number = takes] {
            if (const auto self = weak.lock()) {
                self->in_force |= number >= self->whole;
                then();
            }
        };
        settings.when_in_force ? settings.when_in_force(done) : done();
    }

    /// No server answers: what an earlier life was told counts, if this one was not told anything.
    void take_last_good() {
        if (receiver.is_in_sync() || receiver.is_applying() || settings.state_file.empty() ||
            std::exchange(asked_state_file, true)) {
            return;
        }
        const auto file = policy::read_whole(settings.state_file);
        if (!file || !*file) {
            if (!file) {
                log::error("policyd: last good state: {}", file.error().text);
            }
            return;
        }
        if (const auto restored = receiver.restore(**file); !restored) {
            log::error(
                "policyd: last good state: {} {}", settings.state_file, restored.error().text);
            return;
        }
        log::warning("policyd: no server answers; the last good state is in force");
        begin(0);
    }

    void give_up(const std::string& why) {
        disconnect();
        health.fails(
            policy::SourceStatus::State::Unreachable,
            fmt::format("{}: {}", name(), why),
            steady_clock::now());
        health.place.clear();
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
        take_last_good();
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
            static const std::string kPing = ping_frame<pb::FromHost>();
            if (error) {
                return;
            }
            const auto held = self.link;
            held->tick(kPing);
            if (self.link == held) {
                self.report();
                self.tick_later();
            }
        }));
    }

    void report() {
        if (!settings.report || !takes_reports || !told_all || !in_force || link->is_sending()) {
            return;
        }
        for (auto& bytes : reports.tell(settings.report())) {
            link->send(std::move(bytes));
        }
    }

    [[nodiscard]] std::string name() const { return text(settings.servers[at]); }

    asio::io_context& io;
    ClientSettings settings;
    policy::Listener listener;
    Receiver receiver;
    ReportWriter reports;
    bool takes_reports = false;  ///< the server that is followed does
    bool told_all = false;       ///< by that server
    bool in_force = false;       ///< all that some server once told
    std::uint64_t takes = 0;     ///< batches that the listener was told
    std::uint64_t whole = 0;     ///< the first of them with which all is in force
    RenewedContext tls;
    tcp::resolver resolver;
    asio::steady_timer deadline;  ///< of an attempt, or until the next
    asio::steady_timer ticker;
    std::shared_ptr<tcp::socket> socket;  ///< being connected
    std::shared_ptr<Link> link;
    std::size_t at = 0;  ///< the server that is followed or tried
    std::string following;
    std::string last_failure;
    policy::SourceStatus health;
    std::uint64_t brought_by = 0;              ///< which attempt, the batch that is applied
    std::vector<std::function<void()>> ready;  ///< when it is
    std::optional<policy::Saver> saver;
    bool asked_state_file = false;
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
    if (auto read = state_->tls.read(); !read) {
        return fail(std::move(read).error(), "datastore.policyd");
    }
    state_->attempt();
    return {};
}

void Client::stop() {
    state_->disconnect();
    state_->following.clear();
    state_->finish();
    if (state_->saver) {
        state_->saver->stop();
    }
}

std::string Client::server() const {
    return state_->following;
}

std::vector<policy::ObjectStatus> Client::list(const policy::Key& from, std::size_t count) const {
    return state_->receiver.list(from, count);
}

std::vector<std::string> Client::problems() const {
    auto all = state_->receiver.catalog().problems();
    if (state_->saver && !state_->saver->error().empty()) {
        all.push_back("policyd: last good state: " + state_->saver->error());
    }
    return all;
}

policy::SourceStatus Client::status() const {
    policy::SourceStatus status = state_->health;
    status.in_force = state_->receiver.is_in_sync();
    status.revision = state_->receiver.applied();
    return status;
}

std::map<policy::Kind, policy::KindCount> Client::counts() const {
    return state_->receiver.counts();
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
