// SPDX-License-Identifier: Apache-2.0
#include "bgp/peer.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace vr::bgp {
namespace {

/// Received bytes handled per slice: a fraction of a millisecond even when they are all prefixes.
constexpr std::size_t kBytesPerSlice = 4 * 1024;
/// A peer that asks for everything again gets it this often at most.
constexpr std::chrono::seconds kRefreshPause{1};
constexpr std::array kDirections{Direction::Outgoing, Direction::Incoming};

std::uint64_t& counter_of(MessageCounters& counters, MessageType type) {
    switch (type) {
        case MessageType::Open:
            return counters.opens;
        case MessageType::Update:
            return counters.updates;
        case MessageType::Notification:
            return counters.notifications;
        case MessageType::Keepalive:
            return counters.keepalives;
        case MessageType::RouteRefresh:
            break;
    }
    return counters.refreshes;
}

Asn local_as_of(const SpeakerConfig& speaker, const PeerConfig& peer) {
    return peer.local_as.value_or(speaker.asn);
}

PeerKind kind_of(const SpeakerConfig& speaker, const PeerConfig& peer) {
    return local_as_of(speaker, peer) == peer.asn ? PeerKind::Internal : PeerKind::External;
}

/// Parked: idle, and nothing will wake it.
bool is_parked(const Fsm& fsm) {
    return fsm.state() == State::Idle && fsm.next_deadline() == Time::max();
}

}  // namespace

Peer::Peer(const SpeakerConfig& speaker, PeerConfig config, Ribs& ribs, const Random& random)
    : speaker_(speaker),
      ribs_(ribs),
      config_(std::move(config)),
      source_{
          .kind = kind_of(speaker, config_),
          .address = config_.address,
          .client = config_.reflector_client},
      links_{
          Link{Direction::Outgoing, config_.timers, random},
          Link{Direction::Incoming, config_.timers, random}},
      v4_(ribs, source_),
      v6_(ribs, source_) {
    ribs_.sources.add(source_);
}

Peer::~Peer() {
    ribs_.sources.remove(source_);
}

void Peer::start(Time now) {
    wanted_ = !shut_down_;
    balance(now);
}

void Peer::shut_down(std::string text, Time now) {
    stop(
        Notification{
            .code = ErrorCode::Cease,
            .subcode = cease::kShutdown,
            .data = shutdown_communication(text)},
        now);
    shut_down_ = std::move(text);
}

void Peer::bring_up(Time now) {
    if (shut_down_) {
        shut_down_.reset();
        start(now);
    }
}

void Peer::resend() {
    say_again(rib<V4>());
    say_again(rib<V6>());
}

/// Whoever asked for it: RFC 7313 4.
template <Family F>
void Peer::say_again(PeerRib<F>& rib) {
    if (established_ && rib.up()) {
        rib.refresh(link(*established_).terms->enhanced_refresh);
    }
}

void Peer::stop(const Notification& why, Time now) {
    wanted_ = false;
    for (const Direction direction : kDirections) {
        feed(direction, event::Stop{why}, now);
    }
    drop_stale();
}

void Peer::restart(const Notification& why, Time now) {
    wanted_ = false;
    for (const Direction direction : kDirections) {
        feed(direction, event::Stop{why}, now);
    }
    start(now);
}

bool Peer::ask_refresh() {
    if (!established_ || !link(*established_).terms->route_refresh) {
        return false;
    }
    const auto ask = [&](const auto& rib, AfiSafi family) {
        if (rib.up()) {
            encode_route_refresh(family, 0, link(*established_).output.tail());
            ++sent_.refreshes;
        }
    };
    ask(rib<V4>(), kIpv4Unicast);
    ask(rib<V6>(), kIpv6Unicast);
    return true;
}

void Peer::bfd_down(bool forwarding_lost, Time now) {
    for (const Direction direction : kDirections) {
        if (link(direction).fsm.state() >= State::OpenSent) {
            feed(direction, event::BfdDown{forwarding_lost}, now);
        }
    }
    path_ = forwarding_lost || path_ == Path::Dead ? Path::Dead : Path::Lost;
    if (forwarding_lost) {
        drop_stale();
    }
}

void Peer::bfd_up() {
    if (path_ == Path::Dead) {
        path_ = Path::Lost;
    }
}

