// Peer: one neighbour, without its sockets: two connections' FSMs, framing, messages, routes.
//
// The shell reports what happens to TCP and feeds bytes; afterwards it performs take_actions() in
// order and writes take_output() of both directions.  Of the two connections (ours and the peer's) at
// most one gets established: collision.h decides, RFC 4271 6.8.  A peer that restarts gracefully finds
// its routes kept: RFC 4724 4.2, RFC 8538.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "bgp/collision.h"
#include "bgp/config.h"
#include "bgp/framer.h"
#include "bgp/fsm.h"
#include "bgp/negotiation.h"
#include "bgp/output.h"
#include "bgp/peer_rib.h"
#include "bgp/summary.h"

namespace vr::bgp {

/// What the shell must do to a connection.
struct PeerAction {
    enum class Kind : std::uint8_t { Connect, Close };

    Kind kind = Kind::Connect;
    Direction direction = Direction::Outgoing;
    Output last_words;  ///< Close: still to be written
};

class Peer {
  public:
    Peer(const SpeakerConfig& speaker, PeerConfig config, Ribs& ribs, const Random& random);
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    Peer(Peer&&) = delete;
    Peer& operator=(Peer&&) = delete;
    ~Peer();

    // --- what the operator wants -----------------------------------------------------------------
    void start(Time now);
    /// Closes with `why` and stays down until start(); whatever the peer said leaves.
    void stop(const Notification& why, Time now);
    /// Closes with `why` and starts again; graceful restart applies.
    void restart(const Notification& why, Time now);
    /// Asks the peer to say all again; false when there is no session or the peer does not answer that.
    bool ask_refresh();
    /// BFD lost the peer: a living session ends at once.  `forwarding_lost`: not only its control part.
    void bfd_down(bool forwarding_lost, Time now);
    /// BFD has it again: something is forwarded there, though its session is yet to come.
    void bfd_up();

    /// Whether what it knew from us was forwarded ever since; a peer made anew is told that it was.
    [[nodiscard]] bool is_forwarding_kept() const noexcept { return forwarding_kept_; }

    void set_forwarding_kept() noexcept { forwarding_kept_ = true; }

    /// Closes and stays down until bring_up(); the peer's operator is shown `text` (RFC 9003).
    void shut_down(std::string text, Time now);
    void bring_up(Time now);

    /// The text of a shutdown that lasts.
    [[nodiscard]] const std::optional<std::string>& is_shut_down() const noexcept {
        return shut_down_;
    }

    /// Judges what the peer sent again, with the filters in force.
    void refilter(Time now) { reconfigure(PeerConfig{config_}, now); }

    /// Says everything again, as when the peer asks for it.
    void resend();
    /// Takes a configuration for which needs_restart() is false; the session lives on, unless the peer now
    /// has more prefixes than it may.
    void reconfigure(const PeerConfig& config, Time now);
    /// Our addresses on the link to the peer, or the link, may be others: who is told of them is told again.
    void own_addresses_changed();

    /// The machine's answers about some next hops are others.
    void next_hops_changed() {
        v4_.next_hops_changed();
        v6_.next_hops_changed();
    }

    /// True when `changed` cannot be applied to a living session.
    [[nodiscard]] bool needs_restart(const PeerConfig& changed) const;

    // --- what happens to TCP ---------------------------------------------------------------------
    /// True when no call of the peer's is taken for now: it comes and goes more quickly than its routes can leave.
    [[nodiscard]] bool is_exhausting() const noexcept {
        return v4_.exhausting() || v6_.exhausting();
    }

    /// Somebody connected from the peer's address; false: close it at once.  When true, take_actions()
    /// is due (it may close an older connection) before connected().
    [[nodiscard]] bool accept(Time now);
    void connected(Direction direction, const IpAddr& local_address, Time now);
    /// What take_output() gave is with TCP now.
    void sent(Direction direction, Time now);
    void disconnected(Direction direction, std::string why, Time now);

    /// Bytes arrived; process() looks at them.
    void receive(Direction direction, Bytes bytes) { link(direction).framer.feed(bytes); }

    /// Handles a slice of the messages received; true when more are waiting.
    [[nodiscard]] bool process(Direction direction, Time now);

    void tick(Time now);
    [[nodiscard]] Time next_deadline() const;

    // --- what the shell does ---------------------------------------------------------------------
    [[nodiscard]] std::vector<PeerAction> take_actions() { return std::exchange(actions_, {}); }

