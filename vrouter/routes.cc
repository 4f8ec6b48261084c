// SPDX-License-Identifier: Apache-2.0
#include "vrouter/routes.h"

#include <algorithm>
#include <deque>

#include <boost/container/small_vector.hpp>

#include "vrouter/net/zone.h"
#include "vrouter/prefix_map.h"

namespace vr {

std::string_view to_string(RouteSource source) {
    constexpr std::array<std::string_view, kRouteSources> kNames{
        "local", "workload", "connected", "neighbor", "static", "ebgp", "ibgp"};
    return kNames[static_cast<std::size_t>(source)];
}

namespace {

template <typename T>
void sort_and_unify(std::vector<T>& values) {
    std::ranges::sort(values);
    const auto doubles = std::ranges::unique(values);
    values.erase(doubles.begin(), doubles.end());
}

GatewayWay at(const Adjacency& station) {
    GatewayWay way;
    way.stations.push_back(station);
    return way;
}

/// So many routes of BGP may be on a way, else it leads nowhere; and so many stations get its traffic.
constexpr std::size_t kMostOnAWay = 64;

/// The way over `gateways`, of which none may be the one that it leads to.
GatewayWay over(const Gateways& gateways, const IpAddr& to, const GatewayWays::Known& known) {
    GatewayWay way;
    way.asked = gateways.addresses;
    if (std::ranges::find(gateways.addresses, to) != gateways.addresses.end()) {
        return way;
    }
    for (const IpAddr& each : gateways.addresses) {
        const GatewayWay& next = known(each);
        way.stations.insert(way.stations.end(), next.stations.begin(), next.stations.end());
        way.bgp.insert(way.bgp.end(), next.bgp.begin(), next.bgp.end());
    }
    sort_and_unify(way.stations);
    sort_and_unify(way.bgp);
    if (way.bgp.size() > kMostOnAWay) {
        return {.stations = {}, .bgp = {}, .asked = std::move(way.asked)};
    }
    if (way.stations.size() > kMostOnAWay) {
        way.stations.erase(way.stations.begin() + kMostOnAWay, way.stations.end());
    }
    return way;
}

/// Whether one of `prefixes` leads to `address`.
bool is_inside(const std::set<IpPrefix>& prefixes, const IpAddr& address) {
    return std::visit(
        [&]<typename Addr>(const Addr& of_family) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            if (prefixes.size() <= F::kBits) {
                return std::ranges::any_of(
                    prefixes, [&](const IpPrefix& prefix) { return contains(prefix, address); });
            }
            for (unsigned length = 0; length <= F::kBits; ++length) {
                if (prefixes.contains(*Prefix<F>::make(of_family, length))) {
                    return true;
                }
            }
            return false;
        },
        address);
}

/// Gateways, and gateway sets, looked at per commit(): of those that a changed route leads to, and of new ones.
constexpr std::size_t kGatewaySlice = 128;

/// Names of next hops that nobody uses any more given back per commit().
constexpr std::size_t kReleaseSlice = 512;

/// Entries looked at per commit() when a gateway set becomes usable or unusable, by pieces until there are so
/// many over such sets: these are put in force at once.
constexpr std::size_t kWalkSlice = 8192;
constexpr std::size_t kWalkPiece = 512;
constexpr std::size_t kUsersSlice = 1024;

/// Routes that waited for their gateways put in force per commit().
constexpr std::size_t kWaitSlice = 1024;

/// IPv4 routes over IPv6 gateways, RFC 8950.
template <Family F>
bool needs_other_family(const RouteTarget& target) {
    const auto* gateways = std::get_if<Gateways>(&target);
    return std::is_same_v<F, V4> && gateways != nullptr &&
           std::ranges::any_of(gateways->addresses, [](const IpAddr& gateway) {
               return std::holds_alternative<Ip6>(gateway);
           });
}

}  // namespace

struct RouteTable::Offer {
    RouteSource source;
    NextHopId hop;
};

struct RouteTable::Entry {
    /// Most preferred first; rarely more than one.
    boost::container::small_vector<Offer, 1> offers;
    NextHopId installed;           ///< what the FIB has, counted; NextHopId{}: nothing
    RouteSource installed_from{};  ///< whose it is or was
    bool dirty = false;            ///< staged
    bool waits = false;  ///< for a set whose stations are to be found; the FIB is as it was
};

