// SPDX-License-Identifier: Apache-2.0
#include "vrouter/gateways.h"

#include <algorithm>
#include <utility>

namespace vr {

namespace {

/// No address comes before it.
constexpr IpAddr kLowest{Ip4{0}};

/// So many stations at the end of a way take about as long as all the rest about it.
constexpr std::size_t kStationsPerWay = 16;

/// Gateways of a kind that are looked at before their number is seen to be enough.
constexpr std::size_t kShare = 32;

const GatewayWay& no_way() {
    static const GatewayWay kNone;
    return kNone;
}

}  // namespace

/// The ways that one find() meets, each found once.
class GatewayWays::Rounds {
  public:
    explicit Rounds(const Step& step) : step_(step) {}

    /// By a route alone; `asked` are all gateways that others may lead over.
    [[nodiscard]] const GatewayWay& first(const IpAddr& gateway) {
        const auto [at, inserted] = first_.try_emplace(gateway);
        if (inserted) {
            at->second =
                step_(gateway, [](const IpAddr&) -> const GatewayWay& { return no_way(); });
        }
        return at->second;
    }

    /// Over as many others as there were rounds.
    [[nodiscard]] const GatewayWay& after(unsigned rounds, const IpAddr& gateway) {
        if (const GatewayWay& alone = first(gateway); alone.asked.empty()) {
            return alone;
        }
        if (rounds == 0) {
            return no_way();
        }
        const auto known = later_.find({gateway, rounds});
        if (known != later_.end()) {
            return known->second;
        }
        GatewayWay way = step_(gateway, [this, rounds](const IpAddr& other) -> const GatewayWay& {
            return after(rounds - 1, other);
        });
        way.asked.clear();
        return later_.emplace(std::pair{gateway, rounds}, std::move(way)).first->second;
    }

  private:
    const Step& step_;
    std::map<IpAddr, GatewayWay> first_;
    std::map<std::pair<IpAddr, unsigned>, GatewayWay> later_;
};

void GatewayWays::add(const IpAddr& gateway) {
    if (ways_.try_emplace(gateway).second) {
        fresh_.push_back(gateway);
    }
}

void GatewayWays::remove(const IpAddr& gateway) {
    const auto at = ways_.find(gateway);
    if (at != ways_.end()) {
        set_behind(gateway, at->second, {});
        ways_.erase(at);
    }
}

bool GatewayWays::touch(const IpPrefix& prefix) {
    const auto inside = ways_.lower_bound(first_address(prefix));
    if (inside == ways_.end() || !contains(prefix, inside->first)) {
        return false;
    }
    touched_.start(prefix);
    return true;
}

GatewayWays::Found GatewayWays::find(std::size_t most, const Step& step) {
    Rounds rounds{step};
    Found found;
    find_fresh(most, rounds, found);
    for (std::size_t left = most; left != 0 && !(touched_.empty() && dependents_.empty());) {
        const std::size_t share = std::min((left + 1) / 2, kShare);
        Due due;
        take_touched(share, due);
        take_dependents(share, due);
        std::size_t spent = 1;
        for (const auto& [gateway, behind] : due) {
            spent += look_at(gateway, behind, rounds, found);
        }
        left -= std::min(left, spent);
    }
    return found;
}

/// Finds its way, and lets so many that are behind each other be looked at if it is another.  Returns as how many
/// that counts.
std::size_t GatewayWays::look_at(
    const IpAddr& gateway, unsigned behind, Rounds& rounds, Found& found) {
    Way& known = ways_.at(gateway);
    const bool was_behind = !known.behind.empty();
    set_behind(gateway, known, rounds.first(gateway).asked);
    const GatewayWay& way = rounds.after(kMostBehind, gateway);
    const bool differs = way != known.way;
    if (differs) {
        known.way = way;
    }
    // Over whom it leads may matter to those behind it even where it ends as before.
    const auto user = users_.lower_bound({gateway, kLowest});
    const bool has_users = user != users_.end() && user->first == gateway;
    if (has_users && behind != 0 && (differs || was_behind || !known.behind.empty())) {
        dependents_.start({gateway, behind - 1});
    }
    if (!std::exchange(known.found, true)) {
        found.fresh.insert(gateway);
    } else if (differs && !found.fresh.contains(gateway)) {
        found.moved.insert(gateway);
    }
    return 1 + way.stations.size() / kStationsPerWay;
}

/// Those that lead over a fresh one follow the routes, not its use.
void GatewayWays::find_fresh(std::size_t most, Rounds& rounds, Found& found) {
    while (most != 0 && !fresh_.empty()) {
        const IpAddr gateway = fresh_.front();
        fresh_.pop_front();
        const auto at = ways_.find(gateway);
        const bool due = at != ways_.end() && !at->second.found;
        most -= std::min<std::size_t>(most, due ? look_at(gateway, 0, rounds, found) : 1);
    }
}

void GatewayWays::take_touched(std::size_t most, Due& due) {
    touched_.advance(most, [&](const IpPrefix& prefix, const auto& from, std::size_t share) {
        auto at = ways_.lower_bound(from.value_or(first_address(prefix)));
        std::size_t taken = 0;
        for (; taken < share && at != ways_.end() && contains(prefix, at->first); ++taken, ++at) {
            due[at->first] = kMostBehind;
        }
        const bool more = at != ways_.end() && contains(prefix, at->first);
        return decltype(touched_)::Slice{taken, more ? std::optional{at->first} : std::nullopt};
    });
}

void GatewayWays::take_dependents(std::size_t most, Due& due) {
    dependents_.advance(most, [&](const auto& key, const auto& from, std::size_t share) {
        const auto& [gateway, behind] = key;
        std::pair<IpAddr, IpAddr> first{gateway, kLowest};
        if (from) {
            first.second = *from;
        }
        auto at = users_.lower_bound(first);
        std::size_t taken = 0;
        for (; taken < share && at != users_.end() && at->first == gateway; ++taken, ++at) {
            unsigned& depth = due[at->second];
            depth = std::max(depth, behind);
        }
        const bool more = at != users_.end() && at->first == gateway;
        return decltype(dependents_)::Slice{taken, more ? std::optional{at->second} : std::nullopt};
    });
}

void GatewayWays::set_behind(const IpAddr& gateway, Way& way, std::vector<IpAddr> behind) {
    if (way.behind == behind) {
        return;
    }
    for (const IpAddr& other : way.behind) {
        users_.erase({other, gateway});
    }
    for (const IpAddr& other : behind) {
        users_.emplace(other, gateway);
    }
    way.behind = std::move(behind);
}

const GatewayWay& GatewayWays::operator[](const IpAddr& gateway) const {
    const auto found = ways_.find(gateway);
    return found == ways_.end() ? no_way() : found->second.way;
}

}  // namespace vr
