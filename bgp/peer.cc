// SPDX-License-Identifier: Apache-2.0
#include "bgp/peer.h"

#include <algorithm>
#include <utility>

namespace vr::bgp {
namespace {

/// Received bytes handled per slice: a millisecond or two even when they are all prefixes.
constexpr std::size_t kBytesPerSlice = 16 * 1024;
/// Output that may wait for the socket before no more UPDATEs are made.
constexpr std::size_t kOutputRoom = 64 * 1024;

constexpr std::array kDirections{Direction::Outgoing, Direction::Incoming};

constexpr Direction other(Direction direction) {
    return direction == Direction::Outgoing ? Direction::Incoming : Direction::Outgoing;
}

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

/// RFC 4486 4: family and limit.
Notification too_many_prefixes(AfiSafi family, std::uint32_t limit) {
    Writer data;
    data.u16(family.afi);
    data.u8(family.safi);
    data.u32(limit);
    return notification(ErrorCode::Cease, cease::kMaximumPrefixes, data.view());
}

}  // namespace

Peer::Peer(const SpeakerConfig& speaker, PeerConfig config, Ribs& ribs, const Random& random)
    : speaker_(speaker),
      config_(std::move(config)),
      source_{.kind = kind_of(speaker, config_), .identifier = {}, .address = config_.address},
      links_{
          Link{Direction::Outgoing, config_.timers, random},
          Link{Direction::Incoming, config_.timers, random}},
      routes_{PeerRib<V4>{ribs, source_}, PeerRib<V6>{ribs, source_}} {}

void Peer::start(Time now) {
    wanted_ = true;
    balance(now);
}

void Peer::stop(const Notification& why, Time now) {
    wanted_ = false;
    for (const Direction direction : kDirections) {
        feed(direction, event::Stop{why}, now);
    }
}

void Peer::restart(const Notification& why, Time now) {
    stop(why, now);
    start(now);
}

bool Peer::needs_restart(const PeerConfig& changed) const {
    PeerConfig same = changed;
    same.description = config_.description;
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
    same.next_hop_self = config_.next_hop_self;
    same.allow_own_as = config_.allow_own_as;
    same.enforce_first_as = config_.enforce_first_as;
    return same != config_;
}

void Peer::reconfigure(const PeerConfig& config) {
    config_ = config;
    for (Link& each : links_) {
        each.fsm.set_timers(config_.timers);
    }
    if (!established_) {
        return;
    }
    const Ends now_ends = ends(link(*established_));
    std::apply(
        [&](auto&... each) { ((each.up() ? each.reconfigure(now_ends, config_) : void()), ...); },
        routes_);
}

bool Peer::accept(Time now) {
    Link& incoming = link(Direction::Incoming);
    tick(now);  // a pause that is just over must not cost a connection
    if (wanted_ && incoming.fsm.state() == State::OpenSent) {
        // The peer gave up on the older one, or it would not call again.
        feed(Direction::Incoming, event::TcpFailed{"replaced by a newer connection"}, now);
    }
    return wanted_ && incoming.fsm.state() == State::Active;
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
    balance(now);
}

Time Peer::next_deadline() const {
    return std::min(links_[0].fsm.next_deadline(), links_[1].fsm.next_deadline());
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
        encode_open(make_open(local_side(), config_), on.output);
        sent(MessageType::Open);
    } else if (std::holds_alternative<action::SendKeepalive>(what)) {
        encode_keepalive(on.output);
        sent(MessageType::Keepalive);
    } else if (const auto* farewell = std::get_if<action::SendNotification>(&what)) {
        encode_notification(farewell->what, on.output);
        sent(MessageType::Notification);
    } else if (std::holds_alternative<action::SessionUp>(what)) {
        session_up(direction, now);
    } else if (std::holds_alternative<action::SessionDown>(what)) {
        session_down();
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
            return on_route_refresh(direction, message.body(), now);
    }
}

void Peer::on_open(Direction direction, Bytes body, Time now) {
    Link& from = link(direction);
    if (from.fsm.state() != State::OpenSent) {
        return feed(direction, event::OpenReceived{}, now);  // an error in every other state
    }
    auto decoded = decode_open(body);
    if (auto* bad = std::get_if<Notification>(&decoded)) {
        return feed(direction, event::MessageRefused{std::move(*bad)}, now);
    }
    const Open& open = std::get<Open>(decoded);
    auto terms = negotiate(local_side(), config_, open);
    if (auto* bad = std::get_if<Notification>(&terms)) {
        return feed(direction, event::MessageRefused{std::move(*bad)}, now);
    }
    if (!survives_collision(direction, open, now)) {
        return feed(direction, event::CollisionLost{}, now);
    }
    from.terms = std::get<Terms>(std::move(terms));
    feed(direction, event::OpenReceived{from.terms->hold_time}, now);
}

bool Peer::survives_collision(Direction direction, const Open& open, Time now) {
    const State opposite = link(other(direction)).fsm.state();
    if (opposite == State::Established) {
        return false;
    }
    if (opposite != State::OpenConfirm) {
        return true;
    }
    const LocalSide local = local_side();
    const Direction survivor = collision_survivor(
        {.identifier = local.identifier, .asn = local.asn},
        {.identifier = open.identifier, .asn = open.asn()});
    if (survivor != direction) {
        return false;
    }
    perform(other(direction), link(other(direction)).fsm.on(event::CollisionLost{}, now), now);
    return true;
}

