// SPDX-License-Identifier: Apache-2.0
#include "bgp/instance.h"

#include <fmt/core.h>

#include <algorithm>

#include "vrouter/net/format.h"
#include "vrouter/net/zone.h"

namespace vr::bgp {
namespace {

/// Prefixes decided per round when nobody listens; every update group makes a decision dearer.
constexpr std::size_t kDecisionsPerRound = 200;
/// Of them, those between two looks at the clock: hundreds of paths make one dear.
constexpr std::size_t kDecisionsAtOnce = 16;
/// Routes that peers go through per round, and that are asked for their next hops.
constexpr std::size_t kWalkSlice = 1024;
/// Next hops that are asked for again per round.
constexpr std::size_t kAskSlice = 64;

/// Not foreseeable for peers.
std::uint64_t seed_of(const Random& random) {
    constexpr double kRange = 4294967296.0;
    const auto word = [&] { return static_cast<std::uint64_t>(random() * kRange); };
    const std::uint64_t high = word();
    return high << 32U | word();
}

}  // namespace

Instance::Instance(
    SpeakerConfig config, RouteSink& sink, const NextHopOracle& oracle, Random random)
    : config_(std::move(config)),
      sink_(sink),
      random_(std::move(random)),
      ribs_(oracle, config_.multipath, seed_of(random_)) {
    own_.identifier = loaded_.identifier = config_.router_id;
    loaded_.loaded = true;
    ribs_.sources.add(own_);
    ribs_.sources.add(loaded_);
}

void Instance::start(Time now) {
    if (config_.selection_deferral) {
        ribs_.selection_deferred = true;
        deferred_until_ = stale_until_ = now + *config_.selection_deferral;
        quiet_until_ = now + kQuiet;
        keeps_stale_ = true;
    }
}

void Instance::tick(Time now) {
    if (deferred_until_ && *deferred_until_ <= now) {
        deferred_until_.reset();
    }
    if (stale_until_ && *stale_until_ <= now) {
        stale_until_.reset();
    }
    if (quiet_until_ && *quiet_until_ <= now) {
        quiet_until_.reset();
    }
}

bool Instance::dismantle() {
    if (ribs_.groups4.dismantle() || ribs_.groups6.dismantle() || ribs_.v4.dismantle() ||
        ribs_.v6.dismantle()) {
        return true;
    }
    if (!peers_.empty()) {
        peers_.erase(peers_.begin());
    }
    return !peers_.empty();
}

bool Instance::may_decide() {
    const auto awaited = [](const auto& each) { return each.second->is_waited_for(); };
    const bool more_come =
        peers_expected_ || (callers_expected_ ? quiet_until_.has_value() : peers_.empty());
    if (deferred_until_ && !more_come && std::ranges::none_of(peers_, awaited)) {
        deferred_until_.reset();
    }
    return !deferred_until_;
}

/// Selected and told for the first time since the restart: peers may have their End-of-RIB.  What the
/// machine has from before stays for those, too, whom selection did not wait for, and while it may still find
/// a next hop: what leads there would be told too late.
void Instance::end_restart() {
    const bool undecided = deferred_until_ || ribs_.v4.has_dirty() || ribs_.v6.has_dirty();
    const bool asks = resolving_ || !ribs_.next_hops.is_settled();
    if (!keeps_stale_ || undecided || (asks && stale_until_)) {
        return;
    }
    ribs_.selection_deferred = false;
    const auto said_all = [](const auto& each) { return each.second->has_said_all(); };
    if (!stale_until_ || std::ranges::all_of(peers_, said_all)) {
        keeps_stale_ = false;
        stale_until_.reset();
        sink_.restart_done();
    }
}

void Instance::set_config(const SpeakerConfig& config) {
    config_ = config;
    own_.identifier = loaded_.identifier = config_.router_id;
    ribs_.sources.changed(own_);
    ribs_.sources.changed(loaded_);
}

Result<void> Instance::check(const PeerConfig& config) const {
    const auto name = to_string(without_zone(config.address));
    if (config.asn.value() == 0 && !config.any_external_as) {
        return fail(fmt::format("peer {}: AS 0 is not an AS number", name));
    }
    const auto hold = config.timers.hold.count();
    if (hold != 0 && (hold < 3 || hold > 0xffff)) {
        return fail(
            fmt::format("peer {}: a hold time is 0 or 3 to 65535 seconds, not {}", name, hold));
    }
    if (!config.ipv4.enabled && !config.ipv6.enabled) {
        return fail(fmt::format("peer {}: no address family is enabled", name));
    }
    if (config.source && config.source->index() != config.address.index()) {
        return fail(fmt::format("peer {}: the source address is of the other family", name));
    }
    if (config.password.size() > 80) {
        return fail(fmt::format("peer {}: a TCP MD5 password has at most 80 octets", name));
    }
    return {};
}

Result<Peer*> Instance::add_peer(const PeerConfig& config, Time now) {
    if (auto good = check(config); !good) {
        return fail(std::move(good).error().text);
    }
    const auto [at, inserted] = peers_.try_emplace(config.address);
    if (!inserted) {
        return fail(
            fmt::format("peer {}: there is one already", to_string(without_zone(config.address))));
    }
    if (quiet_until_) {
        quiet_until_ = now + kQuiet;
    }
    at->second = std::make_unique<Peer>(config_, config, ribs_, random_);
    at->second->start(now);
    return at->second.get();
}

Peer* Instance::remove_peer(const IpAddr& address, const Notification& why, Time now) {
    const auto at = peers_.find(address);
    if (at == peers_.end()) {
        return nullptr;
    }
    at->second->stop(why, now);
    Peer* peer = leaving_.emplace_back(std::move(at->second)).get();
    peers_.erase(at);
    return peer;
}

Peer* Instance::find(const IpAddr& address) {
    const auto at = peers_.find(address);
    return at == peers_.end() ? nullptr : at->second.get();
}

void Instance::originate(const IpPrefix& prefix, const Attributes& attributes) {
    set_own(own_, prefix, attributes);
}

void Instance::load(const IpPrefix& prefix, const Attributes& attributes) {
    set_own(loaded_, prefix, attributes);
}

void Instance::set_own(
    const PathSource& source, const IpPrefix& prefix, const Attributes& attributes) {
    const AttributesRef set = ribs_.pool.intern(attributes);
    std::visit(
        [&]<Family F>(const Prefix<F>& of_family) {
            ribs_.of<F>().set(of_family, PathCell{.attributes = set, .source = source.id});
        },
        prefix);
}

template <Family F>
bool Instance::unload_family(std::size_t& index, std::size_t& left, std::size_t& gone) {
    LocRib<F>& loc = ribs_.of<F>();
    for (; index < loc.end() && left > 0; ++index, --left) {
        const auto id = static_cast<RouteId>(index);
        if (loc.at(id) != nullptr) {
            gone += loc.remove_where(
                id, [this](const PathCell& path) { return path.source == loaded_.id; });
        }
    }
    return index < loc.end();
}

bool Instance::unload(RouteCursor& cursor, std::size_t most, std::size_t& gone) {
    if (!cursor.ipv6) {
        if (unload_family<V4>(cursor.index, most, gone)) {
            return true;
        }
        cursor = RouteCursor{.ipv6 = true, .index = 0};
    }
    return unload_family<V6>(cursor.index, most, gone);
}

bool Instance::withdraw(const IpPrefix& prefix) {
    return std::visit(
        [&]<Family F>(const Prefix<F>& of_family) {
            return ribs_.of<F>().remove(of_family, own_.id).has_value();
        },
        prefix);
}

void Instance::next_hops_changed() {
    ribs_.next_hops.ask_all_again();
}

void Instance::next_hop_changed(const IpAddr& next_hop) {
    ribs_.next_hops.ask_again(next_hop);
}

void Instance::avoid_lost_peers() {
    std::set<IpAddr> lost;
    for (const auto& peer : leaving_) {
        if (peer->is_leaving()) {
            lost.insert(peer->config().address);
        }
    }
    for (const auto& [address, peer] : peers_) {
        if (peer->is_leaving() || has_lost_path(*peer)) {
            lost.insert(address);
        } else if (peer->state() == State::Established) {
            lost.erase(address);
        }
    }
    for (const IpAddr& address : lost) {
        if (avoided_.insert(address).second) {
            sink_.avoid(address, true);
        }
    }
    // Gone for the tables is not yet gone for the machine.
    const bool undecided = ribs_.v4.has_dirty() || ribs_.v6.has_dirty();
    std::erase_if(avoided_, [&](const IpAddr& address) {
        // Back while selection waits: what the machine has over it is from before the restart.
        const bool is_back = deferred_until_ && is_established(address);
        const bool over = !lost.contains(address) && (!undecided || is_back);
        if (over) {
            sink_.avoid(address, false);
        }
        return over;
    });
}

bool Instance::is_established(const IpAddr& address) const {
    const auto at = peers_.find(address);
    return at != peers_.end() && at->second->state() == State::Established;
}

/// True when a next hop is avoided that work() itself brings back.
bool Instance::avoids_for_now() const {
    return std::ranges::any_of(avoided_, [this](const IpAddr& address) {
        const auto at = peers_.find(address);
        return at == peers_.end() || !has_lost_path(*at->second);
    });
}

bool Instance::work(const Enough& enough) {
    while (round(enough)) {
        if (enough()) {
            return true;
        }
    }
    return false;
}

bool Instance::work() {
    return round([] { return false; });
}

bool Instance::round(const Enough& enough) {
    avoid_lost_peers();
    // Decisions first: what peers hear is the outcome, not every step on the way there.
    bool more = false;
    if (may_decide()) {
        more = decide<V4>(enough);
        more = decide<V6>(enough) || more;
    }
    more = ribs_.next_hops.ask_some(kAskSlice) || more;
    more = resolve() || more;
    end_restart();
    more = work_peers() || more;
    more = ribs_.groups4.work() || more;
    more = ribs_.groups6.work() || more;
    if (!ribs_.v4.has_dirty() && !ribs_.v6.has_dirty()) {
        std::erase_if(leaving_, [](const auto& peer) { return peer->drained(); });
    }
    const bool undecided = ribs_.v4.has_dirty() || ribs_.v6.has_dirty();
    const bool waits = undecided && deferred_until_;
    return more || (!waits && (undecided || !leaving_.empty() || avoids_for_now()));
}

template <Family F>
bool Instance::decide(const Enough& enough) {
    const std::size_t listeners = ribs_.groups<F>().size();
    const std::size_t most = std::max<std::size_t>(1, kDecisionsPerRound / (1 + listeners / 4));
    LocRib<F>& loc = ribs_.of<F>();
    const typename LocRib<F>::OnDecision publish_one =
        [this](RouteId id, const auto& route, const auto& change) {
            publish<F>(id, route, change);
        };
    for (std::size_t count = 0; count < most && loc.has_dirty();) {
        count += loc.decide_some(std::min(most - count, kDecisionsAtOnce), publish_one);
        if (enough()) {
            break;
        }
    }
    return loc.has_dirty();
}

template <Family F>
void Instance::publish(
    RouteId id, const typename LocRib<F>::Route& route, const typename LocRib<F>::Change& change) {
    if (change.forwarding) {
        next_hops_of<F>(route, ribs_.sources, learnt_.next_hops);
        if (learnt_.next_hops.empty()) {
            sink_.withdraw(route.prefix);
        } else {
            learnt_.from = ribs_.sources[route.best()->source].kind;
            sink_.update(route.prefix, learnt_);
        }
    }
    ribs_.groups<F>().route_changed(id, route, change.best_path);
}

bool Instance::resolve() {
    if (!resolving_) {
        if (!ribs_.next_hops.begin_walk()) {
            return false;
        }
        ribs_.v4.resolve_again();
        ribs_.v6.resolve_again();
        for_each_peer([](Peer& peer) { peer.next_hops_changed(); });
    }
    // What was found meanwhile is for the next walk: this one comes to its end, however often ways change.
    const bool more = ribs_.v4.resolve_some(kWalkSlice);
    resolving_ = ribs_.v6.resolve_some(kWalkSlice) || more;
    return true;
}

/// Peers that were lost together go through the table side by side: a prefix that all of them had is
/// decided once.
bool Instance::work_peers() {
    std::size_t left = kWalkSlice;
    bool more = true;
    while (more && left != 0) {
        more = false;
        const auto step = [&](Peer& peer) {
            std::size_t budget = std::min(left, LocRib<V4>::kChunk);
            left -= budget;
            more = peer.work(budget) || more;
            left += budget;
        };
        for (auto& peer : leaving_) {
            step(*peer);
        }
        for (auto& [address, peer] : peers_) {
            step(*peer);
        }
    }
    return more;
}

Time Instance::next_deadline() const {
    Time next = Time::max();
    for (const auto& own : {deferred_until_, stale_until_, quiet_until_}) {
        next = std::min(next, own.value_or(Time::max()));
    }
    for (const auto& [address, peer] : peers_) {
        next = std::min(next, peer->next_deadline());
    }
    return next;
}

namespace {

/// The candidates; what was refused is none.
template <Family F>
RouteSummary summarize(const typename LocRib<F>::Route& route, const Sources& sources) {
    RouteSummary summary{.prefix = route.prefix, .paths = {}};
    for (const PathCell& path : route.paths.cells()) {
        if (path.refused) {
            continue;
        }
        const PathSource& source = sources[path.source];
        const bool own = source.kind == PeerKind::Local;
        summary.paths.push_back(PathSummary{
            .peer = own ? std::nullopt : std::optional{source.address},
            .kind = source.kind,
            .path_id = source.path_ids<F>() ? std::optional{path.path_id} : std::nullopt,
            .attributes = *path.attributes,
            .lost_at = path.lost_at,
            .multipath = path.multipath});
    }
    return summary;
}

}  // namespace

template <Family F>
bool Instance::visit_family(std::size_t& index, std::size_t& left, const VisitRoute& visit) const {
    constexpr std::size_t kFreeSlots = 64;  // that cost as much as one path
    const LocRib<F>& loc = ribs_.of<F>();
    std::size_t skipped = 0;
    for (; index < loc.end() && left > 0; ++index) {
        const auto* route = loc.at(static_cast<RouteId>(index));
        if (route == nullptr) {
            left -= ++skipped % kFreeSlots == 0 ? 1 : 0;
            continue;
        }
        RouteSummary summary = summarize<F>(*route, ribs_.sources);
        left -= std::min(left, std::max<std::size_t>(1, route->paths.size()));
        if (!summary.paths.empty()) {
            visit(summary);
        }
    }
    return index < loc.end();
}

bool Instance::visit_routes(RouteCursor& cursor, std::size_t most, const VisitRoute& visit) const {
    if (!cursor.ipv6) {
        if (visit_family<V4>(cursor.index, most, visit)) {
            return true;
        }
        cursor = RouteCursor{.ipv6 = true, .index = 0};
    }
    return visit_family<V6>(cursor.index, most, visit);
}

std::vector<RouteSummary> Instance::routes_to(const IpAddr& address) const {
    std::vector<RouteSummary> found;
    const auto collect_covering = [&]<Family F>(F, const typename F::Addr& of_family) {
        for (unsigned length = F::kBits + 1; length-- > 0;) {
            if (const auto* route = ribs_.of<F>().find(*Prefix<F>::make(of_family, length))) {
                RouteSummary summary = summarize<F>(*route, ribs_.sources);
                if (!summary.paths.empty()) {
                    found.push_back(std::move(summary));
                }
            }
        }
    };
    if (const auto* v4 = std::get_if<Ip4>(&address)) {
        collect_covering(V4{}, *v4);
    } else {
        collect_covering(V6{}, std::get<Ip6>(address));
    }
    return found;
}

SpeakerSummary Instance::summary() const {
    SpeakerSummary summary;
    summary.asn = config_.asn;
    summary.router_id = config_.router_id;
    summary.port = config_.port;
    summary.peers = peers_.size();
    for (const auto& [address, peer] : peers_) {
        summary.established += peer->state() == State::Established ? 1U : 0U;
    }
    summary.ipv4_prefixes = ribs_.v4.size();
    summary.ipv6_prefixes = ribs_.v6.size();
    summary.attribute_sets = ribs_.pool.size();
    return summary;
}

template <Family F>
void Instance::collect(
    const std::optional<IpPrefix>& within,
    std::size_t most,
    std::vector<RouteSummary>& into) const {
    const auto* inside = within ? std::get_if<Prefix<F>>(&*within) : nullptr;
    if (within && inside == nullptr) {
        return;
    }
    const LocRib<F>& loc = ribs_.of<F>();
    std::vector<const typename LocRib<F>::Route*> found;
    for (RouteId i = 0; i < loc.end(); ++i) {
        const auto* route = loc.at(i);
        if (route != nullptr && (inside == nullptr || inside->contains(route->prefix))) {
            found.push_back(route);
        }
    }
    std::ranges::sort(found, {}, [](const auto* route) { return route->prefix; });
    for (const auto* route : found) {
        if (into.size() >= most) {
            return;
        }
        RouteSummary summary = summarize<F>(*route, ribs_.sources);
        if (!summary.paths.empty()) {
            into.push_back(std::move(summary));
        }
    }
}

std::vector<RouteSummary> Instance::routes(
    const std::optional<IpPrefix>& within, std::size_t most) const {
    std::vector<RouteSummary> found;
    collect<V4>(within, most, found);
    collect<V6>(within, most, found);
    return found;
}

}  // namespace vr::bgp
