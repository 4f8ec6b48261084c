// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/bgp_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <utility>

#include "bgp/capability.h"
#include "vrouter/daemon/filter_config.h"
#include "vrouter/daemon/secret.h"
#include "vrouter/net/zone.h"
#include "vrouter/yaml_section.h"

namespace vr::daemon {

namespace {

constexpr std::string_view kAddress = "an IPv4 or IPv6 address";
constexpr std::string_view kAddress4 = "an IPv4 address";
constexpr std::string_view kAddress6 = "an IPv6 address";
constexpr std::string_view kPrefix = "a prefix like 10.0.0.0/8 or fd00::/64";

/// A peer while it is read: which AS is ours towards it may be said later.
struct Draft {
    bgp::PeerConfig peer;
    bool internal = false;  ///< whatever AS that is

    [[nodiscard]] bool names_as() const {
        return internal || peer.any_external_as || peer.asn.value() != 0;
    }

    [[nodiscard]] bgp::PeerConfig of(const bgp::SpeakerConfig& speaker) && {
        if (internal) {
            peer.asn = peer.local_as.value_or(speaker.asn);
        }
        return std::move(peer);
    }
};

using Groups = std::map<std::string, Draft>;

std::optional<IpAddr> ip_of(const std::string& text) {
    return parse_ip_without_zone(text);
}

template <typename T>
void assign(T& to, std::optional<T> from) {
    if (from) {
        to = std::move(*from);
    }
}

/// A number that a wider or stronger type holds.
template <typename T>
void assign_number(T& to, const std::optional<std::uint64_t>& from) {
    if (from) {
        to = T{static_cast<decltype(to.value())>(*from)};
    }
}

template <std::integral T>
void assign_number(T& to, const std::optional<std::uint64_t>& from) {
    if (from) {
        to = static_cast<T>(*from);
    }
}

void assign_seconds(std::chrono::seconds& to, const std::optional<std::uint64_t>& from) {
    if (from) {
        to = std::chrono::seconds{*from};
    }
}

/// A whole number and nothing else.
std::optional<std::uint32_t> number_of(const std::string& text) {
    std::uint32_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && rest == end ? std::optional{number} : std::nullopt;
}

template <Family F>
std::optional<IpAddr> address_of(const std::string& text) {
    const auto address = parse_ip_without_zone(text);
    return address && std::holds_alternative<typename F::Addr>(*address) ? address : std::nullopt;
}

void read_password(YamlSection& yaml, bgp::PeerConfig& peer) {
    const auto file = yaml.text("password_file");
    const auto password = yaml.text("password");
    if (password && file) {
        yaml.refuse("password_file", "password and password_file exclude each other");
    }
    if (password && password->size() > 80) {
        yaml.refuse("password", "a TCP MD5 password has at most 80 octets");
    }
    assign(peer.password, password);
    if (file && yaml.ok()) {
        auto secret = read_secret(*file);
        if (!secret) {
            yaml.refuse("password_file", secret.error().text);
        } else {
            peer.password = *std::move(secret);
        }
    }
}

/// A number, ours, or whatever is not ours.
void read_as(YamlSection& yaml, Draft& draft) {
    struct As {
        Asn asn;
        bool external = false;
        bool internal = false;
    };

    const auto as = yaml.value(
        "as",
        "a number from 1 to 4294967295, internal or external",
        [](const std::string& s) -> std::optional<As> {
            if (s == "internal" || s == "external") {
                return As{.external = s == "external", .internal = s == "internal"};
            }
            const auto number = number_of(s);
            return number.value_or(0) != 0 ? std::optional{As{.asn = Asn{*number}}} : std::nullopt;
        });
    if (as) {
        draft.peer.asn = as->asn;
        draft.peer.any_external_as = as->external;
        draft.internal = as->internal;
    }
}

void read_connection(YamlSection& yaml, bgp::PeerConfig& peer) {
    if (const auto as = yaml.number("local_as", 1, kMost32)) {
        peer.local_as = Asn{static_cast<std::uint32_t>(*as)};
    }
    assign_number(peer.port, yaml.number("port", 1, 65535));
    assign(peer.description, yaml.text("description"));
    assign(peer.passive, yaml.boolean("passive"));
    read_password(yaml, peer);
    if (auto source = yaml.value("source", kAddress, ip_of)) {
        peer.source = source;
    }
    if (const auto ttl = yaml.number("ttl", 1, 255)) {
        peer.ttl = static_cast<std::uint8_t>(*ttl);
    }
    assign_number(peer.ttl_security, yaml.number("ttl_security", 1, 254));
}

void read_timers(YamlSection& yaml, bgp::PeerTimers& timers) {
    // RFC 4271 4.2: zero or at least three seconds.
    const auto hold =
        yaml.value("hold_time", "0 or a number from 3 to 65535", [](const std::string& s) {
            const auto number = number_of(s);
            const bool good = number && (*number == 0 || (*number >= 3 && *number <= 65535));
            return good ? std::optional{std::chrono::seconds{*number}} : std::nullopt;
        });
    assign(timers.hold, hold);
    assign_seconds(timers.keepalive, yaml.number("keepalive", 1, 21845));
    assign_seconds(timers.connect_retry, yaml.number("connect_retry", 1, 3600));
    assign_seconds(timers.open_wait, yaml.number("open_wait", 1, 3600));
    if (const auto pause = yaml.number("idle_hold", 1, 3600)) {
        timers.idle_hold = std::chrono::seconds{*pause};
        timers.idle_hold_most = std::max(bgp::PeerTimers{}.idle_hold_most, timers.idle_hold);
    }
    assign_seconds(timers.send_hold, yaml.number("send_hold_time", 6, 131070));
}

std::vector<std::string> read_family_list(YamlSection& yaml, const char* key) {
    return yaml.list(key, "ipv4 or ipv6", [](const std::string& s) {
        return s == "ipv4" || s == "ipv6" ? std::optional{s} : std::nullopt;
    });
}

/// One number for each family, or a mapping that says which has which.
void read_maximum_prefixes(YamlSection& yaml, bgp::PeerConfig& peer) {
    constexpr const char* kKey = "maximum_prefixes";
    if (const YAML::Node node = yaml.take(kKey); node.IsDefined() && node.IsMap()) {
        yaml.section(kKey, [&](YamlSection& each) {
            assign_number(peer.ipv4.maximum_prefixes, each.number("ipv4", 0, kMost32));
            assign_number(peer.ipv6.maximum_prefixes, each.number("ipv6", 0, kMost32));
        });
        return;
    }
    const auto most = yaml.number(kKey, 0, kMost32);
    assign_number(peer.ipv4.maximum_prefixes, most);
    assign_number(peer.ipv6.maximum_prefixes, most);
}

void read_families(YamlSection& yaml, bgp::PeerConfig& peer) {
    const auto families = read_family_list(yaml, "families");
    if (!families.empty()) {
        peer.ipv4.enabled = std::ranges::count(families, "ipv4") != 0;
        peer.ipv6.enabled = std::ranges::count(families, "ipv6") != 0;
    }
    if (auto hop = yaml.value("next_hop4", kAddress4, address_of<V4>)) {
        peer.ipv4.next_hop = hop;
    }
    if (auto hop = yaml.value("next_hop6", kAddress6, address_of<V6>)) {
        peer.ipv6.next_hop = hop;
    }
    read_maximum_prefixes(yaml, peer);
    const auto pause = yaml.number("maximum_prefixes_restart", 1, 86400);
    assign_seconds(peer.ipv4.maximum_prefixes_restart, pause);
    assign_seconds(peer.ipv6.maximum_prefixes_restart, pause);
}

void read_bfd(YamlSection& yaml, bgp::BfdConfig& bfd) {
    const auto assign_ms = [](std::chrono::milliseconds& to, std::optional<std::uint64_t> from) {
        if (from) {
            to = std::chrono::milliseconds{*from};
        }
    };
    assign_ms(bfd.transmit, yaml.number("transmit_ms", 10, 60'000));
    assign_ms(bfd.receive, yaml.number("receive_ms", 10, 60'000));
    assign_number(bfd.multiplier, yaml.number("multiplier", 1, 255));
    assign(bfd.multihop, yaml.boolean("multihop"));
}

void read_extensions(YamlSection& yaml, bgp::PeerConfig& peer) {
    assign(peer.reflector_client, yaml.boolean("route_reflector_client"));

    struct Ways {
        bool receive;
        bool send;
    };

    if (const auto ways =
            yaml.value("add_path", "off, receive, send or both", [](const std::string& s) {
                return s == "off"       ? std::optional{Ways{false, false}}
                       : s == "receive" ? std::optional{Ways{true, false}}
                       : s == "send"    ? std::optional{Ways{false, true}}
                       : s == "both"    ? std::optional{Ways{true, true}}
                                        : std::nullopt;
            })) {
        peer.add_path = {.receive = ways->receive, .send = ways->send};
    }
    using Mode = bgp::GracefulRestartConfig::Mode;
    assign(
        peer.graceful_restart.mode,
        yaml.value("graceful_restart", "off, helper or full", [](const std::string& s) {
            return s == "off"      ? std::optional{Mode::Off}
                   : s == "helper" ? std::optional{Mode::Helper}
                   : s == "full"   ? std::optional{Mode::Full}
                                   : std::nullopt;
        }));
    assign_seconds(peer.graceful_restart.restart_time, yaml.number("restart_time", 1, 4095));
    assign_seconds(peer.graceful_restart.stale_time, yaml.number("stale_time", 1, 86400));
    assign_seconds(
        peer.graceful_restart.long_lived_time,
        yaml.number("long_lived_time", 0, bgp::LongLivedRestart::kMostSeconds));
    const auto long_lived = read_family_list(yaml, "long_lived_families");
    if (!long_lived.empty()) {
        peer.ipv4.long_lived = std::ranges::count(long_lived, "ipv4") != 0;
        peer.ipv6.long_lived = std::ranges::count(long_lived, "ipv6") != 0;
    }
    assign(peer.long_lived_to_all, yaml.boolean("long_lived_to_all"));
    assign(peer.extended_messages, yaml.boolean("extended_messages"));
    yaml.section("bfd", [&](YamlSection& section) {
        peer.bfd = peer.bfd.value_or(bgp::BfdConfig{});
        read_bfd(section, *peer.bfd);
    });
}

void read_policy(YamlSection& yaml, bgp::PeerConfig& peer, const NamedFilters& filters) {
    if (auto filter = read_filter(yaml, "import", filters)) {
        peer.import = std::move(filter);
    }
    if (auto filter = read_filter(yaml, "export", filters)) {
        peer.export_ = std::move(filter);
    }
    using Mode = bgp::NextHopMode;
    assign(peer.next_hop, yaml.value("next_hop", "auto, self or keep", [](const std::string& s) {
        return s == "auto"   ? std::optional{Mode::Auto}
               : s == "self" ? std::optional{Mode::Self}
               : s == "keep" ? std::optional{Mode::Keep}
                             : std::nullopt;
    }));
    assign_number(peer.allow_own_as, yaml.number("allow_own_as", 0, 255));
    assign(peer.as_override, yaml.boolean("as_override"));
    assign(peer.remove_private_as, yaml.boolean("remove_private_as"));
    assign(peer.enforce_first_as, yaml.boolean("enforce_first_as"));
}

/// What neighbours, ranges and groups have in common; keys that are absent leave `draft` as it is.
void read_peer(YamlSection& yaml, Draft& draft, const NamedFilters& filters) {
    read_as(yaml, draft);
    read_connection(yaml, draft.peer);
    read_timers(yaml, draft.peer.timers);
    read_families(yaml, draft.peer);
    read_extensions(yaml, draft.peer);
    read_policy(yaml, draft.peer, filters);
}

/// What the section's group says, or what is said without one.
Draft group_of(YamlSection& yaml, const Groups& groups) {
    const auto name = yaml.text("group");
    const auto found = groups.find(name.value_or(""));
    if (name && found == groups.end()) {
        yaml.refuse("group", "no group is called '" + *name + "'");
    }
    Draft draft = found == groups.end() ? Draft{} : found->second;
    if (!draft.names_as()) {
        yaml.require("as");
    }
    return draft;
}

void read_group(YamlSection& yaml, Groups& groups, const NamedFilters& filters) {
    yaml.require("name");
    const std::string name = yaml.text("name").value_or("");
    Draft draft;
    read_peer(yaml, draft, filters);
    if (!groups.emplace(name, std::move(draft)).second) {
        yaml.refuse("name", "group '" + name + "' is defined twice");
    }
}

void check_family(YamlSection& yaml, const bgp::PeerConfig& peer, std::size_t family) {
    if (peer.source && peer.source->index() != family) {
        yaml.refuse("source", to_string(*peer.source) + " is not of the neighbor's family");
    }
}

/// RFC 4456: who is of another AS hears everything anyway, and is no client.
void check_client(YamlSection& yaml, const bgp::PeerConfig& peer, Asn own_as) {
    const bool internal = !peer.any_external_as && peer.asn == peer.local_as.value_or(own_as);
    if (peer.reflector_client && !internal) {
        yaml.refuse(
            "route_reflector_client",
            "only neighbors of our AS are clients: leave it out, or say 'as: internal'");
    }
}

/// Where a neighbor is: an address, one of a link, or a link.
struct Whereabouts {
    IpAddr address;         ///< unspecified: of whoever advertises itself on `interface`
    std::string interface;  ///< empty: the address means something everywhere
};

/// "fe80::1%uplink0" or an address that needs no interface.
std::optional<Whereabouts> whereabouts_of(const std::string& text) {
    const auto percent = text.find('%');
    const auto address = parse_ip_without_zone(text.substr(0, percent));
    const auto* v6 = address ? std::get_if<Ip6>(&*address) : nullptr;
    const bool link_local = v6 != nullptr && v6->is_link_local();
    if (!address || link_local != (percent != std::string::npos) ||
        (link_local && percent + 1 == text.size())) {
        return std::nullopt;
    }
    return Whereabouts{*address, link_local ? text.substr(percent + 1) : std::string{}};
}

Whereabouts read_whereabouts(YamlSection& yaml, const BgpSurroundings& around) {
    Whereabouts where;
    const auto interface = yaml.text("interface");
    if (!interface) {
        yaml.require("address");
    }
    assign(
        where,
        yaml.value(
            "address",
            "an IPv4 or IPv6 address, a link-local one with its interface (fe80::1%uplink0)",
            whereabouts_of));
    if (interface) {
        if (yaml.take("address").IsDefined()) {
            yaml.refuse("interface", "address and interface exclude each other");
        }
        where = {.address = Ip6{}, .interface = *interface};
    }
    const char* key = interface ? "interface" : "address";
    if (interface && interface->empty()) {
        yaml.refuse(key, "an interface has a name");
    } else if (!where.interface.empty() && around.ports) {
        if (!around.ports->contains(where.interface)) {
            yaml.refuse(key, "no port is called '" + where.interface + "'");
        } else if (!around.has_host_path) {
            yaml.refuse(
                key, "a neighbor of a link is reached by the host's `tap`, and there is none");
        }
    }
    return where;
}

/// What a neighbor of a link cannot have.
void check_link_neighbor(YamlSection& yaml, const bgp::PeerConfig& peer) {
    if (peer.source) {
        yaml.refuse("source", "a neighbor of a link is called from our address on that link");
    }
    if (peer.bfd && peer.bfd->multihop) {
        yaml.refuse("bfd", "a neighbor of a link is one hop away: no multihop");
    }
    if (peer.ttl) {
        yaml.refuse("ttl", "a neighbor of a link is one hop away");
    }
}

void read_neighbor(
    YamlSection& yaml,
    BgpConfig& bgp,
    const BgpSurroundings& around,
    const Groups& groups,
    const NamedFilters& filters) {
    Draft draft = group_of(yaml, groups);
    const Whereabouts where = read_whereabouts(yaml, around);
    read_peer(yaml, draft, filters);
    bgp::PeerConfig peer = std::move(draft).of(bgp.speaker);
    peer.address = where.address;
    check_family(yaml, peer, peer.address.index());
    check_client(yaml, peer, bgp.speaker.asn);
    if (!where.interface.empty()) {
        check_link_neighbor(yaml, peer);
        // Whoever is found on a link must not be one that is named there.
        const IpAddr found = Ip6{};
        const bool taken = std::ranges::any_of(bgp.link_neighbors, [&](const LinkNeighbor& n) {
            return n.interface == where.interface &&
                   (n.peer.address == peer.address || n.peer.address == found ||
                    peer.address == found);
        });
        if (taken) {
            yaml.refuse(
                peer.address == found ? "interface" : "address",
                "interface '" + where.interface + "' has a neighbor already");
        }
        bgp.link_neighbors.push_back({where.interface, std::move(peer)});
        return;
    }
    const auto same = [&](const bgp::PeerConfig& n) { return n.address == peer.address; };
    if (std::ranges::any_of(bgp.neighbors, same)) {
        yaml.refuse("address", "neighbor " + to_string(peer.address) + " is defined twice");
    }
    bgp.neighbors.push_back(std::move(peer));
}

void read_range(
    YamlSection& yaml, BgpConfig& bgp, const Groups& groups, const NamedFilters& filters) {
    yaml.require("prefix");
    bgp::RangeConfig range;
    Draft draft = group_of(yaml, groups);
    assign(range.prefix, yaml.value("prefix", kPrefix, [](const std::string& s) {
        return parse_prefix(s);
    }));
    assign_number(range.limit, yaml.number("limit", 1, 100'000));
    read_peer(yaml, draft, filters);
    range.peer = std::move(draft).of(bgp.speaker);
    range.peer.passive = true;
    check_family(yaml, range.peer, range.prefix.index());
    check_client(yaml, range.peer, bgp.speaker.asn);
    if (const auto* v6 = std::get_if<Prefix<V6>>(&range.prefix);
        v6 && v6->address().is_link_local()) {
        yaml.refuse(
            "prefix", "neighbors at link-local addresses are named, each with its interface");
    }
    const auto same = [&](const bgp::RangeConfig& r) { return r.prefix == range.prefix; };
    if (std::ranges::any_of(bgp.ranges, same)) {
        yaml.refuse("prefix", "range " + to_string(range.prefix) + " is defined twice");
    }
    bgp.ranges.push_back(std::move(range));
}

Announcement read_announcement(YamlSection& yaml) {
    Announcement own;
    yaml.require("prefix");
    assign(own.prefix, yaml.value("prefix", kPrefix, [](const std::string& s) {
        return parse_prefix(s);
    }));
    const auto communities = yaml.list(
        "communities",
        "a community like 64512:100, 64512:1:2, rt:64512:100 or no-export",
        [](const std::string& s) { return bgp::parse_community(s); });
    for (const bgp::Community& each : communities) {
        add_community(own.attributes, each);
    }
    if (const auto value = yaml.number("local_pref", 0, kMost32)) {
        own.attributes.local_pref = static_cast<std::uint32_t>(*value);
    }
    if (const auto value = yaml.number("med", 0, kMost32)) {
        own.attributes.med = static_cast<std::uint32_t>(*value);
    }
    return own;
}

/// Prefixes, or mappings that say more of each.
void read_announcements(YamlSection& yaml, std::vector<Announcement>& announce) {
    const YAML::Node node = yaml.take("announce");
    bool mappings = false;
    if (node.IsDefined() && node.IsSequence()) {
        for (const auto& item : node) {
            mappings = mappings || item.IsMap();
        }
    }
    if (mappings) {
        yaml.sections(
            "announce", [&](YamlSection& item) { announce.push_back(read_announcement(item)); });
        return;
    }
    for (const IpPrefix& prefix :
         yaml.list("announce", kPrefix, [](const std::string& s) { return parse_prefix(s); })) {
        announce.push_back(Announcement{.prefix = prefix, .attributes = {}});
    }
}

void read_listen(YamlSection& yaml, BgpConfig& bgp) {
    const YAML::Node node = yaml.take("listen");
    bgp::SpeakerConfig& speaker = bgp.speaker;
    bgp.listen_given = node.IsDefined();
    if (node.IsDefined() &&
        (node.IsSequence() || node.Scalar().find_first_of(".:") != std::string::npos)) {
        speaker.listen = yaml.list("listen", kAddress, ip_of);
    } else if (!yaml.boolean("listen").value_or(true)) {
        speaker.listen.clear();
    }
}

void read_speaker(YamlSection& yaml, BgpConfig& bgp, bool has_datastore) {
    const bool has_peers = yaml.take("neighbors").IsDefined() || yaml.take("ranges").IsDefined();
    if (!has_datastore || has_peers) {
        yaml.require("as");
        yaml.require("router_id");
    }
    assign_number(bgp.speaker.asn, yaml.number("as", 1, kMost32));
    assign(bgp.speaker.router_id, yaml.value("router_id", kAddress4, [](const std::string& s) {
        const auto id = Ip4::parse(s);
        return id && !id->is_unspecified() ? id : std::nullopt;
    }));
    bgp.port_given = yaml.take("port").IsDefined();
    assign_number(bgp.speaker.port, yaml.number("port", 1, 65535));
    if (auto id = yaml.value(
            "cluster_id", kAddress4, [](const std::string& s) { return Ip4::parse(s); })) {
        bgp.speaker.cluster_id = id;
    }
    read_listen(yaml, bgp);
    assign_number(bgp.speaker.multipath, yaml.number("multipath", 1, 64));
    assign(bgp.secrets_directory, yaml.text("secrets"));
}

/// True when some peer is to keep our routes while we restart.
bool restarts_gracefully(const BgpConfig& bgp) {
    return std::ranges::any_of(bgp.neighbors, asks_to_keep_ours) ||
           std::ranges::any_of(bgp.link_neighbors, asks_to_keep_ours, &LinkNeighbor::peer) ||
           std::ranges::any_of(bgp.ranges, asks_to_keep_ours, &bgp::RangeConfig::peer);
}

}  // namespace

std::string wants_a_start(const BgpConfig& now, const BgpConfig& fresh) {
    std::vector<std::string_view> settings;
    if (now.speaker.asn != fresh.speaker.asn) {
        settings.emplace_back("as");
    }
    if (now.speaker.router_id != fresh.speaker.router_id) {
        settings.emplace_back("router_id");
    }
    if (now.speaker.cluster_id != fresh.speaker.cluster_id) {
        settings.emplace_back("cluster_id");
    }
    if (now.speaker.multipath != fresh.speaker.multipath) {
        settings.emplace_back("multipath");
    }
    if (now.link_neighbors != fresh.link_neighbors) {
        settings.emplace_back("neighbors at link-local addresses or with `interface`");
    }
    return fmt::format("{}", fmt::join(settings, ", "));
}

BgpConfig read_bgp(YamlSection& yaml, const BgpSurroundings& around) {
    BgpConfig bgp;
    NamedFilters filters;
    Groups groups;
    read_speaker(yaml, bgp, around.has_datastore);
    read_announcements(yaml, bgp.announce);
    yaml.sections("filters", [&](YamlSection& s) { read_named_filter(s, filters); });
    yaml.sections("groups", [&](YamlSection& s) { read_group(s, groups, filters); });
    yaml.sections(
        "neighbors", [&](YamlSection& s) { read_neighbor(s, bgp, around, groups, filters); });
    yaml.sections("ranges", [&](YamlSection& s) { read_range(s, bgp, groups, filters); });
    if (restarts_gracefully(bgp)) {
        bgp.speaker.selection_deferral = kSelectionDeferral;
    }
    return bgp;
}

}  // namespace vr::daemon
