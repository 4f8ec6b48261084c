// CheckingSink: what a graph publishes must be complete, whatever it was told; fuzz targets hand it to one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <string>

#include "vrouter/workload.h"

namespace vr {

class CheckingSink final : public WorkloadSink {
  public:
    void add_member(GroupId /*group*/, const IpPrefix& /*member*/) override {}

    void remove_member(GroupId /*group*/, const IpPrefix& /*member*/) override {}

    void update_workload(const Workload& workload) override {
        if (!workload.ingress || !workload.egress) {
            std::abort();
        }
    }

    void remove_workload(const std::string& /*name*/) override {}

    void replace_programs(const ReplacedPrograms& replaced) override {
        for (const auto& [before, after] : replaced) {
            if (!before || !after) {
                std::abort();
            }
        }
    }

    void update_host(const HostGuard& guard) override {
        if (!guard.program(HostHook::NormalIngress) || !guard.program(HostHook::NormalEgress)) {
            std::abort();
        }
    }

    void remove_host(const std::string& /*name*/) override {}

    void set_workload_rules(const WorkloadRules& /*rules*/) override {}
};

}  // namespace vr
