// SPDX-License-Identifier: Apache-2.0
#include "policy/bgp_spec.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <map>

#include "policy/match.h"
#include "vrouter/net/zone.h"

namespace vr::policy {

namespace {

Result<void> parse_duration(const Field& field, std::optional<int>& seconds) {
    return store(field.seconds(), seconds.emplace());
}

/// "192.0.2.1", "192.0.2.1:179", "fd00::1", "[fd00::1]:179"
Result<void> parse_peer_ip(const Field& field, BgpPeer& into) {
    const std::string& text = field.node().text;
    std::string_view address = text;
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t close = text.find("]:");
        address = close == std::string::npos ? "" : address.substr(1, close - 1);
        port = close == std::string::npos ? "" : std::string_view(text).substr(close + 2);
    } else if (const std::size_t colon = text.find(':');
               colon != std::string::npos && text.find(':', colon + 1) == std::string::npos) {
        address = address.substr(0, colon);
        port = std::string_view(text).substr(colon + 1);
    }
    into.peer_ip = parse_ip_without_zone(address);
    std::uint16_t number = 0;
    const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    const bool port_good =
        port.empty() ? address.size() == text.size()
                     : error == std::errc{} && stop == port.data() + port.size() && number != 0;
    if (!into.peer_ip || !port_good) {
        return field.error(fmt::format(
            "'{}' is not an address, expected such as 192.0.2.1, 192.0.2.1:179 or [fd00::1]:179",
            text));
    }
    if (!port.empty()) {
        into.peer_port = L4Port{number};
    }
    return {};
}

Result<void> parse_password(const Field& field, std::optional<SecretRef>& into) {
    const auto ref = field.child("secretKeyRef");
    const auto name = ref ? ref->child("name") : std::nullopt;
    const auto key = ref ? ref->child("key") : std::nullopt;
    if (!name || !key) {
        return field.error("expected secretKeyRef with name and key");
    }
    into = SecretRef{name->node().text, key->node().text};
    return {};
}

template <auto Member, typename T>
Result<void> boolean_into(const Field& field, T& into) {
    return store(field.boolean(), into.*Member);
}

/// AS 0 is nobody's (RFC 7607): Calico writes it where none is meant.
template <auto Member, typename T>
Result<void> asn_into(const Field& field, T& into) {
    auto parsed = parse_asn(field, into.*Member);
    if (into.*Member == Asn{}) {
        (into.*Member).reset();
    }
    return parsed;
}

template <auto Member, typename T>
Result<void> bgp_selector_into(const Field& field, T& into) {
    return parse_optional_selector(field, into.*Member);
}

template <auto Member, typename T>
Result<void> duration_into(const Field& field, T& into) {
    return parse_duration(field, into.*Member);
}

/// A field that asks for something that does not exist here.
template <typename T>
Result<void> note(const Field& field, T& into) {
    std::string path = field.path();
    if (path.starts_with("spec.")) {
        path.erase(0, 5);
    }
    into.not_honoured.push_back(std::move(path));
    return {};
}

Result<void> parse_next_hop_mode(const Field& field, BgpPeer& into) {
    const std::string& text = field.node().text;
    into.next_hop_mode = text == "Auto"   ? std::optional{NextHopMode::Auto}
                         : text == "Self" ? std::optional{NextHopMode::Self}
                         : text == "Keep" ? std::optional{NextHopMode::Keep}
                                          : std::nullopt;
    return into.next_hop_mode ? Result<void>{} : field.error("expected Auto, Self or Keep");
}

constexpr std::array<FieldRow<BgpPeer>, 18> kPeerRows{{
    {"node", [](const Field& f, BgpPeer& p) { return store(f.text(), p.node); }},
    {"nodeSelector", bgp_selector_into<&BgpPeer::node_selector>},
    {"peerIP", parse_peer_ip},
    {"asNumber", asn_into<&BgpPeer::as_number>},
    {"peerSelector", bgp_selector_into<&BgpPeer::peer_selector>},
    {"localASNumber", asn_into<&BgpPeer::local_as>},
    {"password", [](const Field& f, BgpPeer& p) { return parse_password(f, p.password); }},
    {"keepOriginalNextHop", boolean_into<&BgpPeer::keep_original_next_hop>},
    {"nextHopMode", parse_next_hop_mode},
    {"sourceAddress",
     [](const Field& f, BgpPeer& p) -> Result<void> {
         if (f.node().text != "UseNodeIP" && f.node().text != "None") {
             return f.error("expected UseNodeIP or None");
         }
         p.any_source = f.node().text == "None";
         return {};
     }},
    {"maxRestartTime", duration_into<&BgpPeer::max_restart_seconds>},
    {"keepaliveTime", duration_into<&BgpPeer::keepalive_seconds>},
    {"ttlSecurity",
     [](const Field& f, BgpPeer& p) { return store(f.integer(0, 255), p.ttl_security.emplace()); }},
    {"numAllowedLocalASNumbers",
     [](const Field& f, BgpPeer& p) { return store(f.integer(0, 255), p.allowed_local_as); }},
    {"reachableBy",
     [](const Field& f, BgpPeer& p) -> Result<void> {
         p.reachable_by = parse_ip_without_zone(f.node().text);
         return p.reachable_by || f.node().text.empty()
                    ? Result<void>{}
                    : f.error(fmt::format("'{}' is not an address", f.node().text));
     }},
    {"filters", [](const Field& f, BgpPeer& p) { return store(f.texts(), p.filters); }},
    {"reversePeering",
     [](const Field& f, BgpPeer& p) -> Result<void> {
         if (f.node().text != "Auto" && f.node().text != "Manual") {
             return f.error("expected Auto or Manual");
         }
         p.reverse = f.node().text == "Auto";
         return {};
     }},
    {"localWorkloadSelector", note<BgpPeer>},
}};

}  // namespace

