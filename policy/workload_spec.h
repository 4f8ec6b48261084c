// Reads WorkloadEndpoint, with the annotations that say how its guest is attached.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

[[nodiscard]] Result<void> parse_workload_endpoint(
    const Field& object, const Field& spec, Resource& into);

}  // namespace vr::policy
