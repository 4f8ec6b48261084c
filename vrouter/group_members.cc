// SPDX-License-Identifier: Apache-2.0
#include "vrouter/group_members.h"

#include <algorithm>

namespace vr {

GroupMembers::GroupMembers(
    Machine& machine, std::function<bool()> is_settled, std::function<void()> unfinished)
    : machine_(machine), is_settled_(std::move(is_settled)), unfinished_(std::move(unfinished)) {}

void GroupMembers::add(GroupId group, const IpPrefix& member) {
    if (removals_.erase({group, member}) != 0 || leaving_.erase({group, member}) != 0 ||
        due_.erase({group, member}) != 0) {
        return;  // its removal still waited
    }
    std::visit(
        [&]<Family F>(const Prefix<F>& prefix) {
            machine_.shared().groups<F>().add(group, prefix);
        },
        member);
    machine_.bump_policy_generation();
    if (!is_refreshed()) {
        unfinished_();
    }
}

bool GroupMembers::is_refreshed() const {
    return machine_.shared().groups4.is_settled() && machine_.shared().groups6.is_settled();
}

std::size_t GroupMembers::refresh(std::size_t most) {
    SharedState& tables = machine_.shared();
    const std::size_t done = tables.groups4.refresh(most);
    return done + (done < most ? tables.groups6.refresh(most - done) : 0);
}

bool GroupMembers::refresh() {
    if (is_refreshed()) {
        return false;
    }
    refresh(kTurn);
    machine_.bump_policy_generation();
    return !is_refreshed();
}

void GroupMembers::remove(GroupId group, const IpPrefix& member) {
    removals_.insert({group, member});
    if (is_settled_()) {
        remove_when_seen();  // a worker may still judge by what was in force a moment ago
    }
}

void GroupMembers::finish() {
    for (std::size_t left = kTurn; left != 0 && is_unfinished();) {
        if (!is_refreshed()) {
            left -= std::min(left, refresh(left));
            continue;
        }
        const auto [group, member] = *due_.begin();
        due_.erase(due_.begin());
        std::visit(
            [&, group = group]<Family F>(const Prefix<F>& prefix) {
                machine_.shared().groups<F>().remove(group, prefix);
            },
            member);
        --left;
    }
    machine_.bump_policy_generation();
}

void GroupMembers::remove_when_seen() {
    if (removals_.empty() || is_unfinished() || std::exchange(waits_, true)) {
        return;
    }
    leaving_ = std::exchange(removals_, {});
    machine_.when_seen([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) {
            return;
        }
        waits_ = false;
        due_ = std::exchange(leaving_, {});
        finish();
        machine_.commit();
        if (is_unfinished()) {
            unfinished_();
        }
        if (is_settled_()) {
            remove_when_seen();  // those that came meanwhile
        }
    });
}

}  // namespace vr
