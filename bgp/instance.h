// Instance: the whole speaker but for its sockets; pure.
//
// Owns the Loc-RIBs and the peers, originates own routes, runs decisions over dirty prefixes in slices
// and carries their outcome to the machine (RouteSink) and to every peer.  The Asio shell (speaker.h)
// or a simulation in virtual time drives it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "bgp/peer.h"
#include "bgp/route_sink.h"
#include "vrouter/net/result.h"

namespace vr::bgp {

class Instance {
  public:
    Instance(SpeakerConfig config, RouteSink& sink, const NextHopOracle& oracle, Random random);
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    Instance(Instance&&) = delete;
    Instance& operator=(Instance&&) = delete;
    ~Instance() = default;

    /// Begins to wait for the peers when this is a restart (RFC 4724 4.1); before those that keep our routes.
    void start(Time now);

    /// Whether a source that is still read may name more peers: a restarter then waits as long as it may,
    /// not only for the peers that it knows.
    void expect_peers(bool expected) { peers_expected_ = expected; }

    /// A restarter that does not know who called before waits for those who call until nobody new has for
    /// so long.
    static constexpr std::chrono::seconds kQuiet{5};

    /// Whether peers may call that nobody has named.
    void expect_callers(bool expected) { callers_expected_ = expected; }

    /// Who called before is a peer by now: nobody else is waited for.
    void set_callers_known() { quiet_until_.reset(); }

    /// False when nothing is kept any more for peers to say it again.
    [[nodiscard]] bool is_restarting() const noexcept { return keeps_stale_; }

    /// A new peer, started; fails when its address is taken or its configuration makes no sense.
    [[nodiscard]] Result<Peer*> add_peer(const PeerConfig& config, Time now);

    /// Stops the peer of that address.  It stays valid until the next work(), so that the shell can
    /// perform its last actions; nullptr when there is none.
    Peer* remove_peer(const IpAddr& address, const Notification& why, Time now);

    [[nodiscard]] Peer* find(const IpAddr& address);

    template <typename Visit>
    void for_each_peer(Visit visit) {
        for (auto& [address, peer] : peers_) {
            visit(*peer);
        }
    }

    /// Announces `prefix` as ours.  An unspecified next hop stands for our own address.
    void originate(const IpPrefix& prefix, const Attributes& attributes);

    /// No longer ours; false when it was not.
    bool withdraw(const IpPrefix& prefix);

    /// Tells `prefix` as originate() does, but apart from that: what an operator has loaded, one path each.
    void load(const IpPrefix& prefix, const Attributes& attributes);

    /// Takes back what was loaded among about `most` routes from `cursor` on, and counts it in `gone`; true when
    /// more are left.
    [[nodiscard]] bool unload(RouteCursor& cursor, std::size_t most, std::size_t& gone);

    /// The oracle's answers may have changed / that for this one may have.
    void next_hops_changed();
    void next_hop_changed(const IpAddr& next_hop);

    /// Tells the machine at once which next hops to avoid, however long the routes of lost peers take to
    /// leave: groups that can do without them change, not prefixes.
    void avoid_lost_peers();

    /// Says whether this turn has lasted long enough.
    using Enough = std::function<bool()>;

    /// Decisions, table walks and UPDATEs, in rounds of some 0.3 ms until all is done or `enough` says so, which
    /// is asked between rounds and among decisions; true when more is left.
    bool work(const Enough& enough);

    /// One round; true when more is left.
    bool work();

    /// Does what is due but for the peers' timers.
    void tick(Time now);

    /// Frees some 0.1 ms worth of the tables; true when more is left.  A million routes are not freed at
    /// once; afterwards there is only more of this, and the destructor.
    bool dismantle();

    /// When a peer's timer or one of our own is due.
    [[nodiscard]] Time next_deadline() const;

    using VisitRoute = std::function<void(const RouteSummary&)>;

    /// Visits routes with about `most` paths from `cursor` on, in no order; true when more are left.  Routes
    /// that come meanwhile may be missed.
    [[nodiscard]] bool visit_routes(
        RouteCursor& cursor, std::size_t most, const VisitRoute& visit) const;

    /// The routes to `address`, the most specific first.
    [[nodiscard]] std::vector<RouteSummary> routes_to(const IpAddr& address) const;

    [[nodiscard]] SpeakerSummary summary() const;

    /// The paths of every prefix inside `within` (absent: of the family-less whole), at most `most`
    /// prefixes, ascending.
    [[nodiscard]] std::vector<RouteSummary> routes(
        const std::optional<IpPrefix>& within, std::size_t most) const;

    /// Only while there are no peers, unless nothing but ports and addresses changes.
    void set_config(const SpeakerConfig& config);

    [[nodiscard]] const SpeakerConfig& config() const noexcept { return config_; }

    [[nodiscard]] const Ribs& ribs() const noexcept { return ribs_; }

  private:
    /// False while selection is deferred.
    [[nodiscard]] bool may_decide();
    void end_restart();

    /// True while the machine keeps routes over that peer for it and BFD says that they lead nowhere.
    [[nodiscard]] bool has_lost_path(const Peer& peer) const {
        return keeps_stale_ && peer.is_path_lost();
    }

    bool round(const Enough& enough);

    template <Family F>
    bool decide(const Enough& enough);

    [[nodiscard]] bool is_established(const IpAddr& address) const;
    [[nodiscard]] bool avoids_for_now() const;

    /// Looks for routes whose next hop changed; true when more are to be looked at.
    bool resolve();

    /// Peers go through their tables, chunk by chunk in turn; true when more is left.
    bool work_peers();

    template <Family F>
    void publish(
        RouteId id,
        const typename LocRib<F>::Route& route,
        const typename LocRib<F>::Change& change);

    void set_own(const PathSource& source, const IpPrefix& prefix, const Attributes& attributes);

    template <Family F>
    [[nodiscard]] bool unload_family(std::size_t& index, std::size_t& left, std::size_t& gone);

    template <Family F>
    [[nodiscard]] bool visit_family(
        std::size_t& index, std::size_t& left, const VisitRoute& visit) const;

    template <Family F>
    void collect(
        const std::optional<IpPrefix>& within,
        std::size_t most,
        std::vector<RouteSummary>& into) const;

    [[nodiscard]] Result<void> check(const PeerConfig& config) const;

    SpeakerConfig config_;
    RouteSink& sink_;
    Random random_;
    PathSource own_;     ///< of what we originate
    PathSource loaded_;  ///< of what load() brought
    Ribs ribs_;
    std::optional<Time> deferred_until_;  ///< selection waits for the peers, RFC 4724 4.1
    std::optional<Time> stale_until_;     ///< so long the machine keeps routes for them, at most
    bool keeps_stale_ = false;            ///< restart_done() is to come
    std::optional<Time> quiet_until_;     ///< whoever may call is awaited so long
    bool peers_expected_ = false;
    bool callers_expected_ = false;
    LearntRoute learnt_;  ///< room for one, kept
    bool resolving_ = false;
    std::map<IpAddr, std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<Peer>> leaving_;  ///< removed, their routes not yet all gone
    std::set<IpAddr> avoided_;                    ///< as the sink was told
};

}  // namespace vr::bgp
