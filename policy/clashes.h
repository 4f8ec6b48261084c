// Clashes: what objects say of each other that does not go together: names of what is not there, selectors
// that no Node satisfies, two that claim the same.  Pure.
//
// Which Nodes there are is asked only where `objects` has some; the filters of a BGPPeer are always.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "policy/lint.h"
#include "policy/model.h"

namespace vr::policy {

struct Clash {
    Finding::Kind kind = Finding::Kind::Invalid;
    Key object;
    std::string text;
};

/// Of policies and their rules: lint.h itself.
[[nodiscard]] std::vector<Clash> clashes(const std::map<Key, ResourcePtr>& objects);

}  // namespace vr::policy
