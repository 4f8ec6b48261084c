// UpdateGroup: peers that are told the same, share one Adj-RIB-Out and each message is made once.
//
// What a peer is told follows from the session's terms (ExportTerms).  Peers with equal terms form a
// group; its OutTable says what its members must know.  Members that have been told the same so far
// form a cohort: a batch of rows is encoded once and its octets go to each of them.  A member whose
// output is full is left behind as a cohort of its own and joins the others again when it has caught
// up: a slow peer costs only itself.
//
// A peer does not hear its own routes, nor any whose next hop is its own address (RFC 4271 5.1.3): they
// are encoded apart and left out for it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bgp/attribute_pool.h"
#include "bgp/filter.h"
#include "bgp/loc_rib.h"
#include "bgp/out_table.h"
#include "bgp/rule_index.h"
#include "bgp/session_rules.h"
#include "bgp/update_batch.h"

namespace vr::bgp {

/// What decides how routes look to a peer.
struct ExportTerms {
    Ends ends;  ///< what does not matter for exports has its default: see export_terms()
    std::optional<IpAddr> own_next_hop;
    Filter filter;
    AttributeContext context;

    friend bool operator==(const ExportTerms&, const ExportTerms&) = default;
};

[[nodiscard]] ExportTerms export_terms(
    const Ends& ends,
    const std::optional<IpAddr>& own_next_hop,
    const Filter& filter,
    const AttributeContext& context);

/// The tables that a group reads.
template <Family F>
struct ExportTables {
    AttributePool& pool;
    LocRib<F>& loc;
    const Sources& sources;
    const NextHopOracle& oracle;
    NextHops& next_hops;
    /// Back after a restart and not yet done selecting: nobody has caught up (RFC 4724 4.1).
    const bool& selection_deferred;
};

template <Family F>
class UpdateGroup {
  public:
    UpdateGroup(const ExportTables<F>& tables, ExportTerms terms);
    UpdateGroup(const UpdateGroup&) = delete;
    UpdateGroup& operator=(const UpdateGroup&) = delete;
    UpdateGroup(UpdateGroup&&) = delete;
    UpdateGroup& operator=(UpdateGroup&&) = delete;
    ~UpdateGroup() = default;

    [[nodiscard]] const ExportTerms& terms() const noexcept { return terms_; }

    /// The whole table is due to `member`.  `former`: its group so far, on a session that lives on, which
    /// it leaves afterwards; what only that one announced, or those before it of which the member has not
    /// been told all yet, is withdrawn when the new table has been told.
    void join(UpdateMember& member, UpdateGroup* former = nullptr);

    void leave(UpdateMember& member);

    /// The whole table once more, RFC 2918.
    void refresh(UpdateMember& member);

    /// The paths to a prefix were ranked again; `best`: the best one is another.
    void route_changed(RouteId id, const typename LocRib<F>::Route& route, bool best);

    /// Walks the Loc-RIB (new group) or drops rows (nobody left), at most about `most` of them; true
    /// when more is left.
    bool work(std::size_t most);

    /// Tells members of up to about `most` rows; answers how many it told of, with what it costs to hand
    /// them out.
    std::size_t pack(std::size_t most);

    /// True when pack() has something to do.
    [[nodiscard]] bool has_output() const;

    /// Nobody is in it and no row is left.
    [[nodiscard]] bool spent() const noexcept { return unread() && rows_dropped_; }

    [[nodiscard]] bool has_members() const noexcept { return seats_ != 0; }

    /// Frees a part of the table; true when more is left.  Afterwards there is only more of this, and the
    /// destructor.
    bool dismantle();

    /// Prefixes (with ADD-PATH: paths) that `member` is told of.
    [[nodiscard]] std::size_t advertised_to(const UpdateMember& member) const {
        const auto towards = through_.find(tables_.sources[member.source_id()].address);
        return table_.announced() - table_.announced_by(member.source_id()) -
               (towards == through_.end() ? 0 : static_cast<std::size_t>(towards->second));
    }

    /// Calls visit(prefix, path identifier if any, attributes) for those in about `most` rows from `row` on, which it moves;
    /// true when rows are left.
    template <typename Visit>
    bool visit_advertised(
        const UpdateMember& member, std::size_t& row, std::size_t most, Visit visit) const {
        for (; row < table_.end() && most != 0; --most) {
            const auto at = static_cast<Row>(row);
            if (row % OutTable::kChunk == 0 && table_.chunk_absent(at)) {
                row += OutTable::kChunk;
                continue;
            }
            if (table_.state(at) == OutTable::State::Announced && hears(member, at)) {
                visit(
                    tables_.loc.at(route_of(at))->prefix,
                    with_path_ids() ? std::optional{told_id(at)} : std::nullopt,
                    table_.told(at));
            }
            ++row;
        }
        return row < table_.end();
    }

  private:
    using Row = OutTable::Row;
    using Route = typename LocRib<F>::Route;

    struct Seat {
        UpdateMember* member;
        bool dumping;  ///< caught_up() is due
    };

    /// Members that have been told the same.
    struct Cohort {
        OutTable::Cursor cursor;
        std::vector<Seat> seats;
    };

    /// What a member has from a group that it left, and must be told to forget.  It may have left several, this
    /// one among them, before it was told of any.
    struct Farewell {
        UpdateMember* member;
        UpdateGroup* group;       ///< not spent() while it has readers
        OutTable::Cursor cursor;  ///< keeps rows from being forgotten there
        Row next = 0;
    };

