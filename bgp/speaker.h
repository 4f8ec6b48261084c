// Speaker: the BGP speaker of a host; Asio shell around Instance.
//
// Listens, calls, arms one timer, moves bytes between sessions and peers, and runs the instance's work
// in slices between other events of the same io_context, so that nothing on that thread waits more
// than a couple of milliseconds.  All calls come on the io_context's thread, and so do the calls of the
// sink.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/bfd_sockets.h"
#include "bgp/instance.h"
#include "bgp/interface_indices.h"
#include "bgp/links.h"
#include "bgp/listeners.h"
#include "bgp/session.h"

namespace vr::bgp {

class Speaker {
  public:
    /// Tables and messages are worked on for so long before other events get their turn.
    static constexpr std::chrono::microseconds kSlice{500};

    Speaker(
        boost::asio::io_context& io,
        SpeakerConfig config,
        RouteSink& sink,
        const NextHopOracle& oracle);
    Speaker(const Speaker&) = delete;
    Speaker& operator=(const Speaker&) = delete;
    Speaker(Speaker&&) = delete;
    Speaker& operator=(Speaker&&) = delete;
    /// Closes every connection without a word; stop() first says goodbye.  The tables are freed in slices by
    /// the io_context, or with it; sink and oracle are not called any more.
    ~Speaker();

    /// Opens the listening sockets; fails with what and where when one cannot be had, which is tried again.
    [[nodiscard]] Result<void> start();

    /// Closes every session with `why` and stops listening; the io_context must run on for the words
    /// to get out.  A peer shows `text` to its operator (RFC 9003).
    void stop(std::string_view text = {});

    /// Fails with an address that is not listened on though it is to be: that is tried again.
    [[nodiscard]] const Result<void>& listening() const noexcept { return listeners_.opened(); }

    /// The port that the first listening socket got (with port 0 in the configuration: any).
    [[nodiscard]] L4Port port() const;

    // --- peers -----------------------------------------------------------------------------------
    [[nodiscard]] Result<void> add_peer(const PeerConfig& config);

    /// Adds or changes: a session is bounced only when what changed needs it.
    [[nodiscard]] Result<void> set_peer(const PeerConfig& config);

    /// Where peers at link-local addresses are; to be told before them.
    void set_links(Links links);

    /// The sessions of BFD, for the speaker that takes the place of this one, so that peers do not notice.
    /// Afterwards there is only the destructor.
    [[nodiscard]] std::unique_ptr<BfdSockets> hand_over_bfd();

    /// Goes on with them; to be told before peers.  Those that no peer has when the restart is over end.
    void take_over_bfd(std::unique_ptr<BfdSockets> bfd);

    /// The peer's address for people.
    [[nodiscard]] std::string name_of(const IpAddr& peer) const { return to_string(peer, links_); }

    using Connections = std::vector<std::shared_ptr<Session>>;

    /// The connections, for the speaker that takes the place of this one.  Afterwards there is only the
    /// destructor.
    [[nodiscard]] Connections hand_over_connections();

    /// Closes them without a word before anybody is called: a peer that has one need not take another.
    void close_first(Connections connections);

    /// Says whether more peers are to come from a source that is still read: a restarter waits for them,
    /// and a caller that is not known yet is not told that it is none.
    void expect_peers(bool expected);

    /// False when there is none.
    bool remove_peer(const IpAddr& address, std::uint8_t why = cease::kDeconfigured);

    /// What of a session is done anew.
    enum class Clear : std::uint8_t {
        Session,  ///< closed ("administrative reset") and opened again
        In,       ///< the import filter is applied again, to what is said again (RFC 2918)
        Out,      ///< everything is told again
    };

    /// False when there is no such peer.  Of a session that is closed the peer shows `text` to its
    /// operator (RFC 9003).
    bool clear(const IpAddr& address, Clear what = Clear::Session, std::string_view text = {});

    /// Closes the session and keeps it closed until bring_up(); the peer shows `text` to its operator
    /// (RFC 9003).  False when there is no such peer.
    bool shut_down(const IpAddr& address, const std::string& text);
    bool bring_up(const IpAddr& address);

    /// What is done to a peer, in slices to many; false where it was not.
    using Act = std::function<bool(const IpAddr&)>;