bool Peer::needs_restart(const PeerConfig& changed) const {
    PeerConfig same = changed;
    same.description = config_.description;
    same.graceful_restart.stale_time = config_.graceful_restart.stale_time;
    same.timers.send_hold = config_.timers.send_hold;
    same.bfd = config_.bfd;
    same.ipv4.maximum_prefixes_restart = config_.ipv4.maximum_prefixes_restart;
    same.ipv6.maximum_prefixes_restart = config_.ipv6.maximum_prefixes_restart;
    same.timers.connect_retry = config_.timers.connect_retry;
    same.timers.open_wait = config_.timers.open_wait;
    same.timers.idle_hold = config_.timers.idle_hold;
    same.timers.idle_hold_most = config_.timers.idle_hold_most;
    same.ipv4.next_hop = config_.ipv4.next_hop;
    same.ipv4.maximum_prefixes = config_.ipv4.maximum_prefixes;
    same.ipv6.next_hop = config_.ipv6.next_hop;
    same.ipv6.maximum_prefixes = config_.ipv6.maximum_prefixes;
    same.import = config_.import;
    same.export_ = config_.export_;
    same.next_hop = config_.next_hop;
    same.as_override = config_.as_override;
    same.remove_private_as = config_.remove_private_as;
    same.allow_own_as = config_.allow_own_as;
    same.enforce_first_as = config_.enforce_first_as;
    same.long_lived_to_all = config_.long_lived_to_all;
    return same != config_;
}

void Peer::reconfigure(const PeerConfig& config, Time now) {
    const bool imports_otherwise = config.import != config_.import;
    config_ = config;
    for (Link& each : links_) {
        each.fsm.set_timers(config_.timers);
    }
    if (!established_) {
        if (imports_otherwise) {
            drop_stale();  // they are there by what was allowed before
        }
        return;
    }
    const Ends now_ends = ends(link(*established_));
    const auto apply_to = [&](auto& rib) {
        if (rib.up()) {
            rib.reconfigure(now_ends, config_);
        }
    };
    apply_to(v4_);
    apply_to(v6_);
    tell_missing_next_hops();
    enforce_limits(now);
}

void Peer::own_addresses_changed() {
    if (!established_) {
        return;
    }
    const Ends now_ends = ends(link(*established_));
    const auto tell = [&](auto& rib) {
        if (rib.up()) {
            rib.change_ends(now_ends, config_);
        }
    };
    tell(v4_);
    tell(v6_);
    tell_missing_next_hops();
}

void Peer::tell_missing_next_hops() {
    tell_missing_next_hop<V4>();
    tell_missing_next_hop<V6>();
}

/// RFC 4760 3: a route names a next hop, and for those of this host it is an address of ours.  Once, however
/// many sessions come and go.
template <Family F>
void Peer::tell_missing_next_hop() {
    if (!rib<F>().up()) {
        return;
    }
    const auto& filter = config_.export_;  // not copied: it may have thousands of rules
    const bool tells_nothing = filter ? filter->kind == Filter::Kind::None && filter->rules.empty()
                                      : source_.kind == PeerKind::External;
    const bool missing = !rib<F>().own_next_hop() && !tells_nothing;
    bool& told = told_no_next_hop_[std::is_same_v<F, V4> ? 0 : 1];
    if (missing && !told) {
        warnings_.push_back(fmt::format(
            "{0} without an {0} address of ours as next hop: the peer is told no routes of this "
            "host in it (next_hop{1} sets one, families can leave {0} out)",
            F::kName,
            F::kName.back()));
    }
    told = missing;
}

bool Peer::accept(Time now) {
    Link& incoming = link(Direction::Incoming);
    tick(now);  // a pause that is just over must not cost a connection
    if (!wanted_ || is_exhausting()) {
        return false;
    }
    if (incoming.fsm.state() == State::OpenSent || incoming.fsm.state() == State::OpenConfirm) {
        // The peer gave up on the older one, or it would not call again.
        feed(Direction::Incoming, event::TcpFailed{"replaced by a newer connection"}, now);
        tick(now);
    } else if (incoming.fsm.state() == State::Established && restart_) {
        // RFC 4724 5: it calls again, so the old session is over for it: it has restarted.
        feed(Direction::Incoming, event::TcpFailed{"the peer has restarted"}, now);
        tick(now);
    }
    return !is_exhausting() && incoming.fsm.state() == State::Active;
}

