// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/server.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <policyd.pb.h>

#include "policy/policyd/cluster.h"
#include "policy/policyd/feed.h"
#include "policy/policyd/link.h"
#include "policy/policyd/lobby.h"
#include "policy/policyd/recording.h"
#include "policy/policyd/report.h"
#include "policy/policyd/reporters.h"
#include "vrouter/net/host_port.h"
#include "vrouter/net/log.h"

namespace vr::policyd {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kWindow = 2;           ///< parcels that a host may have yet to apply
constexpr int kGreetingTicks = 34;           ///< 10 s for handshake and Hello
constexpr int kRememberTicks = 200;          ///< 60 s
constexpr std::size_t kMostComplaints = 20;  ///< in ...
constexpr int kComplaintTicks = 34;          ///< ... 10 s
constexpr int kSitePrefixBytes = 8;          ///< a /64

/// How long one host may hold up the others.
constexpr std::chrono::milliseconds kSlice{2};

/// What one caller may have all addresses of.
std::string network_of(const asio::ip::address& address) {
    if (!address.is_v6() || address.to_v6().is_v4_mapped()) {
        return address.to_string();
    }
    auto bytes = address.to_v6().to_bytes();
    std::ranges::fill(bytes.begin() + kSitePrefixBytes, bytes.end(), std::uint8_t{0});
    return asio::ip::address_v6(bytes).to_string();
}

/// Tells this life of the server from others, also on other machines.
std::string new_life() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

struct Server::State : std::enable_shared_from_this<Server::State> {
    /// One connection.
    struct Session {
        explicit Session(std::uint64_t number) : id(number) {}

        std::uint64_t id;
        std::shared_ptr<Link> link;
        std::string address;
        std::string network;             ///< by which callers are counted
        std::vector<std::string> names;  ///< of the certificate
        std::string host;                ///< once it is let in
        bool let_in = false;             ///< has said Hello and may read the stream of `host`
        bool more = false;               ///< the last parcel is not the end of its batch
        bool refused = false;
        int ticks = 0;
        ReportReader told;  ///< by the host of itself
    };

    struct Slot {
        std::unique_ptr<Feed> feed;
        std::uint64_t session = 0;  ///< 0: not connected
        int ticks_alone = 0;
    };

    State(asio::io_context& io, const ServerSettings& settings, Cluster& all, Reporters* write_back)
        : cluster(all),
          reporters(write_back),
          timer(io),
          tls(settings.credentials, Side::Server),
          lobby(settings.most_callers_from_one, settings.most_callers),
          most_hosts(settings.most_connections) {}

    Result<void> listen(asio::io_context& io, const ServerSettings& settings) {
        if (auto read = tls.read(); !read) {
            return read;
        }
        if (!settings.recording.empty()) {
            auto created = Recording::create(settings.recording);
            if (!created) {
                return std::unexpected(std::move(created).error());
            }
            recording.emplace(std::move(*created));
        }
        for (const auto& text : settings.listen) {
            if (auto opened = open(io, text); !opened) {
                return fail(std::move(opened).error(), "cannot listen on " + text);
            }
        }
        return {};
    }

    Result<void> open(asio::io_context& io, const std::string& text) {
        const auto address = HostPort::parse(text, kPolicydPort);
        error_code error;
        const auto ip = asio::ip::make_address(address ? address->host : std::string(), error);
        if (!address || error) {
            return fail("it is no address:port");
        }
        tcp::acceptor acceptor(io);
        const tcp::endpoint endpoint(ip, address->port);
        acceptor.open(endpoint.protocol(), error);
        if (!error) {
            acceptor.set_option(tcp::acceptor::reuse_address(true), error);
        }
        if (!error) {
            acceptor.bind(endpoint, error);
        }
        if (!error) {
            acceptor.listen(asio::socket_base::max_listen_connections, error);
        }
        if (error) {
            return fail(error.message());
        }
        acceptors.push_back(std::move(acceptor));
        return {};
    }

    void start() {
        for (std::size_t i = 0; i < acceptors.size(); ++i) {
            accept(i);
        }
        tick_later();
    }

