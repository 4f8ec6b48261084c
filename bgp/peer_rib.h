// PeerRib: the routes of one family that cross one session, both ways; pure.
//
// In: Adj-RIB-In -> rules and filter -> Loc-RIB.  Out: Loc-RIB -> rules and filter -> Adj-RIB-Out.
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

    Ribs(const NextHopOracle& oracle, unsigned multipath)
        : v4(oracle, multipath), v6(oracle, multipath) {}

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

    /// The session is up: the whole table is due to the peer.
    void begin(const Ends& ends, const AttributeContext& context, const PeerConfig& config);

    /// The session is gone, and its routes go with it, slice by slice.
    void end();

    /// Filters or limits changed under a living session.
    void reconfigure(const Ends& ends, const PeerConfig& config);

    /// What an UPDATE said; false when the peer now exceeds its maximum of prefixes.
    [[nodiscard]] bool receive(const Reach<F>& reach);

    /// The outcome for `route` changed: the peer is told what it may hear.
    void route_changed(const typename LocRib<F>::Route& route);

    /// The peer asks for everything again, RFC 2918.
    void refresh() { out_.resend(); }

    /// One slice of what is left to do with tables; true when something remains.
    bool work();

    /// Appends UPDATEs for what the peer must hear until `out` has about `room` octets, then an
    /// End-of-RIB that has come due.  Answers how many messages.
    unsigned pack(std::size_t room, std::vector<std::uint8_t>& out);

    /// True when pack() has something to write.
    [[nodiscard]] bool has_output() const noexcept;

    /// True when no path of this peer is left in the Loc-RIB (the peer may be destroyed).
    [[nodiscard]] bool drained() const noexcept { return !up_ && in_.size() == 0; }

    [[nodiscard]] bool up() const noexcept { return up_; }

    [[nodiscard]] FamilySummary summary() const;
    [[nodiscard]] std::vector<PeerRouteSummary> received_routes() const;
    [[nodiscard]] std::vector<PeerRouteSummary> advertised_routes() const;

  private:
    void accept(const Prefix<F>& prefix, const AttributesRef& attributes, Refusal refusal);
    void configure(const Ends& ends, const PeerConfig& config);
    [[nodiscard]] AttributesRef exported(const AttributesRef& best, PeerKind source);

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

    /// The last translation of attributes: neighbours in the table share them.
    struct Memo {
        AttributesRef best;
        PeerKind source = PeerKind::Local;
        AttributesRef told;
    } memo_;
};

}  // namespace vr::bgp
