// PeerRib: the routes of one family that cross one session, both ways; pure.
//
// In: rules and filter -> Loc-RIB, where a peer's paths are its Adj-RIB-In too.  Out: the peer is a
// member of an update group, which knows what it must be told.  A lost session's routes may be kept as
// stale ones for the next session (graceful restart).  Whatever touches a whole table runs in slices of
// work(), so that no call takes long.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bgp/config.h"
#include "bgp/generations.h"
#include "bgp/output.h"
#include "bgp/ribs.h"
#include "bgp/rule_index.h"
#include "bgp/session_rules.h"
#include "bgp/summary.h"
#include "bgp/update.h"

namespace vr::bgp {

/// Where UPDATEs to a peer go: the output of its established connection.
struct Outlet {
    Output* output = nullptr;
    MessageCounters* sent = nullptr;
};

template <Family F>
class PeerRib final : public UpdateMember {
  public:
    PeerRib(Ribs& ribs, const PathSource& source) : ribs_(ribs), source_(source) {}

    enum class Old : std::uint8_t {
        Keep,
        KeepAll,  ///< of end(): what was stale already, too, as the last resort
        Drop,
    };

    /// The session is up: the whole table is due to the peer.  What is left of the last session stays
    /// stale until the peer's End-of-RIB, or leaves.  `out` says how UPDATEs to the peer
    /// are written.
    void begin(
        const Ends& ends,
        const AttributeContext& out,
        const PeerConfig& config,
        Old old,
        const Outlet& outlet);

    /// The session is gone.  Its routes stay as stale ones, or leave slice by slice; those that were
    /// stale already leave (RFC 4724 4.2) unless they may live on (RFC 9494 4.2).  What a refresh has
    /// only begun to say again is as good as the rest.
    void end(Old old);

    /// The peer did not come back, or did not finish, in time: stale routes leave.
    void drop_stale();

    /// The peer did not come back in time, but may yet (RFC 9494 4.2): what is stale goes on as the last
    /// resort, but for routes that ask not to.
    void begin_long_lived();

    /// The peer says all again, RFC 7313: what it has not repeated at the end leaves.  Not while it is
    /// exhausting(): nothing leaves then.
    void begin_refresh();
    void end_refresh();

    /// Our end of a living session is another one: what we tell may be, too.
    void change_ends(const Ends& ends, const PeerConfig& config);

    /// Filters or limits changed under a living session.
    void reconfigure(const Ends& ends, const PeerConfig& config);

    /// The machine's answers about some next hops are others: an import filter may look at their links.
    void next_hops_changed();

    /// What an UPDATE said; false when the peer now exceeds its maximum of prefixes.
    [[nodiscard]] bool receive(Reach<F>&& reach);

    /// True when the peer has said more prefixes in this session than it may.
    [[nodiscard]] bool exceeds_maximum() const noexcept {
        return maximum_ != 0 && generations_.fresh() > maximum_;
    }

    /// The peer asks for everything again, RFC 2918, between markers if it knows them, RFC 7313.
    /// What it has asked for is told from the start again, once the answer to the last request is out.
    void refresh(bool with_markers);

    /// Table work on about `budget` routes, which it takes off; true when something remains.
    bool work(std::size_t& budget);

    /// Writes markers that have come due.
    void write_markers();

    /// True when no path of this peer is left in the Loc-RIB (the peer may be destroyed).
    [[nodiscard]] bool drained() const noexcept {
        return !up_ && generations_.kept() == 0 && generations_.leaving() == 0;
    }

    /// True when work() has a table to go through.
    [[nodiscard]] bool busy() const noexcept {
        return sweep_.has_value() || refilter_.has_value() || degrade_.has_value();
    }

    /// Sessions and refreshes followed each other so quickly that hardly more can be told apart, before the
    /// routes of the last ones are gone.
    [[nodiscard]] bool exhausting() const noexcept { return generations_.scarce(); }

    [[nodiscard]] bool has_stale() const noexcept { return generations_.stale() != 0; }

    /// Stale routes that are not, or not yet, the last resort.
    [[nodiscard]] bool has_good_stale() const noexcept {
        return generations_.stale() != generations_.long_lived();
    }

    [[nodiscard]] bool has_long_lived() const noexcept { return generations_.long_lived() != 0; }

    [[nodiscard]] bool end_of_rib_received() const noexcept { return end_of_rib_received_; }

    [[nodiscard]] bool up() const noexcept { return up_; }

    /// Of a session that is up(): what we are to the peer as a next hop; none: what needs one is not told.
    [[nodiscard]] const std::optional<IpAddr>& own_next_hop() const noexcept {
        return own_next_hop_;
    }

