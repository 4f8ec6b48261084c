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

/// One sentence for the datastore's directory, and each of its certificates, keys and password files, that
/// cannot be used as it is.  Asked by --check alone: a router may start without, on its last good state.
[[nodiscard]] std::vector<std::string> file_problems(const Config& config);

}  // namespace vr
