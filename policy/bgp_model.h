// What Calico's BGP resources say: BGPConfiguration, BGPPeer, BGPFilter.  DATASTORE 3.2.
//
// Plain values, checked by bgp_spec.cc and bgp_filter_spec.cc; what they mean to the speaker is the
// daemon's business.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "policy/selector.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr::policy {

/// Priorities of routes go from 1, which wins, to this one.
inline constexpr std::int64_t kLeastRoutePriority = 2147483646;

/// "64512:100" (numbers of 16 bits) or "64512:1:2" (a large community, of 32 bits).
struct CommunityValue {
    std::vector<std::uint32_t> parts;  ///< two or three

    friend bool operator==(const CommunityValue&, const CommunityValue&) = default;
};

struct SecretRef {
    std::string name;
    std::string key;

    friend bool operator==(const SecretRef&, const SecretRef&) = default;
};

enum class NextHopMode : std::uint8_t { Auto, Self, Keep };

struct BgpPeer {
    std::string node;                       ///< this node only; empty: see node_selector
    std::optional<Selector> node_selector;  ///< both absent: every node
    std::optional<IpAddr> peer_ip;          ///< absent: peer_selector chooses nodes
    std::optional<L4Port> peer_port;
    std::optional<Asn> as_number;
    std::optional<Selector> peer_selector;
    std::optional<Asn> local_as;
    std::optional<SecretRef> password;
    bool keep_original_next_hop = false;
    std::optional<NextHopMode> next_hop_mode;
    bool any_source = false;  ///< sourceAddress: None
    std::optional<int> max_restart_seconds;
    std::optional<int> keepalive_seconds;
    std::optional<int> ttl_security;
    int allowed_local_as = 0;
    std::optional<IpAddr> reachable_by;
    std::vector<std::string> filters;
    bool reverse = true;  ///< reversePeering: whom it names speaks with whom it is for, too
    std::vector<std::string> not_honoured;  ///< fields that are set and have no effect here
    bool closed = false;  ///< stand-in: no session with whom it names, by whatever resource

    friend bool operator==(const BgpPeer&, const BgpPeer&) = default;
};

/// What routes inside a block are announced with.
struct PrefixAdvertisement {
    IpPrefix cidr;
    std::vector<CommunityValue> communities;  ///< names are resolved already

    friend bool operator==(const PrefixAdvertisement&, const PrefixAdvertisement&) = default;
};

struct BgpConfiguration {
    bool node_mesh = true;  ///< nodeToNodeMeshEnabled
    std::optional<Asn> as_number;
    std::optional<L4Port> listen_port;
    std::optional<bool> listen_on_node_ip;  ///< bindMode
    std::vector<PrefixAdvertisement> advertisements;
    std::optional<SecretRef> mesh_password;
    std::optional<int> mesh_restart_seconds;
    std::optional<std::uint32_t> normal_priority4;  ///< of this host's routes
    std::optional<std::uint32_t> normal_priority6;
    std::vector<std::string> not_honoured;  ///< fields that are set and have no effect here

    friend bool operator==(const BgpConfiguration&, const BgpConfiguration&) = default;
};

struct BgpFilterRule {
    enum class Action : std::uint8_t { Accept, Reject };
    enum class Operator : std::uint8_t { In, NotIn, Equal, NotEqual };

    /// Prefixes by block; lengths are those of the block's end and the family's width unless given.
    struct Block {
        IpPrefix cidr;
        Operator match = Operator::In;
        std::optional<unsigned> least;
        std::optional<unsigned> most;

        friend bool operator==(const Block&, const Block&) = default;
    };

    struct AddCommunity {
        CommunityValue value;
        friend bool operator==(const AddCommunity&, const AddCommunity&) = default;
    };

    struct PrependAsPath {
        std::vector<Asn> numbers;
        friend bool operator==(const PrependAsPath&, const PrependAsPath&) = default;
    };

    struct SetPriority {
        std::uint32_t value = 0;
        friend bool operator==(const SetPriority&, const SetPriority&) = default;
    };

    using Operation = std::variant<AddCommunity, PrependAsPath, SetPriority>;

    Action action = Action::Reject;
    std::optional<Block> block;
    bool remote_peers = false;          ///< source: RemotePeers
    std::string interface;              ///< may end in '*'
    std::optional<bool> external_peer;  ///< peerType: eBGP
    std::vector<CommunityValue> communities;
    std::vector<Asn> as_path_prefix;
    std::optional<std::uint32_t> priority;
    std::vector<Operation> operations;

    friend bool operator==(const BgpFilterRule&, const BgpFilterRule&) = default;
};

struct BgpFilter {
    std::vector<BgpFilterRule> import4;
    std::vector<BgpFilterRule> export4;
    std::vector<BgpFilterRule> import6;
    std::vector<BgpFilterRule> export6;

    friend bool operator==(const BgpFilter&, const BgpFilter&) = default;
};

}  // namespace vr::policy
