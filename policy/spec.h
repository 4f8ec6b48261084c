// Reads the spec of each kind; resource.cc has dealt with kind and name before.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "policy/field.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// Fills `into.spec` from `object`, the whole document; key and labels are filled already.
[[nodiscard]] Result<void> parse_spec(const Field& object, Resource& into);

/// Keeps the first of equal ones.
void drop_doubles(std::vector<IpPrefix>& nets);

/// Whether a field of `map` is called almost like `key`.
[[nodiscard]] bool is_misspelt(const Field& map, std::string_view key);

/// One of an object's annotations, absent where it is.
[[nodiscard]] std::optional<Field> annotation(const Field& metadata, std::string_view name);

/// One named port of an endpoint.
[[nodiscard]] Result<void> parse_named_port(const Field& field, std::vector<NamedPort>& into);

/// One port of a Kubernetes service.
[[nodiscard]] Result<void> parse_slice_port(const Field& field, EndpointSlice& into);

/// A Kubernetes slice says by this label of what service it is a part.
inline constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";

/// 1-15 characters that a kernel takes.
[[nodiscard]] bool is_interface_name(std::string_view name);

/// Fields that several kinds of policies have.
[[nodiscard]] Result<void> parse_order(const Field& field, std::optional<double>& into);
[[nodiscard]] Result<void> parse_tier_name(const Field& field, Policy& into);
[[nodiscard]] Result<void> parse_types(const Field& field, Policy& into);
[[nodiscard]] Result<void> parse_staged_action(const Field& field, Policy& into);

/// doNotTrack and preDNAT.
template <Hook Which>
[[nodiscard]] Result<void> parse_hook(const Field& field, Policy& into);

/// Rules and their action, used by policies and profiles.
[[nodiscard]] Result<void> parse_rules(const Field& field, std::vector<Rule>& into);

}  // namespace vr::policy
