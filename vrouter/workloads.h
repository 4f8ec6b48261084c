// Workloads: local endpoints, from what policy/ says to a port that forwards.
//
// An endpoint's life: its port is opened when it is its turn (guests may connect, nothing is forwarded), its
// two programs are compiled by the builder, then port, routes and neighbors open in one step.  A changed policy
// takes the same way while the old one stays in force.  Ports are opened and closed some in a turn of the loop,
// in the order in which that was asked for; an endpoint whose port is to be closed stays as it was until then.
// How programs are compiled, which addresses are served, and when members of groups go is left to
// Compilations, ServedAddresses and GroupMembers.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
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

#include "vrouter/arrival.h"
#include "vrouter/builder.h"
#include "vrouter/compilations.h"
#include "vrouter/config.h"
#include "vrouter/group_members.h"
#include "vrouter/host_guards.h"
#include "vrouter/machine.h"
#include "vrouter/served_addresses.h"
#include "vrouter/slow_path.h"
#include "vrouter/workload.h"

namespace vr {

/// What operators see of an endpoint.
struct WorkloadView {
    enum class State : std::uint8_t {
        Invalid,    ///< its object was never valid: it has no port
        Failed,     ///< its port could not be opened
        Waiting,    ///< its port is opened when those before it are
        Compiling,  ///< closed until its policy is in place
        Inactive,   ///< administratively down
        Ready,      ///< forwards
    };

    Workload workload;
    PortId port;
    State state = State::Compiling;
    Arrival::State arrival = Arrival::State::Settled;
    std::string error;                                   ///< what is wrong with it, if anything
    std::shared_ptr<const Endpoint> endpoint = nullptr;  ///< what packets meet, with its counters
};

[[nodiscard]] std::string_view to_string(WorkloadView::State state);

class Workloads final : public WorkloadSink {
  public:
    /// Opens the vhost-user port of a workload.
    using OpenVhost = std::function<Result<std::unique_ptr<Port>>(const Workload& workload)>;

    using Announce = ServedAddresses::Announce;
    using Reserved = ServedAddresses::Reserved;

    Workloads(
        Machine& machine,
        SlowPath& slow_path,
        Builder& builder,
        WorkloadConfig config,
        OpenVhost open_vhost,
        Announce announce,
        Reserved reserved = {});

    void add_member(GroupId group, const IpPrefix& member) override { members_.add(group, member); }

    void remove_member(GroupId group, const IpPrefix& member) override {
        members_.remove(group, member);
    }

    bool refresh_members() override { return members_.refresh(); }

    void update_workload(const Workload& workload) override;
    void remove_workload(const std::string& name) override;
    void replace_programs(const ReplacedPrograms& replaced) override;

    /// What guards the host until remove_host(); to be called before workers run.
    void begin_with_host(const HostGuard& guard) { hosts_.begin_with(guard); }

    void update_host(const HostGuard& guard) override { hosts_.update(guard); }

    void remove_host(const std::string& name) override;

    /// The config's word counts more.
    void set_workload_rules(const WorkloadRules& rules) override;

    void set_policy_log(const PolicyLogTerms& terms) override { machine_.set_policy_log(terms); }

    void set_migration_terms(const MigrationTerms& terms) override;

    /// Other addresses are reserved than before: endpoints that have one are closed.
    void reserved_changed();

    /// The guest behind `port`, which was opened for the workload, has gone or is back: while it is away
    /// its addresses are neither routed nor announced.  One that never came yet is not away.  A hypervisor
    /// connects a guest that it takes over when it lets it run: that ends the wait for it.
    void set_guest(const std::string& name, const Port& port, bool there);

    /// The guest behind the port has spoken: if it was to come from another host, it is here.
    void hear_guest(PortId port);

    /// What was preferred is no longer when it is time.  To be called about every second.
    void tick(TimePoint now);

    /// Tries again to open ports that could not be opened.  To be called now and then.
    void retry_failed();

    /// Whether endpoints wait for their turn.
    [[nodiscard]] bool is_opening() const { return !waiting_.empty(); }

    /// True while there is something that finish() goes on with.
    [[nodiscard]] bool is_unfinished() const {
        return is_opening() || hosts_.is_unassigned() || members_.is_unfinished();
    }

