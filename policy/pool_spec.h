// Reads IPPool and IPReservation.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// The stand-in of an invalid IPPool: nothing of it goes to BGP peers, and no address is taken from it;
/// nothing where its block cannot be read.
[[nodiscard]] std::optional<IpPool> closed_ip_pool(const Field& object);

[[nodiscard]] Result<void> parse_ip_pool(const Field& object, const Field& spec, Resource& into);
/// Of the prefixes of its blocks: what it says, or else /26 and /122.
[[nodiscard]] unsigned block_length(const IpPool& pool);

[[nodiscard]] Result<void> parse_ip_reservation(
    const Field& object, const Field& spec, Resource& into);

}  // namespace vr::policy
