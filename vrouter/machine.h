// Machine: the router without its control protocols: ports, next hops, routes, flows and the workers
// that forward.  Owns everything that workers read and publishes what they see.
//
// All calls come on the control thread unless said otherwise.  Changes collect until commit(), which
// hands the workers one new snapshot; routes follow the promise of routes.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "vrouter/dataplane/counters.h"
#include "vrouter/dataplane/packet_pool.h"
#include "vrouter/dataplane/policy_log.h"
#include "vrouter/dataplane/punt.h"
#include "vrouter/dataplane/rcu.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/dataplane/worker.h"
#include "vrouter/net/result.h"
#include "vrouter/policy_log_writer.h"
#include "vrouter/routes.h"

namespace vr {

struct MachineSettings {
    unsigned workers = 1;
    std::uint32_t packets = 32768;
    std::uint32_t flows = 262144;
    std::uint32_t flows_per_endpoint = UINT32_MAX;
    std::uint32_t nat_ports_percent = 100;  ///< of natOutgoing, for one endpoint
    FlowTimeouts timeouts;
    IdlePolicy idle;
    /// Ports are opened and closed for so long in one turn: one at least.
    std::chrono::microseconds ports_turn{500};
    bool reevaluate = false;
    std::optional<bool> drop_invalid;       ///< absent: what WorkloadRules say
    std::optional<EndpointToHost> to_host;  ///< the same
};

/// Sum of all workers' counters for one port, and what the control thread did with punted packets.
struct PortTotals {
    std::uint64_t rx_packets = 0;
    std::uint64_t rx_bytes = 0;
    std::uint64_t tx_packets = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t punted = 0;
    std::uint64_t consumed = 0;
    std::array<std::uint64_t, kDropCount> drops{};
};

/// What the control side knows of a port.
struct PortRecord {
    std::string name;
    PortKind kind = PortKind::None;
    std::unique_ptr<Port> port;
    Mac mac;  ///< the router's on this port
    std::uint16_t mtu = 1500;
    std::vector<IpAddr> addresses;  ///< the host's on this port; of ports towards the fabric
};

class Machine {
  public:
    [[nodiscard]] static Result<std::unique_ptr<Machine>> make(const MachineSettings& settings);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    Machine(Machine&&) = delete;
    Machine& operator=(Machine&&) = delete;

    /// The workers must have returned.
    ~Machine();

    /// Adds a port; its number is new, or that of a port whose last trace is gone.  Other ports do not
    /// notice.
    [[nodiscard]] Result<PortId> add_port(PortRecord record);

    /// Takes a port out of service with the next commit(); it is destroyed, and its flows removed, when no
    /// worker uses it, some in a turn.  `gone` is called then.
    void remove_port(PortId id, std::function<void()> gone = {});

    /// Opens a workload's port with its policy in place, or closes it (null).
    void set_endpoint(PortId id, std::shared_ptr<const Endpoint> endpoint);

    /// Guards a port towards the fabric, or no longer (null).
    void set_guard(PortId id, std::shared_ptr<const HostPolicy> guard);

    /// What the host endpoint of all interfaces says, also to workloads (EndpointToHost::Return).
    void set_any_interface(std::shared_ptr<const HostPolicy> guard);

    /// Where MachineSettings speak, they win.
    void set_workload_rules(WorkloadRules rules);

    /// How Log rules are written, from the next line on.
    void set_policy_log(PolicyLogTerms terms) { log_writer_.set_terms(std::move(terms)); }

    /// The TAP into the host, and the MAC address of its kernel side.
    void set_host_port(PortId id, Mac kernel);

    /// The host has this link-local address on the port: what is link-local there is told apart from the
    /// same address on other links (dataplane/link_local.h).
    void set_link_local(PortId id, Ip6 own);

    [[nodiscard]] const std::vector<LinkLocal>& link_locals() const { return master_.link_locals; }

    /// A floating address is gone, which no endpoint has any more after the next commit: its flows are
    /// removed when no worker can make one.
    void forget_translation(TranslationId id);

    /// Policy or membership changed: live flows were judged under an older one.
    void bump_policy_generation();

    /// Makes everything that changed visible to the workers, and waits for none of them.
    void commit();

    /// True while there is something that commit() or housekeeping() began and finish() goes on with.
    [[nodiscard]] bool is_unfinished() const {
        return forgetting_ || !unused_.empty() || routes_.dirty() || rcu_.is_behind();
    }

