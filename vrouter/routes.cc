// SPDX-License-Identifier: Apache-2.0
#include "vrouter/routes.h"

#include <algorithm>

#include "vrouter/net/zone.h"

namespace vr {

std::string_view to_string(RouteSource source) {
    constexpr std::array<std::string_view, kRouteSources> kNames{
        "local", "workload", "connected", "neighbor", "static", "ebgp", "ibgp"};
    return kNames[static_cast<std::size_t>(source)];
}

namespace {

/// Gateways are reached by everything but what BGP itself brings: were its routes asked too, the answer
/// would depend on the order in which they came.
bool is_underlay(RouteSource source) {
    return source != RouteSource::EBgp && source != RouteSource::IBgp;
}

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

template <Family F>
RouteTable::FamilyRoutes<F>& RouteTable::family() {
    if constexpr (std::is_same_v<F, V4>) {
        return v4_;
    } else {
        return v6_;
    }
}

template <Family F>
const RouteTable::FamilyRoutes<F>& RouteTable::family() const {
    if constexpr (std::is_same_v<F, V4>) {
        return v4_;
    } else {
        return v6_;
    }
}

template <Family F>
void RouteTable::set(const Prefix<F>& prefix, RouteSource source, const RouteTarget& target) {
    Offers& offers = family<F>().routes[prefix];
    const NextHopId hop =
        needs_other_family<F>(target)
            ? next_hops_.acquire(Gateways{std::get<Gateways>(target).addresses, true})
            : next_hops_.acquire(target);
    const auto at = std::ranges::lower_bound(offers, source, {}, &Offer::source);
    if (at != offers.end() && at->source == source) {
        leaving_.push_back(std::exchange(at->hop, hop));
    } else {
        offers.insert(at, {source, hop});
    }
    // A new gateway set must be resolved before it is worth anything.
    underlay_changed_ |= std::holds_alternative<Gateways>(target) && !next_hops_.usable(hop);
    note_underlay(source);
    family<F>().dirty.insert(prefix);
}

template <Family F>
void RouteTable::remove(const Prefix<F>& prefix, RouteSource source) {
    const auto found = family<F>().routes.find(prefix);
    if (found == family<F>().routes.end()) {
        return;
    }
    Offers& offers = found->second;
    const auto at = std::ranges::find(offers, source, &Offer::source);
    if (at == offers.end()) {
        return;
    }
    leaving_.push_back(at->hop);
    offers.erase(at);
    if (offers.empty()) {
        family<F>().routes.erase(found);
    }
    note_underlay(source);
    family<F>().dirty.insert(prefix);
}

void RouteTable::set(const IpPrefix& prefix, RouteSource source, const RouteTarget& target) {
    std::visit([&](const auto& p) { set(p, source, target); }, prefix);
}

void RouteTable::remove(const IpPrefix& prefix, RouteSource source) {
    std::visit([&](const auto& p) { remove(p, source); }, prefix);
}

void RouteTable::note_underlay(RouteSource source) {
    underlay_changed_ |= is_underlay(source);
}

bool RouteTable::dirty() const {
    return underlay_changed_ || !v4_.dirty.empty() || !v6_.dirty.empty() || !leaving_.empty();
}

void RouteTable::commit(const Publish& publish) {
    const bool underlay_changed = underlay_changed_;
    settle_gateways();
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
    if (underlay_changed && on_underlay_) {
        on_underlay_();
    }
}

void RouteTable::settle_gateways() {
    if (!std::exchange(underlay_changed_, false)) {
        return;
    }
    const auto flipped =
        next_hops_.resolve_gateways([this](const IpAddr& gateway) { return resolve(gateway, 0); });
    if (!flipped.empty()) {
        mark_users<V4>(flipped);
        mark_users<V6>(flipped);
    }
}

template <Family F>
void RouteTable::mark_users(const std::vector<NextHopId>& hops) {
    for (const auto& [prefix, offers] : family<F>().routes) {
        if (std::ranges::any_of(offers, [&](const Offer& o) {
                return std::ranges::find(hops, o.hop) != hops.end();
            })) {
            family<F>().dirty.insert(prefix);
        }
    }
}

template <Family F>
NextHopId RouteTable::best(const Prefix<F>& prefix) const {
    const auto found = family<F>().routes.find(prefix);
    if (found != family<F>().routes.end()) {
        for (const Offer& offer : found->second) {
            if (next_hops_.usable(offer.hop)) {
                return offer.hop;
            }
        }
    }
    return NextHopId{};
}

template <Family F>
void RouteTable::apply() {
    FamilyRoutes<F>& routes = family<F>();
    for (const Prefix<F>& prefix : routes.dirty) {
        const NextHopId hop = best<F>(prefix);
        if (hop == NextHopId{}) {
            if (routes.installed.erase(prefix) != 0) {
                routes.fib.erase(prefix);
            }
            continue;
        }
        NextHopId& installed = routes.installed[prefix];
        if (installed != hop) {
            installed = hop;
            routes.fib.insert(prefix, hop.value());
        }
    }
    routes.dirty.clear();
}

/// By the longest prefix over `gateway` that leads to a station; found in the offers, not in the FIB,
/// since what is staged must count.
template <Family F>
std::optional<Adjacency> RouteTable::resolve(typename F::Addr gateway, unsigned depth) const {
    if constexpr (std::is_same_v<F, V6>) {
        if (const Zone zone = zone_of(gateway); zone != 0) {
            return Adjacency{PortId{zone}, without_zone(gateway)};
        }
    }
    const auto& routes = family<F>().routes;
    for (unsigned length = F::kBits + 1; length-- > 0;) {
        const auto found = routes.find(*Prefix<F>::make(gateway, length));
        if (found == routes.end()) {
            continue;
        }
        for (const Offer& offer : found->second) {
            if (!is_underlay(offer.source)) {
                continue;
            }
            const RouteTarget& target = next_hops_.target(offer.hop);
            if (const auto* connected = std::get_if<Connected>(&target)) {
                return Adjacency{connected->port, gateway};
            }
            if (const auto* station = std::get_if<Adjacency>(&target)) {
                return *station;
            }
            const auto* via = std::get_if<Gateways>(&target);
            if (via == nullptr) {
                return std::nullopt;  // local or discard: no way out
            }
            for (const IpAddr& next : via->addresses) {
                if (const auto station = resolve(next, depth + 1)) {
                    return station;
                }
            }
        }
    }
    return std::nullopt;
}

std::optional<Adjacency> RouteTable::resolve(const IpAddr& gateway, unsigned depth) const {
    if (depth > kMaxRecursion) {
        return std::nullopt;
    }
    return std::holds_alternative<Ip4>(gateway) ? resolve<V4>(std::get<Ip4>(gateway), depth)
                                                : resolve<V6>(std::get<Ip6>(gateway), depth);
}

bool RouteTable::reachable(const IpAddr& gateway) const {
    return resolve(gateway, 0).has_value();
}

std::optional<RouteView> RouteTable::lookup(const IpAddr& destination) const {
    const auto in_family = [&]<Family F>(typename F::Addr address) -> std::optional<RouteView> {
        const auto match = family<F>().fib.match(address);
        if (!match) {
            return std::nullopt;
        }
        const auto& [prefix, value] = *match;
        const auto found = family<F>().routes.find(prefix);
        if (found != family<F>().routes.end()) {
            for (const Offer& offer : found->second) {
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
void RouteTable::visit_offers(
    const Prefix<F>& prefix,
    const Offers& offers,
    const std::function<void(const RouteView&)>& visit) const {
    const auto& installed = family<F>().installed;
    const auto in_fib = installed.find(prefix);
    for (const Offer& offer : offers) {
        const bool active = in_fib != installed.end() && in_fib->second == offer.hop;
        visit({prefix, offer.source, next_hops_.target(offer.hop), active});
    }
}

void RouteTable::for_each(const std::function<void(const RouteView&)>& visit) const {
    for (const auto& [prefix, offers] : v4_.routes) {
        visit_offers(prefix, offers, visit);
    }
    for (const auto& [prefix, offers] : v6_.routes) {
        visit_offers(prefix, offers, visit);
    }
}

template <Family F>
bool RouteTable::visit_buckets(
    std::size_t& bucket,
    std::size_t most,
    const std::function<void(const RouteView&)>& visit) const {
    const auto& routes = family<F>().routes;
    for (std::size_t n = 0; n < most && bucket < routes.bucket_count(); ++n, ++bucket) {
        for (auto at = routes.begin(bucket); at != routes.end(bucket); ++at) {
            visit_offers(at->first, at->second, visit);
        }
    }
    return bucket < routes.bucket_count();
}

bool RouteTable::visit_slice(
    Cursor& cursor, std::size_t most, const std::function<void(const RouteView&)>& visit) const {
    if (cursor.ip6) {
        return visit_buckets<V6>(cursor.bucket, most, visit);
    }
    if (!visit_buckets<V4>(cursor.bucket, most, visit)) {
        cursor = {.bucket = 0, .ip6 = true};
    }
    return true;
}

template void RouteTable::set(const Prefix<V4>&, RouteSource, const RouteTarget&);
template void RouteTable::set(const Prefix<V6>&, RouteSource, const RouteTarget&);
template void RouteTable::remove(const Prefix<V4>&, RouteSource);
template void RouteTable::remove(const Prefix<V6>&, RouteSource);

}  // namespace vr
