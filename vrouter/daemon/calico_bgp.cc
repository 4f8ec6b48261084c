// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/calico_bgp.h"

#include <fmt/format.h>

#include <algorithm>

#include "bgp/capability.h"
#include "vrouter/daemon/calico_filter.h"

namespace vr::daemon {

namespace {

using policy::ResourcePtr;

/// BGP over several hops, as Calico's own speaker does it.
constexpr std::uint8_t kManyHops = 255;
constexpr Asn kDefaultAs{64512};

const ResourcePtr* named(const std::vector<ResourcePtr>& resources, const std::string& name) {
    const auto found =
        std::ranges::find_if(resources, [&](const auto& each) { return each->key.name == name; });
    return found == resources.end() ? nullptr : &*found;
}

/// What is said of this node and, failing that, of all.
struct Settings {
    policy::BgpConfiguration all;
    policy::BgpConfiguration own;

    template <typename T>
    [[nodiscard]] std::optional<T> value(std::optional<T> policy::BgpConfiguration::* field) const {
        return own.*field ? own.*field : all.*field;
    }
};

/// How this node talks with an address.
struct Entry {
    std::optional<bgp::PeerConfig> peer;  ///< nothing: not at all
    std::optional<IpAddr> gateway;        ///< how the peer is reached, where its BGPPeer says so
    const policy::Key* by = nullptr;      ///< the BGPPeer; null for the mesh
    policy::Key node{};                   ///< whose address it is, where that is known
};

/// Of two BGPPeers for one address the stricter one counts.
int strictness(const Entry& entry) {
    return !entry.peer ? 2 : entry.peer->password.empty() ? 0 : 1;
}

bool means_the_same(const Entry& a, const Entry& b) {
    if (!a.peer || !b.peer) {
        return !a.peer && !b.peer;
    }
    bgp::PeerConfig renamed = *a.peer;
    renamed.description = b.peer->description;
    return renamed == *b.peer && a.gateway == b.gateway;
}

class Reader {
  public:
    Reader(const Config& config, const BgpResources& resources, const ReadSecret& read_secret)
        : config_(config), resources_(resources), read_secret_(read_secret) {}

    CalicoBgp read() {
        read_configurations();
        read_own_node();
        read_pools();
        read_speaker();
        read_mesh();
        for (const ResourcePtr& peer : resources_.peers) {
            read_peer(*peer);
        }
        for (const ResourcePtr& peer : resources_.peers) {
            read_reverse(*peer);
        }
        for (auto& [address, entry] : entries_) {
            if (!entry.peer) {
                result_.closed.insert(address);
                continue;
            }
            result_.owners.emplace(address, entry.by != nullptr ? *entry.by : entry.node);
            result_.peers.emplace(address, *std::move(entry.peer));
            if (entry.gateway) {
                result_.gateways.emplace(address, *entry.gateway);
            }
        }
        const auto keeps_ours = [](const auto& each) { return asks_to_keep_ours(each.second); };
        if (!config_.dataplane && std::ranges::any_of(result_.peers, keeps_ours)) {
            result_.speaker.selection_deferral = kSelectionDeferral;
        }
        return std::move(result_);
    }

  private:
    void read_configurations() {
        for (const ResourcePtr& each : resources_.configurations) {
            const auto& spec = each->as<policy::BgpConfiguration>();
            if (each->key.name == "default") {
                settings_.all = spec;
                configuration_ = each->key;
            } else if (each->key.name == "node." + config_.node) {
                settings_.own = spec;
            } else {
                continue;
            }
            for (const std::string& field : spec.not_honoured) {
                problem(each->key, field + " has no effect on this router");
            }
        }
        const auto& own = settings_.own.advertisements;
        result_.advertisements = own.empty() ? settings_.all.advertisements : own;
        using Configuration = policy::BgpConfiguration;
        result_.local_pref4 = local_pref_of(
            settings_.value(&Configuration::normal_priority4).value_or(kNormalPriority));
        result_.local_pref6 = local_pref_of(
            settings_.value(&Configuration::normal_priority6).value_or(kNormalPriority));
    }

    void read_own_node() {
        if (const ResourcePtr* node = named(resources_.nodes, config_.node)) {
            node_ = (*node)->as<policy::ClusterNode>();
            labels_ = (*node)->labels;
        }
    }

    void read_pools() {
        for (const ResourcePtr& each : resources_.pools) {
            const auto& pool = each->as<policy::IpPool>();
            const unsigned length = length_of(pool.cidr);
            auto& list = pool.disable_bgp_export ? closed_pools_ : open_pools_;
            list.push_back(bgp::PrefixRule{
                .prefix = pool.cidr,
                .ge = length,
                .le = pool.cidr.index() == 0 ? V4::kBits : V6::kBits});
        }
    }