void Peer::connected(Direction direction, const IpAddr& local_address, Time now) {
    Link& opened = link(direction);
    if (opened.fsm.state() >= State::OpenSent) {
        return;  // one at a time: what stands is not disturbed
    }
    opened.framer.clear();
    opened.output.clear();
    opened.terms.reset();
    opened.local_address = local_address;
    feed(direction, event::TcpConnected{}, now);
}

void Peer::sent(Direction direction, Time now) {
    feed(direction, event::Sent{}, now);
}

void Peer::disconnected(Direction direction, std::string why, Time now) {
    feed(direction, event::TcpFailed{std::move(why)}, now);
}

bool Peer::process(Direction direction, Time now) {
    Link& from = link(direction);
    std::size_t done = 0;
    while (from.fsm.state() >= State::OpenSent && done < kBytesPerSlice) {
        auto next = from.framer.next();
        if (const auto* message = std::get_if<Framer::Message>(&next)) {
            done += message->whole.size();
            on_message(direction, *message, now);
        } else if (auto* bad = std::get_if<Notification>(&next)) {
            feed(direction, event::MessageRefused{std::move(*bad)}, now);
            return false;
        } else {
            return false;
        }
    }
    return from.fsm.state() >= State::OpenSent;
}

void Peer::tick(Time now) {
    for (const Direction direction : kDirections) {
        perform(direction, link(direction).fsm.tick(now), now);
    }
    tick_refreshes(now);
    tick_restart(now);
    tell_malformed(now);
    balance(now);
}

Time Peer::next_deadline() const {
    Time next = std::min(links_[0].fsm.next_deadline(), links_[1].fsm.next_deadline());
    for (const std::optional<Time>& deadline :
         {back_until_,
          done_until_,
          long_lives_[0].until,
          long_lives_[1].until,
          refresh_paces_[0].due,
          refresh_paces_[1].due}) {
        next = std::min(next, deadline.value_or(Time::max()));
    }
    return untold_malformed_ == 0 ? next : std::min(next, malformed_quiet_until_);
}

void Peer::tick_refreshes(Time now) {
    const auto fire = [&](auto& rib, RefreshPace& pace) {
        if (!pace.due || *pace.due > now) {
            return;
        }
        pace.due.reset();
        if (rib.up()) {
            pace.not_before = now + kRefreshPause;
            say_again(rib);
        }
    };
    fire(rib<V4>(), refresh_paces_[0]);
    fire(rib<V6>(), refresh_paces_[1]);
}

void Peer::feed(Direction direction, const Event& event, Time now) {
    perform(direction, link(direction).fsm.on(event, now), now);
    balance(now);
}

void Peer::perform(Direction direction, std::vector<Action>&& actions, Time now) {
    for (Action& what : actions) {
        perform_one(direction, what, now);
    }
}

void Peer::perform_one(Direction direction, Action& what, Time now) {
    Link& on = link(direction);
    const auto sent = [this](MessageType type) { ++counter_of(sent_, type); };
    if (std::holds_alternative<action::Connect>(what)) {
        actions_.push_back(PeerAction{PeerAction::Kind::Connect, direction, {}});
    } else if (std::holds_alternative<action::Disconnect>(what)) {
        actions_.push_back(
            PeerAction{PeerAction::Kind::Close, direction, std::exchange(on.output, {})});
        on.terms.reset();
    } else if (std::holds_alternative<action::SendOpen>(what)) {
        encode_open(make_open(local_side(), config_), on.output.tail());
        sent(MessageType::Open);
    } else if (std::holds_alternative<action::SendKeepalive>(what)) {
        encode_keepalive(on.output.tail());
        sent(MessageType::Keepalive);
    } else if (const auto* farewell = std::get_if<action::SendNotification>(&what)) {
        // RFC 8538 5.1: or the peer would keep our routes.
        const bool wrap =
            on.terms && on.terms->graceful_restart && on.terms->graceful_restart->notification &&
            is_permanent(farewell->what) && farewell->what.subcode != cease::kHardReset;
        encode_notification(wrap ? hard_reset(farewell->what) : farewell->what, on.output.tail());
        sent(MessageType::Notification);
    } else if (std::holds_alternative<action::SessionUp>(what)) {
        session_up(direction, now);
    } else if (const auto* down = std::get_if<action::SessionDown>(&what)) {
        session_down(down->how, now);
    } else if (auto* changed = std::get_if<action::Changed>(&what)) {
        if (changed->is_error) {
            last_error_ = changed->why;
            last_error_at_ = now;
        }
        changes_.push_back(std::move(*changed));
    }
}

