// Workloads: local endpoints, from what policy/ says to a port that forwards.
//
// An endpoint's life: its port is opened when it is its turn (guests may connect, nothing is forwarded), its
// two programs are compiled by the builder, then port, routes and neighbors open in one step.  A changed policy
// takes the same way while the old one stays in force.  Staged programs, which are only counted, follow:
// nothing waits for them.  Ports are opened and closed some in a turn of the loop, in the order in which that
// was asked for; an endpoint whose port is to be closed stays as it was until then.  Removed group members wait while programs are being compiled, and until
// workers run what came of it, so that a program never runs with groups that were already emptied for
// its successor.  Control thread.
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

#include "vrouter/builder.h"
#include "vrouter/config.h"
#include "vrouter/host_guards.h"
#include "vrouter/machine.h"
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
    std::string error;                                   ///< what is wrong with it, if anything
    std::shared_ptr<const Endpoint> endpoint = nullptr;  ///< what packets meet, with its counters
};

[[nodiscard]] std::string_view to_string(WorkloadView::State state);

class Workloads final : public WorkloadSink {
  public:
    /// Opens the vhost-user port of a workload.
    using OpenVhost = std::function<Result<std::unique_ptr<Port>>(const Workload& workload)>;

    /// An address that this host serves from now on, with Workload::route_priority / no longer.  When the
    /// priority changes, it is told again.
    using Announce =
        std::function<void(const IpPrefix& prefix, bool up, std::optional<std::uint32_t> priority)>;

    /// Why nobody may have that address as a workload's; empty: somebody may.
    using Reserved = std::function<std::string(const IpPrefix& prefix)>;

    Workloads(
        Machine& machine,
        SlowPath& slow_path,
        Builder& builder,
        WorkloadConfig config,
        OpenVhost open_vhost,
        Announce announce,
        Reserved reserved = {});

    void add_member(GroupId group, const IpPrefix& member) override;
    void remove_member(GroupId group, const IpPrefix& member) override;
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

    /// Other addresses are reserved than before: endpoints that have one are closed.
    void reserved_changed();

    /// The guest behind `port`, which was opened for the workload, has gone or is back: while it is away
    /// its addresses are neither routed nor announced.  One that never came yet is not away.
    void set_guest(const std::string& name, const Port& port, bool there);

    /// Tries again to open ports that could not be opened.  To be called now and then.
    void retry_failed();

    /// Whether endpoints wait for their turn.
    [[nodiscard]] bool is_opening() const { return !waiting_.empty(); }

    /// True while there is something that finish() goes on with.
    [[nodiscard]] bool is_unfinished() const { return is_opening() || hosts_.is_unassigned(); }

    /// Opens and closes ports for one turn, and makes visible what went.
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
    struct Translated {
        FloatingAddress address;
        TranslationId id;
    };

    /// An endpoint that has an address; nobody loses one of its own to somebody's floating one.
    struct Server {
        bool floating = false;
        std::string name;