template <Family F>
struct RouteTable::FamilyRoutes {
    explicit FamilyRoutes(Lpm<F>& its_fib) : fib(its_fib) {}

    Lpm<F>& fib;
    PrefixMap<F, Entry> entries;
    std::vector<Prefix<F>> dirty;
    std::deque<Prefix<F>> waiting;  ///< in the order of their sets, roughly; some wait no more
    std::set<NextHopId> missed;     ///< sets that flipped when the walk for such had begun
    std::size_t size = 0;           ///< entries with offers
    std::array<std::uint32_t, F::kBits + 1> lengths{};  ///< those by length of prefix
};

bool ChangedWays::concern(const IpAddr& address, const std::vector<IpAddr>& asked) const {
    return gateways.contains(address) || is_inside(routes, address) ||
           std::ranges::any_of(asked, [&](const IpAddr& each) { return gateways.contains(each); });
}

RouteTable::RouteTable(Lpm<V4>& fib4, Lpm<V6>& fib6, Reclaimer& readers)
    : readers_(readers),
      v4_(std::make_unique<FamilyRoutes<V4>>(fib4)),
      v6_(std::make_unique<FamilyRoutes<V6>>(fib6)) {}

RouteTable::~RouteTable() = default;

std::size_t RouteTable::size() const {
    return v4_->size + v6_->size;
}

template <Family F>
RouteTable::FamilyRoutes<F>& RouteTable::family() {
    if constexpr (std::is_same_v<F, V4>) {
        return *v4_;
    } else {
        return *v6_;
    }
}

template <Family F>
const RouteTable::FamilyRoutes<F>& RouteTable::family() const {
    if constexpr (std::is_same_v<F, V4>) {
        return *v4_;
    } else {
        return *v6_;
    }
}

template <Family F>
void RouteTable::stage(const Prefix<F>& prefix, Entry& entry) {
    if (!std::exchange(entry.dirty, true)) {
        family<F>().dirty.push_back(prefix);
    }
}

template <Family F>
void RouteTable::set(const Prefix<F>& prefix, RouteSource source, const RouteTarget& target) {
    Entry& entry = family<F>().entries[prefix];
    const NextHopId hop =
        needs_other_family<F>(target)
            ? next_hops_.acquire(Gateways{std::get<Gateways>(target).addresses, true})
            : next_hops_.acquire(target);
    const auto at = std::ranges::lower_bound(entry.offers, source, {}, &Offer::source);
    if (at != entry.offers.end() && at->source == source) {
        leaving_.push_back(std::exchange(at->hop, hop));
    } else {
        if (entry.offers.empty()) {
            ++family<F>().size;
            ++family<F>().lengths[prefix.length()];
        }
        entry.offers.insert(at, {source, hop});
    }
    // A new gateway set must be resolved before it is worth anything.
    ways_changed_ |= std::holds_alternative<Gateways>(target) && !next_hops_.usable(hop);
    note_change(prefix);
    stage<F>(prefix, entry);
}

template <Family F>
void RouteTable::remove(const Prefix<F>& prefix, RouteSource source) {
    Entry* entry = family<F>().entries.find(prefix);
    if (entry == nullptr) {
        return;
    }
    const auto at = std::ranges::find(entry->offers, source, &Offer::source);
    if (at == entry->offers.end()) {
        return;
    }
    leaving_.push_back(at->hop);
    entry->offers.erase(at);
    if (entry->offers.empty()) {
        --family<F>().size;
        --family<F>().lengths[prefix.length()];
    }
    note_change(prefix);
    stage<F>(prefix, *entry);
}

void RouteTable::set(const IpPrefix& prefix, RouteSource source, const RouteTarget& target) {
    std::visit([&](const auto& p) { set(p, source, target); }, prefix);
}

void RouteTable::remove(const IpPrefix& prefix, RouteSource source) {
    std::visit([&](const auto& p) { remove(p, source); }, prefix);
}

template <Family F>
void RouteTable::note_change(const Prefix<F>& prefix) {
    const bool in_use = ways_.touch(prefix);
    const auto at = watched_.lower_bound(IpAddr{prefix.address()});
    const bool watched = at != watched_.end() && contains(prefix, *at);
    if (watched) {
        changed_.routes.insert(prefix);
    }
    ways_changed_ = ways_changed_ || watches_all_ || in_use || watched;
}

