// GroupMembers: who belongs to the groups that programs name.
//
// Members come at once.  Removed ones wait while programs are being compiled, and until workers run what came
// of it, so that a program never runs with groups that were already emptied for its successor.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "vrouter/machine.h"

namespace vr {

class GroupMembers {
  public:
    /// `is_settled`: whether nothing is in force that was to be replaced or removed.
    GroupMembers(Machine& machine, std::function<bool()> is_settled);

    void add(GroupId group, const IpPrefix& member);
    void remove(GroupId group, const IpPrefix& member);

    /// What was removed goes once every worker has seen the last commit, whatever is compiled by then.  To
    /// be called when all is settled.
    void remove_when_seen();

  private:
    using Members = std::set<std::pair<GroupId, IpPrefix>>;

    void apply_removals(const Members& members);

    Machine& machine_;
    std::function<bool()> is_settled_;
    Members removals_;  ///< from groups that programs may still need as they are
    Members leaving_;   ///< workers may still run such programs
    bool waits_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace vr
