// PeerRib: the routes of one family that cross one session, both ways; pure.
//
// In: Adj-RIB-In -> rules and filter -> Loc-RIB.  Out: Loc-RIB -> rules and filter -> Adj-RIB-Out.
// A lost session's routes may be kept as stale ones for the next session (graceful restart).
// Whatever touches the whole table (the initial dump, a lost session, a changed filter) runs in slices
// of work(), so that no call takes long.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "bgp/adj_rib_in.h"
#include "bgp/adj_rib_out.h"
#include "bgp/config.h"
#include "bgp/loc_rib.h"
#include "bgp/session_rules.h"
#include "bgp/summary.h"
#include "bgp/update.h"

namespace vr::bgp {

/// The tables that all peers share.
struct Ribs {
    AttributePool pool;  ///< first: outlives every reference below
    LocRib<V4> v4;
    LocRib<V6> v6;
    const NextHopOracle& oracle;
    /// Back after a restart and not yet done selecting: no End-of-RIB may be sent (RFC 4724 4.1).
    bool selection_deferred = false;

    Ribs(const NextHopOracle& its_oracle, unsigned multipath)
        : v4(its_oracle, multipath), v6(its_oracle, multipath), oracle(its_oracle) {}

    template <Family F>
    [[nodiscard]] LocRib<F>& of() {
        if constexpr (std::is_same_v<F, V4>) {
            return v4;
        } else {
            return v6;
        }
    }

    template <Family F>
    [[nodiscard]] const LocRib<F>& of() const {
        if constexpr (std::is_same_v<F, V4>) {
            return v4;
        } else {
            return v6;
        }
    }
};

template <Family F>
class PeerRib {
  public:
    PeerRib(Ribs& ribs, const PathSource& source) : ribs_(ribs), source_(source) {}

    enum class Old : std::uint8_t { Keep, Drop };

    /// The session is up: the whole table is due to the peer.  What is left of the last session stays
    /// stale until the peer's End-of-RIB, or leaves.
    void begin(
        const Ends& ends, const AttributeContext& context, const PeerConfig& config, Old old);

    /// The session is gone.  Its routes stay as stale ones, or leave slice by slice; those that were
    /// stale already leave in any case (RFC 4724 4.2).
    void end(Old old);

    /// The peer did not come back, or did not finish, in time: stale routes leave.
    void drop_stale() { in_.drop_stale(); }

    /// The peer says all again, RFC 7313: what it has not repeated at the end leaves.
    void begin_refresh();
    void end_refresh();

    /// Filters or limits changed under a living session.
    void reconfigure(const Ends& ends, const PeerConfig& config);

    /// What an UPDATE said; false when the peer now exceeds its maximum of prefixes.
    [[nodiscard]] bool receive(const Reach<F>& reach);

    /// The outcome for `route` changed: the peer is told what it may hear.
    void route_changed(const typename LocRib<F>::Route& route);

    /// The peer asks for everything again, RFC 2918, between markers if it knows them, RFC 7313.
    /// What it has asked for is told from the start again, once the answer to the last request is out.
    void refresh(bool with_markers);

    /// One slice of what is left to do with tables; true when something remains.
    bool work();

    /// Appends UPDATEs for what the peer must hear until `out` has about `room` octets, then an
    /// End-of-RIB that has come due.  Answers how many messages.
    unsigned pack(std::size_t room, std::vector<std::uint8_t>& out);

    /// True when pack() has something to write.
    [[nodiscard]] bool has_output() const noexcept;

    /// True when no path of this peer is left in the Loc-RIB (the peer may be destroyed).
    [[nodiscard]] bool drained() const noexcept {
        return !up_ && in_.size() == 0 && in_.leaving() == 0;
    }

    /// True when work() has a table to go through.
    [[nodiscard]] bool busy() const noexcept { return walk_.has_value() || in_.leaving() != 0; }

    [[nodiscard]] bool has_stale() const noexcept { return in_.stale() != 0; }

    [[nodiscard]] bool end_of_rib_received() const noexcept { return end_of_rib_received_; }

    [[nodiscard]] bool up() const noexcept { return up_; }

    [[nodiscard]] FamilySummary summary() const;
    [[nodiscard]] std::vector<PeerRouteSummary> received_routes() const;
    [[nodiscard]] std::vector<PeerRouteSummary> advertised_routes() const;

  private:
    static constexpr AfiSafi kFamily{.afi = F::kAfi, .safi = kSafiUnicast};

    void begin_answer(std::vector<std::uint8_t>& out);
    void accept(const Prefix<F>& prefix, const AttributesRef& attributes, Refusal refusal);
    void configure(const Ends& ends, const PeerConfig& config);
    [[nodiscard]] Filter::Verdict judge(
        const Filter& filter,
        const Prefix<F>& prefix,
        const Attributes& attributes,
        PeerKind source) const;
    [[nodiscard]] AttributesRef imported(
        const AttributesRef& received, const Operations* operations);
    [[nodiscard]] AttributesRef exported(
        const AttributesRef& best, PeerKind source, const Operations* operations);

    Ribs& ribs_;
    const PathSource& source_;
    bool up_ = false;
    Ends ends_;
    AttributeContext context_;
    std::optional<IpAddr> own_next_hop_;
    std::uint32_t maximum_ = 0;
    Filter import_;
    Filter export_;
    AdjRibIn<F> in_;
    AdjRibOut<F> out_;
    std::size_t accepted_ = 0;
    std::optional<std::size_t> walk_;  ///< next index of the Loc-RIB to tell the peer
    bool end_of_rib_due_ = false;
    bool end_of_rib_received_ = false;
    bool refreshing_in_ = false;  ///< between the peer's markers

    /// The answer to the peer's request to say all again.
    struct Refresh {
        bool wanted = false;   ///< not begun
        bool walking = false;  ///< everything is sent, also what the peer has
        bool markers = false;  ///< as the last request has it
        bool end_due = false;  ///< the marker at the end
    } refresh_;

    /// The last translation of attributes: neighbours in the table share them.
    struct Memo {
        AttributesRef from;
        PeerKind source = PeerKind::Local;
        const Operations* operations = nullptr;
        AttributesRef to;
    };

    Memo imported_;
    Memo exported_;
};

}  // namespace vr::bgp