bool RouteTable::dirty() const {
    return ways_changed_ || is_settling() || !flipped_.empty() || !v4_->dirty.empty() ||
           !v6_->dirty.empty() || !leaving_.empty() || !released_.empty() ||
           !avoided_no_more_.empty();
}

bool RouteTable::is_settling() const {
    return ways_.pending() || next_hops_.unsettled() || !v4_->waiting.empty() ||
           !v6_->waiting.empty();
}

void RouteTable::avoid(const IpAddr& gateway, bool avoid) {
    if (avoid) {
        avoided_no_more_.erase(gateway);
        next_hops_.avoid(gateway, true);
    } else {
        avoided_no_more_.insert(gateway);
    }
}

void RouteTable::end_avoiding() {
    if (!is_settling()) {
        for (const IpAddr& gateway : std::exchange(avoided_no_more_, {})) {
            next_hops_.avoid(gateway, false);
        }
    }
}

void RouteTable::commit(const std::function<void()>& publish) {
    to_release_ = kReleaseSlice;
    release_some();
    const bool ways_changed = settle_gateways();
    look_for_users();
    if (next_hops_.take_changes()) {
        publish();
    }
    apply<V4>();
    apply<V6>();
    end_avoiding();
    if (next_hops_.take_changes()) {
        publish();
    }
    if (!leaving_.empty()) {
        readers_.retire([this, hops = std::exchange(leaving_, {})] {
            released_.insert(released_.end(), hops.begin(), hops.end());
            release_some();
        });
    }
    ChangedWays changed = std::exchange(changed_, {});
    if (ways_changed && on_ways_) {
        on_ways_(std::move(changed));
    }
}

/// What is in no worker's hands any more; what is more than a slice waits for the next commit().
void RouteTable::release_some() {
    for (; to_release_ != 0 && !released_.empty(); --to_release_) {
        const NextHopId hop = released_.front();
        released_.pop_front();
        next_hops_.release(hop);
    }
}

/// Goes through the next slice of gateways that may be reached another way, and of the sets that they are
/// in; what was found before is in force until then.  True when ways may have changed.
bool RouteTable::settle_gateways() {
    const bool changed = std::exchange(ways_changed_, false) || ways_.pending();
    for (const IpAddr& gateway : next_hops_.take_gateway_changes()) {
        if (!next_hops_.is_led(gateway)) {
            ways_.remove(gateway);  // and if it is in use again, its way is found anew
        }
        if (next_hops_.in_use(gateway)) {
            ways_.add(gateway);
        }
    }
    if (ways_.pending()) {
        auto found = ways_.find(
            kGatewaySlice, [this](const IpAddr& gateway, const GatewayWays::Known& known) {
                return step(gateway, known);
            });
        changed_.gateways = std::move(found.moved);
        changed_.gateways.merge(found.fresh);
        for (const IpAddr& gateway : changed_.gateways) {
            next_hops_.lead(gateway, ways_[gateway].stations);
        }
    }
    if (next_hops_.unsettled()) {
        const auto flipped = next_hops_.settle(kGatewaySlice);
        if (!flipped.empty()) {
            if (!flipped_.empty()) {
                v4_->missed.insert(flipped.begin(), flipped.end());
                v6_->missed.insert(flipped.begin(), flipped.end());
            }
            flipped_.insert(flipped.begin(), flipped.end());
        }
    }
    return changed;
}

/// Calls visit(prefix, entry) for the entries of whole shards until there were about `most`; true when
/// shards are left.
template <Family F, typename Visit>
bool RouteTable::walk(
    const FamilyRoutes<F>& routes, std::size_t& shard, std::size_t most, Visit visit) {
    constexpr std::size_t kEmptyShards = 16;  // cost as much as an entry
    for (std::size_t seen = 0; seen < most * kEmptyShards && shard < routes.entries.kShards;
         ++shard) {
        seen += 1 + kEmptyShards * routes.entries.visit_shard(shard, visit);
    }
    return shard < routes.entries.kShards;
}