Result<void> parse_asn(const Field& field, std::optional<Asn>& into) {
    const std::string& text = field.node().text;
    const char* const end = text.data() + text.size();
    std::uint32_t high = 0;
    auto [stop, error] = std::from_chars(text.data(), end, high);
    if (error == std::errc{} && stop == end) {
        into = Asn{high};
        return {};
    }
    std::uint32_t low = 0;
    if (error == std::errc{} && *stop == '.' && high <= 0xffff) {
        const auto [low_stop, low_error] = std::from_chars(stop + 1, end, low);
        if (low_error == std::errc{} && low_stop == end && low <= 0xffff) {
            into = Asn{high << 16U | low};
            return {};
        }
    }
    return field.error(fmt::format("'{}' is not an AS number", text));
}

Result<void> parse_labels(const Field& field, Labels& into) {
    if (auto map = field.expect_map(); !map) {
        return map;
    }
    for (const auto& [name, value] : field.node().fields) {
        if (name.empty()) {
            return field.error("a label needs a name");
        }
        auto text = field.child(name, value).text();
        if (!text && value.type != Node::Type::Null) {
            return std::unexpected(std::move(text).error());
        }
        into[name] = text.value_or("");
    }
    return {};
}

namespace {

/// What a BGPConfiguration's communities are called.
using CommunityNames = std::map<std::string, CommunityValue>;

Result<void> parse_community_names(const Field& field, CommunityNames& into) {
    return field.each([&](const Field& item) -> Result<void> {
        const auto name = item.child("name");
        const auto value = item.child("value");
        if (!name || !value) {
            return item.error("expected name and value");
        }
        return parse_community_value(*value, into[name->node().text]);
    });
}

Result<void> parse_advertisement(
    const Field& field, const CommunityNames& names, PrefixAdvertisement& into) {
    const auto cidr = field.child("cidr");
    if (!cidr) {
        return field.error("expected cidr");
    }
    if (auto read = store(parse_net(*cidr), into.cidr); !read) {
        return read;
    }
    const auto communities = field.child("communities");
    if (!communities) {
        return {};
    }
    return communities->each([&](const Field& item) -> Result<void> {
        const auto named = names.find(item.node().text);
        if (named != names.end()) {
            into.communities.push_back(named->second);
            return {};
        }
        return parse_community_value(item, into.communities.emplace_back());
    });
}

Result<void> parse_priority(const Field& field, std::optional<std::uint32_t>& into) {
    return store(field.integer(1, kLeastRoutePriority), into.emplace());
}

Result<void> parse_bind_mode(const Field& field, BgpConfiguration& into) {
    const std::string& text = field.node().text;
    if (text != "NodeIP" && text != "None") {
        return field.error("expected None or NodeIP");
    }
    into.listen_on_node_ip = text == "NodeIP";
    return {};
}

/// The log of this router has one level, that of its own config; Calico's default asks for nothing.
Result<void> parse_log_severity(const Field& field, BgpConfiguration& into) {
    return field.node().text == "Info" ? Result<void>{} : note(field, into);
}

constexpr std::array<FieldRow<BgpConfiguration>, 16> kConfigurationRows{{
    {"nodeToNodeMeshEnabled", boolean_into<&BgpConfiguration::node_mesh>},
    {"asNumber", asn_into<&BgpConfiguration::as_number>},
    {"listenPort",
     [](const Field& f, BgpConfiguration& c) { return store_port(f, c.listen_port); }},
    {"logSeverityScreen", parse_log_severity},
    {"bindMode", parse_bind_mode},
    {"communities", nullptr},           // read beforehand: prefixAdvertisements name them
    {"prefixAdvertisements", nullptr},  // read behind them
    {"serviceClusterIPs", note<BgpConfiguration>},
    {"serviceExternalIPs", note<BgpConfiguration>},
    {"serviceLoadBalancerIPs", note<BgpConfiguration>},
    {"serviceLoadBalancerAggregation", nullptr},  // says how the addresses above are announced
    {"nodeMeshPassword",
     [](const Field& f, BgpConfiguration& c) { return parse_password(f, c.mesh_password); }},
    {"nodeMeshMaxRestartTime", duration_into<&BgpConfiguration::mesh_restart_seconds>},
    {"ignoredInterfaces", nullptr},  // no interface's network is announced here
    {"ipv4NormalRoutePriority",
     [](const Field& f, BgpConfiguration& c) { return parse_priority(f, c.normal_priority4); }},
    {"ipv6NormalRoutePriority",
     [](const Field& f, BgpConfiguration& c) { return parse_priority(f, c.normal_priority6); }},
}};

}  // namespace

