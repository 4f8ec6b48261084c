// FelixSettings: what FelixConfiguration says for one node.  The object `node.<name>` overrides
// `default` field by field (DATASTORE 3.2), the rest is as in POLICY 2.6.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/model.h"
#include "vrouter/policy_log_terms.h"
#include "vrouter/workload.h"

namespace vr::policy {

struct FelixSettings {
    std::vector<FailsafePort> failsafe_inbound;
    std::vector<FailsafePort> failsafe_outbound;
    WorkloadRules workloads;   ///< without what pools say
    NatOutgoing nat_outgoing;  ///< for where a pool has it
    PolicyLogTerms policy_log;
    MigrationTerms migration;
    bool floating = false;  ///< ipNATs count for all; false: for OpenStack's endpoints alone
    bool spoofing = false;  ///< endpoints with allowSpoofedSourcePrefixes are valid

    friend bool operator==(const FelixSettings&, const FelixSettings&) = default;
};

inline constexpr std::string_view kFelixDefault = "default";

/// The name of the object that concerns one node alone.
[[nodiscard]] std::string felix_name(const std::string& node);

/// Either may be null: it does not exist.
[[nodiscard]] FelixSettings felix_settings(
    const FelixConfiguration* everywhere, const FelixConfiguration* here);

/// Whether the endpoint counts on its node: with allowSpoofedSourcePrefixes only where
/// workloadSourceSpoofing is Any, POLICY 2.7.  Members of sets its addresses are all the same.
[[nodiscard]] bool is_permitted(const WorkloadEndpoint& endpoint, const FelixSettings& felix);

/// By what `cluster` holds; slow.
[[nodiscard]] FelixSettings felix_settings(
    std::span<const ResourcePtr> cluster, const std::string& node);

}  // namespace vr::policy
