// qosControls of a WorkloadEndpoint: limits and marks, POLICY 2.7, and the annotations qos.projectcalico.org/...
// that say the same; of a HostEndpoint the annotation of its mark.  What a limit is meant to be and cannot be read
// is an error, never "no limit".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "policy/field.h"
#include "vrouter/dataplane/qos.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// Reads spec.qosControls.
[[nodiscard]] Result<void> parse_qos(const Field& field, QosControls& into);

/// Takes what `spec` does not say from annotations in `metadata`, checks what belongs together, and fills in
/// defaults.  To be called when the spec has been read.
[[nodiscard]] Result<void> complete_qos(
    const Field& spec, const std::optional<Field>& metadata, QosControls& into);

/// Reads the DSCP of a HostEndpoint from annotations in its `metadata`; limits are a warning.
[[nodiscard]] Result<void> parse_host_dscp(
    const std::optional<Field>& metadata, std::optional<std::uint8_t>& into);

}  // namespace vr::policy
