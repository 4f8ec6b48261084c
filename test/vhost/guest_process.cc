// SPDX-License-Identifier: Apache-2.0
#include "test/vhost/guest_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

namespace vr::vhost {

namespace {

/// Where packages and a DPDK built by hand put it.
constexpr std::array<const char*, 2> kPrograms{
    "/usr/bin/dpdk-testpmd", "/usr/local/bin/dpdk-testpmd"};

const char* find_program() {
    for (const char* program : kPrograms) {
        if (::access(program, X_OK) == 0) {
            return program;
        }
    }
    return nullptr;
}

std::vector<std::string> make_arguments(const GuestSettings& settings) {
    const std::string processors = allowed_processors();
    return {
        "dpdk-testpmd",
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
[[noreturn]] void become_guest(const char* program, char* const* arguments, int input, int log) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(input, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv(program, arguments);
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
    return find_program() != nullptr;
}

GuestProcess::GuestProcess(const GuestSettings& settings) {
    std::vector<std::string> arguments = make_arguments(settings);
    std::vector<char*> raw;
    raw.reserve(arguments.size() + 1);
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
    const char* program = find_program();
    pid_ = ::fork();
    if (pid_ == 0) {
        become_guest(program, raw.data(), input[0], log);
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
