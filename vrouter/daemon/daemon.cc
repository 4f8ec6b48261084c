// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/daemon.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

#include "ctl/dispatch.h"
#include "ctl/server.h"
#include "policy/backlog.h"
#include "policy/etcd/ipam.h"
#include "policy/etcd/reporter.h"
#include "policy/etcd/store.h"
#include "policy/file_store.h"
#include "policy/graph.h"
#include "policy/policyd/client.h"
#include "vhost/port.h"
#include "vrouter/builder.h"
#include "vrouter/control.h"
#include "vrouter/daemon/bgp_control.h"
#include "vrouter/daemon/closed_host.h"
#include "vrouter/daemon/endpoint_problems.h"
#include "vrouter/daemon/etcd_status.h"
#include "vrouter/dataplane/ethdev_port.h"
#include "vrouter/eal.h"
#include "vrouter/host_link.h"
#include "vrouter/machine.h"
#include "vrouter/net/log.h"
#include "vrouter/no_workloads.h"
#include "vrouter/preflight.h"
#include "vrouter/slow_path.h"
#include "vrouter/workloads.h"

namespace vr::daemon {

namespace {

/// How often ports that could not be opened are tried again.
constexpr std::chrono::seconds kPortRetry{5};
constexpr std::chrono::seconds kArrivalTick{1};

MachineSettings machine_settings(const Config& config) {
    return {
        .workers = static_cast<unsigned>(config.workers.lcores.size()),
        .packets = config.packets,
        .flows = config.flows.capacity,
        .flows_per_endpoint = config.flows.per_endpoint.value_or(config.flows.capacity / 4),
        .nat_ports_percent = config.flows.nat_ports_percent,
        .timeouts = config.flows.timeouts,
        .idle = config.workers.idle,
        .reevaluate = config.flows.reevaluate,
        .drop_invalid = config.flows.drop_invalid,
        .to_host = config.workloads.to_host};
}

/// Whether BGP has neighbors at link-local addresses there.
bool has_link_peers(const Config& config, const std::string& interface) {
    return config.bgp &&
           std::ranges::count(config.bgp->link_neighbors, interface, &LinkNeighbor::interface) != 0;
}

PortFacts fabric_facts(PortId id, const PortRecord& record, const PortConfig& config) {
    PortFacts facts;
    facts.id = id;
    facts.role = PortRole::Fabric;
    facts.mac = record.mac;
    for (const InterfaceAddress& address : config.addresses) {
        if (const auto* v4 = std::get_if<Ip4>(&address.address)) {
            facts.v4.own.push_back(*v4);
            facts.v4.peers.push_back(std::get<Prefix<V4>>(address.network));
        } else {
            facts.v6.own.push_back(std::get<Ip6>(address.address));
            facts.v6.peers.push_back(std::get<Prefix<V6>>(address.network));
        }
    }
    return facts;
}

/// What the config announces, whatever blocks and workloads there are.
std::set<IpPrefix> configured_announcements(const Config& config) {
    std::set<IpPrefix> prefixes;
    if (config.bgp) {
        for (const auto& [prefix, attributes] : config.bgp->announce) {
            prefixes.insert(prefix);
        }
    }
    return prefixes;
}

/// A neighbour of ours on the TAP's wire: any address but that of the kernel's interface.
Mac beside(const Mac& mac) {
    auto bytes = mac.bytes();
    bytes[5] ^= 1U;
    return Mac{bytes};
}

}  // namespace

Daemon::Daemon(boost::asio::io_context& loop, LoopTimes& times, Config config)
    : loop_(loop),
      times_(times),
      config_(std::move(config)),
      announcements_(configured_announcements(config_)),
      dispatch_(std::make_unique<ctl::Dispatch>()),
      started_(std::chrono::steady_clock::now()) {}

Daemon::~Daemon() {
    server_.reset();
    ipam_.reset();
    reporter_.reset();
    store_.reset();
    backlog_.reset();
    graph_.reset();
    bgp_.reset();
    if (machine_) {
        for (const auto& worker : machine_->workers()) {
            worker->stop();
        }
        eal_->join();
    }
    control_.reset();
    builder_.reset();
    workloads_.reset();
    slow_path_.reset();
    machine_.reset();
    eal_.reset();
}

Result<void> Daemon::start() {
    // The control socket first: it is what keeps a second instance from touching anything.
    auto server = ctl::Server::listen(loop_, {.path = config_.control_socket}, *dispatch_);
    if (!server) {
        return std::unexpected(std::move(server).error());
    }
    server_ = std::move(*server);
    if (config_.dataplane) {
        if (auto started = start_data_plane(); !started) {
            return started;
        }
    }
    if (config_.bgp) {
        bgp_ = std::make_unique<BgpControl>(BgpControl::Surroundings{
            .loop = loop_,
            .config = config_,
            .announcements = announcements_,
            .machine = machine_.get(),
            .slow_path = slow_path_.get(),
            .has_source = has_source()});
        if (auto started = bgp_->start(); !started) {
            return started;
        }
    }
    if (auto started = start_policy(); !started) {
        return started;
    }
    serve_commands();
    log::info("node {}: running, control socket {}", config_.node, config_.control_socket);
    return {};
}

void Daemon::reload_bgp(std::move_only_function<void(Result<BgpControl::Reloaded>)> done) {
    if (!bgp_) {
        return done(fail("the config has no section bgp"));
    }
    auto fresh = load_config(config_.path);
    if (!fresh) {
        return done(fail(std::move(fresh).error(), "nothing is changed"));
    }
    if (!fresh->bgp) {
        return done(
            fail(config_.path + ": has no section bgp any more: that wants a start of vrouterd"));
    }
    if (const auto settings = wants_a_start(*config_.bgp, *fresh->bgp); !settings.empty()) {
        return done(fail(config_.path + ": bgp: other " + settings + " want a start of vrouterd"));
    }
    // What a start is, a return or not, was decided when it was one.
    fresh->bgp->speaker.selection_deferral = config_.bgp->speaker.selection_deferral;
    const BgpConfig old = std::exchange(*config_.bgp, *std::move(fresh->bgp));
    const auto difference = announcements_.configure(configured_announcements(config_));
    bgp_->reload(old, std::move(done));
    announce(difference);
    if (workloads_) {
        workloads_->reserved_changed();
    }
    if (host_closed_) {
        workloads_->update_host(closed_host(config_));
    }
}

void Daemon::stop() {
    if (bgp_) {
        bgp_->stop();
    }
}

Result<void> Daemon::start_data_plane() {
    if (const auto problems = machine_problems(config_, allowed_cpus()); !problems.empty()) {
        return fail(problems.front());
    }
    auto eal = Eal::start(config_, getpid());
    if (!eal) {
        return std::unexpected(std::move(eal).error());
    }
    eal_ = std::move(*eal);
    auto machine = Machine::make(machine_settings(config_));
    if (!machine) {
        return std::unexpected(std::move(machine).error());
    }
    machine_ = std::move(*machine);
    machine_->shared().fetch();
    slow_path_ = std::make_unique<SlowPath>(*machine_);
    for (const PortConfig& port : config_.ports) {
        if (auto opened = open_fabric_port(port); !opened) {
            return fail(std::move(opened).error(), "port " + port.name);
        }
    }
    if (auto opened = open_host_port(); !opened) {
        return opened;
    }
    add_local_address(config_.workloads.gateway4);
    add_local_address(config_.workloads.gateway6);
    add_static_routes();
    builder_ = std::make_unique<Builder>(
        [this](std::function<void()> task) { boost::asio::post(loop_, std::move(task)); },
        config_.classifier,
        machine_->settings().workers);
    workloads_ = std::make_unique<Workloads>(
        *machine_,
        *slow_path_,
        *builder_,
        config_.workloads,
        [this](const Workload& workload) { return open_vhost(workload); },
        [this](const IpPrefix& prefix, bool up, std::optional<std::uint32_t> priority) {
            announce(announcements_.serve(prefix, up, priority));
        },
        [this](const IpPrefix& prefix) { return reserved_address(config_, prefix); });
    workloads_->on_unfinished([this] { open_workloads_soon(); });
    if (has_source() && config_.host.until_known == HostConfig::UntilKnown::Failsafe) {
        workloads_->begin_with_host(closed_host(config_));
        host_closed_ = true;
    }
    machine_->commit();
    if (auto launched = eal_->launch(machine_->workers()); !launched) {
        return fail(std::move(launched).error(), "workers");
    }
    control_ = std::make_unique<Control>(loop_, *machine_, *slow_path_);
    control_->every(kPortRetry, [this] { workloads_->retry_failed(); });
    control_->every(kArrivalTick, [this] { workloads_->tick(std::chrono::steady_clock::now()); });
    return {};
}

/// So many endpoints in a turn, with whatever else there is to do in between.
void Daemon::open_workloads_soon() {
    boost::asio::post(loop_, [this] {
        workloads_->finish();
        tell_bgp_of_sync();
    });
}

/// Routes of the time before are kept until all of ours are told: addresses of endpoints follow when these
/// are open.
void Daemon::tell_bgp_of_sync() {
    if (bgp_ && graph_->is_in_sync() && !(workloads_ && workloads_->is_opening())) {
        bgp_->source_in_sync();
    }
}

Result<std::unique_ptr<Port>> Daemon::open_vhost(const Workload& workload) {
    auto path = vhost::make_socket_path(
        config_.workloads.socket_directory,
        workload.interface_name,
        workload.attachment.vhost_socket);
    if (!path) {
        return std::unexpected(std::move(path).error());
    }
    vhost::Settings settings;
    settings.socket_path = std::move(*path);
    settings.mode = workload.attachment.vhost_mode;
    settings.queue_pairs = config_.workloads.queue_pairs;
    settings.mtu = config_.workloads.mtu;
    settings.pool = machine_->pool();
    // Events come from other threads, perhaps before the port is known here: what they say is done on
    // this one, later.
    const auto opened = std::make_shared<const Port*>(nullptr);
    const auto on_event = [this, name = workload.name, opened](vhost::Event event) {
        boost::asio::post(loop_, [this, name, opened, event] {
            log::info(
                "endpoint {}: guest {}",
                name,
                event == vhost::Event::Connected      ? "connected"
                : event == vhost::Event::Disconnected ? "disconnected"
                                                      : "changed its queues");
            if (*opened != nullptr && event != vhost::Event::QueueChanged) {
                workloads_->set_guest(name, **opened, event == vhost::Event::Connected);
            }
        });
    };
    auto port = vhost::Port::open(std::move(settings), machine_->rcu(), on_event);
    if (!port) {
        return std::unexpected(std::move(port).error());
    }
    *opened = port->get();
    return std::move(*port);
}

Result<void> Daemon::open_fabric_port(const PortConfig& config) {
    auto port = EthdevPort::open(
        {.device = config.device,
         .mtu = config.mtu,
         .workers = machine_->settings().workers,
         .rx_queues = config.rx_queues},
        machine_->pool());
    if (!port) {
        return std::unexpected(std::move(port).error());
    }
    PortRecord record{.name = config.name, .kind = PortKind::Fabric, .mtu = config.mtu};
    record.mac = (*port)->mac();
    record.port = std::move(*port);
    for (const InterfaceAddress& address : config.addresses) {
        record.addresses.push_back(address.address);
    }
    auto id = machine_->add_port(std::move(record));
    if (!id) {
        return std::unexpected(std::move(id).error());
    }
    PortFacts facts = fabric_facts(*id, *machine_->port(*id), config);
    facts.has_link_peers = has_link_peers(config_, config.name);
    slow_path_->set_port(facts);
    if (facts.has_link_peers) {
        machine_->set_link_local(*id, nd::link_local(facts.mac));
    }
    for (const InterfaceAddress& address : config.addresses) {
        add_local_address(address.address);
        machine_->routes().set(
            address.network,
            RouteSource::Connected,
            Connected{*id, address.address.index() == 0 ? IpFamily::Ip4 : IpFamily::Ip6});
    }
    log::info("port {}: open on {}", config.name, config.device);
    return {};
}

Result<void> Daemon::open_host_port() {
    const HostConfig& host = config_.host;
    if (host.tap.empty()) {
        return {};
    }
    auto port = EthdevPort::open(
        {.device = "net_tap_host,iface=" + host.tap,
         .mtu = host.mtu,
         .workers = machine_->settings().workers},
        machine_->pool());
    if (!port) {
        return fail(std::move(port).error(), "host TAP");
    }
    const Mac kernel = (*port)->mac();
    PortRecord record{
        .name = host.tap, .kind = PortKind::Host, .mac = beside(kernel), .mtu = host.mtu};
    record.port = std::move(*port);
    auto id = machine_->add_port(std::move(record));
    if (!id) {
        return std::unexpected(std::move(id).error());
    }
    machine_->set_host_port(*id, kernel);
    PortFacts facts;
    facts.id = *id;
    facts.role = PortRole::Host;
    facts.mac = beside(kernel);
    facts.peer_mac = kernel;
    std::vector<InterfaceAddress> addresses = host.addresses;
    std::vector<IpPrefix> routes = host.routes;
    for (const PortConfig& fabric : config_.ports) {
        addresses.insert(addresses.end(), fabric.addresses.begin(), fabric.addresses.end());
        for (const InterfaceAddress& address : fabric.addresses) {
            if (host.routes.empty()) {
                routes.push_back(address.network);
            }
        }
    }
    for (const InterfaceAddress& address : addresses) {
        add_local_address(address.address);
        if (const auto* v4 = std::get_if<Ip4>(&address.address)) {
            facts.v4.peers.push_back(Prefix<V4>::host(*v4));
        } else {
            facts.v6.peers.push_back(Prefix<V6>::host(std::get<Ip6>(address.address)));
        }
    }
    slow_path_->set_port(facts);
    for (const LinkLocal& link : machine_->link_locals()) {
        addresses.push_back({link.own, Prefix<V6>::host(link.own)});
    }
    if (auto configured = configure_host_link(host.tap, addresses, routes, host.mtu); !configured) {
        return std::unexpected(std::move(configured).error());
    }
    return {};
}

void Daemon::add_local_address(const IpAddr& address) {
    std::visit(
        [&]<typename Addr>(const Addr& a) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            machine_->routes().set(
                Prefix<F>::host(a), RouteSource::Local, LocalDelivery{kFamilyOf<F>});
        },
        address);
}