    /// Goes on with it for a slice.
    void finish();

    /// Calls `unfinished` whenever a commit() or finish() leaves something.
    void on_unfinished(std::function<void()> unfinished) { unfinished_ = std::move(unfinished); }

    /// Calls `then` when every worker has seen the last commit(): at once, or in a later housekeeping().
    void when_seen(std::function<void()> then);

    /// Regular work: frees what workers let go of, ages a slice of the flows.
    void housekeeping();

    [[nodiscard]] RouteTable& routes() { return routes_; }

    [[nodiscard]] SharedState& shared() { return *shared_; }

    [[nodiscard]] const Tables& tables() const { return *current_; }

    [[nodiscard]] Rcu& rcu() { return rcu_; }

    [[nodiscard]] PuntRing& punt_ring() { return *punt_; }

    [[nodiscard]] rte_mempool* pool() { return pool_.get(); }

    [[nodiscard]] const MachineSettings& settings() const { return settings_; }

    [[nodiscard]] std::vector<std::unique_ptr<Worker>>& workers() { return workers_; }

    /// Null when there is no such port.
    [[nodiscard]] const PortRecord* port(PortId id) const;

    [[nodiscard]] std::vector<PortId> ports() const;

    [[nodiscard]] std::optional<PortId> find_port(const std::string& name) const;

    [[nodiscard]] PortTotals totals(PortId id) const;

    /// Gives a packet with its note to a worker; dropped and counted when that has no room.
    void inject(rte_mbuf* packet, PortId on_behalf_of);

    /// Counts what the control thread did with a packet that came in on `in`.
    void count_drop(PortId in, DropReason reason);

  private:
    Machine(
        const MachineSettings& settings,
        PacketPool pool,
        std::unique_ptr<PuntRing> punt,
        std::unique_ptr<PolicyLog> policy_log);

    /// Writes what Log rules matched, within a rate.
    void write_policy_log();

    template <Family F>
    [[nodiscard]] PolicyLogWriter::Judges<F> judges_at(PortId port) const;

    void note_limits();
    void publish();
    void retire_leaving();
    void close_unused();
    void begin_forgetting();
    void forget_flows();
    void free_numbers();
    void tell_unfinished();
    void call_seen();
    void assign_queues();
    [[nodiscard]] std::optional<PortId> free_id() const;
    [[nodiscard]] PortTotals raw_totals(PortId id) const;

    MachineSettings settings_;
    PacketPool pool_;
    std::unique_ptr<PuntRing> punt_;
    std::unique_ptr<PolicyLog> policy_log_;
    PolicyLogWriter log_writer_;
    Rcu rcu_;
    std::unique_ptr<SharedState> shared_;
    RouteTable routes_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<PortRecord> records_;
    std::vector<bool> leaving_;  ///< removed, but workers, flows or routes may still name it

    struct Leaving {
        PortId id;
        std::shared_ptr<Port> port;
        std::function<void()> gone;
    };

    std::vector<Leaving> leaving_ports_;  ///< until the next snapshot
    std::deque<Leaving> unused_;          ///< to be closed: no worker uses them any more
    /// Leaving, and no worker uses it any more; what to call when its flows are gone too.
    std::map<PortId, std::function<void()>> gone_;
    std::set<TranslationId> gone_translations_;  ///< the same, of floating addresses

    /// Of those that left together: their flows are removed slice by slice.
    struct Forgetting {
        std::map<PortId, std::function<void()>> ports;
        std::set<TranslationId> translations;
        std::size_t next;
    };

    std::optional<Forgetting> forgetting_;
    std::map<PortId, std::function<void()>> flowless_;  ///< leaving, and their flows are gone
    std::vector<std::function<void()>> seen_;           ///< to be called: all workers have seen it
    std::vector<TranslationId> leaving_translations_;   ///< until the next snapshot
    std::vector<std::array<std::uint64_t, kDropCount>> control_drops_;
    std::vector<PortTotals> baselines_;  ///< what the number's earlier port had counted
    Tables master_;
    const Tables* current_ = nullptr;
    std::size_t resting_ = 0;  ///< snapshots that a worker may still read
    std::function<void()> unfinished_;
    bool dirty_ = true;
    std::size_t next_worker_ = 0;
};

}  // namespace vr
