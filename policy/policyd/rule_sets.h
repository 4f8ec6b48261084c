// Which sets the rules of a policy or profile name.
//
// The compiler is asked: it is given the object alone and a source of groups that takes note of what it
// wants.  So the answer is what hosts will ask for when they compile the object in a list.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "policy/model.h"
#include "policy/selector.h"
#include "policy/set_update.h"

namespace vr::policyd {

/// Nothing for objects of other kinds.
[[nodiscard]] std::map<policy::SetName, policy::Selector> sets_of(
    const policy::ResourcePtr& resource);

}  // namespace vr::policyd
