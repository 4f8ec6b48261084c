// Reads a LiveMigration, DATASTORE 3.2.  Of the two ways in which Calico names what moves only endpoints one by
// one are read, as OpenStack's driver writes them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

[[nodiscard]] Result<void> parse_live_migration(
    const Field& object, const Field& spec, Resource& into);

}  // namespace vr::policy
