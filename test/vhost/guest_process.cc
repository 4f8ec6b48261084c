// SPDX-License-Identifier: Apache-2.0
#include "test/vhost/guest_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

namespace vr::vhost {

namespace {

constexpr const char* kProgram = "dpdk-testpmd";

std::vector<std::string> make_arguments(const GuestSettings& settings) {
    const std::string processors = allowed_processors();
    return {
        kProgram,
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "-m",
        "128",
        fmt::format("--file-prefix=vr-guest-{}", ::getpid()),
        fmt::format("--lcores=0@{0},1@{0}", processors),
        fmt::format(
            "--vdev=net_virtio_user0,path={},queues={},mac=02:00:00:00:00:01{}",
            settings.socket_path,
            settings.queue_pairs,
            settings.role == GuestRole::Listens ? ",server=1" : ""),
        "--",
        "--forward-mode=macswap",
        "--port-topology=loop",
        "--nb-cores=1",
        "--no-mlockall",
        "--total-num-mbufs=4096",
        fmt::format("--rxq={}", settings.queue_pairs),
        fmt::format("--txq={}", settings.queue_pairs),
    };
}

/// In the child between fork and exec: only what is safe there.
[[noreturn]] void become_guest(char* const* arguments, int input, int log) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(input, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execvp(kProgram, arguments);
    ::_exit(127);
}

}  // namespace

std::string allowed_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof(set), &set);
    std::vector<int> processors;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) {
            processors.push_back(cpu);
        }
    }
    return fmt::format("({})", fmt::join(processors, ","));
}

bool GuestProcess::is_available() {
    const char* path = std::getenv("PATH");
    std::istringstream directories(path != nullptr ? path : "/usr/bin");
    for (std::string directory; std::getline(directories, directory, ':');) {
        if (::access((std::filesystem::path(directory) / kProgram).c_str(), X_OK) == 0) {
            return true;
        }
    }
    return false;
}

GuestProcess::GuestProcess(const GuestSettings& settings) {
    std::vector<std::string> arguments = make_arguments(settings);
    std::vector<char*> raw;
    for (std::string& argument : arguments) {
        raw.push_back(argument.data());
    }
    raw.push_back(nullptr);
    std::array<int, 2> input{};
    if (::pipe2(input.data(), O_CLOEXEC) != 0) {
        return;
    }
    const int log =
        ::open(settings.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_ = ::fork();
    if (pid_ == 0) {
        become_guest(raw.data(), input[0], log);
    }
    ::close(input[0]);
    ::close(log);
    input_ = input[1];
}

GuestProcess::~GuestProcess() {
    kill();
    if (input_ >= 0) {
        ::close(input_);
    }
}

void GuestProcess::kill() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
}

}  // namespace vr::vhost