    void stop() {
        error_code ignored;
        for (auto& acceptor : acceptors) {
            acceptor.close(ignored);
        }
        timer.cancel();
        for (auto& [id, session] : sessions) {
            session.link->close();
        }
        for (auto& [host, slot] : slots) {
            forget(host);
        }
        sessions.clear();
        slots.clear();
    }

    // --- connections ------------------------------------------------------------------------

    void accept(std::size_t which) {
        acceptors[which].async_accept(
            [weak = weak_from_this(), which](error_code error, tcp::socket socket) {
                const auto self = weak.lock();
                if (!self || !self->acceptors[which].is_open()) {
                    return;
                }
                if (error) {
                    // Out of descriptors, most likely: taken up again by the next tick.
                    log::warning("policyd: cannot accept a connection: {}", error.message());
                    self->paused.insert(which);
                    return;
                }
                self->admit(std::move(socket));
                self->accept(which);
            });
    }

    void admit(tcp::socket socket) {
        error_code error;
        const auto remote = socket.remote_endpoint(error);
        if (error) {
            return;
        }
        const auto from = fmt::format("{}:{}", remote.address().to_string(), remote.port());
        const std::string network = network_of(remote.address());
        if (const auto oldest = lobby.in_the_way(network)) {
            ++counters.refused;
            leave(sessions.at(*oldest), "others wait");
        }
        const std::uint64_t id = ++last_session;
        lobby.enter(network, id);
        Session& session = sessions.try_emplace(id, id).first->second;
        session.address = from;
        session.network = network;
        session.link = std::make_shared<Link>(std::move(socket), tls.current(), kMostFromHost);
        const auto with = [weak = weak_from_this(), id](auto act) {
            return [weak, id, act](auto&&... arguments) {
                const auto self = weak.lock();
                if (!self) {
                    return;
                }
                if (const auto found = self->sessions.find(id); found != self->sessions.end()) {
                    act(*self, found->second, std::forward<decltype(arguments)>(arguments)...);
                }
            };
        };
        session.link->start(
            asio::ssl::stream_base::server,
            {.on_secured = with([](State&, Session& s) {
                 s.names = peer_names(s.link->stream().native_handle());
             }),
             .on_frame =
                 with([](State& self, Session& s, Bytes content) { self.on_frame(s, content); }),
             .on_sent = with([](State& self, Session& s) { self.on_sent(s); }),
             .on_end = with([](State& self, Session& s, const std::string& why) {
                 ++self.counters.lost;
                 self.leave(s, why);
             })});
        ++counters.connections;
    }

    void on_sent(Session& session) {
        if (session.refused) {
            leave(session, {});
        } else {
            pump(session, policy::Slice(kSlice));
        }
    }

    void on_frame(Session& session, Bytes content) {
        if (session.refused) {
            return;  // only waits for its reason to be sent
        }
        const auto message = parse_from_host(content);
        if (!message) {
            refuse(session, message.error().text);
        } else if (message->has_hello()) {
            on_hello(session, message->hello());
        } else if (message->has_acknowledge() && session.let_in) {
            slots.at(session.host).feed->acknowledge(message->acknowledge().sequence());
            pump(session, policy::Slice(kSlice));
        } else if (message->has_report() && session.let_in) {
            session.told.take(message->report());
            if (reporters != nullptr && session.told.is_whole()) {
                reporters->tell(session.host, session.told);
            }
        }
    }