    /// Does `act` to each peer that there is now and still is when it is its turn, slice by slice: the first
    /// within this call.  Then calls done(how many): in stop() or the destructor at the latest, after which nothing
    /// is done in slices any more.
    void for_each_peer(Act act, std::move_only_function<void(std::size_t)> done = {});

    /// What remember() is to be told of the peers that there are.
    [[nodiscard]] std::vector<PeerSummary> outlines() const;

    /// Of a speaker that takes another's place: the peers that there were, once those of now are known.  Callers
    /// of ranges are peers again before they call, so that they are waited for, and nobody else is.  Slice by
    /// slice: whoever is not yet remembered is waited for, and then done() is called.
    void remember(std::vector<PeerSummary> before, std::move_only_function<void()> done = {});

    /// Callers of ranges that a speaker after a crash is to wait for: what remember() is to be told then.
    [[nodiscard]] std::vector<IpAddr> callers_to_await() const;

    /// Who becomes a peer without being named.  Sessions of ranges that are no longer there end.
    [[nodiscard]] Result<void> set_ranges(std::vector<RangeConfig> ranges);

    /// Who does not become one, whatever ranges say; a session that such a one has ends.
    void refuse(std::set<IpAddr> addresses);

    /// AS, router id, cluster id, port and addresses change; sessions are reset where they must be.
    /// Fails with the first address that cannot be listened on; those that cannot are tried again.  A selection
    /// deferral that comes begins now: to be told before the peers that it is for.
    [[nodiscard]] Result<void> set_config(const SpeakerConfig& changed);

    // --- routes ----------------------------------------------------------------------------------
    /// Announces `prefix` as this host's; an unspecified next hop stands for our own address.
    void originate(const IpPrefix& prefix, const Attributes& attributes = {});

    bool withdraw(const IpPrefix& prefix);

    /// Instance::load() and unload().
    void load(const IpPrefix& prefix, const Attributes& attributes);
    [[nodiscard]] bool unload(RouteCursor& cursor, std::size_t most, std::size_t& gone);

    /// The oracle's answers may have changed / those for these may have.
    void next_hops_changed();
    void next_hops_changed(const std::vector<IpAddr>& next_hops);

    /// The oracle's answers about links that we share with peers, and our addresses there, may have changed.
    void own_addresses_changed();

    // --- what is shown ---------------------------------------------------------------------------
    /// Neighbors that are to be peers once their addresses are known; to be shown beside peers().
    void set_awaited(std::vector<PeerSummary> neighbors) { awaited_ = std::move(neighbors); }

    [[nodiscard]] const std::vector<PeerSummary>& awaited() const noexcept { return awaited_; }

    [[nodiscard]] std::vector<PeerSummary> peers() const;

    /// Nothing when there is no such peer.
    [[nodiscard]] std::optional<PeerSummary> peer(const IpAddr& address) const;

    /// The peer that an operator calls so: its address, or the link that only it is on.
    [[nodiscard]] std::optional<IpAddr> find_peer(std::string_view name) const;

    /// Of all peers.
    [[nodiscard]] std::vector<IpAddr> addresses() const;

    [[nodiscard]] SpeakerSummary summary() const;

    /// What is in the tables: routes() and the walks over it are its own.
    [[nodiscard]] const Instance& instance() const noexcept { return *instance_; }

    /// Peer::visit_routes(); false when there is no such peer (any more).
    [[nodiscard]] bool visit_routes(
        const IpAddr& peer,
        Crossing way,
        RouteCursor& cursor,
        std::size_t most,
        const VisitPeerRoute& visit) const;

    [[nodiscard]] const SpeakerConfig& config() const noexcept { return instance_->config(); }

    /// Connections refused because nobody is configured at their address, or because they are not signed
    /// with the peer's password.
    [[nodiscard]] std::uint64_t strangers() const noexcept { return strangers_; }

  private:
    using SessionPtr = std::shared_ptr<Session>;

    /// A peer and its connections.
    struct Neighbour {
        explicit Neighbour(Peer& its_peer) : peer(its_peer) {}

        Peer& peer;
        std::array<SessionPtr, 2> sessions;
        /// Accepted while an older connection is still being cleared; taken up when that is gone.
        std::optional<Session::Socket> waiting;
        Time waits_until = Time::max();
        std::optional<IpPrefix> range;  ///< it came of that; nothing: it was named
        bool calls = false;             ///< it is to be called when it is its turn

