// Neighbors<F>: who lives at which Ethernet address on each port, for ARP and ND alike.
//
// The states are those of RFC 4861 7.3 (Appendix C), with two added: Permanent for configured
// neighbors, and Failed, in which a neighbor that did not answer is left alone for a while, so that
// traffic to a dead address causes no flood of solicitations.  The core is given events and the time
// and returns actions to perform in order; deadlines are read from next_deadline().
//
// Everything is bounded: entries per port and in all, packets waiting per entry and in all,
// solicitations per second.  What makes room is the least useful entry of the same port (failed, then
// unresolved, then the stale one unused for longest); one in use is never evicted for a new one.
// Which senders may be believed is decided before: hear() trusts its caller (responder.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/services/nd.h"
#include "vrouter/services/rate_limit.h"

namespace vr {

enum class NeighborState : std::uint8_t {
    Failed,
    Incomplete,
    Stale,
    Delay,
    Probe,
    Reachable,
    Permanent,
};

[[nodiscard]] std::string_view to_string(NeighborState state);

/// A packet waiting for resolution, named by its owner (a pointer as an integer, say).  The core
/// returns each handle it was given exactly once, in Release or Drop.
enum class HeldPacket : std::uintptr_t {};

template <Family F>
struct NeighborKey {
    PortId port;
    typename F::Addr address{};

    friend constexpr auto operator<=>(const NeighborKey&, const NeighborKey&) = default;
};

/// Send an ARP request or a neighbor solicitation for `key`: to everyone, or only `unicast_to`.
template <Family F>
struct Solicit {
    NeighborKey<F> key;
    std::optional<Mac> unicast_to;

    friend bool operator==(const Solicit&, const Solicit&) = default;
};

/// The neighbor is at `mac` from now on.
template <Family F>
struct Resolved {
    NeighborKey<F> key;
    Mac mac;

    friend bool operator==(const Resolved&, const Resolved&) = default;
};

/// The neighbor's address is not known (any more): stop using what was resolved.
template <Family F>
struct Lost {
    NeighborKey<F> key;

    friend bool operator==(const Lost&, const Lost&) = default;
};

/// Send these packets to the neighbor, in order.
template <Family F>
struct Release {
    NeighborKey<F> key;
    Mac mac;
    std::vector<HeldPacket> packets;

    friend bool operator==(const Release&, const Release&) = default;
};

enum class HoldDrop : std::uint8_t {
    Unresolved,  ///< the neighbor did not answer: an ICMP "address unreachable" is due
    NoRoom,      ///< a bound of the hold queue or of the table
    PortGone,
};

/// Drop these packets.
template <Family F>
struct Drop {
    NeighborKey<F> key;
    HoldDrop reason = HoldDrop::Unresolved;
    std::vector<HeldPacket> packets;