    [[nodiscard]] bool has_output(Direction direction) const {
        return !link(direction).output.empty();
    }

    [[nodiscard]] Output take_output(Direction direction) {
        return std::exchange(link(direction).output, {});
    }

    /// State changes since the last call, for the log.
    [[nodiscard]] std::vector<action::Changed> take_changes() {
        return std::exchange(changes_, {});
    }

    /// What the log is to warn of since the last call.
    [[nodiscard]] std::vector<std::string> take_warnings() { return std::exchange(warnings_, {}); }

    // --- routes ----------------------------------------------------------------------------------
    /// Table work on about `budget` routes, which it takes off; true when something remains.
    bool work(std::size_t& budget);

    /// True when work() has a table to go through.
    [[nodiscard]] bool busy() const { return v4_.busy() || v6_.busy(); }

    /// True when the peer has no path in the Loc-RIB any more.
    [[nodiscard]] bool drained() const;

    /// True when the session is lost and none of its routes is kept, but not all of them are gone yet.
    [[nodiscard]] bool is_leaving() const;

    /// What it was before our restart; that counts until it has a session.
    enum class Was : std::uint8_t {
        Unknown,  ///< as who never was there; it is waited for
        Away,     ///< without a session, and the machine had nothing of it: nobody waits for it
        Plain,    ///< there without graceful restart: selection does not wait for it (RFC 4724 4.1)
        Graceful,  ///< there, and it says when it is done
    };

    void set_was(Was was) noexcept { was_ = was; }

    /// Whether it was there before our restart.
    [[nodiscard]] bool was_there() const noexcept { return was_ >= Was::Plain; }

    /// Whether a speaker that comes after ours is to wait for it.
    [[nodiscard]] bool is_to_be_awaited() const noexcept {
        return !shut_down_ && (restart_ || (was_ == Was::Graceful && !established_));
    }

    /// True when the peer has said all, or is not going to: nothing to wait for after our restart
    /// (RFC 4724 4.1).
    [[nodiscard]] bool has_said_all() const;

    /// True when BFD has lost it since it was established, if ever it was.
    [[nodiscard]] bool is_path_lost() const noexcept { return path_ != Path::Good; }

    /// Whether selection after our own restart waits for it.
    [[nodiscard]] bool is_waited_for() const;

    // --- what is shown ---------------------------------------------------------------------------
    [[nodiscard]] const PeerConfig& config() const noexcept { return config_; }

    [[nodiscard]] const PathSource& source() const noexcept { return source_; }

    [[nodiscard]] State state() const;
    [[nodiscard]] PeerSummary summary(Time now) const;
    /// Of that only what the speaker that takes our place is to remember.
    [[nodiscard]] PeerSummary outline() const;

    template <Family F>
    [[nodiscard]] const PeerRib<F>& routes() const {
        if constexpr (std::is_same_v<F, V4>) {
            return v4_;
        } else {
            return v6_;
        }
    }

    /// Looks at about `most` places of its tables from `cursor` on, which it moves, and visits the routes
    /// that cross the session that way, in no order; true when places are left.
    [[nodiscard]] bool visit_routes(
        Crossing way, RouteCursor& cursor, std::size_t most, const VisitPeerRoute& visit) const;

  private:
    /// One TCP connection of this peer.
    struct Link {
        Link(Direction direction, const PeerTimers& timers, const Random& random)
            : fsm(direction, timers, random) {}

        Fsm fsm;
        Framer framer;
        IpAddr local_address;
        std::optional<Terms> terms;
        Output output;
    };

    /// As BFD sees it since the peer was established, if ever it was.
    enum class Path : std::uint8_t {
        Good,
        Lost,  ///< perhaps only the peer's control part
        Dead,  ///< and nothing is forwarded there
    };

    /// How long what is stale lives on as the last resort, RFC 9494 4.2.  The time runs on through further
    /// sessions until one of them has said all.
    struct LongLife {
        std::optional<Time> until;
        bool over = false;  ///< while this session was up, which has not said all
    };

    [[nodiscard]] Link& link(Direction direction) {
        return links_[static_cast<std::size_t>(direction)];
    }

    [[nodiscard]] const Link& link(Direction direction) const {
        return links_[static_cast<std::size_t>(direction)];
    }

    template <Family F>
    [[nodiscard]] PeerRib<F>& rib() {
        if constexpr (std::is_same_v<F, V4>) {
            return v4_;
        } else {
            return v6_;
        }
    }

