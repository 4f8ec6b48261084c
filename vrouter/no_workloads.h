// NoWorkloads: what policy says of endpoints goes nowhere, as in a router without a data plane.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vrouter/workload.h"

namespace vr {

class NoWorkloads final : public WorkloadSink {
  public:
    void add_member(GroupId /*group*/, const IpPrefix& /*member*/) override {}

    void remove_member(GroupId /*group*/, const IpPrefix& /*member*/) override {}

    void update_workload(const Workload& /*workload*/) override {}

    void remove_workload(const std::string& /*name*/) override {}

    void replace_programs(const ReplacedPrograms& /*replaced*/) override {}

    void update_host(const HostGuard& /*guard*/) override {}

    void remove_host(const std::string& /*name*/) override {}

    void set_workload_rules(const WorkloadRules& /*rules*/) override {}
};

}  // namespace vr