    friend bool operator==(const Drop&, const Drop&) = default;
};

/// Bounds and timers; times are the constants of RFC 4861 10 where it has them.
struct NeighborSettings {
    std::chrono::milliseconds reachable_time{30'000};
    std::chrono::milliseconds retrans_timer{1'000};
    std::chrono::milliseconds delay_first_probe{5'000};
    unsigned max_solicits = 3;
    /// A neighbor that did not answer is not asked again for so long.
    std::chrono::milliseconds failed_hold{10'000};
    /// A stale neighbor that nobody used for so long is forgotten.
    std::chrono::milliseconds stale_lifetime{1'200'000};
    std::size_t max_entries_per_port = 1024;
    std::size_t max_entries = 65'536;
    std::size_t max_held_per_entry = 16;
    std::size_t max_held_bytes_per_entry = 65'536;
    std::size_t max_held = 4'096;
    std::size_t max_held_bytes = 8U << 20U;
    /// Limits of solicitations to groups; probes of known neighbors are bounded by their number.
    Rate solicits_per_port{.per_second = 100, .burst = 100};
    Rate solicits{.per_second = 1'000, .burst = 500};
};

/// Something that a neighbor said of itself, its sender checked.
template <Family F>
struct Heard {
    NeighborKey<F> key;
    std::optional<Mac> mac;
    /// Absent: it solicited us (RFC 4861 7.2.3), which may create an entry.  Present: it advertised
    /// (7.2.5), which never does.  ARP replies to us count as solicited and overriding, other ARP
    /// messages as unsolicited and overriding advertisements.
    std::optional<nd::AdvertisementFlags> advertised;

    friend bool operator==(const Heard&, const Heard&) = default;
};

template <Family F>
class Neighbors {
  public:
    using Addr = typename F::Addr;
    using Key = NeighborKey<F>;
    using Action = std::variant<Solicit<F>, Resolved<F>, Lost<F>, Release<F>, Drop<F>>;
    using Actions = std::vector<Action>;

    /// One packet to hold until its next hop is known.
    struct Waiting {
        HeldPacket packet{};
        std::size_t bytes = 0;
    };

    /// What operators see of a neighbor.
    struct View {
        Key key;
        NeighborState state = NeighborState::Incomplete;
        std::optional<Mac> mac;
        bool router = false;
        std::size_t held = 0;
    };

    explicit Neighbors(const NeighborSettings& settings)
        : settings_(settings), limiter_(settings.solicits_per_port, settings.solicits) {}

    /// A packet needs this neighbor; `waiting` is that packet, or nothing when it is only known that
    /// the entry was used.  Starts resolution, or makes a stale entry be probed.
    [[nodiscard]] Actions resolve(const Key& key, std::optional<Waiting> waiting, TimePoint now);

    /// A neighbor spoke.
    [[nodiscard]] Actions hear(const Heard<F>& heard, TimePoint now);

    /// An upper layer knows that packets reach the neighbor: RFC 4861 7.3.1.
    void confirm(const Key& key, TimePoint now);

    /// Configures a neighbor; it stays until removed.  `mac` is a station's.
    [[nodiscard]] Actions add_permanent(const Key& key, Mac mac);

    /// Removes an entry of any state.
    [[nodiscard]] Actions remove(const Key& key);

    /// Removes all entries of a port, permanent ones too.
    [[nodiscard]] Actions remove_port(PortId port);

    /// Handles every deadline that is due.
    [[nodiscard]] Actions tick(TimePoint now);

    /// When tick() has something to do; nothing: not before another event.
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    /// Every neighbor by port and address, or `count` of those behind `last`.
    [[nodiscard]] std::vector<View> view(
        const std::optional<Key>& last = {}, std::size_t count = SIZE_MAX) const;

    [[nodiscard]] std::optional<View> find(const Key& key) const;

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

    [[nodiscard]] std::size_t held() const noexcept { return held_; }

  private:
    struct Entry {
        NeighborState state = NeighborState::Incomplete;
        Mac mac;  // meaningful in every state but Incomplete and Failed
        bool router = false;
        unsigned solicits = 0;  // sent in this state
        unsigned rounds = 0;    // retransmission timers run in this state, sent or not
        TimePoint last_used;
        std::optional<TimePoint> deadline;
        std::deque<Waiting> waiting;
        std::size_t waiting_bytes = 0;
    };

    using Entries = std::map<Key, Entry>;
    using Slot = typename Entries::iterator;
    // By port, then the least useful first.
    using Usefulness = std::tuple<PortId, NeighborState, TimePoint, Addr>;

    [[nodiscard]] std::optional<Slot> insert(const Key& key, TimePoint now, Actions& out);
    [[nodiscard]] bool make_room(PortId port, Actions& out);
    void erase(Slot slot, HoldDrop reason, Actions& out);

    void enter(Slot slot, NeighborState state, std::optional<TimePoint> deadline);
    void touch(Slot slot, TimePoint now);
    void unindex(Slot slot);
    void index(Slot slot);

    void learn(Slot slot, Mac mac, NeighborState state, TimePoint now, Actions& out);
    void on_solicitation(const Heard<F>& heard, TimePoint now, Actions& out);
    void on_advertisement(const Heard<F>& heard, TimePoint now, Actions& out);
    void solicit(Slot slot, TimePoint now, Actions& out);
    void on_deadline(Slot slot, TimePoint now, Actions& out);
    void hold(Slot slot, const Waiting& waiting, Actions& out);
    [[nodiscard]] std::vector<HeldPacket> take_waiting(Slot slot);
    [[nodiscard]] HeldPacket pop_oldest(Slot slot);
    [[nodiscard]] static View view_of(const Key& key, const Entry& entry);

    NeighborSettings settings_;
    RateLimiter limiter_;
    Entries entries_;
    std::set<std::pair<TimePoint, Key>> deadlines_;
    std::set<Usefulness> evictable_;
    std::map<PortId, std::size_t> per_port_;
    std::size_t held_ = 0;
    std::size_t held_bytes_ = 0;
};

}  // namespace vr
