// SPDX-License-Identifier: Apache-2.0
#include "policy/publisher.h"

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
            w.migration,
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
        if (change.present) {
            if (leaving_.erase(member) == 0) {
                arriving_.insert(member);
            }
        } else if (arriving_.erase(member) == 0) {
            leaving_.insert(member);
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

bool Publisher::flush(const Slice& slice) {
    return add_members(slice) &&
           // Together: where a guard goes to another port, the one that follows it must be known.
           Slice().drain(changed_hosts_, [&](auto& node) { tell(std::move(node.mapped())); }) &&
           tell_what_all_share(slice) &&
           slice.drain(changed_, [&](auto& node) { tell(std::move(node.mapped())); }) &&
           slice.drain(
               removed_,
               [&](const auto& node) {
                   sink_->remove_workload(node.value());
                   published_.erase(node.value());
               }) &&
           slice.drain(
               removed_hosts_,
               [&](const auto& node) {
                   sink_->remove_host(node.value());
                   published_hosts_.erase(node.value());
               }) &&
           slice.drain(leaving_, [&](const auto& node) {
               sink_->remove_member(node.value().first, node.value().second);
           });
}

/// Each when all inside the one before have followed: what is in a pool with natOutgoing must find all others to be
/// in a pool.
bool Publisher::add_members(const Slice& slice) {
    do {
        if (sink_->refresh_members()) {
            continue;
        }
        if (arriving_.empty()) {
            return true;
        }
        const auto node = arriving_.extract(arriving_.begin());
        sink_->add_member(node.value().first, node.value().second);
    } while (!slice.is_over());
    return false;
}

void Publisher::tell(HostGuard guard) {
    sink_->update_host(guard);
    std::string name = guard.name;
    published_hosts_.insert_or_assign(std::move(name), std::move(guard));
}

void Publisher::tell(Workload workload) {
    sink_->update_workload(workload);
    std::string name = workload.name;
    published_.insert_or_assign(std::move(name), std::move(workload));
}

/// Rules, log, and programs by what took their place.
bool Publisher::tell_what_all_share(const Slice& slice) {
    if (published_rules_ != rules_) {
        sink_->set_workload_rules(rules_);
        published_rules_ = rules_;
    }
    if (published_log_terms_ != log_terms_) {
        sink_->set_policy_log(log_terms_);
        published_log_terms_ = log_terms_;
    }
    if (published_migration_terms_ != migration_terms_) {
        sink_->set_migration_terms(migration_terms_);
        published_migration_terms_ = migration_terms_;
    }
    if (replaced_.empty()) {
        return true;
    }
    sink_->replace_programs(replaced_);
    for (auto& [name, workload] : published_) {
        workload.replace_programs(replaced_);
    }
    replaced_.clear();
    return !slice.is_over();
}

}  // namespace vr::policy
