// FlowTable<F>: the connections that policy has allowed, one 64-byte entry for both directions.
//
// Read by all workers without locks, filled by workers (short per-bucket spin locks), aged and emptied
// by the control thread in slices.  Nothing is allocated after construction: entries come from a fixed
// pool of which each worker keeps a small cache.  An entry's key never changes while a reader may hold
// it: removed entries rest with the Reclaimer before they are used again.
// Semantics: POLICY 2.8.  No DPDK.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "vrouter/dataplane/reclaim.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"

namespace vr {

/// The translation of a floating address; never used again for another.  Default: none.
using TranslationId = Id<struct TranslationTag, std::uint32_t>;

/// What identifies a connection, in the orientation of one packet.  For ICMP echo the requester's port
/// is the identifier and the other 0; protocols without ports have 0 in both.
template <Family F>
struct FlowKey {
    typename F::Addr source{};
    typename F::Addr destination{};
    L4Port source_port{};
    L4Port destination_port{};
    std::uint8_t protocol = 0;

    friend bool operator==(const FlowKey&, const FlowKey&) = default;

    [[nodiscard]] FlowKey reversed() const noexcept {
        return {destination, source, destination_port, source_port, protocol};
    }
};

/// Where a connection stands; decides how long it may stay silent.  A worker marks a flow Dead when it
/// must not be used again: lookups and insert() pass over it as if it were not there, age() removes it.
enum class FlowState : std::uint8_t {
    New,
    Established,
    Closing,
    Reset,
    Udp,
    Icmp,
    Other,
    Mapping,  ///< no flow: what the world sees of one that goes out in the host's name
    Dead,
};

/// Coarse time: ticks of 2^-2 s (250 ms) since the table was made; wraps after 34 years.
using FlowTick = std::uint32_t;

template <Family F>
struct alignas(64) FlowEntry {
    FlowKey<F> key;  ///< orientation of the connection's first packet
    PortId from;     ///< endpoint that sends the first packet; PortId{} is "outside" or the host
    PortId to;       ///< endpoint that receives it
    std::atomic<FlowState> state;
    bool from_host;             ///< begun by the host itself, which is not policed
    std::atomic<bool> counted;  ///< among the TCP connections of its endpoints
    std::atomic<std::uint8_t>
        closed_by;  ///< TCP: sides that have sent a FIN, 1: that of the first packet, 2: the other
    std::atomic<FlowTick> last_seen;
    std::atomic<std::uint32_t> generation;  ///< of policy, when the flow was last judged
    TranslationId
        translation;  ///< what the first packet was sent to; `key` names what is behind it
    /// Number + 1 of a flow's mapping, and of a mapping's flow; 0: none.  To be followed by
    /// FlowTable::twin().
    std::atomic<std::uint32_t> twin;
};

static_assert(sizeof(FlowEntry<V4>) == 64);
static_assert(sizeof(FlowEntry<V6>) == 64);

/// A found flow and which of its directions the packet belongs to.  Empty when `entry` is null.
template <Family F>
struct FlowHit {
    FlowEntry<F>* entry = nullptr;
    bool reply = false;  ///< true: against the direction of the first packet
};

/// What a new flow starts with, besides its key.
struct FlowStart {
    PortId from;
    PortId to;
    FlowState state = FlowState::New;
    bool from_host = false;
    std::uint32_t generation = 0;
    TranslationId translation{};
};

/// Endpoints that flows can be counted against: every PortId is below.
inline constexpr std::size_t kFlowOwners = 1024;

/// Whom a flow counts against: the endpoint that began it, or the one that it came to from outside;
/// PortId{}: nobody, as all that the host itself began.
[[nodiscard]] constexpr PortId owner_of(PortId from, PortId to, bool from_host) noexcept {
    if (from_host) {
        return {};
    }
    return from == PortId{} ? to : from;
}

/// Who a connection belongs to, of the endpoints on its two sides.
enum class FlowSide : std::uint8_t { Receiver, Sender };

/// Idle times after which a flow in each state is removed, POLICY 2.8.  In ticks.
struct FlowTimeouts {
    FlowTick fresh = 20 * 4;  ///< TCP before the handshake is complete
    FlowTick established = 3600 * 4;
    FlowTick closing = 30 * 4;
    FlowTick reset = 40 * 4;
    FlowTick udp = 60 * 4;
    FlowTick icmp = 5 * 4;
    FlowTick other = 600 * 4;
};

/// A part of the table, for walks in slices.  A flow stays at its place.
struct FlowRange {
    std::size_t begin = 0;
    std::size_t end = SIZE_MAX;
};

template <Family F>
class FlowTable {
  public:
    /// Room for `capacity` flows, for `workers` inserting threads.
    FlowTable(Reclaimer& reclaimer, std::size_t capacity, unsigned workers);
    FlowTable(const FlowTable&) = delete;
    FlowTable& operator=(const FlowTable&) = delete;
    FlowTable(FlowTable&&) = delete;
    FlowTable& operator=(FlowTable&&) = delete;
    ~FlowTable();

