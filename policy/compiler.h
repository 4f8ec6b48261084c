// Compiler: an ordered policy list becomes an acl::Program, POLICY 2.4 and 2.5.
//
//   Allow, Deny, Reject, Log  the action of the same name
//   Pass                   Jump behind the tier (or behind the profile)
//   closed tier            Deny, in place of all its policies
//   end of a tier          Deny, or nothing where its default action is Pass
//   named ports            a rule for the numbers and one for each number that a name stands for
//   named notPorts         in front of the rule, Jumps over it
//   unknown profile        Deny
//   failsafe ports         first: Allow; where a program need not decide, a Jump behind its end
//   hooks of host endpoints  forwarding: no profiles, what all tiers pass is allowed; untracked and
//                          preDNAT: what no rule matches falls off the end
// Rules that can match in neither family, and what no packet can reach, are left out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/model.h"
#include "policy/policy_list.h"
#include "policy/selector.h"
#include "vrouter/dataplane/acl.h"
#include "vrouter/net/ids.h"

namespace vr::policy {

/// Where the compiler gets the numbers of the groups that rules name.
class GroupSource {
  public:
    GroupSource() = default;
    GroupSource(const GroupSource&) = delete;
    GroupSource& operator=(const GroupSource&) = delete;
    GroupSource(GroupSource&&) = delete;
    GroupSource& operator=(GroupSource&&) = delete;
    virtual ~GroupSource() = default;

    /// The addresses that `selector` selects.
    virtual GroupId group(const Selector& selector) = 0;
    /// Of those, the ones that expose port `name`: a group for each number that it stands for.
    virtual std::map<L4Port, GroupId> port_groups(
        const Selector& selector, const std::string& name, std::uint8_t protocol) = 0;
};

/// A PolicyList with the objects in place of their keys.
struct CompilerInput {
    struct InTier {
        std::string name;
        TierDefault default_action = TierDefault::Deny;
        bool closed = false;  ///< Tier::closed
        std::vector<ResourcePtr> policies;
    };

    Direction direction = Direction::Ingress;
    std::optional<HostHook> hook;
    Failsafes failsafes;
    std::vector<InTier> tiers;
    std::vector<std::pair<std::string, ResourcePtr>> profiles;  ///< null: does not exist
};

[[nodiscard]] acl::Program compile(const CompilerInput& input, GroupSource& groups);

}  // namespace vr::policy