/// Stages the next slice of routes over gateway sets that became usable or unusable.  The walk comes to its
/// end however many flip meanwhile: what is behind it is gone through once more for those.
void RouteTable::look_for_users() {
    if (flipped_.empty()) {
        return;
    }
    if (!flipped_at_.ip6 && mark_users<V4>()) {
        return;
    }
    flipped_at_ = {.shard = flipped_at_.ip6 ? flipped_at_.shard : 0, .ip6 = true};
    if (!mark_users<V6>()) {
        flipped_ = std::exchange(v4_->missed, {});
        flipped_.merge(std::exchange(v6_->missed, {}));
        flipped_at_ = {};
    }
}

template <Family F>
bool RouteTable::mark_users() {
    std::vector<Prefix<F>> users;
    const auto note_user = [&](const Prefix<F>& prefix, const Entry& entry) {
        if (flipped_.contains(entry.installed) ||
            std::ranges::any_of(
                entry.offers, [&](const auto& o) { return flipped_.contains(o.hop); })) {
            users.push_back(prefix);
        }
    };
    bool more = true;
    for (std::size_t seen = 0; more && seen < kWalkSlice && users.size() < kUsersSlice;
         seen += kWalkPiece) {
        more = walk(family<F>(), flipped_at_.shard, kWalkPiece, note_user);
    }
    for (const Prefix<F>& prefix : users) {
        stage<F>(prefix, *family<F>().entries.find(prefix));
    }
    return more;
}

auto RouteTable::best(const Entry& entry) const -> const Offer* {
    for (const Offer& offer : entry.offers) {
        if (next_hops_.usable(offer.hop)) {
            return &offer;
        }
    }
    return nullptr;
}

/// True when all is found that best() depends on: offers behind the first usable one are nothing to it.
bool RouteTable::is_settled(const Entry& entry) const {
    for (const Offer& offer : entry.offers) {
        if (!next_hops_.is_settled(offer.hop)) {
            return false;
        }
        if (next_hops_.usable(offer.hop)) {
            return true;
        }
    }
    return true;
}

template <Family F>
void RouteTable::apply() {
    FamilyRoutes<F>& routes = family<F>();
    for (const Prefix<F>& prefix : routes.dirty) {
        Entry& entry = *routes.entries.find(prefix);
        entry.dirty = false;
        const bool settled = is_settled(entry);
        if (!settled && !std::exchange(entry.waits, true)) {
            routes.waiting.push_back(prefix);
        }
        // The old gateways are as good as the new ones until these are found, if they are any; a station
        // may have left.
        const RouteTarget& old = next_hops_.target(entry.installed);
        if (settled || !std::holds_alternative<Gateways>(old) ||
            !next_hops_.usable(entry.installed)) {
            entry.waits = !settled;
            put_in_force(prefix, entry);
        }
    }
    routes.dirty.clear();
    apply_waiting<F>();
}

/// Those whose turn came.  One that still waits goes behind the others: its set may be replaced all the time.
template <Family F>
void RouteTable::apply_waiting() {
    FamilyRoutes<F>& routes = family<F>();
    for (std::size_t left = std::min(kWaitSlice, routes.waiting.size()); left != 0; --left) {
        const Prefix<F> prefix = routes.waiting.front();
        routes.waiting.pop_front();
        Entry* const entry = routes.entries.find(prefix);
        if (entry != nullptr && entry->waits) {
            if (!is_settled(*entry)) {
                routes.waiting.push_back(prefix);
                continue;
            }
            entry->waits = false;
            put_in_force(prefix, *entry);
        }
    }
}

template <Family F>
void RouteTable::put_in_force(const Prefix<F>& prefix, Entry& entry) {
    FamilyRoutes<F>& routes = family<F>();
    const Offer* const offer = best(entry);
    const NextHopId hop = offer == nullptr ? NextHopId{} : offer->hop;
    if (offer != nullptr) {
        entry.installed_from = offer->source;
    }
    if (const NextHopId old = std::exchange(entry.installed, hop); old != hop) {
        if (hop == NextHopId{}) {
            routes.fib.erase(prefix);
        } else {
            next_hops_.hold(hop);
            routes.fib.insert(prefix, hop.value());
        }
        if (old != NextHopId{}) {
            leaving_.push_back(old);
        }
        ++fib_changes_;
    }
    if (entry.offers.empty()) {
        routes.entries.erase(prefix);
    }
}

