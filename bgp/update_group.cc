// SPDX-License-Identifier: Apache-2.0
#include "bgp/update_group.h"

#include <algorithm>
#include <cassert>

#include "bgp/update.h"

namespace vr::bgp {
namespace {

/// Rows per batch: so much may a member's output exceed its room.
constexpr std::size_t kBatch = 1024;
/// Handing a batch to a member costs as much as so many rows,
constexpr std::size_t kSeatCost = 2;
/// so that at least so many are handed out together.
constexpr std::size_t kSharedRows = 64;

/// RFC 8950 3: only whom we know to understand it is told an IPv6 next hop for IPv4.
template <Family F>
bool understands(const Ends& ends, const Attributes& told) {
    return std::is_same_v<F, V6> || ends.ipv4_over_ipv6 ||
           std::holds_alternative<Ip4>(told.next_hop);
}

}  // namespace

ExportTerms export_terms(
    const Ends& ends,
    const std::optional<IpAddr>& own_next_hop,
    const Filter& filter,
    const AttributeContext& context) {
    ExportTerms terms{
        .ends = ends, .own_next_hop = own_next_hop, .filter = filter, .context = context};
    const Ends defaults;
    terms.ends.local_address = defaults.local_address;
    terms.ends.enforce_first_as = defaults.enforce_first_as;
    terms.ends.allow_own_as = defaults.allow_own_as;
    terms.ends.zone = defaults.zone;
    // Which next hops the peer reaches itself matters only where they might be told as they are.
    if (ends.kind != PeerKind::External || ends.next_hop != NextHopMode::Auto) {
        terms.ends.told_zone = defaults.told_zone;
    }
    if (ends.kind == PeerKind::External && ends.next_hop == NextHopMode::Self) {
        terms.ends.link = defaults.link;  // no other next hop is told than ours
    }
    if (!ends.as_override) {
        terms.ends.peer_as = defaults.peer_as;
    }
    return terms;
}

template <Family F>
UpdateGroup<F>::UpdateGroup(const ExportTables<F>& tables, ExportTerms terms)
    : tables_(tables), terms_(std::move(terms)), filter_(terms_.filter) {}

// --- members -----------------------------------------------------------------------------------------

template <Family F>
void UpdateGroup<F>::join(UpdateMember& member, UpdateGroup* former) {
    if (former != nullptr) {
        inherit_farewells(member, *former);
        const auto before = std::ranges::find_if(farewells_, [&](const Farewell& farewell) {
            return farewell.member == &member && farewell.group == former;
        });
        if (before != farewells_.end()) {
            before->next = 0;  // its cursor keeps what changed since an earlier time, too
        } else {
            const auto cohort = std::ranges::find_if(former->cohorts_, [&](const Cohort& each) {
                return std::ranges::find(each.seats, &member, &Seat::member) != each.seats.end();
            });
            assert(cohort != former->cohorts_.end());
            const OutTable::Cursor cursor = former->table_.clone(cohort->cursor);
            ++former->readers_;
            farewells_.push_back(Farewell{.member = &member, .group = former, .cursor = cursor});
        }
    }
    place({.cursor = table_.add_cursor(), .seats = {{.member = &member, .dumping = true}}});
    const SourceId source = member.source_id();
    if (is_member_.size() <= source) {
        is_member_.resize(source + 1U);
    }
    is_member_[source] = true;
    member_at_[tables_.sources[source].address] = source;
    ++seats_;
}

template <Family F>
void UpdateGroup<F>::leave(UpdateMember& member) {
    for (auto cohort = cohorts_.begin(); cohort != cohorts_.end(); ++cohort) {
        if (std::erase_if(
                cohort->seats, [&](const Seat& seat) { return seat.member == &member; }) == 0) {
            continue;
        }
        is_member_[member.source_id()] = false;
        member_at_.erase(tables_.sources[member.source_id()].address);
        --seats_;
        if (cohort->seats.empty()) {
            table_.remove_cursor(cohort->cursor);
            cohorts_.erase(cohort);
        }
        break;
    }
    std::erase_if(farewells_, [&](Farewell& farewell) {
        const bool its = farewell.member == &member;
        if (its) {
            end_farewell(farewell);
        }
        return its;
    });
}

template <Family F>
void UpdateGroup<F>::refresh(UpdateMember& member) {
    for (Cohort& cohort : cohorts_) {
        const auto seat = std::ranges::find(cohort.seats, &member, &Seat::member);
        if (seat == cohort.seats.end()) {
            continue;
        }
        seat->dumping = true;
        Cohort alone{.cursor = table_.clone(cohort.cursor), .seats = {*seat}};
        table_.rewind(alone.cursor);
        cohort.seats.erase(seat);
        if (cohort.seats.empty()) {
            table_.remove_cursor(cohort.cursor);
            cohorts_.erase(cohorts_.begin() + (&cohort - cohorts_.data()));
        }
        place(std::move(alone));
        return;
    }
}

/// Adds a cohort, or its members to those who have been told the same: hundreds who come, or want all again,
/// hear it together.
template <Family F>
void UpdateGroup<F>::place(Cohort&& cohort) {
    const auto same = std::ranges::find_if(cohorts_, [&](const Cohort& each) {
        return table_.same_place(each.cursor, cohort.cursor);
    });
    if (same == cohorts_.end()) {
        cohorts_.push_back(std::move(cohort));
        return;
    }
    std::ranges::copy(cohort.seats, std::back_inserter(same->seats));
    table_.remove_cursor(cohort.cursor);
}

// --- what the members must know ----------------------------------------------------------------------

template <Family F>
Filter::Verdict UpdateGroup<F>::judge(const Prefix<F>& prefix, const PathCell& cell) {
    const PeerKind source = tables_.sources[cell.source].kind;
    std::string_view interface;
    if (filter_.wants_interface()) {
        interface = tables_.next_hops.interface_to(
            source == PeerKind::Local ? IpAddr{prefix.address()}
                                      : forwarding_next_hop(*cell.attributes));
    }
    return filter_.judge(
        prefix,
        RouteFacts{
            .attributes = *cell.attributes,
            .source = source,
            .peer = terms_.ends.kind,
            .interface = interface});
}

template <Family F>
AttributesRef UpdateGroup<F>::translate(const Prefix<F>& prefix, const PathCell& cell) {
    const Filter::Verdict verdict = judge(prefix, cell);
    if (!verdict.accepted) {
        return {};
    }
    const PathSource& source = tables_.sources[cell.source];
    if (memo_.from != cell.attributes || memo_.source != source.serial ||
        memo_.operations != verdict.operations || memo_.next_hops != tables_.next_hops.stamp()) {
        Ends ends = terms_.ends;
        if (stays_on_link(cell)) {
            ends.next_hop = NextHopMode::Keep;
        }
        if (!shares_link(cell)) {
            ends.link = 0;
        }
        auto told =
            advertise(*cell.attributes, source, ends, terms_.own_next_hop, verdict.operations);
        if (told && !understands<F>(terms_.ends, *told)) {
            told.reset();
        }
        memo_ = Memo{
            .from = cell.attributes,
            .source = source.serial,
            .next_hops = tables_.next_hops.stamp(),
            .operations = verdict.operations,
            .to = told ? tables_.pool.intern(*std::move(told)) : AttributesRef{}};
    }
    return memo_.to;
}

/// RFC 4271 5.1.3: an external peer may be told of a next hop that it reaches as directly as us.  None that
/// is link-local: what a link is here, the peer cannot know.
template <Family F>
bool UpdateGroup<F>::stays_on_link(const PathCell& cell) const {
    const Ends& ends = terms_.ends;
    if (ends.kind != PeerKind::External || ends.next_hop != NextHopMode::Auto ||
        ends.told_zone == 0 || tables_.sources[cell.source].kind != PeerKind::Internal) {
        return false;
    }
    const IpAddr next_hop = forwarding_next_hop(*cell.attributes);
    return zone_of(next_hop) == 0 && tables_.next_hops.zone_to(next_hop) == ends.told_zone;
}

/// RFC 2545 3: a next hop that is told as it came keeps its link-local address where we, who told us of it, the
/// peer and it are all on one link.
template <Family F>
bool UpdateGroup<F>::shares_link(const PathCell& cell) const {
    const Zone link = terms_.ends.link;
    const Attributes& attributes = *cell.attributes;
    return link != 0 && attributes.next_hop_link_local &&
           tables_.next_hops.link_to(forwarding_next_hop(attributes)) == link &&
           tables_.oracle.link_to(tables_.sources[cell.source].address) == link;
}

/// Whether an announced row is told to `member`.
template <Family F>
bool UpdateGroup<F>::hears(const UpdateMember& member, Row row) const {
    const SourceId self = member.source_id();
    return table_.source(row) != self &&
           table_.told(row)->next_hop != tables_.sources[self].address;
}

template <Family F>
void UpdateGroup<F>::announce(Row row, RouteId route, const AttributesRef& told, SourceId source) {
    if (table_.state(row) == OutTable::State::Announced) {
        count_through(row, -1);
    }
    if (table_.announce(row, told, source)) {
        tables_.loc.pin(route);
    }
    count_through(row, 1);
}

template <Family F>
void UpdateGroup<F>::withdraw(Row row) {
    count_through(row, -1);
    table_.withdraw(row);
}

template <Family F>
void UpdateGroup<F>::count_through(Row row, int by) {
    const IpAddr& next_hop = table_.told(row)->next_hop;
    if (tables_.sources[table_.source(row)].address == next_hop) {
        return;
    }
    const auto at = through_.try_emplace(next_hop, 0).first;
    at->second += by;
    if (at->second == 0) {
        through_.erase(at);
    }
}

template <Family F>
void UpdateGroup<F>::route_changed(RouteId id, const Route& route, bool best) {
    if (seats_ == 0) {
        return;
    }
    if (with_path_ids()) {
        paths_changed(id, route);
        return;
    }
    if (!best) {
        return;
    }
    const PathCell* path = route.best();
    const AttributesRef told = path != nullptr ? translate(route.prefix, *path) : AttributesRef{};
    if (told) {
        announce(id, id, told, path->source);
    } else if (table_.state(id) == OutTable::State::Announced) {
        withdraw(id);
    }
}

/// ADD-PATH: every usable path that the terms let through is told, RFC 7911 2.  There may be hundreds.
template <Family F>
void UpdateGroup<F>::paths_changed(RouteId id, const Route& route) {
    const auto key = [](const Tellable& path) { return std::pair{path.source, path.received_id}; };
    tellable_.clear();
    for (const PathCell& cell : route.paths.cells()) {
        if (cell.refused || cell.lost_at == Step::NextHop) {
            continue;
        }
        if (AttributesRef told = translate(route.prefix, cell)) {
            tellable_.push_back(Tellable{
                .told = std::move(told), .source = cell.source, .received_id = cell.path_id});
        }
    }
    std::ranges::sort(tellable_, {}, key);
    Row row = id < first_row_.size() ? first_row_[id] : OutTable::kNone;
    for (; row != OutTable::kNone; row = path_rows_[row].sibling) {
        const auto of_row = std::pair{table_.source(row), path_rows_[row].received_id};
        const auto path = std::ranges::lower_bound(tellable_, of_row, {}, key);
        if (path != tellable_.end() && key(*path) == of_row) {
            path->row = row;
        } else if (table_.state(row) == OutTable::State::Announced) {
            withdraw(row);
        }
    }
    for (const Tellable& path : tellable_) {
        const Row told =
            path.row != OutTable::kNone ? path.row : add_path_row(id, path.received_id);
        announce(told, id, path.told, path.source);
    }
    tellable_.clear();  // holds no attributes
}

template <Family F>
auto UpdateGroup<F>::add_path_row(RouteId id, std::uint32_t received_id) -> Row {
    if (first_row_.size() <= id) {
        first_row_.resize(id + 1U, OutTable::kNone);
    }
    Row row = free_row_;
    if (row == OutTable::kNone) {
        row = static_cast<Row>(path_rows_.size());
        path_rows_.emplace_back();
    } else {
        free_row_ = path_rows_[row].sibling;
    }
    path_rows_[row] = PathRow{.route = id, .received_id = received_id, .sibling = first_row_[id]};
    first_row_[id] = row;
    return row;
}

template <Family F>
RouteId UpdateGroup<F>::route_of(Row row) const {
    return with_path_ids() ? path_rows_[row].route : row;
}

/// A row is absent now: nobody needs its prefix any more.
template <Family F>
void UpdateGroup<F>::freed(Row row) {
    const RouteId route = route_of(row);
    if (with_path_ids()) {
        Row* link = &first_row_[route];
        while (*link != row) {
            link = &path_rows_[*link].sibling;
        }
        *link = path_rows_[row].sibling;
        path_rows_[row].sibling = free_row_;
        free_row_ = row;
    }
    tables_.loc.unpin(route);
}

template <Family F>
bool UpdateGroup<F>::work(std::size_t most) {
    if (seats_ == 0) {
        return unread() && drop_rows(most);
    }
    bool more = table_.reclaim(most, [this](Row row) { freed(row); });
    if (filling_) {
        const RouteId end = tables_.loc.end();
        const auto to = static_cast<RouteId>(std::min<std::size_t>(*filling_ + most, end));
        for (RouteId id = *filling_; id < to; ++id) {
            if (const Route* route = tables_.loc.at(id)) {
                route_changed(id, *route, true);
            }
        }
        filling_ = to;
        if (to == end) {
            filling_.reset();
        }
        more = more || filling_.has_value();
    }
    return more;
}

/// Nobody reads this table any more; true when rows are left.
template <Family F>
bool UpdateGroup<F>::drop_rows(std::size_t most) {
    const Row to = static_cast<Row>(std::min<std::size_t>(dropping_ + most, table_.end()));
    for (; dropping_ < to; dropping_ += OutTable::kChunk) {
        if (!table_.chunk_absent(dropping_)) {
            table_.drop_chunk(dropping_, [this](Row row) { freed(row); });
        }
    }
    rows_dropped_ = dropping_ >= table_.end();
    return !rows_dropped_;
}

// --- telling them ------------------------------------------------------------------------------------

template <Family F>
bool UpdateGroup<F>::has_output() const {
    const auto ready = [this](const Cohort& cohort) {
        const bool told = table_.at_end(cohort.cursor);
        return std::ranges::any_of(cohort.seats, [&](const Seat& seat) {
            const bool done = !filling_ && !tables_.selection_deferred;
            return seat.member->has_room() && (!told || (seat.dumping && done));
        });
    };
    return std::ranges::any_of(cohorts_, ready) ||
           (!filling_ && !tables_.selection_deferred &&
            std::ranges::any_of(
                farewells_, [](const Farewell& farewell) { return farewell.member->has_room(); }));
}

template <Family F>
std::size_t UpdateGroup<F>::pack(std::size_t most) {
    std::size_t count = 0;
    // Each is the first one in turn: one of many members can use up a slice, round after round.
    if (cohorts_.size() > 1) {
        std::ranges::rotate(cohorts_, cohorts_.begin() + 1);
    }
    // New cohorts come at the end, and merging takes away what is behind `index`.
    for (std::size_t index = 0; index < cohorts_.size() && count < most; ++index) {
        count += pack_cohort(index, most - count);
    }
    if (!filling_ && !farewells_.empty()) {
        count += say_farewell(most);
    }
    return count;
}

template <Family F>
std::size_t UpdateGroup<F>::pack_cohort(std::size_t index, std::size_t most) {
    std::size_t count = 0;
    while (count < most && !table_.at_end(cohorts_[index].cursor)) {
        leave_full_behind(index);
        if (!cohorts_[index].seats.front().member->has_room()) {
            return count;
        }
        const std::size_t rows = std::max(most - count, kSharedRows);
        collect(cohorts_[index].cursor, std::min(kBatch, rows));
        count += batch_.size() + kSeatCost * cohorts_[index].seats.size();
        batch_.encode(terms_.context);
        for (const Seat& seat : cohorts_[index].seats) {
            batch_.hand_out(*seat.member);
        }
    }
    if (table_.at_end(cohorts_[index].cursor)) {
        notice_end(index);
    }
    return count;
}

/// Afterwards all seats of the cohort have room, or none has.
template <Family F>
void UpdateGroup<F>::leave_full_behind(std::size_t index) {
    const auto has_room = [](const Seat& seat) { return seat.member->has_room(); };
    auto& seats = cohorts_[index].seats;
    const auto full = std::ranges::stable_partition(seats, has_room);
    if (full.empty() || full.size() == seats.size()) {
        return;
    }
    Cohort behind{
        .cursor = table_.clone(cohorts_[index].cursor), .seats = {full.begin(), full.end()}};
    seats.erase(full.begin(), full.end());
    cohorts_.push_back(std::move(behind));
}

template <Family F>
auto UpdateGroup<F>::item_of(Row row) const -> UpdateBatch<F>::Item {
    const SourceId source = table_.source(row);
    const bool own = source < is_member_.size() && is_member_[source];
    const bool retold = table_.had_other_source(row);
    const AttributesRef& told = table_.told(row);
    const auto hop = told ? member_at_.find(told->next_hop) : member_at_.end();
    return {
        .told = &told,
        .prefix = tables_.loc.at(route_of(row))->prefix,
        .path_id = told_id(row),
        .owner = own && (told || !retold) ? source : SourceId{0},
        .hop = hop == member_at_.end() ? SourceId{0} : hop->second,
        .retold = retold};
}

/// The next rows behind `cursor`, withdrawals first.
template <Family F>
void UpdateGroup<F>::collect(OutTable::Cursor cursor, std::size_t most) {
    batch_.clear();
    for (Row row = 0; batch_.size() < most && row != OutTable::kNone;) {
        row = table_.next_withdrawn(cursor);
        if (row != OutTable::kNone) {
            batch_.add(item_of(row));
        }
    }
    for (Row row = 0; batch_.size() < most && row != OutTable::kNone;) {
        row = table_.next_announced(cursor);
        if (row != OutTable::kNone) {
            batch_.add(item_of(row));
        }
    }
}

/// The end of the table: who waited for it is told, and those who were behind join.
template <Family F>
void UpdateGroup<F>::notice_end(std::size_t index) {
    arrived_.clear();
    if (!filling_ && !tables_.selection_deferred) {
        for (Seat& seat : cohorts_[index].seats) {
            if (seat.dumping && seat.member->has_room()) {
                seat.dumping = false;
                arrived_.push_back(seat.member);
            }
        }
    }
    merge(index);
    for (UpdateMember* member : arrived_) {
        member->caught_up();  // may ask for a refresh at once
    }
}

/// Takes in the cohorts behind `index` that have been told the same.
template <Family F>
void UpdateGroup<F>::merge(std::size_t index) {
    for (std::size_t other = cohorts_.size(); --other > index;) {
        if (table_.same_place(cohorts_[index].cursor, cohorts_[other].cursor)) {
            std::ranges::copy(cohorts_[other].seats, std::back_inserter(cohorts_[index].seats));
            table_.remove_cursor(cohorts_[other].cursor);
            cohorts_.erase(cohorts_.begin() + static_cast<std::ptrdiff_t>(other));
        }
    }
}

/// Withdraws what members have from the group they left and do not get from this one.
template <Family F>
std::size_t UpdateGroup<F>::say_farewell(std::size_t most) {
    std::size_t count = 0;
    list_dumping();
    for (Farewell& farewell : farewells_) {
        const bool waits = std::ranges::binary_search(dumping_, farewell.member);
        if (count < most && !waits && farewell.member->has_room()) {
            const Row from = farewell.next;
            take_back(farewell, most - count);
            count += farewell.next - from;
        }
    }
    std::erase_if(farewells_, [this](Farewell& farewell) {
        const bool done = farewell.next >= farewell.group->table_.end();
        if (done) {
            end_farewell(farewell);
        }
        return done;
    });
    return count;
}

template <Family F>
void UpdateGroup<F>::take_back(Farewell& farewell, std::size_t most) {
    const UpdateMember& member = *farewell.member;
    const OutTable& old = farewell.group->table_;
    const auto to = static_cast<Row>(std::min<std::size_t>(farewell.next + most, old.end()));
    std::vector<Prefix<F>> prefixes;
    std::vector<std::uint32_t> path_ids;
    for (; farewell.next < to; ++farewell.next) {
        const Row row = farewell.next;
        if (old.state(row) == OutTable::State::Absent ||
            (old.source(row) == member.source_id() && !old.had_other_source(row))) {
            continue;  // it never heard of it
        }
        const RouteId route = farewell.group->route_of(row);
        if (announces(row, route, member)) {
            continue;
        }
        prefixes.push_back(tables_.loc.at(route)->prefix);
        if (with_path_ids()) {
            path_ids.push_back(told_id(row));
        }
    }
    const auto words = std::make_shared<Output::Octets>();
    const unsigned messages = pack_withdrawals<F>(prefixes, *words, path_ids);
    farewell.member->take(words, *words, messages);
}

template <Family F>
void UpdateGroup<F>::end_farewell(Farewell& farewell) {
    farewell.group->table_.remove_cursor(farewell.cursor);
    --farewell.group->readers_;
}

/// What `former` was still to say to `member` is for this group to say.
template <Family F>
void UpdateGroup<F>::inherit_farewells(const UpdateMember& member, UpdateGroup& former) {
    std::erase_if(former.farewells_, [&](const Farewell& farewell) {
        const bool its = farewell.member == &member;
        if (its) {
            farewells_.push_back(farewell);
        }
        return its;
    });
}

/// Members that have not caught up, by address.
template <Family F>
void UpdateGroup<F>::list_dumping() {
    dumping_.clear();
    for (const Cohort& cohort : cohorts_) {
        for (const Seat& seat : cohort.seats) {
            if (seat.dumping) {
                dumping_.push_back(seat.member);
            }
        }
    }
    std::ranges::sort(dumping_);
}

/// Whether `member` knows the prefix of `route` (with ADD-PATH: the path `row` of it) from this group.
template <Family F>
bool UpdateGroup<F>::announces(Row row, RouteId route, const UpdateMember& member) const {
    return table_.state(row) == OutTable::State::Announced && route_of(row) == route &&
           hears(member, row);
}

template <Family F>
bool UpdateGroup<F>::dismantle() {
    static constexpr std::size_t kRows = 4096;
    const auto shorten = [](auto& rows) {
        rows.resize(rows.size() - std::min(rows.size(), kRows));
        return !rows.empty();
    };
    return table_.dismantle() || shorten(path_rows_) || shorten(first_row_);
}

template class UpdateGroup<V4>;
template class UpdateGroup<V6>;

}  // namespace vr::bgp