    void read_speaker() {
        using Configuration = policy::BgpConfiguration;
        const BgpConfig& config = *config_.bgp;
        bgp::SpeakerConfig& speaker = result_.speaker;
        speaker = config.speaker;
        default_as_ = settings_.value(&Configuration::as_number).value_or(kDefaultAs);
        if (speaker.asn.value() == 0) {
            speaker.asn = node_.as_number.value_or(default_as_);
        } else {
            default_as_ = speaker.asn;
        }
        if (speaker.router_id.is_unspecified() && node_.address4) {
            speaker.router_id = *node_.address4;
        }
        if (!config.port_given) {
            speaker.port = settings_.value(&Configuration::listen_port).value_or(speaker.port);
        }
        if (!config.listen_given &&
            settings_.value(&Configuration::listen_on_node_ip).value_or(false)) {
            speaker.listen.clear();
            if (node_.address4) {
                speaker.listen.emplace_back(*node_.address4);
            }
            if (node_.address6) {
                speaker.listen.emplace_back(*node_.address6);
            }
        }
        if (!speaker.cluster_id) {
            speaker.cluster_id = node_.route_reflector_cluster;
        }
    }

    /// Every node that is no reflector, when this one is none either.
    void read_mesh() {
        if (!settings_.all.node_mesh || node_.route_reflector_cluster) {
            return;
        }
        bgp::PeerConfig pattern = calico_peer();
        if (settings_.all.mesh_password &&
            !read_password(*configuration_, *settings_.all.mesh_password, pattern)) {
            return;
        }
        if (const auto& seconds = settings_.all.mesh_restart_seconds) {
            ask_to_keep_ours(*configuration_, "nodeMeshMaxRestartTime", *seconds, pattern);
        }
        for (const ResourcePtr& node : resources_.nodes) {
            if (!node->as<policy::ClusterNode>().route_reflector_cluster) {
                add_node(*node, nullptr, pattern, true);
            }
        }
    }

    /// Without the password that it asks for, a BGPPeer keeps its addresses closed, for the mesh and
    /// for other BGPPeers too.
    void read_peer(const policy::Resource& resource) {
        const auto& spec = resource.as<policy::BgpPeer>();
        if (!is_for(spec, config_.node, labels_)) {
            return;
        }
        for (const std::string& field : spec.not_honoured) {
            problem(resource.key, field + " has no effect on this router");
        }
        if (spec.reachable_by && !config_.dataplane) {
            problem(resource.key, "reachableBy has no effect without a data plane");
        }
        const std::optional<bgp::PeerConfig> pattern = pattern_of(resource);
        if (spec.peer_ip) {
            add_peer(resource, pattern);
        }
        if (spec.peer_selector) {
            for (const ResourcePtr& node : resources_.nodes) {
                if (spec.peer_selector->matches(node->labels)) {
                    add_node(*node, &resource.key, pattern, !spec.any_source);
                }
            }
        }
    }

    /// The other end of a BGPPeer: whom it names speaks with those that it is for, where no BGPPeer
    /// says otherwise.  So one that is for the clients of a reflector serves that one, too.
    void read_reverse(const policy::Resource& resource) {
        const auto& spec = resource.as<policy::BgpPeer>();
        if (!spec.reverse || spec.closed || !names_us(spec)) {
            return;  // a closed one is closed by those that it is for
        }
        std::vector<const policy::Resource*> others;
        for (const ResourcePtr& node : resources_.nodes) {
            if (is_for(spec, node->key.name, node->labels) && !is_claimed(*node)) {
                others.push_back(node.get());
            }
        }
        if (others.empty()) {
            return;
        }
        if (spec.local_as) {
            problem(resource.key, "with localASNumber there is no session in the other direction");
            return;
        }
        const std::optional<bgp::PeerConfig> pattern = pattern_of(resource);
        for (const policy::Resource* node : others) {
            add_node(*node, &resource.key, pattern, !spec.any_source);
        }
    }

    /// What the sessions of a BGPPeer have in common; nothing: there is to be none.
    std::optional<bgp::PeerConfig> pattern_of(const policy::Resource& resource) {
        const auto& spec = resource.as<policy::BgpPeer>();
        bgp::PeerConfig pattern = calico_peer();
        read_session(spec, pattern);
        if (spec.max_restart_seconds) {
            ask_to_keep_ours(resource.key, "maxRestartTime", *spec.max_restart_seconds, pattern);
        }
        read_filters(resource.key, spec, pattern);
        const bool open = !spec.closed &&
                          (!spec.password || read_password(resource.key, *spec.password, pattern));
        return open ? std::optional{std::move(pattern)} : std::nullopt;
    }

