// SPDX-License-Identifier: Apache-2.0
#include "vrouter/eal.h"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "vrouter/net/log.h"
#include "vrouter/preflight.h"

namespace vr {

namespace {

/// Free huge pages of any size, as the kernel counts them.
bool has_huge_pages() {
    std::error_code error;
    for (const auto& size :
         std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
        std::ifstream in{size.path() / "free_hugepages"};
        unsigned long free = 0;
        if (in >> free && free != 0) {
            return true;
        }
    }
    return false;
}

/// Is `option` among the arguments: "-m 64" and "-m64", "--lcores 0" and "--lcores=0" alike?
bool given(const std::vector<std::string>& arguments, std::string_view option) {
    const bool is_short = option.size() == 2;
    return std::ranges::any_of(arguments, [&](const std::string& a) {
        return a == option || (a.starts_with(option) && (is_short || a[option.size()] == '='));
    });
}

/// All CPUs that this process may use, as a list for --lcores.
std::string cpu_list() {
    const std::set<unsigned> cpus = allowed_cpus();
    return cpus.empty() ? "0" : fmt::format("{}", fmt::join(cpus, ","));
}

bool uses_pci(const Config& config) {
    // "0000:3b:00.0" or "3b:00.0": everything else is a virtual device.
    return std::ranges::any_of(config.ports, [](const PortConfig& port) {
        return !port.device.empty() &&
               port.device.substr(0, port.device.find(',')).find(':') != std::string::npos;
    });
}

int run_worker(void* worker) {
    static_cast<Worker*>(worker)->run();
    return 0;
}

}  // namespace

bool gives_lcores(const std::vector<std::string>& arguments) {
    return std::ranges::any_of(
        std::array{"-l", "-c", "--lcores"}, [&](const char* o) { return given(arguments, o); });
}

std::vector<std::string> eal_arguments(const Config& config, int pid, bool huge_pages) {
    std::vector<std::string> arguments{"vrouterd"};
    const auto add = [&](const char* option, const std::string& value = {}) {
        if (!given(config.eal, option)) {
            arguments.emplace_back(option);
            if (!value.empty()) {
                arguments.push_back(value);
            }
        }
    };
    if (!gives_lcores(config.eal)) {
        // Lcore 0 is the control thread, which floats; worker i is lcore i + 1 on its CPU.
        std::string lcores = "0@(" + cpu_list() + ")";
        for (std::size_t i = 0; i < config.workers.lcores.size(); ++i) {
            lcores += "," + std::to_string(i + 1) + "@" + std::to_string(config.workers.lcores[i]);
        }
        add("--lcores", lcores);
    }
    add("--file-prefix", "vrouter" + std::to_string(pid));
    if (!uses_pci(config)) {
        add("--no-pci");
    }
    add("--no-telemetry");
    // Their own words matter when something fails, and say so as errors; the rest is noise.
    for (const char* level : {"lib.eal:warning", "lib.vhost.*:warning", "pmd.net.tap:critical"}) {
        arguments.insert(arguments.end(), {"--log-level", level});
    }
    if (!huge_pages && !given(config.eal, "--no-huge")) {
        arguments.emplace_back("--no-huge");
    }
    if (!huge_pages || given(config.eal, "--no-huge")) {
        add("--no-shconf");
        // Room for the packet buffers (about 2.5 KB each) and the ports' rings.
        add("-m", std::to_string(config.packets * 5 / 2048 + 64));
    }
    arguments.insert(arguments.end(), config.eal.begin(), config.eal.end());
    return arguments;
}

Result<std::unique_ptr<Eal>> Eal::start(const Config& config, int pid) {
    const bool huge_pages = has_huge_pages();
    if (!huge_pages && !given(config.eal, "--no-huge")) {
        log::warning(
            "no free huge pages: packet memory is ordinary memory, which is slower "
            "(echo 512 > /proc/sys/vm/nr_hugepages gives some)");
    }
    std::vector<std::string> arguments = eal_arguments(config, pid, huge_pages);
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
        std::string line;
        for (const std::string& argument : arguments) {
            line += (line.empty() ? "" : " ") + argument;
        }
        return fail(
            std::string("DPDK's EAL did not start: ") + rte_strerror(rte_errno) +
            "; its arguments were: " + line);
    }
    return std::unique_ptr<Eal>(new Eal());
}

Eal::~Eal() {
    rte_eal_cleanup();
}

Result<bool> Eal::launch(const std::vector<std::unique_ptr<Worker>>& workers) {
    std::size_t next = 0;
    unsigned lcore = 0;
    RTE_LCORE_FOREACH_WORKER(lcore) {
        if (next == workers.size()) {
            break;
        }
        if (rte_eal_remote_launch(run_worker, workers[next++].get(), lcore) != 0) {
            return fail("lcore " + std::to_string(lcore) + " is busy");
        }
    }
    if (next != workers.size()) {
        return fail(
            "the EAL has " + std::to_string(next) + " worker lcores, the config wants " +
            std::to_string(workers.size()) + " (see `workers.lcores` and `eal`)");
    }
    return true;
}

void Eal::join() {
    rte_eal_mp_wait_lcore();
}

}  // namespace vr
