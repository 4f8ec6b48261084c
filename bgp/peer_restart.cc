// What of a peer's routes outlives its sessions: graceful restart (RFC 4724, 8538) and what lives on
// after it (RFC 9494).
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "bgp/peer.h"

namespace vr::bgp {

void Peer::session_up(Direction direction, Time now) {
    const Link& on = link(direction);
    established_ = direction;
    established_since_ = now;
    ++established_count_;
    forwarding_kept_ = true;
    told_left_out_ = false;
    path_ = Path::Good;
    source_.identifier = on.terms->identifier;
    source_.path_ids4 = on.terms->paths4.receive;
    source_.path_ids6 = on.terms->paths6.receive;
    ribs_.sources.changed(source_);
    // RFC 4724 4.2: kept only where the peer's forwarding went on, family by family.  Of another AS there
    // is another router at this address.
    const Asn before = std::exchange(last_asn_, on.terms->asn);
    const bool is_same = before.value() == 0 || before == last_asn_;
    restart_ = on.terms->graceful_restart;
    long_lived_ = on.terms->long_lived;
    begin_routes<V4>(on, is_same);
    begin_routes<V6>(on, is_same);
    back_until_.reset();
    if (rib<V4>().has_stale() || rib<V6>().has_stale()) {
        done_until_ = now + config_.graceful_restart.stale_time;
    }
    forget_done();
    tell_missing_next_hops();
}

template <Family F>
void Peer::begin_routes(const Link& on, bool is_same) {
    using Old = typename PeerRib<F>::Old;
    constexpr AfiSafi kFamily{.afi = F::kAfi, .safi = kSafiUnicast};
    const auto forwarded = [&](const auto& restart) {
        const auto* member = restart ? restart->find(kFamily) : nullptr;
        return member != nullptr && member->forwarding;
    };
    PeerRib<F>& routes = rib<F>();
    // Each of the two capabilities speaks for what is kept by it.
    const bool kept = is_same && (forwarded(restart_) || !routes.has_good_stale()) &&
                      (forwarded(long_lived_) || !routes.has_long_lived());
    if (!kept) {
        long_life<F>() = {};
    }
    if (on.terms->has<F>()) {
        const Outlet outlet{.output = &link(*established_).output, .sent = &sent_};
        routes.begin(ends(on), context(*on.terms), config_, kept ? Old::Keep : Old::Drop, outlet);
    } else {
        routes.end(Old::Drop);
    }
}

void Peer::session_down(Ending how, Time now) {
    established_.reset();
    refresh_paces_ = {};
    done_until_.reset();
    end_routes<V4>(how, now);
    end_routes<V6>(how, now);
    if (rib<V4>().has_stale() || rib<V6>().has_stale()) {
        back_until_ = now + std::max(restart_time(kIpv4Unicast), restart_time(kIpv6Unicast));
    }
    // Long-lived only, RFC 9494 4.2: such a family has no restart time.
    if (restart_ && restart_->find(kIpv4Unicast) == nullptr) {
        outlive_restart<V4>(now);
    }
    if (restart_ && restart_->find(kIpv6Unicast) == nullptr) {
        outlive_restart<V6>(now);
    }
}

/// A session that has not said all leaves what was stale before it.  RFC 9494 4.2 keeps that where RFC
/// 4724 4.2 deletes it, so it becomes the last resort now, and however often sessions break off, its time
/// is not set again, whatever they say of it.  When that is over before a session has said all, everything leaves with it.
template <Family F>
void Peer::end_routes(Ending how, Time now) {
    using Old = typename PeerRib<F>::Old;
    constexpr AfiSafi kFamily{.afi = F::kAfi, .safi = kSafiUnicast};
    PeerRib<F>& routes = rib<F>();
    LongLife& life = long_life<F>();
    const bool said_all = routes.end_of_rib_received();
    const bool runs = !said_all && life.until;
    const bool kept = routes.up() && keeps(kFamily, how, runs) && (said_all || !life.over);
    const auto time = long_lived_time(kFamily);
    const bool lives_on = kept && !said_all && (time.count() != 0 || runs);
    life.over = false;
    if (!lives_on) {
        life.until.reset();
    } else if (!life.until && routes.has_stale()) {
        life.until = now + restart_time(kFamily) + time;
    }
    routes.end(lives_on ? Old::KeepAll : kept ? Old::Keep : Old::Drop);
}

bool Peer::keeps(AfiSafi family, Ending how, bool lives_on) const {
    return restart_ &&
           ((restart_->seconds != 0 && restart_->find(family) != nullptr) ||
            long_lived_time(family).count() != 0 || lives_on) &&
           (how == Ending::Lost || (how == Ending::Notified && restart_->notification));
}

/// How long the peer may be away until its routes leave or become the last resort.
std::chrono::seconds Peer::restart_time(AfiSafi family) const {
    const bool listed = restart_ && restart_->find(family) != nullptr;
    return std::min(
        std::chrono::seconds{listed ? restart_->seconds : 0}, config_.graceful_restart.stale_time);
}

/// How long the peer's routes may live on; 0: they may not.
std::chrono::seconds Peer::long_lived_time(AfiSafi family) const {
    const bool wanted = (family == kIpv4Unicast ? config_.ipv4 : config_.ipv6).long_lived;
    const auto* member = long_lived_ && wanted ? long_lived_->find(family) : nullptr;
    const std::chrono::seconds its{member != nullptr ? member->seconds : 0};
    return std::min(its, config_.graceful_restart.long_lived_time);
}

LongLivedRoutes Peer::long_lived_routes(const Link& link) const {
    // Said without graceful restart it is as not said (RFC 9494 4.5); whether we keep routes of it is
    // another matter.
    const auto* said = link.terms ? &link.terms->capabilities : nullptr;
    if (said != nullptr && said->graceful_restart && said->long_lived) {
        return LongLivedRoutes::Told;
    }
    return config_.long_lived_to_all && source_.kind == PeerKind::Internal
               ? LongLivedRoutes::Demoted
               : LongLivedRoutes::Withheld;
}

/// RFC 4724 4.2: a peer that is not back in time, or does not get done, loses what was kept for it;
/// RFC 9494 4.2: unless that may live on.
void Peer::tick_restart(Time now) {
    const auto over = [now](const std::optional<Time>& until) { return until && *until <= now; };
    if (over(done_until_)) {
        done_until_.reset();
        end_wait<V4>();
        end_wait<V6>();
    }
    if (over(back_until_)) {
        back_until_.reset();
        outlive_restart<V4>(now);
        outlive_restart<V6>(now);
    }
    end_long_life<V4>(now);
    end_long_life<V6>(now);
}

/// The peer does not get done.  RFC 9494 4.2: what lives on does so until its own time is over.
template <Family F>
void Peer::end_wait() {
    if (!long_life<F>().until) {
        rib<F>().drop_stale();
    } else if (rib<F>().has_good_stale()) {
        rib<F>().begin_long_lived();
    }
}

template <Family F>
void Peer::outlive_restart(Time now) {
    const auto time = long_lived_time({.afi = F::kAfi, .safi = kSafiUnicast});
    if ((time.count() == 0 && !long_life<F>().until) || !rib<F>().has_stale()) {
        return rib<F>().drop_stale();
    }
    rib<F>().begin_long_lived();
    if (!long_life<F>().until) {
        long_life<F>().until = now + time;
    }
}

/// RFC 9494 4.2: all that is stale leaves, of whichever session.
template <Family F>
void Peer::end_long_life(Time now) {
    LongLife& life = long_life<F>();
    if (life.until && *life.until <= now) {
        life = {.until = {}, .over = rib<F>().up()};
        rib<F>().drop_stale();
    }
}

void Peer::drop_stale() {
    back_until_.reset();
    done_until_.reset();
    long_lives_ = {};
    rib<V4>().drop_stale();
    rib<V6>().drop_stale();
}

bool Peer::has_said_all() const {
    const auto done = [](const auto& rib) { return !rib.up() || rib.end_of_rib_received(); };
    // RFC 5882 4.3.2: where forwarding failed, a restart of ours is over as far as the peer's routes go:
    // those that nobody else offers leave with the rest that is stale.  When it may be only its control
    // part, they are avoided and kept, or BFD and graceful restart could not live together.
    return shut_down_ || path_ == Path::Dead || (was_ == Was::Away && !established_) ||
           (established_ && done(routes<V4>()) && done(routes<V6>()));
}

bool Peer::is_waited_for() const {
    // RFC 4724 4.1: those that restart too wait for us; without graceful restart few say when they are done.
    const bool says_nothing = established_ ? !restart_ || restart_->restarting : was_ == Was::Plain;
    return !has_said_all() && !says_nothing && !is_path_lost();
}

RestartSummary Peer::restart_summary(Time now) const {
    const auto left = [now](std::optional<Time> until) {
        return until ? std::optional{std::chrono::ceil<std::chrono::seconds>(*until - now)}
                     : std::nullopt;
    };
    RestartSummary summary;
    summary.back_within = left(back_until_);
    summary.done_within = left(done_until_);
    summary.forgotten_within = left(std::max(long_lives_[0].until, long_lives_[1].until));
    summary.long_lived_time =
        std::max(long_lived_time(kIpv4Unicast), long_lived_time(kIpv6Unicast));
    if (restart_) {
        summary.agreed = true;
        summary.notification = restart_->notification;
        summary.peer_time = std::chrono::seconds{restart_->seconds};
    }
    // What we ask for; a peer that knows the capability, if only as a helper, does so (RFC 4724 4.2).
    const Open ours = make_open(local_side(), config_);
    if (restart_ && !ours.capabilities.graceful_restart->members.empty()) {
        summary.our_time = std::chrono::seconds{ours.capabilities.graceful_restart->seconds};
    }
    if (long_lived_ && !ours.capabilities.long_lived->members.empty()) {
        summary.our_long_lived_time =
            std::chrono::seconds{ours.capabilities.long_lived->members.front().seconds};
    }
    return summary;
}

}  // namespace vr::bgp