namespace {

Result<void> read_advertisements(const Field& spec, BgpConfiguration& into) {
    CommunityNames names;
    if (const auto communities = spec.child("communities")) {
        if (auto read = parse_community_names(*communities, names); !read) {
            return read;
        }
    }
    const auto advertisements = spec.child("prefixAdvertisements");
    return !advertisements ? Result<void>{} : advertisements->each([&](const Field& item) {
        return parse_advertisement(item, names, into.advertisements.emplace_back());
    });
}

/// Reads what can be read of a broken spec.
template <typename T, std::size_t kCount>
void salvage(const Field& spec, const std::array<FieldRow<T>, kCount>& rows, T& into) {
    for (const FieldRow<T>& row : rows) {
        const auto field = spec.child(row.key);
        T with = into;
        if (field && row.parse != nullptr && row.parse(*field, with)) {
            into = std::move(with);
        }
    }
}

}  // namespace

Result<void> parse_bgp_configuration(const Field& /*object*/, const Field& spec, Resource& into) {
    BgpConfiguration configuration;
    auto parsed = parse_fields<BgpConfiguration>(
        spec, kConfigurationRows, configuration, Unknown::RefuseSimilar);
    if (parsed) {
        parsed = read_advertisements(spec, configuration);
    }
    into.spec = std::move(configuration);
    return parsed;
}

BgpConfiguration closed_bgp_configuration(const Field& object) {
    BgpConfiguration closed;
    if (const auto spec = object.child("spec"); spec && spec->node().type == Node::Type::Map) {
        salvage(*spec, kConfigurationRows, closed);
        if (!read_advertisements(*spec, closed)) {
            closed.advertisements.clear();
        }
    }
    closed.node_mesh = false;
    closed.listen_on_node_ip = closed.listen_on_node_ip.value_or(true);
    return closed;
}