    /// A BGPPeer replaces the mesh; of two BGPPeers the stricter counts, else the later.
    void claim(const IpAddr& address, Entry entry) {
        const auto [at, inserted] = entries_.try_emplace(address, std::move(entry));
        Entry& there = at->second;
        if (inserted) {
            return;  // else nothing was moved
        }
        if (there.by == nullptr || means_the_same(there, entry)) {
            there = std::move(entry);
            return;
        }
        if (strictness(entry) >= strictness(there)) {
            std::swap(there, entry);
        }
        problem(
            *entry.by,
            fmt::format("BGPPeer '{}' speaks for {} in its place", there.by->name, address));
    }

    [[nodiscard]] static bool is_for(
        const policy::BgpPeer& spec, const std::string& node, const policy::Labels& labels) {
        if (!spec.node.empty()) {
            return spec.node == node;
        }
        return !spec.node_selector || spec.node_selector->matches(labels);
    }

    [[nodiscard]] bool names_us(const policy::BgpPeer& spec) const {
        if (spec.peer_selector) {
            return spec.peer_selector->matches(labels_);
        }
        return spec.peer_ip && *spec.peer_ip == own_address(spec.peer_ip->index()) &&
               spec.as_number.value_or(default_as_) == result_.speaker.asn &&
               spec.peer_port.value_or(result_.speaker.port) == result_.speaker.port;
    }

    /// A BGPPeer has said how, or that not, this node speaks with that one.
    [[nodiscard]] bool is_claimed(const policy::Resource& node) const {
        const auto claimed = [&](const auto& address) {
            const auto at = address ? entries_.find(*address) : entries_.end();
            return at != entries_.end() && at->second.by != nullptr;
        };
        const auto& spec = node.as<policy::ClusterNode>();
        return claimed(spec.address4) || claimed(spec.address6);
    }

    /// A peer as Calico means it: everything is taken, this host's own routes are given, with every path
    /// to an address that several nodes have ("add paths on"); see also make_client() and pass_on().
    [[nodiscard]] static bgp::PeerConfig calico_peer() {
        bgp::PeerConfig peer;
        peer.ttl = kManyHops;
        peer.add_path = {.receive = true, .send = true};
        peer.import = bgp::Filter{.kind = bgp::Filter::Kind::All, .rules = {}};
        peer.export_ = bgp::Filter{.kind = bgp::Filter::Kind::Local, .rules = {}};
        return peer;
    }

    static void read_session(const policy::BgpPeer& spec, bgp::PeerConfig& peer) {
        peer.local_as = spec.local_as;
        peer.allow_own_as = static_cast<unsigned>(spec.allowed_local_as);
        if (spec.ttl_security.value_or(0) != 0) {
            peer.ttl_security = static_cast<std::uint8_t>(*spec.ttl_security);
            peer.ttl.reset();
        }
        if (spec.keepalive_seconds) {
            peer.timers.keepalive = std::chrono::seconds{*spec.keepalive_seconds};
        }
        if (spec.keep_original_next_hop) {
            peer.next_hop = bgp::NextHopMode::Keep;
        }
        if (spec.next_hop_mode) {
            peer.next_hop =
                *spec.next_hop_mode == policy::NextHopMode::Self   ? bgp::NextHopMode::Self
                : *spec.next_hop_mode == policy::NextHopMode::Keep ? bgp::NextHopMode::Keep
                                                                   : bgp::NextHopMode::Auto;
        }
    }

    /// For so long, once our session is lost.  Nobody is asked to without the field, though Calico's own speaker
    /// then asks for two minutes: what it told is forwarded by the kernel when it ends, here by nobody.
    void ask_to_keep_ours(
        const policy::Key& key, const std::string& field, int seconds, bgp::PeerConfig& peer) {
        using Restart = bgp::GracefulRestartConfig;
        constexpr int kMost = bgp::GracefulRestart::kMostSeconds;
        if (seconds > kMost) {
            problem(key, fmt::format("{}: {} s is the most that there is", field, kMost));
        }
        peer.graceful_restart.mode = seconds == 0 ? Restart::Mode::Helper : Restart::Mode::Full;
        peer.graceful_restart.restart_time = std::chrono::seconds{std::min(seconds, kMost)};
    }

