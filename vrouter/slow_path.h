// SlowPath: what the control thread does with packets that workers hand over: answers ARP, neighbor
// discovery and echo, reports errors by ICMP, holds packets until their next hop is resolved.
//
// A thin shell around the pure cores of services/: it turns packets into their events and their actions
// into packets, next hops and routes.  Bounded work per call, so that BGP is never starved.  Control
// thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "vrouter/dataplane/packet.h"
#include "vrouter/machine.h"
#include "vrouter/services/neighbor.h"
#include "vrouter/services/repeats.h"
#include "vrouter/services/responder.h"
#include "vrouter/services/router_discovery.h"

namespace vr {

class SlowPath {
  public:
    explicit SlowPath(Machine& machine);
    SlowPath(const SlowPath&) = delete;
    SlowPath& operator=(const SlowPath&) = delete;
    SlowPath(SlowPath&&) = delete;
    SlowPath& operator=(SlowPath&&) = delete;

    /// Frees the packets that wait.
    ~SlowPath();

    /// Tells who stands behind a port / that the port is gone; the caller commits.
    void set_port(const PortFacts& facts);
    void remove_port(PortId port);

    /// A neighbor from the config or from a workload's description, which stays until removed.  The
    /// caller commits.
    void add_permanent(const Adjacency& neighbor, Mac mac, TimePoint now);
    void remove_neighbor(const Adjacency& neighbor, TimePoint now);

    /// Handles up to one burst of punted packets; returns how many there were.
    unsigned handle_burst(TimePoint now);

    /// Handles every deadline that is due.
    void tick(TimePoint now);

    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    /// Counts the stations of all gateways as used: they are probed when nothing was heard of them for
    /// long, so that a dead gateway is noticed (RFC 4861 7.3).  To be called every few seconds.
    void touch_gateways(TimePoint now);

    [[nodiscard]] const Neighbors<V4>& neighbors4() const { return neighbors4_; }

    [[nodiscard]] const Neighbors<V6>& neighbors6() const { return neighbors6_; }

    /// Where advertisements of routers go; only those on ports that have link peers.
    using RouterHeard = std::function<void(PortId, const HeardRouter&, TimePoint)>;

    void set_router_heard(RouterHeard heard) { router_heard_ = std::move(heard); }

    /// Where it is told that the guest behind a port has spoken, in its own name.
    using GuestHeard = std::function<void(PortId)>;

    void set_guest_heard(GuestHeard heard) { guest_heard_ = std::move(heard); }

    /// Echo requests, solicitations and the like that were answered.
    [[nodiscard]] std::uint64_t answered() const { return answered_; }

  private:
    template <Family F>
    [[nodiscard]] Neighbors<F>& neighbors();

    void handle(Packet packet, TimePoint now);
    void answer(const PortFacts& port, const Packet& packet, TimePoint now);
    void warn_of_conflict(PortId port, TimePoint now);
    void discover(const PortFacts& port, const Answer& answer, TimePoint now);
    void call_on_links(TimePoint now);
    void report(
        const PortFacts& port, const Packet& packet, const icmp::Report& report, TimePoint now);
    void reject(const PortFacts& port, const Packet& packet, DropReason denied, TimePoint now);
    void too_big(const PortFacts& port, Packet packet, TimePoint now);
    template <Family F>
    void resolve(Packet packet, TimePoint now);
    template <Family F>
    void hold(const Adjacency& station, Packet packet, TimePoint now);
    template <Family F>
    void perform(const typename Neighbors<F>::Actions& actions, TimePoint now);
    template <Family F>
    void perform(const Solicit<F>& action);
    template <Family F>
    void perform(const Resolved<F>& action);
    template <Family F>
    void perform(const Lost<F>& action);
    template <Family F>
    void perform(const Release<F>& action);
    template <Family F>
    void fail_held(const Drop<F>& action, TimePoint now);

    template <Family F>
    [[nodiscard]] Prefix<F> station_prefix(const NeighborKey<F>& station) const;

    template <Family F>
    void free_held();

    /// Sends a frame out of a port through a worker.
    void transmit(PortId port, const Frame& frame);

    Machine& machine_;
    Responder responder_;
    Neighbors<V4> neighbors4_;
    Neighbors<V6> neighbors6_;
    RouterDiscovery discovery_;
    RouterHeard router_heard_;
    GuestHeard guest_heard_;
    std::map<PortId, PortFacts> facts_;
    std::map<PortId, Repeats> conflicts_;  ///< other stations with our addresses
    std::uint64_t answered_ = 0;
};

}  // namespace vr
