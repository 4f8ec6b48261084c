// SPDX-License-Identifier: Apache-2.0
#include "bgp/speaker.h"

#include <fmt/core.h>

#include <algorithm>
#include <random>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>

#include "bgp/tcp_options.h"
#include "vrouter/net/log.h"

namespace vr::bgp {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr int kBacklog = 4096;
/// A connection that the peer cannot use yet is kept this long.
constexpr std::chrono::seconds kWaitingMost{10};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::size_t kReadSize = 64 * 1024;
/// While messages still wait to be parsed, decisions wait for them, but not longer than this.
constexpr std::chrono::milliseconds kGather{10};

asio::ip::address to_asio(const IpAddr& address) {
    if (const auto* v4 = std::get_if<Ip4>(&address)) {
        return asio::ip::address_v4{v4->value()};
    }
    asio::ip::address_v6::bytes_type bytes;
    std::get<Ip6>(address).store(bytes.data());
    return asio::ip::address_v6{bytes};
}

IpAddr from_asio(const asio::ip::address& address) {
    if (address.is_v4()) {
        return Ip4{address.to_v4().to_uint()};
    }
    return Ip6::load(address.to_v6().to_bytes().data());
}

Random make_random() {
    auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
    return [engine] { return std::uniform_real_distribution<double>{}(*engine); };
}

std::string named(std::string_view what, const error_code& error) {
    return fmt::format("{}: {}", what, error.message());
}

}  // namespace

Speaker::Speaker(
    asio::io_context& io, SpeakerConfig config, RouteSink& sink, const NextHopOracle& oracle)
    : io_(io),
      instance_(std::move(config), sink, oracle, make_random()),
      bfd_(
          io,
          make_random(),
          [this](const IpAddr& peer, const bfd::Change& change) { bfd_changed(peer, change); }),
      scratch_(kReadSize),
      timer_(io) {}

Speaker::~Speaker() {
    *alive_ = false;
    for (auto& [address, neighbour] : neighbours_) {
        for (SessionPtr& session : neighbour.sessions) {
            if (session) {
                error_code ignored;
                session->socket().close(ignored);
                session->close({});
            }
        }
    }
}

Result<void> Speaker::start() {
    instance_.start(Clock::now());
    for (const IpAddr& address : config().listen) {
        if (auto opened = listen(address); !opened) {
            return opened;
        }
    }
    for (Acceptor& acceptor : acceptors_) {
        accept_next(acceptor);
    }
    for (auto& [address, neighbour] : neighbours_) {
        protect_listeners(neighbour.peer.config(), true);
    }
    return {};
}

Result<void> Speaker::listen(const IpAddr& address) {
    const std::string where =
        fmt::format("bgp: listen on {} port {}", to_string(address), config().port.value());
    const tcp::endpoint endpoint{to_asio(address), config().port.value()};
    Acceptor acceptor{io_};
    error_code error;
    error_code ignored;
    acceptor.open(endpoint.protocol(), error);
    acceptor.set_option(tcp::acceptor::reuse_address{true}, ignored);
    if (endpoint.protocol() == tcp::v6()) {
        acceptor.set_option(asio::ip::v6_only{true}, ignored);
    }
    if (!error) {
        acceptor.bind(endpoint, error);
    }
    if (!error) {
        acceptor.listen(kBacklog, error);
    }
    if (error) {
        return fail(named(where, error));
    }
    acceptor.non_blocking(true, ignored);
    acceptors_.push_back(std::move(acceptor));
    return {};
}

void Speaker::stop(std::string_view text) {
    for (Acceptor& acceptor : acceptors_) {
        error_code ignored;
        acceptor.close(ignored);
    }
    const Notification why{
        .code = ErrorCode::Cease,
        .subcode = cease::kShutdown,
        .data = shutdown_communication(text)};
    for (auto& [address, neighbour] : neighbours_) {
        neighbour.peer.stop(why, Clock::now());
        settle(neighbour);
    }
}

L4Port Speaker::port() const {
    error_code ignored;
    return acceptors_.empty() ? config().port
                              : L4Port{acceptors_.front().local_endpoint(ignored).port()};
}

void Speaker::accept_next(Acceptor& acceptor) {
    acceptor.async_accept(
        [this, &acceptor, alive = alive_](const error_code& error, tcp::socket socket) {
            if (!*alive || error == asio::error::operation_aborted || !acceptor.is_open()) {
                return;
            }
            if (!error) {
                accepted(std::move(socket));
                accept_next(acceptor);
                return;
            }
            // Out of descriptors, most likely: not again at once.
            log::warning("bgp: accept: {}", error.message());
            auto pause = std::make_shared<asio::steady_timer>(io_, kAcceptPause);
            pause->async_wait([this, &acceptor, alive, pause](const error_code&) {
                if (*alive && acceptor.is_open()) {
                    accept_next(acceptor);
                }
            });
        });
}