void Daemon::add_static_routes() {
    for (const StaticRoute& route : config_.routes) {
        RouteTarget target = Discard{};
        if (!route.via.empty()) {
            Gateways gateways{route.via};
            std::ranges::sort(gateways.addresses);
            const auto doubles = std::ranges::unique(gateways.addresses);
            gateways.addresses.erase(doubles.begin(), doubles.end());
            target = std::move(gateways);
        }
        machine_->routes().set(route.prefix, RouteSource::Static, target);
    }
    const auto now = std::chrono::steady_clock::now();
    for (const StaticNeighbor& neighbor : config_.neighbors) {
        if (const auto port = machine_->find_port(neighbor.port)) {
            slow_path_->add_permanent({*port, neighbor.address}, neighbor.mac, now);
        }
    }
}

bool Daemon::has_source() const {
    return !config_.resource_directory.empty() || config_.etcd || config_.policyd;
}

/// The host owns `blocks`, and pools say what of its addresses is announced.
void Daemon::set_blocks(std::set<IpPrefix> blocks) {
    std::vector<IpPrefix> hidden;
    for (const policy::ResourcePtr& pool : graph_->resources(policy::Kind::IPPool)) {
        if (const auto& spec = pool->as<policy::IpPool>(); spec.disable_bgp_export) {
            hidden.push_back(spec.cidr);
        }
    }
    announce(announcements_.set(std::move(blocks), std::move(hidden)));
}

