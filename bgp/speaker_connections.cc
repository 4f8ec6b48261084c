// The connections of a Speaker: who calls and may, whom it calls, and what passes between sessions and
// peers.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>

#include <boost/asio/post.hpp>

#include "bgp/asio_address.h"
#include "bgp/link_ends.h"
#include "bgp/speaker.h"
#include "bgp/tcp_options.h"
#include "vrouter/net/log.h"

namespace vr::bgp {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::string named(std::string_view what, const error_code& error) {
    return fmt::format("{}: {}", what, error.message());
}

}  // namespace

void Speaker::accepted(Session::Socket socket) {
    error_code error;
    const tcp::endpoint remote = socket.remote_endpoint(error);
    if (error) {
        return;
    }
    IpAddr caller = from_asio(remote.address());
    if (const Zone zone = zone_of_caller(socket); zone != 0) {
        caller = with_zone(std::get<Ip6>(caller), zone);
    }
    const auto at = neighbours_.find(caller);
    std::uint8_t why = cease::kRejected;
    Neighbour* neighbour = at == neighbours_.end() ? welcome(caller, why) : &at->second;
    if (neighbour == nullptr) {
        ++strangers_;
        log::debug("bgp {}: connection refused: no such peer", name_of(caller));
        if (!source_unread_) {  // it may be one yet, and must not wait because of us
            reject(socket, why);
        }
        return;
    }
    // That the listening sockets have the peer's key is not enough: setting it may have failed, and the
    // connection may be older than the key.
    if (const auto& password = neighbour->peer.config().password; !password.empty()) {
        if (auto good = check_tcp_md5(socket.native_handle(), caller, password); !good) {
            ++strangers_;
            log::warning("bgp {}: connection refused: {}", name_of(caller), good.error().text);
            want_work();  // a peer of a range may have come for nothing
            return;
        }
    }
    if (neighbour->peer.is_shut_down()) {
        return reject(socket);
    }
    neighbour->waiting = std::move(socket);
    neighbour->waits_until = Clock::now() + config().second_call_wait;
    take_up(*neighbour);
    arm_timer(neighbour->waits_until);
}

/// RFC 4486 3: whoever calls and may not is told so, as far as that needs no waiting.
void Speaker::reject(Session::Socket& socket, std::uint8_t why) {
    std::vector<std::uint8_t> words;
    encode_notification(notification(ErrorCode::Cease, why), words);
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.send(asio::buffer(words), 0, ignored);
    // What it said is read, or closing would be a reset, which may overtake these words.
    std::array<std::uint8_t, kMaxMessage> unread{};
    socket.receive(asio::buffer(unread), 0, ignored);
}

/// The link that a connection with a link-local address came over; 0: none that peers are on.
Zone Speaker::zone_of_caller(const Session::Socket& socket) {
    error_code error;
    const asio::ip::address remote = socket.remote_endpoint(error).address();
    const IpAddr local = from_asio(socket.local_endpoint(error).address());
    if (error || !remote.is_v6() || !remote.to_v6().is_link_local()) {
        return 0;
    }
    return link_of(links_, indices_, static_cast<unsigned>(remote.to_v6().scope_id()), local);
}

/// Makes a peer of whoever calls from a range that has room; null for strangers.  `why` changes where the range is
/// full.
Speaker::Neighbour* Speaker::welcome(const IpAddr& caller, std::uint8_t& why) {
    const RangeConfig* range = nullptr;
    for (const RangeConfig& each : ranges_) {
        if (contains(each.prefix, caller) &&
            (range == nullptr || length_of(each.prefix) > length_of(range->prefix))) {
            range = &each;
        }
    }
    if (range == nullptr || refused_.contains(caller)) {
        return nullptr;
    }
    const auto taken = std::ranges::count_if(
        neighbours_, [&](const auto& each) { return each.second.range == range->prefix; });
    if (static_cast<std::size_t>(taken) >= range->limit) {
        log::warning(
            "bgp {}: connection refused: range {} has its {} peers",
            name_of(caller),
            to_string(range->prefix),
            range->limit);
        why = cease::kOutOfResources;
        return nullptr;
    }
    PeerConfig config = range->peer;
    config.address = caller;
    config.passive = true;
    const auto added = instance_->add_peer(config, Clock::now());
    if (!added) {
        log::error("bgp {}: {}", name_of(caller), added.error().text);
        return nullptr;
    }
    const auto [at, inserted] = neighbours_.try_emplace(caller, **added);
    at->second.range = range->prefix;
    maybe_idle_.insert(caller);
    watch(config);
    return &at->second;
}

