// SPDX-License-Identifier: Apache-2.0
#include "bgp/speaker.h"

#include <algorithm>
#include <random>

#include <boost/asio/post.hpp>

#include "vrouter/net/log.h"

namespace vr::bgp {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kReadSize = 64 * 1024;
/// While messages still wait to be parsed, decisions wait for them, but not longer than this.
constexpr std::chrono::milliseconds kGather{10};

Random make_random() {
    auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
    return [engine] { return std::uniform_real_distribution<double>{}(*engine); };
}

/// Frees the tables of a speaker that is gone in slices, between other events.
void free_slowly(asio::io_context& io, std::unique_ptr<Instance> instance) {
    asio::post(io, [&io, instance = std::move(instance)]() mutable {
        const Time begin = Clock::now();
        while (instance->dismantle()) {
            if (Clock::now() - begin > Speaker::kSlice) {
                return free_slowly(io, std::move(instance));
            }
        }
    });
}

}  // namespace

Speaker::Speaker(
    asio::io_context& io, SpeakerConfig config, RouteSink& sink, const NextHopOracle& oracle)
    : io_(io),
      instance_(std::make_unique<Instance>(std::move(config), sink, oracle, make_random())),
      bfd_(std::make_unique<BfdSockets>(io, make_random(), hear_bfd())),
      listeners_(io, [this](Session::Socket socket) { accepted(std::move(socket)); }),
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
    for (const SessionPtr& session : to_close_) {
        error_code ignored;
        session->socket().close(ignored);
    }
    end_errands();
    free_slowly(io_, std::move(instance_));
}

Result<void> Speaker::start() {
    instance_->start(Clock::now());
    arm_timer();  // a restart has an end though nobody calls
    auto opened = listeners_.open(config().listen, config().port);
    if (!opened) {
        listeners_.retry();
    }
    return opened;
}

Result<void> Speaker::set_config(const SpeakerConfig& changed) {
    const SpeakerConfig old = config();
    if (changed == old) {
        return {};
    }
    SpeakerConfig same = changed;
    same.listen = old.listen;
    same.port = old.port;
    same.selection_deferral = old.selection_deferral;
    if (same != old) {
        // What a session was agreed on no longer holds.
        std::vector<Before> named;
        for (const IpAddr& address : addresses()) {
            Neighbour& neighbour = neighbours_.at(address);
            if (!neighbour.range) {
                named.push_back(before(neighbour.peer));
            }
            remove_peer(address, cease::kConfigurationChange);
        }
        instance_->set_config(changed);
        for (const Before& peer : named) {
            if (auto added = add_again(peer.config, peer); !added) {
                return added;
            }
        }
    }
    instance_->set_config(changed);
    if (changed.selection_deferral && !old.selection_deferral) {
        instance_->start(Clock::now());
        arm_timer();
    }
    if (changed.listen == old.listen && changed.port == old.port) {
        return {};
    }
    listeners_.close();
    auto opened = listeners_.open(changed.listen, changed.port);
    if (!opened) {
        listeners_.retry();
    }
    return opened;
}

void Speaker::stop(std::string_view text) {
    end_errands();
    listeners_.close();
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
    return listeners_.port().value_or(config().port);
}

void Speaker::refuse(std::set<IpAddr> addresses) {
    refused_ = std::move(addresses);
    for (const IpAddr& address : refused_) {
        const auto at = neighbours_.find(address);
        if (at != neighbours_.end() && at->second.range) {
            remove_peer(address);
        }
    }
}

Result<void> Speaker::set_ranges(std::vector<RangeConfig> ranges) {
    std::map<IpPrefix, std::string> keys;
    for (const RangeConfig& old : ranges_) {
        keys[old.prefix].clear();
    }
    for (const RangeConfig& range : ranges) {
        keys[range.prefix] = range.peer.password;
    }
    for (const RangeConfig& old : ranges_) {  // what stays is not touched
        if (const auto now = keys.find(old.prefix); now->second == old.peer.password) {
            keys.erase(now);
        }
    }
    ranges_ = std::move(ranges);
    instance_->expect_callers(!ranges_.empty());
    for (const auto& [prefix, password] : keys) {
        listeners_.set_key(prefix, password);
    }
    for_each_peer([this](const IpAddr& address) {
        fit_to_range(address);
        return true;
    });
    want_work();
    return {};
}