        [[nodiscard]] SessionPtr& session(Direction direction) {
            return sessions[static_cast<std::size_t>(direction)];
        }
    };

    /// Of a peer that is made anew: what it was.
    struct Before {
        PeerConfig config;
        std::optional<std::string> shut_down;
        bool forwarding_kept = false;
    };

    [[nodiscard]] static Before before(const Peer& peer);
    [[nodiscard]] Result<void> add_again(const PeerConfig& config, const Before& old);

    void accepted(Session::Socket socket);
    [[nodiscard]] PeerSummary summary_of(
        const IpAddr& address, const Neighbour& neighbour, Time now) const;
    static void reject(Session::Socket& socket, std::uint8_t why = cease::kRejected);
    [[nodiscard]] Zone zone_of_caller(const Session::Socket& socket);
    void take_up(Neighbour& neighbour);
    void remember_one(const PeerSummary& old);
    void fit_to_range(const IpAddr& address);
    void watch(const PeerConfig& config);
    void claim_bfd(Neighbour& neighbour);
    [[nodiscard]] BfdSockets::Changed hear_bfd();
    void bfd_changed(const IpAddr& address, const bfd::Change& change);
    [[nodiscard]] Neighbour* welcome(const IpAddr& caller, std::uint8_t& why);
    [[nodiscard]] bool dismiss_idle();

    void call_soon();
    void call_some();
    void open(Neighbour& neighbour);
    [[nodiscard]] Result<Session::Endpoint> begin_call(
        Session::Socket& socket, const PeerConfig& config) const;
    [[nodiscard]] Result<void> prepare(Session::Socket& socket, const PeerConfig& config);
    static void renew_timeouts(Neighbour& neighbour);
    void adopt(Neighbour& neighbour, Direction direction, SessionPtr session);
    void connected(Neighbour& neighbour, Direction direction);
    void process(Neighbour& neighbour, Direction direction, const SessionPtr& session);

    void settle(Neighbour& neighbour);
    bool flush(Neighbour& neighbour, Direction direction);
    void log_news(Neighbour& neighbour);

    template <typename Change>
    bool change(const IpAddr& address, Change what);
    void want_work();
    void run_work();
    [[nodiscard]] bool flush_some();
    void do_errands();
    void run_errands_soon();
    void end_errands();
    void arm_timer();
    void arm_timer(Time due);
    void tick();

    boost::asio::io_context& io_;
    std::unique_ptr<Instance> instance_;
    std::vector<RangeConfig> ranges_;
    std::set<IpAddr> refused_;
    bool source_unread_ = false;   ///< peers are to come
    std::set<IpAddr> maybe_idle_;  ///< peers of ranges that lost a connection
    std::map<IpAddr, Neighbour> neighbours_;
    Links links_;
    InterfaceIndices indices_;
    std::unique_ptr<BfdSockets> bfd_;
    bool has_unclaimed_bfd_ = false;  ///< sessions of another speaker
    Listeners listeners_;
    std::vector<std::uint8_t> scratch_;
    boost::asio::steady_timer timer_;
    Time armed_ = Time::max();
    bool ticking_ = false;  ///< the timer is armed when that is done
    bool work_wanted_ = false;
    Time work_wanted_since_{};
    Connections to_close_;      ///< of another speaker
    std::deque<IpAddr> calls_;  ///< peers to be called, slice by slice
    bool call_posted_ = false;
    IpAddr flushed_to_;  ///< the peer whose output is next, or who comes where it was

    /// Something that is done for many peers, slice by slice.
    struct Errand {
        std::move_only_function<bool()> step;  ///< false: that was the last one
        std::move_only_function<void()> done;
    };

    std::deque<Errand> errands_;  ///< one after the other
    bool errands_posted_ = false;
    bool in_errands_ = false;
    bool errands_ended_ = false;
    unsigned remembering_ = 0;  ///< calls of remember() that are not done
    unsigned parsing_ = 0;      ///< sessions with messages left over from a slice
    std::uint64_t strangers_ = 0;
    std::vector<PeerSummary> awaited_;
    std::shared_ptr<bool> alive_ =
        std::make_shared<bool>(true);  ///< posted work asks before it runs
};

}  // namespace vr::bgp
