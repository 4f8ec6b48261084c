// SPDX-License-Identifier: Apache-2.0
#include "vrouter/preflight.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "vrouter/dataplane/device_needs.h"
#include "vrouter/eal.h"

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
    std::vector<std::pair<const char*, std::string>> files;
    if (const auto& etcd = config.etcd) {
        files = {
            {"etcd.ca", etcd->ca},
            {"etcd.certificate", etcd->certificate},
            {"etcd.key", etcd->key},
            {"etcd.password_file", etcd->password_file}};
    } else if (const auto& policyd = config.policyd) {
        files = {
            {"policyd.ca", policyd->ca},
            {"policyd.certificate", policyd->certificate},
            {"policyd.key", policyd->key}};
    }
    std::vector<std::string> problems;
    for (const auto& [key, path] : files) {
        if (!path.empty() && ::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) {
            problems.push_back(
                fmt::format("datastore.{}: cannot read '{}': {}", key, path, std::strerror(errno)));
        }
    }
    return problems;
}

}  // namespace vr
