// What clients fill in before they store an object.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace vr::policy {

struct ParsedObject;

/// The text of a valid `object`; that of a policy without `types` with those that follow from its rules,
/// POLICY 2.3: in a datastore their absence would mean both directions.
[[nodiscard]] std::string client_form(const ParsedObject& object);

}  // namespace vr::policy
