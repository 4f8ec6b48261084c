// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_routes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>

#include "vrouter/machine.h"
#include "vrouter/services/nd.h"

namespace vr::daemon {

namespace {

/// Gateways behind gateways that are followed.
constexpr unsigned kMostGateways = 4;

/// Routes looked at in one turn when those that are stale go.
constexpr std::size_t kSweepSlice = 512;

/// So many changes are not left for a later turn: writing a route to the FIB takes as long as telling it, and
/// whoever tells them looks at the clock.
constexpr std::size_t kCommitSlice = 256;

/// Answers looked at in one turn when ways have changed, and those of them that are found anew.
constexpr std::size_t kCompareSlice = 1024;
constexpr std::size_t kAnswerSlice = 128;

/// Elements of a map or set that are freed in one turn.
constexpr std::size_t kFreeSlice = 2048;

/// Thousands of elements take milliseconds to free.
template <typename Elements>
void free_slowly(boost::asio::io_context& loop, std::unique_ptr<Elements> elements) {
    const std::size_t count = std::min(kFreeSlice, elements->size());
    elements->erase(
        elements->begin(), std::next(elements->begin(), static_cast<std::ptrdiff_t>(count)));
    if (!elements->empty()) {
        boost::asio::post(loop, [&loop, elements = std::move(elements)]() mutable {
            free_slowly(loop, std::move(elements));
        });
    }
}

/// The port whose network `address` itself is in; 0: there is a gateway on the way.
Zone zone_of_way(const GatewayWay& way, const IpAddr& address) {
    const bool here = way.stations.size() == 1 && way.stations.front().address == address;
    return here ? way.stations.front().port.value() : Zone{0};
}

/// How long answers that could not be kept, or found anew, may be old where ways change.
constexpr std::chrono::seconds kPause{1};

}  // namespace

BgpRoutes::BgpRoutes(
    boost::asio::io_context& loop,
    RouteTable& routes,
    PortOf port,
    std::function<void()> commit,
    Moved moved)
    : loop_(loop),
      routes_(routes),
      port_(std::move(port)),
      commit_(std::move(commit)),
      moved_(std::move(moved)),
      timer_(loop) {
    routes_.watch_ways([this](ChangedWays changed) { note_changed_ways(std::move(changed)); });
}

BgpRoutes::~BgpRoutes() {
    routes_.watch_ways({});
}

void BgpRoutes::update(const IpPrefix& prefix, const bgp::LearntRoute& route) {
    // Where link-local addresses are is no peer's word.
    if (const auto* v6 = std::get_if<Prefix<V6>>(&prefix); v6 && v6->address().is_link_local()) {
        return;
    }
    const bool external = route.from == bgp::PeerKind::External;
    // A prefix that changes from one kind of peer to the other must not keep both.
    routes_.remove(prefix, external ? RouteSource::IBgp : RouteSource::EBgp);
    routes_.set(
        prefix, external ? RouteSource::EBgp : RouteSource::IBgp, Gateways{route.next_hops});
    if (told_again_) {
        told_again_->add(prefix);
    }
    commit_some();
}

void BgpRoutes::withdraw(const IpPrefix& prefix) {
    routes_.remove(prefix, RouteSource::EBgp);
    routes_.remove(prefix, RouteSource::IBgp);
    commit_some();
}

void BgpRoutes::avoid(const IpAddr& next_hop, bool avoid) {
    if (avoid) {
        avoided_.insert(next_hop);
        routes_.avoid(next_hop, true);
        commit_();  // before any of the routes that are about to change
        return;
    }
    avoided_.erase(next_hop);
    // Once the last routes over it, staged before this, are out of the FIB.
    boost::asio::post(loop_, [this, next_hop, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired() && !avoided_.contains(next_hop)) {
            routes_.avoid(next_hop, false);
            commit_soon();
        }
    });
}

void BgpRoutes::ToldAgain::add(const IpPrefix& prefix) {
    if (const auto* of4 = std::get_if<Prefix<V4>>(&prefix)) {
        v4[*of4] = true;
    } else {
        v6[std::get<Prefix<V6>>(prefix)] = true;
    }
}

bool BgpRoutes::ToldAgain::contains(const IpPrefix& prefix) const {
    const auto* of4 = std::get_if<Prefix<V4>>(&prefix);
    return of4 != nullptr ? v4.find(*of4) != nullptr
                          : v6.find(std::get<Prefix<V6>>(prefix)) != nullptr;
}