void Speaker::accepted(Session::Socket socket) {
    error_code error;
    const tcp::endpoint remote = socket.remote_endpoint(error);
    if (error) {
        return;
    }
    const auto at = neighbours_.find(from_asio(remote.address()));
    if (at == neighbours_.end()) {
        ++strangers_;
        log::debug(
            "bgp {}: connection refused: no such peer", to_string(from_asio(remote.address())));
        return;
    }
    at->second.waiting = std::move(socket);
    at->second.waiting_since = Clock::now();
    take_up(at->second);
}

/// Makes the waiting connection the peer's incoming one as soon as the peer has room for it.
void Speaker::take_up(Neighbour& neighbour) {
    if (!neighbour.waiting) {
        return;
    }
    const Time now = Clock::now();
    if (!neighbour.peer.accept(now)) {
        if (now - neighbour.waiting_since > kWaitingMost) {
            neighbour.waiting.reset();
        }
        return;
    }
    Session::Socket socket = *std::exchange(neighbour.waiting, std::nullopt);
    settle(neighbour);
    if (prepare(socket, neighbour.peer.config())) {
        adopt(
            neighbour, Direction::Incoming, std::make_shared<Session>(std::move(socket), scratch_));
        connected(neighbour, Direction::Incoming);
    }
}

/// MD5 keys belong to listening sockets before the peer calls.
void Speaker::protect_listeners(const PeerConfig& config, bool wanted) {
    for (Acceptor& acceptor : acceptors_) {
        error_code ignored;
        const bool v6 = acceptor.local_endpoint(ignored).protocol() == tcp::v6();
        if (v6 != std::holds_alternative<Ip6>(config.address)) {
            continue;
        }
        const auto set = set_tcp_md5(
            acceptor.native_handle(), config.address, wanted ? config.password : std::string{});
        if (!set) {
            log::error("bgp {}: {}", to_string(config.address), set.error().text);
        }
    }
}

Result<void> Speaker::add_peer(const PeerConfig& config) {
    const auto added = instance_.add_peer(config, Clock::now());
    if (!added) {
        return fail(added.error().text);
    }
    if (!config.password.empty()) {
        protect_listeners(config, true);
    }
    const auto [at, inserted] = neighbours_.try_emplace(config.address, **added);
    settle(at->second);
    watch(config);
    return {};
}

/// Begins, changes or ends the peer's BFD session as `config` has it.
void Speaker::watch(const PeerConfig& config) {
    if (!config.bfd) {
        bfd_.forget(config.address);
    } else if (auto watched = bfd_.watch(config.address, config.source, *config.bfd); !watched) {
        log::error("bgp {}: {}", to_string(config.address), watched.error().text);
    }
}

void Speaker::bfd_changed(const IpAddr& address, const bfd::Change& change) {
    log::info(
        "bgp {}: BFD {}{}{}",
        to_string(address),
        bfd::to_string(change.to),
        change.to == bfd::State::Up ? "" : ": ",
        change.to == bfd::State::Up ? "" : bfd::to_string(change.why));
    const auto at = neighbours_.find(address);
    // RFC 5882 4.2: a peer whose operator ends BFD is not gone.
    if (at == neighbours_.end() || change.to != bfd::State::Down || change.by_operator) {
        return;
    }
    at->second.peer.bfd_down(change.control_independent, Clock::now());
    settle(at->second);
    want_work();
}

Result<void> Speaker::set_peer(const PeerConfig& config) {
    const auto at = neighbours_.find(config.address);
    if (at == neighbours_.end()) {
        return add_peer(config);
    }
    Peer& peer = at->second.peer;
    if (peer.config() == config) {
        return {};
    }
    if (!peer.needs_restart(config)) {
        peer.reconfigure(config);
        watch(config);
        settle(at->second);
        want_work();
        return {};
    }
    remove_peer(config.address);
    return add_peer(config);
}

bool Speaker::remove_peer(const IpAddr& address) {
    const auto at = neighbours_.find(address);
    if (at == neighbours_.end()) {
        return false;
    }
    Neighbour& neighbour = at->second;
    if (!neighbour.peer.config().password.empty()) {
        protect_listeners(neighbour.peer.config(), false);
    }
    bfd_.forget(address);
    instance_.remove_peer(
        address, notification(ErrorCode::Cease, cease::kDeconfigured), Clock::now());
    settle(neighbour);
    neighbours_.erase(at);
    want_work();
    return true;
}

