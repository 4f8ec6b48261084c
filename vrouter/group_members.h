// GroupMembers: who belongs to the groups that programs name.
//
// Members come at once, but for those inside a net that comes: they follow in slices.  Removed ones wait while programs
// are being compiled, and until workers run what came of it, so that a program never runs with groups that were
// already emptied for its successor.  Then they go some in a turn.  Control thread.
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
    /// `is_settled`: whether nothing is in force that was to be replaced or removed.  `unfinished` is called
    /// when something is left for finish().
    GroupMembers(
        Machine& machine, std::function<bool()> is_settled, std::function<void()> unfinished);

    void add(GroupId group, const IpPrefix& member);
    void remove(GroupId group, const IpPrefix& member);

    /// What was removed goes once every worker has seen the last commit, whatever is compiled by then.  To
    /// be called when all is settled.
    void remove_when_seen();

    /// Goes on with the members inside nets that came or went; true when there are more.  To be followed by a
    /// commit.
    bool refresh();

    [[nodiscard]] bool is_unfinished() const { return !due_.empty() || !is_refreshed(); }

    /// Does so, and removes some of those that may go, each when the members inside the one before have followed.
    /// To be followed by a commit.
    void finish();

  private:
    [[nodiscard]] bool is_refreshed() const;
    std::size_t refresh(std::size_t most);

    /// Those of the highest group go first, as policy/publisher.h wants it.
    using Members = std::set<std::pair<GroupId, IpPrefix>, std::greater<>>;

    /// A third of a millisecond's worth.
    static constexpr unsigned kTurn = 256;

    Machine& machine_;
    std::function<bool()> is_settled_;
    std::function<void()> unfinished_;
    Members removals_;  ///< from groups that programs may still need as they are
    Members leaving_;   ///< workers may still run such programs
    Members due_;       ///< nobody needs them any more
    bool waits_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace vr
