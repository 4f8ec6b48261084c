// What packets meet of an endpoint (dataplane's Endpoint), put together from its parts.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "vrouter/compilations.h"
#include "vrouter/dataplane/tables.h"
#include "vrouter/served_addresses.h"
#include "vrouter/workload.h"

namespace vr {

/// All that is written, but for its limits; nobody judges its packets yet.
[[nodiscard]] Endpoint describe(const Workload& workload);

void set_programs(Endpoint& endpoint, const CompiledPrograms& compiled);
void set_translations(
    Endpoint& endpoint, std::span<const ServedAddresses::Translated> translations);

/// Whether flows are judged alike by both: what is only counted does not matter.
[[nodiscard]] bool judge_flows_alike(const Endpoint& a, const Endpoint& b);

}  // namespace vr