std::vector<IpAddr> Speaker::callers_to_await() const {
    std::vector<IpAddr> callers;
    for (const auto& [address, neighbour] : neighbours_) {
        if (neighbour.range && neighbour.peer.is_to_be_awaited()) {
            callers.push_back(address);
        }
    }
    return callers;
}

/// Peers of ranges that are gone, and of which nothing is kept, are forgotten; true when some were, which may end
/// what others wait for.
bool Speaker::dismiss_idle() {
    const Time begin = Clock::now();
    bool some = false;
    for (const IpAddr& address : std::vector<IpAddr>(maybe_idle_.begin(), maybe_idle_.end())) {
        const auto at = neighbours_.find(address);
        if (at == neighbours_.end() || !at->second.range) {
            maybe_idle_.erase(address);
            continue;
        }
        Neighbour& neighbour = at->second;
        const bool connected = std::ranges::any_of(
            neighbour.sessions, [](const SessionPtr& session) { return session != nullptr; });
        const bool awaited = instance_->is_restarting() && neighbour.peer.was_there();
        if (connected) {
            maybe_idle_.erase(address);
        } else if (!neighbour.waiting && !awaited && neighbour.peer.drained()) {
            maybe_idle_.erase(address);
            remove_peer(address);
            some = true;
            if (Clock::now() - begin > kSlice) {
                break;
            }
        }
    }
    return some;
}

/// Makes the waiting connection the peer's incoming one as soon as the peer has room for it, or ends it
/// in its time: RFC 4271 6.8.
void Speaker::take_up(Neighbour& neighbour) {
    if (!neighbour.waiting) {
        return;
    }
    const Time now = Clock::now();
    if (!neighbour.peer.accept(now)) {
        if (neighbour.waits_until <= now) {
            reject(
                *neighbour.waiting,
                neighbour.peer.is_exhausting() ? cease::kOutOfResources : cease::kCollision);
            neighbour.waiting.reset();
            neighbour.waits_until = Time::max();
        }
        return;
    }
    Session::Socket socket = *std::exchange(neighbour.waiting, std::nullopt);
    neighbour.waits_until = Time::max();
    settle(neighbour);
    if (prepare(socket, neighbour.peer.config())) {
        adopt(
            neighbour, Direction::Incoming, std::make_shared<Session>(std::move(socket), scratch_));
        connected(neighbour, Direction::Incoming);
    }
}

Speaker::Connections Speaker::hand_over_connections() {
    Connections all;
    for (auto& [address, neighbour] : neighbours_) {
        for (SessionPtr& session : neighbour.sessions) {
            if (session) {
                session->abandon();
                all.push_back(std::exchange(session, nullptr));
            }
        }
    }
    return all;
}

void Speaker::close_first(Connections connections) {
    to_close_ = std::move(connections);
    call_soon();
}

void Speaker::call_soon() {
    if (std::exchange(call_posted_, true)) {
        return;
    }
    asio::post(io_, [this, alive = alive_] {
        if (*alive) {
            call_posted_ = false;
            call_some();
        }
    });
}

