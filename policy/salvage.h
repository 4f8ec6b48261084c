// Salvage: what counts of an invalid object that never was valid and that rules of others may name.
//
// NetworkSets, EndpointSlices and endpoints lend addresses and ports to sets, Profiles lend labels.  As
// if such an object were not there, a Deny that names it would deny nothing.  So of one whose labels can
// all be read, each address and each port that can be read counts as if it were written alone.
//
// Why that is sound for rules that allow, deny, pass or except alike: what is read is a part of what the
// author wrote.  For an address that could be read every rule decides as it is written; for one that could
// not, as if the object were missing; nobody becomes a member who was not meant to be one.  Half of the
// labels, however, may satisfy a selector that was not meant (role != 'db'): then the object stays missing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "policy/datastore.h"
#include "policy/field.h"
#include "policy/model.h"

namespace vr::policy {

struct Salvage {
    ResourcePtr resource;  ///< null: the object is missing
    std::string counts;    ///< "2 of 3 nets count", to be told behind the reason; may be empty
};

/// What to put in place of an invalid `object`.  `known` has its key and its labels, all of which could be
/// read; `stand_in` is what denies in its place (stand_in.h), if anything does.  An endpoint of a workload
/// belongs to no host then, and so forwards nothing anywhere; a profile denies and lends its labels, all or none.
[[nodiscard]] Salvage salvage(const Field& object, Resource known, ResourcePtr stand_in);

/// What is enforced where `in_force` stands in for an object that never was valid.
[[nodiscard]] ObjectState state_in_place(const ResourcePtr& in_force);

}  // namespace vr::policy
