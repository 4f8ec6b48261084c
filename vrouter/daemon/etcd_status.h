// What this host tells others through etcd or vrouter-policyd, in the datastore's words.  Pure.  DATASTORE 3.1.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/etcd/status.h"
#include "policy/model.h"
#include "vrouter/daemon/config.h"
#include "vrouter/workloads.h"

namespace vr::daemon {

/// How this node speaks BGP; nothing when it does not, or shall not say so.  An AS number that
/// resources tell is not repeated to them.
[[nodiscard]] std::optional<policy::etcd::NodeFacts> node_facts(const Config& config);

/// "up", "down" or "error", which host endpoints never are; nothing while one is being made ready.
[[nodiscard]] std::map<policy::Key, std::optional<std::string>> endpoint_statuses(
    const Workloads& workloads);

/// The same where something is different from what was last told; nothing else.
class ChangedStatuses {
  public:
    [[nodiscard]] std::optional<std::map<policy::Key, std::optional<std::string>>> take(
        const Workloads& workloads);

  private:
    using States = std::pair<
        std::vector<std::pair<std::string, WorkloadView::State>>,
        std::vector<std::pair<std::string, HostGuardView::State>>>;

    std::optional<States> told_;
};

}  // namespace vr::daemon
