// Which endpoints a policy or one side of a rule selects: from the fields of a resource to effective
// selectors over the labels of endpoints, POLICY 2.3.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/model.h"
#include "policy/selector.h"

namespace vr::policy {

inline constexpr std::string_view kNamespaceLabel = "projectcalico.org/namespace";
inline constexpr std::string_view kOrchestratorLabel = "projectcalico.org/orchestrator";
inline constexpr std::string_view kServiceAccountLabel = "projectcalico.org/serviceaccount";
inline constexpr std::string_view kNamespacePrefix = "pcns.";
inline constexpr std::string_view kServiceAccountPrefix = "pcsa.";

/// The endpoints that `policy` of namespace `ns` (empty: global) applies to.
[[nodiscard]] Selector policy_scope(const Policy& policy, const std::string& ns);

/// The two sets that one side of a rule names.
struct EntityScope {
    std::optional<Selector> in;      ///< address must belong to an endpoint or set that matches
    std::optional<Selector> not_in;  ///< address must not; only where `in` is absent
};

[[nodiscard]] EntityScope entity_scope(const EntityMatch& entity, const std::string& ns);

/// Own labels of an endpoint or network set, with those that come from its place; what it inherits
/// from profiles is not in.  POLICY 2.2.
[[nodiscard]] Labels own_labels(const Resource& resource);

/// The profiles whose labelsToApply it inherits, in order.
[[nodiscard]] std::vector<std::string> inherited_profiles(const Resource& resource);

/// One of them stands in for one whose labels cannot be read, see Profile::labels_unread.  Slow.
[[nodiscard]] bool is_closed(std::span<const ResourcePtr> cluster, const Resource& resource);

}  // namespace vr::policy
