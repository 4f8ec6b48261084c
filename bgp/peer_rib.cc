// SPDX-License-Identifier: Apache-2.0
#include "bgp/peer_rib.h"

#include <algorithm>

#include "bgp/message.h"

namespace vr::bgp {
namespace {

const FamilyConfig& family_of(const PeerConfig& config, V4 /*family*/) {
    return config.ipv4;
}

const FamilyConfig& family_of(const PeerConfig& config, V6 /*family*/) {
    return config.ipv6;
}

/// Our next hop in the family: as configured, or the session's address when it is of the family.  For
/// IPv4 that of IPv6 will do where both sides know RFC 8950.
template <Family F>
std::optional<IpAddr> session_next_hop(const PeerConfig& config, const Ends& ends) {
    const auto of_family = [](const std::optional<IpAddr>& address) {
        return address && std::holds_alternative<typename F::Addr>(*address);
    };
    if (const auto& configured = family_of(config, F{}).next_hop; of_family(configured)) {
        return configured;
    }
    if (of_family(ends.local_address)) {
        return ends.local_address;
    }
    return std::is_same_v<F, V4> && ends.ipv4_over_ipv6 ? session_next_hop<V6>(config, ends)
                                                        : std::nullopt;
}

/// By the peer's own word or by that of our import filter.
bool asks_not_to_live_on(const PathCell& cell) {
    return cell.attributes.received()->has_community(community::kNoLlgr) ||
           cell.attributes->has_community(community::kNoLlgr);
}

}  // namespace

// --- the session ----------------------------------------------------------------------------------

template <Family F>
void PeerRib<F>::configure(const Ends& ends, const PeerConfig& config) {
    const FamilyConfig& family = family_of(config, F{});
    ends_ = ends;
    own_next_hop_ = session_next_hop<F>(config, ends);
    // RFC 2545 3: beside a global one only.
    const auto* own = own_next_hop_ ? std::get_if<Ip6>(&*own_next_hop_) : nullptr;
    if (std::is_same_v<F, V4> && !ends.ipv4_over_ipv6) {
        ends_.link = 0;  // there are no others: peers on whatever links are told the same
    } else if (own != nullptr && !own->is_link_local() && ends.link != 0) {
        ends_.own_link_local = ribs_.oracle.link_local_beside(*own, ends.link);
    }
    maximum_ = family.maximum_prefixes;
    if (Filter import = filter_in_force(config.import, ends.kind); import != import_.filter()) {
        import_ = RuleIndex{std::move(import)};
    }
    imported_ = {};
}

template <Family F>
void PeerRib<F>::begin(
    const Ends& ends,
    const AttributeContext& out,
    const PeerConfig& config,
    Old old,
    const Outlet& outlet) {
    if (old == Old::Drop) {
        degrade_.reset();
        next_generation();
        generations_.drop_all();
        sweep();
    }
    leave_group();
    configure(ends, config);
    context_ = out;
    outlet_ = outlet;
    up_ = true;
    told_all_ = false;
    end_of_rib_due_ = true;
    end_of_rib_received_ = false;
    refresh_ = {};
    join_group(config);
}

template <Family F>
void PeerRib<F>::end(Old old) {
    // Aged by a refresh that is not over: said by this session nevertheless, so RFC 4724 4.2 keeps it.
    const bool all_is_of_session =
        old == Old::Keep && refreshing_in_ && refreshes_all_ && generations_.can_age();
    if (all_is_of_session) {
        degrade_.reset();
    } else if (old != Old::KeepAll || !generations_.can_age()) {
        degrade_.reset();
        generations_.drop_stale();
    } else if (has_stale()) {
        begin_long_lived();
    }
    next_generation();
    if (old == Old::Drop) {
        generations_.drop_all();
    } else {
        generations_.age();
    }
    sweep();
    up_ = false;
    end_of_rib_due_ = false;
    end_of_rib_received_ = false;
    refreshing_in_ = false;
    refresh_ = {};
    refilter_.reset();
    refilters_again_ = false;
    leave_group();
    imported_ = {};
}

template <Family F>
void PeerRib<F>::join_group(const PeerConfig& config) {
    const Filter filter = filter_in_force(config.export_, ends_.kind);
    const auto group =
        ribs_.groups<F>().obtain(export_terms(ends_, own_next_hop_, filter, context_));
    if (group == group_) {
        return;
    }
    group->join(*this, group_.get());
    leave_group();
    group_ = group;
}

template <Family F>
void PeerRib<F>::leave_group() {
    if (group_ != nullptr) {
        group_->leave(*this);
        group_.reset();
    }
}

template <Family F>
void PeerRib<F>::change_ends(const Ends& ends, const PeerConfig& config) {
    configure(ends, config);
    join_group(config);
}

template <Family F>
void PeerRib<F>::reconfigure(const Ends& ends, const PeerConfig& config) {
    configure(ends, config);
    refilter();
    join_group(config);
}

template <Family F>
void PeerRib<F>::refilter() {
    refilter_ = 0;
    refilters_again_ = false;
    if (has_long_lived()) {
        degrade_ = 0;  // afterwards: filters may say which ask not to be kept
    }
}

/// A walk that is on its way comes to its end first, however often links change.
template <Family F>
void PeerRib<F>::next_hops_changed() {
    if (!up_ || !import_.wants_interface()) {
        return;
    }
    if (refilter_) {
        refilters_again_ = true;
    } else {
        refilter();
    }
}

// --- in -------------------------------------------------------------------------------------------

template <Family F>
Filter::Verdict PeerRib<F>::judge(const Prefix<F>& prefix, const Attributes& attributes) const {
    std::string_view interface;
    if (import_.wants_interface()) {
        interface = ribs_.next_hops.interface_to(forwarding_next_hop(attributes));
    }
    return import_.judge(
        prefix,
        RouteFacts{
            .attributes = attributes,
            .source = source_.kind,
            .peer = ends_.kind,
            .interface = interface});
}

template <Family F>
AttributesRef PeerRib<F>::imported(const AttributesRef& received, const Operations* operations) {
    if (operations == nullptr) {
        return received;
    }
    if (imported_.from != received || imported_.operations != operations) {
        Attributes changed = *received;
        apply(*operations, changed);
        imported_ = Memo{
            .from = received,
            .operations = operations,
            .to = ribs_.pool.intern(std::move(changed), received)};
    }
    return imported_.to;
}

template <Family F>
PathCell PeerRib<F>::cell_of(
    const Prefix<F>& prefix,
    std::uint32_t path_id,
    const AttributesRef& received,
    Refusal refusal) {
    const Filter::Verdict verdict = refusal == Refusal::None && is_routable(prefix)
                                        ? judge(prefix, *received)
                                        : Filter::Verdict{};
    return PathCell{
        .attributes = verdict.accepted ? imported(received, verdict.operations) : received,
        .path_id = path_id,
        .source = source_.id,
        .epoch = generations_.current(),
        .refused = !verdict.accepted};
}

template <Family F>
void PeerRib<F>::set(const Prefix<F>& prefix, PathCell&& cell) {
    const bool refused = cell.refused;
    const std::uint8_t epoch = cell.epoch;
    const auto placed = ribs_.of<F>().set(prefix, std::move(cell));
    if (!placed) {
        ++left_out_;
        return;
    }
    if (placed->added) {
        const std::size_t chunk = placed->route / LocRib<F>::kChunk;
        if (paths_in_.size() <= chunk) {
            paths_in_.resize(chunk + 1);
        }
        ++paths_in_[chunk];
    } else {
        generations_.remove(placed->was.epoch);
        accepted_ -= placed->was.refused ? 0 : 1;
    }
    generations_.add(epoch);
    accepted_ += refused ? 0 : 1;
}

template <Family F>
void PeerRib<F>::withdraw(const Prefix<F>& prefix, std::uint32_t path_id) {
    if (const auto placed = ribs_.of<F>().remove(prefix, source_.id, path_id)) {
        count_out(placed->route, placed->was.epoch, placed->was.refused);
    }
}

template <Family F>
void PeerRib<F>::count_out(RouteId route, std::uint8_t epoch, bool refused) {
    --paths_in_[route / LocRib<F>::kChunk];
    generations_.remove(epoch);
    accepted_ -= refused ? 0 : 1;
}

template <Family F>
bool PeerRib<F>::receive(Reach<F>&& reach) {
    const auto id = [](const std::vector<std::uint32_t>& ids, std::size_t i) {
        return i < ids.size() ? ids[i] : 0;
    };
    for (std::size_t i = 0; i < reach.withdrawn.size(); ++i) {
        withdraw(reach.withdrawn[i], id(reach.withdrawn_ids, i));
    }
    if (!reach.announced.empty()) {
        place_next_hop(reach.attributes, ends_);
        const AttributesRef received = ribs_.pool.intern(std::move(reach.attributes));
        const Refusal refusal = admit(*received, ends_, own_next_hop_);
        for (std::size_t i = 0; i < reach.announced.size(); ++i) {
            const Prefix<F>& prefix = reach.announced[i];
            set(prefix, cell_of(prefix, id(reach.announced_ids, i), received, refusal));
        }
    }
    if (reach.end_of_rib && !std::exchange(end_of_rib_received_, true) && !refreshing_in_) {
        drop_stale();
    }
    return !exceeds_maximum();
}

template <Family F>
void PeerRib<F>::begin_long_lived() {
    generations_.begin_long_lived();
    degrade_ = 0;
}

template <Family F>
void PeerRib<F>::drop_stale() {
    degrade_.reset();
    if (has_stale()) {
        generations_.drop_stale();
        sweep();
    }
}

template <Family F>
void PeerRib<F>::begin_refresh() {
    if (exhausting()) {
        return;
    }
    next_generation();
    generations_.age();
    if (!std::exchange(refreshing_in_, true)) {
        refreshes_all_ = end_of_rib_received_;
    }
}

template <Family F>
void PeerRib<F>::end_refresh() {
    if (std::exchange(refreshing_in_, false)) {
        drop_stale();
    }
}

/// Generations repeat: what still leaves from the last time goes first.  All of the table in one go, which
/// exhausting() keeps from being necessary.
template <Family F>
void PeerRib<F>::next_generation() {
    while (generations_.exhausted()) {
        sweep();
        std::size_t budget = LocRib<F>::kChunk;
        work(budget);
    }
}

// --- table work -----------------------------------------------------------------------------------

template <Family F>
void PeerRib<F>::sweep() {
    if (!sweep_ && generations_.leaving() != 0) {
        sweep_ = 0;
    }
}

template <Family F>
void PeerRib<F>::sweep_chunk(std::size_t chunk) {
    LocRib<F>& loc = ribs_.of<F>();
    const auto first = static_cast<RouteId>(chunk * LocRib<F>::kChunk);
    for (RouteId id = first; id < first + LocRib<F>::kChunk && id < loc.end(); ++id) {
        if (loc.at(id) == nullptr) {
            continue;
        }
        loc.remove_where(id, [&](const PathCell& cell) {
            const bool leaves = cell.source == source_.id && !generations_.is_kept(cell.epoch);
            if (leaves) {
                count_out(id, cell.epoch, cell.refused);
            }
            return leaves;
        });
    }
}

template <Family F>
void PeerRib<F>::refilter_chunk(std::size_t chunk) {
    // Setting a path changes the route that is looked at: what to set is found first.
    struct Again {
        Prefix<F> prefix;
        PathCell cell;
    };

    std::vector<Again> again;
    for_each_path(chunk, [&](const Prefix<F>& prefix, const PathCell& cell) {
        if (!generations_.is_kept(cell.epoch)) {
            return;
        }
        const AttributesRef& received = cell.attributes.received();
        PathCell judged =
            cell_of(prefix, cell.path_id, received, admit(*received, ends_, own_next_hop_));
        judged.epoch = cell.epoch;
        if (generations_.is_long_lived(cell.epoch)) {
            degrade(judged);
        }
        again.push_back({prefix, std::move(judged)});
    });
    for (Again& each : again) {
        set(each.prefix, std::move(each.cell));
    }
}

/// RFC 9494 4.2: what asks not to be kept leaves, the rest is marked.
template <Family F>
void PeerRib<F>::degrade_chunk(std::size_t chunk) {
    LocRib<F>& loc = ribs_.of<F>();
    std::vector<std::pair<Prefix<F>, PathCell>> again;
    const auto first = static_cast<RouteId>(chunk * LocRib<F>::kChunk);
    for (RouteId id = first; id < first + LocRib<F>::kChunk && id < loc.end(); ++id) {
        if (const auto* route = loc.at(id)) {
            const Prefix<F> prefix = route->prefix;
            loc.remove_where(id, [&](const PathCell& cell) {
                if (cell.source != source_.id || !generations_.is_long_lived(cell.epoch)) {
                    return false;
                }
                if (!asks_not_to_live_on(cell)) {
                    if (!cell.attributes->has_community(community::kLlgrStale)) {
                        PathCell marked = cell;
                        degrade(marked);
                        again.emplace_back(prefix, std::move(marked));
                    }
                    return false;
                }
                count_out(id, cell.epoch, cell.refused);
                return true;
            });
        }
    }
    for (auto& [prefix, cell] : again) {
        set(prefix, std::move(cell));
    }
}

template <Family F>
void PeerRib<F>::degrade(PathCell& cell) {
    if (degraded_.from != cell.attributes) {
        Attributes marked = *cell.attributes;
        add_community(marked, StandardCommunity{community::kLlgrStale});
        degraded_ = Memo{
            .from = cell.attributes,
            .to = ribs_.pool.intern(std::move(marked), cell.attributes.received())};
    }
    cell.attributes = degraded_.to;
}

template <Family F>
template <typename Visit>
void PeerRib<F>::for_each_path(std::size_t chunk, Visit visit) const {
    const LocRib<F>& loc = ribs_.of<F>();
    const auto first = static_cast<RouteId>(chunk * LocRib<F>::kChunk);
    for (RouteId id = first; id < first + LocRib<F>::kChunk && id < loc.end(); ++id) {
        if (const auto* route = loc.at(id)) {
            for (const PathCell& cell : route->paths.cells()) {
                if (cell.source == source_.id) {
                    visit(route->prefix, cell);
                }
            }
        }
    }
}

/// Visits chunks that have paths of this peer from `at` on, within the budget; true at the end.
template <Family F>
void PeerRib<F>::walk(
    std::optional<std::size_t>& at, std::size_t& budget, void (PeerRib::*visit)(std::size_t)) {
    constexpr std::size_t kEmptyChunks = 64;  // that cost as much as one route
    std::size_t skipped = 0;
    while (at && budget != 0) {
        if (*at >= paths_in_.size()) {
            at.reset();
        } else {
            const std::size_t chunk = (*at)++;
            std::size_t cost = ++skipped % kEmptyChunks == 0 ? 1 : 0;
            if (paths_in_[chunk] != 0) {
                (this->*visit)(chunk);
                cost = LocRib<F>::kChunk;
            }
            budget -= std::min(budget, cost);
        }
    }
}

template <Family F>
bool PeerRib<F>::work(std::size_t& budget) {
    walk(sweep_, budget, &PeerRib::sweep_chunk);
    sweep();  // what began to leave behind the walk
    walk(refilter_, budget, &PeerRib::refilter_chunk);
    if (!refilter_ && refilters_again_) {
        refilter();
    }
    walk(degrade_, budget, &PeerRib::degrade_chunk);
    if (!degrade_) {
        degraded_ = {};
    }
    return busy();
}

// --- out ------------------------------------------------------------------------------------------

template <Family F>
void PeerRib<F>::take(const Output::Shared& of, Bytes updates, unsigned messages) {
    outlet_.output->append(of, updates);
    outlet_.sent->updates += messages;
}

template <Family F>
void PeerRib<F>::caught_up() {
    told_all_ = true;
    write_markers();
}

template <Family F>
void PeerRib<F>::refresh(bool with_markers) {
    refresh_.wanted = true;
    refresh_.markers = with_markers;
    write_markers();
}

template <Family F>
void PeerRib<F>::write_markers() {
    if (!up_ || !told_all_) {
        return;
    }
    if (end_of_rib_due_) {
        encode_end_of_rib<F>(outlet_.output->tail());
        ++outlet_.sent->updates;
        end_of_rib_due_ = false;
    }
    const auto mark = [this](std::uint8_t subtype) {
        encode_route_refresh(kFamily, subtype, outlet_.output->tail());
        ++outlet_.sent->refreshes;
    };
    if (std::exchange(refresh_.end_due, false)) {
        mark(refresh_marker::kEnd);
    }
    // One answer at a time: a storm of requests costs one walk after the other, not one each.
    if (refresh_.wanted) {
        refresh_.wanted = false;
        refresh_.end_due = refresh_.markers;
        if (refresh_.markers) {
            mark(refresh_marker::kBegin);
        }
        told_all_ = false;
        group_->refresh(*this);
    }
}

template class PeerRib<V4>;
template class PeerRib<V6>;

}  // namespace vr::bgp
