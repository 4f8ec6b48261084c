// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/daemon.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

#include "policy/etcd/store.h"
#include "policy/file_store.h"
#include "policy/policyd/client.h"
#include "vhost/port.h"
#include "vrouter/daemon/closed_host.h"
#include "vrouter/daemon/endpoint_problems.h"
#include "vrouter/daemon/etcd_status.h"
#include "vrouter/daemon/kernel_links.h"
#include "vrouter/daemon/secret.h"
#include "vrouter/dataplane/ethdev_port.h"
#include "vrouter/host_link.h"
#include "vrouter/net/log.h"
#include "vrouter/net/zone.h"
#include "vrouter/preflight.h"

namespace vr::daemon {

namespace {

/// How often ports that could not be opened are tried again.
constexpr std::chrono::seconds kRetry{5};
/// How often peers that are silent are looked for.
constexpr std::chrono::seconds kWatchLinks{5};

MachineSettings machine_settings(const Config& config) {
    return {
        .workers = static_cast<unsigned>(config.workers.lcores.size()),
        .packets = config.packets,
        .flows = config.flows.capacity,
        .flows_per_endpoint = config.flows.per_endpoint.value_or(config.flows.capacity / 4),
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

/// What the config says of a prefix counts.
bool is_static_route(const Config& config, const IpPrefix& prefix) {
    return std::ranges::any_of(
        config.routes, [&](const StaticRoute& route) { return route.prefix == prefix; });
}

/// RFC 8212: a session that exchanges nothing looks healthy.
void warn_of_missing_filters(const bgp::PeerConfig& peer, const std::string& name, Asn own_as) {
    const bool external = peer.asn != peer.local_as.value_or(own_as);
    if (external && (!peer.import || !peer.export_)) {
        log::warning(
            "bgp {}: eBGP without {} filter {} nothing (RFC 8212)",
            name,
            !peer.import && !peer.export_ ? "any"
            : !peer.import                ? "an import"
                                          : "an export",
            !peer.import && !peer.export_ ? "exchanges"
            : !peer.import                ? "takes"
                                          : "tells");
    }
}

/// A neighbour of ours on the TAP's wire: any address but that of the kernel's interface.
Mac beside(const Mac& mac) {
    auto bytes = mac.bytes();
    bytes[5] ^= 1U;
    return Mac{bytes};
}

}  // namespace

Daemon::Daemon(boost::asio::io_context& loop, const LoopTimes& times, Config config)
    : loop_(loop),
      times_(times),
      config_(std::move(config)),
      announcements_(configured_announcements(config_)) {}

Daemon::~Daemon() {
    server_.reset();
    ipam_.reset();
    reporter_.reset();
    store_.reset();
    graph_.reset();
    kernel_links_.reset();
    speaker_.reset();
    bgp_routes_.reset();
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
    auto server = ctl::Server::listen(loop_, {.path = config_.control_socket}, dispatch_);
    if (!server) {
        return std::unexpected(std::move(server).error());
    }
    server_ = std::move(*server);
    if (config_.dataplane) {
        if (auto started = start_data_plane(); !started) {
            return started;
        }
    }
    if (auto started = start_bgp(); !started) {
        return started;
    }
    if (auto started = start_policy(); !started) {
        return started;
    }
    serve_commands();
    log::info("node {}: running, control socket {}", config_.node, config_.control_socket);
    return {};
}

void Daemon::stop() {
    stopping_ = true;
    if (speaker_) {
        speaker_->stop("router is stopping");
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
    if (has_source() && config_.host.until_known == HostConfig::UntilKnown::Failsafe) {
        workloads_->begin_with_host(closed_host(config_));
    }
    machine_->commit();
    if (auto launched = eal_->launch(machine_->workers()); !launched) {
        return fail(std::move(launched).error(), "workers");
    }
    control_ = std::make_unique<Control>(loop_, *machine_, *slow_path_);
    control_->every(kRetry, [this] { workloads_->retry_failed(); });
    return {};
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

Result<void> Daemon::start_bgp() {
    if (!config_.bgp) {
        return {};
    }
    const auto port_name = [this](PortId id) {
        const PortRecord* record = machine_->port(id);
        return record == nullptr ? std::string{} : record->name;
    };
    calico_ = calico_bgp(config_, {}, read_secret_of_reference());
    if (machine_) {
        bgp_routes_ = std::make_unique<BgpRoutes>(
            loop_,
            machine_->routes(),
            port_name,
            [this] { machine_->commit(); },
            [this] { speaker_->next_hops_changed(); });
    }
    if (auto started = start_links(); !started) {
        return started;
    }
    if (auto opened = open_speaker(); !opened) {
        return opened;
    }
    set_peers(named_peers());
    expect_peers(has_source());
    return {};
}

/// After a restart routes are selected when all peers have said theirs: those, too, that are not known yet.
void Daemon::expect_peers(bool from_source) {
    source_may_tell_peers_ = from_source;
    speaker_->expect_peers(from_source || link_peers_.lacks_one());
}

/// The speaker with all that the config says but its peers.
Result<void> Daemon::open_speaker() {
    bgp::RouteSink& sink = bgp_routes_ ? static_cast<bgp::RouteSink&>(*bgp_routes_) : no_routes_;
    const bgp::NextHopOracle& oracle =
        bgp_routes_ ? static_cast<const bgp::NextHopOracle&>(*bgp_routes_) : any_next_hop_;
    speaker_ = std::make_shared<bgp::Speaker>(loop_, calico_.speaker, sink, oracle);
    speaker_->set_links(links_);
    auto started = speaker_->start();
    for (const auto& [prefix, attributes] : config_.bgp->announce) {
        speaker_->originate(prefix, attributes);
    }
    auto set = speaker_->set_ranges(configured_ranges(config_));
    return started ? std::move(set) : std::move(started);
}

/// RFC 4724: connections end without a word, what is forwarded stays until the peers have said all again.
Result<void> Daemon::restart_bgp() {
    if (stopping_) {
        return fail("the router is stopping");
    }
    if (speaker_->instance().ribs().selection_deferred) {
        // Who keeps our routes would lose them: a second loss ends that.
        return fail("BGP restarts already and waits for its neighbors, a minute at most");
    }
    log::info("bgp: restarts");
    const std::vector<bgp::PeerSummary> before = speaker_->peers();
    config_.bgp->speaker.selection_deferral = kSelectionDeferral;
    calico_.speaker.selection_deferral = kSelectionDeferral;
    if (bgp_routes_) {
        bgp_routes_->begin_restart();
    }
    speaker_.reset();
    peers_.clear();
    peer_errors_.clear();
    auto opened = open_speaker();
    if (graph_) {
        update_bgp();
    } else {
        set_peers(named_peers());
    }
    expect_peers(graph_ && (!graph_->is_in_sync() || calico_.waits_for_secret));
    for (const bgp::PeerSummary& peer : before) {
        if (peer.shut_down) {
            speaker_->shut_down(peer.address, *peer.shut_down);
        }
    }
    if (!opened) {
        return fail(std::move(opened).error(), "restarted, but not all is well");
    }
    return {};
}

/// Those of the config, wherever they are.
Peers Daemon::named_peers() const {
    Peers peers = configured_peers(config_);
    peers.merge(link_peers_.peers());
    return peers;
}

/// Finds the links on which there are peers at link-local addresses, and listens for those there.
/// A link's number is that of its port; without a data plane the interfaces are counted.
Result<void> Daemon::start_links() {
    std::map<PortId, std::string> interfaces;
    for (const LinkNeighbor& neighbor : config_.bgp->link_neighbors) {
        const auto known = std::ranges::find_if(
            links_, [&](const auto& each) { return each.second.name == neighbor.interface; });
        Zone zone = static_cast<Zone>(links_.size() + 1);
        bgp::Link link{.name = neighbor.interface, .device = neighbor.interface, .own = {}};
        if (known != links_.end()) {
            zone = known->first;
        } else if (machine_) {
            const PortId port = *machine_->find_port(neighbor.interface);
            zone = port.value();
            link.device = config_.host.tap;
            link.own = nd::link_local(machine_->port(port)->mac);
        }
        const bool taken = std::ranges::any_of(links_, [&](const auto& each) {
            return each.first != zone && link.own && each.second.own == link.own;
        });
        if (taken) {
            return fail("port " + link.name + ": another port that bgp names has its MAC address");
        }
        links_.emplace(zone, link);
        interfaces.emplace(PortId{zone}, link.name);
        link_peers_.add(zone, neighbor);
    }
    if (links_.empty()) {
        return {};
    }
    const auto heard = [this](PortId link, const HeardRouter& router, TimePoint now) {
        if (link_peers_.heard(link.value(), router.address, router.lifetime, now, use_of_peer())) {
            link_peers_changed();
        }
    };
    if (machine_) {
        slow_path_->set_router_heard(heard);
    } else {
        auto opened = KernelLinks::open(loop_, std::move(interfaces), heard);
        if (!opened) {
            return fail(std::move(opened).error(), "bgp");
        }
        kernel_links_ = std::move(*opened);
    }
    watch_link_peers();
    return {};
}

LinkPeers::UseOf Daemon::use_of_peer() const {
    return [this](const IpAddr& address) {
        const auto peer = speaker_->peer(address);
        return peer ? LinkPeers::
                          Use{.holds = peer->state == bgp::State::Established || peer->shut_down,
                              .keeps = peer->ipv4.received + peer->ipv6.received != 0,
                              .tried = peer->established_count != 0}
                    : LinkPeers::Use{};
    };
}

void Daemon::watch_link_peers() {
    link_timer_.expires_after(kWatchLinks);
    link_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) {
            if (link_peers_.forget_silent(std::chrono::steady_clock::now(), use_of_peer())) {
                link_peers_changed();
            }
            watch_link_peers();
        }
    });
}

void Daemon::link_peers_changed() {
    Peers wanted = peers_;
    std::erase_if(wanted, [](const auto& peer) { return zone_of(peer.first) != 0; });
    wanted.merge(link_peers_.peers());
    for (const auto& [address, peer] : peers_) {
        if (!wanted.contains(address)) {
            log::info(
                "bgp {}: no neighbor any more: silent, or another took its place",
                speaker_->name_of(address));
        }
    }
    for (const auto& [address, peer] : wanted) {
        if (!peers_.contains(address)) {
            log::info(
                "bgp {}: a neighbor, for it advertises itself there", speaker_->name_of(address));
        }
    }
    set_peers(std::move(wanted));
    expect_peers(source_may_tell_peers_);
}

ReadSecret Daemon::read_secret_of_reference() const {
    return [directory = config_.bgp->secrets_directory](
               const policy::SecretRef& reference) -> Result<std::string> {
        const auto path = secret_path(directory, reference.name, reference.key);
        return path ? read_secret(*path) : fail(path.error().text);
    };
}

/// Makes the speaker's settings and peers those of config and resources.
void Daemon::update_bgp() {
    if (!speaker_ || !graph_) {
        return;
    }
    using policy::Kind;
    const BgpResources resources{
        .configurations = graph_->resources(Kind::BGPConfiguration),
        .filters = graph_->resources(Kind::BGPFilter),
        .nodes = graph_->resources(Kind::Node),
        .peers = graph_->resources(Kind::BGPPeer),
        .pools = graph_->resources(Kind::IPPool)};
    const CalicoBgp old =
        std::exchange(calico_, calico_bgp(config_, resources, read_secret_of_reference()));
    if (auto set = speaker_->set_config(calico_.speaker); !set) {
        log::error("{}", set.error().text);
    }
    if (calico_.gateways != old.gateways) {
        set_gateways(old.gateways);
    }
    Peers wanted = named_peers();
    std::set<IpAddr> closed = calico_.closed;
    std::erase_if(closed, [&](const IpAddr& address) { return wanted.contains(address); });
    speaker_->refuse(std::move(closed));
    if (!calico_.speaker.router_id.is_unspecified()) {
        wanted.merge(calico_.peers);
    } else if (!calico_.peers.empty()) {
        log::warning(
            "bgp: no peers: neither the config's router_id nor Node '{}' names a router id",
            config_.node);
    }
    set_peers(std::move(wanted));
    // The source has said all that it had.
    expect_peers(calico_.waits_for_secret);
    for (const IpPrefix& prefix : announcements_.told()) {
        originate(prefix);
    }
    secret_retry_.cancel();
    if (calico_.waits_for_secret) {
        secret_retry_.expires_after(kRetry);
        secret_retry_.async_wait([this](const boost::system::error_code& error) {
            if (!error) {
                update_bgp();
            }
        });
    }
}

void Daemon::set_peers(Peers wanted) {
    for (const auto& [address, peer] : peers_) {
        if (!wanted.contains(address)) {
            speaker_->remove_peer(address);
            peer_errors_.erase(address);
        }
    }
    for (const auto& [address, peer] : wanted) {
        const auto known = peers_.find(address);
        if (known != peers_.end() && known->second == peer) {
            continue;
        }
        peer_errors_.erase(address);
        if (auto set = speaker_->set_peer(peer); !set) {
            log::error("bgp {}: {}", speaker_->name_of(address), set.error().text);
            peer_errors_.emplace(address, std::move(set).error().text);
        } else {
            warn_of_missing_filters(peer, speaker_->name_of(address), calico_.speaker.asn);
        }
    }
    peers_ = std::move(wanted);
}

/// Peers that a BGPPeer says are reached by a gateway get a route, unless the config has one.
void Daemon::set_gateways(const std::map<IpAddr, IpAddr>& old) {
    if (!machine_) {
        return;
    }
    const auto configured = [&](const IpPrefix& prefix) {
        return is_static_route(config_, prefix);
    };
    for (const auto& [peer, gateway] : old) {
        if (!configured(host_prefix(peer)) && !calico_.gateways.contains(peer)) {
            machine_->routes().remove(host_prefix(peer), RouteSource::Static);
        }
    }
    for (const auto& [peer, gateway] : calico_.gateways) {
        if (!configured(host_prefix(peer))) {
            machine_->routes().set(host_prefix(peer), RouteSource::Static, Gateways{{gateway}});
        }
    }
    machine_->commit();
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

void Daemon::originate(const IpPrefix& prefix) {
    speaker_->originate(
        prefix, own_attributes(calico_, prefix, announcements_.priority_of(prefix)));
}

/// Tells peers and the route table what is different now of addresses that this host serves.
void Daemon::announce(const Announcements::Difference& difference) {
    for (const IpPrefix& block : difference.discard) {
        if (!is_static_route(config_, block)) {
            machine_->routes().set(block, RouteSource::Static, Discard{});
        }
    }
    if (speaker_) {
        for (const IpPrefix& prefix : difference.told) {
            originate(prefix);
        }
        for (const IpPrefix& prefix : difference.withdrawn) {
            speaker_->withdraw(prefix);
        }
    }
    for (const IpPrefix& block : difference.undiscard) {
        if (!is_static_route(config_, block)) {
            machine_->routes().remove(block, RouteSource::Static);
        }
    }
}

std::vector<std::string> Daemon::problems_of(const policy::Key& key) const {
    const auto found = calico_.problems.find(key);
    auto problems = found == calico_.problems.end() ? std::vector<std::string>{} : found->second;
    for (const auto& [address, error] : peer_errors_) {
        const auto owner = calico_.owners.find(address);
        if (owner != calico_.owners.end() && owner->second == key) {
            problems.push_back(error);
        }
    }
    return problems;
}

Result<void> Daemon::start_policy() {
    if (!has_source()) {
        return {};
    }
    graph_ = std::make_unique<policy::Graph>(
        config_.node,
        workloads_ ? static_cast<WorkloadSink&>(*workloads_) : no_workloads_,
        config_.policyd ? policy::MembersFrom::Stream : policy::MembersFrom::Objects);
    graph_->set_kinds_changed([this](const std::set<policy::Kind>& kinds) {
        using policy::Kind;
        constexpr std::array kOfBgp{
            Kind::BGPConfiguration, Kind::BGPFilter, Kind::BGPPeer, Kind::IPPool, Kind::Node};
        if (std::ranges::any_of(kOfBgp, [&](Kind kind) { return kinds.contains(kind); })) {
            update_bgp();
        }
        if (machine_ && kinds.contains(Kind::IPPool)) {
            set_blocks(announcements_.blocks());
        }
    });
    return open_store();
}

Result<void> Daemon::open_store() {
    const auto listener = [this](const policy::Batch& batch) { on_batch(batch); };
    if (config_.etcd) {
        start_etcd(listener);
        return {};
    }
    if (!config_.policyd) {
        auto files = std::make_unique<policy::FileStore>(
            loop_.get_executor(), config_.resource_directory, listener);
        policy::FileStore& store = *files;
        files_ = &store;
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
            .state_file = source.state_file},
        listener);
    policyd::Client& store = *stream;
    store_ = std::move(stream);
    return store.start();
}

void Daemon::start_etcd(policy::Listener listener) {
    auto store = std::make_unique<policy::etcd::Store>(
        loop_.get_executor(), *config_.etcd, std::move(listener));
    store->start();
    ipam_ =
        std::make_unique<policy::etcd::Ipam>(loop_.get_executor(), *store, config_.etcd->prefix);
    reporter_ = std::make_unique<policy::etcd::Reporter>(
        loop_.get_executor(),
        *store,
        policy::etcd::Reporter::Host{config_.node, config_.etcd->region, node_facts(config_)},
        [this] {
            return endpoint_statuses(workloads_ ? workloads_->view() : std::vector<WorkloadView>{});
        });
    store_ = std::move(store);
}

/// A file that was not understood at the start may hold the host's own endpoints.
bool Daemon::is_host_known() const {
    return graph_->is_in_sync() && !graph_->lacks_sets() &&
           (files_ == nullptr || files_->was_understood());
}

void Daemon::on_batch(const policy::Batch& batch) {
    graph_->on(batch);
    if (workloads_ && is_host_known()) {
        // Stays until the programs of host endpoints are in place.
        workloads_->remove_host(std::string(kClosedHost));
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
