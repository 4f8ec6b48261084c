// Daemon: vrouterd put together.  Builds every part from the config, gives each what it needs and wires
// their ends; what the parts do is theirs.  Reads top to bottom as the order of start; the destructor
// is the order of stop.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "policy/datastore.h"
#include "policy/model.h"
#include "policy/when_room.h"
#include "vrouter/daemon/announcements.h"
#include "vrouter/daemon/bgp_control.h"
#include "vrouter/daemon/config.h"
#include "vrouter/daemon/etcd_status.h"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's name
}

namespace vr {
class Builder;
class Control;
class Eal;
class Machine;
class NoWorkloads;
class Port;
class SlowPath;
class Workloads;
struct LoopTimes;
struct Workload;
}  // namespace vr

namespace vr::ctl {
class Dispatch;
class Server;
}  // namespace vr::ctl

namespace vr::policy {
class Backlog;
class Graph;
}  // namespace vr::policy

namespace vr::policy::etcd {
class Ipam;
class Reporter;
}  // namespace vr::policy::etcd

namespace vr::daemon {

class Daemon {
  public:
    /// `times`: of `loop`, to be shown and reset.
    Daemon(boost::asio::io_context& loop, LoopTimes& times, Config config);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    Daemon(Daemon&&) = delete;
    Daemon& operator=(Daemon&&) = delete;
    ~Daemon();

    /// Starts everything; an error leaves nothing running once the object is gone.
    [[nodiscard]] Result<void> start();

    /// Takes up what the config file says of BGP now; an error leaves all as it is, or says what it does not.
    void reload_bgp(std::move_only_function<void(Result<BgpControl::Reloaded>)> done);

    /// Says goodbye to BGP peers; the loop must run on for a moment.
    void stop();

  private:
    [[nodiscard]] Result<void> start_data_plane();
    [[nodiscard]] Result<void> open_fabric_port(const PortConfig& config);
    [[nodiscard]] Result<void> open_host_port();
    void open_workloads_soon();
    void tell_bgp_of_sync();
    [[nodiscard]] Result<std::unique_ptr<Port>> open_vhost(const Workload& workload);
    void add_local_address(const IpAddr& address);
    void add_static_routes();
    [[nodiscard]] bool has_source() const;
    [[nodiscard]] Result<void> start_policy();
    [[nodiscard]] Result<void> open_store();
    void start_etcd(policy::Listener listener, policy::WhenRoom when_room);
    void on_taken(const policy::Batch& batch);
    [[nodiscard]] std::map<policy::Key, std::optional<std::string>> statuses() const;
    void serve_commands();
    void set_blocks(std::set<IpPrefix> blocks);
    void announce(const Announcements::Difference& difference);

    boost::asio::io_context& loop_;
    LoopTimes& times_;
    Config config_;
    std::unique_ptr<Eal> eal_;
    std::unique_ptr<Machine> machine_;
    std::unique_ptr<SlowPath> slow_path_;
    std::unique_ptr<Control> control_;
    std::unique_ptr<Builder> builder_;
    std::unique_ptr<Workloads> workloads_;
    std::unique_ptr<NoWorkloads> no_workloads_;  ///< without a data plane
    Announcements announcements_;
    std::unique_ptr<BgpControl> bgp_;
    std::unique_ptr<policy::Graph> graph_;
    std::unique_ptr<policy::Backlog> backlog_;
    std::unique_ptr<policy::Datastore> store_;
    std::unique_ptr<policy::etcd::Reporter> reporter_;
    ChangedStatuses changed_statuses_;
    std::unique_ptr<policy::etcd::Ipam> ipam_;
    bool host_closed_ = false;  ///< what guards the host is closed_host()
    bool lacks_sets_ = false;   ///< was said
    std::unique_ptr<ctl::Dispatch> dispatch_;
    std::unique_ptr<ctl::Server> server_;
    std::chrono::steady_clock::time_point started_;
};

}  // namespace vr::daemon