/// Hundreds of sockets take long to close and to open.
void Speaker::call_some() {
    const Time begin = Clock::now();
    while (!to_close_.empty() || !calls_.empty()) {
        if (Clock::now() - begin > kSlice) {
            call_soon();
            return;
        }
        if (!to_close_.empty()) {
            error_code ignored;
            to_close_.back()->socket().close(ignored);
            to_close_.pop_back();
            continue;
        }
        const auto at = neighbours_.find(calls_.front());
        calls_.pop_front();
        if (at != neighbours_.end() && std::exchange(at->second.calls, false)) {
            open(at->second);
            settle(at->second);
        }
    }
}

void Speaker::open(Neighbour& neighbour) {
    const PeerConfig& config = neighbour.peer.config();
    tcp::socket socket{io_};
    const auto to = begin_call(socket, config);
    std::string trouble;
    if (!to) {
        trouble = to.error().text;
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
    session->connect(*to);
}

/// Opens `socket` on our end of the way to the peer; returns the peer's end.
Result<Session::Endpoint> Speaker::begin_call(
    Session::Socket& socket, const PeerConfig& config) const {
    const auto end = our_end(links_, config.address, config.source);
    if (!end) {
        return fail(end.error().text);
    }
    const tcp::endpoint to{to_asio(config.address, end->scope), config.port.value()};
    error_code error;
    socket.open(to.protocol(), error);
    if (!error && end->source) {
        socket.bind(tcp::endpoint{to_asio(*end->source, end->scope), 0}, error);
    }
    if (error) {
        return fail(named("local end of the connection", error));
    }
    return to;
}

Result<void> Speaker::prepare(Session::Socket& socket, const PeerConfig& config) {
    error_code ignored;
    socket.set_option(tcp::no_delay{true}, ignored);
    // The receive buffer stays the kernel's affair: a size of ours would end its own tuning, and
    // net.core.rmem_max holds it below what that reaches.
    if (auto set = set_user_timeout(socket.native_handle(), config.timers); !set) {
        return set;
    }
    const bool external = config.local_as.value_or(this->config().asn) != config.asn;
    return set_hop_limits(socket.native_handle(), config, external);
}

/// Timers that count for living sessions count for their connections, too.
void Speaker::renew_timeouts(Neighbour& neighbour) {
    for (const SessionPtr& session : neighbour.sessions) {
        if (session && session->socket().is_open()) {
            // Refused only for a socket that is about to fail anyway.
            static_cast<void>(set_user_timeout(
                session->socket().native_handle(), neighbour.peer.config().timers));
        }
    }
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
                if (neighbour.range) {
                    maybe_idle_.insert(neighbour.peer.config().address);
                }
                want_work();
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
    const Time begin = Clock::now();
    bool more = neighbour.peer.process(direction, begin);
    for (Time now = Clock::now(); more && now - begin < kSlice; now = Clock::now()) {
        more = neighbour.peer.process(direction, now);
    }
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
            if (neighbour.range) {
                maybe_idle_.insert(neighbour.peer.config().address);
            }
            if (action.direction == Direction::Outgoing) {
                neighbour.calls = action.kind == PeerAction::Kind::Connect;
            }
            if (neighbour.calls) {
                calls_.push_back(neighbour.peer.config().address);
                call_soon();
            }
        }
    }
    log_news(neighbour);
    flush(neighbour, Direction::Outgoing);
    flush(neighbour, Direction::Incoming);
    arm_timer(neighbour.peer.next_deadline());
    take_up(neighbour);
}

/// True when it has written something.
bool Speaker::flush(Neighbour& neighbour, Direction direction) {
    const SessionPtr& session = neighbour.session(direction);
    if (!session || session->writing() || !neighbour.peer.has_output(direction)) {
        return false;
    }
    session->write(neighbour.peer.take_output(direction));
    return true;
}

void Speaker::log_news(Neighbour& neighbour) {
    const std::string name = name_of(neighbour.peer.config().address);
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
    for (const std::string& warning : neighbour.peer.take_warnings()) {
        log::warning("bgp {}: {}", name, warning);
    }
}

}  // namespace vr::bgp
