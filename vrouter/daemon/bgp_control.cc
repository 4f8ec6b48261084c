// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include <boost/asio/post.hpp>

#include "bgp/speaker.h"
#include "policy/graph.h"
#include "vrouter/daemon/announcements.h"
#include "vrouter/daemon/bgp_routes.h"
#include "vrouter/daemon/kernel_links.h"
#include "vrouter/daemon/secret.h"
#include "vrouter/machine.h"
#include "vrouter/net/log.h"
#include "vrouter/net/zone.h"
#include "vrouter/slow_path.h"

namespace vr::daemon {

namespace {

/// How often a password that could not be read is tried again.
constexpr std::chrono::seconds kSecretRetry{5};
/// So long a turn sets peers.
constexpr std::chrono::microseconds kPeersTurn{500};
/// How often peers that are silent are looked for.
constexpr std::chrono::seconds kWatchLinks{5};

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

/// Whether the addresses of this host have the same attributes.
bool tells_alike(const CalicoBgp& a, const CalicoBgp& b) {
    return a.advertisements == b.advertisements && a.local_pref4 == b.local_pref4 &&
           a.local_pref6 == b.local_pref6;
}

/// What of a list came, went or is another now, told apart by `name`.
template <typename Item, typename Name>
void count_changes(
    BgpControl::Reloaded& changes,
    const std::vector<Item>& old,
    const std::vector<Item>& now,
    Name name) {
    std::size_t stayed = 0;
    for (const Item& item : now) {
        const auto before = std::ranges::find(old, std::invoke(name, item), name);
        stayed += before != old.end() ? 1 : 0;
        changes.changed += before != old.end() && *before != item ? 1 : 0;
    }
    changes.came += now.size() - stayed;
    changes.gone += old.size() - stayed;
}

}  // namespace

BgpControl::BgpControl(const Surroundings& around)
    : loop_(around.loop),
      config_(around.config),
      announcements_(around.announcements),
      machine_(around.machine),
      slow_path_(around.slow_path),
      source_may_tell_peers_(around.has_source),
      link_timer_(loop_),
      calico_(wanted()),
      secret_retry_(loop_) {}

BgpControl::~BgpControl() {
    speaker_.reset();  // which tells those who wait for it
}

Result<void> BgpControl::start() {
    if (machine_ != nullptr) {
        routes_ = std::make_unique<BgpRoutes>(
            loop_,
            machine_->routes(),
            [this](PortId id) { return machine_->port(id); },
            [this] { machine_->commit(); },
            [this](const std::vector<IpAddr>* some) {
                some != nullptr ? speaker_->next_hops_changed(*some)
                                : speaker_->next_hops_changed();
            });
    } else {
        kernel_networks_ = std::make_unique<KernelNetworks>(loop_, [this] {
            speaker_->own_addresses_changed();
            speaker_->next_hops_changed();
        });
        callers_file_ = std::make_unique<CallersFile>(loop_, config_.control_socket + ".callers");
    }
    if (auto started = start_links(); !started) {
        return started;
    }
    if (auto opened = open_speaker(nullptr); !opened) {
        return opened;
    }
    set_peers(named_peers());
    expect_peers(source_may_tell_peers_);
    return {};
}

void BgpControl::stop() {
    stopping_ = true;
    if (speaker_) {
        speaker_->stop("router is stopping");
        for (auto& then : std::exchange(when_peers_are_, {})) {
            then();
        }
    }
    if (callers_file_) {
        callers_file_->remove();
    }
}

/// After a restart routes are selected when all peers have said theirs: those, too, that are not known yet.
void BgpControl::expect_peers(bool from_source) {
    source_may_tell_peers_ = from_source;
    remember_callers();
    speaker_->expect_peers(from_source || link_peers_.lacks_one());
    show_awaited();
}

/// Once it is known who may call.  Until then the file is as it was, should this be another crash.
void BgpControl::remember_callers() {
    if (!callers_file_ || callers_file_->is_followed() || source_may_tell_peers_ || stopping_) {
        return;
    }
    const Result<Callers> callers = callers_file_->read();
    if (!callers) {
        log::warning("bgp: waits for whoever calls: {}", callers.error().text);
    } else if (speaker_->instance().is_restarting()) {
        std::vector<bgp::PeerSummary> before(callers->size());
        for (std::size_t i = 0; i < before.size(); ++i) {
            before[i].address = (*callers)[i];
            before[i].state = bgp::State::Established;
            before[i].restart.agreed = true;
        }
        speaker_->remember(std::move(before));
    }
    callers_file_->follow([this] { return speaker_->callers_to_await(); });
}

void BgpControl::show_awaited() {
    std::vector<bgp::PeerSummary> rows;
    for (const auto& [zone, peer] : link_peers_.awaited()) {
        bgp::PeerSummary& row = rows.emplace_back();
        row.address = peer.address;
        row.link = links_.at(zone).name;
        row.description = peer.description;
        row.asn = peer.asn;
        row.local_as = peer.local_as.value_or(calico_.speaker.asn);
        row.kind = peer.asn == row.local_as ? bgp::PeerKind::Internal : bgp::PeerKind::External;
        row.last_error = "no router advertises itself there";
    }
    speaker_->set_awaited(std::move(rows));
}

/// The speaker with all that the config says but its peers; `bfd`: of the one whose place it takes.
Result<void> BgpControl::open_speaker(std::unique_ptr<bgp::BfdSockets> bfd) {
    bgp::RouteSink& sink = routes_ ? static_cast<bgp::RouteSink&>(*routes_) : no_routes_;
    const bgp::NextHopOracle& oracle =
        routes_ ? static_cast<const bgp::NextHopOracle&>(*routes_) : *kernel_networks_;
    speaker_ = std::make_shared<bgp::Speaker>(loop_, calico_.speaker, sink, oracle);
    speaker_->set_links(links_);
    if (bfd) {
        speaker_->take_over_bfd(std::move(bfd));
    }
    auto started = speaker_->start();
    for (const auto& [prefix, attributes] : config_.bgp->announce) {
        speaker_->originate(prefix, attributes);
    }
    auto set = speaker_->set_ranges(configured_ranges(config_));
    return started ? std::move(set) : std::move(started);
}

/// RFC 4724: connections end without a word, what is forwarded stays until the peers have said all again.
void BgpControl::restart(std::move_only_function<void(Result<void>)> done) {
    if (stopping_) {
        return done(fail("the router is stopping"));
    }
    if (speaker_->instance().ribs().selection_deferred) {
        // Who keeps our routes would lose them: a second loss ends that.
        return done(fail("BGP restarts already and waits for its neighbors, a minute at most"));
    }
    log::info("bgp: restarts");
    std::vector<bgp::PeerSummary> before = speaker_->outlines();
    calico_.speaker.selection_deferral = kSelectionDeferral;
    if (routes_) {
        routes_->begin_restart();
    }
    auto bfd = speaker_->hand_over_bfd();
    auto connections = speaker_->hand_over_connections();
    speaker_.reset();
    peers_.clear();
    peer_errors_.clear();
    refused_.clear();
    shut_down_.clear();
    for (const bgp::PeerSummary& peer : before) {
        if (peer.shut_down) {
            shut_down_.emplace(peer.address, *peer.shut_down);
        }
    }
    auto opened = open_speaker(std::move(bfd));
    speaker_->expect_peers(true);
    speaker_->close_first(std::move(connections));
    apply();
    originate_all();
    when_peers_are([this,
                    before = std::move(before),
                    opened = std::move(opened),
                    done = std::move(done)]() mutable {
        if (!speaker_ || stopping_) {
            return done(fail("the router is stopping"));
        }
        shut_down_.clear();
        speaker_->remember(
            std::move(before),
            [this, opened = std::move(opened), done = std::move(done)]() mutable {
                if (!speaker_ || stopping_) {
                    return done(fail("the router is stopping"));
                }
                done(
                    opened ? Result<void>{}
                           : fail(std::move(opened).error(), "restarted, but not all is well"));
            });
    });
}

void BgpControl::reload(
    const BgpConfig& old, std::move_only_function<void(Result<Reloaded>)> done) {
    if (stopping_) {
        return done(fail("the router is stopping"));
    }
    log::info(
        "bgp: takes up section bgp of the config anew; all else counts from the next start on");
    std::set<IpPrefix> announced;
    for (const auto& [prefix, attributes] : config_.bgp->announce) {
        speaker_->originate(prefix, attributes);
        announced.insert(prefix);
    }
    for (const auto& [prefix, attributes] : old.announce) {
        if (!announced.contains(prefix)) {
            speaker_->withdraw(prefix);
        }
    }
    Reloaded reloaded;
    count_changes(reloaded, old.neighbors, config_.bgp->neighbors, &bgp::PeerConfig::address);
    count_changes(reloaded, old.ranges, config_.bgp->ranges, &bgp::RangeConfig::prefix);
    auto ranges = speaker_->set_ranges(configured_ranges(config_));
    apply();
    originate_all();
    when_peers_are([this, reloaded, ranges = std::move(ranges), done = std::move(done)]() mutable {
        const std::string problem = problem_of_reload(ranges);
        done(
            problem.empty() ? Result<Reloaded>(reloaded)
                            : fail("taken up, but not all is well: " + problem));
    });
}

/// What is not as the config wants it; `ranges`: what became of those.  Empty: nothing.
std::string BgpControl::problem_of_reload(const Result<void>& ranges) const {
    if (!speaker_ || stopping_) {
        return "BGP restarts or ends meanwhile";
    }
    if (!ranges) {
        return ranges.error().text;
    }
    if (!config_error_.empty()) {
        return config_error_;
    }
    if (const auto& listening = speaker_->listening(); !listening) {
        return listening.error().text;  // as before this reload
    }
    if (!peer_errors_.empty()) {
        const auto& [address, error] = *peer_errors_.begin();
        return fmt::format("{}: {}", speaker_->name_of(address), error);
    }
    return calico_.waits_for_secret
               ? "a password of a BGPPeer cannot be read: 'get bgppeers -o wide' tells which"
               : "";
}

/// A datastore that has not said all yet, or a password that cannot be read, keeps peers back.
bool BgpControl::source_may_tell_peers() const {
    return graph_ != nullptr && (!graph_->is_in_sync() || calico_.waits_for_secret);
}

/// Those of the config, wherever they are.
Peers BgpControl::named_peers() const {
    Peers peers = configured_peers(config_);
    peers.merge(link_peers_.peers());
    return peers;
}

/// Finds the links on which there are peers at link-local addresses, and listens for those there.
/// A link's number is that of its port; without a data plane the interfaces are counted.
Result<void> BgpControl::start_links() {
    std::map<PortId, std::string> interfaces;
    for (const LinkNeighbor& neighbor : config_.bgp->link_neighbors) {
        const auto known = std::ranges::find_if(
            links_, [&](const auto& each) { return each.second.name == neighbor.interface; });
        Zone zone = static_cast<Zone>(links_.size() + 1);
        bgp::Link link{.name = neighbor.interface, .device = neighbor.interface, .own = {}};
        if (known != links_.end()) {
            zone = known->first;
        } else if (machine_ != nullptr) {
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
    if (machine_ != nullptr) {
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

LinkPeers::UseOf BgpControl::use_of_peer() const {
    return [this](const IpAddr& address) {
        const auto peer = speaker_->peer(address);
        return peer ? LinkPeers::
                          Use{.holds = peer->state == bgp::State::Established || peer->shut_down,
                              .keeps = peer->ipv4.received + peer->ipv6.received != 0,
                              .tried = peer->established_count != 0}
                    : LinkPeers::Use{};
    };
}

void BgpControl::watch_link_peers() {
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

void BgpControl::link_peers_changed() {
    Peers wanted = wanted_peers_;
    std::erase_if(wanted, [](const auto& peer) { return zone_of(peer.first) != 0; });
    wanted.merge(link_peers_.peers());
    for (const auto& [address, peer] : wanted_peers_) {
        if (!wanted.contains(address)) {
            log::info(
                "bgp {}: no neighbor any more: silent, or another took its place",
                speaker_->name_of(address));
        }
    }
    for (const auto& [address, peer] : wanted) {
        if (!wanted_peers_.contains(address)) {
            log::info(
                "bgp {}: a neighbor, for it advertises itself there", speaker_->name_of(address));
        }
    }
    set_peers(std::move(wanted));
    expect_peers(source_may_tell_peers_);
}

CalicoBgp BgpControl::wanted() const {
    const auto read = [&](const policy::SecretRef& reference) -> Result<std::string> {
        const auto path =
            secret_path(config_.bgp->secrets_directory, reference.name, reference.key);
        return path ? read_secret(*path) : fail(path.error().text);
    };
    return calico_bgp(config_, resources_, read);
}

/// Whether this start is a return to peers that kept our routes is known once the source has told all, and
/// not changed by what it tells later; `bgp restart` is a return in any case.
void BgpControl::inherit_deferral(const bgp::SpeakerConfig& old) {
    if (old.selection_deferral || source_told_all_) {
        calico_.speaker.selection_deferral = old.selection_deferral;
    }
}

void BgpControl::update() {
    using policy::Kind;
    resources_ = {
        .configurations = graph_->resources(Kind::BGPConfiguration),
        .filters = graph_->resources(Kind::BGPFilter),
        .nodes = graph_->resources(Kind::Node),
        .peers = graph_->resources(Kind::BGPPeer),
        .pools = graph_->resources(Kind::IPPool)};
    apply();
    go_on_with_peers_soon();
}

/// Makes settings those of the config and of the resources, and says which peers are wanted.
void BgpControl::apply() {
    const CalicoBgp old = std::exchange(calico_, wanted());
    inherit_deferral(old.speaker);
    config_error_.clear();
    if (auto set = speaker_->set_config(calico_.speaker); !set) {
        config_error_ = std::move(set).error().text;
        log::error("{}", config_error_);
    }
    if (calico_.gateways != old.gateways) {
        set_gateways(old.gateways);
    }
    Peers peers = named_peers();
    std::erase_if(calico_.closed, [&](const IpAddr& address) { return peers.contains(address); });
    // Who was refused and is to be a peer is not taken for one of a range before.
    refused_.insert(calico_.closed.begin(), calico_.closed.end());
    if (!calico_.speaker.router_id.is_unspecified()) {
        peers.merge(calico_.peers);
    } else if (!calico_.peers.empty()) {
        log::warning(
            "bgp: no peers: neither the config's router_id nor Node '{}' names a router id",
            config_.node);
    }
    want_peers(std::move(peers));
    // Nor is who will be one in another turn.
    refused_.insert(changing_.begin(), changing_.end());
    speaker_->refuse(refused_);
    if (!tells_alike(calico_, old)) {
        originate_all();
    }
    secret_retry_.cancel();
    if (calico_.waits_for_secret) {
        secret_retry_.expires_after(kSecretRetry);
        secret_retry_.async_wait([this](const boost::system::error_code& error) {
            if (!error) {
                apply();
                go_on_with_peers_soon();
            }
        });
    }
}

void BgpControl::originate_all() {
    for (const IpPrefix& prefix : announcements_.told()) {
        originate(prefix);
    }
}

void BgpControl::source_in_sync() {
    source_told_all_ = true;
    if (!peers_wait_ && source_may_tell_peers_ != calico_.waits_for_secret) {
        expect_peers(calico_.waits_for_secret);
    }
}

/// At once.
void BgpControl::set_peers(Peers wanted) {
    want_peers(std::move(wanted));
    (void)move_peers(policy::Slice());
}

void BgpControl::want_peers(Peers wanted) {
    wanted_peers_ = std::move(wanted);
    leaving_.clear();
    changing_.clear();
    for (const auto& [address, peer] : peers_) {
        if (!wanted_peers_.contains(address)) {
            leaving_.insert(address);
        }
    }
    for (const auto& [address, peer] : wanted_peers_) {
        const auto known = peers_.find(address);
        if (known == peers_.end() || known->second != peer) {
            changing_.insert(address);
        }
    }
}

/// Some of the peers that are not as they are wanted; false: there are more.
bool BgpControl::move_peers(const policy::Slice& slice) {
    const auto leave = [&](const auto& node) {
        speaker_->remove_peer(node.value());
        peers_.erase(node.value());
        peer_errors_.erase(node.value());
    };
    return slice.drain(leaving_, leave) &&
           slice.drain(changing_, [&](const auto& node) { set_peer(node.value()); });
}

void BgpControl::set_peer(const IpAddr& address) {
    const bgp::PeerConfig& peer = wanted_peers_.at(address);
    peers_.insert_or_assign(address, peer);
    peer_errors_.erase(address);
    if (auto set = speaker_->set_peer(peer); !set) {
        log::error("bgp {}: {}", speaker_->name_of(address), set.error().text);
        peer_errors_.emplace(address, std::move(set).error().text);
        return;
    }
    // In this turn, or it would be called.
    if (const auto down = shut_down_.find(address); down != shut_down_.end()) {
        speaker_->shut_down(address, down->second);
    }
    warn_of_missing_filters(peer, speaker_->name_of(address), calico_.speaker.asn);
}

/// Until all peers are there nobody is told that no more are to come.
void BgpControl::go_on_with_peers(const policy::Slice& slice) {
    if (!move_peers(slice)) {
        go_on_with_peers_soon();
        return;
    }
    refused_ = calico_.closed;
    speaker_->refuse(refused_);
    expect_peers(calico_.waits_for_secret || (graph_ != nullptr && !source_told_all_));
    for (auto& then : std::exchange(when_peers_are_, {})) {
        then();
    }
}

/// Calls `then` when the peers are as they are wanted, and those of ranges as these say.
void BgpControl::when_peers_are(std::move_only_function<void()> then) {
    when_peers_are_.push_back([this, then = std::move(then)]() mutable {
        // What the speaker does peer by peer is done in the order in which it was asked for.
        speaker_->for_each_peer(
            [](const IpAddr&) { return true; },
            [then = std::move(then)](std::size_t) mutable { then(); });
    });
    go_on_with_peers(policy::Slice(kPeersTurn));
}

void BgpControl::go_on_with_peers_soon() {
    if (!std::exchange(peers_wait_, true)) {
        boost::asio::post(loop_, [this] {
            peers_wait_ = false;
            if (!stopping_) {
                go_on_with_peers(policy::Slice(kPeersTurn));
            }
        });
    }
}

/// Peers that a BGPPeer says are reached by a gateway get a route, unless the config has one.
void BgpControl::set_gateways(const std::map<IpAddr, IpAddr>& old) {
    if (machine_ == nullptr) {
        return;
    }
    const auto configured = [&](const IpPrefix& prefix) { return names_route(config_, prefix); };
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

void BgpControl::originate(const IpPrefix& prefix) {
    speaker_->originate(
        prefix, own_attributes(calico_, prefix, announcements_.priority_of(prefix)));
}

void BgpControl::withdraw(const IpPrefix& prefix) {
    speaker_->withdraw(prefix);
}

std::vector<std::string> BgpControl::problems_of(const policy::Key& key) const {
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

}  // namespace vr::daemon