void Peer::on_update(Direction direction, Bytes body, Time now) {
    feed(direction, event::UpdateReceived{}, now);
    Link& from = link(direction);
    if (from.fsm.state() != State::Established) {
        return;
    }
    auto decoded = decode_update(
        body, AttributeContext{.as_width = from.terms->as_width, .peer = source_.kind});
    if (auto* bad = std::get_if<Notification>(&decoded)) {
        return feed(direction, event::MessageRefused{std::move(*bad)}, now);
    }
    Update& update = std::get<Update>(decoded);
    if (!update.faults.empty()) {
        ++malformed_updates_;
        last_malformed_ = update.faults.front();
        if (faults_.size() < 8) {
            faults_.push_back(std::move(update.faults.front()));
        }
    }
    receive_routes<V4>(direction, update.of<V4>(), now);
    receive_routes<V6>(direction, update.of<V6>(), now);
}

template <Family F>
void Peer::receive_routes(Direction direction, const Reach<F>& reach, Time now) {
    if (rib<F>().up() && !rib<F>().receive(reach)) {
        const std::uint32_t limit =
            std::is_same_v<F, V4> ? config_.ipv4.maximum_prefixes : config_.ipv6.maximum_prefixes;
        const AfiSafi family{.afi = F::kAfi, .safi = kSafiUnicast};
        feed(direction, event::MessageRefused{too_many_prefixes(family, limit)}, now);
    }
}

void Peer::on_route_refresh(Direction direction, Bytes body, Time now) {
    feed(direction, event::RouteRefreshReceived{}, now);
    if (link(direction).fsm.state() != State::Established) {
        return;
    }
    const RouteRefresh asked = decode_route_refresh(body);
    // RFC 2918 4: families that were not agreed on are ignored; RFC 7313's markers we did not offer.
    if (asked.subtype == 0 && asked.family == kIpv4Unicast && rib<V4>().up()) {
        rib<V4>().refresh();
    } else if (asked.subtype == 0 && asked.family == kIpv6Unicast && rib<V6>().up()) {
        rib<V6>().refresh();
    }
}

void Peer::session_up(Direction direction, Time now) {
    const Link& on = link(direction);
    established_ = direction;
    established_since_ = now;
    ++established_count_;
    const Ends session_ends = ends(on);
    const AttributeContext context{.as_width = on.terms->as_width, .peer = source_.kind};
    const auto begin = [&](auto& rib, bool agreed) {
        if (agreed) {
            rib.begin(session_ends, context, config_);
        }
    };
    // begin() drains what the last session left, so the source changes after it at the earliest.
    begin(rib<V4>(), on.terms->ipv4);
    begin(rib<V6>(), on.terms->ipv6);
    source_.identifier = on.terms->identifier;
}

void Peer::session_down() {
    established_.reset();
    rib<V4>().end();
    rib<V6>().end();
}

bool Peer::work() {
    bool more = rib<V4>().work();
    more = rib<V6>().work() || more;
    if (!established_) {
        return more;
    }
    std::vector<std::uint8_t>& output = link(*established_).output;
    if (output.size() < kOutputRoom) {
        sent_.updates += rib<V4>().pack(kOutputRoom, output);
        sent_.updates += rib<V6>().pack(kOutputRoom, output);
    }
    return more;
}

bool Peer::drained() const {
    return routes<V4>().drained() && routes<V6>().drained();
}

State Peer::state() const {
    return std::max(links_[0].fsm.state(), links_[1].fsm.state());
}

LocalSide Peer::local_side() const {
    return LocalSide{.asn = local_as_of(speaker_, config_), .identifier = speaker_.router_id};
}

Ends Peer::ends(const Link& link) const {
    return Ends{
        .kind = source_.kind,
        .local_as = local_as_of(speaker_, config_),
        .peer_as = config_.asn,
        .local_identifier = speaker_.router_id,
        .local_address = link.local_address,
        .enforce_first_as = config_.enforce_first_as,
        .allow_own_as = config_.allow_own_as,
        .next_hop_self = config_.next_hop_self};
}

PeerSummary Peer::summary(Time now) const {
    const auto since = [now](Time then) {
        return std::chrono::duration_cast<std::chrono::seconds>(now - then);
    };
    PeerSummary summary;
    summary.address = config_.address;
    summary.description = config_.description;
    summary.asn = config_.asn;
    summary.local_as = local_as_of(speaker_, config_);
    summary.kind = source_.kind;
    summary.state = state();
    summary.received = received_;
    summary.sent = sent_;
    summary.established_count = established_count_;
    summary.malformed_updates = malformed_updates_;
    summary.ipv4 = routes<V4>().summary();
    summary.ipv6 = routes<V6>().summary();
    summary.last_error = last_error_;
    summary.last_malformed = last_malformed_;
    if (established_) {
        const Link& on = link(*established_);
        summary.uptime = since(established_since_);
        summary.local_address = on.local_address;
        summary.identifier = on.terms->identifier;
        summary.hold_time = on.terms->hold_time;
        summary.capabilities = on.terms->capabilities;
    }
    if (!last_error_.empty()) {
        summary.last_error_age = since(last_error_at_);
    }
    return summary;
}

}  // namespace vr::bgp