/// Does `what` to the peer of that address; false when there is none, or when `what` says so.
template <typename Change>
bool Speaker::change(const IpAddr& address, Change what) {
    const auto at = neighbours_.find(address);
    if (at == neighbours_.end()) {
        return false;
    }
    const bool changed = what(at->second.peer);
    settle(at->second);
    want_work();
    return changed;
}

bool Speaker::clear(const IpAddr& address, std::string_view text) {
    return change(address, [&](Peer& peer) {
        const auto words = shutdown_communication(text);
        peer.restart(notification(ErrorCode::Cease, cease::kReset, words), Clock::now());
        return true;
    });
}

bool Speaker::shut_down(const IpAddr& address, std::string_view text) {
    return change(address, [&](Peer& peer) {
        const auto words = shutdown_communication(text);
        peer.stop(notification(ErrorCode::Cease, cease::kShutdown, words), Clock::now());
        return true;
    });
}

bool Speaker::bring_up(const IpAddr& address) {
    return change(address, [](Peer& peer) {
        peer.start(Clock::now());
        return true;
    });
}

bool Speaker::refresh(const IpAddr& address) {
    return change(address, [](Peer& peer) { return peer.ask_refresh(); });
}

void Speaker::originate(const IpPrefix& prefix, const Attributes& attributes) {
    instance_.originate(prefix, attributes);
    want_work();
}

bool Speaker::withdraw(const IpPrefix& prefix) {
    const bool was_ours = instance_.withdraw(prefix);
    want_work();
    return was_ours;
}

void Speaker::next_hops_changed() {
    instance_.next_hops_changed();
    want_work();
}

std::vector<PeerSummary> Speaker::peers() const {
    std::vector<PeerSummary> summaries;
    const Time now = Clock::now();
    for (const auto& [address, neighbour] : neighbours_) {
        summaries.push_back(neighbour.peer.summary(now));
        summaries.back().bfd = bfd_.summary(address);
    }
    return summaries;
}

std::optional<std::vector<PeerRouteSummary>> Speaker::received_routes(const IpAddr& peer) const {
    const auto at = neighbours_.find(peer);
    if (at == neighbours_.end()) {
        return std::nullopt;
    }
    auto routes = at->second.peer.routes<V4>().received_routes();
    std::ranges::move(at->second.peer.routes<V6>().received_routes(), std::back_inserter(routes));
    return routes;
}

std::optional<std::vector<PeerRouteSummary>> Speaker::advertised_routes(const IpAddr& peer) const {
    const auto at = neighbours_.find(peer);
    if (at == neighbours_.end()) {
        return std::nullopt;
    }
    auto routes = at->second.peer.routes<V4>().advertised_routes();
    std::ranges::move(at->second.peer.routes<V6>().advertised_routes(), std::back_inserter(routes));
    return routes;
}

void Speaker::open(Neighbour& neighbour) {
    const PeerConfig& config = neighbour.peer.config();
    const tcp::endpoint to{to_asio(config.address), config.port.value()};
    tcp::socket socket{io_};
    error_code error;
    socket.open(to.protocol(), error);
    if (!error && config.source) {
        socket.bind(tcp::endpoint{to_asio(*config.source), 0}, error);
    }
    std::string trouble;
    if (error) {
        trouble = named("local end of the connection", error);
    } else if (auto md5 =
                   config.password.empty()
                       ? Result<void>{}
                       : set_tcp_md5(socket.native_handle(), config.address, config.password);
               !md5) {
        trouble = md5.error().text;
    } else if (auto ready = prepare(socket, config); !ready) {
        trouble = ready.error().text;
    }
    if (!trouble.empty()) {
        neighbour.peer.disconnected(Direction::Outgoing, trouble, Clock::now());
        return;
    }
    auto session = std::make_shared<Session>(std::move(socket), scratch_);
    adopt(neighbour, Direction::Outgoing, session);
    session->connect(to);
}

Result<void> Speaker::prepare(Session::Socket& socket, const PeerConfig& config) {
    error_code ignored;
    socket.set_option(tcp::no_delay{true}, ignored);
    const bool external = config.local_as.value_or(this->config().asn) != config.asn;
    return set_hop_limits(socket.native_handle(), config, external);
}

void Speaker::adopt(Neighbour& neighbour, Direction direction, SessionPtr session) {
    // A session reports nothing after close(), and every session of a neighbour is closed before the
    // neighbour goes: references are safe.
    session->set_events(Session::Events{
        .connected = [this, &neighbour, direction] { connected(neighbour, direction); },
        .received =
            [this, &neighbour, direction](Bytes bytes) {
                neighbour.peer.receive(direction, bytes);
                const SessionPtr from = neighbour.session(direction);
                process(neighbour, direction, from);
            },
        .written =
            [this, &neighbour, direction] {
                neighbour.peer.sent(direction, Clock::now());
                flush(neighbour, direction);
                want_work();
            },
        .closed =
            [this, &neighbour, direction](const std::string& why) {
                neighbour.session(direction).reset();
                neighbour.peer.disconnected(direction, why, Clock::now());
                settle(neighbour);
            }});
    neighbour.session(direction) = std::move(session);
}