/// Tells peers and the route table what is different now of addresses that this host serves.
void Daemon::announce(const Announcements::Difference& difference) {
    for (const IpPrefix& block : difference.discard) {
        if (!names_route(config_, block)) {
            machine_->routes().set(block, RouteSource::Static, Discard{});
        }
    }
    if (bgp_) {
        for (const IpPrefix& prefix : difference.told) {
            bgp_->originate(prefix);
        }
        for (const IpPrefix& prefix : difference.withdrawn) {
            bgp_->withdraw(prefix);
        }
    }
    for (const IpPrefix& block : difference.undiscard) {
        if (!names_route(config_, block)) {
            machine_->routes().remove(block, RouteSource::Static);
        }
    }
}

Result<void> Daemon::start_policy() {
    if (!has_source()) {
        return {};
    }
    if (!workloads_) {
        no_workloads_ = std::make_unique<NoWorkloads>();
    }
    graph_ = std::make_unique<policy::Graph>(
        config_.node,
        workloads_ ? static_cast<WorkloadSink&>(*workloads_) : *no_workloads_,
        config_.policyd ? policy::MembersFrom::Stream : policy::MembersFrom::Objects);
    graph_->set_kinds_changed([this](const std::set<policy::Kind>& kinds) {
        using policy::Kind;
        constexpr std::array kOfBgp{
            Kind::BGPConfiguration, Kind::BGPFilter, Kind::BGPPeer, Kind::IPPool, Kind::Node};
        if (bgp_ && std::ranges::any_of(kOfBgp, [&](Kind kind) { return kinds.contains(kind); })) {
            bgp_->update();
        }
        if (machine_ && kinds.contains(Kind::IPPool)) {
            set_blocks(announcements_.blocks());
        }
    });
    if (bgp_) {
        bgp_->follow(*graph_);
    }
    backlog_ = std::make_unique<policy::Backlog>(
        *graph_,
        [this](std::function<void()> task) { boost::asio::post(loop_, std::move(task)); },
        [this](const policy::Batch& batch) { on_taken(batch); });
    return open_store();
}

