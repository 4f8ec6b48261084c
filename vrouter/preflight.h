// What of a config this machine does not have: CPUs, devices, files.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "vrouter/config.h"

namespace vr {

/// CPUs that this process may run on.
[[nodiscard]] std::set<unsigned> allowed_cpus();

/// One sentence for each CPU and device of `config` that is not there, `cpus` being those that are.  Asked
/// by --check and at start, where DPDK would say it less clearly.
[[nodiscard]] std::vector<std::string> machine_problems(
    const Config& config, const std::set<unsigned>& cpus);

/// One sentence for each certificate, key and password file of the datastore that cannot be read.  Asked by
/// --check alone: a router starts without them, on its last good state, and tries again.
[[nodiscard]] std::vector<std::string> file_problems(const Config& config);

}  // namespace vr