/// Keeps the two machines in step: both try while neither has got anywhere, our own calls rest while
/// a session stands, and nothing starts while the other one waits out an error.
void Peer::balance(Time now) {
    if (!wanted_) {
        return;
    }
    const auto advanced = [this](Direction d) { return link(d).fsm.state() >= State::OpenConfirm; };
    for (const Direction direction : kDirections) {
        Fsm& fsm = link(direction).fsm;
        const Fsm& opposite = link(other(direction)).fsm;
        const bool outgoing = direction == Direction::Outgoing;
        if (outgoing && opposite.state() == State::Established && fsm.state() < State::OpenSent &&
            !is_parked(fsm)) {
            perform(direction, fsm.on(event::CollisionLost{}, now), now);
        } else if (is_parked(fsm) && !(outgoing && config_.passive)) {
            const bool opposite_waits = opposite.state() == State::Idle && !is_parked(opposite);
            const bool rests = outgoing && advanced(other(direction));
            if (!opposite_waits && !rests) {
                perform(direction, fsm.on(event::Start{}, now), now);
            }
        }
    }
}

void Peer::on_message(Direction direction, const Framer::Message& message, Time now) {
    ++counter_of(received_, message.type);
    switch (message.type) {
        case MessageType::Open:
            return on_open(direction, message.body(), now);
        case MessageType::Update:
            return on_update(direction, message.body(), now);
        case MessageType::Notification:
            return feed(
                direction, event::NotificationReceived{decode_notification(message.body())}, now);
        case MessageType::Keepalive:
            return feed(direction, event::KeepaliveReceived{}, now);
        case MessageType::RouteRefresh:
            return on_route_refresh(direction, message, now);
    }
}

bool Peer::work(std::size_t& budget) {
    rib<V4>().write_markers();
    rib<V6>().write_markers();
    const bool more = rib<V4>().work(budget);
    return rib<V6>().work(budget) || more;
}

bool Peer::drained() const {
    return routes<V4>().drained() && routes<V6>().drained();
}

bool Peer::is_leaving() const {
    return !established_ && !routes<V4>().has_stale() && !routes<V6>().has_stale() && !drained();
}

State Peer::state() const {
    return std::max(links_[0].fsm.state(), links_[1].fsm.state());
}

LocalSide Peer::local_side() const {
    // RFC 4724 3: R while we are coming back ourselves; F when what this peer knows from us was
    // forwarded all the time, which a lost session alone does not change (RFC 8538 4).
    const bool back = speaker_.selection_deferral.has_value();
    return LocalSide{
        .asn = local_as_of(speaker_, config_),
        .speaker_asn = speaker_.asn,
        .identifier = speaker_.router_id,
        .restarting = back && ribs_.selection_deferred,
        .forwarding_kept = back || forwarding_kept_};
}

Ends Peer::ends(const Link& link) const {
    return Ends{
        .kind = source_.kind,
        .local_as = local_as_of(speaker_, config_),
        .speaker_as = speaker_.asn,
        .peer_as = link.terms ? link.terms->asn : config_.asn,
        .local_identifier = speaker_.router_id,
        .local_address = link.local_address,
        .enforce_first_as = config_.enforce_first_as,
        .allow_own_as = config_.allow_own_as,
        .next_hop = config_.next_hop,
        .as_override = config_.as_override,
        .remove_private_as = config_.remove_private_as,
        .ipv4_over_ipv6 = link.terms && link.terms->ipv4_over_ipv6,
        .zone = zone_of(config_.address) != 0 ? zone_of(config_.address)
                                              : ribs_.oracle.zone_to(config_.address),
        .told_zone = ribs_.oracle.zone_to(config_.address),
        .link = ribs_.oracle.link_to(config_.address),
        .client = config_.reflector_client,
        .cluster_id = speaker_.cluster_id.value_or(speaker_.router_id),
        .long_lived = long_lived_routes(link)};
}

