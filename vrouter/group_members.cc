// SPDX-License-Identifier: Apache-2.0
#include "vrouter/group_members.h"

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
}

void GroupMembers::remove(GroupId group, const IpPrefix& member) {
    removals_.insert({group, member});
    if (is_settled_()) {
        remove_when_seen();  // a worker may still judge by what was in force a moment ago
    }
}

void GroupMembers::finish() {
    for (unsigned i = 0; i < kTurn && !due_.empty(); ++i) {
        const auto [group, member] = *due_.begin();
        due_.erase(due_.begin());
        std::visit(
            [&, group = group]<Family F>(const Prefix<F>& prefix) {
                machine_.shared().groups<F>().remove(group, prefix);
            },
            member);
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