    /// Takes from the kernel now what workers would at the first flows, a huge page at a time.
    void fetch() const noexcept;

    /// Finds `count` keys, memory accesses overlapped.  A hit stays valid until the caller's next
    /// quiescent point.  Any worker.
    void lookup_bulk(const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept;

    /// Adds a flow, or returns the one that another worker added first.  Empty when the table is
    /// full.  `worker` < the constructor's `workers`, one thread each.
    /// Where `key` is that of a mapping, that is returned.
    [[nodiscard]] FlowHit<F> insert(
        unsigned worker, const FlowKey<F>& key, const FlowStart& start, FlowTick now) noexcept;

    // A flow with a mapping goes out in the host's name: `key` is what its sender knows, the mapping's key
    // what the world does, both in the orientation of the first packet.  The two come and go together: a
    // mapping has no life of its own, its key is free when both are removed, and both count against the owner.

    struct Mapped {
        FlowHit<F> flow;     ///< as of insert()
        bool taken = false;  ///< there is a flow or a mapping of the mapping's key: no flow then
    };

    /// Adds a flow that the world knows as `outside`, or returns the one that another worker added first.
    [[nodiscard]] Mapped insert_mapped(
        unsigned worker,
        const FlowKey<F>& key,
        const FlowKey<F>& outside,
        const FlowStart& start,
        FlowTick now) noexcept;

    /// lookup_bulk() among mappings, which it does not find itself.
    void lookup_mappings(const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept;

    /// lookup_bulk() among flows and mappings.
    void lookup_any(const FlowKey<F>* keys, FlowHit<F>* hits, unsigned count) const noexcept;

    /// The mapping of a flow, the flow of a mapping; null: it has none, or that is dead.
    [[nodiscard]] FlowEntry<F>* twin(const FlowEntry<F>& entry) const noexcept;

    /// Alike for both directions of a connection, and unlike from table to table.
    [[nodiscard]] std::uint64_t hash(const FlowKey<F>& key) const noexcept;

    /// Flows that count against `owner`.  Exact where `worker` is the only one that inserts; others may have
    /// added up to 32 each that it does not know of yet.  Worker `worker`.
    [[nodiscard]] std::size_t held_by(PortId owner, unsigned worker) const noexcept;

    /// The same without the flows that workers added last.  Any thread.
    [[nodiscard]] std::size_t held_by(PortId owner) const noexcept;

    /// TCP connections that `endpoint` has begun, or that others, not the host, have begun to it, and that
    /// are not closed.  Any thread; exact but for what other threads are about to add or take away.
    [[nodiscard]] std::size_t connections(PortId endpoint, FlowSide side) const noexcept;

    /// The connection is closed: it counts no more.  Worker `worker`.
    void uncount(unsigned worker, FlowEntry<F>& flow) noexcept;

    /// It is not: a connection of TCP counts again.  Worker `worker`.
    void recount(unsigned worker, FlowEntry<F>& flow) noexcept;

    /// Removes flows idle beyond their timeout, in a slice of at most `budget` entries that goes on
    /// where the last call ended.  Returns how many were removed.  Control thread.
    std::size_t age(FlowTick now, const FlowTimeouts& timeouts, std::size_t budget);

    /// Removes every flow of `where` for which `condemned` is true, with its mapping; returns how many
    /// flows.  Control thread.
    std::size_t remove_if(
        const std::function<bool(const FlowEntry<F>&)>& condemned, FlowRange where = {});

    /// Calls `visit` for every live flow of `where`; the table may change meanwhile.  Control thread.
    void for_each(
        const std::function<void(const FlowEntry<F>&)>& visit, FlowRange where = {}) const;

    /// No flow stands here or behind: where a walk in slices ends.
    [[nodiscard]] std::size_t extent() const noexcept;

    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] std::size_t capacity() const noexcept;

  private:
    struct Tables;
    std::shared_ptr<Tables> tables_;  // removed flows that still rest keep it
};

}  // namespace vr