    [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_; }

    [[nodiscard]] FamilySummary summary() const;

    /// Paths of the peer that are kept, stale ones too.
    [[nodiscard]] std::size_t received() const noexcept { return generations_.kept(); }

    /// Looks at about `most` places of the table from `at` on, which it moves, and visits what the peer
    /// sent (was told); true when places are left.
    [[nodiscard]] bool visit_received(
        std::size_t& at, std::size_t most, const VisitPeerRoute& visit) const;
    [[nodiscard]] bool visit_advertised(
        std::size_t& at, std::size_t most, const VisitPeerRoute& visit) const;

    /// All of it at once, ascending: for small tables.
    [[nodiscard]] std::vector<PeerRouteSummary> received_routes() const;
    [[nodiscard]] std::vector<PeerRouteSummary> advertised_routes() const;

    // --- as a member of its update group ---------------------------------------------------------
    [[nodiscard]] SourceId source_id() const override { return source_.id; }

    [[nodiscard]] bool has_room() const override { return outlet_.output->size() < kRoom; }

    void take(const Output::Shared& of, Bytes updates, unsigned messages) override;
    void caught_up() override;

  private:
    static constexpr AfiSafi kFamily{.afi = F::kAfi, .safi = kSafiUnicast};
    /// Output that may wait for the socket before no more UPDATEs are made.
    static constexpr std::size_t kRoom = 64 * 1024;

    void configure(const Ends& ends, const PeerConfig& config);
    void join_group(const PeerConfig& config);
    void leave_group();

    [[nodiscard]] Filter::Verdict judge(
        const Prefix<F>& prefix, const Attributes& attributes) const;
    [[nodiscard]] PeerRouteSummary summary_of(const Prefix<F>& prefix, const PathCell& cell) const;
    [[nodiscard]] AttributesRef imported(
        const AttributesRef& received, const Operations* operations);
    [[nodiscard]] PathCell cell_of(
        const Prefix<F>& prefix,
        std::uint32_t path_id,
        const AttributesRef& received,
        Refusal refusal);
    void set(const Prefix<F>& prefix, PathCell&& cell);
    void withdraw(const Prefix<F>& prefix, std::uint32_t path_id);
    void count_out(RouteId route, std::uint8_t epoch, bool refused);
    void next_generation();
    void sweep();
    void refilter();
    void sweep_chunk(std::size_t chunk);
    void refilter_chunk(std::size_t chunk);
    void degrade_chunk(std::size_t chunk);
    void degrade(PathCell& cell);
    void walk(
        std::optional<std::size_t>& at, std::size_t& budget, void (PeerRib::*visit)(std::size_t));

    /// Calls visit(id, route, cell) for the peer's paths in a chunk of the Loc-RIB.
    template <typename Visit>
    void for_each_path(std::size_t chunk, Visit visit) const;

    Ribs& ribs_;
    const PathSource& source_;
    bool up_ = false;
    Ends ends_;
    AttributeContext context_;
    Outlet outlet_;
    std::optional<IpAddr> own_next_hop_;
    std::uint32_t maximum_ = 0;
    RuleIndex import_;
    std::shared_ptr<UpdateGroup<F>> group_;

    Generations generations_;
    std::vector<std::uint32_t> paths_in_;  ///< of this peer, by chunk of the Loc-RIB
    std::size_t accepted_ = 0;
    std::uint64_t left_out_ = 0;           ///< paths beyond what one prefix may have
    std::optional<std::size_t> sweep_;     ///< next chunk to take leaving paths out of
    std::optional<std::size_t> refilter_;  ///< next chunk to apply the import filter to again
    bool refilters_again_ = false;         ///< after that
    std::optional<std::size_t> degrade_;   ///< next chunk to mark stale paths of as long-lived

    bool told_all_ = false;  ///< nothing of a dump is outstanding
    bool end_of_rib_due_ = false;
    bool end_of_rib_received_ = false;
    bool refreshing_in_ = false;  ///< between the peer's markers
    bool refreshes_all_ = false;  ///< ... of which the first came when the session had said all

    /// The answer to the peer's request to say all again.
    struct Refresh {
        bool wanted = false;   ///< not begun
        bool markers = false;  ///< as the last request has it
        bool end_due = false;  ///< the marker at the end
    } refresh_;

    /// The last translation of attributes: neighbours in the table share them.
    struct Memo {
        AttributesRef from;
        const Operations* operations = nullptr;
        AttributesRef to;
    } imported_;

    Memo degraded_;
};

}  // namespace vr::bgp