/// Makes a peer of a range what that says now.
void Speaker::fit_to_range(const IpAddr& address) {
    Neighbour& neighbour = neighbours_.at(address);
    if (!neighbour.range) {
        return;
    }
    const auto range = std::ranges::find(ranges_, *neighbour.range, &RangeConfig::prefix);
    if (range == ranges_.end()) {
        remove_peer(address);
        return;
    }
    PeerConfig config = range->peer;
    config.address = address;
    config.passive = true;
    if (neighbour.peer.needs_restart(config)) {
        remove_peer(address, cease::kConfigurationChange);  // it calls again
    } else {
        neighbour.peer.reconfigure(config, Clock::now());
        renew_timeouts(neighbour);
        settle(neighbour);
        want_work();
    }
}

Result<void> Speaker::add_peer(const PeerConfig& config) {
    const auto added = instance_->add_peer(config, Clock::now());
    if (!added) {
        return fail(added.error().text);
    }
    if (!config.password.empty()) {
        listeners_.set_key(config.address, config.password);
    }
    const auto [at, inserted] = neighbours_.try_emplace(config.address, **added);
    settle(at->second);
    watch(config);
    claim_bfd(at->second);
    return {};
}

/// What BFD told the speaker before us, or nobody.
void Speaker::claim_bfd(Neighbour& neighbour) {
    const auto loss =
        has_unclaimed_bfd_ ? bfd_->loss(neighbour.peer.config().address) : std::nullopt;
    if (loss) {
        neighbour.peer.bfd_down(loss->control_independent, Clock::now());
        settle(neighbour);
        want_work();
    }
}

/// Begins, changes or ends the peer's BFD session as `config` has it.
void Speaker::watch(const PeerConfig& config) {
    if (!config.bfd) {
        bfd_->forget(config.address);
    } else if (auto watched = bfd_->watch(config.address, config.source, *config.bfd); !watched) {
        log::error("bgp {}: {}", name_of(config.address), watched.error().text);
    }
}

BfdSockets::Changed Speaker::hear_bfd() {
    return [this](const IpAddr& peer, const bfd::Change& change) { bfd_changed(peer, change); };
}

void Speaker::set_links(Links links) {
    links_ = std::move(links);
    bfd_->set_links(links_);
}

std::unique_ptr<BfdSockets> Speaker::hand_over_bfd() {
    bfd_->set_changed([](const IpAddr&, const bfd::Change&) {});
    return std::move(bfd_);
}

void Speaker::take_over_bfd(std::unique_ptr<BfdSockets> bfd) {
    bfd_ = std::move(bfd);
    bfd_->set_changed(hear_bfd());
    bfd_->set_links(links_);
    has_unclaimed_bfd_ = true;
}

void Speaker::bfd_changed(const IpAddr& address, const bfd::Change& change) {
    log::info(
        "bgp {}: BFD {}{}{}",
        name_of(address),
        bfd::to_string(change.to),
        change.to == bfd::State::Up ? "" : ": ",
        change.to == bfd::State::Up ? "" : bfd::to_string(change.why));
    const auto at = neighbours_.find(address);
    if (at != neighbours_.end() && change.to == bfd::State::Up) {
        return at->second.peer.bfd_up();
    }
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
    if (at->second.range) {
        // Named from now on: what it was as one of many does not count.
        remove_peer(config.address);
        return add_peer(config);
    }
    if (peer.config() == config) {
        return {};
    }
    if (!peer.needs_restart(config)) {
        peer.reconfigure(config, Clock::now());
        renew_timeouts(at->second);
        watch(config);
        settle(at->second);
        want_work();
        return {};
    }
    const Before old = before(peer);
    remove_peer(config.address, cease::kConfigurationChange);
    return add_again(config, old);
}