    void on_hello(Session& session, const pb::Hello& hello) {
        if (session.let_in) {
            refuse(session, "a second Hello");
            return;
        }
        if (hello.host().empty() || std::ranges::count(session.names, hello.host()) == 0) {
            refuse(
                session,
                fmt::format(
                    "the certificate is for '{}' and may not read the stream of '{}'",
                    fmt::join(session.names, "', '"),
                    hello.host()));
            return;
        }
        if (hello.protocol() != kProtocol) {
            refuse(
                session,
                fmt::format("protocol {} is spoken here, not {}", kProtocol, hello.protocol()));
            return;
        }
        session.host = hello.host();
        const auto known = slots.find(session.host);
        const auto old =
            known == slots.end() ? sessions.end() : sessions.find(known->second.session);
        if (old != sessions.end()) {
            leave(old->second, "the host has connected again");
        } else if (sessions.size() - lobby.size() >= most_hosts) {
            refuse(session, fmt::format("{} hosts are connected, the most", most_hosts));
            return;
        }
        session.let_in = true;
        lobby.leave(session.network, session.id);
        Slot& slot = slots[session.host];
        if (!slot.feed) {
            slot.feed = std::make_unique<Feed>(cluster, session.host);
        }
        slot.session = session.id;
        slot.ticks_alone = 0;
        pb::FromServer answer;
        *answer.mutable_welcome() = greet(*slot.feed, hello, life);
        answer.mutable_welcome()->set_takes_reports(true);
        const bool resumed = answer.welcome().resumed();
        ++(resumed ? counters.resumed : counters.snapshots);
        log::info(
            "host {}: connected from {}, {}",
            session.host,
            session.address,
            resumed ? "goes on where it was" : "gets a snapshot");
        send(session, frame(answer));
        pump(session, policy::Slice(kSlice));
    }

    void refuse(Session& session, const std::string& why) {
        ++counters.refused;
        complain(fmt::format("{} refused: {}", session.address, why));
        pb::FromServer message;
        message.mutable_refused()->set_reason(why);
        session.refused = true;
        session.link->send(frame(message));
    }

    /// Ends a session, whose host's feed is kept for a while.
    void leave(Session& session, const std::string& why) {
        if (session.let_in) {
            log::info("host {}: gone: {}", session.host, why);
            if (reporters != nullptr) {
                reporters->gone(session.host);
            }
            if (Slot& slot = slots.at(session.host); slot.session == session.id) {
                slot.session = 0;
            }
        } else {
            lobby.leave(session.network, session.id);
            if (!why.empty()) {
                complain(fmt::format("{}: {}", session.address, why));
            }
        }
        counters.bytes += session.link->bytes_sent();
        session.link->close();
        const std::uint64_t id = session.id;
        sessions.erase(id);
    }

    /// Callers cannot fill the log.
    void complain(const std::string& what) {
        if (++complaints <= kMostComplaints) {
            log::warning("policyd: {}", what);
        }
    }

    void sum_complaints_up() {
        if (++complaint_ticks < kComplaintTicks) {
            return;
        }
        if (complaints > kMostComplaints) {
            log::warning("policyd: {} callers more were refused", complaints - kMostComplaints);
        }
        complaints = 0;
        complaint_ticks = 0;
    }

    // --- telling ----------------------------------------------------------------------------

    void pump(Session& session, const policy::Slice& slice) {
        if (!session.let_in || session.refused) {
            return;
        }
        Feed& feed = *slots.at(session.host).feed;
        if (session.link->is_sending() || !feed.has_news() ||
            (feed.unacknowledged() >= kWindow && !session.more)) {
            return;
        }
        Parcel parcel = feed.take(Feed::kParcelBytes, slice);
        session.more = parcel.more;
        Envelope envelope = batch_frame(parcel.chunks, parcel.sequence, parcel.more);
        std::vector<Chunk> pieces{std::make_shared<const std::string>(std::move(envelope.head))};
        std::ranges::move(parcel.chunks, std::back_inserter(pieces));
        pieces.push_back(std::make_shared<const std::string>(std::move(envelope.tail)));
        ++counters.parcels;
        if (recording) {
            std::string whole;
            for (const auto& piece : pieces) {
                whole += *piece;
            }
            record(session.host, whole);
        }
        session.link->send(std::move(pieces));
    }

    void send(Session& session, const std::string& bytes) {
        record(session.host, bytes);
        session.link->send(bytes);
    }

    void record(const std::string& host, const std::string& bytes) {
        if (!recording) {
            return;
        }
        recording->add(host, bytes);
        if (!recording->ok()) {
            log::error("policyd: the recording cannot be written, it ends here");
            recording.reset();
        }
    }