        friend auto operator<=>(const Server&, const Server&) = default;
    };

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
        std::uint64_t version = 0;         ///< of `workload`; older compilations are ignored
        std::optional<Workload> in_force;  ///< what routes, neighbors and endpoint reflect
        bool placed = false;               ///< `workload` is in force but for its programs
        std::shared_ptr<const Endpoint> endpoint;
        bool away = false;                     ///< the guest that was there
        std::vector<Translated> translations;  ///< the floating addresses that are its
        /// What its limits have left: a change of the endpoint fills no bucket.
        std::shared_ptr<PolicerState> ingress_limits = std::make_shared<PolicerState>();
        std::shared_ptr<PolicerState> egress_limits = std::make_shared<PolicerState>();
    };

    /// Those that have one address, and what was said of it.
    struct Servers {
        std::set<Server> names;
        bool announced = false;
        std::optional<std::uint32_t> priority;
    };

    enum ProgramKind : std::uint8_t { kIngress, kEgress, kStagedIngress, kStagedEgress, kKinds };

    using ProgramsOf =
        std::array<std::shared_ptr<const acl::Program>, kKinds>;  ///< null: there is none

    /// A compilation on its way, one program after the other, for endpoints that have the same programs.
    struct Job {
        std::vector<std::pair<std::string, std::uint64_t>>
            endpoints;  ///< by name, with Entry::version
        ProgramsOf programs;
        std::array<Compiled, kKinds> compiled;
        bool enforced = false;  ///< in force but for what is staged
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
    using Members = std::set<std::pair<GroupId, IpPrefix>>;

    [[nodiscard]] static ProgramsOf programs_of(const Workload& workload);
    static void keep(Job& job, ProgramKind kind, const Compiled& in_use);
    static void keep_staged(Job& job, const Entry& entry);
    void compile_next(const std::shared_ptr<Job>& job, std::size_t kind);
    [[nodiscard]] Entry* current(const std::string& name, std::uint64_t version);
    [[nodiscard]] bool is_awaited(const Job& job);
    void activate(const Job& job);
    void activate(Entry& entry, const std::array<Compiled, kKinds>& compiled);
    [[nodiscard]] std::shared_ptr<Endpoint> endpoint_of(const Entry& entry) const;
    [[nodiscard]] std::shared_ptr<const EndpointLimits> limits(const Entry& entry) const;
    void settle(unsigned activated = 1);
    void commit_in_time();
    void commit();

    [[nodiscard]] bool busy() const { return enforcing_ != 0 || hosts_.busy(); }

    /// Whether nothing is in force that was to be replaced or removed.
    [[nodiscard]] bool is_settled() const { return !busy() && !is_unfinished(); }

    void withdraw(Entry& entry);
    void attach_addresses(Entry& entry);
    void serve(const Server& server, const IpPrefix& prefix);
    void stop_serving(const Server& server, const IpPrefix& prefix);
    void hand_over(
        const IpPrefix& prefix, const std::optional<Server>& from, const std::optional<Server>& to);
    void announce(const IpPrefix& prefix, Servers& servers);
    [[nodiscard]] TranslationId translate(Entry& entry, const FloatingAddress& address);
    void translate_no_more(Entry& entry, const IpAddr& external);
    void publish_translations(Entry& entry);
    [[nodiscard]] std::string reserved_floating(const IpPrefix& prefix) const;
    [[nodiscard]] std::string shared_addresses(const Entry& entry) const;
    [[nodiscard]] PortFacts facts(const Entry& entry) const;
    void apply_removals(const Members& members);
    void remove_when_seen();

    Machine& machine_;
    SlowPath& slow_path_;
    Builder& builder_;
    WorkloadConfig config_;
    OpenVhost open_vhost_;
    Announce announce_;
    Reserved reserved_;
    HostGuards hosts_;
    std::map<std::string, Entry> entries_;
    std::deque<std::string> waiting_;  ///< in the order of their turns; some may wait no more
    std::function<void()> unfinished_;
    bool told_ = false;                                        ///< that something is
    std::map<std::string, std::set<std::string>> interfaces_;  ///< the names of those with each
    Members removals_;         ///< from groups that programs may still need as they are
    Members leaving_members_;  ///< workers may still run such programs
    bool removals_wait_ = false;
    /// Which endpoints in force have an address: one as a rule, two while a workload is replaced by its
    /// successor.  The first gets the packets.
    std::map<IpPrefix, Servers> servers_;
    std::uint32_t translations_ = 0;  ///< numbers given out
    /// Who translates a floating address: one endpoint, also while its guest is away.
    std::map<IpAddr, std::string> translators_;
    std::uint64_t versions_ = 0;
    unsigned activated_ = 0;     ///< endpoints since the last commit
    std::size_t enforcing_ = 0;  ///< jobs on their way that are not in force
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace vr