    /// A filter that is missing may have been meant to reject: nothing is exchanged without it.
    void read_filters(const policy::Key& key, const policy::BgpPeer& spec, bgp::PeerConfig& peer) {
        for (const std::string& name : spec.filters) {
            const ResourcePtr* filter = named(resources_.filters, name);
            if (filter == nullptr) {
                problem(key, "BGPFilter '" + name + "' is missing: no routes are exchanged");
                peer.import = bgp::Filter{};
                peer.export_ = bgp::Filter{};
                return;
            }
            add_import_rules((*filter)->as<policy::BgpFilter>(), *peer.import);
            add_export_rules((*filter)->as<policy::BgpFilter>(), *peer.export_);
        }
    }

    /// False when there is no password: the peer is not talked to without one.
    bool read_password(
        const policy::Key& key, const policy::SecretRef& reference, bgp::PeerConfig& peer) {
        auto secret = read_secret_(reference);
        if (!secret) {
            result_.waits_for_secret = true;
            problem(key, secret.error().text + ": there is no session without the password");
            return false;
        }
        peer.password = *std::move(secret);
        return true;
    }

    /// Without a pattern the address stays closed.
    void add_peer(const policy::Resource& resource, const std::optional<bgp::PeerConfig>& pattern) {
        const auto& spec = resource.as<policy::BgpPeer>();
        if (*spec.peer_ip == own_address(spec.peer_ip->index())) {
            return;  // a BGPPeer for all nodes names one of them
        }
        if (!pattern) {
            claim(*spec.peer_ip, Entry{.peer = {}, .gateway = {}, .by = &resource.key});
            return;
        }
        bgp::PeerConfig peer = *pattern;
        peer.address = *spec.peer_ip;
        if (const auto* node = node_at(peer.address)) {
            peer.port = port_of_node(node->key.name);
        }
        peer.port = spec.peer_port.value_or(peer.port);
        peer.asn = spec.as_number.value_or(default_as_);
        peer.description = "BGPPeer " + resource.key.name;
        if (!spec.any_source) {
            peer.source = own_address(peer.address.index());
        }
        make_client(peer, cluster_of(peer.address));
        pass_on(peer);
        fill_next_hops(config_, peer);
        claim(
            *spec.peer_ip,
            Entry{.peer = std::move(peer), .gateway = spec.reachable_by, .by = &resource.key});
    }

    /// The sessions with another node: one for each family in which both have an address, or one for
    /// both families when it is not known which addresses this node has.  Without a pattern all its
    /// addresses stay closed.
    void add_node(
        const policy::Resource& resource,
        const policy::Key* by,
        const std::optional<bgp::PeerConfig>& pattern,
        bool from_node_address) {
        const auto& spec = resource.as<policy::ClusterNode>();
        if (resource.key.name == config_.node || (!spec.address4 && !spec.address6)) {
            return;
        }
        if (!pattern) {
            if (spec.address4) {
                claim(*spec.address4, Entry{.peer = {}, .gateway = {}, .by = by});
            }
            if (spec.address6) {
                claim(*spec.address6, Entry{.peer = {}, .gateway = {}, .by = by});
            }
            return;
        }
        bgp::PeerConfig peer = *pattern;
        peer.asn = spec.as_number.value_or(default_as_);
        peer.port = port_of_node(resource.key.name);
        peer.description = "node " + resource.key.name;
        make_client(peer, spec.route_reflector_cluster);
        pass_on(peer);
        const auto add = [&](const IpAddr& address) {
            peer.address = address;
            peer.source = from_node_address ? own_address(address.index()) : std::nullopt;
            bgp::PeerConfig complete = peer;
            fill_next_hops(config_, complete);
            claim(
                address,
                Entry{.peer = std::move(complete), .gateway = {}, .by = by, .node = resource.key});
        };
        const bool v4 = spec.address4 && node_.address4;
        const bool v6 = spec.address6 && node_.address6;
        if (v4 && v6) {
            peer.ipv6.enabled = false;
            add(*spec.address4);
            peer.ipv4.enabled = false;
            peer.ipv6.enabled = true;
            add(*spec.address6);
        } else if (v4 || (!v6 && spec.address4)) {
            add(*spec.address4);
        } else {
            add(*spec.address6);
        }
    }

    /// A reflector's clients: peers in its AS that are no reflectors of the same cluster.
    void make_client(bgp::PeerConfig& peer, const std::optional<Ip4>& cluster) const {
        const bool internal = peer.asn == peer.local_as.value_or(result_.speaker.asn);
        if (!node_.route_reflector_cluster || !internal) {
            return;
        }
        peer.reflector_client = cluster != node_.route_reflector_cluster;
        if (peer.export_->kind == bgp::Filter::Kind::Local) {
            peer.export_->kind = bgp::Filter::Kind::All;
        }
    }

