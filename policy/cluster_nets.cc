// SPDX-License-Identifier: Apache-2.0
#include "policy/cluster_nets.h"

#include <variant>

namespace vr::policy {

namespace {

std::vector<std::pair<GroupId, IpPrefix>> members_of(const Spec& spec) {
    std::vector<std::pair<GroupId, IpPrefix>> members;
    if (const auto* pool = std::get_if<IpPool>(&spec)) {
        members.emplace_back(kAllPools, pool->cidr);
        if (pool->nat_outgoing) {
            members.emplace_back(kNatPools, pool->cidr);
        }
    } else if (const auto* node = std::get_if<ClusterNode>(&spec)) {
        if (node->address4) {
            members.emplace_back(kClusterHosts, Prefix<V4>::host(*node->address4));
        }
        if (node->address6) {
            members.emplace_back(kClusterHosts, Prefix<V6>::host(*node->address6));
        }
        for (const IpAddr& address : node->addresses) {
            members.emplace_back(kClusterHosts, host_prefix(address));
        }
    }
    return members;
}

}  // namespace

void ClusterNets::set(const Resource& resource) {
    // First in, then out: what stays is never absent.
    const auto members = members_of(resource.spec);
    for (const Member& member : members) {
        enter(member);
    }
    remove(resource.key);
    if (!members.empty()) {
        brought_.emplace(resource.key, members);
    }
}

void ClusterNets::remove(const Key& key) {
    const auto known = brought_.find(key);
    if (known == brought_.end()) {
        return;
    }
    for (const Member& member : known->second) {
        leave(member);
    }
    brought_.erase(known);
}

void ClusterNets::enter(const Member& member) {
    const auto& [group, net] = member;
    if (groups_[group][net]++ == 0 && wanted_.contains(group)) {
        changes_.push_back({group, net, true});
    }
}

void ClusterNets::leave(const Member& member) {
    const auto& [group, net] = member;
    auto& nets = groups_.at(group);
    if (--nets.at(net) == 0) {
        nets.erase(net);
        if (wanted_.contains(group)) {
            changes_.push_back({group, net, false});
        }
    }
}

void ClusterNets::want(std::set<GroupId> groups) {
    for (const auto& [group, nets] : groups_) {
        if (wanted_.contains(group) == groups.contains(group)) {
            continue;
        }
        for (const auto& [net, objects] : nets) {
            changes_.push_back({group, net, groups.contains(group)});
        }
    }
    wanted_ = std::move(groups);
}

bool ClusterNets::is_empty(GroupId group) const {
    const auto known = groups_.find(group);
    return known == groups_.end() || known->second.empty();
}

std::vector<MemberChange> ClusterNets::take_changes() {
    return std::exchange(changes_, {});
}

}  // namespace vr::policy