Result<void> Daemon::open_store() {
    const auto listener = [this](policy::Batch batch) { backlog_->add(std::move(batch)); };
    const auto when_room = [this](std::function<void()> then) {
        backlog_->when_room(std::move(then));
    };
    if (config_.etcd) {
        start_etcd(listener, when_room);
        return {};
    }
    if (!config_.policyd) {
        auto files = std::make_unique<policy::FileStore>(
            loop_.get_executor(),
            config_.resource_directory,
            listener,
            policy::FileStoreOptions{.state_file = config_.file_state, .when_room = when_room});
        policy::FileStore& store = *files;
        store_ = std::move(files);
        return store.start();
    }
    const PolicydSourceConfig& source = *config_.policyd;
    auto stream = std::make_unique<policyd::Client>(
        loop_,
        policyd::ClientSettings{
            .host = config_.node,
            .servers = source.servers,
            .credentials = {source.ca, source.certificate, source.key},
            .state_file = source.state_file,
            .report =
                [this] {
                    return policyd::HostReport{
                        std::chrono::steady_clock::now() - started_,
                        statuses(),
                        node_facts(config_)};
                },
            .when_in_force =
                [this](std::function<void()> then) { backlog_->after(std::move(then)); },
            .when_room = when_room},
        listener);
    policyd::Client& store = *stream;
    store_ = std::move(stream);
    return store.start();
}

