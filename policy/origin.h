// How the place where a rule was written is told to people, the same by compiler and reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "policy/model.h"
#include "vrouter/dataplane/acl.h"

namespace vr::policy {

/// "NetworkPolicy prod/web", by the name that the user gave.
[[nodiscard]] inline std::string policy_title(const Resource& policy) {
    return to_string(Key{policy.key.kind, policy.key.ns, policy.as<Policy>().name});
}

[[nodiscard]] inline std::string profile_title(const std::string& name) {
    return to_string(Key{Kind::Profile, {}, name});
}

[[nodiscard]] inline acl::Origin end_of_tier(const std::string& tier) {
    return {tier, "end of tier", -1};
}

[[nodiscard]] inline acl::Origin closed_tier(const std::string& tier) {
    return {tier, "a tier that cannot be read", -1};
}

[[nodiscard]] inline acl::Origin unknown_profile(const std::string& name) {
    return {{}, profile_title(name) + ", which does not exist", -1};
}

[[nodiscard]] inline acl::Origin default_allow() {
    return {{}, profile_title(std::string(kDefaultAllowProfile)), -1};
}

[[nodiscard]] inline acl::Origin inactive_endpoint() {
    return {{}, "endpoint is not active", -1};
}

[[nodiscard]] inline acl::Origin established_flow() {
    return {{}, "established flow", -1};
}

[[nodiscard]] inline acl::Origin end_of_profiles() {
    return {{}, "end of profiles", -1};
}

/// A failsafe port of a host endpoint.
[[nodiscard]] inline acl::Origin failsafe_port() {
    return {{}, "failsafe port", -1};
}

/// Forwarded traffic has no profiles: what all tiers pass is allowed, POLICY 2.6.
[[nodiscard]] inline acl::Origin end_of_forward_tiers() {
    return {{}, "end of forward tiers", -1};
}

}  // namespace vr::policy
