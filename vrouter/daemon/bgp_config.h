// BgpConfig: the config's section `bgp`, in the words of bgp/.
//
// Groups are templates: they are dissolved into the neighbours and ranges that name them; filters into
// those that use them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bgp/config.h"

namespace vr {
class YamlSection;
}  // namespace vr

namespace vr::daemon {

/// A prefix that this host originates, beside the addresses of its workloads.
struct Announcement {
    IpPrefix prefix;
    bgp::Attributes attributes;

    friend bool operator==(const Announcement&, const Announcement&) = default;
};

/// After a restart routes are selected when all peers have said theirs, or after this (RFC 4724 4.1):
/// whoever keeps what we told before shall not hear half of it first.
inline constexpr std::chrono::seconds kSelectionDeferral{60};

/// True when the peer is to keep our routes while we restart.
[[nodiscard]] inline bool asks_to_keep_ours(const bgp::PeerConfig& peer) {
    return peer.graceful_restart.mode == bgp::GracefulRestartConfig::Mode::Full;
}

/// A peer at a link-local address.
struct LinkNeighbor {
    std::string interface;  ///< a port, or without a data plane an interface of the kernel
    bgp::PeerConfig peer;   ///< unspecified address: of the router that advertises itself there

    friend bool operator==(const LinkNeighbor&, const LinkNeighbor&) = default;
};

struct BgpConfig {
    bgp::SpeakerConfig speaker;  ///< AS 0, no router id: resources of the datastore tell
    bool port_given = false;
    bool listen_given = false;
    /// NAME/KEY below it holds the password that a BGPPeer's secretKeyRef names.
    std::string secrets_directory = "/etc/vrouter/secrets";
    std::vector<Announcement> announce;
    std::vector<bgp::PeerConfig> neighbors;
    std::vector<LinkNeighbor> link_neighbors;
    std::vector<bgp::RangeConfig> ranges;
};

/// What the rest of the file says that this section depends on.
struct BgpSurroundings {
    /// AS and router id may be left to its resources, where nothing else needs them.
    bool has_datastore = false;
    /// The ports, which neighbors may be on; absent: there is no data plane, they are on the kernel's
    /// interfaces.
    std::optional<std::set<std::string>> ports;
    bool has_host_path = false;  ///< the kernel, so the speaker, reaches them
};

/// Settings that only a start of vrouterd puts in force and that `fresh` has others of, "as, router_id"; empty:
/// none.
[[nodiscard]] std::string wants_a_start(const BgpConfig& now, const BgpConfig& fresh);

[[nodiscard]] BgpConfig read_bgp(YamlSection& yaml, const BgpSurroundings& around);

}  // namespace vr::daemon