policy::etcd::Reporter::Statuses Daemon::statuses() const {
    return workloads_ ? endpoint_statuses(*workloads_) : policy::etcd::Reporter::Statuses{};
}

void Daemon::start_etcd(policy::Listener listener, policy::WhenRoom when_room) {
    auto store = std::make_unique<policy::etcd::Store>(
        loop_.get_executor(), *config_.etcd, std::move(listener), std::move(when_room));
    store->start();
    ipam_ =
        std::make_unique<policy::etcd::Ipam>(loop_.get_executor(), *store, config_.etcd->prefix);
    reporter_ = std::make_unique<policy::etcd::Reporter>(
        loop_.get_executor(),
        *store,
        policy::etcd::Reporter::Host{config_.node, config_.etcd->region, node_facts(config_)},
        [this](bool /*is_news*/) {
            return workloads_ ? changed_statuses_.take(*workloads_)
                              : std::optional{policy::etcd::Reporter::Statuses{}};
        });
    // What is not in force yet would be told to have gone.
    store->set_on_live([this] { backlog_->after([this] { reporter_->on_live(); }); });
    store_ = std::move(store);
}

void Daemon::on_taken(const policy::Batch& batch) {
    tell_bgp_of_sync();
    // A file that was not understood at the start may hold the host's own endpoints.  What waits behind
    // `batch` changes nothing about that, or who changes something all the time kept the host closed.
    if (host_closed_ && graph_->is_in_sync() && !graph_->lacks_sets() && batch.understood) {
        // Stays until the programs of host endpoints are in place.
        workloads_->remove_host(std::string(kClosedHost));
        host_closed_ = false;
    }
    if (machine_) {  // who serves no addresses owns no blocks
        if (const auto own = batch.blocks.find(config_.node); own != batch.blocks.end()) {
            set_blocks(own->second);
        }
        machine_->commit();
    }
    if (const bool lacks = graph_->lacks_sets(); lacks != std::exchange(lacks_sets_, lacks)) {
        if (lacks) {
            log::error("policy: a rule names addresses that were not told; what is in force stays");
        } else {
            log::info("policy: all addresses that rules name are known again");
        }
    }
}

}  // namespace vr::daemon