void BgpRoutes::begin_restart() {
    told_again_ = std::make_unique<ToldAgain>();
    swept_ = {};
    sweeps_ = false;
    forget_answers();
    for (const IpAddr& next_hop : std::exchange(avoided_, {})) {
        routes_.avoid(next_hop, false);
    }
    commit_soon();
}

void BgpRoutes::forget_answers() {
    free_slowly(loop_, std::make_unique<decltype(answers_)>(std::exchange(answers_, {})));
    free_slowly(loop_, std::make_unique<std::set<IpAddr>>(routes_.forget_watched()));
    forgot_answers_ = false;
    asks_slowly_ = false;
    to_compare_.reset();
    comparing_.reset();
}

void BgpRoutes::restart_done() {
    if (told_again_ && !std::exchange(sweeps_, true)) {
        sweep();
    }
}

/// Removes what is stale in the next slice of all routes, and comes back for more.
void BgpRoutes::sweep() {
    std::vector<IpPrefix> stale;
    const bool more = routes_.visit_slice(swept_, kSweepSlice, [&](const RouteView& route) {
        if (is_of_bgp(route.source) && !told_again_->contains(route.prefix)) {
            stale.push_back(route.prefix);
        }
    });
    for (const IpPrefix& prefix : stale) {
        withdraw(prefix);
    }
    if (!more) {
        told_again_.reset();
        sweeps_ = false;
        return;
    }
    boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired() && sweeps_) {
            sweep();
        }
    });
}

std::optional<std::uint32_t> BgpRoutes::metric(const IpAddr& next_hop) const {
    Answer answer = answer_for(next_hop);
    const bool reachable = answer.reachable;
    if (answers_.size() < bgp::kMostNextHops || answers_.contains(next_hop)) {
        answers_.insert_or_assign(next_hop, std::move(answer));
        routes_.watch(next_hop);
    } else {
        forgot_answers_ = true;
        routes_.watch_all();
    }
    return reachable ? std::optional<std::uint32_t>{0} : std::nullopt;
}

std::vector<IpPrefix> BgpRoutes::way_to(const IpAddr& next_hop) const {
    const auto known = answers_.find(next_hop);
    return known != answers_.end() ? known->second.over : answer_for(next_hop).over;
}

bool BgpRoutes::is_settled() const {
    return !routes_.is_finding_ways() && !to_compare_ && !comparing_ && !moved_posted_;
}

auto BgpRoutes::answer_for(const IpAddr& next_hop) const -> Answer {
    GatewayWay way = routes_.way_to(next_hop);
    const auto now = std::chrono::steady_clock::now();
    const bool held = !way.bgp.empty() && guard_.holds(next_hop, now);
    std::vector<IpPrefix> over;
    std::ranges::set_union(way.bgp, guard_.held_over(next_hop, now), std::back_inserter(over));
    return {
        .reachable = !way.stations.empty() && !held,
        .over = std::move(over),
        .asked = std::move(way.asked),
        .zone = zone_of_way(way, next_hop),
        .interface = std::nullopt};
}

/// False when more flips than can be counted.
bool BgpRoutes::note_flips(
    const IpAddr& next_hop,
    const Answer& old,
    const Answer& present,
    std::chrono::steady_clock::time_point now) {
    bool counted = true;
    if (present.reachable != old.reachable && (!present.over.empty() || !old.over.empty())) {
        counted = guard_.flipped({.next_hop = next_hop, .over = std::nullopt}, now);
    }
    // One that came is new or has left before.
    std::vector<IpPrefix> left;
    std::ranges::set_difference(old.over, present.over, std::back_inserter(left));
    for (const IpPrefix& prefix : left) {
        counted = guard_.flipped({.next_hop = next_hop, .over = prefix}, now) && counted;
    }
    return counted;
}

Zone BgpRoutes::zone_to(const IpAddr& peer) const {
    return zone_of_way(routes_.way_to(peer), peer);
}

std::optional<Ip6> BgpRoutes::link_local_beside(Ip6 own, Zone link) const {
    const PortRecord* port = port_(PortId{link});
    const bool ours = port != nullptr && std::ranges::count(port->addresses, IpAddr{own}) != 0;
    return ours ? std::optional{nd::link_local(port->mac)} : std::nullopt;
}

std::string BgpRoutes::interface_to(const IpAddr& destination) const {
    std::string interface = find_interface(destination);
    if (const auto known = answers_.find(destination); known != answers_.end()) {
        known->second.interface = interface;
    }
    return interface;
}

