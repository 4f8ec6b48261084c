// Reads HostEndpoint and FelixConfiguration, as far as policy of the host goes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

[[nodiscard]] Result<void> parse_host_endpoint(
    const Field& object, const Field& spec, Resource& into);
[[nodiscard]] Result<void> parse_felix_configuration(
    const Field& object, const Field& spec, Resource& into);

/// One of a HostEndpoint's addresses.
[[nodiscard]] Result<void> parse_expected_ip(const Field& field, HostEndpoint& into);

/// What guards in place of an invalid HostEndpoint: the interface is closed but for failsafe ports, or
/// all of them where the interface cannot be read.  Nothing when it cannot be told whose host it is.
/// Fills `labels` as far as they can be read.
[[nodiscard]] std::optional<HostEndpoint> closed_host_endpoint(const Field& object, Labels& labels);

}  // namespace vr::policy