std::optional<BgpPeer> closed_bgp_peer(const Field& object) {
    const auto spec = object.child("spec");
    if (!spec || spec->node().type != Node::Type::Map) {
        return std::nullopt;
    }
    BgpPeer read;
    salvage(*spec, kPeerRows, read);
    BgpPeer closed;
    closed.closed = true;
    if (const auto address = spec->child("peerIP")) {
        static_cast<void>(parse_peer_ip(*address, closed));  // reads it even where the port is bad
    }
    closed.peer_selector = std::move(read.peer_selector);
    const bool where_is_clear = read.node.empty() || !spec->child("nodeSelector");
    if (where_is_clear) {
        closed.node = std::move(read.node);
        closed.node_selector = std::move(read.node_selector);
    }
    return closed.peer_ip || closed.peer_selector ? std::optional{std::move(closed)} : std::nullopt;
}

Result<void> parse_bgp_peer(const Field& /*object*/, const Field& spec, Resource& into) {
    BgpPeer peer;
    if (auto parsed = parse_fields<BgpPeer>(spec, kPeerRows, peer, Unknown::RefuseSimilar);
        !parsed) {
        return parsed;
    }
    if (!peer.node.empty() && peer.node_selector) {
        return spec.error("node and nodeSelector exclude each other");
    }
    if (peer.peer_ip.has_value() == peer.peer_selector.has_value()) {
        return spec.error("a peer needs either peerIP or peerSelector");
    }
    if (peer.peer_ip && !peer.as_number) {
        return spec.error("a peer with peerIP needs asNumber");
    }
    if (peer.peer_ip && peer.reachable_by && peer.peer_ip->index() != peer.reachable_by->index()) {
        return spec.error("reachableBy is not of peerIP's family");
    }
    into.spec = std::move(peer);
    return {};
}

namespace {

/// What stands there that is no address is passed over: nothing depends on it alone.
Result<void> parse_node_addresses(const Field& field, ClusterNode& into) {
    return field.each([&](const Field& item) -> Result<void> {
        const auto address = item.child("address");
        if (address) {
            const std::string_view text = address->node().text;
            const auto read = parse_ip(text.substr(0, text.find('/')));
            if (read && zone_of(*read) == 0) {
                into.addresses.push_back(*read);
            }
        }
        return {};
    });
}

}  // namespace

Result<void> parse_cluster_information(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<ClusterInformation>, 5> kRows{{
        {"datastoreReady", boolean_into<&ClusterInformation::ready>},
        {"clusterGUID", nullptr},
        {"clusterType", nullptr},
        {"calicoVersion", nullptr},
        {"variant", nullptr},
    }};
    ClusterInformation information;
    auto parsed =
        parse_fields<ClusterInformation>(spec, kRows, information, Unknown::RefuseSimilar);
    into.spec = information;
    return parsed;
}

Result<void> parse_cluster_node(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr auto kHost = [](const Field& f, auto& address) -> Result<void> {
        using Address = typename std::remove_reference_t<decltype(address)>::value_type;
        const std::string& text = f.node().text;
        address = Address::parse(std::string_view(text).substr(0, text.find('/')));
        if (address && zone_of(IpAddr{*address}) != 0) {
            address.reset();
        }
        return address || text.empty() ? Result<void>{} : f.error("expected address/length");
    };
    static constexpr std::array<FieldRow<ClusterNode>, 7> kBgpRows{{
        {"asNumber", asn_into<&ClusterNode::as_number>},
        {"ipv4Address", [](const Field& f, ClusterNode& n) { return kHost(f, n.address4); }},
        {"ipv6Address", [](const Field& f, ClusterNode& n) { return kHost(f, n.address6); }},
        {"routeReflectorClusterID",
         [](const Field& f, ClusterNode& n) { return kHost(f, n.route_reflector_cluster); }},
        {"ipv4IPIPTunnelAddr", nullptr},
        {"interfaceName", nullptr},
        {"interfaceNames", nullptr},
    }};
    static constexpr std::array<FieldRow<ClusterNode>, 5> kRows{{
        {"bgp",
         [](const Field& f, ClusterNode& n) {
             return parse_fields<ClusterNode>(f, kBgpRows, n, Unknown::Warn);
         }},
        {"addresses", parse_node_addresses},
        {"orchRefs", nullptr},
        {"ipv4VXLANTunnelAddr", nullptr},
        {"wireguard", nullptr},
    }};
    ClusterNode node;
    auto parsed = parse_fields<ClusterNode>(spec, kRows, node, Unknown::Warn);
    into.spec = node;
    return parsed;
}

}  // namespace vr::policy