    bool tell(const policy::Slice& slice) {
        // By number: a session may end meanwhile, also while another is served.
        for (auto next = sessions.upper_bound(told_last); next != sessions.end();
             next = sessions.upper_bound(told_last)) {
            told_last = next->first;
            pump(next->second, slice);
            if (slice.is_over()) {
                return false;
            }
        }
        told_last = 0;
        return true;
    }

    // --- time -------------------------------------------------------------------------------

    void tick_later() {
        timer.expires_after(Keepalive::kTick);
        timer.async_wait([weak = weak_from_this()](error_code error) {
            if (const auto self = weak.lock(); self && !error) {
                self->tick();
                self->tick_later();
            }
        });
    }

    void tick() {
        static const std::string kPing = ping_frame<pb::FromServer>();
        sum_complaints_up();
        for (const auto which : std::exchange(paused, {})) {
            accept(which);
        }
        std::vector<std::uint64_t> all;
        for (const auto& [id, session] : sessions) {
            all.push_back(id);
        }
        for (const auto id : all) {
            Session& session = sessions.at(id);
            if (session.let_in && !session.refused) {
                session.link->tick(kPing);
            } else if (++session.ticks > kGreetingTicks) {
                counters.refused += session.refused ? 0 : 1;
                leave(session, session.refused ? "refused" : "it did not say who it is");
            }
        }
        for (auto& [host, slot] : slots) {
            slot.ticks_alone += slot.session == 0 ? 1 : 0;
        }
        std::erase_if(slots, [this](const auto& entry) {
            const bool over = entry.second.ticks_alone > kRememberTicks;
            if (over) {
                forget(entry.first);
            }
            return over;
        });
    }

    void forget(const std::string& host) {
        if (reporters != nullptr) {
            reporters->forget(host);
        }
    }

    Cluster& cluster;
    Reporters* reporters;
    asio::steady_timer timer;
    RenewedContext tls;
    Lobby lobby;  ///< sessions that are not let in
    std::size_t most_hosts;
    std::vector<tcp::acceptor> acceptors;
    std::set<std::size_t> paused;
    const std::string life = new_life();
    std::map<std::uint64_t, Session> sessions;
    std::size_t complaints = 0;  ///< within the last while
    int complaint_ticks = 0;
    std::map<std::string, Slot> slots;
    std::uint64_t last_session = 0;
    std::uint64_t told_last = 0;  ///< of the sessions that are being told; 0: the first is the next
    std::optional<Recording> recording;
    ServerCounters counters;
};

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
    state_->stop();
}

Result<std::unique_ptr<Server>> Server::listen(
    asio::io_context& io, const ServerSettings& settings, Cluster& cluster, Reporters* reporters) {
    const auto state = std::make_shared<State>(io, settings, cluster, reporters);
    if (auto listening = state->listen(io, settings); !listening) {
        return std::unexpected(std::move(listening).error());
    }
    state->start();
    return std::unique_ptr<Server>(new Server(state));
}

bool Server::tell(const policy::Slice& slice) {
    return state_->tell(slice);
}

L4Port Server::port() const {
    error_code ignored;
    return L4Port{state_->acceptors.front().local_endpoint(ignored).port()};
}

std::vector<HostStatus> Server::hosts() const {
    std::vector<HostStatus> all;
    for (const auto& [name, slot] : state_->slots) {
        HostStatus& status = all.emplace_back();
        status.host = name;
        if (const auto session = state_->sessions.find(slot.session);
            session != state_->sessions.end()) {
            status.address = session->second.address;
            for (const auto& [endpoint, is] : session->second.told.report().endpoints) {
                status.up += is == "up" ? 1 : 0;
                status.down += is == "down" ? 1 : 0;
                status.error += is == "error" ? 1 : 0;
            }
        }
        status.sequence = slot.feed->sequence();
        status.unacknowledged = slot.feed->unacknowledged();
        status.pending = slot.feed->pending();
        status.needs = slot.feed->host().items.size();
    }
    return all;
}

ServerCounters Server::counters() const {
    ServerCounters counters = state_->counters;
    for (const auto& [id, session] : state_->sessions) {
        counters.bytes += session.link->bytes_sent();
    }
    return counters;
}

std::string Server::tls_error() const {
    return state_->tls.error();
}

}  // namespace vr::policyd