    /// What is in a pool with disableBGPExport goes to nobody.  A reflector passes on to external peers
    /// what nodes told: what is in other pools, or all where nobody uses pools (OpenStack).  Nobody else
    /// does: who told its ToR the blocks of other racks would draw their traffic.  What began outside of
    /// our AS does not go on either, through whatever nodes it came: no host is on the way from one
    /// external peer to another.  Filters of the BGPPeer come first.
    void pass_on(bgp::PeerConfig& peer) const {
        using Rule = bgp::FilterRule;
        using Source = bgp::FilterMatch::Source;
        bgp::Filter& filter = *peer.export_;
        if (filter.kind == bgp::Filter::Kind::None) {
            return;
        }
        const auto add = [&](Rule::Action action, Source source, const auto& prefixes) {
            Rule& rule = filter.rules.emplace_back();
            rule.match.source = source;
            rule.match.own_as = source == Source::Internal;
            rule.match.prefixes = prefixes;
            rule.action = action;
        };
        if (!closed_pools_.empty()) {
            add(Rule::Action::Reject, Source::Any, closed_pools_);
        }
        const bool internal = peer.asn == peer.local_as.value_or(result_.speaker.asn);
        if (internal || !node_.route_reflector_cluster) {
            return;
        }
        if (!open_pools_.empty()) {
            add(Rule::Action::Accept, Source::Internal, open_pools_);
        } else if (closed_pools_.empty()) {
            add(Rule::Action::Accept, Source::Internal, std::vector<bgp::PrefixRule>{});
        }
    }

    [[nodiscard]] const policy::Resource* node_at(const IpAddr& address) const {
        for (const ResourcePtr& node : resources_.nodes) {
            const auto& spec = node->as<policy::ClusterNode>();
            if ((spec.address4 && IpAddr{*spec.address4} == address) ||
                (spec.address6 && IpAddr{*spec.address6} == address)) {
                return node.get();
            }
        }
        return nullptr;
    }

    [[nodiscard]] std::optional<Ip4> cluster_of(const IpAddr& address) const {
        const auto* node = node_at(address);
        return node != nullptr ? node->as<policy::ClusterNode>().route_reflector_cluster
                               : std::nullopt;
    }

    /// Nodes listen where the BGPConfiguration of each, or else of all, says.
    [[nodiscard]] L4Port port_of_node(const std::string& node) const {
        const ResourcePtr* own = named(resources_.configurations, "node." + node);
        const auto port =
            own != nullptr ? (*own)->as<policy::BgpConfiguration>().listen_port : std::nullopt;
        return port ? *port : settings_.all.listen_port.value_or(bgp::PeerConfig{}.port);
    }

    [[nodiscard]] std::optional<IpAddr> own_address(std::size_t family) const {
        if (family == 0) {
            return node_.address4 ? std::optional<IpAddr>{*node_.address4} : std::nullopt;
        }
        return node_.address6 ? std::optional<IpAddr>{*node_.address6} : std::nullopt;
    }

    /// Once, though a BGPPeer may be read for both of its ends.
    void problem(const policy::Key& key, std::string text) {
        auto& of_key = result_.problems[key];
        if (std::ranges::find(of_key, text) == of_key.end()) {
            of_key.push_back(std::move(text));
        }
    }

    const Config& config_;
    const BgpResources& resources_;
    const ReadSecret& read_secret_;
    Settings settings_;
    std::optional<policy::Key> configuration_;
    policy::ClusterNode node_;
    policy::Labels labels_;
    std::vector<bgp::PrefixRule> open_pools_;    ///< what is in one of them may be told to anybody
    std::vector<bgp::PrefixRule> closed_pools_;  ///< disableBGPExport
    Asn default_as_;
    std::map<IpAddr, Entry> entries_;
    CalicoBgp result_;
};

}  // namespace

CalicoBgp calico_bgp(
    const Config& config, const BgpResources& resources, const ReadSecret& read_secret) {
    return Reader{config, resources, read_secret}.read();
}

bgp::Attributes own_attributes(
    const CalicoBgp& calico, const IpPrefix& prefix, std::optional<std::uint32_t> priority) {
    bgp::Attributes attributes;
    attributes.local_pref = priority              ? local_pref_of(*priority)
                            : prefix.index() == 0 ? calico.local_pref4
                                                  : calico.local_pref6;
    for (const policy::PrefixAdvertisement& advertisement : calico.advertisements) {
        if (contains(advertisement.cidr, prefix)) {
            for (const policy::CommunityValue& value : advertisement.communities) {
                add_community(attributes, to_community(value));
            }
        }
    }
    return attributes;
}

}  // namespace vr::daemon
