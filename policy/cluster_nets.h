// ClusterNets: which addresses are in pools, and which are hosts of the cluster, as groups that packets are
// asked about beside policy: kNatPools, kAllPools, kClusterHosts.
//
// A group that nobody asks about is not told: where no pool has natOutgoing, nothing here costs anything.
// As in Calico a disabled pool is a pool: no address is given out from it any more, but those that were are
// still in use; and whoever wants a net to be reached without translation makes a disabled pool of it.
// What is told depends on the present objects only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "policy/ip_set.h"
#include "policy/model.h"

namespace vr::policy {

class ClusterNets {
  public:
    /// An IPPool or a Node came or changed; others are none of ours.
    void set(const Resource& resource);
    void remove(const Key& key);

    /// The groups that somebody asks about.
    void want(std::set<GroupId> groups);

    [[nodiscard]] bool is_empty(GroupId group) const;

    /// What changed since the last call, in order.
    [[nodiscard]] std::vector<MemberChange> take_changes();

  private:
    using Member = std::pair<GroupId, IpPrefix>;

    void enter(const Member& member);
    void leave(const Member& member);

    std::map<Key, std::vector<Member>> brought_;
    std::map<GroupId, std::map<IpPrefix, unsigned>> groups_;  ///< how many objects bring each
    std::set<GroupId> wanted_;
    std::vector<MemberChange> changes_;
};

}  // namespace vr::policy