    /// A row with ADD-PATH: one path of a prefix.
    struct PathRow {
        RouteId route = 0;
        std::uint32_t received_id = 0;
        Row sibling = OutTable::kNone;  ///< the next row of the same prefix, or of the free list
    };

    [[nodiscard]] bool with_path_ids() const { return terms_.context.template path_ids<F>(); }

    /// With ADD-PATH: the identifier that the path of `row` is told with.
    [[nodiscard]] static std::uint32_t told_id(Row row) { return row + 1; }

    /// True when nobody reads the table any more.
    [[nodiscard]] bool unread() const noexcept { return seats_ == 0 && readers_ == 0; }

    [[nodiscard]] Filter::Verdict judge(const Prefix<F>& prefix, const PathCell& cell);
    [[nodiscard]] AttributesRef translate(const Prefix<F>& prefix, const PathCell& cell);
    [[nodiscard]] bool stays_on_link(const PathCell& cell) const;
    [[nodiscard]] bool shares_link(const PathCell& cell) const;
    [[nodiscard]] bool hears(const UpdateMember& member, Row row) const;
    void announce(Row row, RouteId route, const AttributesRef& told, SourceId source);
    void withdraw(Row row);
    void count_through(Row row, int by);
    void paths_changed(RouteId id, const Route& route);
    [[nodiscard]] Row add_path_row(RouteId id, std::uint32_t received_id);
    void freed(Row row);
    [[nodiscard]] RouteId route_of(Row row) const;
    bool drop_rows(std::size_t most);

    [[nodiscard]] std::size_t pack_cohort(std::size_t index, std::size_t most);
    void leave_full_behind(std::size_t index);
    [[nodiscard]] UpdateBatch<F>::Item item_of(Row row) const;
    void collect(OutTable::Cursor cursor, std::size_t most);
    void notice_end(std::size_t index);
    void merge(std::size_t index);
    std::size_t say_farewell(std::size_t most);
    void take_back(Farewell& farewell, std::size_t most);
    void end_farewell(Farewell& farewell);
    void inherit_farewells(const UpdateMember& member, UpdateGroup& former);
    void list_dumping();
    void place(Cohort&& cohort);
    [[nodiscard]] bool announces(Row row, RouteId route, const UpdateMember& member) const;

    ExportTables<F> tables_;
    ExportTerms terms_;
    RuleIndex filter_;  ///< that of the terms
    OutTable table_;
    std::vector<Cohort> cohorts_;
    std::vector<Farewell> farewells_;
    std::vector<bool> is_member_;  ///< by source
    /// Members by the address of their sessions.
    boost::unordered_flat_map<IpAddr, SourceId, std::hash<IpAddr>> member_at_;
    /// Rows announced by next hop, but for those that this address is the source of.
    boost::unordered_flat_map<IpAddr, std::int64_t, std::hash<IpAddr>> through_;
    std::size_t seats_ = 0;
    std::size_t readers_ = 0;             ///< farewells of other groups
    std::optional<RouteId> filling_ = 0;  ///< next route to look at; nothing: all were
    Row dropping_ = 0;
    bool rows_dropped_ = false;

    // ADD-PATH only.
    std::deque<PathRow> path_rows_;
    std::deque<Row> first_row_;  ///< by route
    Row free_row_ = OutTable::kNone;

    /// The last translation of attributes: neighbours in the table share them.  Nothing that it is found by
    /// can become something else meanwhile: it keeps the set, and numbers of sources are used again.  Links of
    /// next hops, on which it depends, can.
    struct Memo {
        AttributesRef from;
        std::uint64_t source = 0;     ///< its serial
        std::uint32_t next_hops = 0;  ///< their stamp
        const Operations* operations = nullptr;
        AttributesRef to;
    } memo_;

    /// With ADD-PATH: a path that the members are to know.
    struct Tellable {
        AttributesRef told;
        SourceId source = 0;
        std::uint32_t received_id = 0;
        Row row = OutTable::kNone;  ///< that speaks of it already
    };

    // Kept for their room.
    std::vector<Tellable> tellable_;
    UpdateBatch<F> batch_;
    std::vector<UpdateMember*> arrived_;
    std::vector<const UpdateMember*> dumping_;
};

/// All groups of one family.
template <Family F>
class UpdateGroups {
  public:
    explicit UpdateGroups(const ExportTables<F>& tables) : tables_(tables) {}

    /// The group of these terms, for a member that is to join it.
    [[nodiscard]] std::shared_ptr<UpdateGroup<F>> obtain(const ExportTerms& terms);

    void route_changed(RouteId id, const typename LocRib<F>::Route& route, bool best) {
        for (const auto& group : groups_) {
            group->route_changed(id, route, best);
        }
    }

    /// One slice; true when more can be done now.
    bool work();

    [[nodiscard]] std::size_t size() const noexcept { return groups_.size(); }

    /// UpdateGroup::dismantle(), of one group after the other.
    bool dismantle();

  private:
    ExportTables<F> tables_;
    std::vector<std::shared_ptr<UpdateGroup<F>>> groups_;
    std::size_t turn_ = 0;  ///< who is first
};

}  // namespace vr::bgp