/// How UPDATEs to the peer are written.
AttributeContext Peer::context(const Terms& terms) const {
    return AttributeContext{
        .as_width = terms.as_width,
        .peer = source_.kind,
        .ipv4_over_ipv6 = terms.ipv4_over_ipv6,
        .message_size = terms.extended_message ? kMaxExtendedMessage : kMaxMessage,
        .path_ids4 = terms.paths4.send,
        .path_ids6 = terms.paths6.send};
}

template <Family F>
FamilySummary Peer::family_summary() const {
    FamilySummary summary = routes<F>().summary();
    if (!summary.negotiated) {
        return summary;
    }
    constexpr AfiSafi kFamily{.afi = F::kAfi, .safi = kSafiUnicast};
    const Terms& terms = *link(*established_).terms;
    const AddPath& paths = std::is_same_v<F, V4> ? terms.paths4 : terms.paths6;
    summary.paths_received = paths.receive;
    summary.paths_sent = paths.send;
    summary.restart_time = restart_time(kFamily);
    summary.long_lived_time = long_lived_time(kFamily);
    const Capabilities ours = make_open(local_side(), config_).capabilities;
    if (terms.graceful_restart && ours.graceful_restart->find(kFamily) != nullptr) {
        summary.our_restart_time = std::chrono::seconds{ours.graceful_restart->seconds};
    }
    if (const auto* asked = terms.long_lived ? ours.long_lived->find(kFamily) : nullptr) {
        summary.our_long_lived_time = std::chrono::seconds{asked->seconds};
    }
    return summary;
}

PeerSummary Peer::summary(Time now) const {
    const auto since = [now](Time then) {
        return std::chrono::duration_cast<std::chrono::seconds>(now - then);
    };
    PeerSummary summary;
    summary.address = config_.address;
    summary.description = config_.description;
    summary.last_identifier = source_.identifier;
    summary.asn = last_asn_.value() != 0 ? last_asn_ : config_.asn;
    summary.local_as = local_as_of(speaker_, config_);
    summary.kind = source_.kind;
    summary.state = state();
    summary.received = received_;
    summary.sent = sent_;
    summary.established_count = established_count_;
    summary.malformed_updates = malformed_updates_;
    summary.ipv4 = family_summary<V4>();
    summary.ipv6 = family_summary<V6>();
    summary.last_error = last_error_;
    summary.last_malformed = last_malformed_;
    summary.restart = restart_summary(now);
    summary.shut_down = shut_down_;
    const auto filter_text = [this](const std::optional<Filter>& filter) {
        const bool missing = !filter && source_.kind == PeerKind::External;
        return to_string(filter_in_force(filter, source_.kind)) +
               (missing ? ": eBGP needs a filter (RFC 8212)" : "");
    };
    summary.import_filter = filter_text(config_.import);
    summary.export_filter = filter_text(config_.export_);
    if (established_) {
        const Link& on = link(*established_);
        summary.uptime = since(established_since_);
        summary.local_address = on.local_address;
        summary.identifier = on.terms->identifier;
        summary.hold_time = on.terms->hold_time;
        summary.terms = on.terms;
    }
    if (!last_error_.empty()) {
        summary.last_error_age = since(last_error_at_);
    }
    return summary;
}

PeerSummary Peer::outline() const {
    PeerSummary outline;
    outline.address = config_.address;
    outline.state = state();
    outline.ipv4.received = routes<V4>().received();
    outline.ipv6.received = routes<V6>().received();
    outline.restart.agreed = restart_.has_value();
    outline.shut_down = shut_down_;
    return outline;
}

bool Peer::visit_routes(
    Crossing way, RouteCursor& cursor, std::size_t most, const VisitPeerRoute& visit) const {
    const auto visit_family = [&](const auto& rib) {
        return way == Crossing::Received ? rib.visit_received(cursor.index, most, visit)
                                         : rib.visit_advertised(cursor.index, most, visit);
    };
    if (cursor.ipv6) {
        return visit_family(v6_);
    }
    if (!visit_family(v4_)) {
        cursor = RouteCursor{.ipv6 = true, .index = 0};
    }
    return true;
}

}  // namespace vr::bgp
