// Publisher: hands the machine the difference between what it has and what it should have.
//
// One flush: new members, then programs and endpoints (the host's own first), then removals of endpoints and
// members, so that no program is published before the groups that it names are filled.  All of that in slices but the
// guards of the host, which are told together: one of them may follow another one at a port.  What cancels out, or is
// the same as before, is not told.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/ip_set.h"
#include "policy/slice.h"
#include "vrouter/workload.h"

namespace vr::policy {

class Publisher {
  public:
    explicit Publisher(WorkloadSink& sink) : sink_(&sink) {}

    void change_members(const std::vector<MemberChange>& changes);
    void set_workload(Workload workload);
    void remove_workload(const std::string& name);
    /// Of all workloads that were told, or are to be.
    void replace_programs(const ReplacedPrograms& replaced);
    void set_host(HostGuard guard);
    void remove_host(const std::string& name);

    void set_workload_rules(const WorkloadRules& rules) { rules_ = rules; }

    void set_policy_log(const PolicyLogTerms& terms) { log_terms_ = terms; }

    void set_migration_terms(const MigrationTerms& terms) { migration_terms_ = terms; }

    /// Hands over what changed, in the order above; false: `slice` was over before the end, and nothing is to
    /// change until a further call went on from there.
    bool flush(const Slice& slice = Slice());

    /// What the machine has been told.
    [[nodiscard]] const std::map<std::string, Workload>& published() const { return published_; }

    [[nodiscard]] const std::map<std::string, HostGuard>& published_hosts() const {
        return published_hosts_;
    }

  private:
    using Member = std::pair<GroupId, IpPrefix>;

    [[nodiscard]] bool add_members(const Slice& slice);
    void tell(HostGuard guard);
    void tell(Workload workload);
    [[nodiscard]] bool tell_what_all_share(const Slice& slice);

    WorkloadSink* sink_;
    std::set<Member> arriving_;
    /// Pools with natOutgoing have the highest number: what is no pool any more is no such pool before, or
    /// flows that begin in between went out in the host's name to what was one just now.
    std::set<Member, std::greater<>> leaving_;
    std::map<std::string, Workload> changed_;
    std::set<std::string> removed_;
    ReplacedPrograms replaced_;
    std::map<std::string, Workload> published_;
    std::map<std::string, HostGuard> changed_hosts_;
    std::set<std::string> removed_hosts_;
    std::map<std::string, HostGuard> published_hosts_;
    WorkloadRules rules_;
    std::optional<WorkloadRules> published_rules_;
    PolicyLogTerms log_terms_;
    PolicyLogTerms published_log_terms_;
    MigrationTerms migration_terms_;
    MigrationTerms published_migration_terms_;
};

}  // namespace vr::policy
