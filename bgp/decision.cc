// SPDX-License-Identifier: Apache-2.0
#include "bgp/decision.h"

#include <algorithm>
#include <array>
#include <map>

namespace vr::bgp {
namespace {

/// Paths that are compared with each other rather than by AS.
constexpr std::size_t kFew = 8;

/// The paths that are still in; a step moves the losers behind them.
class Candidates {
  public:
    explicit Candidates(std::span<Path> paths) : paths_(paths) {}

    [[nodiscard]] std::span<Path> alive() const noexcept { return paths_; }

    /// Drops every path for which lost(path) holds.
    template <typename Lost>
    void drop_where(Step step, Lost lost) {
        const auto losers =
            std::ranges::stable_partition(paths_, [&](const Path& path) { return !lost(path); });
        for (Path& path : losers) {
            path.lost_at = step;
        }
        paths_ = paths_.first(paths_.size() - losers.size());
    }

    /// Keeps the paths with the lowest rank(path).
    template <typename Rank>
    void keep_lowest(Step step, Rank rank) {
        if (paths_.size() < 2) {
            return;
        }
        auto lowest = rank(paths_.front());
        for (const Path& path : paths_.subspan(1)) {
            lowest = std::min(lowest, rank(path));
        }
        drop_where(step, [&](const Path& path) { return rank(path) != lowest; });
    }

  private:
    std::span<Path> paths_;
};

std::uint32_t med_of(const Path& path) {
    return path.attributes->med.value_or(0);
}

/// RFC 4271 9.1.2.2 c: a path loses to one from the same neighbouring AS with a lower MED.
void compare_med(Candidates& candidates) {
    const auto alive = candidates.alive();
    if (alive.size() < 2) {
        return;
    }
    const auto as_of = [](const Path& path) { return path.attributes->as_path.first(); };
    const auto is_beaten = [](const Path& path) { return path.lost_at == Step::Med; };
    if (alive.size() <= kFew) {
        for (Path& path : alive) {
            const bool beaten = std::ranges::any_of(alive, [&](const Path& other) {
                return med_of(other) < med_of(path) && as_of(other) == as_of(path);
            });
            path.lost_at = beaten ? Step::Med : Step::Best;
        }
        return candidates.drop_where(Step::Med, is_beaten);
    }
    std::map<decltype(as_of(alive.front())), std::uint32_t> lowest;
    for (const Path& path : alive) {
        const auto [at, added] = lowest.try_emplace(as_of(path), med_of(path));
        at->second = std::min(at->second, med_of(path));
    }
    for (Path& path : alive) {
        path.lost_at = med_of(path) > lowest.at(as_of(path)) ? Step::Med : Step::Best;
    }
    candidates.drop_where(Step::Med, is_beaten);
}

void compare_quality(Candidates& candidates) {
    candidates.drop_where(Step::NextHop, [](const Path& p) { return !p.metric; });
    candidates.keep_lowest(Step::LongLived, [](const Path& p) {
        return p.attributes->has_community(community::kLlgrStale);
    });
    candidates.keep_lowest(Step::LocalPref, [](const Path& p) {
        return ~p.attributes->local_pref.value_or(kDefaultLocalPref);
    });
    candidates.keep_lowest(
        Step::LocalOrigin, [](const Path& p) { return p.source->kind != PeerKind::Local; });
    candidates.keep_lowest(
        Step::AsPath, [](const Path& p) { return p.attributes->as_path.length(); });
    candidates.keep_lowest(Step::Origin, [](const Path& p) { return p.attributes->origin; });
    compare_med(candidates);
    candidates.keep_lowest(
        Step::PeerKind, [](const Path& p) { return p.source->kind == PeerKind::Internal; });
    candidates.keep_lowest(Step::Metric, [](const Path& p) { return *p.metric; });
}

void break_ties(Candidates& candidates) {
    candidates.keep_lowest(Step::RouterId, [](const Path& p) {
        return p.attributes->originator_id.value_or(p.source->identifier);
    });
    candidates.keep_lowest(
        Step::ClusterList, [](const Path& p) { return p.attributes->cluster_list.size(); });
    candidates.keep_lowest(Step::PeerAddress, [](const Path& p) { return p.source->address; });
    candidates.keep_lowest(Step::PathId, [](const Path& p) { return p.path_id; });
    candidates.keep_lowest(Step::Loaded, [](const Path& p) { return p.source->loaded; });
}

}  // namespace

std::string_view to_string(Step step) {
    constexpr std::array<std::string_view, 15> kWords{
        "next hop unreachable",
        "of a peer long gone",
        "lower local preference",
        "not originated here",
        "longer AS path",
        "higher origin",
        "higher MED",
        "iBGP against eBGP",
        "farther next hop",
        "higher router id",
        "longer cluster list",
        "higher peer address",
        "higher path identifier",
        "loaded",
        "best"};
    return kWords.at(static_cast<std::size_t>(step));
}

unsigned decide(std::span<Path> paths, unsigned most) {
    for (Path& path : paths) {
        path.lost_at = Step::Best;
        path.multipath = false;
    }
    Candidates candidates{paths};
    compare_quality(candidates);
    const std::size_t equal = candidates.alive().size();
    break_ties(candidates);
    const auto sharing = static_cast<unsigned>(std::min<std::size_t>(equal, std::max(most, 1U)));
    for (Path& path : paths.first(sharing)) {
        path.multipath = true;
    }
    return sharing;
}

}  // namespace vr::bgp