Speaker::Before Speaker::before(const Peer& peer) {
    return {
        .config = peer.config(),
        .shut_down = peer.is_shut_down(),
        .forwarding_kept = peer.is_forwarding_kept()};
}

Result<void> Speaker::add_again(const PeerConfig& config, const Before& old) {
    if (auto added = add_peer(config); !added) {
        return added;
    }
    if (old.forwarding_kept) {
        neighbours_.at(config.address).peer.set_forwarding_kept();
    }
    if (old.shut_down) {
        shut_down(config.address, *old.shut_down);
    }
    return {};
}

void Speaker::expect_peers(bool expected) {
    source_unread_ = expected;
    instance_->expect_peers(source_unread_ || remembering_ != 0);
    want_work();
}

bool Speaker::remove_peer(const IpAddr& address, std::uint8_t why) {
    const auto at = neighbours_.find(address);
    if (at == neighbours_.end()) {
        return false;
    }
    Neighbour& neighbour = at->second;
    if (!neighbour.range && !neighbour.peer.config().password.empty()) {
        listeners_.set_key(address, {});
    }
    bfd_->forget(address);
    instance_->remove_peer(address, notification(ErrorCode::Cease, why), Clock::now());
    settle(neighbour);
    neighbours_.erase(at);
    want_work();
    return true;
}

/// Does `what` to the peer of that address; false when there is none.
template <typename Change>
bool Speaker::change(const IpAddr& address, Change what) {
    const auto at = neighbours_.find(address);
    if (at == neighbours_.end()) {
        return false;
    }
    what(at->second.peer);
    settle(at->second);
    want_work();
    return true;
}

bool Speaker::clear(const IpAddr& address, Clear what, std::string_view text) {
    return change(address, [&](Peer& peer) {
        switch (what) {
            case Clear::Session:
                return peer.restart(
                    notification(ErrorCode::Cease, cease::kReset, shutdown_communication(text)),
                    Clock::now());
            case Clear::In:
                peer.refilter(Clock::now());
                static_cast<void>(peer.ask_refresh());  // not every peer answers that
                return;
            case Clear::Out:
                return peer.resend();
        }
    });
}

bool Speaker::shut_down(const IpAddr& address, const std::string& text) {
    return change(address, [&](Peer& peer) { peer.shut_down(text, Clock::now()); });
}

bool Speaker::bring_up(const IpAddr& address) {
    return change(address, [](Peer& peer) { peer.bring_up(Clock::now()); });
}

void Speaker::for_each_peer(Act act, std::move_only_function<void(std::size_t)> done) {
    auto count = std::make_shared<std::size_t>(0);
    errands_.push_back(Errand{
        .step =
            [this,
             left = addresses(),
             next = std::size_t{0},
             act = std::move(act),
             count]() mutable {
                if (next < left.size() && neighbours_.contains(left[next])) {
                    *count += act(left[next]) ? 1U : 0U;
                }
                return ++next < left.size();
            },
        .done =
            [count, done = std::move(done)]() mutable {
                if (done) {
                    done(*count);
                }
            }});
    do_errands();
}

void Speaker::remember(std::vector<PeerSummary> before, std::move_only_function<void()> done) {
    ++remembering_;
    expect_peers(source_unread_);
    errands_.push_back(Errand{
        .step =
            [this, before = std::move(before), next = std::size_t{0}]() mutable {
                if (next < before.size()) {
                    remember_one(before[next]);
                }
                return ++next < before.size();
            },
        .done =
            [this, done = std::move(done)]() mutable {
                --remembering_;
                instance_->set_callers_known();
                expect_peers(source_unread_);
                if (done) {
                    done();
                }
            }});
    do_errands();
}

