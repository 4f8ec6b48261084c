// SPDX-License-Identifier: Apache-2.0
#include "vrouter/routes.h"

#include <algorithm>

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
GatewayWay over(const Gateways& gateways, const IpAddr& to, const GatewayWays& known) {
    GatewayWay way;
    way.asked = gateways.addresses;
    if (std::ranges::find(gateways.addresses, to) != gateways.addresses.end()) {
        return way;
    }
    for (const IpAddr& each : gateways.addresses) {
        const GatewayWay& next = known[each];
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

/// Entries looked at per commit() when a gateway set becomes usable or unusable.
constexpr std::size_t kWalkSlice = 8192;

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

struct RouteTable::Entry {
    struct Offer {
        RouteSource source;
        NextHopId hop;
    };

    /// Most preferred first; rarely more than one.
    boost::container::small_vector<Offer, 1> offers;
    NextHopId installed;  ///< what the FIB has; NextHopId{}: nothing
    bool dirty = false;   ///< staged
};

template <Family F>
struct RouteTable::FamilyRoutes {
    explicit FamilyRoutes(Lpm<F>& its_fib) : fib(its_fib) {}

    Lpm<F>& fib;
    PrefixMap<F, Entry> entries;
    std::vector<Prefix<F>> dirty;
    std::size_t size = 0;                               ///< entries with offers
    std::array<std::uint32_t, F::kBits + 1> lengths{};  ///< those by length of prefix
};

bool ChangedWays::concern(const IpAddr& address, const std::vector<IpAddr>& asked) const {
    return watched.contains(address) || gateways.contains(address) ||
           std::ranges::any_of(asked, [&](const IpAddr& each) { return gateways.contains(each); });
}

RouteTable::RouteTable(Lpm<V4>& fib4, Lpm<V6>& fib6)
    : v4_(std::make_unique<FamilyRoutes<V4>>(fib4)),
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
    const auto at = std::ranges::lower_bound(entry.offers, source, {}, &Entry::Offer::source);
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
    const auto at = std::ranges::find(entry->offers, source, &Entry::Offer::source);
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
    const bool watched = visit_inside(
        prefix, watched_, [this](const IpAddr& address) { changed_.watched.insert(address); });
    ways_changed_ = ways_changed_ || watches_all_ || in_use || watched;
}

bool RouteTable::dirty() const {
    return ways_changed_ || !flipped_.empty() || !v4_->dirty.empty() || !v6_->dirty.empty() ||
           !leaving_.empty();
}

void RouteTable::commit(const Publish& publish) {
    const bool ways_changed = ways_changed_;
    settle_gateways();
    look_for_users();
    bool fresh = false;
    if (next_hops_.take_changes(fresh)) {
        publish(fresh);
    }
    apply<V4>();
    apply<V6>();
    for (const NextHopId hop : std::exchange(leaving_, {})) {
        next_hops_.release(hop);
    }
    if (next_hops_.take_changes(fresh)) {
        publish(false);
    }
    const ChangedWays changed = std::exchange(changed_, {});
    if (ways_changed && on_ways_) {
        on_ways_(changed);
    }
}

void RouteTable::settle_gateways() {
    if (!std::exchange(ways_changed_, false)) {
        return;
    }
    changed_.gateways = ways_.find(
        next_hops_.gateways(),
        [this](const IpAddr& gateway, const GatewayWays& known) { return step(gateway, known); });
    const auto flipped = next_hops_.resolve_gateways(
        [this](const IpAddr& gateway) { return ways_[gateway].stations; }, &changed_.gateways);
    if (!flipped.empty()) {
        flipped_.insert(flipped.begin(), flipped.end());
        flipped_at_ = {};
    }
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

/// Stages the next slice of routes over gateway sets that became usable or unusable.
void RouteTable::look_for_users() {
    if (flipped_.empty()) {
        return;
    }
    if (!flipped_at_.ip6 && mark_users<V4>()) {
        return;
    }
    flipped_at_ = {.shard = flipped_at_.ip6 ? flipped_at_.shard : 0, .ip6 = true};
    if (!mark_users<V6>()) {
        flipped_.clear();
    }
}

template <Family F>
bool RouteTable::mark_users() {
    std::vector<Prefix<F>> users;
    const bool more = walk(
        family<F>(),
        flipped_at_.shard,
        kWalkSlice,
        [&](const Prefix<F>& prefix, const Entry& entry) {
            if (std::ranges::any_of(
                    entry.offers, [&](const auto& o) { return flipped_.contains(o.hop); })) {
                users.push_back(prefix);
            }
        });
    for (const Prefix<F>& prefix : users) {
        stage<F>(prefix, *family<F>().entries.find(prefix));
    }
    return more;
}

NextHopId RouteTable::best(const Entry& entry) const {
    for (const auto& offer : entry.offers) {
        if (next_hops_.usable(offer.hop)) {
            return offer.hop;
        }
    }
    return NextHopId{};
}

template <Family F>
void RouteTable::apply() {
    FamilyRoutes<F>& routes = family<F>();
    for (const Prefix<F>& prefix : routes.dirty) {
        Entry& entry = *routes.entries.find(prefix);
        entry.dirty = false;
        const NextHopId hop = best(entry);
        if (std::exchange(entry.installed, hop) != hop) {
            if (hop == NextHopId{}) {
                routes.fib.erase(prefix);
            } else {
                routes.fib.insert(prefix, hop.value());
            }
            ++fib_changes_;
        }
        if (entry.offers.empty()) {
            routes.entries.erase(prefix);
        }
    }
    routes.dirty.clear();
}

/// By the longest prefix over `gateway` that leads to a station; found in the offers, not in the FIB,
/// since what is staged must count.  A gateway in a connected network is there, whatever BGP says: nobody
/// elsewhere may draw the routes of a neighbour.
template <Family F>
GatewayWay RouteTable::step(typename F::Addr gateway, const GatewayWays& known) const {
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

GatewayWay RouteTable::step(const IpAddr& gateway, const GatewayWays& known) const {
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
        const auto& [prefix, value] = *match;
        if (const Entry* found = family<F>().entries.find(prefix)) {
            for (const auto& offer : found->offers) {
                if (offer.hop.value() == value) {
                    return RouteView{prefix, offer.source, next_hops_.target(offer.hop), true};
                }
            }
        }
        return std::nullopt;
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

void RouteTable::for_each(const std::function<void(const RouteView&)>& visit) const {
    for (Cursor cursor; visit_slice(cursor, kWalkSlice, visit);) {
    }
}

template void RouteTable::set(const Prefix<V4>&, RouteSource, const RouteTarget&);
template void RouteTable::set(const Prefix<V6>&, RouteSource, const RouteTarget&);
template void RouteTable::remove(const Prefix<V4>&, RouteSource);
template void RouteTable::remove(const Prefix<V6>&, RouteSource);

}  // namespace vr