std::string BgpRoutes::find_interface(const IpAddr& destination) const {
    const auto name_of = [this](PortId id) {
        const PortRecord* port = port_(id);
        return port == nullptr ? std::string{} : port->name;
    };
    auto route = routes_.lookup(destination);
    for (unsigned depth = 0; route && depth < kMostGateways; ++depth) {
        if (const auto* station = std::get_if<Adjacency>(&route->target)) {
            return name_of(station->port);
        }
        if (const auto* network = std::get_if<Connected>(&route->target)) {
            return name_of(network->port);
        }
        const auto* gateways = std::get_if<Gateways>(&route->target);
        if (gateways == nullptr || gateways->addresses.empty()) {
            return {};
        }
        route = routes_.lookup(gateways->addresses.front());
    }
    return {};
}

void BgpRoutes::note_changed_ways(ChangedWays changed) {
    if (moved_posted_ || asks_slowly_) {
        return;  // all will be asked for again
    }
    if (to_compare_) {
        to_compare_->gateways.merge(changed.gateways);
        to_compare_->routes.merge(changed.routes);
    } else {
        to_compare_ = std::move(changed);
    }
    compare_soon();
}

void BgpRoutes::compare_soon() {
    if (std::exchange(compare_posted_, true)) {
        return;
    }
    boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) {
            compare_posted_ = false;
            compare_some();
        }
    });
}

/// Compares the next slice of answers, and tells of those that differ.
void BgpRoutes::compare_some() {
    if (!comparing_) {
        if (!to_compare_) {
            return;  // they were forgotten
        }
        comparing_ = Comparison{.changed = std::move(*to_compare_), .next = std::nullopt};
        to_compare_.reset();
    }
    const auto now = std::chrono::steady_clock::now();
    std::vector<IpAddr> moved;
    std::size_t found = 0;
    auto at = comparing_->next ? answers_.lower_bound(*comparing_->next) : answers_.begin();
    for (std::size_t seen = 0; at != answers_.end() && seen < kCompareSlice && found < kAnswerSlice;
         ++at, ++seen) {
        auto& [next_hop, answer] = *at;
        if (!comparing_->changed.concern(next_hop, answer.asked)) {
            continue;
        }
        ++found;
        Answer present = answer_for(next_hop);
        if (answer.interface) {
            present.interface = find_interface(next_hop);
        }
        if (answer.reachable && !present.reachable && !present.asked.empty() &&
            routes_.is_settling()) {
            // It leads over a gateway that may not be found yet: as before until that is told.
            answer.asked = std::move(present.asked);
            ask_again_at(now + kPause);
            continue;
        }
        if (!present.says_the_same(answer)) {
            moved.push_back(next_hop);
            asks_slowly_ = !note_flips(next_hop, answer, present, now) || asks_slowly_;
        }
        answer = std::move(present);
    }
    if (at == answers_.end()) {
        end_comparison();
    } else {
        comparing_->next = at->first;
        compare_soon();
    }
    const bool awaited = told_again_ && is_settled();
    if ((!moved.empty() || awaited) && !asks_slowly_) {
        moved_(&moved);
    }
}

void BgpRoutes::end_comparison() {
    comparing_.reset();
    if (to_compare_) {
        compare_soon();
    }
    const auto now = std::chrono::steady_clock::now();
    if (forgot_answers_ || asks_slowly_) {
        ask_again_at(now + kPause);  // whether those differ, or how often, cannot be told
    }
    if (const auto release = guard_.next_release(now)) {
        ask_again_at(*release);
    }
}

void BgpRoutes::ask_again_at(std::chrono::steady_clock::time_point time) {
    if (asks_at_ && *asks_at_ <= time) {
        return;
    }
    asks_at_ = time;
    timer_.expires_at(time);
    timer_.async_wait(
        [this, alive = std::weak_ptr<bool>(alive_)](const boost::system::error_code& error) {
            if (error || alive.expired()) {
                return;
            }
            asks_at_.reset();
            ask_again();
            if (const auto next = guard_.next_release(std::chrono::steady_clock::now())) {
                ask_again_at(*next);
            }
        });
}

void BgpRoutes::ask_again() {
    if (std::exchange(moved_posted_, true)) {
        return;
    }
    boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) {
            moved_posted_ = false;
            // Those that are still wanted are asked for again.
            forget_answers();
            moved_(nullptr);
        }
    });
}

void BgpRoutes::commit_some() {
    if (++staged_ == kCommitSlice) {
        staged_ = 0;
        commit_();
    } else {
        commit_soon();
    }
}

void BgpRoutes::commit_soon() {
    if (std::exchange(commit_posted_, true)) {
        return;
    }
    boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) {
            commit_posted_ = false;
            staged_ = 0;
            commit_();
        }
    });
}

}  // namespace vr::daemon