void Speaker::remember_one(const PeerSummary& old) {
    const bool was_there =
        old.state == State::Established || old.ipv4.received + old.ipv6.received != 0;
    if (std::uint8_t why{}; was_there && !neighbours_.contains(old.address)) {
        if (Neighbour* caller = welcome(old.address, why)) {
            claim_bfd(*caller);
        }
    }
    change(old.address, [&](Peer& peer) {
        if (old.shut_down) {
            peer.shut_down(*old.shut_down, Clock::now());
        }
        peer.set_was(
            !was_there           ? Peer::Was::Away
            : old.restart.agreed ? Peer::Was::Graceful
                                 : Peer::Was::Plain);
    });
}

/// Whoever waits is told; what is left is not done.  For good.
void Speaker::end_errands() {
    errands_ended_ = true;
    while (!errands_.empty()) {
        Errand over = std::move(errands_.front());
        errands_.pop_front();
        over.done();  // what begins now ends as well
    }
}

/// Goes on with what is done peer by peer; the rest has its turn later.
void Speaker::do_errands() {
    if (errands_ended_) {
        return end_errands();
    }
    if (errands_posted_ || std::exchange(in_errands_, true)) {
        return;
    }
    const Time begin = Clock::now();
    while (!errands_.empty() && !errands_posted_) {
        if (!errands_.front().step()) {
            Errand over = std::move(errands_.front());
            errands_.pop_front();
            over.done();  // may begin another one, but must not end the speaker
        }
        if (!errands_.empty() && Clock::now() - begin > kSlice) {
            run_errands_soon();
        }
    }
    in_errands_ = false;
}

void Speaker::run_errands_soon() {
    errands_posted_ = true;
    asio::post(io_, [this, alive = alive_] {
        if (*alive) {
            errands_posted_ = false;
            do_errands();
        }
    });
}

void Speaker::originate(const IpPrefix& prefix, const Attributes& attributes) {
    instance_->originate(prefix, attributes);
    want_work();
}

bool Speaker::withdraw(const IpPrefix& prefix) {
    const bool was_ours = instance_->withdraw(prefix);
    want_work();
    return was_ours;
}

void Speaker::load(const IpPrefix& prefix, const Attributes& attributes) {
    instance_->load(prefix, attributes);
    want_work();
}

bool Speaker::unload(RouteCursor& cursor, std::size_t most, std::size_t& gone) {
    const bool more = instance_->unload(cursor, most, gone);
    want_work();
    return more;
}

void Speaker::next_hops_changed() {
    instance_->next_hops_changed();
    want_work();
}

void Speaker::next_hops_changed(const std::vector<IpAddr>& next_hops) {
    for (const IpAddr& next_hop : next_hops) {
        instance_->next_hop_changed(next_hop);
    }
    want_work();
}

void Speaker::own_addresses_changed() {
    for_each_peer([this](const IpAddr& address) {
        Neighbour& neighbour = neighbours_.at(address);
        neighbour.peer.own_addresses_changed();
        settle(neighbour);
        want_work();
        return true;
    });
}

SpeakerSummary Speaker::summary() const {
    SpeakerSummary summary = instance_->summary();
    summary.port = port();
    summary.strangers = strangers_;
    return summary;
}

std::vector<IpAddr> Speaker::addresses() const {
    std::vector<IpAddr> all;
    all.reserve(neighbours_.size());
    for (const auto& [address, neighbour] : neighbours_) {
        all.push_back(address);
    }
    return all;
}

PeerSummary Speaker::summary_of(const IpAddr& address, const Neighbour& neighbour, Time now) const {
    PeerSummary summary = neighbour.peer.summary(now);
    summary.bfd = bfd_->summary(address);
    if (const auto link = links_.find(zone_of(address)); link != links_.end()) {
        summary.link = link->second.name;
    }
    summary.dynamic = neighbour.range.has_value();
    return summary;
}

std::vector<PeerSummary> Speaker::outlines() const {
    std::vector<PeerSummary> outlines;
    outlines.reserve(neighbours_.size());
    for (const auto& [address, neighbour] : neighbours_) {
        outlines.push_back(neighbour.peer.outline());
    }
    return outlines;
}

