// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_peers.h"

#include <algorithm>

namespace vr::daemon {

namespace {

bgp::Filter to_filter(const BgpFilterConfig& config) {
    using In = BgpFilterConfig::Kind;
    using Out = bgp::Filter::Kind;
    if (config.kind == In::Prefixes) {
        std::vector<bgp::PrefixRule> prefixes;
        for (const auto& term : config.prefixes) {
            prefixes.push_back({term.prefix, term.ge, term.le});
        }
        return bgp::Filter::of_prefixes(std::move(prefixes));
    }
    bgp::Filter filter;
    filter.kind = config.kind == In::All     ? Out::All
                  : config.kind == In::Local ? Out::Local
                                             : Out::None;
    return filter;
}

bool contains(const IpPrefix& network, const IpAddr& address) {
    return std::visit(
        [&]<Family F>(const Prefix<F>& prefix) {
            const auto* a = std::get_if<typename F::Addr>(&address);
            return a != nullptr && prefix.contains(*a);
        },
        network);
}

/// Our address of the wanted family on the port whose network the peer is in.
std::optional<IpAddr> own_address(const Config& config, const IpAddr& peer, std::size_t family) {
    for (const PortConfig& port : config.ports) {
        const bool here = std::ranges::any_of(
            port.addresses, [&](const InterfaceAddress& a) { return contains(a.network, peer); });
        const auto own = std::ranges::find_if(
            port.addresses, [&](const InterfaceAddress& a) { return a.address.index() == family; });
        if (here && own != port.addresses.end()) {
            return own->address;
        }
    }
    return std::nullopt;
}

void fill_next_hops(const Config& config, bgp::PeerConfig& peer) {
    if (!peer.ipv4.next_hop) {
        peer.ipv4.next_hop = own_address(config, peer.address, 0);
    }
    if (!peer.ipv6.next_hop) {
        peer.ipv6.next_hop = own_address(config, peer.address, 1);
    }
}

bgp::PeerConfig to_peer(const Config& config, const BgpNeighborConfig& from) {
    bgp::PeerConfig peer;
    peer.address = from.address;
    peer.port = from.port;
    peer.asn = from.asn;
    peer.description = from.description;
    peer.passive = from.passive;
    peer.source = from.source;
    peer.password = from.password;
    peer.ttl = from.ttl;
    peer.ttl_security = from.ttl_security;
    peer.timers.hold = std::chrono::seconds{from.hold_time};
    peer.timers.connect_retry = std::chrono::seconds{from.connect_retry};
    peer.ipv4 = {from.ipv4, from.next_hop4, from.maximum_prefixes};
    peer.ipv6 = {from.ipv6, from.next_hop6, from.maximum_prefixes};
    if (from.import) {
        peer.import = to_filter(*from.import);
    }
    if (from.export_) {
        peer.export_ = to_filter(*from.export_);
    }
    fill_next_hops(config, peer);
    return peer;
}

/// A peer as Calico means it: everything is taken, this host's own routes are given.
bgp::PeerConfig calico_peer(
    const Config& config, const IpAddr& address, Asn asn, const std::string& description) {
    bgp::PeerConfig peer;
    peer.address = address;
    peer.asn = asn;
    peer.description = description;
    peer.import = bgp::Filter{bgp::Filter::Kind::All, {}};
    peer.export_ = bgp::Filter{bgp::Filter::Kind::Local, {}};
    fill_next_hops(config, peer);
    return peer;
}

bool is_for(const policy::BgpPeer& peer, const std::string& node, const policy::Labels& labels) {
    if (!peer.node.empty()) {
        return peer.node == node;
    }
    return !peer.node_selector || peer.node_selector->matches(labels);
}

bool has_mesh(const std::vector<policy::ResourcePtr>& configurations) {
    const auto standard = std::ranges::find_if(
        configurations, [](const auto& c) { return c->key.name == "default"; });
    return standard == configurations.end() ||
           (*standard)->template as<policy::BgpConfiguration>().node_mesh;
}

/// The other nodes that `who` selects.
void add_nodes(
    const Config& config,
    const std::vector<policy::ResourcePtr>& nodes,
    const policy::Selector& who,
    Peers& peers) {
    for (const auto& node : nodes) {
        const auto& spec = node->as<policy::ClusterNode>();
        if (node->key.name == config.node || (!spec.address4 && !spec.address6) ||
            !who.matches(node->labels)) {
            continue;
        }
        const IpAddr address = spec.address4 ? IpAddr{*spec.address4} : IpAddr{*spec.address6};
        const Asn asn = spec.as_number.value_or(config.bgp->asn);
        peers.emplace(address, calico_peer(config, address, asn, "node " + node->key.name));
    }
}

bgp::PeerConfig named_peer(const Config& config, const policy::Resource& resource) {
    const auto& spec = resource.as<policy::BgpPeer>();
    bgp::PeerConfig peer = calico_peer(
        config,
        *spec.peer_ip,
        spec.as_number.value_or(config.bgp->asn),
        "BGPPeer " + resource.key.name);
    peer.port = spec.peer_port.value_or(peer.port);
    peer.local_as = spec.local_as;
    peer.ttl_security = static_cast<std::uint8_t>(spec.ttl_security.value_or(0));
    peer.allow_own_as = static_cast<unsigned>(spec.allowed_local_as);
    return peer;
}

}  // namespace

bgp::SpeakerConfig speaker_config(const BgpConfig& config) {
    bgp::SpeakerConfig speaker;
    speaker.asn = config.asn;
    speaker.router_id = config.router_id;
    speaker.port = config.port;
    if (!config.listen) {
        speaker.listen.clear();
    }
    return speaker;
}

Peers configured_peers(const Config& config) {
    Peers peers;
    if (config.bgp) {
        for (const BgpNeighborConfig& neighbor : config.bgp->neighbors) {
            peers.emplace(neighbor.address, to_peer(config, neighbor));
        }
    }
    return peers;
}

Peers resource_peers(
    const Config& config,
    const std::vector<policy::ResourcePtr>& bgp_peers,
    const std::vector<policy::ResourcePtr>& nodes,
    const std::vector<policy::ResourcePtr>& configurations) {
    Peers peers;
    if (!config.bgp) {
        return peers;
    }
    policy::Labels labels;
    for (const auto& node : nodes) {
        if (node->key.name == config.node) {
            labels = node->labels;
        }
    }
    const policy::Selector everyone;
    if (has_mesh(configurations)) {
        add_nodes(config, nodes, everyone, peers);
    }
    for (const auto& resource : bgp_peers) {
        const auto& spec = resource->as<policy::BgpPeer>();
        if (!is_for(spec, config.node, labels)) {
            continue;
        }
        if (spec.peer_ip) {
            peers.insert_or_assign(*spec.peer_ip, named_peer(config, *resource));
        } else if (spec.peer_selector) {
            add_nodes(config, nodes, *spec.peer_selector, peers);
        }
    }
    return peers;
}

}  // namespace vr::daemon
