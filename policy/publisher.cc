// SPDX-License-Identifier: Apache-2.0
#include "policy/publisher.h"

#include <ranges>
#include <tuple>

namespace vr::policy {

namespace {

/// Programs compare by identity: a changed one is another object.
bool same(const Workload& a, const Workload& b) {
    const auto all = [](const Workload& w) {
        return std::tie(
            w.name,
            w.interface_name,
            w.active,
            w.mac,
            w.addresses4,
            w.addresses6,
            w.spoofable4,
            w.spoofable6,
            w.floating,
            w.qos,
            w.attachment,
            w.route_priority,
            w.ingress,
            w.egress,
            w.staged_ingress,
            w.staged_egress);
    };
    return all(a) == all(b);
}

}  // namespace

void Publisher::change_members(const std::vector<MemberChange>& changes) {
    for (const auto& change : changes) {
        const Member member{change.group, change.member};
        auto& same_way = change.present ? arriving_ : leaving_;
        auto& other_way = change.present ? leaving_ : arriving_;
        if (other_way.erase(member) == 0) {
            same_way.insert(member);
        }
    }
}

void Publisher::set_workload(Workload workload) {
    removed_.erase(workload.name);
    const auto before = published_.find(workload.name);
    if (before != published_.end() && same(before->second, workload)) {
        changed_.erase(workload.name);
        return;
    }
    changed_.insert_or_assign(workload.name, std::move(workload));
}

void Publisher::remove_workload(const std::string& name) {
    changed_.erase(name);
    if (published_.contains(name)) {
        removed_.insert(name);
    }
}

void Publisher::replace_programs(const ReplacedPrograms& replaced) {
    for (auto& [name, workload] : changed_) {
        workload.replace_programs(replaced);
    }
    // Those that were not told yet lead on to the newest.
    for (auto& [before, after] : replaced_) {
        if (const auto next = replaced.find(after); next != replaced.end()) {
            after = next->second;
        }
    }
    replaced_.insert(replaced.begin(), replaced.end());
}

void Publisher::set_host(HostGuard guard) {
    removed_hosts_.erase(guard.name);
    const auto before = published_hosts_.find(guard.name);
    if (before != published_hosts_.end() && before->second == guard) {
        changed_hosts_.erase(guard.name);
        return;
    }
    changed_hosts_.insert_or_assign(guard.name, std::move(guard));
}

void Publisher::remove_host(const std::string& name) {
    changed_hosts_.erase(name);
    if (published_hosts_.contains(name)) {
        removed_hosts_.insert(name);
    }
}

void Publisher::flush() {
    for (const auto& [group, member] : arriving_) {
        sink_->add_member(group, member);
    }
    for (auto& [name, guard] : changed_hosts_) {
        sink_->update_host(guard);
        published_hosts_.insert_or_assign(name, std::move(guard));
    }
    if (published_rules_ != rules_) {
        sink_->set_workload_rules(rules_);
        published_rules_ = rules_;
    }
    if (published_log_terms_ != log_terms_) {
        sink_->set_policy_log(log_terms_);
        published_log_terms_ = log_terms_;
    }
    if (!replaced_.empty()) {
        sink_->replace_programs(replaced_);
        for (auto& [name, workload] : published_) {
            workload.replace_programs(replaced_);
        }
        replaced_.clear();
    }
    for (auto& [name, workload] : changed_) {
        sink_->update_workload(workload);
        published_.insert_or_assign(name, std::move(workload));
    }
    for (const auto& name : removed_) {
        sink_->remove_workload(name);
        published_.erase(name);
    }
    for (const auto& name : removed_hosts_) {
        sink_->remove_host(name);
        published_hosts_.erase(name);
    }
    // Pools with natOutgoing have the highest number: what is no pool any more is no such pool before, or
    // flows that begin in between went out in the host's name to what was one just now.
    for (const auto& [group, member] : leaving_ | std::views::reverse) {
        sink_->remove_member(group, member);
    }
    arriving_.clear();
    changed_.clear();
    changed_hosts_.clear();
    removed_.clear();
    removed_hosts_.clear();
    leaving_.clear();
}

}  // namespace vr::policy