std::vector<PeerSummary> Speaker::peers() const {
    std::vector<PeerSummary> summaries;
    summaries.reserve(neighbours_.size());
    const Time now = Clock::now();
    for (const auto& [address, neighbour] : neighbours_) {
        summaries.push_back(summary_of(address, neighbour, now));
    }
    return summaries;
}

std::optional<PeerSummary> Speaker::peer(const IpAddr& address) const {
    const auto at = neighbours_.find(address);
    return at == neighbours_.end() ? std::nullopt
                                   : std::optional{summary_of(address, at->second, Clock::now())};
}

std::optional<IpAddr> Speaker::find_peer(std::string_view name) const {
    std::optional<IpAddr> found;
    if (const auto address = parse_ip(name)) {
        return neighbours_.contains(*address) ? address : std::nullopt;
    }
    for (const auto& [address, neighbour] : neighbours_) {
        const auto link = links_.find(zone_of(address));
        if (link == links_.end()) {
            continue;
        }
        if (name_of(address) == name) {
            return address;
        }
        if (link->second.name == name) {
            if (found) {
                return std::nullopt;
            }
            found = address;
        }
    }
    return found;
}

bool Speaker::visit_routes(
    const IpAddr& peer,
    Crossing way,
    RouteCursor& cursor,
    std::size_t most,
    const VisitPeerRoute& visit) const {
    const auto at = neighbours_.find(peer);
    return at != neighbours_.end() && at->second.peer.visit_routes(way, cursor, most, visit);
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
    const bool gathers = parsing_ > 0 && Clock::now() - work_wanted_since_ < kGather;
    if (gathers) {
        instance_->avoid_lost_peers();  // does not wait for what other peers say
    }
    const Time begin = Clock::now();
    bool more = gathers || instance_->work([begin] { return Clock::now() - begin > kSlice; });
    more = flush_some() || more;
    more = dismiss_idle() || more;
    if (has_unclaimed_bfd_ && !instance_->ribs().selection_deferred) {
        has_unclaimed_bfd_ = false;
        bfd_->forget_unless([this](const IpAddr& peer) { return neighbours_.contains(peer); });
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

/// Hands what peers are to be told to their sessions; true when the slice was over before all had their turn.
bool Speaker::flush_some() {
    const Time begin = Clock::now();
    auto at = neighbours_.lower_bound(flushed_to_);
    for (std::size_t left = neighbours_.size(); left > 0; --left, ++at) {
        at = at == neighbours_.end() ? neighbours_.begin() : at;
        Neighbour& neighbour = at->second;
        const bool writes =
            flush(neighbour, Direction::Outgoing) | flush(neighbour, Direction::Incoming);
        if (writes && left > 1 && Clock::now() - begin > kSlice) {
            ++at;
            flushed_to_ = at == neighbours_.end() ? neighbours_.begin()->first : at->first;
            return true;
        }
    }
    return false;
}

/// Of all deadlines.
void Speaker::arm_timer() {
    Time due = instance_->next_deadline();
    for (const auto& [address, neighbour] : neighbours_) {
        due = std::min(due, neighbour.waits_until);
    }
    armed_ = Time::max();
    timer_.cancel();
    arm_timer(due);
}

/// Unless it is armed for an earlier time.
void Speaker::arm_timer(Time due) {
    if (due >= armed_ || ticking_) {
        return;
    }
    armed_ = due;
    timer_.expires_at(armed_);
    timer_.async_wait([this, alive = alive_](const error_code& error) {
        if (!error && *alive) {
            tick();
        }
    });
}

void Speaker::tick() {
    const Time now = Clock::now();
    instance_->tick(now);
    ticking_ = true;
    for (auto& [address, neighbour] : neighbours_) {
        if (std::min(neighbour.peer.next_deadline(), neighbour.waits_until) > now) {
            continue;
        }
        neighbour.peer.tick(now);
        settle(neighbour);
        if (Clock::now() - now > kSlice) {
            break;  // who is left is overdue: the timer fires at once
        }
    }
    ticking_ = false;
    want_work();
    arm_timer();
}

}  // namespace vr::bgp
