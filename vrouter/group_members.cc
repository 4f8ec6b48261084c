// SPDX-License-Identifier: Apache-2.0
#include "vrouter/group_members.h"

namespace vr {

GroupMembers::GroupMembers(Machine& machine, std::function<bool()> is_settled)
    : machine_(machine), is_settled_(std::move(is_settled)) {}

void GroupMembers::add(GroupId group, const IpPrefix& member) {
    if (removals_.erase({group, member}) != 0 || leaving_.erase({group, member}) != 0) {
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

void GroupMembers::apply_removals(const Members& members) {
    for (const auto& [group, member] : members) {
        std::visit(
            [&]<Family F>(const Prefix<F>& prefix) {
                machine_.shared().groups<F>().remove(group, prefix);
            },
            member);
    }
    machine_.bump_policy_generation();
}

void GroupMembers::remove_when_seen() {
    if (removals_.empty() || std::exchange(waits_, true)) {
        return;
    }
    leaving_ = std::exchange(removals_, {});
    machine_.when_seen([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) {
            return;
        }
        waits_ = false;
        apply_removals(std::exchange(leaving_, {}));
        machine_.commit();
        if (is_settled_()) {
            remove_when_seen();  // those that came meanwhile
        }
    });
}

}  // namespace vr
