// Calico's BGPFilters in the words of bgp/.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bgp/filter.h"
#include "policy/bgp_model.h"

namespace vr::daemon {

/// A route's priority (lower wins, 1024 is normal) travels as LOCAL_PREF (higher wins).
[[nodiscard]] constexpr std::uint32_t local_pref_of(std::uint32_t priority) {
    return 2147483647U - priority;
}

inline constexpr std::uint32_t kNormalPriority = 1024;

[[nodiscard]] bgp::Community to_community(const policy::CommunityValue& value);

/// Appends the rules of `filter` for routes that come in / go out.
void add_import_rules(const policy::BgpFilter& filter, bgp::Filter& into);
void add_export_rules(const policy::BgpFilter& filter, bgp::Filter& into);

}  // namespace vr::daemon