/// By the longest prefix over `gateway` that leads to a station; found in the offers, not in the FIB,
/// since what is staged must count.  A gateway in a connected network is there, whatever BGP says: nobody
/// elsewhere may draw the routes of a neighbour.
template <Family F>
GatewayWay RouteTable::step(typename F::Addr gateway, const GatewayWays::Known& known) const {
    const auto& table = family<F>();
    GatewayWay by_bgp;
    // A more specific route that leads nowhere now may lead elsewhere later.
    const auto ends = [&by_bgp](GatewayWay way) {
        way.asked = std::move(by_bgp.asked);
        return way;
    };
    for (unsigned length = F::kBits + 1; length-- > 0;) {
        const Entry* found = table.lengths[length] == 0
                                 ? nullptr
                                 : table.entries.find(*Prefix<F>::make(gateway, length));
        if (found == nullptr) {
            continue;
        }
        for (const auto& offer : found->offers) {
            const RouteTarget& target = next_hops_.target(offer.hop);
            if (const auto* connected = std::get_if<Connected>(&target)) {
                return ends(at({connected->port, gateway}));
            }
            if (const auto* station = std::get_if<Adjacency>(&target)) {
                return ends(at(*station));
            }
            if (std::holds_alternative<LocalDelivery>(target)) {
                return ends({});  // one of ours
            }
            const auto* via = std::get_if<Gateways>(&target);
            if (via == nullptr || (!is_of_bgp(offer.source) && !by_bgp.stations.empty())) {
                return by_bgp;  // else discarded
            }
            if (!by_bgp.stations.empty()) {
                continue;
            }
            GatewayWay next = over(*via, gateway, known);
            next.asked.insert(next.asked.end(), by_bgp.asked.begin(), by_bgp.asked.end());
            by_bgp = std::move(next);
            if (!is_of_bgp(offer.source) && !by_bgp.stations.empty()) {
                return by_bgp;
            }
            if (!by_bgp.stations.empty()) {
                by_bgp.bgp.emplace_back(*Prefix<F>::make(gateway, length));
                sort_and_unify(by_bgp.bgp);
            }
        }
    }
    return by_bgp;
}

GatewayWay RouteTable::step(const IpAddr& gateway, const GatewayWays::Known& known) const {
    const auto* v6 = std::get_if<Ip6>(&gateway);
    if (const Zone zone = v6 != nullptr ? zone_of(*v6) : Zone{0}; zone != 0) {
        return at({PortId{zone}, without_zone(*v6)});
    }
    return v6 != nullptr ? step<V6>(*v6, known) : step<V4>(std::get<Ip4>(gateway), known);
}

std::optional<RouteView> RouteTable::lookup(const IpAddr& destination) const {
    const auto in_family = [&]<Family F>(typename F::Addr address) -> std::optional<RouteView> {
        const auto match = family<F>().fib.match(address);
        if (!match) {
            return std::nullopt;
        }
        const Entry* const entry = family<F>().entries.find(match->first);
        return entry == nullptr ? std::nullopt
                                : std::optional{RouteView{
                                      match->first,
                                      entry->installed_from,
                                      next_hops_.target(entry->installed),
                                      true}};
    };
    return std::holds_alternative<Ip4>(destination)
               ? in_family.template operator()<V4>(std::get<Ip4>(destination))
               : in_family.template operator()<V6>(std::get<Ip6>(destination));
}

template <Family F>
bool RouteTable::visit_family(
    std::size_t& shard,
    std::size_t most,
    const std::function<void(const RouteView&)>& visit) const {
    return walk(family<F>(), shard, most, [&](const Prefix<F>& prefix, const Entry& entry) {
        for (const auto& offer : entry.offers) {
            visit(
                {prefix, offer.source, next_hops_.target(offer.hop), entry.installed == offer.hop});
        }
    });
}

bool RouteTable::visit_slice(
    Cursor& cursor, std::size_t most, const std::function<void(const RouteView&)>& visit) const {
    if (cursor.ip6) {
        return visit_family<V6>(cursor.shard, most, visit);
    }
    if (!visit_family<V4>(cursor.shard, most, visit)) {
        cursor = {.shard = 0, .ip6 = true};
    }
    return true;
}

template void RouteTable::set(const Prefix<V4>&, RouteSource, const RouteTarget&);
template void RouteTable::set(const Prefix<V6>&, RouteSource, const RouteTarget&);
template void RouteTable::remove(const Prefix<V4>&, RouteSource);
template void RouteTable::remove(const Prefix<V6>&, RouteSource);

}  // namespace vr