    void feed(Direction direction, const Event& event, Time now);
    void perform(Direction direction, std::vector<Action>&& actions, Time now);
    void perform_one(Direction direction, Action& what, Time now);
    void balance(Time now);

    void on_message(Direction direction, const Framer::Message& message, Time now);
    void on_open(Direction direction, Bytes body, Time now);
    void on_update(Direction direction, Bytes body, Time now);
    void on_route_refresh(Direction direction, const Framer::Message& message, Time now);
    template <Family F>
    void on_refresh_of(std::uint8_t subtype, const Terms& terms, Time now);
    template <Family F>
    void say_again(PeerRib<F>& rib);
    void tick_refreshes(Time now);
    void tell_malformed(Time now);
    void tick_restart(Time now);
    template <Family F>
    void outlive_restart(Time now);
    template <Family F>
    void end_long_life(Time now);
    template <Family F>
    void end_wait();
    template <Family F>
    void begin_routes(const Link& on, bool is_same);
    template <Family F>
    void end_routes(Ending how, Time now);
    [[nodiscard]] std::chrono::seconds restart_time(AfiSafi family) const;
    [[nodiscard]] std::chrono::seconds long_lived_time(AfiSafi family) const;

    template <Family F>
    [[nodiscard]] LongLife& long_life() {
        return long_lives_[std::is_same_v<F, V4> ? 0 : 1];
    }

    template <Family F>
    void receive_routes(Direction direction, Reach<F>&& reach, Time now);
    template <Family F>
    void refuse_excess(Direction direction, Time now);
    /// A limit that was lowered counts at once.
    void enforce_limits(Time now);
    void tell_missing_next_hops();
    template <Family F>
    void tell_missing_next_hop();

    /// False when the other connection to the same peer wins.
    [[nodiscard]] bool survives_collision(Direction direction, const Open& open, Time now);
    void session_up(Direction direction, Time now);
    void session_down(Ending how, Time now);
    void drop_stale();
    void forget_done();
    [[nodiscard]] bool keeps(AfiSafi family, Ending how, bool lives_on) const;
    [[nodiscard]] bool is_fresh_start(Direction direction, const Open& open, Time now) const;
    [[nodiscard]] RestartSummary restart_summary(Time now) const;
    template <Family F>
    [[nodiscard]] FamilySummary family_summary() const;
    [[nodiscard]] LocalSide local_side() const;
    [[nodiscard]] Ends ends(const Link& link) const;
    [[nodiscard]] LongLivedRoutes long_lived_routes(const Link& link) const;
    [[nodiscard]] AttributeContext context(const Terms& terms) const;

    const SpeakerConfig& speaker_;
    Ribs& ribs_;
    PeerConfig config_;
    PathSource source_;
    std::array<Link, 2> links_;
    PeerRib<V4> v4_;
    PeerRib<V6> v6_;
    bool wanted_ = false;
    Was was_ = Was::Unknown;
    std::optional<std::string> shut_down_;
    std::optional<Direction> established_;
    Time established_since_{};
    Path path_ = Path::Good;
    Asn last_asn_;                                ///< the peer's, in the last session
    std::optional<GracefulRestart> restart_;      ///< the peer's, as agreed in the last session
    std::optional<LongLivedRestart> long_lived_;  ///< the same, RFC 9494
    std::optional<Time> back_until_;              ///< its stale routes wait for the next session
    std::optional<Time> done_until_;              ///< ... and then for the peer's last word

    std::array<LongLife, 2> long_lives_;  ///< by family

    /// A family's requests to say all again, spread over time.
    struct RefreshPace {
        Time not_before{};
        std::optional<Time> due;
    };

    std::array<RefreshPace, 2> refresh_paces_;
    std::vector<PeerAction> actions_;
    std::vector<action::Changed> changes_;
    std::vector<std::string> warnings_;

    MessageCounters received_;
    MessageCounters sent_;
    std::uint64_t established_count_ = 0;
    bool forwarding_kept_ = false;  ///< since the peer knew routes of ours
    std::uint64_t malformed_updates_ = 0;
    std::uint64_t untold_malformed_ = 0;  ///< of them, those that the log does not know yet
    Time malformed_quiet_until_{};
    std::string last_malformed_;
    bool told_left_out_ = false;              ///< of this session, to the log
    std::array<bool, 2> told_no_next_hop_{};  ///< by family, to the log, until there is one
    std::string last_error_;
    Time last_error_at_{};
};

}  // namespace vr::bgp
