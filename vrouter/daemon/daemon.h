// Daemon: vrouterd put together.  Builds every part from the config, gives each what it needs and wires
// their ends; what the parts do is theirs.  Reads top to bottom as the order of start; the destructor
// is the order of stop.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/speaker.h"
#include "ctl/dispatch.h"
#include "ctl/server.h"
#include "policy/datastore.h"
#include "policy/etcd/ipam.h"
#include "policy/etcd/reporter.h"
#include "policy/graph.h"
#include "vrouter/builder.h"
#include "vrouter/control.h"
#include "vrouter/daemon/announcements.h"
#include "vrouter/daemon/bgp_peers.h"
#include "vrouter/daemon/bgp_routes.h"
#include "vrouter/daemon/calico_bgp.h"
#include "vrouter/daemon/config.h"
#include "vrouter/daemon/link_peers.h"
#include "vrouter/eal.h"
#include "vrouter/machine.h"
#include "vrouter/no_workloads.h"
#include "vrouter/slow_path.h"
#include "vrouter/turns.h"
#include "vrouter/workloads.h"

namespace vr::policy {
class FileStore;
}

namespace vr::daemon {

class KernelLinks;

class Daemon {
  public:
    /// `times`: of `loop`, to be shown.
    Daemon(boost::asio::io_context& loop, const LoopTimes& times, Config config);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    Daemon(Daemon&&) = delete;
    Daemon& operator=(Daemon&&) = delete;
    ~Daemon();

    /// Starts everything; an error leaves nothing running once the object is gone.
    [[nodiscard]] Result<void> start();

    /// Says goodbye to BGP peers; the loop must run on for a moment.
    void stop();

  private:
    [[nodiscard]] Result<void> start_data_plane();
    [[nodiscard]] Result<void> open_fabric_port(const PortConfig& config);
    [[nodiscard]] Result<void> open_host_port();
    [[nodiscard]] Result<std::unique_ptr<Port>> open_vhost(const Workload& workload);
    void add_local_address(const IpAddr& address);
    void add_static_routes();
    [[nodiscard]] bool has_source() const;
    [[nodiscard]] Result<void> start_bgp();
    [[nodiscard]] Result<void> open_speaker();
    [[nodiscard]] Result<void> restart_bgp();
    [[nodiscard]] Result<void> start_links();
    [[nodiscard]] Peers named_peers() const;
    [[nodiscard]] LinkPeers::UseOf use_of_peer() const;
    void link_peers_changed();
    void watch_link_peers();
    [[nodiscard]] Result<void> start_policy();
    [[nodiscard]] Result<void> open_store();
    void start_etcd(policy::Listener listener);
    void on_batch(const policy::Batch& batch);
    [[nodiscard]] bool is_host_known() const;
    void serve_commands();
    [[nodiscard]] ReadSecret read_secret_of_reference() const;
    void update_bgp();
    void set_peers(Peers wanted);
    void expect_peers(bool from_source);
    void set_gateways(const std::map<IpAddr, IpAddr>& old);
    [[nodiscard]] std::vector<std::string> problems_of(const policy::Key& key) const;
    void set_blocks(std::set<IpPrefix> blocks);
    void announce(const Announcements::Difference& difference);
    void originate(const IpPrefix& prefix);

    boost::asio::io_context& loop_;
    const LoopTimes& times_;
    Config config_;
    std::unique_ptr<Eal> eal_;
    std::unique_ptr<Machine> machine_;
    std::unique_ptr<SlowPath> slow_path_;
    std::unique_ptr<Control> control_;
    std::unique_ptr<Builder> builder_;
    std::unique_ptr<Workloads> workloads_;
    NoWorkloads no_workloads_;
    NoRoutes no_routes_;
    bgp::AnyNextHop any_next_hop_;
    std::unique_ptr<BgpRoutes> bgp_routes_;
    std::shared_ptr<bgp::Speaker> speaker_;      ///< nobody else keeps it
    Peers peers_;                                ///< as the speaker has them
    std::map<IpAddr, std::string> peer_errors_;  ///< why it has not all of them
    bgp::Links links_;                           ///< on which peers at link-local addresses are
    LinkPeers link_peers_;
    bool source_may_tell_peers_ = false;
    std::unique_ptr<KernelLinks> kernel_links_;  ///< without a data plane
    boost::asio::steady_timer link_timer_{loop_};
    CalicoBgp calico_;  ///< as the speaker has it
    Announcements announcements_;
    boost::asio::steady_timer secret_retry_{loop_};
    std::unique_ptr<policy::Graph> graph_;
    std::unique_ptr<policy::Datastore> store_;
    const policy::FileStore* files_ = nullptr;  ///< store_, when it is a directory
    std::unique_ptr<policy::etcd::Reporter> reporter_;
    std::unique_ptr<policy::etcd::Ipam> ipam_;
    bool lacks_sets_ = false;  ///< was said
    ctl::Dispatch dispatch_;
    std::unique_ptr<ctl::Server> server_;
    bool stopping_ = false;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace vr::daemon
