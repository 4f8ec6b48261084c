// Stand-ins: what is enforced in place of an object that is invalid and never was valid.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "policy/field.h"
#include "policy/model.h"

namespace vr::policy {

/// A policy that denies all that it may select, a tier that denies at its end, BGP without a mesh.  Fields that
/// cannot be read count as the strictest value.  Null for kinds whose absence opens nothing, and for those of
/// salvage.h.
[[nodiscard]] ResourcePtr stand_in(const Field& object, const Key& key);

/// The same where nothing but the key is known: of policies, tiers and profiles; null for others.
[[nodiscard]] ResourcePtr stand_in(const Key& key);

/// In place of an invalid one.
[[nodiscard]] Profile denying_profile();

/// A tier before all others, for stand-ins whose tier cannot be read.
inline constexpr std::string_view kFirstTier = "";

}  // namespace vr::policy
