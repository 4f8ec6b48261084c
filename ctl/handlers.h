// The handlers, by noun.  Each serve_...() registers the commands of its noun and is given only the
// part of the router that they read, which must outlive the server.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ctl/dispatch.h"
#include "ctl/rule_text.h"
#include "policy/ipam/work.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/result.h"
#include "vrouter/routes.h"
#include "vrouter/services/neighbor.h"
#include "vrouter/workloads.h"

namespace vr {
class Machine;
struct LoopTimes;
struct PortRecord;
}  // namespace vr

namespace vr::bgp {
class Speaker;
}  // namespace vr::bgp

namespace vr::policy {
class Datastore;
struct Key;
}  // namespace vr::policy

namespace vr::ctl {

/// What operators call a port; empty for PortId{} and for ports that are gone.
using PortName = std::function<std::string(PortId)>;

/// The router's own addresses on a port, as text.
using PortAddresses = std::function<std::vector<std::string>(const PortRecord& port)>;

/// Local endpoints.  There may be thousands, so they are found slice by slice and shown one by one.
struct Endpoints {
    /// Adds names, perhaps of none, until it answers false.
    using Search = std::move_only_function<bool(std::set<std::string>& names)>;

    std::function<Search()> search;
    std::function<std::optional<WorkloadView>(const std::string& name)> find;
};

/// Local host endpoints: all as the machine knows them, and one with what else is known of it.
struct HostEndpoints {
    std::function<std::vector<HostGuardView>()> all;
    std::function<HostGuardView(HostGuardView view)> with_problems = std::identity{};
};

/// stats.cc: show version.
void serve_version(
    Dispatch& dispatch, std::string version, std::chrono::steady_clock::time_point started);

/// stats.cc: show control.
void serve_control(Dispatch& dispatch, LoopTimes& times);

/// stats.cc: show drops.
void serve_drops(Dispatch& dispatch, const Machine& machine);

/// port.cc: show ports.
void serve_ports(Dispatch& dispatch, const Machine& machine, PortAddresses addresses);

/// endpoint.cc: show endpoints.
void serve_endpoints(
    Dispatch& dispatch, Endpoints endpoints, HostEndpoints hosts, PortName port_name);

/// route.cc: show routes.
void serve_routes(Dispatch& dispatch, const RouteTable& routes, PortName port_name);

/// neighbor.cc: show neighbors.  Without `is_port` any name may be a port's.
void serve_neighbors(
    Dispatch& dispatch,
    const Neighbors<V4>& neighbors4,
    const Neighbors<V6>& neighbors6,
    PortName port_name,
    std::function<bool(const std::string& name)> is_port = {});

/// The speaker, never null.  After `bgp restart` it is another one, so nobody keeps it from one request,
/// or slice of a listing, to the next.
using FindSpeaker = std::function<const std::shared_ptr<bgp::Speaker>&()>;

/// How many neighbours and ranges of the config came, went, or are others now.
struct BgpChanges {
    std::size_t came = 0;
    std::size_t gone = 0;
    std::size_t changed = 0;
};

/// What is done to all of BGP.
struct BgpActions {
    using Restarted = std::move_only_function<void(Result<void>)>;
    using Reloaded = std::move_only_function<void(Result<BgpChanges>)>;

    std::function<void(Restarted done)> restart;  ///< builds another speaker
    std::function<void(Reloaded done)> reload;    ///< takes up the config file
};

/// bgp.cc: show bgp, clear bgp, bgp summary, neighbor, speaker, clear, shutdown, enable, reload, restart.
void serve_bgp(Dispatch& dispatch, FindSpeaker speaker, BgpActions actions);

/// bgp_route.cc: bgp routes.
void serve_bgp_routes(Dispatch& dispatch, FindSpeaker speaker);

/// bgp_dump.cc: bgp dump.
void serve_bgp_dump(
    Dispatch& dispatch,
    FindSpeaker speaker,
    std::function<std::chrono::system_clock::time_point()> now = &std::chrono::system_clock::now);

/// bgp_load.cc: bgp load, bgp unload.  `forwards`: there is a data plane, which must not draw traffic for routes of a
/// file.
void serve_bgp_load(Dispatch& dispatch, FindSpeaker speaker, bool forwards);

/// policy.cc: show policy.
void serve_policy(
    Dispatch& dispatch, Endpoints endpoints, HostEndpoints hosts, GroupText group_text);

/// What this router cannot do of what a valid object asks for.
using ObjectProblems = std::function<std::vector<std::string>(const policy::Key&)>;

/// Calls `then` when what the datastore has told is in force.
using WhenInForce = std::function<void(std::function<void()> then)>;

/// resource.cc: get, apply, delete.  Without `when_in_force` all is at once.
void serve_resources(
    Dispatch& dispatch,
    policy::Datastore& store,
    ObjectProblems problems = {},
    WhenInForce when_in_force = {});

/// datastore.cc: show datastore.
void serve_datastore(Dispatch& dispatch, const policy::Datastore& store);

/// flow.cc: show flows, clear flows.  `now` is the clock that flows are stamped by.
void serve_flows(
    Dispatch& dispatch, SharedState& shared, PortName port_name, std::function<FlowTick()> now);

/// trace.cc: trace.
void serve_trace(Dispatch& dispatch, Machine& machine);

/// ipam.cc: ipam show, addresses, check, gc, allocate, release.  `host` is this one; `run` is null where
/// there is no datastore that keeps blocks.
void serve_ipam(Dispatch& dispatch, std::string host, policy::ipam::Run run);

/// What is said when an endpoint or port is asked for that is not here.
[[nodiscard]] Failure no_endpoint(const std::string& name);
[[nodiscard]] Failure no_port(const std::string& name);

}  // namespace vr::ctl
