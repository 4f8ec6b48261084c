// Reads the kinds that policy itself does not use and hands on: BGPConfiguration, BGPFilter, BGPPeer,
// ClusterInformation, Node; and what several kinds share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

[[nodiscard]] Result<void> parse_bgp_configuration(
    const Field& object, const Field& spec, Resource& into);
[[nodiscard]] Result<void> parse_bgp_filter(const Field& object, const Field& spec, Resource& into);
[[nodiscard]] Result<void> parse_bgp_peer(const Field& object, const Field& spec, Resource& into);
/// The stand-in of an invalid BGPConfiguration: what can be read, but no mesh, and listening only at
/// the node's addresses unless it says otherwise.
[[nodiscard]] BgpConfiguration closed_bgp_configuration(const Field& object);

/// The stand-in of an invalid BGPPeer: no session with the peers that can still be read.  For all nodes
/// where its node cannot be read; nothing when it cannot be told whom it meant.
[[nodiscard]] std::optional<BgpPeer> closed_bgp_peer(const Field& object);

[[nodiscard]] Result<void> parse_cluster_information(
    const Field& object, const Field& spec, Resource& into);
[[nodiscard]] Result<void> parse_cluster_node(
    const Field& object, const Field& spec, Resource& into);

/// An AS number, plain or (RFC 5396) high.low.
[[nodiscard]] Result<void> parse_asn(const Field& field, std::optional<Asn>& into);

/// "64512:100" or "64512:1:2".
[[nodiscard]] Result<void> parse_community_value(const Field& field, CommunityValue& into);

/// A map of texts.
[[nodiscard]] Result<void> parse_labels(const Field& field, Labels& into);

/// 1-65535.
template <typename To>
[[nodiscard]] Result<void> store_port(const Field& field, To& into) {
    auto number = field.integer(1, 65535);
    if (!number) {
        return std::unexpected(std::move(number).error());
    }
    into = L4Port{static_cast<std::uint16_t>(*number)};
    return {};
}

}  // namespace vr::policy
