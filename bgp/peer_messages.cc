// What a peer's messages do to the session: OPEN, UPDATE and ROUTE-REFRESH.
// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "bgp/peer.h"

namespace vr::bgp {
namespace {

/// A session that lived this long was no collision of two calls at the start.
constexpr std::chrono::seconds kSettled{10};

/// Between two lines of the log about malformed UPDATEs.
constexpr std::chrono::seconds kMalformedPause{1};

/// RFC 4486 4: family and limit.
Notification too_many_prefixes(AfiSafi family, std::uint32_t limit) {
    Writer data;
    data.u16(family.afi);
    data.u8(family.safi);
    data.u32(limit);
    return notification(ErrorCode::Cease, cease::kMaximumPrefixes, data.view());
}

}  // namespace

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
    if (is_fresh_start(direction, open, now)) {
        feed(other(direction), event::TcpFailed{"the peer has restarted"}, now);
    } else if (!survives_collision(direction, open, now)) {
        return feed(direction, event::CollisionLost{}, now);
    }
    from.terms = std::get<Terms>(std::move(terms));
    // RFC 8654 4: whoever said that it takes them does, whatever the peer said of itself.
    from.framer.set_most(config_.extended_messages ? kMaxExtendedMessage : kMaxMessage);
    feed(direction, event::OpenReceived{from.terms->hold_time}, now);
}

/// RFC 4724 5: a peer that says OPEN although a session stands has lost that session.  A call of the
/// peer that merely crossed ours at the start is a collision instead.
bool Peer::is_fresh_start(Direction direction, const Open& open, Time now) const {
    const bool stands = link(other(direction)).fsm.state() == State::Established;
    const auto& said = open.capabilities.graceful_restart;
    return stands && restart_ && direction == Direction::Incoming &&
           ((said && said->restarting) || now - established_since_ >= kSettled);
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
    AttributeContext reading = context(*from.terms);
    reading.path_ids4 = from.terms->paths4.receive;
    reading.path_ids6 = from.terms->paths6.receive;
    auto decoded = decode_update(body, reading);
    if (auto* bad = std::get_if<Notification>(&decoded)) {
        return feed(direction, event::MessageRefused{std::move(*bad)}, now);
    }
    Update& update = std::get<Update>(decoded);
    if (!update.faults.empty()) {
        ++malformed_updates_;
        ++untold_malformed_;
        last_malformed_ = std::move(update.faults.front());
        tell_malformed(now);
    }
    receive_routes<V4>(direction, std::move(update.of<V4>()), now);
    receive_routes<V6>(direction, std::move(update.of<V6>()), now);
    forget_done();
}

/// What RFC 7606 tolerates, line by line with a pause: a peer may send nothing else.
void Peer::tell_malformed(Time now) {
    if (untold_malformed_ == 0 || now < malformed_quiet_until_) {
        return;
    }
    warnings_.push_back(
        "malformed UPDATE: " + last_malformed_ +
        (untold_malformed_ == 1 ? "" : " (the last of " + std::to_string(untold_malformed_) + ")"));
    untold_malformed_ = 0;
    malformed_quiet_until_ = now + kMalformedPause;
}

/// What was stale is confirmed or gone: nothing to wait for.
void Peer::forget_done() {
    if (rib<V4>().end_of_rib_received()) {
        long_life<V4>() = {};
    }
    if (rib<V6>().end_of_rib_received()) {
        long_life<V6>() = {};
    }
    if (done_until_ && !rib<V4>().has_stale() && !rib<V6>().has_stale()) {
        done_until_.reset();
    }
}

template <Family F>
void Peer::receive_routes(Direction direction, Reach<F>&& reach, Time now) {
    const std::uint64_t left_out = rib<F>().left_out();
    const bool has_room = !rib<F>().up() || rib<F>().receive(std::move(reach));
    if (rib<F>().left_out() != left_out && !std::exchange(told_left_out_, true)) {
        warnings_.push_back(
            "more than " + std::to_string(PathList::kMostOfOne) +
            " paths to one prefix: those beyond are left out");
    }
    if (!has_room) {
        refuse_excess<F>(direction, now);
    }
}

/// Ends the session of a peer with more prefixes than it may have, RFC 4271 6.7.
template <Family F>
void Peer::refuse_excess(Direction direction, Time now) {
    const FamilyConfig& family = std::is_same_v<F, V4> ? config_.ipv4 : config_.ipv6;
    link(direction).fsm.set_next_pause(family.maximum_prefixes_restart);
    feed(
        direction,
        event::MessageRefused{
            too_many_prefixes({.afi = F::kAfi, .safi = kSafiUnicast}, family.maximum_prefixes)},
        now);
}

void Peer::enforce_limits(Time now) {
    if (established_ && rib<V4>().up() && rib<V4>().exceeds_maximum()) {
        refuse_excess<V4>(*established_, now);
    }
    if (established_ && rib<V6>().up() && rib<V6>().exceeds_maximum()) {
        refuse_excess<V6>(*established_, now);
    }
}

void Peer::on_route_refresh(Direction direction, const Framer::Message& message, Time now) {
    feed(direction, event::RouteRefreshReceived{}, now);
    if (link(direction).fsm.state() != State::Established) {
        return;
    }
    const Terms& terms = *link(direction).terms;
    const auto said = decode_route_refresh(message.body());
    if (!said) {
        constexpr std::size_t kLengthAt = 16;
        const Notification answer =
            terms.enhanced_refresh
                ? notification(ErrorCode::RouteRefresh, refresh_error::kBadLength, message.whole)
                : notification(
                      ErrorCode::Header,
                      header_error::kBadLength,
                      message.whole.subspan(kLengthAt, 2));
        return feed(direction, event::MessageRefused{answer}, now);
    }
    // RFC 2918 4: families that were not agreed on are ignored.
    if (said->family == kIpv4Unicast && rib<V4>().up()) {
        on_refresh_of<V4>(said->subtype, terms, now);
    } else if (said->family == kIpv6Unicast && rib<V6>().up()) {
        on_refresh_of<V6>(said->subtype, terms, now);
    }
}

template <Family F>
void Peer::on_refresh_of(std::uint8_t subtype, const Terms& terms, Time now) {
    if (subtype == 0) {
        RefreshPace& pace = refresh_paces_[std::is_same_v<F, V4> ? 0 : 1];
        if (!pace.due) {
            pace.due = std::max(now, pace.not_before);
            tick_refreshes(now);
        }
    } else if (!terms.enhanced_refresh) {
        return;  // RFC 7313 5: unknown subtypes are ignored
    } else if (subtype == refresh_marker::kBegin) {
        rib<F>().begin_refresh();
        done_until_ = now + config_.graceful_restart.stale_time;
    } else if (subtype == refresh_marker::kEnd) {
        rib<F>().end_refresh();
        forget_done();
    }
}

}  // namespace vr::bgp