void Speaker::connected(Neighbour& neighbour, Direction direction) {
    const SessionPtr session = neighbour.session(direction);
    error_code error;
    const tcp::endpoint local = session->socket().local_endpoint(error);
    neighbour.peer.connected(direction, from_asio(local.address()), Clock::now());
    settle(neighbour);
    if (neighbour.session(direction) == session) {
        session->read();
    }
}

/// Handles received messages slice by slice; reads on when all are done.
void Speaker::process(Neighbour& neighbour, Direction direction, const SessionPtr& session) {
    const bool more = neighbour.peer.process(direction, Clock::now());
    settle(neighbour);
    want_work();
    // settle() may have closed the session; then there is nothing to go on with.
    if (neighbour.session(direction) != session) {
        return;
    }
    if (!more) {
        session->read();
        return;
    }
    ++parsing_;
    asio::post(
        io_, [this, direction, session, key = neighbour.peer.config().address, alive = alive_] {
            if (!*alive) {
                return;
            }
            --parsing_;
            const auto at = neighbours_.find(key);
            if (at != neighbours_.end() && at->second.session(direction) == session) {
                process(at->second, direction, session);
            }
        });
}

/// Does what the peer wants done, after anything that happened to it.
void Speaker::settle(Neighbour& neighbour) {
    for (auto actions = neighbour.peer.take_actions(); !actions.empty();
         actions = neighbour.peer.take_actions()) {
        for (PeerAction& action : actions) {
            SessionPtr& session = neighbour.session(action.direction);
            if (session) {
                session->close(std::move(action.last_words));
                session.reset();
            }
            if (action.kind == PeerAction::Kind::Connect) {
                open(neighbour);
            }
        }
    }
    log_news(neighbour);
    flush(neighbour, Direction::Outgoing);
    flush(neighbour, Direction::Incoming);
    if (neighbour.peer.next_deadline() < armed_) {
        arm_timer();
    }
    take_up(neighbour);
}

void Speaker::flush(Neighbour& neighbour, Direction direction) {
    const SessionPtr& session = neighbour.session(direction);
    if (!session || session->writing()) {
        return;
    }
    if (auto bytes = neighbour.peer.take_output(direction); !bytes.empty()) {
        session->write(std::move(bytes));
    }
}

void Speaker::log_news(Neighbour& neighbour) {
    const std::string name = to_string(neighbour.peer.config().address);
    for (const action::Changed& changed : neighbour.peer.take_changes()) {
        const bool notable = changed.to == State::Established ||
                             changed.from == State::Established ||
                             (changed.is_error && changed.from >= State::OpenSent);
        const auto line = fmt::format(
            "bgp {}: {} -> {}: {}",
            name,
            to_string(changed.from),
            to_string(changed.to),
            changed.why);
        log::write(notable ? log::Level::Info : log::Level::Debug, line);
    }
    for (const std::string& fault : neighbour.peer.take_faults()) {
        log::warning("bgp {}: malformed UPDATE: {}", name, fault);
    }
}

void Speaker::want_work() {
    if (work_wanted_) {
        return;
    }
    work_wanted_ = true;
    work_wanted_since_ = Clock::now();
    asio::post(io_, [this, alive = alive_] {
        if (*alive) {
            run_work();
        }
    });
}

void Speaker::run_work() {
    const bool more =
        parsing_ > 0 && Clock::now() - work_wanted_since_ < kGather ? true : instance_.work();
    for (auto& [address, neighbour] : neighbours_) {
        flush(neighbour, Direction::Outgoing);
        flush(neighbour, Direction::Incoming);
    }
    work_wanted_ = more;
    if (more) {
        asio::post(io_, [this, alive = alive_] {
            if (*alive) {
                run_work();
            }
        });
    }
}

void Speaker::arm_timer() {
    armed_ = instance_.next_deadline();
    if (armed_ == Time::max()) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(armed_);
    timer_.async_wait([this, alive = alive_](const error_code& error) {
        if (!error && *alive) {
            tick();
        }
    });
}

void Speaker::tick() {
    armed_ = Time::max();
    const Time now = Clock::now();
    instance_.tick(now);
    for (auto& [address, neighbour] : neighbours_) {
        if (neighbour.peer.next_deadline() <= now) {
            neighbour.peer.tick(now);
            settle(neighbour);
        }
    }
    want_work();
    arm_timer();
}

}  // namespace vr::bgp
