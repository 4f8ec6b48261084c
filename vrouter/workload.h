// What policy/ tells the machine: local endpoints, of workloads and of the host, with the programs that
// guard them, and the members of the groups that those programs name.
//
// The machine implements WorkloadSink (workloads.h); policy/ calls it.  Order within one flush: group
// members first, then programs and endpoints, then removals, so that no program is ever published before
// the groups that it names are filled.  All calls come on the control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/host_hook.h"
#include "vrouter/dataplane/qos.h"
#include "vrouter/dataplane/workload_rules.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"
#include "vrouter/policy_log_terms.h"

namespace vr {

/// Who listens on the vhost-user socket.
enum class VhostMode {
    Server,  ///< the router listens, the guest's hypervisor connects
    Client,  ///< the hypervisor listens, the router connects and reconnects
};

/// How packets reach a local endpoint.
struct Attachment {
    /// An ethdev named by annotation `vrouter.io/port`; empty: a vhost-user port.
    std::string ethdev;
    /// Annotation `vrouter.io/vhost-socket`; empty: a path made from the interface name.
    std::string vhost_socket;
    /// Annotation `vrouter.io/vhost-mode`.
    VhostMode vhost_mode = VhostMode::Server;

    friend bool operator==(const Attachment&, const Attachment&) = default;
};

/// A floating address: what is sent to `external` reaches `internal`, one of the workload's own addresses of
/// that family, and is answered in its name.
struct FloatingAddress {
    IpAddr external;
    IpAddr internal;

    friend auto operator<=>(const FloatingAddress&, const FloatingAddress&) = default;
};

/// What an endpoint is to a live migration that is going on.
enum class MigrationRole : std::uint8_t {
    None,
    Source,
    Target,  ///< the guest comes here, and is elsewhere until it shows itself
};

/// How the addresses of a guest that a live migration has brought are told, as FelixConfiguration says.
struct MigrationTerms {
    /// While they are preferred, unless they have a better one; 1024 is normal.  By family, as in IpPrefix.
    std::array<std::uint32_t, 2> priority{512, 512};
    std::chrono::seconds settling{30};  ///< how long others may take to follow once it is over

    friend bool operator==(const MigrationTerms&, const MigrationTerms&) = default;
};

/// Programs that are no longer in force, each with the one that takes its place.
using ReplacedPrograms =
    std::map<std::shared_ptr<const acl::Program>, std::shared_ptr<const acl::Program>>;

/// A WorkloadEndpoint of this host, with everything that the machine needs to serve it.
struct Workload {
    std::string name;            ///< "namespace/name" of the WorkloadEndpoint: the key
    std::string interface_name;  ///< spec.interfaceName
    bool active = true;          ///< false: administratively down, every packet is dropped
    std::optional<Mac> mac;      ///< spec.mac; absent: learnt by ARP/ND, source MAC not checked
    std::vector<Prefix<V4>> addresses4;  ///< spec.ipNetworks: it may send from these
    std::vector<Prefix<V6>> addresses6;
    /// spec.allowSpoofedSourcePrefixes: from these, too, without a flow; nothing is sent to them.
    std::vector<Prefix<V4>> spoofable4;
    std::vector<Prefix<V6>> spoofable6;
    std::vector<FloatingAddress> floating;  ///< spec.ipNATs
    Attachment attachment;
    QosControls qos;
    /// How much its addresses are wanted here, where other hosts have them too: lower is more.  Absent:
    /// as all addresses of this host.
    std::optional<std::uint32_t> route_priority;
    MigrationRole migration = MigrationRole::None;
    /// Policy in both directions, never null.  Endpoints with the same ordered policies share one
    /// program object; a changed policy arrives as a new object.
    std::shared_ptr<const acl::Program> ingress;
    std::shared_ptr<const acl::Program> egress;
    /// What would be in force with the staged policies; null where they make no difference.  For
    /// people: no packet is judged by it.
    std::shared_ptr<const acl::Program> staged_ingress;
    std::shared_ptr<const acl::Program> staged_egress;

    /// Names the successors of its programs from now on; false where none has one.
    bool replace_programs(const ReplacedPrograms& replaced) {
        bool any = false;
        for (auto* program : {&ingress, &egress, &staged_ingress, &staged_egress}) {
            if (const auto found = replaced.find(*program); found != replaced.end()) {
                *program = found->second;
                any = true;
            }
        }
        return any;
    }
};

/// A HostEndpoint of this host.
struct HostGuard {
    std::string name;            ///< of the HostEndpoint: the key
    std::string interface_name;  ///< of a port, or kAnyInterface; empty: that with an expected IP
    std::vector<IpAddr> addresses;  ///< spec.expectedIPs
    bool closed = false;  ///< of an endpoint that could not be read: before others for all
    std::optional<std::uint8_t> dscp;  ///< of what the host itself sends out of the cluster there
    /// By HostHook.  Null: no policy acts there, what comes by passes on; those of the normal hooks are
    /// never null.
    std::array<std::shared_ptr<const acl::Program>, kHostHooks> programs;
    /// What would be in force there with the staged policies; null where they make no difference.  For
    /// people: no packet is judged by it.
    std::array<std::shared_ptr<const acl::Program>, kHostHooks> staged;

    /// Every port towards the fabric that no other HostEndpoint guards.
    static constexpr std::string_view kAnyInterface = "*";

    [[nodiscard]] const std::shared_ptr<const acl::Program>& program(HostHook hook) const {
        return programs[static_cast<std::size_t>(hook)];
    }

    /// Programs compare by identity: a changed one is another object.
    friend bool operator==(const HostGuard&, const HostGuard&) = default;
};

class WorkloadSink {
  public:
    WorkloadSink() = default;
    WorkloadSink(const WorkloadSink&) = delete;
    WorkloadSink& operator=(const WorkloadSink&) = delete;
    WorkloadSink(WorkloadSink&&) = delete;
    WorkloadSink& operator=(WorkloadSink&&) = delete;
    virtual ~WorkloadSink() = default;

    /// `member` belongs to `group` from now on / no longer.
    virtual void add_member(GroupId group, const IpPrefix& member) = 0;
    virtual void remove_member(GroupId group, const IpPrefix& member) = 0;

    /// Goes on with members inside nets that came, some hundred at a time; true when there are more.  Until there
    /// are none nothing is to be told that relies on them, nor another member.
    virtual bool refresh_members() { return false; }

    /// Creates or changes an endpoint.  Nothing is forwarded before its programs are compiled.
    virtual void update_workload(const Workload& workload) = 0;
    virtual void remove_workload(const std::string& name) = 0;

    /// Changes the programs of all endpoints that have one of these, and nothing else of them.  Those that
    /// one endpoint has take effect together.
    virtual void replace_programs(const ReplacedPrograms& replaced) = 0;

    /// Creates or changes what guards interfaces of the host.  Until its programs are compiled, what
    /// guarded them before stays in force.
    virtual void update_host(const HostGuard& guard) = 0;
    virtual void remove_host(const std::string& name) = 0;

    /// What holds for all workloads beside their policies.
    virtual void set_workload_rules(const WorkloadRules& rules) = 0;

    /// How Log rules are written; for those who write them.
    virtual void set_policy_log(const PolicyLogTerms& /*terms*/) {}

    virtual void set_migration_terms(const MigrationTerms& /*terms*/) {}
};

}  // namespace vr
