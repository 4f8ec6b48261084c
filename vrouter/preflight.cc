// SPDX-License-Identifier: Apache-2.0
#include "vrouter/preflight.h"

#include <fmt/format.h>
#include <sched.h>

#include "vrouter/dataplane/device_needs.h"
#include "vrouter/eal.h"
#include "vrouter/source_files.h"

namespace vr {

std::set<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::set<unsigned> cpus;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &set)) {
                cpus.insert(cpu);
            }
        }
    }
    return cpus;
}

std::vector<std::string> machine_problems(const Config& config, const std::set<unsigned>& cpus) {
    std::vector<std::string> problems;
    if (!config.dataplane) {
        return problems;
    }
    for (const unsigned cpu : config.workers.lcores) {
        if (!gives_lcores(config.eal) && !cpus.contains(cpu)) {
            problems.push_back(fmt::format(
                "workers.lcores: CPU {} is not one that this process may use ({})",
                cpu,
                fmt::join(cpus, ", ")));
        }
    }
    for (const PortConfig& port : config.ports) {
        if (const auto missing = missing_for(port.device)) {
            problems.push_back(
                fmt::format("port {}: device '{}': {}", port.name, port.device, *missing));
        }
    }
    return problems;
}

std::vector<std::string> file_problems(const Config& config) {
    if (const auto& etcd = config.etcd) {
        return etcd_file_problems(*etcd);
    }
    if (const auto& policyd = config.policyd) {
        return tls_file_problems(
            "datastore.policyd", {policyd->ca, policyd->certificate, policyd->key, config.node});
    }
    std::vector<std::string> problems;
    if (!config.resource_directory.empty()) {
        if (const auto problem = directory_problem(config.resource_directory)) {
            problems.push_back("datastore.file.directory: " + *problem);
        }
    }
    return problems;
}

}  // namespace vr
