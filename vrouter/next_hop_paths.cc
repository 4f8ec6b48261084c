// Path lists: which stations gateway sets lead to, shared by those that lead to the same.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <utility>

#include "vrouter/next_hops.h"

namespace vr {

namespace {

/// So many stations of a set are known, by gateways that are not to be avoided first: more than get traffic, for
/// some may not answer.
constexpr std::size_t kMostStations = 4 * kGroupSlots;

}  // namespace

NextHops::Paths NextHops::paths_of(const Gateways& gateways) const {
    Paths paths;
    for (const bool avoided : {false, true}) {
        for (const IpAddr& gateway : gateways.addresses) {
            if (avoided_.contains(gateway) != avoided) {
                continue;
            }
            for (Adjacency station : vias_.at(gateway).stations) {
                station.carries_ip4 =
                    gateways.for_ip4 && std::holds_alternative<Ip6>(station.address);
                add_path(paths, {.station = station, .avoided = avoided});
            }
        }
    }
    return paths;
}

/// Those that are to be avoided come last.
void NextHops::add_path(Paths& paths, const Path& path) {
    const auto at = std::ranges::lower_bound(paths, path.station, {}, &Path::station);
    if (at != paths.end() && at->station == path.station) {
        at->weight += at->avoided == path.avoided ? 1 : 0;
    } else if (paths.size() < kMostStations) {
        paths.insert(at, path);
    }
}

/// The set has these paths from now on.
void NextHops::join(NextHopId id, Paths paths) {
    const auto [at, inserted] = path_lists_.try_emplace(std::move(paths));
    if (inserted) {
        open(*at);
    }
    if (slots_[id.value()].paths == &*at) {
        return;
    }
    leave(id);  // not before the other is open: they may share stations
    Slot& slot = slots_[id.value()];
    slot.paths = &*at;
    slot.place = at->second.sets.size();
    at->second.sets.push_back(id);
    set_entry(id, at->second.entry);
}

/// Takes the set out of its path list, or of those that wait for one.
void NextHops::leave(NextHopId id) {
    Slot& slot = slots_[id.value()];
    if (slot.paths == nullptr) {
        --unsettled_sets_;
        return;
    }
    PathLists::value_type& paths = *std::exchange(slot.paths, nullptr);
    std::vector<NextHopId>& sets = paths.second.sets;
    sets[slot.place] = sets.back();
    slots_[sets.back().value()].place = slot.place;
    sets.pop_back();
    if (sets.empty()) {
        close(paths);
    }
}

void NextHops::open(PathLists::value_type& paths) {
    for (const Path& path : paths.first) {
        const NextHopId station = acquire(path.station);
        paths.second.stations.push_back(station);
        stations_[station].insert(&paths);
    }
    refresh_paths(paths);
}

void NextHops::close(PathLists::value_type& paths) {
    if (paths.second.group) {
        free_groups_.push_back(*paths.second.group);
    }
    const std::vector<NextHopId> stations = std::move(paths.second.stations);
    for (const NextHopId station : stations) {
        const auto lists = stations_.find(station);
        lists->second.erase(&paths);
        if (lists->second.empty()) {
            stations_.erase(lists);
        }
    }
    path_lists_.erase(path_lists_.find(paths.first));
    std::ranges::for_each(stations, [this](NextHopId station) { release(station); });
}

/// The stations that get traffic, each as often as its weight says, by turns.
std::vector<NextHopId> NextHops::choose(const PathLists::value_type& paths) const {
    const auto& [all, list] = paths;
    std::vector<std::size_t> chosen;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i].avoided && !avoided_.contains(all[i].station.address)) {
            chosen.push_back(i);
        }
    }
    if (chosen.empty()) {
        chosen.resize(all.size());
        std::iota(chosen.begin(), chosen.end(), std::size_t{0});
    }
    const auto is_there = [&](std::size_t i) {
        return entries_[list.stations[i].value()].kind == NextHopKind::Forward;
    };
    if (std::ranges::any_of(chosen, is_there)) {
        std::erase_if(chosen, [&](std::size_t i) { return !is_there(i); });
    }
    chosen.resize(std::min(chosen.size(), kGroupSlots));
    std::vector<NextHopId> stations;
    for (std::uint32_t round = 1; !chosen.empty() && stations.size() + chosen.size() <= kGroupSlots;
         ++round) {
        for (const std::size_t i : chosen) {
            stations.push_back(list.stations[i]);
        }
        std::erase_if(chosen, [&](std::size_t i) { return all[i].weight <= round; });
    }
    return stations;
}

void NextHops::refresh_paths(PathLists::value_type& paths) {
    PathList& list = paths.second;
    list.in_use = choose(paths);
    const bool shared =
        std::ranges::adjacent_find(list.in_use, std::ranges::not_equal_to{}) != list.in_use.end();
    if (shared) {
        if (!list.group && free_groups_.empty()) {
            list.group = static_cast<std::uint32_t>(groups_.size());
            groups_.emplace_back();
        } else if (!list.group) {
            list.group = free_groups_.back();
            free_groups_.pop_back();
        }
        NextHopGroup& group = groups_[*list.group];
        for (std::size_t i = 0; i < kGroupSlots; ++i) {
            group[i] = list.in_use[i % list.in_use.size()];
        }
        changed_ = true;
        list.entry = NextHop{.kind = NextHopKind::Group, .group = *list.group};
    } else {
        if (list.group) {
            free_groups_.push_back(*std::exchange(list.group, std::nullopt));
        }
        // A copy of the only station: one lookup less per packet.
        list.entry = list.in_use.empty() ? NextHop{} : entries_[list.in_use.front().value()];
    }
    std::ranges::for_each(list.sets, [&](NextHopId set) { set_entry(set, list.entry); });
}

}  // namespace vr