    /// Opens and closes ports and removes members for one turn, and makes visible what went.
    void finish();

    /// `unfinished` is called when something is left for finish() in another turn: once until then.
    void on_unfinished(std::function<void()> unfinished) { unfinished_ = std::move(unfinished); }

    /// By name, without all else.
    [[nodiscard]] std::vector<std::pair<std::string, WorkloadView::State>> states() const;

    [[nodiscard]] std::vector<HostGuardView> view_hosts() const { return hosts_.view(); }

    [[nodiscard]] std::vector<std::pair<std::string, HostGuardView::State>> host_states() const {
        return hosts_.states();
    }

    [[nodiscard]] std::optional<WorkloadView> find(const std::string& name) const;

    [[nodiscard]] std::set<std::string> names() const;

    /// The first by name with that interfaceName.
    [[nodiscard]] std::string first_with(const std::string& interface_name) const;

  private:
    enum class Guest : std::uint8_t { NeverCame, There, Away };

    /// What an endpoint waits for in waiting_.
    enum class Turn : std::uint8_t {
        None,
        Open,   ///< its port, after that which it may have
        Close,  ///< it has been removed
    };

    struct Entry {
        Workload workload;
        PortId port;
        Attachment attachment;  ///< for which `port` was opened
        std::string interface_name;
        Turn turn = Turn::None;
        std::string error;
        std::optional<Workload> in_force;  ///< what routes, neighbors and endpoint reflect
        bool placed = false;               ///< `workload` is in force but for its programs
        std::shared_ptr<const Endpoint> endpoint;
        Guest guest = Guest::NeverCame;
        Arrival arrival;
        Arrival::State arrival_followed = Arrival::State::Settled;
        /// What its limits have left: a change of the endpoint fills no bucket.
        std::shared_ptr<PolicerState> ingress_limits = std::make_shared<PolicerState>();
        std::shared_ptr<PolicerState> egress_limits = std::make_shared<PolicerState>();
    };

    [[nodiscard]] static WorkloadView::State state(const Entry& entry);
    [[nodiscard]] Result<std::unique_ptr<Port>> open_port(const Workload& workload);
    [[nodiscard]] std::string reserved_address(const Workload& workload) const;
    void forget_interface(const Workload& workload);
    void wait(Entry& entry, Turn turn);
    void take_turn(const std::string& name);
    void tell_unfinished();
    void open(Entry& entry);
    void close(Entry& entry);
    void compile(const std::string& name, Entry& entry);
    void activate(Entry& entry, const CompiledPrograms& compiled);
    [[nodiscard]] std::shared_ptr<const EndpointLimits> limits(const Entry& entry) const;
    void settle(std::size_t activated);
    void commit_in_time();
    void commit();

    [[nodiscard]] bool busy() const { return compilations_.busy() || hosts_.busy(); }

    /// Whether nothing is in force that was to be replaced or removed.
    [[nodiscard]] bool is_settled() const {
        return !busy() && !is_opening() && !hosts_.is_unassigned();
    }

    void withdraw(Entry& entry);
    void attach_addresses(Entry& entry);
    [[nodiscard]] bool follow_arrival(Entry& entry);
    [[nodiscard]] ServedAddresses::Wanted wanted(const Entry& entry) const;
    void publish_translations(Entry& entry);
    [[nodiscard]] PortFacts facts(const Entry& entry) const;

    Machine& machine_;
    SlowPath& slow_path_;
    Builder& builder_;
    WorkloadConfig config_;
    OpenVhost open_vhost_;
    Reserved reserved_;
    HostGuards hosts_;
    GroupMembers members_;
    Compilations compilations_;
    ServedAddresses addresses_;
    MigrationTerms migration_terms_;
    std::map<std::string, Entry> entries_;
    std::map<PortId, std::string> names_;  ///< of those that have a port
    std::deque<std::string> waiting_;      ///< in the order of their turns; some may wait no more
    std::function<void()> unfinished_;
    bool told_ = false;                                        ///< that something is
    std::map<std::string, std::set<std::string>> interfaces_;  ///< the names of those with each
    std::size_t activated_ = 0;                                ///< endpoints since the last commit
};

}  // namespace vr
